"""Calls to webhooks that users configure: HTTPS POSTs of reviews, with every limit that foreign hosts call for.

No redirects, no proxies from the environment, no credentials, no cookies, no compressed or oversized answers.
Connections are shared by all calls to one host with one caBundle. For the event loop only; httpx is imported with the
first call.
"""

import asyncio
import base64
import binascii
import contextlib
import ssl
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import orjson

from kcpcache.meta.hosts import is_listed
from kcpcache.meta.objects import Object
from kcpcache.outgoing import distrustful_client

if TYPE_CHECKING:
    import httpx

MOST_ANSWER_BYTES: Final = 3 * 1024 * 1024
_MOST_POOLS: Final = 256
_MOST_CONNECTIONS: Final = 64
_HTTPS_PORT: Final = 443
_OK: Final = range(200, 300)


class WebhookCallError(Exception):
    """A webhook could not be asked, or did not answer with JSON; the text is for whoever configured it."""


@dataclass(frozen=True, slots=True)
class WebhookTarget:
    """Where a webhook is. ``ca_bundle`` is PEM, empty: the system's. ``unusable`` says why it cannot be called."""

    url: str
    ca_bundle: bytes = b""
    unusable: str = ""

    @property
    def host(self) -> str:
        """The host's name or address, lower-case, without the port."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The port, or that of HTTPS."""
        return urlsplit(self.url).port or _HTTPS_PORT


def target_of(client_config: Mapping[str, Any]) -> WebhookTarget:
    """The target of a ``WebhookClientConfig``. Never raises: what is wrong is said when it is called."""
    service = client_config.get("service")
    if service:
        name = f"{service.get('namespace')}/{service.get('name')}"
        return WebhookTarget("", unusable=f"service {name} not found: workspaces have no Services, use a url")
    url = str(client_config.get("url") or "")
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for what is no number
        bundle = base64.b64decode(client_config.get("caBundle") or "", validate=True)
    except (ValueError, binascii.Error):
        return WebhookTarget(url, unusable="url or caBundle cannot be read")
    if parts.scheme != "https" or not parts.hostname:
        return WebhookTarget(
            url, unusable="'https' is the only allowed URL scheme; desired format: https://host[/path]"
        )
    if parts.username is not None or parts.password is not None:
        return WebhookTarget(url, unusable="user information is not permitted in the URL")
    return WebhookTarget(url, bundle)


class _Pool:
    """One HTTP client, and how many calls it is in the middle of."""

    __slots__ = ("calls", "client", "evicted")

    def __init__(self, client: "httpx.AsyncClient") -> None:
        self.client, self.calls, self.evicted = client, 0, False


class WebhookClient:
    """Posts reviews, only to ``allowed_hosts`` where there are any (see ``meta/hosts.py``). ``close`` ends all."""

    def __init__(self, allowed_hosts: Sequence[str] = ()) -> None:
        self._allowed = frozenset(host.lower() for host in allowed_hosts)
        self._pools: OrderedDict[tuple[str, bytes], _Pool] = OrderedDict()

    async def post(
        self, target: WebhookTarget, review: Object, *, timeout_seconds: int, most_bytes: int = MOST_ANSWER_BYTES
    ) -> Object:
        """The JSON object that the webhook answers. Raises WebhookCallError."""
        import httpx

        if target.unusable:
            raise WebhookCallError(target.unusable)
        shown = f'Post "{target.url}?timeout={timeout_seconds}s"'
        if self._allowed and not is_listed(target.host, target.port, self._allowed):
            raise WebhookCallError(f"{shown}: host {target.host} is not one that this server may call")
        try:
            async with asyncio.timeout(timeout_seconds), self._pool(target) as client:
                data = await self._exchange(client, target.url, review, timeout_seconds, most_bytes)
        except TimeoutError:
            raise WebhookCallError(f"{shown}: context deadline exceeded") from None
        except WebhookCallError as error:
            raise WebhookCallError(f"{shown}: {error}") from None
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError) as error:
            raise WebhookCallError(f"{shown}: {_why(error)}") from None
        try:
            answer = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise WebhookCallError(f"couldn't get version/kind; json parse error: {error}") from None
        if not isinstance(answer, dict):
            raise WebhookCallError("the answer is no JSON object")
        return answer

    async def close(self) -> None:
        """End all connections. Calls that are under way fail."""
        pools = [*self._pools.values()]
        self._pools.clear()
        for pool in pools:
            await pool.client.aclose()

    @staticmethod
    async def _exchange(
        client: "httpx.AsyncClient", url: str, review: Object, timeout_seconds: int, most_bytes: int
    ) -> bytes:
        headers = {"content-type": "application/json", "accept": "application/json"}
        parameters = {"timeout": f"{timeout_seconds}s"}
        content = orjson.dumps(review)
        async with client.stream("POST", url, params=parameters, content=content, headers=headers) as response:
            if response.status_code not in _OK:
                raise WebhookCallError(f"the webhook answered with HTTP status {response.status_code}")
            if response.headers.get("content-encoding", "identity") != "identity":
                raise WebhookCallError("the webhook's answer is encoded, which was not asked for")
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > most_bytes:
                    raise WebhookCallError(f"the webhook's answer is larger than {most_bytes} bytes")
            return bytes(body)

    @contextlib.asynccontextmanager
    async def _pool(self, target: WebhookTarget) -> "AsyncIterator[httpx.AsyncClient]":
        key = (urlsplit(target.url).netloc.lower(), target.ca_bundle)
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = _Pool(_client(target.ca_bundle))
            await self._evict()
        self._pools.move_to_end(key)
        pool.calls += 1
        try:
            yield pool.client
        finally:
            pool.calls -= 1
            if pool.evicted and not pool.calls:
                await pool.client.aclose()

    async def _evict(self) -> None:
        while len(self._pools) > _MOST_POOLS:
            _, oldest = self._pools.popitem(last=False)
            oldest.evicted = True
            if not oldest.calls:
                await oldest.client.aclose()


def _client(ca_bundle: bytes) -> "httpx.AsyncClient":
    try:
        context = ssl.create_default_context(cadata=ca_bundle.decode() if ca_bundle else None)
    except (ssl.SSLError, ValueError):
        raise WebhookCallError("caBundle holds no certificates: unable to load root certificates") from None
    return distrustful_client(context, most_connections=_MOST_CONNECTIONS)


def _why(error: Exception) -> str:
    """The innermost text: httpx wraps the operating system's and TLS' own words."""
    cause: BaseException = error
    while not isinstance(cause, ssl.SSLError) and (below := cause.__cause__ or cause.__context__) is not None:
        cause = below
    return str(cause) or str(error) or type(error).__name__
