"""Whose page a browser's request comes from. Browsers show their user's certificate for every site's page."""

from collections.abc import Mapping, Sequence
from typing import Final

from kcpcache.auth.authenticate import WEBSOCKET_BEARER_PREFIX
from kcpcache.meta.errors import ForbiddenError

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""What browsers let every page send, and keep the answer from."""


def require_own_page(headers: Mapping[bytes, bytes], *, with_token: bool) -> None:
    """That a request is from no page (it has no ``Origin``), from one of this server's, or brings a token.

    A page of another site that has a token was given it; a certificate it has only borrowed. Raises ForbiddenError.
    """
    if not with_token and is_of_another_site(headers):
        raise ForbiddenError("pages of other sites need a token: the certificate that the browser shows is not enough")


def is_of_another_site(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a page of another site asks. Ours come over TLS: whoever can forge one without is another."""
    origin = headers.get(b"origin")
    return origin is not None and origin != b"https://" + headers.get(b"host", b"")


def has_bearer(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a token is among the headers: unlike a password, no browser adds one by itself."""
    return headers.get(b"authorization", b"")[:7].lower() == b"bearer "


def offers_token(protocols: Sequence[str]) -> bool:
    """Whether a token is among a WebSocket's sub-protocols, where browsers let a page put one."""
    return any(protocol.startswith(WEBSOCKET_BEARER_PREFIX) for protocol in protocols)
