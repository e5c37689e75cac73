"""``kubectl ws tree``: the workspaces below the current one."""

import http.client
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kcpcache.client.connection import ApiError
from kcpcache.client.workspaces import TENANCY, cluster_of, cluster_url
from kcpcache.kubectl import commands
from kcpcache.kubectl.paths import split
from kcpcache.kubectl.session import CommandError, Session
from kcpcache.meta.objects import Object

_LINK, _FORK, _END = "│   ", "├── ", "└── "
_MAX_DEPTH, _GAP = 100, 2


@dataclass(frozen=True, slots=True)
class Branch:
    """A workspace to print, and what is below it."""

    label: str
    children: tuple["Branch", ...] = ()


def tree(session: Session, command: commands.Tree) -> None:
    """Print the tree, or browse it."""
    if cluster_of(session.endpoint.server) is None:
        session.say(f'current context URL "{session.endpoint.server}" does not point directly to a kcp workspace')
        return
    _, path = session.workspace()
    if command.interactive:
        from kcpcache.kubectl.browser import browse

        browse(session, path, full=command.full)
        return
    name = path if command.full else split(path)[1]
    drawn = lines(_branch(session, command, path, name, None))
    session.say("\n".join(aligned(drawn) if command.wide else drawn))
    session.say("")


def lines(root: Branch) -> Iterator[str]:
    """The tree as text, from a ``.`` on."""
    yield "."
    yield from _below((root,), "")


def _below(branches: tuple[Branch, ...], indent: str) -> Iterator[str]:
    for branch in branches:
        last = branch is branches[-1]
        yield f"{indent}{_END if last else _FORK}{branch.label}"
        yield from _below(branch.children, indent + ("    " if last else _LINK))


def aligned(drawn: Iterable[str]) -> Iterator[str]:
    """The lines with what stands between tabs set in columns."""
    rows = [line.split("\t") for line in drawn]
    count = max(len(row) for row in rows)
    widths = [max(len(row[at]) for row in rows if len(row) > at) + _GAP for at in range(count)]
    for row in rows:
        yield "".join(text.ljust(widths[at]) for at, text in enumerate(row)).rstrip()


def children(session: Session, path: str) -> list[Object]:
    """The workspaces directly below a path that are not being deleted; none where it holds none."""
    try:
        found = session.connection.items(cluster_url(path, f"{TENANCY}/workspaces"))
    except ApiError as error:
        if error.code != http.client.NOT_FOUND:
            raise
        return []
    return [each for each in found if not each["metadata"].get("deletionTimestamp")]


def _branch(session: Session, command: commands.Tree, path: str, name: str, workspace: Object | None) -> Branch:
    if path.count(":") > _MAX_DEPTH:
        raise CommandError(f"workspaces are nested too deeply below {path}")
    below = []
    for child in children(session, path):
        label = child["metadata"]["name"]
        label = f"{name}:{label}" if command.full else label
        spec = child.get("spec", {})
        if spec.get("mount") is not None:  # what is mounted belongs to another server, whose URL may lead back here
            below.append(Branch(f"{label} [m]"))
            continue
        found = cluster_of(str(spec.get("URL", "")))
        if found is None:
            raise CommandError(f'current config context URL "{spec.get("URL", "")}" does not point to workspace')
        below.append(_branch(session, command, found[1], label, child))
    return Branch(_wide(session, name, path, workspace) if command.wide else name, tuple(below))


def _wide(session: Session, name: str, path: str, workspace: Object | None) -> str:
    phase = (workspace or {}).get("status", {}).get("phase") or "-"
    try:
        cluster = session.connection.get(cluster_url(path, "/apis/core.kcp.io/v1alpha1/logicalclusters/cluster"))
        state = cluster.get("status", {}).get("phase") or "Unknown"
    except ApiError:
        state = "Unknown"
    return f"{name}\tws={phase}\tlc={state}"
