"""The tutorial, and README's session, which is run where the tutorial tries to write."""

import re
from pathlib import Path
from typing import Final

from documented import DOCS, Block, Step, blocks, follow, steps
from real_server import REPOSITORY, Server

SESSION_BEFORE: Final = "## 7."


def session(readme: str, at: int) -> list[Step]:
    """README's session, each command with the output below it, as steps of a page at that place."""
    (console,) = [block.text for block in blocks(readme) if block.kind == "console"]
    parts = re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]
    commands = [part.partition("\n") for part in parts]
    return [Step(Block("sh", "", "", f"{command} || true\n", at), output) for command, _, output in commands]


def test_the_tutorial_and_the_session_in_the_readme_go_as_they_say(server: Server, tmp_path: Path):
    tutorial = (DOCS / "tutorial.md").read_text()
    writing = tutorial.index(SESSION_BEFORE)
    page = steps(tutorial)
    before = [step for step in page if step.block.at < writing]
    readme = session((REPOSITORY / "README.md").read_text(), writing)
    follow([*before, *readme, *page[len(before) :]], tmp_path, server)
