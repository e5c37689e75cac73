import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from kcpcache.api import watch as watching
from kcpcache.api import watch_frames
from kcpcache.api.watch import OpenWatches
from kcpcache.registry.cache_watch import FEWEST_ALIKE

CM = "/api/v1/namespaces/default/configmaps"
MERGE = {"content-type": "application/merge-patch+json"}


class Reader:
    """The events of one watch, one at a time."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(10):
            return json.loads(await anext(self._lines))

    async def rest(self) -> list[dict[str, Any]]:
        async with asyncio.timeout(10):
            return [json.loads(line) async for line in self._lines]


@pytest.fixture
async def browser(server: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server, timeout=20) as client:
        yield client


@contextlib.asynccontextmanager
async def watch(
    browser: httpx.AsyncClient, query: str = "", *, path: str = CM, **headers: str
) -> AsyncIterator[Reader]:
    async with browser.stream("GET", f"{path}?watch=1&{query}", headers=headers) as response:
        yield Reader(response)


def summary(event: dict[str, Any]) -> tuple[str, str]:
    return event["type"], event["object"]["metadata"].get("name", "")


async def test_a_watch_answers_before_anything_has_happened(browser):
    async with watch(browser, "resourceVersion=0") as events:
        assert events.response.status_code == 200
        assert events.response.headers["content-type"] == "application/json"
        assert events.response.headers["transfer-encoding"] == "chunked"


async def test_a_watch_shows_what_is_there_and_then_every_change(world, browser):
    await world.create("a")
    async with watch(browser) as events:
        assert summary(await events.next()) == ("ADDED", "a")
        await world.create("b")
        assert summary(await events.next()) == ("ADDED", "b")
        await world.client.put(f"{CM}/b", json={"metadata": {"name": "b"}, "data": {"k": "v"}})
        changed = await events.next()
        assert summary(changed) == ("MODIFIED", "b")
        assert changed["object"] == (await world.client.get(f"{CM}/b")).json()
        await world.client.delete(f"{CM}/b")
        assert summary(await events.next()) == ("DELETED", "b")


async def test_a_watch_goes_on_where_a_list_ended(world, browser):
    await world.create("a")
    version = (await world.client.get(CM)).json()["metadata"]["resourceVersion"]
    await world.create("b")
    async with watch(browser, f"resourceVersion={version}") as events:
        assert summary(await events.next()) == ("ADDED", "b")


async def test_a_watch_has_no_pages_whatever_token_it_names(world, browser):
    """Only together with a resourceVersionMatch is a token refused there (kube-apiserver 1.33.5)."""
    await world.create("a")
    version = (await world.client.get(CM)).json()["metadata"]["resourceVersion"]
    async with watch(browser, f"resourceVersion={version}&continue=x") as events:
        await world.create("b")
        assert summary(await events.next()) == ("ADDED", "b")
    query = "resourceVersionMatch=NotOlderThan&sendInitialEvents=true&continue=x"
    assert (await world.client.get(f"{CM}?watch=1&{query}")).status_code == 422


async def test_entering_a_selector_is_added_and_leaving_it_deleted(world, browser):
    await world.create("a")
    async with watch(browser, "labelSelector=x=1&resourceVersion=0") as events:
        labelled = {"metadata": {"name": "a", "labels": {"x": "1"}}}
        await world.client.put(f"{CM}/a", json=labelled)
        assert summary(await events.next()) == ("ADDED", "a")
        await world.client.put(f"{CM}/a", json={"metadata": {"name": "a"}})
        assert summary(await events.next()) == ("DELETED", "a")


async def test_initial_events_end_with_one_annotated_bookmark(world, browser):
    await world.create("a")
    query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=1"
    async with watch(browser, query) as events:
        assert summary(await events.next()) == ("ADDED", "a")
        mark = await events.next()
        assert mark["type"] == "BOOKMARK"
        assert (mark["object"]["kind"], mark["object"]["apiVersion"]) == ("ConfigMap", "v1")
        assert mark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
        (last,) = await events.rest()
        assert last["type"] == "BOOKMARK"
        assert "annotations" not in last["object"]["metadata"]


@pytest.mark.parametrize("unasked", ["", "&allowWatchBookmarks=false"])
async def test_the_end_of_initial_events_is_told_only_to_who_asks_for_bookmarks(world, browser, unasked):
    """As isListWatchRequest of kube-apiserver's cacher, and setInitialEventsEndBookmarkIfRequested (1.33.5)."""
    await world.create("a")
    query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&timeoutSeconds=1"
    async with watch(browser, query + unasked) as events:
        assert [summary(event) for event in await events.rest()] == [("ADDED", "a")]


async def test_a_bookmark_comes_every_minute_and_before_the_time_is_up(world, browser, monkeypatch):
    monkeypatch.setattr(watching, "BOOKMARK_SECONDS", 0.0)
    async with watch(browser, "allowWatchBookmarks=true&resourceVersion=0") as events:
        assert (await events.next())["type"] == "BOOKMARK"
        assert (await events.next())["type"] == "BOOKMARK"
    await world.create("a")
    monkeypatch.setattr(watching, "BOOKMARK_SECONDS", 1000.0)
    revision = (await world.client.get(CM)).json()["metadata"]["resourceVersion"]
    async with watch(browser, f"allowWatchBookmarks=true&resourceVersion={revision}&timeoutSeconds=1") as events:
        (last,) = await events.rest()
        assert (last["type"], last["object"]["metadata"]["resourceVersion"]) == ("BOOKMARK", revision)


async def test_a_watch_that_names_no_time_ends_by_itself_within_the_hour(browser, monkeypatch):
    asked: list[tuple[float, ...]] = []
    monkeypatch.setattr(watching.random, "uniform", lambda *between: asked.append(between) or 0.01)
    async with watch(browser, "resourceVersion=0") as events:
        assert await events.rest() == []
    assert asked == [(1800, 3600)]


async def test_without_asking_there_are_no_bookmarks(browser, monkeypatch):
    monkeypatch.setattr(watching, "BOOKMARK_SECONDS", 0.0)
    async with watch(browser, "resourceVersion=0&timeoutSeconds=1") as events:
        assert await events.rest() == []


async def test_a_watch_in_table_form_defines_its_columns_once(world, browser):
    await world.create("a")
    await world.create("b")
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
    async with watch(browser, "", accept=accept) as events:
        first, second = await events.next(), await events.next()
        assert first["object"]["kind"] == "Table"
        assert first["object"]["columnDefinitions"][0]["name"] == "Name"
        assert first["object"]["rows"][0]["cells"][0] == "a"
        assert second["object"]["columnDefinitions"] is None


async def test_a_watch_in_metadata_form_shows_metadata(world, browser):
    await world.create("a", data={"k": "v"})
    accept = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
    async with watch(browser, "allowWatchBookmarks=true&timeoutSeconds=1", accept=accept) as events:
        event, mark = await events.rest()
    assert set(event["object"]) == {"kind", "apiVersion", "metadata"}
    assert mark["object"]["kind"] == "PartialObjectMetadata"


async def test_a_revision_that_is_gone_is_410_before_the_stream_begins(world, browser):
    for name in "abc":
        await world.create(name)
    await world.caches.store.compact(3)
    world.caches.of("/registry/core/configmaps/").ring_after = 3
    response = await browser.get(f"{CM}?watch=1&resourceVersion=1")
    assert (response.status_code, response.json()["reason"]) == (410, "Expired")


async def test_a_watch_that_falls_behind_ends_with_an_error_event(world, browser):
    async with watch(browser, "resourceVersion=0") as events:
        (subscription,) = world.caches.of("/registry/core/configmaps/").subscriptions["root"]
        subscription.overrun = True
        subscription.close()
        (last,) = await events.rest()
    assert last["type"] == "ERROR"
    assert (last["object"]["code"], last["object"]["reason"]) == (410, "Expired")


async def test_a_defect_in_the_middle_of_a_watch_ends_it_with_an_error_that_tells_nothing(world, browser, monkeypatch):
    await world.create("a")
    monkeypatch.setattr("kcpcache.api.shapes.PlainShaper.item", lambda *_: 1 / 0)
    async with watch(browser) as events:
        (last,) = await events.rest()
    assert (last["type"], last["object"]["code"]) == ("ERROR", 500)
    assert "division" not in last["object"]["message"]


async def test_many_changes_at_once_arrive_in_order_and_in_few_writes(world, browser):
    async with watch(browser, "resourceVersion=0") as events:
        for index in range(50):
            await world.create(f"n{index:02}", data={"k": "x" * 5000})
        found = [summary(await events.next()) for _ in range(50)]
    assert found == [("ADDED", f"n{index:02}") for index in range(50)]


async def test_events_for_a_client_that_reads_need_no_deadlines(world, browser, monkeypatch):
    """A deadline for each would cost as much as all the rest of an event's way."""
    deadlines = []
    real = watching._Streaming._sent
    monkeypatch.setattr(
        watching._Streaming, "_sent", staticmethod(lambda sending: deadlines.append(1) or real(sending))
    )
    async with watch(browser, "&resourceVersion=0") as events:
        for name in "abcde":
            await world.create(name)
            assert (await events.next())["object"]["metadata"]["name"] == name
    assert len(deadlines) == 1  # for the head


async def test_a_client_that_goes_leaves_nothing_behind(world, browser):
    async with watch(browser, "resourceVersion=0"):
        assert len(world.app.kubernetes.open_watches) == 1
    async with asyncio.timeout(10):
        while len(world.app.kubernetes.open_watches):  # noqa: ASYNC110 -- the server learns of it by and by
            await asyncio.sleep(0)
    assert world.caches.of("/registry/core/configmaps/").subscriptions == {}


async def test_shutdown_ends_every_watch_cleanly(world, browser):
    async with watch(browser, "resourceVersion=0") as events:
        world.services.shutting_down.set()
        assert await events.rest() == []
    async with watch(browser, "resourceVersion=0") as late:
        assert await late.rest() == []


async def test_a_client_that_does_not_read_is_cut_off(world, monkeypatch):
    monkeypatch.setattr(watching, "SEND_SECONDS", 0.0)
    for index in range(3):
        await world.create(f"n{index}", data={"k": "x" * 50_000})
    never = asyncio.Event()
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)
        if message["type"] == "http.response.body":
            await never.wait()

    async def receive() -> Any:
        await never.wait()

    scope = {
        "type": "http", "method": "GET", "path": CM, "raw_path": CM.encode(), "query_string": b"watch=1", "headers": [],
    }  # fmt: skip
    await world.app(scope, receive, send)
    assert len(sent) == 2
    assert not len(world.app.kubernetes.open_watches)


def test_watches_that_begin_after_the_end_are_closed_at_once():
    class Fake:
        closed = False

        def close(self) -> None:
            self.closed = True

    open_watches, fake = OpenWatches(), Fake()
    open_watches.end()
    with open_watches.holding(fake):
        assert fake.closed


async def test_what_many_watches_are_sent_is_made_once(world, browser, monkeypatch):
    made, make = [], watch_frames._made
    monkeypatch.setattr(watch_frames, "_made", lambda events: made.append(len(events)) or make(events))
    async with contextlib.AsyncExitStack() as stack:
        watches = [await stack.enter_async_context(watch(browser)) for _ in range(FEWEST_ALIKE + 1)]
        changed = await stack.enter_async_context(watch(browser, "labelSelector=no=such"))
        await world.create("a")
        found = [await events.next() for events in watches]
        assert [summary(event) for event in found] == [("ADDED", "a")] * len(watches)
        assert all(event == found[0] for event in found)
        assert made == [1]
        await world.client.patch(f"{CM}/a", json={"metadata": {"labels": {"no": "such"}}}, headers=MERGE)
        assert summary(await changed.next()) == ("ADDED", "a")
        assert [summary(await events.next()) for events in watches] == [("MODIFIED", "a")] * len(watches)
        assert made == [1, 1]
    counts = [one for labels, one in world.services.measures.watches.items() if one.events]
    assert [one.events for one in counts] == [2 * len(watches) + 1]
