"""What evaluating a CEL rule may cost, estimated before it is evaluated: cel-cpp can be neither metered nor stopped.

The estimate errs on the high side. It is made from the calls, macros and operators in the text of an expression that
compiles, as far as names tell what they cost, and from the size of the data. cel-cpp's own limit of 10,000 iterations
keeps it from growing beyond reason. One unit is about 0.1 microseconds.
"""

import re
from dataclasses import dataclass
from typing import Any

from kcpcache.schema.cel_text import arguments, code, literal, longest_literal

_CALL = re.compile(r"\b([A-Za-z_]\w*+)\s*+\(|[()]")
_OPERATOR = re.compile(r"==|!=|<=|>=|<|>|\+|\bin\b")
_WHOLE_OPERATOR = re.compile(
    r"(?:\b(?:self|oldSelf)[\w.?\[\]]*\s*(?:==|!=|\bin\b|\+))|(?:(?:==|!=|\bin\b|\+)\s*(?:self|oldSelf)\b)"
)
_TRANSFORMS = frozenset({"map", "filter", "transformList", "transformMap", "transformMapEntry", "unwrap", "unwrapOpt"})
_MACROS = frozenset({"all", "exists", "exists_one", "existsOne"}) | _TRANSFORMS
_BINDINGS = frozenset({"bind", "optMap", "optFlatMap"}) | _TRANSFORMS
_HIDING = frozenset({"bind", "optMap", "optFlatMap"})
_LIST_CALLS = frozenset(
    {
        *("join", "sum", "min", "max", "isSorted", "indexOf", "lastIndexOf", "slice", "reverse", "format", "flatten"),
        *("transformMap", "transformMapEntry"),
    }
)
_SPLITS = frozenset({"split", "findAll"})
_SEARCHES = frozenset({"find", "findAll"})
_QUANTITIES = frozenset(
    {
        *("quantity", "isQuantity", "add", "sub", "sign", "isInteger", "asInteger", "asApproximateFloat"),
        *("compareTo", "isLessThan", "isGreaterThan"),
    }
)
_PARSED = frozenset(
    {
        *("cidr", "isCIDR", "containsIP", "containsCIDR", "masked", "ip", "isIP", "isCanonical"),
        *("semver", "isSemver", "url", "isURL"),
    }
)

_UNSIGNED = re.compile(r"\b(?:0[xX][0-9a-fA-F]+|\d+)[uU]\b|\buint\b|\bUInt(?:32|64)Value\b")
_REPLACE = re.compile(r"\.\s*replace\s*\(")
_MOST_WIDE = 10**9
_MAX_ITERATIONS = 10_000
_EVALUATION, _ITERATION, _CALL_COST, _COMPARED, _CONVERTED, _SEARCHED = 100, 2, 10, 5, 25, 50
_COPIED = 4
"""Items of a list that is built, of which cel-cpp makes a copy with each item that comes to it, for a unit."""
_SLOW = 200
"""For a call that reads an address, URL or version or computes with long quantities, and for a formatted value."""
_SHORT = 256
"""Characters of a literal that count as none: rules with ordinary texts in them cost by the data."""
_MAX_SEARCH = 10_000_000
"""``regex_search`` ends a search after so many units."""


@dataclass(frozen=True, slots=True)
class Size:
    """Of a JSON value: how many values it holds, its widest container, its longest string, all text together."""

    nodes: int = 1
    widest: int = 0
    longest: int = 0
    text: int = 0


@dataclass(frozen=True, slots=True)
class Cost:
    """What an expression contains that costs."""

    calls: int
    list_calls: int
    square_calls: int
    searches: int
    operators: int
    whole_operators: int
    macros: int
    transforms: int
    native: int
    depth: int
    bindings: int
    grows: int
    replaces: int
    widens: int
    splits: bool
    slow_calls: int
    literal: int
    """Characters of the longest literal, if it is not short."""

    @property
    def flat(self) -> bool:
        """Whether the data's size hardly matters."""
        return not (
            self.macros
            or self.replaces
            or self.widens > 1
            or self.searches
            or self.list_calls
            or self.square_calls
            or self.grows
        )

    def of(self, size: Size) -> int:
        """Units for data of this size."""
        growth: int = (1 + -(-self.grows // (self.bindings + 1))) ** (self.bindings + 1)
        longest: int = size.text + size.nodes * size.longest if self.list_calls else size.longest
        longest *= growth * self.widens * (size.longest + 1) ** self.replaces
        written: int = self.literal * growth * self.widens
        written *= (max(size.longest, self.literal) + 1) ** self.replaces
        widest = max(size.widest, max(longest, written) if self.splits else 1) * growth
        nodes = max(size.nodes, widest)
        iterations = min(_MAX_ITERATIONS, self.macros * widest ** min(self.depth, 4)) if self.macros else 1
        each = _ITERATION + (self.calls + 1) * (_CALL_COST + max(longest, written) // 10)
        each += self.whole_operators * nodes * _COMPARED
        each += (self.operators - self.whole_operators) * (nodes // max(size.widest, 1) + 1) * _COMPARED
        each += self.list_calls * nodes * _CONVERTED + self.square_calls * _square(widest)
        each += self.slow_calls * _SLOW
        each += self.transforms * widest // _COPIED + self.native * widest * (widest // _COPIED + _CALL_COST)
        each += self.searches * min(20 * _SEARCHED + _SEARCHED * longest, _MAX_SEARCH)
        return _EVALUATION + iterations * each


def _square(items: int) -> int:
    return items * items * 2


def cost(expression: str) -> Cost:
    """What an expression contains that costs."""
    text = code(expression)
    calls = [found[1] for found in _CALL.finditer(text) if found[0] != ")" and found[1]]
    operators = len(_OPERATOR.findall(text))
    replaces, widens = _replaces(expression, text)
    # Behind another name, or in a list, the whole of the data can stand where one item seems to.
    hidden = any(name in _HIDING for name in calls) or "[" in text

    def count(names: frozenset[str]) -> int:
        return sum(name in names for name in calls)

    return Cost(
        calls=len(calls),
        list_calls=count(_LIST_CALLS),
        square_calls=sum(name == "distinct" for name in calls) + len(re.findall(r"\bsets\.\w+\(", text)),
        searches=count(_SEARCHES),
        operators=operators,
        whole_operators=operators if hidden else len(_WHOLE_OPERATOR.findall(text)),
        macros=count(_MACROS),
        transforms=count(_TRANSFORMS),
        # Where numbers without sign may be, CEL itself answers what else is answered in Python (``cel_native``).
        native=count(_LIST_CALLS) if _UNSIGNED.search(text) else 0,
        depth=_depth(text),
        bindings=count(_BINDINGS),
        grows=text.count("+") + count(frozenset({"join", "format"})),
        replaces=replaces,
        widens=widens,
        splits=count(_SPLITS) > 0,
        slow_calls=_slow_calls(calls, text),
        literal=longest if (longest := longest_literal(expression)) > _SHORT else 0,
    )


def _slow_calls(calls: list[str], text: str) -> int:
    slow = _PARSED | _QUANTITIES if "quantity" in calls else _PARSED
    formatted = calls.count("format") * (text.count(",") + 1)
    return sum(name in slow for name in calls) + formatted


def _replaces(expression: str, text: str) -> tuple[int, int]:
    """How many calls of ``replace`` can put anything in, and how much longer the others can make a text."""
    unknown, widens, called = 0, 1, arguments(text)
    for found in _REPLACE.finditer(text):
        spans = called.get(found.end(), [])
        old, new = (literal(expression[start:end]) for start, end in spans[:2]) if len(spans) > 1 else (None, None)
        if new is None:
            unknown += 1
        elif not old:  # between any two characters
            widens *= len(new) + 1
        else:
            width = 1 if "\\" in old else len(old)
            widens *= max(1, -(-len(new) // width))
    return unknown, min(widens, _MOST_WIDE)


def _depth(text: str) -> int:
    """How deep macros stand in one another."""
    deepest, stack = 0, [0]
    for found in _CALL.finditer(text):
        if found[0] == ")":
            if len(stack) > 1:
                stack.pop()
            continue
        stack.append(stack[-1] + (found[1] in _MACROS))
        deepest = max(deepest, stack[-1])
    return deepest


def measure(value: Any) -> Size:
    """The size of a JSON value."""
    nodes, widest, longest, text, pending = 0, 0, 0, 0, [value]
    while pending:
        item = pending.pop()
        nodes += 1
        if isinstance(item, str):
            longest = max(longest, len(item))
            text += len(item)
        elif isinstance(item, dict):
            pending.extend(item.values())
            pending.extend(item)
            widest = max(widest, len(item))
        elif isinstance(item, list):
            pending.extend(item)
            widest = max(widest, len(item))
    return Size(nodes, widest, longest, text)
