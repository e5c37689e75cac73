"""What a new server begins with (kcp-compat, "Bootstrap objects"), and what a newer version adds to older data."""

import asyncio
import base64
import hashlib
import secrets
from collections.abc import Callable, Coroutine, Iterable
from datetime import datetime
from typing import Any

import orjson

from kcpcache.auth import bootstrap_policy
from kcpcache.meta.errors import AlreadyExistsError, NotFoundError
from kcpcache.meta.names import GroupResource
from kcpcache.meta.objects import PATH_ANNOTATION, Object, copy, nested, secret_value
from kcpcache.reconcilers.identity import identity_hash
from kcpcache.registry.caches import Caches
from kcpcache.registry.logical_clusters import LOGICAL_CLUSTER_NAME, ROOT, SYSTEM_ADMIN
from kcpcache.registry.resource import ResourceDefinition
from kcpcache.registry.stored_view import StoredView
from kcpcache.registry.system import BOOTSTRAP_EXPORTS, SystemTypes, kcp_manifests
from kcpcache.registry.view import NO_ADMISSION, WriteOptions
from kcpcache.runtime.apply import FIELD_MANAGER
from kcpcache.runtime.environment import ShardInfo
from kcpcache.storage.keys import registry_prefix

NAMESPACE = "kcp-system"
_WITH_POLICY = ("tenancy.kcp.io", "topology.kcp.io")
ROOT_BINDINGS = ("tenancy.kcp.io", "topology.kcp.io", "shards.core.kcp.io")
_KEY_BYTES = 32


class Bootstrap:
    """``run`` may be called at every start: it creates what is missing, and renews what this version defines anew.

    Objects that an administrator may have changed (RBAC, WorkspaceTypes) are only created, never changed back.
    """

    def __init__(
        self,
        caches: Caches,
        system: SystemTypes,
        shard: ShardInfo,
        clock: Callable[[], datetime],
        *,
        cached_apis: bool,
    ) -> None:
        self._caches, self._system, self._shard, self._clock = caches, system, shard, clock
        self._exports = [name for name in BOOTSTRAP_EXPORTS if cached_apis or name != "cache.kcp.io"]

    async def run(self) -> None:
        """Raises StatusError or StoreError where the store cannot be written."""
        await self._ensure("core.kcp.io", "logicalclusters", ROOT, _root_cluster())
        await _together(
            self._ensure("", "namespaces", ROOT, {"metadata": {"name": NAMESPACE}}),
            *(self._ensure_rbac(SYSTEM_ADMIN, obj) for obj in bootstrap_policy.system_admin_objects()),
            *(self._ensure_rbac(ROOT, obj) for obj in bootstrap_policy.root_objects()),
        )
        await _together(*map(self._share, self._exports))
        await _together(
            *(self._ensure("apis.kcp.io", "apibindings", ROOT, _binding(export)) for export in ROOT_BINDINGS),
            *(self._ensure("tenancy.kcp.io", "workspacetypes", ROOT, obj) for obj in _workspace_types()),
            self._ensure_shard(),
        )

    async def _share(self, export: str) -> None:
        self._system.identify(export, await self._identity(export))
        await self._ensure_export(export)

    async def _identity(self, export: str) -> str:
        """The identity hash of a root export: the one it once recorded, or that of its Secret, made on first start.

        The objects are stored under the hash, so that nobody may lose them by losing the Secret.
        """
        stored = self._caches.of(registry_prefix("apis.kcp.io", "apiexports")).get(ROOT, export)
        recorded = nested(stored.object(), "status", "identityHash") if stored else ""
        if recorded:
            return str(recorded)
        fresh = base64.b64encode(secrets.token_hex(_KEY_BYTES).encode()).decode()
        secret = {"metadata": {"name": export, "namespace": NAMESPACE}, "data": {"key": fresh}}
        found = await self._ensure("", "secrets", ROOT, secret)
        return identity_hash(secret_value(found, "key") or b"")

    async def _ensure_export(self, export: str) -> None:
        schemas = {key: _schema(key) for key in BOOTSTRAP_EXPORTS[export]}
        await _together(*(self._ensure("apis.kcp.io", "apiresourceschemas", ROOT, one) for one in schemas.values()))
        resources = [
            {"group": key.group, "name": key.resource, "schema": one["metadata"]["name"], "storage": {"crd": {}}}
            for key, one in schemas.items()
        ]
        reference = {"namespace": NAMESPACE, "name": export}
        spec: Object = {"identity": {"secretRef": reference}, "resources": resources}
        if export in _WITH_POLICY:
            spec["maximalPermissionPolicy"] = {"local": {}}
        wanted = {"metadata": {"name": export}, "spec": spec}
        stored = await self._ensure("apis.kcp.io", "apiexports", ROOT, wanted)
        if nested(stored, "spec", "resources") != resources:
            await self._update_spec("apis.kcp.io", "apiexports", export, {**stored["spec"], "resources": resources})

    async def _ensure_shard(self) -> None:
        spec = {
            "baseURL": self._shard.base_url,
            "externalURL": self._shard.external_url,
            "virtualWorkspaceURL": self._shard.virtual_workspace_url,
        }
        shard = {"metadata": {"name": self._shard.name, "labels": {"name": self._shard.name}}, "spec": spec}
        stored = await self._ensure("core.kcp.io", "shards", ROOT, shard)
        if any(nested(stored, "spec", key) != value for key, value in spec.items()):
            await self._update_spec("core.kcp.io", "shards", self._shard.name, {**stored["spec"], **spec})

    async def _ensure_rbac(self, cluster: str, obj: Object) -> None:
        await self._ensure("rbac.authorization.k8s.io", f"{obj['kind'].lower()}s", cluster, obj)

    async def _ensure(self, group: str, resource: str, cluster: str, obj: Object) -> Object:
        view = self._view(group, resource, cluster)
        meta = obj["metadata"]
        namespace = meta.get("namespace", "")
        try:
            return (await view.get(namespace, meta["name"])).object()
        except NotFoundError:
            pass
        try:
            written = await view.create(
                namespace, copy(obj), WriteOptions(field_manager=FIELD_MANAGER, trusted=True), NO_ADMISSION
            )
        except AlreadyExistsError:
            return (await view.get(namespace, meta["name"])).object()
        return written.item.object()

    async def _update_spec(self, group: str, resource: str, name: str, spec: Object) -> None:
        def change(live: Object | None) -> Object:
            return {**(live or {}), "spec": spec}

        options = WriteOptions(field_manager=FIELD_MANAGER)
        await self._view(group, resource, ROOT).update("", name, change, options, NO_ADMISSION)

    def _view(self, group: str, resource: str, cluster: str) -> StoredView:
        definition: ResourceDefinition | None = self._system.definition(GroupResource(group, resource))
        assert definition is not None, f"{resource}.{group} is no system type"  # noqa: S101 -- tells the type checker
        return StoredView(self._caches, definition, definition.storage, cluster, self._clock)


async def _together(*work: Coroutine[Any, Any, object]) -> None:
    """All of it at once: what is written together is few commits. Raises the first error."""
    try:
        async with asyncio.TaskGroup() as tasks:
            for one in work:
                tasks.create_task(one)
    except ExceptionGroup as group:
        raise group.exceptions[0] from None


def _root_cluster() -> Object:
    annotations = {PATH_ANNOTATION: ROOT, "internal.tenancy.kcp.io/type": "root:root"}
    return {"metadata": {"name": LOGICAL_CLUSTER_NAME, "annotations": annotations}, "spec": {}}


def _schema(key: GroupResource) -> Object:
    """The APIResourceSchema of a kcp type; its name says which content it has."""
    spec = kcp_manifests()[key]["spec"]
    versions = [
        {**{k: v for k, v in version.items() if k != "schema"}, "schema": version["schema"]["openAPIV3Schema"]}
        for version in spec["versions"]
    ]
    wanted = {"group": spec["group"], "names": spec["names"], "scope": spec["scope"], "versions": versions}
    digest = hashlib.sha256(orjson.dumps(wanted, option=orjson.OPT_SORT_KEYS)).hexdigest()[:8]
    return {"metadata": {"name": f"v1-{digest}.{key.resource}.{key.group}"}, "spec": wanted}


def _binding(export: str) -> Object:
    reference = {"export": {"path": ROOT, "name": export}}
    return {"metadata": {"name": export}, "spec": {"reference": reference}}


def _type(name: str, spec: Object) -> Object:
    return {"metadata": {"name": name}, "spec": spec}


def _workspace_types() -> Iterable[Object]:
    """root, universal, organization, team, home (kcp-compat)."""
    universal = {"name": "universal", "path": ROOT}
    organization = {"name": "organization", "path": ROOT}
    extends: Object = {"extend": {"with": [universal]}}
    children: Object = {"defaultChildWorkspaceType": universal}
    only_universal = {"limitAllowedChildren": {"types": [universal]}}
    yield _type("root", {"defaultChildWorkspaceType": organization, **extends})
    yield _type(
        "universal",
        {
            "initializer": True,
            "defaultAPIBindings": [{"path": ROOT, "export": export} for export in _WITH_POLICY],
            **only_universal,
        },
    )
    parents = {"limitAllowedParents": {"types": [{"name": "root", "path": ROOT}]}}
    yield _type("organization", {**extends, **children, **only_universal, **parents})
    parents = {"limitAllowedParents": {"types": [organization, {"name": "team", "path": ROOT}]}}
    yield _type("team", {**extends, **children, **parents})
    yield _type("home", {**extends, **children, "limitAllowedParents": {"none": True}})
