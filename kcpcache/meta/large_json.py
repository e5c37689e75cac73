"""JSON of large values, decoded a piece at a time.

While the interpreter is within one call of a decoder, no other thread runs: of a quarter of a megabyte that is a
millisecond, in which the event loop would answer ten requests. So what is large is decoded in pieces, each of them a
call. It takes about twice as long in all: it is for what is computed beside the event loop.
"""

from typing import Any, Final

import msgspec
import orjson

from kcpcache.meta.gate import GATE

PIECE_BYTES: Final = 12 * 1024
"""What is decoded in one call: 0.1 ms at the most."""
LARGE_BYTES: Final = 32 * 1024
"""What is smaller is not worth it."""
_TRIES: Final = 3
_LEVELS: Final = 12
"""So deep it is looked for pieces: each level is gone through once more for that."""
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_items = msgspec.json.Decoder(list[msgspec.Raw])


def loads(data: bytes) -> Any:
    """As ``orjson.loads``, whose errors it raises."""
    if len(data) <= LARGE_BYTES:
        return orjson.loads(data)
    try:
        return _value(data.strip(), _LEVELS)
    except (ValueError, msgspec.MsgspecError, RecursionError):
        return orjson.loads(data)  # it says what is wrong, and where


def _value(data: bytes, levels: int) -> Any:
    if GATE.closed:
        GATE.wait()
    opening = data[:1]
    if len(data) <= PIECE_BYTES or not levels or opening not in {b"{", b"["}:
        return orjson.loads(data)
    found: Any = {} if opening == b"{" else []
    add = found.update if opening == b"{" else found.extend
    start = 1
    while len(data) - start > PIECE_BYTES:
        part, end = _part(data, start)
        if not part:  # what comes next is large by itself
            add(_level(opening + data[start:], levels))
            return found
        add(part)
        start = end
        if GATE.closed:
            GATE.wait()
    last = orjson.loads(opening + data[start:])
    if not last and start > 1:
        raise ValueError  # it ends with a comma
    add(last)
    return found


def _level(data: bytes, levels: int) -> Any:
    """An object or list of which some members are large."""
    if data[:1] == b"{":
        return {key: _value(bytes(value), levels - 1) for key, value in _members.decode(data).items()}
    return [_value(bytes(value), levels - 1) for value in _items.decode(data)]


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
