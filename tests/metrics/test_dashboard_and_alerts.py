"""What dashboards and alerts ask for is what the program tells, label by label."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kcpcache.metrics import catalog

DOCKER = Path(__file__).parents[2] / "docker"
DASHBOARD = json.loads((DOCKER / "grafana" / "dashboards" / "kcpcache.json").read_text())
RULES = [
    rule
    for group in yaml.safe_load((DOCKER / "prometheus" / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
]
PROMETHEUS = yaml.safe_load((DOCKER / "prometheus" / "prometheus.yaml").read_text())
COMPOSE = yaml.safe_load((DOCKER / "compose.yaml").read_text())

LABELS = {series: {*metric.labels, "le"} for metric in catalog.ALL for series in metric.series()}
LABELS["up"] = {"job", "instance"}
WORDS = {"by", "sum", "max", "min", "abs", "rate", "increase", "histogram_quantile", "topk", "and", "or", "unless"}
NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


def expressions() -> Iterator[Any]:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield pytest.param(target["expr"], id=f"{panel['title']}: {target['legendFormat']}")
    for rule in RULES:
        yield pytest.param(rule["expr"], id=rule["alert"])


def names(expression: str) -> tuple[set[str], set[str]]:
    """The series and the labels that an expression names."""
    matched = re.findall(r"\{([^}]*)\}", expression)
    grouped = re.findall(r"\bby \(([^)]*)\)", expression)
    labels = {label for part in matched for label in re.findall(r"(\w+)\s*[=!]", part)}
    labels |= {label for part in grouped for label in NAME.findall(part)}
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\bby \([^)]*\)|\"[^\"]*\"|\$\w+", " ", expression)
    return set(NAME.findall(bare)) - WORDS, labels


@pytest.mark.parametrize("expression", list(expressions()))
def test_every_series_and_label_that_is_asked_for_exists(expression: str):
    series, labels = names(expression)
    assert series
    assert not series - set(LABELS)
    assert not labels - set.union(*(LABELS[name] for name in series))


def test_the_variables_of_the_dashboard_come_from_labels_that_exist():
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            found = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["definition"])
            assert found is not None
            assert found[2] in LABELS[found[1]]


def test_alerts_say_what_is_wrong_and_how_bad():
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert set(rule["annotations"]) == {"summary", "description"}
        used = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
        kept = names(rule["expr"])[1] | set.intersection(*(LABELS[name] for name in names(rule["expr"])[0]))
        assert used <= kept, rule["alert"]


def test_prometheus_scrapes_the_server_of_compose_with_the_secrets_it_is_given():
    (job,) = PROMETHEUS["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["server:6443"]}]
    prometheus = COMPOSE["services"]["prometheus"]
    secrets = {f"/run/secrets/{name}" for name in prometheus["secrets"]}
    assert secrets == {job["authorization"]["credentials_file"], job["tls_config"]["ca_file"]}
    assert set(prometheus["secrets"]) == set(COMPOSE["secrets"])
    assert PROMETHEUS["rule_files"] == ["alerts.yaml"]


def test_grafana_finds_its_datasource_and_the_dashboard():
    provisioning = DOCKER / "grafana" / "provisioning"
    (datasource,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())["datasources"]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "kcpcache.yaml").read_text())["providers"]
    mounts = [volume.split(":")[:2] for volume in COMPOSE["services"]["grafana"]["volumes"]]
    assert ["./grafana/dashboards", provider["options"]["path"]] in mounts
    assert datasource["url"] == "http://prometheus:9090"


def test_images_are_pinned_and_ports_are_for_this_machine_only():
    for name in ("prometheus", "grafana"):
        service = COMPOSE["services"][name]
        assert re.search(r":v?\d+\.\d+\.\d+$", service["image"])
        assert service["profiles"] == ["observability"]
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
