"""Many watches that see the same are told it by the same list; what a watch is told does not depend on it (P4)."""

import gc
from itertools import zip_longest

import pytest
from hypothesis import given
from hypothesis import strategies as st
from registry_world import CLUSTER, THINGS, opened, pending, seen, thing

from kcpcache.meta.selectors import parse_label_selector
from kcpcache.registry import cache_watch
from kcpcache.registry.cache_watch import FEWEST_ALIKE, Batch

OTHER = f"{CLUSTER}-b"


async def test_where_many_watch_each_gets_the_same_list():
    async with opened() as world:
        watches = [await world.watch() for _ in range(FEWEST_ALIKE)]
        await world.create(thing("a"))
        await world.create(thing("b"))
        first, *others = [await live.next(1) for live in watches]
        assert [event.item.entry.name for event in first] == ["a", "b"]
        assert all(other is first for other in others)


async def test_where_few_watch_each_gets_its_own():
    async with opened() as world:
        watches = [await world.watch() for _ in range(FEWEST_ALIKE - 1)]
        await world.create(thing("a"))
        told = [await live.next(1) for live in watches]
        assert not any(isinstance(events, Batch) for events in told)


async def test_a_selector_a_namespace_another_scope_or_another_beginning_make_another_list():
    async with opened() as world:
        alike = [await world.watch() for _ in range(FEWEST_ALIKE)]
        selecting = await world.watch(label_selector=parse_label_selector("on=1"))
        within = await world.watch(namespace="elsewhere")
        everywhere = await world.watch(cluster="*")
        await world.create(thing("a"))
        await alike[0].next(1)
        await world.create(thing("b"))
        late, whole = await alike[0].next(1), await alike[1].next(1)
        assert [len(late), len(whole)] == [1, 2]
        assert [len(await other.next(1)) for other in (selecting, within, everywhere)] == [0, 0, 2]


async def test_nothing_is_kept_once_nobody_watches_any_more():
    async with opened() as world:
        watches = [await world.watch() for _ in range(FEWEST_ALIKE)]
        await world.create(thing("a"))
        told = [await live.next(1) for live in watches]
        assert all(isinstance(events, Batch) for events in told)
        for live in watches:
            live.close()
        gc.collect()
        assert world.cache(THINGS) not in cache_watch._shared


async def test_a_bounded_number_is_kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cache_watch, "_MOST_BATCHES", 2)
    async with opened() as world:
        watches = [await world.watch() for _ in range(FEWEST_ALIKE)]
        for name in "abcd":
            await world.create(thing(name))
            await watches[0].next(1)
        assert len(cache_watch._shared[world.cache(THINGS)]._known) == 2
        assert seen(await watches[1].next(1)) == [("ADDED", name, at + 1) for at, name in enumerate("abcd")]


@given(
    st.lists(st.tuples(st.sampled_from([CLUSTER, OTHER]), st.sampled_from("abc"), st.booleans()), max_size=20),
    st.lists(st.integers(0, 2 * FEWEST_ALIKE - 1), max_size=20),
)
async def test_however_the_watches_take_turns_each_is_told_everything(steps, turns):
    """Watches of one cluster and of all, each taking what there is when it is its turn."""
    async with opened() as world:
        watches = [await world.watch(cluster=CLUSTER if n % 2 else "*") for n in range(2 * FEWEST_ALIKE)]
        told: list[list[object]] = [[] for _ in watches]
        everywhere: list[tuple[str, object]] = []
        for (cluster, name, there), turn in zip_longest(steps, turns[: len(steps)]):
            present = world.cache(THINGS).get(cluster, name) is not None
            if there and not present:
                await world.create(thing(name), THINGS, cluster)
            elif present and not there:
                await world.delete(name, THINGS, cluster)
            if there is not present:
                change = ("ADDED" if there else "DELETED", name, world.caches.revision)
                everywhere.append((cluster, change))
            if turn is not None:
                told[turn] += seen(await pending(watches[turn]))
        for number, live in enumerate(watches):
            told[number] += seen(await pending(live))
            assert told[number] == [change for cluster, change in everywhere if cluster == CLUSTER or not number % 2]
