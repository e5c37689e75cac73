"""Entries as a reader shows them: in its version, and settled.

See ``settling`` for what that is, and for how it is remembered.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import TypeAlias

from kcpcache.meta.names import api_version
from kcpcache.registry.beside import LIGHT_BYTES, computed
from kcpcache.registry.caches import Caches, ResourceCache
from kcpcache.registry.entry import Entry, encode, entry_of
from kcpcache.registry.pauses import Slices
from kcpcache.registry.resource import ResourceDefinition, ServedVersion
from kcpcache.registry.settling import UNSETTLED
from kcpcache.registry.shelf import Block
from kcpcache.registry.view import Item

Entries: TypeAlias = list[Entry]
PAUSE_EVERY = 16
"""After so many entries it is seen whether it is time to let others be served."""


@lru_cache(maxsize=4096)
def _opening(version: str) -> bytes:
    """How the stored form of an object in that ``apiVersion`` begins."""
    return b'{"apiVersion":"%b",' % version.encode()


class ShownEntries:
    """Shows entries of ``scope`` (a logical cluster, or ``*``) in ``seen_in`` (None: their own)."""

    def __init__(
        self,
        caches: Caches,
        cache: ResourceCache,
        definition: ResourceDefinition,
        version: ServedVersion,
        *,
        scope: str,
        seen_in: str | None = None,
    ) -> None:
        self.caches, self.cache = caches, cache
        self.definition, self.version = definition, version
        self.scope, self.seen_in = scope, seen_in
        self.api_version = api_version(definition.group, version.name)
        self._own = _opening(self.api_version)
        self._showing = definition.showing(version)
        self.token = UNSETTLED if self._showing is None else self._showing.token
        """That of entries that are shown as they are; no entry's where nothing is settled."""
        self.settles = self._showing is not None
        self.asks = definition.conversion is not None
        """Whether objects are converted before they are selected by fields, since a webhook converts them."""

    def show_as_stored(self) -> None:
        """Settle and convert nothing, whatever the definition says: for readers that adapt in a way of their own."""
        self._showing, self.token, self.settles, self.asks = None, UNSETTLED, False, False

    def adapt(self, entry: Entry) -> Entry:
        """The entry in this reader's version, settled; in its own version where only a webhook could convert it.

        What is not known is found out at once, however large it is. Where it has been waited, others may have looked
        since, and what ``settle`` gave is to be used instead.
        """
        if entry.memo is self.token:
            return entry
        if self._showing is not None:
            return self._showing.shown(entry)
        if entry.prefix.startswith(self._own) or self.definition.conversion is not None:
            return entry
        if self.definition.convert is None:
            return entry.as_version(self.api_version)
        value = encode(self.definition.convert(entry.object(), self.api_version))
        at = {"cluster": entry.cluster, "namespace": entry.namespace, "name": entry.name}
        return entry_of(value, **at, revision=entry.revision)

    async def settle(self, entries: Iterable[Entry], slices: Slices | None = None) -> Entries:
        """What ``adapt`` makes of the entries; found out where it is not known, as after a start or a change.

        Others are served in between, and large objects are looked at beside the event loop.
        """
        showing, token = self._showing, self.token
        slices = slices or Slices()
        found: Entries = []
        for index, entry in enumerate(entries, 1):
            looked_at = False
            if entry.memo is token:
                found.append(entry)
            elif showing is None:
                found.append(self.adapt(entry))
            else:
                settling = showing.of(entry)
                shown = settling.known(entry)
                looked_at = shown is None
                if shown is None:
                    weight = settling.weight(entry)
                    light = weight <= LIGHT_BYTES
                    shown = settling.shown(entry) if light else await computed(weight, settling.shown, entry)
                found.append(shown)
            if (looked_at or not index % PAUSE_EVERY) and slices.over:
                await slices.pause()
        return found

    def at_once(self, namespace: str, name: str) -> Item | None:
        """What ``get`` would say, where the entry is there. Not to wait is right: no write is answered unseen."""
        entry = self.cache.get(self.scope, name, namespace)
        if entry is None:
            return None
        showing = self._showing
        if showing is not None and entry.memo is not self.token:
            settling = showing.of(entry)
            if settling.weight(entry) > LIGHT_BYTES and settling.known(entry) is None:
                return None
        return Item(self.adapt(entry), self.seen_in)

    def _as_they_are(self, block: Block) -> bool:
        """Whether ``adapt`` would change nothing, and nothing after it."""
        return block.all_begin_with(self._own) if self._showing is None else block.all_settled(self.token)
