"""Field sets in their wire form: ``{"f:metadata": {"f:labels": {".": {}, "f:a": {}}}}``.

A set is a trie of path elements. ``{}`` is an owned field with nothing owned below it; ``"."`` beside others
says that the place itself is owned too. Tries are values: every function here answers with a new one, or with
the very one it was given where nothing changed, and shares what stays equal.
"""

from collections.abc import Iterator
from typing import Any, TypeAlias

import orjson

FieldSet: TypeAlias = dict[str, Any]
"""A trie: path element (``f:name``, ``k:{"name":"a"}``, ``v:"x"``, ``i:0``) to the trie below it."""

_SELF = "."
_EXACT = 2.0**53


class FieldsError(ValueError):
    """What should be fieldsV1 is not."""


def is_member(trie: FieldSet) -> bool:
    """Whether the place whose trie this is belongs to the set itself."""
    return not trie or _SELF in trie


def take(owned: FieldSet, changed: FieldSet) -> FieldSet:
    """``owned`` with all of ``changed`` added; what became a leaf loses what was owned below it."""
    result = None
    for element, below in changed.items():
        mine = owned.get(element)
        if mine is None:
            new = below
        elif not below:
            if not mine:
                continue
            new = below
        elif not mine:
            new = below if _SELF in below else {_SELF: {}, **below}
        else:
            new = take(mine, below)
            if new is mine:
                continue
        if result is None:
            result = dict(owned)
        result[element] = new
    return owned if result is None else result


def union(left: FieldSet, right: FieldSet) -> FieldSet:
    """What is in either set."""
    result = None
    for element, below in right.items():
        mine = left.get(element)
        if mine is None:
            new = below
        elif not below:
            if not mine or _SELF in mine:
                continue
            new = {_SELF: {}, **mine}
        elif not mine:
            new = below if _SELF in below else {_SELF: {}, **below}
        else:
            new = union(mine, below)
            if new is mine:
                continue
        if result is None:
            result = dict(left)
        result[element] = new
    return left if result is None else result


def subtract(owned: FieldSet, lost: FieldSet) -> FieldSet:
    """``owned`` without what is in ``lost``; a leaf in ``lost`` takes everything below it along.

    That is right for changes of an object: where a leaf is now, nothing can be owned below it.
    """
    result = None
    for element, below in lost.items():
        mine = owned.get(element)
        if mine is None:
            continue
        if not below:
            rest: FieldSet | None = None
        elif not mine:
            if _SELF not in below:
                continue
            rest = None
        else:
            rest = subtract(mine, below)
            if rest is mine:
                continue
            if len(rest) == 1 and _SELF in rest:
                rest = {}
            elif not rest:
                rest = None
        if result is None:
            result = dict(owned)
        if rest is None:
            del result[element]
        else:
            result[element] = rest
    return owned if result is None else result


def intersection(left: FieldSet, right: FieldSet) -> FieldSet:
    """What is in both sets."""
    result: FieldSet = {}
    for element, below in left.items():
        other = right.get(element)
        if other is None or element == _SELF:
            continue
        common = intersection(below, other) if below and other else {}
        if is_member(below) and is_member(other):
            result[element] = {_SELF: {}, **common} if common else {}
        elif common:
            result[element] = common
    return result


def contains(trie: FieldSet, path: tuple[str, ...]) -> bool:
    """Whether the place at ``path`` is in the set."""
    for element in path:
        below = trie.get(element)
        if below is None:
            return False
        trie = below
    return is_member(trie)


def paths(trie: FieldSet, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of every place in the set, in the order of their elements."""
    for element in sorted(trie):
        if element == _SELF:
            continue
        below = trie[element]
        here = (*prefix, element)
        if is_member(below):
            yield here
        yield from paths(below, here)


def shown(path: tuple[str, ...]) -> str:
    """A path as conflicts name it: ``.spec.containers[name="a"].image``, ``.metadata.finalizers[="x"]``."""
    return "".join(_shown_element(element) for element in path)


def _shown_element(element: str) -> str:
    kind, content = element[:2], element[2:]
    if kind == "f:":
        return f".{content}"
    if kind == "k:":
        keys = orjson.loads(content)
        return "[" + ",".join(f"{name}={orjson.dumps(value).decode()}" for name, value in keys.items()) + "]"
    return f"[={content}]" if kind == "v:" else f"[{content}]"


def parse(fields: Any) -> FieldSet:
    """The set that a client's fieldsV1 stands for, its elements spelled as this module spells them.

    Elements of unknown kinds are left out; null is the empty set. Raises FieldsError.
    """
    if fields is None:
        return {}
    if not isinstance(fields, dict):
        raise FieldsError("fields must be an object")
    result: FieldSet = {}
    for element, below in fields.items():
        if element == _SELF:
            result[_SELF] = {}
            continue
        spelled = _parse_element(element)
        if spelled is not None:
            result[spelled] = parse(below)
    return {} if len(result) == 1 and _SELF in result else result


def _parse_element(element: str) -> str | None:
    kind, content = element[:2], element[2:]
    if kind == "f:":
        return element
    try:
        if kind == "v:":
            return value_element(orjson.loads(content))
        if kind == "k:":
            keys = orjson.loads(content)
            return key_element(keys) if isinstance(keys, dict) else None
        if kind == "i:":
            return f"i:{int(content)}"
    except (ValueError, TypeError) as error:
        raise FieldsError(f"cannot read path element {element!r}") from error
    if len(kind) < 2 or kind[1] != ":":  # noqa: PLR2004 - a letter and a colon
        raise FieldsError(f"missing colon in path element {element!r}")
    return None


def value_element(value: Any) -> str:
    """The element of an item of a set: ``v:"x"``. Raises FieldsError where the value is no scalar."""
    if type(value) is str:
        return "v:" + orjson.dumps(value).decode()
    return "v:" + orjson.dumps(_scalar(value)).decode()


def key_element(keys: dict[str, Any]) -> str:
    """The element of an item of a list of type map: ``k:{"name":"a"}``, keys sorted.

    Raises FieldsError where a key's value is no scalar.
    """
    spelled = {name: _scalar(value) for name, value in keys.items()}
    return "k:" + orjson.dumps(spelled, option=orjson.OPT_SORT_KEYS).decode()


def _scalar(value: Any) -> Any:
    if isinstance(value, dict | list):
        raise FieldsError("a key must be a scalar")
    # One number, one spelling: 1.0 and 1 are the same key.
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT else value
