import asyncio
import base64
import hashlib
import hmac

import pytest
from oidc_issuer import NOW, URL, Issuer, ec_key, rsa_key

from kcpcache.auth.oidc import NOT_BEFORE_LEEWAY_SECONDS, OidcClaims, OidcTokens
from kcpcache.auth.oidc_keys import REFRESH_SECONDS, RETRY_SECONDS, IssuerKeys
from kcpcache.auth.user import User
from kcpcache.meta.errors import UnauthorizedError


class World:
    """Tokens of one issuer, as a server with these settings takes them; time stands still unless it is moved."""

    def __init__(self, issuer, **settings):
        self.issuer, self.now = issuer, NOW
        keys = IssuerKeys(URL, clock=lambda: self.now, transport=issuer.transport())
        self.tokens = OidcTokens(OidcClaims(URL, frozenset({"me", "us"}), **settings), keys, clock=lambda: self.now)

    async def user(self, token=None, **claims):
        """The user, or "refused", or None."""
        try:
            answer = await self.tokens(token or self.issuer.token(**claims))
        except UnauthorizedError:
            return "refused"
        return answer and answer.user

    async def good(self, token=None, **claims):
        return isinstance(await self.user(token, **claims), User)


@pytest.fixture
def issuer():
    return Issuer()


@pytest.fixture
def world(issuer):
    return World(issuer)


# -- which user


async def test_a_user_is_called_after_the_issuer_and_the_subject(world):
    assert await world.user() == User(f"{URL}#jane")


@pytest.mark.parametrize(
    ("settings", "claims", "name"),
    [
        ({"username_prefix": "-"}, {}, "jane"),
        ({"username_prefix": "oidc:"}, {}, "oidc:jane"),
        ({"username_claim": "email"}, {"email": "j@x.org"}, "j@x.org"),
        ({"username_claim": "email"}, {"email": "j@x.org", "email_verified": True}, "j@x.org"),
        ({"username_claim": "email", "username_prefix": "o:"}, {"email": "j@x.org"}, "o:j@x.org"),
        ({"username_claim": "nick", "username_prefix": "-"}, {"nick": "jj", "email_verified": False}, "jj"),
    ],
)
async def test_settings_say_which_claim_names_the_user_and_what_stands_before_it(issuer, settings, claims, name):
    assert await World(issuer, **settings).user(**claims) == User(name)


@pytest.mark.parametrize(
    ("claim", "claims"),
    [
        ("email", {"email": "j@x.org", "email_verified": False}),
        ("email", {"email": "j@x.org", "email_verified": "true"}),
        ("email", {"email": "j@x.org", "email_verified": 0}),
        ("email", {}),
        ("nick", {"nick": ""}),
        ("nick", {"nick": ["a"]}),
        ("nick", {"nick": 7}),
    ],
)
async def test_without_a_name_that_the_issuer_stands_by_there_is_no_user(issuer, claim, claims):
    assert await World(issuer, username_claim=claim).user(**claims) == "refused"


@pytest.mark.parametrize(
    ("given", "groups"), [(["a", "b", "a"], ("g:a", "g:b")), ("a", ("g:a",)), ([], ()), (None, ())]
)
async def test_groups_are_a_name_or_a_list_of_names(issuer, given, groups):
    world = World(issuer, groups_claim="teams", groups_prefix="g:", username_prefix="-")
    assert await world.user(teams=given) == User("jane", groups=groups)


@pytest.mark.parametrize("given", [7, ["a", 7], {"a": "b"}, False])
async def test_groups_of_another_form_are_refused(issuer, given):
    assert await World(issuer, groups_claim="teams").user(teams=given) == "refused"


async def test_groups_that_no_setting_asks_for_are_none(world):
    assert (await world.user(groups=["system:masters"])).groups == ()


# -- which tokens


@pytest.mark.parametrize("token", ["", "secret", "a.b", "a.b.c", "e30.e30.", "e30.bnVsbA.x", "é.é.é", "a.b.c.d.e"])
async def test_what_is_no_token_of_the_issuer_is_for_others_to_know(world, token):
    assert await world.tokens(token) is None
    assert world.issuer.asked == []


async def test_tokens_of_other_issuers_are_for_others_to_know(world):
    for other in (f"{URL}/", "https://other.example.com", None, 7):
        assert await world.user(iss=other) is None
    assert world.issuer.asked == []


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"aud": ["other", "us"]}, True),
        ({"aud": "other"}, False),
        ({"aud": ["other", 7]}, False),
        ({"aud": []}, False),
        ({"aud": None}, False),
        ({"exp": NOW}, True),
        ({"exp": NOW - 1}, False),
        ({"exp": None}, False),
        ({"exp": str(NOW + 60)}, False),
        ({"exp": True}, False),
        ({"nbf": NOW + NOT_BEFORE_LEEWAY_SECONDS}, True),
        ({"nbf": NOW + NOT_BEFORE_LEEWAY_SECONDS + 1}, False),
        ({"nbf": "soon"}, False),
        ({"iat": NOW + 9999}, True),
    ],
)
async def test_a_token_is_good_for_its_audience_and_its_time(world, claims, expected):
    assert await world.good(**claims) is expected


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"hd": "x.org", "tier": "1"}, True),
        ({"hd": "x.org"}, False),
        ({"hd": "y.org", "tier": "1"}, False),
        ({"hd": "x.org", "tier": 1}, False),
        ({"hd": ["x.org"], "tier": "1"}, False),
    ],
)
async def test_required_claims_must_all_be_there_with_their_values(issuer, claims, expected):
    assert await World(issuer, required_claims={"hd": "x.org", "tier": "1"}).good(**claims) is expected


async def test_a_token_is_believed_for_ten_seconds_but_not_beyond_its_own_end(world):
    answers = [await world.tokens(world.issuer.token(exp=NOW + seconds)) for seconds in (60, 4)]
    assert [answer.cache_seconds for answer in answers] == [10, 4]


# -- signatures


async def test_only_the_issuer_s_keys_sign(world):
    world.issuer.keys["k2"] = ec_key()
    stranger = rsa_key("second")
    assert await world.good()
    assert not await world.good(key=stranger)
    good = world.issuer.token()
    head, claims, signature = good.split(".")
    forged = base64.urlsafe_b64encode(base64.urlsafe_b64decode(claims + "==").replace(b"jane", b"root")).decode()
    assert not await world.good(f"{head}.{forged.rstrip('=')}.{signature}")
    assert not await world.good(f"{head}.{claims}.")


async def test_algorithms_that_no_setting_names_are_refused(issuer):
    issuer.keys["k2"] = ec_key()
    elliptic = issuer.token(kid="k2", alg="ES256")
    assert not await World(issuer).good(elliptic)
    assert await World(issuer, signing_algorithms=frozenset({"ES256"})).good(elliptic)
    assert not await World(issuer, signing_algorithms=frozenset({"ES256"})).good()
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none"}').decode() + "." + issuer.token().split(".")[1] + "."
    assert not await World(issuer).good(unsigned)


async def test_a_token_brings_neither_its_key_nor_an_address_of_one(world):
    stranger = rsa_key("second")
    evil = "https://evil.example.com/keys"
    for header in (
        {"jwk": stranger.as_dict(private=False)},
        {"jwk": stranger.as_dict(private=False), "kid": None},
        {"jku": evil},
        {"x5u": evil},
        {"x5c": ["MIIB"]},
        {"kid": evil},
        {"kid": "../../../dev/null"},
    ):
        assert not await world.good(key=stranger, header=header)
    assert set(world.issuer.asked) == {"/.well-known/openid-configuration", "/keys"}


@pytest.mark.parametrize("algorithm", ["HS256", "none", "None", "RS256"])
async def test_a_public_key_is_no_shared_secret(issuer, algorithm):
    def part(text):
        return base64.urlsafe_b64encode(text).rstrip(b"=")

    head = part(b'{"alg":"%b","kid":"k1"}' % algorithm.encode())
    signed = head + b"." + issuer.token().split(".")[1].encode()
    for form in ("as_pem", "as_der"):
        public = getattr(issuer.keys["k1"], form)(private=False)
        token = signed + b"." + part(hmac.digest(public, signed, hashlib.sha256))
        assert await World(issuer).user(token.decode()) == "refused"


async def test_a_token_that_does_not_name_its_key_may_be_of_any(world):
    world.issuer.keys = {"k0": ec_key(), "k2": rsa_key("second"), **world.issuer.keys}
    assert await world.good(header={"kid": None})


# -- keys that change


async def test_keys_are_fetched_once_for_many_tokens(world):
    assert await asyncio.gather(*(world.good(sub=f"user-{number}") for number in range(20))) == [True] * 20
    assert world.issuer.asked == ["/.well-known/openid-configuration", "/keys"]


async def test_an_unknown_key_makes_the_server_look_again_but_not_for_every_token(world):
    assert await world.good()
    world.issuer.keys = {"k2": rsa_key("second")}
    assert not await world.good(kid="k2")  # too soon
    world.now += RETRY_SECONDS
    assert await world.good(kid="k2")
    asked = len(world.issuer.asked)
    for _ in range(5):
        assert not await world.good(kid="k2", header={"kid": "invented"})
    assert len(world.issuer.asked) == asked


async def test_a_key_that_is_withdrawn_is_of_no_use_after_ten_minutes(world):
    old = world.issuer.keys["k1"]
    assert await world.good()
    world.issuer.keys = {"k2": rsa_key("second")}
    world.now += REFRESH_SECONDS - 1
    assert await world.good(key=old, header={"kid": "k1"}, kid="k2", exp=world.now + 60)
    world.now += 1
    assert not await world.good(key=old, header={"kid": "k1"}, kid="k2", exp=world.now + 60)


async def test_an_issuer_that_is_down_is_asked_again_after_a_while(world):
    world.issuer.answers["/.well-known/openid-configuration"] = (503, {}, b"")
    for _ in range(3):
        assert not await world.good()
    assert len(world.issuer.asked) == 1
    del world.issuer.answers["/.well-known/openid-configuration"]
    world.now += RETRY_SECONDS
    assert await world.good()


async def test_known_keys_stay_good_while_the_issuer_is_down(world):
    assert await world.good()
    world.issuer.answers["/keys"] = (500, {}, b"")
    world.now += REFRESH_SECONDS * 5
    assert await world.good(exp=world.now + 60)
