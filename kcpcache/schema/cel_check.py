"""Whether the CEL rules of a schema can be served: they compile, fit the schema's types, and cannot cost too much."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from kcpcache.meta.errors import FieldError, field_forbidden, field_invalid
from kcpcache.meta.objects import Object
from kcpcache.schema.cel_environment import CompileError, InstantiationError, MisplacedError, compile_expression
from kcpcache.schema.cel_estimate import estimate
from kcpcache.schema.cel_shape import MAX_REQUEST_BYTES, is_known, is_map, min_bytes
from kcpcache.schema.cel_text import uses_old_self
from kcpcache.schema.cel_types import Types

_MAX_RULES = 1_000
_MAX_COST, _MAX_TOTAL_COST = 10_000_000, 100_000_000
"""Of one rule, and of all rules of a schema, in the units of ``cel_estimate``."""
_NAMED, _MOST_NAMED = 0.01, 4
"""Of rules that together cost too much, at most so many are named, each of at least this part of the limit."""
_HINT = (
    "try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, "
    "and strings are declared"
)
_MANY, _FEW = 100, 1.5
_UNTYPED = (
    "Internal error: internal error: failed to construct type information for x-kubernetes-validations rules: "
    "unable to convert structural schema to CEL declarations"
)
_NO_OVERLOAD = "found no matching overload"


@dataclass(frozen=True, slots=True)
class _Node:
    """A node of the schema that has rules.

    ``uncorrelatable`` is the path of the list above, if any, whose items have no old counterpart; ``count`` is how
    often the node can occur in an object, None where a list or map above does not say; ``kind`` is for ``Types``.
    """

    schema: Object
    path: str
    root: bool
    uncorrelatable: str | None
    count: int | None
    kind: int

    @property
    def most(self) -> int:
        """The largest number of such values in an object."""
        return MAX_REQUEST_BYTES // (min_bytes(self.schema, root=self.root) + 1) if self.count is None else self.count


@dataclass(slots=True)
class _Spent:
    """What all rules of the schema cost, each with its path."""

    costs: list[tuple[int, str]] = field(default_factory=list)

    def errors(self, path: str) -> Iterator[FieldError]:
        total = sum(cost for cost, _ in self.costs)
        if total <= _MAX_TOTAL_COST:
            return
        dear = [entry for entry in self.costs if entry[0] >= _MAX_TOTAL_COST * _NAMED]
        for _, rule in sorted(dear, key=lambda entry: -entry[0])[:_MOST_NAMED]:
            why = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"
            yield field_forbidden(rule, why)
        name = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema"
        yield field_forbidden(path, _too_dear(name, total, _MAX_TOTAL_COST))


def check_rules(schema: Object, path: str) -> list[FieldError]:
    """Errors of all ``x-kubernetes-validations``. The schema is otherwise valid."""
    count = _count(schema)
    if count == 0:
        return []
    if count > _MAX_RULES:
        return [field_forbidden(path, f"must not have more than {_MAX_RULES} x-kubernetes-validations rules")]
    types, spent = Types(), _Spent()
    nodes = list(_nodes(schema, path, types, root=True))
    errors = [error for node in nodes for error in _node(node, types, spent)]
    return [*errors, *spent.errors(path)]


def _count(schema: Object) -> int:
    children = [*(schema.get("properties") or {}).values(), schema.get("items"), schema.get("additionalProperties")]
    return len(schema.get("x-kubernetes-validations") or ()) + sum(
        _count(child) for child in children if isinstance(child, dict)
    )


def _nodes(
    schema: Object, path: str, types: Types, lost: str | None = None, count: int | None = 1, *, root: bool = False
) -> Iterator[_Node]:
    for name, child in (schema.get("properties") or {}).items():
        yield from _nodes(child, f"{path}.properties[{name}]", types, lost, count)
    if is_map(schema):
        more = _times(count, schema.get("maxProperties"))
        yield from _nodes(schema["additionalProperties"], f"{path}.additionalProperties", types, lost, more)
    if isinstance(schema.get("items"), dict):
        uncorrelatable = None if schema.get("x-kubernetes-list-type") == "map" else path
        more = _times(count, schema.get("maxItems"))
        yield from _nodes(schema["items"], f"{path}.items", types, lost or uncorrelatable, more)
    if schema.get("x-kubernetes-validations"):
        yield _Node(schema, path, root, lost, count, types.declare(schema, root=root))


def _times(count: int | None, limit: float | None) -> int | None:
    return None if count is None or limit is None else count * int(limit)


def _node(node: _Node, types: Types, spent: _Spent) -> Iterator[FieldError]:
    if not is_known(node.schema):
        yield FieldError("InternalError", f"{node.path}.x-kubernetes-validations", _UNTYPED)
        return
    for index, rule in enumerate(node.schema["x-kubernetes-validations"]):
        at = f"{node.path}.x-kubernetes-validations[{index}]"
        yield from _expression(node, rule, "rule", at, types, spent)
        if rule.get("messageExpression"):
            yield from _expression(node, rule, "messageExpression", at, types, spent)
        if uses_old_self(rule["rule"]):
            if node.uncorrelatable is not None:
                why = f"oldSelf cannot be used on the uncorrelatable portion of the schema within {node.uncorrelatable}"
                yield field_invalid(f"{at}.rule", rule["rule"], why)
        elif rule.get("optionalOldSelf") is not None:
            why = "may not be set if oldSelf is not used in rule"
            yield field_invalid(f"{at}.optionalOldSelf", rule["optionalOldSelf"], why)


def _expression(
    node: _Node, rule: Object, keyword: str, path: str, types: Types, spent: _Spent
) -> Iterator[FieldError]:
    """Errors of a rule, or of the expression of its message, which is evaluated once at most."""
    is_rule = keyword == "rule"
    wanted, subject, prefix, times = (
        ("bool", "cel expression", "", node.most) if is_rule else ("string", keyword, f"{keyword} ", 1)
    )
    optional, at = rule.get("optionalOldSelf") is True, f"{path}.{keyword}"
    try:
        try:
            compile_expression(rule[keyword], wanted, optional_old_self=optional)
        except CompileError as error:
            if not (isinstance(error, MisplacedError) or str(error) == wanted or _NO_OVERLOAD in str(error)):
                raise
            types.check(rule[keyword], node.kind, optional_old_self=optional)  # knows better what is wrong
            raise
        checked = types.check(rule[keyword], node.kind, optional_old_self=optional)
    except CompileError as error:
        mistyped = str(error) == wanted
        why = f"{subject} must evaluate to a {wanted}" if mistyped else f"{prefix}{error.step} failed: {error}"
        if isinstance(error, InstantiationError) and is_rule:
            why = f"program {why}"
        yield field_invalid(at, rule, why)
        return
    if checked.result not in {wanted, ""}:
        yield field_invalid(at, rule, f"{subject} must evaluate to a {wanted}")
    elif checked.tree is not None:
        cost = estimate(checked.tree, node.schema, root=node.root) * times
        spent.costs.append((cost, at))
        if cost > _MAX_COST:
            yield field_forbidden(at, _too_dear(f"estimated {keyword} cost", cost, _MAX_COST))


def _too_dear(what: str, cost: int, limit: int) -> str:
    factor = cost / limit
    shown = f"more than {_MANY}" if factor > _MANY else f"{factor:f}" if factor < _FEW else f"{factor:.1f}"
    return f"{what} exceeds budget by factor of {shown}x ({_HINT})"
