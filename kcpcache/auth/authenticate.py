"""Who is it: a chain of authenticators, and a memory of what they found."""

import base64
import binascii
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from cryptography import x509

from kcpcache.auth.client_certificates import CertificateChain, client_user
from kcpcache.auth.front_proxy import FrontProxy, Headers
from kcpcache.auth.tokens import TokenAuthenticator, token_digest
from kcpcache.auth.user import ANONYMOUS, User, with_standard_group
from kcpcache.meta.errors import UnauthorizedError

WEBSOCKET_BEARER_PREFIX = "base64url.bearer.authorization.k8s.io."
"""Before a token in ``Sec-WebSocket-Protocol``."""
_REMEMBERED = 4096
_LONGEST_CHAIN_BYTES = 16 * 1024
"""Of the certificates that a user is remembered by: strangers' ones may come with it, each time others."""


class Credentials(NamedTuple):
    """What a request shows: certificates, ``Authorization`` and ``Sec-WebSocket-Protocol``, and all its headers.

    ``from_another_site``: a browser sends it for a page that may show a token of its own, and not the certificate
    of whoever looks at the page.
    """

    certificates: CertificateChain = ()
    authorization: str | None = None
    websocket_protocols: str | None = None
    headers: Headers = ()
    from_another_site: bool = False


class _Memory:
    """Users by what they showed, each until a point in time; the oldest goes when it is full."""

    def __init__(self) -> None:
        self._found: dict[bytes | CertificateChain, tuple[User, float]] = {}

    def recall(self, key: bytes | CertificateChain, now: float) -> User | None:
        found = self._found.get(key)
        return found[0] if found is not None and now < found[1] else None

    def remember(self, key: bytes | CertificateChain, user: User, until: float) -> User:
        self._found.pop(key, None)
        if len(self._found) >= _REMEMBERED:
            del self._found[next(iter(self._found))]
        self._found[key] = user, until
        return user


class Authenticator:
    """Finds the user of a request: what a front proxy says, the client certificate, the bearer token, then nobody.

    ``clock`` gives seconds since the epoch. At most 4,096 certificates and as many tokens are remembered, none
    beyond its own expiry, tokens as SHA-256 only. A refusal is never remembered.
    """

    def __init__(
        self,
        client_authorities: Sequence[x509.Certificate] = (),
        tokens: Sequence[TokenAuthenticator] = (),
        *,
        anonymous: bool = True,
        clock: Callable[[], float] = time.time,
        front_proxy: FrontProxy | None = None,
    ) -> None:
        self._front_proxy = front_proxy
        self._authorities = tuple(client_authorities)
        self._tokens = tuple(tokens)
        self._anonymous = anonymous
        self._clock = clock
        self._by_certificate, self._by_token = _Memory(), _Memory()

    async def authenticate(self, credentials: Credentials) -> User:
        """The user, with system:authenticated; ``ANONYMOUS`` where no credentials are shown.

        Raises UnauthorizedError where credentials are shown and none is good, or anonymous users are not let in.
        """
        failed, now = False, self._clock()
        if credentials.certificates:
            if self._front_proxy is not None:
                told = self._front_proxy.user(credentials.certificates, credentials.headers, now)
                if told is not None:
                    return with_standard_group(told)
            try:
                if not (credentials.from_another_site and _claims_token(credentials)):
                    return self._certificate_user(credentials.certificates, now)
            except UnauthorizedError:
                failed = True
        token = bearer_token(credentials)
        if token is not None:
            return await self._token_user(token, now)
        if failed or not self._anonymous:
            raise UnauthorizedError
        return ANONYMOUS

    def trust(
        self, client_authorities: Iterable[x509.Certificate], proxy_authorities: Iterable[x509.Certificate] = ()
    ) -> None:
        """From now on believe these authorities and no others, on open connections too."""
        self._authorities = tuple(client_authorities)
        self._by_certificate = _Memory()
        if self._front_proxy is not None:
            self._front_proxy.trust(proxy_authorities)

    def _certificate_user(self, chain: CertificateChain, now: float) -> User:
        known = self._by_certificate.recall(chain, now)
        if known is not None:
            return known
        user, expires = client_user(chain, self._authorities, now)
        user = with_standard_group(user)
        if sum(map(len, chain)) > _LONGEST_CHAIN_BYTES:
            return user
        return self._by_certificate.remember(chain, user, expires)

    async def _token_user(self, token: str, now: float) -> User:
        digest = token_digest(token)
        known = self._by_token.recall(digest, now)
        if known is not None:
            return known
        for authenticate in self._tokens:
            answer = await authenticate(token)
            if answer is not None:
                user = with_standard_group(answer.user)
                return self._by_token.remember(digest, user, now + answer.cache_seconds)
        raise UnauthorizedError


def bearer_token(credentials: Credentials) -> str | None:
    """The token in ``Authorization: Bearer …``, or in the WebSocket subprotocol that browsers use instead.

    None where there is neither. Raises UnauthorizedError where the subprotocol's token cannot be decoded.
    """
    scheme, _, token = (credentials.authorization or "").strip().partition(" ")
    if scheme.lower() == "bearer":
        return token.strip() or None
    for protocol in (credentials.websocket_protocols or "").split(","):
        encoded = protocol.strip()
        if encoded.startswith(WEBSOCKET_BEARER_PREFIX):
            return _decoded(encoded.removeprefix(WEBSOCKET_BEARER_PREFIX))
    return None


def _claims_token(credentials: Credentials) -> bool:
    """Whether there is anything like a token, be it good or not."""
    return bool(credentials.authorization) or WEBSOCKET_BEARER_PREFIX in (credentials.websocket_protocols or "")


def _decoded(encoded: str) -> str:
    try:
        padded = encoded + "=" * (-len(encoded) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise UnauthorizedError from None
