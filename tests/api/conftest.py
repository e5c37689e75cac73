"""The whole HTTP layer over the real registry and a store in memory."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import uvicorn

from kcpcache.api.app import Application, create_app
from kcpcache.api.protocol import KubernetesProtocol
from kcpcache.api.services import RequestFacts, Services
from kcpcache.auth.attributes import Attributes, Decision
from kcpcache.auth.user import ANONYMOUS, User
from kcpcache.meta.names import GroupResource
from kcpcache.registry.caches import Caches
from kcpcache.registry.catalog import ExportReference, ProjectedResource, Resource, Snapshot, StoredResource
from kcpcache.registry.definitions import definition_of_crd
from kcpcache.registry.resource import ServedVersion
from kcpcache.registry.stored_view import StoredView
from kcpcache.registry.system import builtin_definitions
from kcpcache.registry.view import Admission
from kcpcache.storage.memory import MemoryStore

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)

CRON_TABS = {
    "spec": {
        "group": "stable.example.com",
        "scope": "Namespaced",
        "names": {
            "plural": "crontabs",
            "singular": "crontab",
            "kind": "CronTab",
            "shortNames": ["ct"],
            "categories": ["all"],
        },
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {
                    "status": {},
                    "scale": {
                        "specReplicasPath": ".spec.replicas",
                        "statusReplicasPath": ".status.replicas",
                        "labelSelectorPath": ".status.selector",
                    },
                },
                "additionalPrinterColumns": [
                    {"name": "Spec", "type": "string", "jsonPath": ".spec.cronSpec"},
                    {"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas", "priority": 1},
                    {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
                    {"name": "Tags", "type": "string", "jsonPath": ".spec.tags"},
                    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                ],
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": {
                                    "cronSpec": {"type": "string"},
                                    "replicas": {"type": "integer"},
                                    "tags": {"type": "array", "items": {"type": "string"}},
                                },
                            },
                            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                        },
                    }
                },
            },
            {
                "name": "v1beta1",
                "served": True,
                "storage": False,
                "deprecated": True,
                "deprecationWarning": 'use "v1", please',
                "schema": {
                    "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
                },
            },
        ],
    }
}  # fmt: skip

FLAVORS = {
    "spec": {
        "group": "cloud.example.com",
        "scope": "Cluster",
        "names": {"plural": "flavors", "kind": "Flavor"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    }
}


def snapshot() -> Snapshot:
    flavors = definition_of_crd(FLAVORS)
    found: dict[GroupResource, Resource] = {
        key: StoredResource(definition) for key, definition in builtin_definitions().items()
    }
    crontabs = definition_of_crd(CRON_TABS)
    found[crontabs.group_resource] = StoredResource(crontabs)
    found[flavors.group_resource] = ProjectedResource(flavors, ExportReference("provider", "cloud"))
    return Snapshot(found)


async def _nothing(_operation: Any, _new: Any, _old: Any) -> None:
    """Admit everything."""


class Reviews:
    async def review(self, info: Any, obj: Any, user: User, cluster: str) -> Any:
        return {**obj, "status": {"resource": info.resource, "user": user.name, "cluster": cluster}}


@dataclass
class World:
    """What a test can reach; ``denied`` are (verb, resource or path) that nobody may, since ``epoch[0]``."""

    services: Services
    app: Application
    caches: Caches
    client: httpx.AsyncClient
    denied: set[tuple[str, str]]
    asked: list[Attributes]
    epoch: list[int]

    async def create(self, name: str, namespace: str = "default", **fields: Any) -> dict[str, Any]:
        response = await self.client.post(
            f"/api/v1/namespaces/{namespace}/configmaps", json={"metadata": {"name": name}, **fields}
        )
        assert response.status_code == 201, response.text
        return response.json()

    async def cron_tab(self, name: str, **spec: Any) -> dict[str, Any]:
        response = await self.client.post(
            "/apis/stable.example.com/v1/namespaces/default/crontabs",
            json={"apiVersion": "stable.example.com/v1", "kind": "CronTab", "metadata": {"name": name}, "spec": spec},
        )
        assert response.status_code == 201, response.text
        return response.json()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    caches = Caches(MemoryStore())
    await caches.start()
    served = snapshot()
    denied: set[tuple[str, str]] = set()
    asked: list[Attributes] = []
    epoch = [0]

    async def authenticate(facts: RequestFacts) -> User:
        name = dict(facts.headers).get(b"x-user", b"admin").decode()
        return ANONYMOUS if name == "nobody" else User(name)

    def authorize(attributes: Attributes) -> Decision:
        asked.append(attributes)
        what = attributes.resource if attributes.is_resource else attributes.path
        return Decision((attributes.verb, what) not in denied and attributes.user is not ANONYMOUS)

    def view(cluster: str, resource: Resource, version: ServedVersion) -> StoredView:
        return StoredView(caches, resource.definition, version, cluster, lambda: NOW)

    services = Services(
        resolve_cluster={"root": "root", "ws": "ws", "root:ws": "ws"}.get,
        snapshot=lambda _cluster: served,
        view=view,
        authenticate=authenticate,
        impersonate=lambda user, _headers, _cluster: user,
        authorize=authorize,
        admission=lambda _attributes, _options: Admission(_nothing, _nothing),
        reviews=Reviews(),
        clock=lambda: NOW,
        shutting_down=asyncio.Event(),
        epoch=lambda: epoch[0],
    )
    app = create_app(services)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield World(services, app, caches, client, denied, asked, epoch)
    await caches.close()


@pytest.fixture
async def server(world: World) -> AsyncIterator[str]:
    """The URL of a real server over ``world``."""
    config = uvicorn.Config(
        world.app, http=KubernetesProtocol, port=0, log_config=None, loop="none", lifespan="on", proxy_headers=False
    )
    running = uvicorn.Server(config)
    task = asyncio.create_task(running.serve())
    while not running.started:  # noqa: ASYNC110 -- uvicorn has no event for it
        await asyncio.sleep(0)
    port = running.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    world.services.shutting_down.set()
    running.should_exit = True
    await task
