"""What is on a server, as far as the asking user may see it: workspaces, CachedResources, how far behind copies are."""

import http.client
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kcpcache.client.connection import ApiError, Connection
from kcpcache.client.workspaces import TENANCY, cluster_of, cluster_url
from kcpcache.meta.objects import PATH_ANNOTATION, Object, metadata

CACHED_RESOURCES = "/apis/cache.kcp.io/v1alpha1/cachedresources"
_LOGICAL_CLUSTERS = "/apis/core.kcp.io/v1alpha1/logicalclusters"
MEASURED_TOGETHER = "other"
"""The metrics' name for all CachedResources that have none of their own there."""
_ROOT = "root"
_CLOSED = {http.client.FORBIDDEN, http.client.NOT_FOUND}
_SAMPLE = re.compile(r"(\w+)\{([^}]*)\} (\S+)")
_LABEL = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Lag:
    """Of one CachedResource: the seconds from commit to visible copy of ``count`` copies, and the longest wait now."""

    seconds: float = 0.0
    count: float = 0.0
    waiting_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Survey:
    """The state of a server. ``lags`` is by ``<workspace>:<name>``; None where the user may not read metrics."""

    version: str
    ready: str
    phases: Mapping[str, str]
    cached_resources: tuple[Object, ...]
    lags: Mapping[str, Lag] | None = None


def survey(connection: Connection, start: str = _ROOT) -> Survey:
    """Ask for everything at once, or, without the right to that, workspace by workspace from ``start`` down.

    Raises ApiError, UnreachableError.
    """
    version = str(connection.get("/version").get("gitVersion", ""))
    try:
        phases = {
            workspace_of(each): str(each.get("status", {}).get("phase", ""))
            for each in connection.items(cluster_url("*", _LOGICAL_CLUSTERS))
        }
        cached = _readable(connection, cluster_url("*", CACHED_RESOURCES))  # the gate CachedAPIs may be off
    except ApiError as error:
        if error.code != http.client.FORBIDDEN:
            raise
        phases = dict(_walk(connection, start))
        cached = [each for path in phases for each in _readable(connection, cluster_url(path, CACHED_RESOURCES))]
    return Survey(version, _ready(connection), phases, tuple(cached), _lags(connection))


def workspace_of(obj: Object) -> str:
    """The path of the workspace that an object is in, or its logical cluster's name."""
    annotations = metadata(obj).get("annotations") or {}
    return str(annotations.get(PATH_ANNOTATION) or annotations.get("kcp.io/cluster", ""))


def _walk(connection: Connection, path: str, phase: str = "Ready") -> Iterator[tuple[str, str]]:
    yield path, phase
    for workspace in _readable(connection, cluster_url(path, f"{TENANCY}/workspaces")):
        spec = workspace.get("spec", {})
        found = cluster_of(str(spec.get("URL", "")))
        if found is not None and spec.get("mount") is None:
            yield from _walk(connection, found[1], str(workspace.get("status", {}).get("phase", "")))


def _readable(connection: Connection, path: str) -> list[Object]:
    try:
        return connection.items(path)
    except ApiError as error:
        if error.code not in _CLOSED:
            raise
        return []


def _ready(connection: Connection) -> str:
    """``ready``, or that it is not."""
    try:
        connection.text("/readyz")
    except ApiError:
        return "not ready"
    return "ready"


def _lags(connection: Connection) -> dict[str, Lag] | None:
    try:
        return parse_lags(connection.text("/metrics"))
    except ApiError:
        return None


def parse_lags(exposition: str) -> dict[str, Lag]:
    """The lags in a page of metrics."""
    values: dict[str, dict[str, float]] = {}
    for line in exposition.splitlines():
        sample = _SAMPLE.fullmatch(line)
        name = sample[1] if sample else ""
        if sample is None or not name.startswith("kcpcache_replication_"):
            continue
        labels = dict(_LABEL.findall(sample[2]))
        if labels.get("stage", "visible") == "visible":
            values.setdefault(labels.get("cachedresource", ""), {})[name] = float(sample[3])
    return {
        key: Lag(
            found.get("kcpcache_replication_lag_seconds_sum", 0.0),
            found.get("kcpcache_replication_lag_seconds_count", 0.0),
            found.get("kcpcache_replication_queue_age_seconds", 0.0),
        )
        for key, found in values.items()
    }
