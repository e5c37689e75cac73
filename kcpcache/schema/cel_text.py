"""What can be seen in a CEL expression's text without evaluating it: the names in it.

String literals, quoted names and comments are set aside first, as CEL's lexer finds them. Of a text that is CEL, what
is left has all its other names and parentheses and no more; of any other text nothing is promised, as it is never run.
What the text shows serves rewriting and estimates. Whether an expression could end the process is read off its
compiled tree (``cel_optionals``), never off its text.
"""

import re
from typing import TypeAlias

_RAW = r"""[rR](?:'''(?:[^']|'(?!''))*+'''|\"\"\"(?:[^"]|"(?!""))*+\"\"\"|'(?!'')[^'\n\r]*+'|"(?!"")[^"\n\r]*+")"""
_PLAIN = (
    r"""'''(?:[^'\\]|\\.|'(?!''))*+'''|\"\"\"(?:[^"\\]|\\.|"(?!""))*+\"\"\""""
    r"""|'(?!'')(?:[^'\\\n\r]|\\[^\n\r])*+'|"(?!"")(?:[^"\\\n\r]|\\[^\n\r])*+\""""
)
_LITERAL = re.compile(rf"[bB]?(?:{_RAW}|{_PLAIN})", re.DOTALL)
"""No alternative goes beyond the quotes that end it, not even to match a longer text in full."""
_UNENDED = r"""'''.*|\"\"\".*|['"][^\n]*"""
_SET_ASIDE = re.compile(rf"{_LITERAL.pattern}|{_UNENDED}|`[\w.\-/ ]+`|//[^\n]*", re.DOTALL)
"""A literal without an end takes the rest in, so that no text is searched for one end after the other."""
_PAIRS = {")": "(", "]": "[", "}": "{"}
_BRACKET = re.compile(r"[()\[\]{},]")
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
    return _SET_ASIDE.sub(lambda found: " " * len(found[0]), expression)


Spans: TypeAlias = list[tuple[int, int]]
"""Places where parts of a text begin and end, in order."""


def arguments(blanked: str) -> dict[int, Spans]:
    """The spans between the commas of each pair of parentheses, by the place behind the one that opens.

    Those that nothing closes, or another bracket, are left out. ``blanked`` is what ``code`` made.
    """
    found: dict[int, Spans] = {}
    pending: list[tuple[str, int, Spans]] = []
    for bracket in _BRACKET.finditer(blanked):
        character, at = bracket[0], bracket.start()
        if character in "([{":
            pending.append((character, at + 1, []))
        elif not pending:
            continue
        elif character == ",":
            _, start, spans = pending[-1]
            spans.append((spans[-1][1] + 1 if spans else start, at))
        elif pending[-1][0] != _PAIRS[character]:
            pending.clear()
        else:
            opened, start, spans = pending.pop()
            if opened == "(":
                found[start] = [*spans, (spans[-1][1] + 1 if spans else start, at)]
    return found


def literal(text: str) -> str | None:
    """What is between the quotes, escapes as they are; None for what is no string literal."""
    text = text.strip()
    found = _LITERAL.match(text)
    if text[:1] not in {"'", '"'} or found is None or found.end() != len(text):
        return None
    quotes = 3 if text.startswith(("'''", '"""')) else 1
    return text[quotes:-quotes]


def longest_literal(expression: str) -> int:
    """How many characters the longest literal has, as it is written."""
    found = (piece[0] for piece in _SET_ASIDE.finditer(expression))
    return max((len(piece) for piece in found if not piece.startswith(("//", "`"))), default=0)


def uses_old_self(expression: str) -> bool:
    """Whether the rule is a transition rule."""
    return "oldSelf" in _NAME.findall(code(expression))
