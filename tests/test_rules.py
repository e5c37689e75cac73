"""From every rule (docs/rules.md), sentence by sentence, to its tests."""

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SECTIONS = re.split(r"^## ", (REPOSITORY / "docs" / "rules.md").read_text(), flags=re.MULTILINE)[1:]
SENTENCES = {
    "1": 14, "2": 14, "3": 2, "3.1": 16, "3.2": 13, "3.3": 12, "3.4": 8, "3.5": 6, "4": 12, "5": 16,
    "6": 39, "7": 9, "8": 26, "9": 5, "10": 2, "K": 37, "P": 14,
    "A1": 13, "A2": 48, "A3": 26, "A4": 22, "A5": 31, "A6": 33, "B": 20, "S": 10, "F": 13,
}  # fmt: skip
"""How many there are in each section: a rule that is dropped is missed."""


class Rule(NamedTuple):
    """A sentence: its number, its words, and the tests that it names, each with its file."""

    number: str
    text: str
    tests: tuple[tuple[str, str], ...]


def rules_of(section: str) -> list[Rule]:
    """The items of a section; the files and tests in code follow the words."""
    found = []
    for item in re.split(r"^- ", section, flags=re.MULTILINE)[1:]:
        match = re.fullmatch(r"\*\*(\S+)\*\* (.*)", item.strip(), re.DOTALL)
        assert match is not None, item
        tests, file = [], ""
        for code in re.findall(r"`([^`]+)`", item):
            if code.startswith("tests/"):
                file = code
            elif re.fullmatch(r"test_\w+", code):
                tests.append((file, code))
        words, _, _ = match[2].partition("`tests/")
        found.append(Rule(match[1], words.strip(), tuple(tests)))
    return found


RULES = [rule for section in SECTIONS for rule in rules_of(section)]


@cache
def defined_in(file: str) -> frozenset[str]:
    """The names of the tests that a file defines."""
    return frozenset(re.findall(r"^\s*(?:async )?def (test_\w+)\(", (REPOSITORY / file).read_text(), re.MULTILINE))


def test_every_sentence_of_every_section_is_there():
    assert {section.split(" ", 1)[0]: len(rules_of(section)) for section in SECTIONS} == SENTENCES
    assert [rule.number for rule in RULES] == [
        f"{key}-{n}" for key, last in SENTENCES.items() for n in range(1, last + 1)
    ]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.number)
def test_a_sentence_says_something_and_names_tests_that_are_there(rule: Rule):
    assert rule.text
    assert rule.tests, "no test shows it"
    for file, name in rule.tests:
        assert name in defined_in(file), (file, name)


def test_a_rule_that_the_code_cites_is_on_the_page():
    cited = {
        number
        for path in (REPOSITORY / "kcpcache").rglob("*.py")
        for number in re.findall(r"behaviour §(\d+(?:\.\d+)?)", path.read_text())
    }
    assert {"3.3", "4"} < cited
    assert cited <= set(SENTENCES)
