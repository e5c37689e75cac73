"""Calls that functions in Python cannot answer (see ``cel_optionals``), in CEL itself.

Such a call becomes a tree that is read off a text like those below, compiled once. What the functions in Python still
get there is scalar: an optional value, and a list or map that may hold one, is told apart by its type before.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any

from kcpcache.schema.cel_optionals import summed
from kcpcache.schema.cel_tree import Call, checked_expression, serialized_expression

_TARGET, _ARGUMENT = "a__", "b__"
# Types are asked for, as in ``type([])``: a loop of the expression around the call may call its variable ``list``.
_LIST, _MAP, _OPTIONAL, _UINT = "type([])", "type({})", "type(optional.none())", "type(0u)"
_SCALARS = f"[type(0), {_UINT}, type(0.0), type(true), type(''), type(b''), type(timestamp(0)), type(duration('0s'))]"
_SCALAR = f"type(x__) in {_SCALARS} ? dyn(x__) : dyn(null)"
_LIKE_FIRST = f"type(x__) == type(a__[0]) ? dyn({_SCALAR}) : dyn(null)"
_HOLDERS = f"[{_LIST}, {_MAP}, {_OPTIONAL}]"
_DEEPEST = 4
"""Lists and maps in one another in which ``format`` looks for optional values; it takes deeper ones for such."""
MOST_ENTRIES = 64
"""Of a map that may hold optional values: what a map is made of must be written out."""
_MOST_BYTES = 250_000
"""Of an expression with all that is written out."""
_ZEROS = {"uint": "0u", "double": "0.0", "duration": "duration('0s')"}


class TooLargeError(ValueError):
    """The expression would have too many such calls."""


def answered(serialized: bytes, calls: Iterable[Call], environment: Any) -> bytes:
    """A serialized expression in which these calls are answered in CEL. Raises TooLargeError.

    The environment is one that the expression can run in.
    """
    checked = checked_expression(serialized)
    wanted = {call.number: call for call in calls}
    numbers = max((expression.id for expression in _walk(checked.expr)), default=0)
    size = len(serialized)
    # What stands within others comes first.
    for expression in reversed(list(_walk(checked.expr))):
        call = wanted.get(expression.id) if expression.WhichOneof("union") == "call" else None
        if call is None:
            continue
        pattern = _pattern(call.function, _ZEROS.get(summed(call), "a__.sum()"), environment)
        size += pattern.ByteSize()
        if size > _MOST_BYTES:  # before it is made: thousands of copies would take seconds
            raise TooLargeError
        made, count = _instance(pattern, numbers)
        numbers += count
        given = expression.call
        made.loop.start.CopyFrom(given.target)
        if call.arguments:
            made.loop.result.loop.start.CopyFrom(given.arguments[0])
        expression.CopyFrom(made)
    found = serialized_expression(serialized, checked)
    if len(found) > _MOST_BYTES:
        raise TooLargeError
    return found


def _walk(expression: Any) -> Iterator[Any]:
    """An expression and those in it; the messages can be changed."""
    pending = [expression]
    while pending:
        found = pending.pop()
        yield found
        pending += _below(found)


def _below(expression: Any) -> list[Any]:
    match expression.WhichOneof("union"):
        case "select":
            return [expression.select.operand]
        case "call":
            call = expression.call
            return [*([call.target] if call.HasField("target") else []), *call.arguments]
        case "list":
            return list(expression.list.elements)
        case "struct":
            return [part for entry in expression.struct.entries for part in (entry.key, entry.value)]
        case "loop":
            loop = expression.loop
            return [loop.range, loop.start, loop.condition, loop.step, loop.result]
    return []


def _instance(pattern: Any, numbers: int) -> tuple[Any, int]:
    """A copy of what answers a call, with numbers of its own, and how many they are."""
    made = type(pattern)()
    made.CopyFrom(pattern)
    most = 0
    for expression in _walk(made):
        most = max(most, expression.id)
        expression.id += numbers
    return made, most


@cache
def _pattern(function: str, zero: str, environment: Any) -> Any:
    """``a__`` is the target and ``b__`` the argument, under names that no expression can have."""
    body = _BODIES[function](zero)
    takes_argument = _ARGUMENT in body
    text = f"cel.bind({_ARGUMENT}, self, {body})" if takes_argument else body
    program = environment.compile(f"cel.bind({_TARGET}, dyn(null), {text.replace('self', 'dyn(null)', 1)})")
    pattern = checked_expression(program.serialize()).expr
    for expression in _walk(pattern):
        _rename(expression)
    if function == "merged__":
        _flatten(pattern)
    return pattern


def _rename(expression: Any) -> None:
    if expression.WhichOneof("union") == "ident":
        expression.ident.name = _renamed(expression.ident.name)
    elif expression.WhichOneof("union") == "loop":
        loop = expression.loop
        loop.variable, loop.second, loop.accumulator = map(_renamed, (loop.variable, loop.second, loop.accumulator))


def _renamed(name: str) -> str:
    return f"@{name}" if name.endswith("__") and not name.startswith("__") else name


def _flatten(pattern: Any) -> None:
    """Make ``p__``, of which the text has the type only, one list of all pairs in the lists that ``q__`` has."""
    outer = pattern.loop.result.loop
    step = outer.start.loop.step
    appended = step.call.arguments[1]
    kept = type(appended)()
    kept.CopyFrom(appended.list.elements[0])
    appended.CopyFrom(kept)
    made = type(pattern)()
    made.CopyFrom(outer.result)
    made.loop.start.CopyFrom(outer.start)
    pattern.loop.result.CopyFrom(made)


def _of_list(name: str, body: str) -> Callable[[str], str]:
    """What is no list is refused by the function itself, before Python is called."""
    return lambda _: f"type(a__) != {_LIST} ? a__.{name}({'b__' if _ARGUMENT in body else ''}) : {body}"


def _place(last: bool) -> str:
    place = "size(r__) - 1" if last else "0"
    return f"cel.bind(r__, a__.transformList(i__, v__, v__ == b__, i__), size(r__) == 0 ? dyn(-1) : dyn(r__)[{place}])"


def _extreme(name: str) -> Callable[[str], str]:
    best = f"a__.map(x__, {_SCALAR}).{name}Place__()"
    return lambda _: f"type(a__) != {_LIST} || size(a__) == 0 ? a__.{name}() : dyn(a__)[{best}]"


def _sum(zero: str) -> str:
    items = f"a__.map(x__, {_LIKE_FIRST})"
    return (
        f"type(a__) != {_LIST} ? dyn(a__.sum()) : size(a__) == 0 ? dyn({zero}) : "
        f"type(a__[0]) == {_UINT} ? dyn({items}.sumUnsigned__()) : dyn({items}.sum())"
    )


def _compared(name: str) -> Callable[[str], str]:
    fits = f"!(type(a__) in {_HOLDERS}) && !(type(b__) in {_HOLDERS})"
    return lambda _: f"{fits} ? dyn(a__.{name}(b__)) : dyn(unfit__('{name}', [type(a__), type(b__)]))"


def _holds(value: str, deep: int) -> str:
    """Whether a value is an optional one or has one in it."""
    if deep == 0:
        return f"type({value}) in {_HOLDERS}"
    inner, key = f"y{deep}__", f"k{deep}__"
    below = _holds(inner, deep - 1)
    return (
        f"(type({value}) == {_OPTIONAL} || (type({value}) == {_LIST} && dyn({value}).exists({inner}, {below})) || "
        f"(type({value}) == {_MAP} && dyn({value}).exists({key}, {inner}, {below})))"
    )


def _format(_: str) -> str:
    stand_in = "kubernetes.Optional{}"
    shown = (
        f"type(x__) == {_OPTIONAL} ? dyn({stand_in}) : "
        f"type(x__) == {_MAP} ? dyn({{'': {stand_in}}}) : dyn([{stand_in}])"
    )
    given = f"dyn(b__).map(x__, {_holds('x__', _DEEPEST)} ? ({shown}) : dyn(x__))"
    return f"type(b__) != {_LIST} ? a__.format__(b__) : a__.format__({given})"


def _merged(_: str) -> str:
    entries = ", ".join(f"?p__[?{place}][?0].orValue(''): p__[?{place}][?1]" for place in range(MOST_ENTRIES))
    many = f"a__.exists(m__, {_holds('m__', _DEEPEST)}) ? dyn(tooMany__({MOST_ENTRIES})) : dyn(a__.merged__())"
    unique = "size(p__.map(e__, {e__[0]: 0}).merged__()) == size(p__)"
    return (
        "cel.bind(q__, a__.map(m__, m__.map(k__, [k__, m__[k__]])), cel.bind(p__, [[dyn(0)]], "
        f"size(p__) > {MOST_ENTRIES} ? ({many}) : {unique} ? dyn({{{entries}}}) : dyn(a__)))"
    )


_BODIES: dict[str, Callable[[str], str]] = {
    "compareTo": _compared("compareTo"),
    "format__": _format,
    "indexOf": _of_list("indexOf", _place(last=False)),
    "isGreaterThan": _compared("isGreaterThan"),
    "isLessThan": _compared("isLessThan"),
    "isSorted": _of_list("isSorted", f"a__.map(x__, {_SCALAR}).isSorted()"),
    "lastIndexOf": _of_list("lastIndexOf", _place(last=True)),
    "max": _extreme("max"),
    "merged__": _merged,
    "min": _extreme("min"),
    "sum": _sum,
}
ANSWERED = frozenset(_BODIES)
"""The functions that this is possible for."""
