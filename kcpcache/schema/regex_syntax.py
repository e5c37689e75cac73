r"""What Go says of a regular expression that it does not take (its package ``regexp``, syntax of RE2).

The engine behind ``patterns.py`` takes some that Go refuses, such as ``a**``, and does not say in Go's words what is
wrong with the others. Whether a Unicode class exists is left to the engine.
"""

import re
from collections.abc import Callable

_MAX_REPEAT = 1000
_PERL_CLASSES = frozenset("dDsSwW")
_ASSERTIONS = frozenset("AbBz")
_C_ESCAPES = frozenset("afnrtv")
_OCTAL, _HEX = frozenset("01234567"), frozenset("0123456789abcdefABCDEF")
_CODE_POINTS = 0x110000
_POSIX_NAMES = frozenset(
    {
        *("alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper"),
        *("word", "xdigit"),
    }
)
_COUNT = re.compile(r"\{(0|[1-9][0-9]*)(,(0|[1-9][0-9]*)?)?\}")
_NAME = re.compile(r"[A-Za-z0-9_]+")
_FLAGS = frozenset("imsU")


class _RefusedError(ValueError):
    """What is wrong, and with which part of the expression."""

    def __init__(self, why: str, part: str) -> None:
        super().__init__(f"error parsing regexp: {why}: `{part}`")


def syntax_error(pattern: str, is_class: Callable[[str], bool]) -> str | None:
    r"""Go's error; None for what it takes. ``is_class`` tells whether ``\p{…}``, so given, is a Unicode class."""
    try:
        _Scanner(pattern, is_class).scan()
    except _RefusedError as error:
        return str(error)
    return None


class _Scanner:
    """Goes through the expression once.

    Of each open group it keeps how often the last thing in it is repeated (0: there is nothing to repeat), and the
    largest of all such numbers.
    """

    def __init__(self, pattern: str, is_class: Callable[[str], bool]) -> None:
        self.pattern = pattern
        self.at = 0
        self._is_class = is_class
        self._groups: list[tuple[int, int]] = [(0, 0)]

    def scan(self) -> None:
        repeated = -1
        while self.at < len(self.pattern):
            start = self.at
            repeated = start if self._step(repeated) else -1
        if len(self._groups) > 1:
            raise _RefusedError("missing closing )", self.pattern)

    def _step(self, repeated: int) -> bool:
        """Take what comes next; whether it was a repetition. ``repeated`` is where one began right before, or -1."""
        char = self.pattern[self.at]
        if char == "(":
            self._open()
        elif char == ")":
            self._close()
        elif char == "|":
            self.at += 1
            self._groups[-1] = (0, self._groups[-1][1])
        elif char in "*+?":
            self._repeat(self.at + 1, 1, repeated)
            return True
        elif char == "{" and (found := _COUNT.match(self.pattern, self.at)) is not None:
            self._count(found, repeated)
            return True
        else:
            self._single(char)
        return False

    def _add(self, times: int) -> None:
        self._groups[-1] = (times, max(self._groups[-1][1], times))

    def _single(self, char: str) -> None:
        if char == "\\":
            self._outer_escape()
            return
        if char == "[":
            self._class()
        else:
            self.at += 1
        self._add(1)

    def _open(self) -> None:
        if not self.pattern.startswith("(?", self.at):
            self.at += 1
        elif not self._named() and self._flags():
            return
        self._groups.append((0, 0))

    def _named(self) -> bool:
        rest = self.pattern[self.at :]
        prefix = next((head for head in ("(?P<", "(?<") if rest.startswith(head) and len(rest) > len(head)), None)
        if prefix is None:
            return False
        end = rest.find(">")
        if end < 0:
            raise _RefusedError("invalid named capture", rest)
        if _NAME.fullmatch(rest[len(prefix) : end]) is None:
            raise _RefusedError("invalid named capture", rest[: end + 1])
        self.at += end + 1
        return True

    def _flags(self) -> bool:
        """Take ``(?i)`` or ``(?i:``; whether it was the former, which opens no group."""
        start = self.at
        self.at += 2
        negated = seen = False
        while self.at < len(self.pattern):
            char = self.pattern[self.at]
            self.at += 1
            if char in _FLAGS:
                seen = True
            elif char == "-" and not negated:
                negated, seen = True, False
            elif char in ":)" and (seen or not negated):
                return char == ")"
            else:
                break
        raise _RefusedError("invalid or unsupported Perl syntax", self.pattern[start : self.at])

    def _close(self) -> None:
        if len(self._groups) == 1:
            raise _RefusedError("unexpected )", self.pattern)
        _, most = self._groups.pop()
        self.at += 1
        self._add(max(most, 1))

    def _count(self, found: re.Match[str], repeated: int) -> None:
        low, high = int(found[1]), int(found[3]) if found[3] else -1 if found[2] else int(found[1])
        if low > _MAX_REPEAT or high > _MAX_REPEAT or 0 <= high < low:
            raise _RefusedError("invalid repeat count", found[0])
        self._repeat(found.end(), low if high < 0 else high, repeated)

    def _repeat(self, end: int, times: int, repeated: int) -> None:
        start = self.at
        self.at = end + self.pattern.startswith("?", end)
        if repeated >= 0:
            raise _RefusedError("invalid nested repetition operator", self.pattern[repeated : self.at])
        before, most = self._groups[-1]
        if before == 0:
            raise _RefusedError("missing argument to repetition operator", self.pattern[start : self.at])
        product = max(before * times, 1)
        if product > _MAX_REPEAT and times > 1:
            raise _RefusedError("invalid repeat count", self.pattern[start : self.at])
        self._groups[-1] = (product, max(most, product))

    def _outer_escape(self) -> None:
        following = self.pattern[self.at + 1 : self.at + 2]
        if following in _ASSERTIONS and following:
            self.at += 2
        elif following == "C":
            raise _RefusedError("invalid escape sequence", "\\C")
        elif following == "Q":
            self._quoted()
            return
        elif not self._category():
            self._escape()
        self._add(1)

    def _quoted(self) -> None:
        start = self.at + 2
        end = self.pattern.find("\\E", start)
        end, self.at = (len(self.pattern), len(self.pattern)) if end < 0 else (end, end + 2)
        if end > start:
            self._add(1)

    def _category(self) -> bool:
        r"""Take ``\pL`` or ``\d``, if that is what comes."""
        following = self.pattern[self.at + 1 : self.at + 2]
        if following in _PERL_CLASSES and following:
            self.at += 2
            return True
        if following not in {"p", "P"}:
            return False
        end = self.at + 3
        if self.pattern.startswith("{", self.at + 2):
            end = self.pattern.find("}", self.at) + 1
            if end == 0:
                raise _RefusedError("invalid character class range", self.pattern[self.at :])
        if not self._is_class(self.pattern[self.at : end]):
            raise _RefusedError("invalid character class range", self.pattern[self.at : end])
        self.at = end
        return True

    def _escape(self) -> int:
        """Take an escape of one character, and tell its number."""
        start = self.at
        self.at += 1
        if self.at == len(self.pattern):
            raise _RefusedError("trailing backslash at end of expression", "")
        char = self.pattern[self.at]
        self.at += 1
        if char == "x":
            number = self._hexadecimal()
        elif char == "0" or (char in _OCTAL and self.pattern[self.at : self.at + 1] in _OCTAL - {""}):
            end = self.at
            while end < self.at + 2 and self.pattern[end : end + 1] in _OCTAL and end < len(self.pattern):
                end += 1
            number, self.at = int(self.pattern[self.at - 1 : end], 8), end
        elif char in _C_ESCAPES:
            number = {"a": 7, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}[char]
        else:
            number = ord(char) if char.isascii() and not char.isalnum() else -1
        if number < 0:
            raise _RefusedError("invalid escape sequence", self.pattern[start : self.at])
        return number

    def _hexadecimal(self) -> int:
        """Take two digits, or any number of them in braces; -1 if they are none. Ends behind what is wrong."""
        if not self.pattern.startswith("{", self.at):
            digits = self.pattern[self.at : self.at + 2]
            self.at += len(digits)
            return int(digits, 16) if len(digits) == 2 and set(digits) <= _HEX else -1  # noqa: PLR2004
        start = self.at = self.at + 1
        while self.at < len(self.pattern):
            char = self.pattern[self.at]
            self.at += 1
            if char == "}":
                return int(self.pattern[start : self.at - 1], 16) if self.at > start + 1 else -1
            if char not in _HEX or int(self.pattern[start : self.at], 16) >= _CODE_POINTS:
                break
        return -1

    def _class(self) -> None:
        start = self.at
        self.at += 1 + self.pattern.startswith("^", self.at + 1)
        first = True
        while first or not self.pattern.startswith("]", self.at):
            first = False
            if self._named_class() or (self.pattern.startswith("\\", self.at) and self._category()):
                continue
            begin = self.at
            low = high = self._class_char(start)
            if self.pattern.startswith("-", self.at) and self.pattern[self.at + 1 : self.at + 2] not in {"", "]"}:
                self.at += 1
                high = self._class_char(start)
            if high < low:
                raise _RefusedError("invalid character class range", self.pattern[begin : self.at])
        self.at += 1

    def _named_class(self) -> bool:
        if not self.pattern.startswith("[:", self.at):
            return False
        end = self.pattern.find(":]", self.at + 2)
        if end < 0:
            return False
        if self.pattern[self.at + 2 : end].removeprefix("^") not in _POSIX_NAMES:
            raise _RefusedError("invalid character class range", self.pattern[self.at : end + 2])
        self.at = end + 2
        return True

    def _class_char(self, start: int) -> int:
        if self.at >= len(self.pattern):
            raise _RefusedError("missing closing ]", self.pattern[start:])
        if self.pattern[self.at] == "\\":
            return self._escape()
        self.at += 1
        return ord(self.pattern[self.at - 1])
