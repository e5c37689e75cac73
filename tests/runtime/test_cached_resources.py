"""The life of a CachedResource and of its copies, with every controller running (behaviour §3)."""

import asyncio
import base64
from collections.abc import Mapping

import pytest
from shard_world import (
    BINDINGS,
    CACHED_RESOURCES,
    CRDS,
    EXPORTS,
    FLAVORS,
    NAMESPACES,
    SCHEMAS,
    SECRETS,
    SLICES,
    WORKSPACES,
    Shard,
    crd_spec,
    schema_spec,
)

from kcpcache.meta.objects import Object
from kcpcache.reconcilers.identity import identity_hash

CRD = "flavors.cloud.example.com"
PUBLIC = {"matchLabels": {"visibility": "public"}}


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


async def secret(shard: Shard, cluster: str, name: str, key: str | None = "my key") -> Object:
    """A Secret in namespace ``default``, and the reference to it."""
    await shard.create(cluster, SECRETS, name, namespace="default", data={} if key is None else {"key": encoded(key)})
    return {"secretRef": {"name": name, "namespace": "default"}}


async def rekey(shard: Shard, cluster: str, name: str, key: str) -> None:
    await shard.change(
        cluster, SECRETS, name, lambda obj: obj.update(data={"key": encoded(key)}), namespace="default"
    )  # fmt: skip


def conditions(shard: Shard, cluster: str, name: str = "flavors") -> Mapping[str, tuple[str, str]]:
    found = shard.status(cluster, name)["conditions"]
    return {condition["type"]: (condition["status"], condition.get("reason", "")) for condition in found}


def counts(shard: Shard, cluster: str, name: str = "flavors") -> tuple[int, int]:
    found = shard.status(cluster, name)["resourceCounts"]
    return found["local"], found["cache"]


READY = dict.fromkeys(("IdentityValid", "ResourceValid", "ReplicationStarted"), ("True", ""))


async def copy_key(shard: Shard, name: str) -> str:
    keys = await shard.keys("", "/cache/root/cloud.example.com/")
    [key] = [key for key in keys if key.endswith(f"/{name}")]  # a logical cluster's name may begin like that
    return key


# -- becoming ready


async def test_it_becomes_ready_with_conditions_counts_identity_path_finalizer_and_slice(shard: Shard) -> None:
    cluster = await shard.provider()
    for name in ("small", "medium", "large"):
        await shard.flavor(cluster, name)
    await shard.settled()
    found = shard.need(cluster, CACHED_RESOURCES, "flavors")
    assert found["status"]["phase"] == "Ready"
    assert conditions(shard, cluster) == READY
    assert counts(shard, cluster) == (3, 3)
    assert found["metadata"]["annotations"]["kcp.io/path"] == "root:provider"
    assert found["metadata"]["finalizers"] == ["cache.kcp.io/cachedresource"]
    own = shard.need(cluster, SLICES, "flavors")
    assert own["spec"]["cachedResource"] == {"name": "flavors", "path": "root:provider"}
    assert own["metadata"]["ownerReferences"][0]["uid"] == found["metadata"]["uid"]
    key = base64.b64decode(shard.need(cluster, SECRETS, "flavors", "kcp-system")["data"]["key"])
    assert len(key) == 64
    assert found["status"]["identityHash"] == identity_hash(key)
    assert found["spec"]["identity"]["secretRef"] == {"name": "flavors", "namespace": "kcp-system"}


async def test_a_copy_is_the_original_with_three_annotations_at_a_key_with_shard_version_and_identity(
    shard: Shard,
) -> None:
    cluster = await shard.provider()
    original = await shard.flavor(cluster, "small", cpu=7, tier="gold")
    await shard.settled()
    key = await copy_key(shard, "small")
    identity = shard.status(cluster)["identityHash"]
    assert key == f"/cache/root/cloud.example.com/v1/flavors:{identity}/{cluster}/small"
    prefix = key.removesuffix(f"{cluster}/small")
    entry = shard.caches.of(prefix).get(cluster, "small")
    assert entry is not None
    copied = entry.object()
    own = {
        "kcp.io/shard": "root",
        "cache.kcp.io/original-resource-version": original["metadata"]["resourceVersion"],
        "cache.kcp.io/original-resource-UID": original["metadata"]["uid"],
    }
    annotations = copied["metadata"].pop("annotations")
    assert {key: value for key, value in annotations.items() if key != "kcp.io/cluster"} == own
    for obj in (copied, original):
        obj["metadata"].pop("resourceVersion")
    original["metadata"].pop("annotations")
    assert copied == original


async def test_it_waits_for_its_crd_and_becomes_ready_by_itself(shard: Shard) -> None:
    cluster = await shard.workspace("work")
    await shard.cache_flavors(cluster)
    await shard.settled()
    assert shard.status(cluster)["phase"] == "Initializing"
    assert conditions(shard, cluster) == {
        "IdentityValid": ("True", ""),
        "ResourceValid": ("False", "NoResources"),
        "ReplicationStarted": ("False", "NoResources"),
    }
    await shard.create(cluster, CRDS, CRD, spec=crd_spec())
    await shard.settled()
    assert (shard.status(cluster)["phase"], conditions(shard, cluster)) == ("Ready", READY)
    await shard.flavor(cluster, "small")
    await shard.settled()
    assert await shard.copies(cluster) == ["small"]
    assert counts(shard, cluster) == (1, 1)


async def test_a_first_pass_copies_what_there_is_in_the_order_of_its_keys(shard: Shard) -> None:
    cluster = await shard.workspace("work")
    await shard.create(cluster, CRDS, CRD, spec=crd_spec())
    await shard.settled()
    names = [f"f{number:02}" for number in range(40)]
    for name in reversed(names):
        await shard.flavor(cluster, name)
    await shard.cache_flavors(cluster)
    await shard.settled()
    copies = (await shard.store.list("/cache/root/cloud.example.com/")).entries
    in_time = sorted(copies, key=lambda entry: entry.revision)
    assert [entry.key.rpartition("/")[2] for entry in in_time] == names
    assert counts(shard, cluster) == (40, 40)


async def test_without_a_version_it_takes_the_preferred_one_when_the_resource_is_served(shard: Shard) -> None:
    cluster = await shard.workspace("work")
    await shard.create(cluster, CACHED_RESOURCES, "flavors", spec={"group": "cloud.example.com", "resource": "flavors"})
    await shard.settled()
    assert not shard.need(cluster, CACHED_RESOURCES, "flavors")["spec"].get("version")
    await shard.create(cluster, CRDS, CRD, spec=crd_spec(versions=("v1beta1", "v1")))
    await shard.settled()
    assert shard.need(cluster, CACHED_RESOURCES, "flavors")["spec"]["version"] == "v1"
    assert shard.status(cluster)["phase"] == "Ready"


async def test_of_two_that_would_default_to_one_version_the_older_gets_it(shard: Shard) -> None:
    cluster = await shard.workspace("work")
    for name in ("older", "newer"):
        await shard.create(cluster, CACHED_RESOURCES, name, spec={"group": "cloud.example.com", "resource": "flavors"})
        await shard.settled()
    await shard.create(cluster, CRDS, CRD, spec=crd_spec())
    await shard.settled()
    assert shard.status(cluster, "older")["phase"] == "Ready"
    assert conditions(shard, cluster, "newer")["ResourceValid"] == ("False", "InternalError")
    await shard.flavor(cluster, "small")
    for name in ("newer", "older", "newer"):  # whichever spoke last
        await shard.change(cluster, CACHED_RESOURCES, name, lambda obj: obj["spec"].update(labelSelector=PUBLIC))
        await shard.settled()
        await shard.change(cluster, CACHED_RESOURCES, name, lambda obj: obj["spec"].update(labelSelector={}))
        await shard.settled()
        assert await shard.copies(cluster) == ["small"]
        assert counts(shard, cluster, "older") == (1, 1)
    await shard.delete(cluster, CACHED_RESOURCES, "older")
    await shard.settled()
    assert shard.status(cluster, "newer")["phase"] == "Ready"
    assert await shard.copies(cluster) == ["small"]


async def test_a_rival_without_the_resource_goes_without_taking_the_copies_along(shard: Shard) -> None:
    cluster = await shard.workspace("work")
    for name in ("older", "newer"):
        await shard.create(cluster, CACHED_RESOURCES, name, spec={"group": "cloud.example.com", "resource": "flavors"})
        await shard.settled()
    await shard.create(cluster, CRDS, CRD, spec=crd_spec())
    await shard.settled()
    await shard.flavor(cluster, "small")
    await shard.settled()
    await shard.delete(cluster, CACHED_RESOURCES, "newer")
    await shard.settled()
    assert shard.get(cluster, CACHED_RESOURCES, "newer") is None
    assert await shard.copies(cluster) == ["small"]


async def test_copies_are_in_the_version_that_it_names(shard: Shard) -> None:
    cluster = await shard.workspace("work")
    await shard.create(cluster, CRDS, CRD, spec=crd_spec(versions=("v1", "v2")))
    await shard.settled()
    await shard.cache_flavors(cluster, "one", version="v1")
    await shard.cache_flavors(cluster, "two", version="v2")
    await shard.flavor(cluster, "small")
    await shard.settled()
    keys = await shard.keys("/small", "/cache/")
    versions = {key.split("/")[4]: (await shard.store.get(key)).entry for key in keys}
    assert sorted(versions) == ["v1", "v2"]
    for version, entry in versions.items():
        assert entry is not None
        assert entry.value.startswith(b'{"apiVersion":"cloud.example.com/%b"' % version.encode())
    assert counts(shard, cluster, "one") == counts(shard, cluster, "two") == (1, 1)


async def test_a_namespaced_resource_is_refused_by_its_condition_and_not_copied(shard: Shard) -> None:
    cluster = await shard.workspace("work")
    await shard.cache_flavors(cluster)
    await shard.create(cluster, CRDS, CRD, spec=crd_spec(scope="Namespaced"))
    await shard.settled()
    await shard.create(cluster, FLAVORS, "small", namespace="default")
    await shard.settled()
    assert conditions(shard, cluster)["ResourceValid"] == ("False", "ResourceNotClusterScoped")
    assert shard.status(cluster)["phase"] == "Initializing"
    assert await shard.copies(cluster) == []


async def test_a_resource_from_an_api_binding_is_cached_like_one_from_a_crd(shard: Shard) -> None:
    upstream = await shard.workspace("upstream")
    await shard.create(upstream, SCHEMAS, "v1.flavors.cloud.example.com", spec=schema_spec())
    entry = {
        "group": "cloud.example.com",
        "name": "flavors",
        "schema": "v1.flavors.cloud.example.com",
        "storage": {"crd": {}},
    }
    await shard.create(upstream, EXPORTS, "cloud", spec={"resources": [entry]})
    await shard.settled()
    cluster = await shard.workspace("work")
    await shard.cache_flavors(cluster)
    await shard.bind(cluster, upstream)
    await shard.settled()
    await shard.flavor(cluster, "small")
    await shard.settled()
    assert (shard.status(cluster)["phase"], await shard.copies(cluster)) == ("Ready", ["small"])
    await shard.delete(cluster, BINDINGS, "cloud")
    await shard.settled()
    assert conditions(shard, cluster)["ResourceValid"] == ("False", "NoResources")
    assert await shard.copies(cluster) == []
    assert counts(shard, cluster) == (0, 0)


async def test_no_slice_is_made_where_it_is_declined(shard: Shard) -> None:
    cluster = await shard.workspace("work")
    await shard.create(
        cluster,
        CACHED_RESOURCES,
        "flavors",
        annotations={"cachedresources.cache.kcp.io/skip-endpointslice": ""},
        spec={"group": "cloud.example.com", "version": "v1", "resource": "flavors"},
    )
    await shard.settled()
    assert shard.get(cluster, SLICES, "flavors") is None


async def test_a_deleted_slice_is_made_again(shard: Shard) -> None:
    cluster = await shard.provider()
    await shard.delete(cluster, SLICES, "flavors")
    await shard.settled()
    assert shard.get(cluster, SLICES, "flavors") is not None


# -- losing the resource


async def test_deleting_the_crd_removes_objects_then_copies_and_it_recovers_with_the_crd(shard: Shard) -> None:
    cluster = await shard.provider()
    await shard.flavor(cluster, "small")
    await shard.settled()
    await shard.delete(cluster, CRDS, CRD)
    await shard.settled()
    assert shard.get(cluster, CRDS, CRD) is None
    assert await shard.keys(f"/flavors/{cluster}/") == []
    assert await shard.copies(cluster) == []
    assert conditions(shard, cluster)["ResourceValid"] == ("False", "NoResources")
    assert (shard.status(cluster)["phase"], counts(shard, cluster)) == ("Initializing", (0, 0))
    await shard.create(cluster, CRDS, CRD, spec=crd_spec())
    await shard.settled()
    await shard.flavor(cluster, "large")
    await shard.settled()
    assert await shard.copies(cluster) == ["large"]
    assert (shard.status(cluster)["phase"], conditions(shard, cluster)) == ("Ready", READY)


async def test_a_version_that_is_no_longer_served_is_no_longer_copied(shard: Shard) -> None:
    cluster = await shard.workspace("work")
    await shard.create(cluster, CRDS, CRD, spec=crd_spec(versions=("v1", "v2")))
    await shard.settled()
    await shard.cache_flavors(cluster, version="v2")
    await shard.flavor(cluster, "small")
    await shard.settled()
    assert await shard.copies(cluster) == ["small"]
    await shard.change(cluster, CRDS, CRD, lambda obj: obj["spec"]["versions"][1].update(served=False))
    await shard.settled()
    assert conditions(shard, cluster)["ResourceValid"] == ("False", "NoResources")
    assert await shard.copies(cluster) == []


async def test_a_projected_resource_has_no_originals_to_replicate(shard: Shard) -> None:
    provider, consumer = await shard.provider(), await shard.workspace("consumer")
    await shard.flavor(provider, "small")
    await shard.bind(consumer, provider)
    await shard.settled()
    assert await shard.names(consumer, FLAVORS) == ["small"]
    await shard.cache_flavors(consumer)
    await shard.settled()
    assert shard.status(consumer)["phase"] == "Initializing"
    assert conditions(shard, consumer)["ResourceValid"] == ("False", "NoResources")
    assert await shard.copies(consumer) == []


async def test_a_crds_objects_with_finalizers_are_waited_for(shard: Shard) -> None:
    cluster = await shard.provider()
    await shard.create(cluster, FLAVORS, "held", finalizers=["example.com/hold"])
    await shard.settled()
    await shard.delete(cluster, CRDS, CRD)
    await shard.settled()
    found = shard.need(cluster, CRDS, CRD)
    assert [c["status"] for c in found["status"]["conditions"] if c["type"] == "Terminating"] == ["True"]
    assert await shard.copies(cluster) == ["held"]
    await shard.change(cluster, FLAVORS, "held", lambda obj: obj["metadata"].update(finalizers=[]))
    await shard.settled()
    assert shard.get(cluster, CRDS, CRD) is None
    assert await shard.copies(cluster) == []


# -- identity


async def test_a_missing_secret_stops_everything_and_heals_by_itself(shard: Shard) -> None:
    cluster = await shard.workspace("provider")
    await shard.create(cluster, CRDS, CRD, spec=crd_spec())
    await shard.cache_flavors(cluster, identity={"secretRef": {"name": "late", "namespace": "default"}})
    await shard.settled()
    await shard.flavor(cluster, "small")
    await shard.settled()
    found = shard.condition(cluster, "IdentityValid")
    assert (found["status"], found["reason"]) == ("False", "IdentityVerificationFailed")
    assert "default/late" in found["message"]
    assert await shard.copies(cluster) == []
    await secret(shard, cluster, "late")
    await shard.settled()
    assert shard.status(cluster)["phase"] == "Ready"
    assert shard.status(cluster)["identityHash"] == identity_hash(b"my key")
    assert await shard.copies(cluster) == ["small"]


MINE = {"identity": {"secretRef": {"name": "mine", "namespace": "default"}}}


async def ready_with_secret(shard: Shard) -> str:
    cluster = await shard.workspace("provider")
    await secret(shard, cluster, "mine")
    await shard.create(cluster, CRDS, CRD, spec=crd_spec())
    await shard.cache_flavors(cluster, **MINE)
    await shard.settled()
    await shard.flavor(cluster, "small", cpu=1)
    await shard.settled()
    assert shard.status(cluster)["phase"] == "Ready"
    return cluster


async def test_the_hash_of_a_known_key_is_the_documented_one(shard: Shard) -> None:
    cluster = await shard.workspace("provider")
    await secret(shard, cluster, "mine", "instances-cr-identity-123")
    await shard.cache_flavors(cluster, **MINE)
    await shard.settled()
    documented = "676a1a997f7507fdfcfd1fcf35920efdff1297cd215cad4f486220c30a5c7090"
    assert shard.status(cluster)["identityHash"] == documented


@pytest.mark.parametrize("harm", ["deleted", "edited", "emptied"])
async def test_a_secret_that_no_longer_fits_stops_replication_until_it_fits_again(shard: Shard, harm: str) -> None:
    cluster = await ready_with_secret(shard)
    recorded = shard.status(cluster)["identityHash"]
    if harm == "deleted":
        await shard.delete(cluster, SECRETS, "mine", namespace="default")
    elif harm == "edited":
        await rekey(shard, cluster, "mine", "wrong key")
    else:
        await shard.change(cluster, SECRETS, "mine", lambda obj: obj.update(data={}), namespace="default")
    await shard.settled()
    assert conditions(shard, cluster)["IdentityValid"] == ("False", "IdentityVerificationFailed")
    assert conditions(shard, cluster)["ReplicationStarted"] == ("False", "IdentityVerificationFailed")
    assert shard.status(cluster)["phase"] == "Initializing"
    assert shard.status(cluster)["identityHash"] == recorded
    await shard.flavor(cluster, "unseen")
    await shard.change(cluster, FLAVORS, "small", lambda obj: obj["spec"].update(cpu=9))
    await shard.settled()
    assert await shard.copies(cluster) == ["small"]
    assert b'"cpu":1' in (await shard.store.get(await copy_key(shard, "small"))).entry.value  # type: ignore[union-attr]
    assert counts(shard, cluster) == (2, 1)
    if harm == "deleted":
        await secret(shard, cluster, "mine")
    else:
        await rekey(shard, cluster, "mine", "my key")
    await shard.settled()
    assert (shard.status(cluster)["phase"], conditions(shard, cluster)) == ("Ready", READY)
    assert await shard.copies(cluster) == ["small", "unseen"]
    assert b'"cpu":9' in (await shard.store.get(await copy_key(shard, "small"))).entry.value  # type: ignore[union-attr]


async def test_what_must_no_longer_be_seen_goes_even_while_the_identity_is_broken(shard: Shard) -> None:
    cluster = await ready_with_secret(shard)
    await shard.delete(cluster, SECRETS, "mine", namespace="default")
    await shard.settled()
    await shard.delete(cluster, FLAVORS, "small")
    await shard.settled()
    assert await shard.copies(cluster) == []


async def test_a_reference_moved_to_a_secret_with_the_same_key_is_fine(shard: Shard) -> None:
    cluster = await ready_with_secret(shard)
    await secret(shard, cluster, "moved")

    def move(obj: Object) -> None:
        obj["spec"]["identity"]["secretRef"]["name"] = "moved"

    await shard.change(cluster, CACHED_RESOURCES, "flavors", move)
    await shard.settled()
    assert conditions(shard, cluster) == READY


async def test_a_generated_secret_is_used_again_by_a_new_object_of_the_same_name(shard: Shard) -> None:
    cluster = await shard.provider()
    before = shard.status(cluster)["identityHash"]
    await shard.delete(cluster, CACHED_RESOURCES, "flavors")
    await shard.settled()
    await shard.cache_flavors(cluster)
    await shard.settled()
    assert shard.status(cluster)["identityHash"] == before


async def test_deleting_the_namespace_of_the_generated_secret_is_survived(shard: Shard) -> None:
    cluster = await shard.provider()
    await shard.delete(cluster, NAMESPACES, "kcp-system")
    await shard.settled()
    assert conditions(shard, cluster)["IdentityValid"] == ("False", "IdentityVerificationFailed")


# -- selectors


async def test_only_matching_objects_are_copied_whatever_kind_of_selector_it_is(shard: Shard) -> None:
    cluster = await shard.workspace("provider")
    await shard.create(cluster, CRDS, CRD, spec=crd_spec())
    expressions = [
        {"key": "visibility", "operator": "In", "values": ["public", "partners"]},
        {"key": "retired", "operator": "DoesNotExist"},
    ]
    await shard.cache_flavors(cluster, labelSelector={"matchExpressions": expressions})
    await shard.settled()
    await shard.flavor(cluster, "a", visibility="public")
    await shard.flavor(cluster, "b", visibility="partners")
    await shard.flavor(cluster, "c", visibility="secret")
    await shard.flavor(cluster, "d", visibility="public", retired="yes")
    await shard.flavor(cluster, "e")
    await shard.settled()
    assert await shard.copies(cluster) == ["a", "b"]
    assert counts(shard, cluster) == (2, 2)


async def test_an_object_that_is_relabelled_comes_and_goes(shard: Shard) -> None:
    cluster = await shard.provider(labelSelector=PUBLIC)
    await shard.flavor(cluster, "small")
    await shard.settled()
    assert (await shard.copies(cluster), counts(shard, cluster)) == ([], (0, 0))
    await shard.label(cluster, FLAVORS, "small", visibility="public")
    await shard.settled()
    assert (await shard.copies(cluster), counts(shard, cluster)) == (["small"], (1, 1))
    await shard.label(cluster, FLAVORS, "small", visibility="secret")
    await shard.settled()
    assert (await shard.copies(cluster), counts(shard, cluster)) == ([], (0, 0))


async def test_a_changed_selector_takes_effect_on_what_is_already_there(shard: Shard) -> None:
    cluster = await shard.provider(labelSelector=PUBLIC)
    await shard.flavor(cluster, "a", visibility="public")
    await shard.flavor(cluster, "b", visibility="secret")
    await shard.settled()

    async def select(selector: Object | None) -> list[str]:
        await shard.change(cluster, CACHED_RESOURCES, "flavors", lambda obj: obj["spec"].update(labelSelector=selector))
        await shard.settled()
        assert shard.status(cluster)["phase"] == "Ready"
        found = await shard.copies(cluster)
        assert counts(shard, cluster) == (len(found), len(found))
        return found

    assert await select({"matchLabels": {"visibility": "secret"}}) == ["b"]
    assert await select({"matchExpressions": [{"key": "visibility", "operator": "Exists"}]}) == ["a", "b"]
    assert await select({"matchLabels": {"nobody": "has"}}) == []
    assert await select({}) == ["a", "b"]


# -- following, repairing


async def test_changes_of_spec_labels_and_annotations_reach_the_copy(shard: Shard) -> None:
    cluster = await shard.provider()
    await shard.flavor(cluster, "small", cpu=1)
    await shard.settled()

    def edit(obj: Object) -> None:
        obj["spec"]["cpu"] = 2
        obj["metadata"]["labels"] = {"tier": "gold"}
        obj["metadata"].setdefault("annotations", {})["note"] = "new"

    await shard.change(cluster, FLAVORS, "small", edit)
    await shard.settled()
    entry = (await shard.store.get(await copy_key(shard, "small"))).entry
    assert entry is not None
    for part in (b'"cpu":2', b'"tier":"gold"', b'"note":"new"'):
        assert part in entry.value


async def test_an_object_deleted_and_made_again_is_copied_anew(shard: Shard) -> None:
    cluster = await shard.provider()
    await shard.flavor(cluster, "small")
    await shard.settled()
    await shard.delete(cluster, FLAVORS, "small")
    again = await shard.flavor(cluster, "small")
    await shard.settled()
    entry = (await shard.store.get(await copy_key(shard, "small"))).entry
    assert entry is not None
    assert again["metadata"]["uid"].encode() in entry.value


async def test_an_object_held_by_finalizers_stays_cached_until_it_is_gone(shard: Shard) -> None:
    cluster = await shard.provider()
    await shard.create(cluster, FLAVORS, "small", finalizers=["example.com/hold"])
    await shard.settled()
    await shard.delete(cluster, FLAVORS, "small")
    await shard.settled()
    entry = (await shard.store.get(await copy_key(shard, "small"))).entry
    assert entry is not None
    assert b"deletionTimestamp" in entry.value
    await shard.change(cluster, FLAVORS, "small", lambda obj: obj["metadata"].update(finalizers=[]))
    await shard.settled()
    assert await shard.copies(cluster) == []


async def test_a_copy_that_was_tampered_with_is_repaired(shard: Shard) -> None:
    cluster = await shard.provider()
    await shard.flavor(cluster, "small", cpu=1)
    await shard.settled()
    key = await copy_key(shard, "small")
    good = (await shard.store.get(key)).entry
    assert good is not None
    await shard.store.update(key, good.value.replace(b'"cpu":1', b'"cpu":1000'), expected=good.revision)
    await shard.settled()
    entry = (await shard.store.get(key)).entry
    assert entry is not None
    assert entry.value == good.value


async def test_a_copy_that_was_deleted_comes_back(shard: Shard) -> None:
    cluster = await shard.provider()
    await shard.flavor(cluster, "small")
    await shard.settled()
    await shard.wipe(await copy_key(shard, "small"))
    await shard.settled()
    assert await shard.copies(cluster) == ["small"]
    assert counts(shard, cluster) == (1, 1)


def forged(name: str) -> Object:
    meta = {"name": name, "uid": "forged"}
    return {"apiVersion": "cloud.example.com/v1", "kind": "Flavor", "metadata": meta, "spec": {}}


async def test_copies_without_an_original_are_removed_whatever_they_claim(shard: Shard) -> None:
    cluster = await shard.provider()
    await shard.flavor(cluster, "small")
    await shard.settled()
    prefix = (await copy_key(shard, "small")).removesuffix(f"{cluster}/small")
    other_identity = prefix.rpartition(":")[0] + f":{'0' * 64}/"
    await shard.put_copy(f"{prefix}{cluster}/orphan", forged("orphan"))
    await shard.put_copy(f"{prefix}elsewhere/orphan", forged("orphan"))
    await shard.put_copy(f"{other_identity}{cluster}/small", forged("small"))
    await shard.put_copy(f"/cache/root/cloud.example.com/v9/flavors:abc/{cluster}/small", forged("small"))
    await shard.settled()
    assert await shard.keys("", "/cache/") == [f"{prefix}{cluster}/small"]
    assert counts(shard, cluster) == (1, 1)


async def test_what_was_forged_orphaned_or_lost_while_the_server_was_down_is_put_right_at_the_start(
    shard: Shard,
) -> None:
    cluster = await shard.provider()
    for name in ("a", "b", "c"):
        await shard.flavor(cluster, name, cpu=1)
    await shard.settled()
    key = await copy_key(shard, "a")
    prefix = key.removesuffix("/a")
    before = {name: (await shard.store.get(f"{prefix}/{name}")).entry.value for name in "abc"}  # type: ignore[union-attr]
    await shard.stop()
    await shard.wipe(f"{prefix}/a")
    tampered = (await shard.store.get(f"{prefix}/b")).entry
    assert tampered is not None
    await shard.store.update(f"{prefix}/b", tampered.value.replace(b'"cpu":1', b'"cpu":8'), expected=tampered.revision)
    await shard.put_copy(f"{prefix}/orphan", forged("orphan"))
    await shard.put_copy(f"{prefix.replace('/root/', '/former-name/')}/orphan", forged("orphan"))
    await shard.start()
    await shard.settled()
    after = {entry.key: entry.value for entry in (await shard.store.list("/cache/")).entries}
    assert after == {f"{prefix}/{name}": value for name, value in before.items()}


async def test_a_wiped_cache_is_filled_again_without_a_restart(shard: Shard) -> None:
    cluster, consumer = await shard.provider(), await shard.workspace("consumer")
    for index in range(20):
        await shard.flavor(cluster, f"f{index:02}")
    await shard.bind(consumer, cluster)
    await shard.settled()
    before = await shard.keys("", "/cache/")
    assert len(before) == 21
    await shard.wipe("/cache/")
    await shard.settled()
    assert await shard.keys("", "/cache/") == before
    assert counts(shard, cluster) == (20, 20)
    assert len(await shard.names(consumer, FLAVORS)) == 20
    assert shard.status(cluster)["phase"] == "Ready"


async def test_a_restart_when_nothing_changed_writes_nothing(shard: Shard) -> None:
    cluster, consumer = await shard.provider(labelSelector=PUBLIC), await shard.workspace("consumer")
    await shard.flavor(cluster, "a", visibility="public")
    await shard.flavor(cluster, "b")
    await shard.bind(consumer, cluster)
    await shard.settled()
    before = await shard.store.revision()
    await shard.restart()
    await shard.settled()
    assert await shard.store.revision() == before


# -- one key, many owners


async def test_two_in_one_workspace_with_a_shared_key_each_serve_their_own(shard: Shard) -> None:
    cluster = await shard.workspace("provider")
    await secret(shard, cluster, "mine")
    await shard.create(cluster, CRDS, CRD, spec=crd_spec(versions=("v1", "v2")))
    await shard.settled()
    await shard.cache_flavors(cluster, "one", version="v1", labelSelector=PUBLIC, **MINE)
    await shard.cache_flavors(cluster, "two", version="v2", **MINE)
    await shard.flavor(cluster, "a", visibility="public")
    await shard.flavor(cluster, "b")
    await shard.settled()
    assert shard.status(cluster, "one")["identityHash"] == shard.status(cluster, "two")["identityHash"]
    assert (counts(shard, cluster, "one"), counts(shard, cluster, "two")) == ((1, 1), (2, 2))
    await shard.delete(cluster, CACHED_RESOURCES, "two")
    await shard.settled()
    keys = await shard.keys("", "/cache/")
    assert [key.split("/")[4] for key in keys] == ["v1"]
    assert counts(shard, cluster, "one") == (1, 1)


async def test_two_workspaces_with_a_shared_key_never_see_each_others_objects(shard: Shard) -> None:
    consumers = {}
    for name in ("one", "two"):
        cluster = await shard.workspace(f"provider-{name}")
        await secret(shard, cluster, "mine")
        await shard.create(cluster, CRDS, CRD, spec=crd_spec())
        await shard.cache_flavors(cluster, **MINE)
        await shard.settled()
        await shard.flavor(cluster, f"of-{name}")
        await shard.settled()
        await shard.export_flavors(cluster)
        await shard.settled()
        consumers[name] = await shard.workspace(f"consumer-{name}")
        await shard.bind(consumers[name], cluster)
    await shard.settled()
    for name, consumer in consumers.items():
        assert await shard.names(consumer, FLAVORS) == [f"of-{name}"]
    one = shard.clusters.resolve("root:provider-one")
    assert one is not None
    await shard.delete(one, CACHED_RESOURCES, "flavors")
    await shard.settled()
    assert await shard.names(consumers["two"], FLAVORS) == ["of-two"]
    assert await shard.keys("of-one", "/cache/") == []


# -- the end


@pytest.mark.parametrize(
    "missing", ["nothing", "crd", "secret", "namespace", "cache", "slice", "export", "everything at once"]
)
async def test_deletion_completes_whatever_is_already_gone(shard: Shard, missing: str) -> None:
    cluster, consumer = await shard.provider(), await shard.workspace("consumer")
    for index in range(3):
        await shard.flavor(cluster, f"f{index}")
    await shard.bind(consumer, cluster)
    await shard.settled()
    assert shard.need(cluster, SLICES, "flavors")["status"]["endpoints"]
    everything = missing == "everything at once"
    for controller in shard.controllers if everything else ():
        controller.queue.close()
    if everything or missing == "crd":
        await shard.delete(cluster, CRDS, CRD)
    if everything or missing == "secret":
        await shard.delete(cluster, SECRETS, "flavors", namespace="kcp-system")
    if everything or missing == "namespace":
        await shard.delete(cluster, NAMESPACES, "kcp-system")
    if everything or missing == "cache":
        await shard.wipe("/cache/")
    if everything or missing == "slice":
        await shard.delete(cluster, SLICES, "flavors")
    if everything or missing == "export":
        await shard.delete(cluster, EXPORTS, "cloud")
    await shard.delete(cluster, CACHED_RESOURCES, "flavors")
    if everything:
        await shard.restart()
    await shard.settled()
    assert shard.get(cluster, CACHED_RESOURCES, "flavors") is None
    assert shard.get(cluster, SLICES, "flavors") is None
    assert await shard.keys("", "/cache/") == []


async def test_deletion_without_any_object_waits_only_for_the_records_of_consumers(shard: Shard) -> None:
    cluster, consumer = await shard.provider(), await shard.workspace("consumer")
    await shard.bind(consumer, cluster)
    await shard.settled()
    await shard.delete(cluster, CACHED_RESOURCES, "flavors")
    await shard.settled()
    assert shard.get(cluster, CACHED_RESOURCES, "flavors") is None
    assert await shard.keys("", "/cache/") == []


async def test_copies_of_one_that_vanished_without_its_finalizer_go_too(shard: Shard) -> None:
    cluster = await shard.provider()
    await shard.flavor(cluster, "small")
    await shard.settled()
    await shard.wipe(f"/registry/cache.kcp.io/cachedresources/{cluster}/flavors")
    await shard.settled()
    assert await shard.copies(cluster) == []


async def test_phases_of_deletion_are_deleting_then_deleted(shard: Shard) -> None:
    cluster = await shard.provider()
    await shard.flavor(cluster, "small")
    await shard.settled()
    seen: list[tuple[str, tuple[str, str]]] = []

    def note(event: object) -> None:
        if shard.get(cluster, CACHED_RESOURCES, "flavors") is not None:
            seen.append((shard.status(cluster)["phase"], conditions(shard, cluster)["ResourceValid"]))

    shard.env.on_event("cache.kcp.io", "cachedresources", note)
    await shard.delete(cluster, CACHED_RESOURCES, "flavors")
    await shard.settled()
    phases = list(dict.fromkeys(phase for phase, _ in seen))
    assert phases == ["Ready", "Deleting", "Deleted"]
    assert {valid for phase, valid in seen if phase != "Ready"} == {("False", "Deleting")}


async def test_others_finalizers_are_waited_for_with_the_copies_already_gone(shard: Shard) -> None:
    cluster = await shard.provider()
    await shard.flavor(cluster, "small")
    await shard.change(
        cluster, CACHED_RESOURCES, "flavors", lambda obj: obj["metadata"]["finalizers"].append("example.com/hold")
    )
    await shard.delete(cluster, CACHED_RESOURCES, "flavors")
    await shard.settled()
    found = shard.need(cluster, CACHED_RESOURCES, "flavors")
    assert found["metadata"]["finalizers"] == ["example.com/hold"]
    assert found["status"]["phase"] == "Deleted"
    assert await shard.copies(cluster) == []


async def test_deleting_the_providers_workspace_purges_the_cache(shard: Shard) -> None:
    cluster, consumer = await shard.provider(), await shard.workspace("consumer")
    await shard.flavor(cluster, "small")
    await shard.bind(consumer, cluster)
    await shard.settled()
    await shard.delete("root", WORKSPACES, "provider")
    await shard.settled()
    assert await shard.keys("", "/cache/") == []
    assert await shard.keys(f"/{cluster}/") == []


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8, 13, 21, 34, 55])
async def test_deletion_interrupted_by_a_crash_is_completed(shard: Shard, turns: int) -> None:
    cluster, consumer = await shard.provider(), await shard.workspace("consumer")
    for index in range(30):
        await shard.flavor(cluster, f"f{index}")
    await shard.bind(consumer, cluster)
    await shard.settled()
    await shard.delete(cluster, CACHED_RESOURCES, "flavors")
    for _ in range(3):  # crashes come in rows
        for _ in range(turns):
            await asyncio.sleep(0)
        await shard.restart()
    await shard.settled()
    assert shard.get(cluster, CACHED_RESOURCES, "flavors") is None
    assert await shard.keys("", "/cache/") == []
