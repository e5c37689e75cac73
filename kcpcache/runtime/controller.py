"""The one loop that all controllers share: take a key, read its state, decide, apply the plan, retry what failed."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, NamedTuple, Protocol, TypeAlias, TypeVar

import structlog

from kcpcache.meta.errors import StatusError
from kcpcache.reconcilers.plan import Plan
from kcpcache.runtime.queue import WorkQueue

log = structlog.get_logger(__name__)

Key = TypeVar("Key", bound=Hashable)
_KEYS_PER_TURN = 50
_IN_FLIGHT = 512


class Apply(Protocol):
    """Carries out a plan; raises StatusError at the first change that fails."""

    async def __call__(self, plan: Plan) -> None:
        """Apply the plan's changes in order."""
        ...


ApplyEach: TypeAlias = Callable[[Sequence[Plan]], Awaitable[list[Exception | None]]]
"""Carries out several plans; why each failed, None of those that did not. What it raises is why all failed."""


@dataclass(slots=True)
class Counts:
    """What a controller has done since it started."""

    reconciled: int = 0
    changes: int = 0
    conflicts: int = 0
    failures: int = 0


class Outcome(NamedTuple):
    """What came of one plan: ``changed``, ``conflict`` (it was out of date) or ``failed``, and how long that took."""

    controller: str
    key: Hashable
    result: Literal["changed", "conflict", "failed"]
    changes: int
    seconds: float


@dataclass
class Controller(Generic[Key]):
    """``plan_for(key)`` reads the state and decides, without waiting; ``apply`` carries the plan out.

    ``run`` is awaited by whoever owns the controller and ends only by cancellation. ``add`` may be called by any
    code on the event loop. ``apply_each``, where there is one, is given plans of one change each, many at once: a task
    for all of them, and one answer to wait for.
    """

    name: str
    plan_for: Callable[[Key], Plan]
    apply: Apply
    queue: WorkQueue[Key] = field(default_factory=WorkQueue)
    counts: Counts = field(default_factory=Counts)
    observe: Callable[[Outcome], None] | None = None
    apply_each: ApplyEach | None = None

    def add(self, key: Key) -> None:
        """Have ``key`` looked at."""
        self.queue.add(key)

    async def run(self) -> None:
        """Work until cancelled. Plans of different keys are applied at the same time, so that writes share commits."""
        slots = asyncio.Semaphore(_IN_FLIGHT)
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    await self.queue.wait()
                    await self._turn(tasks, slots)
                    await asyncio.sleep(0)
        finally:
            self.queue.close()

    async def _turn(self, tasks: asyncio.TaskGroup, slots: asyncio.Semaphore) -> None:
        """Decide on some keys, and begin to apply what was decided."""
        together: list[tuple[Key, Plan]] = []
        for _ in range(_KEYS_PER_TURN):
            key = self.queue.take()
            if key is None:
                break
            plan = self._decide(key)
            if plan is None or not plan.changes:
                continue
            if together and slots.locked():  # one would wait for the others, which nobody has begun
                tasks.create_task(self._carry_out_each(together, slots))
                together = []
            await slots.acquire()
            if self.apply_each is not None and len(plan.changes) == 1:
                together.append((key, plan))
            else:
                tasks.create_task(self._carry_out(key, plan, slots))
        if together:
            tasks.create_task(self._carry_out_each(together, slots))

    def _decide(self, key: Key) -> Plan | None:
        """The plan; None where deciding failed. A key without changes is done here."""
        try:
            plan = self.plan_for(key)
        except Exception:
            self.counts.failures += 1
            log.exception("reconcile failed", controller=self.name, key=str(key))
            self.queue.retry(key)
            self.queue.done(key)
            return None
        self.counts.reconciled += 1
        if not plan.changes:
            self._finish(key, plan)
        return plan

    def _finish(self, key: Key, plan: Plan) -> None:
        self.queue.forget(key)
        if plan.requeue_after is not None:
            self.queue.add_after(key, plan.requeue_after.total_seconds())
        self.queue.done(key)

    async def _carry_out(self, key: Key, plan: Plan, slots: asyncio.Semaphore) -> None:
        began = time.perf_counter()
        try:
            await self.apply(plan)
        except Exception as error:  # noqa: BLE001 -- it is told of
            self._conclude(key, plan, error, began)
        else:
            self._conclude(key, plan, None, began)
        finally:
            slots.release()

    async def _carry_out_each(self, plans: Sequence[tuple[Key, Plan]], slots: asyncio.Semaphore) -> None:
        assert self.apply_each is not None, "only then are they gathered"  # noqa: S101 -- tells the type checker
        began = time.perf_counter()
        try:
            failures = await self.apply_each([plan for _, plan in plans])
        except Exception as error:  # noqa: BLE001 -- it is told of
            for key, plan in plans:
                self._conclude(key, plan, error, began)
        else:
            for (key, plan), failure in zip(plans, failures, strict=True):
                self._conclude(key, plan, failure, began)
        finally:
            for _ in plans:
                slots.release()

    def _conclude(self, key: Key, plan: Plan, failure: Exception | None, began: float) -> None:
        result: Literal["changed", "conflict", "failed"] = "failed"
        if failure is None:
            self.counts.changes += len(plan.changes)
            result = "changed"
            self._finish(key, plan)
        else:
            if isinstance(failure, StatusError) and failure.reason in {"Conflict", "AlreadyExists", "NotFound"}:
                self.counts.conflicts += 1
                result = "conflict"
                log.debug("plan discarded", controller=self.name, key=str(key), why=failure.message)
            elif isinstance(failure, StatusError):
                self.counts.failures += 1
                log.warning("plan failed", controller=self.name, key=str(key), why=failure.message)
            else:
                self.counts.failures += 1
                log.error("plan failed", controller=self.name, key=str(key), exc_info=failure)
            self.queue.retry(key)
            self.queue.done(key)
        if self.observe is not None:
            seconds = time.perf_counter() - began
            self.observe(Outcome(self.name, key, result, len(plan.changes), seconds))
