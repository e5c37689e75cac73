"""Defaults in a schema must be pruned and valid by themselves (documentation, "Defaulting")."""

from collections.abc import Iterator

from kcpcache.meta.errors import FieldError, field_invalid
from kcpcache.meta.objects import Object, copy
from kcpcache.schema.explain import explain
from kcpcache.schema.prune import compile_pruner
from kcpcache.schema.values import same


def check_defaults(schema: Object, path: str) -> list[FieldError]:
    """Errors of every ``default`` below ``path``; those in maps' values included. The schema is structural."""
    return list(_node(schema, path))


def _node(schema: Object, path: str) -> Iterator[FieldError]:
    default = schema.get("default")
    if default is not None:
        yield from _default(schema, default, f"{path}.default")
    if isinstance(schema.get("items"), dict):
        yield from _node(schema["items"], f"{path}.items")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from _node(schema["additionalProperties"], f"{path}.additionalProperties")
    for name, child in (schema.get("properties") or {}).items():
        yield from _node(child, f"{path}.properties[{name}]")


def _default(schema: Object, default: object, path: str) -> Iterator[FieldError]:
    if isinstance(default, dict | list):
        # The pruner works on objects: one level around the default lets it take lists as well.
        pruned = {"default": copy(default)}
        compile_pruner({"properties": {"default": schema}})(pruned)
        if not same(pruned["default"], default):
            yield field_invalid(path, default, "must not have unknown fields")
            return
    for error in explain(schema, default):
        below = error.path if error.path.startswith(("<nil>", "[")) else f".{error.path}"
        yield FieldError(error.reason, path + below.removeprefix("<nil>"), error.body)
