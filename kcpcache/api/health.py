"""``/healthz``, ``/livez``, ``/readyz`` and ``/version``."""

import platform
from collections.abc import Mapping
from typing import Final, NamedTuple

import kcpcache
from kcpcache.api.services import ReadyCheck
from kcpcache.meta.objects import Object

KUBERNETES_VERSION: Final = ("1", "33")
"""Major and minor version of the Kubernetes API that is kept."""
HEALTH_PATHS: Final = frozenset({"/healthz", "/livez", "/readyz"})
_OK, _FAILED = 200, 500


class Health(NamedTuple):
    """An HTTP status and a text."""

    status: int
    text: str


def health(path: str, checks: Mapping[str, ReadyCheck], *, verbose: bool, shutting_down: bool) -> Health:
    """The answer to a health path. Only ``/readyz`` looks at the checks; why one failed is for the log, not for all."""
    name = path.removeprefix("/")
    results = {"ping": True}
    if name == "readyz":
        results |= {check: ask() is None for check, ask in checks.items()}
        results["shutdown"] = not shutting_down
    healthy = all(results.values())
    if healthy and not verbose:
        return Health(_OK, "ok")
    lines = [f"[+]{check} ok" if ok else f"[-]{check} failed: reason withheld" for check, ok in results.items()]
    lines.append(f"{name} check passed" if healthy else f"{name} check failed")
    return Health(_OK if healthy else _FAILED, "\n".join(lines) + "\n")


def version() -> Object:
    """``version.Info``, as kubectl reads it."""
    major, minor = KUBERNETES_VERSION
    return {
        "major": major,
        "minor": minor,
        "gitVersion": f"v{major}.{minor}.0+kcpcache-{kcpcache.__version__}",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": f"python{platform.python_version()}",
        "compiler": platform.python_implementation().lower(),
        "platform": f"{platform.system().lower()}/{platform.machine()}",
    }
