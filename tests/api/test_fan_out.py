"""Many watches that see the same are written to by one loop: cheaply, in slices, and as each would be by itself."""

import asyncio
import contextlib
import gc
import itertools
import json
import sys
import weakref
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from uvicorn.protocols.http.flow_control import FlowControl

from kcpcache.api import fan_out, watch_frames
from kcpcache.api import watch as watching
from kcpcache.api.fan_out import FanOut
from kcpcache.api.protocol import REPLY, Reply
from kcpcache.registry import caches
from kcpcache.registry.cache_watch import FEWEST_ALIKE

CM = "/api/v1/namespaces/default/configmaps"
PREFIX = "/registry/core/configmaps/"


class Client:
    """A client of one watch, with uvicorn's flow control: it says when it has too much to read."""

    def __init__(self, world: Any, query: str = "") -> None:
        self._world, self._query = world, query
        self.flow, self.disconnected, self.sent, self.writes = FlowControl(self), False, b"", 0
        self.transport, self.gone = self, asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    def write(self, data: bytes) -> None:
        self.sent += data
        self.writes += 1

    async def run(self) -> None:
        reply = Reply(self)
        scope = {
            "type": "http", "method": "GET", "path": CM, "raw_path": CM.encode(), "headers": [], REPLY: reply,
            "query_string": f"watch=1&resourceVersion=0&{self._query}".encode(),
        }  # fmt: skip

        async def receive() -> Any:
            await self.gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                reply.write(b"HTTP/1.1 %d \r\n\r\n" % message["status"])
            else:
                assert not message["body"], "everything else goes by the reply"
                reply.write(b"0\r\n\r\n")

        await self._world.app(scope, receive, send)

    @property
    def events(self) -> list[dict[str, Any]]:
        """What came, chunk by chunk."""
        rest, lines = self.sent.partition(b"\r\n\r\n")[2], b""
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            lines, rest = lines + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
        return [json.loads(line) for line in lines.splitlines()]

    @property
    def names(self) -> list[str]:
        return [event["object"]["metadata"]["name"] for event in self.events]


async def rounds(count: int = 8) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def clients(
    world: Any, count: int = FEWEST_ALIKE, query: str = "", *, first: str = "first"
) -> AsyncIterator[list[Client]]:
    """So many clients that are written to together, after a first event. Writing takes no time."""
    loop_of(world)._clock = lambda: 0.0
    found = [Client(world, query) for _ in range(count)]
    async with asyncio.TaskGroup() as tasks:
        for client in found:
            client.task = tasks.create_task(client.run())
        await rounds()
        await world.create(first)  # those that came first have waited for it alone
        await rounds()
        assert len(places(world)) == count
        yield found
        for client in found:
            client.gone.set()
    assert world.caches.of(PREFIX).subscriptions == {}
    assert not places(world)
    assert not loop_of(world)._crowds
    assert not loop_of(world)._alike


def loop_of(world: Any) -> FanOut:
    return world.app.kubernetes.open_watches.fan_out


def places(world: Any) -> list[Any]:
    return [place for crowd in loop_of(world)._crowds.values() for place in crowd.feed.places]


def hold(world: Any) -> None:
    """Have the next cycle begin when ``go_on`` is called."""
    loop_of(world)._not_before = loop_of(world)._clock() + 3600


async def go_on(world: Any) -> None:
    loop = loop_of(world)
    loop._planned.cancel()
    loop._begin()
    await rounds()


async def test_an_event_takes_a_few_calls_for_each_watch_and_wakes_none(world, monkeypatch):
    """Functions written in Python, from the change to the bytes on each transport, for 100 watches and for 200."""
    took = []
    # On a slow machine there are more slices, each with some calls of its own.
    monkeypatch.setattr(loop_of(world), "_clock", itertools.repeat(0.0).__next__)
    monkeypatch.setattr(caches, "perf_counter", itertools.repeat(0.0).__next__)
    for count in (100, 200):
        async with clients(world, count, first=f"first-{count}") as found:
            tasks, calls = asyncio.all_tasks(), 0

            def counting(_frame: Any, event: str, _argument: Any) -> None:
                nonlocal calls
                calls += event == "call"

            before = [client.writes for client in found]
            sys.setprofile(counting)
            try:
                await world.create(f"n{count}")
                await rounds(200)
            finally:
                sys.setprofile(None)
            assert [client.writes - was for client, was in zip(found, before, strict=True)] == [1] * count
            assert asyncio.all_tasks() == tasks
            assert len(places(world)) == count
            took.append(calls)
    assert (took[1] - took[0]) / 100 <= 6, took


async def test_events_that_come_together_are_one_write_and_what_they_are_on_the_wire_is_made_once(world, monkeypatch):
    async with clients(world) as found:
        made, make = [], watch_frames._made
        monkeypatch.setattr(watch_frames, "_made", lambda events: made.append(len(events)) or make(events))
        before = [client.writes for client in found]
        hold(world)
        for name in "abc":
            await world.create(name)
        await go_on(world)
        assert [client.writes - was for client, was in zip(found, before, strict=True)] == [1] * len(found)
        assert made == [3]
        assert all(client.names == ["first", *"abc"] for client in found)
        assert all(client.sent == found[0].sent for client in found)


async def test_what_comes_in_the_middle_of_a_cycle_goes_to_all_and_what_was_made_is_not_kept(world):
    async with clients(world) as found:
        crowd = places(world)[0].crowd
        more = list("bcdefgh")

        def write(data: bytes) -> None:
            Client.write(found[3], data)
            if more:
                feed, event = crowd.feed, crowd.feed.since(crowd.feed.end - 1)[0]
                assert len(crowd._pieces) <= 2
                feed.push(event)
                more.pop()

        found[3].write = write
        await world.create("a")
        await rounds(20)
        assert all(client.names == ["first", *"aaaaaaaa"] for client in found)
        assert not crowd.feed._log
        assert not crowd._pieces
        del found[3].write


async def test_what_comes_in_the_middle_of_a_cycle_has_nothing_made_again(world, monkeypatch):
    async with clients(world) as found:
        feed = places(world)[0].feed
        made, make = [], watch_frames._made
        monkeypatch.setattr(watch_frames, "_made", lambda events: made.append(len(events)) or make(events))

        def write(data: bytes) -> None:
            Client.write(found[3], data)
            del found[3].write
            last = feed.since(feed.end - 1)[0]
            feed.push(msgspec.structs.replace(last, revision=last.revision + 1))

        found[3].write = write
        hold(world)
        for name in "abc":
            await world.create(name)
        await go_on(world)
        assert made == [3, 1]
        assert all(client.names == ["first", *"abcc"] for client in found)


async def test_whoever_does_not_read_is_waited_for_alone_and_then_gets_everything_once(world):
    async with clients(world) as found:
        slow, *quick = found
        await world.create("a")
        await rounds()
        slow.flow.pause_writing()
        for name in "bc":
            await world.create(name)
            await rounds()
        assert all(client.names == ["first", *"abc"] for client in quick)
        assert slow.names == ["first", "a"]
        assert len(places(world)) == len(quick)
        slow.flow.resume_writing()
        await rounds()
        assert slow.names == ["first", *"abc"]
        assert len(places(world)) == len(found)
        await world.create("d")
        await rounds()
        assert all(client.names == ["first", *"abcd"] for client in found)


async def test_a_client_that_has_too_much_in_the_middle_of_many_events_gets_the_rest_later(world, monkeypatch):
    monkeypatch.setattr(watch_frames, "CHUNK_BYTES", 2000)
    async with clients(world) as found:
        slow = found[3]
        slow.write = lambda data: (Client.write(slow, data), slow.flow.pause_writing())
        hold(world)
        for name in "abcdef":
            await world.create(name, data={"k": "x" * 800})
        await go_on(world)
        assert all(client.names == ["first", *"abcdef"] for client in found if client is not slow)
        assert slow.names == ["first", *"ab"]
        del slow.write
        slow.flow.resume_writing()
        await rounds()
        assert slow.names == ["first", *"abcdef"]


async def test_who_waits_too_long_for_a_client_cuts_it_off_and_the_others_go_on(world, monkeypatch):
    monkeypatch.setattr(watching, "SEND_SECONDS", 0.0)
    async with clients(world) as found:
        found[0].flow.pause_writing()
        await world.create("a")
        await asyncio.gather(found[0].task)
        assert found[0].names == ["first"]
        assert len(world.app.kubernetes.open_watches) == len(found) - 1
        await world.create("b")
        await rounds()
        assert all(client.names == ["first", *"ab"] for client in found[1:])


async def test_a_client_that_goes_is_forgotten_and_the_others_miss_nothing(world):
    async with clients(world) as found:
        found[0].disconnected = True
        await world.create("a")
        found[0].gone.set()
        await rounds()
        await world.create("b")
        await rounds()
        assert len(places(world)) == len(found) - 1
        assert all(client.names == ["first", *"ab"] for client in found[1:])


async def test_what_has_come_before_the_end_of_a_watch_is_sent(world):
    async with clients(world) as found:
        hold(world)
        await world.create("a")
        world.app.kubernetes.end_watches()
        await rounds()
        assert all(client.names == ["first", "a"] for client in found)
        assert all(client.sent.endswith(b"0\r\n\r\n") for client in found)
        loop_of(world)._planned.cancel()


async def test_bookmarks_come_in_time_and_before_the_end(world, monkeypatch):
    monkeypatch.setattr(watching, "BOOKMARK_SECONDS", 0.3)
    async with clients(world, query="allowWatchBookmarks=true&timeoutSeconds=1") as found:
        await world.create("a")
        revision = str(world.caches.revision)
        await asyncio.gather(*(client.task for client in found))
        for client in found:
            marks = [event for event in client.events if event["type"] == "BOOKMARK"]
            assert len(marks) >= 3
            assert {mark["object"]["metadata"]["resourceVersion"] for mark in marks} == {revision}
            assert client.sent.endswith(b"0\r\n\r\n")


async def test_a_watch_that_fell_behind_with_the_others_ends_with_an_error_event(world):
    async with clients(world) as found:
        (feed,) = world.caches.of(PREFIX).subscriptions["root"]
        feed.overrun = True
        feed.close()
        await rounds()
        assert [client.events[-1]["object"]["code"] for client in found] == [410] * len(found)


async def test_a_defect_ends_each_with_an_error_that_tells_nothing(world, monkeypatch):
    async with clients(world) as found:
        monkeypatch.setattr(watch_frames, "_made", lambda _events: 1 / 0)
        await world.create("a")
        await rounds()
        for client in found:
            assert client.events[-1]["object"]["code"] == 500
            assert "division" not in client.events[-1]["object"]["message"]


@pytest.fixture
def _no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_no_collector")
async def test_what_has_left_is_gone_without_the_collector(world):
    """For whatever reason: as a client is slow, as a bookmark is due, as the watch has been closed."""
    async with clients(world) as found:
        feed = weakref.ref(places(world)[0].feed)
        riders = [weakref.ref(place.left) for place in places(world)]

        def there() -> int:
            return sum(rider() is not None for rider in riders)

        found[0].flow.pause_writing()
        await world.create("a")
        await rounds()
        found[0].flow.resume_writing()
        await rounds()
        assert there() == len(found) - 1
        places(world)[0].leave()  # as its timer does
        await rounds()
        assert there() == len(found) - 2
        assert len(places(world)) == len(found)
        found[-1].gone.set()
        await rounds()
        assert there() == len(found) - 3
        world.app.kubernetes.end_watches()
        await rounds()
        assert there() == 0
        assert feed() is None


async def test_few_are_told_each_by_itself(world):
    found = [Client(world) for _ in range(FEWEST_ALIKE - 1)]
    async with asyncio.TaskGroup() as tasks:
        for client in found:
            tasks.create_task(client.run())
        await rounds()
        await world.create("a")
        await rounds()
        assert not places(world)
        assert all(client.names == ["a"] for client in found)
        for client in found:
            client.gone.set()


async def test_what_is_counted_is_what_was_sent(world):
    async with clients(world) as found:
        for name in "ab":
            await world.create(name, data={"k": "x"})
        await rounds()
        (counts,) = world.services.measures.watches.values()
        assert counts.open == len(found)
        assert counts.events == 3 * len(found)
        shown = [json.dumps(event["object"], separators=(",", ":")).encode() for event in found[0].events]
        assert counts.bytes == sum(map(len, shown)) * len(found)


async def test_a_slice_is_bounded_and_others_are_served_in_between(world, monkeypatch):
    monkeypatch.setattr(fan_out, "SLICE_SECONDS", 3.0)
    async with clients(world, 12) as found:
        now = [0.0]
        loop_of(world)._clock = lambda: now[0]
        written: list[int] = []
        for client in found:
            client.write = lambda data, client=client: (
                Client.write(client, data), written.append(1), now.__setitem__(0, now[0] + 1.0)
            )  # fmt: skip
        hold(world)
        await world.create("a")
        loop_of(world)._planned.cancel()
        loop_of(world)._begin()
        assert len(written) == 3
        steps = []
        while len(written) < 12:
            before = len(written)
            await asyncio.sleep(0)
            steps.append(len(written) - before)
        assert steps == [3, 3, 3]
        for client in found:
            del client.write


async def test_many_events_for_one_watch_are_written_piece_by_piece_in_as_many_slices(world, monkeypatch):
    monkeypatch.setattr(fan_out, "SLICE_SECONDS", 2.0)
    monkeypatch.setattr(watch_frames, "CHUNK_BYTES", 2000)
    async with clients(world) as found:
        now = [0.0]
        loop_of(world)._clock = lambda: now[0]
        written: list[Client] = []
        for client in found:
            client.write = lambda data, client=client: (
                Client.write(client, data), written.append(client), now.__setitem__(0, now[0] + 1.0)
            )  # fmt: skip
        hold(world)
        names = [f"n{number}" for number in range(10)]
        for name in names:
            await world.create(name, data={"k": "x" * 800})
        loop_of(world)._planned.cancel()
        loop_of(world)._begin()
        assert written == found[:1] * 2
        steps = []
        while len(written) < 5 * len(found):
            before = len(written)
            await asyncio.sleep(0)
            steps.append(len(written) - before)
        assert set(steps) == {2}
        assert all(client.names == ["first", *names] for client in found)
        for client in found:
            del client.write


@pytest.mark.parametrize(
    ("each", "watches", "seconds"), [(20e-6, 10, 200e-6), (20e-6, 1000, 0.04), (10e-6, 5000, 0.1), (1e-3, 2000, 0.5)]
)
async def test_cycles_take_half_of_the_time_where_that_is_more_than_a_moment(each, watches, seconds):
    now = [100.0]
    loop = FanOut(lambda: now[0])
    for _ in range(3):
        loop._began = now[0]
        loop._told = watches
        now[0] += each * watches
        loop._end(now[0], each * watches)
    assert loop._not_before - loop._began == pytest.approx(seconds)
