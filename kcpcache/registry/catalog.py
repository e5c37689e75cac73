"""What each workspace serves: an immutable snapshot per logical cluster, shared between all that serve the same."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from weakref import WeakValueDictionary

from kcpcache.meta.names import GroupResource, version_order
from kcpcache.registry.resource import ResourceDefinition, ServedVersion


@dataclass(frozen=True, slots=True)
class ExportReference:
    """The APIExport that a bound resource comes from.

    Not the APIBinding that brought it: workspaces that serve the same share one snapshot, whatever they call their own.
    """

    cluster: str
    export: str


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
        """Served versions of each group, preferred first; Kubernetes' own groups first, then by name.

        Clients take the first resource that a short or plural name fits, so that a CRD does not get between.
        """
        found: dict[str, set[str]] = {}
        for resource in self.resources.values():
            names = {version.name for version in resource.definition.versions if version.served}
            found.setdefault(resource.definition.group, set()).update(names)
        groups = sorted(found, key=lambda group: (_GROUPS.get(group, len(_GROUPS)), group))
        return {group: tuple(sorted(found[group], key=version_order)) for group in groups if found[group]}

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
        (
            *(v.name, v.served, v.schema.hash, sorted(v.subresources), v.deprecation_warning),
            *([c.name for c in v.columns], list(v.selectable_fields)),
        )
        for v in definition.versions
    ]
    names = (definition.group, definition.plural, definition.singular, definition.kind, definition.list_kind)
    more = (definition.short_names, definition.categories, definition.verbs, definition.namespaced)
    return repr((names, more, definition.storage_version, versions))


_GROUPS = {
    group: place
    for place, group in enumerate(
        (
            "",
            "events.k8s.io",
            "authentication.k8s.io",
            "authorization.k8s.io",
            "certificates.k8s.io",
            "rbac.authorization.k8s.io",
            "admissionregistration.k8s.io",
            "apiextensions.k8s.io",
            "coordination.k8s.io",
        )
    )
}
"""Kubernetes' groups in the order of kube-aggregator's priorities."""


class SnapshotPool:
    """Gives equal contents the same snapshot, so that ten thousand alike workspaces cost one.

    A snapshot that nobody uses any more goes, and with it the definitions that only it had.
    """

    def __init__(self) -> None:
        self._pool: WeakValueDictionary[frozenset[tuple[int, ExportReference | None]], Snapshot] = WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._pool)

    def intern(self, resources: Iterable[Resource]) -> Snapshot:
        """The snapshot of these resources. Definitions are told apart by identity: they are shared already."""
        listed = list(resources)
        # A definition's id is its own while the snapshot lives, which holds it; no longer does the key.
        key = frozenset((id(resource.definition), resource.bound) for resource in listed)
        found = self._pool.get(key)
        if found is None:
            found = self._pool[key] = Snapshot({resource.definition.group_resource: resource for resource in listed})
        return found
