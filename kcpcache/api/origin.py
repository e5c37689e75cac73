"""Whose page a browser's request comes from. Browsers show their user's certificate for every site's page."""

from collections.abc import Mapping
from typing import Final

from kcpcache.meta.errors import ForbiddenError

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""What browsers let every page send, and keep the answer from."""


def require_own_page(headers: Mapping[bytes, bytes], *, with_token: bool) -> None:
    """That a request is from no page (it has no ``Origin``), from one of this server's, or brings a token.

    A page of another site that has a token was given it; a certificate it has only borrowed. Raises ForbiddenError.
    """
    origin = headers.get(b"origin")
    if origin is not None and not with_token and origin.partition(b"://")[2] != headers.get(b"host"):
        raise ForbiddenError("pages of other sites need a token: the certificate that the browser shows is not enough")


def has_bearer(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a token is among the headers: unlike a password, no browser adds one by itself."""
    return headers.get(b"authorization", b"")[:7].lower() == b"bearer "
