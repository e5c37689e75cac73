"""Workspaces without HTTP: writes through views, with the plugins for dynamic admission and quotas."""

import base64
import contextlib
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

sys.path.append(str(Path(__file__).parents[1] / "registry"))

from webhook_server import WebhookServer

from kcpcache.admission.chain import Chain, Plugin
from kcpcache.admission.matching import Subjects
from kcpcache.admission.policies import Policies, PoliciesCompile
from kcpcache.admission.quota import Quotas
from kcpcache.admission.webhooks import MutatingWebhooks, ValidatingWebhooks, WebhookDispatcher
from kcpcache.auth.attributes import Attributes, Decision
from kcpcache.auth.user import User
from kcpcache.meta.names import GroupResource
from kcpcache.registry.caches import Caches
from kcpcache.registry.conversion_webhook import conversion_of
from kcpcache.registry.logical_clusters import LogicalClusters
from kcpcache.registry.lookup import Lookup
from kcpcache.registry.serving import Serving
from kcpcache.registry.stored_view import StoredView
from kcpcache.registry.system import SystemTypes, kcp_definitions
from kcpcache.registry.view import NO_ADMISSION, DeleteOptions, WriteOptions, Written
from kcpcache.registry.webhook_client import WebhookClient
from kcpcache.storage.memory import MemoryStore

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
GROUP = "admissionregistration.k8s.io"


def crd(kind: str = "CronTab", *, conversion: dict[str, Any] | None = None, **schema: Any) -> dict[str, Any]:
    """An established CRD of stable.example.com in versions v1 (stored) and v2."""
    plural = f"{kind.lower()}s"
    open_schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "metadata": {"name": f"{plural}.stable.example.com"},
        "spec": {
            "group": "stable.example.com",
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"},
            "conversion": conversion or {"strategy": "None"},
            "versions": [
                {
                    "name": name,
                    "served": True,
                    "storage": name == "v1",
                    "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": schema or open_schema},
                }
                for name in ("v1", "v2")
            ],
        },
        "status": {"conditions": [{"type": "Established", "status": "True"}]},
    }


class World:
    """Several workspaces. ``allowed`` are (verb, resource) that CEL's authorizer grants."""

    def __init__(self, caches: Caches) -> None:
        self.caches = caches
        self.client = WebhookClient()
        system = SystemTypes(cached_apis=True)
        self.lookup = Lookup(caches, LogicalClusters(caches), system)
        self.serving = Serving(
            caches,
            system.base.values(),
            kcp_definitions(),
            conversion=lambda spec: conversion_of(spec, self.client),
        )
        self.allowed: set[tuple[str, str]] = set()
        self.plugins: list[Plugin] = []
        self.user = User("ann", groups=("dev",))
        subjects = Subjects(self.lookup, self.serving)
        dispatcher = WebhookDispatcher(self.client, self.authorize)
        policies = Policies(self.lookup, subjects, self.serving, self.view, self.authorize)
        self.chain = Chain(
            [_Delegate(self.plugins)],
            {GroupResource(GROUP, resource): [PoliciesCompile()] for resource in PoliciesCompile.RESOURCES},
            foreign=MutatingWebhooks(self.lookup, subjects, dispatcher),
            last=[policies, ValidatingWebhooks(self.lookup, subjects, dispatcher), Quotas(self.lookup, self.serving)],
        )

    def authorize(self, attributes: Attributes) -> Decision:
        return Decision((attributes.verb, attributes.resource) in self.allowed, "because")

    def view(self, cluster: str, resource: Any, version: Any) -> StoredView:
        return StoredView(self.caches, resource.definition, version, cluster, lambda: NOW)

    def _view(self, resource: str, cluster: str) -> tuple[StoredView, tuple[str, str, str]]:
        """``configmaps``, ``crontabs.v2.stable.example.com``."""
        plural, _, rest = resource.partition(".")
        version, _, group = rest.partition(".")
        found = self.serving.snapshot(cluster).find(group, version or "v1", plural)
        assert found is not None, resource
        return self.view(cluster, *found), (group, version or "v1", plural)

    def attributes(self, verb: str, resource: str, cluster: str, namespace: str, name: str = "", sub: str = "") -> Any:
        _, (group, version, plural) = self._view(resource, cluster)
        return Attributes(
            user=self.user,
            verb=verb,
            cluster=cluster,
            group=group,
            version=version,
            resource=plural,
            subresource=sub,
            namespace=namespace,
            name=name,
        )

    async def create(
        self,
        resource: str,
        obj: dict[str, Any],
        *,
        cluster: str = "alpha",
        namespace: str = "default",
        options: WriteOptions | None = None,
    ) -> dict[str, Any]:
        view, _ = self._view(resource, cluster)
        namespace = namespace if view.definition.namespaced else ""
        how = options or WriteOptions(field_manager="test")
        admission = self.chain.admission(self.attributes("create", resource, cluster, namespace), how)
        return (await view.create(namespace, orjson.loads(orjson.dumps(obj)), how, admission)).item.object()

    async def update(
        self, resource: str, obj: dict[str, Any], *, cluster: str = "alpha", namespace: str = "default", sub: str = ""
    ) -> dict[str, Any]:
        view, _ = self._view(resource, cluster)
        namespace = namespace if view.definition.namespaced else ""
        how, name = WriteOptions(field_manager="test"), obj["metadata"]["name"]
        admission = self.chain.admission(self.attributes("update", resource, cluster, namespace, name, sub), how)
        written = await view.update(
            namespace, name, lambda _live: orjson.loads(orjson.dumps(obj)), how, admission, subresource=sub
        )
        return written.item.object()

    async def delete(
        self, resource: str, name: str, *, cluster: str = "alpha", namespace: str = "default", **options: Any
    ) -> Written:
        view, _ = self._view(resource, cluster)
        namespace = namespace if view.definition.namespaced else ""
        how = DeleteOptions(**options)
        admission = self.chain.admission(self.attributes("delete", resource, cluster, namespace, name), how)
        return await view.delete(namespace, name, how, admission)

    async def given(self, resource: str, obj: dict[str, Any], *, cluster: str = "alpha") -> dict[str, Any]:
        """An object that is simply there, its status too."""
        view, _ = self._view(resource, cluster)
        namespace = obj["metadata"].get("namespace", "")
        status = obj.get("status")
        made = await view.create(namespace, orjson.loads(orjson.dumps(obj)), WriteOptions(), NO_ADMISSION)
        if status is not None and view.version.has_status:
            made = await view.update(
                namespace,
                obj["metadata"]["name"],
                lambda live: {**(live or {}), "status": status},
                WriteOptions(),
                NO_ADMISSION,
                subresource="status",
            )
        return made.item.object()


class _Delegate:
    """Plugins that a test adds later."""

    def __init__(self, plugins: list[Plugin]) -> None:
        self._plugins = plugins

    async def mutate(self, request: Any) -> None:
        for plugin in self._plugins:
            await plugin.mutate(request)

    async def validate(self, request: Any) -> None:
        for plugin in self._plugins:
            await plugin.validate(request)


@contextlib.asynccontextmanager
async def running_world() -> AsyncIterator[World]:
    """Workspaces alpha and bravo, each with the namespace default."""
    store = MemoryStore()
    caches = Caches(store)
    await caches.start()
    world = World(caches)
    try:
        for cluster in ("alpha", "bravo"):
            namespace = {"metadata": {"name": "default", "labels": {"team": cluster}}}
            await world.given("namespaces", namespace, cluster=cluster)
        yield world
    finally:
        await world.client.close()
        await caches.close()


def webhook(server: WebhookServer, name: str = "check.example.com", **fields: Any) -> dict[str, Any]:
    rule = {"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}
    return {
        "name": name,
        "clientConfig": server.client_config(),
        "rules": [rule],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 5,
        **fields,
    }


def allow(review: dict[str, Any], **response: Any) -> dict[str, Any]:
    uid = review["request"]["uid"]
    return {**_head(review), "response": {"uid": uid, "allowed": True, **response}}


def deny(review: dict[str, Any], **result: Any) -> dict[str, Any]:
    uid = review["request"]["uid"]
    return {**_head(review), "response": {"uid": uid, "allowed": False, **({"status": result} if result else {})}}


def patch(review: dict[str, Any], *operations: dict[str, Any]) -> dict[str, Any]:
    encoded = base64.b64encode(orjson.dumps(operations)).decode()
    return allow(review, patchType="JSONPatch", patch=encoded)


def _head(review: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": review["apiVersion"], "kind": review["kind"]}
