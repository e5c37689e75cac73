"""Where a regular expression matches: leftmost, preferring earlier alternatives, in time linear in the text.

Pike's virtual machine: all states advance together, one character at a time, and none is entered twice at one
position. Python's own ``re`` backtracks and could be kept busy for ever by a schema's author.
"""

from functools import lru_cache

from kcpcache.schema.patterns import PatternError, compile_pattern
from kcpcache.schema.regex_program import ASSERT, CHAR, MATCH, SPLIT, Instruction, compile_program

_MAX_STEPS = 1_000_000
"""Of one search, about a second."""


class SearchLimitError(ValueError):
    """The search took more steps than it may."""


@lru_cache(maxsize=256)
def _program(pattern: str) -> list[Instruction]:
    return compile_program(pattern)


def find_all(pattern: str, text: str, limit: int = -1) -> list[str]:
    """Matches from left to right that do not overlap, at most ``limit`` (negative: all).

    Raises PatternError for what is no expression, SearchLimitError after about a second.
    """
    if not compile_pattern(pattern)(text):
        return []
    search = _Search(_program(pattern), text)
    found: list[str] = []
    position, previous_end = 0, -1
    while position <= len(text) and len(found) != limit:
        match = search.first(position)
        if match is None:
            break
        start, end = match
        # An empty match right behind the previous one is none, as in Go.
        if end > start or start != previous_end:
            found.append(text[start:end])
        previous_end = end
        position = end if end > start else end + 1
    return found


class _Search:
    """One text, one program, one bound on the steps of all searches."""

    def __init__(self, program: list[Instruction], text: str) -> None:
        self.program = program
        self.text = text
        self.steps = 0

    def first(self, begin: int) -> tuple[int, int] | None:
        """Start and end of the first match at or after ``begin``."""
        best: tuple[int, int] | None = None
        threads: list[tuple[int, int]] = []
        position = begin
        while True:
            seen: set[int] = set()
            current: list[tuple[int, int]] = []
            for counter, start in threads:
                self._enter(counter, start, position, current, seen)
            if best is None:
                self._enter(0, position, position, current, seen)
            threads = []
            char = self.text[position] if position < len(self.text) else ""
            for counter, start in current:
                operation, test, _, _ = self.program[counter]
                if operation == MATCH:
                    best = (start, position)
                    break  # what follows is of lower priority
                if char and test(char):  # type: ignore[operator]
                    threads.append((counter + 1, start))
            position += 1
            if position > len(self.text) or (best is not None and not threads):
                return best

    def _enter(self, counter: int, start: int, position: int, threads: list[tuple[int, int]], seen: set[int]) -> None:
        """Add the states that are reached without a character, in order of preference."""
        pending = [counter]
        while pending:
            here = pending.pop()
            if here in seen:
                continue
            seen.add(here)
            self.steps += 1
            if self.steps > _MAX_STEPS:
                raise SearchLimitError("regular expression takes too long")
            operation, argument, first, second = self.program[here]
            if operation == SPLIT:
                pending += [here + second, here + first]
            elif operation == ASSERT:
                if self._holds(str(argument), position):
                    pending.append(here + 1)
            else:
                assert operation in {CHAR, MATCH}  # noqa: S101 - tells the reader what is left
                threads.append((here, start))

    def _holds(self, assertion: str, position: int) -> bool:
        text = self.text
        match assertion:
            case "^":
                return position == 0
            case "$":
                return position == len(text)
            case "line^":
                return position == 0 or text[position - 1] == "\n"
            case "line$":
                return position == len(text) or text[position] == "\n"
            case _:
                boundary = self._is_word(position - 1) != self._is_word(position)
                return boundary if assertion == "b" else not boundary

    def _is_word(self, position: int) -> bool:
        char = self.text[position] if 0 <= position < len(self.text) else " "
        return char.isascii() and (char.isalnum() or char == "_")


__all__ = ["PatternError", "SearchLimitError", "find_all"]
