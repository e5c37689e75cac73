"""What ``kcpcache doctor`` asks a running server: readiness, clock, complaints, and how the copies are."""

import http.client
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from kcpcache.cli.findings import Finding
from kcpcache.cli.status import problems
from kcpcache.cli.survey import Survey, survey, workspace_of
from kcpcache.client.connection import ApiError, Connection
from kcpcache.client.workspaces import cluster_url
from kcpcache.meta.names import GroupVersionResource
from kcpcache.meta.objects import Object, cluster_of, labels_of, metadata
from kcpcache.meta.selectors import label_selector_of
from kcpcache.meta.virtual_resources import (
    ORIGINAL_RESOURCE_VERSION_ANNOTATION,
    ORIGINAL_UID_ANNOTATION,
    group_version_resource_of,
)

_MOST_SKEW_SECONDS = 5.0
_SETTLE_SECONDS = 1.0
_SHOWN = 5
_CACHE = "/services/cache/shards/*/clusters/"
_MEND_COPIES = "restart the server: at its start it compares all copies, and mends and removes what is wrong"


@dataclass(frozen=True, slots=True)
class Differences:
    """Names: of originals without a copy, of copies that are not what their original is, of copies without original."""

    missing: frozenset[str] = frozenset()
    stale: frozenset[str] = frozenset()
    extra: frozenset[str] = frozenset()

    def lasting(self, later: "Differences") -> "Differences":
        """What is still so: the rest was on its way."""
        return Differences(self.missing & later.missing, self.stale & later.stale, self.extra & later.extra)

    def __bool__(self) -> bool:
        return bool(self.missing or self.stale or self.extra)


def check_server(
    connection: Connection,
    *,
    now: Callable[[], datetime],
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Finding]:
    """All checks, as they are done. Raises ApiError, UnreachableError."""
    found = survey(connection)
    if found.ready == "ready":
        yield Finding("server", "ok", f"{found.version} is ready")
    else:
        yield Finding("server", "error", f"{found.version} is not ready", "its log says why; see also /readyz?verbose")
    yield _clock(connection, now)
    yield from _workspaces(found)
    for cached in found.cached_resources:
        yield _conditions(cached)
    try:
        yield from _copies(connection, found.cached_resources, sleep)
    except ApiError as error:
        if error.code != http.client.FORBIDDEN:
            raise
        yield Finding("copies", "warning", "not looked at: that needs system:masters", "use the context shard-base")


def _clock(connection: Connection, now: Callable[[], datetime]) -> Finding:
    """The server's clock from an object that is made on trial, against ours."""
    trial: Object = {"metadata": {"generateName": "doctor-"}}
    before = now()
    try:
        made = connection.create(cluster_url("root", "/api/v1/namespaces?dryRun=All"), trial)
    except ApiError as error:
        return Finding("clock", "warning", f"not looked at: {error}")
    theirs = datetime.fromisoformat(metadata(made)["creationTimestamp"])
    skew = _outside(theirs.timestamp(), before.timestamp() - 1, now().timestamp())  # it is told in whole seconds
    if abs(skew) > _MOST_SKEW_SECONDS:
        text = f"the server's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} this machine's"
        return Finding("clock", "error", text, "set both by NTP: certificates and tokens depend on the time")
    return Finding("clock", "ok", "the server's is like this machine's")


def _outside(value: float, low: float, high: float) -> float:
    return min(0.0, value - low) + max(0.0, value - high)


def _workspaces(found: Survey) -> Iterator[Finding]:
    late = sorted(f"{path} ({phase or 'no phase'})" for path, phase in found.phases.items() if phase != "Ready")
    if late:
        text = f"{len(late)} of {len(found.phases)} are not ready: {_some(late)}"
        yield Finding(
            "workspaces", "warning", text, "kubectl describe the Workspace: its conditions say what is missing"
        )
    else:
        yield Finding("workspaces", "ok", f"all {len(found.phases)} are ready")


def _conditions(cached: Object) -> Finding:
    check = f"CachedResource {workspace_of(cached)}/{cached['metadata']['name']}"
    complaints = problems(cached)
    if complaints:
        return Finding(
            check, "error", "; ".join(complaints), "mend what the condition names; the rest follows by itself"
        )
    return Finding(check, "ok", f"phase {cached.get('status', {}).get('phase', 'unknown')}")


def _copies(
    connection: Connection, cached_resources: Iterable[Object], sleep: Callable[[float], None]
) -> Iterator[Finding]:
    explained: dict[GroupVersionResource, int] = {}
    for cached in cached_resources:
        resource = group_version_resource_of(cached)
        found, count = _compare(connection, cached, resource)
        if found:
            sleep(_SETTLE_SECONDS)
            later, count = _compare(connection, cached, resource)
            found = found.lasting(later)
        explained[resource] = explained.get(resource, 0) + count
        check = f"copies of {workspace_of(cached)}/{cached['metadata']['name']}"
        if found:
            yield Finding(check, "error", _told(found), _MEND_COPIES)
        else:
            yield Finding(check, "ok", f"{count} copies are what their originals are")
    yield _orphans(connection, explained)


def _compare(connection: Connection, cached: Object, resource: GroupVersionResource) -> tuple[Differences, int]:
    selector = label_selector_of(cached.get("spec", {}).get("labelSelector"))
    place = (
        f"/apis/{resource.group}/{resource.version}/{resource.resource}"
        if resource.group
        else f"/api/v1/{resource.resource}"
    )
    identity = cached.get("status", {}).get("identityHash", "")
    try:
        originals = connection.items(cluster_url(cluster_of(cached), place))
    except ApiError as error:
        if error.code != http.client.NOT_FOUND:
            raise
        originals = []  # the resource is gone: its conditions say so
    copies = connection.items(f"{_CACHE}{cluster_of(cached)}{place}:{identity}")
    return differences([each for each in originals if selector.matches(labels_of(each))], copies), len(copies)


def differences(originals: Iterable[Object], copies: Iterable[Object]) -> Differences:
    """How copies differ from the originals that are selected."""
    wanted = {
        each["metadata"]["name"]: (each["metadata"]["resourceVersion"], each["metadata"]["uid"]) for each in originals
    }
    there = {each["metadata"]["name"]: _origin(each) for each in copies}
    return Differences(
        missing=frozenset(wanted.keys() - there.keys()),
        stale=frozenset(name for name in wanted.keys() & there.keys() if wanted[name] != there[name]),
        extra=frozenset(there.keys() - wanted.keys()),
    )


def _origin(copy: Object) -> tuple[str, str]:
    annotations = metadata(copy).get("annotations") or {}
    return annotations.get(ORIGINAL_RESOURCE_VERSION_ANNOTATION, ""), annotations.get(ORIGINAL_UID_ANNOTATION, "")


def _orphans(connection: Connection, explained: Mapping[GroupVersionResource, int]) -> Finding:
    """Copies that belong to no CachedResource, whatever identity or workspace they are of."""
    orphans: list[str] = []
    for resource in _cached_types(connection):
        path = f"{_CACHE}*/apis/{resource.group}/{resource.version}/{resource.resource}"
        count = len(connection.items(path)) - explained.get(resource, 0)
        if count > 0:
            orphans.append(f"{count} of {resource}")
    if orphans:
        return Finding("orphans", "error", f"copies that no CachedResource explains: {_some(orphans)}", _MEND_COPIES)
    return Finding("orphans", "ok", "every copy belongs to a CachedResource")


def _cached_types(connection: Connection) -> Iterator[GroupVersionResource]:
    """What there are copies of; kcp's own types are shared, not copied."""
    for group in connection.get(f"{_CACHE}*/apis").get("groups") or []:
        if group["name"] == "kcp.io" or group["name"].endswith((".kcp.io", ".k8s.io")):
            continue
        for version in group["versions"]:
            listed = connection.get(f"{_CACHE}*/apis/{version['groupVersion']}").get("resources") or []
            for each in listed:
                if "/" not in each["name"]:
                    yield GroupVersionResource(group["name"], version["version"], each["name"])


def _told(found: Differences) -> str:
    parts = (("missing", found.missing), ("out of date", found.stale), ("without an original", found.extra))
    return "; ".join(f"{len(names)} {what}: {_some(sorted(names))}" for what, names in parts if names)


def _some(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
