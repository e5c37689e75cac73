"""The how-to pages, each on a server of its own; those that go on from the tutorial are preceded by its first steps."""

import shutil
from pathlib import Path
from typing import Final

import pytest
from documented import DOCS, flags, follow, steps
from real_server import start_server

PAGES: Final = [path for path in sorted((DOCS / "how-to").glob("*.md")) if steps(path.read_text())]
AFTER_TUTORIAL: Final = "<!-- after tutorial -->"
TUTORIAL_ENDS: Final = "## 7."
TOOLS: Final = ("curl", "jq", "openssl")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_the_page_goes_as_it_says(path: Path, tmp_path: Path):
    text, home = path.read_text(), tmp_path / "home"
    before, given = flags(text, home)
    page = steps(text.removeprefix(before))
    if AFTER_TUTORIAL in text:
        tutorial = (DOCS / "tutorial.md").read_text()
        page = [*steps(tutorial[: tutorial.index(TUTORIAL_ENDS)]), *page]
    for tool in TOOLS:
        if f"{tool} " in "".join(step.block.text for step in steps(text)) and not shutil.which(tool):
            pytest.skip(f"no {tool} on this machine")
    follow(steps(before), home)
    with start_server(tmp_path / "root", *given) as server:
        follow(page, home, server)
