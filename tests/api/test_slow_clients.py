"""What a connection may let the server wait for. Time passes when a test says so."""

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from kcpcache.api.protocol import LOOK_SECONDS, MOST_HEAD_BYTES, KubernetesProtocol

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"


class Timers:
    """In place of the loop's timers."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._due = loop, []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    def call_later(self, seconds: float, call: Callable[..., None], *arguments: Any) -> Any:
        timer = asyncio.TimerHandle(seconds, call, arguments, self._loop)
        if seconds == LOOK_SECONDS:  # keep-alive is uvicorn's
            self._due.append(timer)
        return timer

    def look(self) -> None:
        due, self._due = self._due, []
        for timer in due:
            if not timer.cancelled():
                timer._run()


class Wire(asyncio.Transport):
    """What the client sees."""

    def __init__(self) -> None:
        super().__init__()
        self.sent, self.unread, self.state = b"", 0, "open"

    def write(self, data: bytes) -> None:
        self.sent += data

    def get_write_buffer_size(self) -> int:
        return self.unread

    def is_closing(self) -> bool:
        return self.state != "open"

    def close(self) -> None:
        self.state = "closing"

    def abort(self) -> None:
        self.state = "cut"

    def pause_reading(self) -> None:
        """Nothing more is read here anyway."""

    def resume_reading(self) -> None:
        """Nothing more is read here anyway."""


async def application(scope: Any, receive: Any, send: Any) -> None:
    """``/slow`` is never answered, ``/read`` after its body, everything else at once."""
    if scope["path"] == "/slow":
        await asyncio.Event().wait()
    while scope["path"] == "/read" and (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


class Client:
    def __init__(self, state: ServerState, **limits: int) -> None:
        config = Config(application, log_config=None)
        config.load()
        self.timers, self.wire = Timers(asyncio.get_running_loop()), Wire()
        self.protocol = KubernetesProtocol(config=config, server_state=state, app_state={}, _loop=self.timers, **limits)
        self.protocol.connection_made(self.wire)

    async def send(self, data: bytes) -> None:
        self.protocol.data_received(data)
        for _ in range(5):
            await asyncio.sleep(0)

    async def looks(self, times: int = 2) -> str:
        """What becomes of the connection if nothing more comes."""
        for _ in range(times):
            self.timers.look()
        return self.wire.state


@pytest.fixture
async def client() -> Client:
    return Client(ServerState())


async def test_who_says_nothing_at_all_is_cut_off(client: Client):
    assert await client.looks(1) == "cut"


@pytest.mark.parametrize("before", [b"", GET], ids=["first request", "a later one"])
async def test_headers_that_do_not_end_are_answered_with_408_however_many_come(client: Client, before: bytes):
    await client.send(before + b"GET /x HTTP/1.1\r\nHost: a\r\n")
    client.wire.sent = b""
    assert await client.looks(1) == "open"
    await client.send(b"X-Drop: 1\r\n")
    assert await client.looks(1) == "closing"
    head, _, body = client.wire.sent.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert orjson.loads(body)["code"] == 408
    assert await client.looks(2) == "cut"


async def test_who_waits_between_two_requests_is_left_to_keep_alive(client: Client):
    await client.send(GET)
    assert client.wire.sent.startswith(b"HTTP/1.1 200")
    assert await client.looks(4) == "open"
    await client.send(GET)
    assert await client.looks(4) == "open"


async def test_a_request_that_is_served_is_left_to_its_deadline(client: Client):
    await client.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
    assert await client.looks(4) == "open"
    for task in client.protocol.tasks:
        task.cancel()
    await asyncio.gather(*client.protocol.tasks, return_exceptions=True)


async def test_a_slow_body_is_left_to_the_deadline_of_its_request_until_that_is_answered(client: Client):
    await client.send(b"POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
    assert await client.looks(4) == "open"
    await client.send(b"defghi")
    assert client.wire.sent.startswith(b"HTTP/1.1 200")
    assert await client.looks(4) == "open"


async def test_a_body_that_nobody_reads_any_more_may_end_soon_or_is_cut_off(client: Client):
    head = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"
    await client.send(head + b"abc")
    assert client.wire.sent.startswith(b"HTTP/1.1 200")
    await client.send(b"defghi")
    assert await client.looks(4) == "open"
    await client.send(head + b"abc")
    assert await client.looks(1) == "open"
    await client.send(b"d")
    assert await client.looks(1) == "cut"


async def test_who_reads_nothing_of_an_answer_is_cut_off_and_who_reads_slowly_is_not(client: Client):
    await client.send(GET)
    for left in (900, 800, 700):
        client.wire.unread = left
        assert await client.looks(1) == "open"
    assert await client.looks(1) == "cut"


async def test_a_close_that_does_not_come_to_its_end_is_cut_short(client: Client):
    await client.send(GET)
    client.wire.close()
    assert await client.looks() == "cut"


async def test_nobody_looks_after_a_connection_that_is_lost(client: Client):
    client.protocol.connection_lost(None)
    assert await client.looks(3) == "closing"  # uvicorn's own close


async def test_a_head_that_does_not_end_is_refused_with_a_status(client: Client):
    await client.send(b"GET /x HTTP/1.1\r\nHost: a\r\n")
    while client.wire.state == "open":
        assert not client.wire.sent
        await client.send(b"X-More: " + b"x" * 4096 + b"\r\n")
    head, _, body = client.wire.sent.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 ")
    assert orjson.loads(body)["code"] == 431
    assert str(MOST_HEAD_BYTES) in orjson.loads(body)["message"]


async def test_what_is_no_http_is_refused_with_a_status(client: Client):
    await client.send(b"\x16\x03\x01 hello\r\n\r\n")
    head, _, body = client.wire.sent.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"connection: close" in head
    assert orjson.loads(body)["reason"] == "BadRequest"


async def test_one_connection_too_many_is_cut_and_those_that_are_there_stay():
    state = ServerState()
    first, second = (Client(state, most_connections=2) for _ in range(2))
    assert Client(state, most_connections=2).wire.state == "cut"
    assert (first.wire.state, second.wire.state) == ("open", "open")
