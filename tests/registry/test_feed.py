"""Watches that are read for together are told what each would be told alone, in whatever order they come and go."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from registry_world import CLUSTER, ITEMS, THINGS, opened, pending, seen, thing

from kcpcache.meta.errors import ExpiredError
from kcpcache.meta.selectors import parse_label_selector
from kcpcache.registry import caches
from kcpcache.registry.cache_watch import CacheWatch
from kcpcache.registry.feed import Feed, Place
from kcpcache.registry.view import Bookmark, ListOptions, WatchEvent

OTHER = f"{CLUSTER}-b"


def nothing() -> None:
    """Nobody wants to be told."""


def feed_of(live: CacheWatch, heard: Callable[[], None] = nothing) -> Feed:
    return Feed(live, heard)


def read(place: Place) -> list[WatchEvent]:
    """What a watch has not been told yet; then it has."""
    feed = place.feed
    assert feed is not None
    events = list(feed.batch(place.at)) if place.at < feed.end else []
    place.at += len(events)
    return events


@settings(max_examples=80)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("write"), st.sampled_from([CLUSTER, CLUSTER, OTHER]), st.sampled_from("nm")),
            st.tuples(st.sampled_from(["join", "leave", "read", "take", "forget"]), st.integers(0, 2)),
        ),
        max_size=40,
    )
)
async def test_whenever_a_watch_comes_and_goes_it_is_told_each_event_once_and_in_order(steps):
    async with opened() as world:
        watches = [await world.watch(ITEMS, namespace="n") for _ in range(3)]
        places: list[Place | None] = [None, None, None]
        told: list[list[object]] = [[], [], []]
        happened: list[object] = []
        feed = feed_of(watches[0])
        for number, (what, *how) in enumerate(steps):
            if what == "write":
                cluster, namespace = how
                meta = {"name": f"x{number}", "namespace": namespace}
                await world.create({"metadata": meta}, ITEMS, cluster)
                if (cluster, namespace) == (CLUSTER, "n"):
                    happened.append(("ADDED", f"x{number}", world.caches.revision))
                continue
            at = how[0]
            place, live = places[at], watches[at]
            if what == "join" and place is None and live.up_to_date:
                if feed.closed:
                    feed = feed_of(live)
                places[at] = Place(feed, live, nothing)
            elif what == "leave" and place is not None:
                place.leave()
                places[at] = None
            elif what == "read" and place is not None:
                told[at] += seen(read(place))
            elif what == "take" and place is None:
                told[at] += seen(await pending(live))
            elif what == "forget" and feed.places:
                feed.forget(min(one.at for one in feed.places))
        for at, live in enumerate(watches):
            if (place := places[at]) is not None:
                place.leave()
            told[at] += seen(await pending(live))
            assert told[at] == happened


async def test_a_feed_that_nobody_reads_is_ended_and_its_watches_too_after_what_came_before(monkeypatch):
    monkeypatch.setattr(caches.Subscription.__init__, "__defaults__", (3,))
    async with opened() as world:
        first, second = await world.watch(), await world.watch()
        feed = feed_of(first)
        place, behind = Place(feed, first, nothing), Place(feed, second, nothing)
        for name in "ab":
            await world.create(thing(name))
        assert [name for _, name, _ in seen(read(place))] == ["a", "b"]
        for name in "cd":
            await world.create(thing(name))
        assert (place.feed, behind.feed) == (None, None)
        assert first.bookmark() == Bookmark(2)
        assert [name for _, name, _ in seen(await first.next(0))] == ["c"]
        assert [name for _, name, _ in seen(await second.next(0))] == ["a", "b", "c"]
        for live in (first, second):
            with pytest.raises(ExpiredError):
                await live.next(0)
        assert world.cache().subscriptions == {}


async def test_a_watch_that_is_closed_leaves_with_what_came_before():
    async with opened() as world:
        live = await world.watch()
        left: list[bool] = []
        Place(feed_of(live), live, lambda: left.append(True))
        await world.create(thing())
        live.close()
        assert left == [True]
        assert seen(await live.next(0)) == [("ADDED", "a", 1)]
        with pytest.raises(StopAsyncIteration):
            await live.next(0)
        assert world.cache().subscriptions == {}


async def test_all_leave_when_the_caches_end():
    async with opened() as world:
        live = await world.watch()
        place = Place(feed_of(live), live, nothing)
        world.caches.end_subscriptions()
        assert place.feed is None
        with pytest.raises(StopAsyncIteration):
            await live.next(0)


async def test_a_feed_is_closed_when_the_last_has_left_and_hears_nothing_more():
    async with opened() as world:
        watches = [await world.watch(), await world.watch()]
        heard: list[bool] = []
        feed = feed_of(watches[0], lambda: heard.append(True))
        places = [Place(feed, live, nothing) for live in watches]
        await world.create(thing())
        assert list(world.cache().subscriptions[CLUSTER]) == [feed]
        for place in places:
            place.leave()
            place.leave()
        assert feed.closed
        await world.create(thing("b"))
        assert heard == [True]
        assert [len(await live.next(0)) for live in watches] == [2, 2]


async def test_a_bookmark_after_leaving_claims_nothing_that_was_not_told():
    async with opened() as world:
        live = await world.watch()
        place = Place(feed_of(live), live, nothing)
        await world.create(thing("a"))
        await world.create({"metadata": {"name": "x", "namespace": "n"}}, ITEMS)
        read(place)
        await world.create(thing("c"))
        place.leave()
        assert live.bookmark() == Bookmark(2)
        assert len(await live.next(0)) == 1
        assert live.bookmark() == Bookmark(3)
        place = Place(feed_of(live), live, nothing)
        await world.create({"metadata": {"name": "y", "namespace": "n"}}, ITEMS)
        place.leave()
        assert live.bookmark() == Bookmark(4)


async def test_whoever_has_something_to_come_yet_is_not_up_to_date():
    async with opened() as world:
        await world.create(thing())
        beginning, live = await world.watch(send_initial_events=True), await world.watch(resource_version="1")
        assert (beginning.up_to_date, live.up_to_date) == (False, False)
        await pending(beginning)
        await pending(live)
        assert (beginning.up_to_date, live.up_to_date) == (True, True)
        await world.create(thing("b"))
        assert not live.up_to_date
        live.close()
        assert not live.up_to_date


async def test_watches_are_alike_that_see_the_same():
    async with opened() as world:
        one, other = await world.watch(ITEMS), await world.watch(ITEMS)
        assert one.like == other.like
        assert one.like is not None
        view = world.view(ITEMS, version="v1beta1")
        different = [
            await world.watch(ITEMS, namespace="n"),
            await world.watch(ITEMS, cluster="*"),
            await world.watch(ITEMS, cluster=OTHER),
            await view.watch(ListOptions()),
            await world.watch(THINGS),
        ]
        assert len({one.like, *(live.like for live in different)}) == 1 + len(different)
        assert (await world.watch(ITEMS, label_selector=parse_label_selector("on=1"))).like is None


async def test_what_is_in_other_namespaces_is_not_in_the_feed():
    async with opened() as world:
        live = await world.watch(ITEMS, namespace="n")
        feed = feed_of(live)
        place = Place(feed, live, nothing)
        for name, namespace in (("a", "m"), ("b", "n"), ("c", "m")):
            await world.create({"metadata": {"name": name, "namespace": namespace}}, ITEMS)
        assert [name for _, name, _ in seen(read(place))] == ["b"]
        assert place.at == feed.end == 1


async def test_what_must_be_settled_first_is_for_each_watch_itself_and_so_is_the_next_that_it_has_settled():
    async with opened() as world:
        live = await world.view(ITEMS, version="v1beta1").watch(ListOptions())
        feed = feed_of(live)
        place = Place(feed, live, nothing)
        await world.create({"metadata": {"name": "x", "namespace": "n"}}, ITEMS)
        assert feed.unsettled
        place.leave()
        (event,) = await live.next(0)
        assert event.item.object()["apiVersion"] == "example.com/v1beta1"
        assert not live.up_to_date
