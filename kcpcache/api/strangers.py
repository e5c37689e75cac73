"""Whose credentials were refused: they wait for a turn before they may show others.

Shares and turns (``api/fairness.py``) are of users, and whoever made up his token is none. To look at a token costs
about as much as a short answer: a flood of them, on connections that are kept, would be served before everybody else.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from kcpcache.api.exchange import Scope
from kcpcache.api.fairness import Fairness, Seat
from kcpcache.api.protocol import NO_CONNECTION, connection_of
from kcpcache.api.services import RequestFacts
from kcpcache.auth.user import User
from kcpcache.meta.errors import UnauthorizedError

STRANGERS: Final = "system:unauthenticated"
"""In place of their workspace, and before the address that a share of it is for."""


class Strangers:
    """Authenticates. ``wait`` is how to stand in line for a seat.

    Nobody is locked out: the first attempt of a connection waits for nothing, the next ones for the turn of their
    address, and one that succeeds makes the connection one like any other.
    """

    def __init__(
        self,
        authenticate: Callable[[RequestFacts], Awaitable[User]],
        fairness: Fairness,
        wait: Callable[[User, str], Awaitable[Seat]],
    ) -> None:
        self._authenticate, self._fairness, self._wait = authenticate, fairness, wait

    async def user(self, scope: Scope, facts: RequestFacts) -> User:
        """Who asks. Raises UnauthorizedError, and TooManyRequestsError where too many of the address are in line."""
        connection = connection_of(scope)
        seat: Seat | None = None
        if connection.refused:
            client = scope.get("client") or ("",)
            stranger = User(f"{STRANGERS}:{client[0]}")
            seat = self._fairness.enter(stranger, STRANGERS) or await self._wait(stranger, STRANGERS)
        try:
            user = await self._authenticate(facts)
        except UnauthorizedError:
            connection.refused = connection is not NO_CONNECTION
            raise
        finally:
            if seat is not None:
                seat.leave()
        connection.refused = False
        return user
