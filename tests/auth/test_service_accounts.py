import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from kcpcache.auth.service_accounts import ServiceAccountTokens
from kcpcache.auth.tokens import TokenAnswer
from kcpcache.meta.errors import BadRequestError, ConflictError, InvalidError, NotFoundError, UnauthorizedError

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ISSUER, DAY = "https://host:6443", 24 * 3600
KEY = ec.generate_private_key(ec.SECP256R1())
ACCOUNT, SECRET = ("serviceaccounts", "ws", "ns", "robot"), ("secrets", "ws", "ns", "s")


class Stored:
    """What a lookup finds: enough of an entry."""

    def __init__(self, uid, deleted=None):
        self.uid, self.deleting, self.deleted = uid, deleted is not None, deleted

    def object(self):
        return {"metadata": {"deletionTimestamp": self.deleted.isoformat().replace("+00:00", "Z")}}


class World:
    """Accounts and Secrets of some workspaces, and a server's tokens for them; time stands still unless it is moved."""

    def __init__(self):
        self.now, self.entries = NOW.timestamp(), {ACCOUNT: Stored("u-1"), SECRET: Stored("u-2")}
        self.tokens = ServiceAccountTokens(self, KEY, ISSUER, clock=lambda: self.now)

    def entry(self, resource, cluster, name, namespace):
        return self.entries.get((resource.resource, cluster, namespace, name))

    def request(self, name="robot", metadata=(), **spec):
        return self.tokens.issue({"metadata": dict(metadata), "spec": spec}, "ws", "ns", name)

    def token(self, **spec):
        return self.request(**spec)["status"]["token"]

    async def user(self, token):
        """The token's user, or "refused", or None."""
        try:
            answer = await self.tokens(token)
        except UnauthorizedError:
            return "refused"
        assert answer is None or answer.cache_seconds == 0  # whether the account still lives is asked every time
        return answer.user if isinstance(answer, TokenAnswer) else None

    async def good(self, token):
        return await self.user(token) not in {"refused", None}


@pytest.fixture
def world():
    return World()


def claims(token):
    body = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


async def test_a_token_is_its_account_with_the_account_s_groups_and_home(world):
    token = world.token()
    user = await world.user(token)
    assert (user.name, user.uid) == ("system:serviceaccount:ns:robot", "u-1")
    assert user.groups == ("system:serviceaccounts", "system:serviceaccounts:ns")
    assert user.extra == {
        "authentication.kcp.io/cluster-name": ("ws",),
        "authentication.kubernetes.io/credential-id": (f"JTI={claims(token)['jti']}",),
    }


def test_an_answer_says_what_was_given(world):
    answer = world.request(audiences=["vault"], expirationSeconds=7200)
    assert answer["spec"] == {"audiences": ["vault"], "expirationSeconds": 7200}
    assert answer["metadata"] == {"name": "robot", "namespace": "ns", "creationTimestamp": "2026-03-01T00:00:00Z"}
    assert answer["status"]["expirationTimestamp"] == "2026-03-01T02:00:00Z"
    found = claims(answer["status"]["token"])
    assert (found["iss"], found["sub"], found["aud"]) == (ISSUER, "system:serviceaccount:ns:robot", ["vault"])
    assert (found["exp"] - found["iat"], found["nbf"]) == (7200, found["iat"])
    assert found["kubernetes.io"]["clusterName"] == "ws"


@pytest.mark.parametrize(("seconds", "given"), [(None, 3600), (600, 600), (400 * DAY, 365 * DAY), (1 << 32, 365 * DAY)])
def test_a_token_lives_for_an_hour_unless_another_time_is_asked_for_and_a_year_at_most(world, seconds, given):
    answer = world.request(expirationSeconds=seconds)
    assert answer["spec"]["expirationSeconds"] == given
    found = claims(answer["status"]["token"])
    assert found["exp"] - found["iat"] == given


@pytest.mark.parametrize("seconds", [0, 599, (1 << 32) + 1])
def test_other_times_are_refused(world, seconds):
    with pytest.raises(InvalidError, match=r"spec\.expirationSeconds"):
        world.request(expirationSeconds=seconds)


@pytest.mark.parametrize(
    ("metadata", "error"),
    [
        ({"name": "other"}, InvalidError),
        ({"namespace": "other"}, InvalidError),
        ({"uid": "u-9"}, ConflictError),
        ({"name": "robot", "namespace": "ns", "uid": "u-1"}, None),
    ],
)
def test_a_request_that_names_its_account_must_mean_the_one_in_the_url(world, metadata, error):
    if error is None:
        assert world.request(metadata=metadata)["status"]["token"]
        return
    with pytest.raises(error):
        world.request(metadata=metadata)


def test_there_is_no_token_for_an_account_that_is_not_there(world):
    with pytest.raises(NotFoundError):
        world.request("nobody")


async def test_a_token_ends_when_it_expires(world):
    token = world.token(expirationSeconds=600)
    world.now += 599
    assert await world.good(token)
    world.now += 1
    assert not await world.good(token)


async def test_a_token_for_other_audiences_is_not_for_this_server(world):
    assert not await world.good(world.token(audiences=["vault"]))
    assert await world.good(world.token(audiences=["vault", ISSUER]))
    assert await world.good(world.token(audiences=[]))


async def test_a_token_ends_with_its_account_and_is_not_that_of_a_namesake(world):
    token = world.token()
    account = world.entries.pop(ACCOUNT)
    assert not await world.good(token)
    world.entries[ACCOUNT] = Stored("u-9")
    assert not await world.good(token)
    world.entries[ACCOUNT] = account
    assert await world.good(token)


async def test_an_account_that_is_being_deleted_has_another_minute(world):
    token = world.token()
    for seconds, good in ((60, True), (61, False)):
        world.entries[ACCOUNT] = Stored("u-1", NOW - timedelta(seconds=seconds))
        assert await world.good(token) is good


async def test_a_namesake_in_another_workspace_is_somebody_else(world):
    token = world.token()
    world.entries["serviceaccounts", "other", "ns", "robot"] = world.entries.pop(ACCOUNT)
    assert not await world.good(token)


# -- bound to a Secret


def bound(**more):
    return {"boundObjectRef": {"apiVersion": "v1", "kind": "Secret", "name": "s", **more}}


@pytest.mark.parametrize("reference", [{}, {"uid": "u-2"}])
async def test_a_bound_token_ends_with_its_secret_and_is_not_bound_to_a_namesake(world, reference):
    token = world.token(**bound(**reference))
    assert await world.good(token)
    for there in (None, Stored("u-9"), Stored("u-2", NOW - timedelta(seconds=61))):
        world.entries[SECRET] = there
        assert not await world.good(token)
        assert await world.good(world.token())


@pytest.mark.parametrize(
    ("reference", "error"),
    [
        ({"name": "none"}, NotFoundError),
        ({"uid": "u-9"}, ConflictError),
        ({"kind": "Pod"}, BadRequestError),
        ({"apiVersion": "v2"}, BadRequestError),
    ],
)
def test_a_token_cannot_be_bound_to_what_is_not_there(world, reference, error):
    with pytest.raises(error):
        world.request(**bound(**reference))


# -- forged


@pytest.mark.parametrize("token", ["", "secret", "a.b.c", "é.é.é", "....", "e30.e30.e30"])
async def test_what_is_no_token_of_ours_is_for_others_to_know(world, token):
    assert await world.user(token) is None


async def test_another_key_or_another_issuer_signs_nothing_for_this_server(world):
    other_key = ServiceAccountTokens(world, ec.generate_private_key(ec.SECP256R1()), ISSUER, clock=lambda: world.now)
    other_issuer = ServiceAccountTokens(world, KEY, "https://elsewhere", clock=lambda: world.now)
    for other in (other_key, other_issuer):
        token = other.issue({"spec": {"audiences": [ISSUER]}}, "ws", "ns", "robot")["status"]["token"]
        assert await world.user(token) is None


async def test_a_token_cannot_be_changed(world):
    head, body, signature = world.token().split(".")
    changed = {**claims(f"{head}.{body}"), "sub": "system:serviceaccount:kube-system:root"}
    forged = base64.urlsafe_b64encode(json.dumps(changed).encode()).decode().rstrip("=")
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    for token in (f"{head}.{forged}.{signature}", f"{unsigned}.{body}.", f"{head}.{body}."):
        assert await world.user(token) is None


async def test_a_remembered_token_is_looked_at_again_for_its_time_and_its_account(world):
    token = world.token(expirationSeconds=600)
    assert await world.good(token)
    assert await world.good(token)
    world.now += 601
    assert not await world.good(token)
