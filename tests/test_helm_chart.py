"""docker/helm/kcpcache against the image that it runs. What needs ``helm`` is skipped where there is none."""

import shutil
import subprocess
from typing import Any

import pytest
import yaml
from dockerfile import DOCKER, entry_point, texts

import kcpcache
from kcpcache.config import Settings
from kcpcache.server import GRACE_SECONDS

CHART = DOCKER / "helm" / "kcpcache"
HELM = shutil.which("helm")
needs_helm = pytest.mark.skipif(HELM is None, reason="no helm on this machine")


def helm(*arguments: object) -> str:
    ran = subprocess.run([str(HELM), *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def rendered(*arguments: str) -> dict[str, dict[str, Any]]:
    """The chart's objects by kind."""
    objects = yaml.safe_load_all(helm("template", "cache", CHART, "--namespace", "prod", *arguments))
    return {found["kind"]: found for found in objects if found}


def test_the_chart_installs_this_version():
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == kcpcache.__version__


@needs_helm
def test_helm_finds_nothing_wrong_with_the_chart():
    helm("lint", "--strict", CHART)


@needs_helm
def test_the_container_is_the_images_and_its_service_leads_to_it():
    objects = rendered("--set", "settings.logLevel=debug", "--set", "externalHostname=kcpcache.example.com")
    spec, service = objects["StatefulSet"]["spec"], objects["Service"]["spec"]
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    assert spec["replicas"] == 1
    assert service["selector"].items() <= spec["template"]["metadata"]["labels"].items()
    assert [str(port["containerPort"]) for port in container["ports"]] == texts("EXPOSE")
    assert [port["targetPort"] for port in service["ports"]] == [port["name"] for port in container["ports"]]
    flags = entry_point()
    assert container["volumeMounts"][0]["mountPath"] == flags[flags.index("--root-dir") + 1]
    assert texts("USER") == [f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}"]
    assert pod["terminationGracePeriodSeconds"] > GRACE_SECONDS
    environment = {variable["name"]: variable["value"] for variable in container["env"]}
    assert environment == {"KCPCACHE_EXTERNAL_HOSTNAME": "kcpcache.example.com", "KCPCACHE_LOG_LEVEL": "debug"}
    assert {name.removeprefix("KCPCACHE_").lower() for name in environment} <= set(Settings.model_fields)


@needs_helm
def test_without_a_name_of_its_own_it_is_known_by_that_of_the_service():
    objects = rendered()
    (container,) = objects["StatefulSet"]["spec"]["template"]["spec"]["containers"]
    name = objects["Service"]["metadata"]["name"]
    assert container["env"] == [{"name": "KCPCACHE_EXTERNAL_HOSTNAME", "value": f"{name}.prod.svc"}]
