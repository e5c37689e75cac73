"""Which logical clusters there are: by name, by workspace path, and in what state."""

from dataclasses import dataclass
from typing import Literal

import orjson

from kcpcache.meta.names import GroupVersionResource
from kcpcache.meta.objects import PATH_ANNOTATION, REQUIRED_GROUPS_ANNOTATION, Object, annotations_of, nested
from kcpcache.registry.caches import CacheEvent, Caches
from kcpcache.storage.keys import registry_prefix

LOGICAL_CLUSTERS = GroupVersionResource("core.kcp.io", "v1alpha1", "logicalclusters")
LOGICAL_CLUSTER_NAME = "cluster"
"""The name of the one LogicalCluster object in each logical cluster."""
ROOT = "root"
SYSTEM_ADMIN = "system:admin"
BOUND_SCHEMAS = "system:bound-crds"
"""Holds a copy of every APIResourceSchema that a binding uses, named by its UID."""
SYSTEM_CLUSTERS = (SYSTEM_ADMIN, BOUND_SCHEMAS)

State = Literal["missing", "system", "scheduling", "initializing", "ready", "unavailable"]


@dataclass(frozen=True, slots=True)
class LogicalCluster:
    """What everything else needs to know of one.

    ``owner`` is the UserInfo of its creator, {} where there is none. One that is ``deleting`` can still be entered in
    its state, so that finalizers can be removed.
    """

    name: str
    path: str
    state: State
    type: str
    owner: Object
    deleting: bool
    required_groups: tuple[frozenset[str], ...] = ()
    """Sets of groups: whoever enters must be of all groups of one of them (as in kcp); empty: nothing is asked."""


class LogicalClusters:
    """The index over all LogicalCluster objects; current with the caches. Use it on the event loop only."""

    def __init__(self, caches: Caches) -> None:
        self._by_name: dict[str, LogicalCluster] = {}
        self._by_path: dict[str, str] = {}
        prefix = registry_prefix(LOGICAL_CLUSTERS.group, LOGICAL_CLUSTERS.resource)
        self.cache = caches.of(prefix)
        self.cache.listeners.append(self._take)
        for entry in self.cache.all_entries():
            self._put(entry.cluster, entry.object())

    def resolve(self, path_or_name: str) -> str | None:
        """The logical cluster's name for a workspace path or a name; None where there is none."""
        if path_or_name in self._by_name or path_or_name in SYSTEM_CLUSTERS:
            return path_or_name
        found = self._by_path.get(path_or_name)
        if found is not None or ":" not in path_or_name:
            return found
        # <name>:<child>: the path below a logical cluster that is itself named, as in root's alias
        head, _, rest = path_or_name.partition(":")
        base = self._by_name.get(head)
        return self._by_path.get(f"{base.path}:{rest}") if base else None

    def get(self, name: str) -> LogicalCluster | None:
        """The logical cluster of that name."""
        return self._by_name.get(name)

    def path(self, name: str) -> str:
        """The workspace path; the name itself where there is none."""
        found = self._by_name.get(name)
        return found.path if found else name

    def state(self, name: str) -> State:
        """What it is fit for."""
        if name in SYSTEM_CLUSTERS:
            return "system"
        found = self._by_name.get(name)
        return found.state if found else "missing"

    def names(self) -> list[str]:
        """All of them."""
        return list(self._by_name)

    def _take(self, event: CacheEvent) -> None:
        if event.entry is None:
            gone = self._by_name.pop(event.cluster, None)
            if gone is not None and self._by_path.get(gone.path) == event.cluster:
                del self._by_path[gone.path]
        else:
            self._put(event.cluster, event.entry.object())

    def _put(self, cluster: str, obj: Object) -> None:
        annotations = annotations_of(obj)
        phase = str(nested(obj, "status", "phase", default="Scheduling")).lower()
        found = LogicalCluster(
            name=cluster,
            path=annotations.get(PATH_ANNOTATION, cluster),
            state=phase,  # type: ignore[arg-type]
            type=annotations.get("internal.tenancy.kcp.io/type", ""),
            owner=_owner(annotations.get("experimental.tenancy.kcp.io/owner")),
            deleting="deletionTimestamp" in obj["metadata"],
            required_groups=_group_sets(annotations.get(REQUIRED_GROUPS_ANNOTATION)),
        )
        known = self._by_name.get(cluster)
        if known is not None and known.path != found.path and self._by_path.get(known.path) == cluster:
            del self._by_path[known.path]
        self._by_name[cluster] = found
        self._by_path[found.path] = cluster


def _group_sets(text: str | None) -> tuple[frozenset[str], ...]:
    """``a,b;c``: of a and b, or of c."""
    return () if text is None else tuple(frozenset(group.split(",")) for group in text.split(";"))


def _owner(text: str | None) -> Object:
    try:
        owner = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        return {}
    return owner if isinstance(owner, dict) else {}
