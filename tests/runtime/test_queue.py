"""The work queue, on virtual time."""

import asyncio
import random

import pytest

from kcpcache.runtime.queue import BASE_DELAY_SECONDS, MAX_DELAY_SECONDS, WorkQueue


@pytest.fixture
async def queue() -> WorkQueue[str]:
    return WorkQueue()


def clock() -> float:
    return asyncio.get_running_loop().time()


async def taken(queue: WorkQueue[str]) -> tuple[str | None, float]:
    """The next key, and how long it took to come."""
    since = clock()
    await queue.wait()
    return queue.take(), pytest.approx(clock() - since, abs=1e-3)


async def test_a_key_added_often_is_worked_on_once(queue: WorkQueue[str]) -> None:
    for _ in range(3):
        queue.add("a")
    assert len(queue) == 1
    assert queue.take() == "a"
    assert queue.take() is None


async def test_keys_come_in_the_order_in_which_they_were_added(queue: WorkQueue[str]) -> None:
    for key in ("b", "a", "c", "a"):
        queue.add(key)
    assert [queue.take() for _ in range(4)] == ["b", "a", "c", None]


async def test_a_busy_key_is_not_handed_out_again_before_it_is_done(queue: WorkQueue[str]) -> None:
    queue.add("a")
    assert queue.take() == "a"
    queue.add("a")
    assert queue.take() is None
    assert len(queue) == 1
    queue.done("a")
    assert queue.take() == "a"


async def test_a_key_that_is_done_and_not_added_again_stays_away(queue: WorkQueue[str]) -> None:
    queue.add("a")
    queue.take()
    queue.done("a")
    assert queue.take() is None
    assert queue.idle


async def test_the_queue_is_idle_only_without_work_workers_and_appointments(queue: WorkQueue[str]) -> None:
    assert queue.idle
    queue.add("a")
    assert not queue.idle
    queue.take()
    assert not queue.idle
    queue.add_after("a", 1)
    queue.done("a")
    assert not queue.idle
    await asyncio.sleep(2)
    assert queue.take() == "a"
    queue.done("a")
    assert queue.idle


async def test_waiting_ends_when_a_key_arrives(queue: WorkQueue[str]) -> None:
    waiting = asyncio.create_task(taken(queue))
    await asyncio.sleep(3)
    assert not waiting.done()
    queue.add("a")
    assert await waiting == ("a", 3)


async def test_a_cancelled_wait_loses_no_key(queue: WorkQueue[str]) -> None:
    waiting = asyncio.create_task(queue.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    queue.add("a")
    assert await taken(queue) == ("a", 0)


async def test_a_key_added_for_later_comes_later(queue: WorkQueue[str]) -> None:
    queue.add_after("a", 5)
    assert queue.take() is None
    assert await taken(queue) == ("a", 5)


@pytest.mark.parametrize("delays", [(5, 2), (2, 5)])
async def test_of_two_appointments_the_earlier_one_counts(queue: WorkQueue[str], delays: tuple[int, int]) -> None:
    for delay in delays:
        queue.add_after("a", delay)
    assert await taken(queue) == ("a", 2)
    queue.done("a")
    await asyncio.sleep(10)
    assert queue.take() is None


async def test_an_appointment_of_a_busy_key_waits_until_it_is_done(queue: WorkQueue[str]) -> None:
    queue.add("a")
    queue.take()
    queue.add_after("a", 1)
    await asyncio.sleep(5)
    assert queue.take() is None
    queue.done("a")
    assert queue.take() == "a"


async def test_each_failure_in_a_row_waits_longer_up_to_a_bound_and_never_in_step(queue: WorkQueue[str]) -> None:
    random.seed(1)
    waits = []
    for _ in range(16):
        queue.retry("a")
        since = clock()
        await queue.wait()
        assert queue.take() == "a"
        queue.done("a")
        waits.append(clock() - since)
    for attempt, wait in enumerate(waits):
        most = min(BASE_DELAY_SECONDS * 2**attempt, MAX_DELAY_SECONDS)
        assert most / 2 - 1e-6 <= wait <= most + 1e-6
    assert waits[-1] > MAX_DELAY_SECONDS / 2 - 1e-6
    jitter = {round(wait / BASE_DELAY_SECONDS / 2**attempt, 3) for attempt, wait in enumerate(waits[:10])}
    assert len(jitter) > 5


async def test_a_thousand_failures_do_not_overflow(queue: WorkQueue[str]) -> None:
    for _ in range(1000):
        queue.retry("a")
    queue.add("b")
    assert queue.take() == "b"


async def test_success_makes_the_next_failure_the_first(queue: WorkQueue[str]) -> None:
    for _ in range(12):
        queue.retry("a")
        await queue.wait()
        queue.take()
        queue.done("a")
    queue.forget("a")
    queue.retry("a")
    _, seconds = await taken(queue)
    assert seconds == 0 or seconds.expected <= BASE_DELAY_SECONDS


async def test_one_keys_failures_do_not_hold_up_another(queue: WorkQueue[str]) -> None:
    for _ in range(30):
        queue.retry("a")
    queue.retry("b")
    key, seconds = await taken(queue)
    assert key in {"a", "b"}
    assert seconds.expected <= BASE_DELAY_SECONDS


async def test_a_failed_key_that_is_added_anew_is_looked_at_at_once(queue: WorkQueue[str]) -> None:
    for _ in range(30):
        queue.retry("a")
        await asyncio.sleep(60)
        queue.take()
        queue.done("a")
    queue.retry("a")
    queue.add("a")
    assert await taken(queue) == ("a", 0)


async def test_a_closed_queue_takes_nothing_and_keeps_no_timer(queue: WorkQueue[str]) -> None:
    queue.add_after("later", 1)
    queue.retry("failed")
    queue.close()
    queue.add("a")
    queue.add_after("b", 1)
    queue.retry("c")
    await asyncio.sleep(100)
    assert queue.take() is None
    assert queue.idle


async def test_what_went_through_is_measured_as_client_go_measures_it() -> None:
    now = 0.0
    queue: WorkQueue[str] = WorkQueue(clock=lambda: now)
    queue.add("a")
    queue.add("a")
    now = 2.0
    assert queue.take() == "a"
    now = 5.0
    queue.add("a")
    assert queue.busy_seconds() == [3.0]
    queue.done("a")
    now = 6.0
    assert queue.take() == "a"
    queue.retry("a")
    measures = queue.measures
    assert (measures.adds, measures.retries) == (2, 1)
    assert (measures.waiting.count, measures.waiting.sum) == (2, 2.0 + 1.0)
    assert (measures.working.count, measures.working.sum) == (1, 3.0)
    queue.close()


# -- backlogs


def all_of(queue: WorkQueue[str]) -> list[str]:
    found = []
    while (key := queue.take()) is not None:
        found.append(key)
        queue.done(key)
    return found


async def test_the_keys_of_a_backlog_are_made_one_by_one(queue: WorkQueue[str]) -> None:
    made: list[str] = []

    def key_of(name: str) -> str:
        made.append(name)
        return name.upper()

    queue.add_all("owner", "abc", key_of)
    assert (len(queue), queue.idle, made) == (3, False, [])
    assert (queue.take(), made) == ("A", ["a"])
    assert all_of(queue) == ["B", "C"]
    queue.done("A")
    assert (len(queue), queue.idle) == (0, True)


async def test_nobody_waits_for_the_whole_of_a_backlog_and_backlogs_take_turns(queue: WorkQueue[str]) -> None:
    queue.add_all("one", ("a1", "a2", "a3"), str)
    queue.add_all("other", ("b1", "b2"), str)
    assert queue.take() == "a1"
    queue.add("new")
    assert [queue.take() for _ in range(6)] == ["new", "b1", "a2", "b2", "a3", None]


async def test_a_key_of_a_backlog_that_is_known_already_comes_once(queue: WorkQueue[str]) -> None:
    for key in ("busy", "waiting"):
        queue.add(key)
    assert queue.take() == "busy"
    queue.add_all("owner", ("waiting", "busy", "c"), str)
    assert [queue.take() for _ in range(3)] == ["waiting", "c", None]
    queue.done("busy")
    assert queue.take() == "busy"


async def test_a_backlog_gives_way_to_the_next_one_of_its_owner_and_can_be_dropped(queue: WorkQueue[str]) -> None:
    queue.add_all("owner", ("a", "b"), str)
    queue.add_all("owner", ("c", "d"), str)
    assert queue.take() == "c"
    queue.drop("owner")
    queue.drop("owner")
    assert queue.take() is None
    queue.add_all("owner", (), str)
    assert len(queue) == 0


async def test_waiting_ends_when_a_backlog_arrives_and_does_not_begin_while_there_is_one(queue: WorkQueue[str]) -> None:
    waiting = asyncio.create_task(taken(queue))
    await asyncio.sleep(3)
    queue.add_all("owner", ("a", "b"), str)
    assert await waiting == ("a", 3)
    assert await taken(queue) == ("b", 0)


async def test_a_closed_queue_has_no_backlog(queue: WorkQueue[str]) -> None:
    queue.add_all("owner", ("a", "b"), str)
    queue.close()
    queue.add_all("another", ("c",), str)
    assert queue.take() is None
    assert queue.idle


async def test_what_waits_in_a_backlog_waits_from_its_beginning_on() -> None:
    now = 0.0
    queue: WorkQueue[str] = WorkQueue(clock=lambda: now)
    queue.add_all("owner", ("a",), str)
    now = 2.0
    assert queue.take() == "a"
    assert (queue.measures.adds, queue.measures.waiting.sum) == (1, 2.0)
