"""Where authorization finds its facts: out of the caches, of the right workspace, and at once."""

import pytest
from shard_http import Http, rule
from shard_world import BINDINGS, CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, EXPORTS, SCHEMAS, WORKSPACES, Shard, schema_spec

from kcpcache.auth.attributes import Attributes
from kcpcache.auth.source import CachedGate, CachedPolicies
from kcpcache.auth.user import AUTHENTICATED, User

BOB = User("bob", groups=(AUTHENTICATED,))


def maps(cluster: str) -> str:
    return f"/clusters/{cluster}/api/v1/namespaces/default/configmaps"


async def test_a_grant_counts_at_once_in_its_own_workspace_only_and_its_removal_too(shard: Shard, http: Http) -> None:
    one, two = await shard.workspace("one"), await shard.workspace("two")
    assert (await http.refused("GET", maps(one), user="bob"))[0] == 403
    await http.grant(one, "bob", [rule("", "configmaps", "list")])
    assert (await http.get(maps(one), user="bob"))["items"] == []
    assert (await http.refused("GET", maps(two), user="bob"))[0] == 403
    assert (await http.refused("POST", maps(one), {"metadata": {"name": "a"}}, user="bob"))[0] == 403
    await shard.change(one, CLUSTER_ROLES, "granted", lambda obj: obj["rules"].pop(0))
    assert (await http.refused("GET", maps(one), user="bob"))[0] == 403
    await shard.delete(one, CLUSTER_ROLE_BINDINGS, "granted")
    code, message = await http.refused("GET", maps(one), user="bob")
    assert (code, "access denied" in message) == (403, True)


async def test_the_owner_may_do_everything_in_his_workspace(shard: Shard, http: Http) -> None:
    cluster = await shard.workspace("alices")
    assert (await http.request("POST", maps(cluster), {"metadata": {"name": "a"}}, user="alice")).status_code == 201


async def test_a_deleted_or_unknown_workspace_is_forbidden_for_all_but_masters(shard: Shard, http: Http) -> None:
    cluster = await shard.workspace("alices")
    await shard.delete("root", WORKSPACES, "alices")
    await shard.settled()
    assert (await http.refused("GET", maps(cluster), user="alice"))[0] == 403
    assert (await http.refused("GET", maps("root:unknown"), user="alice"))[0] == 403
    assert (await http.refused("GET", "/clusters/root/apis/tenancy.kcp.io/v1alpha1/workspaces/alices"))[0] == 404


async def test_the_gate_knows_every_state(shard: Shard) -> None:
    gate = CachedGate(shard.lookup)
    cluster = await shard.workspace("work")
    assert gate.state("system:admin") == "system"
    assert gate.state(cluster) == "ready"
    assert gate.state("unknown") == "missing"


@pytest.mark.parametrize("limited", [True, False])
async def test_an_exports_maximal_permission_policy_limits_its_consumers(
    shard: Shard, http: Http, limited: bool
) -> None:
    provider, consumer = await shard.workspace("provider"), await shard.workspace("consumer")
    await shard.create(provider, SCHEMAS, "v1.flavors.cloud.example.com", spec=schema_spec())
    entry = {
        "group": "cloud.example.com",
        "name": "flavors",
        "schema": "v1.flavors.cloud.example.com",
        "storage": {"crd": {}},
    }
    policy = {"maximalPermissionPolicy": {"local": {}}} if limited else {}
    await shard.create(provider, EXPORTS, "cloud", spec={"resources": [entry], **policy})
    await shard.settled()
    await shard.bind(consumer, provider)
    await shard.settled()
    policies = CachedPolicies(shard.lookup, shard.serving)
    assert policies.provider(consumer, "cloud.example.com", "flavors") == (provider if limited else None)
    assert policies.provider(consumer, "", "configmaps") is None
    at = f"/clusters/{consumer}/apis/cloud.example.com/v1/flavors"
    flavor = {"apiVersion": "cloud.example.com/v1", "kind": "Flavor", "metadata": {"name": "small"}, "spec": {}}
    code = (await http.request("POST", at, flavor, user="alice")).status_code
    assert code == (403 if limited else 201)
    if limited:
        await http.grant(
            provider, "apis.kcp.io:binding:alice", [rule("cloud.example.com", "flavors", "create")], "policy"
        )
        assert (await http.request("POST", at, flavor, user="alice")).status_code == 201
        assert (await http.refused("GET", at, user="alice"))[0] == 403
    owner = http.authorizer.rules_for(User("alice", groups=(AUTHENTICATED,)), consumer, "default")
    told = [rule for rule in owner.rules if "flavors" in rule.get("resources", ())]
    whole = [one for one in owner.rules if {"cloud.example.com", "*"} & set(one.get("apiGroups", ()))]
    assert told == whole == [rule("cloud.example.com", "flavors", "create")] if limited else (not told and whole)
    await shard.delete(consumer, BINDINGS, "cloud")
    await shard.settled()
    assert policies.provider(consumer, "cloud.example.com", "flavors") is None


async def test_references_are_judged_where_they_lead_without_entering(shard: Shard, http: Http) -> None:
    provider = await shard.workspace("provider")
    wanted = Attributes(user=BOB, verb="bind", cluster=provider, group="apis.kcp.io", resource="apiexports", name="x")
    assert not http.authorizer.authorize_reference(wanted).allowed
    await http.grant(provider, "bob", [rule("apis.kcp.io", "apiexports", "bind")])
    assert http.authorizer.authorize_reference(wanted).allowed
