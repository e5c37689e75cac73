"""The one loop that all controllers share: take a key, read its state, decide, apply the plan, retry what failed."""

import asyncio
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, Literal, NamedTuple, Protocol, TypeVar

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
    code on the event loop.
    """

    name: str
    plan_for: Callable[[Key], Plan]
    apply: Apply
    queue: WorkQueue[Key] = field(default_factory=WorkQueue)
    counts: Counts = field(default_factory=Counts)
    observe: Callable[[Outcome], None] | None = None

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
                    for _ in range(_KEYS_PER_TURN):
                        key = self.queue.take()
                        if key is None:
                            break
                        plan = self._decide(key)
                        if plan is None or not plan.changes:
                            continue
                        await slots.acquire()
                        tasks.create_task(self._carry_out(key, plan, slots))
                    await asyncio.sleep(0)
        finally:
            self.queue.close()

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
        result: Literal["changed", "conflict", "failed"] = "failed"
        try:
            await self.apply(plan)
        except StatusError as error:
            if error.reason in {"Conflict", "AlreadyExists", "NotFound"}:
                self.counts.conflicts += 1
                result = "conflict"
                log.debug("plan discarded", controller=self.name, key=str(key), why=error.message)
            else:
                self.counts.failures += 1
                log.warning("plan failed", controller=self.name, key=str(key), why=error.message)
            self.queue.retry(key)
            self.queue.done(key)
        except Exception:
            self.counts.failures += 1
            log.exception("plan failed", controller=self.name, key=str(key))
            self.queue.retry(key)
            self.queue.done(key)
        else:
            self.counts.changes += len(plan.changes)
            result = "changed"
            self._finish(key, plan)
        finally:
            slots.release()
            if self.observe is not None:
                seconds = time.perf_counter() - began
                self.observe(Outcome(self.name, key, result, len(plan.changes), seconds))
