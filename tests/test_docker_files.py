"""The files in docker/ against the program that they start."""

import tomllib
from collections.abc import Mapping
from fnmatch import fnmatch
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose
from dockerfile import DOCKER, entry_point, texts
from real_server import REPOSITORY
from typer.main import get_group

from kcpcache.cli.app import app
from kcpcache.config import Settings
from kcpcache.root_dir import KUBECONFIG
from kcpcache.server import GRACE_SECONDS


def given_flags() -> Mapping[str, str]:
    """The flags of the entry point, all of which take a value."""
    words = entry_point()[2:]
    return dict(zip(words[::2], words[1::2], strict=True))


@pytest.fixture
def service() -> dict[str, Any]:
    return yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]["server"]


def test_the_compose_file_follows_the_compose_specification():
    PyCompose.from_yaml((DOCKER / "compose.yaml").read_text()).validate()


def test_the_entry_point_is_a_command_of_the_program_with_flags_that_it_has():
    commands = get_group(app)
    assert entry_point()[0] == "kcpcache"
    known = {option for parameter in commands.commands[entry_point()[1]].params for option in parameter.opts}
    assert set(given_flags()) <= known


def test_the_server_listens_where_the_image_says_and_writes_an_address_that_works_outside(service: dict[str, Any]):
    flags = given_flags()
    settings = Settings(bind_address=flags["--bind-address"], port=int(flags["--port"]))
    assert texts("EXPOSE") == [flags["--port"]]
    assert settings.bind_address == "0.0.0.0"
    assert service["ports"] == [f"{settings.advertised_host}:{settings.port}:{settings.port}"]


def test_the_data_are_on_the_volume_and_nothing_else_can_be_written(service: dict[str, Any]):
    root_dir = given_flags()["--root-dir"]
    assert texts("VOLUME") == [root_dir]
    assert service["volumes"] == [f"data:{root_dir}"]
    assert service["read_only"]
    assert "data" in yaml.safe_load((DOCKER / "compose.yaml").read_text())["volumes"]
    assert f"server:{root_dir}/{KUBECONFIG}" in (DOCKER / "compose.yaml").read_text()


def test_the_server_runs_as_nobody_in_particular_and_cannot_become_more(service: dict[str, Any]):
    (user,) = texts("USER")
    assert [int(part) > 0 for part in user.split(":")] == [True, True]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "user", "cap_add"} & set(service)


def test_compose_waits_longer_for_the_end_than_the_server_takes(service: dict[str, Any]):
    assert int(service["stop_grace_period"].removesuffix("s")) > GRACE_SECONDS


def test_compose_builds_from_the_root_of_the_repository(service: dict[str, Any]):
    context = (DOCKER / service["build"]["context"]).resolve()
    assert context == REPOSITORY
    assert context / service["build"]["dockerfile"] == DOCKER / "Dockerfile"


def test_all_that_is_copied_into_the_image_exists_and_is_sent_to_the_builder():
    allowed = [line[1:] for line in (DOCKER / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"]
    sources = [source for copy in texts("COPY") for source in copy.split()[:-1]]
    assert sources
    for source in sources:
        assert (REPOSITORY / source).exists(), source
        assert any(fnmatch(source, pattern) for pattern in allowed), source


def test_what_the_wheel_is_built_from_is_copied():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    sources = {source for copy in texts("COPY") for source in copy.split()[:-1]}
    assert {"pyproject.toml", project["project"]["readme"], *wheel["packages"], *wheel["force-include"]} <= sources
