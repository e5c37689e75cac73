"""Nobody grants what he does not hold (as in kube-apiserver), over HTTP."""

from typing import Any

import pytest
from shard_http import Http, rule
from shard_world import Shard

from kcpcache.meta.objects import Object

GROUP = "rbac.authorization.k8s.io"
KINDS = {"roles": "Role", "clusterroles": "ClusterRole", "rolebindings": "RoleBinding"}
KINDS["clusterrolebindings"] = "ClusterRoleBinding"
READ = rule("", "configmaps", "get", "list")
WRITE = rule("", "configmaps", "get", "delete")
MISSING = 'not currently held:\n{APIGroups:[""], Resources:["configmaps"], Verbs:["delete"]}'


class Roles:
    """Roles and bindings of one workspace, written by eve: she may write them all, and read configmaps."""

    def __init__(self, http: Http, cluster: str) -> None:
        self.http, self.cluster = http, cluster
        self.root = f"/clusters/{cluster}/apis/{GROUP}/v1"

    def path(self, plural: str, name: str = "") -> str:
        namespaced = "" if plural.startswith("cluster") else "/namespaces/default"
        return f"{self.root}{namespaced}/{plural}" + (f"/{name}" if name else "")

    async def write(
        self, method: str, plural: str, name: str = "", user: str = "eve", **fields: Any
    ) -> tuple[int, str]:
        body = {"apiVersion": f"{GROUP}/v1", "kind": KINDS[plural], "metadata": {"name": name or "new"}, **fields}
        response = await self.http.request(method, self.path(plural, name), body, user=user)
        return response.status_code, response.json().get("message", "")

    async def apply(self, plural: str, name: str, **fields: Any) -> tuple[int, str]:
        body = {"apiVersion": f"{GROUP}/v1", "kind": KINDS[plural], "metadata": {"name": name}, **fields}
        response = await self.http.client.patch(
            f"{self.path(plural, name)}?fieldManager=eve&force=true",
            json=body,
            headers={"x-user": "eve", "content-type": "application/apply-patch+yaml"},
        )
        return response.status_code, response.json().get("message", "")


@pytest.fixture
async def roles(shard: Shard, http: Http) -> Roles:
    cluster = await shard.workspace("work")
    await http.grant(cluster, "eve", [READ], "reading")
    verbs = ("get", "list", "create", "update", "patch", "delete", "deletecollection")
    await http.grant(cluster, "eve", [rule(GROUP, plural, *verbs) for plural in KINDS], "writing")
    return Roles(http, cluster)


def to(role: str, kind: str = "ClusterRole") -> Object:
    subject = {"kind": "User", "apiGroup": GROUP, "name": "mallory"}
    return {"roleRef": {"apiGroup": GROUP, "kind": kind, "name": role}, "subjects": [subject]}


@pytest.mark.parametrize("plural", ["roles", "clusterroles"])
async def test_a_role_gives_what_its_writer_holds_and_no_more_in_every_way_of_writing(
    roles: Roles, plural: str
) -> None:
    assert (await roles.write("POST", plural, rules=[READ]))[0] == 201
    refusals = [
        await roles.write("POST", plural, rules=[WRITE]),
        await roles.write("PUT", plural, "new", rules=[WRITE]),
        await roles.write("PATCH", plural, "new", rules=[WRITE]),
        await roles.apply(plural, "new", rules=[WRITE]),
        await roles.apply(plural, "other", rules=[WRITE]),
    ]
    assert [code for code, _ in refusals] == [403] * 5
    for _, message in refusals:
        assert (
            f'user "eve" (groups=["system:authenticated"]) is attempting to grant RBAC permissions {MISSING}' in message
        )
    assert (await roles.write("PATCH", plural, "new", rules=[rule("", "configmaps", "get")]))[0] == 200


@pytest.mark.parametrize(("plural", "kind"), [("rolebindings", "Role"), ("rolebindings", "ClusterRole")])
async def test_a_binding_gives_what_its_writer_holds_and_no_more(roles: Roles, plural: str, kind: str) -> None:
    target = f"{kind.lower()}s"
    assert (await roles.write("POST", target, "", user="master", rules=[WRITE]))[0] == 201
    code, message = await roles.write("POST", plural, **to("new", kind))
    assert (code, MISSING in message) == (403, True)
    code, message = await roles.apply(plural, "new", **to("new", kind))
    assert (code, MISSING in message) == (403, True)
    code, message = await roles.write("POST", plural, **to("missing", kind))
    assert (code, f'{target}.{GROUP} "missing" not found' in message) == (404, True)
    assert (await roles.write("PATCH", target, "new", user="master", rules=[READ]))[0] == 200
    assert (await roles.write("POST", plural, **to("new", kind)))[0] == 201


async def test_more_subjects_for_a_role_of_system_admin_need_what_it_gives(roles: Roles) -> None:
    for name in ("cluster-admin", "view"):
        code, message = await roles.write("POST", "clusterrolebindings", **to(name))
        assert (code, "not currently held" in message) == (403, True)
    await roles.write("POST", "clusterrolebindings", "", user="master", **to("view"))
    code, _ = await roles.write("PATCH", "clusterrolebindings", "new", subjects=[to("view")["subjects"][0]] * 2)
    assert code == 403


async def test_the_verbs_escalate_and_bind_lift_the_limit_where_they_are_given(roles: Roles) -> None:
    allowed = [
        rule(GROUP, "clusterroles", "escalate", names=("mine",)),
        rule(GROUP, "clusterroles", "bind", names=("view",)),
    ]
    await roles.http.grant(roles.cluster, "eve", allowed, "lifting")
    assert (await roles.write("POST", "clusterroles", rules=[WRITE]))[0] == 403
    await roles.http.request("POST", roles.path("clusterroles"), {"metadata": {"name": "mine"}})
    assert (await roles.write("PATCH", "clusterroles", "mine", rules=[WRITE]))[0] == 200
    assert (await roles.write("POST", "clusterrolebindings", **to("view")))[0] == 201
    assert (await roles.write("POST", "rolebindings", **to("edit")))[0] == 403


async def test_a_right_to_bind_in_one_namespace_is_none_elsewhere(shard: Shard, roles: Roles) -> None:
    binder = {"rules": [rule(GROUP, "clusterroles", "bind", names=("edit",))]}
    await roles.http.request("POST", roles.path("roles"), {"metadata": {"name": "binder"}, **binder})
    eve = {"kind": "User", "apiGroup": GROUP, "name": "eve"}
    await roles.write("POST", "rolebindings", user="master", **{**to("binder", "Role"), "subjects": [eve]})
    response = await roles.http.request(
        "POST", roles.path("rolebindings"), {"metadata": {"name": "second"}, **to("edit")}, user="eve"
    )
    assert response.status_code == 201, response.text
    assert (await roles.write("POST", "clusterrolebindings", **to("edit")))[0] == 403


async def test_an_aggregation_rule_is_for_those_who_may_do_everything(roles: Roles) -> None:
    gather = {"aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}}
    code, message = await roles.write("POST", "clusterroles", rules=[], **gather)
    assert (code, "must have cluster-admin privileges to use the aggregationRule" in message) == (403, True)
    assert (await roles.write("POST", "clusterroles", "", user="master", rules=[READ], **gather))[0] == 201
    assert (await roles.write("PATCH", "clusterroles", "new", aggregationRule=None))[0] == 403


async def test_nobody_waits_behind_a_role_of_his_own_for_the_one_of_system_admin(roles: Roles) -> None:
    """A workspace's ClusterRole stands before system:admin's of its name; once it goes, that one is in force."""
    body, collection = {"metadata": {"name": "cluster-admin"}, "rules": [READ]}, roles.path("clusterroles")
    code, message = await roles.http.refused("POST", collection, body, user="eve")
    assert (code, "not currently held" in message) == (403, True)
    assert (await roles.apply("clusterroles", "view", rules=[READ]))[0] == 403
    assert (await roles.http.request("POST", collection, body)).status_code == 201
    assert (await roles.write("POST", "clusterrolebindings", **to("cluster-admin")))[0] == 403
    assert (await roles.write("POST", "rolebindings", **to("cluster-admin")))[0] == 403
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "b"}
    path = roles.path("clusterroles", "cluster-admin")
    for change in ({"ownerReferences": [owner]}, {"labels": {"a": "b"}}, {"finalizers": ["a.com/b"]}):
        assert (await roles.http.request("PATCH", path, {"metadata": change}, user="eve")).status_code == 403
    for target in (path, collection):
        await roles.http.request("DELETE", target, user="eve")
        assert (await roles.http.request("GET", path)).json()["rules"] == [READ]
    await roles.http.grant(roles.cluster, "eve", [rule(GROUP, "clusterroles", "escalate")], "lifting")
    assert (await roles.http.request("DELETE", path, user="eve")).status_code == 200


async def test_what_garbage_collection_needs_to_change_needs_no_rights(roles: Roles) -> None:
    await roles.http.request(
        "POST", roles.path("clusterroles"), {"metadata": {"name": "new", "finalizers": ["a.com/b"]}, "rules": [WRITE]}
    )
    path = roles.path("clusterroles", "new")
    finalizers = await roles.http.request("PATCH", path, {"metadata": {"finalizers": None}}, user="eve")
    labels = await roles.http.request("PATCH", path, {"metadata": {"labels": {"a": "b"}}}, user="eve")
    assert (finalizers.status_code, labels.status_code) == (200, 403)


async def test_a_workspaces_owner_grants_everything_there_and_nothing_elsewhere(shard: Shard, roles: Roles) -> None:
    await roles.write("POST", "clusterrolebindings", "", user="master", **to("cluster-admin"))
    assert (await roles.write("POST", "rolebindings", user="mallory", **to("admin")))[0] == 201
    assert (await roles.write("POST", "clusterroles", user="mallory", rules=[rule("*", "*", "*")]))[0] == 201
    elsewhere = Roles(roles.http, await shard.workspace("elsewhere"))
    assert (await elsewhere.write("POST", "clusterroles", user="mallory", rules=[READ]))[0] == 403
