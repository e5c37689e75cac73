import asyncio

import pytest
from admission_world import World, crd, running_world

from kcpcache.meta.errors import AlreadyExistsError, ForbiddenError
from kcpcache.reconcilers import quota
from kcpcache.registry.catalog import Snapshot
from kcpcache.registry.quotas import counted_names, resource_counted
from kcpcache.registry.view import WriteOptions

CRDS = "customresourcedefinitions.v1.apiextensions.k8s.io"
CRON_TABS = "crontabs.v1.stable.example.com"


@pytest.fixture
async def world():
    async with running_world() as found:
        yield found


async def limit(world: World, name="q", cluster="alpha", **hard):
    hard = {key.replace("_", "/").replace("__", "."): str(value) for key, value in hard.items()}
    obj = {"metadata": {"name": name, "namespace": "default"}, "spec": {"hard": hard}}
    await world.given("resourcequotas", obj, cluster=cluster)


def config_map(name):
    return {"metadata": {"name": name}}


class TestLimits:
    async def test_one_more_than_the_limit_is_refused_in_kubes_words(self, world):
        await limit(world, count_configmaps=2)
        await world.create("configmaps", config_map("a"))
        await world.create("configmaps", config_map("b"))
        with pytest.raises(ForbiddenError) as caught:
            await world.create("configmaps", config_map("c"))
        assert caught.value.message == (
            'configmaps "c" is forbidden: exceeded quota: q, requested: count/configmaps=1, '
            "used: count/configmaps=2, limited: count/configmaps=2"
        )

    async def test_both_names_of_a_classic_resource_count(self, world):
        await limit(world, configmaps=0, count_configmaps=0)
        with pytest.raises(ForbiddenError, match="requested: configmaps=1,count/configmaps=1, used: configmaps=0,"):
            await world.create("configmaps", config_map("a"))

    async def test_what_was_deleted_is_free_again(self, world):
        await limit(world, configmaps=1)
        await world.create("configmaps", config_map("a"))
        await world.delete("configmaps", "a")
        await world.create("configmaps", config_map("b"))

    async def test_updates_and_other_resources_are_free(self, world):
        await limit(world, configmaps=1)
        await world.create("configmaps", config_map("a"))
        await world.update("configmaps", {**config_map("a"), "data": {"k": "v"}})
        await world.create("secrets", config_map("a"))

    async def test_other_namespaces_and_workspaces_are_free(self, world):
        await limit(world, configmaps=0)
        await world.given("namespaces", config_map("default-2"))
        await world.create("configmaps", config_map("a"), namespace="default-2")
        await world.create("configmaps", config_map("a"), cluster="bravo")

    async def test_custom_resources_are_counted_with_their_group(self, world):
        await world.given(CRDS, crd())
        obj = {"metadata": {"name": "q", "namespace": "default"}}
        await world.given("resourcequotas", {**obj, "spec": {"hard": {"count/crontabs.stable.example.com": "1"}}})
        await world.create(CRON_TABS, config_map("a"))
        with pytest.raises(ForbiddenError, match=r"limited: count/crontabs\.stable\.example\.com=1"):
            await world.create("crontabs.v2.stable.example.com", config_map("b"))

    async def test_quotas_with_scopes_are_about_pods_only(self, world):
        spec = {"hard": {"count/configmaps": "0"}, "scopes": ["BestEffort"]}
        await world.given("resourcequotas", {"metadata": {"name": "q", "namespace": "default"}, "spec": spec})
        await world.create("configmaps", config_map("a"))

    async def test_every_quota_must_allow_it(self, world):
        await limit(world, "wide", configmaps=5)
        await limit(world, "narrow", configmaps=0)
        with pytest.raises(ForbiddenError, match="exceeded quota: narrow"):
            await world.create("configmaps", config_map("a"))


class TestConcurrency:
    async def test_creates_at_the_same_time_do_not_pass_together(self, world):
        await limit(world, configmaps=3)
        names = [f"n{i}" for i in range(20)]
        found = await asyncio.gather(
            *(world.create("configmaps", config_map(name)) for name in names), return_exceptions=True
        )
        made = [one for one in found if isinstance(one, dict)]
        assert len(made) == 3
        assert all(isinstance(one, dict | ForbiddenError) for one in found)

    async def test_a_create_that_fails_gives_back_what_it_reserved(self, world):
        await limit(world, configmaps=2)
        await world.create("configmaps", config_map("a"))
        for _ in range(3):
            with pytest.raises(AlreadyExistsError):
                await world.create("configmaps", config_map("a"))
        await world.create("configmaps", config_map("b"))

    async def test_a_dry_run_is_judged_and_reserves_nothing(self, world):
        await limit(world, configmaps=1)
        for _ in range(2):
            await world.create("configmaps", config_map("a"), options=WriteOptions(dry_run=True))
        await world.create("configmaps", config_map("a"))
        with pytest.raises(ForbiddenError):
            await world.create("configmaps", config_map("b"), options=WriteOptions(dry_run=True))

    async def test_nothing_stays_reserved(self, world):
        await limit(world, configmaps=2)
        await asyncio.gather(
            *(world.create("configmaps", config_map(f"n{i}")) for i in range(5)), return_exceptions=True
        )
        quotas = world.chain._last[-1]
        assert quotas._reserved == {}

    async def test_a_cancelled_create_stays_reserved_while_it_may_yet_happen(self, world, monkeypatch):
        await limit(world, configmaps=1)
        entered, never = asyncio.Event(), asyncio.Event()

        async def stuck(*_args):
            entered.set()
            await never.wait()

        with monkeypatch.context() as patched:
            patched.setattr(world.caches.store, "create", stuck)
            task = asyncio.create_task(world.create("configmaps", config_map("a")))
            await entered.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        with pytest.raises(ForbiddenError):
            await world.create("configmaps", config_map("b"))


class TestStatus:
    def quota(self, **fields):
        meta = {"name": "q", "namespace": "n", "annotations": {"kcp.io/cluster": "alpha"}, "resourceVersion": "7"}
        return {"metadata": meta, "spec": {"hard": {"configmaps": "2", "pods": "1"}}, **fields}

    def test_limits_and_counts_are_written(self):
        (change,) = quota.reconcile(quota.State(self.quota(), {"configmaps": "1"})).changes
        assert change.object["status"] == {"hard": {"configmaps": "2", "pods": "1"}, "used": {"configmaps": "1"}}
        assert (change.target.cluster, change.target.namespace, change.target.name) == ("alpha", "n", "q")
        assert not quota.reconcile(quota.State(change.object, {"configmaps": "1"})).changes

    def test_a_changed_count_or_limit_is_written_anew(self):
        status = {"hard": {"configmaps": "2", "pods": "1"}, "used": {"configmaps": "1"}}
        found = self.quota(status=status)
        assert not quota.reconcile(quota.State(found, {"configmaps": "1"})).changes
        assert quota.reconcile(quota.State(found, {"configmaps": "2"})).changes
        found["spec"] = {"hard": {"configmaps": "3"}}
        assert quota.reconcile(quota.State(found, {"configmaps": "1"})).changes

    def test_a_quota_that_is_gone_needs_nothing(self):
        assert not quota.reconcile(quota.State(None, {})).changes


class TestNames:
    async def test_a_name_counts_what_it_is_counted_as(self, world):
        snapshot = world.serving.snapshot("alpha")
        for key, resource in snapshot.resources.items():
            if resource.definition.namespaced:
                assert all(resource_counted(name, snapshot) == key for name in counted_names(key))

    @pytest.mark.parametrize("name", ["count/namespaces", "count/deployments.apps", "cpu", "requests.cpu", "pods"])
    async def test_what_is_not_served_in_namespaces_counts_nothing(self, world, name):
        assert resource_counted(name, world.serving.snapshot("alpha")) is None

    def test_an_empty_workspace_counts_nothing(self):
        assert resource_counted("configmaps", Snapshot({})) is None
