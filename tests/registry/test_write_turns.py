"""Turns of large updates: one after the other by key, and nobody waits for long."""

import asyncio

import pytest

from kcpcache.registry import write_turns
from kcpcache.registry.write_turns import WriteTurns


class Writers:
    """Tasks that stand in line, and what each of them did."""

    def __init__(self) -> None:
        self.turns, self.log = WriteTurns(), list[str]()
        self.may_end = {name: asyncio.Event() for name in "abc"}

    async def write(self, name: str, key: str = "key") -> None:
        async with self.turns.turn(key):
            self.log.append(f"{name} begins")
            await self.may_end[name].wait()
            self.log.append(f"{name} ends")

    async def start(self, *names: str, key: str = "key") -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(self.write(name, key)) for name in names]
        await settled()
        return tasks


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
async def writers() -> Writers:
    return Writers()


async def test_those_of_one_key_go_in_the_order_in_which_they_came(writers: Writers):
    tasks = await writers.start("a", "b", "c")
    assert writers.log == ["a begins"]
    for name in "bca":
        writers.may_end[name].set()
    await asyncio.gather(*tasks)
    assert writers.log == ["a begins", "a ends", "b begins", "b ends", "c begins", "c ends"]
    assert not len(writers.turns), "nothing is remembered of a key that nobody writes"


async def test_those_of_other_keys_do_not_wait(writers: Writers):
    tasks = [*await writers.start("a"), *await writers.start("b", key="other")]
    assert writers.log == ["a begins", "b begins"]
    for name in "ab":
        writers.may_end[name].set()
    await asyncio.gather(*tasks)


async def test_who_gives_up_holds_up_nobody(writers: Writers):
    first, second, third = await writers.start("a", "b", "c")
    second.cancel()
    first.cancel()
    await settled()
    assert writers.log == ["a begins", "c begins"]
    writers.may_end["c"].set()
    await third


async def test_who_has_waited_long_enough_goes_on_without_a_turn(writers: Writers, monkeypatch: pytest.MonkeyPatch):
    """The one before may be waiting for a webhook that writes the same object."""
    (first,) = await writers.start("a")
    monkeypatch.setattr(write_turns, "WAIT_SECONDS", 0)
    (second,) = await writers.start("b")
    assert writers.log == ["a begins", "b begins"]
    writers.may_end["b"].set()
    await second
    (third,) = await writers.start("c")
    assert writers.log[-1] == "c begins"
    for name in "ac":
        writers.may_end[name].set()
    await asyncio.gather(first, third)
