"""Which functions written in Python could be given what they cannot take: optional values, and unsigned numbers.

cel-cpp's Python interface has no form for optional values: such a function would be called with a null pointer, which
ends the process. Data holds none, so what an expression does with those that it makes itself tells whether they can get
there. Unsigned numbers arrive as whole ones, so that what comes back would not be unsigned. ``cel_native`` answers such
calls in CEL itself.
"""

import re

from kcpcache.schema.cel_tree import Call, Collection, Comprehension, Ident, Kind, Literal, Node, Select, every, parts

_SELECTED = frozenset({"_?._", "_[?_]"})
_MAKES = _SELECTED | {"optional.of", "optional.ofNonZeroValue", "optional.none", "first", "last"}
"""Functions that make optional values of what is none."""
_PYTHON = frozenset(
    {
        *("isSorted", "sum", "min", "max", "indexOf", "lastIndexOf", "slice", "distinct", "reverse", "merged__"),
        *("isGreaterThan", "isLessThan", "compareTo", "check", "format__"),
        *("minPlace__", "maxPlace__", "sumUnsigned__", "unfit__"),
    }
)
"""Functions in Python that take values of any type, or lists and maps of them."""
_GIVING_BACK = frozenset({"sum", "min", "max", "merged__"})
"""Functions in Python that return what they were given."""
_ZEROS = frozenset({"double", "duration", "uint"})
"""Types of which ``sum`` has another zero than that of whole numbers."""
_PASSING = (
    frozenset({"_?_:_", "_[_]", "_+_", "or", "orValue", "value", "dyn", "first", "last", "optional.of"}) | _SELECTED
)
"""Functions that pass values on: the type of one value may be told for all, and a dynamic one is taken for any type."""
_SCALARS = frozenset({"bool", "int", "uint", "double", "string", "bytes", "timestamp", "duration", "null"})
_MADE, _TAKEN, _GIVEN_BACK = (
    re.compile(b"|".join(re.escape(name.encode()) for name in sorted(names)))
    for names in (_MAKES, _PYTHON, _GIVING_BACK)
)
_MOST = 8
"""Optional values in one another are followed so far; of so many it is not known how many they are."""
_ROUNDS = 3


def may_meet(serialized: bytes) -> bool:
    """Whether a compiled expression has what makes optional values and what must not get them: a quick look at it.

    The names of all functions stand in a serialized tree as they are.
    """
    return _MADE.search(serialized) is not None and _TAKEN.search(serialized) is not None


def may_give_back(serialized: bytes) -> bool:
    """Whether it has functions that return what they are given."""
    return _GIVEN_BACK.search(serialized) is not None


def unanswerable(tree: Node) -> list[Call]:
    """The calls of functions in Python that could get an optional value or an unsigned number, in any order."""
    found = _Flow().found(tree)
    nodes = list(every(tree))
    if any(node.kind.name == "uint" for node in nodes):
        found |= _Unsigned().found(tree)
    sums = {node.number: node for node in nodes if isinstance(node, Call) and summed(node) in _ZEROS}
    return list((found | sums).values())


def summed(call: Call) -> str:
    """The name of the type that ``sum`` is asked for; "" if only the values tell it, and for other functions."""
    if call.function != "sum" or call.target is None or not call.target.kind.parameters:
        return ""
    return call.target.kind.parameters[0].name


class _Unsigned:
    """Which calls could be given unsigned numbers: data holds none, so that they come from what is said to be some."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._found: dict[int, Call] = {}

    def found(self, tree: Node) -> dict[int, Call]:
        """The calls of functions that give back what they get, by their numbers."""
        self._is_in(tree)
        return self._found

    def _is_in(self, node: Node) -> bool:
        """Whether one may be in what the node gives, or in what it is made of."""
        if isinstance(node, Comprehension):
            return self._loop(node)
        below = [self._is_in(part) for part in parts(node)]
        if isinstance(node, Call) and node.function in _GIVING_BACK and any(below):
            self._found[node.number] = node
        return any(below) or node.kind.name == "uint" or (isinstance(node, Ident) and node.name in self._names)

    def _loop(self, node: Comprehension) -> bool:
        over, start = self._is_in(node.range), self._is_in(node.start)
        if over:
            self._names.update(node.variables)
        if start and node.binds:
            self._names.add(node.accumulator)
        below = [self._is_in(part) for part in (node.condition, node.step, node.result)]
        return over or start or any(below)


class _Flow:
    """How many optional values can be in one another in what each expression gives: 0 for none."""

    def __init__(self) -> None:
        self._variables: dict[str, int] = {}
        self._certain: frozenset[str] = frozenset()
        self._loops: dict[tuple[int, int, frozenset[tuple[str, int]]], int] = {}
        self._found: dict[int, Call] = {}

    def found(self, tree: Node) -> dict[int, Call]:
        """The calls that could get optional values, by their numbers."""
        self._depth(tree)
        return self._found

    def _depth(self, node: Node) -> int:
        match node:
            case Comprehension():
                depth = self._loop(node)
            case Call():
                depth = self._call(node)
            case Collection():
                depth = max((self._part(node, place) for place in range(len(node.parts))), default=0)
            case Ident():
                depth = self._variables.get(node.name, 0)
            case Literal():
                depth = 0
            case Select():
                depth = 0 if node.test else self._depth(node.operand)
        return 0 if isinstance(node, Call) and _settled(node) else min(depth, _MOST)

    def _part(self, node: Collection, place: int) -> int:
        depth = self._depth(node.parts[place])
        return _within(depth) if place in node.optional else depth

    def _call(self, node: Call) -> int:
        depths = [self._depth(part) for part in parts(node)]
        most = max(depths, default=0)
        if node.function in _PYTHON and most:
            self._found[node.number] = node
        match node.function:
            case "_?._" | "_[?_]":
                return max(most, 1) if self._is_optional(parts(node)[0]) else most + 1
            case name if name in _MAKES:
                return most + 1
            case "value":
                return _within(most)
            case "orValue":
                return max(_within(depths[0]), *depths[1:])
        return most

    def _is_optional(self, node: Node) -> bool:
        """Whether it is certain: a type that was told may be that of another value."""
        match node:
            case Ident():
                return node.name in self._certain
            case Call(function="_?_:_"):
                return all(map(self._is_optional, node.arguments[1:]))
            case Call():
                return node.function in _MAKES
        return False

    def _loop(self, node: Comprehension) -> int:
        """Followed once for the same variables around it: loops in loops would double the work with each."""
        outer, certain = self._variables, self._certain
        over = self._depth(node.range)
        self._variables = outer | dict.fromkeys(filter(None, node.variables), over)
        collected = self._depth(node.start)
        names = {*node.variables, node.accumulator}
        optional = {node.accumulator} if node.binds and self._is_optional(node.start) else set()
        self._certain = (certain - names) | optional
        around = frozenset(item for item in self._variables.items() if item[0] != node.accumulator)
        known = id(node), collected, around
        if known not in self._loops:
            self._collect(node, collected)
            self._variables = outer | {node.accumulator: self._variables[node.accumulator]}
            self._loops[known] = self._depth(node.result)
        self._variables, self._certain = outer, certain
        return self._loops[known]

    def _collect(self, node: Comprehension, collected: int) -> None:
        """Set the variable that the loop collects in to what it can have become."""
        for _ in range(_ROUNDS):
            self._variables[node.accumulator] = collected
            self._depth(node.condition)
            step = self._depth(node.step)
            if step <= collected:
                return
            collected = step
        self._variables[node.accumulator] = _MOST
        self._depth(node.step)


def _within(depth: int) -> int:
    """How many are in what is in an optional value."""
    return depth if depth == _MOST else max(depth - 1, 0)


def _settled(node: Call) -> bool:
    """Whether its type, which no value that it is given can be behind, has no room for optional values."""
    return _plain(node.kind) and (
        node.function not in _PASSING or (node.function == "_+_" and node.kind.name in _SCALARS)
    )


def _plain(kind: Kind) -> bool:
    if kind.name in {"list", "map"}:
        return bool(kind.parameters) and all(map(_plain, kind.parameters))
    return kind.name in _SCALARS or "." in kind.name
