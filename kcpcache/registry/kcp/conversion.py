"""APIExport and APIBinding between v1alpha1 and v1alpha2, without loss either way.

What the other version cannot say goes into annotations, named and written as kcp does, so that manifests from there
keep their meaning:

* on a v1alpha1 object, ``apis.v1alpha2.kcp.io/<list>`` holds entries of v1alpha2 as they are (virtual storage, verbs,
  label selectors);
* on a v1alpha2 object, ``apis.v1alpha2.kcp.io/v1alpha1-<list>`` holds entries of v1alpha1 (``resourceSelector``).

Anyone may write annotations: an entry counts only if its schema allows it, and as long as what the object itself says
of the same resource agrees with it.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, TypeAlias

import orjson

from kcpcache.meta.names import GroupResource
from kcpcache.meta.objects import Object, copy, nested
from kcpcache.registry.kcp.api_resource_schema import split_schema_name
from kcpcache.schema.compiled import CompiledSchema, compile_schema

V1ALPHA1: Final = "apis.kcp.io/v1alpha1"
V1ALPHA2: Final = "apis.kcp.io/v1alpha2"
API_EXPORTS: Final = GroupResource("apis.kcp.io", "apiexports")
API_BINDINGS: Final = GroupResource("apis.kcp.io", "apibindings")

_PREFIX: Final = "apis.v1alpha2.kcp.io/"
_RESOURCES: Final = f"{_PREFIX}resource-schemas"
_CLAIMS: Final = f"{_PREFIX}permission-claims"
_OLD_CLAIMS: Final = f"{_PREFIX}v1alpha1-permission-claims"
_NOTHING: Final = {
    "matchExpressions": [
        {"key": f"{_PREFIX}resource-selector", "operator": "Exists"},
        {"key": f"{_PREFIX}resource-selector", "operator": "DoesNotExist"},
    ]
}
"""Selects no object. v1alpha2 cannot select by name, and to accept a claim on some objects is not to accept all."""

_ClaimKey: TypeAlias = tuple[str, str, str]
_Entries: TypeAlias = tuple[GroupResource, str, tuple[str, str]]
"""Resource, version, and the path of a list."""


@dataclass(frozen=True, slots=True)
class _Claims:
    """One list of claims: where it stands, its two annotations, and whether its entries have a selector."""

    resource: GroupResource
    path: tuple[str, str]
    kept: str
    kept_old: str
    scoped: bool


_EXPORT_CLAIMS: Final = (_Claims(API_EXPORTS, ("spec", "permissionClaims"), _CLAIMS, _OLD_CLAIMS, scoped=False),)
_BINDING_CLAIMS: Final = (
    _Claims(
        API_BINDINGS,
        ("spec", "permissionClaims"),
        f"{_PREFIX}acceptable-permission-claims",
        _OLD_CLAIMS,
        scoped=True,
    ),
    _Claims(
        API_BINDINGS,
        ("status", "exportPermissionClaims"),
        f"{_PREFIX}status-export-permission-claims",
        f"{_PREFIX}v1alpha1-status-export-permission-claims",
        scoped=False,
    ),
    _Claims(
        API_BINDINGS,
        ("status", "appliedPermissionClaims"),
        f"{_PREFIX}status-applied-permission-claims",
        f"{_PREFIX}v1alpha1-status-applied-permission-claims",
        scoped=True,
    ),
)


def convert_api_export(obj: Object, api_version: str) -> Object:
    """An APIExport in the other version. Changes and returns its argument; raises nothing on a valid object."""
    if obj.get("apiVersion") == api_version:
        return obj
    obj["apiVersion"] = api_version
    spec = obj.get("spec")
    if isinstance(spec, dict):
        (_resources_to_new if api_version == V1ALPHA2 else _resources_to_old)(obj, spec)
    return _convert_claims(obj, api_version, _EXPORT_CLAIMS)


def convert_api_binding(obj: Object, api_version: str) -> Object:
    """An APIBinding in the other version. Changes and returns its argument; raises nothing on a valid object."""
    if obj.get("apiVersion") == api_version:
        return obj
    obj["apiVersion"] = api_version
    return _convert_claims(obj, api_version, _BINDING_CLAIMS)


CONVERSIONS: Final[Mapping[GroupResource, Callable[[Object, str], Object]]] = {
    API_EXPORTS: convert_api_export,
    API_BINDINGS: convert_api_binding,
}


# -- exported resources


def _resources_to_old(obj: Object, spec: Object) -> None:
    resources = spec.pop("resources", None)
    _keep(obj, _RESOURCES, [])
    if not isinstance(resources, list):
        return
    names = [entry["schema"] for entry in resources if _is_stored(entry)]
    if names or not resources:
        spec["latestResourceSchemas"] = names
    if resources != [_stored(name) for name in names]:
        # kcp keeps only what the list of names does not have; between its names, the others need the whole list.
        others = [entry for entry in resources if not _is_stored(entry)]
        plain = [*(_stored(name) for name in names), *others]
        _keep(obj, _RESOURCES, others if resources == plain else resources)


def _resources_to_new(obj: Object, spec: Object) -> None:
    given = spec.pop("latestResourceSchemas", None)
    kept = _kept(obj, _RESOURCES, (API_EXPORTS, "v1alpha2", ("spec", "resources")))
    _keep(obj, _RESOURCES, [])
    names = deque(given or ())
    if given is None and not kept:
        return
    taken = {_resource_key(_stored(name)) for name in names}
    others_first = any(_is_stored(entry) for entry in kept)
    resources = [] if others_first else [_stored(names.popleft()) for _ in range(len(names))]
    for entry in kept:
        if not _is_stored(entry):
            if _resource_key(entry) not in taken:
                taken.add(_resource_key(entry))
                resources.append(entry)
        elif names:
            name = names.popleft()
            resources.append(entry if entry["schema"] == name else _stored(name))
    spec["resources"] = [*resources, *(_stored(name) for name in names)]


def _stored(schema_name: str) -> Object:
    plural, group = split_schema_name(schema_name) or ("", "")
    return {"group": group, "name": plural, "schema": schema_name, "storage": {"crd": {}}}


def _is_stored(entry: Object) -> bool:
    """Whether the name of its schema says all that v1alpha1 knows of the entry."""
    is_virtual = nested(entry, "storage", "virtual") is not None
    return not is_virtual and split_schema_name(entry["schema"]) == _resource_key(entry)


def _resource_key(entry: Object) -> tuple[str, str]:
    return entry["name"], entry["group"]


# -- claims


def _convert_claims(obj: Object, api_version: str, lists: tuple[_Claims, ...]) -> Object:
    for where in lists:
        (_claims_to_new if api_version == V1ALPHA2 else _claims_to_old)(obj, where)
    return obj


def _claims_to_old(obj: Object, where: _Claims) -> None:
    kept = _by_key(_kept(obj, where.kept_old, (where.resource, "v1alpha1", where.path)))
    _keep(obj, where.kept_old, [])
    claims = nested(obj, *where.path)
    if not isinstance(claims, list):
        _keep(obj, where.kept, [])
        return
    converted = []
    for claim in claims:
        former = _next(kept, claim)
        candidate = _old_claim(claim) if former is None else _with_state(former, claim)
        agrees = _is_on_all(candidate) or _new_claim(candidate, scoped=where.scoped) == claim
        converted.append(candidate if agrees else _old_claim(claim))
    obj[where.path[0]][where.path[1]] = converted
    lossless = [_new_claim(claim, scoped=where.scoped) for claim in converted]
    _keep(obj, where.kept, _differing(claims, lossless))


def _claims_to_new(obj: Object, where: _Claims) -> None:
    kept = _by_key(_kept(obj, where.kept, (where.resource, "v1alpha2", where.path)))
    _keep(obj, where.kept, [])
    claims = nested(obj, *where.path)
    if not isinstance(claims, list):
        _keep(obj, where.kept_old, [])
        return
    converted = []
    for claim in claims:
        former = _next(kept, claim)
        if former is not None and _is_on_all(claim):
            converted.append(_with_state(former, claim))
        else:
            converted.append(_new_claim(claim, scoped=where.scoped))
    obj[where.path[0]][where.path[1]] = converted
    _keep(obj, where.kept_old, _differing(claims, [_old_claim(claim) for claim in converted]))


def _old_claim(claim: Object) -> Object:
    """In v1alpha1, where a claim is on all objects and for all verbs."""
    found = {"group": claim.get("group") or "", "resource": claim["resource"]}
    if claim.get("identityHash"):
        found["identityHash"] = claim["identityHash"]
    return _with_state({**found, "all": True}, claim)


def _is_on_all(claim: Object) -> bool:
    """Whether a claim of v1alpha1 is on all objects, as far as v1alpha1 can tell."""
    return claim.get("all") is True and not claim.get("resourceSelector")


def _new_claim(claim: Object, *, scoped: bool) -> Object:
    """In v1alpha2. A claim on named objects reaches none there, until it is accepted with a selector."""
    group, resource, identity_hash = _claim_key(claim)
    found: Object = {"group": group, "resource": resource, "identityHash": identity_hash, "verbs": ["*"]}
    if scoped:
        found["selector"] = {"matchAll": True} if _is_on_all(claim) else copy(_NOTHING)
    return _with_state(found, claim)


def _with_state(claim: Object, of: Object) -> Object:
    """``claim`` in the state of another one: accepting and rejecting are possible in either version."""
    rest = {key: value for key, value in claim.items() if key != "state"}
    return {**rest, "state": of["state"]} if "state" in of else rest


def _claim_key(claim: Object) -> _ClaimKey:
    return claim.get("group") or "", claim["resource"], claim.get("identityHash") or ""


def _differing(claims: list[Object], converted: list[Object]) -> list[Object]:
    """The claims that did not survive, with all of the same key, since they are told apart by their order only."""
    keys = {_claim_key(claim) for claim, other in zip(claims, converted, strict=True) if claim != other}
    return [claim for claim in claims if _claim_key(claim) in keys]


def _by_key(claims: list[Object]) -> dict[_ClaimKey, deque[Object]]:
    found: dict[_ClaimKey, deque[Object]] = {}
    for claim in claims:
        found.setdefault(_claim_key(claim), deque()).append(claim)
    return found


def _next(kept: dict[_ClaimKey, deque[Object]], claim: Object) -> Object | None:
    waiting = kept.get(_claim_key(claim))
    return waiting.popleft() if waiting else None


# -- annotations


def _kept(obj: Object, annotation: str, where: _Entries) -> list[Object]:
    """The entries that an annotation keeps, as far as the schema of such an entry allows them."""
    encoded = nested(obj, "metadata", "annotations", annotation)
    if not isinstance(encoded, str):
        return []
    try:
        entries = orjson.loads(encoded)
    except ValueError:
        return []
    return [entry for entry in entries if _is_sound(entry, _item_schema(*where))] if isinstance(entries, list) else []


def _is_sound(entry: Any, schema: CompiledSchema) -> bool:
    if not isinstance(entry, dict) or not entry.keys() <= schema.schema["properties"].keys():
        return False
    schema.prune(entry)
    schema.default(entry)
    return not schema.validate(entry)


def _keep(obj: Object, annotation: str, entries: list[Object]) -> None:
    """Write the annotation; without entries, remove it."""
    meta = obj.get("metadata")
    if not isinstance(meta, dict):
        return
    annotations = meta.get("annotations") or {}
    if entries:
        meta["annotations"] = {**annotations, annotation: orjson.dumps(entries, option=orjson.OPT_SORT_KEYS).decode()}
    elif annotation in annotations:
        meta["annotations"] = {key: value for key, value in annotations.items() if key != annotation}
        if not meta["annotations"]:
            del meta["annotations"]


@cache
def _item_schema(resource: GroupResource, version: str, path: tuple[str, str]) -> CompiledSchema:
    from kcpcache.registry.system import kcp_manifests  # which itself imports this module

    versions = kcp_manifests()[resource]["spec"]["versions"]
    schema = next(found["schema"]["openAPIV3Schema"] for found in versions if found["name"] == version)
    for name in path:
        schema = schema["properties"][name]
    return compile_schema(schema["items"])
