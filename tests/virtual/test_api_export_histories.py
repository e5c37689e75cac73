"""Informers over all consumers of an APIExport, against random histories of objects and APIBindings (P4, P6)."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from informer import Informer, held_in
from shard_world import now
from virtual_time import run

from kcpcache.meta.names import GroupResource
from kcpcache.registry.caches import Caches
from kcpcache.registry.entry import encode
from kcpcache.registry.logical_clusters import LogicalClusters
from kcpcache.registry.lookup import Lookup
from kcpcache.registry.stored_view import StoredView
from kcpcache.registry.system import SystemTypes
from kcpcache.registry.view import NO_ADMISSION, Bookmark, DeleteOptions, ListOptions, WriteOptions
from kcpcache.storage.memory import MemoryStore
from kcpcache.storage.store import Event, Progress, Revision
from kcpcache.virtual.api_export_consumers import API_BINDINGS, Consumers
from kcpcache.virtual.api_export_grants import ClaimKey, Sight
from kcpcache.virtual.api_export_projected import ClaimedProjectionView, Sees
from kcpcache.virtual.api_export_reading import ExportReader

EXPORT = ("provider", "shop")
OWNER = ("owner", "cloud")
MAPS = GroupResource("", "configmaps")
FLAVORS = ClaimKey(GroupResource("cloud.example.com", "flavors"), "id")
SELECTORS = ({"matchAll": True}, {"matchLabels": {"tier": "gold"}}, {"matchLabels": {"tier": "tin"}})


class Step(NamedTuple):
    """``what`` happens to object ``name`` (or to the APIBinding) of workspace ``at``; ``kind`` says how."""

    what: str
    at: int
    name: int
    kind: int


class World:
    """Objects and APIBindings in a store, written straight into it: no controller is in the way."""

    def __init__(self, caches: Caches) -> None:
        self.caches = caches
        self.lookup = Lookup(caches, LogicalClusters(caches), SystemTypes(cached_apis=True))
        self.consumers = Consumers(self.lookup)

    def view(self, key: GroupResource, cluster: str) -> StoredView:
        definition = self.lookup.system.definition(key)
        assert definition is not None

        return StoredView(self.caches, definition, definition.storage, cluster, now)

    def reader(self, scope: str = "*", key: GroupResource = MAPS) -> ExportReader:
        definition = self.lookup.system.definition(key)
        assert definition is not None
        cache = self.caches.of(definition.storage_prefix)
        sight = Sight(ClaimKey(key, ""), claimed=True, verb="list")
        more: Any = {"scope": scope, "export": EXPORT, "sight": sight, "consumers": self.consumers}
        return ExportReader(self.caches, cache, definition, definition.storage, **more)

    async def take(self, step: Step) -> None:
        cluster, name = f"ws{step.at}", f"n{step.name}"
        if step.what == "object":
            await self.put(MAPS, cluster, name, "default", {"tier": "gold" if step.kind % 2 else "tin"}, {})
        elif step.what == "gone":
            await self.drop(MAPS, cluster, name, "default")
        elif step.what == "unbind":
            await self.drop(API_BINDINGS, cluster, f"b{step.name % 2}", "")
        elif step.what == "bind":
            await self.bind(cluster, f"b{step.name % 2}", step.kind)
        elif step.what == "forget":
            for cache in self.caches.known():
                cache.forget(self.caches.revision)
        elif step.what == "compact":
            await self.caches.store.compact(await self.caches.store.revision())
            for cache in self.caches.known():
                cache.forget(self.caches.revision)

    async def bind(self, cluster: str, name: str, kind: int) -> None:
        """An APIBinding as it is when its controller has dealt with it: to this export or to another one."""
        claims = [{"resource": "configmaps", "verbs": ["*"], "selector": SELECTORS[kind % 3]}] if kind % 4 else []
        spec = {
            "reference": {"export": {"path": "root:provider", "name": "shop" if kind % 5 else "other"}},
            "permissionClaims": [{**claim, "state": "Accepted"} for claim in claims],
        }
        status = {"phase": "Bound", "apiExportClusterName": "provider", "appliedPermissionClaims": claims}
        await self.put(API_BINDINGS, cluster, name, "", {}, {"spec": spec, "status": status})

    async def put(
        self,
        key: GroupResource,
        cluster: str,
        name: str,
        namespace: str,
        labels: dict[str, str],
        fields: dict[str, Any],
    ) -> None:
        view = self.view(key, cluster)
        await self.drop(key, cluster, name, namespace, unless=not fields)
        metadata = {"name": name, "labels": labels}
        if self.caches.of(view.definition.storage_prefix).get(cluster, name, namespace) is None:
            await view.create(namespace, {"metadata": metadata, **fields}, WriteOptions(), NO_ADMISSION)
            if "status" in fields:
                await view.update(
                    namespace, name, lambda live: {**live, **fields}, WriteOptions(), NO_ADMISSION, subresource="status"
                )
            return

        def labelled(live: Any) -> Any:
            return {
                **live,
                "metadata": {**live["metadata"], "labels": labels},
                "data": {"at": str(self.caches.revision)},
            }

        await view.update(namespace, name, labelled, WriteOptions(), NO_ADMISSION)

    async def drop(self, key: GroupResource, cluster: str, name: str, namespace: str, *, unless: bool = False) -> None:
        view = self.view(key, cluster)
        if not unless and self.caches.of(view.definition.storage_prefix).get(cluster, name, namespace) is not None:
            await view.delete(namespace, name, DeleteOptions(), NO_ADMISSION)


class ProjectedWorld(World):
    """The same with copies: ``n0``… lie in the cache store, and a workspace needs APIBindings to both exports."""

    PREFIX = "/cache/root/cloud.example.com/v1/flavors:id/"

    def view_of_all(self) -> ClaimedProjectionView:
        sight = Sight(FLAVORS, claimed=True, verb="list")
        sees = Sees(self.consumers, EXPORT, OWNER, sight)
        definition = self.lookup.system.definition(MAPS)
        assert definition is not None
        cache, version = self.caches.of(self.PREFIX), definition.storage
        guard: Any = lambda _watch: None  # noqa: E731
        return ClaimedProjectionView(self.caches, cache, definition, version, provider="owner", sees=sees, guard=guard)

    async def take(self, step: Step) -> None:
        key, store = f"{self.PREFIX}owner/n{step.name}", self.caches.store
        live = (await store.get(key)).entry
        if step.what == "object":
            labels = {"tier": "gold" if step.kind % 2 else "tin"}
            meta = {"name": f"n{step.name}", "labels": labels, "annotations": {"at": str(self.caches.revision)}}
            value = encode({"apiVersion": "cloud.example.com/v1", "kind": "Flavor", "metadata": meta})
            await (store.create(key, value) if live is None else store.update(key, value, expected=live.revision))
        elif step.what == "gone":
            if live is not None:
                await store.delete(key, expected=live.revision)
        else:
            await super().take(step)
        await self.caches.fresh()

    async def bind(self, cluster: str, name: str, kind: int) -> None:
        """``b0`` is to the export that claims, ``b1`` to the owner (or each to none)."""
        mine = name == "b0"
        claims = [{"group": FLAVORS.resource.group, "resource": "flavors", "identityHash": "id", "verbs": ["*"]}]
        claims = [{**claim, "selector": SELECTORS[kind % 3]} for claim in claims] if mine else []
        export = ("shop" if mine else "cloud") if kind % 5 else "other"
        spec = {
            "reference": {"export": {"path": "root:provider", "name": export}},
            "permissionClaims": [{**claim, "state": "Accepted"} for claim in claims],
        }
        schema = {"name": "v1.flavors.cloud.example.com", "UID": "uid", "identityHash": "id"}
        bound = [] if mine else [{"group": FLAVORS.resource.group, "resource": "flavors", "schema": schema}]
        status = {
            "phase": "Bound",
            "apiExportClusterName": "provider" if mine else "owner",
            "appliedPermissionClaims": claims,
            "boundResources": bound,
        }
        await self.put(API_BINDINGS, cluster, name, "", {}, {"spec": spec, "status": status})

    def expected(self) -> dict[tuple[str, str], int]:
        """What the rules say, from scratch."""
        found = {}
        bindings = [(entry, entry.object()) for entry in self.lookup.cache(API_BINDINGS).all_entries()]
        names = {(e.cluster, obj["spec"]["reference"]["export"]["name"]): obj for e, obj in bindings}
        for (cluster, name), obj in names.items():
            if name != "shop" or (cluster, "cloud") not in names:
                continue
            labels = obj["spec"]["permissionClaims"][0]["selector"].get("matchLabels") or {}
            for entry in self.caches.of(self.PREFIX).entries("owner"):
                if labels.items() <= entry.labels.items():
                    found[cluster, entry.name] = entry.revision
        return found


async def follow(steps: list[Step], cuts: list[int], *, key: GroupResource = MAPS) -> None:
    """Let informers live through the steps; in the end each holds what a list shows."""
    caches = Caches(MemoryStore())
    await caches.start()
    try:
        if key == FLAVORS.resource:
            projected = ProjectedWorld(caches)
            await live_through(projected, projected.view_of_all, steps, cuts, projected.expected)
        else:
            world = World(caches)
            await live_through(world, lambda: world.reader("*", key), steps, cuts, lambda: expected(world, key))
    finally:
        await caches.close()


async def live_through(
    world: World, view: Callable[[], Any], steps: list[Step], cuts: list[int], rules: Callable[[], Any]
) -> None:
    steady, shaky = Informer(view), Informer(view)
    for informer in (steady, shaky):
        await informer.poll()
    for number, step in enumerate(steps):
        if cuts and number % 2:
            await asyncio.gather(shaky.poll(cuts[number // 2 % len(cuts)]), world.take(step))
        else:
            await world.take(step)
    wanted = held_in(await view().list(ListOptions()))
    for informer in (steady, shaky):
        await informer.catch_up()
        assert informer.held == wanted
        informer.cut()
    assert wanted == rules()


def expected(world: World, key: GroupResource) -> dict[tuple[str, str], int]:
    """What the rules say, from scratch."""
    bindings = [(entry, entry.object()) for entry in world.lookup.cache(API_BINDINGS).all_entries()]
    own = [(entry, obj) for entry, obj in bindings if obj["spec"]["reference"]["export"]["name"] == "shop"]
    if key == API_BINDINGS:
        return {(entry.cluster, entry.name): entry.revision for entry, _ in own}
    found = {}
    for entry in world.lookup.cache(MAPS).all_entries():
        for binding, obj in own:
            for claim in obj["spec"].get("permissionClaims") or ():
                labels = claim["selector"].get("matchLabels") or {}
                if binding.cluster == entry.cluster and labels.items() <= entry.labels.items():
                    found[entry.cluster, entry.name] = entry.revision
    return found


steps = st.builds(
    Step,
    st.sampled_from(["object"] * 4 + ["gone", "bind", "bind", "bind", "unbind", "forget", "compact"]),
    st.integers(0, 2),
    st.integers(0, 3),
    st.integers(0, 20),
)


@settings(max_examples=60)
@given(st.lists(steps, max_size=40), st.lists(st.integers(0, 4), max_size=5))
def test_after_any_history_informers_hold_what_a_list_shows(history: list[Step], cuts: list[int]) -> None:
    run(lambda: follow(history, cuts))


@settings(max_examples=30)
@given(st.lists(steps, max_size=30), st.lists(st.integers(0, 4), max_size=5))
def test_informers_of_the_apibindings_hold_those_to_the_export(history: list[Step], cuts: list[int]) -> None:
    run(lambda: follow(history, cuts, key=API_BINDINGS))


@settings(max_examples=60)
@given(st.lists(steps, max_size=40), st.lists(st.integers(0, 4), max_size=5))
def test_informers_of_claimed_copies_hold_them_for_each_workspace(history: list[Step], cuts: list[int]) -> None:
    run(lambda: follow(history, cuts, key=FLAVORS.resource))


def long_history(chance: random.Random, workspaces: int, length: int) -> list[Step]:
    kinds = ["object"] * 6 + ["gone", "bind", "bind", "unbind"] + ["forget"] * (chance.random() < 0.5)
    places = ((chance.choice(kinds), chance.randrange(workspaces), chance.randrange(5)) for _ in range(length))
    return [Step(*place, chance.randrange(21)) for place in places]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("key", [MAPS, API_BINDINGS, FLAVORS.resource])
def test_informers_that_are_cut_off_all_the_time_stay_right(key: GroupResource, seed: int) -> None:
    chance = random.Random(seed)
    history = long_history(chance, 4, 150)
    run(lambda: follow(history, [chance.randrange(12) for _ in range(30)], key=key))


@pytest.mark.parametrize("seed", range(2))
def test_informers_stay_right_while_fifty_workspaces_come_and_go(seed: int) -> None:
    chance = random.Random(seed)
    history = long_history(chance, 50, 500)
    run(lambda: follow(history, [chance.choice([3, 1000, 1000, 1000, 1000]) for _ in range(50)]))


class SlowHistory(MemoryStore):
    """Whoever reads its history has to wait for every event, once that is asked for."""

    slow = False

    async def watch(self, prefix: str, *, after: Revision) -> AsyncIterator[Event | Progress]:
        async with contextlib.aclosing(super().watch(prefix, after=after)) as events:
            async for event in events:
                if self.slow and prefix != "/":
                    await asyncio.sleep(1)
                yield event


async def revisions_while_opening(writes: int) -> tuple[list[int], list[int]]:
    """What a watch that resumes from the store's history hears while there are writes, and what it should."""
    store = SlowHistory()
    caches = Caches(store)
    await caches.start()
    try:
        world = World(caches)
        await world.bind("ws0", "b0", 3)
        start = caches.revision
        await world.take(Step("object", 0, 0, 1))
        await world.take(Step("forget", 0, 0, 0))
        store.slow = True
        opening = asyncio.create_task(world.reader().watch(ListOptions(resource_version=str(start))))
        for number in range(writes):
            await world.take(Step("object", 0, number % 3, 1))
        opened, heard = await opening, []
        while events := await opened.next(1):
            heard += [event.item.entry.revision for event in events if not isinstance(event, Bookmark)]
        opened.close()
        return heard, list(range(start + 1, caches.revision + 1))
    finally:
        await caches.close()


@pytest.mark.parametrize("writes", [1, 2, 5, 20])
def test_what_happens_while_the_past_is_read_comes_after_it(writes: int) -> None:
    heard, wanted = run(lambda: revisions_while_opening(writes))
    assert heard == wanted
