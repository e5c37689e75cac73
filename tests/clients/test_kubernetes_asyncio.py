"""kubernetes_asyncio, unmodified: typed APIs, custom objects, the dynamic client, and watches that go on."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from client_world import GROUP_NAME, WIDGETS, Shared, Workspace, widget, widgets_crd, workspace_at
from fragile_port import fragile_port
from kubernetes_asyncio import client, config, watch
from kubernetes_asyncio.client.exceptions import ApiException
from kubernetes_asyncio.dynamic import DynamicClient
from real_server import Server

FLAVORS = ("cloud.example.com", "v1", "cpuflavors")
JSON_PATCH, MERGE_PATCH = "application/json-patch+json", "application/merge-patch+json"
STRATEGIC, APPLY = "application/strategic-merge-patch+json", "application/apply-patch+yaml"


async def api_client(workspace: Workspace) -> client.ApiClient:
    configuration = client.Configuration()
    await config.load_kube_config(str(workspace.kubeconfig), client_configuration=configuration)
    return client.ApiClient(configuration)


@pytest.fixture
async def api(workspace: Workspace) -> AsyncIterator[client.ApiClient]:
    async with await api_client(workspace) as found:
        yield found


@pytest.fixture
async def core(api: client.ApiClient) -> client.CoreV1Api:
    return client.CoreV1Api(api)


@pytest.fixture
async def custom(api: client.ApiClient) -> client.CustomObjectsApi:
    extensions = client.ApiextensionsV1Api(api)
    try:
        await extensions.create_custom_resource_definition(widgets_crd())
    except ApiException as error:
        if error.status != 409:
            raise
    async with watch.Watch() as events:
        by_name = {"field_selector": f"metadata.name={WIDGETS}", "timeout_seconds": 10}
        async for event in events.stream(extensions.list_custom_resource_definition, **by_name):
            conditions = event["object"].status.conditions or []
            if any(one.type == "Established" and one.status == "True" for one in conditions):
                break
    return client.CustomObjectsApi(api)


def config_map(name: str, **data: str) -> client.V1ConfigMap:
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name, labels={"of": "asyncio"}), data=data)


async def test_a_config_map_is_created_read_replaced_and_deleted(core: client.CoreV1Api):
    made = await core.create_namespaced_config_map("default", config_map("settings", color="red"))
    assert made.metadata.uid
    made.data["color"] = "blue"
    replaced = await core.replace_namespaced_config_map("settings", "default", made)
    assert int(replaced.metadata.resource_version) > int(made.metadata.resource_version)
    read = await core.read_namespaced_config_map("settings", "default")
    assert (read.data, read.metadata.uid) == ({"color": "blue"}, made.metadata.uid)
    with pytest.raises(ApiException) as stale:
        await core.replace_namespaced_config_map("settings", "default", made)
    assert (stale.value.status, stale.value.reason) == (409, "Conflict")
    await core.delete_namespaced_config_map("settings", "default")
    with pytest.raises(ApiException) as gone:
        await core.read_namespaced_config_map("settings", "default")
    assert gone.value.status == 404
    assert '"reason":"NotFound"' in gone.value.body


async def test_a_secret_keeps_its_bytes_and_its_type(core: client.CoreV1Api):
    body = client.V1Secret(metadata=client.V1ObjectMeta(name="key"), string_data={"token": "s3cret"}, type="test/token")
    made = await core.create_namespaced_secret("default", body)
    assert base64.b64decode(made.data["token"]) == b"s3cret"
    assert (made.type, made.string_data) == ("test/token", None)
    with pytest.raises(ApiException) as refused:
        await core.patch_namespaced_secret("key", "default", {"type": "Opaque"})
    assert refused.value.status == 422
    assert (await core.delete_namespaced_secret("key", "default")).status == "Success"


async def test_a_namespace_goes_with_what_is_in_it(core: client.CoreV1Api):
    await core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name="short-lived")))
    await core.create_namespaced_config_map("short-lived", config_map("inside"))
    async with watch.Watch() as events:
        version = (await core.list_namespace()).metadata.resource_version
        await core.delete_namespace("short-lived")
        seen = []
        stream = events.stream(core.list_namespace, resource_version=version, timeout_seconds=20)
        async for event in stream:
            if event["object"].metadata.name == "short-lived":
                seen.append((event["type"], event["object"].status.phase))
                if event["type"] == "DELETED":
                    break
    assert seen[0] == ("MODIFIED", "Terminating")
    assert seen[-1][0] == "DELETED"
    with pytest.raises(ApiException) as gone:
        await core.read_namespaced_config_map("inside", "short-lived")
    assert gone.value.status == 404


async def test_every_kind_of_patch_that_it_offers_is_understood(core: client.CoreV1Api):
    await core.create_namespaced_config_map("default", config_map("patched", kept="yes", dropped="yes"))

    async def patch(body: Any, content_type: str, **query: Any) -> dict[str, str]:
        options = {"_content_type": content_type, **query}
        found = await core.patch_namespaced_config_map("patched", "default", body, **options)
        return dict(found.data)

    assert await patch([{"op": "add", "path": "/data/json", "value": "1"}], JSON_PATCH) == {
        "kept": "yes",
        "dropped": "yes",
        "json": "1",
    }
    assert await patch({"data": {"dropped": None, "merge": "2"}}, MERGE_PATCH) == {
        "kept": "yes",
        "json": "1",
        "merge": "2",
    }
    assert (await patch({"data": {"strategic": "3", "json": None}}, STRATEGIC))["strategic"] == "3"
    applied = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "patched"}, "data": {"applied": "4"}}
    assert await patch(applied, APPLY, field_manager="asyncio") == {
        "kept": "yes",
        "merge": "2",
        "strategic": "3",
        "applied": "4",
    }
    with pytest.raises(ApiException) as refused:
        await patch([{"op": "test", "path": "/data/kept", "value": "no"}], JSON_PATCH)
    assert refused.value.status == 422


async def test_an_apply_owns_fields_and_conflicts_over_them(core: client.CoreV1Api):
    async def apply(manager: str, color: str, **query: Any) -> client.V1ConfigMap:
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owned"}, "data": {"color": color}}
        options = {"_content_type": APPLY, "field_manager": manager, **query}
        return await core.patch_namespaced_config_map("owned", "default", body, **options)

    await apply("one", "red")
    with pytest.raises(ApiException) as conflict:
        await apply("two", "blue")
    assert conflict.value.status == 409
    assert 'conflict with \\"one\\"' in conflict.value.body
    assert ".data.color" in conflict.value.body
    forced = await apply("two", "blue", force=True)
    assert forced.data == {"color": "blue"}
    assert [entry.manager for entry in forced.metadata.managed_fields] == ["two"]


async def test_a_long_list_comes_in_pages_that_add_up(core: client.CoreV1Api):
    names = [f"page-{number:02}" for number in range(23)]
    for name in names:
        await core.create_namespaced_config_map("default", config_map(name))
    found, left, token = [], [], None
    while token != "":
        page = await core.list_namespaced_config_map(
            "default", label_selector="of=asyncio", limit=5, _continue=token or None
        )
        found += [item.metadata.name for item in page.items if item.metadata.name.startswith("page-")]
        left.append(page.metadata.remaining_item_count)
        token = page.metadata._continue or ""
    assert found == names
    assert left[-1] is None
    await core.delete_collection_namespaced_config_map("default", label_selector="of=asyncio")
    assert (await core.list_namespaced_config_map("default", label_selector="of=asyncio")).items == []


async def test_a_watch_resumes_after_its_connection_broke_without_gap_or_double(
    server: Server, workspace: Workspace, tmp_path: Path
):
    with fragile_port(server.port) as port:
        async with await api_client(workspace_at(server, workspace.path, tmp_path, port.port)) as through:
            core = client.CoreV1Api(through)
            await core.create_namespaced_config_map("default", config_map("before"))
            version = (await core.list_namespaced_config_map("default")).metadata.resource_version
            seen: list[tuple[str, str]] = []
            async with await api_client(workspace) as direct:
                writer = client.CoreV1Api(direct)
                for number in range(4):
                    await writer.create_namespaced_config_map("default", config_map(f"after-{number}"))
                    async with watch.Watch() as events:
                        stream = events.stream(
                            core.list_namespaced_config_map, "default", resource_version=version, timeout_seconds=20
                        )
                        event = await anext(stream)
                        seen.append((event["type"], event["object"].metadata.name))
                        version = events.resource_version
                        port.cut()
                        with pytest.raises(aiohttp.ClientError):
                            await anext(stream)
            assert seen == [("ADDED", f"after-{number}") for number in range(4)]
            assert port.accepted == 4


async def test_a_crd_and_its_objects_live_through_the_custom_objects_api(
    custom: client.CustomObjectsApi, api: client.ApiClient
):
    where = (GROUP_NAME, "v1", "default", "widgets")
    made = await custom.create_namespaced_custom_object(*where, widget("one", color="red"))
    assert made["spec"] == {"color": "red", "size": 1}
    with pytest.raises(ApiException) as refused:
        await custom.create_namespaced_custom_object(*where, widget("bad", color="pink"))
    assert refused.value.status == 422
    assert "spec.color" in refused.value.body
    made["spec"]["size"] = 5
    replaced = await custom.replace_namespaced_custom_object(*where, "one", made)
    assert replaced["metadata"]["generation"] == 2
    status = await custom.patch_namespaced_custom_object_status(
        *where, "one", {"status": {"phase": "Done"}}, _content_type=MERGE_PATCH
    )
    assert (status["status"], status["metadata"]["generation"]) == ({"phase": "Done"}, 2)
    scale = await custom.patch_namespaced_custom_object_scale(
        *where, "one", {"spec": {"replicas": 3}}, _content_type=MERGE_PATCH
    )
    assert (scale["kind"], scale["spec"]) == ("Scale", {"replicas": 3})
    moved = await custom.patch_namespaced_custom_object(
        *where, "one", [{"op": "replace", "path": "/spec/color", "value": "blue"}], _content_type=JSON_PATCH
    )
    assert moved["spec"] == {"color": "blue", "size": 5, "replicas": 3}
    with pytest.raises(ApiException) as unsupported:
        await custom.patch_namespaced_custom_object(*where, "one", {"spec": {"size": 2}}, _content_type=STRATEGIC)
    assert unsupported.value.status == 415
    assert [item["metadata"]["name"] for item in (await custom.list_namespaced_custom_object(*where))["items"]] == [
        "one"
    ]
    await custom.delete_namespaced_custom_object(*where, "one")
    assert (await custom.list_namespaced_custom_object(*where))["items"] == []
    await client.ApiextensionsV1Api(api).delete_custom_resource_definition(WIDGETS)


async def test_the_dynamic_client_discovers_and_uses_what_a_workspace_serves(
    custom: client.CustomObjectsApi, api: client.ApiClient, tmp_path: Path
):
    dynamic = await DynamicClient(api, cache_file=str(tmp_path / "discovery.json"))
    maps = await dynamic.resources.get(api_version="v1", kind="ConfigMap")
    widgets = await dynamic.resources.get(api_version=f"{GROUP_NAME}/v1", kind="Widget")
    assert (maps.namespaced, widgets.name, sorted(widgets.verbs)) == (True, "widgets", sorted(maps.verbs))
    made = await dynamic.create(widgets, widget("dynamic", size=2), namespace="default")
    assert made.spec.size == 2
    applied = await dynamic.server_side_apply(
        widgets, widget("dynamic", color="green"), namespace="default", field_manager="dynamic"
    )
    assert applied.spec.to_dict() == {"size": 2, "color": "green"}
    patched = await dynamic.patch(
        widgets, {"spec": {"size": 3}}, name="dynamic", namespace="default", content_type=MERGE_PATCH
    )
    assert patched.spec.size == 3
    async with watch.Watch() as watcher:
        async for event in dynamic.watch(widgets, namespace="default", name="dynamic", timeout=5, watcher=watcher):
            assert (event["type"], event["object"].spec.color) == ("ADDED", "green")
            break
    await dynamic.delete(widgets, name="dynamic", namespace="default")
    assert (await dynamic.get(widgets, namespace="default")).items == []


async def test_a_projected_resource_is_listed_read_and_watched_and_refuses_writes(server: Server, shared: Shared):
    async with await api_client(shared.consumer) as api:
        custom = client.CustomObjectsApi(api)
        listed = await custom.list_cluster_custom_object(*FLAVORS)
        assert [item["metadata"]["name"] for item in listed["items"]] == shared.names
        one = await custom.get_cluster_custom_object(*FLAVORS, "cpu-small")
        assert one["spec"]["cores"] == 2
        version = listed["metadata"]["resourceVersion"]
        with server.client() as provider:
            patch = provider.patch(
                f"{shared.originals}/cpu-small",
                json={"metadata": {"labels": {"seen": "yes"}}},
                headers={"Content-Type": MERGE_PATCH},
            )
            assert patch.is_success
        async with watch.Watch() as events:
            stream = events.stream(
                custom.list_cluster_custom_object, *FLAVORS, resource_version=version, timeout_seconds=10
            )
            event = await anext(stream)
        assert (event["type"], event["object"]["metadata"]["labels"]["seen"]) == ("MODIFIED", "yes")
        merge = {"_content_type": MERGE_PATCH}
        for write in (
            custom.create_cluster_custom_object(*FLAVORS, {**one, "metadata": {"name": "mine"}}),
            custom.replace_cluster_custom_object(*FLAVORS, "cpu-small", one),
            custom.patch_cluster_custom_object(*FLAVORS, "cpu-small", {"spec": {"cores": 4}}, **merge),
            custom.delete_cluster_custom_object(*FLAVORS, "cpu-small"),
            custom.delete_collection_cluster_custom_object(*FLAVORS),
        ):
            with pytest.raises(ApiException) as refused:
                await write
            assert refused.value.status == 405
            assert "read-only" in refused.value.body
