"""Reads what the layers have counted. On the event loop, and quick: everything is copied, nothing is worked out."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from operator import sub
from typing import Any, Final

from kcpcache.api.request_measures import RequestMeasures
from kcpcache.audit.log import AuditLog
from kcpcache.measure import Cap
from kcpcache.metrics import catalog
from kcpcache.metrics.catalog import Sample
from kcpcache.registry.caches import Caches
from kcpcache.runtime.controller import Controller
from kcpcache.runtime.controllers.cache import CacheControllers, Usage
from kcpcache.runtime.replication_measures import OTHER, CachedResourceMeasures
from kcpcache.storage.keys import REGISTRY
from kcpcache.storage.sqlite import SqliteStore

MOST_STORED_RESOURCES: Final = 200
_COMPONENT: Final = "apiserver"
_FLOW: Final = ("global-default", "global-default")
_DATABASE: Final = "sqlite-0"


def of_requests(measures: RequestMeasures) -> Iterator[Sample]:
    """Requests and watches."""
    for labels, counts in measures.requests.items():
        *shared, dry_run = labels
        for code, count in counts.codes.items():
            yield catalog.REQUESTS.sample(count, *shared, _COMPONENT, str(code), dry_run)
        yield catalog.REQUEST_SECONDS.sample(counts.seconds.copy(), *shared, _COMPONENT, dry_run)
        if counts.sizes is not None:
            yield catalog.RESPONSE_BYTES.sample(counts.sizes.copy(), *shared, _COMPONENT)
    for kind, count in zip(("readOnly", "mutating"), measures.in_flight, strict=True):
        yield catalog.IN_FLIGHT.sample(count, kind)
    yield catalog.IN_QUEUE.sample(measures.in_queue, *_FLOW)
    yield catalog.REJECTED.sample(measures.rejected, *_FLOW, "time-out")
    for served, seconds in measures.waits.items():
        yield catalog.WAIT_SECONDS.sample(seconds.copy(), *_FLOW, str(served).lower())
    for event, watches in measures.watches.items():
        yield catalog.LONG_RUNNING.sample(watches.open, "WATCH", *event)
        yield catalog.WATCH_EVENTS.sample(watches.events, *event)
        yield catalog.WATCH_EVENT_BYTES.sample(watches.bytes, *event)


def of_store(store: SqliteStore, size_bytes: int) -> Iterator[Sample]:
    """The store; ``size_bytes`` was asked of the file system elsewhere."""
    for operation, seconds in store.durations.items():
        yield catalog.STORE_SECONDS.sample(seconds.copy(), operation)
    yield catalog.COMMIT_WRITES.sample(store.commit_writes.copy())
    yield catalog.STORE_HEALTHY.sample(int(store.healthy))
    yield catalog.STORAGE_BYTES.sample(size_bytes, _DATABASE)


def of_audit(log: AuditLog) -> Iterator[Sample]:
    """The audit log, where there is one."""
    yield catalog.AUDIT_EVENTS.sample(log.events)
    yield catalog.AUDIT_ERRORS.sample(log.lost, "log")


def of_caches(caches: Caches, label: Cap[str]) -> Iterator[Sample]:
    """What is stored, by resource; ``label`` stays the same from scrape to scrape."""
    counts: Counter[str] = Counter()
    for cache in caches.known():
        if cache.prefix.startswith(REGISTRY):
            group, _, plural = cache.prefix.removeprefix(REGISTRY).rstrip("/").partition("/")
            plural = plural.partition(":")[0]
            counts[label(plural if group == "core" else f"{plural}.{group}")] += len(cache)
    for resource, count in counts.items():
        yield catalog.STORAGE_OBJECTS.sample(count, resource)
    yield catalog.STORE_REVISION.sample(caches.revision)


def of_controllers(controllers: Iterable[Controller[Any]]) -> Iterator[Sample]:
    """Queues, and what came of them."""
    for controller in controllers:
        name, queue, counts = controller.name, controller.queue, controller.counts
        measures, busy = queue.measures, queue.busy_seconds()
        yield catalog.QUEUE_DEPTH.sample(len(queue), name)
        yield catalog.QUEUE_ADDS.sample(measures.adds, name)
        yield catalog.QUEUE_RETRIES.sample(measures.retries, name)
        yield catalog.QUEUE_SECONDS.sample(measures.waiting.copy(), name)
        yield catalog.WORK_SECONDS.sample(measures.working.copy(), name)
        yield catalog.UNFINISHED_SECONDS.sample(sum(busy), name)
        yield catalog.LONGEST_SECONDS.sample(max(busy, default=0.0), name)
        yield catalog.RECONCILES.sample(counts.reconciled, name, "decided")
        yield catalog.RECONCILES.sample(counts.changes, name, "changed")
        yield catalog.RECONCILES.sample(counts.conflicts, name, "conflict")
        yield catalog.RECONCILES.sample(counts.failures, name, "failed")


def of_replication(cache_side: CacheControllers, paths: Callable[[str], str], now: float) -> Iterator[Sample]:
    """Lag and what it depends on; ``now`` is on ``time.monotonic``'s clock, ``paths`` says where a cluster is."""
    found = cache_side.replication.measures
    rest = cache_side.usage_of_all()
    for (cluster, name), measures in found.named.items():
        usage = cache_side.usage((cluster, name))
        rest = Usage(*map(sub, rest, usage))
        yield from _of_cached_resources(f"{paths(cluster)}:{name}", measures, usage, now)
    if found.has_others or any(rest):
        yield from _of_cached_resources(OTHER.resource, found.others, rest, now)


def _of_cached_resources(label: str, measures: CachedResourceMeasures, usage: Usage, now: float) -> Iterator[Sample]:
    labels = (label, *measures.resource)
    yield catalog.LAG_SECONDS.sample(measures.committed.copy(), *labels, "committed")
    yield catalog.LAG_SECONDS.sample(measures.visible.copy(), *labels, "visible")
    for operation, count in measures.writes.items():
        yield catalog.COPY_WRITES.sample(count, *labels, operation)
    yield catalog.ORPHANS.sample(measures.orphans_removed, *labels)
    yield catalog.REPAIRS.sample(measures.repairs, *labels)
    yield catalog.QUEUE_AGE.sample(measures.waiting.seconds(now), *labels)
    yield catalog.ORIGINALS.sample(usage.originals, *labels)
    yield catalog.COPIES.sample(usage.copies, *labels)
    yield catalog.CONSUMERS.sample(usage.consumers, *labels)
