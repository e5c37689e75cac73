"""That docs/architecture.md is about the program as it is: its packages, files, names, tasks and threads."""

import re
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "kcpcache"
PAGE = " ".join((REPOSITORY / "docs" / "architecture.md").read_text().split(" "))
SECTIONS = dict(section.split("\n", 1) for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:])
MODULES = {path.name.removesuffix(".py") for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
PACKAGES = MODULES - {"__init__", "__main__", "__pycache__"}


def first_column(section: str) -> list[list[str]]:
    """The names in code in the first cell of each row of a section's tables."""
    rows = re.findall(r"^\| (`.*?) \|", SECTIONS[section], re.MULTILINE)
    return [re.findall(r"`([^`]+)`", row) for row in rows]


def test_every_package_has_its_row_and_no_other():
    named = [name for row in first_column("Layers") for name in row]
    assert sorted(named) == sorted(PACKAGES)


def test_rows_are_in_the_order_of_the_layers():
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    [contract] = settings["tool"]["importlinter"]["contracts"]
    level = {
        name.strip().removeprefix("kcpcache."): number
        for number, layer in enumerate(contract["layers"])
        for name in layer.split("|")
    }
    assert set(level) == PACKAGES
    levels = [level[name] for row in first_column("Layers") for name in row]
    assert levels == sorted(levels)


REFERENCES = sorted(
    {(file, name) for file, name in re.findall(r"`([\w/]+\.py):\s+([\w.]+)`", PAGE)}
    | {(file, name) for name, file in re.findall(r"`([A-Z][\w.]+)`\s+\(`([\w/]+\.py)`", PAGE)}
    | {(file, "") for file in re.findall(r"`([\w/]+\.py)[:`]", PAGE)}
)


def test_references_are_found():
    assert len(REFERENCES) > 40


@pytest.mark.parametrize(("file", "name"), REFERENCES)
def test_what_it_refers_to_is_there(file: str, name: str):
    text = (PACKAGE / file).read_text()
    for part in filter(None, name.split(".")):
        assert re.search(rf"^\s*(async def|def|class) {part}\b", text, re.MULTILINE), part


@pytest.mark.parametrize("name", [name for row in first_column("Tasks and threads") for name in row])
def test_tasks_and_threads_have_the_names_that_it_says(name: str):
    assert any(f'"{name}"' in path.read_text() for path in PACKAGE.rglob("*.py"))
