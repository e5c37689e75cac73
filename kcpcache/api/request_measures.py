"""What is counted of requests: as kube-apiserver does it, and never anything that a client can make grow."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, TypeAlias

from kcpcache.api.exchange import Exchange
from kcpcache.api.paths import RequestInfo
from kcpcache.measure import Cap, Histogram
from kcpcache.meta.errors import TooManyRequestsError
from kcpcache.registry.resource import ResourceDefinition

MOST_RESOURCES: Final = 100
"""How many resources of tenants have labels of their own; further ones are counted under ``OTHER``."""
OTHER: Final = ("other", "other", "other")
DURATION_SECONDS: Final = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8),
    *(1.0, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60),
)
"""kube-apiserver's bounds, and finer ones below: most answers take less than its first, 5 ms."""
SIZE_BYTES: Final = (1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9)

_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_VERBS: Final = {
    "get": "GET",
    "list": "LIST",
    "watch": "WATCH",
    "create": "POST",
    "update": "PUT",
    "patch": "PATCH",
    "delete": "DELETE",
    "deletecollection": "DELETECOLLECTION",
}
_OWN: Final = frozenset({"builtin", "system"})
"""Origins of which no tenant can make more."""
_APPLY: Final = b"application/apply-patch"
_PATHS: Final = ("/apis", "/api", "/openapi", "/version", "/metrics", "/healthz", "/livez", "/readyz")
_CLIENT_GONE: Final = 499
_RECENT: Final = 1024


class RequestLabels(NamedTuple):
    """The labels that kube-apiserver's request metrics share; ``subresource`` is a path where there is no resource."""

    verb: str
    group: str
    version: str
    resource: str
    subresource: str
    scope: str
    dry_run: str


class EventLabels(NamedTuple):
    """Whose events a watch sends."""

    group: str
    version: str
    kind: str


class RequestCounts:
    """Everything about the requests that share their labels. ``codes`` counts answers by HTTP status."""

    __slots__ = ("codes", "seconds", "sizes")

    def __init__(self, *, sized: bool) -> None:
        self.codes: dict[int, int] = {}
        self.seconds = Histogram(DURATION_SECONDS)
        self.sizes = Histogram(SIZE_BYTES) if sized else None


_Known: TypeAlias = tuple[RequestInfo | None, ResourceDefinition | None, RequestCounts]


class WatchCounts:
    """The watches of one resource: how many are open, and how many events and bytes they have sent."""

    __slots__ = ("bytes", "events", "open")

    def __init__(self) -> None:
        self.open = self.events = self.bytes = 0


class RequestMeasures:
    """One per process; event loop only. About two microseconds a request."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock = clock
        self.requests: dict[RequestLabels, RequestCounts] = {}
        self.watches: dict[EventLabels, WatchCounts] = {}
        self.in_flight = [0, 0]
        """Requests being answered, watches not among them: those that read, and those that may change something."""
        self.in_queue = self.rejected = 0
        """Requests that stand in line for their turn, and those that did so in vain."""
        self.waits = {True: Histogram(), False: Histogram()}
        """How long requests stood in line, by whether they were served then."""
        self._recent: dict[tuple[int, bool], _Known] = {}
        self._resource = Cap(MOST_RESOURCES, OTHER)
        self._kind = Cap(MOST_RESOURCES, OTHER)

    def begin(self, info: RequestInfo) -> int:
        """A request that is no watch is in flight; as what, for ``end``."""
        mutating = info.method not in _READS
        self.in_flight[mutating] += 1
        return mutating

    @contextlib.contextmanager
    def queued(self) -> Iterator[None]:
        """A request stands in line as long as this is entered; it was rejected if TooManyRequestsError comes out."""
        began, served = self.clock(), False
        self.in_queue += 1
        try:
            yield
            served = True
        except TooManyRequestsError:
            self.rejected += 1
            raise
        finally:
            self.in_queue -= 1
            self.waits[served].observe(self.clock() - began)

    def end(self, in_flight: int | None, exchange: Exchange, began: float) -> None:
        """A request came to its end, however it ended; ``in_flight`` None: it did not get as far as ``begin``."""
        if in_flight is not None:
            self.in_flight[in_flight] -= 1
        self.answered(self.counts_of(exchange), began, exchange.sent_bytes, exchange.status or _CLIENT_GONE)

    def counts_of(self, exchange: Exchange) -> RequestCounts:
        """Where a request is counted."""
        # The parser gives the same info for the same request again: its labels need not be made up again, either.
        known = self._recent.get((id(exchange.info), _is_apply(exchange)))
        if known is None or known[0] is not exchange.info or known[1] is not exchange.resource:
            known = self._find(exchange)
        return known[2]

    def answered(self, counts: RequestCounts, began: float, sent_bytes: int, status: int = 200) -> None:
        """Count a request that began then, and what it was answered."""
        counts.codes[status] = counts.codes.get(status, 0) + 1
        counts.seconds.observe(self.clock() - began)
        if counts.sizes is not None:
            counts.sizes.observe(sent_bytes)

    def watch(self, definition: ResourceDefinition, version: str) -> WatchCounts:
        """Where a watch counts what it sends."""
        gvk = (definition.group, version, definition.kind)
        labels = EventLabels(*(gvk if definition.origin in _OWN else self._kind(gvk)))
        return self.watches.setdefault(labels, WatchCounts())

    def _find(self, exchange: Exchange) -> _Known:
        labels = self._labels(exchange)
        counts = self.requests.get(labels)
        if counts is None:
            counts = self.requests[labels] = RequestCounts(sized=labels.verb in {"GET", "LIST"})
        info = exchange.info
        known = (info, exchange.resource, counts)
        if info is not None:
            if len(self._recent) >= _RECENT:
                self._recent.clear()
            self._recent[id(info), _is_apply(exchange)] = known
        return known

    def _labels(self, exchange: Exchange) -> RequestLabels:
        info, definition = exchange.info, exchange.resource
        if info is None:
            return RequestLabels("other", "", "", "", "", "", "")
        verb = _VERBS.get(info.verb, "other")
        if definition is None:
            # Refused before it was known whether there is such a thing: the client's words are no labels.
            path = "" if info.is_resource else next((p for p in _PATHS if info.path.startswith(p)), "other")
            return RequestLabels(verb, "", "", "", path, "", "")
        if verb == "PATCH" and _is_apply(exchange):
            verb = "APPLY"
        gvr = (definition.group, info.version, definition.plural)
        if definition.origin not in _OWN:
            gvr = self._resource(gvr)
        scope = "resource" if info.name else "namespace" if info.namespace else "cluster"
        dry_run = "All" if info.query and "dryRun" in info.query else ""
        return RequestLabels(verb, *gvr, info.subresource, scope, dry_run)


def _is_apply(exchange: Exchange) -> bool:
    """What is the same request by its path, and counted as another."""
    return exchange.method == "PATCH" and exchange.headers.get(b"content-type", b"").startswith(_APPLY)
