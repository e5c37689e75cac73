"""What can be seen in a CEL expression's text without evaluating it: names used and field paths.

cel-cpp gives Python no syntax tree, so these work on tokens. String literals and comments are set
aside first; what is left is exact for names, and an upper bound for cost.
"""

import re
from collections.abc import Iterator

from kcpcache.meta.objects import Object

_LITERAL = re.compile(
    r"""[rRbB]{0,2}(?:'''.*?'''|\"\"\".*?\"\"\"|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")|//[^\n]*""", re.DOTALL
)
_NAME = re.compile(r"(?<![\w.])[A-Za-z_]\w*")
_SELF_PATH = re.compile(r"(?<![\w.])(?:self|oldSelf)((?:\.[A-Za-z_]\w*)+)(\()?")

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


def code(expression: str) -> str:
    """The expression with its literals blanked; every character keeps its place."""
    return _LITERAL.sub(lambda found: " " * len(found[0]), expression)


def uses_old_self(expression: str) -> bool:
    """Whether the rule is a transition rule."""
    return "oldSelf" in _NAME.findall(code(expression))


def unknown_fields(expression: str, schema: Object, *, root: bool) -> Iterator[tuple[int, str]]:
    """Fields of ``self`` that the schema does not have, as (offset in the expression, name)."""
    for found in _SELF_PATH.finditer(code(expression)):
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
