"""From every numbered rule (docs/rules.md) to its tests."""

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
NUMBERS = ["2", "3.1", "3.2", "3.3", "3.4", "3.5", "4", "5", "6", "7", "8", "9", "10"]
SECTIONS = re.split(r"^## ", (REPOSITORY / "docs" / "rules.md").read_text(), flags=re.MULTILINE)[1:]


def named_tests(section: str) -> list[tuple[str, str]]:
    """File and name of each test that a section names: a file in code, then the tests in it."""
    found, file = [], ""
    for text in re.findall(r"`([^`]+)`", section):
        if text.endswith(".py"):
            file = text
        elif text.startswith("test_"):
            found.append((file, text))
    return found


def test_every_rule_has_its_section_and_its_tests():
    assert [section.split(" ", 1)[0] for section in SECTIONS] == NUMBERS
    for section in SECTIONS:
        assert named_tests(section), section


@pytest.mark.parametrize("section", SECTIONS, ids=NUMBERS)
def test_the_tests_of_a_rule_are_there(section: str):
    for file, name in named_tests(section):
        assert re.search(rf"^\s*(async )?def {name}\(", (REPOSITORY / file).read_text(), re.MULTILINE), (file, name)


def test_a_rule_that_the_code_cites_is_on_the_page():
    cited = {
        number
        for path in (REPOSITORY / "kcpcache").rglob("*.py")
        for number in re.findall(r"behaviour §(\d+(?:\.\d+)?)", path.read_text())
    }
    assert {"3.3", "4"} < cited
    assert cited - {"3"} <= set(NUMBERS)
