"""Pruning: dropping what the schema does not know, with closures compiled once per schema.

Follows the Kubernetes documentation, "Field pruning": ``x-kubernetes-preserve-unknown-fields`` switches it off for
one level, ``properties`` below switch it on again, ``x-kubernetes-embedded-resource`` keeps the type and metadata.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

from kcpcache.meta.object_meta import METADATA_FIELDS
from kcpcache.meta.objects import Object

Pruner: TypeAlias = Callable[[Any], list[str] | None]
"""Prunes a dict or list in place; the paths of what went, relative to it (``.a``, ``[0].b``), or None."""

META_FIELDS = frozenset({"apiVersion", "kind", "metadata"})
"""What every object and every embedded resource has, whatever its schema says."""


def compile_pruner(schema: Object) -> Callable[[Object], list[str]]:
    """A function that prunes an object of this schema in place and returns the sorted paths of what it dropped.

    ``apiVersion``, ``kind`` and ``metadata`` at the root stay as they are. Paths read like ``spec.list[0].bar``.
    The schema has passed ``check_structural``; the object may be any JSON.
    """
    prune = _compile(schema, root=True)

    def pruned(obj: Object) -> list[str]:
        dropped = prune(obj)
        return sorted(path.removeprefix(".") for path in dropped) if dropped else []

    return pruned


def _compile(schema: Object | None, *, root: bool = False) -> Pruner:
    if not schema:
        return _drop_all
    preserve = schema.get("x-kubernetes-preserve-unknown-fields") is True
    properties = {name: _compile(child) for name, child in (schema.get("properties") or {}).items()}
    embedded = schema.get("x-kubernetes-embedded-resource") is True
    kept = META_FIELDS if root or embedded else frozenset()
    if embedded and not root:
        kept, properties = kept - {"metadata"}, {**properties, "metadata": _prune_metadata}
    additional = schema.get("additionalProperties")
    others: Pruner | None = None
    if additional is not None:
        others = _compile(additional) if isinstance(additional, dict) else _drop_all
    prune_object = _object_pruner(properties, kept, others, preserve=preserve)
    items = schema.get("items")
    if preserve:
        if not properties and others is None and not isinstance(items, dict):
            return _keep_all
        item = _compile(items | {"x-kubernetes-preserve-unknown-fields": True}) if items else _keep_all
    else:
        item = _compile(items) if items else _drop_all

    def prune(value: Any) -> list[str] | None:
        if type(value) is dict:
            return prune_object(value)
        return _prune_items(value, item) if value else None

    return prune


def _prune_metadata(value: Any) -> list[str] | None:
    """Of an embedded resource: what ObjectMeta does not have."""
    unknown = [name for name in value if name not in METADATA_FIELDS] if isinstance(value, dict) else []
    for name in unknown:
        del value[name]
    return [f".{name}" for name in unknown]


def _object_pruner(
    properties: dict[str, Pruner], kept: frozenset[str], others: Pruner | None, *, preserve: bool
) -> Pruner:
    def prune(obj: Object) -> list[str]:
        dropped: list[str] = []
        unknown: list[str] = []
        for key, value in obj.items():
            if key in kept:
                continue
            child = properties.get(key, others)
            if child is None:
                if not preserve:
                    unknown.append(key)
            elif (type(value) is dict or type(value) is list) and (below := child(value)):
                dropped.extend(f".{key}{path}" for path in below)
        for key in unknown:
            del obj[key]
            dropped.append(f".{key}")
        return dropped

    return prune


def _prune_items(items: list[Any], prune_item: Pruner) -> list[str] | None:
    dropped: list[str] = []
    for index, value in enumerate(items):
        if type(value) is dict or type(value) is list:
            below = prune_item(value)
            if below:
                dropped.extend(f"[{index}]{path}" for path in below)
    return dropped


def _keep_all(_value: Any) -> None:
    return None


def _drop_all(value: Any) -> list[str] | None:
    """What has no schema cannot have known fields; the containers themselves stay, for validation to judge."""
    if type(value) is dict:
        dropped = [f".{key}" for key in value]
        value.clear()
        return dropped
    pending, dropped = [("", value)], []
    while pending:
        path, container = pending.pop()
        for index, item in enumerate(container):
            if type(item) is dict:
                dropped.extend(f"{path}[{index}].{key}" for key in item)
                item.clear()
            elif type(item) is list:
                pending.append((f"{path}[{index}]", item))
    return dropped
