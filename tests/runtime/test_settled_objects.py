"""A schema that changes under stored objects, over HTTP with all controllers running: what is seen of it, and where."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from looks import tell_looks
from shard_http import Http
from shard_world import CRDS, EXPORTS, FLAVORS, SCHEMAS, Shard, crd_spec, schema_spec

from kcpcache.meta.objects import Object

CRD = "flavors.cloud.example.com"
PATH = "/clusters/{}/apis/cloud.example.com/v1/flavors"
TABLE = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}
INTEGER, STRING = {"type": "integer"}, {"type": "string"}
BEFORE: Object = {"cpu": INTEGER, "color": STRING}
LATER: Object = {"cpu": INTEGER, "tier": STRING | {"default": "basic"}}


def schema(properties: Object) -> Object:
    return {"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}}


def spec(properties: Object) -> Object:
    found = crd_spec()
    (version,) = found["versions"]
    version["schema"] = {"openAPIV3Schema": schema(properties)}
    if "tier" in properties:
        version["selectableFields"] = [{"jsonPath": ".spec.tier"}]
        version["additionalPrinterColumns"] = [{"name": "Tier", "type": "string", "jsonPath": ".spec.tier"}]
        version["subresources"] = {"scale": {"specReplicasPath": ".spec.cpu", "statusReplicasPath": ".status.cpu"}}
    return found


async def moved_on(shard: Shard, cluster: str, properties: Object) -> None:
    """The CRD gets another schema."""
    await shard.change(cluster, CRDS, CRD, lambda obj: obj.update(spec=spec(properties)))
    await shard.settled()


def exported(properties: Object, name: str) -> dict[str, Any]:
    found = schema_spec()
    found["versions"][0]["schema"] = schema(properties)
    return {"name": f"{name}.{CRD}", "spec": found}


@pytest.fixture
async def http(shard: Shard) -> AsyncIterator[Http]:
    found = Http(shard)
    async with found.client:
        yield found


@pytest.fixture
async def path(http: Http, shard: Shard) -> str:
    """The collection, with an object that was stored before the schema moved on."""
    await shard.create("root", CRDS, CRD, spec=spec(BEFORE))
    await shard.settled()
    path = PATH.format("root")
    body = {"apiVersion": "cloud.example.com/v1", "kind": "Flavor", "metadata": {"name": "a"}}
    assert (await http.request("POST", path, body | {"spec": {"cpu": 2, "color": "red"}})).status_code == 201
    await moved_on(shard, "root", LATER)
    return path


async def test_every_way_of_reading_shows_the_new_schemas_object(http: Http, path: str) -> None:
    shown = {"cpu": 2, "tier": "basic"}
    assert (await http.get(f"{path}/a"))["spec"] == shown
    assert (await http.get(f"{path}/a"))["spec"] == shown  # by the connection's shortcut
    assert [obj["spec"] for obj in (await http.get(path))["items"]] == [shown]
    assert [event["object"]["spec"] for event in await http.watch(path, seconds=1)] == [shown]
    found = await http.get(f"{path}?fieldSelector=spec.tier%3Dbasic")
    assert [obj["metadata"]["name"] for obj in found["items"]] == ["a"]
    table = (await http.client.get(path, headers=TABLE)).json()
    assert [row["cells"] for row in table["rows"]] == [["a", "basic"]]
    assert (await http.get(f"{path}/a/scale"))["spec"] == {"replicas": 2}


async def test_patches_and_applies_work_on_it_and_store_it(http: Http, shard: Shard, path: str) -> None:
    before = await http.get(f"{path}/a")
    patched = (await http.request("PATCH", f"{path}/a", {})).json()
    assert patched["spec"] == {"cpu": 2, "tier": "basic"}
    assert patched["metadata"]["generation"] == before["metadata"]["generation"]
    assert patched["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"]
    again = (await http.request("PATCH", f"{path}/a", {})).json()
    assert again["metadata"]["resourceVersion"] == patched["metadata"]["resourceVersion"]
    test = [{"op": "test", "path": "/spec/tier", "value": "basic"}, {"op": "remove", "path": "/spec/cpu"}]
    kind = {"content-type": "application/json-patch+json"}
    assert (await http.client.patch(f"{path}/a", json=test, headers=kind)).json()["spec"] == {"tier": "basic"}
    applied = {"apiVersion": "cloud.example.com/v1", "kind": "Flavor", "spec": {"cpu": 3}}
    response = await http.client.patch(
        f"{path}/a?fieldManager=me&force=true", json=applied, headers={"content-type": "application/apply-patch+yaml"}
    )
    assert response.json()["spec"] == {"cpu": 3, "tier": "basic"}


async def test_a_watch_ends_when_the_schema_changes_and_goes_on_where_it_was(
    http: Http, shard: Shard, path: str
) -> None:
    revision = (await http.get(path))["metadata"]["resourceVersion"]
    watch = http.watch(path, seconds=3600, resourceVersion=revision)
    await asyncio.sleep(1)
    await http.request("PATCH", f"{path}/a", {"spec": {"cpu": 4}})
    await shard.change("root", CRDS, CRD, lambda obj: obj["metadata"].update(labels={"a": "b"}))
    await asyncio.sleep(1)
    assert not watch.done()
    await moved_on(shard, "root", BEFORE)
    (event,) = await asyncio.wait_for(watch, 60)
    assert event["object"]["spec"] == {"cpu": 4, "tier": "basic"}
    await http.request("PATCH", f"{path}/a", {"spec": {"color": "blue"}})
    (_, event) = await http.watch(path, seconds=1, resourceVersion=revision)
    assert event["object"]["spec"] == {"cpu": 4, "color": "blue"}


async def test_it_is_so_after_a_restart(shard: Shard, path: str) -> None:
    await shard.restart()
    http = Http(shard)
    async with http.client:
        assert [obj["spec"] for obj in (await http.get(path))["items"]] == [{"cpu": 2, "tier": "basic"}]


async def test_bound_objects_are_shown_by_the_schema_that_their_binding_has_come_to(http: Http, shard: Shard) -> None:
    provider, consumer = await shard.workspace("provider"), await shard.workspace("consumer")
    first = exported(BEFORE, "v1")
    await shard.create(provider, SCHEMAS, first["name"], spec=first["spec"])
    entry = {"group": "cloud.example.com", "name": "flavors", "schema": first["name"], "storage": {"crd": {}}}
    await shard.create(provider, EXPORTS, "cloud", spec={"resources": [entry]})
    await shard.settled()
    await shard.bind(consumer, provider)
    await shard.settled()
    await shard.create(consumer, FLAVORS, "a", spec={"cpu": 2, "color": "red"})
    path = PATH.format(consumer)
    assert (await http.get(f"{path}/a"))["spec"] == {"cpu": 2, "color": "red"}
    later = exported(LATER, "v2")
    await shard.create(provider, SCHEMAS, later["name"], spec=later["spec"])
    moved = {**entry, "schema": later["name"]}
    await shard.change(provider, EXPORTS, "cloud", lambda obj: obj["spec"].update(resources=[moved]))
    await shard.settled()
    assert [obj["spec"] for obj in (await http.get(path))["items"]] == [{"cpu": 2, "tier": "basic"}]


class TestConsumersOfACachedResource:
    @pytest.fixture
    async def places(self, shard: Shard) -> tuple[str, str]:
        """A provider's workspace and that of a consumer, who knows the later schema; the object is older."""
        provider = await shard.provider()
        await shard.change(provider, CRDS, CRD, lambda obj: obj.update(spec=spec(BEFORE)))
        later = exported(LATER, "v2")
        await shard.create(provider, SCHEMAS, later["name"], spec=later["spec"])
        await shard.change(
            provider, EXPORTS, "cloud", lambda obj: obj["spec"]["resources"][0].update(schema=later["name"])
        )
        consumer = await shard.workspace("consumer")
        await shard.bind(consumer, provider)
        await shard.settled()
        await shard.create(provider, FLAVORS, "a", spec={"cpu": 2, "color": "red"})
        await shard.settled()
        return provider, consumer

    async def test_they_see_it_by_the_schema_that_they_are_told(self, http: Http, places: tuple[str, str]) -> None:
        path, shown = PATH.format(places[1]), {"cpu": 2, "tier": "basic"}
        assert (await http.get(f"{path}/a"))["spec"] == shown
        assert [obj["spec"] for obj in (await http.get(path))["items"]] == [shown]
        assert [event["object"]["spec"] for event in await http.watch(path, seconds=1)] == [shown]

    async def test_a_copy_needs_no_look_where_its_consumer_is_told_the_same_schema(
        self, http: Http, shard: Shard, places: tuple[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        provider, consumer = places
        await moved_on(shard, provider, LATER)
        looked: list[str] = []
        tell_looks(monkeypatch, lambda entry: looked.append(entry.name))
        watch = http.watch(PATH.format(consumer), seconds=200)
        await asyncio.sleep(1)
        assert set(looked) == {"a"}  # it is older
        await shard.create(provider, FLAVORS, "b", spec={"cpu": 1})
        await shard.settled()
        assert [obj["spec"] for obj in (await http.get(PATH.format(consumer)))["items"]] == [
            {"cpu": 2, "tier": "basic"},
            {"cpu": 1, "tier": "basic"},
        ]
        assert [event["object"]["metadata"]["name"] for event in await watch] == ["a", "b"]
        assert set(looked) == {"a"}

    async def test_a_schema_that_moves_on_writes_no_copy_anew(self, shard: Shard, places: tuple[str, str]) -> None:
        provider = places[0]
        await shard.create(provider, FLAVORS, "b", spec={"cpu": 1})
        await shard.settled()
        copies = self.copies(shard, provider)
        await moved_on(shard, provider, LATER | {"extra": STRING | {"default": "x"}})
        assert self.copies(shard, provider) == copies
        assert len(copies) == 2
        await shard.change(provider, FLAVORS, "a", lambda obj: obj["spec"].update(cpu=3))
        await shard.settled()
        (copy,) = [copy for copy in self.copies(shard, provider).values() if copy["metadata"]["name"] == "a"]
        assert copy["spec"] == {"cpu": 3, "tier": "basic", "extra": "x"}

    async def test_the_first_copy_is_what_the_workspace_shows(self, shard: Shard, places: tuple[str, str]) -> None:
        provider = places[0]
        await moved_on(shard, provider, LATER)
        await shard.wipe("/cache/")
        await shard.settled()
        assert [copy["spec"] for copy in self.copies(shard, provider).values()] == [{"cpu": 2, "tier": "basic"}]

    async def test_a_copy_that_somebody_changed_is_still_put_right(self, shard: Shard, places: tuple[str, str]) -> None:
        provider = places[0]
        await moved_on(shard, provider, LATER)
        ((key, copy),) = self.copies(shard, provider).items()
        copy["spec"] = {"cpu": 2, "color": "red", "odd": 1}
        await shard.put_copy(key, copy)
        await shard.settled()
        assert [copy["spec"] for copy in self.copies(shard, provider).values()] == [{"cpu": 2, "tier": "basic"}]

    @staticmethod
    def copies(shard: Shard, provider: str) -> dict[str, Object]:
        return {
            f"{cache.prefix}{provider}/{entry.name}": entry.object()
            for cache in shard.caches.known()
            if cache.prefix.startswith("/cache/") and "flavors:" in cache.prefix
            for entry in cache.entries(provider)
        }
