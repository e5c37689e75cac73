import json

import pytest

from tests.known_vulnerabilities import UNREACHABLE, judge


def clean(name):
    return {"name": name, "version": "1.0", "vulns": []}


def flawed(name, *fixed):
    return {**clean(name), "vulns": [{"id": "PYSEC-1", "fix_versions": list(fixed), "aliases": [], "description": ""}]}


def skipped(name):
    return {"name": name, "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("dependencies", "code", "said"),
    [
        ([clean("a"), clean("b")], 0, "none in 2 packages"),
        ([clean("a"), skipped("b")], 0, "none in 1 packages, 1 skipped"),
        ([clean("a"), flawed("b", "1.1", "2.0")], 1, "b 1.0: PYSEC-1, fixed in 1.1, 2.0"),
        ([flawed("b")], 1, "fixed in none yet"),
        ([skipped("a"), skipped("b")], 0, UNREACHABLE),
    ],
)
def test_an_advisory_fails_the_check_and_what_could_not_be_looked_up_does_not(dependencies, code, said):
    found = judge(json.dumps({"dependencies": dependencies, "fixes": []}))
    assert found[0] == code
    assert said in found[1]


@pytest.mark.parametrize("report", ["", "Traceback", "[]", "{}", '{"dependencies": null}'])
def test_where_the_database_cannot_be_reached_it_is_one_line(report):
    assert judge(report) == (0, UNREACHABLE)
