"""Regular expressions of schemas: Go's syntax (RE2), matched in linear time by jsonschema-rs' engine.

``pattern`` matches anywhere in the string. What the two syntaxes write differently is translated here; what only
backtracking can do (lookaround, backreferences) is refused by both.
"""

from collections.abc import Callable
from functools import lru_cache

_SIZE_LIMIT_BYTES = 2 << 20
_DFA_SIZE_LIMIT_BYTES = 4 << 20
_MAX_LENGTH = 10_000
_MAX_REPEAT = 1000
_SPECIAL = frozenset("\\.+*?()|[]{}^$#&-~")


class PatternError(ValueError):
    """The pattern is not a regular expression, or one too large."""


@lru_cache(maxsize=4096)
def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """A function that says whether a string contains a match. Raises PatternError."""
    import jsonschema_rs

    if len(pattern) > _MAX_LENGTH:
        raise PatternError(f"expression is longer than {_MAX_LENGTH} characters")
    translated = translate(pattern)
    try:
        return jsonschema_rs.Draft7Validator({"pattern": translated}, pattern_options=pattern_options()).is_valid
    except ValueError:
        raise PatternError(f"error parsing regexp: `{pattern}` is invalid or too large") from None


def pattern_options() -> "jsonschema_rs.RegexOptions":  # type: ignore[name-defined] # noqa: F821
    """The engine that never backtracks, with bounds on what one expression may cost in memory."""
    import jsonschema_rs

    return jsonschema_rs.RegexOptions(size_limit=_SIZE_LIMIT_BYTES, dfa_size_limit=_DFA_SIZE_LIMIT_BYTES)


def translate(pattern: str) -> str:
    """The same expression in the syntax of jsonschema-rs' engine. Raises PatternError on bad repeat counts."""
    parts: list[str] = []
    index = 0
    while index < len(pattern):
        char = pattern[index]
        if char == "\\":
            piece, index = _escape(pattern, index)
        elif char == "[":
            piece, index = _character_class(pattern, index)
        elif char == "{":
            piece, index = _repeat(pattern, index)
        else:
            piece, index = ("\\}" if char == "}" else char), index + 1
        parts.append(piece)
    return "".join(parts)


def _escape(pattern: str, start: int) -> tuple[str, int]:
    following = pattern[start + 1 : start + 2]
    if following == "Q":
        end = pattern.find("\\E", start + 2)
        literal = pattern[start + 2 :] if end < 0 else pattern[start + 2 : end]
        return "".join(f"\\{c}" if c in _SPECIAL else c for c in literal), (len(pattern) if end < 0 else end + 2)
    if following in {"b", "B"}:
        return f"(?-u:\\{following})", start + 2
    if following in {"p", "P"} and pattern[start + 2 : start + 3] == "{":
        # The braces of a Unicode class are no repeat count.
        end = pattern.find("}", start)
        return (pattern[start:], len(pattern)) if end < 0 else (pattern[start : end + 1], end + 1)
    if following == "x" and pattern[start + 2 : start + 3] == "{":
        end = pattern.find("}", start)
        return (pattern[start:], len(pattern)) if end < 0 else (pattern[start : end + 1], end + 1)
    return pattern[start : start + 2], start + 2


def _repeat(pattern: str, start: int) -> tuple[str, int]:
    """``{2,3}`` repeats; any other brace is itself in Go."""
    end = pattern.find("}", start)
    low, comma, high = pattern[start + 1 : end].partition(",") if end > 0 else ("", "", "")
    if not (low.isascii() and low.isdigit() and (not high or (high.isascii() and high.isdigit()))):
        return "\\{", start + 1
    if max(len(low), len(high)) > len(str(_MAX_REPEAT)) or max(int(low), int(high or 0)) > _MAX_REPEAT:
        raise PatternError(f"error parsing regexp: invalid repeat count: `{{{low}{comma}{high}}}`")
    return pattern[start : end + 1], end + 1


def _character_class(pattern: str, start: int) -> tuple[str, int]:
    """The engine knows nested classes and set operations, Go does not: their characters are escaped."""
    index = start + 1
    parts = ["["]
    if pattern[index : index + 1] == "^":
        parts.append("^")
        index += 1
    first = True
    while index < len(pattern):
        char = pattern[index]
        if char == "]" and not first:
            return "".join(parts) + "]", index + 1
        if char == "[" and pattern[index + 1 : index + 2] == ":" and (end := pattern.find(":]", index)) > 0:
            piece, index = pattern[index : end + 2], end + 2
        elif char == "\\":
            piece, index = (
                _escape(pattern, index)
                if pattern[index + 1 : index + 2] not in {"b", "B"}
                else (pattern[index : index + 2], index + 2)
            )
            if piece[1:2] in {"d", "D", "w", "W", "s", "S"} and pattern[index : index + 1] == "-":
                piece, index = piece + "\\-", index + 1
        else:
            piece, index = (f"\\{char}" if char in "[&~]" else char), index + 1
        parts.append(piece)
        first = False
    raise PatternError(f"error parsing regexp: missing closing ]: `{pattern[start:]}`")
