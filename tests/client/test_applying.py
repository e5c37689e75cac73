from pathlib import Path

import pytest

from kcpcache.client.applying import Resources, UnknownKindError, apply_all
from kcpcache.client.connection import ApiError
from kcpcache.client.manifests import Manifest

CORE = {
    "resources": [
        {"name": "configmaps", "kind": "ConfigMap", "namespaced": True},
        {"name": "namespaces", "kind": "Namespace", "namespaced": False},
        {"name": "namespaces/status", "kind": "Namespace", "namespaced": False},
    ]
}
CRDS = {"resources": [{"name": "customresourcedefinitions", "kind": "CustomResourceDefinition", "namespaced": False}]}


def manifest(kind: str, name: str, api_version: str = "v1", **metadata: str) -> Manifest:
    obj = {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, **metadata}}
    return Manifest(obj, Path("x.yaml"), 0)


class Workspace:
    """Serves what ``discovery`` says; an object can be applied once all that it ``needs`` is there."""

    def __init__(self, needs: dict[str, str] | None = None) -> None:
        self.discovery = {"/api/v1": CORE, "/apis/apiextensions.k8s.io/v1": CRDS}
        self.needs, self.applied, self.asked = needs or {}, list[str](), list[str]()

    def get(self, path: str):
        path = path.removeprefix("/clusters/root:a")
        self.asked.append(path)
        if path in self.discovery:
            return self.discovery[path]
        if "customresourcedefinitions" in path:
            self.discovery["/apis/g.io/v1"] = {"resources": [{"name": "sheets", "kind": "Sheet", "namespaced": False}]}
            return {"status": {"conditions": [{"type": "Established", "status": "True"}]}}
        raise ApiError(404, "NotFound", "no such thing")

    def apply(self, path: str, obj: dict, *, field_manager: str, force: bool):
        name = obj["metadata"]["name"]
        if self.needs.get(name, name) not in [*self.applied, name]:
            raise ApiError(404, "NotFound", f"{name} needs {self.needs[name]}")
        self.applied.append(name)
        return obj


def applied(workspace: Workspace, *manifests: Manifest) -> list[str]:
    """What could not be applied, and why."""
    done: list[Manifest] = []
    failed = apply_all(workspace, "root:a", manifests, done.append, field_manager="me")
    assert [each.obj["metadata"]["name"] for each in done] == workspace.applied
    return [f"{each.obj['metadata']['name']}: {why}" for each, why in failed]


def test_what_failed_is_tried_again_as_long_as_others_succeed():
    workspace = Workspace({"a": "b", "b": "c", "x": "nothing"})
    assert applied(workspace, *(manifest("ConfigMap", name) for name in "axbc")) == ["x: x needs nothing"]
    assert workspace.applied == ["c", "b", "a"]


def test_a_definition_is_waited_for_and_then_its_objects_are_known():
    workspace = Workspace()
    crd = manifest("CustomResourceDefinition", "sheets.g.io", "apiextensions.k8s.io/v1")
    assert applied(workspace, manifest("Sheet", "s", "g.io/v1"), crd) == []
    assert workspace.applied == ["sheets.g.io", "s"]


def test_a_kind_that_is_not_served_is_told():
    assert applied(Workspace(), manifest("Sheet", "s", "g.io/v1")) == ["s: root:a serves no Sheet in g.io/v1"]


def test_whatever_a_manifest_names_becomes_a_path_that_can_be_asked_for():
    workspace = Workspace()
    assert applied(workspace, manifest("Sheet", "s", "é x/v?1")) == ["s: root:a serves no Sheet in é x/v?1"]
    assert workspace.asked == ["/apis/%C3%A9%20x/v%3F1"]


@pytest.mark.parametrize(
    ("given", "path"),
    [
        (manifest("ConfigMap", "a"), "/clusters/root:a/api/v1/namespaces/default/configmaps/a"),
        (manifest("ConfigMap", "a", namespace="n"), "/clusters/root:a/api/v1/namespaces/n/configmaps/a"),
        (manifest("Namespace", "system:x/y"), "/clusters/root:a/api/v1/namespaces/system:x%2Fy"),
    ],
)
def test_an_object_has_its_path(given: Manifest, path: str):
    assert Resources(Workspace(), "root:a").path(given.obj) == path


def test_discovery_is_asked_once_for_what_is_known():
    workspace = Workspace()
    resources = Resources(workspace, "root:a")
    for _ in range(3):
        resources.path(manifest("ConfigMap", "a").obj)
    assert workspace.asked == ["/api/v1"]
    with pytest.raises(UnknownKindError):
        Resources(workspace, "root:a").path(manifest("Sheet", "s", "g.io/v1").obj)
