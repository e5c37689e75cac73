"""P4 over all consumers: whatever revision a client resumes from, it ends up with what the list shows."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from shard_world import BINDINGS, CACHED_RESOURCES, FLAVORS, Shard, running
from virtual_time import run

from kcpcache.meta.errors import ExpiredError
from kcpcache.meta.selectors import parse_label_selector
from kcpcache.registry.view import Bookmark, ListOptions, View, WatchEvent
from kcpcache.registry.virtual_sources import source_of
from kcpcache.virtual.replication import ReplicationView

Seen = dict[tuple[str, str], int]

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("flavor"), st.sampled_from("abc"), st.sampled_from(["gold", "tin", ""])),
        st.tuples(st.just("delete"), st.sampled_from("abc"), st.just("")),
        st.tuples(st.just("bind"), st.sampled_from(["0", "1", "2"]), st.just("")),
        st.tuples(st.just("unbind"), st.sampled_from(["0", "1", "2"]), st.just("")),
    ),
    max_size=14,
)
SELECTORS = st.sampled_from(["", "tier=gold", "tier"])


def view_of(shard: Shard, provider: str) -> View:
    served = shard.serving.snapshot(provider).find(*FLAVORS)
    assert served is not None
    source = source_of(shard.need(provider, CACHED_RESOURCES, "flavors"))
    return ReplicationView(shard.caches, served[0].definition, served[1], source, shard="root", wanted=lambda _: True)


async def state(view: View, options: ListOptions) -> tuple[Seen, int]:
    listed = await view.list(options)
    return {(item.cluster or "", item.entry.name): item.entry.revision for item in listed.items()}, listed.revision


def replay(seen: Seen, events: list[WatchEvent | Bookmark]) -> Seen:
    held = dict(seen)
    for event in events:
        if isinstance(event, Bookmark):
            continue
        where = (event.item.cluster or "", event.item.entry.name)
        if event.type == "DELETED":
            held.pop(where, None)
        else:
            held[where] = event.item.entry.revision
    return held


async def step(shard: Shard, provider: str, consumers: list[str], what: tuple[str, str, str]) -> None:
    kind, name, tier = what
    if kind in {"bind", "unbind"}:
        consumer = consumers[int(name)]
        bound = shard.get(consumer, BINDINGS, "cloud") is not None
        if kind == "bind" and not bound:
            await shard.bind(consumer, provider)
        elif kind == "unbind" and bound:
            await shard.delete(consumer, BINDINGS, "cloud")
    else:
        there = name in await shard.names(provider, FLAVORS)
        labels = {"tier": tier} if tier else {}
        if kind == "flavor" and there:
            await shard.label(provider, FLAVORS, name, **labels)
        elif kind == "flavor":
            await shard.flavor(provider, name, **labels)
        elif there:
            await shard.delete(provider, FLAVORS, name)
    await shard.settled(1.3)  # never ends in the same moment as what is put off for whole seconds


async def drained(watch: Any) -> list[WatchEvent | Bookmark]:
    found: list[WatchEvent | Bookmark] = []
    while batch := await watch.next(1):
        found += batch
    return found


@settings(max_examples=12)
@given(steps=STEPS, later=STEPS, selector=SELECTORS)
def test_from_any_revision_on_a_watch_leads_to_the_same_set(
    steps: list[tuple[str, str, str]], later: list[tuple[str, str, str]], selector: str
) -> None:
    async def story() -> None:
        async with running() as shard:
            provider = await shard.provider()
            consumers = [await shard.workspace(f"consumer-{index}") for index in range(3)]
            options = ListOptions(label_selector=parse_label_selector(selector))
            view = view_of(shard, provider)
            points = [await state(view, options)]
            opened = await view.watch(_from(options, points[0][1]))
            told: list[WatchEvent | Bookmark] = []
            for what in steps:
                await step(shard, provider, consumers, what)
                points.append(await state(view, options))
                told += await drained(opened)
                assert replay(points[0][0], told) == points[-1][0]
            watches = [await view.watch(_from(options, revision)) for _, revision in points]
            for what in later:
                await step(shard, provider, consumers, what)
            final, _ = await state(view, options)
            for (seen, _), watch in zip(points, watches, strict=True):
                assert replay(seen, await drained(watch)) == final
            every = await drained(await view.watch(_from(options, points[0][1])))
            # Cut off after any event, the client resumes at what it saw last, and misses nothing.
            for cut in range(1, len(every) + 1, 3):
                held = replay(points[0][0], every[:cut])
                last = every[cut - 1]
                at = last.revision if isinstance(last, Bookmark) else last.item.entry.revision
                try:
                    rest = await drained(await view.watch(_from(options, at)))
                except ExpiredError:
                    continue
                assert replay(held, rest) == final, cut

    run(story)


def _from(options: ListOptions, revision: int) -> ListOptions:
    return ListOptions(label_selector=options.label_selector, resource_version=str(revision))
