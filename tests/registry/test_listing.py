"""The table of resourceVersion, resourceVersionMatch, limit and continue in the Kubernetes API concepts; P5, P12."""

import base64

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from registry_world import CLUSTER, CONFIG_MAPS, ITEMS, PLAIN, THINGS, World, names, opened, thing

from kcpcache.meta.errors import BadRequestError, ExpiredError, NotFoundError, TimeoutStatusError
from kcpcache.meta.selectors import parse_field_selector, parse_label_selector
from kcpcache.registry import reading
from kcpcache.registry.system import builtin_definitions
from kcpcache.storage.memory import MemoryStore
from kcpcache.storage.sqlite import SqliteStore


@pytest.fixture(params=["memory", "sqlite"])
async def world(request, tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "FUTURE_REVISION_SECONDS", 0.01)
    sqlite = request.param == "sqlite"
    store = await SqliteStore.open(tmp_path / "db", synchronous="off") if sqlite else MemoryStore()
    async with opened(store) as found:
        yield found


def item(name, namespace):
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {}}


async def five_and_a_change(world):
    """Revisions 1 to 5 create a to e; 6 deletes b; 7 creates f."""
    for name in "abcde":
        await world.create(thing(name))
    await world.delete("b")
    await world.create(thing("f"))


NOW, THEN = list("acdef"), list("abcde")


@pytest.mark.parametrize(
    ("options", "revision", "shown"),
    [
        ({}, 7, NOW),
        ({"resource_version": "0"}, 7, NOW),
        ({"resource_version": "0", "resource_version_match": "NotOlderThan"}, 7, NOW),
        ({"resource_version": "5"}, 7, NOW),
        ({"resource_version": "5", "resource_version_match": "NotOlderThan"}, 7, NOW),
        ({"resource_version": "5", "resource_version_match": "Exact"}, 5, THEN),
        ({"resource_version": "7", "resource_version_match": "Exact"}, 7, NOW),
        ({"limit": 2}, 7, NOW[:2]),
        ({"limit": 2, "resource_version": "0"}, 7, NOW[:2]),
        ({"limit": 2, "resource_version": "5"}, 5, THEN[:2]),
        ({"limit": 2, "resource_version": "5", "resource_version_match": "NotOlderThan"}, 7, NOW[:2]),
        ({"limit": 2, "resource_version": "5", "resource_version_match": "Exact"}, 5, THEN[:2]),
        ({"limit": 5, "resource_version": "5", "resource_version_match": "Exact"}, 5, THEN),
    ],
)
async def test_a_list_shows_what_its_resource_version_asks_for(world, options, revision, shown):
    await five_and_a_change(world)
    listing = await world.list(**options)
    assert (listing.revision, names(listing)) == (revision, shown)
    more = len(shown) < 5
    assert bool(listing.continue_token) is more
    assert listing.remaining == (3 if more else None)


@pytest.mark.parametrize("match", ["", "Exact", "NotOlderThan"])
@pytest.mark.parametrize("limit", [0, 2])
async def test_a_future_resource_version_is_waited_for_and_then_refused(world, match, limit):
    await world.create(thing())
    with pytest.raises(TimeoutStatusError, match="Too large resource version: 9, current: 1"):
        await world.list(resource_version="9", resource_version_match=match, limit=limit)
    with pytest.raises(TimeoutStatusError):
        await world.view().get("", "a", resource_version="9")


async def pages(world, between, **options):
    """Every page of a list, with ``between`` run after each."""
    found, listing = [], await world.list(**options)
    while True:
        found.append(listing)
        assert len(found) < 100, "the walk does not end"
        if not listing.continue_token:
            return found
        await between(len(found))
        again = {key: value for key, value in options.items() if not key.startswith("resource_version")}
        listing = await world.list(**again, continue_token=listing.continue_token)


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 6])
async def test_pages_are_one_snapshot_while_writes_go_on(world, limit):
    for name in "acegi":
        await world.create(thing(name))

    async def change(number):
        await world.create(thing(f"b{number}"))
        await world.patch("i", lambda obj: obj["spec"].update(size=number))
        if number == 1:
            await world.delete("g")

    found = await pages(world, change, limit=limit)
    assert [name for page in found for name in names(page)] == list("acegi")
    assert {page.revision for page in found} == {5}
    sizes = [one.object()["spec"].get("size") for page in found for one in page.items()]
    assert set(sizes) == {None}
    left = [5 - sum(len(page) for page in found[: index + 1]) for index in range(len(found))]
    assert [page.remaining for page in found] == [*left[:-1], None]


async def test_pages_with_a_selector_are_one_snapshot_and_say_nothing_of_what_remains(world):
    for number in range(9):
        await world.create(thing(f"n{number}", labels={"odd": str(number % 2)}))

    async def relabel(number):
        await world.patch("n5", lambda obj: obj["metadata"].update(labels={"odd": "x", "n": str(number)}))

    found = await pages(world, relabel, limit=1, label_selector=parse_label_selector("odd=1"))
    assert [name for page in found for name in names(page)] == ["n1", "n3", "n5", "n7"]
    assert {page.remaining for page in found} == {None}


@pytest.mark.parametrize("cluster", [CLUSTER, "*"])
async def test_pages_of_a_namespace_hold_nothing_else(world, cluster):
    for other in (CLUSTER, f"{CLUSTER}-b", "a"):
        for namespace in ("n", "n-a", "m"):
            for name in ("x", "y"):
                await world.create(item(name, namespace), ITEMS, other)

    async def change(_number):
        await world.create({"metadata": {"generateName": "z", "namespace": "n"}}, ITEMS, CLUSTER)

    async def keep(_number):
        pass

    for between in (keep, change):
        found = await pages(world, between, definition=ITEMS, cluster=cluster, limit=1, namespace="n")
        shown = [one.entry for page in found for one in page.items()]
        assert {one.namespace for one in shown} == {"n"}
        places = [(one.cluster, one.name) for one in shown]
        clusters = [CLUSTER] if cluster == CLUSTER else [f"{CLUSTER}-b", CLUSTER, "a"]
        assert [place for place in places if place[1] in "xy"] == [
            (one, name) for one in sorted(clusters, key=lambda text: f"{text}/") for name in "xy"
        ]


async def test_a_wildcard_list_is_in_the_same_order_from_the_cache_and_from_the_store(world):
    for cluster in ("a", "a-b", "a0", "b"):
        for name in ("x", "x-y"):
            await world.create(thing(name), cluster=cluster)
    at = str(world.caches.revision)
    now = [(one.entry.cluster, one.entry.name) for one in (await world.list(cluster="*")).items()]
    await world.create(thing("later"), cluster="a")
    then = await world.list(cluster="*", resource_version=at, resource_version_match="Exact")
    assert [(one.entry.cluster, one.entry.name) for one in then.items()] == now
    for limit in (1, 3):
        found, step = [], await world.list(cluster="*", limit=limit)
        for number in range(20):
            found += [(one.entry.cluster, one.entry.name) for one in step.items()]
            if not step.continue_token:
                break
            await world.create(thing(f"n{number}-{limit}"), cluster="z")
            step = await world.list(cluster="*", limit=limit, continue_token=step.continue_token)
        assert [one for one in found if one[0] != "z" and one[1] != "later"] == now


names_of_clusters = st.sampled_from(["a", "a-b", "b"])
writes = st.lists(st.tuples(names_of_clusters, st.sampled_from(["x", "y", "z"]), st.booleans()), max_size=8)


@settings(max_examples=60)
@given(writes, writes, st.integers(1, 3), st.sampled_from(["*", "a", "a-b"]))
async def test_every_walk_through_pages_shows_exactly_the_state_at_its_revision(before, meanwhile, limit, scope):
    async def write(world, cluster, name, put):
        present = world.cache().get(cluster, name) is not None
        if put and not present:
            await world.create(thing(name), cluster=cluster)
        elif present:
            await world.delete(name, cluster=cluster)

    async with opened() as world:
        for step in before:
            await write(world, *step)
        expected = [(one.entry.cluster, one.entry.name) for one in (await world.list(cluster=scope)).items()]
        later = list(meanwhile)

        async def between(_number):
            if later:
                await write(world, *later.pop())

        found = await pages(world, between, cluster=scope, limit=limit)
        assert [(one.entry.cluster, one.entry.name) for page in found for one in page.items()] == expected


async def test_a_compacted_snapshot_is_gone_and_the_answer_says_how_to_go_on(world):
    await five_and_a_change(world)
    first = await world.list(limit=2)
    await world.create(thing("g"))
    await world.delete("a")
    await world.store.compact(await world.store.revision())
    world.cache().forget(world.caches.revision)
    with pytest.raises(ExpiredError) as expired:
        await world.list(limit=2, continue_token=first.continue_token)
    rest = await world.list(continue_token=expired.value.status()["metadata"]["continue"])
    assert names(rest) == ["d", "e", "f", "g"]
    assert rest.revision == world.caches.revision
    for options in ({"resource_version_match": "Exact"}, {"limit": 2}):
        with pytest.raises(ExpiredError) as expired:
            await world.list(resource_version="5", **options)
        assert expired.value.status()["metadata"] == {}


async def test_a_token_goes_on_in_its_own_resource_only(world):
    await five_and_a_change(world)
    token = (await world.list(limit=2)).continue_token
    for other in (PLAIN, CONFIG_MAPS):
        with pytest.raises(BadRequestError, match="continue key is not valid"):
            await world.list(other, continue_token=token)


def forged(**fields):
    good = {"v": "meta.k8s.io/v1", "rv": 1, "start": "a", "of": str(THINGS.group_resource)}
    return base64.urlsafe_b64encode(orjson.dumps({**good, **fields})).decode()


@pytest.mark.parametrize(
    "token",
    [
        *("x", "ä", "=", "bm90IGpzb24", "W10", "e30", "bnVsbA"),
        *(forged(rv=rv) for rv in (0, -2, True, "1", None, 1.5, 10**15, 2**64 - 1)),
        *(forged(start=start) for start in (1, None, [])),
        forged(v="meta.k8s.io/v2"),
    ],
)
async def test_a_forged_token_is_a_bad_request(world, token):
    await world.create(thing())
    with pytest.raises(BadRequestError, match="continue key is not valid"):
        await world.list(continue_token=token)


@pytest.mark.parametrize("start", ["", "../../secrets", "\x00", "zzz", "a/b/c"])
async def test_whatever_a_forged_start_says_nothing_else_is_shown(world, start):
    await world.create(thing())
    await world.create(thing("b"), cluster="zzz")
    await world.create({"metadata": {"name": "c"}}, PLAIN)
    world.cache().forget(world.caches.revision)
    listing = await world.list(continue_token=forged(start=start))
    assert set(names(listing)) <= {"a"}


@pytest.mark.parametrize(
    ("labels", "fields", "shown"),
    [
        ("", "", ["a", "b", "c"]),
        ("team=x", "", ["a", "b"]),
        ("team,team!=x", "", ["c"]),
        ("!team", "", []),
        ("", "metadata.name=b", ["b"]),
        ("", "metadata.name!=b", ["a", "c"]),
        ("", "spec.color=blue", ["c"]),
        ("team=x", "spec.color=red,metadata.name=a", ["a"]),
        ("", "metadata.namespace=", ["a", "b", "c"]),
    ],
)
async def test_selectors_choose_what_a_list_shows_now_and_then(world, labels, fields, shown):
    for name, team, color in (("a", "x", "red"), ("b", "x", "red"), ("c", "y", "blue")):
        await world.create(thing(name, labels={"team": team}, color=color))
    selection = {"label_selector": parse_label_selector(labels), "field_selector": parse_field_selector(fields)}
    assert names(await world.list(**selection)) == shown
    await world.create(thing("d", labels={"team": "x"}))
    then = await world.list(**selection, resource_version="3", resource_version_match="Exact")
    assert names(then) == shown


async def test_a_field_that_cannot_be_selected_is_a_bad_request(world):
    for verb in (world.list, world.watch):
        with pytest.raises(BadRequestError, match=r"^field label not supported: spec.size$"):
            await verb(field_selector=parse_field_selector("spec.size=1"))
        with pytest.raises(BadRequestError, match=r'^"data" is not a known field selector: only "metadata.name"'):
            await verb(CONFIG_MAPS, field_selector=parse_field_selector("data=1"))


async def test_types_have_fields_of_their_own_to_select_by(world):
    built_in = builtin_definitions()
    secrets, namespaces = built_in["", "secrets"], built_in["", "namespaces"]
    core, newer = built_in["", "events"], built_in["events.k8s.io", "events"]
    for name, kind in (("a", "Opaque"), ("b", "example.com/kind")):
        await world.create({"metadata": {"name": name, "namespace": "n"}, "type": kind}, secrets)
        about = {"kind": "ConfigMap", "name": f"of-{name}", "namespace": "n"}
        event = {"involvedObject": about, "reason": "Made", "source": {"component": "me"}, "type": "Normal"}
        await world.create({"metadata": {"name": name, "namespace": "n"}, **event}, core)
    await world.create({"metadata": {"name": "n"}}, namespaces)
    for definition, fields, shown in (
        (secrets, "type=Opaque", ["a"]),
        (secrets, "type!=Opaque,metadata.namespace=n", ["b"]),
        (core, "involvedObject.name=of-b,involvedObject.kind=ConfigMap,reason=Made,source=me", ["b"]),
        (newer, "regarding.name=of-a,type=Normal", ["a"]),
        (namespaces, "status.phase=Active", ["n"]),
        (namespaces, "status.phase=Terminating", []),
    ):
        assert names(await world.list(definition, field_selector=parse_field_selector(fields))) == shown, fields


async def test_a_list_is_by_namespace_then_name(world):
    for namespace, name in (("b", "a"), ("a", "b"), ("a", "a"), ("a-b", "a")):
        await world.create(item(name, namespace), ITEMS)
    found = [(one.entry.namespace, one.entry.name) for one in (await world.list(ITEMS)).items()]
    assert found == [("a-b", "a"), ("a", "a"), ("a", "b"), ("b", "a")]


async def test_objects_are_shown_in_the_version_that_is_asked_for(world):
    await world.create(item("x", "n"), ITEMS)
    view = world.view(ITEMS, version="v1beta1")
    assert (await view.get("n", "x")).object()["apiVersion"] == "example.com/v1beta1"
    assert (await world.get("x", ITEMS, namespace="n"))["apiVersion"] == "example.com/v1"


async def test_what_is_not_there_is_not_found(world):
    with pytest.raises(NotFoundError, match="not found"):
        await world.get("x")
    await world.create(thing("x"), cluster="other")
    with pytest.raises(NotFoundError):
        await world.get("x")


async def test_an_empty_list_has_the_stores_revision(world):
    await world.create(thing())
    listing = await world.list(PLAIN)
    assert (len(listing), listing.revision) == (0, 1)


async def test_a_write_elsewhere_sends_no_page_to_the_store():
    class Counting(MemoryStore):
        lists = 0

        async def list(self, *args, **kwargs):
            self.lists += 1
            return await super().list(*args, **kwargs)

    store = Counting()
    async with opened(store) as world:
        assert isinstance(world, World)
        for name in "abc":
            await world.create(thing(name))
        before = store.lists
        first = await world.list(limit=1)
        await world.create(thing("a"), cluster="other")
        assert names(await world.list(continue_token=first.continue_token)) == ["b", "c"]
        assert store.lists == before
