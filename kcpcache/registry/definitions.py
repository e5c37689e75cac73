"""Resource definitions from data: CustomResourceDefinitions and APIResourceSchemas, as plain objects."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, Literal

from kcpcache.meta.columns import CUSTOM_AGE_COLUMN, NAME_COLUMN, Column
from kcpcache.meta.names import version_order
from kcpcache.meta.objects import Object
from kcpcache.registry.resource import (
    ALL_VERBS,
    READ_VERBS,
    Conversion,
    Convert,
    NoRules,
    ResourceDefinition,
    Rules,
    Scale,
    ServedVersion,
)
from kcpcache.schema.compiled import compile_schema

Origin = Literal["builtin", "system", "crd", "bound", "virtual"]

_COLUMN: Final = "Custom resource definition column (in JSONPath format):"
_OPEN_SCHEMA: Object = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def definition_of_crd(
    crd: Mapping[str, Any],
    *,
    origin: Origin = "crd",
    rules: Rules | None = None,
    convert: Convert | None = None,
    conversion: Conversion | None = None,
    fresh: bool = False,
) -> ResourceDefinition:
    """The resource that a CRD's spec defines. The spec has passed validation and defaulting.

    ``fresh``: nobody will change the CRD, so that its schemas can be used as they are.
    """
    spec = crd["spec"]
    versions = [
        _version(spec, version, (version.get("schema") or {}).get("openAPIV3Schema") or _OPEN_SCHEMA, fresh=fresh)
        for version in spec["versions"]
    ]
    names = crd.get("status", {}).get("acceptedNames") or spec["names"]
    made = _definition(spec, names, versions, origin=origin, rules=rules, convert=convert)
    return made if conversion is None else replace(made, conversion=conversion)


def definition_of_schema(
    schema: Mapping[str, Any],
    *,
    identity_hash: str,
    virtual: bool,
    rules: Rules | None = None,
    convert: Convert | None = None,
    fresh: bool = False,
) -> ResourceDefinition:
    """The resource that an APIResourceSchema's spec defines, as it is served to those who bind it.

    ``virtual``: read-only. Otherwise ``identity_hash`` (the APIExport's) keeps its objects apart in storage. ``fresh``
    as above.
    """
    spec = schema["spec"]
    versions = [
        _version(spec, version, version.get("schema") or _OPEN_SCHEMA, fresh=fresh) for version in spec["versions"]
    ]
    return _definition(
        spec,
        spec["names"],
        versions,
        origin="virtual" if virtual else "bound",
        rules=rules,
        convert=convert,
        identity_hash=identity_hash,
    )


def _definition(
    spec: Mapping[str, Any],
    names: Mapping[str, Any],
    versions: Iterable[tuple[ServedVersion, bool]],
    *,
    origin: Origin,
    rules: Rules | None,
    convert: Convert | None,
    identity_hash: str = "",
) -> ResourceDefinition:
    listed = list(versions)
    return ResourceDefinition(
        group=spec["group"],
        plural=names["plural"],
        singular=names.get("singular") or names["kind"].lower(),
        kind=names["kind"],
        list_kind=names.get("listKind") or f"{names['kind']}List",
        namespaced=spec["scope"] == "Namespaced",
        versions=tuple(version for version, _ in listed),
        storage_version=next((version.name for version, stored in listed if stored), listed[0][0].name),
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        verbs=READ_VERBS if origin == "virtual" else ALL_VERBS,
        rules=rules or NoRules(),
        identity_hash=identity_hash,
        origin=origin,
        convert=convert,
    )


def _version(
    spec: Mapping[str, Any], version: Mapping[str, Any], schema: Object, *, fresh: bool
) -> tuple[ServedVersion, bool]:
    subresources = version.get("subresources") or {}
    scale = subresources.get("scale")
    paths = [field["jsonPath"] for field in version.get("selectableFields") or ()]
    served = ServedVersion(
        name=version["name"],
        schema=compile_schema(schema, fresh=fresh),
        columns=_columns(version.get("additionalPrinterColumns") or ()),
        subresources={n: ("get", "patch", "update") for n in ("scale", "status") if subresources.get(n) is not None},
        scale=_scale(scale) if scale else None,
        selectable_fields={path.lstrip("."): path.lstrip(".") for path in paths},
        served=bool(version.get("served", True)),
        deprecation_warning=_deprecation_warning(spec, version),
    )
    return served, bool(version.get("storage"))


def _deprecation_warning(spec: Mapping[str, Any], version: Mapping[str, Any]) -> str:
    """What requests of a deprecated version are told: its own text, else what to use instead. Of others ""."""
    if not version.get("deprecated"):
        return ""
    if version.get("deprecationWarning"):
        return str(version["deprecationWarning"])
    group, kind, name = spec["group"], spec["names"]["kind"], version["name"]
    others = [found["name"] for found in spec["versions"] if found.get("served", True) and not found.get("deprecated")]
    better = min(
        (other for other in others if version_order(other) < version_order(name)), key=version_order, default=""
    )
    warning = f"{group}/{name} {kind} is deprecated"
    return f"{warning}; use {group}/{better} {kind}" if better else warning


def _columns(columns: Iterable[Mapping[str, Any]]) -> tuple[Column, ...]:
    found = [
        Column(
            column["name"],
            column["type"],
            column.get("format") or "",
            column.get("description") or f"{_COLUMN} {column['jsonPath']}",
            column.get("priority") or 0,
            column["jsonPath"],
        )
        for column in columns
    ]
    return (NAME_COLUMN, *found) if found else (NAME_COLUMN, CUSTOM_AGE_COLUMN)


def _scale(scale: Mapping[str, Any]) -> Scale:
    return Scale(scale["specReplicasPath"], scale["statusReplicasPath"], scale.get("labelSelectorPath") or "")
