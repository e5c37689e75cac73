"""WorkspaceTypes: found by path and name, with all that they extend, and what children they allow (behaviour §8)."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kcpcache.meta.names import GroupVersionResource
from kcpcache.meta.objects import Object, cluster_of, name_of, nested
from kcpcache.registry.logical_clusters import ROOT
from kcpcache.registry.lookup import Lookup

WORKSPACE_TYPES = GroupVersionResource("tenancy.kcp.io", "v1alpha1", "workspacetypes")
API_BINDINGS_INITIALIZER = "system:apibindings"


@dataclass(frozen=True, slots=True)
class TypeReference:
    """A WorkspaceType by workspace path and name, as ``root:universal``."""

    path: str
    name: str

    def __str__(self) -> str:
        return f"{self.path}:{self.name}"


def reference_of(value: Mapping[str, Any], *, path: str) -> TypeReference:
    """A ``{name, path}`` of a spec; ``path`` where it gives none."""
    return TypeReference(str(value.get("path") or path), str(value.get("name") or ""))


def parse_reference(text: str) -> TypeReference:
    """The inverse of ``str``: the annotation ``internal.tenancy.kcp.io/type``."""
    path, _, name = text.rpartition(":")
    return TypeReference(path, name)


def find(lookup: Lookup, reference: TypeReference) -> Object | None:
    """The WorkspaceType, or None."""
    cluster = lookup.clusters.resolve(reference.path)
    return lookup.get(WORKSPACE_TYPES, cluster, reference.name) if cluster else None


def search(lookup: Lookup, name: str, *, cluster: str) -> TypeReference | None:
    """A type without a path: looked for in ``cluster``, then in each workspace above it, then in root (as in kcp)."""
    path = lookup.clusters.path(cluster)
    while path:
        found = TypeReference(path, name)
        if find(lookup, found) is not None:
            return found
        path = path.rpartition(":")[0]
    found = TypeReference(ROOT, name)
    return found if find(lookup, found) is not None else None


def walk(lookup: Lookup, reference: TypeReference) -> Iterator[tuple[TypeReference, Object | None]]:
    """The type, then all that it extends, each once and as it is referred to; None for one that does not exist."""
    seen: set[tuple[str, str]] = set()
    waiting = deque([reference])
    while waiting:
        wanted = waiting.popleft()
        obj = find(lookup, wanted)
        if obj is None:
            yield wanted, None
            continue
        key = (cluster_of(obj), name_of(obj))
        if key not in seen:
            seen.add(key)
            path = lookup.clusters.path(cluster_of(obj))
            yield wanted, obj
            extended = nested(obj, "spec", "extend", "with", default=None) or []
            waiting += [reference_of(value, path=path) for value in extended]


def chain(lookup: Lookup, reference: TypeReference) -> tuple[Object, ...] | None:
    """The types of ``walk``; None where one of them does not exist."""
    found = []
    for _, obj in walk(lookup, reference):
        if obj is None:
            return None
        found.append(obj)
    return tuple(found)


def initializers(types: tuple[Object, ...]) -> tuple[str, ...]:
    """What a workspace of these types (a chain) starts with: theirs, then the default bindings'."""
    found = [f"{cluster_of(obj)}:{name_of(obj)}" for obj in types if nested(obj, "spec", "initializer")]
    bindings = any(nested(obj, "spec", "defaultAPIBindings") for obj in types)
    return (*found, API_BINDINGS_INITIALIZER) if bindings else tuple(found)


def default_bindings(lookup: Lookup, types: tuple[Object, ...]) -> Iterator[tuple[str, str]]:
    """Path and name of each APIExport that the types bind by default, each once."""
    seen = set()
    for obj in types:
        for value in nested(obj, "spec", "defaultAPIBindings", default=None) or []:
            export = (str(value.get("path") or lookup.clusters.path(cluster_of(obj))), str(value["export"]))
            if export not in seen:
                seen.add(export)
                yield export


def maintained_bindings(lookup: Lookup, types: tuple[Object, ...]) -> Iterator[tuple[str, str]]:
    """Path and name of each APIExport that the types not only bind by default but keep bound, each once."""
    keeping = tuple(obj for obj in types if nested(obj, "spec", "defaultAPIBindingLifecycle") == "Maintain")
    return default_bindings(lookup, keeping)
