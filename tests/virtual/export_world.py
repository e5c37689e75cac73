"""An APIExport with stored, virtual and claimed resources, its consumers, and its virtual workspace over HTTP."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from shard_http import Http, rule
from shard_world import BINDINGS, CACHED_RESOURCES, EXPORTS, SCHEMAS, Shard, virtual_entry

from kcpcache.api.api_export import ApiExportHandler
from kcpcache.api.wildcard import Wildcard
from kcpcache.meta.names import GroupVersionResource
from kcpcache.meta.objects import Object, copy
from kcpcache.registry.conversion_webhook import ConversionError
from kcpcache.virtual.api_export_consumers import Consumers
from kcpcache.virtual.api_export_resources import ExportedResources, ExportsByIdentity

G = GroupVersionResource
ORDERS, CONFIG_MAPS = G("shop.example.com", "v1", "orders"), G("", "v1", "configmaps")
EXPORT = "shop"
ORDERS_PATH, MAPS_PATH, FLAVORS_PATH = (
    "apis/shop.example.com/v1/orders",
    "api/v1/configmaps",
    "apis/cloud.example.com/v1/flavors",
)
BINDINGS_PATH = "apis/apis.kcp.io/v1alpha2/apibindings"
PUBLIC = {"matchLabels": {"shop": "yes"}}


def orders_schema(*versions: str) -> Object:
    """Orders: namespaced, with a status."""
    string = {"type": "string"}
    schema = {
        "type": "object",
        "properties": {
            "spec": {"type": "object", "properties": {"item": string}},
            "status": {"type": "object", "properties": {"phase": string}},
        },
    }
    names = {"plural": "orders", "singular": "order", "kind": "Order", "listKind": "OrderList"}
    served = [
        {
            "name": name,
            "served": True,
            "storage": name == versions[0],
            "schema": schema,
            "subresources": {"status": {}},
            "additionalPrinterColumns": [{"name": "Item", "type": "string", "jsonPath": ".spec.item"}],
        }
        for name in versions
    ]
    spec = {"group": "shop.example.com", "scope": "Namespaced", "names": names, "versions": served}
    return spec | ({"conversion": {"strategy": "None"}} if len(versions) > 1 else {})


class SplittingWebhook:
    """Orders as v1 has them (``item`` "tea:2") and as v2 does (``good`` "tea", ``count`` "2"); counts what is asked.

    See ``resource.Conversion``.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.failing = False

    async def convert(self, objects: Sequence[Object], api_version: str) -> list[Object]:
        await asyncio.sleep(0)
        self.asked += [obj["metadata"]["name"] for obj in objects]
        if self.failing:
            raise ConversionError("the webhook is out of order")
        return [{**copy(obj), "apiVersion": api_version, "spec": self._spec(obj, api_version)} for obj in objects]

    @staticmethod
    def _spec(obj: Object, api_version: str) -> Object:
        spec = obj.get("spec") or {}
        if api_version.endswith("/v2"):
            good, _, count = spec.get("item", "").partition(":")
            return {"good": good, "count": count}
        return {"item": f"{spec.get('good', '')}:{spec.get('count', '')}"}


def converted_orders_schema() -> Object:
    """Orders that a webhook converts between v1, which is stored, and v2; each version has fields to select by."""

    def version(name: str, *fields: str) -> Object:
        properties = {field: {"type": "string"} for field in fields}
        schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}}
        selectable = [{"jsonPath": f".spec.{field}"} for field in fields]
        return {"name": name, "served": True, "storage": name == "v1", "schema": schema, "selectableFields": selectable}

    webhook = {"clientConfig": {"url": "https://webhook.example.com"}, "conversionReviewVersions": ["v1"]}
    return {
        **orders_schema("v1"),
        "versions": [version("v1", "item"), version("v2", "good", "count")],
        "conversion": {"strategy": "Webhook", "webhook": webhook},
    }


def claim(resource: str, *verbs: str, group: str = "", identity: str = "") -> Object:
    """An entry of an APIExport's ``permissionClaims``."""
    found: Object = {"group": group, "resource": resource, "verbs": list(verbs)}
    return {**found, "identityHash": identity} if identity else found


def accepted(resource: str, *verbs: str, selector: Object | None = None, **more: str) -> Object:
    """The same, accepted by an APIBinding."""
    return {**claim(resource, *verbs, **more), "selector": selector or {"matchAll": True}, "state": "Accepted"}


class ExportWorld:
    """Export ``shop`` in workspace ``provider``; ``url`` leads into its virtual workspace."""

    def __init__(self, shard: Shard) -> None:
        self.shard = shard
        self.http = Http(shard)
        consumers, identities = Consumers(shard.lookup), ExportsByIdentity(shard.lookup)
        resources = ExportedResources(shard.lookup, shard.serving, identities)
        kubernetes = self.http.client._transport.app.kubernetes
        wildcard = Wildcard(shard.lookup, shard.serving, shard.views, consumers, identities, shard=shard.name)
        services = replace(kubernetes.services, find=wildcard.find, view=wildcard.view)
        kubernetes.services = services
        handlers = services.service_handlers
        handlers["apiexport"] = ApiExportHandler(
            shard.lookup,
            consumers,
            resources,
            shard.views,
            self.http.authorizer,
            services.admission,
            shard=shard.name,
            clock=services.clock,
        )
        self.provider = ""

    async def begin(
        self,
        *claims: Object,
        versions: tuple[str, ...] = ("v1",),
        virtual: bool = False,
        name: str = "provider",
        spec: Object | None = None,
    ) -> None:
        """Make the provider. ``spec``: that of the APIResourceSchema of orders."""
        shard = self.shard
        self.provider = await (shard.provider(name) if virtual else shard.workspace(name))
        spec = orders_schema(*versions) if spec is None else spec
        await shard.create(self.provider, SCHEMAS, "v1.orders.shop.example.com", spec=spec)
        orders = {"group": ORDERS.group, "name": "orders", "schema": "v1.orders.shop.example.com"}
        resources: list[Object] = [{**orders, "storage": {"crd": {}}}]
        if virtual:
            found = shard.need(self.provider, CACHED_RESOURCES, "flavors")
            resources.append(virtual_entry(found["status"]["identityHash"]))
        await shard.create(
            self.provider, EXPORTS, EXPORT, spec={"resources": resources, "permissionClaims": list(claims)}
        )
        await shard.settled()

    @property
    def identity(self) -> str:
        """Of the export."""
        return str(self.shard.need(self.provider, EXPORTS, EXPORT)["status"]["identityHash"])

    async def consumer(self, name: str, *claims: Object) -> str:
        """A workspace that is bound, and its logical cluster."""
        cluster = await self.shard.workspace(name)
        await self.bind(cluster, *claims)
        await self.shard.settled()
        return cluster

    async def bind(self, cluster: str, *claims: Object, name: str = EXPORT) -> None:
        """An APIBinding that accepts these claims."""
        reference = {"export": {"path": self.shard.clusters.path(self.provider), "name": EXPORT}}
        await self.shard.create(
            cluster, BINDINGS, name, spec={"reference": reference, "permissionClaims": list(claims)}
        )

    async def answer(self, cluster: str, *claims: Object) -> None:
        """Let the APIBinding of a workspace answer the claims anew."""
        await self.shard.change(cluster, BINDINGS, EXPORT, lambda obj: obj["spec"].update(permissionClaims=[*claims]))

    async def order(self, cluster: str, name: str, item: str = "tea", **fields: Any) -> Object:
        """An order in a consumer's workspace."""
        return await self.shard.create(cluster, ORDERS, name, namespace="default", spec={"item": item}, **fields)

    async def reorder(self, cluster: str, name: str, item: str) -> Object:
        """The same order, of something else."""
        change = lambda obj: obj["spec"].update(item=item)  # noqa: E731
        return await self.shard.change(cluster, ORDERS, name, change, namespace="default")

    async def config_map(self, cluster: str, name: str, **labels: str) -> Object:
        """A ConfigMap in a consumer's workspace."""
        return await self.shard.create(cluster, CONFIG_MAPS, name, namespace="default", labels=labels, data={})

    def url(self, cluster: str = "*", rest: str = ORDERS_PATH) -> str:
        """A URL of the virtual workspace."""
        return f"/services/apiexport/{self.provider}/{EXPORT}/clusters/{cluster}/{rest}"

    def inside(self, cluster: str, rest: str = "apis/shop.example.com/v1/namespaces/default/orders") -> str:
        """A URL of one namespace of a consumer's."""
        return self.url(cluster, rest)

    async def seen(self, cluster: str = "*", rest: str = ORDERS_PATH, query: str = "") -> list[tuple[str, str]]:
        """Workspace and name of each item of a list."""
        return [place(item) for item in (await self.http.get(self.url(cluster, rest) + query))["items"]]

    async def allow(self, user: str, *verbs: str) -> None:
        """Give the user ``apiexports/content``."""
        await self.http.grant(
            self.provider, user, [rule("apis.kcp.io", "apiexports/content", *verbs, names=(EXPORT,))], f"content-{user}"
        )


def place(obj: Object) -> tuple[str, str]:
    """Workspace and name."""
    return obj["metadata"]["annotations"]["kcp.io/cluster"], obj["metadata"]["name"]


def told(events: list[Object]) -> list[tuple[str, str, str]]:
    """Type, workspace and name of all events but bookmarks."""
    return [(event["type"], *place(event["object"])) for event in events if event["type"] != "BOOKMARK"]
