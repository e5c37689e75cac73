"""What a rule may cost in the worst case that its schema allows, as Kubernetes estimates it before it takes a CRD.

Documentation: "Resource use by validation functions". The units are those of cel-go, not those of ``cel_cost``. Where
the size of something is unknown it counts nothing, so that the estimate never exceeds that of Kubernetes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import TypeAlias

from kcpcache.meta.objects import Object
from kcpcache.schema.cel_shape import fields, is_map, is_text, max_size
from kcpcache.schema.cel_tree import Call, Collection, Comprehension, Ident, Literal, Node, Select

_CREATE_LIST, _CREATE_MAP, _CREATE_MESSAGE = 10, 30, 40
_TRAVERSED, _PATTERN = 0.1, 0.25
"""Units for one character of a string that is looked at, and of a regular expression."""
_KEY: Object = {"type": "string", "maxLength": 0}
_TEXT = frozenset({"string", "bytes"})
_SCALARS = frozenset({"bool", "int", "uint", "double"})
_ORDER = frozenset({"_<_", "_<=_", "_>_", "_>=_"})


@dataclass(frozen=True, slots=True)
class Value:
    """What is known of an expression's value: the most items or bytes in it (None: unknown), its place in the schema.

    ``cost`` is that of getting it. ``literal`` is whether it is written out, and so never smaller than ``size``.
    """

    cost: int
    size: int | None = None
    schema: Object | None = None
    root: bool = False
    literal: bool = False

    @property
    def most(self) -> int:
        """The size, where it is known."""
        return self.size or 0


def estimate(tree: Node, schema: Object, *, root: bool) -> int:
    """The worst-case cost of a rule on a node of the schema."""
    own = _place(0, schema, root=root)
    return _Estimator({"self": own, "oldSelf": own}).value(tree).cost


class _Estimator:
    def __init__(self, variables: dict[str, Value]) -> None:
        self._variables = variables

    def value(self, node: Node) -> Value:
        match node:
            case Literal():
                return Value(0, node.size, literal=True)
            case Ident():
                known = self._variables.get(node.name)
                return Value(1) if known is None else Value(1, known.size, known.schema, known.root)
            case Select():
                return self._select(node)
            case Call():
                return self._call(node)
            case Collection():
                base = {"list": _CREATE_LIST, "map": _CREATE_MAP}.get(node.kind, _CREATE_MESSAGE)
                return Value(base + sum(self.value(part).cost for part in node.parts), node.size, literal=True)
            case Comprehension():
                return self._comprehension(node)

    def _select(self, node: Select) -> Value:
        if node.test:
            return Value(0)
        operand = self.value(node.operand)
        object_ = node.operand.kind in {"map", "message"} or (operand.schema or {}).get("type") == "object"
        cost = operand.cost + object_
        if operand.schema is None:
            return Value(cost)
        if is_map(operand.schema):
            return _place(cost, operand.schema["additionalProperties"])
        child = fields(operand.schema, root=operand.root).get(node.field)
        return Value(cost) if child is None else _place(cost, child)

    def _comprehension(self, node: Comprehension) -> Value:
        over, start = self.value(node.range), self.value(node.start)
        outer = self._variables
        if node.binds:
            self._variables = {**outer, node.accumulator: Value(0)}
            result = self.value(node.result)
            self._variables = outer
            return Value(over.cost + start.cost + result.cost)
        items, keys = _items(over), _keys(over)
        first, second = node.variables
        mapped = node.range.kind == "map" if over.schema is None else over.schema.get("type") != "array"
        loop = {first: keys, second: items} if second else {first: keys if mapped else items}
        self._variables = {**outer, node.accumulator: Value(0), **loop}
        each = self.value(node.condition).cost + self.value(node.step).cost
        result = self.value(node.result)
        self._variables = outer
        size = over.size if isinstance(node.start, Collection) else None
        return Value(over.cost + start.cost + result.cost + over.most * each, size)

    def _call(self, node: Call) -> Value:
        arguments = [self.value(argument) for argument in node.arguments]
        target = self.value(node.target) if node.target is not None else None
        spent = sum(argument.cost for argument in arguments) + (target.cost if target is not None else 0)
        match node.function:
            case "_&&_" | "_||_":
                return Value(spent)
            case "_?_:_":
                condition, yes, no = arguments
                known = yes.size is not None and no.size is not None
                return Value(condition.cost + max(yes.cost, no.cost), max(yes.most, no.most) if known else None)
            case "_[_]":
                items = _items(arguments[0])
                return Value(spent + 1, items.size, items.schema)
            case "dyn":
                return Value(spent + 1, arguments[0].size, arguments[0].schema, arguments[0].root)
            case function if target is not None:
                cost, size = _METHODS.get(function, _constant)(node, [target, *arguments])
            case function:
                cost, size = _FUNCTIONS.get(function, _constant)(node, arguments)
        return Value(spent + cost, size)


def _place(cost: int, schema: Object, *, root: bool = False) -> Value:
    return Value(cost, max_size(schema), schema, root)


def _items(over: Value) -> Value:
    """An item of a list, or a value of a map."""
    schema = over.schema or {}
    inner = schema.get("items") if schema.get("type") == "array" else schema.get("additionalProperties")
    return _place(0, inner) if isinstance(inner, dict) else Value(0)


def _keys(over: Value) -> Value:
    return _place(0, _KEY) if over.schema is not None else Value(0)


_Answer: TypeAlias = tuple[int, int | None]
"""The cost of a call itself, and the size of its result."""
_Function: TypeAlias = Callable[[Call, list[Value]], _Answer]


def _traversed(size: int, factor: float = _TRAVERSED) -> int:
    return ceil(size * factor)


def _constant(_node: Call, _values: list[Value]) -> _Answer:
    return 1, None


def _compare(node: Call, values: list[Value]) -> _Answer:
    if node.function in _ORDER and not all(argument.kind in _TEXT for argument in node.arguments):
        return 1, None
    sizes = [
        1 if value.size is None and argument.kind in _SCALARS else value.most
        for argument, value in zip(node.arguments, values, strict=True)
    ]
    return _traversed(min(sizes)), None


def _add(node: Call, values: list[Value]) -> _Answer:
    if node.kind not in {*_TEXT, "list"}:
        return 1, None
    size = sum(value.most for value in values)
    whole = size if all(value.size is not None for value in values) else None
    return (1 if node.kind == "list" else _traversed(size)), whole


def _contained(node: Call, values: list[Value]) -> _Answer:
    return (values[1].most if node.arguments[1].kind == "list" else 1), None


def _affix(_node: Call, values: list[Value]) -> _Answer:
    return _traversed(values[1].most), None


def _contains(_node: Call, values: list[Value]) -> _Answer:
    return _traversed(values[0].most) * _traversed(values[1].most), None


def _search(node: Call, values: list[Value]) -> _Answer:
    cost = _traversed(values[0].most + 1) * _traversed(values[1].most, _PATTERN)
    return cost, (None if node.function == "matches" else values[0].size)


def _pass(factor: int, *, sized: bool) -> _Function:
    """A function that goes ``factor`` times through a string, and makes one as long of it if it is ``sized``."""
    return lambda _node, values: (_traversed(values[0].most, factor * _TRAVERSED), values[0].size if sized else None)


def _replace(_node: Call, values: list[Value]) -> _Answer:
    text, old, new = values[:3]
    size: int | None = None
    if text.size is not None and old.literal and old.size is not None and new.size is not None:
        size = text.size if new.size <= old.size else ceil(text.size / old.size) * new.size if old.size else None
    return _traversed(text.most, 2 * _TRAVERSED), size


def _join(_node: Call, values: list[Value]) -> _Answer:
    size = values[0].most * _items(values[0]).most
    if len(values) > 1:
        size += values[1].most * max(values[0].most - 1, 0)
    return _traversed(size), size


def _each(node: Call, values: list[Value]) -> _Answer:
    """Functions that look at every item of a list; two of them are methods of strings too."""
    if node.target is not None and node.target.kind != "list":
        return (_traversed(values[0].most) if node.target.kind == "string" else 1), None
    item = _items(values[0])
    return values[0].most * (1 + (_traversed(item.most) if is_text(item.schema or {}) else 0)), None


def _converted(node: Call, values: list[Value]) -> _Answer:
    kind = node.arguments[0].kind
    if {kind, node.function} != _TEXT:
        return 1, None
    return _traversed(values[0].most), (values[0].size if kind == "bytes" else None)


def _sets(factor: int) -> _Function:
    return lambda _node, values: (factor * values[0].most * values[1].most, None)


_METHODS: dict[str, _Function] = {
    **dict.fromkeys(("startsWith", "endsWith"), _affix),
    **dict.fromkeys(("matches", "find", "findAll"), _search),
    **dict.fromkeys(("isSorted", "sum", "min", "max", "indexOf", "lastIndexOf"), _each),
    **dict.fromkeys(("lowerAscii", "upperAscii", "substring", "trim"), _pass(1, sized=True)),
    "contains": _contains,
    "format": _pass(1, sized=False),
    "join": _join,
    "replace": _replace,
    "split": _pass(2, sized=True),
}
_FUNCTIONS: dict[str, _Function] = {
    **dict.fromkeys(("_==_", "_!=_", *_ORDER), _compare),
    "_+_": _add,
    "@in": _contained,
    "string": _converted,
    "bytes": _converted,
    "url": _pass(1, sized=False),
    "sets.contains": _sets(1),
    "sets.intersects": _sets(1),
    "sets.equivalent": _sets(2),
}
