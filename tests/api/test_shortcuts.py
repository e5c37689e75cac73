"""What the second GET of a kind on one connection may leave out, and what it may not."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator

import httpx
import pytest
from one_connection import OneConnection, connected

from kcpcache.api import shortcuts
from kcpcache.meta.names import GroupResource
from kcpcache.registry.view import PromptView

CM = "/api/v1/namespaces/default/configmaps"


class Caller(OneConnection):
    """Gets."""

    async def get(self, path: str, **headers: str) -> tuple[httpx.Response, bool]:
        return await self.send("GET", path, headers=headers)


@pytest.fixture
async def caller(world, server: str) -> AsyncIterator[Caller]:
    async with connected(world, server) as client:
        yield Caller(world, client)


async def test_the_next_get_of_a_collection_is_answered_at_once_and_alike(caller):
    first, _ = await caller.get(f"{CM}/a")
    again, at_once = await caller.get(f"{CM}/a")
    assert at_once
    assert again.content == first.content
    assert again.headers.keys() == first.headers.keys()
    other, at_once = await caller.get(f"{CM}/b")
    assert at_once
    assert other.json()["metadata"]["name"] == "b"


async def test_it_shows_what_was_written_since(world, caller):
    await caller.get(f"{CM}/a")
    live = (await world.client.get(f"{CM}/a")).json()
    await world.client.put(f"{CM}/a", json={**live, "data": {"k": "v"}})
    found, at_once = await caller.get(f"{CM}/a")
    assert (found.json()["data"], at_once) == ({"k": "v"}, True)
    await world.client.delete(f"{CM}/a")
    found, at_once = await caller.get(f"{CM}/a")
    assert (found.status_code, at_once) == (404, False)


async def test_a_change_while_it_is_under_way_counts_for_the_next(world, caller):
    services = world.app.kubernetes.services

    def view(*asked):
        world.epoch[0] += 1
        return services.view(*asked)

    world.app.kubernetes.services = dataclasses.replace(services, view=view)
    await caller.get(f"{CM}/a")
    assert not (await caller.get(f"{CM}/a"))[1]


async def test_it_does_not_outlive_a_change_of_permissions(world, caller):
    await caller.get(f"{CM}/a")
    world.denied.add(("get", "configmaps"))
    world.epoch[0] += 1
    found, at_once = await caller.get(f"{CM}/a")
    assert (found.status_code, at_once) == (403, False)


async def test_credentials_are_looked_at_again_after_a_second(world, caller):
    now = [100.0]
    world.services.measures.clock = lambda: now[0]
    await caller.get(f"{CM}/a")
    now[0] += shortcuts.SECONDS
    assert (await caller.get(f"{CM}/a"))[1]
    now[0] += 0.001
    assert not (await caller.get(f"{CM}/a"))[1]
    assert (await caller.get(f"{CM}/a"))[1]


async def test_another_header_is_another_request(caller):
    await caller.get(f"{CM}/a", **{"x-user": "alice"})
    assert (await caller.get(f"{CM}/a", **{"x-user": "alice"}))[1]
    found, at_once = await caller.get(f"{CM}/a", **{"x-user": "nobody"})
    assert (found.status_code, at_once) == (403, False)


@pytest.mark.parametrize(
    "path",
    [
        f"{CM}/a?pretty=true",
        f"{CM}?limit=1",
        "/api/v1/namespaces/default",
        f"{CM}/%61",
        f"/clusters/*{CM}/a",
        f"{CM}/missing",
    ],
)
async def test_what_is_no_plain_get_of_an_object_takes_the_ordinary_way(caller, path):
    await caller.get(path)
    assert not (await caller.get(path))[1]


async def test_another_form_of_answer_takes_the_ordinary_way(caller):
    form = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    await caller.get(f"{CM}/a", **form)
    found, at_once = await caller.get(f"{CM}/a", **form)
    assert (found.json()["kind"], at_once) == ("Table", False)


async def test_a_right_to_single_names_is_asked_for_each_time(world, caller, monkeypatch):
    authorize = world.services.authorize

    def only_named(attributes):
        decision = authorize(attributes)
        return type(decision)(allowed=decision.allowed and attributes.name == "a")

    monkeypatch.setattr(world.app.kubernetes.shortcuts, "_authorize", only_named)
    await caller.get(f"{CM}/a")
    assert not (await caller.get(f"{CM}/a"))[1]


async def test_large_objects_go_the_way_on_which_they_are_compressed(world, caller):
    await world.create("large", data={"k": "x" * 200_000})
    await caller.get(f"{CM}/large")
    found, at_once = await caller.get(f"{CM}/large")
    assert (found.headers["content-encoding"], at_once) == ("gzip", False)


async def test_each_is_counted_like_any_other(world, caller):
    for _ in range(3):
        await caller.get(f"{CM}/a")
    ((labels, counts),) = [(k, c) for k, c in world.services.measures.requests.items() if k.verb == "GET"]
    assert (labels.resource, labels.scope) == ("configmaps", "resource")
    assert counts.codes == {200: 3}
    assert counts.seconds.count == counts.sizes.count == 3


async def test_a_connection_remembers_a_bounded_number(world, caller, monkeypatch):
    monkeypatch.setattr(shortcuts, "MOST_OF_A_CONNECTION", 1)
    await caller.get(f"{CM}/a", **{"x-trace": "1"})
    await caller.get(f"{CM}/a", **{"x-trace": "2"})
    assert (await caller.get(f"{CM}/a", **{"x-trace": "2"}))[1]
    assert not (await caller.get(f"{CM}/a", **{"x-trace": "1"}))[1]


async def test_no_write_is_answered_before_every_view_shows_it_so_that_none_need_wait(world, caller, monkeypatch):
    resource = world.services.snapshot("root").resources[GroupResource("", "configmaps")]
    view = world.services.view("root", resource, resource.definition.storage)
    assert isinstance(view, PromptView)
    late, take = [], world.caches._take
    monkeypatch.setattr(world.caches, "_take", late.append)
    creation = asyncio.create_task(world.create("new"))
    await asyncio.sleep(0.2)
    assert late
    assert view.at_once("default", "new") is None
    assert not creation.done()
    assert view.at_once("default", "a") is not None
    monkeypatch.setattr(world.caches, "_take", take)
    for event in late:
        take(event)
    await creation
    assert view.at_once("default", "new") is not None


async def test_thousands_of_gets_sent_ahead_are_all_answered(world, server):
    await world.create("a")
    host, port = server.removeprefix("http://").split(":")
    get, slow = (f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode() for path in (f"{CM}/a", CM))
    reader, writer = await asyncio.open_connection(host, int(port))
    answers, count = bytearray(), 1500
    writer.write(get)
    await reader.read(65536)
    writer.write(slow + get * count)
    async with asyncio.timeout(20):
        while answers.count(b"HTTP/1.1 200") <= count:
            more = await reader.read(1 << 20)
            assert more, "the connection was cut"
            answers += more
    writer.close()
