"""The cache server's lists and watches over random histories of several shards, identities and clusters (P4, P6)."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kcpcache.meta.names import GroupVersionResource
from kcpcache.meta.selectors import parse_label_selector
from kcpcache.registry.caches import Caches
from kcpcache.registry.entry import encode
from kcpcache.registry.view import Bookmark, ListOptions, Watch
from kcpcache.storage.keys import cache_prefix, object_key
from kcpcache.storage.memory import MemoryStore
from kcpcache.virtual.cache_server import CacheIndex, Place, definition_of_copies
from kcpcache.virtual.cache_views import CopiesView

FLAVORS = GroupVersionResource("cloud.example.com", "v1", "flavors")
NOW = datetime(2030, 1, 1, tzinfo=UTC)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["east", "west"]),
        st.sampled_from(["id1", "id2"]),
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(["red", "blue", None]),
    ),
    max_size=25,
)
PLACES = st.sampled_from([Place(shard, FLAVORS, identity) for shard in ("*", "east") for identity in ("", "id1")])

State = dict[tuple[str, str], str]


class History:
    """A store, its caches, and the index; a step puts (with a colour) or deletes (None) one copy."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.caches = Caches(self.store)

    async def step(self, shard: str, identity: str, name: str, colour: str | None) -> None:
        """Each shard and identity has a logical cluster of its own."""
        prefix = cache_prefix(shard, *FLAVORS, identity)
        key = object_key(prefix, f"{shard}{identity}", name)
        found = (await self.store.get(key)).entry
        meta = {"name": name, "uid": key, "labels": {"colour": colour}, "annotations": {"kcp.io/shard": shard}}
        value = encode({"apiVersion": "cloud.example.com/v1", "kind": "Flavor", "metadata": meta})
        if colour is None:
            if found is not None:
                await self.store.delete(key, expected=found.revision)
        elif found is None:
            await self.store.create(key, value)
        else:
            await self.store.update(key, value, expected=found.revision)


def view(index: CacheIndex, place: Place) -> CopiesView:
    definition = definition_of_copies(FLAVORS, "Flavor")
    return CopiesView(index, place, definition, definition.versions[0], "*", lambda: NOW)


async def listed(of: CopiesView, options: ListOptions) -> State:
    found = await of.list(options)
    return {(item.entry.cluster, item.entry.name): item.entry.labels["colour"] for item in found.items()}


async def drained(watch: Watch, state: State, *, ordered: bool = True) -> State:
    """``state`` after all that the watch has to say; every event must be possible in it, and come in its order."""
    at = 0
    while events := await watch.next(0):
        for event in events:
            if isinstance(event, Bookmark):
                continue
            key = (event.item.entry.cluster, event.item.entry.name)
            assert not ordered or event.item.entry.revision > at
            at = event.item.entry.revision
            assert (event.type == "ADDED") == (key not in state), (event.type, key)
            if event.type == "DELETED":
                del state[key]
            else:
                state[key] = event.item.entry.labels["colour"]
    return state


@given(steps=STEPS, place=PLACES, selector=st.sampled_from(["", "colour=red"]), data=st.data())
@settings(max_examples=60)
def test_what_a_watch_tells_leads_from_any_list_to_the_next(
    steps: list[tuple[str, str, str, str | None]], place: Place, selector: str, data: Any
) -> None:
    async def story() -> None:
        history = History()
        await history.store.create("/first", b"")
        await history.caches.start()
        index = CacheIndex(history.caches)
        labels = parse_label_selector(selector)
        moment = data.draw(st.integers(0, len(steps)))
        for step in steps[:moment]:
            await history.step(*step)
        first = await view(index, place).list(ListOptions(label_selector=labels))
        before = {(item.entry.cluster, item.entry.name): item.entry.labels["colour"] for item in first.items()}
        opened = await view(index, place).watch(
            ListOptions(label_selector=labels, resource_version=str(first.revision))
        )
        for step in steps[moment:]:
            await history.step(*step)
        after = await listed(view(index, place), ListOptions(label_selector=labels))
        assert await drained(opened, dict(before)) == after
        resumed = await view(index, place).watch(
            ListOptions(label_selector=labels, resource_version=str(first.revision))
        )
        assert await drained(resumed, dict(before)) == after
        fresh = await view(index, place).watch(ListOptions(label_selector=labels))
        assert await drained(fresh, {}, ordered=False) == after
        await history.caches.close()

    asyncio.run(story())


@given(steps=STEPS, place=PLACES, limit=st.integers(1, 4), data=st.data())
@settings(max_examples=40)
def test_pages_are_of_one_snapshot_whatever_happens_between_them(
    steps: list[tuple[str, str, str, str | None]], place: Place, limit: int, data: Any
) -> None:
    async def story() -> None:
        history = History()
        await history.store.create("/first", b"")
        await history.caches.start()
        index = CacheIndex(history.caches)
        moment = data.draw(st.integers(0, len(steps)))
        for step in steps[:moment]:
            await history.step(*step)
        whole = await listed(view(index, place), ListOptions())
        page = await view(index, place).list(ListOptions(limit=limit))
        found = list(page.items())
        for step in steps[moment:]:
            await history.step(*step)
        while page.continue_token:
            page = await view(index, place).list(ListOptions(limit=limit, continue_token=page.continue_token))
            found += page.items()
        assert len(found) == len(whole)
        assert {(item.entry.cluster, item.entry.name): item.entry.labels["colour"] for item in found} == whole
        await history.caches.close()

    asyncio.run(story())
