"""The product document's story, with identities that the server makes and a selector in the short form."""

import re
import time
from typing import Any

import httpx
import pytest
from cloud_co import CPU, EXAMPLE, GROUP, MEM, bind_catalogue, share_catalogue
from real_kubectl import Kubectl
from real_server import Server, eventually

PROVIDER, CONSUMER = "root:provider", "root:consumer"
PROMPT_SECONDS = 1.0
MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}


@pytest.fixture(scope="module")
def hashes(kubectl: Kubectl) -> dict[str, str]:
    kubectl.workspaces("provider", "consumer")
    found = share_catalogue(kubectl, PROVIDER)
    bind_catalogue(kubectl, CONSUMER, PROVIDER)
    return found


def memflavor(name: str, size: str, *, public: bool) -> dict[str, Any]:
    labels = {"cloud.example.com/visibility": "Public"} if public else {}
    return {
        "apiVersion": "cloud.example.com/v1",
        "kind": "MemFlavor",
        "metadata": {"name": name, "labels": labels},
        "spec": {"size": size},
    }


def test_the_server_makes_two_identities_and_keeps_their_keys_in_secrets(hashes: dict[str, str], kubectl: Kubectl):
    assert all(re.fullmatch("[0-9a-f]{64}", found) for found in hashes.values())
    assert hashes[CPU] != hashes[MEM]
    assert kubectl.names(PROVIDER, "secrets", "-n", "kcp-system") == ["compute.cloud.example.com", CPU, MEM]
    reference = kubectl.json(PROVIDER, "cachedresource", CPU)["spec"]["identity"]["secretRef"]
    assert reference == {"namespace": "kcp-system", "name": CPU}


def test_the_short_selector_is_kept_as_match_labels_and_counts_only_what_it_selects(
    hashes: dict[str, str], kubectl: Kubectl
):
    found = {item["metadata"]["name"]: item for item in kubectl.json(PROVIDER, "cachedresources")["items"]}
    assert found[MEM]["spec"]["labelSelector"] == {"matchLabels": {"cloud.example.com/visibility": "Public"}}
    assert found[MEM]["status"]["resourceCounts"] == {"local": 2, "cache": 2}
    assert found[CPU]["status"]["resourceCounts"] == {"local": 3, "cache": 3}


def test_the_consumer_sees_the_shared_flavors_in_their_columns_and_orders_an_instance(
    hashes: dict[str, str], kubectl: Kubectl
):
    printed = [line.split() for line in kubectl(CONSUMER, "get", "cpuflavors").splitlines()]
    assert [line[:3] for line in printed] == [
        ["NAME", "CORES", "ARCHITECTURE"],
        ["cpu-large", "32", "arm64"],
        ["cpu-medium", "8", "amd64"],
        ["cpu-small", "2", "amd64"],
    ]
    assert kubectl.names(CONSUMER, "memflavors") == ["mem-large", "mem-medium"]
    assert "Number of cores." in kubectl(CONSUMER, "explain", "cpuflavor.spec.cores")
    kubectl(CONSUMER, "apply", "-f", EXAMPLE / "consumer" / "02-web-instance.yaml")
    assert kubectl.names(CONSUMER, "instances") == ["web"]
    assert "doesn't have a resource type" in kubectl.refused(PROVIDER, "get", "instances")
    web = '{"spec":{"cpuFlavor":"cpu-large"}}'
    assert "create another instance" in kubectl.refused(CONSUMER, "patch", "instance", "web", "--type=merge", "-p", web)


def test_the_published_endpoint_serves_the_copies_read_only_to_who_may_see_the_exports_content(
    hashes: dict[str, str], server: Server, kubectl: Kubectl
):
    cluster = kubectl.json("root", "workspace", "consumer")["spec"]["cluster"]
    (endpoint,) = kubectl.json(PROVIDER, "cachedresourceendpointslice", CPU)["status"]["endpoints"]
    assert endpoint["url"].startswith(f"{server.url}/services/replication/")
    names = ["cpu-large", "cpu-medium", "cpu-small"]
    with server.client() as admin, server.client(None) as nobody:
        for where in ("*", cluster):
            path = f"{endpoint['url']}/clusters/{where}{GROUP}/cpuflavors"
            items = admin.get(path).json()["items"]
            assert [item["metadata"]["name"] for item in items] == names
            assert {item["metadata"]["annotations"]["kcp.io/cluster"] for item in items} == {cluster}
            assert nobody.get(path).status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}
        own = f"{endpoint['url']}/clusters/{cluster}{GROUP}/cpuflavors/cpu-small"
        assert admin.delete(own).status_code == httpx.codes.METHOD_NOT_ALLOWED
        stranger = f"{endpoint['url']}/clusters/root{GROUP}/cpuflavors"
        assert admin.get(stranger).status_code == httpx.codes.FORBIDDEN
    assert kubectl.names(PROVIDER, "cpuflavors") == names


def test_applying_a_cached_resource_again_changes_nothing(hashes: dict[str, str], kubectl: Kubectl):
    files = [f"--filename={EXAMPLE}/provider/{name}" for name in ("05-cpuflavors", "06-memflavors")]
    before = kubectl.json(PROVIDER, "cachedresources")
    again = kubectl(PROVIDER, "apply", *(f"{file}-cachedresource.yaml" for file in files)).splitlines()
    # For the other one kubectl sends a patch, since it looks for the short form, and says so: "configured".
    assert again[0] == f"cachedresource.cache.kcp.io/{CPU} unchanged"
    assert kubectl.json(PROVIDER, "cachedresources") == before


def test_a_selector_in_the_short_form_can_be_applied_by_the_server(hashes: dict[str, str], kubectl: Kubectl):
    apply = (
        "apply",
        "--server-side",
        "--force-conflicts",
        f"--filename={EXAMPLE}/provider/06-memflavors-cachedresource.yaml",
    )
    for _ in range(2):
        assert kubectl(PROVIDER, *apply).endswith("serverside-applied\n")
        spec = kubectl.json(PROVIDER, "cachedresource", MEM)["spec"]
        assert spec["labelSelector"] == {"matchLabels": {"cloud.example.com/visibility": "Public"}}


def test_kubectl_sees_change_relabel_in_relabel_out_and_delete_within_a_second(
    hashes: dict[str, str], kubectl: Kubectl
):
    label = ("label", "memflavor", "mem-xlarge")
    kubectl.create(PROVIDER, memflavor("mem-old", "1Gi", public=True))
    steps = [
        (
            ("patch", "memflavor", "mem-large", "--type=merge", "-p", '{"spec":{"size":"48Gi"}}'),
            "MODIFIED",
            "mem-large",
        ),
        ((*label, "cloud.example.com/visibility=Public"), "ADDED", "mem-xlarge"),
        ((*label, "cloud.example.com/visibility-"), "DELETED", "mem-xlarge"),
        (("delete", "memflavor", "mem-old"), "DELETED", "mem-old"),
    ]
    eventually(lambda: "mem-old" in kubectl.names(CONSUMER, "memflavors"))
    with kubectl.watch(CONSUMER, "memflavors", "--output-watch-events", "--no-headers") as lines:
        assert sorted(lines.next().text.split()[1] for _ in range(3)) == ["mem-large", "mem-medium", "mem-old"]
        for command, event, name in steps:
            kubectl(PROVIDER, *command)
            done = time.monotonic()
            line = lines.next(PROMPT_SECONDS)
            assert line.text.split()[:2] == [event, name]
            assert line.at - done < PROMPT_SECONDS
    counts = {"local": 2, "cache": 2}
    eventually(lambda: kubectl.json(PROVIDER, "cachedresource", MEM)["status"]["resourceCounts"] == counts)


def test_a_watch_from_a_resource_version_sees_the_same_within_a_second_and_nothing_else(
    hashes: dict[str, str], server: Server
):
    originals, copies = (f"/clusters/{workspace}{GROUP}/memflavors" for workspace in (PROVIDER, CONSUMER))

    def acknowledged(response: httpx.Response) -> float:
        assert response.is_success, response.text
        return time.monotonic()

    def relabel(http: httpx.Client, value: str | None) -> float:
        labels = {"metadata": {"labels": {"cloud.example.com/visibility": value}}}
        return acknowledged(http.patch(f"{originals}/mem-huge", json=labels, headers=MERGE_PATCH))

    def resize(http: httpx.Client) -> float:
        return acknowledged(http.patch(f"{originals}/mem-tiny", json={"spec": {"size": "2Gi"}}, headers=MERGE_PATCH))

    with server.client() as http:
        acknowledged(http.post(originals, json=memflavor("mem-huge", "512Gi", public=False)))
        acknowledged(http.post(originals, json=memflavor("mem-tiny", "1Gi", public=True)))
        listed = eventually(lambda: http.get(f"{copies}/mem-tiny").is_success and http.get(copies).json())
        steps = [
            (resize, "MODIFIED", "mem-tiny"),
            (lambda http: relabel(http, "Public"), "ADDED", "mem-huge"),
            (lambda http: relabel(http, None), "DELETED", "mem-huge"),
            (lambda http: acknowledged(http.delete(f"{originals}/mem-tiny")), "DELETED", "mem-tiny"),
        ]
        versions = [int(listed["metadata"]["resourceVersion"])]
        with server.watch(copies, listed["metadata"]["resourceVersion"]) as watch:
            for step, event, name in steps:
                done = step(http)
                kind, obj, at = watch.next(PROMPT_SECONDS)
                assert (kind, obj["metadata"]["name"]) == (event, name)
                assert at - done < PROMPT_SECONDS
                versions.append(int(obj["metadata"]["resourceVersion"]))
    assert versions == sorted(set(versions))
