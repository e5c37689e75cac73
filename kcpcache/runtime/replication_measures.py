"""How far copies are behind their originals, and what replication had to put right. Knows no store and no clock."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from kcpcache.measure import Cap, Histogram
from kcpcache.meta.names import GroupResource
from kcpcache.reconcilers.plan import CacheTarget

Operation = Literal["create", "update", "delete"]

MOST_RESOURCES: Final = 100
"""Every further replicated resource is counted under ``OTHER``: tenants can make as many as they like."""
OTHER: Final = GroupResource("other", "other")
MOST_AWAITED: Final = 65_536
"""How many changes may be under way and still be timed; what comes beyond that is copied all the same."""


@dataclass(slots=True)
class ResourceMeasures:
    """Of all CachedResources that replicate one resource. Lags in seconds, from the original's commit on.

    ``committed`` ends with the commit of the copy, ``visible`` when every consumer's list and watch shows it.
    """

    committed: Histogram = field(default_factory=Histogram)
    visible: Histogram = field(default_factory=Histogram)
    writes: dict[Operation, int] = field(default_factory=lambda: {"create": 0, "update": 0, "delete": 0})
    orphans_removed: int = 0
    repairs: int = 0


class _Awaited:
    """A copy that is to change: since when, for which revision of the original, and the newest such change."""

    __slots__ = ("at", "newest", "newest_at", "revision")

    def __init__(self, revision: int, at: float) -> None:
        self.revision = self.newest = revision
        self.at = self.newest_at = at


_REMOVAL: Final = _Awaited(0, 0.0)
"""Stands for a copy that goes with its CachedResource: nothing that lag is measured of."""
_REPAIR: Final = _Awaited(0, 0.0)
"""Stands for a copy that is not as it should be, although nothing happened to its original."""


class ReplicationMeasures:
    """Told of every change on either side. Times are seconds on one clock; event loop only."""

    def __init__(self) -> None:
        self.resources: dict[GroupResource, ResourceMeasures] = {}
        self._label = Cap(MOST_RESOURCES, OTHER)
        self._awaited: dict[CacheTarget, _Awaited] = {}

    def original_changed(self, target: CacheTarget, revision: int, committed_at: float) -> None:
        """The copy at ``target`` is out of date, for a change of its original at ``revision``."""
        known = self._awaited.get(target)
        if known is not None and known is not _REMOVAL and known is not _REPAIR:
            known.newest, known.newest_at = revision, committed_at
        else:
            self._await(target, _Awaited(revision, committed_at))

    def removing(self, targets: Iterable[CacheTarget]) -> None:
        """These copies go (or are looked at again) since their CachedResource changed: no lag, no repair."""
        for target in targets:
            if target not in self._awaited:
                self._await(target, _REMOVAL)

    def planned(self, target: CacheTarget, *, expected: bool) -> None:
        """The copy is to be changed. Unless that was to be ``expected``, or a change explains it, it is a repair."""
        if not expected and target not in self._awaited:
            self._await(target, _REPAIR)

    def settled(self, target: CacheTarget) -> None:
        """The copy is as it should be."""
        self._awaited.pop(target, None)

    def copy_changed(
        self, target: CacheTarget, operation: Operation, revision: int, committed_at: float, visible_at: float
    ) -> None:
        """The copy at ``target`` changed; it now shows ``revision`` of the original (no matter for a delete)."""
        found = self._of(target)
        found.writes[operation] += 1
        awaited = self._awaited.get(target)
        if awaited is None:
            return
        if awaited is _REPAIR:
            found.repairs += operation != "delete"
            found.orphans_removed += operation == "delete"
        elif awaited is not _REMOVAL:
            if operation != "delete" and revision < awaited.revision:
                return  # an older change of the same original, or somebody else's write
            found.committed.observe(max(committed_at - awaited.at, 0.0))
            found.visible.observe(max(visible_at - awaited.at, 0.0))
            if operation != "delete" and revision < awaited.newest:
                awaited.revision, awaited.at = awaited.newest, awaited.newest_at
                return
        del self._awaited[target]

    def oldest(self, now: float) -> dict[GroupResource, float]:
        """How long the change has waited that waits longest, per resource ever copied; 0 where none does."""
        ages = dict.fromkeys(self.resources, 0.0)
        for target, awaited in self._awaited.items():
            if awaited.revision:
                resource = self._label(target.resource.group_resource)
                ages[resource] = max(ages.get(resource, 0.0), now - awaited.at)
        return ages

    def label(self, resource: GroupResource) -> GroupResource:
        """Under what ``resource`` is counted."""
        return self._label(resource)

    def _await(self, target: CacheTarget, awaited: _Awaited) -> None:
        if len(self._awaited) < MOST_AWAITED:
            self._awaited[target] = awaited
        else:
            self._awaited.pop(target, None)

    def _of(self, target: CacheTarget) -> ResourceMeasures:
        return self.resources.setdefault(self._label(target.resource.group_resource), ResourceMeasures())
