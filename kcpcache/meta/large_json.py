"""JSON of large values, decoded a piece at a time.

While the interpreter is within one call of a decoder, no other thread runs: of a quarter of a megabyte that is a
millisecond, in which the event loop would answer ten requests. So what is large is decoded in pieces, each of them a
call. It takes about twice as long in all: it is for what is computed beside the event loop.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
import orjson

PIECE_BYTES: Final = 12 * 1024
"""What is decoded in one call: 0.1 ms at the most. To find where large members begin and end is faster."""
LARGE_BYTES: Final = 32 * 1024
"""What is smaller is not worth it."""
_TRIES: Final = 3
_LEVELS: Final = 12
"""So deep it is looked for pieces: each level is gone through once more for that."""
_FEWEST_BYTES: Final = 8
"""From comma to comma, on average, where it is worth while to look at members one by one."""
_WHITESPACE: Final = b" \t\n\r"
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_items = msgspec.json.Decoder(list[msgspec.Raw])


def loads(data: bytes) -> Any:
    """As ``orjson.loads``, whose errors it raises; it goes down some levels deeper."""
    if len(data) <= LARGE_BYTES:
        return orjson.loads(data)
    try:
        return _value(data.strip(_WHITESPACE), _LEVELS)
    except (ValueError, msgspec.MsgspecError, RecursionError):
        return orjson.loads(data)  # it says what is wrong, and where


DECODERS: Final = (orjson.loads, loads)
"""``DECODERS[len(data) > LARGE_BYTES](data)`` is ``loads(data)`` and a call less for almost all there is: each write
decodes some ten times."""


def _value(data: bytes, levels: int) -> Any:
    opening = data[:1]
    if len(data) <= PIECE_BYTES or not levels or opening not in {b"{", b"["}:
        return orjson.loads(data)
    found: Any = {} if opening == b"{" else []
    add = found.update if opening == b"{" else found.extend
    start = 1
    while len(data) - start > PIECE_BYTES:
        part, end = _part(data, start)
        if not part:
            last = _level(opening + data[start:], levels)
            break
        add(part)
        start = end
    else:
        last = orjson.loads(opening + data[start:])
    if not last and start > 1:
        raise ValueError  # it ends with a comma
    add(last)
    return found


def _level(data: bytes, levels: int) -> Any:
    """An object or list of which some members are large. Where very many are tiny, one call for all is faster."""
    if data.count(b",") > len(data) // _FEWEST_BYTES:
        return orjson.loads(data)
    if data[:1] == b"{":
        members = _members.decode(data)
        return dict(zip(members, _values(members.values(), levels), strict=True))
    return list(_values(_items.decode(data), levels))


def _values(encoded: Iterable[msgspec.Raw], levels: int) -> Iterator[Any]:
    """Each value: large ones by themselves, small neighbours in one call."""
    small: list[bytes] = []
    size = 0
    for raw in encoded:
        value = bytes(raw)
        if size + len(value) > PIECE_BYTES:
            yield from orjson.loads(b"[%b]" % b",".join(small))
            small, size = [], 0
        if len(value) > PIECE_BYTES:
            yield _value(value, levels - 1)
        else:
            small.append(value)
            size += len(value) + 1
    yield from orjson.loads(b"[%b]" % b",".join(small))


def _part(data: bytes, start: int) -> tuple[Any, int]:
    """The members or items from ``start`` on that are in one piece, and where the next one begins; none where none is.

    That they end at some comma is seen from their being JSON when they are closed there: within a string or something
    nested they would not be.
    """
    opening, closing = (b"{", b"}") if data[:1] == b"{" else (b"[", b"]")
    end = start + PIECE_BYTES
    for _ in range(_TRIES):
        end = data.rfind(b",", start, end)
        if end < 0:
            break
        try:
            return orjson.loads(b"%b%b%b" % (opening, data[start:end], closing)), end + 1
        except orjson.JSONDecodeError:
            continue
    return None, start
