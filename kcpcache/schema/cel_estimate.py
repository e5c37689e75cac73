"""What a rule may cost in the worst case that its schema allows, as Kubernetes estimates it before it takes a CRD.

Documentation: "Resource use by validation functions". The units are those of cel-go, not those of ``cel_cost``. What
nothing bounds counts as boundless, so that rules are refused which could be bounded, but are not; so does Kubernetes.
"""

from dataclasses import replace
from functools import reduce
from operator import or_

from kcpcache.meta.objects import Object
from kcpcache.schema.cel_estimate_calls import call_cost
from kcpcache.schema.cel_size import Entry, Place, Size, Value, capped, exactly, is_partial, is_scalar
from kcpcache.schema.cel_tree import Call, Collection, Comprehension, Ident, Kind, Literal, Node, Select

_CREATE_LIST, _CREATE_MAP, _CREATE_MESSAGE = 10, 30, 40
_VALUES = frozenset(
    {"", "bool", "bytes", "double", "duration", "int", "list", "null", "optional", "string", "timestamp", "uint"}
)
"""Kinds that have no fields to select."""


def estimate(tree: Node, schema: Object, *, root: bool) -> int:
    """The worst-case cost of a rule on a node of the schema."""
    return _Estimator(schema, root=root).value(tree).cost


class _Estimator:
    def __init__(self, schema: Object, *, root: bool) -> None:
        self._nowhere = Place(schema, root, believed=False)
        """Where a way begins that has no beginning."""
        self._variables = {name: Value(1, place=Place(schema, root)) for name in ("self", "oldSelf")}

    def value(self, node: Node) -> Value:
        match node:
            case Literal():
                return Value(
                    0, node.kind, exactly(node.size), integer=node.value if isinstance(node.value, int) else None
                )
            case Ident():
                return self._variable(node)
            case Select():
                return self._select(node)
            case Call():
                return self._call(node)
            case Collection():
                return self._collection(node)
            case Comprehension():
                return self._bound(node) if node.binds else self._loop(node)

    def _known(self, value: Value, size: Size | None = None) -> Value:
        """The value with what its place and type say; ``size`` is what else is known of a variable."""
        kind, place = value.kind, value.place
        if place is not None and is_partial(kind):
            kind = place.kind if is_partial(kind) and place.kind.name else kind
        found = value.size or (place.size if place is not None else None)
        if found is None:
            found = exactly(1) if is_scalar(kind) else size
        return replace(value, kind=kind, size=found)

    def _variable(self, node: Ident) -> Value:
        known = self._variables.get(node.name)
        if known is None:  # the name of a type
            return self._known(Value(1, node.kind, place=self._nowhere))
        return self._known(Value(1, node.kind, entry=known.entry, place=known.place), known.size)

    def _select(self, node: Select) -> Value:
        operand = self.value(node.operand)
        if node.test:
            return self._known(Value(operand.cost, node.kind))
        cost = capped(operand.cost + (operand.kind.name not in _VALUES))
        place = self._nowhere if operand.place is None else operand.place.field(node.field)
        return self._known(Value(cost, node.kind, place=place))

    def _collection(self, node: Collection) -> Value:
        parts = [self.value(part) for part in node.parts]
        name = node.kind.name
        base = {"list": _CREATE_LIST, "map": _CREATE_MAP}.get(name, _CREATE_MESSAGE)
        cost = capped(base + sum(part.cost for part in parts))
        if base == _CREATE_MESSAGE:
            return self._known(Value(cost, node.kind))
        if base == _CREATE_LIST:
            entry = Entry("list", exactly(1), _united(parts))
        else:
            entry = Entry("map", _united(parts[::2]), _united(parts[1::2]))
        return Value(cost, node.kind, exactly(node.size), entry)

    def _bound(self, node: Comprehension) -> Value:
        over, start = self.value(node.range), self.value(node.start)
        outer = self._variables
        self._variables = {**outer, node.accumulator: start}
        result = self.value(node.result)
        self._variables = outer
        cost = capped(over.cost + start.cost + result.cost)
        return self._known(Value(cost, node.kind, result.size, result.entry))

    def _loop(self, node: Comprehension) -> Value:
        over, start = self.value(node.range), self.value(node.start)
        outer = self._variables
        self._variables = {**outer, node.accumulator: start, **self._loop_variables(node, over)}
        condition, step = self.value(node.condition), self.value(node.step)
        self._variables = {**outer, node.accumulator: start}
        result = self.value(node.result)
        self._variables = outer
        each = capped(condition.cost + step.cost)
        cost = capped(over.cost + start.cost + result.cost + over.most * each)
        if isinstance(node.start, Collection):
            return self._known(Value(cost, node.kind, over.bounds, step.entry))
        return self._known(Value(cost, node.kind, start.size if isinstance(node.start, Literal) else None))

    def _loop_variables(self, node: Comprehension, over: Value) -> dict[str, Value]:
        """What stands for a key or place, and for a value; one variable is the value of lists, the key of the rest."""
        container = over.entry.container if over.entry is not None else over.kind.name
        listed = container == "list"
        key_place = value_place = self._nowhere
        if over.place is not None:
            key_place = Place(None) if listed else over.place.key()
            value_place = over.place.item()
        key = Value(0, size=over.entry.key if over.entry else None, place=key_place)
        value = Value(0, size=over.entry.value if over.entry else None, place=value_place)
        first, second = node.variables
        return {first: key, second: value} if second else {first: value if listed else key}

    def _call(self, node: Call) -> Value:
        arguments = [self.value(argument) for argument in node.arguments]
        target = self.value(node.target) if node.target is not None else None
        if node.function == "dyn":
            (argument,) = arguments
            return self._known(Value(capped(1 + argument.cost), Kind(), argument.size, argument.entry))
        answer = call_cost(node, target, arguments)
        spent = answer.cost + sum(argument.cost for argument in arguments) + (target.cost if target else 0)
        place = None
        if node.function == "_[_]":
            place = self._nowhere if arguments[0].place is None else arguments[0].place.item()
        return self._known(Value(capped(spent), node.kind, answer.size, answer.entry, place))


def _united(parts: list[Value]) -> Size:
    return reduce(or_, (part.bounds for part in parts)) if parts else exactly(0)
