"""Stored objects are shown as the schemas are now: pruned, defaulted and converted on every read, as in Kubernetes."""

import asyncio
import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from looks import tell_looks
from registry_world import CLUSTER, FREE, World, crd, names, opened, pending, thing

from kcpcache.meta.errors import AlreadyExistsError, ConflictError
from kcpcache.meta.selectors import parse_field_selector
from kcpcache.registry import pauses, shown_entries
from kcpcache.registry.definitions import definition_of_crd
from kcpcache.registry.entry import Entry, encode
from kcpcache.registry.reading import Reader
from kcpcache.registry.shelf import Block
from kcpcache.registry.view import ListOptions, WatchEvent, WriteOptions
from kcpcache.registry.wildcard import AnyIdentityView, ResourceCaches

STRING, INTEGER = {"type": "string"}, {"type": "integer"}
ROUND = STRING | {"default": "round"}


def defined(**versions):
    """A definition of things; ``v1={"size": INTEGER}``: the properties of a version's spec, the first one's stored."""
    made = crd(versions=tuple(versions))
    for version in made["spec"]["versions"]:
        properties = versions[version["name"]]
        version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"] = properties
        version["selectableFields"] = [{"jsonPath": f".spec.{name}"} for name in properties]
    return definition_of_crd(made)


BEFORE, LATER = defined(v1={"size": INTEGER, "color": STRING}), defined(v1={"size": INTEGER, "shape": ROUND})


@pytest.fixture
async def world():
    async with opened() as found:
        yield found


@pytest.fixture
def decoded(monkeypatch):
    """The names of the entries that were decoded or looked at, in order."""
    found = []
    read = Entry.object

    def reading(entry, cluster=None):
        found.append(entry.name)
        return read(entry, cluster)

    monkeypatch.setattr(Entry, "object", reading)
    tell_looks(monkeypatch, lambda entry: found.append(entry.name))
    return found


def specs(listing):
    return {item.entry.name: item.object()["spec"] for item in listing.items()}


async def put(world, obj, definition=BEFORE):
    """Into the store as it is, past everything."""
    name = obj["metadata"]["name"]
    await world.store.create(f"{definition.storage_prefix}{CLUSTER}/{name}", encode(obj))
    await world.caches.fresh()


class TestWhatIsShown:
    async def test_a_new_default_and_a_removed_field_show_at_once_wherever_the_object_is_read(self, world):
        await world.create(thing(size=1, color="red"), BEFORE)
        shown = {"size": 1, "shape": "round"}
        assert (await world.get("a", LATER))["spec"] == shown
        assert world.view(LATER).at_once("", "a").object()["spec"] == shown
        assert specs(await world.list(LATER)) == {"a": shown}
        assert specs(await world.list(LATER, limit=1)) == {"a": shown}
        (added,) = await pending(await world.watch(LATER))
        assert added.item.object()["spec"] == shown

    async def test_nothing_is_written_before_the_next_write_which_is_one_even_if_it_changes_nothing(self, world):
        made = await world.create(thing(size=1, color="red"), BEFORE)
        before = world.caches.revision
        shown = await world.get("a", LATER)
        assert world.caches.revision == before
        assert shown["metadata"] == made["metadata"]
        written = await world.patch("a", lambda _live: None, LATER)
        assert written["metadata"]["resourceVersion"] == str(before + 1)
        assert world.cache().get(CLUSTER, "a").object()["spec"] == {"size": 1, "shape": "round"}
        await world.patch("a", lambda _live: None, LATER)
        assert world.caches.revision == before + 1

    async def test_writes_begin_with_what_is_shown(self, world):
        await world.create(thing(size=1, color="red"), BEFORE)
        seen_live = []
        await world.patch("a", lambda live: seen_live.append(copy.deepcopy(live["spec"])), LATER)
        assert seen_live == [{"size": 1, "shape": "round"}]
        await world.create(thing("b", size=1, color="red"), BEFORE)
        status = await world.patch("b", lambda live: live.update(status={"phase": "x"}), LATER, subresource="status")
        assert status["spec"] == {"size": 1, "shape": "round"}
        assert world.cache().get(CLUSTER, "b").object()["spec"] == {"size": 1, "shape": "round"}

    async def test_a_deleted_object_is_answered_and_told_of_as_it_was_shown(self, world):
        await world.create(thing(size=1, color="red"), BEFORE)
        watch = await world.watch(LATER, resource_version=str(world.caches.revision))
        gone = await world.delete("a", LATER)
        assert gone.item.object()["spec"] == {"size": 1, "shape": "round"}
        (event,) = await pending(watch)
        assert event.type == "DELETED"
        assert event.item.object()["spec"] == {"size": 1, "shape": "round"}
        assert event.item.object()["metadata"]["resourceVersion"] == str(world.caches.revision)

    async def test_two_schemas_may_look_at_one_object_in_turn(self, world):
        await world.create(thing(size=1, color="red"), BEFORE)
        for _ in range(2):
            assert (await world.get("a", LATER))["spec"] == {"size": 1, "shape": "round"}
            assert (await world.get("a", BEFORE))["spec"] == {"size": 1, "color": "red"}
            assert specs(await world.list(LATER)) == {"a": {"size": 1, "shape": "round"}}
            assert specs(await world.list(BEFORE)) == {"a": {"size": 1, "color": "red"}}

    async def test_fields_are_selected_by_as_they_are_shown(self, world):
        for name in ("a", "b"):
            await world.create(thing(name, size=1), BEFORE)
        await world.create(thing("c", shape="flat"), LATER)
        selector = parse_field_selector("spec.shape=round")
        assert names(await world.list(LATER, field_selector=selector)) == ["a", "b"]
        assert names(await world.list(LATER, field_selector=selector, limit=1)) == ["a"]
        watch = await world.watch(LATER, field_selector=selector)
        assert [event.item.entry.name for event in await pending(watch)] == ["a", "b"]
        await world.patch("a", lambda live: live["spec"].update(shape="flat"), LATER)
        assert [(event.type, event.item.entry.name) for event in await pending(watch)] == [("DELETED", "a")]

    async def test_lists_and_watches_of_the_past_are_shown_as_the_schema_is_now(self, world):
        await world.create(thing(size=1, color="red"), BEFORE)
        first = world.caches.revision
        await world.patch("a", lambda live: live["spec"].update(size=2), BEFORE)
        await world.create(thing("b"), BEFORE)
        then = await world.list(LATER, resource_version=str(first), resource_version_match="Exact")
        assert specs(then) == {"a": {"size": 1, "shape": "round"}}
        watch = await world.watch(LATER, resource_version=str(first))
        assert [event.item.object()["spec"] for event in await pending(watch)] == [
            {"size": 2, "shape": "round"},
            {"shape": "round"},
        ]

    async def test_metadata_that_could_not_be_is_left_out_and_a_missing_generation_is_one(self, world):
        meta = {"name": "a", "uid": "u", "odd": 1, "finalizers": 5, "annotations": {"a": "b", "c": 1}}
        await put(world, {**thing(size=1), "metadata": meta})
        found = await world.get("a", BEFORE)
        assert found["metadata"].pop("resourceVersion")
        assert found["metadata"] == {
            "name": "a",
            "uid": "u",
            "generation": 1,
            "annotations": {"kcp.io/cluster": CLUSTER, "a": "b"},
        }
        changed = await world.patch("a", lambda live: live["spec"].update(size=2), BEFORE)
        assert changed["metadata"]["generation"] == 2

    async def test_a_generation_does_not_grow_by_what_only_the_schema_changed(self, world):
        await world.create(thing(size=1, color="red"), BEFORE)
        assert (await world.patch("a", lambda _live: None, LATER))["metadata"]["generation"] == 1

    async def test_it_holds_for_what_was_stored_before_a_start(self, world):
        await world.create(thing(size=1, color="red"), BEFORE)
        await world.create(thing("b", size=2, shape="flat"), LATER)
        after = World(world.store)
        await after.caches.start()
        assert specs(await after.list(LATER)) == {"a": {"size": 1, "shape": "round"}, "b": {"size": 2, "shape": "flat"}}
        await after.caches.close()

    @pytest.mark.parametrize(
        "meta", [None, {}, {"labels": {}, "annotations": {"a": None}}, {"name": "b", "labels": None}]
    )
    async def test_an_embedded_resource_is_shown_as_it_was_written_after_a_start_too(self, world, meta):
        template = {"type": "object", "x-kubernetes-embedded-resource": True}
        definition = defined(v1={"template": template})
        written = {"apiVersion": "v1", "kind": "Pod", "metadata": meta}
        made = await world.create(thing(template=written), definition)
        after = World(world.store)
        await after.caches.start()
        assert await after.get("a", definition) == made
        await after.caches.close()


class TestVersions:
    async def test_the_stored_versions_schema_settles_and_the_shown_ones_prunes(self, world):
        await world.create(thing(size=1, color="red"), defined(v1={"size": INTEGER, "color": STRING}))
        two = defined(
            v1={"size": INTEGER | {"default": 3}, "shape": ROUND, "extra": STRING | {"default": "x"}},
            v2={"size": INTEGER, "shape": ROUND, "only": STRING | {"default": "y"}},
        )
        view = world.view(two, version="v2")
        shown = {"size": 1, "shape": "round"}
        found = (await view.get("", "a")).object()
        assert (found["apiVersion"], found["spec"]) == ("example.com/v2", shown)
        assert specs(await view.list(ListOptions())) == {"a": shown}
        again = (await view.get("", "a")).object()
        assert again == found
        reader = Reader(world.caches, world.cache(two), two, two.version("v2"), scope=CLUSTER)
        once = reader.adapt(world.cache(two).get(CLUSTER, "a"))
        assert reader.adapt(once) is once

    async def test_what_is_written_in_another_version_is_stored_as_the_stored_ones_schema_lets_it(self, world):
        two = defined(v1={"size": INTEGER, "shape": ROUND}, v2={"size": INTEGER, "only": STRING | {"default": "y"}})
        view = world.view(two, version="v2")
        written = await view.create("", {**thing(size=1), "apiVersion": "example.com/v2"}, WriteOptions(), FREE)
        assert written.item.object()["spec"] == {"size": 1}
        kept = world.cache(two).get(CLUSTER, "a").object()
        assert (kept["apiVersion"], kept["spec"]) == ("example.com/v1", {"size": 1})
        assert (await world.get("a", two))["spec"] == {"size": 1, "shape": "round"}

    async def test_an_object_of_a_former_stored_version_is_settled_by_that_ones_schema(self, world):
        old = {"size": INTEGER, "color": STRING | {"default": "red"}}
        await world.create(thing(size=1), defined(v1={"size": INTEGER}))
        now = defined(v2={"size": INTEGER, "color": STRING, "shape": ROUND}, v1=old)
        assert (await world.get("a", now))["spec"] == {"size": 1, "color": "red"}
        selector = parse_field_selector("spec.color=red")
        assert names(await world.list(now, field_selector=selector)) == ["a"]
        await world.patch("a", lambda _live: None, now)
        assert (await world.get("a", now))["spec"] == {"size": 1, "color": "red", "shape": "round"}

    async def test_of_a_version_that_is_no_more_the_shown_ones_schema_prunes(self, world):
        await world.create(thing(size=1, color="red"), BEFORE)
        found = await world.get("a", defined(v2={"size": INTEGER, "shape": ROUND}))
        assert (found["apiVersion"], found["spec"]) == ("example.com/v2", {"size": 1})


class TestWhatItCosts:
    async def test_what_was_written_under_the_schema_is_never_looked_at_again(self, world, decoded):
        watch = await world.watch(LATER)
        for name in ("a", "b"):
            await world.view(LATER).create("", thing(name, size=1), WriteOptions(), FREE)
        assert decoded == []
        await world.patch("a", lambda live: live["spec"].update(size=2), LATER)
        decoded.clear()
        view = world.view(LATER)
        await view.get("", "a")
        view.at_once("", "b")
        assert [segment.block is not None for segment in (await view.list(ListOptions())).segments] == [True]
        assert seen_names(await pending(watch)) == [("ADDED", "a"), ("ADDED", "b"), ("MODIFIED", "a")]
        assert seen_names(await pending(await world.watch(LATER))) == [("ADDED", "a"), ("ADDED", "b")]
        assert decoded == []

    async def test_what_is_not_known_is_looked_at_once(self, world, decoded):
        for name in ("a", "b"):
            await world.create(thing(name, size=1, color="red"), BEFORE)
        await world.create(thing("c", size=1), LATER)
        decoded.clear()
        for _ in range(2):
            await world.list(LATER)
            await world.view(LATER).get("", "a")
        assert decoded == ["a", "b"]

    async def test_blocks_of_settled_objects_are_handed_out_whole_again(self, world):
        for name in ("a", "b"):
            await world.create(thing(name, size=1, color="red"), BEFORE)
        assert [segment.block for segment in (await world.list(LATER)).segments] == [None]
        for name in ("a", "b"):
            await world.patch(name, lambda _live: None, LATER)
        assert [segment.block is not None for segment in (await world.list(LATER)).segments] == [True]

    async def test_of_a_block_that_has_changed_it_is_found_out_anew(self, world):
        for definition, name in ((LATER, "a"), (BEFORE, "b")):
            await world.create(thing(name, size=1), definition)
        one, other = world.cache().entries(CLUSTER)
        token = LATER.showing(LATER.storage).token
        block = Block([one])
        assert block.all_settled(token)
        block.entries.append(other)
        block.forget()
        assert not block.all_settled(token)

    async def test_over_all_identities_nothing_is_looked_at(self, world, decoded):
        await world.create(thing(size=1, color="red"), BEFORE)
        decoded.clear()
        view = AnyIdentityView(ResourceCaches(world.caches), LATER, LATER.storage)
        listing = await view.list(ListOptions())
        (event,) = await pending(await view.watch(ListOptions()))
        assert decoded == []
        assert event.item.entry is next(iter(listing.items())).entry is world.cache().get(CLUSTER, "a")

    @pytest.mark.parametrize("past", [False, True])
    async def test_others_are_served_while_many_are_looked_at(self, world, monkeypatch, past):
        for number in range(200):
            await put(world, {**thing(f"n{number:03}", color="red"), "metadata": {"name": f"n{number:03}", "uid": "u"}})
        monkeypatch.setattr(pauses, "SLICE_SECONDS", 0.0)
        paused = []

        async def pause():
            paused.append(1)

        monkeypatch.setattr(pauses, "pause", pause)
        then = str(world.caches.revision)
        await world.create(thing("z", size=1), LATER)
        how = {"resource_version": then, "resource_version_match": "Exact"} if past else {}
        assert len(await world.list(LATER, **how)) == (200 if past else 201)
        assert len(paused) >= 200

    async def test_large_objects_are_looked_at_beside_the_event_loop(self, world, monkeypatch):
        weights = []
        real = shown_entries.computed

        async def computed(weight, work, *arguments):
            weights.append(weight)
            return await real(weight, work, *arguments)

        monkeypatch.setattr(shown_entries, "computed", computed)
        await world.create(thing(color="x" * 9000), BEFORE)
        assert world.view(LATER).at_once("", "a") is None
        assert (await world.get("a", LATER))["spec"] == {"shape": "round"}
        assert world.view(LATER).at_once("", "a").object()["spec"] == {"shape": "round"}
        assert len(weights) == 1
        assert weights[0] > 9000

    async def test_nothing_is_noted_any_more_of_a_write_that_is_over(self, world):
        await world.create(thing(size=1), LATER)
        with pytest.raises(AlreadyExistsError):
            await world.create(thing(size=1), LATER)
        stale = {**thing(size=2), "metadata": {"name": "a", "resourceVersion": "999"}}
        with pytest.raises(ConflictError):
            await world.update(stale, LATER)
        await world.delete("a", LATER)
        assert world.cache(LATER).settled == {}

    async def test_the_same_schemas_have_the_same_token_while_anybody_has_it(self):
        one, other = defined(v1={"size": INTEGER}), defined(v1={"size": INTEGER})
        assert one is not other
        token = one.showing(one.storage).token
        assert other.showing(other.storage).token is token
        assert BEFORE.showing(BEFORE.storage).token is not token


def seen_names(events):
    return [(event.type, event.item.entry.name) for event in events if isinstance(event, WatchEvent)]


LEAVES = st.sampled_from(
    [
        STRING,
        ROUND,
        STRING | {"nullable": True},
        INTEGER | {"default": 7},
        {"x-kubernetes-int-or-string": True},
        {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        {"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True},
    ]
)
FIELDS = st.sampled_from(["size", "shape", "color"])
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda items: {"type": "array", "items": items}, inner),
        st.builds(lambda values: {"type": "object", "additionalProperties": values}, inner),
        st.builds(
            lambda properties, more: {"type": "object", "properties": properties} | more,
            st.dictionaries(FIELDS, inner, max_size=3),
            st.sampled_from([{}, {"default": {}}, {"x-kubernetes-preserve-unknown-fields": True}]),
        ),
    ),
    max_leaves=5,
)
SPECS = st.dictionaries(
    FIELDS,
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.text(max_size=3)),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=3,
)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(SPECS, min_size=1, max_size=4),
    st.lists(st.dictionaries(FIELDS, SCHEMAS, max_size=3), min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["get", "list", "watch", "patch"])), max_size=8),
)
def test_whatever_was_stored_is_shown_pruned_and_defaulted(stored, schemas, reads):
    definitions = [defined(v1=properties) for properties in schemas]

    def oracle(obj, definition):
        found = copy.deepcopy(obj)
        definition.storage.schema.prune(found)
        definition.storage.schema.default(found)
        return found["spec"]

    async def history():
        async with opened() as world:
            kept = {}
            for number, spec in enumerate(stored):
                meta = {"name": f"n{number}", "uid": "u", "generation": 1}
                obj = {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": meta, "spec": spec}
                await put(world, obj)
                kept[f"n{number}"] = obj
            for which, read in reads:
                definition = definitions[which % len(definitions)]
                if read == "get":
                    found = {name: (await world.get(name, definition))["spec"] for name in kept}
                elif read == "list":
                    found = specs(await world.list(definition))
                elif read == "watch":
                    events = await pending(await world.watch(definition))
                    found = {event.item.entry.name: event.item.object()["spec"] for event in events}
                else:  # any write makes what is shown what is stored; that of a status needs no valid spec
                    changed = await world.patch(
                        "n0", lambda live: live.update(status={"phase": "x"}), definition, subresource="status"
                    )
                    found = {"n0": changed["spec"]}
                    kept["n0"]["spec"] = oracle(kept["n0"], definition)
                wanted = {name: oracle(kept[name], definition) for name in found}
                assert repr(found) == repr(wanted)

    asyncio.run(history())
