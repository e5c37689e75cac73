"""What every controller gets: reads, time, the shard's addresses, and the way to apply a plan."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from kcpcache.meta.names import GroupResource
from kcpcache.reconcilers.plan import NOTHING, Plan
from kcpcache.registry.caches import CacheEvent, ResourceCache
from kcpcache.registry.entry import Entry
from kcpcache.registry.lookup import Lookup
from kcpcache.registry.serving import Serving
from kcpcache.registry.write_steps import timestamp_of
from kcpcache.runtime.apply import Applier


@dataclass(frozen=True, slots=True)
class ShardInfo:
    """The shard that a process is: its name, and the URLs (without a final slash) under which it is reached."""

    name: str
    base_url: str
    external_url: str
    virtual_workspace_url: str


@dataclass(frozen=True)
class Environment:
    """The collaborators of the controllers. Everything in it is used on the event loop only."""

    lookup: Lookup
    serving: Serving
    apply: Applier
    shard: ShardInfo
    clock: Callable[[], datetime]

    def now(self) -> str:
        """RFC 3339, whole seconds."""
        return timestamp_of(self.clock())

    def cache(self, group: str, resource: str) -> ResourceCache:
        """All objects of a system type."""
        return self.lookup.cache(GroupResource(group, resource))

    def on_event(self, group: str, resource: str, listener: Callable[[CacheEvent], None]) -> None:
        """Call ``listener`` with every later change of a system type."""
        self.cache(group, resource).listeners.append(listener)


def either(event: CacheEvent) -> Entry:
    """The entry of an event, or what it was before it was deleted."""
    found = event.entry or event.previous
    assert found is not None, "an event has at least one of them"  # noqa: S101 -- tells the type checker
    return found


def first_plan(plans: Iterable[Plan]) -> Plan:
    """The first plan that changes something; otherwise nothing, to be looked at again when the earliest asks for it.

    For objects that must be decided one at a time: the change makes the next pass happen.
    """
    waiting = []
    for plan in plans:
        if plan.changes:
            return plan
        if plan.requeue_after is not None:
            waiting.append(plan.requeue_after)
    return Plan(requeue_after=min(waiting)) if waiting else NOTHING


def joined(plans: Sequence[Plan]) -> Plan:
    """All changes of several plans, and the earliest appointment."""
    waiting = [plan.requeue_after for plan in plans if plan.requeue_after is not None]
    changes = tuple(change for plan in plans for change in plan.changes)
    return Plan(changes, min(waiting) if waiting else None)
