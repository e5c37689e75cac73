"""What calls in rules cost in the worst case, and how large their results are (see ``cel_estimate``).

Of a call that fits several overloads the dearest counts. What is not told of here costs 1, and makes something of
whatever size its type or place allow.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from kcpcache.schema.cel_size import Entry, Size, Value, capped, exactly, scaled
from kcpcache.schema.cel_tree import Call

_TRAVERSED, _PATTERN = 0.1, 0.25
"""Units for one character of a string that is looked at, and of a regular expression."""
_FORMAT_PATTERN = 128 * _PATTERN
"""Units for the longest expression behind a named format."""
_MAX_FORMAT_SIZE, _ADDRESS_BYTES = 64, 16
_TEXT = frozenset({"string", "bytes"})
_ORDER = ("_<_", "_<=_", "_>_", "_>=_")
_WORD = 2**64
"""Where Kubernetes forgets to look for overflows, its sizes begin anew at 0."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The cost of a call itself, and what is known of its result."""

    cost: int = 1
    size: Size | None = None
    entry: Entry | None = None


_Function: TypeAlias = Callable[[Call, list[Value]], Answer]


def call_cost(node: Call, target: Value | None, arguments: list[Value]) -> Answer:
    """What a call costs beyond its arguments; a method's target is the first of them."""
    if target is not None:
        return _METHODS.get(node.function, _constant)(node, [target, *arguments])
    return _FUNCTIONS.get(node.function, _constant)(node, arguments)


def _constant(_node: Call, _values: list[Value]) -> Answer:
    return Answer()


def _may_be(value: Value, *names: str) -> bool:
    return value.kind.name in {"", *names}


def _free(_node: Call, _values: list[Value]) -> Answer:
    return Answer(0)


def _conditional(_node: Call, values: list[Value]) -> Answer:
    _, yes, no = values
    # The caller adds the costs of both branches, of which only one is taken.
    spared = min(yes.cost, no.cost)
    entry = yes.entry | no.entry if yes.entry and no.entry else None
    return Answer(-spared, yes.bounds | no.bounds, entry)


def _index(_node: Call, values: list[Value]) -> Answer:
    return Answer(1, values[0].entry.value if values[0].entry else None)


def _compared(left: Value, right: Value) -> int:
    return scaled(min(left.most, right.most), _TRAVERSED)


def _equal(_node: Call, values: list[Value]) -> Answer:
    left, right = values
    if left.kind == right.kind:
        match left.kind.name:
            case "net.CIDR" | "net.IP" | "kubernetes.Quantity" | "kubernetes.Semver":
                return Answer(1)
            case "kubernetes.NamedFormat":
                return Answer(scaled(_MAX_FORMAT_SIZE, _TRAVERSED))
            case "kubernetes.URL":
                return Answer(scaled(right.size.most if right.size else 1, _TRAVERSED))
    return Answer(_compared(left, right))


def _unequal(_node: Call, values: list[Value]) -> Answer:
    return Answer(_compared(*values))


def _ordered(_node: Call, values: list[Value]) -> Answer:
    if not all(_may_be(value, *_TEXT) for value in values):
        return Answer()
    known = any(value.kind.name for value in values)
    cost = _compared(*values)
    return Answer(cost if known else max(1, cost))


def _add(_node: Call, values: list[Value]) -> Answer:
    left, right = values
    kinds = {value.kind.name for value in values} - {""}
    if not kinds <= {"string", "bytes", "list"}:
        return Answer()
    size = left.bounds + right.bounds
    entry = left.entry | right.entry if left.entry and right.entry else None
    if kinds == {"list"}:
        return Answer(1, size, entry)
    cost = scaled(size.most, _TRAVERSED)
    return Answer(cost if kinds else max(1, cost), size, entry)


def _contained(_node: Call, values: list[Value]) -> Answer:
    within = values[1]
    if within.kind.name == "list":
        return Answer(within.most)
    return Answer(1 if within.kind.name else max(1, within.most))


def _affix(_node: Call, values: list[Value]) -> Answer:
    return Answer(scaled(values[1].most, _TRAVERSED))


def _contains(_node: Call, values: list[Value]) -> Answer:
    return Answer(capped(scaled(values[0].most, _TRAVERSED) * scaled(values[1].most, _TRAVERSED)))


def _search_cost(values: list[Value]) -> int:
    return capped(scaled(capped(values[0].most + 1), _TRAVERSED) * scaled(values[1].most, _PATTERN))


def _matches(_node: Call, values: list[Value]) -> Answer:
    return Answer(_search_cost(values))


def _find(_node: Call, values: list[Value]) -> Answer:
    return Answer(_search_cost(values), Size(0, values[0].most))


def _pass(factor: int, *, sized: bool = False) -> _Function:
    """A function that goes ``factor`` times through a string, and makes one as long of it if it is ``sized``."""
    return lambda _node, values: Answer(
        scaled(values[0].most, factor * _TRAVERSED), values[0].bounds if sized else None
    )


def _split(_node: Call, values: list[Value]) -> Answer:
    most = values[0].most
    if len(values) > 2 and values[2].integer is not None:  # noqa: PLR2004 - text, separator, limit
        most = values[2].integer % _WORD
    return Answer(scaled(values[0].most, 2 * _TRAVERSED), Size(0, most))


def _replace(_node: Call, values: list[Value]) -> Answer:
    text, old, new = (value.bounds for value in values[:3])
    if old.least == 0:  # between any two characters
        most = (capped(text.most + 1), text.most)
    elif new.most <= old.least:
        most = (0, text.most)
    else:
        most = (scaled(text.most, 1 / old.least), 0)
    if old.most == 0:
        least = (capped(text.least + 1), text.least)
    elif old.most <= new.least:
        least = (0, text.least)
    else:
        least = (scaled(text.least, 1 / old.most), 0)
    size = Size(least[0], most[0]) * new + Size(least[1], most[1])
    return Answer(scaled(text.most, 2 * _TRAVERSED), size)


def _join(_node: Call, values: list[Value]) -> Answer:
    items, count = values[0].items(), values[0].bounds
    size = count * items[1] if items is not None else exactly(0)
    if len(values) > 1:
        size += values[1].bounds * Size(max(count.least - 1, 0), max(count.most - 1, 0))
    return Answer(scaled(size.most, _TRAVERSED), size)


def _each(_node: Call, values: list[Value]) -> Answer:
    """Functions that look at every item of a list; two of them are methods of strings too."""
    items, most = values[0].items(), values[0].most
    if items is None:
        return Answer(scaled(most, _TRAVERSED))
    kind, size = items
    each = 1 + (scaled(size.most, _TRAVERSED) if kind.name in _TEXT else 0)
    return Answer(capped(most * each))


def _string(_node: Call, values: list[Value]) -> Answer:
    (value,) = values
    if not _may_be(value, "bytes"):
        return Answer()
    cost = scaled(value.most, _TRAVERSED)
    return Answer(cost if value.kind.name else max(1, cost), Size(value.bounds.least // 4, value.most))


def _bytes(_node: Call, values: list[Value]) -> Answer:
    (value,) = values
    if not _may_be(value, "string"):
        return Answer()
    cost = scaled(value.most, _TRAVERSED)
    return Answer(cost if value.kind.name else max(1, cost), Size(value.bounds.least, value.most * 4 % _WORD))


def _quote(_node: Call, values: list[Value]) -> Answer:
    size = values[0].bounds
    quoted = Size((size.least + 2) % _WORD, (size.most * 2 + 2) % _WORD)
    return Answer(scaled(size.most, _TRAVERSED), quoted)


def _sets(factor: int) -> _Function:
    return lambda _node, values: Answer(capped(scaled((values[0].bounds * values[1].bounds).most, factor) + 1))


def _address(_node: Call, values: list[Value]) -> Answer:
    return Answer(scaled(values[0].most, _TRAVERSED))


def _within(factor: int, more: int) -> _Function:
    """Comparisons of addresses, of which the second may have to be read first."""

    def cost(_node: Call, values: list[Value]) -> Answer:
        read = scaled(values[1].most, _TRAVERSED) if _may_be(values[1], "string") else 0
        compared = scaled(2 * _ADDRESS_BYTES, _TRAVERSED) + factor * scaled(_ADDRESS_BYTES, _TRAVERSED)
        return Answer(capped(compared + more + read))

    return cost


def _validate(_node: Call, values: list[Value]) -> Answer:
    return Answer(scaled(scaled(values[1].most, _TRAVERSED), _FORMAT_PATTERN))


_METHODS: dict[str, _Function] = {
    **dict.fromkeys(("startsWith", "endsWith"), _affix),
    **dict.fromkeys(("find", "findAll"), _find),
    **dict.fromkeys(("isSorted", "sum", "min", "max", "indexOf", "lastIndexOf"), _each),
    **dict.fromkeys(("lowerAscii", "upperAscii", "substring", "trim"), _pass(1, sized=True)),
    "contains": _contains,
    "containsCIDR": _within(1, 1),
    "containsIP": _within(0, 0),
    "format": _pass(1),
    "join": _join,
    "matches": _matches,
    "replace": _replace,
    "split": _split,
    "validate": _validate,
}
_FUNCTIONS: dict[str, _Function] = {
    **dict.fromkeys(("_&&_", "_||_"), _free),
    **dict.fromkeys(_ORDER, _ordered),
    **dict.fromkeys(("cidr", "isIP", "isCIDR", "ip"), _address),
    **dict.fromkeys(("isQuantity", "isSemver", "quantity", "semver"), _address),
    "_!=_": _unequal,
    "_+_": _add,
    "_==_": _equal,
    "_?_:_": _conditional,
    "_[_]": _index,
    "@in": _contained,
    "bytes": _bytes,
    "ip.isCanonical": _pass(2),
    "sets.contains": _sets(1),
    "sets.equivalent": _sets(2),
    "sets.intersects": _sets(1),
    "string": _string,
    "strings.quote": _quote,
    "url": _pass(1, sized=True),
}
