"""P8 and P10 over random histories: once writes stop, cache = originals ∩ selector, counts agree, consumers see it."""

import asyncio
import base64

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shard_world import BINDINGS, CACHED_RESOURCES, CRDS, FLAVORS, SECRETS, Shard, crd_spec, running
from virtual_time import run

from kcpcache.meta.objects import Object
from kcpcache.meta.selectors import label_selector_of

SELECTORS: list[Object] = [
    {},
    {"matchLabels": {"tier": "gold"}},
    {"matchExpressions": [{"key": "tier", "operator": "In", "values": ["gold", "tin"]}]},
    {"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]},
]
NAMES, CONSUMERS = st.sampled_from("abcd"), st.sampled_from([0, 1])
STEP = st.one_of(
    st.tuples(st.just("put"), NAMES, st.sampled_from(["gold", "tin", ""])),
    st.tuples(st.just("put"), NAMES, st.sampled_from(["gold", "tin", ""])),
    st.tuples(st.just("delete"), NAMES),
    st.tuples(st.just("select"), st.integers(0, len(SELECTORS) - 1)),
    st.tuples(st.just("rekey"), st.sampled_from(["right", "wrong", "none"])),
    st.tuples(st.just("bind"), CONSUMERS),
    st.tuples(st.just("unbind"), CONSUMERS),
    st.tuples(st.just("wipe"), st.just("/cache/")),
    st.tuples(st.just("restart"), st.just("")),
    st.tuples(st.just("pause"), st.sampled_from([0.0, 0.001, 1.0])),
)


class History:
    """A provider with a secret of its own, two workspaces that bind and unbind."""

    def __init__(self, shard: Shard) -> None:
        self.shard = shard
        self.selector = SELECTORS[0]

    async def begin(self) -> None:
        shard = self.shard
        self.provider = await shard.workspace("provider")
        self.consumers = [await shard.workspace(f"consumer-{index}") for index in (0, 1)]
        await shard.create(self.provider, CRDS, "flavors.cloud.example.com", spec=crd_spec())
        await shard.create(self.provider, SECRETS, "mine", namespace="default", data={})
        await self.rekey("right")
        await shard.cache_flavors(
            self.provider, identity={"secretRef": {"name": "mine", "namespace": "default"}}
        )  # fmt: skip
        await shard.settled()
        await shard.export_flavors(self.provider)
        await shard.settled()

    async def take(self, step: tuple[object, ...]) -> None:
        kind, *arguments = step
        await getattr(self, str(kind))(*arguments)

    async def put(self, name: str, tier: str) -> None:
        labels = {"tier": tier} if tier else {}
        if name in await self.shard.names(self.provider, FLAVORS):
            await self.shard.label(self.provider, FLAVORS, name, **labels)
        else:
            await self.shard.flavor(self.provider, name, **labels)

    async def delete(self, name: str) -> None:
        if name in await self.shard.names(self.provider, FLAVORS):
            await self.shard.delete(self.provider, FLAVORS, name)

    async def select(self, index: int) -> None:
        self.selector = SELECTORS[index]
        await self.shard.change(
            self.provider, CACHED_RESOURCES, "flavors", lambda obj: obj["spec"].update(labelSelector=self.selector)
        )

    async def rekey(self, which: str) -> None:
        data = {} if which == "none" else {"key": base64.b64encode(which.encode()).decode()}
        await self.shard.change(self.provider, SECRETS, "mine", lambda obj: obj.update(data=data), namespace="default")

    async def bind(self, index: int) -> None:
        if self.shard.get(self.consumers[index], BINDINGS, "cloud") is None:
            await self.shard.bind(self.consumers[index], self.provider)

    async def unbind(self, index: int) -> None:
        if self.shard.get(self.consumers[index], BINDINGS, "cloud") is not None:
            await self.shard.delete(self.consumers[index], BINDINGS, "cloud")

    async def wipe(self, prefix: str) -> None:
        await self.shard.wipe(prefix)

    async def restart(self, _: str) -> None:
        await self.shard.restart()

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def check(self) -> None:
        """What P8 promises, and P10 for whoever is bound or is not."""
        shard, selector = self.shard, label_selector_of(self.selector)
        originals = await shard.objects(self.provider, FLAVORS)
        wanted = sorted(
            obj["metadata"]["name"] for obj in originals if selector.matches(obj["metadata"].get("labels") or {})
        )
        assert await shard.copies(self.provider) == wanted
        status = shard.status(self.provider)
        assert status["resourceCounts"] == {"local": len(wanted), "cache": len(wanted)}
        assert status["phase"] == "Ready"
        bound = [c for c in self.consumers if shard.get(c, BINDINGS, "cloud") is not None]
        for consumer in self.consumers:
            if consumer not in bound:
                assert shard.serving.snapshot(consumer).find(*FLAVORS) is None
                continue
            seen = await shard.objects(consumer, FLAVORS)
            assert [obj["metadata"]["name"] for obj in seen] == wanted
            specs = {obj["metadata"]["name"]: (obj["spec"], obj["metadata"].get("labels")) for obj in originals}
            for obj in seen:
                assert specs[obj["metadata"]["name"]] == (obj["spec"], obj["metadata"].get("labels"))
        records = await shard.keys("/consumers:", "/cache/")
        assert sorted(key.rpartition("/")[2].partition("_")[0] for key in records) == sorted(bound)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(STEP, max_size=20))
def test_whatever_happened_the_cache_and_every_consumer_converge(steps: list[tuple[object, ...]]) -> None:
    async def story() -> None:
        async with running() as shard:
            history = History(shard)
            await history.begin()
            for step in steps:
                await history.take(step)
            await history.rekey("right")
            await shard.settled()
            await history.check()
            before = await shard.store.revision()
            await shard.restart()
            await shard.settled()
            await history.check()
            assert await shard.store.revision() == before

    run(story)
