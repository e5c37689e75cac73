"""What can be seen in a CEL expression's text without evaluating it: names used, field paths, cost.

cel-cpp gives Python neither a syntax tree nor a cost, so these work on tokens. String literals and comments are set
aside first; what is left is exact for names, and an upper bound for cost.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from kcpcache.meta.objects import Object

_LITERAL = re.compile(
    r"""[rRbB]{0,2}(?:'''.*?'''|\"\"\".*?\"\"\"|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")|//[^\n]*""", re.DOTALL
)
_NAME = re.compile(r"(?<![\w.])[A-Za-z_]\w*")
_SELF_PATH = re.compile(r"(?<![\w.])(?:self|oldSelf)((?:\.[A-Za-z_]\w*)+)(\()?")
_CALL = re.compile(r"\.?([A-Za-z_]\w*)\(")
_MACROS = frozenset({"all", "exists", "exists_one", "existsOne", "map", "filter", "transformList", "transformMap"})
_BINDING = frozenset({"bind", "optMap", "optFlatMap"})
_MAX_ITERATIONS = 10_000
"""cel-cpp ends an evaluation after so many."""

_MAX_SEARCH = 10_000_000
"""``regex_search`` ends a search after so many units."""

RESERVED = frozenset(
    {
        *("true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if"),
        *("import", "let", "loop", "package", "namespace", "return", "var", "void", "while"),
    }
)
"""Words that CEL keeps; a property of that name is written ``__name__`` in rules."""

_ESCAPABLE = re.compile(r"[A-Za-z_.\-/][A-Za-z0-9_.\-/]*")
_ESCAPES = (("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__"))


def escape(name: str) -> str | None:
    """A property's name as rules write it; None where they cannot (documentation: "Escaping of property names")."""
    if name in RESERVED:
        return f"__{name}__"
    if _ESCAPABLE.fullmatch(name) is None:
        return None
    for plain, escaped in _ESCAPES:
        name = name.replace(plain, escaped)
    return name


def _code(expression: str) -> str:
    """The expression with its literals blanked; every character keeps its place."""
    return _LITERAL.sub(lambda found: " " * len(found[0]), expression)


def uses_old_self(expression: str) -> bool:
    """Whether the rule is a transition rule."""
    return "oldSelf" in _NAME.findall(_code(expression))


def unknown_fields(expression: str, schema: Object, *, root: bool) -> Iterator[tuple[int, str]]:
    """Fields of ``self`` that the schema does not have, as (offset in the expression, name)."""
    for found in _SELF_PATH.finditer(_code(expression)):
        names = found[1].split(".")[1:]
        if found[2]:
            names.pop()  # a method
        offset, here = found.start(1), schema
        for depth, name in enumerate(names):
            fields = _fields(here, root=root and depth == 0)
            if fields is None:
                break
            if name not in fields:
                yield offset, name
                break
            here = fields[name]
            offset += len(name) + 1


def _fields(schema: Object, *, root: bool) -> dict[str, Object] | None:
    """The node's fields by escaped name; None where any name may follow, or none is known."""
    if schema.get("type") != "object" or schema.get("additionalProperties") is not None:
        return None
    properties: Object = schema.get("properties") or {}
    if schema.get("x-kubernetes-preserve-unknown-fields") is True and not properties:
        return None
    fields = {escaped: child for name, child in properties.items() if (escaped := escape(name)) is not None}
    if root or schema.get("x-kubernetes-embedded-resource") is True:
        fields |= {"apiVersion": {}, "kind": {}, "metadata": {}}
    return fields


@dataclass(frozen=True, slots=True)
class Cost:
    """An upper bound of what evaluating costs, in units of about 0.1 µs (a tenth of a string's bytes is a unit)."""

    calls: int
    macros: int
    growth_levels: int
    growth_per_level: int
    free_replacements: int
    searches: int

    @property
    def flat(self) -> bool:
        """Whether the data's size hardly matters."""
        return not (self.macros or self.free_replacements or self.searches) and self.growth_per_level <= 1

    def of(self, nodes: int, longest: int) -> int:
        """The cost for data of so many values, whose longest string has so many characters."""
        iterations = min(_MAX_ITERATIONS, max(nodes, 1) ** min(self.macros, 4)) if self.macros else 1
        text: int = longest * self.growth_per_level**self.growth_levels * (longest + 1) ** self.free_replacements
        search = self.searches * min(1_000 + 50 * text, _MAX_SEARCH)
        return 100 + iterations * (2 + (self.calls + 1) * (10 + text // 10) + search)


def cost(expression: str) -> Cost:
    """Estimates from the calls, macros and concatenations that the expression contains."""
    code = _code(expression)
    names = _CALL.findall(code)
    levels = 1 + sum(name in _BINDING or name in {"map", "filter", "transformList"} for name in names)
    grows = code.count("+") + sum(name in {"join", "format"} for name in names)
    replaces = sum(name == "replace" for name in names)
    return Cost(
        calls=len(names),
        macros=sum(name in _MACROS for name in names),
        growth_levels=levels,
        growth_per_level=1 + -(-grows // levels),
        free_replacements=replaces,
        searches=sum(name in {"find", "findAll"} for name in names),
    )


def measure(value: object) -> tuple[int, int]:
    """How many values a JSON value holds, and how long its longest string is."""
    nodes, longest, pending = 0, 0, [value]
    while pending:
        item = pending.pop()
        nodes += 1
        if isinstance(item, str):
            longest = max(longest, len(item))
        elif isinstance(item, dict):
            pending.extend(item.values())
            nodes += len(item)
            longest = max(longest, max(map(len, item), default=0))
        elif isinstance(item, list):
            pending.extend(item)
    return nodes, longest
