"""HTTP clients for hosts that users name: issuers, webhooks, other servers that endpoint URLs lead to."""

import ssl
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import httpx

_IDLE_CONNECTIONS: Final = 16
_KEEP_ALIVE_SECONDS: Final = 60.0


def distrustful_client(
    context: ssl.SSLContext, *, most_connections: int, transport: "httpx.AsyncBaseTransport | None" = None
) -> "httpx.AsyncClient":
    """A client that follows no redirect, minds no proxy of the environment and keeps nothing that it is told.

    It asks for JSON that is not compressed, and has no credentials. It waits for ever: bound each call with
    ``asyncio.timeout``. httpx is imported with the first call, which takes a while.
    """
    from http.cookiejar import CookieJar, DefaultCookiePolicy

    import httpx

    limits = httpx.Limits(
        max_connections=most_connections,
        max_keepalive_connections=_IDLE_CONNECTIONS,
        keepalive_expiry=_KEEP_ALIVE_SECONDS,
    )
    return httpx.AsyncClient(
        verify=context,
        transport=transport,
        trust_env=False,
        follow_redirects=False,
        # Many workspaces call one host on one connection: what it told one of them is not for the others.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        limits=limits,
        timeout=None,  # noqa: S113 -- see above
        headers={"user-agent": "kcpcache", "accept": "application/json", "accept-encoding": "identity"},
    )
