"""Defaults in a schema must be pruned and valid by themselves (documentation, "Defaulting")."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeAlias

from kcpcache.meta.errors import FieldError
from kcpcache.meta.go_values import go_value
from kcpcache.meta.objects import Object, copy
from kcpcache.schema.explain import explain
from kcpcache.schema.invariants import compile_embedded
from kcpcache.schema.prune import compile_pruner
from kcpcache.schema.values import ABSENT, same

_Check: TypeAlias = Callable[[Object, object, str], Iterator[FieldError]]
"""What is wrong with a default of this schema that stands at this path."""
_NAMED: Final = frozenset({"properties", "patternProperties", "definitions", "dependencies"})
_CHILDREN: Final = (
    *_NAMED,
    *("items", "allOf", "anyOf", "oneOf", "not", "additionalProperties", "additionalItems"),
)


def check_defaults(schema: Object, path: str) -> list[FieldError]:
    """Errors of every ``default`` below ``path``; the schema is structural.

    Those in maps' values are included, which Kubernetes does not look at: applied, they would make objects invalid.
    """
    if schema.get("default") is not None:  # of a whole object, which says of which type it is
        schema = {**schema, "x-kubernetes-embedded-resource": True}
    return list(_node(schema, path, _default))


def check_default_rules(schema: Object, path: str) -> list[FieldError]:
    """The same of the CEL rules that the defaults break; the schema's rules are known to be good."""
    return list(_node(schema, path, _broken_rules))


def has_default(schema: Any) -> bool:
    """Whether any schema in this one, wherever it stands, has a default. Bears any JSON."""
    waiting = [schema]
    while waiting:
        found = waiting.pop()
        if not isinstance(found, dict):
            continue
        if found.get("default") is not None:
            return True
        for keyword in _CHILDREN:
            below = found.get(keyword)
            if isinstance(below, list):
                waiting += below
            elif keyword in _NAMED and isinstance(below, dict):
                waiting += below.values()
            else:
                waiting.append(below)
    return False


def _node(schema: Object, path: str, check: _Check) -> Iterator[FieldError]:
    default = schema.get("default")
    if default is not None:
        yield from check(schema, default, f"{path}.default")
    if isinstance(schema.get("items"), dict):
        yield from _node(schema["items"], f"{path}.items", check)
    if isinstance(schema.get("additionalProperties"), dict):
        yield from _node(schema["additionalProperties"], f"{path}.additionalProperties", check)
    for name, child in (schema.get("properties") or {}).items():
        yield from _node(child, f"{path}.properties[{name}]", check)


def _broken_rules(schema: Object, default: object, path: str) -> Iterator[FieldError]:
    from kcpcache.schema.cel import compile_rules

    rules = compile_rules(schema)
    if rules is not None:
        yield from _at(path, rules(default, ABSENT))


def _at(path: str, errors: Iterable[FieldError]) -> Iterator[FieldError]:
    for error in errors:
        below = error.path if not error.path or error.path.startswith(("<nil>", "[")) else f".{error.path}"
        yield FieldError(error.reason, path + below.removeprefix("<nil>"), error.body)


def _default(schema: Object, default: object, path: str) -> Iterator[FieldError]:
    if isinstance(default, dict | list):
        # The pruner works on objects: one level around the default lets it take lists as well.
        pruned = {"default": copy(default)}
        compile_pruner({"properties": {"default": schema}})(pruned)
        if not same(pruned["default"], default):
            why = "must not have unknown fields"
            yield FieldError("FieldValueInvalid", path, f"Invalid value: {go_value(default)}: {why}")
    embedded = compile_embedded(schema)
    untyped = list(embedded(default, path)) if embedded is not None else []
    yield from untyped or _at(path, explain(schema, default))
