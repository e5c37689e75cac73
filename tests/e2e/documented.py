"""Pages of the documentation as tests: every command as it stands there, every output as it is shown there.

A ``sh`` block is run, and a ``text`` block after it is the end of what it prints. Comments before a block say more:

* ``start``: the test starts the server itself, with the flags that stand in ``ARGS`` there.
* ``elsewhere``: it is for another machine or another program, and not run.
* ``refused``: every line of it fails.
* ``watch TEXT``: it runs on in the background; the page goes on once it has printed TEXT.
* ``watched``: what that has printed when it is ended.
"""

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from real_kubectl import kubectl_binary
from real_server import REPOSITORY, Server

DOCS: Final = REPOSITORY / "docs"
DOCUMENTED_URL: Final = "https://127.0.0.1:6443"
DOCUMENTED_ROOT: Final = re.compile(r"(\$PWD/)?\.kcpcache\b")
DOCUMENTED_BIN: Final = ".venv/bin/"
PAGE_SECONDS: Final = 100.0
SESSION_BEFORE: Final = "## 7."
START: Final = "start"
NOT_RUN: Final = {START, "elsewhere"}
_ARGS = re.compile(r'ARGS="([^"]*)"')
_BLOCK = re.compile(
    r"(?:<!-- (?P<mark>[a-z]+)(?: (?P<argument>[^\n]+?))? -->\n)?```(?P<kind>[a-z]*)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
_VARYING = (
    (re.compile(r"https://127\.0\.0\.1:\d+"), "URL"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "HASH"),
    (re.compile(r"\b[a-z0-9]{16}\b"), "CLUSTER"),
    (re.compile(r"\b(\d+[smh]){1,2}(?=\s|$)"), "AGE"),
    (re.compile(r"[ \t]+"), " "),
)


class Block(NamedTuple):
    """A fenced block: its language, what the comment before it says, its text, and where it begins."""

    kind: str
    mark: str
    argument: str
    text: str
    at: int


class Step(NamedTuple):
    """A block to run, and the end of what it is to print."""

    block: Block
    expected: str = ""


def blocks(document: str) -> list[Block]:
    return [
        Block(found["kind"], found["mark"] or "", found["argument"] or "", found["text"], found.start())
        for found in _BLOCK.finditer(document)
    ]


def steps(document: str) -> list[Step]:
    """What of a page is run, in its order."""
    found: list[Step] = []
    for block in blocks(document):
        if block.mark in NOT_RUN:
            continue
        if block.kind == "sh" or block.mark == "watched":
            found.append(Step(block))
        if block.kind == "text":
            found[-1] = found[-1]._replace(expected=block.text)
    return found


def session(readme: str, at: int) -> list[Step]:
    """README's session, each command with the output below it, as steps of a page at that place."""
    (console,) = [block.text for block in blocks(readme) if block.kind == "console"]
    parts = re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]
    commands = [part.partition("\n") for part in parts]
    return [Step(Block("sh", "", "", f"{command} || true\n", at), output) for command, _, output in commands]


def tutorial_and_session() -> list[Step]:
    """The tutorial, and in it, where it tries to write, README's session."""
    tutorial = (DOCS / "tutorial.md").read_text()
    writing = tutorial.index(SESSION_BEFORE)
    page = steps(tutorial)
    before = [step for step in page if step.block.at < writing]
    return [*before, *session((REPOSITORY / "README.md").read_text(), writing), *page[len(before) :]]


def comparable(text: str) -> list[str]:
    """The lines without what differs from run to run: ages, ports, generated names, the width of columns."""
    for pattern, stand_in in _VARYING:
        text = pattern.sub(stand_in, text)
    return [line.strip() for line in text.splitlines() if line.strip()]


def commands(block: Block) -> str:
    """A block as a piece of a shell script that ends at the first command that does not go as the text says."""
    if block.mark == "refused":
        return "".join(f"if {line}; then echo NOT REFUSED; exit 1; fi\n" for line in block.text.splitlines())
    if block.mark == "watch":
        started = until(f"grep -q '{block.argument}' ~/watched")
        return f"{block.text.rstrip()} > ~/watched &\nwatcher=$!\n{started}"
    if block.mark == "watched":
        complete = until(f"[ $(wc -l < ~/watched) -ge {len(block.text.splitlines())} ]")
        return f"{complete}kill $watcher; wait $watcher || true\ncat ~/watched\n"
    return block.text


def until(condition: str) -> str:
    """Wait for that, as long as the watch lives."""
    return f"until {condition}; do kill -0 $watcher; sleep 0.05; done\n"


def script(page: list[Step], repository: Path) -> Iterator[str]:
    """All steps in one shell, as a reader has them in one; each announces itself."""
    yield "set -eu -o pipefail\n"
    for number, (block, _) in enumerate(page):
        # Every terminal of a page starts in the root of the repository, and a watch goes on beside them.
        home = f"cd {repository}\n" if "export KUBECONFIG" in block.text else ""
        yield f"echo '=== {number}'\n{home}{commands(block)}"


def flags(document: str, home: Path) -> tuple[str, list[str]]:
    """What of a page comes before its server is started, and the flags that it is started with."""
    for block in blocks(document):
        if block.mark == START:
            given = _ARGS.search(block.text.replace("\\\n", ""))
            return document[: block.at], shlex.split(given[1].replace("$HOME", str(home))) if given else []
    return "", []


def run(text: str, home: Path, server: Server | None = None, clone: Path | None = None) -> list[str]:
    """What each step of a script printed. Fails with all of it where one went wrong.

    Without a ``clone`` that has an environment and a server of its own, the program is the one that is tested here.
    """
    (home / "bin").mkdir(parents=True, exist_ok=True)
    if not (kubectl := home / "bin" / "kubectl").exists():
        kubectl.symlink_to(kubectl_binary())
    environment = {"HOME": str(home), "PATH": f"{home / 'bin'}:{bare_path()}"}
    if server is not None:
        text = text.replace(DOCUMENTED_URL, server.url)
    if clone is None:
        programs = Path(sys.executable).parent
        text = text.replace(DOCUMENTED_BIN, f"{programs}/")
        text = DOCUMENTED_ROOT.sub(str(server.root_dir), text) if server is not None else text
        path = f"{home / 'bin'}:{programs}:{os.environ['PATH']}"
        environment |= {"PATH": path, "LC_ALL": "C.UTF-8", "TMPDIR": str(home)}
    with (home / "printed").open("w") as printed:
        process = subprocess.Popen(
            ["bash", "-c", text],
            env=environment,
            cwd=clone or REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        code = process.wait(PAGE_SECONDS)
    except subprocess.TimeoutExpired:
        code = None
    finally:
        with contextlib.suppress(ProcessLookupError):  # where a step fails, a watch is still there
            os.killpg(process.pid, signal.SIGKILL)
    shown = (home / "printed").read_text()
    assert code == 0, f"exit {code}\n{shown}"
    return re.split(r"^=== \d+\n", shown, flags=re.MULTILINE)[1:]


def bare_path() -> str:
    """The PATH of somebody who has not activated the environment of these tests, with the Python that it is of."""
    environment = Path(sys.prefix) / "bin"
    return ":".join(
        [
            str(Path(sys.base_prefix) / "bin"),
            *(part for part in os.environ["PATH"].split(":") if Path(part) != environment),
        ]
    )


def follow(page: list[Step], home: Path, server: Server | None = None, clone: Path | None = None) -> None:
    """Do as the page says, and fail where anything goes otherwise than it tells."""
    printed = run("".join(script(page, clone or REPOSITORY)), home, server, clone)
    assert len(printed) == len(page)
    for step, shown in zip(page, printed, strict=True):
        wanted = comparable(step.expected)
        assert comparable(shown)[-len(wanted) :] == wanted or not wanted, f"{step.block.text}\nprinted\n{shown}"
