"""What an operator's Prometheus gets of a running server."""

from collections.abc import Iterator
from typing import Any

import pytest
from cloud_co import bind_catalogue, share_catalogue
from prometheus_client.parser import text_string_to_metric_families
from real_kubectl import Kubectl
from real_server import Server, start_server

from kcpcache.metrics import catalog

FLAVORS = {"cachedresource": "root:provider:cpuflavors-v1", "group": "cloud.example.com", "resource": "cpuflavors"}


def scraped(server: Server, **who: Any) -> dict[str, list[tuple[dict[str, str], float]]]:
    with server.client(**who) as client:
        answer = client.get("/metrics")
    assert answer.status_code == 200, answer.text
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def value(samples: list[tuple[dict[str, str], float]], **labels: str) -> float:
    return sum(number for found, number in samples if labels.items() <= found.items())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that also has an audit log: its events are counted, too."""
    folder = tmp_path_factory.mktemp("server")
    policy = folder / "policy.yaml"
    policy.write_text("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n")
    flags = ("--audit-policy-file", policy, "--audit-log-path", folder / "audit.log")
    with start_server(folder / "root", *flags) as server:
        yield server


@pytest.fixture(scope="module")
def story(kubectl: Kubectl) -> None:
    kubectl.workspaces("provider", "consumer")
    share_catalogue(kubectl, "root:provider")
    bind_catalogue(kubectl, "root:consumer", "root:provider")
    kubectl("root:provider", "label", "cpuflavors", "--all", "seen=yes")


def test_every_metric_of_the_reference_has_a_series_once_there_was_a_bit_of_everything(
    story: None, server: Server
) -> None:
    with server.watch("/clusters/root:provider/apis/cloud.example.com/v1/cpuflavors") as watch:
        watch.next()
        found = scraped(server)
    missing = {series for metric in catalog.ALL for series in metric.series()} - set(found)
    assert not missing
    extra = set(found) - {series for metric in catalog.ALL for series in metric.series()}
    assert {name for name in extra if not name.endswith("_created")} == set()


def test_the_figures_are_those_of_the_story(story: None, server: Server) -> None:
    found = scraped(server)
    assert value(found["kcpcache_replication_copies"], **FLAVORS) == 3
    assert value(found["kcpcache_replication_originals"], **FLAVORS) == 3
    assert value(found["kcpcache_replication_consumers"], **FLAVORS) == 1
    assert value(found["kcpcache_replication_lag_seconds_count"], **FLAVORS, stage="visible") >= 3
    assert value(found["kcpcache_replication_orphans_removed_total"]) == 0
    assert value(found["kcp_workspace_count"], phase="Ready") >= 2
    assert value(found["apiserver_storage_objects"], resource="cpuflavors.cloud.example.com") == 3
    assert value(found["apiserver_request_total"], resource="cpuflavors", verb="PATCH", code="200") == 3
    names = {text for samples in found.values() for labels, _ in samples for text in labels.values()}
    assert not {"root:provider", "root:consumer"} & names


def test_series_of_a_cached_resource_go_with_it(story: None, server: Server, kubectl: Kubectl) -> None:
    kubectl.workspaces("short-lived")
    share_catalogue(kubectl, "root:short-lived")
    mine = {"root:short-lived:cpuflavors-v1", "root:short-lived:memflavors-v1"}

    def named() -> set[str]:
        return {
            labels["cachedresource"]
            for samples in scraped(server).values()
            for labels, _ in samples
            if "cachedresource" in labels
        }

    assert mine <= named()
    kubectl("root", "delete", "workspace", "short-lived", "--timeout=30s")
    assert not mine & named()


def test_a_service_account_of_root_may_be_given_the_right_to_scrape_and_nobody_else_has_it(
    story: None, server: Server, kubectl: Kubectl
) -> None:
    kubectl("root", "create", "namespace", "monitoring")
    kubectl("root", "create", "serviceaccount", "prometheus", "-n", "monitoring")
    token = kubectl("root", "create", "token", "prometheus", "-n", "monitoring").strip()
    with server.client(token=token) as client:
        assert client.get("/metrics").status_code == 403
    binding = ("clusterrolebinding", "prometheus", "--clusterrole=system:monitoring")
    kubectl("root", "create", *binding, "--serviceaccount=monitoring:prometheus")
    assert scraped(server, token=token)["kcpcache_store_healthy"] == [({}, 1.0)]
    with server.client(None) as nobody:
        assert nobody.get("/metrics").status_code in {401, 403}
