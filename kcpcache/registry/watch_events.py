"""What a watch makes of changes: events, with objects as they are shown, of those that it selects.

Whoever is told of changes hands them on as they are; what needs a look into objects is found out in the watch's own
turn, for all its changes together.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from kcpcache.registry.entry import Entry
from kcpcache.registry.field_match import FieldMatch, Match, quick
from kcpcache.registry.view import Bookmark, Item, WatchEvent

if TYPE_CHECKING:
    from kcpcache.registry.reading import Reader


class Change(NamedTuple):
    """What an object was, and what it is, to a watch: None where it does not see it.

    ``revision`` is that of a DELETED; ``cluster`` is where it is seen, None: in its own.
    """

    entry: Entry | None
    previous: Entry | None
    revision: int
    cluster: str | None = None


def selected(match: Match | None, change: Change) -> tuple[Change, ...]:
    """The change to whoever selects like this, if it is one, as far as that can be told without a look into objects."""
    may_match = quick(match)
    if may_match is None:
        return (change,)
    entry, previous, revision, cluster = change
    now = entry if entry is not None and may_match(entry) else None
    before = previous if previous is not None and may_match(previous) else None
    return () if now is before is None else (Change(now, before, revision, cluster),)


async def told(reader: "Reader", match: Match | None, seen: Iterable[Change | Bookmark]) -> list[WatchEvent | Bookmark]:
    """What ``reader`` shows of changes that ``selected`` gave for the same ``match``; each entry is looked at once.

    To enter a selection is ADDED, to leave it DELETED. Raises ConversionError.
    """
    seen = list(seen)
    by_fields = match if isinstance(match, FieldMatch) else None
    asked = {id(entry): entry for change in seen for entry in _looked_at(change, both=by_fields is not None)}
    entries = list(asked.values())
    found: Sequence[Entry | None] = await (reader.settle(entries) if by_fields is None else by_fields.shown(entries))
    shown = dict(zip(asked, found, strict=True))
    gone: dict[tuple[int, int], Entry] = {}
    events: list[WatchEvent | Bookmark] = []
    for change in seen:
        if isinstance(change, Bookmark):
            events.append(change)
            continue
        now, before = shown.get(id(change.entry)), shown.get(id(change.previous))
        if now is not None:
            was_there = change.previous is not None if by_fields is None else before is not None
            events.append(WatchEvent("MODIFIED" if was_there else "ADDED", Item(now, change.cluster)))
        elif before is not None:
            key = id(before), change.revision  # one for all who see it go
            last = gone.get(key) or gone.setdefault(key, before.at(change.revision))
            events.append(WatchEvent("DELETED", Item(last, change.cluster)))
    return events


def _looked_at(change: Change | Bookmark, *, both: bool) -> Iterable[Entry]:
    """What of a change must be shown, or (``both``) judged."""
    if isinstance(change, Bookmark):
        return ()
    entry, previous = change.entry, change.previous
    if both:
        return [one for one in (entry, previous) if one is not None]
    one = entry or previous
    return () if one is None else (one,)
