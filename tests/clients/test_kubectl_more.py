"""kubectl's less common commands in a workspace, by an old and a new kubectl."""

import base64
import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from client_world import WIDGETS, widget, widgets_crd
from real_kubectl import RELEASES, Kubectl, kubectl_binary
from real_server import Server, eventually


class Place(NamedTuple):
    """A workspace of its own, and the kubectl for it."""

    kubectl: Kubectl
    path: str

    def __call__(self, *arguments: object, **how: Any) -> str:
        return self.kubectl(self.path, *arguments, **how)

    def refused(self, *arguments: object, **how: Any) -> str:
        """What it says where it does not succeed."""
        return self.kubectl.refused(self.path, *arguments, **how)

    def names(self, *arguments: object) -> list[str]:
        """The names that it lists."""
        return self.kubectl.names(self.path, *arguments)

    def json(self, *arguments: object) -> Any:
        """What it gets."""
        return self.kubectl.json(self.path, *arguments)

    def apply(self, *manifests: Any, flags: tuple[object, ...] = ()) -> str:
        """Apply these objects."""
        return self("apply", "-f", "-", *flags, stdin=documents(*manifests))


@pytest.fixture(scope="module", params=RELEASES)
def place(request: pytest.FixtureRequest, server: Server, tmp_path_factory: pytest.TempPathFactory) -> Place:
    kubectl = Kubectl(kubectl_binary(request.param), server, tmp_path_factory.mktemp("kubectl"))
    name = f"kubectl-{str(request.param).replace('.', '-').lower()}"
    kubectl.workspaces(name)
    return Place(kubectl, f"root:{name}")


@pytest.fixture(scope="module")
def widgets(place: Place) -> Place:
    """The workspace, with a CRD."""
    place("apply", "-f", "-", stdin=documents(widgets_crd()))
    place("wait", "--for=condition=Established", f"crd/{WIDGETS}", "--timeout=10s")
    return place


def documents(*manifests: Any) -> str:
    return "\n".join(map(json.dumps, manifests))


def config_map(name: str, owner: dict[str, Any] | None = None, **labels: str) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "labels": labels}
    if owner is not None:
        reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": owner["metadata"]["name"]}
        reference |= {"uid": owner["metadata"]["uid"], "blockOwnerDeletion": True}
        metadata["ownerReferences"] = [reference]
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "1"}}


def test_an_apply_set_prunes_its_members(place: Place):
    flags = ("--prune", "--applyset=configmaps/set", "-n", "default")
    how = {"env": {"KUBECTL_APPLYSET": "true"}}
    both = documents(config_map("member-1"), config_map("member-2"))
    place("apply", "-f", "-", *flags, stdin=both, **how)
    said = place("apply", "-f", "-", *flags, stdin=documents(config_map("member-1")), **how)
    assert "configmap/member-2 pruned" in said
    parent = place.json("configmap", "set")["metadata"]
    assert parent["labels"]["applyset.kubernetes.io/id"].startswith("applyset-")
    assert place.json("configmap", "member-1")["metadata"]["labels"]["applyset.kubernetes.io/part-of"]


def test_a_kustomization_is_applied_diffed_and_deleted(place: Place, tmp_path: Path):
    (tmp_path / "widget.yaml").write_text(yaml.safe_dump(config_map("base")))
    kustomization = {
        "resources": ["widget.yaml"],
        "namePrefix": "kust-",
        "commonAnnotations": {"by": "kustomize"},
        "configMapGenerator": [{"name": "made", "literals": ["a=b"]}],
        "secretGenerator": [{"name": "hidden", "literals": ["c=d"]}],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    place("apply", "-k", tmp_path)
    found = place.names("configmaps,secrets")
    assert "kust-base" in found
    assert [name for name in found if name.startswith(("kust-made-", "kust-hidden-"))]
    assert place.json("configmap", "kust-base")["metadata"]["annotations"]["by"] == "kustomize"
    assert place("diff", "-k", tmp_path) == ""
    place("delete", "-k", tmp_path)
    assert [name for name in place.names("configmaps,secrets") if name.startswith("kust-")] == []


@pytest.mark.parametrize("cascade", ["background", "foreground", "orphan"])
def test_delete_treats_dependents_as_its_cascade_says(place: Place, cascade: str):
    place.apply(config_map(f"owner-{cascade}"))
    owner = place.json("configmap", f"owner-{cascade}")
    place.apply(config_map(f"owned-{cascade}", owner))
    place("delete", "configmap", f"owner-{cascade}", f"--cascade={cascade}", "--timeout=20s")
    assert f"owner-{cascade}" not in place.names("configmaps")
    if cascade == "orphan":
        left = place.json("configmap", "owned-orphan")
        assert "ownerReferences" not in left["metadata"]
    elif cascade == "foreground":
        assert "owned-foreground" not in place.names("configmaps")
    else:
        place("wait", "--for=delete", "configmap/owned-background", "--timeout=20s")


GENERATORS = [
    ("configmap", "made", "--from-literal=a=b"),
    ("secret", "generic", "made-generic", "--from-literal=a=b"),
    ("secret", "tls", "made-tls", "--cert={home}/tls.crt", "--key={home}/tls.key"),
    ("secret", "docker-registry", "made-docker", "--docker-username=u", "--docker-password=p", "--docker-server=s"),
    ("namespace", "made-namespace"),
    ("serviceaccount", "made-account"),
    ("role", "made-role", "--verb=get,list", "--resource=configmaps", "--resource-name=x"),
    ("rolebinding", "made-binding", "--role=made-role", "--user=u", "--serviceaccount=default:made-account"),
    ("clusterrole", "made-cluster-role", "--verb=get", "--resource=configmaps,roles.rbac.authorization.k8s.io"),
    ("clusterrole", "made-urls", "--verb=get", "--non-resource-url=/metrics/*"),
    ("clusterrole", "made-aggregate", "--aggregation-rule=a=b"),
    ("clusterrolebinding", "made-cluster-binding", "--clusterrole=made-cluster-role", "--group=g"),
    ("quota", "made-quota", "--hard=count/configmaps=500,secrets=100"),
]


def test_create_makes_whatever_it_has_a_generator_for(place: Place, server: Server, tmp_path: Path):
    pem = server.user_pem("kcp-admin").read_text()
    certificate, _, key = pem.partition("-----END CERTIFICATE-----\n")
    (tmp_path / "tls.crt").write_text(f"{certificate}-----END CERTIFICATE-----\n")
    (tmp_path / "tls.key").write_text(key.strip() + "\n")
    for generator in GENERATORS:
        arguments = [argument.format(home=tmp_path) for argument in generator]
        assert place("create", *arguments, "--dry-run=server").strip().endswith("created (server dry run)")
        assert place("create", *arguments).strip().endswith(" created")
        assert "already exists" in place.refused("create", *arguments)
    docker = place.json("secret", "made-docker")
    assert docker["type"] == "kubernetes.io/dockerconfigjson"
    config = json.loads(base64.b64decode(docker["data"][".dockerconfigjson"]))
    assert config["auths"]["s"]["username"] == "u"
    assert place.json("secret", "made-tls")["type"] == "kubernetes.io/tls"
    assert place.json("role", "made-role")["rules"][0]["resourceNames"] == ["x"]
    assert len(place.json("rolebinding", "made-binding")["subjects"]) == 2
    eventually(lambda: place.json("quota", "made-quota")["status"]["used"].get("secrets"))
    assert place("create", "token", "made-account").count(".") == 2


def test_explain_recursive_shows_every_field(widgets: Place):
    text = widgets("explain", "widgets", "--recursive")
    for field in ("apiVersion", "ownerReferences", "spec", "parts", "replicas", "status", "phase"):
        assert f"{field}\t" in text, field
    assert "FIELD" in widgets("explain", "widget.spec.parts.count")
    assert "finalizers" in widgets("explain", "namespace", "--recursive")


def test_get_watch_only_shows_changes_alone(place: Place):
    place("create", "configmap", "there-before")
    with place.kubectl.watch(
        place.path, "configmaps", "--watch-only", "--no-headers", "--output-watch-events"
    ) as lines:
        # Only what comes after the watch has begun is shown, so it is written until it is.
        numbers = iter(range(100))
        seen: list[str] = []

        def shown() -> bool:
            place("create", "configmap", f"watched-{next(numbers)}")
            while not lines._queue.empty():
                seen.append(lines.next().text or "")
            return any("watched-" in line for line in seen)

        eventually(shown, 20)
    assert all(line.split()[:1] == ["ADDED"] for line in seen)
    assert not [line for line in seen if "there-before" in line]


def test_wait_for_delete_returns_when_the_last_finalizer_is_gone(place: Place):
    place.apply({**config_map("held"), "metadata": {"name": "held", "finalizers": ["example.com/hold"]}})
    place("delete", "configmap", "held", "--wait=false")
    assert "timed out" in place.refused("wait", "--for=delete", "configmap/held", "--timeout=1s")
    place("patch", "configmap", "held", "--type=json", "-p", '[{"op":"remove","path":"/metadata/finalizers"}]')
    place("wait", "--for=delete", "configmap/held", "--timeout=10s")
    assert "held" not in place.names("configmaps")


def test_patch_and_get_of_a_subresource_touch_only_that(widgets: Place):
    widgets.apply(widget("with-status", size=2))
    patch = '{"spec":{"size":9},"status":{"phase":"Done"}}'
    widgets("patch", "widget", "with-status", "--subresource=status", "--type=merge", "-p", patch)
    found = widgets.json("widget", "with-status", "--subresource=status")
    assert (found["spec"], found["status"]) == ({"size": 2}, {"phase": "Done"})
    widgets("patch", "widget", "with-status", "--type=merge", "-p", '{"spec":{"size":3},"status":{"phase":"No"}}')
    found = widgets.json("widget", "with-status")
    assert (found["spec"], found["status"]) == ({"size": 3}, {"phase": "Done"})


def test_scale_sets_the_replicas_of_a_custom_object(widgets: Place):
    widgets.apply(widget("scaled", replicas=1))
    assert "scaled" in widgets("scale", "widget", "scaled", "--replicas=4")
    assert widgets.json("widget", "scaled")["spec"]["replicas"] == 4
    assert "Expected replicas" in widgets.refused("scale", "widget", "scaled", "--replicas=2", "--current-replicas=1")
    widgets("scale", "widget", "scaled", "--replicas=0", "--current-replicas=4")
    scale = widgets.json("widget", "scaled", "--subresource=scale")
    assert (scale["kind"], scale["spec"].get("replicas", 0)) == ("Scale", 0)


def test_auth_reconcile_brings_roles_to_what_a_file_says(place: Place):
    def role(*verbs: str) -> dict[str, Any]:
        return {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": "reconciled"},
            "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": list(verbs)}],
        }

    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "reconciled"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reconciled"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "reader"}],
    }
    place("create", "clusterrolebinding", "reader-enters", "--clusterrole=system:kcp:workspace:access", "--user=reader")
    place("auth", "reconcile", "-f", "-", stdin=documents(role("get", "delete"), binding))
    place("auth", "reconcile", "-f", "-", "--remove-extra-permissions", stdin=documents(role("get", "list"), binding))
    rules = place.json("clusterrole", "reconciled")["rules"]
    assert {verb for rule in rules for verb in rule["verbs"]} == {"get", "list"}
    assert "yes" in place("auth", "can-i", "list", "configmaps", "--as=reader")
    assert "no" in place.kubectl.run(place.path, "auth", "can-i", "delete", "configmaps", "--as=reader").out


@pytest.mark.parametrize("how", [(), ("--server-side", "--force-conflicts")], ids=["client side", "server side"])
def test_diff_shows_what_an_apply_would_change(place: Place, how: tuple[str, ...]):
    name = f"diffed-{len(how)}"
    place.apply(config_map(name), flags=how)
    assert place("diff", "-f", "-", *how, stdin=documents(config_map(name))) == ""
    changed = {**config_map(name), "data": {"a": "2"}}
    ran = place.kubectl.run(place.path, "diff", "-f", "-", *how, stdin=documents(changed))
    assert ran.code == 1
    assert '-  a: "1"' in ran.out
    assert '+  a: "2"' in ran.out
    assert place.json("configmap", name)["data"] == {"a": "1"}


def test_replace_force_delete_and_recreate(place: Place):
    place.apply(config_map("replaced"))
    before = place.json("configmap", "replaced")["metadata"]["uid"]
    place("replace", "--force", "-f", "-", stdin=documents(config_map("replaced", new="yes")))
    after = place.json("configmap", "replaced")["metadata"]
    assert after["uid"] != before
    assert after["labels"] == {"new": "yes"}


def test_set_subject_and_label_all_change_many(place: Place):
    place("create", "rolebinding", "subjects", "--clusterrole=view", "--user=a")
    place("set", "subject", "rolebinding", "subjects", "--user=b")
    assert [one["name"] for one in place.json("rolebinding", "subjects")["subjects"]] == ["a", "b"]
    place("label", "rolebindings", "--all", "swept=yes")
    assert "subjects" in place.names("rolebindings", "-l", "swept=yes")
    assert "not labeled" in place("label", "rolebinding", "subjects", "swept=yes", "--overwrite")
    place("annotate", "rolebinding", "subjects", "note=1")
    assert "already has a value" in place.refused("annotate", "rolebinding", "subjects", "note=2")
