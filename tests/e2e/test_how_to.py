"""The how-to pages, each on a server of its own; those that go on from the tutorial are preceded by its first steps."""

from pathlib import Path
from typing import Final

import pytest
from documented import DOCS, follow, steps
from real_server import start_server

PAGES: Final = sorted((DOCS / "how-to").glob("*.md"))
AFTER_TUTORIAL: Final = "<!-- after tutorial -->"
TUTORIAL_ENDS: Final = "## 7."


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_the_page_goes_as_it_says(path: Path, tmp_path: Path):
    text = path.read_text()
    page = steps(text)
    if not page:
        pytest.skip("nothing on it can be run here")
    if AFTER_TUTORIAL in text:
        tutorial = (DOCS / "tutorial.md").read_text()
        page = [*steps(tutorial[: tutorial.index(TUTORIAL_ENDS)]), *page]
    (tmp_path / "home").mkdir()
    with start_server(tmp_path / "root") as server:
        follow(page, server, tmp_path / "home")
