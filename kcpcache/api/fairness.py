"""Who is served now, and who waits: shares of the requests in flight, and turns at the event loop.

In the spirit of Kubernetes' API Priority and Fairness. *Shares* bound what is in flight at once, of each user and of
each workspace. But what never waits for anything is never in flight together, as much as there is of it: a thousand
GETs that came at once would all be answered before the next one. So there are *turns*: while several users are there,
each of them, and each workspace, begins one request in one round of the event loop, and the rest stand in line, the
workspaces in turn and their users in turn. Nobody is slowed down by that who is alone.

For the event loop only.
"""

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol, TypeAlias

from kcpcache.auth.subjects import global_name
from kcpcache.auth.user import User
from kcpcache.meta.errors import TooManyRequestsError

QUEUE_SECONDS: Final = 15.0
"""How long a request waits for its turn, as in kube: a quarter of what it may take in all."""
MOST_QUEUED: Final = 500
"""How many requests of one user wait."""
RETRY_SECONDS: Final = 1
_TURNS_TOGETHER: Final = 1000
"""For so many turns after one user followed another, there are several."""
_REMEMBERED: Final = 4096

_Ticket: TypeAlias = "tuple[asyncio.Future[None], bool]"
"""Resolved when its turn has come; whether that is to begin a request, which needs room, or to go on with one."""


class Limits(NamedTuple):
    """How many requests may be in flight, in all, of one user and of one workspace, and how many watches of a user."""

    in_flight: int = 400
    per_user: int = 100
    per_workspace: int = 200
    watches_per_user: int = 10_000


class Seat(Protocol):
    """A request's place among those that are served."""

    @property
    def tenant(self) -> object:
        """Whom it is served for: the same for all requests in a workspace."""
        ...

    def leave(self) -> None:
        """Give it up; may be called again."""
        ...

    def once_more(self) -> bool:
        """Whether a like request that is answered at once may be now: else it has to ``enter``. After ``leave``."""
        ...

    async def pause(self) -> None:
        """Return in the next turn: for what goes on for long. May be called after ``leave``."""
        ...

    async def turn(self) -> None:
        """Return when it is its turn, at once for who is alone: for what has been woken together with others."""
        ...

    def watching(self) -> contextlib.AbstractContextManager[None]:
        """Count a watch for as long as it lasts. Raises TooManyRequestsError on entering."""
        ...


class _Exempt:
    """See ``Seat``."""

    tenant: object = None

    def leave(self) -> None:
        """See ``Seat``."""

    def once_more(self) -> bool:
        """See ``Seat``."""
        return True

    async def pause(self) -> None:
        """See ``Seat``."""
        await asyncio.sleep(0)

    async def turn(self) -> None:
        """See ``Seat``."""

    def watching(self) -> contextlib.AbstractContextManager[None]:
        """See ``Seat``."""
        return contextlib.nullcontext()


EXEMPT: Final[Seat] = _Exempt()
"""Of whoever needs none: as in kube, system:masters and whatever asks for health."""


class _Share:
    """What one user, or one workspace, has of the server. ``turn`` is the last one in which it began a request.

    ``lines`` are the users that wait in a workspace; ``queued`` is how many requests of a user wait.
    """

    __slots__ = ("limit", "lines", "queued", "running", "turn", "watches")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.running = self.queued = self.watches = 0
        self.turn = -1
        self.lines: OrderedDict[_Share, deque[_Ticket]] = OrderedDict()

    @property
    def idle(self) -> bool:
        return not (self.running or self.queued or self.watches or self.lines)


class _Taken:
    """See ``Seat``."""

    __slots__ = ("_fairness", "_open", "_place", "_user")

    def __init__(self, fairness: "Fairness", user: _Share, place: _Share) -> None:
        self._fairness, self._user, self._place, self._open = fairness, user, place, True

    @property
    def tenant(self) -> object:
        return self._place

    def leave(self) -> None:
        if self._open:
            self._open = False
            self._fairness._end(self._user, self._place)  # noqa: SLF001 -- the two are one thing

    def once_more(self) -> bool:
        return self._fairness._has_turn(self._user, self._place)  # noqa: SLF001

    async def pause(self) -> None:
        await self._fairness._pause(self._user, self._place)  # noqa: SLF001

    async def turn(self) -> None:
        await self._fairness._go_on(self._user, self._place)  # noqa: SLF001

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        user, most = self._user, self._fairness.limits.watches_per_user
        if user.watches >= most:
            raise TooManyRequestsError(f"the user has {most} watches open already", retry_after_seconds=RETRY_SECONDS)
        user.watches += 1
        try:
            yield
        finally:
            user.watches -= 1


class Fairness:
    """``enter`` at once, or ``wait``. Whoever has nothing in flight is let in however much of others there is."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._users: dict[str, _Share] = {}
        self._by_fingerprint: dict[str, _Share] = {}
        self._places: dict[str, _Share] = {}
        self._most = _REMEMBERED
        self._rotation: deque[_Share] = deque()  # the workspaces in which somebody waits
        self._running = 0
        self._turn = 0
        self.together = 0
        """For how many turns from now on it counts that several users have been served; 0 while one is alone."""
        self._turn_is_called = False
        self._last: _Share | None = None

    def enter(self, user: User, cluster: str) -> Seat | None:
        """A seat, or None where the request has to ``wait``."""
        mine = self._by_fingerprint.get(user.fingerprint) or self._share_of(user)
        place = self._places.get(cluster) or self._share(self._places, cluster, self.limits.per_workspace)
        if not self._has_room(mine, place) or not self._has_turn(mine, place):
            return None
        self._begin(mine, place)
        return _Taken(self, mine, place)

    async def wait(self, user: User, cluster: str) -> Seat:
        """Stand in line. Raises TooManyRequestsError where that is too long, or takes too long."""
        mine, place = self._share_of(user), self._share(self._places, cluster, self.limits.per_workspace)
        if mine.queued >= MOST_QUEUED:
            raise _too_many()
        ticket = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(QUEUE_SECONDS):
                await self._stand((ticket, True), mine, place)
        except BaseException as error:
            if ticket.done() and not ticket.cancelled():
                self._end(mine, place)  # its turn came at the moment of its end
            if isinstance(error, TimeoutError):
                raise _too_many() from None
            raise
        return _Taken(self, mine, place)

    async def _pause(self, mine: _Share, place: _Share) -> None:
        if self.together or self._rotation:
            await self._stand((asyncio.get_running_loop().create_future(), False), mine, place)
        else:
            await asyncio.sleep(0)

    async def _go_on(self, mine: _Share, place: _Share) -> None:
        if (self.together or self._rotation) and not self._has_turn(mine, place):
            await self._stand((asyncio.get_running_loop().create_future(), False), mine, place)

    def _has_turn(self, mine: _Share, place: _Share) -> bool:
        """Whether it may begin something in this turn; then it has."""
        if mine is not self._last:
            self.together = 0 if self._last is None else _TURNS_TOGETHER
            self._last = mine
        if mine.queued:
            return False
        if self.together:
            if self._turn in (mine.turn, place.turn):
                return False
            mine.turn = place.turn = self._turn
            self._call_turn()
        return True

    def _has_room(self, mine: _Share, place: _Share) -> bool:
        if not mine.running and not place.running:
            return True
        return self._running < self.limits.in_flight and mine.running < mine.limit and place.running < place.limit

    def _begin(self, mine: _Share, place: _Share) -> None:
        self._running += 1
        mine.running += 1
        place.running += 1

    def _end(self, mine: _Share, place: _Share) -> None:
        self._running -= 1
        mine.running -= 1
        place.running -= 1
        if self._rotation:
            self._call_turn()

    # -- the lines

    async def _stand(self, ticket: _Ticket, mine: _Share, place: _Share) -> None:
        """Stand in line until the turn has come."""
        if not place.lines:
            self._rotation.append(place)
        place.lines.setdefault(mine, deque()).append(ticket)
        mine.queued += 1
        self._call_turn()
        try:
            await ticket[0]
        finally:
            mine.queued -= 1
            line = place.lines.get(mine)
            if line is not None and ticket in line:  # it has been given up
                line.remove(ticket)
                if not line:
                    del place.lines[mine]
                    if not place.lines:
                        self._rotation.remove(place)

    def _call_turn(self) -> None:
        if not self._turn_is_called:
            self._turn_is_called = True
            asyncio.get_running_loop().call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._turn_is_called = False
        self._turn += 1
        self.together = max(0, self.together - 1)
        called = False
        for _ in range(len(self._rotation)):
            place = self._rotation.popleft()
            called |= self._let_one_in(place)
            if place.lines:
                self._rotation.append(place)
        if called:
            self._call_turn()

    def _let_one_in(self, place: _Share) -> bool:
        """The next user of the workspace that may; whether there was one."""
        for _ in range(len(place.lines)):
            mine, line = place.lines.popitem(last=False)
            while line and line[0][0].done():
                line.popleft()  # its client has gone
            fits = bool(line) and mine.turn != self._turn and (not line[0][1] or self._has_room(mine, place))
            if fits:
                mine.turn = place.turn = self._turn
                ticket, is_request = line.popleft()
                ticket.set_result(None)
                if is_request:
                    self._begin(mine, place)
            if line:
                place.lines[mine] = line
            if fits:
                return True
        return False

    # -- the shares

    def _share_of(self, user: User) -> _Share:
        found = self._share(self._users, global_name(user), self.limits.per_user)
        if len(self._by_fingerprint) >= _REMEMBERED:
            self._by_fingerprint.clear()
        self._by_fingerprint[user.fingerprint] = found
        return found

    def _share(self, shares: dict[str, _Share], name: str, limit: int) -> _Share:
        """By name. Where there are many, those are forgotten that nobody uses any more."""
        found = shares.get(name)
        if found is None:
            if len(shares) >= self._most:
                for known in (self._users, self._places):
                    for key in [key for key, share in known.items() if share.idle]:
                        del known[key]
                self._by_fingerprint.clear()
                self._most = max(_REMEMBERED, 2 * len(self._users), 2 * len(self._places))
            found = shares[name] = _Share(limit)
        return found


def _too_many() -> TooManyRequestsError:
    return TooManyRequestsError("too many requests, please try again later", retry_after_seconds=RETRY_SECONDS)
