"""The tutorial, and README's session: every command as it stands there, every output as it is shown there.

A ``sh`` block is run, and a ``text`` block after it is the end of what it prints. Comments before a block say more:
``start`` is what the test does itself, ``refused`` that every line fails, ``watch`` that it runs on in the background,
``watched`` what that has printed in the end. README's ``console`` block is run where the tutorial tries to write.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from real_kubectl import kubectl_binary
from real_server import REPOSITORY, Server

TUTORIAL, README = REPOSITORY / "docs" / "tutorial.md", REPOSITORY / "README.md"
DOCUMENTED_URL: Final = "https://127.0.0.1:6443"
DOCUMENTED_ROOT: Final = "$PWD/.kcpcache"
SESSION_BEFORE: Final = "## 7."
_BLOCK = re.compile(
    r"(?:<!-- (?P<mark>[a-z]+) -->\n)?```(?P<kind>[a-z]*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)
_VARYING = (
    (re.compile(r"https://127\.0\.0\.1:\d+"), "URL"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "HASH"),
    (re.compile(r'logical cluster "[a-z0-9]{16}"'), "CLUSTER"),
    (re.compile(r"\b(\d+[smh]){1,2}(?=\s|$)"), "AGE"),
    (re.compile(r"[ \t]+"), " "),
)


class Block(NamedTuple):
    """A fenced block: its language, what the comment before it says, its text, and where it begins."""

    kind: str
    mark: str
    text: str
    at: int


def blocks(document: str) -> list[Block]:
    return [
        Block(found["kind"], found["mark"] or "", found["text"], found.start()) for found in _BLOCK.finditer(document)
    ]


def comparable(text: str) -> list[str]:
    """The lines without what differs from run to run: ages, ports, generated names, the width of columns."""
    for pattern, stand_in in _VARYING:
        text = pattern.sub(stand_in, text)
    return [line.strip() for line in text.splitlines() if line.strip()]


def commands(block: Block, watched_lines: int) -> str:
    """A block as a piece of a shell script that ends at the first command that does not go as the text says."""
    if block.mark == "refused":
        return "".join(f"if {line}; then echo NOT REFUSED; exit 1; fi\n" for line in block.text.splitlines())
    if block.mark == "watch":
        started = "until grep -q mem-medium ~/watched; do sleep 0.05; done"
        return f"{block.text.rstrip()} > ~/watched &\nwatcher=$!\n{started}\n"
    if block.mark == "watched":
        return (
            f"until [ $(wc -l < ~/watched) -ge {watched_lines} ]; do sleep 0.05; done\n"
            "kill $watcher; wait $watcher || true\ncat ~/watched\n"
        )
    return block.text


def script(steps: list[Block]) -> Iterator[str]:
    """All steps in one shell, as a reader has them in one; each announces itself."""
    yield "set -eu -o pipefail\n"
    for number, block in enumerate(steps):
        lines = len(block.text.splitlines())
        # Every terminal of the tutorial starts in the root of the repository, and the watch goes on beside them.
        home = f"cd {REPOSITORY}\n" if "export KUBECONFIG" in block.text else ""
        yield f"echo '=== {number}'\n{home}{commands(block, lines)}"


def session(readme: str) -> list[tuple[str, str]]:
    """README's session: each command with the output below it."""
    (console,) = [block.text for block in blocks(readme) if block.kind == "console"]
    parts = re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]
    return [(command, output) for command, _, output in (part.partition("\n") for part in parts)]


def run(text: str, server: Server, home: Path) -> list[str]:
    """What each step of a script printed. Fails with all of it where one went wrong."""
    (home / "bin").mkdir()
    (home / "bin" / "kubectl").symlink_to(kubectl_binary())
    text = text.replace(DOCUMENTED_URL, server.url).replace(DOCUMENTED_ROOT, str(server.root_dir))
    environment = {"HOME": str(home), "PATH": f"{home / 'bin'}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}
    process = subprocess.run(
        ["bash"],
        input=text,
        env=environment,
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        check=False,
    )
    assert process.returncode == 0, process.stdout
    return re.split(r"^=== \d+\n", process.stdout, flags=re.MULTILINE)[1:]


def test_the_tutorial_and_the_session_in_the_readme_go_as_they_say(server: Server, tmp_path: Path):
    document = TUTORIAL.read_text()
    steps, expected = [], []
    writing = document.index(SESSION_BEFORE)
    for block in blocks(document):
        if block.at > writing and not any(step.at > writing for step in steps):
            for command, output in session(README.read_text()):
                wrapped = f"{command} || true\n"
                steps.append(Block("sh", "", wrapped, writing + 1))
                expected.append(output)
        if block.mark == "start":
            continue
        if block.kind == "sh" or block.mark == "watched":
            steps.append(block)
            expected.append("")
        if block.kind == "text":
            expected[-1] = block.text
    printed = run("".join(script(steps)), server, tmp_path)
    assert len(printed) == len(expected)
    for step, told, shown in zip(steps, expected, printed, strict=True):
        wanted = comparable(told)
        assert comparable(shown)[-len(wanted) :] == wanted or not wanted, f"{step.text}\nprinted\n{shown}"
