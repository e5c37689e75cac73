"""The past of a scope (a logical cluster, or ``*``) of one cache: what has happened since a revision."""

import contextlib
from collections.abc import Iterable
from typing import TypeAlias

from kcpcache.meta.errors import ExpiredError, ServiceUnavailableError
from kcpcache.registry.caches import CacheEvent, Caches, ResourceCache
from kcpcache.registry.entry import Entry, entry_of
from kcpcache.registry.subscription import SUBSCRIPTION_EVENTS
from kcpcache.registry.view import WILDCARD
from kcpcache.storage.store import Event, Revision, StoredEntry, StoreError

Events: TypeAlias = list[CacheEvent]


def prefix_of(cache: ResourceCache, scope: str) -> str:
    """What the storage keys of the scope's objects begin with."""
    return cache.prefix if scope == WILDCARD else f"{cache.prefix}{scope}/"


async def events_between(caches: Caches, cache: ResourceCache, scope: str, after: int, until: int) -> Events:
    """The scope's events above ``after`` and up to ``until``, which the caches have reached.

    Raises ExpiredError, and ServiceUnavailableError at shutdown.
    """
    recent = cache.recent(after)
    if recent is not None:
        return [event for event in recent if event.revision <= until and scope in {WILDCARD, event.cluster}]
    prefix = prefix_of(cache, scope)
    found: Events = []
    events = caches.store.watch(prefix, after=Revision(after))
    try:
        async with contextlib.aclosing(events):  # type: ignore[type-var]
            async for event in events:
                if event.revision > until or (not isinstance(event, Event) and event.revision == until):
                    return found
                if isinstance(event, Event):
                    found.append(_event_of(cache, event))
                if len(found) > SUBSCRIPTION_EVENTS:
                    raise ExpiredError(f"too old resource version: {after} (too much has happened since)")
    except (StoreError, ValueError):  # the history is gone, or damaged
        raise ExpiredError(f"too old resource version: {after}") from None
    raise ServiceUnavailableError("the server is shutting down")


def entries_of(cache: ResourceCache, found: Iterable[StoredEntry]) -> list[Entry]:
    """The entries that can be read: as when the caches load them, one that is damaged does not hide the others."""
    entries = []
    for stored in found:
        with contextlib.suppress(ValueError, RecursionError):
            entries.append(_entry_of(cache, stored))
    return entries


def _entry_of(cache: ResourceCache, stored: StoredEntry) -> Entry:
    """The entry of a stored value: the one in the cache, of which more is known, if it is still the newest."""
    cluster, _, rest = stored.key.removeprefix(cache.prefix).partition("/")
    namespace, _, name = rest.rpartition("/")
    live = cache.get(cluster, name, namespace)
    if live is not None and live.revision == stored.revision:
        return live
    return entry_of(stored.value, cluster=cluster, namespace=namespace, name=name, revision=stored.revision)


def _event_of(cache: ResourceCache, event: Event) -> CacheEvent:
    previous = None if event.previous is None else _entry_of(cache, event.previous)
    entry = None
    if event.value is not None:
        entry = _entry_of(cache, StoredEntry(event.key, event.value, event.revision))
    one = entry or previous
    return CacheEvent(event.revision, one.cluster if one else "", entry, previous)
