"""``kcpcache doctor``."""

import os
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from kcpcache.cli.connecting import ContextOption, KubeconfigOption, connect
from kcpcache.cli.findings import Finding
from kcpcache.cli.settings import settings_of
from kcpcache.client.connection import ApiError, RefusedError, UnreachableError
from kcpcache.client.kubeconfig import KubeconfigError
from kcpcache.root_dir import KUBECONFIG

_MARKS = {"ok": "[green]ok     [/green]", "warning": "[yellow]warning[/yellow]", "error": "[red]error  [/red]"}

_COUNTED = (("error", "error"), ("warning", "warning"), ("ok", "check"))


def doctor(
    root_dir: Annotated[Path | None, typer.Option(help="Where the server keeps everything.")] = None,
    kubeconfig: KubeconfigOption = "",
    context: ContextOption = "",
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also show what is in order.")] = False,
) -> None:
    """Look for what is wrong, and say how to mend it. The exit code is 1 where anything is.

    In the root directory: database, room, certificates, file modes. On the running server: readiness, clock,
    complaints of CachedResources, whether every copy is what its original is, and copies that nothing explains.

    Example: kcpcache doctor --root-dir /var/lib/kcpcache
    """
    from rich.console import Console

    root = settings_of({"root_dir": root_dir}).root_dir
    console, counted = Console(highlight=False, soft_wrap=True), Counter[str]()
    for finding in _findings(root, kubeconfig, context, given=root_dir is not None):
        counted[finding.level] += 1
        if finding.level == "ok" and not verbose:
            continue
        console.print(f"{_MARKS[finding.level]} {finding.check}: ", end="")
        console.print(finding.text, markup=False)
        if finding.mend:
            console.print(f"        mend: {finding.mend}", markup=False)
    errors, warnings, checks = (_plural(counted[level], what) for level, what in _COUNTED)
    console.print(f"{errors}, {warnings}, {checks} in order")
    if counted["error"]:
        raise typer.Exit(1)


def _plural(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _findings(root: Path, kubeconfig: str, context: str, *, given: bool) -> Iterator[Finding]:
    from kcpcache.cli.local_checks import check_root_dir
    from kcpcache.cli.remote_checks import check_server

    if not root.is_dir():
        text = f"not looked at: {root} is not here"
        yield Finding("root directory", "error" if given else "warning", text, "name it with --root-dir")
    else:
        try:
            yield from check_root_dir(root, datetime.now(UTC))
        except OSError as error:
            text = f"{error.filename or root} cannot be looked at: {error.strerror}"
            yield Finding("root directory", "error", text, "run it as the user that the server runs as")
    own = root / KUBECONFIG
    if not kubeconfig and not os.environ.get("KUBECONFIG") and own.is_file():
        kubeconfig = str(own)
    try:
        with connect(kubeconfig, context) as connection:
            yield from check_server(connection, now=lambda: datetime.now(UTC))
    except RefusedError as error:
        yield Finding("server", "warning", str(error), "start it: kcpcache start")
    except (ApiError, KubeconfigError, UnreachableError) as error:
        yield Finding("server", "error", str(error), "say with --kubeconfig and --context how to reach it")
