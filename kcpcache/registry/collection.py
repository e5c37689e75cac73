"""Deletes what a list shows: many at once, so that they share commits, and others are served in between."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from kcpcache.meta.errors import StatusError
from kcpcache.registry.entry import Entry
from kcpcache.registry.pauses import pause
from kcpcache.registry.view import Listing, Segment, Written

AT_ONCE: Final = 32
"""How many objects of one collection are being deleted at any time."""


async def delete_each(listing: Listing, delete: Callable[[Entry], Awaitable[Written]]) -> Listing:
    """``delete`` every entry of the listing; what was deleted, in the same order.

    An object that somebody else deletes meanwhile is passed over. After an error no further deletion begins; once
    those under way have ended, the first error in the order of the listing is raised (a StatusError of ``delete``).
    """
    deleted: dict[int, Entry] = {}
    errors: dict[int, StatusError] = {}
    free = asyncio.Semaphore(AT_ONCE)

    async def one(place: int, entry: Entry) -> None:
        try:
            deleted[place] = (await delete(entry)).item.entry
        except StatusError as error:
            if error.reason != "NotFound":
                errors[place] = error
        finally:
            free.release()

    async with asyncio.TaskGroup() as tasks:
        for place, item in enumerate(listing.items()):
            await free.acquire()
            if errors:
                break
            tasks.create_task(one(place, item.entry))
            await pause()
    if errors:
        raise errors[min(errors)]
    found = [deleted[place] for place in sorted(deleted)]
    return Listing([Segment(found)], listing.revision, listing.continue_token, listing.remaining)
