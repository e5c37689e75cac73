"""Watches collect events: a burst costs each of many watchers one write, and the loop is not all theirs."""

import asyncio

import pytest

from kcpcache.api import collecting
from kcpcache.api.collecting import ACTIVE_SECONDS, Collecting, Turn


@pytest.mark.parametrize(("watches", "seconds"), [(1, 0), (249, 0), (1000, 0.04), (5000, 0.2), (50_000, 0.5)])
def test_the_more_watches_are_sent_events_at_a_time_the_longer_they_collect(watches, seconds):
    found = Collecting(lambda: 0.0)
    told = [found.seconds(Turn()) for _ in range(watches)]
    assert round(told[-1], 3) == seconds


def test_one_after_the_other_counts_as_at_a_time_and_each_but_once():
    """A loop never sends to two of them in the same moment."""
    now = [0.0]
    found, turns = Collecting(lambda: now[0]), [Turn() for _ in range(1000)]
    for _ in range(3):
        for one in turns:
            told = found.seconds(one)
            now[0] += ACTIVE_SECONDS / 2500
    assert round(told, 3) == 0.04


def test_who_was_sent_nothing_for_a_while_counts_no_more():
    now = [0.0]
    found = Collecting(lambda: now[0])
    for _ in range(1000):
        found.seconds(Turn())
    now[0] = ACTIVE_SECONDS * 1.5
    assert round(found.seconds(Turn()), 3) == 0.04
    now[0] = ACTIVE_SECONDS * 3.5
    assert found.seconds(Turn()) == 0


async def test_all_go_on_with_one_timer_a_few_at_a_time_and_late_comers_the_next_time(monkeypatch):
    monkeypatch.setattr(collecting, "COLLECT_SECONDS", 0.001)
    loop = asyncio.get_running_loop()
    timers: list[float] = []
    later = loop.call_later
    monkeypatch.setattr(loop, "call_later", lambda seconds, *rest: timers.append(seconds) or later(0.0, *rest))
    found, order = Collecting(), []
    turns = [Turn() for _ in range(40)]
    for one in turns:
        found.seconds(one)

    async def watch(number: int) -> None:
        for _ in range(2):
            await found.wait(turns[number])
            order.append(number)

    tasks = [asyncio.create_task(watch(number)) for number in range(40)]
    other = asyncio.create_task(asyncio.sleep(0))
    await other
    assert len(timers) == 1
    tasks.pop(7).cancel()
    await asyncio.gather(*tasks)
    rest = [number for number in range(40) if number != 7]
    assert order[:39] == rest
    assert sorted(order[39:]) == rest
    assert len(timers) <= 1 + 40 // collecting._WOKEN_AT_ONCE + 1


async def test_few_do_not_wait():
    found = Collecting()
    await found.wait(Turn())
    assert not found._waiting
