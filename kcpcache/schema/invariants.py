"""What a schema demands beyond JSON Schema: unique items in sets and maps, and types of embedded resources.

Closures are compiled once per schema and only go where a list type or an embedded resource lies below.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias, TypeVar

from kcpcache.meta.errors import FieldError, field_duplicate, field_invalid, field_required
from kcpcache.meta.names import kind_errors, path_segment_errors
from kcpcache.meta.object_meta import drop_invalid, type_errors
from kcpcache.meta.object_meta import errors as object_meta_errors
from kcpcache.meta.objects import Object
from kcpcache.schema.values import ABSENT, INT64, as_go_reads, canonical

Check: TypeAlias = Callable[[Any, str], Iterator[FieldError]]
"""Yields what is wrong with a value at a path."""
Places: TypeAlias = Callable[[Any, str], Iterator[tuple[str, Object]]]
"""Yields paths and objects; each may be changed in place before the next is asked for."""

_T = TypeVar("_T")
_Walk: TypeAlias = Callable[[Any, str], Iterator[_T]]


def compile_list_types(schema: Object) -> Check | None:
    """Checks ``x-kubernetes-list-type: set`` and ``map`` for duplicates; None where there are no such lists."""
    return _compile(schema, _list_type)


def compile_embedded(schema: Object) -> Check | None:
    """Checks apiVersion, kind, labels and annotations of embedded resources; None where there are none."""
    return _compile(schema, _embedded)


def compile_embedded_places(schema: Object) -> Places | None:
    """Finds the embedded resources, the outer ones first; None where there are none."""
    return _compile(schema, _placed)


def compile_embedded_repair(schema: Object) -> Check | None:
    """Drops, in place, what can be no apiVersion, kind or metadata of embedded resources; blames nothing.

    None where there are none.
    """
    return _compile(schema, _repaired)


def _compile(schema: Object, node_check: Callable[[Object], _Walk[_T] | None]) -> _Walk[_T] | None:
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

    def check(value: Any, path: str) -> Iterator[_T]:
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
    yield from (field_duplicate(f"{path}[{index}]", as_go_reads(value[index])) for index in _repeated(value, _identity))


def _map_check(value: Any, path: str, keys: list[str]) -> Iterator[FieldError]:
    if not isinstance(value, list):
        return
    for index, item in enumerate(value):
        if item is not None and not isinstance(item, dict):
            yield field_invalid(
                f"{path}[{index}]", as_go_reads(item), "must be an object for an array of list-type map"
            )
            return
    for index in _repeated([item or {} for item in value], lambda item: _key_identity(item, keys)):
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


def _identity(value: Any) -> bytes:
    """Go tells scalars apart by type and value, 1 from 1.0, and all else by its JSON, where 1.0 is written as 1."""
    if isinstance(value, dict | list):
        return canonical(_as_go_writes(value))
    value = as_go_reads(value)
    return canonical(value + 0.0 if type(value) is float else value)  # -0.0 is 0.0


def _key_identity(item: Object, keys: list[str]) -> bytes:
    """A single key is told apart as it is, several by their JSON."""
    if len(keys) == 1:
        return _identity(item[keys[0]]) if keys[0] in item else b""
    return canonical({key: _as_go_writes(item[key]) for key in keys if key in item})


def _as_go_writes(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _as_go_writes(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_as_go_writes(item) for item in value]
    value = as_go_reads(value)
    return int(value) if type(value) is float and value.is_integer() and int(value) in INT64 else value


def _embedded(schema: Object) -> Check | None:
    return _embedded_check if schema.get("x-kubernetes-embedded-resource") is True else None


def _embedded_check(value: Any, path: str) -> Iterator[FieldError]:
    if not isinstance(value, dict):
        return
    for name in ("apiVersion", "kind"):
        given = value.get(name, ABSENT)
        if given is ABSENT:
            yield field_required(f"{path}.{name}", "must not be empty")
        elif not isinstance(given, str):
            yield field_invalid(f"{path}.{name}", given, "must be a string")
        elif not given:
            yield field_invalid(f"{path}.{name}", given, "must not be empty")
        elif name == "kind":
            yield from (field_invalid(f"{path}.kind", given, error) for error in kind_errors(given))
        elif given.count("/") > 1:
            yield field_invalid(f"{path}.apiVersion", given, f"unexpected GroupVersion string: {given}")
    yield from _embedded_metadata_check(value.get("metadata"), path)


def _embedded_metadata_check(meta: Any, path: str) -> Iterator[FieldError]:
    """As of any object, which may have no name."""
    if meta is None:
        return
    if not isinstance(meta, dict):
        yield field_invalid(f"{path}.metadata", meta, "must be an object")
        return
    found = type_errors(meta)
    if not found:
        named = {name: item for name, item in meta.items() if item is not None}
        named["name"] = named.get("name") or "unnamed"
        for key in ("labels", "annotations"):  # Go reads a null for a text as an empty one
            named[key] = {name: "" if item is None else item for name, item in named.get(key, {}).items()}
        found = object_meta_errors(named, namespaced=bool(named.get("namespace")), check_name=path_segment_errors)
    yield from (FieldError(error.reason, f"{path}.{error.path}", error.body) for error in found)


def _placed(schema: Object) -> Places | None:
    return _place if schema.get("x-kubernetes-embedded-resource") is True else None


def _place(value: Any, path: str) -> Iterator[tuple[str, Object]]:
    if isinstance(value, dict):
        yield path, value


def _repaired(schema: Object) -> Check | None:
    return _repair if schema.get("x-kubernetes-embedded-resource") is True else None


def _repair(value: Any, _path: str) -> Iterator[FieldError]:
    if isinstance(value, dict):
        for name in ("apiVersion", "kind"):
            if not isinstance(value.get(name, ""), str):
                del value[name]
        meta = value.get("metadata")
        if isinstance(meta, dict):
            drop_invalid(meta)
        elif meta is not None:  # null and what is empty may be written, and stays
            del value["metadata"]
    yield from ()
