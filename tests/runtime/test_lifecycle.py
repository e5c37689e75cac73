"""Namespaces and garbage, over the real store and caches."""

import pytest
from shard_world import CONFIG_MAPS, NAMESPACES, SERVICE_ACCOUNTS, WORKSPACES, Shard

from kcpcache.meta.objects import Object


@pytest.fixture
async def cluster(shard: Shard) -> str:
    return await shard.workspace("work")


def owned_by(owner: Object, *, block: bool = True, kind: str = "ConfigMap") -> list[Object]:
    meta = owner["metadata"]
    reference = {"apiVersion": "v1", "kind": kind, "name": meta["name"], "uid": meta["uid"]}
    return [{**reference, "blockOwnerDeletion": block}]


async def config_map(shard: Shard, cluster: str, name: str, owner: Object | None = None, **more: object) -> Object:
    owners = {"ownerReferences": owned_by(owner)} if owner else {}
    return await shard.create(cluster, CONFIG_MAPS, name, namespace="default", **owners, **more)


async def left(shard: Shard, cluster: str) -> list[str]:
    return sorted(key.rpartition("/")[2] for key in await shard.keys(f"/configmaps/{cluster}/"))


async def test_a_namespace_goes_after_everything_in_it(shard: Shard, cluster: str) -> None:
    await shard.create(cluster, NAMESPACES, "team")
    for index in range(450):  # more than two batches
        await shard.create(cluster, CONFIG_MAPS, f"c{index}", namespace="team")
    await config_map(shard, cluster, "elsewhere")
    await shard.delete(cluster, NAMESPACES, "team")
    await shard.settled()
    assert shard.get(cluster, NAMESPACES, "team") is None
    assert await left(shard, cluster) == ["elsewhere"]


async def test_every_namespace_has_a_default_service_account(shard: Shard, cluster: str) -> None:
    await shard.create(cluster, NAMESPACES, "team")
    await shard.settled()
    for workspace, namespace in (("root", "kcp-system"), (cluster, "default"), (cluster, "team")):
        found = shard.need(workspace, SERVICE_ACCOUNTS, "default", namespace)
        assert "managedFields" not in found["metadata"]


async def test_a_default_service_account_that_is_deleted_comes_again(shard: Shard, cluster: str) -> None:
    await shard.settled()
    before = shard.need(cluster, SERVICE_ACCOUNTS, "default", "default")
    await shard.delete(cluster, SERVICE_ACCOUNTS, "default", namespace="default")
    await shard.settled()
    assert shard.need(cluster, SERVICE_ACCOUNTS, "default", "default")["metadata"]["uid"] != before["metadata"]["uid"]


async def test_namespaces_of_before_get_their_service_accounts_at_the_start(shard: Shard, cluster: str) -> None:
    await shard.settled()
    for controller in shard.controllers:
        controller.queue.close()  # as a version that knew nothing of them
    await shard.delete(cluster, SERVICE_ACCOUNTS, "default", namespace="default")
    await shard.restart()
    await shard.settled()
    assert shard.get(cluster, SERVICE_ACCOUNTS, "default", "default")


async def test_a_workspace_that_is_being_deleted_gets_no_service_account_again(shard: Shard, cluster: str) -> None:
    await shard.create(cluster, CONFIG_MAPS, "held", namespace="default", finalizers=["example.com/hold"])
    await shard.settled()
    await shard.delete("root", WORKSPACES, "work")
    await shard.settled()
    assert shard.get(cluster, SERVICE_ACCOUNTS, "default", "default") is None


async def test_a_namespace_waits_for_finalizers_and_says_so(shard: Shard, cluster: str) -> None:
    await shard.create(cluster, NAMESPACES, "team")
    await shard.create(cluster, CONFIG_MAPS, "held", namespace="team", finalizers=["example.com/hold"])
    await shard.delete(cluster, NAMESPACES, "team")
    await shard.settled()
    status = shard.need(cluster, NAMESPACES, "team")["status"]
    assert status["phase"] == "Terminating"
    messages = [condition["message"] for condition in status["conditions"] if condition["status"] == "True"]
    assert any("example.com/hold in 1 resource instances" in message for message in messages)
    await shard.change(
        cluster, CONFIG_MAPS, "held", lambda obj: obj["metadata"].update(finalizers=[]), namespace="team"
    )
    await shard.settled()
    assert shard.get(cluster, NAMESPACES, "team") is None


async def test_a_users_own_finalizer_in_a_namespaces_spec_is_waited_for(shard: Shard, cluster: str) -> None:
    await shard.create(cluster, NAMESPACES, "team", spec={"finalizers": ["kubernetes", "example.com/hold"]})
    await shard.delete(cluster, NAMESPACES, "team")
    await shard.settled()
    assert shard.need(cluster, NAMESPACES, "team")["spec"]["finalizers"] == ["example.com/hold"]
    await shard.change(
        cluster, NAMESPACES, "team", lambda obj: obj["spec"].update(finalizers=[]), subresource="finalize"
    )
    await shard.settled()
    assert shard.get(cluster, NAMESPACES, "team") is None


async def test_background_deletion_takes_dependents_of_dependents_too(shard: Shard, cluster: str) -> None:
    owner = await config_map(shard, cluster, "owner")
    child = await config_map(shard, cluster, "child", owner)
    await config_map(shard, cluster, "grandchild", child)
    await config_map(shard, cluster, "stranger")
    await shard.delete(cluster, CONFIG_MAPS, "owner", namespace="default", policy="Background")
    await shard.settled()
    assert await left(shard, cluster) == ["stranger"]


async def test_foreground_deletion_keeps_the_owner_until_those_that_block_it_are_gone(
    shard: Shard, cluster: str
) -> None:
    owner = await config_map(shard, cluster, "owner")
    await config_map(shard, cluster, "blocking", owner, finalizers=["example.com/hold"])
    await config_map(shard, cluster, "free", owner)
    await shard.delete(cluster, CONFIG_MAPS, "owner", namespace="default", policy="Foreground")
    await shard.settled()
    assert await left(shard, cluster) == ["blocking", "owner"]
    await shard.change(
        cluster, CONFIG_MAPS, "blocking", lambda obj: obj["metadata"].update(finalizers=[]), namespace="default"
    )
    await shard.settled()
    assert await left(shard, cluster) == []


async def test_orphaning_deletion_detaches_the_dependents(shard: Shard, cluster: str) -> None:
    owner = await config_map(shard, cluster, "owner")
    for index in range(3):
        await config_map(shard, cluster, f"child{index}", owner)
    await shard.delete(cluster, CONFIG_MAPS, "owner", namespace="default", policy="Orphan")
    await shard.settled()
    assert await left(shard, cluster) == ["child0", "child1", "child2"]
    child = shard.need(cluster, CONFIG_MAPS, "child0", "default")
    assert not child["metadata"].get("ownerReferences")


async def test_an_object_whose_owner_never_existed_goes(shard: Shard, cluster: str) -> None:
    ghost = {"metadata": {"name": "ghost", "uid": "00000000-0000-0000-0000-000000000000"}}
    await config_map(shard, cluster, "child", ghost)
    await shard.settled()
    assert await left(shard, cluster) == []


async def test_an_owner_of_a_kind_that_is_not_served_counts_as_present(shard: Shard, cluster: str) -> None:
    ghost = {"metadata": {"name": "ghost", "uid": "00000000-0000-0000-0000-000000000000"}}
    await shard.create(
        cluster, CONFIG_MAPS, "child", namespace="default", ownerReferences=owned_by(ghost, kind="Unknown")
    )
    await shard.settled()
    assert await left(shard, cluster) == ["child"]


async def test_one_of_two_owners_going_leaves_the_object_with_the_other(shard: Shard, cluster: str) -> None:
    one, other = await config_map(shard, cluster, "one"), await config_map(shard, cluster, "other")
    await shard.create(
        cluster, CONFIG_MAPS, "child", namespace="default", ownerReferences=[*owned_by(one), *owned_by(other)]
    )
    await shard.delete(cluster, CONFIG_MAPS, "one", namespace="default")
    await shard.settled()
    references = shard.need(cluster, CONFIG_MAPS, "child", "default")["metadata"]["ownerReferences"]
    assert [reference["name"] for reference in references] == ["other"]


async def test_an_owner_in_another_workspace_is_no_owner(shard: Shard, cluster: str) -> None:
    elsewhere = await shard.workspace("elsewhere")
    owner = await config_map(shard, elsewhere, "owner")
    await config_map(shard, cluster, "child", owner)
    await shard.settled()
    assert await left(shard, cluster) == []
    assert await left(shard, elsewhere) == ["owner"]


async def test_what_was_orphaned_by_a_crash_is_collected_after_the_restart(shard: Shard, cluster: str) -> None:
    owner = await config_map(shard, cluster, "owner")
    await config_map(shard, cluster, "child", owner)
    await shard.settled()
    for controller in shard.controllers:
        controller.queue.close()  # nothing more is done in this process
    await shard.delete(cluster, CONFIG_MAPS, "owner", namespace="default", policy="Background")
    assert await left(shard, cluster) == ["child"]
    await shard.restart()
    await shard.settled()
    assert await left(shard, cluster) == []


async def test_namespace_deletion_goes_on_after_a_restart(shard: Shard, cluster: str) -> None:
    await shard.create(cluster, NAMESPACES, "team")
    await shard.create(cluster, CONFIG_MAPS, "settings", namespace="team")
    for controller in shard.controllers:
        controller.queue.close()
    await shard.delete(cluster, NAMESPACES, "team")
    await shard.restart()
    await shard.settled()
    assert shard.get(cluster, NAMESPACES, "team") is None
    assert await left(shard, cluster) == []
