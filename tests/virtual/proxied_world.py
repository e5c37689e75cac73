"""Shards that export flavors by an endpoint slice of a kind of their own, and other servers behind made-up hosts."""

from collections.abc import Mapping, Sequence
from typing import Any

import httpx
from export_world import ExportWorld
from shard_world import CRDS, EXPORTS, SCHEMAS, Shard, now, schema_spec

from kcpcache.api.in_process import InProcess
from kcpcache.api.services import ServiceHandler
from kcpcache.meta.names import GroupVersionResource
from kcpcache.meta.objects import Object
from kcpcache.virtual.proxied import Endpoints
from kcpcache.virtual.remote import Remote
from kcpcache.virtual.views import Views

PLACES = GroupVersionResource("net.example.com", "v1", "places")
FLAVORS_PATH = "apis/cloud.example.com/v1/flavors"
_OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def places_crd(scope: str = "Cluster") -> Object:
    """Endpoint slices of somebody's own."""
    names = {"plural": "places", "singular": "place", "kind": "Place", "listKind": "PlaceList"}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": _OPEN}}
    return {"group": "net.example.com", "scope": scope, "names": names, "versions": [version]}


class Hosts(httpx.AsyncBaseTransport):
    """The network: which application answers for which host; ``seen`` is what was sent."""

    def __init__(self, apps: Mapping[str, Any]) -> None:
        self.apps, self.seen = apps, []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        app = self.apps.get(request.url.host)
        if app is None:
            raise httpx.ConnectError("connection refused", request=request)
        return await httpx.ASGITransport(app).handle_async_request(request)


class ProxiedWorld:
    """``cluster`` exports flavors by the Place ``here``, and has bound them itself unless a consumer is given."""

    def __init__(self, shard: Shard, network: Hosts, allowed: Sequence[str] = ()) -> None:
        self.shard, self.cluster = shard, "root"
        self.handlers: dict[str, ServiceHandler] = {}
        self.remote = Remote(transport=network)
        in_process = InProcess(self.handlers, shard.clusters.path)
        endpoints = Endpoints(shard.url, allowed, self.remote, in_process)
        shard.views = Views(shard.lookup, shard.serving, shard=shard.name, clock=now, endpoints=endpoints)
        world = ExportWorld(shard)
        self.http, self.app = world.http, world.http.client._transport.app
        self.handlers.update(self.app.kubernetes.services.service_handlers)

    @property
    def path(self) -> str:
        """The flavors in the consumer's workspace."""
        return f"/clusters/{self.cluster}/{FLAVORS_PATH}"

    async def begin(self, *urls: object, crd: Object | None = None, kind: str = "Place", name: str = "here") -> None:
        """Export and bind flavors; the slice lists ``urls``."""
        shard, cluster = self.shard, self.cluster
        await shard.create(cluster, CRDS, "places.net.example.com", spec=crd or places_crd())
        await shard.create(cluster, SCHEMAS, "v1.flavors.cloud.example.com", spec=schema_spec())
        await shard.settled()
        if crd is None:
            status = {"endpoints": [{"url": url} for url in urls]}
            body = {"apiVersion": "net.example.com/v1", "kind": "Place", "metadata": {"name": "here"}, "status": status}
            answer = await self.http.request("POST", f"/clusters/{cluster}/apis/net.example.com/v1/places", body)
            assert answer.status_code == 201, answer.text
        reference = {"apiGroup": "net.example.com", "kind": kind, "name": name}
        entry = {
            "group": "cloud.example.com",
            "name": "flavors",
            "schema": "v1.flavors.cloud.example.com",
            "storage": {"virtual": {"reference": reference, "identityHash": "any"}},
        }
        await shard.create(cluster, EXPORTS, "cloud", spec={"resources": [entry]})
        await shard.settled()
        await shard.bind(cluster, cluster)
        await shard.settled()
