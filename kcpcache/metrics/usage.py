"""How many objects of kcp's types are in which phase and condition: a scrape looks at what changed since the last."""

import threading
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import msgspec

from kcpcache.meta.virtual_resources import CACHED_RESOURCES
from kcpcache.metrics import catalog
from kcpcache.metrics.catalog import Metric, Sample
from kcpcache.registry.caches import CacheEvent, ResourceCache
from kcpcache.registry.entry import Entry

MOST_CHANGED: Final = 10_000
"""Beyond so many changes between two scrapes everything is counted anew: nobody may ever scrape again."""
_CLUSTER_PHASES: Final = ("Scheduling", "Initializing", "Ready", "Unavailable", "Inactive", "Terminating", "Deleting")
_OTHER: Final = "other"
_MOST_CONDITIONS: Final = 50


class Counted(NamedTuple):
    """A system type whose objects are counted; ``phases`` are shown even where no object is in them."""

    group: str
    resource: str
    by_phase: Metric | None
    by_condition: Metric | None
    phases: tuple[str, ...] = ()


COUNTED: Final = (
    Counted("tenancy.kcp.io", "workspaces", catalog.WORKSPACES, None, _CLUSTER_PHASES),
    Counted("core.kcp.io", "logicalclusters", catalog.LOGICAL_CLUSTERS, None, _CLUSTER_PHASES),
    Counted("apis.kcp.io", "apibindings", catalog.BINDING_PHASES, catalog.BINDING_CONDITIONS, ("Binding", "Bound")),
    Counted("apis.kcp.io", "apiexports", None, catalog.EXPORT_CONDITIONS),
    Counted(
        *CACHED_RESOURCES.group_resource,
        catalog.CACHED_RESOURCE_PHASES,
        catalog.CACHED_RESOURCE_CONDITIONS,
        ("Initializing", "Ready", "Deleting"),
    ),
)


class _Condition(msgspec.Struct):
    type: str = ""
    status: str = ""


class _Status(msgspec.Struct):
    phase: str = ""
    conditions: list[_Condition] | None = None


class _StatusOnly(msgspec.Struct):
    status: _Status | None = None


_decoder = msgspec.json.Decoder(_StatusOnly)


_Name = tuple[str, str]
"""Logical cluster and name of an object."""
_Changes = Mapping[_Name, Entry | None]


class _Seen(NamedTuple):
    """Under what an object is counted."""

    phase: str
    conditions: tuple[tuple[str, str], ...]


class Tally:
    """The counts of one type. ``take`` on the event loop, then ``samples``, in whatever thread.

    Nobody who scrapes pays for objects that stay as they are, but for the first time.
    """

    def __init__(self, counted: Counted, cache: ResourceCache) -> None:
        self._counted, self._cache = counted, cache
        self._changed: dict[_Name, Entry | None] | None = None  # since the last scrape; None: count everything
        self._taken: deque[tuple[bool, _Changes]] = deque()
        self._counting = threading.Lock()  # the thread of a scrape that was given up may still be at it
        self._seen: dict[_Name, _Seen] = {}
        self._phases = Counter(dict.fromkeys(counted.phases, 0))
        self._conditions: Counter[tuple[str, str]] = Counter()
        cache.listeners.append(self._changed_now)

    def take(self) -> None:
        """What is to be counted by ``samples`` is as it is now."""
        if self._changed is None:
            self._taken.clear()
            entries = self._cache.all_entries()
            self._taken.append((True, {(entry.cluster, entry.name): entry for entry in entries}))
        elif self._changed:
            self._taken.append((False, self._changed))
        self._changed = {}

    def samples(self, shard: str) -> list[Sample]:
        """The counts. Takes microseconds for each object that changed: not for the event loop."""
        with self._counting:
            while self._taken:
                self._count(*self._taken.popleft())
            return list(self._samples(shard))

    def _changed_now(self, event: CacheEvent) -> None:
        if self._changed is None:
            return
        one = event.entry or event.previous
        if one is not None:
            self._changed[event.cluster, one.name] = event.entry
        if len(self._changed) > MOST_CHANGED:
            self._changed = None

    def _count(self, anew: bool, changes: _Changes) -> None:
        for name in list(self._seen) if anew else changes:
            self._forget(name)
        for name, entry in changes.items():
            if entry is not None:
                self._see(name, _status(entry))

    def _forget(self, name: _Name) -> None:
        seen = self._seen.pop(name, None)
        if seen is None:
            return
        self._phases[seen.phase] -= 1
        for condition in seen.conditions:
            self._conditions[condition] -= 1
            if not self._conditions[condition]:
                del self._conditions[condition]

    def _see(self, name: _Name, status: _Status) -> None:
        phase = status.phase if status.phase in self._counted.phases or not status.phase else _OTHER
        conditions = []
        for condition in status.conditions or ():
            key = (condition.type, condition.status)
            if key in self._conditions or len(self._conditions) < _MOST_CONDITIONS:
                self._conditions[key] += 1
                conditions.append(key)
        self._phases[phase] += 1
        self._seen[name] = _Seen(phase, tuple(conditions))

    def _samples(self, shard: str) -> Iterator[Sample]:
        if (by_phase := self._counted.by_phase) is not None:
            for phase, count in self._phases.items():
                if phase and (count or phase in self._counted.phases):  # without one: nobody has looked at it yet
                    yield by_phase.sample(count, shard, phase)
        if (by_condition := self._counted.by_condition) is not None:
            for condition, count in self._conditions.items():
                yield by_condition.sample(count, shard, *condition)


def _status(entry: Entry) -> _Status:
    try:
        return _decoder.decode(entry.stored()).status or _Status()
    except msgspec.ValidationError:
        return _Status()
