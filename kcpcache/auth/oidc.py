"""ID tokens of an OpenID Connect issuer, as kube-apiserver's ``--oidc-…`` flags have them."""

import base64
import binascii
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
import structlog

from kcpcache.auth.oidc_keys import IssuerKeys, Keys
from kcpcache.auth.tokens import TokenAnswer
from kcpcache.auth.user import User, unique
from kcpcache.meta.errors import UnauthorizedError
from kcpcache.meta.objects import Object

log = structlog.get_logger(__name__)

NOT_BEFORE_LEEWAY_SECONDS: Final = 300.0
"""How far an issuer's clock may be ahead; an expired token gets none (as in go-oidc)."""
_REMEMBER_SECONDS: Final = 10.0
_PARTS: Final = 3
_EMAIL: Final = "email"


@dataclass(frozen=True, slots=True)
class OidcClaims:
    """What a token must say, and what of it becomes the user.

    ``username_prefix`` None: the issuer's URL and ``#``, but nothing before an ``email``.
    """

    issuer_url: str
    client_ids: frozenset[str]
    username_claim: str = "sub"
    username_prefix: str | None = None
    groups_claim: str = ""
    groups_prefix: str = ""
    required_claims: Mapping[str, str] = field(default_factory=dict)
    signing_algorithms: frozenset[str] = frozenset({"RS256"})


class OidcError(Exception):
    """A token is not good; one line that says why, for the log, without anything of the token."""


class OidcTokens:
    """A link in the chain of authenticators, for the tokens that say they are of the issuer."""

    def __init__(self, claims: OidcClaims, keys: IssuerKeys, *, clock: Callable[[], float] = time.time) -> None:
        self._wanted, self._keys, self._clock = claims, keys, clock

    async def __call__(self, token: str) -> TokenAnswer | None:
        """The user; None where the token is not of this issuer. Raises UnauthorizedError for one that is not good.

        Believed for ten seconds without another look, and never after it has expired.
        """
        parts = token.split(".")
        if len(parts) != _PARTS:
            return None
        header, claims = _decoded(parts[0]), _decoded(parts[1])
        if header is None or claims is None or claims.get("iss") != self._wanted.issuer_url:
            return None
        now = self._clock()
        try:
            await self._require_signature(token, header)
            expires = check_claims(claims, self._wanted, now)
            user = user_of(claims, self._wanted)
        except OidcError as error:
            log.debug("a token of the OpenID Connect issuer is refused", why=str(error))
            raise UnauthorizedError from None
        return TokenAnswer(user, min(_REMEMBER_SECONDS, max(0.0, expires - now)))

    async def _require_signature(self, token: str, header: Object) -> None:
        if header.get("alg") not in self._wanted.signing_algorithms:
            raise OidcError("it is not signed with an algorithm of --oidc-signing-algs")
        keys = await self._keys.current()
        if _signed(token, header, keys):
            return
        newer = await self._keys.newer_than(keys)
        if newer is keys or not _signed(token, header, newer):
            raise OidcError("it is signed by none of the issuer's keys")


def check_claims(claims: Object, wanted: OidcClaims, now: float) -> float:
    """When the token expires. Raises OidcError where it is not for us, or not now, or lacks a required claim."""
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if not any(isinstance(one, str) and one in wanted.client_ids for one in audiences):
        raise OidcError("it is for another audience")
    expires, not_before = _number(claims, "exp"), _number(claims, "nbf")
    if expires is None or expires < now:
        raise OidcError("it has expired")
    if not_before is not None and not_before > now + NOT_BEFORE_LEEWAY_SECONDS:
        raise OidcError("it is not yet valid")
    for name, value in wanted.required_claims.items():
        if claims.get(name) != value:
            raise OidcError(f"claim {name} is missing or has another value than required")
    return expires


def user_of(claims: Object, wanted: OidcClaims) -> User:
    """The user that the claims speak of. Raises OidcError."""
    name = claims.get(wanted.username_claim)
    if not isinstance(name, str) or not name:
        raise OidcError(f"claim {wanted.username_claim} is no name")
    if wanted.username_claim == _EMAIL and claims.get("email_verified", True) is not True:
        raise OidcError("its email address is not verified")
    prefix = wanted.username_prefix
    if prefix is None:
        prefix = "" if wanted.username_claim == _EMAIL else f"{wanted.issuer_url}#"
    groups = unique(wanted.groups_prefix + group for group in _groups(claims, wanted.groups_claim))
    return User(("" if prefix == "-" else prefix) + name, groups=groups)


def _groups(claims: Object, claim: str) -> list[str]:
    """A list of names, or one name; none where there is no such claim."""
    found = claims.get(claim) if claim else None
    groups = [] if found is None else [found] if isinstance(found, str) else found
    if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups):
        raise OidcError(f"claim {claim} is neither a name nor a list of names")
    return groups


def _signed(token: str, header: Object, keys: Keys) -> bool:
    from joserfc import jws
    from joserfc.errors import JoseError

    kid = header.get("kid") or ""
    for key in keys:
        if not kid or key.kid == kid:
            try:
                jws.deserialize_compact(token, key.value, algorithms=[header["alg"]])
            except (JoseError, ValueError, TypeError):
                continue
            return True
    return False


def _decoded(part: str) -> Object | None:
    try:
        found: Any = orjson.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (binascii.Error, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _number(claims: Object, name: str) -> float | None:
    found = claims.get(name)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise OidcError(f"claim {name} is no time")
    return float(found)
