"""What each client meets: a workspace with a kubeconfig of its own, a CRD, and a projected resource."""

from pathlib import Path
from typing import Any, NamedTuple

import yaml
from cloud_co import GROUP, bind_catalogue, share_catalogue
from real_kubectl import Kubectl
from real_server import Server, eventually

GROUP_NAME = "clients.example.com"
WIDGETS = f"widgets.{GROUP_NAME}"
PROVIDER, CONSUMER = "root:provider", "root:consumer"


class Workspace(NamedTuple):
    """Where a workspace is: its path, its URL, and a kubeconfig whose only cluster it is."""

    path: str
    url: str
    kubeconfig: Path


class Shared(NamedTuple):
    """A projected resource: where its objects are written, and the workspace in which they are seen."""

    consumer: Workspace
    originals: str
    names: list[str]


def workspace_at(server: Server, path: str, home: Path, port: int | None = None) -> Workspace:
    """A workspace that exists, by way of the server's port or, if one is given, of a port that leads there."""
    url = f"https://127.0.0.1:{port or server.port}/clusters/{path}"
    config = yaml.safe_load(server.kubeconfig.read_text())
    authority = config["clusters"][0]["cluster"]["certificate-authority-data"]
    user = next(found for found in config["users"] if found["name"] == "kcp-admin")
    context = {"cluster": "here", "user": user["name"], "namespace": "default"}
    own = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "here", "cluster": {"server": url, "certificate-authority-data": authority}}],
        "users": [user],
        "contexts": [{"name": "here", "context": context}],
        "current-context": "here",
    }
    kubeconfig = home / f"{path.replace(':', '-')}-{port or server.port}.kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(own))
    return Workspace(path, url, kubeconfig)


def make_workspace(server: Server, name: str, home: Path) -> Workspace:
    """A new workspace below root, ready."""
    path = "/clusters/root/apis/tenancy.kcp.io/v1alpha1/workspaces"
    body = {"metadata": {"name": name}, "spec": {"type": {"name": "universal", "path": "root"}}}
    with server.client() as http:
        assert http.post(path, json=body).is_success
        eventually(lambda: http.get(f"{path}/{name}").json().get("status", {}).get("phase") == "Ready", 20)
    return workspace_at(server, f"root:{name}", home)


def share_flavors(server: Server, kubectl: Kubectl, home: Path) -> Shared:
    """The catalogue of the tutorial, from a provider's workspace to a consumer's."""
    for path in (PROVIDER, CONSUMER):
        make_workspace(server, path.removeprefix("root:"), home)
    share_catalogue(kubectl, PROVIDER)
    bind_catalogue(kubectl, CONSUMER, PROVIDER)
    originals = f"/clusters/{PROVIDER}{GROUP}/cpuflavors"
    return Shared(workspace_at(server, CONSUMER, home), originals, ["cpu-large", "cpu-medium", "cpu-small"])


def widgets_crd(plural: str = "widgets") -> dict[str, Any]:
    """A CRD with a namespaced kind, a status and a scale."""
    singular = plural.removesuffix("s")
    number: dict[str, Any] = {"type": "integer", "minimum": 0}
    spec = {
        "type": "object",
        "properties": {
            "size": {**number, "default": 1},
            "replicas": number,
            "color": {"type": "string", "enum": ["red", "green", "blue"]},
            "parts": {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "items": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {"name": {"type": "string"}, "count": number},
                },
            },
        },
    }
    status = {"type": "object", "properties": {"replicas": number, "phase": {"type": "string"}}}
    preserved = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    status["properties"]["kopf"] = preserved
    schema = {"type": "object", "properties": {"spec": spec, "status": status}}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {
            "status": {},
            "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"},
        },
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP_NAME}"},
        "spec": {
            "group": GROUP_NAME,
            "names": {"plural": plural, "singular": singular, "kind": singular.capitalize()},
            "scope": "Namespaced",
            "versions": [version],
        },
    }


def widget(name: str, **spec: Any) -> dict[str, Any]:
    """An object of that CRD."""
    return {"apiVersion": f"{GROUP_NAME}/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec}
