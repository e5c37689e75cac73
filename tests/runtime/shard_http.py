"""The HTTP layer over a shard in process: authentication by header, everything else as in the server."""

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx
import orjson
from shard_world import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, Shard, now

from kcpcache.admission.plugins import default_chain
from kcpcache.api.app import create_app
from kcpcache.api.replication import ReplicationHandler
from kcpcache.api.services import RequestFacts, Services
from kcpcache.auth.authorize import Authorizer
from kcpcache.auth.rbac import Rbac
from kcpcache.auth.source import CachedGate, CachedPolicies, CachedRbac
from kcpcache.auth.user import AUTHENTICATED, User
from kcpcache.meta.objects import Object

MASTER = User("root", groups=("system:masters",))


class NoReviews:
    """Nothing is reviewed here."""

    async def review(self, info: Any, obj: Object, user: User, cluster: str) -> Object:
        raise NotImplementedError


class Http:
    """Requests as a named user; ``master`` may do everything."""

    def __init__(self, shard: Shard, *, cached_apis: bool = True) -> None:
        self.shard = shard
        source = CachedRbac(shard.lookup)
        rbac = Rbac(source)
        source.keep_current(rbac)
        self.authorizer = Authorizer(rbac, CachedGate(shard.lookup), CachedPolicies(shard.lookup, shard.serving))
        chain = default_chain(shard.lookup, shard.serving, self.authorizer, cached_apis=cached_apis)
        replication = ReplicationHandler(shard.lookup, shard.serving, shard.views, self.authorizer, shard=shard.name)
        services = Services(
            resolve_cluster=shard.clusters.resolve,
            snapshot=shard.serving.snapshot,
            view=shard.views.view,
            authenticate=self._authenticate,
            impersonate=lambda user, _headers, _cluster: user,
            authorize=self.authorizer.authorize,
            admission=chain.admission,
            reviews=NoReviews(),
            clock=now,
            shutting_down=asyncio.Event(),
            service_handlers={"replication": replication},
        )
        transport = httpx.ASGITransport(app=create_app(services))
        self.client = httpx.AsyncClient(transport=transport, base_url="http://test")

    @staticmethod
    async def _authenticate(facts: RequestFacts) -> User:
        name = dict(facts.headers).get(b"x-user", b"master").decode()
        return MASTER if name == "master" else User(name, groups=(AUTHENTICATED,))

    async def request(self, method: str, path: str, body: object = None, *, user: str = "master") -> httpx.Response:
        """One request; the body is JSON."""
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        content = None if body is None else orjson.dumps(body)
        headers = {"x-user": user, "content-type": kind}
        return await self.client.request(method, path, content=content, headers=headers)

    async def get(self, path: str, *, user: str = "master") -> Object:
        """The answer's object; it must be a success."""
        response = await self.request("GET", path, user=user)
        assert response.status_code == 200, response.text
        found: Object = response.json()
        return found

    async def refused(self, method: str, path: str, body: object = None, *, user: str = "master") -> tuple[int, str]:
        """Code and message of a refusal, which must be a Status."""
        response = await self.request(method, path, body, user=user)
        found = response.json()
        assert found["kind"] == "Status", response.text
        assert found["code"] == response.status_code
        return response.status_code, found["message"]

    def watch(self, path: str, *, seconds: int = 5, user: str = "master", **query: str) -> "asyncio.Task[list[Object]]":
        """A watch that lasts for ``seconds`` of virtual time; its events are the task's result."""
        return asyncio.create_task(self._watch(path, {"timeoutSeconds": str(seconds), **query}, user))

    async def _watch(self, path: str, query: Mapping[str, str], user: str) -> list[Object]:
        asked = httpx.QueryParams({"watch": "true", **query})
        response = await self.request("GET", f"{path}?{asked}", user=user)
        assert response.status_code == 200, response.text
        return [orjson.loads(line) for line in response.content.splitlines()]

    async def grant(self, cluster: str, user: str, rules: list[Object], name: str = "granted") -> None:
        """A ClusterRole with these rules for the user, and access to the workspace."""
        access = {"verbs": ["access"], "nonResourceURLs": ["/"]}
        await self.shard.create(cluster, CLUSTER_ROLES, name, rules=[*rules, access])
        group = "rbac.authorization.k8s.io"
        await self.shard.create(
            cluster,
            CLUSTER_ROLE_BINDINGS,
            name,
            roleRef={"apiGroup": group, "kind": "ClusterRole", "name": name},
            subjects=[{"apiGroup": group, "kind": "User", "name": user}],
        )


def rule(group: str, resource: str, *verbs: str, names: tuple[str, ...] = ()) -> Object:
    """One rule of a ClusterRole."""
    found: Object = {"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}
    return {**found, "resourceNames": list(names)} if names else found
