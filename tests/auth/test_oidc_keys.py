import asyncio
import contextlib
import socket
import ssl

import httpx
import orjson
import pytest
import trustme
import uvicorn
from oidc_issuer import URL, Issuer, ec_key

from kcpcache.auth.oidc_keys import MOST_ANSWER_BYTES, REFRESH_SECONDS, RETRY_SECONDS, IssuerKeys

DISCOVERY, KEYS = "/.well-known/openid-configuration", "/keys"


@pytest.fixture
def issuer():
    return Issuer()


async def fetched(issuer, **more):
    return [key.kid for key in await IssuerKeys(issuer.url, transport=issuer.transport(), **more).current()]


async def test_keys_for_signatures_are_taken_and_the_rest_is_left_out(issuer):
    good = issuer.publishes()[0]
    bad = [
        {**good, "kid": "for encryption", "use": "enc"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "a secret"},
        {"kty": "RSA", "kid": "no number"},
        {"kty": "RSA", "kid": "bad number", "n": "!", "e": "AQAB"},
        {"kty": "EC", "kid": "no such curve", "crv": "P-1", "x": "AA", "y": "AA"},
        {"kid": "of no kind"},
        "no key",
    ]
    plain = {key: value for key, value in ec_key().as_dict(private=False).items() if key != "kid"}
    issuer.answers[KEYS] = (200, {}, orjson.dumps({"keys": [*bad, good, plain]}))
    assert await fetched(issuer) == ["k1", ""]


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        (DISCOVERY, (404, {}, b"")),
        (DISCOVERY, (302, {"location": f"{URL}/elsewhere"}, b"")),
        (DISCOVERY, (200, {}, b"no json")),
        (DISCOVERY, (200, {}, b"[]")),
        (DISCOVERY, (200, {}, orjson.dumps({"issuer": f"{URL}/", "jwks_uri": f"{URL}/keys"}))),
        (DISCOVERY, (200, {}, orjson.dumps({"issuer": URL}))),
        (DISCOVERY, (200, {}, orjson.dumps({"issuer": URL, "jwks_uri": "http://issuer.example.com/keys"}))),
        (KEYS, (301, {"location": f"{URL}/elsewhere"}, b"")),
        (KEYS, (200, {}, b"{}")),
        (KEYS, (200, {}, b'{"keys":[' + b" " * MOST_ANSWER_BYTES + b"]}")),
    ],
)
async def test_answers_that_are_not_as_they_should_be_give_no_keys(issuer, path, answer):
    issuer.answers[path] = answer
    assert await fetched(issuer) == []
    assert "/elsewhere" not in issuer.asked


async def test_keys_may_be_at_another_host_which_learns_nothing_of_the_first(issuer):
    seen = []

    def respond(request):
        seen.append(request)
        if request.url.host == "keys.example.net":
            return httpx.Response(200, stream=httpx.ByteStream(orjson.dumps({"keys": issuer.publishes()})))
        document = {"issuer": URL, "jwks_uri": "https://keys.example.net/jwks"}
        cookie = {"set-cookie": "session=1; Domain=example.net; Secure"}
        return httpx.Response(200, headers=cookie, stream=httpx.ByteStream(orjson.dumps(document)))

    keys = IssuerKeys(URL, transport=httpx.MockTransport(respond))
    assert [key.kid for key in await keys.current()] == ["k1"]
    assert [str(request.url) for request in seen] == [f"{URL}{DISCOVERY}", "https://keys.example.net/jwks"]
    for request in seen:
        assert request.method == "GET"
        assert not {"authorization", "cookie", "referer"} & request.headers.keys()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(("path", "asked"), [(DISCOVERY, [DISCOVERY]), (KEYS, [DISCOVERY, KEYS])])
@pytest.mark.parametrize("to", ["https://169.254.169.254/latest", "http://localhost/", "//evil.example.com/keys"])
async def test_an_issuer_leads_nowhere_by_redirects(issuer, status, path, asked, to):
    issuer.answers[path] = (status, {"location": to}, orjson.dumps({"keys": issuer.publishes()}))
    assert await fetched(issuer) == []
    assert issuer.asked == asked


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/keys",
        "file:///etc/passwd",
        "ftp://issuer.example.com/keys",
        "//issuer.example.com/keys",
        "/keys",
        "keys",
        " https://issuer.example.com/tenant/keys",
        "https://",
        "https://[::1/keys",
        "https://issuer.example.com:99999/keys",
        "https://issuer.example.com/\n",
        ["https://issuer.example.com/tenant/keys"],
        None,
        7,
    ],
)
async def test_keys_are_fetched_over_https_or_not_at_all(issuer, url):
    issuer.answers[DISCOVERY] = (200, {}, orjson.dumps({"issuer": URL, "jwks_uri": url}))
    assert await fetched(issuer) == []
    assert issuer.asked == [DISCOVERY]


async def test_an_issuer_that_does_not_answer_is_given_up():
    class Silent(httpx.AsyncBaseTransport):
        async def handle_async_request(self, _request):
            raise TimeoutError

    assert list(await IssuerKeys(URL, transport=Silent()).current()) == []


async def test_a_request_that_is_given_up_takes_no_turn_from_others(issuer):
    begun, clock = asyncio.Event(), [0.0]

    class Slow(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request):
            if not begun.is_set():
                begun.set()
                await asyncio.Event().wait()
            status, _, body = issuer.answer(str(request.url).removeprefix(URL))
            return httpx.Response(status, stream=httpx.ByteStream(body))

    keys = IssuerKeys(URL, transport=Slow(), clock=lambda: clock[0] + RETRY_SECONDS)
    first = asyncio.create_task(keys.current())
    await begun.wait()
    first.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await first
    assert [key.kid for key in await keys.current()] == ["k1"]


async def test_the_issuer_s_own_authority_is_trusted_where_a_file_names_it(tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    listener = socket.create_server(("127.0.0.1", 0))
    issuer = Issuer(f"https://127.0.0.1:{listener.getsockname()[1]}")

    async def app(scope, _receive, send):
        status, _, body = issuer.answer(scope["path"])
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": body})

    config = uvicorn.Config(app, log_config=None, loop="none", lifespan="off")
    config.load()
    config.ssl = context
    running = uvicorn.Server(config)
    task = asyncio.create_task(running.serve(sockets=[listener]))
    while not running.started:  # noqa: ASYNC110 -- uvicorn has no event for it
        await asyncio.sleep(0)
    assert [key.kid for key in await IssuerKeys(issuer.url, tmp_path / "ca.crt").current()] == ["k1"]
    assert list(await IssuerKeys(issuer.url).current()) == []
    assert list(await IssuerKeys(issuer.url, tmp_path / "none.crt").current()) == []
    running.should_exit = True
    await task


async def test_whoever_comes_while_stale_keys_are_fetched_anew_is_not_kept_waiting(issuer):
    asked, clock = asyncio.Event(), [0.0]

    class SilentLater(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request):
            if clock[0]:
                asked.set()
                await asyncio.Event().wait()
            status, _, body = issuer.answer(str(request.url).removeprefix(URL))
            return httpx.Response(status, stream=httpx.ByteStream(body))

    keys = IssuerKeys(URL, transport=SilentLater(), clock=lambda: clock[0])
    before = await keys.current()
    clock[0] = REFRESH_SECONDS
    first = asyncio.create_task(keys.current())
    await asked.wait()
    assert await asyncio.wait_for(keys.current(), 1) is before
    first.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await first
