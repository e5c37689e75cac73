"""Of a bound type the provider's webhooks and policies judge what is written, not the workspace's own: as in kcp."""

from shard_http import Http
from shard_world import EXPORTS, SCHEMAS, Shard, schema_spec

from kcpcache.meta.objects import Object

ADMISSION = "apis/admissionregistration.k8s.io/v1"
FLAVOR = {"apiVersion": "cloud.example.com/v1", "kind": "Flavor"}
FLAVORS, MAPS = "apis/cloud.example.com/v1/flavors", "api/v1/namespaces/default/configmaps"


async def forbid(http: Http, cluster: str, message: str, params: Object | None = None) -> None:
    """A policy of this workspace that denies whatever is written with ``spec.cpu`` 13, and ConfigMaps."""
    rules = [
        {"apiGroups": [group], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": [resource]}
        for group, resource in (("cloud.example.com", "flavors"), ("", "configmaps"))
    ]
    spec: Object = {"matchConstraints": {"resourceRules": rules}}
    spec["validations"] = [{"expression": "has(object.spec) && object.spec.cpu != 13", "message": message}]
    binding: Object = {"policyName": "p", "validationActions": ["Deny"]}
    if params:
        spec["paramKind"] = {"apiVersion": "v1", "kind": "ConfigMap"}
        spec["validations"] = [{"expression": "string(object.spec.cpu) != params.data.cpu", "message": message}]
        binding["paramRef"] = {"name": "limit", "namespace": "default", "parameterNotFoundAction": "Deny"}
        made = {"metadata": {"name": "limit"}, "data": params}
        assert (await http.request("POST", f"/clusters/{cluster}/{MAPS}", made)).status_code == 201
    for resource, body in (("validatingadmissionpolicies", spec), ("validatingadmissionpolicybindings", binding)):
        obj = {"metadata": {"name": "p"}, "spec": body}
        assert (await http.request("POST", f"/clusters/{cluster}/{ADMISSION}/{resource}", obj)).status_code == 201


async def bound(shard: Shard) -> tuple[str, str]:
    """A provider of stored flavors, and a workspace that has bound them."""
    provider, consumer = await shard.workspace("provider"), await shard.workspace("consumer")
    await shard.create(provider, SCHEMAS, "v1.flavors.cloud.example.com", spec=schema_spec())
    entry = {"group": "cloud.example.com", "name": "flavors", "schema": "v1.flavors.cloud.example.com"}
    await shard.create(provider, EXPORTS, "cloud", spec={"resources": [{**entry, "storage": {"crd": {}}}]})
    await shard.settled()
    await shard.bind(consumer, provider)
    await shard.settled()
    return provider, consumer


def flavor(cpu: int) -> Object:
    return {**FLAVOR, "metadata": {"name": f"f{cpu}"}, "spec": {"cpu": cpu}}


async def test_the_providers_policy_judges_bound_objects_and_the_workspaces_own_does_not(
    shard: Shard, http: Http
) -> None:
    provider, consumer = await bound(shard)
    await forbid(http, provider, "thirteen is unlucky")
    path = f"/clusters/{consumer}/{FLAVORS}"
    code, message = await http.refused("POST", path, flavor(13))
    assert (code, "thirteen is unlucky" in message) == (422, True)
    assert (await http.request("POST", path, flavor(1))).status_code == 201
    assert (await http.request("POST", f"/clusters/{consumer}/{MAPS}", {"metadata": {"name": "m"}})).status_code == 201
    await forbid(http, consumer, "of no concern to flavors")
    assert (await http.refused("POST", f"/clusters/{consumer}/{MAPS}", {"metadata": {"name": "n"}}))[0] == 422
    assert "thirteen is unlucky" in (await http.refused("POST", path, flavor(13)))[1]


async def test_the_parameters_of_such_a_policy_are_the_providers(shard: Shard, http: Http) -> None:
    provider, consumer = await bound(shard)
    await forbid(http, provider, "too many", params={"cpu": "7"})
    path = f"/clusters/{consumer}/{FLAVORS}"
    assert "too many" in (await http.refused("POST", path, flavor(7)))[1]
    assert (await http.request("POST", path, flavor(8))).status_code == 201
