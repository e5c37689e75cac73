import asyncio
import contextlib
from datetime import UTC, datetime

import pytest

from kcpcache.registry.caches import Caches, Subscription
from kcpcache.registry.logical_clusters import LogicalClusters
from kcpcache.registry.lookup import Lookup
from kcpcache.registry.serving import Serving
from kcpcache.registry.stored_view import StoredView
from kcpcache.registry.system import SystemTypes, kcp_definitions
from kcpcache.registry.view import NO_ADMISSION, DeleteOptions, WriteOptions
from kcpcache.runtime.apply import Applier
from kcpcache.runtime.controllers.admission import AdmissionControllers
from kcpcache.runtime.environment import Environment, ShardInfo
from kcpcache.storage.memory import MemoryStore

POLICIES = ("admissionregistration.k8s.io", "validatingadmissionpolicies")


def now():
    return datetime(2030, 1, 1, tzinfo=UTC)


class World:
    def __init__(self, caches):
        self.caches = caches
        system = SystemTypes(cached_apis=True)
        self.lookup = Lookup(caches, LogicalClusters(caches), system)
        self.serving = Serving(caches, system.base.values(), kcp_definitions())
        applier = Applier(caches, self.serving, system.definition, now)
        self.env = Environment(self.lookup, self.serving, applier, ShardInfo("root", "", "", ""), now)

    def view(self, group, resource):
        found = self.serving.snapshot("alpha").find(group, "v1", resource)
        assert found is not None
        return StoredView(self.caches, found[0].definition, found[1], "alpha", now)

    async def create(self, resource, name, namespace="n", **fields):
        obj = {"metadata": {"name": name}, **fields}
        await self.view("", resource).create(namespace, obj, WriteOptions(), NO_ADMISSION)

    async def becomes(self, group, resource, name, namespace, wanted):
        """Wait until the object's status is ``wanted``; pytest's timeout ends what never happens."""
        subscription = Subscription()
        subscription.attach(self.env.cache(group, resource), "alpha")
        view = self.view(group, resource)
        while (await view.get(namespace, name)).object().get("status") != wanted:
            await subscription.drain()
        subscription.close()


@pytest.fixture
async def world():
    caches = Caches(MemoryStore())
    await caches.start()
    found = World(caches)
    running = [asyncio.create_task(one.run()) for one in AdmissionControllers(found.env).controllers]
    yield found
    for task in running:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    await caches.close()


def counted(**used):
    return {"hard": {"configmaps": "9", "pods": "1"}, "used": used}


async def test_a_quotas_status_follows_what_comes_and_goes_in_its_namespace(world):
    await world.create("configmaps", "before")
    await world.create("resourcequotas", "q", spec={"hard": {"configmaps": "9", "pods": "1"}})
    await world.becomes("", "resourcequotas", "q", "n", counted(configmaps="1"))
    await world.create("configmaps", "after")
    await world.create("configmaps", "elsewhere", namespace="n2")
    await world.becomes("", "resourcequotas", "q", "n", counted(configmaps="2"))
    await world.view("", "configmaps").delete("n", "before", DeleteOptions(), NO_ADMISSION)
    await world.becomes("", "resourcequotas", "q", "n", counted(configmaps="1"))


async def test_quotas_count_one_another(world):
    hard = {"hard": {"resourcequotas": "3"}}
    await world.create("resourcequotas", "q", spec=hard)
    await world.becomes("", "resourcequotas", "q", "n", {**hard, "used": {"resourcequotas": "1"}})
    await world.create("resourcequotas", "r", spec=hard)
    await world.becomes("", "resourcequotas", "q", "n", {**hard, "used": {"resourcequotas": "2"}})


async def test_a_thousand_are_written_as_kubernetes_writes_quantities(world):
    hard = {"hard": {"configmaps": "2k"}}
    await asyncio.gather(*(world.create("configmaps", f"c{i}") for i in range(1000)))
    await world.create("resourcequotas", "q", spec=hard)
    await world.becomes("", "resourcequotas", "q", "n", {**hard, "used": {"configmaps": "1k"}})


async def test_a_policys_status_names_the_generation_that_was_looked_at(world):
    constraints = {
        "resourceRules": [
            {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]},
        ]
    }
    spec = {"matchConstraints": constraints, "validations": [{"expression": "true"}]}
    view = world.view(*POLICIES)
    await view.create("", {"metadata": {"name": "p"}, "spec": spec}, WriteOptions(), NO_ADMISSION)
    await world.becomes(*POLICIES, "p", "", {"observedGeneration": 1, "typeChecking": {}})
    changed = {**spec, "failurePolicy": "Ignore"}
    await view.update("", "p", lambda live: {**live, "spec": changed}, WriteOptions(), NO_ADMISSION)
    await world.becomes(*POLICIES, "p", "", {"observedGeneration": 2, "typeChecking": {}})
