"""What can be seen in a CEL expression's text without evaluating it: the names in it.

String literals and comments are set aside first; what is left is exact for names, and an upper bound for cost.
"""

import re

_LITERAL = re.compile(
    r"""[rRbB]{0,2}(?:'''.*?'''|\"\"\".*?\"\"\"|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")|//[^\n]*""", re.DOTALL
)
_PAIRS = {")": "(", "]": "[", "}": "{"}
_NAME = re.compile(r"(?<![\w.])[A-Za-z_]\w*")

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


def arguments(blanked: str, start: int) -> list[tuple[int, int]] | None:
    """The spans between the commas from behind a parenthesis up to the one that closes; None where there is none.

    ``blanked`` is what ``code`` made.
    """
    spans: list[tuple[int, int]] = []
    open_ones, begin = ["("], start
    for at in range(start, len(blanked)):
        character = blanked[at]
        if character in "([{":
            open_ones.append(character)
        elif character in _PAIRS:
            if open_ones.pop() != _PAIRS[character]:
                return None
            if not open_ones:
                return [*spans, (begin, at)]
        elif character == "," and len(open_ones) == 1:
            spans.append((begin, at))
            begin = at + 1
    return None


def literal(text: str) -> str | None:
    """What is between the quotes, escapes as they are; None for what is no string literal."""
    text = text.strip()
    if text[:1] not in {"'", '"'} or _LITERAL.fullmatch(text) is None:
        return None
    quotes = 3 if text.startswith(("'''", '"""')) else 1
    return text[quotes:-quotes]


def uses_old_self(expression: str) -> bool:
    """Whether the rule is a transition rule."""
    return "oldSelf" in _NAME.findall(code(expression))
