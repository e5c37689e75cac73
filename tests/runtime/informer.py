"""A client that keeps a copy of what a view shows, as client-go's informers do."""

from collections.abc import Callable

from kcpcache.meta.errors import ExpiredError, StatusError
from kcpcache.registry.view import Bookmark, Listing, ListOptions, View, Watch, WatchEvent

ALL = 1_000_000
Held = dict[tuple[str, str], int]
"""The revision of each object by its logical cluster and name."""


class Informer:
    """Lists once, watches from there, resumes where it was cut off, and lists again only if that is too old.

    ``view`` is asked anew for each connection; while it raises KeyError (nothing is served), what is held stays.
    """

    def __init__(self, view: Callable[[], View]) -> None:
        self._view = view
        self._watch: Watch | None = None
        self.held: Held = {}
        self.seen = 0
        self.lists = 0

    async def poll(self, most: int = ALL) -> bool:
        """Take in what there is, and say whether that was anything; after ``most`` events the connection breaks."""
        try:
            if self._watch is None:
                self._watch = await self._open()
            events = await self._watch.next(0)
        except (ExpiredError, StopAsyncIteration) as ended:
            if isinstance(ended, ExpiredError):
                self.seen = 0
            self.cut()
            return True
        except (KeyError, StatusError):
            self.cut()
            return False
        for event in events[:most]:
            self._take(event)
        if len(events) > most:
            self.cut()
        elif not events:
            self.seen = max(self.seen, self._watch.bookmark().revision) if self._watch else self.seen
        return bool(events)

    async def catch_up(self) -> None:
        """Poll until nothing comes any more."""
        while await self.poll():
            pass

    def cut(self) -> None:
        """Break the connection."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    async def _open(self) -> Watch:
        view = self._view()
        if not self.seen:
            listing = await view.list(ListOptions())
            self.held, self.seen = held_in(listing), listing.revision
            self.lists += 1
        return await view.watch(ListOptions(resource_version=str(self.seen)))

    def _take(self, event: WatchEvent | Bookmark) -> None:
        if isinstance(event, Bookmark):
            self.seen = event.revision
            return
        entry = event.item.entry
        place = (event.item.cluster or entry.cluster, entry.name)
        self.seen = entry.revision
        if event.type == "DELETED":
            self.held.pop(place, None)
        else:
            self.held[place] = entry.revision


def held_in(listing: Listing) -> Held:
    """What somebody who lists holds."""
    return {(item.cluster or item.entry.cluster, item.entry.name): item.entry.revision for item in listing.items()}
