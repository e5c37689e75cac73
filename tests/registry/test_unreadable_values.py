"""A stored value that is no object: it fails, alone, and says so."""

import pytest
from registry_world import CLUSTER, CONFIG_MAPS, FREE, World

from kcpcache.meta.errors import ExpiredError, InternalError, NotFoundError
from kcpcache.registry.view import DeleteOptions, ListOptions, WriteOptions
from kcpcache.storage.memory import MemoryStore

PREFIX = f"/registry/core/configmaps/{CLUSTER}/default/"


def config_map(name):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}}


@pytest.fixture
async def world():
    found = World(MemoryStore())
    await found.caches.start()
    await found.create(config_map("whole"), CONFIG_MAPS)
    await found.store.create(f"{PREFIX}damaged", b"kcpcache:enc:what is this")
    yield found
    await found.caches.close()


async def test_reading_updating_or_deleting_it_is_an_internal_error_that_names_it(world):
    view = world.view(CONFIG_MAPS)
    with pytest.raises(InternalError, match='configmaps "damaged" cannot be read'):
        await view.get("default", "damaged")
    with pytest.raises(InternalError, match='configmaps "damaged" cannot be read'):
        await view.update("default", "damaged", lambda _: config_map("damaged"), WriteOptions(), FREE)
    with pytest.raises(InternalError, match='configmaps "damaged" cannot be read'):
        await view.delete("default", "damaged", DeleteOptions(), FREE)


async def test_everything_else_goes_on_without_it(world):
    view = world.view(CONFIG_MAPS)
    assert (await view.get("default", "whole")).object()["metadata"]["name"] == "whole"
    await world.create(config_map("new"), CONFIG_MAPS)
    listing = await view.list(ListOptions(namespace="default"))
    assert [item.name for segment in listing.segments for item in segment.entries] == ["new", "whole"]
    assert listing.unreadable == 1
    assert (await view.list(ListOptions(namespace="other"))).unreadable == 0
    assert (await world.view(CONFIG_MAPS, cluster="other").list(ListOptions())).unreadable == 0
    with pytest.raises(NotFoundError):
        await view.get("default", "none")


async def test_a_list_of_the_past_leaves_it_out_and_a_watch_from_before_it_begins_anew(world):
    revision = await world.store.revision()
    await world.create(config_map("new"), CONFIG_MAPS)
    view = world.view(CONFIG_MAPS)
    options = ListOptions(namespace="default", resource_version=str(revision), resource_version_match="Exact")
    listing = await view.list(options)
    assert [item.name for segment in listing.segments for item in segment.entries] == ["whole"]
    world.cache(CONFIG_MAPS).forget(world.caches.revision)
    with pytest.raises(ExpiredError):
        await view.watch(ListOptions(namespace="default", resource_version=str(revision - 1)))


async def test_once_it_is_gone_its_name_is_free(world):
    entry = (await world.store.get(f"{PREFIX}damaged")).entry
    await world.store.delete(f"{PREFIX}damaged", expected=entry.revision)
    await world.caches.fresh()
    await world.create(config_map("damaged"), CONFIG_MAPS)
    assert (await world.view(CONFIG_MAPS).get("default", "damaged")).object()["metadata"]["name"] == "damaged"
