"""Get, list and watch of one resource out of its watch cache, for every view that shows a cache's entries.

The rules of resourceVersion, resourceVersionMatch, limit and continue follow the table in the Kubernetes API concepts.
"""

import asyncio
from collections.abc import Mapping
from typing import ClassVar

from kcpcache.meta.errors import (
    BadRequestError,
    ExpiredError,
    InternalError,
    ServiceUnavailableError,
    StatusCause,
    StatusError,
    TimeoutStatusError,
    not_found,
    qualified_resource,
)
from kcpcache.registry.cache_watch import CacheWatch
from kcpcache.registry.caches import CacheEvent
from kcpcache.registry.continue_tokens import FOREIGN_KEY, decode_continue
from kcpcache.registry.converted_match import ConvertedMatch
from kcpcache.registry.entry import Entry
from kcpcache.registry.entry_pages import EntryPages
from kcpcache.registry.field_match import FieldMatch, Match, metadata_fields
from kcpcache.registry.history import Events, entries_of, events_between, prefix_of
from kcpcache.registry.view import WILDCARD, Item, Listing, ListOptions, Segment
from kcpcache.storage.store import CompactedError, Revision, StoreError

FUTURE_REVISION_SECONDS = 3.0
_PAGE = 1000
_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


class Reader(EntryPages):
    """Reads the entries of ``scope`` (a logical cluster, or ``*``) and shows them in ``seen_in`` (None: their own)."""

    shares: ClassVar[bool] = True
    """Whether another reader of the same scope and definition, in the same version and cluster, shows the same."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.shares = False

    async def get(self, namespace: str, name: str, resource_version: str = "") -> Item:
        """The entry. Raises NotFoundError, InternalError."""
        await self.wait(resource_version)
        entry = self.cache.get(self.scope, name, namespace)
        if entry is None:
            raise self.missing(namespace, name)
        if self.settles and entry.memo is not self.token:
            (entry,) = await self.settle((entry,))
            return Item(entry, self.seen_in)
        return Item(self.adapt(entry), self.seen_in)

    def missing(self, namespace: str, name: str) -> StatusError:
        """Why there is no entry: there is none, or what is stored cannot be read (damaged, or not to be decrypted)."""
        group, plural = self.definition.group, self.definition.plural
        if self.cache.is_unreadable(self.scope, name, namespace):
            where = qualified_resource(group, plural)
            return InternalError(
                f'{where} "{name}" cannot be read: its stored value is damaged, or not to be decrypted'
            )
        return not_found(group, plural, name)

    async def list(self, options: ListOptions) -> Listing:
        """The entries that match, at one revision. Raises ExpiredError, BadRequestError, TimeoutStatusError."""
        match = self.matcher(options)
        if options.continue_token:
            revision, start = await self._continued(options.continue_token)
        else:
            await self.wait(options.resource_version)
            revision, start = (int(options.resource_version) if _exact(options) else self.caches.revision), ""
        if self._unchanged_since(revision, options.namespace):
            blocks = self._lend(options.namespace, start)
            if match is None:
                return await self._whole(blocks, revision, options)
            entries = [entry for block in blocks for entry in block.entries]
            found, at = await self._page(entries, match, options.limit)
            return self._listing(found, entries, at, revision, options)
        return await self._list_at(revision, start, match, options)

    async def _continued(self, token: str) -> tuple[int, str]:
        """Where a continue token goes on: the revision and the first key."""
        revision, start = decode_continue(token, str(self.definition.group_resource))
        await self.caches.fresh()
        if revision > self.caches.revision:
            raise BadRequestError(FOREIGN_KEY)
        # The token of an expired list goes on with the newest state.
        return (self.caches.revision if revision < 0 else revision), start

    def matcher(self, options: ListOptions) -> Match | None:
        """A predicate for the selectors, None where there are none. Raises BadRequestError for an unknown field."""
        labels, fields = options.label_selector, options.field_selector
        if not labels and not fields:
            return None
        known = {"metadata.name", "metadata.namespace", *self._selectable()}
        for requirement in fields.requirements:
            if requirement.path not in known:
                raise self._unknown_field(requirement.path)
        if not fields:
            return lambda entry: labels.matches(entry.labels)
        if fields.metadata_only:
            return lambda entry: labels.matches(entry.labels) and fields.matches(metadata_fields(entry))
        return (ConvertedMatch if self.asks else FieldMatch)(self, labels, fields)

    def _selectable(self) -> Mapping[str, str]:
        return self.version.selectable_fields if self.asks else self.definition.selectable_in(self.version)

    def _unknown_field(self, path: str) -> BadRequestError:
        """In kube's two ways: of types that have fields of their own to select by (or could have), and of others."""
        if self.definition.origin != "builtin" or self.version.selectable_fields:
            return BadRequestError(f"field label not supported: {path}")
        return BadRequestError(f'"{path}" is not a known field selector: only "metadata.name", "metadata.namespace"')

    async def wait(self, resource_version: str) -> None:
        """Return once the caches are as new as asked for. Raises TimeoutStatusError for a revision too far ahead."""
        if resource_version == "0":
            return
        if not resource_version:
            await self.caches.fresh()
            return
        asked = int(resource_version)
        try:
            async with asyncio.timeout(FUTURE_REVISION_SECONDS):
                await self.caches.reached(asked)
        except TimeoutError:
            raise too_large(asked, self.caches.revision) from None

    def _unchanged_since(self, revision: int, namespace: str) -> bool:
        """Whether the cache shows what a list of ``namespace`` at ``revision`` would."""
        since = self.cache.recent(revision) if revision <= self.caches.revision else None
        return since is not None and not any(self._concerns(event, namespace) for event in since)

    def _concerns(self, event: CacheEvent, namespace: str) -> bool:
        one = event.entry or event.previous
        return self.scope in {WILDCARD, event.cluster} and (not namespace or one is None or one.namespace == namespace)

    async def _list_at(self, revision: int, start: str, match: Match | None, options: ListOptions) -> Listing:
        """A page of the past, read from the store."""
        base = prefix_of(self.cache, self.scope)
        prefix = f"{base}{options.namespace}/" if options.namespace and self.scope != WILDCARD else base
        following: str | None = f"{base}{start}" if start else None
        found: list[Entry] = []
        while True:
            try:
                page = await self.caches.store.list(
                    prefix, revision=Revision(revision), limit=options.limit or _PAGE, start=following
                )
            except CompactedError:
                raise self._expired(revision, start, options) from None
            except StoreError as error:
                raise ServiceUnavailableError(f"the store cannot be read: {error}") from None
            entries = entries_of(self.cache, page.entries)
            filtered = self.scope == WILDCARD and bool(options.namespace)
            if filtered:
                entries = [entry for entry in entries if entry.namespace == options.namespace]
            more, at = await self._page(entries, match, options.limit - len(found) if options.limit else 0)
            found += more
            following = page.next_start
            if at < len(entries):
                following = base + self._position(entries[at])
            elif following is not None and (not options.limit or len(found) < options.limit):
                continue
            token = self._token(revision, following.removeprefix(base)) if following else ""
            remaining = page.remaining if following and not filtered and match is None else None
            return Listing((Segment(found, self.seen_in),), revision, token, remaining)

    def _expired(self, revision: int, start: str, options: ListOptions) -> ExpiredError:
        if options.continue_token:
            return ExpiredError(_TOO_OLD, continue_token=self._token(-1, start))
        return ExpiredError(f"The resourceVersion for the provided list is too old: {revision}")

    async def watch(self, options: ListOptions) -> "CacheWatch":
        """Changes from ``options.resource_version`` on. Raises ExpiredError, BadRequestError."""
        match = self.matcher(options)
        resource_version = options.resource_version
        initial = options.send_initial_events
        if initial is None:
            initial = resource_version in {"", "0"}
        await self.wait(resource_version)
        watch = CacheWatch(self, match, options.namespace)
        if initial:
            watch.begin_with(self._entries(options.namespace, ""), bookmark=options.send_initial_events is True)
        elif resource_version not in {"", "0"}:
            after = int(resource_version)
            try:
                watch.replay(await self.history(after, self.caches.revision), after)
            except BaseException:
                watch.close()
                raise
        return watch

    async def history(self, after: int, until: int) -> Events:
        """The scope's events above ``after`` and up to ``until``, which the caches have reached.

        Raises ExpiredError, and ServiceUnavailableError at shutdown.
        """
        return await events_between(self.caches, self.cache, self.scope, after, until)


def too_large(asked: int, current: int) -> TimeoutStatusError:
    """What kube-apiserver says of a resourceVersion that it has not reached."""
    cause = StatusCause("ResourceVersionTooLarge", "Too large resource version")
    text = f"Timeout: Too large resource version: {asked}, current: {current}"
    return TimeoutStatusError(text, causes=[cause], retry_after_seconds=1)


def _exact(options: ListOptions) -> bool:
    """Whether a list is asked for as it was at its resourceVersion: by name, or because it is to be paged."""
    if options.resource_version_match:
        return options.resource_version_match == "Exact"
    return options.limit > 0 and options.resource_version not in {"", "0"}
