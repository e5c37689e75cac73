"""What the container image is built from and runs, without a container: each step in a plain directory."""

import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from dockerfile import entry_point, health_check, instructions
from package import link_dependencies, make_environment, pip
from real_kubectl import Kubectl, kubectl_binary
from real_server import REPOSITORY, environment, start_server

LOCKED = "requirements.lock"


class Image(NamedTuple):
    """Where the image's directories are here."""

    root: Path

    def placed(self, text: str) -> str:
        """A command with its paths inside the image led to where they are here."""
        return re.sub(r"(?<=\s)/(source|wheels|data)\b", rf"{self.root}/\1", f" {text}")

    @property
    def venv(self) -> Path:
        """What is the system's Python in the image."""
        return self.root / "python"

    def run(self, command: str) -> None:
        """A ``RUN`` in the directory of the sources. pip works with what is here: it asks no registry."""
        path = f"{self.venv / 'bin'}:/usr/bin:/bin"
        offline = {"PATH": path, "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}
        ran = subprocess.run(
            ["sh", "-ec", self.placed(command)],
            cwd=self.root / "source",
            env=environment(offline),
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert ran.returncode == 0, f"{command}\n{ran.stdout}{ran.stderr}"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """All that the Dockerfile copies and runs with pip, but for the dependencies, which come from what is here."""
    image = Image(tmp_path_factory.mktemp("image"))
    make_environment(image.venv)
    (image.root / "source").mkdir()
    for instruction in instructions("COPY", "RUN"):
        command = re.sub(r"--mount=\S+", "", instruction.text).strip()
        if instruction.name == "COPY":
            *sources, target = command.split()
            for source in sources:
                copy(REPOSITORY / source, image.root / "source" / target / (source if target == "./" else ""))
        elif command.startswith("pip") and LOCKED not in command:
            # The first stage's pip builds, with what is installed here; the second's installs into what is empty.
            local = " ".join(pip(image.venv) if instruction.stage else [sys.executable, "-m", "pip"])
            image.run(f"{local} {command.removeprefix('pip')}")
    link_dependencies(image.venv)
    return image


def copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def is_healthy(image: Image, port: int) -> bool:
    """What the image's health check says of another port."""
    python, *arguments = (word.replace(":6443/", f":{port}/") for word in health_check())
    command = [image.venv / "bin" / python, *arguments]
    return subprocess.run(command, check=False, capture_output=True, timeout=30).returncode == 0


def test_the_image_is_healthy_exactly_while_its_server_runs_and_its_kubeconfig_works_outside(
    image: Image, tmp_path: Path
):
    program, command, *flags = entry_point()
    assert command == "start"
    given = dict(zip(flags[::2], flags[1::2], strict=True))
    port, root_dir = free_port(), Path(image.placed(given.pop("--root-dir")).strip())
    assert given.pop("--port") == "6443"
    others = [word for pair in given.items() for word in pair]
    with start_server(root_dir, *others, port=port, program=[image.venv / "bin" / program]) as server:
        assert is_healthy(image, port)
        config = yaml.safe_load(server.kubeconfig.read_text())
        assert {cluster["cluster"]["server"].split("/")[2] for cluster in config["clusters"]} == {f"127.0.0.1:{port}"}
        assert "universal" in Kubectl(kubectl_binary(), server, tmp_path / "kubectl")("root", "get", "workspacetypes")
        assert server.terminate() == 0
    assert not is_healthy(image, port)
