"""Macros and functions of CEL that cel-cpp or its Python interface has not, in words that they have.

``transformMap(k, v, x)`` and ``transformMapEntry(k, v, {x: y})`` become ``transformList(k, v, {k: x})``, a list of maps
of one entry each. To run, they are put together; to be checked, the type of one of them is that of all.
``optional.unwrap`` and ``unwrapOpt`` filter and map. Functions in Python cannot return optional values:
``format.named`` and ``validate`` return lists of one item or none, of which ``first()`` makes an optional value.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate, chain

from kcpcache.schema.cel_report import report
from kcpcache.schema.cel_text import Spans, arguments, code, literal

MERGE = "merged__"
"""The function that puts maps together when a rule runs."""
OWN = {
    name: f"{name}__"
    for name in (
        "format",
        "getMilliseconds",
        "indexOf",
        "lastIndexOf",
        "replace",
        "split",
        "string",
        "charAt",
        "substring",
    )
}
"""Functions that are called by other names when a rule runs: cel-cpp's answer otherwise, or know no bounds.

Of some only those calls that can tell the difference; ``charAt`` and ``substring`` only to tell what is wrong.
"""
_RUN, _CHECK = f".{MERGE}()", "[0]"
_MACRO = re.compile(r"(?<=\.)(?P<before>\s*)(?P<name>transformMap(?P<entry>Entry)?)\s*\(")
_OWN = re.compile(
    rf"(?:(?<=\.)\s*(?P<method>{'|'.join(sorted(OWN.keys() - {'string'}))})|(?<![\w.])(?P<function>string))\s*(?=\()"
)
_EXISTS_ONE = re.compile(r"(?<=\.)\s*(?P<name>exists_one)\s*\(")
_UNWRAP = re.compile(r"(?<![\w.])optional\s*\.\s*unwrap\s*\(")
_UNWRAP_METHOD = re.compile(r"(?<=\.)\s*unwrapOpt\s*\(\s*\)")
_UNWRAP_LOOPS = "filter(o__, o__.hasValue()).map(o__, o__.value())"
_OPTIONAL = re.compile(r"(?:\.\s*validate|(?<![\w.])format\s*\.\s*named)\s*\(")
_ERROR = re.compile(r"^ERROR: <input>:(\d+):(\d+): (.*)$", re.MULTILINE)
_NAME = re.compile(r"[A-Za-z_]\w*")
_MACRO_ARGUMENTS, _EXISTS_ARGUMENTS, _OFFSET_ARGUMENTS = (3, 4), 3, 2
_MAP = _UNWRAP_LOOPS.index("map") + 3


@dataclass(frozen=True, slots=True)
class Rewritten:
    """An expression in other words."""

    text: str
    edits: tuple[tuple[int, int, int, int], ...] = ()
    """Where the text has something else, its length, how long it was, and where: the first is a place in ``text``."""
    marks: frozenset[int] = frozenset()
    """The places of the calls, brackets and braces that stand for macros and functions."""

    def origin(self, at: int) -> int:
        """Where in the original expression it was what is at this place now."""
        index = bisect_right(self.edits, at, key=lambda edit: edit[0])
        if index == 0:
            return at
        place, length, original, start = self.edits[index - 1]
        if at < place + length:
            return start + min(at - place, max(original - 1, 0))
        return start + original + at - place - length


@dataclass(frozen=True, slots=True)
class _Edit:
    """Text that replaces what is between two places; at one place, what ends there comes before what begins there."""

    start: int
    end: int
    text: str
    call: int
    opens: bool
    mark: int | None = None
    """The character of the text that the tree of the expression will be marked by."""

    @property
    def order(self) -> tuple[int, bool, int]:
        return self.start, self.opens, self.call if self.opens else -self.call


def checkable(expression: str) -> Rewritten:
    """The expression with macros that can be checked."""
    blanked = code(expression)
    called = arguments(blanked)
    edits = chain(_maps(blanked, called, _CHECK), _unwraps(blanked, called), _exists(blanked, called))
    return _rewritten(expression, edits)


def runnable(expression: str, *, telling: bool = False) -> Rewritten:
    """The expression with nothing in it that could not run; with ``telling`` errors have Kubernetes' words."""
    blanked = code(expression)
    called = arguments(blanked)
    macros = chain(_maps(blanked, called, _RUN), _unwraps(blanked, called), _exists(blanked, called))
    return _rewritten(
        expression, chain(macros, _own(expression, blanked, called, telling=telling), _optionals(blanked, called))
    )


def relocated(text: str, expression: str, rewritten: Rewritten) -> str:
    """cel-cpp's report on what was rewritten as one on the expression."""
    if not rewritten.edits:
        return text
    for name, own in OWN.items():
        text = text.replace(f"'{own}'", f"'{name}'")
    lines = rewritten.text.split("\n")
    starts = [0, *accumulate(len(line) + 1 for line in lines)]
    found = [(starts[int(error[1]) - 1] + int(error[2]) - 1, error[3]) for error in _ERROR.finditer(text)]
    return report(expression, [(rewritten.origin(at), why) for at, why in found]) if found else text


def _rewritten(expression: str, edits: Iterable[_Edit]) -> Rewritten:
    pieces: list[str] = []
    places, marks, done, length = [], set(), 0, 0
    for edit in sorted(edits, key=lambda edit: edit.order):
        pieces += [expression[done : edit.start], edit.text]
        length += edit.start - done
        places.append((length, len(edit.text), edit.end - edit.start, edit.start))
        marks |= {length + edit.mark} if edit.mark is not None else set()
        done, length = edit.end, length + len(edit.text)
    return Rewritten("".join([*pieces, expression[done:]]), tuple(places), frozenset(marks))


def _maps(blanked: str, called: Mapping[int, Spans], tail: str) -> Iterator[_Edit]:
    for found in _MACRO.finditer(blanked):
        spans = called.get(found.end())
        if spans is None or len(spans) not in _MACRO_ARGUMENTS:
            continue
        key, last = blanked[slice(*spans[0])].strip(), spans[-1]
        if _NAME.fullmatch(key) is None:
            continue
        call = found.start()
        yield _Edit(*found.span("name"), "transformList", call, opens=True)
        if not found["entry"]:
            yield _Edit(last[0], last[0], f"{{{key}: ", call, opens=True, mark=0)
            yield _Edit(last[1], last[1], "}", call, opens=False)
        yield _Edit(last[1] + 1, last[1] + 1, tail, call, opens=False, mark=0)


def _exists(blanked: str, called: Mapping[int, Spans]) -> Iterator[_Edit]:
    """``exists_one(k, v, x)``, which cel-cpp calls ``existsOne``."""
    for found in _EXISTS_ONE.finditer(blanked):
        spans = called.get(found.end())
        if spans is not None and len(spans) == _EXISTS_ARGUMENTS:
            yield _Edit(*found.span("name"), "existsOne", found.start(), opens=True)


def _own(expression: str, blanked: str, called: Mapping[int, Spans], *, telling: bool) -> Iterator[_Edit]:
    for found in _OWN.finditer(blanked):
        group = "method" if found["method"] else "function"
        name, spans = found[group], called.get(found.end() + 1, [])
        if name in {"charAt", "substring"} and not telling:
            continue
        if name in {"indexOf", "lastIndexOf"} and len(spans) != _OFFSET_ARGUMENTS:
            continue
        if name == "split" and spans and literal(expression[slice(*spans[0])]):
            continue
        yield _Edit(*found.span(group), OWN[name], found.start(), opens=True)


def _unwraps(blanked: str, called: Mapping[int, Spans]) -> Iterator[_Edit]:
    for found in _UNWRAP.finditer(blanked):
        spans = called.get(found.end())
        if spans is not None and len(spans) == 1:
            yield _Edit(*found.span(), "(", found.start(), opens=True)
            end = spans[0][1] + 1
            yield _Edit(end, end, f".{_UNWRAP_LOOPS}", found.start(), opens=False, mark=_MAP + 1)
    for found in _UNWRAP_METHOD.finditer(blanked):
        yield _Edit(*found.span(), _UNWRAP_LOOPS, found.start(), opens=True, mark=_MAP)


def _optionals(blanked: str, called: Mapping[int, Spans]) -> Iterator[_Edit]:
    for found in _OPTIONAL.finditer(blanked):
        spans = called.get(found.end())
        if spans is not None:
            end = spans[-1][1] + 1
            yield _Edit(end, end, ".first()", found.start(), opens=False)
