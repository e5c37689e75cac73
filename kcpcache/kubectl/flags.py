"""Flags as kubectl's own commands take them (POSIX with long names, anywhere among the words), without a library."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

_TRUE, _FALSE = {"true", "t", "1", "TRUE", "True", "T"}, {"false", "f", "0", "FALSE", "False", "F"}
_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_UNIT_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class UsageError(Exception):
    """Words that are no command; the text is what kubectl would say."""


@dataclass(frozen=True, slots=True)
class Flag:
    """``--name``; ``kind`` says what it takes, ``list`` a comma-separated one that may come again."""

    name: str
    kind: Literal["text", "bool", "list", "duration"]
    about: str
    short: str = ""
    default: Any = None

    @property
    def initial(self) -> Any:
        """The value where the flag is not given: durations are seconds."""
        return (
            {"text": "", "bool": False, "list": (), "duration": 0.0}[self.kind]
            if self.default is None
            else self.default
        )


@dataclass(frozen=True, slots=True)
class Words:
    """A command line taken apart: the values of all its flags by name, and the other words."""

    values: Mapping[str, Any]
    arguments: tuple[str, ...]


def parse(
    flags: Sequence[Flag],
    words: Sequence[str],
    initial: Mapping[str, Any] | None = None,
    *,
    stop_at_first: bool = False,
) -> Words:
    """Take ``words`` apart. ``--`` ends the flags; a lone ``-`` is a word.

    ``initial`` are values given already. ``stop_at_first`` leaves everything from the first other word on as it is,
    for a command below. Raises UsageError.
    """
    long = {flag.name: flag for flag in flags}
    short = {flag.short: flag for flag in flags if flag.short}
    values = {flag.name: flag.initial for flag in flags} | dict(initial or {})
    rest, others = list(words), []
    while rest:
        word = rest.pop(0)
        if word == "--":
            others += rest
            break
        if word.startswith("--"):
            name, equals, given = word[2:].partition("=")
            if name not in long:
                raise UsageError(f"unknown flag: --{name}")
            _take(values, long[name], f"--{name}", given if equals else None, rest)
        elif len(word) > 1 and word.startswith("-"):
            _take_short(values, short, word, rest)
        else:
            others.append(word)
            if stop_at_first:
                others += rest
                break
    return Words(values, tuple(others))


def _take_short(values: dict[str, Any], short: Mapping[str, Flag], word: str, rest: list[str]) -> None:
    """``-f x``, ``-fx``, ``-f=x``; several that take nothing may stand together."""
    letters = word[1:]
    while letters:
        letter, letters = letters[0], letters[1:]
        if letter not in short:
            raise UsageError(f"unknown shorthand flag: {letter!r} in {word}")
        flag = short[letter]
        if flag.kind == "bool" and not letters.startswith("="):
            values[flag.name] = True
            continue
        given = letters.removeprefix("=") if letters else None
        _take(values, flag, f"-{letter}, --{flag.name}", given, rest)
        return


def _take(values: dict[str, Any], flag: Flag, shown: str, given: str | None, rest: list[str]) -> None:
    if given is None and flag.kind == "bool":
        values[flag.name] = True
        return
    if given is None:
        if not rest:
            raise UsageError(f"flag needs an argument: {shown}")
        given = rest.pop(0)
    value = _value(flag, shown, given)
    values[flag.name] = (*values[flag.name], *value) if flag.kind == "list" else value


def _value(flag: Flag, shown: str, given: str) -> Any:
    if flag.kind == "bool":
        if given not in _TRUE | _FALSE:
            raise UsageError(f'invalid argument "{given}" for "{shown}" flag: it takes true or false')
        return given in _TRUE
    if flag.kind == "list":
        return tuple(given.split(",")) if given else ()
    if flag.kind == "duration":
        parts = _DURATION_PART.findall(given)
        if not parts or "".join(number + unit for number, unit in parts) != given:
            raise UsageError(f'invalid argument "{given}" for "{shown}" flag: it takes a duration such as 30s or 1m30s')
        return sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts)
    return given
