"""What is handed out: the wheel works by itself, and the sdist has all of the repository."""

import re
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
from package import Package, build, install, make_environment
from real_kubectl import Kubectl, kubectl_binary
from real_server import REPOSITORY, environment, start_server


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return build(REPOSITORY, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def program(package: Package, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("installed") / "venv"
    make_environment(directory)
    return install(package.wheel, directory)


def test_a_server_from_the_wheel_alone_serves_kubectl(program: Path, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    isolated = {"PYTHONNOUSERSITE": "1", "PYTHONPATH": ""}
    with start_server(tmp_path / "empty" / "root", program=[program], environ=isolated) as server:
        kubectl = Kubectl(kubectl_binary(), server, tmp_path / "kubectl")
        kubectl.workspaces("provider")
        assert kubectl.names("root", "workspaces") == ["provider"]
        assert "Objects in this workspace" in kubectl(
            "root:provider", "explain", "cachedresource.status.resourceCounts"
        )


def test_the_installed_program_has_the_version_of_the_package(package: Package, program: Path, tmp_path: Path):
    printed = subprocess.run([program, "version"], env=environment(), cwd=tmp_path, capture_output=True, check=True)
    name, _, version = printed.stdout.decode().strip().partition(" ")
    assert package.wheel.name == f"{name}-{version}-py3-none-any.whl"


def test_the_wheel_has_every_module_every_manifest_the_page_and_the_licence(package: Package):
    names = {name for name in zipfile.ZipFile(package.wheel).namelist() if ".dist-info/" not in name}
    modules = {path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "kcpcache").rglob("*.py")}
    manifests = {f"kcpcache/openapi/crds/{path.name}" for path in (REPOSITORY / "openapi" / "crds").iterdir()}
    example = REPOSITORY / "docs" / "examples" / "cloud-co"
    manifests |= {f"kcpcache/examples/cloud-co/{path.relative_to(example)}" for path in example.rglob("*.yaml")}
    static = REPOSITORY / "kcpcache" / "dashboard" / "static"
    page = {path.relative_to(REPOSITORY).as_posix() for path in static.iterdir()}
    assert modules | manifests | page <= names
    assert all(name.startswith("kcpcache/") for name in names)
    assert any(re.search(r"\.dist-info/licenses/LICENSE$", name) for name in zipfile.ZipFile(package.wheel).namelist())


def test_the_sdist_has_every_file_of_the_repository_and_builds_the_same_wheel(package: Package, tmp_path: Path):
    with tarfile.open(package.sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    rebuilt = build(source, tmp_path / "dist")
    assert rebuilt.wheel.read_bytes() == package.wheel.read_bytes()
    if not (REPOSITORY / ".git").exists():
        pytest.skip("not a checkout: which files the repository has is not known here")
    tracked = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    assert [name for name in tracked.splitlines() if not (source / name).exists()] == []
