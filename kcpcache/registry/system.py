"""The types that the server itself brings: Kubernetes' built-ins, and kcp's from ``openapi/crds``."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache, partial
from importlib import resources
from pathlib import Path

import yaml

from kcpcache.meta.names import GroupResource
from kcpcache.meta.objects import Object
from kcpcache.meta.virtual_resources import CACHED_RESOURCES, ENDPOINT_SLICES
from kcpcache.registry.builtin.apiextensions import CUSTOM_RESOURCE_DEFINITION
from kcpcache.registry.builtin.decoding import decoding_error, fill_in_nulls
from kcpcache.registry.builtin.events import to_core_form, to_events_form
from kcpcache.registry.builtin.resources import BUILTIN_RESOURCES, BuiltinResource
from kcpcache.registry.builtin.rules import RULES
from kcpcache.registry.builtin.schema import embedded_structs, structural_schema
from kcpcache.registry.crd import CRD_RULES
from kcpcache.registry.crd_keywords import drop_unknown_keywords
from kcpcache.registry.definitions import definition_of_crd
from kcpcache.registry.kcp import CONVERSIONS, NORMALIZERS, PATCH_NORMALIZERS
from kcpcache.registry.kcp import RULES as KCP_RULES
from kcpcache.registry.resource import NoRules, ResourceDefinition, ServedVersion
from kcpcache.schema.compiled import compile_schema

BOOTSTRAP_EXPORTS: Mapping[str, tuple[GroupResource, ...]] = {
    "tenancy.kcp.io": tuple(
        GroupResource("tenancy.kcp.io", plural)
        for plural in ("workspaceauthenticationconfigurations", "workspaces", "workspacetypes")
    ),
    "topology.kcp.io": tuple(GroupResource("topology.kcp.io", plural) for plural in ("partitions", "partitionsets")),
    "shards.core.kcp.io": (GroupResource("core.kcp.io", "shards"),),
    "cache.kcp.io": (ENDPOINT_SLICES.group_resource, CACHED_RESOURCES.group_resource),
}
"""The APIExports of ``root`` and what they export. Of these only cache.kcp.io is served without being bound."""
_BOUND_EXPORTS = ("tenancy.kcp.io", "topology.kcp.io", "shards.core.kcp.io")
_METADATA_TOO = frozenset({"certificatesigningrequests", "namespaces", "resourcequotas"})
"""Built-in types whose status strategy in Kubernetes keeps the spec only."""
_GENERATION = ("apiextensions.k8s.io", "admissionregistration.k8s.io")


def manifests() -> Iterator[Object]:
    """The CustomResourceDefinition manifests of all kcp types (wheel: inside the package; checkout: beside it)."""
    packaged = resources.files("kcpcache") / "openapi" / "crds"
    directory = packaged if packaged.is_dir() else Path(__file__).parents[2] / "openapi" / "crds"
    for file in sorted(directory.iterdir(), key=lambda path: path.name):
        if file.name.endswith(".yaml"):
            yield yaml.load(file.read_text(), Loader=yaml.CSafeLoader)


@cache
def kcp_manifests() -> Mapping[GroupResource, Object]:
    """The manifests by group and plural. Shared: never change them."""
    return {GroupResource(crd["spec"]["group"], crd["spec"]["names"]["plural"]): crd for crd in manifests()}


@cache
def kcp_definitions() -> Mapping[GroupResource, ResourceDefinition]:
    """All kcp types, with their rules, without any identity."""
    return {
        key: replace(
            definition_of_crd(crd, origin="system", rules=KCP_RULES.get(key), convert=CONVERSIONS.get(key)),
            normalize=NORMALIZERS.get(key),
            normalize_patch=PATCH_NORMALIZERS.get(key),
        )
        for key, crd in kcp_manifests().items()
    }


@cache
def builtin_definitions() -> Mapping[GroupResource, ResourceDefinition]:
    """Kubernetes' built-in types (kubernetes-api.md §1)."""
    return {GroupResource(found.group, found.plural): _builtin(found) for found in BUILTIN_RESOURCES}


def _builtin(found: BuiltinResource) -> ResourceDefinition:
    own = GroupResource(found.group, found.plural)
    version = ServedVersion(
        name=found.version,
        schema=compile_schema(structural_schema(found.schema)),
        columns=found.columns,
        subresources={sub.name: sub.verbs for sub in found.subresources},
        selectable_fields=dict(found.field_selectors),
    )
    return ResourceDefinition(
        group=found.group,
        plural=found.plural,
        singular=found.singular,
        kind=found.kind,
        list_kind=found.list_kind,
        namespaced=found.namespaced,
        versions=(version, *(replace(version, name=older) for older in found.older_versions)),
        storage_version=found.version,
        short_names=found.short_names,
        categories=found.categories,
        verbs=found.verbs,
        rules=CRD_RULES.get(own) or RULES.get(own) or NoRules(),
        tracks_generation=found.group in _GENERATION,
        status_writes_metadata=found.plural in _METADATA_TOO,
        origin="builtin",
        stored_as=None if found.stored_as == own else found.stored_as,
        convert=None if found.stored_as == own else _convert_event,
        name_errors=found.name_errors,
        normalize=partial(fill_in_nulls, found.schema),
        decoding_error=partial(decoding_error, found.schema),
        always=embedded_structs(found.schema),
        drop_nested=drop_unknown_keywords if found.schema is CUSTOM_RESOURCE_DEFINITION else None,
    )


def _convert_event(event: Object, api_version: str) -> Object:
    return to_core_form(event) if api_version == "v1" else to_events_form(event)


class SystemTypes:
    """The built-in and kcp types of one server, with the identities of root's exports once they are known."""

    def __init__(self, *, cached_apis: bool) -> None:
        hidden = {key for export in _BOUND_EXPORTS for key in BOOTSTRAP_EXPORTS[export]}
        kcp = kcp_definitions()
        self._bound: dict[GroupResource, ResourceDefinition] = {}
        if not cached_apis:
            # Not served, but known: what was stored while they were still gets reconciled and deleted.
            self._bound = {key: kcp[key] for key in BOOTSTRAP_EXPORTS["cache.kcp.io"]}
            hidden |= set(self._bound)
        self.base = {**builtin_definitions(), **{key: kcp[key] for key in kcp if key not in hidden}}
        """What every workspace serves."""

    def identify(self, export: str, identity_hash: str) -> None:
        """From now on the resources of that root export are known, stored under its identity."""
        for key in BOOTSTRAP_EXPORTS[export]:
            if key not in self.base:
                self._bound[key] = replace(kcp_definitions()[key], identity_hash=identity_hash)

    def definition(self, key: GroupResource) -> ResourceDefinition | None:
        """A system type by group and plural, the bound ones with their identity; None for any other resource."""
        return self.base.get(key) or self._bound.get(key)
