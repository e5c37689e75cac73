"""helm, unmodified: a chart with its own CRD is installed, upgraded, rolled back and uninstalled in a workspace.

Skipped where no ``helm`` is on the PATH.
"""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from client_world import GROUP_NAME, WIDGETS, Workspace, widgets_crd
from real_server import Server, environment

HELM = shutil.which("helm")
TEMPLATE = """
apiVersion: v1
kind: ConfigMap
metadata: {name: shop, labels: {app: shop}}
data:
  size: "{{ .Values.size }}"
  {{- if .Values.extra }}
  extra: "yes"
  {{- end }}
---
apiVersion: v1
kind: Secret
metadata: {name: shop}
stringData: {password: "p{{ .Values.size }}"}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: shop}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: shop}
subjects: [{kind: ServiceAccount, name: shop, namespace: {{ .Release.Namespace }}}]
---
apiVersion: clients.example.com/v1
kind: Widget
metadata: {name: shop}
spec: {size: {{ .Values.size }}, parts: [{name: wheel, count: 4}]}
{{- if .Values.extra }}
---
apiVersion: clients.example.com/v1
kind: Widget
metadata: {name: extra}
spec: {}
{{- end }}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: hook, annotations: {helm.sh/hook: "pre-install,pre-upgrade"}}
"""


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    """A chart of built-in kinds, a CRD, custom objects and a hook."""
    chart = tmp_path / "shop"
    for name in ("crds", "templates"):
        (chart / name).mkdir(parents=True)
    (chart / "Chart.yaml").write_text(yaml.safe_dump({"apiVersion": "v2", "name": "shop", "version": "0.1.0"}))
    (chart / "values.yaml").write_text(yaml.safe_dump({"size": 3, "extra": False}))
    (chart / "crds" / "widgets.yaml").write_text(yaml.safe_dump(widgets_crd()))
    (chart / "templates" / "all.yaml").write_text(TEMPLATE)
    return chart


class Helm:
    """``helm("list")``: what it printed; fails where helm does. ``seen(path)``: an object in namespace default."""

    def __init__(self, workspace: Workspace, home: Path, http: httpx.Client) -> None:
        self._workspace, self._home, self._http = workspace, home, http

    def run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run it to its end, whatever that is."""
        assert HELM is not None
        directories = {f"HELM_{name}_HOME": str(self._home / name) for name in ("CACHE", "CONFIG", "DATA")}
        return subprocess.run(
            [HELM, "--kubeconfig", self._workspace.kubeconfig, *map(str, arguments)],
            env=environment({**directories, "HOME": str(self._home)}),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def __call__(self, *arguments: object) -> str:
        ran = self.run(*arguments)
        assert ran.returncode == 0, f"helm {' '.join(map(str, arguments))}: {ran.stdout}\n{ran.stderr}"
        return ran.stdout

    def seen(self, path: str) -> Any:
        """The object, or ``None``."""
        prefix = "/api/v1" if path.count("/") == 1 else "/apis"
        *group, resource, name = path.split("/")
        where = "/".join([prefix, *group, "namespaces/default", resource, name])
        response = self._http.get(f"/clusters/{self._workspace.path}{where}")
        return None if response.status_code == 404 else response.raise_for_status().json()


@pytest.mark.skipif(
    HELM is None, reason="no helm on this machine: install it as https://helm.sh/docs/intro/install says"
)
def test_a_chart_is_installed_upgraded_rolled_back_and_uninstalled(
    server: Server, workspace: Workspace, chart: Path, tmp_path: Path
):
    widget = f"{GROUP_NAME}/v1/widgets/{{}}".format
    with server.client() as http:
        helm = Helm(workspace, tmp_path / "helm", http)
        helm("install", "shop", chart, "--wait", "--timeout=30s")
        assert helm.seen(widget("shop"))["spec"] == {"size": 3, "parts": [{"name": "wheel", "count": 4}]}
        assert helm.seen("secrets/sh.helm.release.v1.shop.v1")["type"] == "helm.sh/release.v1"
        assert helm.seen("configmaps/hook") is not None

        helm("upgrade", "shop", chart, "--set=size=5,extra=true", "--wait", "--timeout=30s")
        assert helm.seen(widget("shop"))["spec"]["size"] == 5
        assert helm.seen(widget("extra"))["spec"] == {"size": 1}
        assert helm.seen("configmaps/shop")["data"] == {"size": "5", "extra": "yes"}

        helm("rollback", "shop", 1, "--wait", "--timeout=30s")
        assert helm.seen(widget("shop"))["spec"]["size"] == 3
        assert helm.seen(widget("extra")) is None
        assert helm.seen("configmaps/shop")["data"] == {"size": "3"}

        refused = helm.run("upgrade", "shop", chart, "--set=size=many", "--timeout=30s")
        assert refused.returncode != 0
        assert "spec.size in body must be of type integer" in refused.stderr
        history = json.loads(helm("history", "shop", "--output=json"))
        assert [release["status"] for release in history] == ["superseded", "superseded", "deployed", "failed"]

        helm("uninstall", "shop", "--wait", "--timeout=30s")
        gone = [widget("shop"), "configmaps/shop", "secrets/shop", "secrets/sh.helm.release.v1.shop.v1"]
        assert [helm.seen(path) for path in gone] == [None] * len(gone)
        assert json.loads(helm("list", "--output=json")) == []
        crds = f"/clusters/{workspace.path}/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        assert http.get(f"{crds}/{WIDGETS}").is_success, "helm keeps CRDs"
