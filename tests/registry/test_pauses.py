from collections.abc import Iterator

import pytest

from kcpcache.registry import pauses
from kcpcache.registry.pauses import Slices, pausing


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which passes when a test says so."""
    now = [0.0]
    monkeypatch.setattr(pauses, "perf_counter", lambda: now[0])
    return now


@pytest.fixture
def paused() -> Iterator[list[str]]:
    found: list[str] = []

    class Noting:
        async def pause(self) -> None:
            found.append("paused")

        async def turn(self) -> None:
            found.append("turned")

    token = pausing.set(Noting())
    yield found
    pausing.reset(token)


async def test_a_slice_is_over_after_a_fifth_of_a_millisecond_and_the_next_one_begins_after_the_pause(clock, paused):
    slices = Slices()
    assert not slices.over
    clock[0] += 0.00015
    assert not slices.over
    clock[0] += 0.0001
    assert slices.over
    await slices.pause()
    assert paused == ["paused"]
    assert not slices.over


async def test_what_has_waited_goes_on_in_its_turn(paused):
    await pauses.turn()
    assert paused == ["turned"]


async def test_nobody_need_say_how_to_pause():
    await pauses.pause()
    await pauses.turn()
