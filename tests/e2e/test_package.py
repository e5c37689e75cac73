"""What is handed out: the wheel works by itself, and the sdist has all of the repository."""

import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement
from real_kubectl import Kubectl, kubectl_binary
from real_server import REPOSITORY, environment, start_server


class Package(NamedTuple):
    """Both forms of one build."""

    wheel: Path
    sdist: Path


def build(source: Path, target: Path) -> Package:
    """Wheel and sdist of a source tree, as pip and pipx build them, but with the backend that is here already."""
    command = [sys.executable, "-m", "hatchling", "build", "-d", target]
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=100)
    (wheel,), (sdist,) = target.glob("*.whl"), target.glob("*.tar.gz")
    return Package(wheel, sdist)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return build(REPOSITORY, tmp_path_factory.mktemp("dist"))


def dependencies(package: Distribution, extras: Iterable[str] = ()) -> Iterator[Distribution]:
    """The distributions that one needs to run, at any remove, as they are installed here."""
    for text in package.requires or []:
        wanted = Requirement(text)
        if wanted.marker is None or any(wanted.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            found = distribution(wanted.name)
            yield found
            yield from dependencies(found, wanted.extras)


def install(wheel: Path, directory: Path) -> Path:
    """A virtual environment of the wheel and its dependencies, and of nothing else; its program."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory], check=True, timeout=60)
    python = directory / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "install", "--no-index", "--no-deps", wheel], check=True, timeout=60)
    (packages,) = directory.glob("lib/python3*/site-packages")
    (installed,) = distributions(name="kcpcache", path=[str(packages)])
    for found in dependencies(installed):
        for top in {file.parts[0] for file in found.files or []} - {"..", "__pycache__"}:
            if not (packages / top).exists():
                (packages / top).symlink_to(Path(found.locate_file(top)))
    return directory / "bin" / "kcpcache"


@pytest.fixture(scope="module")
def program(package: Package, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(package.wheel, tmp_path_factory.mktemp("installed") / "venv")


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


def test_the_wheel_has_every_module_every_manifest_and_the_licence(package: Package):
    names = {name for name in zipfile.ZipFile(package.wheel).namelist() if ".dist-info/" not in name}
    modules = {path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "kcpcache").rglob("*.py")}
    manifests = {f"kcpcache/openapi/crds/{path.name}" for path in (REPOSITORY / "openapi" / "crds").iterdir()}
    assert modules | manifests <= names
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
