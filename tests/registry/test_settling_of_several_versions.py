"""Several versions or schemas look at the same objects at the same time: none finds out anew what it has found out."""

import asyncio
import threading

import pytest
from looks import tell_looks
from registry_world import CLUSTER, FREE, names, opened, pending, thing
from test_settling import INTEGER, LATER, ROUND, STRING, defined, specs

from kcpcache.meta.selectors import parse_field_selector
from kcpcache.registry import pauses, stored_objects
from kcpcache.registry.entry import encode
from kcpcache.registry.reading import Reader
from kcpcache.registry.settling import Token
from kcpcache.registry.view import ListOptions, WriteOptions

TEXT = STRING | {"default": "y"}
TWO = defined(v1={"size": INTEGER, "shape": ROUND, "note": STRING}, v2={"size": INTEGER, "note": STRING})
LATEST = defined(v1={"size": INTEGER, "only": TEXT})
LARGE = "x" * 9000


@pytest.fixture
async def world():
    async with opened() as found:
        yield found


@pytest.fixture
def looked(monkeypatch):
    """The names of the entries that were looked at, each with whether that was on the event loop."""
    found = []
    loop = threading.get_ident()
    tell_looks(monkeypatch, lambda entry: found.append((entry.name, threading.get_ident() == loop)))
    return found


@pytest.fixture
def paused(monkeypatch):
    """A pause wherever there may be one; as many as there were."""
    monkeypatch.setattr(pauses, "SLICE_SECONDS", 0.0)
    found = []

    async def pause():
        found.append(1)
        await asyncio.sleep(0)

    monkeypatch.setattr(pauses, "pause", pause)
    return found


async def old(world, name="a", **spec):
    """Stored before anything that is known now."""
    obj = {**thing(**spec), "metadata": {"name": name, "uid": "u", "generation": 1}}
    await world.store.create(f"{TWO.storage_prefix}{CLUSTER}/{name}", encode(obj))
    await world.caches.fresh()


def reader(world, definition, version):
    return Reader(world.caches, world.cache(definition), definition, definition.version(version), scope=CLUSTER)


async def listed(world, version, definition=TWO, **options):
    return await reader(world, definition, version).list(ListOptions(**options))


async def watching(world, version, definition=TWO, **options):
    return await reader(world, definition, version).watch(ListOptions(**options))


class TestTheStoredVersionAndAnother:
    async def test_reads_of_both_in_turn_look_once_for_each(self, world, looked):
        for name in ("a", "b"):
            await old(world, name, shape="flat")
        for _ in range(3):
            for version, shown in (("v1", {"shape": "flat"}), ("v2", {})):
                for name in ("a", "b"):
                    assert (await reader(world, TWO, version).get("", name)).object()["spec"] == shown
            assert [spec["shape"] for spec in specs(await listed(world, "v1")).values()] == ["flat", "flat"]
            assert list(specs(await listed(world, "v2")).values()) == [{}, {}]
        assert [name for name, _ in looked] == ["a", "b", "a", "b"]

    async def test_so_do_reads_of_an_object_that_neither_shows_as_it_is(self, world, looked):
        await old(world, size=1)
        for _ in range(3):
            for version, shown in (("v1", {"size": 1, "shape": "round"}), ("v2", {"size": 1})):
                assert (await reader(world, TWO, version).get("", "a")).object()["spec"] == shown
        assert [name for name, _ in looked] == ["a", "a"]

    async def test_of_one_version_what_the_schema_shows_now_takes_the_place_of_what_it_showed(self, world, looked):
        await old(world, color="red")
        for definition in (LATER, LATEST, LATER):
            await listed(world, "v1", definition)
        (entry,) = world.cache(TWO).entries(CLUSTER)
        assert entry.memo[0] is None
        assert [each.object()["spec"] for each in entry.memo[2::2]] == [{"shape": "round"}]
        assert len(looked) == 3

    async def test_no_more_than_two_versions_are_kept(self, world):
        three = defined(v1={"shape": ROUND}, v2={"size": INTEGER}, v3={"note": STRING})
        await old(world, size=1, note="x")
        for _ in range(2):
            for version, shown in (("v1", {"shape": "round"}), ("v2", {}), ("v3", {})):
                assert (await reader(world, three, version).get("", "a")).object()["spec"] == shown
        (entry,) = world.cache(TWO).entries(CLUSTER)
        assert [each.api_version for each in entry.memo[2::2]] == ["example.com/v3", "example.com/v2"]
        assert [each.revision for each in entry.at(9).memo[2::2]] == [9, 9]

    async def test_blocks_of_the_stored_version_are_still_handed_out_whole(self, world, looked):
        for name in ("a", "b"):
            await world.create(thing(name, size=1), TWO)
        for _ in range(2):
            assert [segment.block is not None for segment in (await listed(world, "v1")).segments] == [True]
            assert [segment.block is not None for segment in (await listed(world, "v2")).segments] == [False]
        assert [name for name, _ in looked] == ["a", "b"]

    async def test_an_entry_that_only_its_own_version_looks_at_has_no_more_than_a_token(self, world):
        await old(world, shape="flat")
        await listed(world, "v1")
        (entry,) = world.cache(TWO).entries(CLUSTER)
        assert type(entry.memo) is Token

    async def test_nothing_is_kept_of_what_a_former_schema_was_shown_by(self, world):
        await world.create(thing(size=1, shape="flat"), TWO)
        await listed(world, "v2")
        (entry,) = world.cache(TWO).entries(CLUSTER)
        assert type(entry.memo) is tuple
        await listed(world, "v1", defined(v1={"size": INTEGER, "shape": STRING}, v2={"size": INTEGER}))
        assert type(entry.memo) is Token

    async def test_watches_of_both_have_large_objects_looked_at_beside_the_event_loop_once(self, world, looked):
        watches = [await watching(world, version) for version in ("v1", "v2", "v2")]
        await world.create(thing(note=LARGE, shape="flat"), TWO)
        await world.patch("a", lambda live: live["spec"].update(size=2), TWO)
        for round_ in range(2):
            told = await asyncio.gather(*(live.next(0) for live in watches))
            if not round_:
                assert [[event.type for event in events] for events in told] == [["ADDED", "MODIFIED"]] * 3
                assert [events[-1].item.object()["spec"].get("shape") for events in told] == ["flat", None, None]
        assert [on_loop for _, on_loop in looked] == [False, False]

    async def test_a_deletion_is_told_without_a_look(self, world, looked):
        await world.create(thing(size=1), TWO)
        await listed(world, "v2")
        watches = [await watching(world, version, resource_version="1") for version in ("v1", "v2")]
        looked.clear()
        await world.delete("a", TWO)
        for live, shown in zip(watches, ({"size": 1, "shape": "round"}, {"size": 1}), strict=True):
            (event,) = await pending(live)
            assert (event.type, event.item.object()["spec"]) == ("DELETED", shown)
        assert looked == []

    async def test_what_is_written_in_the_other_is_answered_and_stored_beside_the_event_loop(
        self, world, looked, monkeypatch
    ):
        fitted, fit, loop = [], stored_objects.fit, threading.get_ident()

        def fitting(obj, schema):
            fitted.append(threading.get_ident() == loop)
            fit(obj, schema)

        monkeypatch.setattr(stored_objects, "fit", fitting)
        view = world.view(TWO, version="v2")
        body = {**thing(size=1, note=LARGE), "apiVersion": "example.com/v2"}
        written = await view.create("", body, WriteOptions(), FREE)
        assert written.item.object()["spec"] == {"size": 1, "note": LARGE}
        assert fitted == [False]
        assert [on_loop for _, on_loop in looked] == [False]


class TestManySchemas:
    async def test_lists_that_pause_among_each_other_look_once_for_each(self, world, looked, paused):
        for number in range(20):
            await old(world, f"n{number:02}", color="red")
        found = await asyncio.gather(*(listed(world, "v1", definition) for definition in (LATER, LATEST)))
        shown = [{"shape": "round"}, {"only": "y"}]
        assert [set(map(repr, specs(listing).values())) for listing in found] == [{repr(spec)} for spec in shown]
        assert len(looked) == 40

    async def test_a_watch_of_what_another_looks_at_meanwhile_looks_once(self, world, looked, paused):
        for number in range(20):
            await old(world, f"n{number:02}", color="red")
        watches = [await watching(world, "v1", definition) for definition in (LATER, LATEST)]
        await asyncio.gather(*(live.next(0) for live in watches))
        assert len(looked) == 40

    async def test_others_are_served_while_what_is_known_is_gone_through(self, world, paused):
        for number in range(200):
            await old(world, f"n{number:03}", size=1)
        await listed(world, "v2")
        paused.clear()
        entries = world.cache(TWO).entries(CLUSTER)
        assert len(await reader(world, TWO, "v2").settle(entries)) == 200
        assert len(paused) >= 10


class TestFieldSelectors:
    async def test_large_objects_are_settled_beside_the_event_loop_before_they_are_selected(self, world, looked):
        for name in ("a", "b"):
            await old(world, name, note=LARGE)
        selector = parse_field_selector("spec.shape=round")
        assert names(await listed(world, "v1", field_selector=selector)) == ["a", "b"]
        assert [on_loop for _, on_loop in looked] == [False, False]

    @pytest.mark.parametrize("options", [{}, {"resource_version": "0"}, {"resource_version": "1"}])
    async def test_so_are_a_watchs_first_events(self, world, looked, options):
        for name in ("a", "b"):
            await old(world, name, note=LARGE)
        live = await watching(world, "v1", field_selector=parse_field_selector("spec.shape=round"), **options)
        found = [event.item.entry.name for event in await pending(live)]
        assert found == (["b"] if options.get("resource_version") == "1" else ["a", "b"])
        assert {on_loop for _, on_loop in looked} == {False}

    async def test_a_page_ends_where_it_did(self, world):
        for number in range(40):
            await old(world, f"n{number:02}", shape="flat" if number % 3 else "round")
        selector = parse_field_selector("spec.shape=round")
        first = await listed(world, "v1", field_selector=selector, limit=9)
        rest = await listed(world, "v1", field_selector=selector, continue_token=first.continue_token)
        assert names(first) + names(rest) == [f"n{number:02}" for number in range(0, 40, 3)]
        assert len(names(first)) == 9
