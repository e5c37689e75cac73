"""The six promises of a watch (P4), with P5, P6 and P7, against random histories."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from registry_world import CLUSTER, ITEMS, opened, pending, seen, thing

from kcpcache.meta.errors import ConflictError, ExpiredError, TimeoutStatusError
from kcpcache.meta.selectors import EVERYTHING, parse_field_selector, parse_label_selector
from kcpcache.registry import cache_watch, caches, reading
from kcpcache.registry.system import builtin_definitions
from kcpcache.registry.view import Bookmark
from kcpcache.storage.memory import MemoryStore
from kcpcache.storage.sqlite import SqliteStore

LEASES = builtin_definitions()["coordination.k8s.io", "leases"]
OTHER = f"{CLUSTER}-b"
SELECTORS = {"": EVERYTHING, "on=1": parse_label_selector("on=1"), "!on": parse_label_selector("!on")}

steps = st.lists(
    st.tuples(
        st.sampled_from([CLUSTER, CLUSTER, OTHER]),
        st.sampled_from(["a", "b"]),
        st.sampled_from(["n", "m"]),
        st.sampled_from(["put", "label", "unlabel", "delete"]),
    ),
    max_size=25,
)
scopes = st.fixed_dictionaries(
    {
        "cluster": st.sampled_from([CLUSTER, "*"]),
        "namespace": st.sampled_from(["", "n"]),
        "selector": st.sampled_from(list(SELECTORS)),
    }
)
promises = settings(max_examples=80)


async def step(world, cluster, name, namespace, what):
    """One write, if it is possible."""
    present = world.cache(ITEMS).get(cluster, name, namespace) is not None
    if what == "put" and not present:
        await world.create({"metadata": {"name": name, "namespace": namespace}}, ITEMS, cluster)
    elif what == "delete" and present:
        await world.delete(name, ITEMS, cluster, namespace)
    elif present:
        size = world.caches.revision

        def change(obj):
            obj["metadata"]["labels"] = {"on": "1"} if what == "label" else {}
            obj["spec"] = {"size": size}

        await world.patch(name, change, ITEMS, cluster, namespace=namespace)


def options(scope):
    return {"namespace": scope["namespace"], "label_selector": SELECTORS[scope["selector"]]}


async def state(world, scope):
    listing = await world.list(ITEMS, scope["cluster"], **options(scope))
    return listing.revision, {key_of(item.entry): item.object() for item in listing.items()}


def key_of(entry):
    return entry.cluster, entry.namespace, entry.name


async def resumed(world, scope, after):
    found = await world.watch(ITEMS, scope["cluster"], **options(scope), resource_version=str(after))
    try:
        return await pending(found)
    finally:
        found.close()


def replayed(state, events):
    """The state that a client has after these events; each must fit what came before it."""
    known = dict(state)
    for event in events:
        key = key_of(event.item.entry)
        if event.type == "ADDED":
            assert key not in known
        else:
            assert key in known
        if event.type == "DELETED":
            del known[key]
        else:
            known[key] = event.item.object()
    return known


def revisions(events):
    return [int(event.item.object()["metadata"]["resourceVersion"]) for event in events]


@promises
@given(steps, steps, scopes)
async def test_ordered_events_come_in_the_order_of_their_revisions(before, after, scope):
    async with opened() as world:
        live = await world.watch(ITEMS, scope["cluster"], **options(scope), send_initial_events=False)
        for one in (*before, *after):
            await step(world, *one)
        found = revisions(await pending(live))
        assert found == sorted(found)


@promises
@given(steps, scopes)
async def test_unique_no_revision_is_told_twice(history, scope):
    async with opened() as world:
        live = await world.watch(ITEMS, scope["cluster"], **options(scope), send_initial_events=False)
        for one in history:
            await step(world, *one)
        again = await resumed(world, scope, 1) if world.caches.revision else []
        for found in (await pending(live), again):
            assert len(set(revisions(found))) == len(found)


@promises
@given(steps, scopes)
async def test_atomic_an_event_shows_the_whole_object_as_it_was_at_its_revision(history, scope):
    async with opened() as world:
        live = await world.watch(ITEMS, scope["cluster"], **options(scope), send_initial_events=False)
        for one in history:
            await step(world, *one)
        for event in await pending(live):
            revision = event.item.entry.revision
            at = revision - 1 if event.type == "DELETED" else revision
            if not at:
                continue
            then = await world.list(ITEMS, "*", resource_version=str(at), resource_version_match="Exact")
            stored = {key_of(item.entry): item.object() for item in then.items()}[key_of(event.item.entry)]
            stored["metadata"]["resourceVersion"] = str(revision)
            assert event.item.object() == stored


@promises
@given(steps, steps, scopes)
async def test_reliable_a_list_and_the_watch_from_it_lead_to_the_newest_state(before, after, scope):
    """P6 and P7: no gap, no duplicate; entering a selector is ADDED, leaving it DELETED."""
    async with opened() as world:
        for one in before:
            await step(world, *one)
        revision, listed = await state(world, scope)
        live = (
            await world.watch(ITEMS, scope["cluster"], **options(scope), resource_version=str(revision))
            if revision
            else None
        )
        for one in after:
            await step(world, *one)
        now = (await state(world, scope))[1]
        if live is not None:
            assert replayed(listed, await pending(live)) == now
            assert replayed(listed, await resumed(world, scope, revision)) == now


@promises
@given(steps, scopes, st.integers(1, 6))
async def test_resumable_from_every_revision_out_of_the_ring_or_the_store(history, scope, ring):
    async with opened() as world:
        states = {}
        cache = world.cache(ITEMS)
        for one in history:
            await step(world, *one)
            revision, states[revision] = await state(world, scope)
            while len(cache.ring) > ring:
                cache.ring_after = cache.ring.popleft().revision
        now = (await state(world, scope))[1]
        for revision, then in states.items():
            if revision:
                assert replayed(then, await resumed(world, scope, revision)) == now


@promises
@given(steps, scopes, st.integers(1, 3))
async def test_bookmarkable_all_up_to_a_bookmark_was_delivered(history, scope, taken):
    async with opened() as world:
        live = await world.watch(ITEMS, scope["cluster"], **options(scope), send_initial_events=False)
        known, last = {}, 0
        for number, one in enumerate(history):
            await step(world, *one)
            if number % taken == 0:
                known = replayed(known, await live.next(0))
            mark = live.bookmark()
            assert mark.revision >= last
            last = mark.revision
            if mark.revision:
                rest = await resumed(world, scope, mark.revision)
                assert replayed(known, rest) == (await state(world, scope))[1]


@pytest.mark.parametrize("count", [0, 1, 5])
async def test_initial_events_end_with_exactly_one_bookmark(count, monkeypatch):
    monkeypatch.setattr(cache_watch, "_READY_EVENTS", 2)
    async with opened() as world:
        for number in range(count):
            await world.create(thing(f"n{number}"))
        live = await world.watch(send_initial_events=True)
        assert live.bookmark() == Bookmark(0)
        await world.create(thing("later"))
        found = await pending(live)
        assert seen(found) == [
            *(("ADDED", f"n{number}", number + 1) for number in range(count)),
            ("BOOKMARK", count),
            ("ADDED", "later", count + 1),
        ]
        assert [event.initial for event in found if isinstance(event, Bookmark)] == [True]
        assert live.bookmark() == Bookmark(count + 1)


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ({}, ["a", "b", "c"]),
        ({"resource_version": "0"}, ["a", "b", "c"]),
        ({"resource_version": "2"}, ["c"]),
        ({"resource_version": "3"}, []),
        ({"send_initial_events": False}, []),
        ({"resource_version": "0", "send_initial_events": False}, []),
        ({"resource_version": "2", "send_initial_events": False}, ["c"]),
        ({"resource_version": "2", "send_initial_events": True}, ["a", "b", "c"]),
    ],
)
async def test_a_watch_begins_where_it_is_asked_to(asked, shown):
    async with opened() as world:
        for name in "abc":
            await world.create(thing(name))
        live = await world.watch(**asked)
        assert [event.item.entry.name for event in await pending(live) if not isinstance(event, Bookmark)] == shown


async def test_a_bookmark_of_a_resumed_watch_claims_nothing_that_was_not_handed_out(monkeypatch):
    monkeypatch.setattr(cache_watch, "_READY_EVENTS", 2)
    async with opened() as world:
        for number in range(5):
            await world.create(thing(f"n{number}"))
        live = await world.watch(resource_version="1")
        for _ in range(2):
            assert live.bookmark() == Bookmark(1)
            assert len(await live.next(0)) == 2
        await live.next(0)
        assert live.bookmark() == Bookmark(5)


async def test_a_compacted_revision_is_expired_and_never_answered_with_old_events():
    async with opened() as world:
        for name in "abc":
            await world.create(thing(name))
        await world.store.compact(2)
        world.cache().forget(3)
        with pytest.raises(ExpiredError, match="too old resource version: 1"):
            await world.watch(resource_version="1")
        assert seen(await pending(await world.watch(resource_version="2"))) == [("ADDED", "c", 3)]
        assert world.cache().subscriptions.keys() == {CLUSTER}


async def test_a_future_revision_is_waited_for(monkeypatch):
    async with opened() as world:
        await world.create(thing())
        opening = asyncio.create_task(world.watch(resource_version="2"))
        await asyncio.sleep(0)
        await world.create(thing("b"))
        live = await opening
        await world.create(thing("c"))
        assert seen(await pending(live)) == [("ADDED", "c", 3)]
        monkeypatch.setattr(reading, "FUTURE_REVISION_SECONDS", 0.01)
        with pytest.raises(TimeoutStatusError):
            await world.watch(resource_version="99")


@pytest.mark.parametrize("seconds", [-3600, 3600])
async def test_a_clock_that_jumps_by_an_hour_changes_no_revision_no_watch_and_no_lease(seconds):
    async with opened() as world:
        spec = {"holderIdentity": "a", "leaseDurationSeconds": 15, "renewTime": "2026-06-01T12:00:00.000000Z"}
        meta = {"name": "leader", "namespace": "n"}
        held = await world.create({"metadata": meta, "spec": spec}, LEASES)
        live = await world.watch(LEASES, resource_version="1")
        world.pass_time(seconds)
        renewed = {**held, "spec": {**spec, "renewTime": "2026-06-01T12:00:05.000000Z"}}
        assert (await world.update(renewed, LEASES))["spec"] == renewed["spec"]
        with pytest.raises(ConflictError):
            await world.update({**held, "spec": {**spec, "holderIdentity": "b"}}, LEASES)
        await world.create({"metadata": {**meta, "name": "next"}}, LEASES)
        told = [("MODIFIED", "leader", 2), ("ADDED", "next", 3)]
        assert seen(await pending(live)) == told
        assert seen(await pending(await world.watch(LEASES, resource_version="1"))) == told
        assert (await world.get("leader", LEASES, namespace="n"))["spec"]["holderIdentity"] == "a"


async def test_a_watcher_that_does_not_read_is_ended_and_the_others_miss_nothing(monkeypatch):
    monkeypatch.setattr(caches.Subscription.__init__, "__defaults__", (3,))
    async with opened() as world:
        slow, quick = await world.watch(), await world.watch()
        read = []
        for number in range(6):
            await world.create(thing(f"n{number}"))
            read += await quick.next(0)
        assert [name for _, name, _ in seen(read)] == [f"n{number}" for number in range(6)]
        assert [name for _, name, _ in seen(await slow.next(0))] == ["n0", "n1", "n2"]
        assert slow.bookmark() == Bookmark(3)
        with pytest.raises(ExpiredError):
            await slow.next(0)


async def test_a_closed_watch_hands_out_what_came_before_and_ends():
    async with opened() as world:
        live = await world.watch()
        await world.create(thing())
        live.close()
        live.close()
        await world.create(thing("b"))
        assert seen(await live.next()) == [("ADDED", "a", 1)]
        assert live.bookmark() == Bookmark(1)
        with pytest.raises(StopAsyncIteration):
            await live.next()
        assert world.cache().subscriptions == {}


async def test_all_watches_end_when_the_caches_do():
    async with opened() as world:
        live = await world.watch()
        reading_on = asyncio.create_task(live.next())
        await asyncio.sleep(0)
        world.caches.end_subscriptions()
        with pytest.raises((StopAsyncIteration, RuntimeError)):
            await reading_on


async def test_a_cancelled_opening_leaves_no_subscription():
    class Stuck(MemoryStore):
        def watch(self, prefix, *, after):
            return super().watch(prefix, after=after) if prefix == "/" else self.never()

        async def never(self):
            await asyncio.Event().wait()
            yield

    async with opened(Stuck()) as world:
        await world.create(thing())
        world.cache().forget(1)
        await world.create(thing("b"))
        world.cache().forget(2)
        opening = asyncio.create_task(world.watch(resource_version="1"))
        for _ in range(3):
            await asyncio.sleep(0)
        assert world.cache().subscriptions
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        assert world.cache().subscriptions == {}


async def test_field_selectors_enter_and_leave_as_label_selectors_do():
    async with opened() as world:
        live = await world.watch(field_selector=parse_field_selector("spec.color=blue"))
        await world.create(thing())
        for color in ("blue", "blue", "red"):
            await world.patch(
                "a", lambda obj, color=color: obj["spec"].update(color=color, size=obj["spec"].get("size", 0) + 1)
            )
        assert seen(await pending(live)) == [("ADDED", "a", 2), ("MODIFIED", "a", 3), ("DELETED", "a", 4)]


async def test_a_watch_shows_its_own_version():
    async with opened() as world:
        live = await world.view(ITEMS, version="v1beta1").watch(reading.ListOptions())
        await world.create({"metadata": {"name": "x", "namespace": "n"}}, ITEMS)
        (event,) = await pending(live)
        assert event.item.object()["apiVersion"] == "example.com/v1beta1"


async def test_history_in_sqlite_is_resumed_like_the_models(tmp_path):
    async with opened(await SqliteStore.open(tmp_path / "db", synchronous="off")) as world:
        for number in range(6):
            await world.create(thing(f"n{number % 2}"), cluster=(CLUSTER, OTHER)[number % 2])
            await world.delete(f"n{number % 2}", cluster=(CLUSTER, OTHER)[number % 2])
        await world.create(thing("last"))
        world.cache().forget(13)
        own = seen(await pending(await world.watch(resource_version="2")))
        assert own == [
            ("ADDED", "n0", 5),
            ("DELETED", "n0", 6),
            ("ADDED", "n0", 9),
            ("DELETED", "n0", 10),
            ("ADDED", "last", 13),
        ]
        assert len(await pending(await world.watch(cluster="*", resource_version="2"))) == 11
