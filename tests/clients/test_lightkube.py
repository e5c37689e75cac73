"""lightkube, unmodified: its models and generic resources, every patch it knows, apply, and a watch that retries."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightkube
import pytest
from client_world import GROUP_NAME, WIDGETS, Shared, Workspace, widget, widgets_crd, workspace_at
from fragile_port import FragilePort, fragile_port
from lightkube import ApiError, KubeConfig
from lightkube.core.exceptions import ObjectDeleted
from lightkube.generic_resource import (
    create_global_resource,
    create_namespaced_resource,
    load_in_cluster_generic_resources,
)
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apiextensions_v1 import CustomResourceDefinition
from lightkube.resources.core_v1 import ConfigMap, Namespace, Secret
from lightkube.types import CascadeType, OnErrorAction, OnErrorResult, PatchType
from real_server import Server

Widget = create_namespaced_resource(GROUP_NAME, "v1", "Widget", "widgets")
Flavor = create_global_resource("cloud.example.com", "v1", "CPUFlavor", "cpuflavors")


def open_client(workspace: Workspace, field_manager: str | None = "lightkube") -> lightkube.Client:
    kubeconfig = KubeConfig.from_file(workspace.kubeconfig)
    return lightkube.Client(config=kubeconfig, field_manager=field_manager, trust_env=False)


@pytest.fixture
def client(workspace: Workspace) -> Iterator[lightkube.Client]:
    with open_client(workspace) as found:
        yield found


@pytest.fixture
def widgets(client: lightkube.Client) -> lightkube.Client:
    """The client, where the CRD is established."""
    client.apply(CustomResourceDefinition.from_dict(widgets_crd()), force=True)
    client.wait(CustomResourceDefinition, WIDGETS, for_conditions=["Established"])
    return client


def config_map(name: str, **data: str) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace="default", labels={"of": "lightkube"}), data=data)


def refused(error: pytest.ExceptionInfo[ApiError]) -> tuple[int | None, str | None]:
    """The code and reason that a refusal carries."""
    return error.value.status.code, error.value.status.reason


def test_a_config_map_is_created_read_replaced_and_deleted(client: lightkube.Client):
    made = client.create(config_map("settings", color="red"))
    changed = client.replace(ConfigMap(metadata=made.metadata, data={"color": "blue"}))
    assert int(changed.metadata.resourceVersion) > int(made.metadata.resourceVersion)
    assert client.get(ConfigMap, "settings", namespace="default").data == {"color": "blue"}
    with pytest.raises(ApiError) as stale:
        client.replace(ConfigMap(metadata=made.metadata, data={}))
    assert refused(stale) == (409, "Conflict")
    with pytest.raises(ApiError) as twice:
        client.create(config_map("settings"))
    assert refused(twice) == (409, "AlreadyExists")
    client.delete(ConfigMap, "settings", namespace="default")
    with pytest.raises(ApiError) as gone:
        client.get(ConfigMap, "settings", namespace="default")
    assert refused(gone) == (404, "NotFound")


def test_a_secret_keeps_its_bytes(client: lightkube.Client):
    body = Secret(metadata=ObjectMeta(name="key", namespace="default"), stringData={"token": "s3cret"})
    made = client.create(body)
    assert (made.type, made.stringData) == ("Opaque", None)
    assert base64.b64decode(made.data["token"]) == b"s3cret"
    client.delete(Secret, "key", namespace="default")


def test_a_namespace_goes_with_what_is_in_it(client: lightkube.Client):
    client.create(Namespace(metadata=ObjectMeta(name="short-lived")))
    inside = config_map("inside")
    inside.metadata.namespace = "short-lived"
    client.create(inside)
    version = client.get(Namespace, "short-lived").metadata.resourceVersion
    client.delete(Namespace, "short-lived", cascade=CascadeType.BACKGROUND)
    for event, _ in client.watch(
        Namespace, fields={"metadata.name": "short-lived"}, resource_version=version, server_timeout=15
    ):
        if event == "DELETED":
            break
    with pytest.raises(ApiError) as gone:
        client.get(ConfigMap, "inside", namespace="short-lived")
    assert refused(gone) == (404, "NotFound")


def test_every_kind_of_patch_that_it_offers_is_understood(client: lightkube.Client):
    client.create(config_map("patched", kept="yes", dropped="yes"))

    def patch(body: Any, kind: PatchType) -> dict[str, str]:
        found = client.patch(ConfigMap, "patched", body, namespace="default", patch_type=kind)
        return dict(found.data)

    assert patch([{"op": "remove", "path": "/data/dropped"}], PatchType.JSON) == {"kept": "yes"}
    assert patch({"data": {"merge": "2"}}, PatchType.MERGE) == {"kept": "yes", "merge": "2"}
    assert patch({"data": {"merge": None, "s": "3"}}, PatchType.STRATEGIC) == {"kept": "yes", "s": "3"}
    applied = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"applied": "4"}}
    assert patch(applied, PatchType.APPLY) == {"kept": "yes", "s": "3", "applied": "4"}
    client.delete(ConfigMap, "patched", namespace="default")


def test_labels_and_annotations_are_set_and_removed(client: lightkube.Client):
    client.create(config_map("labelled"))
    client.set(
        ConfigMap, "labelled", namespace="default", labels={"new": "yes", "of": None}, annotations={"why": "test"}
    )
    meta = client.get(ConfigMap, "labelled", namespace="default").metadata
    assert (meta.labels, meta.annotations["why"]) == ({"new": "yes"}, "test")
    client.delete(ConfigMap, "labelled", namespace="default")


def test_an_apply_owns_fields_and_conflicts_over_them(client: lightkube.Client):
    def owned(color: str) -> ConfigMap:
        # An apply may not carry a version or managedFields, so each is made anew.
        return config_map("owned", color=color)

    client.apply(owned("red"), field_manager="one")
    with pytest.raises(ApiError) as conflict:
        client.apply(owned("blue"), field_manager="two")
    assert refused(conflict) == (409, "Conflict")
    assert 'conflict with "one"' in str(conflict.value)
    forced = client.apply(owned("blue"), field_manager="two", force=True)
    assert forced.data == {"color": "blue"}
    client.delete(ConfigMap, "owned", namespace="default")


def test_a_list_in_chunks_is_the_whole_list(client: lightkube.Client):
    names = [f"chunk-{number:02}" for number in range(17)]
    for name in names:
        client.create(config_map(name))
    listed = client.list(ConfigMap, namespace="default", labels={"of": "lightkube"}, chunk_size=4)
    assert [item.metadata.name for item in listed] == names
    assert int(listed.resourceVersion) > 0
    client.deletecollection(ConfigMap, namespace="default")
    assert list(client.list(ConfigMap, namespace="default", labels={"of": "lightkube"})) == []


def test_its_watch_retries_after_broken_connections_without_gap_or_double(
    server: Server, workspace: Workspace, client: lightkube.Client, tmp_path: Path
):
    def names(port: FragilePort, through: lightkube.Client, count: int) -> Iterator[tuple[str, str]]:
        retry = OnErrorResult(OnErrorAction.RETRY)
        listed = through.list(ConfigMap, namespace="default")
        assert "broken-0" not in [item.metadata.name for item in listed]
        version = listed.resourceVersion
        client.create(config_map("broken-0"))
        watch = through.watch(
            ConfigMap, namespace="default", resource_version=version, server_timeout=20, on_error=lambda *_: retry
        )
        for number in range(1, count + 1):
            event, obj = next(watch)
            yield event, obj.metadata.name
            if number % 2:
                port.cut()
            client.create(config_map(f"broken-{number}"))

    with fragile_port(server.port) as port:
        with open_client(workspace_at(server, workspace.path, tmp_path, port.port)) as through:
            seen = list(names(port, through, 8))
        assert port.accepted >= 4
    assert seen == [("ADDED", f"broken-{number}") for number in range(8)]
    client.deletecollection(ConfigMap, namespace="default")


def test_a_crd_and_its_objects_live_through_generic_resources(widgets: lightkube.Client):
    made = widgets.create(Widget.from_dict(widget("one", color="red")), namespace="default")
    assert made["spec"] == {"color": "red", "size": 1}
    with pytest.raises(ApiError) as bad:
        widgets.create(Widget.from_dict(widget("bad", color="pink")), namespace="default")
    assert refused(bad) == (422, "Invalid")
    assert bad.value.status.details.causes[0].field == "spec.color"
    status = {**widget("one"), "status": {"phase": "Done"}}
    applied = widgets.apply(Widget.Status.from_dict(status), namespace="default", force=True)
    assert applied.status == {"phase": "Done"}
    scale = widgets.get(Widget.Scale, "one", namespace="default")
    scale.spec.replicas = 3
    assert widgets.replace(scale, name="one", namespace="default").spec.replicas == 3
    moved = widgets.patch(Widget, "one", {"spec": {"color": "blue"}}, namespace="default", patch_type=PatchType.MERGE)
    assert moved["spec"] == {"color": "blue", "size": 1, "replicas": 3}
    with pytest.raises(ApiError) as unsupported:
        widgets.patch(Widget, "one", {"spec": {"size": 2}}, namespace="default", patch_type=PatchType.STRATEGIC)
    assert refused(unsupported) == (415, "UnsupportedMediaType")
    widgets.delete(Widget, "one", namespace="default")
    assert list(widgets.list(Widget, namespace="default")) == []


def test_a_wait_that_a_deletion_makes_pointless_ends(widgets: lightkube.Client, monkeypatch: pytest.MonkeyPatch):
    name = f"gadgets.{GROUP_NAME}"
    widgets.create(CustomResourceDefinition.from_dict(widgets_crd("gadgets")))
    widgets.wait(CustomResourceDefinition, name, for_conditions=["NamesAccepted", "Established"])
    watch, deleted = widgets.watch, []

    def watch_and_delete(*args: Any, **kwargs: Any) -> Iterator[Any]:
        # What is gone before the watch begins is never told of, so that it goes after the first event.
        for event in watch(*args, **kwargs):
            if not deleted:
                deleted.append(widgets.delete(CustomResourceDefinition, name))
            yield event

    monkeypatch.setattr(widgets, "watch", watch_and_delete)
    with pytest.raises(ObjectDeleted):
        widgets.wait(CustomResourceDefinition, name, for_conditions=["Impossible"])
    assert len(deleted) == 1


def test_it_learns_generic_resources_from_the_crds_of_a_workspace(widgets: lightkube.Client):
    load_in_cluster_generic_resources(widgets)
    found = lightkube.generic_resource.get_generic_resource(f"{GROUP_NAME}/v1", "Widget")
    assert found is not None
    assert found._api_info.plural == "widgets"


def test_a_projected_resource_is_listed_read_and_watched_and_refuses_writes(server: Server, shared: Shared):
    with open_client(shared.consumer) as client:
        listed = client.list(Flavor, chunk_size=2)
        assert [item.metadata.name for item in listed] == shared.names
        one = client.get(Flavor, "cpu-small")
        assert one["spec"]["cores"] == 2
        with server.client() as provider:
            patched = provider.patch(
                f"{shared.originals}/cpu-small",
                json={"metadata": {"labels": {"seen": "yes"}}},
                headers={"Content-Type": PatchType.MERGE.value},
            )
            assert patched.is_success
        event, obj = next(client.watch(Flavor, resource_version=listed.resourceVersion, server_timeout=10))
        assert (event, obj.metadata.labels["seen"]) == ("MODIFIED", "yes")
        plain = Flavor.from_dict({"metadata": {"name": "cpu-small"}, "spec": {"cores": 4}})
        for write in (
            lambda: client.create(Flavor.from_dict({"metadata": {"name": "mine"}, "spec": {"cores": 4}})),
            lambda: client.replace(one),
            lambda: client.apply(plain, force=True),
            lambda: client.patch(Flavor, "cpu-small", {"spec": {"cores": 4}}, patch_type=PatchType.MERGE),
            lambda: client.delete(Flavor, "cpu-small"),
            lambda: client.deletecollection(Flavor),
        ):
            with pytest.raises(ApiError) as error:
                write()
            assert refused(error) == (405, "MethodNotAllowed")
            assert "read-only" in str(error.value)
