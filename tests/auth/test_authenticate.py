import base64
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import serialization

from kcpcache.auth import authenticate as authenticate_module
from kcpcache.auth.authenticate import Authenticator, Credentials, bearer_token
from kcpcache.auth.certificates import ensure_authority, ensure_client_certificate
from kcpcache.auth.tokens import StaticTokens, TokenAnswer
from kcpcache.auth.user import ANONYMOUS, User
from kcpcache.meta.errors import UnauthorizedError

NOW = datetime(2026, 3, 1, tzinfo=UTC)
TOKENS = StaticTokens([("secret", User("bob", groups=("g",)))])


def websocket(token):
    encoded = base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")
    return f"base64url.bearer.authorization.k8s.io.{encoded}, base64.binary.k8s.io"


class Clock:
    def __init__(self):
        self.now = NOW.timestamp()

    def __call__(self):
        return self.now


class Countdown:
    """A kind of tokens that begin with ``t-``, remembered for ten seconds, of which ``t-bad`` is not good."""

    def __init__(self):
        self.asked = []

    async def __call__(self, token):
        self.asked.append(token)
        if token == "t-bad":
            raise UnauthorizedError
        return TokenAnswer(User(token), 10.0) if token.startswith("t-") else None


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def authority(tmp_path):
    return ensure_authority(tmp_path, "client-ca", "test-ca", NOW)


@pytest.fixture
def alice(tmp_path, authority):
    pair = ensure_client_certificate(tmp_path, "alice", authority, "alice", ["devs"], NOW)
    return pair.certificate.public_bytes(serialization.Encoding.DER)


@pytest.fixture
def authenticator(authority, clock):
    return Authenticator([authority.certificate], [TOKENS], clock=clock)


async def test_nobody_is_who_shows_nothing(authenticator):
    assert await authenticator.authenticate(Credentials()) is ANONYMOUS


@pytest.mark.parametrize("header", ["", "Basic Ym9iOng=", "Bearer", "Bearer ", "secret", "Bearersecret"])
async def test_what_is_no_bearer_token_is_nobody(authenticator, header):
    assert await authenticator.authenticate(Credentials(authorization=header)) is ANONYMOUS


async def test_anonymous_users_can_be_shut_out(authority):
    with pytest.raises(UnauthorizedError):
        await Authenticator([authority.certificate], anonymous=False).authenticate(Credentials())


async def test_a_certificates_user_is_authenticated(authenticator, alice):
    user = await authenticator.authenticate(Credentials(certificates=(alice,)))
    assert (user.name, user.groups) == ("alice", ("devs", "system:authenticated"))


@pytest.mark.parametrize("header", ["Bearer secret", "bearer secret", "BEARER  secret "])
async def test_a_tokens_user_is_authenticated(authenticator, header):
    user = await authenticator.authenticate(Credentials(authorization=header))
    assert user == User("bob", groups=("g", "system:authenticated"))


async def test_a_browser_hands_its_token_over_as_a_websocket_protocol(authenticator):
    user = await authenticator.authenticate(Credentials(websocket_protocols=websocket("secret")))
    assert user.name == "bob"


@pytest.mark.parametrize(
    "protocols", ["base64url.bearer.authorization.k8s.io.*", "base64url.bearer.authorization.k8s.io._w"]
)
def test_a_websocket_token_that_cannot_be_decoded_is_refused(protocols):
    with pytest.raises(UnauthorizedError):
        bearer_token(Credentials(websocket_protocols=protocols))


def test_other_websocket_protocols_are_no_token():
    assert bearer_token(Credentials(websocket_protocols="v4.channel.k8s.io, base64.binary.k8s.io")) is None


@pytest.mark.parametrize(
    "credentials",
    [Credentials(authorization="Bearer wrong"), Credentials(websocket_protocols=websocket("wrong"))],
)
async def test_a_bad_token_is_refused_even_where_nobody_would_do(authenticator, credentials):
    with pytest.raises(UnauthorizedError):
        await authenticator.authenticate(credentials)


async def test_a_bad_certificate_is_refused_unless_a_good_token_comes_with_it(authenticator):
    with pytest.raises(UnauthorizedError):
        await authenticator.authenticate(Credentials(certificates=(b"bad",)))
    user = await authenticator.authenticate(Credentials(certificates=(b"bad",), authorization="Bearer secret"))
    assert user.name == "bob"


async def test_a_certificate_goes_before_a_token(authenticator, alice):
    both = Credentials(certificates=(alice,), authorization="Bearer wrong")
    assert (await authenticator.authenticate(both)).name == "alice"


@pytest.mark.parametrize(
    "shown",
    [{"authorization": "Bearer wrong"}, {"websocket_protocols": f"v1, {websocket('wrong')}"}],
    ids=["header", "sub-protocol"],
)
async def test_a_page_of_another_site_that_claims_a_token_is_judged_by_that_alone(authenticator, alice, shown):
    """Any text looks like a token; the certificate is its visitor's, and a WebSocket shows the page what comes."""
    shown = Credentials((alice,), from_another_site=True, **shown)
    with pytest.raises(UnauthorizedError):
        await authenticator.authenticate(shown)
    good = Credentials((alice,), authorization="Bearer secret", from_another_site=True)
    assert (await authenticator.authenticate(good)).name == "bob"
    assert (await authenticator.authenticate(Credentials((alice,), from_another_site=True))).name == "alice"


async def test_strangers_certificates_that_come_with_one_s_own_are_not_kept(authenticator, alice):
    others = (alice,) * 50
    assert (await authenticator.authenticate(Credentials((alice, *others)))).name == "alice"
    assert authenticator._by_certificate._found == {}


async def test_the_same_credentials_give_the_very_same_user(authenticator, alice):
    for credentials in (Credentials(certificates=(alice,)), Credentials(authorization="Bearer secret")):
        first = await authenticator.authenticate(credentials)
        assert await authenticator.authenticate(credentials) is first


async def test_a_remembered_certificate_expires_all_the_same(authenticator, alice, clock):
    await authenticator.authenticate(Credentials(certificates=(alice,)))
    clock.now = (NOW + timedelta(days=365)).timestamp()
    with pytest.raises(UnauthorizedError):
        await authenticator.authenticate(Credentials(certificates=(alice,)))


async def test_each_kind_of_token_is_asked_until_one_knows_it():
    first, second = Countdown(), Countdown()
    chain = Authenticator(tokens=[first, TOKENS, second])
    assert (await chain.authenticate(Credentials(authorization="Bearer secret"))).name == "bob"
    with pytest.raises(UnauthorizedError):
        await chain.authenticate(Credentials(authorization="Bearer t-bad"))
    assert (first.asked, second.asked) == (["secret", "t-bad"], [])


async def test_a_token_is_remembered_as_long_as_its_kind_allows(clock):
    kind = Countdown()
    chain = Authenticator(tokens=[kind], clock=clock)
    good = Credentials(authorization="Bearer t-1")
    for seconds, asked in ((0, 1), (9, 1), (1, 2), (9.5, 2), (100, 3)):
        clock.now += seconds
        await chain.authenticate(good)
        assert len(kind.asked) == asked


async def test_a_refusal_is_not_remembered():
    kind = Countdown()
    chain = Authenticator(tokens=[kind])
    for _ in range(2):
        with pytest.raises(UnauthorizedError):
            await chain.authenticate(Credentials(authorization="Bearer t-bad"))
    assert len(kind.asked) == 2


async def test_memory_is_bounded_and_the_oldest_goes(monkeypatch):
    monkeypatch.setattr(authenticate_module, "_REMEMBERED", 2)
    kind = Countdown()
    chain = Authenticator(tokens=[kind])
    for name in ("t-1", "t-2", "t-3", "t-3", "t-2", "t-1"):
        await chain.authenticate(Credentials(authorization=f"Bearer {name}"))
    assert kind.asked == ["t-1", "t-2", "t-3", "t-1"]


async def test_an_authority_that_is_no_longer_trusted_is_of_no_use_at_once(authenticator, alice, tmp_path):
    credentials = Credentials(certificates=(alice,))
    await authenticator.authenticate(credentials)
    authenticator.trust([ensure_authority(tmp_path, "other", "other", NOW).certificate])
    with pytest.raises(UnauthorizedError):
        await authenticator.authenticate(credentials)
