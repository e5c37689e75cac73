"""Calls over a real socket; the server answers from a script."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import trustme

from kcpcache.client.connection import RETRIES, ApiError, Connection, UnreachableError, proxy_for
from kcpcache.client.endpoint import Endpoint


class Script(ThreadingHTTPServer):
    """Gives the answers in order, each (status, body, headers), and keeps what was asked."""

    daemon_threads = True
    request_queue_size = 20

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[tuple[int, Any, dict[str, str]]] = []
        self.asked: list[tuple[str, str, Any, dict[str, str]]] = []
        self.connections = 0
        self.hang_up = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def get_request(self):
        self.connections += 1
        return super().get_request()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Script

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((self.command, self.path, json.loads(body or b"null"), dict(self.headers.items())))
        status, answer, headers = self.server.answers.pop(0)
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        if self.server.hang_up:  # without a word, as a server does with a connection that was idle for long
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_CONNECT = answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Script]:
    script = Script()
    thread = threading.Thread(target=script.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield script
    finally:
        script.shutdown()
        thread.join()
        script.server_close()


def status(code: int, reason: str, message: str) -> tuple[int, Any, dict[str, str]]:
    return code, {"kind": "Status", "reason": reason, "message": message}, {}


def test_calls_share_a_connection_and_carry_the_credentials(server):
    server.answers = [(200, {"a": 1}, {}), (201, {"b": 2}, {}), (200, {"c": 3}, {}), (200, {"d": 4}, {}), (200, {}, {})]
    headers = (("Authorization", "Bearer t"), ("Impersonate-Group", "a"), ("Impersonate-Group", "b"))
    with Connection(Endpoint(server.url, headers=headers), user_agent="me") as connection:
        assert connection.get("/x", {"limit": "1"}) == {"a": 1}
        assert connection.create("/x", {"new": True}) == {"b": 2}
        assert connection.update("/x/y", {"newer": True}) == {"c": 3}
        assert connection.apply("/x/y", {"z": 1}, field_manager="me", force=True) == {"d": 4}
        assert connection.delete("/x/y")
    assert server.connections == 1
    assert [(method, path, body) for method, path, body, _ in server.asked] == [
        ("GET", "/x?limit=1", None),
        ("POST", "/x", {"new": True}),
        ("PUT", "/x/y", {"newer": True}),
        ("PATCH", "/x/y?fieldManager=me&force=true", {"z": 1}),
        ("DELETE", "/x/y?propagationPolicy=Background", None),
    ]
    sent = [headers for *_, headers in server.asked]
    assert sent[0]["Authorization"] == "Bearer t"
    assert sent[0]["User-Agent"] == "me"
    assert sent[1]["Content-Type"] == "application/json"
    assert sent[3]["Content-Type"] == "application/apply-patch+yaml"


def test_a_list_is_read_page_by_page(server):
    server.answers = [
        (200, {"items": [1, 2], "metadata": {"continue": "more"}}, {}),
        (200, {"items": [3], "metadata": {}}, {}),
        (200, {"items": None}, {}),
    ]
    with Connection(Endpoint(server.url)) as connection:
        assert connection.items("/x", {"labelSelector": "a"}) == [1, 2, 3]
        assert connection.items("/x") == []
    assert server.asked[1][1] == "/x?limit=500&labelSelector=a&continue=more"


def test_a_refusal_is_the_servers_status(server):
    server.answers = [status(404, "NotFound", 'x "y" not found'), (502, b"<html>", {}), status(404, "NotFound", "no")]
    with Connection(Endpoint(server.url)) as connection:
        with pytest.raises(ApiError, match='x "y" not found') as caught:
            connection.get("/x/y")
        assert (caught.value.code, caught.value.reason) == (404, "NotFound")
        with pytest.raises(ApiError, match="the server answered 502 Bad Gateway: <html>"):
            connection.get("/x/y")
        assert not connection.delete("/x/y")


def test_another_refusal_of_a_deletion_is_told(server):
    server.answers = [status(403, "Forbidden", "no")]
    with Connection(Endpoint(server.url)) as connection, pytest.raises(ApiError, match="no"):
        connection.delete("/x/y")


def test_a_call_that_is_put_off_is_made_again_when_the_server_says(server):
    slept: list[float] = []
    busy = (429, {"message": "busy"}, {"Retry-After": "2"})
    server.answers = [busy, (503, {"message": "soon"}, {"Retry-After": "1"}), (200, {"a": 1}, {}), *[busy] * RETRIES]
    with Connection(Endpoint(server.url), sleep=slept.append) as connection:
        assert connection.get("/x") == {"a": 1}
        assert slept == [2.0, 1.0]
        with pytest.raises(ApiError, match="busy"):
            connection.get("/x")
    assert server.answers == []


def test_an_answer_that_is_no_object_is_told(server):
    server.answers = [(200, [1], {}), (200, b"text", {})]
    with Connection(Endpoint(server.url)) as connection:
        for _ in range(2):
            with pytest.raises(ApiError, match="the answer to GET /x is not a JSON object"):
                connection.get("/x")


def test_a_connection_that_the_server_has_closed_is_made_again_where_that_is_safe(server):
    server.hang_up = True
    server.answers = [(200, {"a": 1}, {}), (200, {"a": 2}, {})]
    with Connection(Endpoint(server.url)) as connection:
        assert connection.get("/x") == {"a": 1}
        assert connection.get("/x") == {"a": 2}
        with pytest.raises(UnreachableError, match=r"the connection to the server .* failed"):
            connection.create("/x", {})
    assert len(server.asked) == 2


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.mark.parametrize(
    ("endpoint", "why"),
    [
        (Endpoint(f"https://127.0.0.1:{free_port()}"), "was refused - did you specify the right host or port"),
        (Endpoint("https://host.invalid"), "the host of host.invalid is not known"),
        (Endpoint("https://127.0.0.1:1", ca_pem="no"), "certificate authority of the kubeconfig is no PEM"),
        (Endpoint("https://127.0.0.1:1", ca_pem="ü"), "certificate authority of the kubeconfig is no PEM"),
        (
            Endpoint("https://127.0.0.1:1", certificate_pem=b"no"),
            "client certificate and key of the kubeconfig do not fit",
        ),
    ],
)
def test_a_server_that_cannot_be_reached_is_told(endpoint, why):
    with Connection(endpoint, environ={}) as connection, pytest.raises(UnreachableError, match=why):
        connection.get("/x")


def test_a_server_that_speaks_no_tls_or_is_not_trusted_is_told(server):
    with (
        Connection(Endpoint(server.url.replace("http", "https")), environ={}) as connection,
        pytest.raises(UnreachableError, match="no TLS connection to"),
    ):
        connection.get("/x")


def test_tls_is_checked_against_the_authority_and_the_name_unless_told_otherwise(server):
    import ssl

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("api.example.com").configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.answers = [(200, {"a": 1}, {}), (200, {"a": 2}, {})]
    url, ca = server.url.replace("http", "https"), authority.cert_pem.bytes().decode()
    with Connection(Endpoint(url, ca_pem=ca, tls_server_name="api.example.com"), environ={}) as connection:
        assert connection.get("/x") == {"a": 1}
    with Connection(Endpoint(url, insecure=True), environ={}) as connection:
        assert connection.get("/x") == {"a": 2}
    for endpoint in (Endpoint(url, ca_pem=ca), Endpoint(url, tls_server_name="api.example.com")):
        with Connection(endpoint, environ={}) as connection, pytest.raises(UnreachableError, match="is not trusted"):
            connection.get("/x")


def test_a_connection_is_asked_of_the_proxy_first(server):
    server.answers = [(403, b"", {})]
    proxy = server.url.replace("http://", "http://me:secret@")
    with (
        Connection(Endpoint("https://api.example.com", proxy_url=proxy), environ={}) as connection,
        pytest.raises(UnreachableError, match="Tunnel connection failed: 403"),
    ):
        connection.get("/x")
    ((method, target, _, headers),) = server.asked
    assert (method, target) == ("CONNECT", "api.example.com:443")
    assert headers["Proxy-Authorization"] == "Basic bWU6c2VjcmV0"


@pytest.mark.parametrize(
    ("endpoint", "environ", "proxy"),
    [
        (Endpoint("https://x.io", proxy_url="http://p:1"), {"HTTPS_PROXY": "http://no"}, "http://p:1"),
        (Endpoint("https://x.io"), {"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        (Endpoint("https://x.io"), {"https_proxy": "http://p:1", "NO_PROXY": "y.io, z.io"}, "http://p:1"),
        (Endpoint("https://x.io"), {"https_proxy": "p:1"}, "http://p:1"),
        (Endpoint("https://a.x.io"), {"https_proxy": "http://p:1", "no_proxy": "y.io,.x.io"}, None),
        (Endpoint("https://x.io"), {"https_proxy": "http://p:1", "NO_PROXY": "*"}, None),
        (Endpoint("https://127.0.0.1:6443"), {"HTTPS_PROXY": "http://p:1"}, None),
        (Endpoint("https://x.io"), {}, None),
    ],
)
def test_a_proxy_is_the_kubeconfigs_or_the_environments(endpoint, environ, proxy):
    found = proxy_for(endpoint, environ)
    assert (found and found.geturl()) == proxy


@pytest.mark.parametrize("proxy", ["http://[bad", "http://p:abc", "http://"])
def test_a_proxy_that_is_no_url_is_told(proxy):
    with pytest.raises(UnreachableError, match=r"HTTPS_PROXY .* is no URL"):
        proxy_for(Endpoint("https://x.io"), {"HTTPS_PROXY": proxy})
