"""What the second write of a kind on one connection may leave out, and what it may not."""

import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from one_connection import OneConnection, connected

from kcpcache.api import routes

CM = "/api/v1/namespaces/default/configmaps"


def config_map(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name}}


class Caller(OneConnection):
    """Writes something else each time."""

    made = 0

    async def write(self, method: str, path: str, body: object = None, **headers: str) -> tuple[httpx.Response, bool]:
        return await self.send(method, path, body, headers)

    async def create(self, collection: str = CM, **headers: str) -> tuple[httpx.Response, bool]:
        self.made += 1
        return await self.write("POST", collection, config_map(f"n{self.made}"), **headers)

    async def patch(self, name: str, path: str = CM) -> tuple[httpx.Response, bool]:
        self.made += 1
        kind = {"content-type": "application/merge-patch+json"}
        return await self.write("PATCH", f"{path}/{name}", {"data": {"k": f"{self.made}"}}, **kind)


@pytest.fixture
async def caller(world, server: str) -> AsyncIterator[Caller]:
    async with connected(world, server) as client:
        yield Caller(world, client)


async def test_the_next_create_goes_where_the_first_has_gone_and_is_answered_alike(caller):
    first, _ = await caller.create()
    other, again = await caller.create()
    assert again
    assert (first.status_code, other.status_code) == (201, 201)
    assert other.json()["metadata"]["name"] == "n2"
    assert other.headers.keys() == first.headers.keys()


async def test_so_do_patches_updates_and_deletions_of_other_objects(caller):
    for method in ("PATCH", "PUT", "DELETE"):
        for name, expected in (("a", False), ("b", True)):
            if method == "PATCH":
                response, again = await caller.patch(name)
            else:
                response, again = await caller.write(method, f"{CM}/{name}", config_map(name))
            assert (response.status_code, again) == (200, expected), (method, name)


async def test_an_audited_server_has_no_routes(world, caller):
    world.app.kubernetes.routes._none = True
    await caller.create()
    assert not (await caller.create())[1]


async def test_it_does_not_outlive_a_change_of_permissions(world, caller):
    await caller.create()
    world.denied.add(("create", "configmaps"))
    world.epoch[0] += 1
    response, again = await caller.create()
    assert (response.status_code, again) == (403, False)


async def test_a_change_while_it_is_under_way_counts_for_the_next(world, caller):
    """The account may be gone by the time its write is answered, and the right that it had."""
    services = world.app.kubernetes.services

    def admission(*asked):
        world.epoch[0] += 1
        return services.admission(*asked)

    world.app.kubernetes.services = dataclasses.replace(services, admission=admission)
    await caller.create()
    assert not (await caller.create())[1]


async def test_credentials_are_looked_at_again_after_a_second(world, caller):
    now = [100.0]
    world.services.measures.clock = lambda: now[0]
    await caller.create()
    now[0] += routes.SECONDS
    assert (await caller.create())[1]
    now[0] += 0.001
    assert not (await caller.create())[1]
    assert (await caller.create())[1]


async def test_another_header_is_another_write(caller):
    await caller.create(**{"x-user": "alice"})
    assert (await caller.create(**{"x-user": "alice"}))[1]
    response, again = await caller.create(**{"x-user": "nobody"})
    assert (response.status_code, again) == (403, False)


async def test_what_it_says_of_a_body_is_what_it_always_says(caller):
    await caller.create()
    response, again = await caller.write("POST", CM, {"metadata": {"name": "No"}})
    assert (response.status_code, again) == (422, True)
    response, again = await caller.write("POST", f"{CM}?fieldValidation=Strict", {**config_map("x"), "wrong": 1})
    assert (response.status_code, again) == (400, True)
    response, again = await caller.write("POST", f"{CM}?dryRun=wrong", config_map("x"))
    assert (response.status_code, again) == (422, True)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", CM),
        ("POST", "/api/v1/namespaces/default/serviceaccounts/a/token"),
        ("PATCH", "/api/v1/namespaces/default"),
        ("POST", "/apis/stable.example.com/v1beta1/namespaces/default/crontabs"),
        ("PATCH", "/apis/cloud.example.com/v1/flavors/a"),
    ],
)
async def test_what_is_more_than_a_plain_write_takes_the_ordinary_way(world, caller, method, path):
    await world.client.post("/api/v1/namespaces", json={"metadata": {"name": "default"}})
    for number in range(2):
        before = len(world.asked)
        headers = {"content-type": "application/merge-patch+json"} if method == "PATCH" else {}
        await caller.write(method, path, config_map("default" if method == "PATCH" else f"c{number}"), **headers)
        assert len(world.asked) > before


async def test_a_right_to_single_names_is_asked_for_each_time(world, caller, monkeypatch):
    authorize = world.services.authorize

    def only_named(attributes):
        decision = authorize(attributes)
        return type(decision)(allowed=decision.allowed and attributes.name == "a")

    monkeypatch.setattr(world.app.kubernetes.routes, "_authorize", only_named)
    await caller.patch("a")
    assert not (await caller.patch("a"))[1]


async def test_each_is_counted_like_any_other(world, caller):
    for _ in range(3):
        await caller.create()
    found = [(k, c) for k, c in world.services.measures.requests.items() if k.verb == "POST" and k.scope == "namespace"]
    ((labels, counts),) = found
    assert labels.resource == "configmaps"
    assert counts.codes == {201: 3 + 2}
    assert world.services.measures.in_flight == [0, 0]


async def test_each_has_its_turn(world, caller):
    await caller.create()
    entered = []
    fairness = world.app.kubernetes.fairness
    enter = fairness.enter

    def counting(user, cluster):
        entered.append((user.name, cluster))
        return enter(user, cluster)

    fairness.enter = counting
    assert (await caller.create())[1]
    assert entered == [("admin", "root")]
    assert fairness._running == 0


async def test_a_connection_remembers_a_bounded_number(caller, monkeypatch):
    monkeypatch.setattr(routes, "MOST_OF_A_CONNECTION", 1)
    await caller.create(**{"x-trace": "1"})
    await caller.create(**{"x-trace": "2"})
    assert (await caller.create(**{"x-trace": "2"}))[1]
    assert not (await caller.create(**{"x-trace": "1"}))[1]
