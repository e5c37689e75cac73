"""Connections without end: with a limit of some dozens, what 10,000 idle ones do to the default limit."""

import contextlib
import socket
import ssl
from collections.abc import Iterator

import httpx
import pytest
from hostile import MAPS, forget_peak, memory_mib, raw_connection
from real_server import Server, eventually, start_server
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

LIMIT = 60
ROOM_MIB = 30.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with start_server(tmp_path_factory.mktemp("server") / "root", "--max-connections", LIMIT) as server:
        yield server


def is_cut(connection: ssl.SSLSocket) -> bool:
    """Whether the server has ended it, without an answer."""
    connection.settimeout(10)
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        return connection.recv(1) == b""
    return True


def test_idle_connections_are_bounded_and_leave_others_served(server: Server):
    before = forget_peak(server)
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(server.client())
        assert client.get(MAPS).is_success
        idle = [stack.enter_context(raw_connection(server)) for _ in range(LIMIT - 1)]
        assert all(is_cut(stack.enter_context(raw_connection(server))) for _ in range(20))
        assert client.get(MAPS).is_success
        assert memory_mib(server) - before < ROOM_MIB
        idle[0].sendall(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
        assert idle[0].recv(12) == b"HTTP/1.1 200"
        assert idle[-1].fileno() > 0
    with server.client() as client:  # as soon as they are gone there is room again

        def served() -> bool:
            with contextlib.suppress(httpx.TransportError):
                return bool(client.get(MAPS).is_success)
            return False

        eventually(served)


def test_a_web_socket_takes_no_large_messages_and_no_compression(server: Server):
    context = ssl.create_default_context(cadata=server.authority())
    context.load_cert_chain(server.user_pem("kcp-admin"))
    url = f"{server.url.replace('https', 'wss', 1)}{MAPS}?watch=1"
    with connect(url, ssl=context, compression="deflate", proxy=None) as socket:
        assert "Sec-WebSocket-Extensions" not in socket.response.headers
        socket.send("x" * 2**20)
        with contextlib.suppress(ConnectionClosed):
            while True:
                socket.recv(timeout=10)
        assert socket.close_code == 1009


def test_connections_that_begin_no_tls_are_in_nobody_s_way(server: Server):
    with contextlib.ExitStack() as stack:
        for _ in range(2 * LIMIT):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 10))
        with server.client() as client:
            assert client.get(MAPS).is_success


def test_without_tls_nothing_is_answered(server: Server):
    with socket.create_connection(("127.0.0.1", server.port), 10) as plain:
        plain.sendall(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = bytearray()
        with contextlib.suppress(ConnectionError):
            while received := plain.recv(4096):
                answer += received
    assert b"HTTP" not in answer
