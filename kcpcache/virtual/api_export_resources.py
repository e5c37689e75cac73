"""What an APIExport's virtual workspace serves: its own resources, those it claims, and the APIBindings to it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from kcpcache.meta.names import GroupResource
from kcpcache.meta.objects import Object, nested
from kcpcache.registry.caches import CacheEvent
from kcpcache.registry.catalog import (
    ExportReference,
    ProjectedResource,
    Resource,
    Snapshot,
    SnapshotPool,
    StoredResource,
)
from kcpcache.registry.lookup import Lookup
from kcpcache.registry.resource import READ_VERBS, ResourceDefinition
from kcpcache.registry.serving import Serving
from kcpcache.registry.view import WILDCARD
from kcpcache.registry.virtual_sources import API_EXPORTS
from kcpcache.virtual.api_export_consumers import API_BINDINGS
from kcpcache.virtual.api_export_grants import ANY_VERB, ClaimKey, Grant, Name, claim_key, common_verbs

COLLECTION_VERBS = ("list", "watch")
"""What there is over all workspaces."""
_REMEMBERED = 4096
_SCHEMAS = GroupResource("apis.kcp.io", "apiresourceschemas")


@dataclass(frozen=True, eq=False)
class Served:
    """A snapshot, and by which claim each claimed resource of it is seen; the others are exported (or APIBindings).

    ``withheld`` are resources that the export knows of, and this workspace does not let it see.
    """

    snapshot: Snapshot
    claims: Mapping[GroupResource, ClaimKey]
    withheld: frozenset[GroupResource] = frozenset()


class ExportsByIdentity:
    """APIExports by identity hash, kept current by the caches."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._names: dict[str, dict[Name, None]] = {}
        self._hashes: dict[Name, str] = {}
        cache = lookup.cache(API_EXPORTS.group_resource)
        cache.listeners.append(lambda event: self._take((event.cluster, _name(event))))
        for entry in cache.all_entries():
            self._take((entry.cluster, entry.name))

    def of(self, identity_hash: str, resource: GroupResource) -> tuple[Name, Object] | None:
        """An APIExport with that identity that exports the resource, with its entry for it; always the same one."""
        for name in sorted(self._names.get(identity_hash, ())):
            export = self._lookup.get(API_EXPORTS, *name)
            for entry in exported_entries(export):
                if key_of_entry(entry) == resource:
                    return name, entry
        return None

    def resource(self, serving: Serving, identity_hash: str, key: GroupResource) -> Resource | None:
        """What ``of`` is served as; None where there is none, or its schema is missing or of something else."""
        exported = self.of(identity_hash, key)
        if exported is None:
            return None
        (provider, name), entry = exported
        virtual, schema = is_virtual(entry), str(entry.get("schema") or "")
        definition = serving.definition_of_exported(provider, schema, identity_hash, virtual=virtual)
        if definition is None or definition.group_resource != key:
            return None
        bound = ExportReference(provider, name)
        return ProjectedResource(definition, bound) if virtual else StoredResource(definition, bound)

    def _take(self, name: Name) -> None:
        before = self._hashes.pop(name, None)
        if before is not None:
            del self._names[before][name]
            if not self._names[before]:
                del self._names[before]
        found = nested(self._lookup.get(API_EXPORTS, *name), "status", "identityHash")
        if found:
            self._hashes[name] = found
            self._names.setdefault(found, {})[name] = None


def _name(event: CacheEvent) -> str:
    entry = event.entry or event.previous
    return entry.name if entry else ""


def exported_entries(export: Object | None) -> list[Object]:
    """``spec.resources``."""
    return nested(export, "spec", "resources") or []


def key_of_entry(entry: Object) -> GroupResource:
    """The resource of an entry of ``spec.resources``."""
    return GroupResource(entry.get("group") or "", str(entry.get("name") or ""))


def is_virtual(entry: Object) -> bool:
    """Whether an entry of ``spec.resources`` has virtual storage."""
    return nested(entry, "storage", "virtual") is not None


class ExportedResources:
    """Finds out what is served; asked on every request, so answers are remembered until an export or schema changes."""

    def __init__(self, lookup: Lookup, serving: Serving, identities: ExportsByIdentity) -> None:
        self._lookup, self._serving, self._identities = lookup, serving, identities
        self._pool = SnapshotPool()
        self._everywhere: dict[Name, Served] = {}
        self._consumers: dict[tuple[Name, Snapshot, tuple[Grant, ...]], Served] = {}
        self._narrowed: dict[tuple[ResourceDefinition, tuple[str, ...]], ResourceDefinition] = {}
        for resource in (API_EXPORTS.group_resource, _SCHEMAS):
            lookup.cache(resource).listeners.append(self._forget)

    def everywhere(self, export: Name) -> Served:
        """Over all consumers: everything that is exported or claimed, whoever accepts it, to list and to watch."""
        found = self._everywhere.get(export)
        if found is None:
            found = self._everywhere[export] = self._make(export, WILDCARD, ())
        return found

    def within(self, export: Name, cluster: str, grants: Mapping[str, Grant]) -> Served:
        """In a consumer's workspace: what is bound there, and the claims that it has accepted."""
        key = (export, self._serving.snapshot(cluster), tuple(grants.values()))
        found = self._consumers.get(key)
        if found is None:
            if len(self._consumers) >= _REMEMBERED:
                self._consumers.clear()
            found = self._consumers[key] = self._make(export, cluster, key[2])
        return found

    def _forget(self, _event: CacheEvent) -> None:
        self._everywhere.clear()
        self._consumers.clear()

    def _make(self, export: Name, cluster: str, grants: tuple[Grant, ...]) -> Served:
        obj = self._lookup.get(API_EXPORTS, *export)
        bound = ExportReference(*export)
        asked: dict[ClaimKey, frozenset[str]] = {
            claim_key(claim): frozenset(claim.get("verbs") or ())
            for claim in nested(obj, "spec", "permissionClaims") or ()
        }
        exported = {key_of_entry(entry) for entry in exported_entries(obj)}
        found = {one.definition.group_resource: one for one in self._exported(obj, grants, bound, cluster)}
        claims: dict[GroupResource, ClaimKey] = {}
        for claim, verbs in _granted(asked, grants, cluster):
            if claim.resource in claims or claim.resource in exported:
                continue
            resource = self._claimed(claim, cluster, verbs)
            if resource is not None:
                found[claim.resource], claims[claim.resource] = resource, claim
        found[API_BINDINGS] = self._own_bindings(found.get(API_BINDINGS), cluster)
        withheld = {*exported, *(key.resource for key in asked)} - set(found)
        return Served(self._pool.intern(found.values()), claims, frozenset(withheld))

    def _exported(
        self, export: Object | None, grants: tuple[Grant, ...], bound: ExportReference, cluster: str
    ) -> Iterator[Resource]:
        identity_hash = str(nested(export, "status", "identityHash") or "")
        for entry in exported_entries(export) if identity_hash else ():
            key = ClaimKey(key_of_entry(entry), identity_hash)
            if cluster != WILDCARD and not any(key in grant.resources for grant in grants):
                continue
            virtual, schema = is_virtual(entry), str(entry.get("schema") or "")
            definition = self._serving.definition_of_exported(bound.cluster, schema, identity_hash, virtual=virtual)
            if definition is None or definition.group_resource != key.resource:
                continue
            own = self._serving.snapshot(cluster).resources.get(key.resource)
            if cluster == WILDCARD:
                definition = self._with_verbs(definition, COLLECTION_VERBS)
            elif own is not None and own.definition.identity_hash == identity_hash:
                # While the APIBinding is being deleted nothing new is created, by nobody.
                definition = self._with_verbs(definition, (v for v in definition.verbs if v in own.definition.verbs))
            source = bound if own is None or own.bound is None else own.bound
            yield ProjectedResource(definition, source) if virtual else StoredResource(definition, source)

    def _claimed(self, claim: ClaimKey, cluster: str, verbs: frozenset[str]) -> Resource | None:
        resource = self._claimable(claim, cluster)
        if resource is None:
            return None
        allowed = tuple(v for v in resource.definition.verbs if ANY_VERB in verbs or v in verbs)
        if cluster == WILDCARD:
            allowed = tuple(verb for verb in allowed if verb in COLLECTION_VERBS)
        return replace(resource, definition=self._with_verbs(resource.definition, allowed)) if allowed else None

    def _claimable(self, claim: ClaimKey, cluster: str) -> Resource | None:
        """What a claim is on; None where it is not there."""
        key, identity_hash = claim
        if not identity_hash:
            definition = self._lookup.system.definition(key)
            return None if definition is None else StoredResource(definition)
        if cluster != WILDCARD:
            served = self._serving.snapshot(cluster).resources.get(key)
            return served if served is not None and served.definition.identity_hash == identity_hash else None
        return self._identities.resource(self._serving, identity_hash, key)

    def _own_bindings(self, claimed: Resource | None, cluster: str) -> Resource:
        """Always there to read; by a claim, for what it allows too."""
        definition = self._lookup.system.definition(API_BINDINGS)
        assert definition is not None, "APIBindings are served everywhere"  # noqa: S101 -- tells the type checker
        verbs = COLLECTION_VERBS if cluster == WILDCARD else READ_VERBS
        more = () if claimed is None else claimed.definition.verbs
        return StoredResource(self._with_verbs(definition, (v for v in definition.verbs if v in verbs or v in more)))

    def _with_verbs(self, definition: ResourceDefinition, verbs: Iterable[str]) -> ResourceDefinition:
        """The definition with these verbs, and without subresources that one creates.

        To accept a claim on ServiceAccounts is not to give away their tokens.
        """
        key = (definition, tuple(verbs))
        found = self._narrowed.get(key)
        if found is None:
            if len(self._narrowed) >= _REMEMBERED:
                self._narrowed.clear()
            versions = tuple(
                replace(version, subresources={n: v for n, v in version.subresources.items() if "create" not in v})
                for version in definition.versions
            )
            found = self._narrowed[key] = replace(definition, verbs=key[1], versions=versions)
        return found


def _granted(
    asked: Mapping[ClaimKey, frozenset[str]], grants: tuple[Grant, ...], cluster: str
) -> Iterator[tuple[ClaimKey, frozenset[str]]]:
    """The claims that count, with their verbs: what the export asks for, and in one workspace what it was given."""
    for key, wanted in asked.items():
        if cluster == WILDCARD:
            yield key, wanted
            continue
        accepted = [common_verbs(wanted, grant.claims[key].verbs) for grant in grants if key in grant.claims]
        if accepted:
            yield key, frozenset[str]().union(*accepted)
