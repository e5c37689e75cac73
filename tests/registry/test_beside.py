import asyncio
import gc
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import ClassVar

import pytest

from kcpcache.registry import beside, pauses
from kcpcache.registry.beside import LIGHT_BYTES, computed, computed_once, keep, let_go, made
from kcpcache.registry.handover import SWITCH_SECONDS
from kcpcache.registry.large_values import LargeValues, usually_collected

HEAVY = LIGHT_BYTES + 1
_fact: ContextVar[str] = ContextVar("fact")


class Tenant:
    """Whom something is computed for."""

    def __init__(self) -> None:
        self.tenant = self

    async def pause(self) -> None: ...

    async def turn(self) -> None: ...


async def test_what_is_light_is_computed_at_once():
    computing = computed(LIGHT_BYTES, threading.get_ident)
    with pytest.raises(StopIteration) as ended:
        computing.send(None)
    assert ended.value.value == threading.get_ident()


async def test_what_is_heavy_keeps_nobody_waiting():
    may_end = threading.Event()
    job = asyncio.create_task(asyncio.wait_for(computed(HEAVY, may_end.wait, 10), 20))
    await asyncio.sleep(0.01)
    may_end.set()  # said by the event loop, which would wait for ever were it what computes
    assert await job


async def test_it_sees_the_context_and_its_errors_are_raised():
    _fact.set("known")
    assert await computed(HEAVY, _fact.get) == "known"
    with pytest.raises(ZeroDivisionError):
        await computed(HEAVY, divmod, 1, 0)


async def test_the_interpreter_hands_over_quickly_for_as_long_as_something_is_computed():
    usual = sys.getswitchinterval()
    assert await computed(HEAVY, sys.getswitchinterval) == pytest.approx(SWITCH_SECONDS)
    await asyncio.sleep(0)
    assert sys.getswitchinterval() == usual


async def test_one_thing_is_computed_at_a_time_and_tenants_take_turns():
    log: list[str] = []
    noisy, quiet = Tenant(), Tenant()
    running: list[str] = []

    def work(name: str) -> None:
        assert not running
        running.append(name)
        log.append(name)
        running.remove(name)

    async def ask(tenant: Tenant, name: str) -> None:
        pauses.pausing.set(tenant)
        await computed(HEAVY, work, name)

    async with asyncio.TaskGroup() as tasks:
        for number in range(5):
            tasks.create_task(ask(noisy, f"noisy {number}"))
        tasks.create_task(ask(quiet, "quiet"))
    assert log.index("quiet") <= 2
    assert [name for name in log if name != "quiet"] == [f"noisy {number}" for number in range(5)]


async def test_who_gives_up_holds_up_nobody():
    may_end = threading.Event()
    first = asyncio.create_task(computed(HEAVY, may_end.wait, 10))
    await asyncio.sleep(0.01)
    second = asyncio.create_task(computed(HEAVY, str, 2))
    third = asyncio.create_task(computed(HEAVY, str, 3))
    await asyncio.sleep(0)
    for task in (first, second):
        task.cancel()
    may_end.set()
    assert await asyncio.wait_for(third, 10) == "3"
    assert first.cancelled()
    assert second.cancelled()
    assert not beside._threads[asyncio.get_running_loop()]._busy


async def test_what_is_kept_is_computed_once_however_many_ask_for_it():
    kept: dict[str, int] = {}
    calls: list[str] = []

    def work(name: str) -> int:
        calls.append(name)
        return len(calls)

    answers = await asyncio.gather(*(computed_once(kept, name, HEAVY, work, name) for name in ("a", "b", "a")))
    assert answers == [1, 2, 1]
    assert kept == {"a": 1, "b": 2}
    assert await computed_once(kept, "b", HEAVY, work, "b") == 2
    assert calls == ["a", "b"]


async def test_what_could_not_be_computed_is_not_kept():
    kept: dict[str, int] = {}
    with pytest.raises(ZeroDivisionError):
        await computed_once(kept, "a", HEAVY, lambda: 1 // 0)
    assert not kept


async def test_no_garbage_is_looked_for_in_the_middle_of_it():
    assert gc.isenabled()
    assert not await computed(HEAVY, gc.isenabled)
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError):
        await computed(HEAVY, divmod, 1, 0)
    assert gc.isenabled()


class Leaf:
    """Says which thread deletes it."""

    deleted_by: ClassVar[list[int]] = []

    def __del__(self) -> None:
        Leaf.deleted_by.append(threading.get_ident())


async def test_what_has_been_made_for_a_request_is_deleted_on_the_thread_when_it_is_over():
    Leaf.deleted_by.clear()

    async def serve() -> LargeValues | None:
        pauses.pausing.set(Tenant())
        found = await computed(HEAVY, lambda: {"leaf": Leaf()})
        keep([Leaf()])
        assert list(found) == ["leaf"]
        return made.get()

    values = await asyncio.create_task(serve())
    assert values is not None
    assert Leaf.deleted_by == []
    let_go(values)
    await computed(HEAVY, str)
    assert len(Leaf.deleted_by) == 2
    assert threading.get_ident() not in Leaf.deleted_by
    assert not beside._threads[asyncio.get_running_loop()]._busy


@pytest.fixture
async def one_thread():
    """The only thread that computes, as an executor: what it has been given before is over when it does something."""
    executor = ThreadPoolExecutor(1)
    asyncio.get_running_loop().set_default_executor(executor)
    yield executor
    executor.shutdown()


async def test_what_is_let_go_of_before_the_end_of_a_computation_is_known_is_deleted_without_another(one_thread):
    Leaf.deleted_by.clear()
    job = asyncio.create_task(computed(HEAVY, str))
    await asyncio.sleep(0)
    one_thread.submit(int).result(10)  # the thread has done all that it does, of which the event loop knows nothing yet
    values = LargeValues()
    values.add([Leaf()])
    let_go(values)
    await job
    one_thread.submit(int).result(10)
    assert len(Leaf.deleted_by) == 1
    assert threading.get_ident() not in Leaf.deleted_by


async def test_where_there_are_no_threads_any_more_nothing_is_kept(one_thread):
    Leaf.deleted_by.clear()
    await computed(HEAVY, str)
    one_thread.shutdown()
    values = LargeValues()
    values.add([Leaf()])
    let_go(values)
    del values
    assert len(Leaf.deleted_by) == 1
    with pytest.raises(RuntimeError):
        await computed(HEAVY, str)
    assert not beside._threads[asyncio.get_running_loop()]._busy


async def test_nothing_is_kept_of_what_is_computed_for_no_request():
    assert await computed(HEAVY, list) == []
    keep([])
    assert made.get() is None


async def test_garbage_is_looked_for_as_usual_once_nothing_has_been_computed_for_a_while(monkeypatch):
    monkeypatch.setattr(beside, "_IDLE_SECONDS", 0.0)
    usually_collected()
    usual = gc.get_threshold()
    kept = await computed(HEAVY, lambda: [[] for _ in range(5000)])
    assert gc.get_threshold()[0] > usual[0]
    for _ in range(3):
        await asyncio.sleep(0)
    assert gc.get_threshold() == usual
    assert len(kept) == 5000
