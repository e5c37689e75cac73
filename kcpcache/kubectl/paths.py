"""Workspace paths as people type them. Pure; the rules are those of kcp's ``kubectl ws``."""

from dataclasses import dataclass
from typing import Literal

from kcpcache.meta.names import is_logical_cluster_path

ROOT = "root"


class PathError(Exception):
    """What was typed leads nowhere; the text says why."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where to go.

    ``absolute``: ``path`` is a path from its root on. ``relative``: from the current workspace. ``home``: below the
    user's home workspace. ``previous``, ``current`` and ``top`` (the current path's root) need no ``path``.
    ``legacy``: it was typed as ``root:…``, which is taken for absolute with a note.
    """

    kind: Literal["absolute", "relative", "home", "previous", "current", "top"]
    path: str = ""
    legacy: bool = False


def destination(typed: str, home_directory: str = "") -> Destination:
    """What ``typed`` means. A shell may have made a directory of ``~`` already; ``/`` is as good as ``:``."""
    if home_directory and (typed == home_directory or typed.startswith(f"{home_directory}/")):
        typed = "~" + typed.removeprefix(home_directory)
    name = typed.replace("/", ":")
    match name:
        case "-":
            return Destination("previous")
        case ".":
            return Destination("current")
        case ":":
            return Destination("top")
        case "" | "~":
            return Destination("home")
    if name.startswith("~:"):
        return Destination("home", name.removeprefix("~:"))
    if name.startswith(":"):
        return Destination("absolute", name[1:])
    if name == ROOT or name.startswith(f"{ROOT}:"):
        return Destination("absolute", name, legacy=True)
    return Destination("relative", name)


def resolve(going: Destination, current: str, home: str = "") -> str:
    """The absolute path without dots; ``home`` is asked for only where it is needed. Raises PathError."""
    if going.kind == "top":
        return current.split(":", 1)[0]
    if going.kind == "current":
        return current
    if going.kind == "previous":
        raise PathError('"-" can be entered only')
    base = {"absolute": "", "relative": current, "home": home}[going.kind]
    parts: list[str] = []
    for part in f"{base}:{going.path}".strip(":").split(":"):
        if part == ".":
            continue
        if part == "..":
            if not parts:
                raise PathError("cannot go up from root")
            parts.pop()
        else:
            parts.append(part)
    if not parts:
        raise PathError("cannot go up from root")
    path = ":".join(parts)
    if not is_logical_cluster_path(path):
        raise PathError(f"invalid workspace path: {going.path}")
    return path


def split(path: str) -> tuple[str, str]:
    """Parent and last name; the parent of a root is ""."""
    parent, _, name = path.rpartition(":")
    return parent, name
