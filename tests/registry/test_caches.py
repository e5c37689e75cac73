import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from registry_world import CLUSTER, PLAIN, THINGS, opened, pending, seen, thing

from kcpcache.meta.errors import ExpiredError, ServiceUnavailableError
from kcpcache.registry import caches as caches_module
from kcpcache.registry.caches import Caches, Subscription, split_key
from kcpcache.registry.entry import encode, entry_of
from kcpcache.registry.shelf import Shelf, key_of
from kcpcache.storage.memory import MemoryStore
from kcpcache.storage.sqlite import SqliteStore
from kcpcache.storage.store import Event, StoreUnavailableError

PREFIX = THINGS.storage_prefix


def value(name="a", **meta):
    return encode({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": name, **meta}})


def entry(key, revision=1):
    namespace, _, name = key.rpartition("/")
    return entry_of(value(name), cluster="c", namespace=namespace, name=name, revision=revision)


segments = st.text("ab-.0/", min_size=1, max_size=3).filter(lambda text: "/" not in text)
shelf_keys = segments | st.tuples(segments, segments).map("/".join)


@given(st.lists(st.tuples(st.booleans(), shelf_keys)), segments, shelf_keys)
def test_a_shelf_is_a_dictionary_in_key_order(steps, namespace, start):
    shelf, model = Shelf(), {}
    for revision, (put, key) in enumerate(steps, 1):
        if put:
            found = entry(key, revision)
            assert shelf.put(key, found) is model.get(key)
            model[key] = found
        else:
            assert shelf.pop(key) is model.pop(key, None)
    assert len(shelf) == len(model)
    assert shelf.snapshot() == [model[key] for key in sorted(model)]
    assert shelf.snapshot(start=start) == [model[key] for key in sorted(model) if key >= start]
    inside = [model[key] for key in sorted(model) if key.startswith(f"{namespace}/")]
    assert shelf.snapshot(namespace) == inside
    assert shelf.snapshot(namespace, start) == [one for one in inside if key_of(one) >= start]
    assert shelf.count(namespace) == len(inside)


@pytest.mark.parametrize(
    ("key", "split"),
    [
        ("/registry/core/configmaps/c/ns/x", ("/registry/core/configmaps/", "c/ns/x")),
        ("/registry/g/r:id/c/x", ("/registry/g/r:id/", "c/x")),
        ("/cache/shard/g/v1/r:id/c/x", ("/cache/shard/g/v1/r:id/", "c/x")),
        ("/registry/core", ("", "")),
        ("/elsewhere/a/b/c/d", ("", "")),
    ],
)
def test_a_storage_key_is_its_resource_and_the_rest(key, split):
    assert split_key(key) == split


async def test_what_was_stored_before_the_start_is_loaded_page_by_page(monkeypatch):
    monkeypatch.setattr(caches_module, "_LOAD_PAGE", 2)
    store = MemoryStore()
    for number in range(5):
        await store.create(f"{PREFIX}{CLUSTER}/n{number}", value(f"n{number}"))
    async with opened(store) as world:
        assert [one.name for one in world.cache().entries(CLUSTER)] == ["n0", "n1", "n2", "n3", "n4"]
        assert world.caches.revision == 5
        assert len(world.cache()) == world.cache().count(CLUSTER) == 5


async def test_each_event_comes_to_the_cache_of_its_resource_and_other_keys_to_none():
    async with opened() as world:
        keys = [f"{PREFIX}{CLUSTER}/a", "/elsewhere/a/b/c", f"{PREFIX}{CLUSTER}/b", f"/cache/s/g/v1/r:id/{CLUSTER}/a"]
        for key in [*keys, *(f"{key}2" for key in keys)]:
            await world.store.create(key, value())
        await world.caches.fresh()
        found = {cache.prefix: [one.name for one in cache.all_entries()] for cache in world.caches.known()}
        assert found == {PREFIX: ["a", "a2", "b", "b2"], "/cache/s/g/v1/r:id/": ["a", "a2"]}


async def test_an_acknowledged_write_is_visible_once_fresh_returns():
    async with opened() as world:
        for number in range(3):
            await world.store.create(f"{PREFIX}{CLUSTER}/n{number}", value())
            await world.caches.fresh()
            assert world.cache().get(CLUSTER, f"n{number}") is not None


async def test_an_acknowledged_write_is_visible_over_sqlite_too(tmp_path):
    async with opened(await SqliteStore.open(tmp_path / "db", synchronous="off")) as world:
        for number in range(20):
            await world.create(thing(f"n{number}"))
            assert (await world.get(f"n{number}"))["metadata"]["name"] == f"n{number}"
        assert len(await world.list()) == 20


async def test_every_cache_of_a_store_shows_what_any_of_them_wrote():
    store = MemoryStore()
    async with opened(store) as one, opened(store) as other:
        await one.create(thing())
        assert (await other.get("a"))["metadata"]["name"] == "a"


async def test_caches_are_made_when_they_are_needed_and_announced_before_their_first_event():
    async with opened() as world:
        heard = []
        world.caches.on_new_cache(lambda cache: cache.listeners.append(lambda event: heard.append(event.revision)))
        await world.create(thing())
        await world.create({**thing("p"), "kind": "Plain"}, PLAIN)
        assert heard == [1, 2]
        assert world.cache() in world.caches.known()


async def test_listeners_and_subscriptions_are_told_in_the_step_that_changes_the_cache():
    async with opened() as world:
        cache, shown = world.cache(), []
        cache.listeners.append(lambda event: shown.append(cache.get(event.cluster, "a") is event.entry))
        await world.create(thing())
        await world.delete("a")
        assert shown == [True, True]


async def test_events_go_to_the_subscriptions_of_their_cluster_and_of_all():
    async with opened() as world:
        own, every, other = Subscription(), Subscription(), Subscription()
        for subscription, scope in ((own, CLUSTER), (every, "*"), (other, "elsewhere")):
            subscription.attach(world.cache(), scope)
        await world.create(thing())
        assert [len(one.take()) for one in (own, every, other)] == [1, 1, 0]
        for one in (own, every, other):
            one.close()
        assert world.cache().subscriptions == {}


async def test_a_subscription_that_runs_full_is_ended_with_what_came_before():
    async with opened() as world:
        slow, quick = Subscription(limit=2), Subscription()
        slow.attach(world.cache(), CLUSTER)
        quick.attach(world.cache(), CLUSTER)
        for number in range(4):
            await world.create(thing(f"n{number}"))
        assert slow.closed
        assert slow.overrun
        assert [event.revision for event in slow.take()] == [1, 2]
        assert await slow.drain() == []
        assert [event.revision for event in await quick.drain()] == [1, 2, 3, 4]
        assert not quick.closed


async def test_draining_waits_for_an_event_for_the_timeout_or_for_the_end():
    async with opened() as world:
        subscription = Subscription()
        subscription.attach(world.cache(), CLUSTER)
        assert await subscription.drain(0) == []
        reading = asyncio.create_task(subscription.drain())
        await asyncio.sleep(0)
        await world.create(thing())
        assert [event.revision for event in await reading] == [1]
        reading = asyncio.create_task(subscription.drain())
        await asyncio.sleep(0)
        subscription.close()
        assert await reading == []


async def test_the_ring_is_bounded_by_events_and_by_bytes(monkeypatch):
    monkeypatch.setattr(caches_module, "RING_EVENTS", 3)
    async with opened() as world:
        for number in range(5):
            await world.create(thing(f"n{number}"))
        assert [event.revision for event in world.cache().ring] == [3, 4, 5]
        assert world.cache().recent(1) is None
        assert [event.revision for event in world.cache().recent(3)] == [4, 5]
        monkeypatch.setattr(caches_module, "RING_BYTES", 5000)
        await world.create(thing("big", extra={"x": "x" * 10_000}))
        await world.delete("big")
        assert not world.cache().ring
        assert world.cache().recent(6) is None
        assert world.cache().recent(7) == []


async def test_nothing_is_kept_of_a_resource_whose_last_object_went():
    async with opened() as world:
        await world.create(thing())
        await world.create(thing("b"), cluster="other")
        await world.delete("a")
        assert list(world.cache().shelves) == ["other"]
        await world.delete("b", cluster="other")
        assert not world.cache().shelves
        assert not world.cache().ring
        resumed = await world.watch(cluster="*", resource_version="1")
        assert seen(await pending(resumed)) == [("ADDED", "b", 2), ("DELETED", "a", 3), ("DELETED", "b", 4)]


async def test_a_damaged_value_hides_one_object_and_no_other():
    async with opened() as world:
        await world.create(thing())
        await world.store.create(f"{PREFIX}{CLUSTER}/bad", b'{"not": "an object"}')
        await world.store.update(f"{PREFIX}{CLUSTER}/a", b"junk", expected=1)
        await world.create(thing("c"))
        assert [one.name for one in world.cache().entries(CLUSTER)] == ["c"]


async def test_whoever_waits_for_a_revision_that_never_comes_is_forgotten_when_he_gives_up():
    async with opened() as world:
        waiting = [asyncio.create_task(world.caches.reached(10**18 + n)) for n in range(10)]
        await asyncio.sleep(0)
        soon = asyncio.create_task(world.caches.reached(1))
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        for task in waiting:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        assert len(world.caches._waiters) == 1
        await world.create(thing())
        await soon
        assert world.caches._waiters == []


async def gone_on_in_each_round(world, first: str = "", together: int = 0) -> list[int]:
    """How many of twenty that wait for one revision go on in each round of the event loop once it is there."""
    world.caches.company = SimpleNamespace(together=together)
    if first:
        world.caches._take(Event(first, 1, value("first"), None))
    order: list[int] = []

    async def wait(number: int) -> None:
        await world.caches.reached(2)
        order.append(number)

    waiting = [asyncio.create_task(wait(number)) for number in range(20)]
    await asyncio.sleep(0)
    world.caches._take(Event(f"{PREFIX}{CLUSTER}/a", 2, value("a"), None))
    assert world.cache().get(CLUSTER, "a") is not None, "others are told at once"
    steps = []
    while len(order) < 20:
        before = len(order)
        await asyncio.sleep(0)
        steps.append(len(order) - before)
    await asyncio.gather(*waiting)
    assert order == list(range(20))
    return [step for step in steps if step]


COPY = f"/cache/shard/g/v1/r:id/{CLUSTER}/x"


async def test_while_copies_are_made_few_of_those_who_wait_for_one_commit_go_on_at_a_time():
    async with opened() as world:
        steps = await gone_on_in_each_round(world, COPY)
        assert steps == [caches_module._RELEASED_AT_ONCE] * 5


async def test_where_nothing_is_copied_all_go_on_so_that_their_next_writes_share_a_commit():
    async with opened() as world:
        assert await gone_on_in_each_round(world) == [20]


async def test_so_they_do_where_the_last_copy_was_long_ago(monkeypatch):
    monkeypatch.setattr(caches_module, "_COPIED_EVENTS", 1)
    async with opened() as world:
        assert await gone_on_in_each_round(world, COPY) == [20]


async def test_where_several_users_are_served_all_go_on_and_then_take_turns():
    async with opened() as world:
        assert await gone_on_in_each_round(world, COPY, together=1) == [20]


async def test_waiting_is_over_when_the_caches_close():
    async with opened() as world:
        waiting = asyncio.create_task(world.caches.reached(99))
        await asyncio.sleep(0)
        await world.caches.close()
        with pytest.raises(ServiceUnavailableError):
            await waiting
        with pytest.raises(ServiceUnavailableError):
            await world.caches.reached(99)


async def test_whoever_waits_for_room_only_goes_on_when_the_caches_close():
    async with opened() as world:
        world.caches.company = SimpleNamespace(together=0)
        world.caches._take(Event(COPY, 1, value("first"), None))
        written = [asyncio.create_task(world.caches.reached(2)) for _ in range(20)]
        later = asyncio.create_task(world.caches.reached(3))
        await asyncio.sleep(0)
        world.caches._take(Event(f"{PREFIX}{CLUSTER}/a", 2, value("a"), None))
        await world.caches.close()
        assert await asyncio.gather(*written) == [None] * 20
        with pytest.raises(ServiceUnavailableError):
            await later


async def test_waiting_is_over_when_the_store_closes():
    async with opened() as world:
        waiting = asyncio.create_task(world.caches.reached(99))
        await asyncio.sleep(0)
        await world.store.close()
        with pytest.raises(ServiceUnavailableError):
            await waiting
        await world.caches.failed()


class Faulty(MemoryStore):
    """Its lists fail as often as ``failures`` says."""

    failures = 0

    async def list(self, *args, **kwargs):
        if self.failures:
            self.failures -= 1
            raise StoreUnavailableError("not now")
        return await super().list(*args, **kwargs)


async def lose_watch(store, names):
    """More writes in one step than the watch's queue holds."""
    for name in names:
        await store.create(f"{PREFIX}{CLUSTER}/{name}", value(name))


@pytest.mark.parametrize("failures", [0, 2])
async def test_after_a_lost_watch_the_caches_are_right_and_open_watches_end_as_too_old(failures, monkeypatch):
    monkeypatch.setattr(caches_module, "_RELOAD_PAUSE_SECONDS", 0)
    store = Faulty(watch_queue_events=3)
    async with opened(store) as world:
        for name in ("kept", "changed", "gone", "replaced"):
            await world.create(thing(name))
        await world.create({**thing("p"), "kind": "Plain"}, PLAIN)
        watch = await world.watch(resource_version="4")
        events = []
        world.cache().listeners.append(events.append)
        uid = (await world.get("changed"))["metadata"]["uid"]
        store.failures = failures
        await store.update(f"{PREFIX}{CLUSTER}/changed", value("changed", uid=uid), expected=2)
        await store.delete(f"{PREFIX}{CLUSTER}/gone", expected=3)
        await store.delete(f"{PREFIX}{CLUSTER}/replaced", expected=4)
        await lose_watch(store, ["replaced", *(f"n{number}" for number in range(10))])
        await world.caches.fresh()

        assert [one.name for one in world.cache().entries(CLUSTER)] == [
            *("changed", "kept"),
            *(f"n{number}" for number in range(10)),
            "replaced",
        ]
        told = {(e.entry or e.previous).name: (e.entry is not None, e.previous is not None) for e in events}
        assert told["changed"] == (True, True)
        assert told["gone"] == (False, True)
        assert told["n9"] == (True, False)
        assert "kept" not in told
        replaced = [e.entry is not None for e in events if (e.entry or e.previous).name == "replaced"]
        assert replaced == [False, True]
        with pytest.raises(ExpiredError):
            await pending(watch)
        resumed = await world.watch(resource_version="5")
        assert seen(await pending(resumed))[0] == ("MODIFIED", "changed", 6)
        assert world.caches.revision == await store.revision()


async def test_the_end_of_the_following_task_is_told():
    caches = Caches(MemoryStore())
    await caches.failed()
    await caches.start()
    boom = RuntimeError("boom")

    def fail(_event):
        raise boom

    caches.of(PREFIX).listeners.append(fail)
    await caches.store.create(f"{PREFIX}{CLUSTER}/a", value())
    with pytest.raises(RuntimeError, match="boom"):
        await caches.failed()


class Rounds:
    """Events that come at once, and how many of them are taken in between two rounds of the event loop."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.taken, self.rounds = 0.0, list[int](), list[int]()
        monkeypatch.setattr(caches_module, "perf_counter", self.clock)
        self.caches = Caches(MemoryStore())
        monkeypatch.setattr(self.caches, "_take", self.taken.append)

    def clock(self) -> float:
        self.now += 0.00004  # each event takes so long
        return self.now

    async def other_work(self) -> None:
        while True:
            self.rounds.append(len(self.taken))
            await asyncio.sleep(0)

    async def events(self) -> AsyncIterator[int]:
        for number in range(100):
            yield number

    async def most(self) -> int:
        others = asyncio.create_task(self.other_work())
        await self.caches._take_all(self.events())
        others.cancel()
        assert len(self.taken) == 100
        return max(after - before for before, after in itertools.pairwise([*self.rounds, 100]))


async def test_of_many_events_that_come_at_once_few_are_taken_in_between_two_rounds_of_the_event_loop(monkeypatch):
    assert await Rounds(monkeypatch).most() <= 26  # a millisecond


async def test_fewer_are_where_several_tenants_are_served(monkeypatch):
    rounds = Rounds(monkeypatch)
    rounds.caches.company = SimpleNamespace(together=1)
    assert await rounds.most() <= 6  # a fifth of one
