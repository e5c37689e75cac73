"""``kcpcache import``: apply a tree of manifests, in an order in which it can work, and go on where it was stopped."""

import hashlib
import http.client
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from kcpcache.cli.connecting import ContextOption, KubeconfigOption, connect, failing
from kcpcache.cli.settings import fail
from kcpcache.client.applying import apply_all
from kcpcache.client.connection import ApiError, Connection
from kcpcache.client.manifests import Manifest, ManifestError, files_below, in_order, read_manifests
from kcpcache.client.workspaces import cluster_of, cluster_url

_FIELD_MANAGER = "kcpcache-import"
_CLUSTER = "/apis/core.kcp.io/v1alpha1/logicalclusters/cluster"
_SHOWN_FAILURES = 20


def import_directory(
    directory: Annotated[Path, typer.Argument(help="Where the manifests are: *.yaml, *.yml and *.json, below it too.")],
    kubeconfig: KubeconfigOption = "",
    context: ContextOption = "",
    workspace: Annotated[str, typer.Option(help="Where to, as root:a:b. [default: the context's workspace]")] = "",
    force_conflicts: Annotated[bool, typer.Option(help="Take fields that others own.")] = False,
) -> None:
    """Apply a tree of manifests to a workspace.

    Namespaces, definitions, schemas, exports and bindings come first, and definitions and bindings are waited for.
    What is done is remembered until all is: a second run after an interruption goes on where the first one stopped.

    Example: kcpcache import manifests/ --workspace root:provider
    """
    try:
        manifests = in_order(each for file in files_below(directory) for each in read_manifests(file))
    except ManifestError as error:
        fail(str(error))
    if not manifests:
        fail(f"{directory} holds no manifests")
    with failing(), connect(kubeconfig, context, administrator=False) as connection:
        found = cluster_of(connection.server)
        target = workspace.removeprefix(":") or (found[1] if found else "")
        if not target:
            fail("the context leads to no workspace: say which with --workspace")
        journal = Journal.of(connection, target, directory)
        rest = [each for each in manifests if not journal.has(each)]
        if len(rest) < len(manifests):
            typer.echo(f"{len(manifests) - len(rest)} of {len(manifests)} objects were done before", err=True)
        failures = _with_progress(connection, target, rest, journal, force=force_conflicts)
    if failures:
        shown = [f"{manifest}: {why}" for manifest, why in failures[:_SHOWN_FAILURES]]
        more = [f"… and {len(failures) - len(shown)} more"] if len(failures) > len(shown) else []
        fail("\n  ".join([f"{len(failures)} of {len(manifests)} objects could not be applied:", *shown, *more]))
    journal.forget()
    typer.echo(f"applied {len(rest)} objects to {target}")


@dataclass(slots=True)
class Journal:
    """What was applied, in a file of the user's own, until all of it is.

    An object counts as done while its file is as it was. The workspace's UID is part of the journal's name, if the user
    may see it, so that a new server at an old address starts from nothing.
    """

    path: Path
    done: set[tuple[str, int]] = field(default_factory=set)
    digests: dict[Path, str] = field(default_factory=dict)

    @classmethod
    def of(cls, connection: Connection, workspace: str, directory: Path) -> "Journal":
        """The journal of an import of ``directory``, with what it says already. Raises ApiError."""
        try:
            place = str(connection.get(cluster_url(workspace, _CLUSTER))["metadata"]["uid"])
        except ApiError as error:
            if error.code != http.client.FORBIDDEN:
                raise
            place = f"{connection.server} {workspace}"
        name = hashlib.sha256(f"{place} {directory.resolve()}".encode()).hexdigest()[:32]
        state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
        journal = cls(state / "kcpcache" / "imports" / f"{name}.jsonl")
        if journal.path.is_file():
            lines = journal.path.read_text(encoding="utf-8").splitlines()
            journal.done = {(entry[0], entry[1]) for entry in map(_entry, lines) if entry is not None}
        return journal

    def has(self, manifest: Manifest) -> bool:
        """Whether an earlier run applied it."""
        return (self._digest(manifest.file), manifest.index) in self.done

    def add(self, manifest: Manifest) -> None:
        """Remember that it is applied."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([self._digest(manifest.file), manifest.index]) + "\n")

    def forget(self) -> None:
        """All is done."""
        self.path.unlink(missing_ok=True)

    def _digest(self, file: Path) -> str:
        if file not in self.digests:
            self.digests[file] = hashlib.sha256(str(file.resolve()).encode() + b"\0" + file.read_bytes()).hexdigest()
        return self.digests[file]


def _entry(line: str) -> tuple[str, int] | None:
    try:
        digest, index = json.loads(line)
    except (ValueError, TypeError):  # a last line that was cut off
        return None
    return str(digest), int(index)


def _with_progress(
    connection: Connection, workspace: str, manifests: Sequence[Manifest], journal: Journal, *, force: bool
) -> list[tuple[Manifest, str]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(workspace, total=len(manifests))

        def done(manifest: Manifest) -> None:
            journal.add(manifest)
            progress.update(task, advance=1, description=manifest.obj["kind"])

        return apply_all(connection, workspace, manifests, done, field_manager=_FIELD_MANAGER, force=force)
