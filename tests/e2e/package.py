"""Wheels and environments: the project as it is installed elsewhere, with what is here and nothing from a registry."""

import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement


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


def dependencies(package: Distribution, extras: Iterable[str] = ()) -> Iterator[Distribution]:
    """The distributions that one needs to run, at any remove, as they are installed here."""
    for text in package.requires or []:
        wanted = Requirement(text)
        if wanted.marker is None or any(wanted.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            found = distribution(wanted.name)
            yield found
            yield from dependencies(found, wanted.extras)


def pip(environment: Path) -> list[str]:
    """The pip that is here, at work in another environment."""
    return [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python"), "--disable-pip-version-check"]


def make_environment(directory: Path) -> None:
    """An empty virtual environment, without pip."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory], check=True, timeout=60)


def install(wheel: Path, environment: Path) -> Path:
    """Put the wheel and its dependencies into an environment, and nothing else; its program."""
    command = [*pip(environment), "--quiet", "install", "--no-index", "--no-deps", wheel]
    subprocess.run(command, check=True, timeout=60)
    link_dependencies(environment)
    return environment / "bin" / "kcpcache"


def link_dependencies(environment: Path) -> None:
    """Have the distributions that the installed kcpcache needs there too, as links to those that are here."""
    (packages,) = environment.glob("lib/python3*/site-packages")
    (installed,) = distributions(name="kcpcache", path=[str(packages)])
    for found in dependencies(installed):
        for top in {file.parts[0] for file in found.files or []} - {"..", "__pycache__"}:
            if not (packages / top).exists():
                (packages / top).symlink_to(Path(found.locate_file(top)))
