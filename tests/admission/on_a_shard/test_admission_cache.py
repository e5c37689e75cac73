"""What may be written in cache.kcp.io (behaviour §3.1, §4), over HTTP."""

import pytest
from shard_http import Http, rule
from shard_world import (
    BINDINGS,
    CACHED_RESOURCES,
    CRDS,
    EXPORTS,
    FLAVORS,
    SCHEMAS,
    SLICES,
    Shard,
    crd_spec,
    schema_spec,
    virtual_entry,
)

from kcpcache.meta.objects import Object

PATH = "apis/cache.kcp.io/v1alpha1/cachedresources"
SLICE_PATH = "apis/cache.kcp.io/v1alpha1/cachedresourceendpointslices"
FLAVOR_SPEC = {"group": "cloud.example.com", "version": "v1", "resource": "flavors"}


def cached(name: str = "flavors", **spec: object) -> Object:
    return {"metadata": {"name": name}, "spec": {**FLAVOR_SPEC, **spec}}


@pytest.fixture
async def cluster(shard: Shard) -> str:
    found = await shard.workspace("work")
    await shard.create(found, CRDS, "flavors.cloud.example.com", spec=crd_spec(versions=("v1", "v2")))
    await shard.settled()
    return found


def url(cluster: str, name: str = "", path: str = PATH) -> str:
    return f"/clusters/{cluster}/{path}" + (f"/{name}" if name else "")


async def test_a_second_one_of_the_same_resource_is_forbidden_naming_resource_and_workspace(
    cluster: str, http: Http
) -> None:
    assert (await http.request("POST", url(cluster), cached())).status_code == 201
    code, message = await http.refused("POST", url(cluster), cached("other"))
    assert code == 403
    assert "flavors.v1.cloud.example.com" in message
    assert "root:work" in message
    assert '"flavors"' in message


async def test_the_same_name_again_is_already_exists(cluster: str, http: Http) -> None:
    await http.request("POST", url(cluster), cached())
    assert (await http.refused("POST", url(cluster), cached()))[0] == 409


async def test_another_version_or_another_workspace_is_no_rival(shard: Shard, cluster: str, http: Http) -> None:
    other = await shard.workspace("other")
    assert (await http.request("POST", url(cluster), cached())).status_code == 201
    assert (await http.request("POST", url(cluster), cached("two", version="v2"))).status_code == 201
    assert (await http.request("POST", url(other), cached())).status_code == 201


async def test_choosing_a_version_later_that_another_has_is_forbidden(shard: Shard, http: Http) -> None:
    empty = await shard.workspace("empty")
    without = {"metadata": {"name": "later"}, "spec": {"group": "cloud.example.com", "resource": "flavors"}}
    assert (await http.request("POST", url(empty), without)).status_code == 201
    assert (await http.request("POST", url(empty), cached())).status_code == 201
    code, message = await http.refused("PATCH", url(empty, "later"), {"spec": {"version": "v1"}})
    assert code == 403
    assert "already replicates" in message
    assert (await http.request("PATCH", url(empty, "later"), {"spec": {"version": "v2"}})).status_code == 200


@pytest.mark.parametrize("change", [{"group": "other.example.com"}, {"resource": "others"}, {"version": "v2"}])
async def test_what_it_replicates_cannot_be_changed(cluster: str, http: Http, change: Object) -> None:
    await http.request("POST", url(cluster), cached())
    code, message = await http.refused("PATCH", url(cluster, "flavors"), {"spec": change})
    assert code == 422
    assert f"spec.{next(iter(change))}" in message


async def test_a_namespaced_resource_is_forbidden_naming_field_and_scope(shard: Shard, http: Http) -> None:
    other = await shard.workspace("other")
    await shard.create(other, CRDS, "flavors.cloud.example.com", spec=crd_spec(scope="Namespaced"))
    await shard.settled()
    code, message = await http.refused("POST", url(other), cached())
    assert code == 403
    assert "spec.resource" in message
    assert "Namespaced" in message


@pytest.mark.parametrize(
    ("group", "resource"),
    [("", "secrets"), ("", "namespaces"), ("rbac.authorization.k8s.io", "clusterroles"),
     ("apiextensions.k8s.io", "customresourcedefinitions"), ("apis.kcp.io", "apiexports"),
     ("tenancy.kcp.io", "workspaces"), ("cache.kcp.io", "cachedresources"), ("new.kcp.io", "things")],
)  # fmt: skip
async def test_built_in_and_system_resources_are_invalid(cluster: str, http: Http, group: str, resource: str) -> None:
    code, message = await http.refused("POST", url(cluster), cached(group=group, resource=resource))
    assert code == 422
    assert "spec.group" in message or "spec.resource" in message


async def test_a_resource_that_does_not_exist_yet_is_accepted(shard: Shard, http: Http) -> None:
    other = await shard.workspace("other")
    assert (await http.request("POST", url(other), cached())).status_code == 201


async def test_the_short_form_of_a_selector_is_stored_in_full_and_a_wrong_one_is_invalid(
    cluster: str, http: Http
) -> None:
    short = {"cloud.example.com/visibility": "Public"}
    found = (await http.request("POST", url(cluster), cached(labelSelector=short))).json()
    assert found["spec"]["labelSelector"] == {"matchLabels": short}
    wrong = {"matchExpressions": [{"key": "a", "operator": "Sounds", "values": ["b"]}]}
    assert (await http.refused("POST", url(cluster), cached("two", version="v2", labelSelector=wrong)))[0] == 422


async def test_a_refused_write_of_a_dry_run_and_of_a_real_one_store_nothing(
    shard: Shard, cluster: str, http: Http
) -> None:
    await http.request("POST", url(cluster), cached())
    await shard.settled()
    before = await shard.store.revision()
    await http.refused("POST", url(cluster), cached("other"))
    assert (await http.request("POST", url(cluster) + "?dryRun=All", cached("two", version="v2"))).status_code == 201
    assert await shard.store.revision() == before


async def test_the_status_subresource_asks_no_questions_about_rivals(cluster: str, http: Http) -> None:
    found = (await http.request("POST", url(cluster), cached())).json()
    response = await http.request("PUT", url(cluster, "flavors/status"), found)
    assert response.status_code in {200, 409}, response.text


# -- endpoint slices


def slice_of(path: str = "", **metadata: object) -> Object:
    reference = {"name": "flavors", "path": path} if path else {"name": "flavors"}
    return {"metadata": {"name": "mine", **metadata}, "spec": {"cachedResource": reference}}


ALLOWED = "internal.cache.kcp.io/reference-allowed"


async def foreign_export(shard: Shard, http: Http, *, may_read: bool) -> tuple[str, str]:
    """A provider, and a workspace of ``bob`` with a slice that refers to the provider's CachedResource."""
    provider, bobs = await shard.provider(), await shard.workspace("bobs")
    await shard.flavor(provider, "small")
    await http.grant(bobs, "bob", [rule("*", "*", "*")])
    if may_read:
        await http.grant(provider, "bob", [rule("cache.kcp.io", "cachedresources", "get", "list")])
    response = await http.request("POST", url(bobs, path=SLICE_PATH), slice_of("root:provider"), user="bob")
    assert response.status_code == 201, response.text
    await shard.settled()
    return provider, bobs


@pytest.mark.parametrize("may_read", [True, False])
async def test_a_slice_over_workspaces_counts_only_if_its_creator_could_read_what_it_refers_to(
    shard: Shard, http: Http, may_read: bool
) -> None:
    provider, bobs = await foreign_export(shard, http, may_read=may_read)
    found = shard.need(bobs, SLICES, "mine")
    assert found["metadata"]["annotations"].get(ALLOWED) == (f"{provider}/flavors" if may_read else None)
    conditions = {c["type"]: c["status"] for c in found["status"]["conditions"]}
    assert conditions["ResourceValid"] == str(may_read)
    await shard.create(bobs, SCHEMAS, "v1.flavors.cloud.example.com", spec=schema_spec())
    entry = virtual_entry(shard.status(provider)["identityHash"], "mine")
    await shard.create(bobs, EXPORTS, "cloud", spec={"resources": [entry]})
    consumer = await shard.workspace("consumer")
    await shard.settled()
    await shard.bind(consumer, bobs)
    await shard.settled()
    endpoints = shard.need(bobs, SLICES, "mine")["status"].get("endpoints")
    if may_read:
        assert await shard.names(consumer, FLAVORS) == ["small"]
        assert endpoints == [{"url": f"{shard.url}/services/replication/{provider}/flavors"}]
    else:
        assert endpoints is None
        code, message = await http.refused("GET", f"/clusters/{consumer}/apis/cloud.example.com/v1/flavors")
        assert code == 503
        assert "refers to an unknown CachedResource" in message


async def test_nobody_writes_that_annotation_himself(shard: Shard, http: Http) -> None:
    provider, bobs = await foreign_export(shard, http, may_read=False)
    forged = {ALLOWED: f"{provider}/flavors"}
    change = {"metadata": {"annotations": forged}}
    assert (await http.request("PATCH", url(bobs, "mine", SLICE_PATH), change, user="bob")).status_code == 200
    await http.request("DELETE", url(bobs, "mine", SLICE_PATH), user="bob")
    again = slice_of("root:provider", annotations=forged)
    assert (await http.request("POST", url(bobs, path=SLICE_PATH), again, user="bob")).status_code == 201
    found = shard.need(bobs, SLICES, "mine")
    assert ALLOWED not in (found["metadata"].get("annotations") or {})


async def test_a_slices_reference_cannot_be_changed(shard: Shard, cluster: str, http: Http) -> None:
    await http.request("POST", url(cluster, path=SLICE_PATH), slice_of())
    change = {"spec": {"cachedResource": {"name": "other"}}}
    code, message = await http.refused("PATCH", url(cluster, "mine", SLICE_PATH), change)
    assert code == 422
    assert "CachedResource reference must not be changed" in message


async def test_a_projected_resource_refuses_every_write_and_says_where_it_comes_from(shard: Shard, http: Http) -> None:
    provider, consumer = await shard.provider(), await shard.workspace("consumer")
    await shard.flavor(provider, "small")
    await shard.bind(consumer, provider)
    await shard.settled()
    assert shard.need(consumer, BINDINGS, "cloud")["status"]["phase"] == "Bound"
    at = f"/clusters/{consumer}/apis/cloud.example.com/v1/flavors"
    obj = {"metadata": {"name": "small"}, "spec": {}}
    before = await shard.store.revision()
    for method, rest in (("POST", ""), ("PUT", "/small"), ("PATCH", "/small"), ("DELETE", "/small"), ("DELETE", "")):
        code, message = await http.refused(method, at + rest, obj)
        assert code == 405
        assert "read-only" in message
        assert 'APIExport "cloud"' in message
    assert await shard.store.revision() == before
    assert shard.get(provider, CACHED_RESOURCES, "flavors") is not None
