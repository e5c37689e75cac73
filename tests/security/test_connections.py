"""Who asks is told by each request alone, whatever else came on its connection; and what is no HTTP is nobody's."""

import itertools
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import orjson
import pytest
import pytest_asyncio
from server_process import WireHttp, server_process
from wire import Wire, handshake, name_in, request

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOKENS = 'root-token,root,u-0,"system:masters"\nalice-token,alice,u-1\nbob-token,bob,u-2\n'
MAPS = "/clusters/root/api/v1/namespaces/default/configmaps"
SECRET, MARKER = f"{MAPS}/treasure", b"q7treasure"
REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
ALICE = "authorization: Bearer alice-token\r\n"
READ = f"GET {SECRET} HTTP/1.1\r\nhost: x\r\n{ALICE}\r\n".encode()
"""What alice may have and bob may not: smuggled, it must never become a request of its own."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[WireHttp]:
    """Everybody may enter root; alice may read its configmaps, one of which is there."""
    async with server_process(tmp_path_factory.mktemp("server"), TOKENS) as nobody:
        root = nobody.as_user("root-token")
        rbac, group = "/clusters/root/apis/rbac.authorization.k8s.io/v1", "rbac.authorization.k8s.io"
        rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]}
        await root.must("POST", f"{rbac}/clusterroles", {"metadata": {"name": "maps"}, "rules": [rule]})
        subject = {"kind": "User", "apiGroup": group, "name": "alice"}
        role = {"apiGroup": group, "kind": "ClusterRole", "name": "maps"}
        binding = {"metadata": {"name": "maps"}, "roleRef": role, "subjects": [subject]}
        await root.must("POST", f"{rbac}/clusterrolebindings", binding)
        await root.must("POST", MAPS, {"metadata": {"name": "treasure"}, "data": {"a": MARKER.decode()}})
        yield nobody


def connected(http: WireHttp, certificate: str | None = None) -> AbstractAsyncContextManager[Wire]:
    return http.connections.another(certificate)


def who_am_i(token: str = "", **headers: str) -> bytes:
    return request("POST", REVIEWS, token, b"{}", {"content-type": "application/json", **headers})


# -- several users on one connection


async def test_an_answer_to_one_user_is_never_given_to_the_next_on_the_same_connection(http: WireHttp) -> None:
    """Repeated GETs are answered by a shortcut, which the others' must not take."""
    turns = ["alice-token", "alice-token", "bob-token", "", "alice-token", "wrong", "alice-token", "bob-token"]
    expected = {"alice-token": 200, "bob-token": 403, "": 403, "wrong": 401}
    async with connected(http) as wire:
        for token in turns * 5:
            wire.send(request("GET", SECRET, token))
            answer = await wire.answer()
            assert (answer.status, MARKER in answer.body) == (expected[token], expected[token] == 200), token


async def test_requests_sent_ahead_are_each_answered_to_the_user_that_it_names(http: WireHttp) -> None:
    users = ["alice", "bob", "", "root"] * 10
    names = [user or "system:anonymous" for user in users]
    async with connected(http) as wire:
        wire.send(b"".join(who_am_i(f"{user}-token" if user else "") for user in users))
        answers = [await wire.answer() for _ in users]
    # nobody may not even ask who he is
    assert [name_in(one) for one in answers] == ["403" if n == "system:anonymous" else n for n in names]
    async with connected(http) as wire:
        wire.send(b"".join(request("GET", SECRET, f"{user}-token" if user else "") for user in users))
        answers = [await wire.answer() for _ in users]
    assert [MARKER in one.body for one in answers] == [user in {"alice", "root"} for user in users]


async def test_impersonation_is_of_the_one_request_that_asks_for_it(http: WireHttp) -> None:
    as_alice = {"impersonate-user": "alice", "impersonate-group": "system:authenticated"}
    for ahead in (False, True):
        async with connected(http) as wire:
            asked = [who_am_i("root-token", **(as_alice if odd else {})) for odd in (0, 1, 0, 1, 1, 0)]
            answers = []
            for one in [b"".join(asked)] if ahead else asked:
                wire.send(one)
                answers += [await wire.answer() for _ in range(len(asked) if ahead else 1)]
        assert [name_in(one) for one in answers] == ["root", "alice", "root", "alice", "alice", "root"]


async def test_a_certificate_is_its_connection_s_and_goes_before_tokens(http: WireHttp) -> None:
    pem = str(http.connections.server.user_pem("kcp-admin"))
    async with connected(http, pem) as known, connected(http) as unknown:
        for token in ("", "alice-token", "wrong", ""):
            known.send(who_am_i(token))
            assert name_in(await known.answer()) == "kcp-admin"
        for token, name in (("", "403"), ("alice-token", "alice"), ("", "403"), ("wrong", "401")):
            unknown.send(who_am_i(token))
            assert name_in(await unknown.answer()) == name


async def test_another_site_s_page_gets_nothing_by_its_visitor_s_certificate_and_an_invented_token(
    http: WireHttp,
) -> None:
    """Browsers ask nobody before they open a WebSocket, and show the certificate."""
    pem = str(http.connections.server.user_pem("kcp-admin"))
    watch, token = f"{MAPS}?watch=true", "base64url.bearer.authorization.k8s.io.AAAA"
    own = f"https://127.0.0.1:{http.connections.server.port}"
    for origin, protocols, status in (
        ("https://evil.example.com", f"{token}, v1", 401),
        ("https://evil.example.com", f"v1, {token}", 401),
        ("https://evil.example.com", "v1", 403),
        (own, f"v1, {token}", 101),
    ):
        async with connected(http, pem) as wire:
            headers = {"host": own.removeprefix("https://"), "origin": origin, "sec-websocket-protocol": protocols}
            wire.send(handshake(watch, headers=headers))
            assert (await wire.started()).status == status, (origin, protocols)


# -- oddities of HTTP


def posted(head: str, body: bytes = b"") -> bytes:
    return f"POST /version HTTP/1.1\r\nhost: x\r\n{head}\r\n\r\n".encode() + body


SMUGGLED = {
    "length and chunked": posted("content-length: 5\r\ntransfer-encoding: chunked", b"0\r\n\r\n"),
    "chunked and length": posted("transfer-encoding: chunked\r\ncontent-length: 5", b"0\r\n\r\n"),
    "two lengths": posted("content-length: 5\r\ncontent-length: 6", b"hellow"),
    "a list of lengths": posted("content-length: 5, 5", b"hello"),
    "a length with a sign": posted("content-length: +5", b"hello"),
    "a length in hexadecimal": posted("content-length: 0x5", b"hello"),
    "a space before the colon": posted("transfer-encoding : chunked", b"0\r\n\r\n"),
    "a vertical tab": posted("transfer-encoding:\x0bchunked", b"0\r\n\r\n"),
    "no coding that is known": posted("transfer-encoding: xchunked", b"0\r\n\r\n"),
    "chunked not last": posted("transfer-encoding: chunked, identity", b"0\r\n\r\n"),
    "chunked twice": posted("transfer-encoding: chunked\r\ntransfer-encoding: chunked", b"0\r\n\r\n"),
    "a line feed in a chunk's extension": posted("transfer-encoding: chunked", b"2;\nxx\r\n0\r\n\r\n"),
    "a chunk larger than numbers are": posted("transfer-encoding: chunked", b"fffffffffffffffff\r\n"),
    "a negative chunk": posted("transfer-encoding: chunked", b"-1\r\n"),
    "lines that end with line feeds": posted("content-length: 0").replace(b"\r\n", b"\n"),
    "lines that end with carriage returns": posted("content-length: 0").replace(b"\r\n", b"\r"),
    "a folded header": posted("x-a: b\r\n content-length: 5"),
    "a header without a colon": posted("content-length 5"),
    "a zero byte in a name": posted("content\0-length: 5"),
    "a zero byte in a value": posted("x-a: b\0c"),
    "no host": b"POST /version HTTP/1.1\r\n\r\n",
    "two hosts": posted("host: y"),
    "HTTP/0.9": b"GET /version\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/2 in the line": b"GET /version HTTP/2.0\r\nhost: x\r\n\r\n",
    "a version that there is not": b"GET /version HTTP/1.9\r\nhost: x\r\n\r\n",
    "a handshake of TLS in TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a port that is none": b"GET https://evil.example.com:99999/version HTTP/1.1\r\nhost: x\r\n\r\n",
}


@pytest.mark.parametrize("kind", SMUGGLED)
async def test_what_can_be_read_in_two_ways_is_refused_and_ends_the_connection(http: WireHttp, kind: str) -> None:
    """Whatever stands in front may have read it in the other way, and have taken the rest for a body."""
    async with connected(http) as wire:
        wire.send(SMUGGLED[kind] + READ)
        answer = await wire.answer()
        assert (answer.status, orjson.loads(answer.body)["kind"]) == (400, "Status")
        assert await wire.rest() == b""
        assert (await wire.answer()).status == 0


async def test_a_trailer_is_no_header(http: WireHttp) -> None:
    """Who has taken away forged headers in front of the server has seen only those that come first."""
    chunked = f"GET {SECRET} HTTP/1.1\r\nhost: x\r\n%stransfer-encoding: chunked\r\n\r\n0\r\n%s\r\n"
    as_alice = "impersonate-user: alice\r\n"
    async with connected(http) as wire:
        for head, trailer, status in ((ALICE, "", 200), ("", ALICE, 403), ("", "", 403)):
            wire.send((chunked % (head, trailer)).encode())
            assert (await wire.answer()).status == status
        wire.send((chunked % ("authorization: Bearer bob-token\r\n", as_alice)).encode())
        answer = await wire.answer()
        assert (answer.status, b"alice" in answer.body) == (403, False)
        upgrade = (
            "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: a2V5\r\n"
        )
        wire.send((chunked % (upgrade, ALICE)).encode())
        assert MARKER not in await wire.rest()


@pytest.mark.parametrize("size", [70_000, 200_000])
async def test_a_large_head_is_refused_also_in_one_piece(http: WireHttp, size: int) -> None:
    for large in (request("GET", SECRET, "a" * size), request("GET", f"{SECRET}?a={'a' * size}", "alice-token")):
        async with connected(http) as wire:
            wire.send(large)
            assert (await wire.answer()).status == 431


async def test_of_two_authorizations_the_first_counts(http: WireHttp) -> None:
    bob = ALICE.replace("alice", "bob")
    async with connected(http) as wire:
        for first, second, status in ((ALICE, bob, 200), (bob, ALICE, 403), (ALICE, ALICE.upper(), 200)):
            wire.send(f"GET {SECRET} HTTP/1.1\r\nhost: x\r\n{first}{second}\r\n".encode())
            assert (await wire.answer()).status == status
        wire.send(request("GET", SECRET, "bob-token, Bearer alice-token"))
        assert (await wire.answer()).status == 401


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "BeArEr"])
async def test_names_of_headers_and_schemes_have_no_case(http: WireHttp, scheme: str) -> None:
    async with connected(http) as wire:
        wire.send(f"GET {SECRET} HTTP/1.1\r\nHOST: x\r\naUtHoRiZaTiOn: {scheme} alice-token\r\n\r\n".encode())
        assert (await wire.answer()).status == 200


FORMS = {
    "absolute, of another host": f"https://evil.example.com{SECRET}",
    "absolute, with a user": f"http://alice:alice-token@evil.example.com{SECRET}",
    "two slashes": f"/{SECRET}",
    "two slashes within": SECRET.replace("/api/", "//api/"),
    "a host after two slashes": f"//evil.example.com{SECRET}",
    "an encoded slash": SECRET.replace("default/", "default%2f"),
    "an encoded slash before the workspace": SECRET.replace("/clusters/", "/clusters%2f"),
    "dots": SECRET.replace("/root/", "/x/../root/"),
    "encoded dots": SECRET.replace("/root/", "/x/%2e%2e/root/"),
    "twice encoded dots": SECRET.replace("/root/", "/x/%252e%252e/root/"),
    "a dot": SECRET.replace("/api/", "/./api/"),
    "a backslash": SECRET.replace("/clusters/", "\\clusters\\"),
    "parameters": f"{SECRET};a=b",
    "parameters of the workspace": SECRET.replace("/root/", "/root;a=b/"),
    "overlong UTF-8": SECRET.replace("default/", "default%c0%af"),
    "full-width letters": SECRET.replace("root", "%EF%BD%92oot"),
    "capitals": SECRET.replace("root", "ROOT"),
    "capitals in the prefix": SECRET.replace("clusters", "CLUSTERS"),
    "an encoded zero": f"{SECRET}%00",
    "an encoded line": f"{SECRET}%0d%0aauthorization:%20Bearer%20alice-token",
    "the workspace twice": SECRET.replace("/root/", "/root/clusters/root/"),
    "a service in a workspace": SECRET.replace("/root/", "/root/services/apiexport/root/tenancy.kcp.io/clusters/root/"),
    "a fragment": f"{SECRET}#a",
    "a public path before it": SECRET.replace("/clusters/", "/healthz/clusters/"),
    "a public path with dots": f"/healthz/..{SECRET}",
    "the page before it": f"/dashboard/..{SECRET}",
    "the page with encoded dots": f"/dashboard/..%2f..%2f{SECRET}",
    "the object's name with an identity": f"{MAPS}:0123/treasure",
}
SAME = {"absolute, of another host", "absolute, with a user", "a fragment"}


@pytest.mark.parametrize("form", FORMS)
async def test_no_form_of_a_target_gives_anybody_what_he_may_not_have(http: WireHttp, form: str) -> None:
    async with connected(http) as wire:
        for token, method in itertools.product(("bob-token", "", "alice-token"), ("GET", "HEAD", "OPTIONS", "TRACE")):
            wire.send(request(method, FORMS[form], token))
            answer = await wire.answer(head=method == "HEAD")
            if answer.status == 400:
                break  # of what is no HTTP at all; its connection ends
            assert answer.status in {401, 403, 404, 405} or (token == "alice-token" and form in SAME), answer
            assert MARKER not in answer.everything or (answer.status == 200 and form in SAME)


OVERRIDES = {
    "x-original-url": SECRET,
    "x-rewrite-url": SECRET,
    "x-http-method-override": "DELETE",
    "x-forwarded-user": "alice",
    "x-remote-user": "alice",
    "x_remote_user": "alice",
    "x-remote-group": "system:masters",
    "remote-user": "alice",
    "impersonate_user": "alice",
    "forwarded": "for=127.0.0.1;host=localhost;proto=https",
    "x-forwarded-for": "127.0.0.1",
    "ssl-client-s-dn": "CN=alice",
    "x-ssl-cert": "alice",
    "cookie": "token=alice-token",
    "access-token": "alice-token",
}


async def test_headers_that_other_servers_listen_to_are_none_here(http: WireHttp) -> None:
    async with connected(http) as wire:
        wire.send(request("GET", "/version", "bob-token", headers=OVERRIDES))
        assert (await wire.answer()).status == 200
        for token in ("bob-token", ""):
            wire.send(request("GET", SECRET, token, headers=OVERRIDES))
            assert (await wire.answer()).status == 403
        wire.send(request("GET", f"{SECRET}?access_token=alice-token&token=alice-token", "bob-token"))
        assert (await wire.answer()).status == 403


async def test_an_upgrade_to_http_2_in_the_clear_is_no_way_around(http: WireHttp) -> None:
    """What comes after it is not a request of anybody's."""
    upgrade = {"connection": "Upgrade, HTTP2-Settings", "upgrade": "h2c", "http2-settings": "AAMAAABkAARAAAAAAAIAAAAA"}
    async with connected(http) as wire:
        wire.send(request("GET", SECRET, "bob-token", headers=upgrade) + READ)
        assert (await wire.answer()).status == 403
        assert MARKER not in await wire.rest()


async def test_http_1_0_is_served_and_ends_its_connection(http: WireHttp) -> None:
    async with connected(http) as wire:
        wire.send(f"GET {SECRET} HTTP/1.0\r\n{ALICE}connection: keep-alive\r\n\r\n".encode() + READ)
        assert (await wire.answer()).status == 200
        assert await wire.rest() == b""


async def test_a_request_in_a_body_is_a_body(http: WireHttp) -> None:
    async with connected(http) as wire:
        for kind in ("content-length", "chunked"):
            sized = {"content-length": str(len(READ))} if kind == "content-length" else {"transfer-encoding": "chunked"}
            body = READ if kind == "content-length" else b"%x\r\n%b\r\n0\r\n\r\n" % (len(READ), READ)
            wire.send(request("GET", SECRET, "bob-token", headers=sized) + body + request("GET", "/version"))
            assert [(await wire.answer()).status for _ in range(2)] == [403, 200]
        assert await wire.rest() == b""


async def test_a_websocket_is_one_user_s_and_what_was_sent_ahead_is_no_request(http: WireHttp) -> None:
    for token, status in (("bob-token", 403), ("", 403), ("wrong", 401)):
        async with connected(http) as wire:
            wire.send(handshake(f"{MAPS}?watch=true", token) + READ)
            answer = await wire.answer()
            assert (answer.status, await wire.rest()) == (status, b"")
    async with connected(http) as wire:
        wire.send(request("GET", SECRET, "alice-token"))
        assert MARKER in (await wire.answer()).body
        wire.send(handshake(f"{MAPS}?watch=true", "bob-token"))
        assert MARKER not in (await wire.answer()).everything


async def test_a_redirect_never_leads_to_where_the_host_header_says(http: WireHttp) -> None:
    async with connected(http) as wire:
        for path in (
            "/healthz/",
            "/readyz/",
            "/version/",
            "/dashboard/",
            "//healthz",
            "//evil.example.com/..",
            "/metrics/",
        ):
            wire.send(request("GET", path, "bob-token", headers={"host": "evil.example.com"}))
            answer: Any = await wire.answer()
            assert b"evil.example.com" not in answer.everything, path
