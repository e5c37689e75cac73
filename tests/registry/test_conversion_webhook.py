from datetime import UTC, datetime

import pytest
from webhook_server import WebhookServer

from kcpcache.meta.errors import BadRequestError, InternalError, NotFoundError
from kcpcache.meta.objects import copy
from kcpcache.meta.selectors import parse_field_selector, parse_label_selector
from kcpcache.registry.caches import Caches
from kcpcache.registry.conversion_webhook import conversion_of
from kcpcache.registry.converted_match import ConvertedMatch
from kcpcache.registry.definitions import definition_of_crd
from kcpcache.registry.stored_view import StoredView
from kcpcache.registry.view import NO_ADMISSION, Bookmark, DeleteOptions, ListOptions, WriteOptions
from kcpcache.registry.webhook_client import WebhookClient
from kcpcache.storage.memory import MemoryStore

GROUP = "stable.example.com"
NOW = datetime(2030, 1, 1, tzinfo=UTC)


def crd(conversion, stored="v1", more=None):
    """``more``: further properties of the spec in v1."""

    def version(name, **properties):
        spec = {"type": "object", "properties": {key: {"type": kind} for key, kind in properties.items()}}
        spec["properties"] |= (more or {}) if name == "v1" else {}
        schema = {"type": "object", "properties": {"spec": spec, "status": {"type": "object"}}}
        return {
            "name": name,
            "served": True,
            "storage": name == stored,
            "subresources": {"status": {}},
            "selectableFields": [{"jsonPath": f".spec.{key}"} for key in properties],
            "schema": {"openAPIV3Schema": schema},
        }

    return {
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"plural": "hosts", "singular": "host", "kind": "Host", "listKind": "HostList"},
            "conversion": conversion,
            "versions": [version("v1", hostPort="string"), version("v2", host="string", port="string")],
        }
    }


def convert(review):
    """``hostPort`` in v1, ``host`` and ``port`` in v2."""
    request = review["request"]
    wanted = request["desiredAPIVersion"]
    converted = []
    for given in request["objects"]:
        obj = copy(given)
        spec = obj.get("spec") or {}
        if wanted == f"{GROUP}/v2":
            host, _, port = spec.get("hostPort", ":").partition(":")
            obj["spec"] = {"host": host, "port": port}
        else:
            obj["spec"] = {"hostPort": f"{spec.get('host', '')}:{spec.get('port', '')}"}
        converted.append({**obj, "apiVersion": wanted})
    return answer(review, converted)


def answer(review, converted, **result):
    response = {
        "uid": review["request"]["uid"],
        "result": result or {"status": "Success"},
        "convertedObjects": converted,
    }
    return {"apiVersion": review["apiVersion"], "kind": "ConversionReview", "response": response}


def refuse(review):
    return answer(review, [], status="Failure", message="that cannot be said")


class World:
    def __init__(self, caches, server, client):
        self.caches, self.server, self.client = caches, server, client
        self.conversion = {
            "strategy": "Webhook",
            "webhook": {"clientConfig": server.client_config(), "conversionReviewVersions": ["v1"]},
        }
        self.stored, self.more = "v1", None

    def view(self, version):
        made = crd(self.conversion, self.stored, self.more)
        definition = definition_of_crd(made, conversion=conversion_of(made["spec"], self.client))
        return StoredView(self.caches, definition, definition.version(version), "alpha", lambda: NOW)

    async def create(self, version, name="a", **spec):
        obj = {"metadata": {"name": name}, "spec": spec}
        return (await self.view(version).create("n", obj, WriteOptions(), NO_ADMISSION)).item.object()

    async def change(self, version, name, **spec):
        def changed(live):
            live["spec"] = spec
            return live

        await self.view(version).update("n", name, changed, WriteOptions(), NO_ADMISSION)

    async def pending(self, watch):
        """What a watch has to say now, until it has nothing more."""
        found = []
        while events := await watch.next(0):
            found += events
        return found

    async def get(self, version, name="a"):
        return (await self.view(version).get("n", name)).object()

    def kept(self, name="a"):
        """What the store has."""
        entry = self.caches.of(self.view("v1").definition.storage_prefix).get("alpha", name, "n")
        return entry.object()


@pytest.fixture
async def world():
    caches = Caches(MemoryStore())
    await caches.start()
    client = WebhookClient()
    async with WebhookServer().running() as server:
        server.answer = convert
        yield World(caches, server, client)
        await client.close()
    await caches.close()


class TestReading:
    async def test_the_stored_version_needs_no_conversion(self, world):
        await world.create("v1", hostPort="example.com:80")
        assert (await world.get("v1"))["spec"] == {"hostPort": "example.com:80"}
        assert world.server.reviews == []

    async def test_another_version_is_asked_of_the_webhook(self, world):
        made = await world.create("v1", hostPort="example.com:80")
        found = await world.get("v2")
        assert (found["apiVersion"], found["spec"]) == (f"{GROUP}/v2", {"host": "example.com", "port": "80"})
        assert found["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
        (review,) = world.server.reviews
        assert (review["apiVersion"], review["kind"]) == ("apiextensions.k8s.io/v1", "ConversionReview")
        assert review["request"]["desiredAPIVersion"] == f"{GROUP}/v2"
        assert world.server.heads[0].startswith("POST /check?timeout=30s ")

    async def test_a_list_is_converted_in_batches(self, world, monkeypatch):
        monkeypatch.setattr("kcpcache.registry.conversion_webhook._BATCH_OBJECTS", 2)
        for index in range(5):
            await world.create("v1", f"n{index}", hostPort=f"h{index}:1")
        listing = await world.view("v2").list(ListOptions())
        assert [item.object()["spec"]["host"] for item in listing.items()] == [f"h{index}" for index in range(5)]
        assert [len(review["request"]["objects"]) for review in world.server.reviews] == [2, 2, 1]

    async def test_large_objects_make_smaller_batches(self, world, monkeypatch):
        monkeypatch.setattr("kcpcache.registry.conversion_webhook._BATCH_BYTES", 1000)
        for index in range(3):
            await world.create("v1", f"n{index}", hostPort="x" * 600)
        await world.view("v2").list(ListOptions())
        assert len(world.server.reviews) == 3

    async def test_pages_and_selectors_hold_for_converted_lists(self, world):
        for index in range(3):
            await world.create("v1", f"n{index}", hostPort="h:1")
        page = await world.view("v2").list(ListOptions(limit=2))
        rest = await world.view("v2").list(ListOptions(limit=2, continue_token=page.continue_token))
        assert (len(page), page.remaining, len(rest)) == (2, 1, 1)
        none = await world.view("v2").list(ListOptions(label_selector=parse_label_selector("a=b")))
        assert len(none) == 0

    async def test_fields_are_selected_by_in_every_version(self, world):
        """Objects are converted first, and then judged by the fields of the version that is asked for."""
        await world.create("v1", "a", hostPort="h:1")
        await world.create("v1", "b", hostPort="h:2")
        found = await world.view("v1").list(ListOptions(field_selector=parse_field_selector("spec.hostPort=h:2")))
        assert [item.entry.name for item in found.items()] == ["b"]
        assert world.server.reviews == []
        for text, names in (("spec.port=2", ["b"]), ("spec.host=h", ["a", "b"]), ("spec.port!=2", ["a"])):
            found = await world.view("v2").list(ListOptions(field_selector=parse_field_selector(text)))
            assert [item.object()["metadata"]["name"] for item in found.items()] == names
            assert {item.object()["apiVersion"] for item in found.items()} == {f"{GROUP}/v2"}
        for text in ("spec.hostPort=h:1", "spec.odd=1"):
            with pytest.raises(BadRequestError, match=f"^field label not supported: {text.split('=')[0]}$"):
                await world.view("v2").list(ListOptions(field_selector=parse_field_selector(text)))
        named = await world.view("v2").list(ListOptions(field_selector=parse_field_selector("metadata.name=b")))
        assert [item.object()["spec"]["port"] for item in named.items()] == ["2"]

    async def test_only_objects_with_the_right_labels_are_asked_about(self, world):
        await world.create("v1", "a", hostPort="h:1")
        options = ListOptions(
            field_selector=parse_field_selector("spec.host=h"), label_selector=parse_label_selector("a=b")
        )
        assert len(await world.view("v2").list(options)) == 0
        assert world.server.reviews == []

    async def test_pages_of_a_selection_are_full_and_go_on_where_they_ended(self, world, monkeypatch):
        monkeypatch.setattr(ConvertedMatch, "chunk", 2)
        for index in range(7):
            await world.create("v1", f"n{index}", hostPort=f"h{index % 2}:1")
        selector, token, pages = parse_field_selector("spec.host=h0"), "", []
        while True:
            page = await world.view("v2").list(ListOptions(field_selector=selector, limit=2, continue_token=token))
            pages.append([item.entry.name for item in page.items()])
            token = page.continue_token
            if not token:
                break
            await world.create("v1", f"m{len(pages)}", hostPort="h0:1")  # what comes later is on no page
        assert pages == [["n0", "n2"], ["n4", "n6"]]

    async def test_a_collection_is_deleted_by_the_fields_of_its_version(self, world):
        for index in range(2):
            await world.create("v1", f"n{index}", hostPort=f"h{index}:1")
        options = ListOptions(field_selector=parse_field_selector("spec.host=h0"))
        gone = await world.view("v2").delete_collection(options, DeleteOptions(), NO_ADMISSION)
        assert [item.object()["spec"]["host"] for item in gone.items()] == ["h0"]
        left = await world.view("v2").list(ListOptions())
        assert [item.entry.name for item in left.items()] == ["n1"]

    async def test_watchers_see_what_begins_and_what_stops_to_match(self, world):
        await world.create("v1", "a", hostPort="h:1")
        await world.create("v1", "b", hostPort="other:1")
        start = str(world.caches.revision)
        selector = parse_field_selector("spec.host=h")
        watch = await world.view("v2").watch(ListOptions(field_selector=selector, send_initial_events=True))
        (added, mark) = await watch.next()
        assert (added.type, added.item.object()["spec"]) == ("ADDED", {"host": "h", "port": "1"})
        assert mark.initial
        for name, host_port in (("b", "h:2"), ("b", "h:3"), ("a", "other:1"), ("a", "other:2")):
            await world.change("v1", name, hostPort=host_port)
        await world.view("v1").delete("n", "b", DeleteOptions(), NO_ADMISSION)
        told = [
            (event.type, event.item.object()["metadata"]["name"], event.item.object()["spec"]["port"])
            for event in await world.pending(watch)
        ]
        expected = [("ADDED", "b", "2"), ("MODIFIED", "b", "3"), ("DELETED", "a", "1"), ("DELETED", "b", "3")]
        assert told == expected
        again = await world.view("v2").watch(ListOptions(field_selector=selector, resource_version=start))
        assert [(event.type, event.item.entry.name) for event in await world.pending(again)] == [
            (kind, name) for kind, name, _ in expected
        ]

    async def test_a_watch_with_a_selector_has_a_bookmark_only_once_its_beginning_is_out(self, world):
        await world.create("v1", "a", hostPort="h:1")
        options = ListOptions(field_selector=parse_field_selector("spec.host=h"))
        watch = await world.view("v2").watch(options)
        assert watch.bookmark().revision == 0
        await world.pending(watch)
        assert watch.bookmark().revision == world.caches.revision

    async def test_what_is_stored_in_a_former_version_is_selected_by_the_fields_of_the_stored_one(self, world):
        await world.create("v1", "a", hostPort="old:1")
        world.stored = "v2"
        found = await world.view("v2").list(ListOptions(field_selector=parse_field_selector("spec.host=old")))
        assert [item.object()["spec"] for item in found.items()] == [{"host": "old", "port": "1"}]
        found = await world.view("v1").list(ListOptions(field_selector=parse_field_selector("spec.hostPort=old:1")))
        assert [item.object()["spec"] for item in found.items()] == [{"hostPort": "old:1"}]

    async def test_the_webhook_is_asked_about_settled_objects_and_its_answer_is_pruned(self, world):
        await world.create("v1", "a", hostPort="h:1")
        await world.create("v1", "b", hostPort="h:2")
        more = {"zone": {"type": "string", "default": "eu"}}
        asked = []

        def adding(review):
            asked.extend(copy(review["request"]["objects"]))
            found = convert(review)
            for obj in found["response"]["convertedObjects"]:
                obj["spec"]["odd"] = 1
            return found

        world.server.answer = adding
        world.more = more
        assert (await world.get("v2"))["spec"] == {"host": "h", "port": "1"}
        assert [obj["spec"] for obj in asked] == [{"hostPort": "h:1", "zone": "eu"}]
        assert (await world.get("v1"))["spec"] == {"hostPort": "h:1", "zone": "eu"}
        listing = await world.view("v2").list(ListOptions())
        assert [item.object()["spec"]["port"] for item in listing.items()] == ["1", "2"]
        assert [obj["spec"]["zone"] for obj in asked] == ["eu"] * 3

    async def test_objects_are_settled_before_they_are_converted_to_be_selected(self, world):
        await world.create("v1", "a", hostPort="h:1")
        world.more = {"zone": {"type": "string", "default": "eu"}}
        await world.view("v2").list(ListOptions(field_selector=parse_field_selector("spec.host=h")))
        assert [obj["spec"]["zone"] for review in world.server.reviews for obj in review["request"]["objects"]] == [
            "eu"
        ]

    async def test_watchers_see_their_version_only(self, world):
        await world.create("v1", "before", hostPort="old:1")
        watch = await world.view("v2").watch(ListOptions(send_initial_events=True))
        first = await watch.next()
        assert isinstance(first[-1], Bookmark)
        assert first[0].item.object()["spec"]["host"] == "old"
        await world.create("v2", "after", host="new", port="2")
        (event,) = await watch.next()
        assert (event.type, event.item.object()["spec"]) == ("ADDED", {"host": "new", "port": "2"})
        await world.view("v1").delete("n", "after", DeleteOptions(), NO_ADMISSION)
        (gone,) = await watch.next()
        assert (gone.type, gone.item.object()["apiVersion"]) == ("DELETED", f"{GROUP}/v2")
        watch.close()
        with pytest.raises(StopAsyncIteration):
            await watch.next()

    async def test_objects_stored_in_a_former_version_are_converted_too(self, world):
        await world.create("v1", hostPort="old:1")
        world.stored = "v2"
        assert (await world.get("v2"))["spec"] == {"host": "old", "port": "1"}
        assert (await world.get("v1"))["spec"] == {"hostPort": "old:1"}


class TestWriting:
    async def test_what_is_written_is_stored_in_the_stored_version(self, world):
        made = await world.create("v2", host="example.com", port="80")
        assert (made["apiVersion"], made["spec"]) == (f"{GROUP}/v2", {"host": "example.com", "port": "80"})
        kept = world.kept()
        assert (kept["apiVersion"], kept["spec"]) == (f"{GROUP}/v1", {"hostPort": "example.com:80"})
        assert kept["metadata"]["uid"] == made["metadata"]["uid"]

    async def test_an_update_sees_and_makes_its_own_version(self, world):
        await world.create("v1", hostPort="example.com:80")

        def change(live):
            assert live["spec"] == {"host": "example.com", "port": "80"}
            return {**live, "spec": {**live["spec"], "port": "443"}}

        written = await world.view("v2").update("n", "a", change, WriteOptions(), NO_ADMISSION)
        assert written.item.object()["spec"]["port"] == "443"
        assert world.kept()["spec"] == {"hostPort": "example.com:443"}
        assert world.kept()["metadata"]["generation"] == 2

    async def test_an_update_that_changes_nothing_writes_nothing(self, world):
        made = await world.create("v2", host="example.com", port="80")
        written = await world.view("v2").update("n", "a", lambda live: live, WriteOptions(), NO_ADMISSION)
        assert written.item.object() == made

    async def test_a_status_is_written_through_another_version(self, world):
        await world.create("v1", hostPort="example.com:80")
        await world.view("v2").update(
            "n", "a", lambda live: {**live, "status": {}}, WriteOptions(), NO_ADMISSION, subresource="status"
        )
        assert world.kept()["status"] == {}

    async def test_a_deleted_object_is_answered_in_the_version_of_the_request(self, world):
        await world.create("v1", hostPort="example.com:80")
        written = await world.view("v2").delete("n", "a", DeleteOptions(), NO_ADMISSION)
        assert written.deleted
        assert written.item.object()["apiVersion"] == f"{GROUP}/v2"
        with pytest.raises(NotFoundError):
            await world.get("v1")

    async def test_an_object_held_by_a_finalizer_is_marked_through_another_version(self, world):
        obj = {"metadata": {"name": "a", "finalizers": ["example.com/hold"]}, "spec": {"hostPort": "h:1"}}
        await world.view("v1").create("n", obj, WriteOptions(), NO_ADMISSION)
        written = await world.view("v2").delete("n", "a", DeleteOptions(), NO_ADMISSION)
        assert not written.deleted
        kept = world.kept()
        assert kept["metadata"]["deletionTimestamp"]
        assert kept["spec"] == {"hostPort": "h:1"}

    async def test_a_collection_is_deleted_through_another_version(self, world):
        for name in ("a", "b"):
            await world.create("v1", name, hostPort="h:1")
        listing = await world.view("v2").delete_collection(ListOptions(namespace="n"), DeleteOptions(), NO_ADMISSION)
        assert [item.object()["apiVersion"] for item in listing.items()] == [f"{GROUP}/v2"] * 2


class TestPruning:
    async def test_fields_that_the_version_does_not_have_are_dropped_from_what_the_webhook_says(self, world):
        def talkative(review):
            found = convert(review)
            for obj in found["response"]["convertedObjects"]:
                obj["spec"]["extra"] = obj["more"] = 1
            return found

        world.server.answer = talkative
        made = await world.create("v2", host="h", port="1")
        assert world.kept()["spec"] == {"hostPort": "h:1"}
        assert (made["spec"], "more" in made) == ({"host": "h", "port": "1"}, False)
        (listed,) = (await world.view("v2").list(ListOptions())).items()
        assert listed.object()["spec"] == {"host": "h", "port": "1"}


class TestFailures:
    async def test_a_webhook_that_refuses_an_object_to_be_stored_makes_a_bad_request(self, world):
        world.server.answer = refuse
        with pytest.raises(BadRequestError) as caught:
            await world.create("v2", host="h", port="1")
        said = f"conversion webhook for {GROUP}/v2, Kind=Host failed: that cannot be said"
        assert caught.value.message == said
        world.server.answer = convert
        with pytest.raises(NotFoundError):
            await world.get("v1")

    async def test_a_read_that_cannot_be_converted_fails_and_the_object_stays(self, world):
        await world.create("v1", hostPort="h:1")
        world.server.answer = refuse
        view = world.view("v2")
        for attempt in (
            view.get("n", "a"),
            view.list(ListOptions()),
            view.update("n", "a", lambda live: live, WriteOptions(), NO_ADMISSION),
            view.delete("n", "a", DeleteOptions(), NO_ADMISSION),
        ):
            with pytest.raises(
                InternalError, match=r"conversion webhook for stable\.example\.com/v1, Kind=Host failed"
            ):
                await attempt
        assert (await world.get("v1"))["spec"] == {"hostPort": "h:1"}

    async def test_a_watch_ends_in_the_error(self, world):
        watch = await world.view("v2").watch(ListOptions())
        world.server.answer = refuse
        await world.create("v1", hostPort="h:1")
        with pytest.raises(InternalError):
            await watch.next()
        watch.close()

    async def test_a_webhook_that_is_not_there_is_named_in_the_error(self, world):
        await world.create("v1", hostPort="h:1")
        world.conversion["webhook"]["clientConfig"] = {"url": "https://localhost:1/convert"}
        with pytest.raises(InternalError, match=r'failed: Post "https://localhost:1/convert\?timeout=30s": '):
            await world.get("v2")

    async def test_a_host_that_is_not_allowed_is_not_called(self, world):
        await world.create("v1", hostPort="h:1")
        world.client = WebhookClient(["elsewhere.example.com", "localhost:1"])
        with pytest.raises(InternalError, match="host localhost is not one that this server may call"):
            await world.get("v2")
        assert world.server.heads == []

    @pytest.mark.parametrize(
        ("spoil", "why"),
        [
            (lambda review: {**convert(review), "kind": "Other"}, "expected webhook response of apiextensions"),
            (lambda review: {**convert(review), "response": None}, "no response provided"),
            (lambda review: answer({**review, "request": {"uid": "x"}}, []), 'got "x"'),
            (lambda review: answer(review, []), "returned 0 objects, expected 1"),
            (lambda review: answer(review, [1]), "at index 0: it is no object with metadata"),
            (lambda review: answer(review, review["request"]["objects"]), "invalid groupVersion"),
            (lambda review: changed(review, kind="Other"), "invalid kind"),
            (lambda review: changed(review, metadata={"name": "b"}), "must have the same name"),
            (lambda review: changed(review, labels={"a": 1}), "must be of type string"),
        ],
    )
    async def test_an_answer_that_is_none_is_refused(self, world, spoil, why):
        await world.create("v1", hostPort="h:1")
        world.server.answer = spoil
        with pytest.raises(InternalError, match=why):
            await world.get("v2")

    async def test_metadata_is_kept_but_for_labels_and_annotations(self, world):
        await world.create("v1", hostPort="h:1")
        world.server.answer = lambda review: changed(
            review, labels={"made": "by-conversion"}, generation=77, finalizers=["x"], resourceVersion="9"
        )
        meta = (await world.get("v2"))["metadata"]
        assert meta["labels"] == {"made": "by-conversion"}
        assert meta["generation"] == 1
        assert "finalizers" not in meta
        assert meta["resourceVersion"] != "9"


def changed(review, *, kind=None, metadata=None, **meta):
    found = convert(review)
    for obj in found["response"]["convertedObjects"]:
        obj["kind"] = kind or obj["kind"]
        obj["metadata"] = metadata or {**obj["metadata"], **meta}
    return found


class TestWhoConverts:
    def test_strategy_none_needs_no_webhook(self):
        assert conversion_of(crd({"strategy": "None"})["spec"], WebhookClient()) is None

    def test_definitions_without_a_webhook_are_as_before(self):
        definition = definition_of_crd(crd({"strategy": "None"}))
        assert definition.conversion is None
