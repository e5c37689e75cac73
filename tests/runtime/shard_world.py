"""One whole shard in process: a store in memory, the caches, and every controller, on virtual time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from kcpcache.meta.names import GroupVersionResource
from kcpcache.meta.objects import Object
from kcpcache.reconcilers.plan import Target
from kcpcache.registry.caches import Caches
from kcpcache.registry.entry import encode
from kcpcache.registry.logical_clusters import LogicalClusters
from kcpcache.registry.lookup import Lookup
from kcpcache.registry.resource import Conversion
from kcpcache.registry.serving import Serving
from kcpcache.registry.system import SystemTypes, kcp_definitions
from kcpcache.registry.view import NO_ADMISSION, DeleteOptions, ListOptions, View, WriteOptions
from kcpcache.runtime.apply import Applier
from kcpcache.runtime.bootstrap import Bootstrap
from kcpcache.runtime.controller import Controller
from kcpcache.runtime.controllers.apis import ApiControllers
from kcpcache.runtime.controllers.authorization import AuthorizationControllers
from kcpcache.runtime.controllers.cache import CacheControllers
from kcpcache.runtime.controllers.lifecycle import LifecycleControllers
from kcpcache.runtime.controllers.topology import TopologyControllers
from kcpcache.runtime.controllers.workspaces import WorkspaceControllers
from kcpcache.runtime.environment import Environment, ShardInfo
from kcpcache.storage.memory import MemoryStore
from kcpcache.virtual.views import Views

START = datetime(2030, 1, 1, tzinfo=UTC)
QUIET_SECONDS = 100.7
"""Longer than any retry or requeue waits, and no multiple of one; costs nothing on virtual time."""

G = GroupVersionResource
WORKSPACES = G("tenancy.kcp.io", "v1alpha1", "workspaces")
WORKSPACE_TYPES = G("tenancy.kcp.io", "v1alpha1", "workspacetypes")
LOGICAL_CLUSTERS = G("core.kcp.io", "v1alpha1", "logicalclusters")
SHARDS = G("core.kcp.io", "v1alpha1", "shards")
CRDS = G("apiextensions.k8s.io", "v1", "customresourcedefinitions")
NAMESPACES, SECRETS, CONFIG_MAPS = G("", "v1", "namespaces"), G("", "v1", "secrets"), G("", "v1", "configmaps")
SERVICE_ACCOUNTS = G("", "v1", "serviceaccounts")
CLUSTER_ROLE_BINDINGS = G("rbac.authorization.k8s.io", "v1", "clusterrolebindings")
CLUSTER_ROLES = G("rbac.authorization.k8s.io", "v1", "clusterroles")
SCHEMAS = G("apis.kcp.io", "v1alpha1", "apiresourceschemas")
EXPORTS = G("apis.kcp.io", "v1alpha2", "apiexports")
BINDINGS = G("apis.kcp.io", "v1alpha2", "apibindings")
EXPORT_SLICES = G("apis.kcp.io", "v1alpha1", "apiexportendpointslices")
CACHED_RESOURCES = G("cache.kcp.io", "v1alpha1", "cachedresources")
SLICES = G("cache.kcp.io", "v1alpha1", "cachedresourceendpointslices")
PARTITIONS = G("topology.kcp.io", "v1alpha1", "partitions")
FLAVORS = G("cloud.example.com", "v1", "flavors")


def now() -> datetime:
    """The virtual clock."""
    return START + timedelta(seconds=asyncio.get_running_loop().time())


@dataclass
class Shard:
    """``start`` and ``stop`` it as a process; the store outlives both."""

    store: MemoryStore = field(default_factory=MemoryStore)
    name: str = "root"
    url: str = "https://host:6443"
    failures_expected: bool = False
    webhook: Conversion | None = None
    """What converts where a definition says that a webhook does."""
    controllers: tuple[Controller[Any], ...] = ()
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def start(self) -> None:
        """Everything that the server starts, but HTTP."""
        self.caches = Caches(self.store)
        await self.caches.start()
        self.system = SystemTypes(cached_apis=True)
        self.clusters = LogicalClusters(self.caches)
        shard = ShardInfo(self.name, self.url, self.url, self.url)
        await Bootstrap(self.caches, self.system, shard, now, cached_apis=True).run()
        self.serving = Serving(
            self.caches, self.system.base.values(), kcp_definitions(), conversion=self._conversion_of
        )
        self.lookup = Lookup(self.caches, self.clusters, self.system)
        applier = Applier(self.caches, self.serving, self.system.definition, now)
        self.env = Environment(self.lookup, self.serving, applier, shard, now)
        self.views = Views(self.lookup, self.serving, shard=self.name, clock=now)
        self.cache_side = CacheControllers(self.env)
        self.controllers = (
            *self.cache_side.controllers,
            *ApiControllers(self.env, self.cache_side.bindings).controllers,
            *WorkspaceControllers(self.env).controllers,
            *LifecycleControllers(self.env).controllers,
            *TopologyControllers(self.env).controllers,
            *AuthorizationControllers(self.env).controllers,
        )
        self.tasks = [asyncio.create_task(controller.run()) for controller in self.controllers]

    def _conversion_of(self, spec: Object) -> Conversion | None:
        return self.webhook if (spec.get("conversion") or {}).get("strategy") == "Webhook" else None

    async def stop(self) -> None:
        """As abrupt as a killed process: whatever was under way is not finished."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for task in self.tasks:
            assert task.cancelled(), task.exception()
        await self.caches.close()
        failed = {controller.name: controller.counts.failures for controller in self.controllers}
        assert self.failures_expected or not any(failed.values()), failed

    async def restart(self) -> None:
        """Stop, and start again over the same store."""
        await self.stop()
        await self.start()

    async def settled(self, seconds: float = QUIET_SECONDS) -> None:
        """Return when nothing is left to do. Virtual time passes only while nobody has anything to do."""
        await asyncio.sleep(seconds)
        assert self.caches.revision == await self.store.revision()
        busy = [controller.name for controller in self.controllers if len(controller.queue)]
        assert not busy, busy

    # -- what users do

    async def create(self, cluster: str, resource: GroupVersionResource, name: str, /, **fields: Any) -> Object:
        """Create an object; keywords are its fields, ``labels``, ``annotations``, … those of its metadata."""
        meta: Object = {"name": name}
        for key in ("labels", "annotations", "namespace", "finalizers", "ownerReferences"):
            if key in fields:
                meta[key] = fields.pop(key)
        namespace = meta.get("namespace", "")
        view = self.env.apply.view(Target(resource, cluster, name, namespace))
        written = await view.create(namespace, {"metadata": meta, **fields}, WriteOptions(), NO_ADMISSION)
        return written.item.object()

    async def change(
        self,
        cluster: str,
        resource: GroupVersionResource,
        name: str,
        edit: Callable[[Object], object],
        *,
        namespace: str = "",
        subresource: str = "",
    ) -> Object:
        """Change an object in place with ``edit``, again where a controller was faster."""

        def edited(live: Object | None) -> Object:
            assert live is not None
            edit(live)
            live["metadata"].pop("resourceVersion", None)
            return live

        view = self.env.apply.view(Target(resource, cluster, name, namespace))
        written = await view.update(namespace, name, edited, WriteOptions(), NO_ADMISSION, subresource=subresource)
        return written.item.object()

    async def label(
        self, cluster: str, resource: GroupVersionResource, name: str, *, namespace: str = "", **labels: str
    ) -> None:
        """Give an object exactly these labels."""
        edit = lambda obj: obj["metadata"].update(labels=labels)  # noqa: E731
        await self.change(cluster, resource, name, edit, namespace=namespace)

    async def delete(
        self, cluster: str, resource: GroupVersionResource, name: str, *, namespace: str = "", policy: Any = ""
    ) -> None:
        """Delete an object."""
        view = self.env.apply.view(Target(resource, cluster, name, namespace))
        await view.delete(namespace, name, DeleteOptions(propagation_policy=policy), NO_ADMISSION)

    def view(self, cluster: str, resource: GroupVersionResource) -> View:
        """What a client of the workspace has for a resource. KeyError where it is not served."""
        found = self.serving.snapshot(cluster).find(*resource)
        if found is None:
            raise KeyError(resource)
        return self.views.view(cluster, *found)

    async def objects(self, cluster: str, resource: GroupVersionResource) -> list[Object]:
        """What a client of the workspace lists."""
        return [item.object() for item in (await self.view(cluster, resource).list(ListOptions())).items()]

    async def names(self, cluster: str, resource: GroupVersionResource) -> list[str]:
        """The names of what a client of the workspace lists."""
        return [obj["metadata"]["name"] for obj in await self.objects(cluster, resource)]

    def get(self, cluster: str, resource: GroupVersionResource, name: str, namespace: str = "") -> Object | None:
        """An object of a system type, or None."""
        return self.lookup.get(resource, cluster, name, namespace)

    def need(self, cluster: str, resource: GroupVersionResource, name: str, namespace: str = "") -> Object:
        """An object of a system type that must be there."""
        found = self.get(cluster, resource, name, namespace)
        assert found is not None, f"{resource} {cluster}/{name}"
        return found

    async def keys(self, part: str = "", prefix: str = "/") -> list[str]:
        """The store's keys below ``prefix`` with ``part`` in them."""
        page = await self.store.list(prefix)
        return [entry.key for entry in page.entries if part in entry.key]

    # -- the parts of a story

    async def workspace(self, name: str, parent: str = "root", **spec: Any) -> str:
        """A workspace of type universal, and the name of its logical cluster once it is ready."""
        where = self.clusters.resolve(parent)
        assert where is not None
        spec.setdefault("type", {"name": "universal", "path": "root"})
        owner = {"experimental.tenancy.kcp.io/owner": '{"username":"alice","groups":["devs"]}'}
        await self.create(where, WORKSPACES, name, annotations=owner, spec=spec)
        await self.settled()
        return str(self.need(where, WORKSPACES, name)["spec"]["cluster"])

    async def provider(self, name: str = "provider", **cached_resource: Any) -> str:
        """A workspace with CRD, CachedResource, schema and export of flavors; no flavors yet."""
        cluster = await self.workspace(name)
        await self.create(cluster, CRDS, "flavors.cloud.example.com", spec=crd_spec())
        await self.cache_flavors(cluster, **cached_resource)
        await self.settled()
        await self.export_flavors(cluster)
        await self.settled()
        return cluster

    async def cache_flavors(self, cluster: str, name: str = "flavors", **spec: Any) -> None:
        """A CachedResource of flavors."""
        wanted = {"group": "cloud.example.com", "version": "v1", "resource": "flavors", **spec}
        await self.create(cluster, CACHED_RESOURCES, name, spec=wanted)

    async def export_flavors(self, cluster: str, name: str = "cloud", endpoint_slice: str = "flavors") -> None:
        """An APIExport ``cloud`` of the cached flavors."""
        if self.get(cluster, SCHEMAS, "v1.flavors.cloud.example.com") is None:
            await self.create(cluster, SCHEMAS, "v1.flavors.cloud.example.com", spec=schema_spec())
        found = self.need(cluster, CACHED_RESOURCES, endpoint_slice)
        resource = virtual_entry(found["status"]["identityHash"], endpoint_slice)
        await self.create(cluster, EXPORTS, name, spec={"resources": [resource]})

    async def bind(self, cluster: str, provider: str, name: str = "cloud", export: str = "cloud") -> None:
        """An APIBinding in ``cluster`` to an export of ``provider``."""
        reference = {"export": {"path": self.clusters.path(provider), "name": export}}
        await self.create(cluster, BINDINGS, name, spec={"reference": reference})

    async def flavor(self, cluster: str, name: str, cpu: int = 1, **labels: str) -> Object:
        """A flavor in its provider's workspace."""
        return await self.create(cluster, FLAVORS, name, labels=labels, spec={"cpu": cpu})

    def status(self, cluster: str, name: str = "flavors") -> Object:
        """The status of a CachedResource."""
        return self.need(cluster, CACHED_RESOURCES, name).get("status") or {}

    def condition(self, cluster: str, kind: str, name: str = "flavors") -> Object:
        """One condition of a CachedResource; {} where there is none."""
        found = self.status(cluster, name).get("conditions") or ()
        return next((condition for condition in found if condition["type"] == kind), {})

    async def copies(self, cluster: str, resource: str = "flavors") -> list[str]:
        """The names of all copies of a provider's objects, whatever their identity."""
        keys = await self.keys(f"/{cluster}/", "/cache/")
        return sorted(key.rpartition("/")[2] for key in keys if f"/{resource}:" in key)

    async def put_copy(self, key: str, obj: Object) -> None:
        """Write into the store directly, past everything."""
        current = (await self.store.get(key)).entry
        if current is None:
            await self.store.create(key, encode(obj))
        else:
            await self.store.update(key, encode(obj), expected=current.revision)

    async def wipe(self, prefix: str) -> None:
        """Delete keys directly, past everything."""
        for entry in (await self.store.list(prefix)).entries:
            await self.store.delete(entry.key, expected=entry.revision)


def names_of_flavors() -> Object:
    """Of the type that the stories are about."""
    return {"plural": "flavors", "singular": "flavor", "kind": "Flavor", "listKind": "FlavorList"}


def _version(name: str, *, storage: bool = True) -> Object:
    return {"name": name, "served": True, "storage": storage}


_OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def crd_spec(scope: str = "Cluster", versions: tuple[str, ...] = ("v1",)) -> Object:
    """The spec of the CRD of flavors; the first version is the storage version."""
    served = [
        {**_version(name, storage=name == versions[0]), "schema": {"openAPIV3Schema": _OPEN}} for name in versions
    ]
    return {"group": "cloud.example.com", "scope": scope, "names": names_of_flavors(), "versions": served}


def schema_spec(versions: tuple[str, ...] = ("v1",)) -> Object:
    """The spec of the APIResourceSchema of flavors."""
    served = [{**_version(name, storage=name == versions[0]), "schema": _OPEN} for name in versions]
    spec = {"group": "cloud.example.com", "scope": "Cluster", "names": names_of_flavors(), "versions": served}
    return spec | ({"conversion": {"strategy": "None"}} if len(versions) > 1 else {})


def virtual_entry(identity_hash: str, endpoint_slice: str = "flavors") -> Object:
    """The entry of an APIExport for cached flavors."""
    reference = {
        "apiGroup": "cache.kcp.io",
        "kind": "CachedResourceEndpointSlice",
        "name": endpoint_slice,
    }
    return {
        "group": "cloud.example.com",
        "name": "flavors",
        "schema": "v1.flavors.cloud.example.com",
        "storage": {"virtual": {"reference": reference, "identityHash": identity_hash}},
    }


@contextlib.asynccontextmanager
async def running(store: MemoryStore | None = None) -> AsyncIterator[Shard]:
    """A shard for the duration, settled."""
    shard = Shard(store or MemoryStore())
    await shard.start()
    try:
        await shard.settled()
        yield shard
    finally:
        await shard.stop()
