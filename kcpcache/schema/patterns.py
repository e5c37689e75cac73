"""Regular expressions of schemas: Go's syntax (RE2), matched in linear time by jsonschema-rs' engine.

``pattern`` matches anywhere in the string. What the two syntaxes write differently is translated here; what only
backtracking can do (lookaround, backreferences) is refused by both.
"""

import re
from collections.abc import Callable
from functools import lru_cache

from kcpcache.schema.regex_syntax import syntax_error

_SMALL_BYTES, _LARGE_BYTES = 128 << 10, 4 << 20
_DFA_BYTES = 256 << 10
_MAX_LENGTH = 10_000
_MAX_REPEAT = 1000
_OCTAL = re.compile(r"\\([0-7]{2,3}|0)")
_COUNT = re.compile("0|[1-9][0-9]*")
_POSIX_CLASS = re.compile(r"\[:(\^?)(\w+):\]")
_QUOTED = re.compile(r"\\Q(.*?)(?:\\E|\Z)|\\.", re.DOTALL)
_SPECIAL = frozenset("\\.+*?()|[]{}^$#&-~")


_POSIX = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7F",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1F\x7F",
    "digit": "0-9",
    "graph": "!-\\~",
    "lower": "a-z",
    "print": " -\\~",
    "punct": r"!-/:-@\[-`\{-\~",
    "space": r"\t\n\x0B\f\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
"""``[[:alpha:]]`` and its kin, as ranges."""

STARTERS = {
    pattern: re.compile(pattern.replace("$", r"\Z"))
    for pattern in (
        "^v[1-9][0-9]*([a-z]+[1-9][0-9]*)?$",
        "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(:[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
        "^[a-z]([a-z0-9-]{0,61}[a-z0-9])?",
    )
}
"""What each start asks of its own objects, and Python can say as well; it may take a time quadratic in the length."""
MOST_FOR_STARTERS = 256
"""Of characters."""


class PatternError(ValueError):
    """The pattern is not a regular expression, or one too large."""


def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """A function that says whether a string contains a match. Raises PatternError."""
    starter = STARTERS.get(pattern)
    if starter is None:
        return engine_pattern(pattern)
    search = starter.search

    def contains(text: str) -> bool:
        if len(text) > MOST_FOR_STARTERS or not text.isascii():
            return engine_pattern(pattern)(text)
        return search(text) is not None

    return contains


def engine_pattern(pattern: str) -> Callable[[str], bool]:
    """As ``compile_pattern``, by the engine whatever the pattern."""
    return _compile_small(pattern) or _compile_large(pattern)


def is_large(pattern: str) -> bool:
    """Whether the compiled expression takes more than 128 KiB (at most 4 MiB). Raises PatternError."""
    return _compile_small(pattern) is None and _compile_large(pattern) is not None


@lru_cache(maxsize=1024)
def _compile_small(pattern: str) -> Callable[[str], bool] | None:
    return _engine(pattern, _SMALL_BYTES)


@lru_cache(maxsize=16)
def _compile_large(pattern: str) -> Callable[[str], bool]:
    found = _engine(pattern, _LARGE_BYTES)
    if found is None:
        raise PatternError(f"error parsing regexp: `{pattern}` is too large")
    return found


def _engine(pattern: str, size_limit_bytes: int) -> Callable[[str], bool] | None:
    import jsonschema_rs

    if len(pattern) > _MAX_LENGTH:
        raise PatternError(f"expression is longer than {_MAX_LENGTH} characters")
    if (error := syntax_error(pattern, _is_class)) is not None:
        raise PatternError(error)
    options = jsonschema_rs.RegexOptions(size_limit=size_limit_bytes, dfa_size_limit=_DFA_BYTES)
    try:
        # Draft 7 would hold the expression against ECMAScript's syntax first.
        return jsonschema_rs.Draft202012Validator({"pattern": translate(pattern)}, pattern_options=options).is_valid
    except PatternError:
        raise
    except ValueError:
        return None


@lru_cache(maxsize=256)
def _is_class(escape: str) -> bool:
    import jsonschema_rs

    try:
        jsonschema_rs.Draft202012Validator({"pattern": escape})
    except ValueError:
        return False
    return True


def pattern_options() -> "jsonschema_rs.RegexOptions":  # type: ignore[name-defined] # noqa: F821
    """For a schema's validator: the engine that never backtracks, with bounds on each expression's memory."""
    import jsonschema_rs

    return jsonschema_rs.RegexOptions(size_limit=_LARGE_BYTES, dfa_size_limit=_DFA_BYTES)


def translate(pattern: str) -> str:
    """The same expression in the syntax of jsonschema-rs' engine. Raises PatternError on repeats that Go refuses."""
    pattern = expand_quotes(pattern)
    parts: list[str] = []
    index = 0
    last_repeat = -1
    while index < len(pattern):
        char, start = pattern[index], index
        if char == "\\":
            piece, index = scan_escape(pattern, index)
        elif char == "[":
            piece, index = scan_class(pattern, index)
        elif char == "{":
            piece, index = scan_repeat(pattern, index)
        elif pattern.startswith("(?", index):
            piece, index = "(?", index + 2
        else:
            piece, index = ("\\}" if char == "}" else char), index + 1
        if piece[0] not in "*+?{":
            last_repeat = -1
        else:
            if pattern.startswith("?", index):
                piece, index = piece + "?", index + 1
            if last_repeat >= 0:
                # The engine takes a** for (a*)*, Go does not.
                repeats = pattern[last_repeat:index]
                raise PatternError(f"error parsing regexp: invalid nested repetition operator: `{repeats}`")
            last_repeat = start
        parts.append(piece)
    return "".join(parts)


def expand_quotes(pattern: str) -> str:
    r"""``\Qa.b\E`` written as ``a\.b``."""
    return _QUOTED.sub(
        lambda found: (
            found[0] if found[1] is None else "".join(f"\\{char}" if char in _SPECIAL else char for char in found[1])
        ),
        pattern,
    )


def scan_escape(pattern: str, start: int) -> tuple[str, int]:
    """The translation of the escape at ``start``, and where it ends."""
    following = pattern[start + 1 : start + 2]
    if following in {"b", "B"}:
        return f"(?-u:\\{following})", start + 2
    if following in {"p", "P"} and pattern[start + 2 : start + 3] == "{":
        # The braces of a Unicode class are no repeat count.
        end = pattern.find("}", start)
        return (pattern[start:], len(pattern)) if end < 0 else (pattern[start : end + 1], end + 1)
    if following == "a":
        return "\\x07", start + 2
    if (octal := _OCTAL.match(pattern, start)) is not None:
        return f"\\x{{{int(octal[1], 8):X}}}", octal.end()
    if following == "x" and pattern[start + 2 : start + 3] == "{":
        end = pattern.find("}", start)
        return (pattern[start:], len(pattern)) if end < 0 else (pattern[start : end + 1], end + 1)
    return pattern[start : start + 2], start + 2


def scan_repeat(pattern: str, start: int) -> tuple[str, int]:
    """``{2,3}`` repeats; any other brace is itself in Go."""
    end = pattern.find("}", start)
    low, comma, high = pattern[start + 1 : end].partition(",") if end > 0 else ("", "", "")
    if not _COUNT.fullmatch(low) or (high and not _COUNT.fullmatch(high)):
        return "\\{", start + 1
    if max(len(low), len(high)) > len(str(_MAX_REPEAT)) or max(int(low), int(high or 0)) > _MAX_REPEAT:
        raise PatternError(f"error parsing regexp: invalid repeat count: `{{{low}{comma}{high}}}`")
    return pattern[start : end + 1], end + 1


def _complement(ranges: str) -> str:
    """All characters but those, for the engine knows no class in a class."""
    member = re.compile(f"[{ranges}]", re.ASCII)
    others = (f"\\x{{{number:X}}}" for number in range(128) if member.fullmatch(chr(number)) is None)
    return "".join(others) + "\\x{80}-\\x{10FFFF}"


def scan_class(pattern: str, start: int) -> tuple[str, int]:
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
        posix = _POSIX_CLASS.match(pattern, index)
        if posix is not None:
            if posix[2] not in _POSIX:
                raise PatternError(f"error parsing regexp: invalid character class range: `{posix[0]}`")
            ranges = _POSIX[posix[2]]
            piece, index = (_complement(ranges) if posix[1] else ranges), posix.end()
        elif char == "\\":
            piece, index = (
                scan_escape(pattern, index)
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
