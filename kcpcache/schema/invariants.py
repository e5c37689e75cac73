"""What a schema demands beyond JSON Schema: unique items in sets and maps, and types of embedded resources.

Closures are compiled once per schema and only go where a list type or an embedded resource lies below.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from kcpcache.meta.errors import FieldError, field_duplicate, field_invalid, field_required
from kcpcache.meta.names import kind_errors
from kcpcache.meta.object_meta import annotation_errors, drop_invalid, drop_unknown, label_errors, type_errors
from kcpcache.meta.objects import Object
from kcpcache.schema.values import as_go_reads, canonical, map_key

Check: TypeAlias = Callable[[Any, str], Iterator[FieldError]]
"""Yields what is wrong with a value at a path."""


def compile_list_types(schema: Object) -> Check | None:
    """Checks ``x-kubernetes-list-type: set`` and ``map`` for duplicates; None where there are no such lists."""
    return _compile(schema, _list_type)


def compile_embedded(schema: Object) -> Check | None:
    """Checks apiVersion, kind, labels and annotations of embedded resources; None where there are none."""
    return _compile(schema, _embedded)


def compile_embedded_repair(schema: Object) -> Check | None:
    """Drops, in place, what can be no apiVersion, kind or metadata of embedded resources; blames nothing.

    None where there are none.
    """
    return _compile(schema, _repaired)


def _compile(schema: Object, node_check: Callable[[Object], Check | None]) -> Check | None:
    here = node_check(schema)
    children = {
        name: below
        for name, child in (schema.get("properties") or {}).items()
        if (below := _compile(child, node_check)) is not None
    }
    additional, items = schema.get("additionalProperties"), schema.get("items")
    others = _compile(additional, node_check) if isinstance(additional, dict) else None
    item_check = _compile(items, node_check) if isinstance(items, dict) else None
    declared = frozenset(schema.get("properties") or ())
    if here is None and not children and others is None and item_check is None:
        return None

    def check(value: Any, path: str) -> Iterator[FieldError]:
        if here is not None:
            yield from here(value, path)
        if isinstance(value, list):
            if item_check is not None:
                for index, item in enumerate(value):
                    yield from item_check(item, f"{path}[{index}]")
            return
        if not isinstance(value, dict):
            return
        for name, child in children.items():
            if name in value:
                yield from child(value[name], f"{path}.{name}" if path else name)
        if others is not None:
            for name, item in value.items():
                if name not in declared:
                    yield from others(item, f"{path}[{name}]")

    return check


def _list_type(schema: Object) -> Check | None:
    match schema.get("x-kubernetes-list-type"):
        case "set":
            return _set_check
        case "map":
            keys: list[str] = schema.get("x-kubernetes-list-map-keys") or []

            return lambda value, path: _map_check(value, path, keys)
        case _:
            return None


def _set_check(value: Any, path: str) -> Iterator[FieldError]:
    if not isinstance(value, list) or len(value) <= 1:
        return
    yield from (field_duplicate(f"{path}[{index}]", as_go_reads(value[index])) for index in _repeated(value, canonical))


def _map_check(value: Any, path: str, keys: list[str]) -> Iterator[FieldError]:
    if not isinstance(value, list):
        return
    for index, item in enumerate(value):
        if item is not None and not isinstance(item, dict):
            yield field_invalid(
                f"{path}[{index}]", as_go_reads(item), "must be an object for an array of list-type map"
            )
            return
    for index in _repeated([item or {} for item in value], lambda item: map_key(item, keys)):
        item = value[index] or {}
        yield field_duplicate(f"{path}[{index}]", {key: item[key] for key in keys if key in item})


def _repeated(values: list[Any], identify: Callable[[Any], bytes]) -> list[int]:
    """Where an identity stands for the second time; a third time is not reported again."""
    times: dict[bytes, int] = {}
    repeated = []
    for index, value in enumerate(values):
        identity = identify(value)
        times[identity] = times.get(identity, 0) + 1
        if times[identity] == 2:  # noqa: PLR2004 - the second time
            repeated.append(index)
    return repeated


def _embedded(schema: Object) -> Check | None:
    return _embedded_check if schema.get("x-kubernetes-embedded-resource") is True else None


def _embedded_check(value: Any, path: str) -> Iterator[FieldError]:
    if not isinstance(value, dict):
        return
    api_version, kind = (_text(value.get(name)) for name in ("apiVersion", "kind"))
    for name, given in (("apiVersion", api_version), ("kind", kind)):
        if not given:
            yield field_required(f"{path}.{name}", "must not be empty")
    if api_version.count("/") > 1:
        yield field_invalid(f"{path}.apiVersion", api_version, f"unexpected GroupVersion string: {api_version}")
    if kind:
        yield from (field_invalid(f"{path}.kind", kind, error) for error in kind_errors(kind))
    meta = value.get("metadata", {})
    if not isinstance(meta, dict):
        yield field_invalid(f"{path}.metadata", meta, "must be an object")
    elif errors := type_errors(meta):
        yield from (FieldError(error.reason, f"{path}.{error.path}", error.body) for error in errors)
    else:
        yield from label_errors(meta.get("labels") or {}, f"{path}.metadata.labels")
        yield from annotation_errors(meta.get("annotations") or {}, f"{path}.metadata.annotations")


def _repaired(schema: Object) -> Check | None:
    return _repair if schema.get("x-kubernetes-embedded-resource") is True else None


def _repair(value: Any, _path: str) -> Iterator[FieldError]:
    if isinstance(value, dict):
        for name, kind in (("apiVersion", str), ("kind", str), ("metadata", dict)):
            if not isinstance(value.get(name, kind()), kind):
                del value[name]
        if "metadata" in value:
            drop_invalid(value["metadata"])
            drop_unknown(value["metadata"])
    yield from ()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
