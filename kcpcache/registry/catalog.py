"""What each workspace serves: an immutable snapshot per logical cluster, shared between all that serve the same."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

from kcpcache.meta.names import GroupResource
from kcpcache.registry.resource import ResourceDefinition, ServedVersion


@dataclass(frozen=True, slots=True)
class ExportReference:
    """Where a bound resource comes from: the APIExport, and the APIBinding that brought it."""

    cluster: str
    export: str
    binding: str


@dataclass(frozen=True, eq=False)
class StoredResource:
    """A resource whose objects lie in the workspace's own storage. ``bound`` None: built in, system, or from a CRD."""

    definition: ResourceDefinition
    bound: ExportReference | None = None


@dataclass(frozen=True, eq=False)
class ProjectedResource:
    """A bound virtual resource: read-only, seen through the export's endpoint slice."""

    definition: ResourceDefinition
    bound: ExportReference


Resource = StoredResource | ProjectedResource


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Everything one workspace serves, at one moment."""

    resources: Mapping[GroupResource, Resource]

    def find(self, group: str, version: str, plural: str) -> tuple[Resource, ServedVersion] | None:
        """The resource and its version if both are served."""
        resource = self.resources.get(GroupResource(group, plural))
        if resource is None:
            return None
        served = resource.definition.version(version)
        return None if served is None else (resource, served)

    @cached_property
    def groups(self) -> Mapping[str, tuple[str, ...]]:
        """Served versions of each group, preferred first, groups in order of their names."""
        found: dict[str, set[str]] = {}
        for resource in self.resources.values():
            names = {version.name for version in resource.definition.versions if version.served}
            found.setdefault(resource.definition.group, set()).update(names)
        return {g: tuple(sorted(found[g], key=version_priority)) for g in sorted(found) if found[g]}

    def of_version(self, group: str, version: str) -> Iterable[tuple[Resource, ServedVersion]]:
        """The resources of one group version, in order of their names."""
        for key in sorted(self.resources):
            if key.group == group:
                served = self.resources[key].definition.version(version)
                if served is not None:
                    yield self.resources[key], served

    @cached_property
    def hash(self) -> str:
        """Changes exactly when what discovery and OpenAPI say may change."""
        digest = sha256()
        for key in sorted(self.resources):
            digest.update(fingerprint(self.resources[key]).encode())
        return digest.hexdigest()


def fingerprint(resource: Resource) -> str:
    """A text that is equal for two resources that are published alike."""
    definition = resource.definition
    versions = [
        (v.name, v.served, v.schema.hash, sorted(v.subresources), v.deprecation_warning, [c.name for c in v.columns])
        for v in definition.versions
    ]
    names = (definition.group, definition.plural, definition.singular, definition.kind, definition.list_kind)
    more = (definition.short_names, definition.categories, definition.verbs, definition.namespaced)
    return repr((names, more, definition.storage_version, versions))


def version_priority(name: str) -> tuple[int, int, int, str]:
    """Kubernetes' order of versions as a sort key: ``v2``, ``v1``, ``v2beta1``, ``v1alpha2``, …, then by text."""
    head, stage, rest = name, "", ""
    for word in ("beta", "alpha"):
        before, found, after = name.partition(word)
        if found:
            head, stage, rest = before, word, after
    number = head.removeprefix("v")
    if not head.startswith("v") or not number.isdigit() or (stage and not rest.isdigit()):
        return (3, 0, 0, name)
    rank = {"": 0, "beta": 1, "alpha": 2}[stage]
    return (rank, -int(number), -int(rest or 0), name)


class SnapshotPool:
    """Gives equal contents the same snapshot, so that ten thousand alike workspaces cost one."""

    def __init__(self, limit: int = 4096) -> None:
        self._limit = limit
        self._pool: dict[frozenset[tuple[int, ExportReference | None]], Snapshot] = {}

    def intern(self, resources: Iterable[Resource], make: Callable[[Resource], Resource] = lambda r: r) -> Snapshot:
        """The snapshot of these resources. Definitions are told apart by identity: they are shared already."""
        listed = [make(resource) for resource in resources]
        key = frozenset((id(resource.definition), resource.bound) for resource in listed)
        found = self._pool.get(key)
        if found is None:
            if len(self._pool) >= self._limit:
                self._pool.clear()
            found = self._pool[key] = Snapshot({resource.definition.group_resource: resource for resource in listed})
        return found
