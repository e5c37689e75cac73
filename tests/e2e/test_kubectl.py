"""kubectl's daily commands in a workspace: no kind of kcp's among them."""

import itertools
import json
import re
from pathlib import Path

import pytest
from real_kubectl import RELEASES, Kubectl, kubectl_binary
from real_server import Server, eventually

NUMBERS = itertools.count(1)
SETTINGS = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, labels: {app: web}}
data: {color: blue, size: small}
"""
WIDGETS = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget, listKind: WidgetList, shortNames: [wi], categories: [toys]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}
    additionalPrinterColumns:
    - {name: Replicas, type: integer, jsonPath: .spec.replicas}
    - {name: Color, type: string, jsonPath: .spec.color, priority: 1}
    schema:
      openAPIV3Schema:
        type: object
        description: Widget is something to turn.
        properties:
          spec:
            type: object
            required: [replicas]
            properties:
              replicas: {type: integer, minimum: 0, description: How many there should be.}
              color: {type: string, default: red, enum: [red, green]}
              parts:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [name]
                items:
                  type: object
                  required: [name]
                  properties: {name: {type: string}, weight: {type: integer}}
          status:
            type: object
            properties: {replicas: {type: integer}, phase: {type: string}}
"""
MANY = """
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: one, namespace: shop}, data: {a: b}}
- {apiVersion: v1, kind: Secret, metadata: {name: two, namespace: shop}, stringData: {a: b}}
- {apiVersion: v1, kind: ServiceAccount, metadata: {name: three, namespace: shop}}
- {apiVersion: v1, kind: ResourceQuota, metadata: {name: four, namespace: shop}, spec: {hard: {count/configmaps: 5}}}
- {apiVersion: v1, kind: LimitRange, metadata: {name: five, namespace: shop}, spec: {limits: []}}
- {apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {name: six, namespace: shop}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: seven, namespace: shop}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: eight, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: seven}
subjects: [{kind: ServiceAccount, name: three, namespace: shop}]
"""
EVENT = """
apiVersion: v1
kind: Event
metadata: {name: settings.1, namespace: default}
involvedObject: {apiVersion: v1, kind: ConfigMap, name: settings, namespace: default, uid: UID}
reason: Repainted
message: The color has changed.
type: Normal
count: 1
firstTimestamp: "2026-01-01T00:00:00Z"
lastTimestamp: "2026-01-01T00:00:00Z"
source: {component: painter}
"""


class Workspace:
    """kubectl in the one workspace that these tests share; each test has a namespace of its own where it counts."""

    def __init__(self, kubectl: Kubectl, path: str) -> None:
        self._kubectl, self.path = kubectl, path

    def __call__(self, *arguments: object, **how) -> str:
        return self._kubectl(self.path, *arguments, **how)

    def run(self, *arguments: object, **how):
        return self._kubectl.run(self.path, *arguments, **how)

    def refused(self, *arguments: object, **how) -> str:
        return self._kubectl.refused(self.path, *arguments, **how)

    def json(self, *arguments: object):
        return self._kubectl.json(self.path, *arguments)

    def names(self, *arguments: object) -> list[str]:
        return self._kubectl.names(self.path, *arguments)


@pytest.fixture(scope="module", params=RELEASES)
def kubectl(request: pytest.FixtureRequest, server: Server, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    return Kubectl(kubectl_binary(request.param), server, tmp_path_factory.mktemp("kubectl"))


@pytest.fixture(scope="module")
def k(kubectl: Kubectl) -> Workspace:
    name = f"daily-{next(NUMBERS)}"
    kubectl.workspaces(name)
    found = Workspace(kubectl, f"root:{name}")
    found("create", "-f", "-", stdin=WIDGETS)
    found("wait", "--for=condition=Established", "crd/widgets.example.com", "--timeout=10s")
    return found


@pytest.fixture
def namespace(k: Workspace) -> str:
    name = f"test-{next(NUMBERS)}"
    k("create", "namespace", name)
    return name


# -- create: kubectl sends several of these as protobuf


def test_create_makes_the_built_in_kinds_from_the_command_line(k: Workspace, namespace: str):
    n = f"--namespace={namespace}"
    k("create", "configmap", "plain", "--from-literal=a=1", "--from-literal=b=2", n)
    k("create", "secret", "generic", "hidden", "--from-literal=password=xyzzy", n)
    k("create", "secret", "docker-registry", "pull", "--docker-username=u", "--docker-password=p", n)
    k("create", "serviceaccount", "robot", n)
    k("create", "role", "reader", "--verb=get,list", "--resource=configmaps", n)
    k("create", "rolebinding", "robot-reads", "--role=reader", f"--serviceaccount={namespace}:robot", n)
    k("create", "clusterrole", "cluster-reader", "--verb=get", "--resource=secrets")
    k("create", "clusterrolebinding", "everyone-reads", "--clusterrole=cluster-reader", "--group=everyone")
    k("create", "quota", "little", "--hard=count/configmaps=7", n)
    assert k.json("configmap", "plain", n)["data"] == {"a": "1", "b": "2"}
    assert k.json("secret", "hidden", n)["data"] == {"password": "eHl6enk="}
    assert k.json("secret", "pull", n)["type"] == "kubernetes.io/dockerconfigjson"
    assert k.json("rolebinding", "robot-reads", n)["subjects"][0]["name"] == "robot"
    assert k.json("clusterrolebinding", "everyone-reads")["roleRef"]["name"] == "cluster-reader"
    assert k.json("quota", "little", n)["spec"]["hard"] == {"count/configmaps": "7"}
    assert 'configmaps "plain" already exists' in k.refused("create", "configmap", "plain", n)


def test_create_takes_many_kinds_from_one_file_and_delete_takes_them_away(k: Workspace):
    made = k("create", "-f", "-", stdin=MANY).splitlines()
    assert len(made) == 9
    kinds = "configmaps,secrets,serviceaccounts,resourcequotas,limitranges,leases,roles,rolebindings"
    assert set(k.names(kinds, "-n", "shop")) >= {"one", "two", "three", "four", "five", "six", "seven", "eight"}
    # The namespace comes first, and may have taken all others with it already.
    k("delete", "-f", "-", "--ignore-not-found", "--timeout=15s", stdin=MANY)
    assert k.names(kinds, "-n", "shop") == []
    assert "NotFound" in k.refused("get", "namespace", "shop")


def test_a_dry_run_on_the_server_answers_as_if_and_stores_nothing(k: Workspace, namespace: str):
    shown = k("create", "configmap", "ghost", "--dry-run=server", "-o", "yaml", "-n", namespace)
    assert "uid:" in shown
    assert "NotFound" in k.refused("get", "configmap", "ghost", "-n", namespace)


# -- apply, diff, patch, edit, replace


def test_apply_creates_then_changes_then_leaves_unchanged(k: Workspace, namespace: str):
    n = f"--namespace={namespace}"
    assert k("apply", "-f", "-", n, stdin=SETTINGS) == "configmap/settings created\n"
    changed = SETTINGS.replace("color: blue, ", "shape: round, ")
    assert k("apply", "-f", "-", n, stdin=changed) == "configmap/settings configured\n"
    assert k("apply", "-f", "-", n, stdin=changed) == "configmap/settings unchanged\n"
    assert k.json("configmap", "settings", n)["data"] == {"shape": "round", "size": "small"}


def test_server_side_apply_shares_an_object_and_reports_conflicts(k: Workspace, namespace: str):
    n = f"--namespace={namespace}"
    apply = ("apply", "--server-side", "-f", "-", n)
    k(*apply, "--field-manager=painter", stdin=SETTINGS)
    other = SETTINGS.replace("blue", "green").replace(", size: small", "")
    conflict = k.refused(*apply, "--field-manager=decorator", stdin=other)
    assert 'conflict with "painter": .data.color' in conflict
    assert k.json("configmap", "settings", n)["data"]["color"] == "blue"
    k(*apply, "--field-manager=decorator", "--force-conflicts", stdin=other)
    assert k.json("configmap", "settings", n)["data"] == {"color": "green", "size": "small"}
    k(*apply, "--field-manager=painter", stdin=SETTINGS.replace("color: blue, size: small", ""))
    assert k.json("configmap", "settings", n)["data"] == {"color": "green"}
    shown = k("get", "configmap", "settings", n, "--show-managed-fields", "-o", "json")
    managers = {entry["manager"]: entry["operation"] for entry in json.loads(shown)["metadata"]["managedFields"]}
    assert managers == {"painter": "Apply", "decorator": "Apply"}


def test_apply_prunes_what_is_no_longer_in_the_manifest(k: Workspace, namespace: str):
    n = f"--namespace={namespace}"
    both = SETTINGS + "---" + SETTINGS.replace("settings", "more")
    k("apply", "-f", "-", n, stdin=both)
    pruned = ("--prune", "-l", "app=web", "--prune-allowlist=core/v1/ConfigMap")
    assert "configmap/more pruned" in k("apply", "-f", "-", n, *pruned, stdin=SETTINGS)
    assert k.names("configmaps", "-l", "app=web", n) == ["settings"]


def test_diff_shows_what_apply_would_change_and_changes_nothing(k: Workspace, namespace: str):
    n = f"--namespace={namespace}"
    k("apply", "-f", "-", n, stdin=SETTINGS)
    assert k("diff", "-f", "-", n, stdin=SETTINGS) == ""
    for flags in ((), ("--server-side",)):
        ran = k.run("diff", "-f", "-", n, *flags, stdin=SETTINGS.replace("blue", "green"))
        assert ran.code == 1, ran.err
        assert "-  color: blue" in ran.out
        assert "+  color: green" in ran.out
    assert k.json("configmap", "settings", n)["data"]["color"] == "blue"


@pytest.mark.parametrize(
    ("kind", "patch"),
    [
        ("json", '[{"op": "replace", "path": "/data/color", "value": "red"}, {"op": "remove", "path": "/data/size"}]'),
        ("merge", '{"data": {"color": "red", "size": null}}'),
        ("strategic", '{"data": {"color": "red", "size": null}}'),
    ],
)
def test_patch_of_each_kind_changes_a_built_in_object(kind: str, patch: str, k: Workspace, namespace: str):
    n = f"--namespace={namespace}"
    k("apply", "-f", "-", n, stdin=SETTINGS)
    assert k("patch", "configmap", "settings", f"--type={kind}", "-p", patch, n) == "configmap/settings patched\n"
    assert k.json("configmap", "settings", n)["data"] == {"color": "red"}
    assert (
        k("patch", "configmap", "settings", "--type=merge", "-p", "{}", n) == "configmap/settings patched (no change)\n"
    )


def test_a_strategic_merge_patch_merges_lists_by_their_key(k: Workspace, namespace: str):
    n = f"--namespace={namespace}"
    k("create", "serviceaccount", "robot", n)
    for name in ("first", "second"):
        k("patch", "serviceaccount", "robot", n, "-p", f'{{"secrets": [{{"name": "{name}"}}]}}')
    found = k.json("serviceaccount", "robot", n)["secrets"]
    assert sorted(secret["name"] for secret in found) == ["first", "second"]


def test_label_and_annotate_add_change_and_remove(k: Workspace, namespace: str):
    n = f"--namespace={namespace}"
    k("apply", "-f", "-", n, stdin=SETTINGS)
    k("label", "configmap", "settings", "tier=back", n)
    assert "--overwrite is false" in k.refused("label", "configmap", "settings", "tier=front", n)
    k("label", "configmap", "settings", "tier=front", "--overwrite", n)
    assert k.names("configmaps", "-l", "tier=front,app in (web, db),!gone", n) == ["settings"]
    k("label", "configmap", "settings", "tier-", n)
    assert k.names("configmaps", "-l", "tier", n) == []
    k("annotate", "configmap", "settings", "note=remember", n)
    assert k.json("configmap", "settings", n)["metadata"]["annotations"]["note"] == "remember"
    assert "a valid label" in k.refused("label", "configmap", "settings", "tier=not valid!", n)


def test_edit_and_replace_write_back_what_was_read(k: Workspace, namespace: str, tmp_path: Path):
    n = f"--namespace={namespace}"
    k("apply", "-f", "-", n, stdin=SETTINGS)
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nexec sed -i "s/color: blue/color: pink/" "$@"\n')
    editor.chmod(0o755)
    k("edit", "configmap", "settings", n, env={"KUBE_EDITOR": str(editor), "TMPDIR": str(tmp_path)})
    read = k.json("configmap", "settings", n)
    assert read["data"]["color"] == "pink"
    k("replace", "-f", "-", n, stdin=json.dumps({**read, "data": {"color": "grey"}}))
    assert k.json("configmap", "settings", n)["data"] == {"color": "grey"}
    assert "Conflict" in k.refused("replace", "-f", "-", n, stdin=json.dumps(read))
    k("replace", "--force", "-f", "-", n, stdin=SETTINGS)
    assert k.json("configmap", "settings", n)["metadata"]["uid"] != read["metadata"]["uid"]


# -- get, wait, watch


def test_get_prints_tables_wide_and_chunk_by_chunk(k: Workspace, namespace: str):
    n = f"--namespace={namespace}"
    maps = [f'{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"map-{i:02}"}}}}' for i in range(12)]
    k("create", "-f", "-", n, stdin="\n".join(maps))
    lines = k("get", "configmaps", "--chunk-size=5", n).splitlines()
    assert lines[0].split() == ["NAME", "DATA", "AGE"]
    assert [line.split()[0] for line in lines[1:]] == [f"map-{i:02}" for i in range(12)]
    assert k.names("configmaps", "--sort-by=.metadata.name", "--field-selector=metadata.name=map-03", n) == ["map-03"]
    everywhere = k("get", "configmaps", "-A", "--chunk-size=3").splitlines()
    assert everywhere[0].split()[0] == "NAMESPACE"
    assert len([line for line in everywhere if line.startswith(namespace)]) == 12
    columns = "custom-columns=N:.metadata.name,NS:.metadata.namespace"
    assert k("get", "configmap", "map-00", "-o", columns, n).split() == ["N", "NS", "map-00", namespace]
    assert k("get", "configmap", "map-00", "-o", "name", n) == "configmap/map-00\n"
    assert k("get", "configmap", "none", "--ignore-not-found", n) == ""
    assert "Labels:" in k("describe", "configmap", "map-00", n)


def test_custom_resources_have_their_columns_defaults_validation_status_and_scale(k: Workspace, namespace: str):
    n = f"--namespace={namespace}"
    widget = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"replicas": 2}}
    k("create", "-f", "-", n, stdin=json.dumps(widget))
    assert k("get", "wi", n).split()[:2] == ["NAME", "REPLICAS"]
    wide = [line.split() for line in k("get", "toys", "-o", "wide", n).splitlines()]
    assert wide == [["NAME", "REPLICAS", "COLOR"], ["w", "2", "red"]]
    invalid = {**widget, "metadata": {"name": "bad"}, "spec": {"replicas": -1, "color": "blue"}}
    message = k.refused("create", "-f", "-", n, stdin=json.dumps(invalid))
    assert "spec.replicas" in message
    assert "spec.color" in message
    unknown = {**widget, "metadata": {"name": "odd"}, "spec": {"replicas": 1, "colour": "red"}}
    assert 'unknown field "spec.colour"' in k.refused("create", "-f", "-", n, stdin=json.dumps(unknown))
    k("scale", "widget/w", "--replicas=5", n)
    assert k.json("widget", "w", n)["spec"]["replicas"] == 5
    k("patch", "widget", "w", n, "--subresource=status", "--type=merge", "-p", '{"status":{"phase":"Done"}}')
    k("wait", "--for=jsonpath={.status.phase}=Done", "widget/w", "--timeout=5s", n)
    assert k.json("widget", "w", n)["metadata"]["generation"] == 2


def test_wait_returns_when_something_is_made_changed_or_gone(k: Workspace, kubectl: Kubectl, namespace: str):
    n = f"--namespace={namespace}"
    k("apply", "-f", "-", n, stdin=SETTINGS)
    with kubectl.watch(k.path, "configmap", "settings", "--output-watch-events", "--no-headers", n) as lines:
        assert lines.next().text.split()[:2] == ["ADDED", "settings"]
        k("patch", "configmap", "settings", "--type=merge", "-p", '{"data":{"ready":"yes"}}', n)
        assert lines.next().text.split()[:3] == ["MODIFIED", "settings", "3"]
        k("wait", "--for=jsonpath={.data.ready}=yes", "configmap/settings", "--timeout=5s", n)
        assert "timed out" in k.refused("wait", "--for=delete", "configmap/settings", "--timeout=1s", n)
        k("delete", "configmap", "settings", "--wait=false", n)
        assert lines.next().text.split()[:2] == ["DELETED", "settings"]
    k("wait", "--for=delete", "configmap/settings", "--timeout=5s", n)


# -- delete


def test_a_finalizer_holds_a_deleted_object_until_it_is_taken_off(k: Workspace, namespace: str):
    n = f"--namespace={namespace}"
    held = SETTINGS.replace("labels:", "finalizers: [example.com/hold], labels:")
    k("create", "-f", "-", n, stdin=held)
    k("delete", "configmap", "settings", "--wait=false", n)
    assert "deletionTimestamp" in k.json("configmap", "settings", n)["metadata"]
    remove = '[{"op": "remove", "path": "/metadata/finalizers"}]'
    k("patch", "configmap", "settings", "--type=json", "-p", remove, n)
    assert "NotFound" in k.refused("get", "configmap", "settings", n)


def test_dependents_go_with_their_owner_unless_they_are_orphaned(k: Workspace, namespace: str):
    n = f"--namespace={namespace}"
    for cascade, left in (("background", []), ("foreground", []), ("orphan", ["child"])):
        k("create", "configmap", "owner", n)
        uid = k.json("configmap", "owner", n)["metadata"]["uid"]
        owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid, "blockOwnerDeletion": True}
        child = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "child", "ownerReferences": [owner]}}
        k("create", "-f", "-", n, stdin=json.dumps(child))
        k("delete", "configmap", "owner", f"--cascade={cascade}", "--timeout=10s", n)
        eventually(lambda left=left: k.names("secrets", n) == left)
    assert "ownerReferences" not in k.json("secret", "child", n)["metadata"]


def test_delete_takes_by_label_all_at_once_and_with_the_namespace(k: Workspace, namespace: str):
    n = f"--namespace={namespace}"
    for name in ("a", "b", "c"):
        k("create", "configmap", name, n)
    k("label", "configmap", "a", "b", "gone=soon", n)
    k("delete", "configmaps", "-l", "gone=soon", n)
    assert k.names("configmaps", n) == ["c"]
    k("delete", "configmaps", "--all", n)
    assert k.names("configmaps", n) == []
    k("create", "configmap", "last", n)
    k("delete", "namespace", namespace, "--timeout=15s")
    assert "NotFound" in k.refused("get", "configmap", "last", n)


# -- what there is


def test_api_resources_versions_and_version_tell_what_is_served(k: Workspace):
    resources = {line.split()[0] for line in k("api-resources", "--no-headers").splitlines()}
    expected = {"namespaces", "configmaps", "secrets", "serviceaccounts", "events", "roles", "clusterrolebindings"}
    expected |= {"customresourcedefinitions", "leases", "widgets", "cachedresources", "apiexports", "workspaces"}
    assert expected <= resources
    assert not {"pods", "deployments"} & resources
    namespaced = k("api-resources", "--namespaced=true", "--verbs=list,create", "-o", "name").split()
    assert "widgets.example.com" in namespaced
    assert "namespaces" not in namespaced
    versions = set(k("api-versions").split())
    assert {"v1", "example.com/v1", "apis.kcp.io/v1alpha2", "rbac.authorization.k8s.io/v1"} <= versions
    assert json.loads(k("version", "--output=json"))["serverVersion"]["gitVersion"].startswith("v1.33")


def test_explain_describes_built_in_and_custom_kinds(k: Workspace):
    assert "How many there should be." in k("explain", "widget.spec.replicas")
    tree = k("explain", "widgets", "--recursive")
    assert re.search(r"parts\s+<\[\]Object>", tree)
    assert re.search(r"weight\s+<integer>", tree)
    assert "KIND:       ConfigMap" in k("explain", "configmap")
    assert "resourceVersion" in k("explain", "secret", "--recursive")
    assert "does not exist" in k.refused("explain", "widget.spec.nothing")


def test_events_are_made_listed_and_described(k: Workspace):
    k("apply", "-f", "-", stdin=SETTINGS)
    k("create", "-f", "-", stdin=EVENT.replace("UID", k.json("configmap", "settings")["metadata"]["uid"]))
    assert "The color has changed." in k("events", "--for=configmap/settings")
    table = k("get", "events", "--field-selector=involvedObject.name=settings")
    assert "Repainted" in table
    assert "configmap/settings" in table
    assert k.json("events.v1.events.k8s.io", "settings.1")["note"] == "The color has changed."
    assert "The color has changed." in k("describe", "configmap", "settings")


def test_every_namespace_has_a_service_account_that_tokens_can_be_made_of(k: Workspace, namespace: str):
    n = f"--namespace={namespace}"
    assert eventually(lambda: k.run("create", "token", "default", n).out.count(".") == 2)
    assert k("create", "token", "default").count(".") == 2
    k("delete", "serviceaccount", "default", n)
    assert eventually(lambda: k.run("get", "serviceaccount", "default", n).code == 0)


def test_auth_answers_who_one_is_and_what_one_may(k: Workspace, namespace: str):
    n = f"--namespace={namespace}"
    assert "kcp-admin" in k("auth", "whoami")
    assert k("auth", "can-i", "create", "configmaps", n) == "yes\n"
    assert "*.rbac.authorization.k8s.io" in k("auth", "can-i", "--list", n)  # all but what policies of exports limit
    k("create", "role", "reader", "--verb=get,list", "--resource=configmaps", n)
    k("create", "rolebinding", "eve-reads", "--role=reader", "--user=eve", n)
    k("create", "clusterrolebinding", "eve-enters", "--clusterrole=system:kcp:workspace:access", "--user=eve")
    may = ("auth", "can-i", "--as=eve", "--as-group=system:authenticated", n)
    assert eventually(lambda: k.run(*may, "list", "configmaps").out == "yes\n")
    assert k.run(*may, "delete", "configmaps").out == "no\n"
    assert k.run(*may, "list", "secrets").out == "no\n"
    assert "configmaps" in k("auth", "can-i", "--list", "--as=eve", "--as-group=system:authenticated", n)
    message = k.refused("get", "secrets", "--as=eve", "--as-group=system:authenticated", n)
    assert 'User "eve" cannot list resource "secrets"' in message


def test_auth_reconcile_adds_what_a_role_lacks(k: Workspace, namespace: str):
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "reader", "namespace": namespace},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}],
    }
    assert "reconciled" in k("auth", "reconcile", "-f", "-", stdin=json.dumps(role))
    more = {**role, "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]}
    assert "reconciled" in k("auth", "reconcile", "-f", "-", stdin=json.dumps(more))
    rules = k.json("role", "reader", "-n", namespace)["rules"]
    assert sorted(resource for rule in rules for resource in rule["resources"]) == ["configmaps", "secrets"]


def test_a_deleted_crd_takes_its_objects_along_and_can_be_made_again(k: Workspace, namespace: str):
    gadgets = WIDGETS.replace("widget", "gadget").replace("Widget", "Gadget").replace("[wi]", "[ga]")
    k("create", "-f", "-", stdin=gadgets)
    k("wait", "--for=condition=Established", "crd/gadgets.example.com", "--timeout=10s")
    gadget = {"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": {"name": "g"}, "spec": {"replicas": 1}}
    k("create", "-f", "-", "-n", namespace, stdin=json.dumps(gadget))
    k("delete", "crd", "gadgets.example.com", "--timeout=15s")
    assert "could not find the requested resource" in k.refused("get", "gadgets")
    k("create", "-f", "-", stdin=gadgets)
    k("wait", "--for=condition=Established", "crd/gadgets.example.com", "--timeout=10s")
    assert k.names("gadgets", "-A") == []
