import asyncio
import contextlib

import orjson
import pytest
from other_server import OtherServer, failure, response, thing

from kcpcache.meta.errors import (
    ExpiredError,
    ForbiddenError,
    NotFoundError,
    ServiceUnavailableError,
    TooManyRequestsError,
)
from kcpcache.meta.selectors import parse_field_selector, parse_label_selector
from kcpcache.registry.definitions import definition_of_schema
from kcpcache.registry.view import Bookmark, ListOptions
from kcpcache.virtual import remote as remote_module
from kcpcache.virtual.remote import Remote, RemoteError
from kcpcache.virtual.remote_view import RemoteView, field_selector_text, label_selector_text

CONSUMER = "consumer"
NAMES = {"plural": "things", "kind": "Thing"}
VERSIONS = [{"name": "v1", "served": True, "storage": True, "schema": {"type": "object"}}]
DEFINITION = definition_of_schema(
    {"spec": {"group": "example.com", "scope": "Cluster", "names": NAMES, "versions": VERSIONS}},
    identity_hash="",
    virtual=True,
)


@contextlib.asynccontextmanager
async def reading(*, trusted=True):
    async with OtherServer().running() as server:
        remote = Remote(context=server.trust if trusted else None)
        try:
            yield server, RemoteView(remote, server.base, DEFINITION, DEFINITION.versions[0], CONSUMER, hops=2)
        finally:
            await remote.close()


async def test_objects_are_shown_under_our_names_and_in_the_consumers_workspace():
    async with reading() as (server, view):
        foreign = {"kcp.io/cluster": "elsewhere", "kcp.io/shard": "s", "kept": "yes"}
        server.answer = {"metadata": {"resourceVersion": "40"}, "items": [thing("a", "7", annotations=foreign)]}
        listing = await view.list(ListOptions())
        (one,) = [item.object() for item in listing.items()]
        assert (one["apiVersion"], one["kind"], one["spec"]) == ("example.com/v1", "Thing", {"size": 1})
        assert one["metadata"] == {
            "name": "a",
            "resourceVersion": "7",
            "annotations": {"kcp.io/cluster": CONSUMER, "kept": "yes"},
        }
        assert listing.revision == 40
        assert server.targets == ["/services/some/thing/clusters/consumer/apis/example.com/v1/things"]


async def test_nothing_but_the_number_of_hops_goes_along_and_no_cookie_is_kept():
    async with reading() as (server, view):
        server.answer = response(thing("a", "7"), 200, "set-cookie: session=1; Path=/")
        await view.get("", "a", resource_version="5")
        await view.get("", "a")
        assert [target.rpartition("/")[2] for target in server.targets] == ["a?resourceVersion=5", "a"]
        for sent in server.headers:
            assert set(sent) == {"host", "accept", "accept-encoding", "connection", "user-agent", "kcpcache-hops"}
            assert sent["kcpcache-hops"] == "2"


async def test_selectors_and_pages_are_the_other_servers_business():
    async with reading() as (server, view):
        meta = {"resourceVersion": "40", "continue": "more", "remainingItemCount": 3}
        server.answer = {"metadata": meta, "items": []}
        options = ListOptions(
            label_selector=parse_label_selector("a=b,!c"),
            field_selector=parse_field_selector("metadata.name!=x"),
            limit=5,
            continue_token="t",
        )
        listing = await view.list(options)
        assert (listing.continue_token, listing.remaining) == ("more", 3)
        query = server.targets[0].partition("?")[2]
        assert query == "labelSelector=a+in+%28b%29%2C%21c&fieldSelector=metadata.name%21%3Dx&limit=5&continue=t"


@pytest.mark.parametrize("text", ["a=b", "a!=b", "a in (b,c)", "a notin (b,c)", "a", "!a", "a>5", "a<5,x/y=z"])
def test_a_label_selector_means_the_same_after_it_was_written_out(text):
    parsed = parse_label_selector(text)
    assert parse_label_selector(label_selector_text(parsed)) == parsed


@pytest.mark.parametrize("text", ["metadata.name=a", "a!=b,c=d", r"a=x\,y\=z\\"])
def test_a_field_selector_means_the_same_after_it_was_written_out(text):
    parsed = parse_field_selector(text)
    assert parse_field_selector(field_selector_text(parsed)) == parsed


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (failure(404, "NotFound"), NotFoundError),
        (failure(403, "Forbidden"), ForbiddenError),
        (failure(410, "Expired"), ExpiredError),
        (failure(500, "InternalError"), ServiceUnavailableError),
        (failure(429, "TooManyRequests", details={"retryAfterSeconds": 3}), TooManyRequestsError),
    ],
)
async def test_a_status_is_passed_on_but_no_internal_error(status, error):
    async with reading() as (server, view):
        server.answer = response(status, status["code"])
        for call in (view.get("", "a"), view.list(ListOptions()), view.watch(ListOptions())):
            with pytest.raises(error, match="because") as found:
                await call
            assert found.value.retry_after_seconds == (3 if error is TooManyRequestsError else 0)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (response(failure(401, "Unauthorized"), 401), "asks for credentials"),
        (response(b"<html>", 502), "HTTP status 502"),
        (response(b"", 302, "location: https://127.0.0.1:1/"), "HTTP status 302"),
        (response(b"{}", 200, "content-encoding: gzip"), "encoded"),
        (response(b"[]"), "no JSON object"),
        (response(b"{"), "no JSON object"),
        (b"nonsense\r\n\r\n", "cannot be reached"),
    ],
)
async def test_what_no_api_server_answers_is_told_as_a_fault_of_the_endpoint(answer, why):
    async with reading() as (server, view):
        server.answer = answer
        with pytest.raises(RemoteError, match=why):
            await view.list(ListOptions())
        assert len(server.targets) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        {"metadata": {"name": "a"}},
        {"metadata": {"name": 1, "resourceVersion": "1"}},
        thing("a", "x"),
        thing("a", "1", annotations=["x"]),
        thing("a", "1", annotations={"x": 1}),
        thing("a", "1", labels={"x": 1}),
        thing("a", "1", ownerReferences={"x": 1}),
    ],
)
async def test_an_object_with_wrong_metadata_is_refused(wrong):
    async with reading() as (server, view):
        server.answer = {"metadata": {"resourceVersion": "1"}, "items": [wrong]}
        with pytest.raises(RemoteError, match="it sends"):
            await view.list(ListOptions())


async def test_an_answer_that_is_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(remote_module, "MOST_ANSWER_BYTES", 1000)
    async with reading() as (server, view):
        server.answer = thing("a", "7", labels={"x": "y" * 1000})
        with pytest.raises(RemoteError, match="larger than 1000 bytes"):
            await view.get("", "a")


async def test_a_certificate_of_an_unknown_authority_is_refused():
    async with reading(trusted=False) as (server, view):
        with pytest.raises(RemoteError, match="certificate verify failed"):
            await view.get("", "a")
        assert not server.targets


async def test_a_server_that_is_down_is_told_of():
    async with reading() as (_server, view):
        pass
    with pytest.raises(RemoteError, match="cannot be reached"):
        await view.get("", "a")
    with pytest.raises(RemoteError, match="cannot be reached"):
        await view.watch(ListOptions())
    await view._remote.close()


def event(kind, obj):
    return orjson.dumps({"type": kind, "object": obj}) + b"\n"


def bookmark(version, **metadata):
    return event("BOOKMARK", {"metadata": {"resourceVersion": version, **metadata}})


async def drained(watch):
    """All events until the end."""
    found = []
    with contextlib.suppress(StopAsyncIteration):
        while True:
            found += await watch.next(30)
    return found


async def test_a_watch_is_forwarded_whatever_pieces_it_comes_in():
    async with reading() as (server, view):

        async def stream(send):
            data = (
                event("ADDED", thing("a", "5"))
                + event("MODIFIED", thing("a", "9"))
                + event("DELETED", thing("a", "11"))
            )
            for at in range(0, len(data), 50):
                await send(data[at : at + 50])

        server.stream = stream
        watch = await view.watch(ListOptions(resource_version="4"))
        found = await drained(watch)
        assert [(one.type, one.item.entry.revision) for one in found] == [
            ("ADDED", 5),
            ("MODIFIED", 9),
            ("DELETED", 11),
        ]
        assert {one.item.object()["metadata"]["annotations"]["kcp.io/cluster"] for one in found} == {CONSUMER}
        assert server.targets[0].endswith("/things?resourceVersion=4&watch=true&allowWatchBookmarks=true")
        assert watch.bookmark() == Bookmark(11)


async def test_a_watch_that_began_with_what_is_there_says_how_far_it_is_only_after_a_bookmark():
    async with reading() as (server, view):
        go_on = asyncio.Event()

        async def stream(send):
            await send(event("ADDED", thing("b", "9")))
            await go_on.wait()
            await send(bookmark("12", annotations={"k8s.io/initial-events-end": "true"}))

        server.stream = stream
        watch = await view.watch(ListOptions(send_initial_events=True))
        (first,) = await watch.next(30)
        assert first.type == "ADDED"
        assert watch.bookmark() == Bookmark(0)
        assert not await watch.next(0)
        go_on.set()
        assert await drained(watch) == [Bookmark(12, initial=True)]
        assert watch.bookmark() == Bookmark(12)
        assert "sendInitialEvents=true" in server.targets[0]


async def test_an_error_event_is_the_last_one():
    async with reading() as (server, view):

        async def stream(send):
            await send(event("ADDED", thing("a", "5")) + event("ERROR", failure(410, "Expired")) + bookmark("7"))

        server.stream = stream
        watch = await view.watch(ListOptions(resource_version="4"))
        assert len(await watch.next(30)) == 1
        with pytest.raises(ExpiredError):
            await watch.next(30)


@pytest.mark.parametrize("line", [b"{\n", event("ADDED", []), event("ERROR", {}), bookmark("x"), b"[" * 5000])
async def test_an_event_that_is_none_ends_the_watch_with_an_error(line, monkeypatch):
    monkeypatch.setattr(remote_module, "MOST_LINE_BYTES", 4000)
    async with reading() as (server, view):
        server.stream = lambda send: send(line)
        watch = await view.watch(ListOptions())
        with pytest.raises(RemoteError):
            await drained_or_raise(watch)


async def drained_or_raise(watch):
    while True:
        await watch.next(30)


async def test_closing_a_watch_closes_the_connection_and_wakes_its_reader():
    async with reading() as (server, view):
        waiting = asyncio.Event()

        async def stream(send):
            waiting.set()
            with contextlib.suppress(ConnectionError):
                while True:
                    await send(event("ADDED", thing("a" * 200, "5")) * 500)
            server.gone.set()

        server.stream = stream
        watch = await view.watch(ListOptions())
        await waiting.wait()
        await watch.next(30)
        watch.close()
        watch.close()
        with pytest.raises(StopAsyncIteration):
            await watch.next(30)
        async with asyncio.timeout(30):
            await server.gone.wait()


async def test_a_reader_that_waits_is_woken_by_close():
    async with reading() as (server, view):
        never = asyncio.Event()
        server.stream = lambda _send: never.wait()
        watch = await view.watch(ListOptions())
        reader = asyncio.create_task(watch.next(30))
        await asyncio.sleep(0)
        watch.close()
        with pytest.raises(StopAsyncIteration):
            await reader
        never.set()
