"""The controller loop, on virtual time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta

import pytest

from kcpcache.meta.errors import ServiceUnavailableError, StatusError, already_exists, conflict, not_found
from kcpcache.meta.names import GroupVersionResource
from kcpcache.reconcilers.plan import NOTHING, Create, Plan, Target
from kcpcache.runtime.controller import _IN_FLIGHT, Controller

CONFIG_MAPS = GroupVersionResource("", "v1", "configmaps")


def plan_of(key: str) -> Plan:
    return Plan((Create(Target(CONFIG_MAPS, "ws", key), {}),))


class Bench:
    """A controller whose every plan takes ``seconds``, with a diary of what was going on."""

    def __init__(self) -> None:
        self.passes: list[tuple[str, float]] = []
        self.applied: list[str] = []
        self.running: list[str] = []
        self.most_running = 0
        self.seconds = 1.0
        self.decide: Callable[[str], Plan] = plan_of
        self.refuse: Callable[[str], Exception | None] = lambda _key: None
        self.controller: Controller[str] = Controller("bench", self._plan, self._apply)

    def _plan(self, key: str) -> Plan:
        self.passes.append((key, asyncio.get_running_loop().time()))
        return self.decide(key)

    async def _apply(self, plan: Plan) -> None:
        key = plan.changes[0].target.name
        assert key not in self.running, f"{key} is being worked on twice"
        self.running.append(key)
        self.most_running = max(self.most_running, len(self.running))
        try:
            await asyncio.sleep(self.seconds)
            error = self.refuse(key)
            if error is not None:
                raise error
            self.applied.append(key)
        finally:
            self.running.remove(key)

    def times(self, key: str) -> int:
        return sum(1 for found, _ in self.passes if found == key)

    @contextlib.asynccontextmanager
    async def started(self) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task(self.controller.run())
        try:
            yield task
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@pytest.fixture
async def bench() -> Bench:
    return Bench()


async def test_different_keys_are_in_flight_at_once(bench: Bench) -> None:
    async with bench.started():
        for index in range(200):
            bench.controller.add(f"k{index}")
        await asyncio.sleep(1.5)
        assert len(bench.applied) == 200
    assert bench.most_running == 200


async def all_within_the_bound(bench: Bench) -> None:
    """Have more keys looked at than may be in flight."""
    async with bench.started():
        for index in range(3 * _IN_FLIGHT):
            bench.controller.add(f"k{index}")
        await asyncio.sleep(10)
    assert bench.most_running == _IN_FLIGHT
    assert len(bench.applied) == 3 * _IN_FLIGHT


async def test_the_number_in_flight_is_bounded_and_nothing_is_lost(bench: Bench) -> None:
    await all_within_the_bound(bench)


async def test_one_key_is_never_worked_on_twice_at_once(bench: Bench) -> None:
    async with bench.started():
        for _ in range(10):
            bench.controller.add("a")
            await asyncio.sleep(0.3)
        await asyncio.sleep(5)
    assert bench.times("a") == len(bench.applied)
    assert 3 <= len(bench.applied) <= 5
    assert bench.controller.queue.idle


async def test_a_decision_that_fails_is_counted_and_made_again(bench: Bench) -> None:
    def fail_twice(key: str) -> Plan:
        if bench.times(key) <= 2:
            raise RuntimeError("not now")
        return plan_of(key)

    bench.decide = fail_twice
    async with bench.started():
        bench.controller.add("a")
        bench.controller.add("b")
        await asyncio.sleep(5)
    assert sorted(bench.applied) == ["a", "b"]
    counts = bench.controller.counts
    assert (counts.failures, counts.reconciled, counts.changes, counts.conflicts) == (4, 2, 2, 0)
    assert bench.controller.queue.idle


async def test_a_decision_that_always_fails_is_retried_ever_more_slowly(bench: Bench) -> None:
    def fail(key: str) -> Plan:
        raise RuntimeError("never")

    bench.decide = fail
    async with bench.started():
        bench.controller.add("a")
        await asyncio.sleep(600)
    assert 30 < bench.times("a") < 80
    pauses = [later - sooner for (_, sooner), (_, later) in zip(bench.passes, bench.passes[1:], strict=False)]
    assert max(pauses) <= 30.001
    assert min(pauses[-5:]) > 10


@pytest.mark.parametrize(
    "error",
    [conflict("", "configmaps", "a"), already_exists("", "configmaps", "a"), not_found("", "configmaps", "a")],
    ids=lambda error: error.reason,
)
async def test_a_plan_that_the_world_overtook_is_decided_anew_and_is_no_failure(
    bench: Bench, error: StatusError
) -> None:
    bench.refuse = lambda key: error if bench.times(key) == 1 else None
    async with bench.started():
        bench.controller.add("a")
        await asyncio.sleep(5)
    counts = bench.controller.counts
    assert (counts.conflicts, counts.failures, counts.reconciled) == (1, 0, 2)
    assert bench.applied == ["a"]


@pytest.mark.parametrize("error", [ServiceUnavailableError("no store"), RuntimeError("a bug")], ids=["status", "bug"])
async def test_a_plan_that_cannot_be_carried_out_is_a_failure_and_decided_anew(bench: Bench, error: Exception) -> None:
    bench.refuse = lambda key: error if bench.times(key) == 1 else None
    async with bench.started():
        bench.controller.add("a")
        await asyncio.sleep(5)
    counts = bench.controller.counts
    assert (counts.conflicts, counts.failures, counts.reconciled) == (0, 1, 2)
    assert bench.applied == ["a"]


async def test_a_failing_key_does_not_hold_up_the_others(bench: Bench) -> None:
    bench.refuse = lambda key: RuntimeError("a bug") if key == "bad" else None
    async with bench.started():
        for key in ("bad", "good", "better"):
            bench.controller.add(key)
        await asyncio.sleep(1.5)
        assert sorted(bench.applied) == ["better", "good"]


async def test_a_plan_without_changes_applies_nothing(bench: Bench) -> None:
    bench.decide = lambda _key: NOTHING
    async with bench.started():
        bench.controller.add("a")
        await asyncio.sleep(5)
    assert bench.controller.counts.reconciled == 1
    assert bench.most_running == 0


@pytest.mark.parametrize("changes", [True, False], ids=["after its changes", "without changes"])
async def test_a_plan_that_asks_for_it_is_looked_at_again(bench: Bench, changes: bool) -> None:
    def once_more(key: str) -> Plan:
        again = timedelta(seconds=10) if bench.times(key) == 1 else None
        return Plan(plan_of(key).changes if changes else (), again)

    bench.decide = once_more
    async with bench.started():
        bench.controller.add("a")
        await asyncio.sleep(60)
    assert bench.times("a") == 2
    assert bench.passes[1][1] - bench.passes[0][1] >= 10


async def test_what_happens_during_a_plan_is_looked_at_after_it(bench: Bench) -> None:
    async with bench.started():
        bench.controller.add("a")
        await asyncio.sleep(0.5)
        bench.controller.add("a")
        assert bench.times("a") == 1
        await asyncio.sleep(5)
    assert bench.times("a") == 2


async def test_cancellation_ends_plans_under_way_and_leaves_no_task_and_no_timer(bench: Bench) -> None:
    before = asyncio.all_tasks()
    async with bench.started():
        for index in range(_IN_FLIGHT + 100):
            bench.controller.add(f"k{index}")
        bench.controller.queue.add_after("later", 50)
        await asyncio.sleep(0.5)
        assert bench.running
    assert asyncio.all_tasks() == before
    assert not bench.running
    passes = len(bench.passes)
    bench.controller.add("late")
    await asyncio.sleep(100)
    assert len(bench.passes) == passes
    assert "later" not in bench.controller.queue._dirty


async def test_plans_of_one_change_are_applied_together_and_each_has_its_own_end(bench: Bench) -> None:
    calls: list[int] = []

    async def apply_each(plans: Sequence[Plan]) -> list[Exception | None]:
        calls.append(len(plans))
        names = [plan.changes[0].target.name for plan in plans]
        await asyncio.gather(*map(bench._apply, plans))
        why = conflict("", "configmaps", "k3")
        return [why if name == "k3" and bench.times("k3") == 1 else None for name in names]

    bench.controller.apply_each = apply_each
    async with bench.started():
        for index in range(20):
            bench.controller.add(f"k{index}")
        await asyncio.sleep(5)
    assert calls == [20, 1]
    counts = bench.controller.counts
    assert (counts.reconciled, counts.changes, counts.conflicts, counts.failures) == (21, 20, 1, 0)
    assert bench.controller.queue.idle


async def test_together_no_more_are_in_flight_and_nothing_waits_for_what_nobody_began(bench: Bench) -> None:
    async def apply_each(plans: Sequence[Plan]) -> list[Exception | None]:
        await asyncio.gather(*map(bench._apply, plans))
        return [None] * len(plans)

    bench.controller.apply_each = apply_each
    await all_within_the_bound(bench)


async def test_what_keeps_all_of_them_from_being_applied_is_a_failure_of_each(bench: Bench) -> None:
    async def apply_each(plans: Sequence[Plan]) -> list[Exception | None]:
        if len(bench.passes) == 2:
            raise ServiceUnavailableError("not now")
        await asyncio.gather(*map(bench._apply, plans))
        return [None] * len(plans)

    bench.controller.apply_each = apply_each
    async with bench.started():
        bench.controller.add("a")
        bench.controller.add("b")
        await asyncio.sleep(5)
    assert sorted(bench.applied) == ["a", "b"]
    assert (bench.controller.counts.failures, bench.controller.counts.changes) == (2, 2)


async def test_a_plan_of_several_changes_is_applied_by_itself(bench: Bench) -> None:
    together: list[str] = []

    async def apply_each(plans: Sequence[Plan]) -> list[Exception | None]:
        together.extend(plan.changes[0].target.name for plan in plans)
        return [None] * len(plans)

    bench.controller.apply_each = apply_each
    bench.decide = lambda key: Plan(plan_of(key).changes * (2 if key == "two" else 1))
    async with bench.started():
        bench.controller.add("one")
        bench.controller.add("two")
        await asyncio.sleep(5)
    assert (together, bench.applied) == (["one"], ["two"])
