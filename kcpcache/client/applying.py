"""Server-side apply of many objects to one workspace, whatever waits for what."""

import http.client
from collections.abc import Callable, Sequence
from urllib.parse import quote

from kcpcache.client.connection import ApiError, Connection
from kcpcache.client.manifests import Manifest
from kcpcache.client.waiting import NotInTimeError, in_phase, is_established, wait_for
from kcpcache.client.workspaces import cluster_url
from kcpcache.meta.names import split_api_version
from kcpcache.meta.objects import Object

_WAIT_SECONDS = 30.0


class UnknownKindError(Exception):
    """The workspace does not serve a kind, or not yet."""


class Resources:
    """Where the objects of a workspace are, by its discovery, which is asked for once for each group version."""

    def __init__(self, connection: Connection, workspace: str) -> None:
        self._connection, self._workspace = connection, workspace
        self._known: dict[str, dict[str, Object]] = {}

    def path(self, obj: Object) -> str:
        """The path of an object; a namespaced one that names none is in ``default``. Raises UnknownKindError."""
        group_version, kind = str(obj["apiVersion"]), str(obj["kind"])
        if kind not in self._known.get(group_version, {}):
            self._known[group_version] = self._ask(group_version)
        found = self._known[group_version].get(kind)
        if found is None:
            raise UnknownKindError(f"{self._workspace} serves no {kind} in {group_version}")
        metadata = obj["metadata"]
        namespace = quote(str(metadata.get("namespace") or "default"), safe="")
        within = f"/namespaces/{namespace}" if found["namespaced"] else ""
        name = quote(metadata["name"], safe=":")
        return cluster_url(self._workspace, f"{_root(group_version)}{within}/{found['name']}/{name}")

    def _ask(self, group_version: str) -> dict[str, Object]:
        try:
            listed = self._connection.get(cluster_url(self._workspace, _root(group_version))).get("resources") or []
        except ApiError as error:
            if error.code != http.client.NOT_FOUND:
                raise
            return {}
        return {each["kind"]: each for each in listed if "/" not in each["name"]}


def _root(group_version: str) -> str:
    group, version = (quote(part, safe="") for part in split_api_version(group_version))
    return f"/apis/{group}/{version}" if group else f"/api/{version}"


def apply_all(
    connection: Connection,
    workspace: str,
    manifests: Sequence[Manifest],
    done: Callable[[Manifest], None],
    *,
    field_manager: str,
    force: bool = False,
) -> list[tuple[Manifest, str]]:
    """Apply all that can be applied; what could not, and why.

    What failed is tried again as long as others succeed: it may have waited for one of them.
    Raises UnreachableError.
    """
    resources, rest = Resources(connection, workspace), list(manifests)
    while True:
        failed: list[tuple[Manifest, str]] = []
        for manifest in rest:
            try:
                apply_one(connection, resources, manifest.obj, force=force, field_manager=field_manager)
            except (ApiError, UnknownKindError, NotInTimeError) as error:
                failed.append((manifest, str(error)))
            else:
                done(manifest)
        if not failed or len(failed) == len(rest):
            return failed
        rest = [manifest for manifest, _ in failed]


def apply_one(
    connection: Connection,
    resources: Resources,
    obj: Object,
    *,
    field_manager: str,
    force: bool = False,
) -> Object:
    """Apply an object, and wait for what others need of it: a definition that is served, a binding that is bound.

    Raises ApiError, UnknownKindError, NotInTimeError.
    """
    path, kind = resources.path(obj), obj["kind"]
    made = connection.apply(path, obj, field_manager=field_manager, force=force)
    name = obj["metadata"]["name"]
    if kind == "CustomResourceDefinition":
        return wait_for(connection, path, is_established, _WAIT_SECONDS, f"{name} is not established")
    if kind == "APIBinding":
        return wait_for(connection, path, in_phase("Bound"), _WAIT_SECONDS, f"{name} is not bound")
    return made
