"""What goes when a CachedResource is deleted, also over a crash, and that nothing stays when its workspaces are."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from cloud_co import CPU, GROUP, MEM, bind_catalogue, share_catalogue
from real_kubectl import Kubectl, kubectl_binary
from real_server import Server, eventually, start_server
from stored_keys import stored_keys

PROVIDER, CONSUMERS = "root:provider", ("root:first", "root:second")
SCHEMAS = "/clusters/*/apis/apis.kcp.io/v1alpha1/apiresourceschemas"
CACHED_RESOURCES, WORKSPACES = "/apis/cache.kcp.io/v1alpha1/cachedresources", "/apis/tenancy.kcp.io/v1alpha1/workspaces"
CPU_FLAVORS, MEM_FLAVORS = ["cpu-large", "cpu-medium", "cpu-small"], ["mem-large", "mem-medium"]


class Story(NamedTuple):
    """Keys at each point of the story, and the logical clusters that are in it."""

    clusters: list[str]
    untouched: list[str]
    shared: list[str]
    without_cpu_flavors: list[str]
    without_workspaces: list[str]


def delete_cpu_flavors(server: Server, kubectl: Kubectl) -> None:
    """Both consumers watch the flavors go one by one, are told then whom to ask, and keep what else they bound."""
    first, second = (f"/clusters/{consumer}{GROUP}/cpuflavors" for consumer in CONSUMERS)
    with server.watch(first) as one, server.watch(second) as other, server.client() as http:
        for watch in (one, other):
            assert sorted(watch.names(3)) == [("ADDED", name) for name in CPU_FLAVORS]
        kubectl(PROVIDER, "delete", "cachedresource", CPU)
        for watch in (one, other):
            assert sorted(watch.names(3)) == [("DELETED", name) for name in CPU_FLAVORS]
        for path in (first, second):
            answer = eventually(lambda path=path: (found := http.get(path)).is_error and found)
            assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
            assert "APIExport root:provider:compute.cloud.example.com" in answer.json()["message"]
    for consumer in CONSUMERS:
        assert kubectl.names(consumer, "memflavors") == MEM_FLAVORS
    assert kubectl.names(PROVIDER, "cpuflavors") == CPU_FLAVORS
    assert CPU not in kubectl.names(PROVIDER, "cachedresources")
    eventually(lambda: CPU not in kubectl.names(PROVIDER, "cachedresourceendpointslices"))


def delete_workspaces(server: Server, kubectl: Kubectl, clusters: list[str]) -> None:
    """They are gone for who asks by path and, all but for system:masters, by name; others stay."""
    kubectl("root", "delete", "workspace", "provider", "first", "second", "--timeout=20s")
    assert kubectl.names("root", "workspaces") == []
    with server.client() as http:
        for cluster in (PROVIDER, *CONSUMERS, *clusters):
            assert http.get(f"/clusters/{cluster}/api/v1/namespaces").status_code == httpx.codes.FORBIDDEN
        assert http.get("/clusters/root/api/v1/namespaces").is_success
    with server.client("shard-admin") as http:
        eventually(lambda: "cloud.example.com" not in http.get(SCHEMAS).text)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    home: Path = tmp_path_factory.mktemp("server")
    binary, root_dir = kubectl_binary(), home / "root"
    with start_server(root_dir):
        pass
    untouched = stored_keys(root_dir)
    with start_server(root_dir) as server:
        kubectl = Kubectl(binary, server, home / "kubectl")
        kubectl.workspaces("provider", "first", "second")
        share_catalogue(kubectl, PROVIDER)
        for consumer in CONSUMERS:
            bind_catalogue(kubectl, consumer, PROVIDER)
        clusters = [item["spec"]["cluster"] for item in kubectl.json("root", "workspaces")["items"]]
    shared = stored_keys(root_dir)
    with start_server(root_dir) as server:
        delete_cpu_flavors(server, Kubectl(binary, server, home / "kubectl"))
    without_cpu_flavors = stored_keys(root_dir)
    with start_server(root_dir) as server:
        delete_workspaces(server, Kubectl(binary, server, home / "kubectl"), clusters)
    return Story(clusters, untouched, shared, without_cpu_flavors, stored_keys(root_dir))


def flavor(name: str) -> dict[str, Any]:
    meta = {"name": name, "labels": {"cloud.example.com/visibility": "Public"}}
    return {"apiVersion": "cloud.example.com/v1", "kind": "MemFlavor", "metadata": meta, "spec": {"size": "1Gi"}}


CACHED_RESOURCE, WORKSPACE = f"/clusters/{PROVIDER}{CACHED_RESOURCES}/{MEM}", f"/clusters/root{WORKSPACES}/provider"
GOING = (
    f"/clusters/{PROVIDER}/apis/apiextensions.k8s.io/v1/customresourcedefinitions/memflavors.cloud.example.com",
    f"/clusters/{PROVIDER}/api/v1/namespaces/kcp-system/secrets/{MEM}",
    f"/clusters/{PROVIDER}/api/v1/namespaces/kcp-system",
)
"""What a CachedResource depends on."""


@pytest.mark.parametrize(
    ("path", "going"),
    [(CACHED_RESOURCE, ()), (WORKSPACE, ()), (CACHED_RESOURCE, GOING)],
    ids=["a CachedResource", "its workspace", "a CachedResource after its CRD, Secret and namespace"],
)
def test_a_deletion_that_sigkill_interrupts_is_completed_by_the_next_start(
    tmp_path: Path, path: str, going: tuple[str, ...]
):
    for attempt in range(5):  # until the process was killed before it was all over
        root_dir = tmp_path / f"root-{attempt}"
        delete_and_kill(root_dir, (*going, path))
        if about(stored_keys(root_dir), "/memflavors:"):
            break
    else:
        pytest.fail("it was always all over before the process was killed")
    with start_server(root_dir) as server, server.client() as http:
        for url in (*going, path):
            eventually(lambda url=url: http.get(url).status_code == httpx.codes.NOT_FOUND)
    assert about(stored_keys(root_dir), "/memflavors:") == []


def delete_and_kill(root_dir: Path, urls: tuple[str, ...]) -> None:
    """Many flavors, these deletions, and SIGKILL as soon as they are acknowledged."""
    with start_server(root_dir) as server, ThreadPoolExecutor(16) as pool, server.client() as http:
        kubectl = Kubectl(kubectl_binary(), server, root_dir.with_suffix(".kubectl"))
        kubectl.workspaces("provider", "first")
        share_catalogue(kubectl, PROVIDER)
        bind_catalogue(kubectl, "root:first", PROVIDER)
        flavors = (flavor(f"m{number}") for number in range(300))
        made = pool.map(lambda body: http.post(f"/clusters/{PROVIDER}{GROUP}/memflavors", json=body), flavors)
        assert all(answer.is_success for answer in made)
        for url in urls:
            assert http.delete(url).is_success
        server.kill()


def about(keys: list[str], *words: str) -> list[str]:
    return [key for key in keys if any(word in key for word in words)]


def test_before_anything_is_deleted_both_stores_hold_originals_and_copies(story: Story):
    cached = about([key for key in story.shared if key.startswith("/cache/")], "/cpuflavors:", "/memflavors:")
    assert [key.rpartition("/")[2] for key in cached] == CPU_FLAVORS + MEM_FLAVORS
    assert len(story.clusters) == 3
    assert all(about(story.shared, cluster) for cluster in story.clusters)


def test_a_deleted_cached_resource_leaves_no_copy_no_slice_and_no_record_of_consumers(story: Story):
    gone = set(story.shared) - set(story.without_cpu_flavors)
    kinds = [key.removeprefix("/cache/root/").removeprefix("/registry/").split("/")[:3] for key in gone]
    records = [kind for kind in kinds if kind[2].startswith("consumers:")]
    copies = [kind for kind in kinds if kind[2].startswith("cpuflavors:")]
    ours = [kind[1] for kind in kinds if kind not in records and kind not in copies]
    assert (len(records), len(copies)) == (len(CONSUMERS), len(CPU_FLAVORS))
    assert sorted(ours) == ["cachedresourceendpointslices", "cachedresources"]


def test_a_deleted_cached_resource_leaves_its_originals_alone(story: Story):
    originals = about(story.shared, "/registry/cloud.example.com/")
    assert len(originals) == 6
    assert about(story.without_cpu_flavors, "/registry/cloud.example.com/") == originals


def test_deleted_workspaces_leave_no_key_in_either_store(story: Story):
    assert about(story.without_workspaces, *story.clusters) == []
    assert story.without_workspaces == story.untouched
