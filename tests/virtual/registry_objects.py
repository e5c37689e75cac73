"""Cached copies in a store, and a consumer's view of them."""

import contextlib

from kcpcache.meta.names import GroupVersionResource
from kcpcache.registry.caches import Caches
from kcpcache.registry.definitions import definition_of_schema
from kcpcache.registry.entry import encode
from kcpcache.registry.virtual_sources import Source
from kcpcache.storage.keys import object_key
from kcpcache.storage.memory import MemoryStore
from kcpcache.virtual.projection import ProjectedView

PROVIDER, CONSUMER, SHARD, IDENTITY = "provider", "consumer", "root", "id"
THINGS = GroupVersionResource("example.com", "v1", "things")
DEFINITION = definition_of_schema(
    {
        "spec": {
            "group": "example.com",
            "scope": "Cluster",
            "names": {"plural": "things", "kind": "Thing"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"type": "object"}}],
        }
    },
    identity_hash="",
    virtual=True,
)


class Copies:
    """Writes copies as replication does."""

    def __init__(self, store):
        self.store, self.caches = store, Caches(store)

    async def put(self, name, cluster=PROVIDER, identity=IDENTITY, labels=None):
        key = self._key(name, cluster, identity)
        annotations = {
            "example.com/kept": "yes",
            "kcp.io/shard": SHARD,
            "cache.kcp.io/original-resource-version": "17",
            "cache.kcp.io/original-resource-UID": f"uid-{name}",
        }
        meta = {"name": name, "uid": f"uid-{name}", "labels": labels or {}, "annotations": annotations}
        value = encode({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": meta, "spec": {"size": 1}})
        current = (await self.store.get(key)).entry
        if current is None:
            await self.store.create(key, value)
        else:
            await self.store.update(key, value, expected=current.revision)
        await self.caches.fresh()

    async def drop(self, name):
        key = self._key(name, PROVIDER, IDENTITY)
        await self.store.delete(key, expected=(await self.store.get(key)).entry.revision)
        await self.caches.fresh()

    @staticmethod
    def _key(name, cluster, identity):
        return object_key(Source(cluster, THINGS, identity, "x").prefix(SHARD), cluster, name)


@contextlib.asynccontextmanager
async def stored_copies(*names):
    copies = Copies(MemoryStore())
    await copies.caches.start()
    try:
        for name in names:
            await copies.put(name)
        yield copies
    finally:
        await copies.caches.close()
        await copies.store.close()


def projected_view(copies, cluster=CONSUMER, of=ProjectedView, **more):
    given = {"resolve": lambda: Source(PROVIDER, THINGS, IDENTITY, "x"), "origin": "APIExport root:p:e", **more}
    return of(copies.caches, DEFINITION, DEFINITION.versions[0], cluster, shard=SHARD, **given)
