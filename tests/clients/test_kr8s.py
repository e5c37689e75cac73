"""kr8s, unmodified: objects that it makes classes for while it runs, patches, waits, and watches."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import kr8s
import pytest
from client_world import GROUP_NAME, WIDGETS, Shared, Workspace, widget, widgets_crd, workspace_at
from fragile_port import fragile_port
from kr8s.asyncio.objects import ConfigMap, CustomResourceDefinition, Namespace, Secret, new_class
from real_server import Server

Widget = new_class("Widget", f"{GROUP_NAME}/v1", plural="widgets", scalable=True)
Flavor = new_class("CPUFlavor", "cloud.example.com/v1", namespaced=False, plural="cpuflavors")


@contextlib.asynccontextmanager
async def open_api(workspace: Workspace) -> AsyncIterator[kr8s.asyncio.Api]:
    api = await kr8s.asyncio.api(kubeconfig=str(workspace.kubeconfig), namespace="default")
    api.timeout = 20
    try:
        yield api
    finally:
        # kr8s leaves its session open for the life of the program.
        if api._session is not None:
            await api._session.aclose()


@pytest.fixture
async def api(workspace: Workspace) -> AsyncIterator[kr8s.asyncio.Api]:
    async with open_api(workspace) as found:
        yield found


@pytest.fixture
async def widgets(api: kr8s.asyncio.Api) -> kr8s.asyncio.Api:
    """The API, where the CRD is established."""
    crd = await CustomResourceDefinition(widgets_crd(), api=api)
    if not await crd.exists():
        await crd.create()
    await crd.wait("condition=Established", timeout=10)
    return api


async def config_map(api: kr8s.asyncio.Api, name: str, **data: str) -> ConfigMap:
    body = {"metadata": {"name": name, "namespace": "default", "labels": {"of": "kr8s"}}, "data": data}
    return await ConfigMap(body, api=api)


async def test_a_config_map_is_created_read_patched_and_deleted(api: kr8s.asyncio.Api):
    made = await config_map(api, "settings", color="red")
    await made.create()
    assert made.metadata.uid
    read = await ConfigMap.get("settings", api=api)
    assert read.data == {"color": "red"}
    await read.patch({"data": {"color": "blue"}})
    await made.refresh()
    assert made.data == {"color": "blue"}
    await made.patch([{"op": "add", "path": "/data/size", "value": "5"}], type="json")
    assert made.data == {"color": "blue", "size": "5"}
    twin = await config_map(api, "settings")
    with pytest.raises(kr8s.ServerError, match="already exists") as twice:
        await twin.create()
    assert twice.value.response.status_code == httpx.codes.CONFLICT
    await made.delete()
    await made.wait("delete", timeout=10)
    assert not await made.exists()
    with pytest.raises(kr8s.NotFoundError):
        await ConfigMap.get("settings", api=api)


async def test_labels_and_annotations_are_set_and_removed(api: kr8s.asyncio.Api):
    made = await config_map(api, "labelled")
    await made.create()
    await made.label(new="yes")
    await made.annotate(why="test")
    await made.remove_label("of")
    assert (dict(made.labels), made.annotations["why"]) == ({"new": "yes"}, "test")
    await made.delete()


async def test_a_secret_and_a_namespace_live_and_go(api: kr8s.asyncio.Api):
    namespace = await Namespace({"metadata": {"name": "short-lived"}}, api=api)
    await namespace.create()
    body = {"metadata": {"name": "key", "namespace": "short-lived"}, "stringData": {"token": "s3cret"}}
    secret = await Secret(body, api=api)
    await secret.create()
    assert secret.raw["data"] == {"token": "czNjcmV0"}
    await namespace.delete()
    await namespace.wait("delete", timeout=15)
    assert not await secret.exists()


async def test_owners_take_what_they_adopted_with_them(api: kr8s.asyncio.Api):
    owner, owned = await config_map(api, "owner"), await config_map(api, "owned")
    await owner.create()
    await owned.create()
    await owner.adopt(owned)
    await owner.delete(propagation_policy="Foreground")
    await owned.wait("delete", timeout=10)
    await owner.wait("delete", timeout=10)


async def test_it_lists_by_label_and_field_across_pages_and_namespaces(api: kr8s.asyncio.Api):
    made = [await config_map(api, f"listed-{number}") for number in range(3)]
    await asyncio.gather(*(one.create() for one in made))
    found = [item.name async for item in api.get("configmaps", label_selector={"of": "kr8s"})]
    assert found == ["listed-0", "listed-1", "listed-2"]
    everywhere = api.get("configmaps", namespace=kr8s.ALL, field_selector="metadata.name=listed-1")
    assert [item.name async for item in everywhere] == ["listed-1"]
    await asyncio.gather(*(one.delete() for one in made))


async def test_it_discovers_every_resource_and_makes_classes_for_them(widgets: kr8s.asyncio.Api):
    resources = {(one["version"], one["name"]) for one in await widgets.async_api_resources_uncached()}
    assert {
        ("v1", "configmaps"),
        ("rbac.authorization.k8s.io/v1", "roles"),
        (f"{GROUP_NAME}/v1", "widgets"),
    } <= resources
    versions = [version async for version in widgets.api_versions()]
    assert versions[0] == "v1"
    assert f"{GROUP_NAME}/v1" in versions
    assert await widgets.lookup_kind(f"widget.{GROUP_NAME}") == (f"widget.{GROUP_NAME}/v1", "widgets", True)


async def test_a_crd_and_its_objects_live_through_a_class_made_for_them(widgets: kr8s.asyncio.Api):
    body = widget("one", color="red")
    one = await Widget({**body, "metadata": {"name": "one", "namespace": "default"}}, api=widgets)
    await one.create()
    assert dict(one.spec) == {"color": "red", "size": 1}
    await one.patch({"status": {"phase": "Done"}}, subresource="status")
    await one.wait("jsonpath='{.status.phase}'=Done", timeout=5)
    await one.scale(3)
    assert one.replicas == 3
    with pytest.raises(kr8s.ServerError, match=r"spec\.color") as refused:
        await one.patch({"spec": {"color": "pink"}})
    assert refused.value.response.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert [item.name async for item in widgets.get(WIDGETS)] == ["one"]
    await one.delete()
    await one.wait("delete", timeout=10)


async def test_a_watch_resumes_after_its_connection_broke_without_gap_or_double(
    server: Server, workspace: Workspace, api: kr8s.asyncio.Api, tmp_path: Path
):
    with fragile_port(server.port) as port:
        async with open_api(workspace_at(server, workspace.path, tmp_path, port.port)) as through:
            async with through.call_api("GET", version="v1", url="configmaps", namespace="default") as listed:
                since = listed.json()["metadata"]["resourceVersion"]
            seen = []
            for number in range(4):
                await (await config_map(api, f"broken-{number}")).create()
                watch = through.watch("configmaps", namespace="default", since=since)
                event, obj = await anext(watch)
                seen.append((event, obj.name))
                since = obj.metadata.resourceVersion
                port.cut()
                with pytest.raises((httpx.TransportError, StopAsyncIteration)):
                    await anext(watch)
                await watch.aclose()
            assert port.accepted >= 4
    assert seen == [("ADDED", f"broken-{number}") for number in range(4)]
    for number in range(4):
        await (await config_map(api, f"broken-{number}")).delete()


async def test_a_projected_resource_is_listed_read_and_watched_and_refuses_writes(server: Server, shared: Shared):
    async with open_api(shared.consumer) as api:
        assert [item.name async for item in api.get("cpuflavors.cloud.example.com")] == shared.names
        one = await Flavor.get("cpu-small", api=api)
        assert one.spec.cores == 2
        with server.client() as provider:
            patched = provider.patch(
                f"{shared.originals}/cpu-small",
                json={"metadata": {"labels": {"seen": "yes"}}},
                headers={"Content-Type": "application/merge-patch+json"},
            )
            assert patched.is_success
        event, obj = await anext(one.watch())
        assert (event, obj.labels["seen"]) == ("MODIFIED", "yes")
        mine: dict[str, Any] = {"metadata": {"name": "mine"}, "spec": {"cores": 4}}
        new = await Flavor(mine, api=api)
        json_patch = [{"op": "replace", "path": "/spec/cores", "value": 4}]
        for write in (
            new.create(),
            one.patch({"spec": {"cores": 4}}),
            one.patch(json_patch, type="json"),
            one.label(mine="yes"),
            one.delete(),
        ):
            with pytest.raises(kr8s.ServerError, match="read-only") as refused:
                await write
            assert refused.value.response.status_code == httpx.codes.METHOD_NOT_ALLOWED
