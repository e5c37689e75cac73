"""Field selectors where a webhook converts: objects are converted first, and then judged, in lists and in watches.

What is stored says only which objects to ask about: labels, names and namespaces are those that are stored.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, Final

from kcpcache.meta.selectors import FieldSelector, LabelSelector
from kcpcache.registry.cache_watch import CacheWatch, Entries, Events
from kcpcache.registry.caches import CacheEvent
from kcpcache.registry.conversion_webhook import entries_in
from kcpcache.registry.entry import Entry
from kcpcache.registry.view import Bookmark, Item, WatchEvent

if TYPE_CHECKING:
    from kcpcache.registry.reading import Reader

_CHUNK: Final = 500
"""How many objects are looked at before it is known whether a page is full."""


class ConvertedMatch:
    """A predicate for entries of which ``shown`` has to be asked, too."""

    def __init__(self, reader: "Reader", labels: LabelSelector, fields: FieldSelector) -> None:
        self._reader, self._labels, self._fields = reader, labels, fields

    def __call__(self, entry: Entry) -> bool:
        """Whether it may match, as far as that can be told without asking."""
        return self._labels.matches(entry.labels)

    async def shown(self, entries: Sequence[Entry]) -> list[Entry | None]:
        """The entries as they are shown, None for those that do not match. Raises ConversionError."""
        reader = self._reader
        asked = [entry for entry in entries if self(entry)]
        converted = await entries_in(reader.definition, await reader.settle(asked), reader.api_version)
        found = iter([reader.converted(entry) for entry in converted])
        shown = [next(found) if self(entry) else None for entry in entries]
        return [
            entry if entry is not None and self._fields.matches(reader.fields_of(entry)) else None for entry in shown
        ]

    async def page(self, entries: Entries, limit: int) -> tuple[Entries, int]:
        """See ``Reader._page``."""
        found: Entries = []
        for first in range(0, len(entries), _CHUNK):
            for offset, entry in enumerate(await self.shown(entries[first : first + _CHUNK])):
                if entry is None:
                    continue
                if limit and len(found) == limit:
                    return found, first + offset
                found.append(entry)
        return found, len(entries)


class ConvertedMatchWatch(CacheWatch):
    """A ``CacheWatch`` whose objects are converted before they are judged; ``next`` raises ConversionError too.

    An object is asked about as it was before a change and as it is after it.
    """

    def __init__(self, reader: "Reader", match: ConvertedMatch, namespace: str) -> None:
        super().__init__(reader, match, namespace)
        self._ask = match
        self._past: Iterator[CacheEvent | Bookmark] | None = None

    def begin_with(self, entries: Entries, *, bookmark: bool) -> None:
        """See ``CacheWatch``."""
        last = [Bookmark(self._ready_until, initial=True)] if bookmark else []
        self._past = chain((CacheEvent(entry.revision, entry.cluster, entry, None) for entry in entries), last)
        self._sent = 0

    def replay(self, events: Events, after: int) -> None:
        """See ``CacheWatch``."""
        self._past, self._sent = iter(events), after

    async def next(self, timeout_seconds: float | None = None) -> Sequence[WatchEvent | Bookmark]:
        """See ``view.Watch``."""
        while self._past is not None:
            past = list(islice(self._past, _CHUNK))
            found: list[WatchEvent | Bookmark] = list(await self._judged(e for e in past if isinstance(e, CacheEvent)))
            found += [one for one in past if isinstance(one, Bookmark)]
            if len(past) < _CHUNK:
                self._past, self._sent = None, self._ready_until
            if found:
                return found
        return await self._judged(await self._drained(timeout_seconds))

    def bookmark(self) -> Bookmark:
        """See ``view.Watch``."""
        return super().bookmark() if self._past is None else Bookmark(self._sent)

    async def _judged(self, events: Iterable[CacheEvent]) -> Sequence[WatchEvent]:
        concerned = [event for event in events if self._concerns(event)]
        asked = {id(one): one for event in concerned for one in (event.entry, event.previous) if one is not None}
        shown = dict(zip(asked, await self._ask.shown(list(asked.values())), strict=True)) if asked else {}
        found = []
        for event in concerned:
            now, before = shown.get(id(event.entry)), shown.get(id(event.previous))
            if now is not None:
                found.append(WatchEvent("ADDED" if before is None else "MODIFIED", Item(now, self._reader.seen_in)))
            elif before is not None:
                found.append(WatchEvent("DELETED", Item(before.at(event.revision), self._reader.seen_in)))
        return found

    def _concerns(self, event: CacheEvent) -> bool:
        one = event.entry or event.previous
        return one is not None and (not self._namespace or one.namespace == self._namespace)
