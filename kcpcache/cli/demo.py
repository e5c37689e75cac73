"""``kcpcache demo``: Cloud Co.'s story on a running server, step by step, with what each side sees."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kcpcache.cli.connecting import ContextOption, KubeconfigOption, connect, failing
from kcpcache.cli.settings import fail
from kcpcache.client.applying import Resources, UnknownKindError, apply_one
from kcpcache.client.connection import ApiError, Connection
from kcpcache.client.manifests import read_manifests
from kcpcache.client.waiting import NotInTimeError, in_phase, wait_for
from kcpcache.client.workspaces import TENANCY, cluster_url
from kcpcache.meta.objects import Object

if TYPE_CHECKING:
    from rich.console import Console

HOME = "root:demo"
PROVIDER, CONSUMER = f"{HOME}:provider", f"{HOME}:consumer"
_LABEL = "demo.kcpcache.io/story"
_FIELD_MANAGER = "kcpcache-demo"
_WORKSPACES = f"{TENANCY}/workspaces"
_CACHED = "/apis/cache.kcp.io/v1alpha1/cachedresources"
_VISIBLE = "cloud.example.com/visibility"
_GROUP = "/apis/cloud.example.com/v1"
_READY_SECONDS = 30.0
_GONE_SECONDS = 60.0


def demo(
    kubeconfig: KubeconfigOption = "",
    context: ContextOption = "",
    pause: Annotated[bool, typer.Option("--pause", help="Wait for Enter before each step.")] = False,
    clean: Annotated[bool, typer.Option("--clean", help="Remove what the demo made, and do nothing else.")] = False,
) -> None:
    """Tell Cloud Co.'s story on a running server: a provider shares a catalogue, a consumer reads it.

    All of it happens below the workspace root:demo, and can be repeated.

    Example: kcpcache demo --pause
    """
    from rich.console import Console

    console = Console(highlight=False)
    with failing(), connect(kubeconfig, context, administrator=False) as connection:
        try:
            if clean:
                _clean(connection, console)
            else:
                _tell(Stage(connection, console), pause=pause)
        except (NotInTimeError, UnknownKindError) as error:
            fail(f"{error}; kcpcache status shows more")


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the story is played: a server, and a screen."""

    connection: Connection
    console: "Console"
    resources: dict[str, Resources] = field(default_factory=dict)

    def apply(self, workspace: str, *files: str, fill: Callable[[str], str] = str) -> None:
        """Apply files of the example to a workspace; ``fill`` completes their text."""
        known = self.resources.setdefault(workspace, Resources(self.connection, workspace))
        for name in files:
            for manifest in read_manifests(Path(name), fill((example() / name).read_text(encoding="utf-8"))):
                apply_one(self.connection, known, manifest.obj, field_manager=_FIELD_MANAGER, force=True)
            self.console.print(f"  [dim]applied {name} to {workspace}[/dim]", soft_wrap=True)

    def show(self, workspace: str, path: str) -> None:
        """What ``kubectl get`` would print."""
        answer = self.connection.table(cluster_url(workspace, path))
        shown = [at for at, column in enumerate(answer["columnDefinitions"]) if not column.get("priority")]
        table = [[answer["columnDefinitions"][at]["name"].upper() for at in shown]]
        table += [[_cell(row["cells"][at]) for at in shown] for row in answer.get("rows") or []]
        widths = [max(len(row[at]) for row in table) for at in range(len(shown))]
        self.console.print(f"  [bold]{workspace}[/bold] sees {path.rpartition('/')[2]}:")
        for row in table:
            line = "   ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
            self.console.print(f"    {line}", markup=False, soft_wrap=True)

    def wait(self, workspace: str, path: str, done: Callable[[Object], bool], what: str) -> Object:
        """Get an object until it is ``done``."""
        return wait_for(self.connection, cluster_url(workspace, path), done, _READY_SECONDS, what)


def _cell(value: object) -> str:
    return "" if value is None else str(value)


@dataclass(frozen=True, slots=True)
class Step:
    """A chapter: what it is about, and what happens in it."""

    title: str
    text: str
    play: Callable[[Stage], None]


def example() -> Traversable:
    """The manifests of the story: in the wheel, else in the repository."""
    packaged = resources.files("kcpcache") / "examples" / "cloud-co"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "docs" / "examples" / "cloud-co"


def _make_workspaces(stage: Stage) -> None:
    _make_workspace(stage, "root", "demo")
    for name in ("provider", "consumer"):
        _make_workspace(stage, HOME, name)
    stage.show(HOME, _WORKSPACES)


def _make_workspace(stage: Stage, parent: str, name: str) -> None:
    made: Object = {
        "apiVersion": "tenancy.kcp.io/v1alpha1",
        "kind": "Workspace",
        "metadata": {"name": name, "labels": {_LABEL: "cloud-co"}},
        "spec": {"type": {"name": "universal", "path": "root"}},
    }
    try:
        stage.connection.create(cluster_url(parent, _WORKSPACES), made)
    except ApiError as error:
        if error.reason != "AlreadyExists":
            raise
        found = stage.connection.get(cluster_url(parent, f"{_WORKSPACES}/{name}"))
        if not _is_ours(found):
            fail(f"workspace {parent}:{name} is there already, and not this demo's: delete or rename it first")
    stage.wait(parent, f"{_WORKSPACES}/{name}", in_phase("Ready"), f"workspace {parent}:{name} is not ready")


def _is_ours(workspace: Object) -> bool:
    return _LABEL in (workspace["metadata"].get("labels") or {})


def _define(stage: Stage) -> None:
    stage.apply(PROVIDER, "provider/01-cpuflavors-crd.yaml", "provider/02-memflavors-crd.yaml")
    stage.apply(PROVIDER, "provider/03-cpuflavors.yaml", "provider/04-memflavors.yaml")
    stage.show(PROVIDER, f"{_GROUP}/cpuflavors")
    stage.show(PROVIDER, f"{_GROUP}/memflavors")


def _cache(stage: Stage) -> None:
    stage.apply(PROVIDER, "provider/05-cpuflavors-cachedresource.yaml", "provider/06-memflavors-cachedresource.yaml")
    for name in ("cpuflavors-v1", "memflavors-v1"):
        found = stage.wait(PROVIDER, f"{_CACHED}/{name}", _is_copied, f"CachedResource {name} is not ready")
        counts = found["status"]["resourceCounts"]
        stage.console.print(f"  {name}: {counts['local']} selected, {counts['cache']} in the cache")


def _is_copied(cached: Object) -> bool:
    counts = cached.get("status", {}).get("resourceCounts") or {}
    return in_phase("Ready")(cached) and bool(counts) and counts.get("local") == counts.get("cache")


def _offer(stage: Stage) -> None:
    names = ("07-cpuflavors", "08-memflavors", "09-instances")
    stage.apply(PROVIDER, *(f"provider/{name}-apiresourceschema.yaml" for name in names))

    def fill(text: str) -> str:
        for name in ("cpuflavors", "memflavors"):
            cached = stage.connection.get(cluster_url(PROVIDER, f"{_CACHED}/{name}-v1"))
            text = text.replace(f"${{{name.upper()}_IDENTITY_HASH}}", cached["status"]["identityHash"])
        return text

    stage.apply(PROVIDER, "provider/10-compute-apiexport.yaml", fill=fill)
    stage.show(PROVIDER, "/apis/apis.kcp.io/v1alpha2/apiexports")


def _bind(stage: Stage) -> None:
    stage.apply(
        CONSUMER, "consumer/01-compute-apibinding.yaml", fill=lambda text: text.replace("root:provider", PROVIDER)
    )
    stage.show(CONSUMER, f"{_GROUP}/cpuflavors")
    stage.show(CONSUMER, f"{_GROUP}/memflavors")


def _refuse(stage: Stage) -> None:
    try:
        stage.connection.delete(cluster_url(CONSUMER, f"{_GROUP}/memflavors/mem-large"))
    except ApiError as error:
        stage.console.print(f"  {CONSUMER} tries to delete mem-large: [red]{error.code}[/red]")
        stage.console.print(f"    {error}", markup=False, soft_wrap=True)
    else:
        fail("mem-large could be deleted by the consumer: that must not be")


def _announce(stage: Stage) -> None:
    def fill(text: str) -> str:  # the last of the file's flavors is the one that has no label yet
        return text.replace("name: mem-xlarge\n", f"name: mem-xlarge\n  labels: {{{_VISIBLE}: Public}}\n")

    began = time.monotonic()
    stage.apply(PROVIDER, "provider/04-memflavors.yaml", fill=fill)
    seen = cluster_url(CONSUMER, f"{_GROUP}/memflavors")
    names: list[str] = []
    while "mem-xlarge" not in names:
        if time.monotonic() - began > _READY_SECONDS:
            raise NotInTimeError(f"{CONSUMER} does not see mem-xlarge within {_READY_SECONDS:g} s")
        names = [each["metadata"]["name"] for each in stage.connection.items(seen)]
    took = (time.monotonic() - began) * 1000
    stage.console.print(f"  applied by {PROVIDER}, seen by {CONSUMER} {took:.0f} ms later", soft_wrap=True)
    stage.show(CONSUMER, f"{_GROUP}/memflavors")


def _order(stage: Stage) -> None:
    stage.apply(CONSUMER, "consumer/02-web-instance.yaml")
    stage.show(CONSUMER, f"{_GROUP}/namespaces/default/instances")


STEPS = (
    Step(
        "Two workspaces",
        "A workspace looks like a whole cluster of its own. Cloud Co. has one, a customer has another.",
        _make_workspaces,
    ),
    Step(
        "The provider defines flavors",
        "So far this is plain Kubernetes: two CustomResourceDefinitions and some objects that only the provider sees.",
        _define,
    ),
    Step(
        "The provider has them cached",
        "A CachedResource copies what it selects into the cache, and keeps the copies equal from now on. One MemFlavor "
        "lacks the label that is selected: it is not announced yet.",
        _cache,
    ),
    Step(
        "The provider offers them",
        "An APIExport says what is on offer. The flavors are virtual: they come from the cache, proven by the hash of "
        "the CachedResource's identity. Instances are ordinary: every consumer has their own.",
        _offer,
    ),
    Step(
        "The consumer binds the offer",
        "One APIBinding, and the flavors are there, read straight from the cache. Nothing was copied for the consumer.",
        _bind,
    ),
    Step(
        "The consumer cannot change them",
        "No permission makes a write possible: there is nothing in this workspace that could be written.",
        _refuse,
    ),
    Step(
        "A change arrives",
        "The provider announces the big one, by applying the flavors again with the label on it.",
        _announce,
    ),
    Step(
        "The consumer orders a machine",
        "The Instance names flavors from the catalogue. It is the consumer's own object.",
        _order,
    ),
)


def _tell(stage: Stage, *, pause: bool) -> None:
    for number, step in enumerate(STEPS, 1):
        if pause and number > 1:
            typer.prompt("", default="", prompt_suffix="  Enter: go on", show_default=False)
        stage.console.print(f"\n[bold cyan]{number}. {step.title}[/bold cyan]")
        stage.console.print(step.text, width=min(100, stage.console.width))
        step.play(stage)
    stage.console.print(
        f"\nLook around with: kubectl ws :{CONSUMER}, kcpcache status\nRemove all of it with: kcpcache demo --clean",
        soft_wrap=True,
    )


def _clean(connection: Connection, console: "Console") -> None:
    path = cluster_url("root", f"{_WORKSPACES}/demo")
    try:
        if not _is_ours(connection.get(path)):
            fail(f"workspace {HOME} is not this demo's: it was left as it is")
        connection.delete(path)
        deadline = time.monotonic() + _GONE_SECONDS
        while time.monotonic() < deadline:
            connection.get(path)
            time.sleep(0.1)
        fail(f"workspace {HOME} is not gone within {_GONE_SECONDS:g} s; it goes on being deleted")
    except ApiError as error:
        if error.reason != "NotFound":
            raise
    console.print(f"workspace {HOME} and all in it are gone")
