"""A virtual resource of one APIExport as another one sees it by a permission claim, over all workspaces.

Seen are the copies, once for each workspace that is bound to the owner and has accepted the claim, as far as the
claim's selector goes. What a workspace lets be seen changes with its APIBindings; see ``api_export_reading``.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from kcpcache.meta.errors import ExpiredError, MethodNotAllowedError
from kcpcache.registry.caches import CacheEvent, Caches, ResourceCache
from kcpcache.registry.continue_tokens import decode_continue, encode_continue
from kcpcache.registry.entry import Entry
from kcpcache.registry.field_match import Match
from kcpcache.registry.read_only import ReadOnlyView
from kcpcache.registry.reading import Reader
from kcpcache.registry.resource import ResourceDefinition, ServedVersion
from kcpcache.registry.stored_view import Guard
from kcpcache.registry.view import WILDCARD, Bookmark, Item, Listing, ListOptions, Segment
from kcpcache.registry.watch_events import Change, selected
from kcpcache.virtual.api_export_consumers import Consumers, either, is_binding
from kcpcache.virtual.api_export_grants import Grant, Name, Scope, Sight, admits
from kcpcache.virtual.stepwise_watch import Seen, StepwiseWatch


class ClaimedProjectionView(ReadOnlyView):
    """See ``view.View``. ``export`` sees by ``sight``, a claim, what ``owner`` exports out of ``cache``."""

    cluster = WILDCARD
    origin = "the APIExport that the claim names"

    def __init__(
        self,
        caches: Caches,
        cache: ResourceCache,
        definition: ResourceDefinition,
        version: ServedVersion,
        *,
        provider: str,
        sees: "Sees",
        guard: Guard,
    ) -> None:
        self.definition, self.version, self.sees = definition, version, sees
        self.copies = Reader(caches, cache, definition, version, scope=provider)
        self.caches, self._guard = caches, guard

    async def get(self, namespace: str, name: str, *, resource_version: str = "") -> Item:
        """Raises MethodNotAllowedError: one object is seen in many workspaces."""
        raise MethodNotAllowedError("get needs a workspace: over all of them there is only list and watch")

    async def list(self, options: ListOptions) -> Listing:
        """See ``view.View``. In order of the workspaces, and for each in order of the names."""
        revision, start = await self._start(options)
        exact = replace(
            options, resource_version=str(revision), resource_version_match="Exact", limit=0, continue_token=""
        )
        copies = [item.entry for item in (await self.copies.list(exact)).items()]
        scopes = await self.sees.at(revision)
        page: dict[str, list[Entry]] = {}
        count = 0
        for cluster in sorted(scopes):
            for entry in copies:
                place = f"{cluster}/{entry.name}"
                if place < start or not admits(scopes[cluster], entry.labels):
                    continue
                if options.limit and count == options.limit:
                    token = encode_continue(revision, place, str(self.definition.group_resource))
                    return Listing(_segments(page), revision, token)
                page.setdefault(cluster, []).append(entry)
                count += 1
        return Listing(_segments(page), revision)

    async def _start(self, options: ListOptions) -> tuple[int, str]:
        """The revision to list at, and the place to go on from."""
        if options.continue_token:
            revision, start = decode_continue(options.continue_token, str(self.definition.group_resource))
            await self.caches.fresh()
            return (self.caches.revision if revision < 0 else revision), start
        await self.copies.wait(options.resource_version)
        exact = options.resource_version_match == "Exact"
        return (int(options.resource_version) if exact else self.caches.revision), ""

    async def watch(self, options: ListOptions) -> "ClaimedProjectionWatch":
        """See ``view.View``."""
        match, asked = self.copies.matcher(options), options.resource_version
        fresh = asked in {"", "0"}
        initial = fresh if options.send_initial_events is None else options.send_initial_events
        await self.copies.wait(asked)
        watch = ClaimedProjectionWatch(self, match, replaying=not initial and not fresh)
        if initial:
            watch.begin(bookmark=options.send_initial_events is True)
        elif not fresh:
            try:
                watch.replay(await self._happened(int(asked)), told=int(asked))
            except BaseException:
                watch.close()
                raise
        self._guard(watch)
        return watch

    async def _happened(self, after: int) -> Sequence[CacheEvent]:
        """Changes above ``after``, and the copy's at it: a change is one event for each workspace, all at its revision.

        Who was cut off between two of them says that he has seen that revision.
        """
        until = self.caches.revision
        try:
            copies = await self.copies.history(max(after - 1, 0), until)
        except ExpiredError:
            copies = await self.copies.history(after, until)
        bindings = await self.sees.consumers.reader(WILDCARD).history(after, until)
        return sorted([*copies, *bindings], key=lambda event: event.revision)


def _segments(page: Mapping[str, Sequence[Entry]]) -> list[Segment]:
    return [Segment(entries, cluster) for cluster, entries in page.items()]


class Sees:
    """What each workspace lets be seen: its APIBindings to both exports say so together."""

    def __init__(self, consumers: Consumers, export: Name, owner: Name, sight: Sight) -> None:
        self.consumers, self._export, self._owner, self._sight = consumers, export, owner, sight

    def now(self) -> dict[str, dict[str, Grant]]:
        """The grants to both, by logical cluster and name of the APIBinding: a copy."""
        found = {cluster: dict(grants) for cluster, grants in self.consumers.of(self._export).items()}
        for cluster, grants in self.consumers.of(self._owner).items():
            found.setdefault(cluster, {}).update(grants)
        return found

    async def at(self, revision: int) -> dict[str, Scope]:
        """The scopes as they were at a revision. Raises ExpiredError."""
        until, found = self.consumers.reader(WILDCARD).caches.revision, self.now()
        for event in reversed(await self.consumers.reader(WILDCARD).history(revision, until)):
            self.step(found, event, event.previous)
        return {cluster: self.scope(grants.values()) for cluster, grants in found.items()}

    def step(self, grants: dict[str, dict[str, Grant]], event: CacheEvent, now: Entry | None) -> None:
        """Take over that an APIBinding became ``now``."""
        grant = None if now is None else self.consumers.grant(now)
        if grant is not None and grant.export in {self._export, self._owner}:
            grants.setdefault(event.cluster, {})[either(event).name] = grant
        else:
            grants.get(event.cluster, {}).pop(either(event).name, None)

    def scope(self, grants: Iterable[Grant]) -> Scope:
        """What one workspace's grants let be seen."""
        mine = [grant for grant in grants if grant.export == self._export]
        bound = any(grant.export == self._owner and self._sight.key in grant.resources for grant in grants)
        return self._sight.scope(mine) if bound else ()


class ClaimedProjectionWatch(StepwiseWatch):
    """A watch over all workspaces. Its state is which copies and which grants there are."""

    def __init__(self, view: ClaimedProjectionView, match: Match | None, *, replaying: bool) -> None:
        super().__init__(view.copies, match, replaying=replaying)
        self._view = view
        self._copies = {entry.name: entry for entry in view.copies.cache.entries(view.copies.scope)}
        self._grants = view.sees.now()
        self.attach(view.copies.cache, view.copies.scope)
        self.attach(view.sees.consumers.cache, WILDCARD)

    def _present(self) -> Seen:
        for cluster in sorted(self._grants):
            yield from self._batch(cluster, (), self._scope(cluster))

    def _scope(self, cluster: str) -> Scope:
        return self._view.sees.scope(self._grants.get(cluster, {}).values())

    def _step(self, event: CacheEvent, now: Entry | None) -> None:
        one = either(event)
        if is_binding(one):
            self._view.sees.step(self._grants, event, now)
        elif now is None:
            self._copies.pop(one.name, None)
        else:
            self._copies[one.name] = now

    def _seen(self, event: CacheEvent) -> Seen:
        if not is_binding(either(event)):
            self._step(event, event.entry)
            return self._copy_seen(event)
        before = self._scope(event.cluster)
        self._step(event, event.entry)
        after = self._scope(event.cluster)
        return [*self._batch(event.cluster, before, after), Bookmark(event.revision)] if before != after else ()

    def _batch(self, cluster: str, before: Scope, after: Scope) -> Iterator[Change]:
        for _, entry in sorted(self._copies.items()):
            was, now = _admitted(entry, before), _admitted(entry, after)
            if was is not now:
                yield from selected(self._match, Change(now, was, entry.revision, cluster))

    def _copy_seen(self, event: CacheEvent) -> Iterator[Change]:
        for cluster in sorted(self._grants):
            scope = self._scope(cluster)
            now, was = _admitted(event.entry, scope), _admitted(event.previous, scope)
            if now is not was:
                yield from selected(self._match, Change(now, was, event.revision, cluster))


def _admitted(entry: Entry | None, scope: Scope) -> Entry | None:
    return entry if entry is not None and admits(scope, entry.labels) else None
