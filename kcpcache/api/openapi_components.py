"""The schemas of an OpenAPI document: built-in types by their known names, custom ones under names made for them."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

from kcpcache.meta.names import api_version
from kcpcache.meta.objects import Object
from kcpcache.registry.builtin.schema import openapi_components
from kcpcache.registry.resource import ResourceDefinition, ServedVersion
from kcpcache.schema.openapi import published_v3, selectable_fields

REFERENCE: Final = "#/components/schemas/"
META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1"
PATCH: Final = f"{META}.Patch"
STATUS: Final = f"{META}.Status"
DELETE_OPTIONS: Final = f"{META}.DeleteOptions"
LIST_META: Final = f"{META}.ListMeta"
_PATCH_SCHEMA: Final = {"type": "object", "description": "A patch; its form is that of the request's Content-Type."}
_GVK: Final = "x-kubernetes-group-version-kind"
_WORD: Final = re.compile(r"[A-Za-z0-9_]+")

Kind = tuple[str, str, str]
"""Group, version, kind."""


@cache
def _builtin_names() -> Mapping[Kind, str]:
    return {
        (gvk["group"], gvk["version"], gvk["kind"]): name
        for name, schema in openapi_components().items()
        for gvk in schema.get(_GVK, ())
    }


def reference(name: str) -> Object:
    """A ``$ref`` to a schema of the document."""
    return {"$ref": REFERENCE + name}


class Components:
    """Collects what a document's paths refer to. ``empty``: for paths that are not of a resource."""

    def __init__(self, *, empty: bool = False) -> None:
        self._own: dict[str, Object] = {} if empty else {PATCH: _PATCH_SCHEMA}
        self._wanted: set[str] = set() if empty else {PATCH, STATUS, DELETE_OPTIONS, LIST_META}

    def known(self, name: str, schemas: Mapping[str, Object]) -> str:
        """``name``, whose schema and those that it refers to are in ``schemas`` and now part of the document."""
        self._own.update(schemas)
        self._wanted.add(name)
        return name

    def kind(self, definition: ResourceDefinition, served: ServedVersion) -> str:
        """The name of the resource's schema, which is now part of the document."""
        gvk = (definition.group, served.name, definition.kind)
        known = self.named(gvk) if definition.origin == "builtin" else None
        if known is not None:
            return known
        name = custom_name(definition.group, served.name, definition.kind)
        if name not in self._own:
            self._own[name] = published_v3(served.schema.schema, gvk) | _selectable(definition, served)
        self._wanted.add(name)
        return name

    def named(self, gvk: Kind) -> str | None:
        """The name of a built-in kind's schema, which is now part of the document; None where it is not built in."""
        name = _builtin_names().get(gvk)
        if name is not None:
            self._wanted.add(name)
        return name

    def list_of(self, definition: ResourceDefinition, served: ServedVersion) -> str:
        """The name of the schema of the resource's list, which is now part of the document."""
        gvk = (definition.group, served.name, definition.list_kind)
        known = self.named(gvk) if definition.origin == "builtin" else None
        if known is not None:
            return known
        name = custom_name(definition.group, served.name, definition.list_kind)
        if name not in self._own:
            item = self.kind(definition, served)
            self._own[name] = _list_schema(gvk, definition.kind, item) | _selectable(definition, served)
        self._wanted.add(name)
        return name

    def closure(self) -> Object:
        """All schemas that are referred to, directly or by others, in order of their names."""
        builtin = openapi_components()
        found: Object = {}
        waiting = sorted(self._wanted)
        while waiting:
            name = waiting.pop()
            if name in found:
                continue
            schema = self._own.get(name) or builtin.get(name) or {"type": "object"}
            found[name] = schema
            waiting += [target for target in references(schema) if target not in found]
        return {name: found[name] for name in sorted(found)}


def custom_name(group: str, version: str, kind: str) -> str:
    """``com.example.stable.v1.CronTab``: the group's parts in reverse, as kube-apiserver names custom types."""
    return ".".join([*reversed(group.split(".")), version, kind])


def _selectable(definition: ResourceDefinition, served: ServedVersion) -> Object:
    custom = definition.origin != "builtin"
    return selectable_fields(served.selectable_fields if custom else ())


def _list_schema(gvk: Kind, kind: str, item: str) -> Object:
    group, version, list_kind = gvk
    return {
        "type": "object",
        "description": f"{list_kind} is a list of {kind}",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"Version of the API: {api_version(group, version)}."},
            "kind": {"type": "string", "description": "Kind of the list."},
            "metadata": {"allOf": [reference(LIST_META)], "description": "Standard list metadata."},
            "items": {"type": "array", "items": {"allOf": [reference(item)]}, "description": "The objects."},
        },
        _GVK: [{"group": group, "version": version, "kind": list_kind}],
    }


def references(schema: Any) -> Iterator[str]:
    """The names of the schemas that a schema refers to."""
    waiting = [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            target = value.get("$ref")
            if isinstance(target, str) and target.startswith(REFERENCE):
                yield target.removeprefix(REFERENCE)
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
