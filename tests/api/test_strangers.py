"""Made-up credentials: what a flood of them may do to others, and that nobody is locked out by it."""

import asyncio
from typing import Any

import pytest

from kcpcache.api.fairness import Fairness, Limits, Seat
from kcpcache.api.protocol import CONNECTION, Connection
from kcpcache.api.services import RequestFacts
from kcpcache.api.strangers import Strangers
from kcpcache.auth.user import User
from kcpcache.meta.errors import UnauthorizedError

BOB = User("bob")
GOOD, BAD = ((b"authorization", b"Bearer good"),), ((b"authorization", b"Bearer bad"),)


class World:
    """``asked`` are the addresses whose credentials were looked at, in order."""

    def __init__(self) -> None:
        self.fairness, self.asked = Fairness(Limits()), list[str]()
        self.strangers = Strangers(self._authenticate, self.fairness, self.fairness.wait)
        self._address = ""

    async def _authenticate(self, facts: RequestFacts) -> User:
        self.asked.append(facts.certificates[0].decode())
        if facts.headers == BAD:
            raise UnauthorizedError
        return BOB

    def scope(self, address: str = "10.0.0.1") -> dict[str, Any]:
        """Of a request on a new connection."""
        return {"state": {CONNECTION: Connection()}, "client": (address, 1)}

    async def ask(self, scope: dict[str, Any], headers: Any = BAD) -> str:
        facts = RequestFacts(headers, (scope["client"][0].encode(),))
        try:
            return (await self.strangers.user(scope, facts)).name
        except UnauthorizedError:
            return "refused"

    async def refused(self, count: int, address: str = "10.0.0.1") -> list[dict[str, Any]]:
        """So many connections whose credentials were refused once."""
        scopes = [self.scope(address) for _ in range(count)]
        for scope in scopes:
            assert await self.ask(scope) == "refused"
        self.asked.clear()
        return scopes

    def busy(self) -> Seat:
        """Another user is there, so that there are turns; his seat."""
        seats = [self.fairness.enter(user, user.name) for user in (User("alice"), BOB)]
        assert seats[1] is not None
        return seats[1]


async def at_once(work: Any) -> str:
    """What it comes to, without waiting for anything."""
    with pytest.raises(StopIteration) as ended:
        work.send(None)
    return str(ended.value.value)


async def test_the_first_attempt_of_a_connection_waits_for_nobody():
    world = World()
    await world.refused(3)
    world.busy()
    assert await at_once(world.ask(world.scope(), GOOD)) == "bob"


async def test_those_who_were_refused_are_looked_at_one_by_one_between_the_requests_of_others():
    world = World()
    scopes = await world.refused(50)
    seat = world.busy()
    tasks = [asyncio.create_task(world.ask(scope)) for scope in scopes]
    for _ in range(10):
        before = len(world.asked)
        await seat.pause()  # bob's next turn
        assert len(world.asked) - before <= 2
    assert await asyncio.gather(*tasks) == ["refused"] * 50


async def test_each_address_has_its_turns_however_many_another_wants():
    world = World()
    flood, other = await world.refused(50), await world.refused(1, "10.0.0.2")
    world.busy()
    tasks = [asyncio.create_task(world.ask(scope)) for scope in (*flood, *other)]
    await asyncio.gather(*tasks)
    assert world.asked.index("10.0.0.2") <= 2


async def test_good_credentials_make_a_connection_one_like_any_other_again():
    world = World()
    (scope,) = await world.refused(1)
    world.busy()
    assert await world.ask(scope, GOOD) == "bob"
    assert await at_once(world.ask(scope, GOOD)) == "bob"


async def test_nobody_keeps_a_seat_that_was_refused():
    world = World()
    for scope in await world.refused(3):
        assert await world.ask(scope) == "refused"
    assert world.fairness._running == 0
