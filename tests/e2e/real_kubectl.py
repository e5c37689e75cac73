"""kubectl as users run it, with a home and a discovery cache of its own for each version and server."""

import contextlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from real_server import Lines, Server

MISSING = "no kubectl on this machine: install it as https://kubernetes.io/docs/tasks/tools/ says"
_RELEASE = re.compile(r"kubectl\.(1\.\d+)")


def installed_kubectls() -> dict[str, Path]:
    """Path by release ("1.33"), oldest first; a plain kubectl without releases beside it is ``""``. Empty: none."""
    plain = shutil.which("kubectl")
    if plain is None:
        return {}
    found = {}
    for path in Path(os.path.realpath(plain)).parent.iterdir():
        if (release := _RELEASE.fullmatch(path.name)) and os.access(path, os.X_OK):
            found[release[1]] = path
    ordered = sorted(found, key=lambda release: int(release.partition(".")[2]))
    return {release: found[release] for release in ordered} or {"": Path(plain)}


_TESTED = ("1.27", "1.33", "1.35")
RELEASES: list[str | None] = [release for release in _TESTED if release in installed_kubectls()] or [None]
"""The oldest and the newest that must work, and what is to come where it is there. None: whichever is."""


def kubectl_binary(release: str | None = None) -> Path:
    """The kubectl to test with: of that release, else the newest. Without one the test is skipped, in CI it fails."""
    installed = installed_kubectls()
    if not installed:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(MISSING)
    return list(installed.values())[-1] if release is None else installed[release]


class Ran(NamedTuple):
    """What a command answered."""

    code: int
    out: str
    err: str


class Kubectl:
    """``kubectl("root:provider", "get", "crd")``: the text that it printed; fails where kubectl does."""

    def __init__(self, binary: Path, server: Server, home: Path, credentials: tuple[str, ...] = ()) -> None:
        """``credentials`` are flags such as ``--token``; with none, it is the kubeconfig's administrator."""
        self._binary, self._server, self._home, self._credentials = binary, server, home, credentials
        home.mkdir(parents=True, exist_ok=True)

    def as_user(self, *credentials: str) -> "Kubectl":
        """The same kubectl for someone with other credentials, and none of the administrator's."""
        return Kubectl(self._binary, self._server, self._home / f"user{abs(hash(credentials))}", credentials)

    def run(
        self,
        workspace: str,
        *arguments: object,
        stdin: str | None = None,
        timeout: float = 30.0,
        env: Mapping[str, str] | None = None,
    ) -> Ran:
        """Run it to its end, whatever that is."""
        process = subprocess.run(
            self._command(workspace, arguments),
            env=self._environment(env),
            cwd=self._home,
            input=stdin or "",
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Ran(process.returncode, process.stdout, process.stderr)

    def __call__(self, workspace: str, *arguments: object, **how: Any) -> str:
        ran = self.run(workspace, *arguments, **how)
        assert ran.code == 0, f"kubectl {' '.join(map(str, arguments))}: exit {ran.code}\n{ran.out}\n{ran.err}"
        return ran.out

    def refused(self, workspace: str, *arguments: object, **how: Any) -> str:
        """What it says on stderr; fails where kubectl does not."""
        ran = self.run(workspace, *arguments, **how)
        assert ran.code != 0, f"kubectl {' '.join(map(str, arguments))} was not refused:\n{ran.out}\n{ran.err}"
        return ran.err

    def json(self, workspace: str, *arguments: object) -> Any:
        """``kubectl get … -o json``, parsed."""
        return json.loads(self(workspace, "get", *arguments, "-o", "json"))

    def create(self, workspace: str, *manifests: Mapping[str, Any]) -> None:
        """``kubectl create`` these objects."""
        self(workspace, "create", "-f", "-", stdin="\n".join(map(json.dumps, manifests)))

    def names(self, workspace: str, *arguments: object) -> list[str]:
        """The names that ``kubectl get …`` lists, in its order."""
        return self(workspace, "get", *arguments, "-o", "jsonpath={.items[*].metadata.name}").split()

    @contextlib.contextmanager
    def watch(self, workspace: str, *arguments: object) -> Iterator[Lines]:
        """``kubectl get … --watch`` in the background, and the lines that it prints."""
        command = self._command(workspace, ("get", *arguments, "--watch"))
        with subprocess.Popen(
            command, env=self._environment(None), cwd=self._home, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            lines = Lines(process.stdout)
            try:
                yield lines
            finally:
                process.kill()
                lines.join()

    def workspaces(self, *names: str, parent: str = "root") -> None:
        """Make workspaces below ``parent`` and wait until they are ready."""
        manifests = [
            {
                "apiVersion": "tenancy.kcp.io/v1alpha1",
                "kind": "Workspace",
                "metadata": {"name": name},
                "spec": {"type": {"name": "universal", "path": "root"}},
            }
            for name in names
        ]
        self.create(parent, *manifests)
        targets = [f"workspace/{name}" for name in names]
        self(parent, "wait", "--for=jsonpath={.status.phase}=Ready", "--timeout=20s", *targets)

    def _command(self, workspace: str, arguments: tuple[object, ...]) -> list[str]:
        if self._credentials:
            authority = self._home / "ca.crt"
            authority.write_text(self._server.authority())
            who = [f"--certificate-authority={authority}", *self._credentials]
        else:
            who = [f"--kubeconfig={self._server.kubeconfig}"]
        where = f"--server={self._server.url}/clusters/{workspace}"
        return [str(self._binary), *who, where, f"--cache-dir={self._home / 'cache'}", *map(str, arguments)]

    def _environment(self, more: Mapping[str, str] | None) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self._home), "LC_ALL": "C.UTF-8", **(more or {})}
