"""What a newcomer does, from nothing: clone, README's commands as they stand there, the tutorial."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from documented import bare_path, blocks, follow, run, tutorial_and_session
from real_kubectl import kubectl_binary
from real_server import REPOSITORY, Server, ready_url

RUN, TEST = "make run", "make test"
DEMO = ".venv/bin/kcpcache demo"
SECONDS = 300
REGISTRY = re.compile(r"PIP_.*|.*_PROXY|SSL_CERT_.*", re.IGNORECASE)
"""How this machine reaches the package registry: nobody's README can say that."""
OFFLINE = re.compile(r"new connection|name resolution|Name or service not known|No matching distribution|timed out")

pytestmark = [
    pytest.mark.timeout(SECONDS),
    pytest.mark.skipif(not (REPOSITORY / ".git").exists(), reason="not a checkout: there is nothing to clone"),
]


class Newcomer(NamedTuple):
    """Who has a clone and a home with nothing in it but what pip has fetched before."""

    clone: Path
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        reaching = {name: value for name, value in os.environ.items() if REGISTRY.fullmatch(name)}
        return {"HOME": str(self.home), "PATH": f"{self.home / 'bin'}:{bare_path()}", **reaching}

    def make(self, command: str, *more: str) -> str:
        """Run one of README's commands to its end; what it printed."""
        done = subprocess.run(
            [*command.split(), *more],
            cwd=self.clone,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        if done.returncode and OFFLINE.search(done.stdout):
            (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no package registry: {done.stdout[-300:]}")
        assert done.returncode == 0, done.stdout
        return done.stdout


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Newcomer:
    clone, home = tmp_path_factory.mktemp("clone") / "kcpcache", tmp_path_factory.mktemp("home")
    subprocess.run(["git", "clone", "--quiet", "--no-local", REPOSITORY, clone], check=True, timeout=60)
    (home / "bin").mkdir()
    (home / "bin" / "kubectl").symlink_to(kubectl_binary())
    for part in (".cache", ".config"):
        (home / part).mkdir()
        kept = Path.home() / part / "pip"
        if part == ".cache":
            kept.mkdir(parents=True, exist_ok=True)
        (home / part / "pip").symlink_to(kept)
    return Newcomer(clone, home)


@pytest.fixture(scope="module")
def server(newcomer: Newcomer) -> Iterator[Server]:
    """``make run``, which installs first, but for the port, which may be in use on this machine."""
    newcomer.make("make install")
    log = newcomer.home / "server.log"
    with (
        log.open("ab") as stderr,
        subprocess.Popen(
            RUN.split(),
            cwd=newcomer.clone,
            env={**newcomer.environment, "KCPCACHE_PORT": "0"},
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield Server(process, newcomer.clone / ".kcpcache", log, ready_url(process.stdout, log))
        finally:
            os.killpg(process.pid, signal.SIGINT)


def test_the_readme_has_two_commands_and_the_demo():
    readme = (REPOSITORY / "README.md").read_text()
    commands = [
        line.partition("#")[0].strip() for block in blocks(readme) if not block.kind for line in block.text.splitlines()
    ]
    assert commands == [RUN, TEST]
    assert f"`{DEMO}`" in readme


def test_the_tutorial_goes_as_it_says_in_a_fresh_clone(newcomer: Newcomer, server: Server):
    follow(tutorial_and_session(), newcomer.home, server, newcomer.clone)


def test_the_demo_goes_in_a_fresh_clone(newcomer: Newcomer, server: Server):
    commands = f"export KUBECONFIG=$PWD/.kcpcache/admin.kubeconfig\necho '=== 0'\n{DEMO} && {DEMO} --clean\n"
    (printed,) = run(commands, newcomer.home, server, newcomer.clone)
    assert "Traceback" not in printed


def test_the_second_command_installs_what_tests_need_and_runs_them_as_ci_does_in_a_clone(newcomer: Newcomer):
    """It is not run once more here: this test is a part of it, and what it installs takes minutes."""
    steps = newcomer.make(TEST, "--dry-run").splitlines()
    assert [step for step in steps if "--require-hashes -r requirements-dev.lock" in step]
    assert [step for step in steps if "-m pytest" in step]
    assert TEST in (newcomer.clone / ".ci" / "run").read_text().splitlines()


def test_a_clone_stays_as_it_was(newcomer: Newcomer, server: Server):
    command = ["git", "status", "--porcelain"]
    changed = subprocess.run(command, cwd=newcomer.clone, capture_output=True, text=True, check=True)
    assert changed.stdout == ""
