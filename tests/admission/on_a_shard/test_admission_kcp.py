"""What may be written of kcp's other types, and in namespaces (behaviour §6, §8; kcp-compat), over HTTP."""

import orjson
import pytest
from shard_http import Http, rule
from shard_world import (
    BINDINGS,
    CONFIG_MAPS,
    EXPORTS,
    LOGICAL_CLUSTERS,
    NAMESPACES,
    WORKSPACE_TYPES,
    WORKSPACES,
    Shard,
    crd_spec,
    schema_spec,
)

from kcpcache.meta.objects import Object

APIS = "apis/apis.kcp.io/v1alpha2"
WORKSPACE_PATH = "apis/tenancy.kcp.io/v1alpha1/workspaces"
UNIVERSAL = {"name": "universal", "path": "root"}
OWNER = "experimental.tenancy.kcp.io/owner"
REQUIRED_GROUPS = "authorization.kcp.io/required-groups"


def binding(path: str, export: str = "cloud", **spec: object) -> Object:
    return {"metadata": {"name": "mine"}, "spec": {"reference": {"export": {"path": path, "name": export}}, **spec}}


@pytest.fixture
async def bobs(shard: Shard, http: Http) -> str:
    """A workspace in which bob may do everything."""
    found = await shard.workspace("bobs")
    await http.grant(found, "bob", [rule("*", "*", "*")])
    return found


# -- binding


async def test_binding_needs_the_verb_bind_and_a_missing_export_answers_the_same(
    shard: Shard, http: Http, bobs: str
) -> None:
    provider = await shard.provider()
    at = f"/clusters/{bobs}/{APIS}/apibindings"
    for path, export in (("root:provider", "cloud"), ("root:provider", "missing"), ("root:nowhere", "cloud")):
        code, message = await http.refused("POST", at, binding(path, export), user="bob")
        assert code == 403
        assert f"unable to create APIBinding: no permission to bind to export {path}:{export}" in message
    await http.grant(provider, "bob", [rule("apis.kcp.io", "apiexports", "bind", names=("cloud",))])
    assert (await http.request("POST", at, binding("root:provider"), user="bob")).status_code == 201
    assert (await http.refused("POST", at, binding("root:provider", "missing"), user="bob"))[0] == 403


async def test_a_slice_of_an_export_needs_the_verb_bind_on_an_export_that_is_there(
    shard: Shard, http: Http, bobs: str
) -> None:
    provider = await shard.provider()
    slices = f"/clusters/{bobs}/apis/apis.kcp.io/v1alpha1/apiexportendpointslices"

    def of(name: str) -> Object:
        return {"metadata": {"name": "mine"}, "spec": {"export": {"path": "root:provider", "name": name}}}

    for name in ("cloud", "missing"):
        code, message = await http.refused("POST", slices, of(name), user="bob")
        why = f"unable to create APIExportEndpointSlice: no permission to bind to export root:provider:{name}"
        assert (code, why in message) == (403, True)
    assert (await http.refused("POST", slices, of("missing")))[0] == 403
    await http.grant(provider, "bob", [rule("apis.kcp.io", "apiexports", "bind", names=("cloud",))])
    assert (await http.request("POST", slices, of("cloud"), user="bob")).status_code == 201


async def test_a_type_that_binds_needs_the_verb_bind_of_whoever_adds_an_export_to_it(
    shard: Shard, http: Http, bobs: str
) -> None:
    """Else its workspaces would be bound to what its author may not bind. As in kcp, the export need not exist yet."""
    provider = await shard.provider()
    types = f"/clusters/{bobs}/apis/tenancy.kcp.io/v1alpha1/workspacetypes"

    def binds(*exports: str) -> Object:
        return {"spec": {"defaultAPIBindings": [{"path": "root:provider", "export": name} for name in exports]}}

    made = {"metadata": {"name": "mine"}}
    code, message = await http.refused("POST", types, {**made, **binds("cloud")}, user="bob")
    assert code == 403
    assert "no permission to bind to export root:provider:cloud" in message
    await http.grant(provider, "bob", [rule("apis.kcp.io", "apiexports", "bind", names=("cloud", "future"))])
    assert (await http.request("POST", types, {**made, **binds("cloud", "future")}, user="bob")).status_code == 201
    assert (await http.refused("PATCH", f"{types}/mine", binds("cloud", "other"), user="bob"))[0] == 403
    assert (await http.request("PATCH", f"{types}/mine", binds("cloud", "other"))).status_code == 200
    change = {**binds("other"), "metadata": {"labels": {"a": "b"}}}
    assert (await http.request("PATCH", f"{types}/mine", change, user="bob")).status_code == 200


async def test_a_bindings_reference_cannot_be_changed(shard: Shard, http: Http, bobs: str) -> None:
    await shard.provider()
    at = f"/clusters/{bobs}/{APIS}/apibindings"
    assert (await http.request("POST", at, binding("root:provider"))).status_code == 201
    change = {"spec": {"reference": {"export": {"path": "root:provider", "name": "other"}}}}
    code, message = await http.refused("PATCH", f"{at}/mine", change)
    assert code == 422
    assert "APIExport reference must not be changed" in message


@pytest.mark.parametrize(("resource", "kind"), [("apibindings", BINDINGS), ("apiexports", EXPORTS)])
async def test_the_status_of_bindings_and_exports_is_for_masters(
    shard: Shard, http: Http, bobs: str, resource: str, kind: object
) -> None:
    await shard.create(bobs, EXPORTS, "own", spec={})
    await shard.create(bobs, BINDINGS, "own", spec={"reference": {"export": {"name": "own"}}})
    await shard.settled()
    at = f"/clusters/{bobs}/{APIS}/{resource}/own/status"
    change = {"status": {"conditions": []}}
    assert (await http.refused("PATCH", at, change, user="bob"))[0] == 403
    assert (await http.request("PATCH", at, change)).status_code == 200


async def test_a_claim_on_what_is_not_built_in_needs_an_identity(http: Http, bobs: str) -> None:
    at = f"/clusters/{bobs}/{APIS}/apiexports"

    def export(name: str, **claim: object) -> Object:
        wanted = {"verbs": ["get"], **claim}
        return {"metadata": {"name": name}, "spec": {"permissionClaims": [wanted]}}

    code, message = await http.refused("POST", at, export("a", group="cloud.example.com", resource="flavors"))
    assert code == 403
    assert "spec.permissionClaims[0].identityHash" in message
    assert (await http.request("POST", at, export("b", group="", resource="configmaps"))).status_code == 201
    found = export("c", group="cloud.example.com", resource="flavors", identityHash="a" * 64)
    assert (await http.request("POST", at, found)).status_code == 201


async def test_without_the_feature_gate_no_export_may_be_virtual(shard: Shard, bobs: str) -> None:
    gated = Http(shard, cached_apis=False)
    reference = {"apiGroup": "cache.kcp.io", "kind": "CachedResourceEndpointSlice", "name": "flavors"}
    entry = {
        "group": "cloud.example.com",
        "name": "flavors",
        "schema": "v1.flavors.cloud.example.com",
        "storage": {"virtual": {"reference": reference, "identityHash": "a" * 64}},
    }
    export = {"metadata": {"name": "cloud"}, "spec": {"resources": [entry]}}
    async with gated.client:
        code, message = await gated.refused("POST", f"/clusters/{bobs}/{APIS}/apiexports", export)
    assert code == 403
    assert "CachedAPIs" in message
    assert "spec.resources[0].storage.virtual" in message


async def test_annotations_of_the_older_version_hide_nothing(shard: Shard, http: Http, bobs: str) -> None:
    gated = Http(shard, cached_apis=False)
    reference = {"apiGroup": "cache.kcp.io", "kind": "CachedResourceEndpointSlice", "name": "flavors"}
    entry = {
        "group": "cloud.example.com",
        "name": "flavors",
        "schema": "v1.flavors.cloud.example.com",
        "storage": {"virtual": {"reference": reference, "identityHash": "a" * 64}},
    }
    at = f"/clusters/{bobs}/apis/apis.kcp.io/v1alpha1/apiexports"

    def export(kept: str, value: object, **spec: object) -> Object:
        annotations = {f"apis.v1alpha2.kcp.io/{kept}": orjson.dumps(value).decode()}
        return {"metadata": {"name": "cloud", "annotations": annotations}, "spec": spec}

    async with gated.client:
        code, message = await gated.refused("POST", at, export("resource-schemas", [entry]))
    assert (code, "spec.resources[0].storage.virtual" in message) == (403, True)
    claim = {"group": "cloud.example.com", "resource": "flavors"}
    kept = [{**claim, "verbs": ["get"], "identityHash": "a" * 64}]
    claimed = export("permission-claims", kept, permissionClaims=[{**claim, "all": True}])
    code, message = await http.refused("POST", at, claimed)
    assert (code, "spec.permissionClaims[0].identityHash" in message) == (403, True)


# -- what is kcp's own


@pytest.mark.parametrize("group", ["kcp.io", "cache.kcp.io", "new.kcp.io"])
async def test_types_in_kcps_groups_are_the_servers(http: Http, bobs: str, group: str) -> None:
    crd = {"metadata": {"name": f"flavors.{group}"}, "spec": {**crd_spec(), "group": group}}
    at = f"/clusters/{bobs}/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    code, message = await http.refused("POST", at, crd, user="bob")
    assert code == 403
    assert "reserved" in message
    schema = {"metadata": {"name": f"v1.flavors.{group}"}, "spec": {**schema_spec(), "group": group}}
    at = f"/clusters/{bobs}/apis/apis.kcp.io/v1alpha1/apiresourceschemas"
    assert (await http.refused("POST", at, schema, user="bob"))[0] == 403


async def test_a_group_that_only_ends_like_kcps_is_anybodys(http: Http, bobs: str) -> None:
    crd = {"metadata": {"name": "flavors.notkcp.io"}, "spec": {**crd_spec(), "group": "notkcp.io"}}
    at = f"/clusters/{bobs}/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    assert (await http.request("POST", at, crd, user="bob")).status_code == 201


async def test_internal_annotations_stay_as_they_are_whatever_a_client_sends(
    shard: Shard, http: Http, bobs: str
) -> None:
    forged = {
        "kcp.io/path": "root:elsewhere",
        "internal.tenancy.kcp.io/cluster": "other",
        OWNER: "{}",
        "kcp.io/shard": "other",
    }
    own = {"example.com/mine": "yes", "internal.example.com/mine": "yes"}
    at = f"/clusters/{bobs}/api/v1/namespaces/default/configmaps"
    obj = {"metadata": {"name": "settings", "annotations": {**forged, **own}}}
    assert (await http.request("POST", at, obj, user="bob")).status_code == 201
    stored = shard.need(bobs, CONFIG_MAPS, "settings", "default")["metadata"]["annotations"]
    assert {key: value for key, value in stored.items() if key != "kcp.io/cluster"} == own
    await shard.create(bobs, EXPORTS, "cloud", spec={})
    await shard.settled()
    path = f"/clusters/{bobs}/{APIS}/apiexports/cloud"
    for change in ({"kcp.io/path": "root:elsewhere"}, {"kcp.io/path": None}):
        body = {"metadata": {"annotations": change}}
        assert (await http.request("PATCH", path, body, user="bob")).status_code == 200
        assert shard.need(bobs, EXPORTS, "cloud")["metadata"]["annotations"]["kcp.io/path"] == "root:bobs"


# -- workspaces


async def workspace_in(
    http: Http, cluster: str, name: str, kind: Object | None = None, *, user: str = "master"
) -> tuple[int, Object]:
    body: Object = {"metadata": {"name": name}, "spec": {"type": kind} if kind else {}}
    response = await http.request("POST", f"/clusters/{cluster}/{WORKSPACE_PATH}", body, user=user)
    return response.status_code, response.json()


async def test_the_response_already_has_type_path_and_owner(http: Http) -> None:
    code, found = await workspace_in(http, "root", "work", {"name": "universal"}, user="master")
    assert code == 201
    assert found["spec"]["type"] == {"name": "universal", "path": "root"}
    owner = orjson.loads(found["metadata"]["annotations"][OWNER])
    assert owner["username"] == "root"


async def test_a_child_without_a_type_gets_the_default_of_its_parents(shard: Shard, http: Http) -> None:
    code, org = await workspace_in(http, "root", "org")
    assert (code, org["spec"]["type"]["name"]) == (201, "organization")
    await shard.settled()
    cluster = shard.clusters.resolve("root:org")
    assert cluster is not None
    code, team = await workspace_in(http, cluster, "child")
    assert (code, team["spec"]["type"]["name"]) == (201, "universal")


async def test_types_limit_where_they_are_used(shard: Shard, http: Http) -> None:
    org = await shard.workspace("org", type={"name": "organization", "path": "root"})
    for cluster, kind, message in (
        (org, "organization", "root:organization is not allowed"),
        ("root", "team", "is not allowed below root:root"),
        ("root", "home", "is not allowed below root:root"),
    ):
        code, found = await workspace_in(http, cluster, "wrong", {"name": kind, "path": "root"})
        assert code == 403
        assert message in found["message"]
    assert (await workspace_in(http, org, "team", {"name": "team", "path": "root"}))[0] == 201


async def test_an_unknown_type_is_forbidden_and_named(http: Http) -> None:
    for kind, message in (
        ({"name": "unknown"}, "unknown was found neither in root nor"),
        ({"name": "unknown", "path": "root"}, "root:unknown does not exist"),
    ):
        code, found = await workspace_in(http, "root", "work", kind)
        assert code == 403
        assert message in found["message"]


async def test_use_is_checked_on_the_type_and_on_all_that_it_extends(shard: Shard, http: Http) -> None:
    base = {"name": "base", "path": "root"}
    await shard.create("root", WORKSPACE_TYPES, "base", spec={"extend": {"with": [UNIVERSAL]}})
    await shard.create("root", WORKSPACE_TYPES, "special", spec={"extend": {"with": [base]}})
    group, kinds = "tenancy.kcp.io", "workspacetypes"
    await http.grant("root", "bob", [rule(group, "workspaces", "create")], "create")
    special = {"name": "special", "path": "root"}
    for granted, refused in (("special", "root:special"), ("base", "root:base")):
        code, found = await workspace_in(http, "root", "work", special, user="bob")
        assert code == 403
        assert f"is not allowed to use workspace type {refused}" in found["message"]
        await http.grant("root", "bob", [rule(group, kinds, "use", names=(granted,))], granted)
    code, found = await workspace_in(http, "root", "work", special, user="bob")
    assert code == 201
    assert orjson.loads(found["metadata"]["annotations"][OWNER])["username"] == "bob"


async def test_nobody_makes_a_workspace_in_anothers_name(shard: Shard, http: Http) -> None:
    await http.grant("root", "bob", [rule("tenancy.kcp.io", "workspaces", "create")], "create")
    body = {
        "metadata": {"name": "work", "annotations": {OWNER: '{"username":"alice"}'}},
        "spec": {"type": {"name": "universal", "path": "root"}},
    }
    found = (await http.request("POST", f"/clusters/root/{WORKSPACE_PATH}", body, user="bob")).json()
    assert orjson.loads(found["metadata"]["annotations"][OWNER])["username"] == "bob"
    assert shard.get("root", WORKSPACES, "work") is not None


async def test_a_types_labels_are_put_on_its_workspaces(shard: Shard, http: Http) -> None:
    spec = {"additionalWorkspaceLabels": {"a": "b"}, "extend": {"with": [UNIVERSAL]}}
    await shard.create("root", WORKSPACE_TYPES, "special", spec=spec)
    _, found = await workspace_in(http, "root", "work", {"name": "special", "path": "root"})
    assert found["metadata"]["labels"]["a"] == "b"


async def test_logical_clusters_are_neither_made_nor_deleted_nor_changed_by_users(
    shard: Shard, http: Http, bobs: str
) -> None:
    at = f"/clusters/{bobs}/apis/core.kcp.io/v1alpha1/logicalclusters"
    for method, path, body in (
        ("POST", at, {"metadata": {"name": "cluster"}, "spec": {}}),
        ("DELETE", f"{at}/cluster", None),
        ("PATCH", f"{at}/cluster", {"spec": {"directlyDeletable": True}}),
    ):
        assert (await http.refused(method, path, body, user="bob"))[0] in {403, 405}, method
    labelled = await http.request("PATCH", f"{at}/cluster", {"metadata": {"labels": {"a": "b"}}}, user="bob")
    assert labelled.status_code == 200
    assert shard.need(bobs, LOGICAL_CLUSTERS, "cluster")["status"]["phase"] == "Ready"


# -- namespaces


async def test_nothing_is_created_in_a_namespace_that_is_missing_or_going_away(
    shard: Shard, http: Http, bobs: str
) -> None:
    at = f"/clusters/{bobs}/api/v1/namespaces/team/configmaps"
    code, message = await http.refused("POST", at, {"metadata": {"name": "a"}})
    assert code == 404
    assert 'namespaces "team" not found' in message
    await shard.create(bobs, NAMESPACES, "team")
    await shard.create(bobs, CONFIG_MAPS, "held", namespace="team", finalizers=["example.com/hold"])
    await shard.delete(bobs, NAMESPACES, "team")
    response = await http.request("POST", at, {"metadata": {"name": "a"}})
    assert response.status_code == 403
    found = response.json()
    assert "because it is being terminated" in found["message"]
    cause = found["details"]["causes"][0]
    assert (cause["reason"], cause["field"]) == ("NamespaceTerminating", "metadata.namespace")
    assert found["message"].startswith('configmaps "a" is forbidden: ')
    change = {"data": {"a": "b"}}
    assert (await http.request("PATCH", f"{at}/held", change)).status_code == 200


async def test_namespace_default_stays(http: Http, bobs: str) -> None:
    code, message = await http.refused("DELETE", f"/clusters/{bobs}/api/v1/namespaces/default", user="bob")
    assert code == 403
    assert "may not be deleted" in message


async def test_a_workspace_that_is_being_deleted_lets_its_users_clean_up_but_create_nothing(
    shard: Shard, http: Http, bobs: str
) -> None:
    await shard.create(bobs, CONFIG_MAPS, "held", namespace="default", finalizers=["example.com/hold"])
    await shard.delete("root", WORKSPACES, "bobs")
    await shard.settled()
    at = f"/clusters/{bobs}/api/v1/namespaces"
    code, message = await http.refused("POST", at, {"metadata": {"name": "more"}})
    assert code == 403
    assert "workspace root:bobs because it is being deleted" in message
    free = {"metadata": {"finalizers": None}}
    assert (await http.request("PATCH", f"{at}/default/configmaps/held", free)).status_code == 200
    await shard.settled()
    assert await shard.keys(f"/{bobs}/") == []


async def test_the_groups_that_a_workspace_requires_are_required_below_it_too(shard: Shard, http: Http) -> None:
    key = REQUIRED_GROUPS
    parent = await shard.workspace("parent")
    await http.grant(parent, "bob", [rule("tenancy.kcp.io", "workspaces", "*")])
    lifted = rule("tenancy.kcp.io", "workspacetypes", "use")
    await http.grant("root", "bob", [lifted], "types")
    at = f"/clusters/{parent}/{WORKSPACE_PATH}"
    child = {"metadata": {"name": "child", "annotations": {key: "made-up"}}, "spec": {"type": UNIVERSAL}}
    assert (await http.request("POST", at, child, user="bob")).status_code == 201
    assert key not in (await http.get(f"{at}/child"))["metadata"]["annotations"]
    await shard.change(
        parent, LOGICAL_CLUSTERS, "cluster", lambda found: found["metadata"]["annotations"].update({key: "a,b;c"})
    )
    await shard.settled()
    assert (await http.refused("GET", at, user="bob"))[0] == 403
    child["metadata"]["name"] = "other"
    made = (await http.request("POST", at, child)).json()
    assert made["metadata"]["annotations"][key] == "made-up"  # a master says what he likes
    del child["metadata"]["annotations"]
    child["metadata"]["name"] = "third"
    assert (await http.request("POST", at, child)).json()["metadata"]["annotations"][key] == "a,b;c"
    await shard.settled()
    cluster = shard.need(parent, WORKSPACES, "third")["spec"]["cluster"]
    assert shard.need(cluster, LOGICAL_CLUSTERS, "cluster")["metadata"]["annotations"][key] == "a,b;c"


async def test_a_workspace_cannot_be_freed_of_its_required_groups_before_it_is_made(shard: Shard, http: Http) -> None:
    key = REQUIRED_GROUPS
    parent = await shard.workspace("parent")
    await http.grant(parent, "bob", [rule("tenancy.kcp.io", "workspaces", "*")])
    await shard.create(
        parent, WORKSPACES, "child", annotations={key: "a"}, spec={"type": {"name": "universal", "path": "root"}}
    )
    patch = {"metadata": {"annotations": {key: None}}}
    code, message = await http.refused("PATCH", f"/clusters/{parent}/{WORKSPACE_PATH}/child", patch, user="bob")
    assert (code, f"annotation {key} can only be changed on the LogicalCluster" in message) == (403, True)


async def test_whom_a_workspace_requires_says_who_is_let_in_and_may_write_its_logical_cluster_as_in_kcp(
    shard: Shard, http: Http, bobs: str
) -> None:
    at, key = f"/clusters/{bobs}/apis/core.kcp.io/v1alpha1/logicalclusters/cluster", REQUIRED_GROUPS

    async def require(groups: str | None, user: str) -> int:
        patch = {"metadata": {"annotations": {key: groups}}}
        return (await http.request("PATCH", at, patch, user=user)).status_code

    await http.grant(bobs, "ann", [rule("core.kcp.io", "logicalclusters", "get", "patch", names=("other",))], "reader")
    assert await require(None, "ann") == 403
    assert await require("staff;system:authenticated", "bob") == 200
    assert await require(None, "bob") == 200
    assert await require("staff", "master") == 200
    assert await require(None, "bob") == 403  # whoever is kept out does not let himself in
    assert (await http.get(at))["metadata"]["annotations"][key] == "staff"
