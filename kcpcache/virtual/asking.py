"""Who asks, and how many virtual workspaces the request has come through: what following an endpoint URL needs to know.

The HTTP layer says it once per request; it goes with the request's task. Where nobody has said it, nobody asks.
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Final

import msgspec

from kcpcache.auth.user import ANONYMOUS, User
from kcpcache.meta.errors import BadRequestError

HOPS_HEADER: Final = "kcpcache-hops"
"""How many endpoint URLs were followed already: a decimal number, sent with each request to another server."""
MOST_HOPS: Final = 4
"""So many endpoint URLs are followed for one request (behaviour §6)."""
_MOST_DIGITS: Final = 4


class Asking(msgspec.Struct, frozen=True):
    """The user, and the hops so far."""

    user: User = ANONYMOUS
    hops: int = 0


_asking: ContextVar[Asking] = ContextVar("asking", default=Asking())  # noqa: B039 -- it is immutable


def asking() -> Asking:
    """Whoever this task works for."""
    return _asking.get()


def begin(user: User, hops: str) -> None:
    """Say who asks; ``hops`` is the header's value, "" without one. Raises BadRequestError where it is no number."""
    if not hops:
        _asking.set(Asking(user))
        return
    if not (hops.isascii() and hops.isdigit()) or len(hops) > _MOST_DIGITS:
        raise BadRequestError(f"the header {HOPS_HEADER} must be a number of at most {_MOST_DIGITS} digits")
    _asking.set(Asking(user, int(hops)))


@contextlib.contextmanager
def one_hop_further() -> Iterator[Asking]:
    """What is done inside is one hop further on."""
    found = msgspec.structs.replace(now := _asking.get(), hops=now.hops + 1)
    token = _asking.set(found)
    try:
        yield found
    finally:
        _asking.reset(token)
