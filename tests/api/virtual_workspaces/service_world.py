"""What the server wires, without its process: every controller, all admission, authorization, and HTTP."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

sys.path.append(str(Path(__file__).parents[2] / "runtime"))

from shard_world import Shard, now, running
from virtual_time import VirtualTimeLoop

from kcpcache.admission.plugins import default_chain
from kcpcache.api.app import create_app
from kcpcache.api.cache_server import CacheServerHandler
from kcpcache.api.home_workspaces import HomeWorkspaces
from kcpcache.api.initializing_workspaces import InitializingWorkspacesHandler
from kcpcache.api.services import RequestFacts, Services
from kcpcache.auth.authorize import Authorizer
from kcpcache.auth.rbac import Rbac
from kcpcache.auth.source import CachedGate, CachedPolicies, CachedRbac
from kcpcache.auth.user import ANONYMOUS, User, with_standard_group
from kcpcache.meta.objects import Object

__all__ = ["ADMIN", "MASTER", "ServiceWorld", "VirtualTimeLoop", "running_service"]

MASTER = "shard-admin"
ADMIN = "kcp-admin"
_GROUPS = {MASTER: ("system:masters",), ADMIN: ("system:kcp:admin",)}


class _NoReviews:
    async def review(self, info: Any, obj: Object, user: User, cluster: str) -> Object:
        raise AssertionError("nobody asks for a review here")


@dataclass
class ServiceWorld:
    """``request`` as a user of that name (None: nobody); ``shard`` is what lies behind."""

    shard: Shard
    http: httpx.AsyncClient
    homes: HomeWorkspaces

    async def request(self, method: str, path: str, user: str | None = MASTER, **more: Any) -> httpx.Response:
        headers = {**({"x-user": user} if user else {}), **more.pop("headers", {})}
        return await self.http.request(method, path, headers=headers, **more)

    async def get(self, path: str, user: str | None = MASTER, **query: Any) -> Object:
        response = await self.request("GET", path, user, params=query)
        assert response.status_code == httpx.codes.OK, response.text
        return dict(response.json())

    async def names(self, path: str, user: str | None = MASTER, **query: Any) -> list[str]:
        return [item["metadata"]["name"] for item in (await self.get(path, user, **query))["items"]]

    async def refused(self, method: str, path: str, user: str | None = MASTER, **more: Any) -> tuple[int, str]:
        response = await self.request(method, path, user, **more)
        assert response.is_error, response.text
        return response.status_code, response.json()["message"]

    async def events(self, path: str, version: str, seconds: int, *, user: str = MASTER) -> list[tuple[str, Object]]:
        """What a watch from ``version`` on hears until it ends, after so many (virtual) seconds."""
        query = {"watch": "1", "resourceVersion": version, "timeoutSeconds": str(seconds)}
        response = await self.request("GET", path, user, params=query)
        assert response.status_code == httpx.codes.OK, response.text
        found = [json.loads(line) for line in response.text.splitlines()]
        return [(event["type"], event["object"]) for event in found]


@contextlib.asynccontextmanager
async def running_service() -> AsyncIterator[ServiceWorld]:
    """A shard and its HTTP layer for the duration."""
    async with running() as shard:
        lookup, serving, views = shard.lookup, shard.serving, shard.views
        source = CachedRbac(lookup)
        rbac = Rbac(source)
        source.keep_current(rbac)
        authorizer = Authorizer(rbac, CachedGate(lookup), CachedPolicies(lookup, serving))
        chain = default_chain(lookup, serving, authorizer, cached_apis=True, view=views.view)

        async def authenticate(facts: RequestFacts) -> User:
            name = dict(facts.headers).get(b"x-user", b"").decode()
            return with_standard_group(User(name, groups=_GROUPS.get(name, ()))) if name else ANONYMOUS

        homes = HomeWorkspaces(lookup, authorizer, external_url=shard.url, clock=now)
        services = Services(
            resolve_cluster=lookup.clusters.resolve,
            path_of=lookup.clusters.path,
            snapshot=serving.snapshot,
            view=views.view,
            authenticate=authenticate,
            impersonate=lambda user, _headers, _cluster: user,
            authorize=authorizer.authorize,
            admission=chain.admission,
            reviews=_NoReviews(),
            clock=now,
            shutting_down=asyncio.Event(),
            service_handlers={
                "cache": CacheServerHandler(lookup, serving, shard=shard.name, clock=now),
                "initializingworkspaces": InitializingWorkspacesHandler(
                    lookup, serving, views, authorizer, chain.admission, clock=now
                ),
            },
            home=homes,
        )
        transport = httpx.ASGITransport(app=create_app(services))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            yield ServiceWorld(shard, http, homes)
