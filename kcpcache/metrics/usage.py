"""How many objects of kcp's types are in which phase and condition, counted when asked, so that nothing can drift."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import msgspec

from kcpcache.metrics import catalog
from kcpcache.metrics.catalog import Metric, Sample
from kcpcache.registry.entry import Entry

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
        "cache.kcp.io",
        "cachedresources",
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


def samples(counted: Counted, entries: Iterable[Entry], shard: str) -> Iterator[Sample]:
    """The counts of one type. Takes microseconds an object: not for the event loop."""
    phases = Counter(dict.fromkeys(counted.phases, 0))
    conditions: Counter[tuple[str, str]] = Counter()
    for entry in entries:
        status = _status(entry)
        phases[status.phase if status.phase in counted.phases or not status.phase else _OTHER] += 1
        for condition in status.conditions or ():
            key = (condition.type, condition.status)
            if key in conditions or len(conditions) < _MOST_CONDITIONS:
                conditions[key] += 1
    del phases[""]  # not looked at by its controller yet
    if counted.by_phase is not None:
        yield from (counted.by_phase.sample(count, shard, phase) for phase, count in phases.items())
    if counted.by_condition is not None:
        yield from (counted.by_condition.sample(count, shard, *key) for key, count in conditions.items())


def _status(entry: Entry) -> _Status:
    try:
        return _decoder.decode(entry.stored()).status or _Status()
    except msgspec.ValidationError:
        return _Status()
