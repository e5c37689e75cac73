"""kopf, unmodified: an operator with finalizers, a timer and status patches keeps working. KCPCACHE_KOPF_SECONDS."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from client_world import GROUP_NAME, WIDGETS, Workspace, make_workspace, widget, widgets_crd
from real_server import Server, environment, eventually

SECONDS = float(os.environ.get("KCPCACHE_KOPF_SECONDS", "20"))
TIMER_SECONDS = 80.0
"""kopf looks after a minute again whether a timer that was at work when its object was deleted has ended."""
MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}
OPERATOR = Path(__file__).with_name("kopf_operator.py")
WRONG = ("ERROR", "CRITICAL", "Traceback", "Inconsistent", "warning", "WARNING")


class Operator(NamedTuple):
    """The process, the log that it writes, and the objects that it looks after."""

    process: subprocess.Popen[str]
    log: Path
    widgets: str
    http: httpx.Client

    def status(self, name: str) -> dict[str, Any]:
        """The status of a widget."""
        found: dict[str, Any] = self.http.get(f"{self.widgets}/{name}").json().get("status", {})
        return found

    def names(self) -> list[str]:
        """The widgets that are there."""
        return [item["metadata"]["name"] for item in self.http.get(self.widgets).json()["items"]]


@pytest.fixture(scope="module")
def workspace(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return make_workspace(server, "operated", tmp_path_factory.mktemp("operated"))


@pytest.fixture
def operator(server: Server, workspace: Workspace, tmp_path: Path) -> Iterator[Operator]:
    """``kopf run`` in the workspace, once it watches."""
    here = f"/clusters/{workspace.path}"
    crds = f"{here}/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    crd = widgets_crd()
    status = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    status["x-kubernetes-preserve-unknown-fields"] = True
    log = tmp_path / "kopf.log"
    with server.client() as http, log.open("w") as stderr:
        assert http.post(crds, json=crd).is_success
        widgets = f"{here}/apis/{GROUP_NAME}/v1/namespaces/default/widgets"
        eventually(lambda: http.get(widgets).is_success)
        command = [sys.executable, "-m", "kopf", "run", "--standalone", "-n", "default", "--verbose", OPERATOR]
        process = subprocess.Popen(
            command,
            env=environment({"KUBECONFIG": str(workspace.kubeconfig), "HOME": str(tmp_path)}),
            stdin=subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
            text=True,
        )
        with process:
            try:
                eventually(lambda: "Starting the watch-stream for widgets" in log.read_text(), 20)
                yield Operator(process, log, widgets, http)
            finally:
                process.kill()
        assert http.delete(f"{crds}/{WIDGETS}").is_success


@pytest.mark.timeout(SECONDS + 4 * TIMER_SECONDS)
def test_an_operator_reconciles_and_cleans_up_without_an_error(operator: Operator):
    http, widgets, log = operator.http, operator.widgets, operator.log
    until = time.monotonic() + SECONDS
    made = 0
    while time.monotonic() < until:
        names = [f"widget-{number}" for number in range(made, made + 5)]
        made += len(names)
        for name in names:
            assert http.post(widgets, json=widget(name, size=made)).is_success
        for name in names:
            eventually(lambda name=name: operator.status(name).get("phase") == "Created")
            assert operator.status(name)["created"] == {"size": made}
            found = http.get(f"{widgets}/{name}").json()["metadata"]["finalizers"]
            assert found == [f"{GROUP_NAME}/kopf"]
        for name in names:
            patched = http.patch(f"{widgets}/{name}", json={"spec": {"replicas": 3}}, headers=MERGE_PATCH)
            assert patched.is_success
        for name in names:
            eventually(lambda name=name: operator.status(name).get("replicas") == 3)
            eventually(lambda name=name: operator.status(name).get("ticks", 0) >= 2)
        for name in names[:4]:
            assert http.delete(f"{widgets}/{name}").is_success
        gone = set(names[:4])
        eventually(lambda gone=gone: not gone & set(operator.names()), TIMER_SECONDS)
    kept = operator.names()
    assert len(kept) == made // 5
    for name in kept:
        assert operator.status(name)["phase"] == "Updated"
        http.delete(f"{widgets}/{name}")
    eventually(lambda: operator.names() == [], TIMER_SECONDS)
    operator.process.send_signal(signal.SIGTERM)
    assert operator.process.wait(15) == 0
    text = log.read_text()
    assert [line for line in text.splitlines() if any(word in line for word in WRONG)] == []
    # A handler may run again where a change of before comes after it: kopf promises at least once.
    assert set(re.findall(r"cleaned up after (\S+)", text)) == {f"widget-{number}" for number in range(made)}
