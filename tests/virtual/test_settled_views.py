"""Views over many workspaces settle what they show when it is asked for, and once for all who are told of it."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest
from looks import tell_looks
from registry_objects import IDENTITY, PROVIDER, SHARD, THINGS, stored_copies

from kcpcache.meta.names import GroupResource
from kcpcache.meta.objects import Object
from kcpcache.meta.selectors import parse_field_selector, parse_label_selector
from kcpcache.registry.caches import Caches
from kcpcache.registry.definitions import definition_of_schema
from kcpcache.registry.entry import encode
from kcpcache.registry.logical_clusters import LogicalClusters
from kcpcache.registry.lookup import Lookup
from kcpcache.registry.system import SystemTypes
from kcpcache.registry.view import ListOptions, WatchEvent
from kcpcache.registry.virtual_sources import Source
from kcpcache.storage.memory import MemoryStore
from kcpcache.virtual.api_export_consumers import Consumers
from kcpcache.virtual.api_export_grants import ALL, ClaimKey, Scope, Sight
from kcpcache.virtual.api_export_projected import ClaimedProjectionView, ClaimedProjectionWatch
from kcpcache.virtual.api_export_reading import ExportReader
from kcpcache.virtual.consumers import Consumer
from kcpcache.virtual.replication import ReplicationView, ReplicationWatch

SCHEMA: Object = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {"size": {"type": "integer"}, "shape": {"type": "string", "default": "round"}},
        }
    },
}
DEFINITION = definition_of_schema(
    {
        "spec": {
            "group": "example.com",
            "scope": "Cluster",
            "names": {"plural": "things", "kind": "Thing"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": SCHEMA,
                    "selectableFields": [{"jsonPath": ".spec.shape"}],
                }
            ],
        }
    },
    identity_hash=IDENTITY,
    virtual=True,
)
SHOWN = {"size": 1, "shape": "round"}
ROUND, FLAT = (ListOptions(field_selector=parse_field_selector(f"spec.shape={shape}")) for shape in ("round", "flat"))
WORKSPACES = ("one", "three", "two")


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the entries that were looked at."""
    found: list[str] = []
    tell_looks(monkeypatch, lambda entry: found.append(entry.name))
    return found


def told(events: Any) -> Iterator[tuple[str, str | None, str, Any]]:
    for event in events:
        if isinstance(event, WatchEvent):
            yield event.type, event.item.cluster, event.item.entry.name, event.item.object()["spec"]


def of_three(watch: ReplicationWatch) -> ReplicationWatch:
    """The watch, as if there were three consumers."""
    key = THINGS.group_resource
    watch._consumers = {name: Consumer(name, "b", "x", key, ("p", "e"), "h") for name in WORKSPACES}
    return watch


class TestOverAllConsumersOfACachedResource:
    @pytest.fixture
    async def copies(self) -> AsyncIterator[Any]:
        async with stored_copies("a") as found:
            yield found

    @pytest.fixture
    def view(self, copies: Any) -> ReplicationView:
        source = Source(PROVIDER, THINGS, IDENTITY, "x")
        version = DEFINITION.versions[0]
        return ReplicationView(copies.caches, DEFINITION, version, source, shard=SHARD, wanted=lambda _: True)

    @pytest.fixture
    def watch(self, view: ReplicationView) -> ReplicationWatch:
        return of_three(ReplicationWatch(view, None))

    async def test_a_deletion_is_settled_once_for_all_of_them_and_not_before_it_is_asked_for(
        self, copies: Any, watch: ReplicationWatch, looked: list[str]
    ) -> None:
        await copies.drop("a")
        assert looked == []
        assert list(told(await watch.next(0))) == [("DELETED", name, "a", SHOWN) for name in WORKSPACES]
        assert looked == ["a"]

    async def test_so_is_what_there_is_and_what_changes(
        self, copies: Any, watch: ReplicationWatch, looked: list[str]
    ) -> None:
        watch.begin(bookmark=False)
        await copies.put("b")
        assert looked == []
        assert list(told(await watch.next(0))) == [
            *(("ADDED", name, "a", SHOWN) for name in WORKSPACES),
            *(("ADDED", name, "b", SHOWN) for name in WORKSPACES),
        ]
        assert looked == ["a", "b"]

    async def test_fields_are_looked_at_when_it_is_asked_for_what_matches(
        self, copies: Any, view: ReplicationView, looked: list[str]
    ) -> None:
        """Not in the caches' task, which everybody waits for."""
        start = str(copies.caches.revision)
        watches = [of_three(await view.watch(options)) for options in (ROUND, FLAT)]
        await copies.put("b")
        await copies.drop("b")
        assert looked == []
        assert list(told(await watches[0].next(0))) == [
            (kind, name, "b", SHOWN) for kind in ("ADDED", "DELETED") for name in WORKSPACES
        ]
        assert list(told(await watches[1].next(0))) == []
        resumed = await view.watch(replace(ROUND, resource_version=start))
        assert looked == ["b"]
        assert list(told(await resumed.next(0))) == []  # nobody consumes it


class Sees:
    """Everything in three workspaces."""

    def __init__(self, consumers: Consumers) -> None:
        self.consumers = consumers

    def now(self) -> dict[str, dict[str, Any]]:
        return {name: {} for name in WORKSPACES}

    def scope(self, _grants: Any) -> Scope:
        return ALL


def claimed(copies: Any) -> ClaimedProjectionView:
    """What is seen by a claim that three workspaces accept."""
    lookup = Lookup(copies.caches, LogicalClusters(copies.caches), SystemTypes(cached_apis=True))
    sees: Any = Sees(Consumers(lookup))
    cache = copies.caches.of(Source(PROVIDER, THINGS, IDENTITY, "x").prefix(SHARD))
    version, guard = DEFINITION.versions[0], lambda _watch: None
    return ClaimedProjectionView(copies.caches, cache, DEFINITION, version, provider=PROVIDER, sees=sees, guard=guard)


async def test_over_all_workspaces_that_accept_a_claim_fields_are_looked_at_when_it_is_asked_for_what_matches(
    looked: list[str],
) -> None:
    async with stored_copies("a") as copies:
        watches = [await claimed(copies).watch(options) for options in (ROUND, FLAT)]
        await copies.put("b")
        await copies.drop("b")
        assert looked == []
        assert list(told(await watches[0].next(0))) == [
            *(("ADDED", name, "a", SHOWN) for name in WORKSPACES),
            *((kind, name, "b", SHOWN) for kind in ("ADDED", "DELETED") for name in WORKSPACES),
        ]
        assert list(told(await watches[1].next(0))) == []
        assert looked == ["a", "b"]


async def test_over_all_workspaces_that_accept_a_claim_a_deletion_is_settled_once(looked: list[str]) -> None:
    async with stored_copies("a") as copies:
        watch = ClaimedProjectionWatch(claimed(copies), None, replaying=False)
        await copies.drop("a")
        assert looked == []
        assert list(told(await watch.next(0))) == [("DELETED", name, "a", SHOWN) for name in WORKSPACES]
        assert looked == ["a"]


class Everything(ExportReader):
    """Sees everything everywhere."""

    def scope_in(self, cluster: str) -> Scope:
        return ALL


@contextlib.asynccontextmanager
async def exported() -> AsyncIterator[ExportReader]:
    caches = Caches(MemoryStore())
    await caches.start()
    try:
        lookup = Lookup(caches, LogicalClusters(caches), SystemTypes(cached_apis=True))
        key = GroupResource("example.com", "things")
        yield Everything(
            caches,
            caches.of(DEFINITION.storage_prefix),
            DEFINITION,
            DEFINITION.versions[0],
            scope="ws",
            export=("provider", "shop"),
            sight=Sight(ClaimKey(key, IDENTITY), claimed=False, verb="watch"),
            consumers=Consumers(lookup),
        )
    finally:
        await caches.close()
        await caches.store.close()


async def put(reader: ExportReader, name: str) -> None:
    obj = {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": name, "uid": "u"}, "spec": {"size": 1}}
    await reader.caches.store.create(f"{DEFINITION.storage_prefix}ws/{name}", encode(obj))
    await reader.caches.fresh()


async def test_what_an_export_sees_is_settled_when_it_is_asked_for(looked: list[str]) -> None:
    async with exported() as reader:
        await put(reader, "a")
        watch = await reader.watch(ListOptions(resource_version=str(reader.caches.revision)))
        await put(reader, "b")
        assert looked == []
        assert list(told(await watch.next(0))) == [("ADDED", None, "b", SHOWN)]
        resumed = await reader.watch(ListOptions(resource_version="1"))
        assert list(told(await resumed.next(0))) == [("ADDED", None, "b", SHOWN)]
        assert looked == ["b"]


async def test_fields_of_what_an_export_sees_are_looked_at_when_it_is_asked_for_what_matches(
    looked: list[str],
) -> None:
    async with exported() as reader:
        await put(reader, "a")
        start = str(reader.caches.revision)
        watches = [await reader.watch(replace(options, resource_version=start)) for options in (ROUND, FLAT)]
        await put(reader, "b")
        resumed = await reader.watch(replace(ROUND, resource_version=start))
        assert looked == []
        assert list(told(await watches[0].next(0))) == [("ADDED", None, "b", SHOWN)]
        assert list(told(await watches[1].next(0))) == []
        assert list(told(await resumed.next(0))) == [("ADDED", None, "b", SHOWN)]
        assert looked == ["b"]


async def test_of_what_there_is_only_what_is_selected_is_looked_at(looked: list[str]) -> None:
    async with exported() as reader:
        for name in ("a", "b"):
            await put(reader, name)
        watch = await reader.watch(ListOptions(label_selector=parse_label_selector("tier=gold")))
        assert list(told(await watch.next(0))) == []
        assert looked == []
        watch = await reader.watch(ListOptions(field_selector=parse_field_selector("metadata.name=a")))
        assert list(told(await watch.next(0))) == [("ADDED", None, "a", SHOWN)]
        assert looked == ["a"]
