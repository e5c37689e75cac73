"""What the cache has of a scope now, page by page."""

from collections.abc import Sequence
from typing import TypeAlias

from kcpcache.registry.continue_tokens import encode_continue
from kcpcache.registry.entry import Entry
from kcpcache.registry.field_match import FieldMatch, Match
from kcpcache.registry.pauses import Slices
from kcpcache.registry.shelf import Block, key_of, loose
from kcpcache.registry.shown_entries import PAUSE_EVERY, Entries, ShownEntries
from kcpcache.registry.view import WILDCARD, Listing, ListOptions, Segment

Blocks: TypeAlias = list[Block]


class EntryPages(ShownEntries):
    """Makes listings of entries, which go on where the page is full."""

    def _entries(self, namespace: str, start: str) -> Entries:
        return [entry for block in self._lend(namespace, start) for entry in block.entries]

    def _lend(self, namespace: str, start: str) -> Blocks:
        """What the cache has of the scope, in order, as it is now."""
        if self.scope != WILDCARD:
            shelf = self.cache.shelves.get(self.scope)
            return shelf.lend(namespace, start) if shelf else []
        first, _, rest = start.partition("/")
        found: Blocks = []
        for cluster in self.cache.clusters():
            if f"{cluster}/" >= f"{first}/":
                found += self.cache.shelves[cluster].lend(namespace, rest if cluster == first else "")
        return found

    async def _page(self, entries: Entries, match: Match | None, limit: int) -> tuple[Entries, int]:
        """What matches, settled, ``limit`` at the most; and the index of the first entry that was not looked at."""
        if isinstance(match, FieldMatch):
            return await match.page(entries, limit)
        if match is None:
            at = limit if 0 < limit < len(entries) else len(entries)
            return await self.settle(entries[:at]), at
        found: list[Entry] = []
        slices = Slices()
        at = len(entries)
        for first in range(0, len(entries), PAUSE_EVERY):
            if slices.over:
                await slices.pause()
            few = enumerate(entries[first : first + PAUSE_EVERY], first)
            matching = [(index, entry) for index, entry in few if match(entry)]
            room = limit - len(found) if limit else len(matching)
            found += [entry for _, entry in matching[:room]]
            if len(matching) > room:
                at = matching[room][0]
                break
        return await self.settle(found, slices), at

    def _listing(self, found: Entries, entries: Entries, at: int, revision: int, options: ListOptions) -> Listing:
        """``found``, settled, as a listing, which goes on with ``entries`` from index ``at``."""
        token, remaining = "", None
        if at < len(entries):
            token = self._token(revision, self._position(entries[at]))
            if not options.label_selector and not options.field_selector:
                remaining = len(entries) - at
        unreadable = self.cache.count_unreadable(self.scope, options.namespace)
        return Listing((Segment(found, self.seen_in),), revision, token, remaining, unreadable)

    async def _whole(self, blocks: Blocks, revision: int, options: ListOptions) -> Listing:
        """A page of everything in ``blocks``."""
        page, following = _first(blocks, options.limit) if options.limit else (blocks, None)
        token, remaining = "", None
        if following is not None:
            token = self._token(revision, self._position(following))
            remaining = sum(len(block.entries) for block in blocks) - options.limit
        unreadable = self.cache.count_unreadable(self.scope, options.namespace)
        return Listing(await self._shown(page), revision, token, remaining, unreadable)

    async def _shown(self, blocks: Blocks) -> Sequence[Segment]:
        segments: list[Segment] = []
        others: Entries = []
        slices = Slices()
        for block in blocks:
            if slices.over:
                await slices.pause()
            as_they_are = self._as_they_are(block)
            shown = block.entries
            if not as_they_are:
                shown = await self.settle(block.entries, slices)
                as_they_are = self.settles and self._as_they_are(block)
            if not as_they_are and self.definition.conversion is not None:
                others += shown  # the fewer calls to the webhook, the better
                continue
            if others:
                segments.append(Segment(others, self.seen_in))
                others = []
            segments.append(Segment(shown, self.seen_in, block if as_they_are else None))
        return [*segments, Segment(others, self.seen_in)] if others else segments

    def _position(self, entry: Entry) -> str:
        return f"{entry.cluster}/{key_of(entry)}" if self.scope == WILDCARD else key_of(entry)

    def _token(self, revision: int, start: str) -> str:
        return encode_continue(revision, start, str(self.definition.group_resource))


def _first(blocks: Blocks, limit: int) -> tuple[Blocks, Entry | None]:
    """Blocks with the first ``limit`` entries of ``blocks``, and the entry that follows."""
    page: Blocks = []
    for block in blocks:
        if len(block.entries) > limit:
            return (page + loose(block.entries[:limit]) if limit else page), block.entries[limit]
        page.append(block)
        limit -= len(block.entries)
    return page, None
