import asyncio
import dataclasses
import json

import httpx
import pytest

from kcpcache.api import request_measures
from kcpcache.api.app import create_app
from kcpcache.api.request_measures import EventLabels, RequestLabels
from kcpcache.meta.errors import TooManyRequestsError

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


def counted(world) -> dict[tuple[str, ...], dict[int, int]]:
    """Codes by verb, resource, subresource and scope."""
    return {
        (labels.verb, labels.resource, labels.subresource, labels.scope): counts.codes
        for labels, counts in world.services.measures.requests.items()
    }


async def test_requests_are_counted_by_verb_resource_scope_and_code(world):
    await world.create("a")
    await world.client.get(f"{CONFIG_MAPS}/a")
    await world.client.get(f"{CONFIG_MAPS}/missing")
    await world.client.get(CONFIG_MAPS)
    await world.client.get("/api/v1/configmaps")
    await world.client.delete(f"{CONFIG_MAPS}/a")
    assert counted(world) == {
        ("POST", "configmaps", "", "namespace"): {201: 1},
        ("GET", "configmaps", "", "resource"): {200: 1, 404: 1},
        ("LIST", "configmaps", "", "namespace"): {200: 1},
        ("LIST", "configmaps", "", "cluster"): {200: 1},
        ("DELETE", "configmaps", "", "resource"): {200: 1},
    }


async def test_an_apply_and_a_dry_run_have_labels_of_their_own(world):
    apply = {"content-type": "application/apply-patch+yaml"}
    body = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}})
    for query in ("fieldManager=me", "fieldManager=me&dryRun=All"):
        await world.client.patch(f"{CONFIG_MAPS}/a?{query}", headers=apply, content=body)
    assert set(world.services.measures.requests) == {
        RequestLabels("APPLY", "", "v1", "configmaps", "", "resource", dry_run) for dry_run in ("", "All")
    }


async def test_time_and_size_are_measured_and_nothing_stays_in_flight(world):
    ticks = iter(range(100))
    world.services.measures.clock = lambda: float(next(ticks))
    response = await world.client.get(CONFIG_MAPS)
    [counts] = world.services.measures.requests.values()
    assert (counts.seconds.count, counts.seconds.sum) == (1, 1.0)
    assert (counts.sizes.count, counts.sizes.sum) == (1, len(response.content))
    assert world.services.measures.in_flight == [0, 0]


@pytest.mark.parametrize(("path", "label"), [("/apis/foo", "/apis"), ("/secret-door", "other"), ("/api/v1/zzz", "")])
async def test_what_a_client_made_up_is_no_label(world, path, label):
    response = await world.client.get(path)
    assert response.status_code == 404
    [labels] = world.services.measures.requests
    assert (labels.group, labels.version, labels.resource, labels.subresource) == ("", "", "", label)


async def test_a_path_that_means_nothing_is_counted_all_the_same(world):
    await world.client.request("BREW", f"{CONFIG_MAPS}/a")
    assert counted(world) == {("other", "", "", ""): {405: 1}}


async def test_tenants_resources_beyond_the_bound_are_counted_together(world, monkeypatch):
    measures = world.services.measures
    for number in range(request_measures.MOST_RESOURCES):
        measures._resource(("example.com", "v1", f"r{number}"))
    await world.client.get("/apis/stable.example.com/v1/crontabs")
    await world.create("a")
    assert {labels.resource for labels in measures.requests} == {"other", "configmaps"}


async def test_watches_are_counted_with_their_events(world, server):
    kind = EventLabels("", "v1", "ConfigMap")
    measures = world.services.measures
    async with (
        httpx.AsyncClient(base_url=server) as client,
        client.stream("GET", f"{CONFIG_MAPS}?watch=1&timeoutSeconds=30") as response,
    ):
        lines = response.aiter_lines()
        await world.create("a")
        line = await anext(lines)
        watch = measures.watches[kind]
        assert (watch.open, watch.events) == (1, 1)
        assert watch.bytes == len(line) - len('{"type":"ADDED","object":}')
        assert measures.in_flight == [0, 0]
    while measures.watches[kind].open:  # noqa: ASYNC110 -- the server notices in its own time
        await asyncio.sleep(0)
    assert ("WATCH", "configmaps", "", "namespace") in counted(world)


@pytest.fixture
async def metrics_client(world):
    async def metrics(accept: str) -> tuple[bytes, bytes]:
        return b"text/plain; version=1", f"accept {accept}".encode()

    services = dataclasses.replace(world.services, metrics=metrics)
    transport = httpx.ASGITransport(app=create_app(services))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def test_metrics_are_for_who_may_read_the_path_in_root_and_only_there(world, metrics_client):
    for path in ("/metrics", "/clusters/root/metrics"):
        answer = await metrics_client.get(path, headers={"accept": "text/x"})
        assert (answer.status_code, answer.text) == (200, "accept text/x")
        assert answer.headers["content-type"] == "text/plain; version=1"
    assert (await metrics_client.get("/clusters/root:ws/metrics")).status_code == 404
    assert (await metrics_client.get("/metrics", headers={"x-user": "nobody"})).status_code == 403
    assert (await metrics_client.post("/metrics")).status_code == 405
    world.denied.add(("get", "/metrics"))
    assert (await metrics_client.get("/metrics")).status_code == 403


async def test_whoever_traces_is_told_of_every_request_s_end(world):
    told = []
    services = dataclasses.replace(world.services, trace=lambda exchange, _began: told.append(exchange))
    transport = httpx.ASGITransport(app=create_app(services))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        await client.get(f"{CONFIG_MAPS}/missing")
        await client.get("/nonsense")
    assert [(exchange.status, exchange.resource and exchange.resource.plural) for exchange in told] == [
        (404, "configmaps"),
        (404, None),
    ]


async def test_standing_in_line_is_measured_by_whether_it_helped(world):
    measures, ticks = world.services.measures, iter(range(100))
    measures.clock = lambda: float(next(ticks))
    with measures.queued():
        assert measures.in_queue == 1
    with pytest.raises(TooManyRequestsError), measures.queued():
        raise TooManyRequestsError("too many", retry_after_seconds=1)
    assert (measures.in_queue, measures.rejected) == (0, 1)
    assert {served: (wait.count, wait.sum) for served, wait in measures.waits.items()} == {True: (1, 1), False: (1, 1)}
