from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives import serialization

from kcpcache.auth.authenticate import Authenticator, Credentials
from kcpcache.auth.certificates import ensure_authority, ensure_client_certificate
from kcpcache.auth.front_proxy import FrontProxy, ProxyHeaders
from kcpcache.auth.tokens import StaticTokens
from kcpcache.auth.user import ANONYMOUS, User
from kcpcache.meta.errors import UnauthorizedError

NOW = datetime(2026, 3, 1, tzinfo=UTC)
NAMES = ProxyHeaders(("x-remote-user", "x-other-user"), ("x-remote-uid",), ("x-remote-group",), ("x-remote-extra-",))
ALICE = (("x-remote-user", "alice"), ("x-remote-group", "devs"))


def pairs(*headers):
    return tuple((name.encode(), value if isinstance(value, bytes) else value.encode()) for name, value in headers)


@pytest.fixture
def authorities(tmp_path):
    return {kind: ensure_authority(tmp_path, kind, f"{kind} authority", NOW) for kind in ("client", "proxy")}


@pytest.fixture
def chain(tmp_path, authorities):
    """Certificates: of a user, and of two proxies."""

    def make(kind, name):
        pair = ensure_client_certificate(tmp_path, name, authorities[kind], name, ["proxies"], NOW)
        return (pair.certificate.public_bytes(serialization.Encoding.DER),)

    return {"bob": make("client", "bob"), "front": make("proxy", "front"), "back": make("proxy", "back")}


@pytest.fixture
def authenticate(authorities):
    def with_names(*allowed, proxy=True):
        front = FrontProxy(NAMES, frozenset(allowed)) if proxy else None
        tokens = StaticTokens([("secret", User("carol"))])
        made = Authenticator(tokens=[tokens], clock=NOW.timestamp, front_proxy=front)
        made.trust([authorities["client"].certificate], [authorities["proxy"].certificate])
        return made

    async def ask(chain=(), headers=ALICE, *allowed, proxy=True, authorization=None):
        credentials = Credentials(chain, authorization, None, pairs(*headers))
        return await with_names(*allowed, proxy=proxy).authenticate(credentials)

    return ask


async def test_a_proxy_says_who_asks(authenticate, chain):
    headers = (
        ("x-remote-user", "alice"),
        ("x-remote-user", "second"),
        ("x-remote-uid", "u-1"),
        ("x-remote-group", "devs"),
        ("x-remote-group", "ops"),
        ("x-remote-group", ""),
        ("x-remote-extra-scopes", "a"),
        ("x-remote-extra-scopes", "b"),
        ("x-remote-extra-example.com%2fkey", "ü"),
        ("accept", "*/*"),
    )
    user = await authenticate(chain["front"], headers)
    assert user == User(
        "alice", "u-1", ("devs", "ops", "system:authenticated"), {"scopes": ("a", "b"), "example.com/key": ("ü",)}
    )


async def test_the_first_header_that_names_somebody_counts(authenticate, chain):
    user = await authenticate(chain["front"], (("x-other-user", "other"), ("x-remote-user", "")))
    assert user.name == "other"


async def test_without_a_certificate_the_headers_mean_nothing(authenticate):
    assert await authenticate() is ANONYMOUS
    assert (await authenticate(authorization="Bearer secret")).name == "carol"


async def test_a_user_s_certificate_gives_no_right_to_speak_for_others(authenticate, chain):
    user = await authenticate(chain["bob"])
    assert (user.name, user.groups) == ("bob", ("proxies", "system:authenticated"))


async def test_without_its_authority_there_is_no_proxy(authenticate, chain):
    with pytest.raises(UnauthorizedError):
        await authenticate(chain["front"], proxy=False)
    assert await authenticate(proxy=False) is ANONYMOUS


async def test_a_proxy_that_names_nobody_is_nobody_itself(authenticate, chain):
    with pytest.raises(UnauthorizedError):
        await authenticate(chain["front"], (("x-remote-group", "system:masters"),))


async def test_only_proxies_of_the_allowed_names_are_believed(authenticate, chain):
    assert (await authenticate(chain["front"], ALICE, "front")).name == "alice"
    with pytest.raises(UnauthorizedError):
        await authenticate(chain["back"], ALICE, "front")


async def test_a_proxy_is_believed_as_long_as_its_certificate_and_its_authority_are(authorities, chain):
    front = FrontProxy(NAMES)
    front.trust([authorities["proxy"].certificate])
    headers, now = pairs(*ALICE), NOW.timestamp()
    year = 365 * 24 * 3600
    assert [front.user(chain["front"], headers, now + days) is None for days in (0, 1, year - 1, year)] == [
        False,
        False,
        False,
        True,
    ]
    front.trust([])
    assert front.user(chain["front"], headers, now) is None


async def test_a_name_that_is_no_utf_8_is_some_other_name(authenticate, chain):
    user = await authenticate(chain["front"], (("x-remote-user", b"al\xffice"),))
    assert user.name == "al\ufffdice"
