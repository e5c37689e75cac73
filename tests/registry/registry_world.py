"""A small world to try the registry in: a store, its caches, and views of a few definitions."""

import contextlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from kcpcache.meta.objects import copy, namespace_of
from kcpcache.registry.caches import Caches
from kcpcache.registry.definitions import definition_of_crd
from kcpcache.registry.stored_view import StoredView
from kcpcache.registry.system import builtin_definitions
from kcpcache.registry.view import Admission, Bookmark, DeleteOptions, ListOptions, WriteOptions
from kcpcache.storage.memory import MemoryStore

CLUSTER = "2x7f0"
START = datetime(2026, 6, 1, 12, tzinfo=UTC)
SPEC_SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "size": {"type": "integer", "minimum": 0},
                "color": {"type": "string", "default": "red"},
                "extra": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            },
        },
        "status": {"type": "object", "properties": {"phase": {"type": "string"}}},
    },
}


def crd(plural="things", *, namespaced=False, versions=("v1",), status=True, group="example.com", **more):
    kind = plural.rstrip("s").capitalize()
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced" if namespaced else "Cluster",
            "names": {"plural": plural, "singular": plural.rstrip("s"), "kind": kind, "listKind": f"{kind}List"},
            "versions": [
                {
                    "name": name,
                    "served": True,
                    "storage": index == 0,
                    "schema": {"openAPIV3Schema": copy(SPEC_SCHEMA)},
                    "subresources": {"status": {}} if status else {},
                    "selectableFields": [{"jsonPath": ".spec.color"}],
                }
                for index, name in enumerate(versions)
            ],
            **more,
        },
    }


THINGS = definition_of_crd(crd())
ITEMS = definition_of_crd(crd("items", namespaced=True, versions=("v1", "v1beta1")))
PLAIN = definition_of_crd(crd("plains", status=False))
CONFIG_MAPS = builtin_definitions()["", "configmaps"]


def thing(name="a", **spec):
    labels = spec.pop("labels", None)
    meta = {"name": name, **({"labels": labels} if labels else {})}
    return {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": meta, "spec": spec}


async def admit(_operation, _new, _old):
    """Anything goes."""


FREE = Admission(mutate=admit, validate=admit)


class World:
    """Verbs with little to type. ``now`` is what the views' clock says."""

    def __init__(self, store):
        self.store = store
        self.caches = Caches(store)
        self.now = START

    def view(self, definition=THINGS, cluster=CLUSTER, version=None):
        found = definition.version(version or definition.storage_version)
        return StoredView(self.caches, definition, found, cluster, lambda: self.now)

    def cache(self, definition=THINGS):
        return self.caches.of(definition.storage_prefix)

    def pass_time(self, seconds):
        self.now += timedelta(seconds=seconds)

    async def create(self, obj, definition=THINGS, cluster=CLUSTER, **options):
        namespace = namespace_of(obj)
        view = self.view(definition, cluster)
        written = await view.create(namespace, copy(obj), WriteOptions(**options), FREE)
        return written.item.object()

    async def update(self, obj, definition=THINGS, cluster=CLUSTER, subresource="", **options):
        """A PUT."""
        meta = obj["metadata"]
        view = self.view(definition, cluster)
        written = await view.update(
            meta.get("namespace") or "",
            meta["name"],
            lambda _live: copy(obj),
            WriteOptions(**options),
            FREE,
            subresource=subresource,
        )
        return written.item.object()

    async def patch(self, name, change, definition=THINGS, cluster=CLUSTER, subresource="", namespace=""):
        """A PATCH: ``change`` alters the live object in place."""

        def apply(live):
            del live["metadata"]["resourceVersion"]
            change(live)
            return live

        view = self.view(definition, cluster)
        written = await view.update(namespace, name, apply, WriteOptions(), FREE, subresource=subresource)
        return written.item.object()

    async def delete(self, name, definition=THINGS, cluster=CLUSTER, namespace="", **options):
        return await self.view(definition, cluster).delete(namespace, name, DeleteOptions(**options), FREE)

    async def get(self, name, definition=THINGS, cluster=CLUSTER, namespace=""):
        return (await self.view(definition, cluster).get(namespace, name)).object()

    async def list(self, definition=THINGS, cluster=CLUSTER, **options):
        return await self.view(definition, cluster).list(ListOptions(**options))

    async def watch(self, definition=THINGS, cluster=CLUSTER, **options):
        return await self.view(definition, cluster).watch(ListOptions(**options))


@contextlib.asynccontextmanager
async def opened(store=None):
    """A world that is following its store."""
    world = World(MemoryStore() if store is None else store)
    await world.caches.start()
    try:
        yield world
    finally:
        await world.caches.close()
        await world.store.close()


def names(listing):
    return [item.entry.name for item in listing.items()]


def seen(events):
    """Watch events as (type, name, resourceVersion); bookmarks as ("BOOKMARK", revision)."""
    return [
        ("BOOKMARK", event.revision)
        if isinstance(event, Bookmark)
        else (event.type, event.item.entry.name, int(event.item.object()["metadata"]["resourceVersion"]))
        for event in events
    ]


async def pending(watch):
    """What a watch has to say now, until it has nothing more."""
    found = []
    while events := await watch.next(0):
        found += events
    return found


def without_status(definition):
    return replace(definition, versions=tuple(replace(v, subresources={}) for v in definition.versions))
