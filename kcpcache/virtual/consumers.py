"""Who consumes a CachedResource: the records in the cache store, as a resource of their own that nobody is served."""

from dataclasses import dataclass
from functools import lru_cache

from kcpcache.meta.names import GroupResource
from kcpcache.meta.objects import nested
from kcpcache.meta.virtual_resources import CONSUMER, CONSUMERS
from kcpcache.registry.caches import Caches
from kcpcache.registry.entry import Entry
from kcpcache.registry.reading import Reader
from kcpcache.registry.resource import ResourceDefinition, ServedVersion
from kcpcache.registry.virtual_sources import Source
from kcpcache.schema.compiled import compile_schema
from kcpcache.storage.keys import cache_prefix

_REMEMBERED = 16_384
_VERSION = ServedVersion(CONSUMERS.version, compile_schema({"type": "object"}))
_DEFINITION = ResourceDefinition(
    group=CONSUMERS.group,
    plural=CONSUMERS.resource,
    singular="consumer",
    kind=CONSUMER,
    list_kind=f"{CONSUMER}List",
    namespaced=False,
    versions=(_VERSION,),
    storage_version=CONSUMERS.version,
    origin="system",
)


@dataclass(frozen=True, slots=True)
class Consumer:
    """One record: the logical cluster that sees the objects, and the APIExport through which it does."""

    cluster: str
    binding: str
    cached_resource: str
    resource: GroupResource
    export: tuple[str, str]
    export_identity_hash: str


@lru_cache(maxsize=_REMEMBERED)
def consumer_of(entry: Entry) -> Consumer:
    """The record in an entry. What is missing in it (somebody else wrote it) is "": it is of no CachedResource then."""
    record = entry.object()

    def text(*path: str) -> str:
        return str(nested(record, "spec", *path) or "")

    return Consumer(
        cluster=text("consumer", "cluster"),
        binding=text("consumer", "binding"),
        cached_resource=text("cachedResource", "name"),
        resource=GroupResource(text("resource", "group"), text("resource", "resource")),
        export=(text("export", "cluster"), text("export", "name")),
        export_identity_hash=text("export", "identityHash"),
    )


def consumer_reader(caches: Caches, shard: str, source: Source) -> Reader:
    """Reads the records of a source's provider and identity; those of other CachedResources may be among them."""
    group, version, resource = CONSUMERS
    cache = caches.of(cache_prefix(shard, group, version, resource, source.identity_hash))
    return Reader(caches, cache, _DEFINITION, _VERSION, scope=source.provider)
