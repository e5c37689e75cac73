"""Reading watches in tests: no timeouts, since a Progress says when there is nothing more to wait for."""

from collections.abc import AsyncIterator

from kcpcache.storage.store import Event, Progress, Revision, Store


async def events_until(watch: AsyncIterator[Event | Progress], revision: int) -> list[Event]:
    """What the watch yields until it promises ``revision``."""
    events: list[Event] = []
    while True:
        step = await anext(watch)
        if isinstance(step, Event):
            events.append(step)
        elif step.revision >= revision:
            return events


async def next_event(watch: AsyncIterator[Event | Progress]) -> Event:
    """The next event, past any Progress."""
    while True:
        step = await anext(watch)
        if isinstance(step, Event):
            return step


async def replay(store: Store, prefix: str, after: int) -> list[Event]:
    """All events above ``after`` up to now."""
    watch = store.watch(prefix, after=Revision(after))
    try:
        return await events_until(watch, await store.revision())
    finally:
        await watch.aclose()  # type: ignore[attr-defined]
