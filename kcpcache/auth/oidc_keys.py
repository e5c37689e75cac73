"""The keys that an OpenID Connect issuer signs with, as it publishes them (OpenID Connect Discovery 1.0, RFC 7517).

For the event loop only; httpx is imported with the first request. Nothing is fetched before a token needs it.
"""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import orjson
import structlog

from kcpcache.meta.objects import Object
from kcpcache.outgoing import distrustful_client

if TYPE_CHECKING:
    import httpx

log = structlog.get_logger(__name__)

ANSWER_SECONDS: Final = 5.0
RETRY_SECONDS: Final = 10.0
"""After a fetch, there is none for so long: tokens with invented key IDs cannot make this server a flood."""
REFRESH_SECONDS: Final = 600.0
"""How old keys may get: a key that the issuer withdraws is of no use after that."""
MOST_ANSWER_BYTES: Final = 1024 * 1024
_MOST_KEYS: Final = 100
_KEY_TYPES: Final = frozenset({"RSA", "EC"})
_PARAMETERS: Final = ("kty", "n", "e", "crv", "x", "y")
_DISCOVERY: Final = "/.well-known/openid-configuration"
_OK: Final = 200


class IssuerError(Exception):
    """The issuer cannot be asked, or answers with something else than it should; one line for the log."""


class IssuerKey:
    """One public key; ``value`` is joserfc's."""

    __slots__ = ("kid", "value")

    def __init__(self, kid: str, value: Any) -> None:
        self.kid, self.value = kid, value


Keys = Sequence[IssuerKey]


class IssuerKeys:
    """Asks ``issuer_url``. ``ca_file`` (None: whom the system trusts) is read anew each time.

    ``transport`` stands in for the network.
    """

    def __init__(
        self,
        issuer_url: str,
        ca_file: Path | None = None,
        *,
        clock: Callable[[], float] = time.time,
        transport: "httpx.AsyncBaseTransport | None" = None,
    ) -> None:
        self._issuer, self._ca_file, self._clock, self._transport = issuer_url, ca_file, clock, transport
        self._keys: Keys = ()
        self._fetching = asyncio.Lock()
        self._not_before = self._stale_at = 0.0

    async def current(self) -> Keys:
        """Keys that are not older than ten minutes, or older ones where the issuer is out of reach; maybe none."""
        if not self._keys or (self._clock() >= self._stale_at and not self._fetching.locked()):
            await self._fetch()
        return self._keys

    async def newer_than(self, keys: Keys) -> Keys:
        """Other keys than these, fetched where that is allowed now; the same where there are none."""
        if keys is self._keys:
            await self._fetch()
        return self._keys

    async def _fetch(self) -> None:
        """One fetch at a time; whoever waited for another's does not begin one of his own."""
        async with self._fetching:
            if self._clock() < self._not_before:
                return
            self._not_before = self._clock() + RETRY_SECONDS
            try:
                found = await self._published()
            except IssuerError as error:
                log.warning("cannot fetch the keys of the OpenID Connect issuer", issuer=self._issuer, why=str(error))
            except asyncio.CancelledError:
                self._not_before = 0.0  # it was another's to give up, not this issuer's fault
                raise
            else:
                self._stale_at = self._clock() + REFRESH_SECONDS
                if _differ(found, self._keys):
                    self._keys = found

    async def _published(self) -> Keys:
        """What the issuer publishes. Raises IssuerError."""
        try:
            made = await asyncio.to_thread(self._client)
        except OSError as error:
            raise IssuerError(f"the authorities to be trusted cannot be read: {error}") from None
        async with _told(), asyncio.timeout(ANSWER_SECONDS), made as client:
            document = await _get(client, self._issuer.removesuffix("/") + _DISCOVERY)
            if document.get("issuer") != self._issuer:
                raise IssuerError("its configuration names another issuer")
            url = document.get("jwks_uri")
            if not isinstance(url, str) or not _is_https(url):
                raise IssuerError("its configuration has no jwks_uri that begins with https://")
            return _keys(await _get(client, url))

    def _client(self) -> "httpx.AsyncClient":
        """Takes a while the first time, and so has a thread of its own: what a token needs is imported, joserfc too."""
        import joserfc.jwk
        import joserfc.jws  # noqa: F401 -- for oidc.py

        context = ssl.create_default_context(cafile=str(self._ca_file) if self._ca_file else None)
        return distrustful_client(context, most_connections=1, transport=self._transport)


@contextlib.asynccontextmanager
async def _told() -> AsyncIterator[None]:
    """Say what goes wrong below in one way."""
    import httpx

    try:
        yield
    except TimeoutError:
        raise IssuerError(f"it does not answer within {ANSWER_SECONDS:.0f} seconds") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise IssuerError(f"it cannot be reached: {error or type(error).__name__}") from None


def _is_https(url: str) -> bool:
    """Whether there is a host behind it, and a port that there can be."""
    try:
        parts = urlsplit(url)
        return url.startswith("https://") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


async def _get(client: "httpx.AsyncClient", url: str) -> Object:
    """The JSON object there. A redirect is an error like any other answer that is not 200."""
    async with client.stream("GET", url) as response:
        if response.status_code != _OK:
            raise IssuerError(f"{url} answers with HTTP status {response.status_code}")
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > MOST_ANSWER_BYTES:
                raise IssuerError(f"the answer of {url} is larger than {MOST_ANSWER_BYTES} bytes")
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise IssuerError(f"the answer of {url} is no JSON object")
    return found


def _keys(document: Object) -> Keys:
    """The public keys for signatures in a JWK Set; those of kinds that this server does not know are left out."""
    given = document.get("keys")
    if not isinstance(given, list):
        raise IssuerError("its key set has no list of keys")
    return tuple(key for one in given[:_MOST_KEYS] if isinstance(one, dict) and (key := _key(one)) is not None)


def _key(given: Object) -> IssuerKey | None:
    from joserfc.errors import JoseError
    from joserfc.jwk import JWKRegistry

    if given.get("kty") not in _KEY_TYPES or given.get("use") == "enc":
        return None
    public: dict[str, str | list[str]] = {name: str(given[name]) for name in _PARAMETERS if name in given}
    try:
        return IssuerKey(str(given.get("kid") or ""), JWKRegistry.import_key(public))
    except (JoseError, ValueError, KeyError, TypeError):
        return None


def _differ(one: Keys, other: Keys) -> bool:
    return [(key.kid, key.value.as_dict()) for key in one] != [(key.kid, key.value.as_dict()) for key in other]
