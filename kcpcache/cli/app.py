"""The command line ``kcpcache``: each command is a module beside this one."""

from typing import Annotated

import typer

from kcpcache import __version__
from kcpcache.cli.backup import backup, restore
from kcpcache.cli.demo import demo
from kcpcache.cli.doctor import doctor
from kcpcache.cli.importing import import_directory
from kcpcache.cli.openapi import openapi
from kcpcache.cli.rewrite_secrets import rewrite_secrets
from kcpcache.cli.start import start, with_flags
from kcpcache.cli.status import status

app = typer.Typer(
    add_completion=True,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A Kubernetes-style API server that shares read-only objects between workspaces.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version, too.")
    ] = False,
) -> None:
    """What can stand before any command."""


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(f"kcpcache {__version__}")


app.command()(with_flags(start))
app.command()(demo)
app.command()(status)
app.command("import")(import_directory)
app.command()(doctor)
app.command()(backup)
app.command()(restore)
app.command()(openapi)
app.command()(rewrite_secrets)


def main() -> None:
    """The entry point."""
    app()
