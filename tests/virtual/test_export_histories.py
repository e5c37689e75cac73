"""P4 to P11 in the APIExport virtual workspace, over random histories of a whole shard that is stopped now and then.

The provider exports orders (stored) and flavors (virtual) and claims ConfigMaps; three workspaces bind and unbind,
accept and reject. Once writes stop, every list over all consumers and in each of them is what the rules say, and
informers that were cut off all the time hold the same.
"""

import asyncio
import base64
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from export_world import (
    BINDINGS_PATH,
    CONFIG_MAPS,
    EXPORT,
    FLAVORS_PATH,
    MAPS_PATH,
    ORDERS,
    ORDERS_PATH,
    ExportWorld,
    accepted,
    claim,
)
from filed_shard import run_patiently, running_on
from hypothesis import given, settings
from hypothesis import strategies as st
from informer import ALL, Held, Informer, held_in
from shard_http import MASTER
from shard_world import BINDINGS, CACHED_RESOURCES, FLAVORS, SECRETS, Shard, running
from virtual_time import run

from kcpcache.api.paths import parse
from kcpcache.meta.errors import StatusError
from kcpcache.meta.objects import Object
from kcpcache.meta.selectors import EVERYTHING, LabelSelector, label_selector_of
from kcpcache.registry.view import Listing, ListOptions, View, Watch

SELECTORS: list[Object] = [
    {},
    {"matchLabels": {"tier": "gold"}},
    {"matchExpressions": [{"key": "tier", "operator": "Exists"}]},
]
REJECTED = {**accepted("configmaps", "*"), "state": "Rejected"}
ANSWERS: list[list[Object]] = [
    [],
    [REJECTED],
    [accepted("configmaps", "*")],
    [accepted("configmaps", "*", selector={"matchLabels": {"tier": "gold"}})],
    [
        accepted(
            "configmaps", "get", "list", "watch", selector={"matchExpressions": [{"key": "tier", "operator": "Exists"}]}
        )
    ],
]
PATHS = (ORDERS_PATH, FLAVORS_PATH, MAPS_PATH, BINDINGS_PATH)
RIGHT, WRONG = (base64.b64encode(key).decode() for key in (b"right", b"wrong"))
NAMES, TIERS, WHO = st.sampled_from("abc"), st.sampled_from(["gold", "tin", ""]), st.integers(0, 2)
Step = tuple[Any, ...]
STEP = st.one_of(
    st.tuples(st.just("order"), WHO, NAMES, TIERS),
    st.tuples(st.just("map"), WHO, NAMES, TIERS),
    st.tuples(st.just("flavor"), NAMES, TIERS),
    st.tuples(st.just("gone"), st.sampled_from(["order", "map", "flavor"]), WHO, NAMES),
    st.tuples(st.just("select"), st.integers(0, len(SELECTORS) - 1)),
    st.tuples(st.just("rekey"), st.sampled_from([RIGHT, WRONG])),
    st.tuples(st.just("bind"), WHO, st.integers(0, len(ANSWERS) - 1)),
    st.tuples(st.just("answer"), WHO, st.integers(0, len(ANSWERS) - 1)),
    st.tuples(st.just("unbind"), WHO),
    st.tuples(st.just("restart")),
    st.tuples(st.just("compact")),
    st.tuples(st.just("wipe")),
    st.tuples(st.just("pause"), st.sampled_from([0.0, 0.01, 1.0])),
    st.tuples(st.just("poll"), st.sampled_from([0, 1, 3, ALL])),
)


class Seen:
    """A place of the virtual workspace, entered anew for each call as for each request."""

    def __init__(self, history: "History", cluster: str, path: str) -> None:
        self._history, self._cluster, self._path = history, cluster, path

    async def view(self, verb: str) -> View:
        """What a request of a master sees. Raises KeyError where it is not served."""
        world = self._history.world
        url = world.url(self._cluster, self._path).encode()
        info = parse(url, b"watch=1" if verb == "watch" else b"", "GET")
        handler = world.http.client._transport.app.kubernetes.services.service_handlers["apiexport"]  # type: ignore[attr-defined]
        workspace = await handler.enter(info, MASTER)
        found = workspace.find(info, False)
        if found is None:
            raise KeyError(self._path)
        shown: View = workspace.view(*found)
        return shown

    async def list(self, options: ListOptions) -> Listing:
        """See ``view.View``."""
        return await (await self.view("list")).list(options)

    async def watch(self, options: ListOptions) -> Watch:
        """See ``view.View``."""
        return await (await self.view("watch")).watch(options)


class History:
    """What happens, and what must be seen of it in the end."""

    def __init__(self, shard: Shard) -> None:
        self.shard = shard
        self.world = ExportWorld(shard)
        self.selector = SELECTORS[0]

    async def begin(self) -> None:
        shard = self.shard
        await self.world.begin(claim("configmaps", "*"), virtual=True)
        self.provider = self.world.provider
        self.consumers = [await shard.workspace(f"consumer-{index}") for index in range(3)]
        self.answers: dict[str, int] = {}
        secret = shard.need(self.provider, CACHED_RESOURCES, "flavors")["spec"]["identity"]["secretRef"]["name"]
        self.secret = (self.provider, SECRETS, secret)
        self.key = shard.need(*self.secret, "kcp-system")["data"]["key"]
        self.informers = {path: Informer(lambda path=path: Seen(self, "*", path)) for path in PATHS}

    async def take(self, step: Step) -> None:
        kind, *arguments = step
        try:
            await getattr(self, str(kind))(*arguments)
        except (KeyError, StatusError):
            return  # what is bound no more is not served, and what is being bound not yet

    # -- steps

    async def put(self, cluster: str, resource: Any, name: str, tier: str, **fields: Any) -> None:
        namespace = "" if resource == FLAVORS else "default"
        view = self.shard.view(cluster, resource)
        labels = {"tier": tier} if tier else {}
        there = [item.entry.name for item in (await view.list(ListOptions())).items()]
        if name in there:
            edit: Callable[[Object], object] = lambda obj: obj["metadata"].update(labels=labels)  # noqa: E731
            await self.shard.change(cluster, resource, name, edit, namespace=namespace)
        else:
            more = {"namespace": namespace} if namespace else {}
            await self.shard.create(cluster, resource, name, labels=labels, **more, **fields)

    async def order(self, who: int, name: str, tier: str) -> None:
        await self.put(self.consumers[who], ORDERS, name, tier, spec={"item": tier})

    async def map(self, who: int, name: str, tier: str) -> None:
        await self.put(self.consumers[who], CONFIG_MAPS, name, tier, data={})

    async def flavor(self, name: str, tier: str) -> None:
        await self.put(self.provider, FLAVORS, name, tier, spec={})

    async def gone(self, what: str, who: int, name: str) -> None:
        if what == "flavor":
            await self.shard.delete(self.provider, FLAVORS, name)
        else:
            resource = ORDERS if what == "order" else CONFIG_MAPS
            self.shard.view(self.consumers[who], resource)
            await self.shard.delete(self.consumers[who], resource, name, namespace="default")

    async def select(self, index: int) -> None:
        self.selector = SELECTORS[index]
        change = {"labelSelector": self.selector}
        await self.shard.change(self.provider, CACHED_RESOURCES, "flavors", lambda obj: obj["spec"].update(change))

    async def rekey(self, key: str) -> None:
        cluster, resource, name = self.secret
        key = self.key if key == RIGHT else key
        await self.shard.change(
            cluster, resource, name, lambda obj: obj["data"].update(key=key), namespace="kcp-system"
        )

    async def bind(self, who: int, answer: int) -> None:
        if self.shard.get(self.consumers[who], BINDINGS, EXPORT) is None:
            await self.world.bind(self.consumers[who], *ANSWERS[answer])
            self.answers[self.consumers[who]] = answer

    async def answer(self, who: int, answer: int) -> None:
        found = self.shard.get(self.consumers[who], BINDINGS, EXPORT)
        if found is not None and "deletionTimestamp" not in found["metadata"]:
            await self.world.answer(self.consumers[who], *ANSWERS[answer])
            self.answers[self.consumers[who]] = answer

    async def unbind(self, who: int) -> None:
        await self.shard.delete(self.consumers[who], BINDINGS, EXPORT)

    async def restart(self) -> None:
        for informer in self.informers.values():
            informer.cut()
        await self.shard.restart()
        self.world = ExportWorld(self.shard)
        self.world.provider = self.provider

    async def compact(self) -> None:
        await self.shard.store.compact(await self.shard.store.revision())
        for cache in self.shard.caches.known():
            cache.forget(self.shard.caches.revision)

    async def wipe(self) -> None:
        await self.shard.wipe("/cache/")

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def poll(self, most: int) -> None:
        for informer in self.informers.values():
            await informer.poll(most)

    # -- what the rules say

    async def heal(self) -> None:
        await self.shard.settled()
        await self.rekey(RIGHT)
        await self.shard.settled()

    async def objects(self, cluster: str, resource: Any, selector: LabelSelector = EVERYTHING) -> Iterator[str]:
        """Of a workspace, as its own users see them, those that are selected."""
        found = await self.shard.objects(cluster, resource)
        return (o["metadata"]["name"] for o in found if selector.matches(o["metadata"].get("labels") or {}))

    async def expected(self, path: str, cluster: str) -> set[str]:
        """The names that the provider must see in a consumer's workspace."""
        if path == ORDERS_PATH:
            return set(await self.objects(cluster, ORDERS))
        if path == FLAVORS_PATH:
            return set(await self.objects(self.provider, FLAVORS, label_selector_of(self.selector)))
        if path == BINDINGS_PATH:
            return {EXPORT}
        answer = ANSWERS[self.answers[cluster]]
        if not answer or answer[0]["state"] == "Rejected":
            return set()
        chosen = {key: value for key, value in answer[0]["selector"].items() if key != "matchAll"}
        return set(await self.objects(cluster, CONFIG_MAPS, label_selector_of(chosen)))

    async def check(self) -> None:
        shard = self.shard
        wanted = set(await self.objects(self.provider, FLAVORS, label_selector_of(self.selector)))
        assert set(await shard.copies(self.provider)) == wanted
        status = shard.status(self.provider)
        assert (status["phase"], status["resourceCounts"]) == ("Ready", {"local": len(wanted), "cache": len(wanted)})
        bound = [c for c in self.consumers if shard.get(c, BINDINGS, EXPORT) is not None]
        for cluster in set(self.consumers) - set(bound):
            snapshot = shard.serving.snapshot(cluster)
            assert snapshot.find(*FLAVORS) is snapshot.find(*ORDERS) is None
            with pytest.raises(StatusError):
                await Seen(self, cluster, ORDERS_PATH).list(ListOptions())
        for path in PATHS:
            places = {(c, name) for c in bound for name in await self.expected(path, c)}
            listing = held_in(await Seen(self, "*", path).list(ListOptions()))
            assert set(listing) == places, path
            await self.check_each(path, bound, places)
            await self.check_informer(path, listing)
        for cluster in bound:
            assert set(await shard.names(cluster, FLAVORS)) == wanted

    async def check_each(self, path: str, bound: list[str], places: set[tuple[str, str]]) -> None:
        """In each workspace by itself it is the same; what no claim opens there is not served."""
        for cluster in bound:
            try:
                found = held_in(await Seen(self, cluster, path).list(ListOptions()))
            except KeyError:
                found = {}
            assert {(cluster, name) for _, name in found} == {place for place in places if place[0] == cluster}, path

    async def check_informer(self, path: str, listing: Held) -> None:
        """P4, P6: whatever it was told, cut off and resumed, it holds what a list shows."""
        informer = self.informers[path]
        await informer.catch_up()
        assert informer.held == listing, path


async def live(shard: Shard, steps: list[Step]) -> None:
    """A history, then quiet, then a look; a restart changes nothing of it, and writes nothing."""
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


@settings(max_examples=25)
@given(steps=st.lists(STEP, max_size=40))
def test_whatever_happened_a_provider_sees_what_the_rules_say_of_its_consumers(steps: list[Step]) -> None:
    async def story() -> None:
        async with running() as shard:
            await live(shard, steps)

    run(story)


def random_history(seed: int, length: int) -> list[Step]:
    """Long, and with restarts throughout."""
    chance = random.Random(seed)
    who, name, tier = (
        lambda: chance.randrange(3),
        lambda: chance.choice("abc"),
        lambda: chance.choice(["gold", "tin", ""]),
    )
    makers: list[Callable[[], Step]] = [
        lambda: ("order", who(), name(), tier()),
        lambda: ("map", who(), name(), tier()),
        lambda: ("flavor", name(), tier()),
        lambda: ("gone", chance.choice(["order", "map", "flavor"]), who(), name()),
        lambda: ("select", chance.randrange(len(SELECTORS))),
        lambda: ("rekey", chance.choice([RIGHT, WRONG])),
        lambda: ("bind", who(), chance.randrange(len(ANSWERS))),
        lambda: ("bind", who(), chance.randrange(len(ANSWERS))),
        lambda: ("answer", who(), chance.randrange(len(ANSWERS))),
        lambda: ("unbind", who()),
        lambda: ("restart",),
        lambda: ("pause", chance.choice([0.0, 0.01, 1.0])),
        lambda: ("poll", chance.choice([0, 1, 3, ALL])),
    ]
    return [chance.choice(makers)() for _ in range(length)]


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happened_it_is_so_after_the_file_was_closed_and_opened_many_times(seed: int, tmp_path: Path) -> None:
    async def story() -> None:
        async with running_on(tmp_path / "store.db") as shard:
            await live(shard, random_history(seed, 300))

    run_patiently(story)
