"""P4 to P11 over random histories of a provider and its consumers, in which everything goes wrong now and then.

Once writes stop: cache = originals ∩ selector, counts agree, every consumer's list is the same (P7, P8, P10, P11), and
what watches have told, cut off and resumed all the time, leads to that list as well (P4, P6).
"""

import asyncio
import base64
from collections.abc import Callable

from hypothesis import example, given, settings
from hypothesis import strategies as st
from informer import ALL, Informer, held_in
from shard_world import (
    BINDINGS,
    CACHED_RESOURCES,
    CRDS,
    EXPORTS,
    FLAVORS,
    SECRETS,
    Shard,
    crd_spec,
    running,
    virtual_entry,
)
from virtual_time import run

from kcpcache.meta.errors import StatusError
from kcpcache.meta.objects import Object
from kcpcache.meta.selectors import label_selector_of
from kcpcache.registry.view import ListOptions, View
from kcpcache.registry.virtual_sources import source_of
from kcpcache.virtual.continuity import ContinuousView
from kcpcache.virtual.replication import ReplicationView

SELECTORS: list[Object] = [
    {},
    {"matchLabels": {"tier": "gold"}},
    {"matchExpressions": [{"key": "tier", "operator": "In", "values": ["gold", "tin"]}]},
    {"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]},
]
CRD = "flavors.cloud.example.com"
RIGHT, WRONG = (base64.b64encode(key).decode() for key in (b"right", b"wrong"))
NAMES, CONSUMERS = st.sampled_from("abcd"), st.sampled_from([0, 1])
STEP = st.one_of(
    st.tuples(st.just("put"), NAMES, st.sampled_from(["gold", "tin", ""])),
    st.tuples(st.just("put"), NAMES, st.sampled_from(["gold", "tin", ""])),
    st.tuples(st.just("delete"), NAMES),
    st.tuples(st.just("select"), st.integers(0, len(SELECTORS) - 1)),
    st.tuples(st.just("rekey"), st.sampled_from(["right", "wrong", "none"])),
    st.tuples(st.just("bind"), CONSUMERS),
    st.tuples(st.just("unbind"), CONSUMERS),
    st.tuples(st.just("refer"), st.sampled_from(["mine", "same", "missing"])),
    st.tuples(st.just("define"), st.booleans()),
    st.tuples(st.just("cached"), st.booleans()),
    st.tuples(st.just("point"), st.booleans()),
    st.tuples(st.just("wipe"), st.just("/cache/")),
    st.tuples(st.just("restart")),
    st.tuples(st.just("compact")),
    st.tuples(st.just("pause"), st.sampled_from([0.0, 0.001, 1.0])),
    st.tuples(st.just("pause"), st.sampled_from([0.0, 0.001, 1.0])),
    st.tuples(st.just("poll"), st.sampled_from([0, 1, 3, ALL])),
    st.tuples(st.just("poll"), st.sampled_from([0, 1, 3, ALL])),
)


class History:
    """A provider with a secret of its own, two workspaces that bind and unbind, and who watches all that."""

    def __init__(self, shard: Shard) -> None:
        self.shard = shard
        self.selector = SELECTORS[0]

    async def begin(self) -> None:
        shard = self.shard
        self.provider = await shard.workspace("provider")
        self.consumers = [await shard.workspace(f"consumer-{index}") for index in (0, 1)]
        await self.define(True)
        for name in ("mine", "same"):
            await shard.create(self.provider, SECRETS, name, namespace="default", data={"key": RIGHT})
        await self.cached(True)
        await shard.settled()
        await shard.export_flavors(self.provider)
        await shard.settled()
        self.identity = self.identity_hash()
        self.informers = [Informer(view) for view in (self.everywhere, *map(self.seen_by, self.consumers))]

    async def take(self, step: tuple[object, ...]) -> None:
        kind, *arguments = step
        await getattr(self, str(kind))(*arguments)

    async def heal(self) -> None:
        """Put right whatever only people can: the resource, the CachedResource, its identity, the export."""
        await self.shard.settled()  # what is being deleted is not made again before it is gone
        await self.rekey("right")
        if self.identity_hash() not in {"", self.identity}:  # recorded of the wrong key, for good
            await self.cached(False)
            await self.shard.settled()
        await self.define(True)
        await self.cached(True)
        await self.refer("mine")
        await self.point(True)
        await self.shard.settled()

    def identity_hash(self) -> str:
        """What the CachedResource has recorded; "" where there is nothing, or no CachedResource."""
        found = self.shard.get(self.provider, CACHED_RESOURCES, "flavors")
        return str((found or {}).get("status", {}).get("identityHash") or "")

    async def originals(self) -> list[Object]:
        """Nothing while the resource is not served."""
        if self.shard.serving.snapshot(self.provider).find(*FLAVORS) is None:
            return []
        return await self.shard.objects(self.provider, FLAVORS)

    async def put(self, name: str, tier: str) -> None:
        labels = {"tier": tier} if tier else {}
        try:
            if name in await self.shard.names(self.provider, FLAVORS):
                await self.shard.label(self.provider, FLAVORS, name, **labels)
            else:
                await self.shard.flavor(self.provider, name, **labels)
        except (KeyError, StatusError):
            return  # it is not served, or not any more

    async def delete(self, name: str) -> None:
        if name in [obj["metadata"]["name"] for obj in await self.originals()]:
            await self.shard.delete(self.provider, FLAVORS, name)

    async def define(self, there: bool) -> None:
        """Its CRD comes or goes, and the objects with it."""
        found = self.shard.get(self.provider, CRDS, CRD)
        if there and found is None:
            await self.shard.create(self.provider, CRDS, CRD, spec=crd_spec())
        elif not there and found is not None:
            await self.shard.delete(self.provider, CRDS, CRD)

    async def cached(self, there: bool) -> None:
        """The CachedResource comes or goes, and the copies with it."""
        found = self.shard.get(self.provider, CACHED_RESOURCES, "flavors")
        if there and found is None:
            reference = {"secretRef": {"name": "mine", "namespace": "default"}}
            await self.shard.cache_flavors(self.provider, identity=reference, labelSelector=self.selector)
        elif not there and found is not None:
            await self.shard.delete(self.provider, CACHED_RESOURCES, "flavors")

    async def edit(self, **fields: Object) -> None:
        if self.shard.get(self.provider, CACHED_RESOURCES, "flavors") is not None:
            await self.shard.change(self.provider, CACHED_RESOURCES, "flavors", lambda obj: obj["spec"].update(fields))

    async def select(self, index: int) -> None:
        self.selector = SELECTORS[index]
        await self.edit(labelSelector=self.selector)

    async def refer(self, secret: str) -> None:
        await self.edit(identity={"secretRef": {"name": secret, "namespace": "default"}})

    async def rekey(self, which: str) -> None:
        data = {} if which == "none" else {"key": RIGHT if which == "right" else WRONG}
        await self.shard.change(self.provider, SECRETS, "mine", lambda obj: obj.update(data=data), namespace="default")

    async def point(self, right: bool) -> None:
        """The export names the identity hash, or one that nobody has."""
        entry = virtual_entry(self.identity if right else "0" * 64)
        await self.shard.change(
            self.provider, EXPORTS, "cloud", lambda obj: obj["spec"].update(resources=[entry])
        )  # fmt: skip

    async def bind(self, index: int) -> None:
        if self.shard.get(self.consumers[index], BINDINGS, "cloud") is None:
            await self.shard.bind(self.consumers[index], self.provider)

    async def unbind(self, index: int) -> None:
        if self.shard.get(self.consumers[index], BINDINGS, "cloud") is not None:
            await self.shard.delete(self.consumers[index], BINDINGS, "cloud")

    async def wipe(self, prefix: str) -> None:
        await self.shard.wipe(prefix)

    async def restart(self) -> None:
        for informer in self.informers:
            informer.cut()
        await self.shard.restart()

    async def compact(self) -> None:
        await self.shard.store.compact(await self.shard.store.revision())
        for cache in self.shard.caches.known():
            cache.forget(self.shard.caches.revision)

    async def poll(self, most: int) -> None:
        for informer in self.informers:
            await informer.poll(most)

    def seen_by(self, cluster: str) -> Callable[[], View]:
        """The flavors as a workspace serves them."""
        return lambda: self.shard.view(cluster, FLAVORS)

    def everywhere(self) -> View:
        """The flavors of all consumers."""
        found = self.shard.get(self.provider, CACHED_RESOURCES, "flavors")
        served = self.shard.serving.snapshot(self.provider).find(*FLAVORS)
        if found is None or served is None or not source_of(found).identity_hash:
            raise KeyError(FLAVORS)
        caches, sources = self.shard.caches, self.shard.views.sources
        view = ReplicationView(
            caches, served[0].definition, served[1], source_of(found), shard="root", wanted=lambda _: True
        )
        return ContinuousView(view, sources.of_cached_resource(self.provider, "flavors"))

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
        await self.check_informers(bound)

    async def check_informers(self, bound: list[str]) -> None:
        """P4: each holds what a list shows, whatever it was told on the way."""
        everywhere, *others = self.informers
        shown = [(everywhere, self.everywhere())]
        for cluster, informer in zip(self.consumers, others, strict=True):
            if cluster in bound:
                shown.append((informer, self.shard.view(cluster, FLAVORS)))
        for informer, view in shown:
            await informer.catch_up()
            assert informer.held == held_in(await view.list(ListOptions()))


@settings(max_examples=30)
@given(steps=st.lists(STEP, max_size=30))
@example(steps=[("rekey", "wrong"), ("cached", False), ("pause", 1.0), ("cached", True), ("pause", 1.0)])
def test_whatever_happened_the_cache_and_every_consumer_converge(steps: list[tuple[object, ...]]) -> None:
    async def story() -> None:
        async with running() as shard:
            history = History(shard)
            await history.begin()
            for step in steps:
                await history.take(step)
            await history.heal()
            await history.check()
            before = await shard.store.revision()
            await history.restart()
            await shard.settled()
            await history.check()
            assert await shard.store.revision() == before

    run(story)
