"""kill -9 in the middle of the story: all that was acknowledged is there again, and watches go on where they were."""

import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from cloud_co import CPU, EXAMPLE, GROUP, MEM, bind_catalogue, share_catalogue
from real_kubectl import Kubectl, kubectl_binary
from real_server import Server, eventually, start_server

PROVIDER, CONSUMER = "root:provider", "root:consumer"
ORIGINALS, COPIES = f"/clusters/{PROVIDER}{GROUP}/memflavors", f"/clusters/{CONSUMER}{GROUP}/memflavors"
BURST = [f"mem-{number:03}" for number in range(40)]
KINDS = ("workspaces", "apiexports", "apiresourceschemas", "cachedresources", "cachedresourceendpointslices", "crd")


class Story(NamedTuple):
    """What was seen before the process was killed, and the process that followed it."""

    server: Server
    kubectl: Kubectl
    before: dict[str, Any]
    last_seen: str
    missed: list[tuple[str, str]]
    acknowledged: dict[str, int]


def memflavor(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "cloud.example.com/v1",
        "kind": "MemFlavor",
        "metadata": {"name": name, "labels": {"cloud.example.com/visibility": "Public"}},
        "spec": {"size": "1Gi"},
    }


def everything(kubectl: Kubectl) -> dict[str, Any]:
    """All objects of the story, as kubectl shows them: by workspace and by name."""
    where = (("root", "workspaces"), (PROVIDER, ",".join(KINDS[1:])), (PROVIDER, "memflavors,cpuflavors"))
    where += ((CONSUMER, "apibindings"), (CONSUMER, "cpuflavors,memflavors,instances"))
    return {f"{workspace} {kinds}": kubectl.json(workspace, kinds)["items"] for workspace, kinds in where}


def version_of(http: httpx.Client, path: str) -> str:
    return str(http.get(path).json()["metadata"]["resourceVersion"])


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    binary, home = kubectl_binary(), tmp_path_factory.mktemp("server")
    with start_server(home / "root") as server:
        kubectl = Kubectl(binary, server, home / "kubectl")
        kubectl.workspaces("provider", "consumer")
        share_catalogue(kubectl, PROVIDER)
        bind_catalogue(kubectl, CONSUMER, PROVIDER)
        kubectl(CONSUMER, "apply", "-f", EXAMPLE / "consumer" / "02-web-instance.yaml")
        before = everything(kubectl)
        last_seen, missed = change_flavors(server)
        acknowledged = write_until_killed(server)
    with start_server(home / "root", port=server.port) as server:
        yield Story(server, Kubectl(binary, server, home / "kubectl"), before, last_seen, missed, acknowledged)


def change_flavors(server: Server) -> tuple[str, list[tuple[str, str]]]:
    """Changes of which a consumer sees only the first: the version of that one, and the events that it missed."""
    with server.client() as http, server.watch(COPIES, version_of(http, COPIES)) as watch:
        patch = {"headers": {"Content-Type": "application/merge-patch+json"}}
        assert http.post(ORIGINALS, json=memflavor("mem-seen")).is_success
        _, obj, _ = watch.next()
        last_seen = obj["metadata"]["resourceVersion"]
        assert obj["metadata"]["name"] == "mem-seen"
        for step in (
            http.patch(f"{ORIGINALS}/mem-seen", json={"spec": {"size": "2Gi"}}, **patch),
            http.post(ORIGINALS, json=memflavor("mem-new")),
            http.delete(f"{ORIGINALS}/mem-seen"),
        ):
            assert step.is_success, step.text
            watch.next()
    return last_seen, [("MODIFIED", "mem-seen"), ("ADDED", "mem-new"), ("DELETED", "mem-seen")]


def write_until_killed(server: Server) -> dict[str, int]:
    """Create flavors one after the other and kill the process between two of them: their versions by name."""
    acknowledged = {}
    with server.client() as http:
        for name in BURST:
            response = http.post(ORIGINALS, json=memflavor(name))
            assert response.is_success, response.text
            acknowledged[name] = int(response.json()["metadata"]["resourceVersion"])
    server.kill()
    return acknowledged


def test_everything_is_there_as_it_was(story: Story):
    new = {"mem-new", *BURST}
    after = everything(story.kubectl)
    for where, items in after.items():
        kept = [item for item in items if item["metadata"]["name"] not in new]
        assert [settled(item) for item in kept] == [settled(item) for item in story.before[where]], where


def settled(item: dict[str, Any]) -> str:
    """An object but for what counts on: how many copies there are, and the version that goes with it."""
    metadata = {key: value for key, value in item["metadata"].items() if key != "resourceVersion"}
    status = {key: value for key, value in item.get("status", {}).items() if key != "resourceCounts"}
    counted = item["kind"] == "CachedResource"
    return json.dumps({**item, "metadata": metadata, "status": status} if counted else item, sort_keys=True)


def test_every_acknowledged_write_is_there_with_its_version_and_its_copy(story: Story):
    with story.server.client() as http:
        stored = {
            item["metadata"]["name"]: int(item["metadata"]["resourceVersion"])
            for item in http.get(ORIGINALS).json()["items"]
        }
        assert {name: stored.get(name) for name in BURST} == story.acknowledged
        names = sorted(["mem-large", "mem-medium", "mem-new", *BURST])
        assert eventually(lambda: [item["metadata"]["name"] for item in http.get(COPIES).json()["items"]] == names)


def test_the_counts_are_right_again(story: Story):
    def counts(name: str) -> dict[str, int]:
        found: dict[str, int] = story.kubectl.json(PROVIDER, "cachedresource", name)["status"]["resourceCounts"]
        return found

    many = 3 + len(BURST)
    eventually(lambda: counts(MEM) == {"local": many, "cache": many})
    assert counts(CPU) == {"local": 3, "cache": 3}


def test_a_watch_resumes_where_it_was_and_gets_exactly_what_it_missed(story: Story):
    with story.server.watch(COPIES, story.last_seen) as watch:
        assert watch.names(len(story.missed)) == story.missed
        assert sorted(watch.names(len(BURST))) == [("ADDED", name) for name in BURST]
        story.kubectl(PROVIDER, "delete", "memflavor", "mem-new")
        kind, obj, _ = watch.next()
        assert (kind, obj["metadata"]["name"]) == ("DELETED", "mem-new")


def test_versions_go_on_above_those_before(story: Story):
    with story.server.client() as http:
        response = http.post(ORIGINALS, json=memflavor("mem-last"))
        assert int(response.json()["metadata"]["resourceVersion"]) > max(story.acknowledged.values())


def test_it_survives_being_killed_while_many_write_at_once(tmp_path: Path):
    """The process dies at a moment that nobody chose; what it had acknowledged by then is there."""
    path = "/api/v1/namespaces/default/configmaps"
    acknowledged: list[str] = []
    with start_server(tmp_path / "root") as server, ExitStack() as stack:
        clients = [stack.enter_context(server.client()) for _ in range(4)]

        def write(writer: int, http: httpx.Client) -> None:
            for number in range(10_000):
                name = f"writer-{writer}-{number}"
                try:
                    response = http.post(path, json={"metadata": {"name": name}})
                except httpx.HTTPError:
                    return
                if response.is_success:
                    acknowledged.append(name)

        threads = [threading.Thread(target=write, args=pair) for pair in enumerate(clients)]
        for thread in threads:
            thread.start()
        eventually(lambda: len(acknowledged) > 100)
        server.kill()
        for thread in threads:
            thread.join()
    with start_server(tmp_path / "root") as server, server.client() as http:
        stored = {item["metadata"]["name"] for item in http.get(path).json()["items"]}
    assert set(acknowledged) <= stored
    assert len(stored) <= len(acknowledged) + len(clients)


def test_published_urls_follow_the_server_to_another_port(tmp_path: Path):
    def published(http: httpx.Client) -> set[str]:
        """The servers that workspaces, logical clusters, shards and endpoint slices point at."""
        paths = ("tenancy.kcp.io/v1alpha1/workspaces", "core.kcp.io/v1alpha1/logicalclusters")
        paths += ("core.kcp.io/v1alpha1/shards", "apis.kcp.io/v1alpha1/apiexportendpointslices")
        text = "".join(http.get(f"/clusters/root/apis/{path}").text for path in paths)
        return set(re.findall(r"https://[0-9.]+:[0-9]+", text))

    with start_server(tmp_path / "root") as server, server.client() as http:
        first = server.url
        eventually(lambda: published(http) == {first})
    with socket.create_server(("127.0.0.1", server.port)), start_server(tmp_path / "root") as server:
        assert server.url != first
        with server.client() as http:
            eventually(lambda: published(http) == {server.url})
