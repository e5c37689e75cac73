"""The kubectl plugins as their users call them: through a real kubectl, against a real server."""

import contextlib
import io
import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cloud_co import EXAMPLE as CLOUD_CO
from real_kubectl import Ran, kubectl_binary
from real_server import Server, start_server
from test_kcp_example import LABELLED, the_example

from kcpcache.kubectl.plugins import Surroundings, run

TOKENS = 'alice-token,alice,alice-uid,"system:authenticated"\n'
CLAIMING = """
apiVersion: apis.kcp.io/v1alpha2
kind: APIExport
metadata: {name: claiming}
spec:
  permissionClaims:
  - {group: "", resource: configmaps, verbs: ["*"]}
  - {group: "", resource: secrets, verbs: [get]}
"""


class Shell:
    """A user's terminal: kubectl, the plugins on the PATH, and a kubeconfig of one's own."""

    def __init__(self, server: Server, home: Path) -> None:
        self.kubeconfig, self.home = home / "kubeconfig", home
        (home / "bin").mkdir(parents=True)
        shutil.copy(server.kubeconfig, self.kubeconfig)
        (home / "bin" / "kubectl").symlink_to(kubectl_binary())
        self.env = {
            **os.environ,  # with what measures coverage in other processes
            "PATH": f"{home / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(home),
            "KUBECONFIG": str(self.kubeconfig),
            "KUBECTL_ENABLE_CMD_SHADOW": "true",  # before 1.31 "create workspace" is found with this only
            "TERM": "xterm",
            "LC_ALL": "C.UTF-8",
        }

    def kubectl(self, line: str, stdin: str = "") -> str:
        """``kubectl <line>`` as a process; fails where kubectl does."""
        words = ["kubectl", *line.split()]
        ran = subprocess.run(words, env=self.env, input=stdin, capture_output=True, text=True, timeout=90, check=False)
        assert ran.returncode == 0, f"{line}: exit {ran.returncode}\n{ran.stdout}\n{ran.stderr}"
        return ran.stdout

    def run(self, line: str, stdin: str = "") -> Ran:
        """A plugin in this process: what ``kubectl <line>`` would run, a second sooner."""
        program, *words = line.removeprefix("create ").split()
        program = {"workspace": "create-workspace"}.get(program, program)
        out, err = io.StringIO(), io.StringIO()
        code = run(program, words, Surroundings(self.env, self.home, io.StringIO(stdin), out, err))
        return Ran(code, out.getvalue(), err.getvalue())

    def __call__(self, line: str, stdin: str = "") -> str:
        ran = self.run(line, stdin)
        assert ran.code == 0, f"{line}: exit {ran.code}\n{ran.out}\n{ran.err}"
        return ran.out

    def refused(self, line: str) -> str:
        """What a plugin says on stderr; fails where it does not."""
        ran = self.run(line)
        assert ran.code == 1, f"{line} was not refused\n{ran.out}\n{ran.err}"
        return ran.err

    def config(self) -> dict[str, Any]:
        return yaml.safe_load(self.kubeconfig.read_text())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("server")
    (root / "tokens.csv").write_text(TOKENS)
    with start_server(root / "root", "--token-auth-file", root / "tokens.csv") as server:
        yield server


@pytest.fixture
def shell(server: Server, tmp_path: Path) -> Shell:
    kubectl_binary()
    return Shell(server, tmp_path / "home")


def test_kcps_own_readme_works_command_by_command(shell: Shell):
    folder = the_example()
    assert shell.kubectl("ws create provider --enter").splitlines() == [
        'Workspace "provider" (type root:organization) created. Waiting for it to be ready...',
        'Workspace "provider" (type root:organization) is ready to use.',
        "Current workspace is 'root:provider' (type root:organization).",
    ]
    shell.kubectl(f"create -f {folder}/crd-instances.yaml")
    for name in ("apiresourceschema-instances", "instances", "cached-resource-identity", "cached-resource-instances"):
        shell.kubectl(f"create -f {folder}/{name}.yaml")
    shell.kubectl(f"create -f {folder}/apiresourceschema-virtualmachine.yaml")
    shell.kubectl(f"create -f {folder}/apiexport.yaml")
    assert shell.kubectl("ws use :root") == "Current workspace is 'root' (type root).\n"
    shell.kubectl("ws create consumer --enter")
    assert shell.kubectl("kcp bind apiexport root:provider:virtualmachines virtualmachines").splitlines() == [
        "apibinding virtualmachines created. Waiting to successfully bind ...",
        "virtualmachines created and bound.",
    ]
    listed = shell.kubectl("get instances.machines.svm.io").splitlines()
    assert [line.split()[0] for line in listed] == ["NAME", *LABELLED]


def test_workspaces_are_entered_and_left_as_directories_are(shell: Shell):
    shell("create workspace up --type universal --enter")
    shell("create workspace down --type universal")
    own = {"base", "root", "shard-base", "system:admin"}
    assert shell("ws down") == "Current workspace is 'root:up:down' (type root:universal).\n"
    assert shell.kubectl("get logicalcluster cluster -o name") == "logicalcluster.core.kcp.io/cluster\n"
    assert shell("ws ..") == "Current workspace is 'root:up' (type root:universal).\n"
    assert shell("ws -") == "Current workspace is 'root:up:down'.\n"
    assert shell("ws -") == "Current workspace is 'root:up'.\n"
    assert shell("ws ./down --short") == "root:up:down\n"
    assert shell("ws current --short") == shell("ws . --short") == "root:up:down\n"
    assert shell("ws :") == "Current workspace is 'root'.\n"
    home = shell.run("ws")
    assert home.out == "Current workspace is 'user:kcp-admin'.\n"
    assert "go to home workspace" in home.err
    assert "no longer supported" in shell.run("kcp ws root:up").err
    contexts = {each["name"] for each in shell.config()["contexts"]}
    assert contexts == own | {"workspace.kcp.io/current", "workspace.kcp.io/previous"}
    assert shell("ws create-context") == 'Created context "root:up" and switched to it.\n'
    assert "already exists in kubeconfig, use --overwrite" in shell.refused("ws create-context root")
    assert shell.config()["current-context"] == "root:up"
    assert shell("ws tree") == ".\n└── up\n    └── down\n\n"
    wide = shell("ws tree --full --wide -w :root:up").splitlines()
    assert wide[:3] == [
        ".",
        "└── root:up           ws=-      lc=Ready",
        "    └── root:up:down  ws=Ready  lc=Ready",
    ]


def test_what_cannot_be_entered_or_made_is_told(shell: Shell):
    assert shell.refused("ws no-such") == 'Error: workspace "root:no-such" not found\n'
    assert shell.refused("ws ..") == "Error: cannot go up from root\n"
    assert shell.refused("ws -") == "Error: no previous workspace found in kubeconfig\n"
    assert "Error: unknown flag: --enterr" in shell.refused("ws create x --enterr")
    assert shell.refused("ws tree -i") == "Error: interactive mode needs a terminal\n"
    assert "does not point to a workspace" in shell.refused("ws create x --context base")
    assert shell("ws . --context base").startswith('Current workspace is the URL "https://')
    assert "does not point directly to a kcp workspace" in shell("ws tree --context base")
    assert "was refused" in shell.refused("ws tree -s https://127.0.0.1:1/clusters/root")
    shell("create workspace closed --type universal")
    assert 'access to workspace "root:closed" denied' in shell.refused("ws :root:closed --token alice-token")
    assert "is forbidden" in shell.refused("create workspace x --type universal --token alice-token")
    assert "Unauthorized" in shell.refused("ws tree --token wrong")


def test_a_workspace_that_is_there_is_taken_where_that_is_wanted(shell: Shell):
    shell("create workspace again --type root:universal")
    assert '"again" already exists' in shell.refused("create workspace again")
    taken = shell("create workspace again --type root:universal --ignore-existing --create-context a --enter")
    assert taken.splitlines()[0] == 'Workspace "again" (type root:universal) already exists.'
    assert taken.splitlines()[-1] == 'Created context "a" and switched to it.'
    assert shell("ws . --short") == "root:again\n"
    other = "create workspace again -w .. --type root:organization --ignore-existing"
    assert "it already exists with different type root:universal" in shell.refused(other)


def test_claims_are_decided_on_when_binding_and_later(shell: Shell):
    shell("create workspace claiming --type universal --enter")
    shell.kubectl("create -f -", stdin=CLAIMING)
    shell("create workspace answering --type universal -w :root")
    shell("ws :root:answering")
    shell("kcp bind apiexport root:claiming:claiming --name c --accept-permission-claim configmaps.core")
    shell.kubectl("wait --for=condition=Ready apibinding/c --timeout=10s")
    assert "claim for secrets exported but not specified on APIBinding c" in shell.run("ws :root:answering").err
    table = shell("kcp claims get apibinding c").splitlines()
    assert [line.split() for line in table] == [
        ["APIBINDING", "GROUP-RESOURCE", "VERBS", "STATUS"],
        ["c", "configmaps", "*", "Accepted"],
    ]
    assert shell("kcp claims accept c --resource secrets.core") == (
        'claim "secrets.core" on APIBinding "c" is accepted\n'
    )
    assert not shell.run("ws :root:answering").err
    assert shell("kcp claims reject c --all") == '2 claim(s) on APIBinding "c" is rejected\n'
    assert [line.split()[-1] for line in shell("kcp claims get apibinding").splitlines()] == [
        "STATUS",
        "Rejected",
        "Rejected",
    ]
    assert "has no such claim" in shell.refused("kcp claims accept c --identity-hash x")
    assert "error finding APIBinding" in shell.refused("kcp claims get apibinding no-such")
    assert "error updating permission claim" in shell.refused("kcp claims accept no-such --all")
    assert 'failed to get APIExport "no"' in shell.refused(
        "kcp bind apiexport root:claiming:no --accept-all-permission-claims"
    )
    assert "failed to create APIBinding" in shell.refused("kcp bind apiexport root:claiming:claiming --name c")
    shell("kcp bind apiexport root:claiming:claiming --name d --reject-all-permission-claims")


def test_a_snapshot_of_a_definition_is_a_schema_that_the_server_takes(shell: Shell):
    shell("create workspace snapshot --type universal --enter")
    definition = CLOUD_CO / "provider" / "01-cpuflavors-crd.yaml"
    shell.kubectl(f"apply -f {definition}")
    stored = shell.kubectl("get crd cpuflavors.cloud.example.com -o yaml")
    schema = shell("kcp crd snapshot -f - --prefix today", stdin=stored)
    assert shell.kubectl("create -f -", stdin=schema) == (
        "apiresourceschema.apis.kcp.io/today.cpuflavors.cloud.example.com created\n"
    )
    as_json = shell(f"kcp crd snapshot -f {definition} --prefix today -o json").removesuffix("\n---\n")
    assert json.loads(as_json)["spec"]["names"] == yaml.safe_load(stored)["spec"]["names"]
    assert "error opening no-such.yaml" in shell.refused("kcp crd snapshot -f no-such.yaml --prefix x")


def test_a_workspace_is_chosen_in_the_tree_with_the_keys(shell: Shell):
    shell("create workspace branch --type universal --enter")
    shell("create workspace leaf --type universal --enter")
    ours, theirs = pty.openpty()
    command = ["kubectl", "ws", "tree", "-i"]
    with subprocess.Popen(command, env=shell.env, stdin=theirs, stdout=theirs) as browsing:
        os.close(theirs)
        assert b"leaf" in read_until(ours, b"leaf")
        os.write(ours, b"h\n")  # to the parent of the current one, and enter it
        assert b"Current workspace is 'root:branch'" in read_until(ours, b"universal)")
        assert browsing.wait(20) == 0
    os.close(ours)
    assert shell("ws . --short") == "root:branch\n"


def read_until(terminal: int, wanted: bytes) -> bytes:
    """What a program shows, up to what is waited for or its end."""
    seen = b""
    with contextlib.suppress(OSError):  # how a terminal says that its other end is closed
        while wanted not in seen:
            seen += os.read(terminal, 4096)
    return seen
