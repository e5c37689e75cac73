"""Compose itself reads docker/compose.yaml: today's plugin of docker, or the older program that Debian has."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from dockerfile import DOCKER

MISSING = "neither docker compose nor docker-compose on this machine: apt-get install docker-compose"
SOURCE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
PROFILES = sorted({profile for service in SOURCE["services"].values() for profile in service.get("profiles", ())})
SERVICES = {name: set(service.get("profiles", ())) for name, service in SOURCE["services"].items()}


def works(*command: str) -> bool:
    found = shutil.which(command[0])
    return found is not None and subprocess.run([*command, "version"], capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def compose() -> list[str]:
    """The command to ask. Without one the test is skipped, in CI it fails."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if works(*command):
            return command
    (pytest.fail if os.environ.get("CI") else pytest.skip)(MISSING)
    raise AssertionError


@pytest.fixture(scope="module")
def configured(compose: list[str], tmp_path_factory: pytest.TempPathFactory):
    """The file as Compose understands it, read where there is nothing but docker/."""
    directory = tmp_path_factory.mktemp("clone") / "docker"
    shutil.copytree(DOCKER, directory)

    def ask(profiles: tuple[str, ...], *command: str) -> str:
        given = [word for profile in profiles for word in ("--profile", profile)]
        asked = [*compose, "-f", str(directory / "compose.yaml"), *given, "config", *command]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COMPOSE_")}
        answer = subprocess.run(asked, env=environment, cwd="/", capture_output=True, text=True, check=False)
        assert (answer.returncode, answer.stderr) == (0, "")
        return answer.stdout

    return ask


@pytest.mark.parametrize("profiles", [(), *((profile,) for profile in PROFILES)], ids=",".join)
def test_compose_accepts_the_file_without_a_warning_and_finds_what_the_profile_starts(configured, profiles):
    found = yaml.safe_load(configured(profiles))
    started = {name for name, needed in SERVICES.items() if not needed or needed & {*profiles}}
    assert started <= set(found["services"]) <= set(SERVICES)  # 1.29 tells of all, whatever the profile
    assert set(found["volumes"]) >= {"data"}
    assert found.get("name", "kcpcache") == "kcpcache"


def test_the_images_sources_and_what_it_mounts_are_where_compose_looks(configured):
    found = yaml.safe_load(configured(tuple(PROFILES)))
    context = Path(found["services"]["server"]["build"]["context"])
    assert (context / "docker" / "Dockerfile").exists()
    volumes = [volume for service in found["services"].values() for volume in service.get("volumes", ())]
    sources = [Path(each["source"] if isinstance(each, dict) else each.split(":")[0]) for each in volumes]
    directories = [source for source in sources if source.is_absolute()]
    assert len(directories) == 3
    assert all(directory.is_dir() for directory in directories)


def test_the_project_is_named_after_the_program_and_not_after_the_directory():
    """Both read ``.env``; Debian's refuses ``name`` in the file itself."""
    assert "COMPOSE_PROJECT_NAME=kcpcache" in (DOCKER / ".env").read_text().splitlines()
