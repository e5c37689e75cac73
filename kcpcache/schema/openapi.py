"""The OpenAPI schema that is published for a version of a CustomResourceDefinition.

Clients (``kubectl explain``, client-side validation) expect kube-apiserver's form: type and metadata added, the kind
named in ``x-kubernetes-group-version-kind``. Documents with paths are built elsewhere.
"""

from collections.abc import Iterable
from typing import Any

from kcpcache.meta.objects import Object, copy

OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
"""The name under which the document must define ObjectMeta."""

_PREFIXES = {2: "#/definitions/", 3: "#/components/schemas/"}
_CONVENTIONS = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md"
_DESCRIPTIONS = {
    "apiVersion": "APIVersion defines the versioned schema of this representation of an object. Servers should convert "
    "recognized schemas to the latest internal value, and may reject unrecognized values. More info: "
    f"{_CONVENTIONS}#resources",
    "kind": "Kind is a string value representing the REST resource this object represents. Servers may infer this from "
    f"the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: {_CONVENTIONS}"
    "#types-kinds",
    "metadata": f"Standard object's metadata. More info: {_CONVENTIONS}#metadata",
}
_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_EMBEDDED = "x-kubernetes-embedded-resource"
_VERSION_3_ONLY = ("allOf", "anyOf", "oneOf", "not", "nullable", "default")


def published_v3(schema: Object | None, gvk: tuple[str, str, str]) -> Object:
    """The schema for ``/openapi/v3`` of a (group, version, kind); None for a kind without a schema.

    Refers to ``#/components/schemas/`` + OBJECT_META. What is an integer or a string says so in words that every
    client knows, too. The given schema is structural and stays as it is.
    """
    if schema is None:
        return {"type": "object"} | _kind_of(gvk)
    out = copy(schema)
    _spell_int_or_string(out)
    _add_embedded(out, 3)
    _add_resource_fields(out, 3)
    return out | _kind_of(gvk)


def published_v2(schema: Object | None, gvk: tuple[str, str, str]) -> Object:
    """The same for ``/openapi/v2``: without what OpenAPI 2 cannot say, or old kubectls stumble over.

    Refers to ``#/definitions/`` + OBJECT_META. A schema that preserves unknown fields at its root is published as a
    bare object, as kubectl would otherwise refuse these fields.
    """
    if schema is None or schema.get(_PRESERVE) is True:
        return {"type": "object"} | _kind_of(gvk)
    out = copy(schema)
    _reduce_to_v2(out)
    _add_embedded(out, 2)
    _add_resource_fields(out, 2)
    return out | _kind_of(gvk)


def selectable_fields(paths: Iterable[str]) -> Object:
    """What a kind and its list say of the fields to select by, given as ``spec.name``; nothing where there are none."""
    listed = [{"fieldPath": path} for path in paths]
    return {"x-kubernetes-selectable-fields": listed} if listed else {}


def _spell_int_or_string(schema: Object) -> None:
    for child in _children(schema):
        _spell_int_or_string(child)
    if schema.get("x-kubernetes-int-or-string") is not True:
        return
    either = [{"type": "integer"}, {"type": "string"}]
    spelled = schema.get("anyOf"), *(branch.get("anyOf") for branch in (schema.get("allOf") or ())[:1])
    if either in spelled:
        return
    if schema.get("anyOf"):
        schema["allOf"] = [{"anyOf": either}, *(schema.get("allOf") or ())]
    else:
        schema["anyOf"] = either


def _kind_of(gvk: tuple[str, str, str]) -> Object:
    group, version, kind = gvk
    return {"x-kubernetes-group-version-kind": [{"group": group, "kind": kind, "version": version}]}


def _children(schema: Object) -> list[Object]:
    children: list[Any] = [
        *(schema.get("properties") or {}).values(),
        schema.get("items"),
        schema.get("additionalProperties"),
    ]
    return [child for child in children if isinstance(child, dict)]


def _add_resource_fields(schema: Object, version: int) -> None:
    properties = schema.setdefault("properties", {})
    for name in ("apiVersion", "kind"):
        properties[name] = {"description": _DESCRIPTIONS[name], "type": "string"}
    reference = _PREFIXES[version] + OBJECT_META
    # A $ref of version 3 has no siblings: the description needs an allOf around it.
    metadata: Object = {"$ref": reference} if version == 2 else {"allOf": [{"$ref": reference}]}  # noqa: PLR2004
    properties["metadata"] = metadata | {"description": _DESCRIPTIONS["metadata"]}


def _add_embedded(schema: Object, version: int) -> None:
    for child in _children(schema):
        _add_embedded(child, version)
    if schema.get(_EMBEDDED) is not True or (version == 2 and schema.get(_PRESERVE) is True):  # noqa: PLR2004
        return
    _add_resource_fields(schema, version)
    required = schema.setdefault("required", [])
    required.extend(name for name in ("kind", "apiVersion") if name not in required)


def _reduce_to_v2(schema: Object) -> None:
    nullable = [name for name, child in (schema.get("properties") or {}).items() if child.get("nullable") is True]
    additional = schema.get("additionalProperties")
    if isinstance(additional, dict) and additional.get("nullable") is True:
        schema.pop("required", None)
    required = [name for name in schema.get("required") or () if name not in nullable]
    schema.pop("required", None)
    if required:
        schema["required"] = required
    untyped = schema.get("nullable") is True
    loose = schema.get(_PRESERVE) is True
    for keyword in _VERSION_3_ONLY:
        schema.pop(keyword, None)
    if untyped or loose:
        # kubectl takes the properties and items of what may be anything for the whole truth.
        schema.pop("items", None)
        schema.pop("properties", None)
    no_items = schema.get("type") == "array" and "items" not in schema
    if untyped or no_items or (loose and schema.get("type") == "object"):
        schema.pop("type", None)
    for child in _children(schema):
        _reduce_to_v2(child)
