"""How far copies are behind their originals, and what replication had to put right. Knows no store and no clock."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from kcpcache.measure import Histogram
from kcpcache.meta.names import GroupResource
from kcpcache.reconcilers.plan import CacheTarget
from kcpcache.runtime.queue_age import QueueAge

Operation = Literal["create", "update", "delete"]
Owner = tuple[str, str]
"""Logical cluster and name of a CachedResource."""

MOST_NAMED: Final = 100
"""So many CachedResources are measured one by one, all further ones together: tenants can make as many as they like."""
OTHER: Final = GroupResource("other", "other")
MOST_AWAITED: Final = 65_536
"""How many changes may be under way and still be timed; what comes beyond that is copied all the same."""


@dataclass(slots=True)
class CachedResourceMeasures:
    """Of one CachedResource, or of several together. Lags in seconds, from the original's commit on.

    ``committed`` ends with the commit of the copy, ``visible`` when every consumer's list and watch shows it.
    ``waiting`` are the changes whose copy is not there yet.
    """

    resource: GroupResource
    waiting: QueueAge[CacheTarget]
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
        self.named: dict[Owner, CachedResourceMeasures] = {}
        self.others = CachedResourceMeasures(OTHER, QueueAge(self._waits))
        """Of the CachedResources that came when there were enough, and of copies that belong to none."""
        self._unnamed: dict[Owner, GroupResource] = {}
        self._awaited: dict[CacheTarget, _Awaited] = {}

    def follow(self, owner: Owner, resource: GroupResource) -> None:
        """There is such a CachedResource. The first ones to be told of are measured by themselves."""
        if owner in self.named:
            return
        if len(self.named) < MOST_NAMED:
            self.named[owner] = CachedResourceMeasures(resource, QueueAge(self._waits))
        else:
            self._unnamed[owner] = resource

    def forget(self, owner: Owner) -> None:
        """It is gone, and with it its measures; one that was among the others takes its place, and begins at zero."""
        self._unnamed.pop(owner, None)
        if self.named.pop(owner, None) is not None and self._unnamed:
            oldest = next(iter(self._unnamed))
            self.follow(oldest, self._unnamed.pop(oldest))

    @property
    def has_others(self) -> bool:
        """Whether ``others`` tells anything."""
        return bool(self._unnamed) or any(self.others.writes.values())

    def original_changed(self, owner: Owner, target: CacheTarget, revision: int, committed_at: float) -> None:
        """The copy at ``target`` is out of date, for a change of its original at ``revision``."""
        known = self._awaited.get(target)
        if known is not None and known is not _REMOVAL and known is not _REPAIR:
            known.newest, known.newest_at = revision, committed_at
        elif not self._await(target, _Awaited(revision, committed_at)):
            return
        self._of(owner).waiting.begin(target, committed_at)

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
        self,
        owner: Owner | None,
        target: CacheTarget,
        operation: Operation,
        revision: int,
        committed_at: float,
        visible_at: float,
    ) -> None:
        """The copy at ``target`` changed; it now shows ``revision`` of the original (no matter for a delete).

        ``owner`` is the CachedResource whose it is, None where it belongs to none.
        """
        found = self._of(owner)
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

    def _of(self, owner: Owner | None) -> CachedResourceMeasures:
        return self.others if owner is None else self.named.get(owner, self.others)

    def _waits(self, target: CacheTarget, at: float) -> bool:
        awaited = self._awaited.get(target)
        return awaited is not None and at in (awaited.at, awaited.newest_at)

    def _await(self, target: CacheTarget, awaited: _Awaited) -> bool:
        if len(self._awaited) < MOST_AWAITED:
            self._awaited[target] = awaited
            return True
        self._awaited.pop(target, None)
        return False
