"""Every metric that ``/metrics`` has: the names and labels of Kubernetes and kcp where they have one for it.

The documentation's page of metrics is made of this, and the dashboard and alerts in docker/ are checked against it.
"""

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from kcpcache.measure import Histogram

Kind = Literal["counter", "gauge", "histogram"]
Origin = Literal["Kubernetes", "kcp", "kcpcache", "Prometheus"]


class Metric(NamedTuple):
    """One metric: its full name, what it is, and whose name it bears."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...]
    origin: Origin

    def sample(self, value: float | Histogram, *labels: str) -> "Sample":
        """A value of it; ``labels`` in the order of the metric's."""
        return Sample(self, labels, value)

    def series(self) -> Iterator[str]:
        """The names under which Prometheus keeps it."""
        if self.kind == "histogram":
            yield from (f"{self.name}_bucket", f"{self.name}_sum", f"{self.name}_count")
        else:
            yield self.name


class Sample(NamedTuple):
    """One series, as it stands now."""

    metric: Metric
    labels: tuple[str, ...]
    value: float | Histogram


_REQUEST: Final = ("verb", "group", "version", "resource", "subresource", "scope", "component")
_FLOW: Final = ("flow_schema", "priority_level")
_QUEUE: Final = ("name",)
_REPLICATED: Final = ("cachedresource", "group", "resource")
_KIND: Final = ("group", "version", "kind")
_SHARD_PHASE: Final = ("shard", "phase")
_SHARD_CONDITION: Final = ("shard", "condition", "status")

REQUESTS: Final = Metric(
    "apiserver_request_total",
    "counter",
    "Requests answered, by HTTP status. Code 499: the client went before there was an answer.",
    (*_REQUEST, "code", "dry_run"),
    "Kubernetes",
)
REQUEST_SECONDS: Final = Metric(
    "apiserver_request_duration_seconds",
    "histogram",
    "Time from the request's head to the end of the answer; a watch counts when it ends.",
    (*_REQUEST, "dry_run"),
    "Kubernetes",
)
RESPONSE_BYTES: Final = Metric(
    "apiserver_response_sizes", "histogram", "Size of the answers' bodies to GET and LIST.", _REQUEST, "Kubernetes"
)
IN_FLIGHT: Final = Metric(
    "apiserver_current_inflight_requests",
    "gauge",
    "Requests being answered now, watches not among them.",
    ("request_kind",),
    "Kubernetes",
)
LONG_RUNNING: Final = Metric(
    "apiserver_longrunning_requests", "gauge", "Watches open now.", ("verb", *_KIND), "Kubernetes"
)
WATCH_EVENTS: Final = Metric("apiserver_watch_events_total", "counter", "Events sent to watches.", _KIND, "Kubernetes")
WATCH_EVENT_BYTES: Final = Metric(
    "kcpcache_watch_event_bytes_total", "counter", "Bytes of the objects in those events.", _KIND, "kcpcache"
)
STORAGE_OBJECTS: Final = Metric(
    "apiserver_storage_objects",
    "gauge",
    "Objects stored, by resource, over all workspaces. Copies in the cache are not among them.",
    ("resource",),
    "Kubernetes",
)
STORAGE_BYTES: Final = Metric(
    "apiserver_storage_size_bytes",
    "gauge",
    "What the database takes of the disk, with its write-ahead log.",
    ("storage_cluster_id",),
    "Kubernetes",
)
STORE_SECONDS: Final = Metric(
    "etcd_request_duration_seconds",
    "histogram",
    "Time that a request to the store took, waiting for its turn included. The store is SQLite; the name is "
    "Kubernetes', without its labels for the type, which the store does not know.",
    ("operation",),
    "Kubernetes",
)
COMMIT_WRITES: Final = Metric(
    "kcpcache_store_commit_writes", "histogram", "Writes that shared one commit to disk.", (), "kcpcache"
)
STORE_HEALTHY: Final = Metric(
    "kcpcache_store_healthy",
    "gauge",
    "1 while the last commit succeeded, else 0: the disk refuses writes.",
    (),
    "kcpcache",
)
STORE_REVISION: Final = Metric(
    "kcpcache_store_revision", "gauge", "The newest revision that the caches show.", (), "kcpcache"
)
IN_QUEUE: Final = Metric(
    "apiserver_flowcontrol_current_inqueue_requests",
    "gauge",
    "Requests that stand in line for their turn. There is one priority level: users and workspaces have equal shares.",
    _FLOW,
    "Kubernetes",
)
REJECTED: Final = Metric(
    "apiserver_flowcontrol_rejected_requests_total",
    "counter",
    "Requests that were answered with 429 since they stood in line too long, or the line was too long.",
    (*_FLOW, "reason"),
    "Kubernetes",
)
WAIT_SECONDS: Final = Metric(
    "apiserver_flowcontrol_request_wait_duration_seconds",
    "histogram",
    "Time that requests stood in line, for those that had to; execute tells whether they were served in the end.",
    (*_FLOW, "execute"),
    "Kubernetes",
)
AUDIT_EVENTS: Final = Metric(
    "apiserver_audit_event_total", "counter", "Audit events made, those that were lost among them.", (), "Kubernetes"
)
AUDIT_ERRORS: Final = Metric(
    "apiserver_audit_error_total",
    "counter",
    "Audit events lost, since the log could not be written.",
    ("plugin",),
    "Kubernetes",
)
QUEUE_DEPTH: Final = Metric("workqueue_depth", "gauge", "Keys that wait for their controller.", _QUEUE, "Kubernetes")
QUEUE_ADDS: Final = Metric("workqueue_adds_total", "counter", "Keys added.", _QUEUE, "Kubernetes")
QUEUE_RETRIES: Final = Metric(
    "workqueue_retries_total",
    "counter",
    "Keys added again since their plan failed or was out of date.",
    _QUEUE,
    "Kubernetes",
)
QUEUE_SECONDS: Final = Metric(
    "workqueue_queue_duration_seconds", "histogram", "Time from adding a key to working on it.", _QUEUE, "Kubernetes"
)
WORK_SECONDS: Final = Metric(
    "workqueue_work_duration_seconds", "histogram", "Time that the work on a key took.", _QUEUE, "Kubernetes"
)
UNFINISHED_SECONDS: Final = Metric(
    "workqueue_unfinished_work_seconds",
    "gauge",
    "Time that has gone into keys being worked on, in all. Large: something is stuck.",
    _QUEUE,
    "Kubernetes",
)
LONGEST_SECONDS: Final = Metric(
    "workqueue_longest_running_processor_seconds",
    "gauge",
    "Time that has gone into the key that takes longest.",
    _QUEUE,
    "Kubernetes",
)
RECONCILES: Final = Metric(
    "kcpcache_reconciles_total",
    "counter",
    "What controllers did: decided (a look at one key), changed (a change written), conflict (a plan discarded, since "
    "what it was decided on had changed), failed.",
    ("controller", "result"),
    "kcpcache",
)
WORKSPACES: Final = Metric("kcp_workspace_count", "gauge", "Workspaces, by phase.", _SHARD_PHASE, "kcp")
LOGICAL_CLUSTERS: Final = Metric(
    "kcp_logicalcluster_count", "gauge", "Logical clusters, by phase.", _SHARD_PHASE, "kcp"
)
BINDING_PHASES: Final = Metric("kcp_apibinding_phase", "gauge", "APIBindings, by phase.", _SHARD_PHASE, "kcp")
BINDING_CONDITIONS: Final = Metric(
    "kcp_apibinding_condition_status", "gauge", "APIBindings, by condition and its status.", _SHARD_CONDITION, "kcp"
)
EXPORT_CONDITIONS: Final = Metric(
    "kcp_apiexport_condition_status", "gauge", "APIExports, by condition and its status.", _SHARD_CONDITION, "kcp"
)
CACHED_RESOURCE_PHASES: Final = Metric(
    "kcpcache_cachedresource_phase", "gauge", "CachedResources, by phase.", _SHARD_PHASE, "kcpcache"
)
CACHED_RESOURCE_CONDITIONS: Final = Metric(
    "kcpcache_cachedresource_condition_status",
    "gauge",
    "CachedResources, by condition and its status.",
    _SHARD_CONDITION,
    "kcpcache",
)
LAG_SECONDS: Final = Metric(
    "kcpcache_replication_lag_seconds",
    "histogram",
    "From the commit of an original to its copy: stage committed is the copy's commit, visible the moment from which "
    "every consumer's reads and watches show it.",
    (*_REPLICATED, "stage"),
    "kcpcache",
)
QUEUE_AGE: Final = Metric(
    "kcpcache_replication_queue_age_seconds",
    "gauge",
    "How long the change of an original has waited for its copy that waits longest now; 0: all is copied.",
    _REPLICATED,
    "kcpcache",
)
ORIGINALS: Final = Metric(
    "kcpcache_replication_originals", "gauge", "Originals that CachedResources select.", _REPLICATED, "kcpcache"
)
COPIES: Final = Metric("kcpcache_replication_copies", "gauge", "Copies of them in the cache.", _REPLICATED, "kcpcache")
CONSUMERS: Final = Metric(
    "kcpcache_replication_consumers",
    "gauge",
    "APIBindings that read the copies.",
    _REPLICATED,
    "kcpcache",
)
COPY_WRITES: Final = Metric(
    "kcpcache_replication_writes_total",
    "counter",
    "Copies written or removed.",
    (*_REPLICATED, "operation"),
    "kcpcache",
)
ORPHANS: Final = Metric(
    "kcpcache_replication_orphans_removed_total",
    "counter",
    "Copies removed that no original explained, for example what a crash left behind.",
    _REPLICATED,
    "kcpcache",
)
REPAIRS: Final = Metric(
    "kcpcache_replication_repairs_total",
    "counter",
    "Copies mended that somebody had changed or removed in the cache.",
    _REPLICATED,
    "kcpcache",
)
BUILD: Final = Metric("kcpcache_build_info", "gauge", "1, with the version of the program.", ("version",), "kcpcache")

_PROCESS: Final = (
    Metric("process_cpu_seconds_total", "counter", "Processor time, user and system.", (), "Prometheus"),
    Metric("process_max_fds", "gauge", "How many file descriptors the process may open.", (), "Prometheus"),
    Metric("process_open_fds", "gauge", "How many it has open.", (), "Prometheus"),
    Metric("process_resident_memory_bytes", "gauge", "Memory in use.", (), "Prometheus"),
    Metric("process_start_time_seconds", "gauge", "When it started, in seconds since 1970.", (), "Prometheus"),
    Metric("process_virtual_memory_bytes", "gauge", "Address space in use.", (), "Prometheus"),
)
"""What the Prometheus client library reads of the process by itself."""

ALL: Final[tuple[Metric, ...]] = tuple(found for found in globals().values() if isinstance(found, Metric)) + _PROCESS
