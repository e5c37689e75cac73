"""Carrying out plans, over the real store and caches."""

import asyncio

import pytest
from shard_world import BINDINGS, CONFIG_MAPS, CRDS, EXPORTS, FLAVORS, WORKSPACES, Shard, crd_spec

from kcpcache.meta.errors import ServiceUnavailableError, StatusError
from kcpcache.meta.names import GroupVersionResource
from kcpcache.meta.objects import Object, copy
from kcpcache.reconcilers.plan import CacheTarget, Change, Create, Delete, Plan, Target, Update, UpdateStatus
from kcpcache.storage.store import Revision

COPY = CacheTarget("root", FLAVORS, "hash", "provider", "small")
COPY_KEY = "/cache/root/cloud.example.com/v1/flavors:hash/provider/small"
SETTINGS = Target(CONFIG_MAPS, "root", "settings", "default")


def settings(value: str = "1", **metadata: object) -> Object:
    meta = {"name": "settings", "namespace": "default", **metadata}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"value": value}}


def flavor(cpu: int = 1, **metadata: object) -> Object:
    meta = {"name": "small", "uid": "u", **metadata}
    return {"apiVersion": "cloud.example.com/v1", "kind": "Flavor", "metadata": meta, "spec": {"cpu": cpu}}


async def made(shard: Shard, *changes: object) -> None:
    await shard.env.apply(Plan(tuple(changes)))  # type: ignore[arg-type]


async def stored(shard: Shard, key: str = COPY_KEY) -> int | None:
    entry = (await shard.store.get(key)).entry
    return None if entry is None else entry.revision


async def test_create_makes_the_object_and_the_caches_show_it_at_once(shard: Shard) -> None:
    await made(shard, Create(SETTINGS, settings()))
    found = shard.need("root", CONFIG_MAPS, "settings", "default")
    assert found["data"] == {"value": "1"}
    assert found["metadata"]["uid"]


async def test_creating_what_exists_is_a_conflict_for_the_controller(shard: Shard) -> None:
    await made(shard, Create(SETTINGS, settings()))
    with pytest.raises(StatusError) as caught:
        await made(shard, Create(SETTINGS, settings("2")))
    assert caught.value.reason == "AlreadyExists"
    assert shard.need("root", CONFIG_MAPS, "settings", "default")["data"] == {"value": "1"}


async def test_update_writes_over_the_version_that_was_decided_on(shard: Shard) -> None:
    old = await shard.create("root", CONFIG_MAPS, "settings", namespace="default", data={"value": "1"})
    await made(shard, Update(SETTINGS, {**old, "data": {"value": "2"}}))
    assert shard.need("root", CONFIG_MAPS, "settings", "default")["data"] == {"value": "2"}
    with pytest.raises(StatusError) as caught:
        await made(shard, Update(SETTINGS, {**old, "data": {"value": "3"}}))
    assert caught.value.reason == "Conflict"
    assert shard.need("root", CONFIG_MAPS, "settings", "default")["data"] == {"value": "2"}


async def test_update_of_what_is_gone_is_not_found(shard: Shard) -> None:
    old = await shard.create("root", CONFIG_MAPS, "settings", namespace="default")
    await shard.delete("root", CONFIG_MAPS, "settings", namespace="default")
    with pytest.raises(StatusError) as caught:
        await made(shard, Update(SETTINGS, old))
    assert caught.value.reason == "NotFound"


async def test_update_status_writes_nothing_but_the_status(shard: Shard) -> None:
    old = shard.need("root", EXPORTS, "tenancy.kcp.io")
    wanted = copy(old)
    wanted["spec"]["resources"] = []
    wanted["status"]["conditions"] = []
    await made(shard, UpdateStatus(Target(EXPORTS, "root", "tenancy.kcp.io"), wanted))
    new = shard.need("root", EXPORTS, "tenancy.kcp.io")
    assert new["spec"] == old["spec"]
    assert new["status"] != old["status"]


async def test_update_leaves_the_status_alone(shard: Shard) -> None:
    old = shard.need("root", EXPORTS, "tenancy.kcp.io")
    wanted = copy(old)
    wanted["metadata"].setdefault("labels", {})["a"] = "b"
    wanted["status"] = {}
    await made(shard, Update(Target(EXPORTS, "root", "tenancy.kcp.io"), wanted))
    new = shard.need("root", EXPORTS, "tenancy.kcp.io")
    assert new["metadata"]["labels"] == {"a": "b"}
    assert new["status"] == old["status"]


async def test_delete_removes_the_version_that_was_decided_on_and_no_other(shard: Shard) -> None:
    old = await shard.create("root", CONFIG_MAPS, "settings", namespace="default")
    await shard.change(
        "root", CONFIG_MAPS, "settings", lambda obj: obj.update(data={"value": "2"}), namespace="default"
    )
    with pytest.raises(StatusError) as caught:
        await made(shard, Delete(SETTINGS, old["metadata"]["resourceVersion"]))
    assert caught.value.reason == "Conflict"
    new = shard.need("root", CONFIG_MAPS, "settings", "default")
    await made(shard, Delete(SETTINGS, new["metadata"]["resourceVersion"]))
    assert shard.get("root", CONFIG_MAPS, "settings", "default") is None


async def test_deleting_what_is_gone_already_is_success(shard: Shard) -> None:
    await made(shard, Delete(SETTINGS, "1"))


@pytest.mark.parametrize(
    ("policy", "finalizers"),
    [("Foreground", ["example.com/hold", "foregroundDeletion"]), ("Background", ["example.com/hold"])],
)
async def test_delete_respects_finalizers_and_passes_the_policy_on(
    shard: Shard, policy: str, finalizers: list[str]
) -> None:
    old = await shard.create(
        "root", CONFIG_MAPS, "settings", namespace="default", finalizers=["example.com/hold"]
    )  # fmt: skip
    await made(shard, Delete(SETTINGS, old["metadata"]["resourceVersion"], policy))
    found = shard.need("root", CONFIG_MAPS, "settings", "default")
    assert found["metadata"]["deletionTimestamp"]
    assert found["metadata"]["finalizers"] == finalizers


async def test_the_first_change_that_fails_ends_the_plan(shard: Shard) -> None:
    other = Target(CONFIG_MAPS, "root", "other", "default")
    third = Target(CONFIG_MAPS, "root", "third", "default")
    await shard.create("root", CONFIG_MAPS, "settings", namespace="default")
    with pytest.raises(StatusError):
        await made(
            shard,
            Create(other, settings(name="other")),
            Create(SETTINGS, settings()),
            Create(third, settings(name="third")),
        )
    assert shard.get("root", CONFIG_MAPS, "other", "default") is not None
    assert shard.get("root", CONFIG_MAPS, "third", "default") is None


async def test_deletes_that_follow_each_other_are_under_way_at_the_same_time(
    shard: Shard, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"c{number}" for number in range(25)]
    objects = [await shard.create("root", CONFIG_MAPS, name, namespace="default") for name in names]
    delete, under_way, most = shard.store.delete, 0, 0

    async def counting(key: str, *, expected: Revision) -> Revision:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(1)
        under_way -= 1
        return await delete(key, expected=expected)

    monkeypatch.setattr(shard.store, "delete", counting)
    targets = [Target(CONFIG_MAPS, "root", name, "default") for name in names]
    versions = [obj["metadata"]["resourceVersion"] for obj in objects]
    await made(shard, *map(Delete, targets, versions))
    assert 1 < most < len(names)
    assert not any(shard.get("root", CONFIG_MAPS, name, "default") for name in names)


async def test_a_delete_that_fails_keeps_none_beside_it_from_happening_and_ends_the_plan(shard: Shard) -> None:
    old = await shard.create("root", CONFIG_MAPS, "settings", namespace="default")
    other = Target(CONFIG_MAPS, "root", "other", "default")
    third = Target(CONFIG_MAPS, "root", "third", "default")
    await shard.create("root", CONFIG_MAPS, "other", namespace="default")
    with pytest.raises(StatusError) as caught:
        await made(
            shard,
            Delete(other, "1"),
            Delete(SETTINGS, old["metadata"]["resourceVersion"]),
            Create(third, settings(name="third")),
        )
    assert caught.value.reason == "Conflict"
    assert shard.get("root", CONFIG_MAPS, "settings", "default") is None
    assert shard.get("root", CONFIG_MAPS, "third", "default") is None


async def test_a_resource_that_the_workspace_does_not_serve_is_not_found(shard: Shard) -> None:
    with pytest.raises(StatusError) as caught:
        await made(shard, Create(Target(FLAVORS, "root", "small"), flavor()))
    assert caught.value.reason == "NotFound"
    with pytest.raises(StatusError) as caught:
        await made(shard, Create(Target(GroupVersionResource("", "v9", "configmaps"), "root", "x", "default"), {}))
    assert caught.value.reason == "NotFound"


async def test_bound_kcp_types_are_written_where_no_binding_serves_them(shard: Shard) -> None:
    cluster = await shard.workspace("work")
    for binding in await shard.names(cluster, BINDINGS):
        await shard.delete(cluster, BINDINGS, binding)
    await shard.settled()
    target = Target(WORKSPACES, cluster, "child")
    await made(shard, Create(target, {"metadata": {"name": "child"}, "spec": {"type": {"name": "x", "path": "root"}}}))
    assert shard.get(cluster, WORKSPACES, "child") is not None


async def test_objects_of_custom_resources_are_written_through_their_definition(shard: Shard) -> None:
    cluster = await shard.workspace("work")
    await shard.create(cluster, CRDS, "flavors.cloud.example.com", spec=crd_spec())
    await shard.settled()
    await made(shard, Create(Target(FLAVORS, cluster, "small"), flavor()))
    assert await shard.names(cluster, FLAVORS) == ["small"]


async def test_a_plan_never_changes_the_objects_that_it_is_made_of(shard: Shard) -> None:
    created, shared = settings(), None
    before = copy(created)
    await made(shard, Create(SETTINGS, created))
    assert created == before
    shared = shard.need("root", CONFIG_MAPS, "settings", "default")
    before = copy(shared)
    await made(shard, Update(SETTINGS, {**shared, "data": {"value": "2"}}))
    assert shared == before
    export = shard.need("root", EXPORTS, "tenancy.kcp.io")
    before = copy(export)
    await made(shard, UpdateStatus(Target(EXPORTS, "root", "tenancy.kcp.io"), {**export, "status": {}}))
    assert export == before


# -- the cache store


async def test_a_copy_is_created_updated_and_deleted_at_its_key(shard: Shard) -> None:
    shard.cache_side.controllers[-1].queue.close()  # replication would tidy up
    await made(shard, Create(COPY, flavor()))
    first = await stored(shard)
    assert shard.caches.revision == first
    await made(shard, Update(COPY, flavor(2, resourceVersion=str(first))))
    second = await stored(shard)
    assert second != first
    await made(shard, Delete(COPY, str(second)))
    assert await stored(shard) is None


async def test_a_copy_that_somebody_else_changed_is_a_conflict(shard: Shard) -> None:
    shard.cache_side.controllers[-1].queue.close()
    await made(shard, Create(COPY, flavor()))
    first = await stored(shard)
    await made(shard, Update(COPY, flavor(2, resourceVersion=str(first))))
    for change, reason in (
        (Create(COPY, flavor()), "AlreadyExists"),
        (Update(COPY, flavor(3, resourceVersion=str(first))), "Conflict"),
        (Delete(COPY, str(first)), "Conflict"),
    ):
        with pytest.raises(StatusError) as caught:
            await made(shard, change)
        assert caught.value.reason == reason


async def test_deleting_a_copy_that_is_gone_is_success_and_updating_it_is_a_conflict(shard: Shard) -> None:
    await made(shard, Delete(COPY, "1"))
    with pytest.raises(StatusError) as caught:
        await made(shard, Update(COPY, flavor(resourceVersion="1")))
    assert caught.value.reason == "Conflict"


@pytest.mark.parametrize(
    "broken",
    [
        Create(COPY._replace(name="broken"), flavor(2**70)),
        Update(COPY._replace(name="broken"), flavor(resourceVersion="newest")),
        Create(COPY._replace(name="no/name"), flavor()),
        Delete(COPY._replace(name="\ud800"), "1"),
    ],
    ids=["no encoding", "no revision", "no key", "no UTF-8"],
)
async def test_a_copy_that_cannot_be_written_keeps_none_of_the_others_back(shard: Shard, broken: Change) -> None:
    """Each of many plans that are applied together ends by itself: only this one is told of, and tried again."""
    shard.cache_side.controllers[-1].queue.close()
    names = ("a", "b", "c")
    plans = [Plan((Create(COPY._replace(name=name), flavor(name=name)),)) for name in names]
    failures = await shard.env.apply.apply_each([*plans[:1], Plan((broken,)), *plans[1:]])
    assert [type(failure) for failure in failures] == [type(None), type(failures[1]), type(None), type(None)]
    assert isinstance(failures[1], TypeError | ValueError)
    assert all([await stored(shard, COPY_KEY.replace("small", name)) for name in names])
    assert await shard.env.apply.apply_each([]) == []


async def test_a_store_that_takes_no_writes_is_service_unavailable(shard: Shard) -> None:
    await shard.store.close()
    with pytest.raises(ServiceUnavailableError, match="did not take the write"):
        await made(shard, Create(COPY, flavor()))
