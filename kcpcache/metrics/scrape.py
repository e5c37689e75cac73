"""One scrape: read on the event loop what the layers have counted, and make the text beside it."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import kcpcache
from kcpcache.api.request_measures import RequestMeasures
from kcpcache.audit.log import AuditLog
from kcpcache.measure import Cap
from kcpcache.meta.names import GroupResource
from kcpcache.metrics import catalog, sources, usage
from kcpcache.metrics.catalog import Sample
from kcpcache.registry.lookup import Lookup
from kcpcache.runtime.controller import Controller
from kcpcache.runtime.controllers.cache import CacheControllers
from kcpcache.storage.sqlite import SqliteStore


@dataclass
class Scrape:
    """``await scrape(accept)`` gives the content type and the text. One at a time: the others wait."""

    store: SqliteStore
    lookup: Lookup
    shard: str
    requests: RequestMeasures
    cache_side: CacheControllers
    controllers: Sequence[Controller[Any]]
    cached_apis: bool = True
    audit: AuditLog | None = None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _tallies: tuple[usage.Tally, ...] = field(init=False)
    _stored: Cap[str] = field(default_factory=lambda: Cap(sources.MOST_STORED_RESOURCES, "other"))

    def __post_init__(self) -> None:
        self._tallies = tuple(
            usage.Tally(counted, self.lookup.cache(GroupResource(counted.group, counted.resource)))
            for counted in usage.COUNTED
            if self.cached_apis or counted.group != "cache.kcp.io"
        )

    async def __call__(self, accept: str) -> tuple[bytes, bytes]:
        """All metrics, as they stand now."""
        async with self._turn:
            size_bytes = await asyncio.to_thread(self.store.size_bytes)
            samples = self._samples(size_bytes)
            for tally in self._tallies:
                tally.take()
            return await asyncio.to_thread(self._text, samples, accept)

    def _samples(self, size_bytes: int) -> list[Sample]:
        return [
            *sources.of_requests(self.requests),
            *sources.of_store(self.store, size_bytes),
            *(sources.of_audit(self.audit) if self.audit is not None else ()),
            *sources.of_caches(self.lookup.caches, self._stored),
            *sources.of_controllers(self.controllers),
            *sources.of_replication(self.cache_side, self.lookup.clusters.path, time.monotonic()),
            catalog.BUILD.sample(1, kcpcache.__version__),
        ]

    def _text(self, samples: list[Sample], accept: str) -> tuple[bytes, bytes]:
        from kcpcache.metrics.exposition import exposition

        for tally in self._tallies:
            samples += tally.samples(self.shard)
        return exposition(samples, accept)
