"""``kcpcache status``."""

import json
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from kcpcache.cli.connecting import ContextOption, KubeconfigOption, connect, failing
from kcpcache.cli.survey import MEASURED_TOGETHER, Lag, Survey, survey, workspace_of
from kcpcache.meta.names import GroupVersionResource
from kcpcache.meta.objects import Object

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

_PIPED_WIDTH = 250
_WIDE = 130


@dataclass(frozen=True, slots=True)
class Row:
    """One CachedResource. ``lag_seconds`` is a mean, since the server's start or since the last look; None: unknown."""

    workspace: str
    name: str
    resource: str
    phase: str
    local: int
    cache: int
    lag_seconds: float | None
    waiting_seconds: float | None
    problems: tuple[str, ...]

    @property
    def address(self) -> str:
        """``root:provider:memflavors-v1``, as in the metrics."""
        return f"{self.workspace}:{self.name}"


def status(
    kubeconfig: KubeconfigOption = "",
    context: ContextOption = "",
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Keep the table current until Ctrl-C.")] = False,
    interval: Annotated[float, typer.Option(min=0.2, help="Seconds between two looks.")] = 2.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
) -> None:
    """Show the workspaces and CachedResources of a running server, with counts, lag and what is wrong.

    LAG is the mean time from a change to its visible copy, WAITING how long the oldest change waits now. Both need
    the right to read /metrics, and are common to all CachedResources beyond the first hundred.

    Example: kcpcache status --watch
    """
    with failing(), connect(kubeconfig, context) as connection:
        found = survey(connection)
        if as_json:
            workspaces = dict(sorted(found.phases.items()))
            rows_found = [asdict(row) for row in rows(found)]
            seen = {"version": found.version, "ready": found.ready, "workspaces": workspaces}
            typer.echo(json.dumps({**seen, "cachedResources": rows_found}, indent=2))
            return
        from rich.console import Console
        from rich.live import Live

        console = Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH)
        if not watch:
            console.print(rendered(found, rows(found), console.width))
            return
        with Live(
            rendered(found, rows(found), console.width), console=console, auto_refresh=False, screen=True
        ) as live:
            while True:
                time.sleep(interval)
                before, found = found, survey(connection)
                live.update(rendered(found, rows(found, before.lags), console.width), refresh=True)


def rows(found: Survey, before: Mapping[str, Lag] | None = None) -> list[Row]:
    """A row for each CachedResource, by workspace and name; ``before`` are the lags of an earlier look."""
    made = [_row(obj, found.lags, before or {}) for obj in found.cached_resources]
    return sorted(made, key=lambda row: (row.workspace, row.name))


def _row(obj: Object, lags: Mapping[str, Lag] | None, before: Mapping[str, Lag]) -> Row:
    spec, state = obj.get("spec", {}), obj.get("status", {})
    workspace, name = workspace_of(obj), obj["metadata"]["name"]
    counts = state.get("resourceCounts") or {}
    measured = f"{workspace}:{name}" if lags is None or f"{workspace}:{name}" in lags else MEASURED_TOGETHER
    lag, old = (lags or {}).get(measured, Lag()), before.get(measured, Lag())
    # Nothing was copied since the last look: the mean over all time is the best there is.
    count, seconds = (
        (lag.count - old.count, lag.seconds - old.seconds) if lag.count > old.count else (lag.count, lag.seconds)
    )
    return Row(
        workspace=workspace,
        name=name,
        resource=str(GroupVersionResource(*(str(spec.get(part, "")) for part in ("group", "version", "resource")))),
        phase=str(state.get("phase", "")),
        local=int(counts.get("local", 0)),
        cache=int(counts.get("cache", 0)),
        lag_seconds=seconds / count if count > 0 else None,
        waiting_seconds=None if lags is None else lag.waiting_seconds,
        problems=tuple(problems(obj)),
    )


def problems(obj: Object) -> Sequence[str]:
    """What the conditions of an object complain of."""
    conditions = obj.get("status", {}).get("conditions") or []
    return [
        f"{each.get('type')}: {each.get('message') or each.get('reason') or each.get('status')}"
        for each in conditions
        if each.get("status") != "True"
    ]


def rendered(found: Survey, table_rows: Sequence[Row], width: int = _PIPED_WIDTH) -> "Group":
    """What is shown in a terminal of so many columns. In a narrow one names are folded, and complaints come below."""
    from rich.console import Group
    from rich.text import Text

    phases = Counter(phase or "none" for phase in found.phases.values())
    counted = ", ".join(f"{count} {phase}" for phase, count in sorted(phases.items()))
    head = Text(f"server      {found.version}, {found.ready}\nworkspaces  {len(found.phases)} ({counted})\n")
    if not table_rows:
        return Group(head, Text("no CachedResources; kcpcache demo makes some"))
    wide = width >= _WIDE
    below = [] if wide else [Text(f"{row.address}: {text}", style="red") for row in table_rows for text in row.problems]
    return Group(head, _table(table_rows, wide=wide), *below)


def _table(table_rows: Sequence[Row], *, wide: bool) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("WORKSPACE", "NAME", "RESOURCE") if wide else ("CACHEDRESOURCE",):
        table.add_column(title, overflow="fold")
    table.add_column("PHASE", no_wrap=True)
    for title in ("LOCAL", "CACHE", "LAG", "WAITING"):
        table.add_column(title, justify="right", no_wrap=True)
    if wide:
        table.add_column("CONDITIONS", overflow="fold")
    for row in table_rows:
        alike = "" if row.local == row.cache else "yellow"
        cells = [
            *((row.workspace, row.name, row.resource) if wide else (row.address,)),
            Text(row.phase, style="green" if row.phase == "Ready" else "yellow"),
            str(row.local),
            Text(str(row.cache), style=alike),
            duration(row.lag_seconds),
            duration(row.waiting_seconds),
        ]
        if wide:
            cells.append(Text("\n".join(row.problems), style="red") if row.problems else "ok")
        table.add_row(*cells)
    return table


def duration(seconds: float | None) -> str:
    """``12 ms`` or ``3.1 s``; ``-`` where it is not known."""
    if seconds is None:
        return "-"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
