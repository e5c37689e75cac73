"""What the container image runs, without a container: its flags, and its health check."""

import json
import re
import subprocess
import sys
from pathlib import Path

import yaml
from real_kubectl import Kubectl, kubectl_binary
from real_server import REPOSITORY, start_server

DOCKERFILE = (REPOSITORY / "docker" / "Dockerfile").read_text()


def health_check(port: int) -> int:
    """The exit code of the image's health check, asked of another port."""
    found = re.search(r"HEALTHCHECK [^\[]*CMD (\[.*\])$", DOCKERFILE, flags=re.MULTILINE)
    assert found is not None
    python, *arguments = json.loads(found[1])
    assert python == "python"
    command = [sys.executable, *(argument.replace(":6443/", f":{port}/") for argument in arguments)]
    return subprocess.run(command, check=False, capture_output=True, timeout=30).returncode


def test_the_image_is_healthy_exactly_while_its_server_runs_and_its_kubeconfig_works_outside(tmp_path: Path):
    with start_server(tmp_path / "data", "--bind-address", "0.0.0.0") as server:
        assert health_check(server.port) == 0
        config = yaml.safe_load(server.kubeconfig.read_text())
        assert {cluster["cluster"]["server"].split("/")[2] for cluster in config["clusters"]} == {
            f"127.0.0.1:{server.port}"
        }
        assert "universal" in Kubectl(kubectl_binary(), server, tmp_path / "kubectl")("root", "get", "workspacetypes")
        assert server.terminate() == 0
    assert health_check(server.port) != 0
