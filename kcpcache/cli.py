"""The command line: ``kcpcache start``, ``kcpcache version``."""

import asyncio
import atexit
import gc
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from kcpcache import __version__

app = typer.Typer(
    add_completion=True,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A Kubernetes-style API server that shares read-only objects between workspaces.",
)


@app.callback()
def _root() -> None:
    """Keeps ``start`` a command of its own."""


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(f"kcpcache {__version__}")


@app.command()
def start(  # noqa: PLR0913, PLR0917 -- one parameter per flag
    root_dir: Annotated[Path | None, typer.Option(help="Where everything is kept. [default: .kcpcache]")] = None,
    bind_address: Annotated[str | None, typer.Option(help="Address to listen on. [default: 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one. [default: 6443]")] = None,
    external_hostname: Annotated[str | None, typer.Option(help="Host name in published URLs.")] = None,
    shard_name: Annotated[str | None, typer.Option(help="Name of this shard. [default: root]")] = None,
    feature_gates: Annotated[str | None, typer.Option(help="For example CachedAPIs=false.")] = None,
    token_auth_file: Annotated[Path | None, typer.Option(help='CSV: token,user,uid,"group1,group2".')] = None,
    client_ca_file: Annotated[Path | None, typer.Option(help="More authorities for client certificates.")] = None,
    tls_cert_file: Annotated[Path | None, typer.Option(help="Serving certificate (PEM) in place of ours.")] = None,
    tls_private_key_file: Annotated[Path | None, typer.Option(help="Its private key (PEM).")] = None,
    sqlite_synchronous: Annotated[str | None, typer.Option(help="full or normal. [default: full]")] = None,
    history_seconds: Annotated[float | None, typer.Option(help="History for watches. [default: 600]")] = None,
    virtual_workspace_allowed_hosts: Annotated[
        str | None, typer.Option(help="Other servers that endpoint URLs may lead to: host,host:port. [default: none]")
    ] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning, error. [default: info]")] = None,
) -> None:
    """Start the server. Every flag can also be given as KCPCACHE_<FLAG> in the environment."""
    given = {name: value for name, value in locals().items() if value is not None}
    try:
        _start(given)
    except KeyboardInterrupt:
        raise typer.Exit(1) from None


def _start(given: dict[str, Any]) -> None:
    from pydantic import ValidationError

    from kcpcache.config import Settings
    from kcpcache.logs import configure_logs

    try:
        settings = Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        flag = "--" + ".".join(str(part) for part in first["loc"]).replace("_", "-")
        _fail(f"{flag}: {first['msg'].removeprefix('Value error, ')}")
    configure_logs(settings.log_level)

    from kcpcache.auth.certificates import CertificateError
    from kcpcache.auth.tokens import TokenFileError
    from kcpcache.root_dir import RootDirError
    from kcpcache.server import Server, StartError
    from kcpcache.storage.store import StoreError

    known = (RootDirError, StartError, CertificateError, TokenFileError, StoreError)

    async def main() -> None:
        await Server(settings, _announce).run()

    import uvloop

    # What is in memory at the end need not be collected: the interpreter's last look would take a second or more.
    atexit.register(gc.freeze)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())
    except known as error:
        _fail(str(error))
    except BaseExceptionGroup as group:
        matching, rest = group.split(known)
        if rest is not None or matching is None:
            raise
        _fail(str(_first(matching)))


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


def _announce(url: str, kubeconfig: Path) -> None:
    """What to type next."""
    typer.echo(f"kcpcache {__version__} is ready at {url}\n\n  export KUBECONFIG={kubeconfig.absolute()}")
    typer.echo(
        "  kubectl api-resources\n  kubectl get workspacetypes\n\nThe tutorial is docs/tutorial.md. Stop with Ctrl-C."
    )
    sys.stdout.flush()


def _fail(text: str) -> None:
    typer.echo(f"kcpcache: {text}", err=True)
    raise typer.Exit(1)


def main() -> None:
    """The entry point."""
    app()
