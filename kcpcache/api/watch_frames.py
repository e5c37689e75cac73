"""Events as they are on the wire of a watch: lines of JSON, made once for all watches that see the same."""

from typing import Final

from kcpcache.api.shapes import CHUNK_BYTES
from kcpcache.registry.batches import Batch, Frames

OPENINGS: Final = {
    "ADDED": b'{"type":"ADDED","object":',
    "MODIFIED": b'{"type":"MODIFIED","object":',
    "DELETED": b'{"type":"DELETED","object":',
}
"""What comes before an event's object; ``END`` comes after it."""
END: Final = b"}\n"


def frames_of(events: Batch) -> Frames:
    """What is written for the events; each piece is not much larger than ``CHUNK_BYTES``. The first to ask makes it."""
    found = events.frames
    if found is None:
        found = events.frames = _made(events)
    return found


def _made(events: Batch) -> Frames:
    pieces: list[bytes] = []
    counts: list[int] = []
    sizes: list[int] = []
    parts: list[bytes] = []
    size = 0
    for place, event in enumerate(events, 1):
        shown = event.item.wire()
        parts += (OPENINGS[event.type], shown, END)
        size += len(shown)
        if size >= CHUNK_BYTES or place == len(events):
            pieces.append(b"".join(parts))
            counts.append(len(parts) // 3)
            sizes.append(size)
            parts.clear()
            size = 0
    return Frames(tuple(pieces), tuple(counts), tuple(sizes))
