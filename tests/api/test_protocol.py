"""What leaves a connection, write by write."""

import asyncio
import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from kcpcache.api.exchange import Exchange
from kcpcache.api.protocol import KubernetesProtocol
from kcpcache.registry.handover import handover

REQUEST = b"%b /x HTTP/1.1\r\nhost: h\r\n%b\r\n"


class Wire(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closing = False

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    def writelines(self, list_of_data: Any) -> None:
        self.writes += list_of_data

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


async def writes(
    answer: Any, method: bytes = b"GET", headers: bytes = b"", body: bytes = b"", *, requests: int = 1
) -> Wire:
    """What an application that does ``await answer(exchange)`` writes."""
    ended = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await answer(Exchange(scope, receive, send))
        finally:
            ended.set()

    config = uvicorn.Config(app, http=KubernetesProtocol, log_config=None, server_header=False, lifespan="off")
    config.load()
    state, wire = ServerState(), Wire()
    state.default_headers = [(b"date", b"today")]
    protocol = KubernetesProtocol(config, state, {}, asyncio.get_running_loop())
    protocol.connection_made(wire)
    for _ in range(requests):
        ended.clear()
        protocol.data_received(REQUEST % (method, headers) + body)
        await ended.wait()
        await asyncio.sleep(0)
    if protocol.timeout_keep_alive_task is not None:
        protocol.timeout_keep_alive_task.cancel()
    return wire


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def plain(exchange: Exchange) -> None:
    await exchange.respond(200, b"{}")


async def test_a_short_answer_is_one_write():
    wire = await writes(plain)
    head, _, body = b"".join(wire.writes).partition(b"\r\n\r\n")
    assert len(wire.writes) == 1
    assert body == b"{}"
    assert head.split(b"\r\n") == [
        b"HTTP/1.1 200 OK",
        b"content-type: application/json",
        b"cache-control: no-cache, private",
        b"content-length: 2",
        b"date: today",
    ]
    assert not wire.closing


@pytest.mark.parametrize(
    "more", [{"status": 404}, {"headers": ((b"etag", b"x"),)}, {"content_type": (b"content-type", b"text/plain")}]
)
async def test_every_other_answer_of_one_piece_is_one_write_too(more):
    wire = await writes(lambda exchange: exchange.respond(**{"status": 200, "body": b"{}", **more}))
    assert len(wire.writes) == 1
    assert wire.writes[0].endswith(b"\r\n\r\n{}")


async def test_warnings_are_sent_with_short_answers():
    async def warned(exchange: Exchange) -> None:
        exchange.warnings.append("careful")
        await exchange.respond(200, b"{}")

    assert b'warning: 299 - "careful"' in (await writes(warned)).writes[0]


async def test_a_client_that_wants_to_close_is_told_and_closed():
    wire = await writes(plain, headers=b"connection: close\r\n")
    assert b"connection: close\r\n" in wire.writes[0]
    assert wire.closing


async def test_an_answer_to_head_has_no_body():
    wire = await writes(plain, method=b"HEAD")
    assert b"".join(wire.writes).endswith(b"content-length: 2\r\ncache-control: no-cache, private\r\n\r\n")


async def test_an_answer_without_a_body_is_sent():
    wire = await writes(lambda exchange: exchange.respond_not_modified(()))
    assert b"".join(wire.writes).startswith(b"HTTP/1.1 304")


async def test_the_head_of_a_stream_leaves_with_its_first_piece_even_an_empty_one():
    seen: list[int] = []

    async def stream(exchange: Exchange) -> None:
        await exchange.start(200, ())
        await exchange.write(b"")
        seen.append(len(b"".join(wire_of(exchange).writes)))
        await exchange.write(b"abc")
        await exchange.finish()

    def wire_of(exchange: Exchange) -> Wire:
        return exchange._send.__self__.transport._transport

    wire = await writes(stream)
    assert seen[0]
    assert wire.writes[1:] == [b"3\r\nabc\r\n", b"0\r\n\r\n"]


async def test_a_large_piece_is_sent_without_being_copied():
    pieces = [bytes(20_000), bytes(30_000)]

    async def stream(exchange: Exchange) -> None:
        await exchange.start(200, ())
        for piece in pieces:
            await exchange.write(piece)
        await exchange.finish()

    wire = await writes(stream)
    assert [one for one in wire.writes if len(one) > 1000] == pieces
    assert all(any(one is piece for one in wire.writes) for piece in pieces)
    head, _, rest = b"".join(wire.writes).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert rest == b"4e20\r\n%b\r\n7530\r\n%b\r\n0\r\n\r\n" % tuple(pieces)


async def test_who_asks_before_sending_a_body_is_told_to_go_on_at_once():
    async def echo(exchange: Exchange) -> None:
        asked.set()
        await exchange.respond(200, await exchange.body())

    asked = asyncio.Event()
    wire = await writes(echo, b"POST", b"expect: 100-continue\r\ncontent-length: 2\r\n", b"{}")
    assert wire.writes[0] == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert len(wire.writes) == 2


async def stream(exchange: Exchange) -> None:
    await exchange.start(200, ())
    await exchange.write(b"{}")
    await exchange.finish()


async def not_found(exchange: Exchange) -> None:
    await exchange.respond(404, b"{}")


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("answer", [plain, stream, not_found])
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
async def test_a_request_that_is_answered_leaves_nothing_to_the_collector(answer, method):
    """What only the collector finds, it takes away ten thousand at a time, while everybody waits."""
    known: list[weakref.ref[Any]] = []

    async def noted(exchange: Exchange) -> None:
        known.append(weakref.ref(exchange._send.__self__))
        await answer(exchange)

    await writes(noted, method, requests=3)
    assert [found() is None for found in known] == [True, True, False], "the connection knows its last request"


async def test_a_large_answer_goes_in_pieces_of_which_none_is_long_to_encrypt():
    body = b"x" * 300_000
    wire = await writes(lambda exchange: exchange.respond(200, body))
    assert b"".join(wire.writes).endswith(body)
    assert max(map(len, wire.writes)) < 66_000


@pytest.mark.parametrize("data", [REQUEST % (b"GET", b""), b"no HTTP at all\r\n\r\n", b"GET / HT"])
async def test_the_event_loop_holds_on_to_the_interpreter_no_longer_than_for_what_came(data):
    async def app(_scope: Any, _receive: Any, _send: Any) -> None: ...

    config = uvicorn.Config(app, http=KubernetesProtocol, log_config=None, lifespan="off")
    config.load()
    protocol = KubernetesProtocol(config, ServerState(), {}, asyncio.get_running_loop())
    protocol.connection_made(Wire())
    handover.begin()
    try:
        handover.hold()  # as ``PromptTls`` does, which has read
        protocol.data_received(data)
        assert not handover.holds
    finally:
        handover.end()
        protocol.connection_lost(None)
