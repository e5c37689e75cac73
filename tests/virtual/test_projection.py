import pytest
from registry_objects import CONSUMER, PROVIDER, projected_view, stored_copies

from kcpcache.meta.errors import MethodNotAllowedError, NotFoundError, ServiceUnavailableError
from kcpcache.meta.selectors import parse_label_selector
from kcpcache.meta.virtual_resources import COPY_ANNOTATIONS
from kcpcache.registry.view import NO_ADMISSION, DeleteOptions, ListOptions, WriteOptions


async def shown(view, **options):
    return [item.object() for item in (await view.list(ListOptions(**options))).items()]


async def pending(watch):
    found = []
    while events := await watch.next(0):
        found += [(event.type, event.item.object()) for event in events]
    return found


async def test_a_consumer_sees_copies_as_objects_of_its_own_workspace():
    async with stored_copies("a", "b") as copies:
        view = projected_view(copies)
        (one, other) = await shown(view)
        assert one["metadata"]["annotations"] == {"kcp.io/cluster": CONSUMER, "example.com/kept": "yes"}
        assert [found["metadata"]["resourceVersion"] for found in (one, other)] == ["1", "2"]
        assert (await view.get("", "a")).object() == one
        assert one["metadata"]["uid"] == "uid-a"


async def test_only_the_providers_copies_under_the_identity_are_seen():
    async with stored_copies("a") as copies:
        await copies.put("stranger", cluster="somebody-else")
        await copies.put("stranger", identity="other")
        assert [found["metadata"]["name"] for found in await shown(projected_view(copies))] == ["a"]
        with pytest.raises(NotFoundError):
            await projected_view(copies).get("", "stranger")


async def test_a_watch_follows_the_copies_and_resumes_at_the_cache_stores_revision():
    async with stored_copies("a") as copies:
        view = projected_view(copies)
        live = await view.watch(ListOptions(label_selector=parse_label_selector("on=1")))
        await copies.put("a", labels={"on": "1"})
        await copies.put("b", labels={"on": "1"})
        await copies.drop("a")
        found = await pending(live)
        assert [(kind, obj["metadata"]["name"]) for kind, obj in found] == [
            ("ADDED", "a"),
            ("ADDED", "b"),
            ("DELETED", "a"),
        ]
        for _, obj in found:
            assert obj["metadata"]["annotations"]["kcp.io/cluster"] == CONSUMER
            assert COPY_ANNOTATIONS.isdisjoint(obj["metadata"]["annotations"])
        again = await view.watch(ListOptions(resource_version=found[1][1]["metadata"]["resourceVersion"]))
        assert await pending(again) == found[2:]


async def test_pages_of_a_projection_are_one_snapshot():
    async with stored_copies("a", "b", "c") as copies:
        view = projected_view(copies)
        first = await view.list(ListOptions(limit=2))
        await copies.drop("c")
        rest = await view.list(ListOptions(continue_token=first.continue_token))
        assert [item.object()["metadata"]["name"] for item in rest.items()] == ["c"]
        assert (first.revision, rest.revision, first.remaining) == (3, 3, 1)


async def test_writes_are_refused_with_where_the_objects_come_from():
    """P10."""
    async with stored_copies("a") as copies:
        view = projected_view(copies)
        revision = await copies.store.revision()
        for verb, call in (
            ("create", view.create("", {}, WriteOptions(), NO_ADMISSION)),
            ("update", view.update("", "a", lambda live: live, WriteOptions(), NO_ADMISSION)),
            ("delete", view.delete("", "a", DeleteOptions(), NO_ADMISSION)),
            ("deletecollection", view.delete_collection(ListOptions(), DeleteOptions(), NO_ADMISSION)),
        ):
            with pytest.raises(MethodNotAllowedError) as refused:
                await call
            text = refused.value.message
            assert text.startswith(f"{verb} is not supported: things.example.com is read-only here")
            assert "APIExport root:p:e" in text
        assert await copies.store.revision() == revision


async def test_a_broken_reference_is_an_honest_503_for_each_call():
    def broken():
        raise ServiceUnavailableError("please contact the owner of that APIExport")

    async with stored_copies("a") as copies:
        view = projected_view(copies, resolve=broken)
        for call in (view.get("", "a"), view.list(ListOptions()), view.watch(ListOptions())):
            with pytest.raises(ServiceUnavailableError, match="contact the owner"):
                await call


async def test_the_guard_is_told_of_every_watch():
    async with stored_copies() as copies:
        told = []
        view = projected_view(copies, guard=told.append)
        live = await view.watch(ListOptions())
        assert told == [live]


async def test_provider_and_consumer_may_be_one_workspace():
    async with stored_copies("a") as copies:
        (one,) = await shown(projected_view(copies, cluster=PROVIDER))
        assert one["metadata"]["annotations"]["kcp.io/cluster"] == PROVIDER
        assert COPY_ANNOTATIONS.isdisjoint(one["metadata"]["annotations"])
