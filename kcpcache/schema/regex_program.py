r"""Regular expressions (Go's syntax) compiled to programs for ``regex_search.py``.

Only the structure is parsed here: sequence, choice, repetition, groups, anchors. What a single character must be
(``\pL``, ``[^a-z]``, ``.``) is asked of the engine behind ``patterns.py``, one character at a time.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from kcpcache.schema.patterns import PatternError, compile_pattern, expand_quotes, scan_class, scan_escape, scan_repeat

MAX_INSTRUCTIONS = 2_000

CHAR, SPLIT, ASSERT, MATCH = range(4)

Instruction: TypeAlias = tuple[int, object, int, int]
"""(operation, its argument, next, second next): CHAR tests a character, SPLIT prefers next, ASSERT looks around."""

_ANCHORS = {"b", "B", "A", "z"}
_FLAGS = frozenset("imsU-")


@dataclass(frozen=True, slots=True)
class _Flags:
    """``(?imsU)``: ignore case, lines for ``^`` and ``$``, ``.`` takes newlines, lazy by default."""

    i: bool = False
    m: bool = False
    s: bool = False
    U: bool = False


def compile_program(pattern: str) -> list[Instruction]:
    """The program, entered at 0. Raises PatternError, also for what would grow over 2,000 instructions."""
    compile_pattern(pattern)  # refuses what is no expression, so that the parser may be simple
    return _Compiler(expand_quotes(pattern)).program()


class _Compiler:
    """Recursive descent over the expression, emitting instructions as it goes; fragments are relocatable lists."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.index = 0

    def program(self) -> list[Instruction]:
        fragment, _ = self._choice(_Flags())
        if self.index < len(self.pattern):
            raise PatternError("error parsing regexp: unexpected )")
        return [*fragment, (MATCH, None, 0, 0)]

    def _choice(self, flags: _Flags) -> tuple[list[Instruction], _Flags]:
        """Alternatives up to ``)`` or the end. A fragment's successor is the instruction after its last."""
        branches = []
        while True:
            branch, flags = self._sequence(flags)
            branches.append(branch)
            if self._peek() != "|":
                break
            self.index += 1
        fragment = branches.pop()
        while branches:
            branch = branches.pop()
            split = (SPLIT, None, 1, len(branch) + 2)
            jump = (SPLIT, None, len(fragment) + 1, len(fragment) + 1)
            fragment = self._bounded([split, *branch, jump, *fragment])
        return fragment, flags

    def _sequence(self, flags: _Flags) -> tuple[list[Instruction], _Flags]:
        fragment: list[Instruction] = []
        while self._peek() not in {"", "|", ")"}:
            atom, flags = self._atom(flags)
            fragment = self._bounded([*fragment, *self._repeated(atom, flags)])
        return fragment, flags

    def _peek(self, length: int = 1) -> str:
        return self.pattern[self.index : self.index + length]

    def _bounded(self, fragment: list[Instruction]) -> list[Instruction]:
        if len(fragment) > MAX_INSTRUCTIONS:
            raise PatternError("expression is too large to search with")
        return fragment

    def _atom(self, flags: _Flags) -> tuple[list[Instruction], _Flags]:
        char = self._peek()
        if char == "(":
            return self._group(flags)
        if char == "\\":
            return self._escape(flags), flags
        if char == "[":
            _, end = scan_class(self.pattern, self.index)
            return self._char(end, flags), flags
        if char in "^$":
            self.index += 1
            return [(ASSERT, f"line{char}" if flags.m else char, 1, 0)], flags
        if char == ".":
            return self._char(self.index + 1, flags), flags
        self.index += 1
        return [(CHAR, _literal(char, flags), 1, 0)], flags

    def _char(self, end: int, flags: _Flags) -> list[Instruction]:
        source, self.index = self.pattern[self.index : end], end
        return [(CHAR, _class(source, flags), 1, 0)]

    def _escape(self, flags: _Flags) -> list[Instruction]:
        following = self.pattern[self.index + 1]
        if following in _ANCHORS:
            self.index += 2
            return [(ASSERT, {"A": "^", "z": "$"}.get(following, following), 1, 0)]
        _, end = scan_escape(self.pattern, self.index)
        if following == "x" and self._peek(3) != "\\x{":
            end = self.index + 4
        elif following in "pP" and self.pattern[self.index + 2 : self.index + 3] != "{":
            end = self.index + 3
        return self._char(end, flags)

    def _group(self, flags: _Flags) -> tuple[list[Instruction], _Flags]:
        self.index += 1
        inner = flags
        if self._peek() == "?":
            self.index += 1
            if self._peek() in {"P", "<"}:
                self.index = self.pattern.index(">", self.index) + 1
            else:
                inner = self._inline_flags(flags)
                if self._peek() == ")":
                    self.index += 1
                    return [], inner
                self.index += 1  # the colon
        fragment, _ = self._choice(inner)
        if self._peek() != ")":
            raise PatternError("error parsing regexp: missing closing )")
        self.index += 1
        return fragment, flags

    def _inline_flags(self, flags: _Flags) -> _Flags:
        value = True
        while (char := self._peek()) in _FLAGS and char:
            if char == "-":
                value = False
            else:
                flags = replace(flags, **{char: value})
            self.index += 1
        if char not in {":", ")"}:
            raise PatternError(f"error parsing regexp: invalid or unsupported Perl syntax: `(?{char}`")
        return flags

    def _repeated(self, atom: list[Instruction], flags: _Flags) -> list[Instruction]:
        while True:
            low, high = 1, 1
            match self._peek():
                case "*":
                    low, high = 0, -1
                case "+":
                    low, high = 1, -1
                case "?":
                    low, high = 0, 1
                case "{":
                    piece, end = scan_repeat(self.pattern, self.index)
                    if end == self.index + 1:
                        return atom
                    first, comma, last = piece[1:-1].partition(",")
                    low, high = int(first), int(last) if last else (-1 if comma else int(first))
                    self.index = end - 1
                case _:
                    return atom
            self.index += 1
            lazy = flags.U
            if self._peek() == "?":
                self.index += 1
                lazy = not lazy
            atom = self._repeat(atom, low, high, lazy=lazy)

    def _repeat(self, atom: list[Instruction], low: int, high: int, *, lazy: bool) -> list[Instruction]:
        if len(atom) * max(low, high, 1) > MAX_INSTRUCTIONS:
            raise PatternError("expression is too large to search with")
        if high < 0:
            # As Go does: x* is (x+)?, which differs where x may be empty.
            plus = [*atom, _split(-len(atom), 1, lazy=lazy)]
            fragment = [*atom * (low - 1), *plus] if low else [_split(1, len(plus) + 1, lazy=lazy), *plus]
            return self._bounded(fragment)
        fragment = atom * low
        for left in range(high - low, 0, -1):
            fragment = [*fragment, _split(1, left * (len(atom) + 1), lazy=lazy), *atom]
        return self._bounded(fragment)


def _split(enter: int, leave: int, *, lazy: bool) -> Instruction:
    return (SPLIT, None, leave, enter) if lazy else (SPLIT, None, enter, leave)


def _literal(char: str, flags: _Flags) -> Callable[[str], bool]:
    if flags.i:
        return _class(f"\\{char}" if not char.isalnum() and char.isascii() else char, flags)
    return char.__eq__


def _class(source: str, flags: _Flags) -> Callable[[str], bool]:
    switched = "".join(name for name in "is" if getattr(flags, name))
    matches = compile_pattern(f"(?{switched})^{source}$" if switched else f"^{source}$")
    known: dict[str, bool] = {}

    def check(char: str) -> bool:
        found = known.get(char)
        if found is None:
            found = known[char] = matches(char)
        return found

    return check
