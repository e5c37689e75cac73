"""The command line: ``kcpcache start``, ``kcpcache rewrite-secrets``, ``kcpcache version``."""

import asyncio
import atexit
import gc
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NoReturn, get_origin

import typer

from kcpcache import __version__
from kcpcache.config import Settings

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


def start(**flags: Any) -> None:
    """Start the server. Every flag can also be given as KCPCACHE_<FLAG> in the environment."""
    try:
        _start(_settings(flags))
    except KeyboardInterrupt:
        raise typer.Exit(1) from None


def _flags() -> Iterator[inspect.Parameter]:
    """One flag for each setting; what is not given is left to the environment and to the defaults there."""
    for name, field in Settings.model_fields.items():
        several = get_origin(field.annotation) is tuple
        default = str(field.default) if field.default else False
        option = typer.Option(f"--{name.replace('_', '-')}", help=field.description, show_default=default)
        kind: Any = list[str] if several else str
        flag: Any = Annotated[kind | None, option]
        yield inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=flag)


def _add_command(command: Any) -> None:
    """Have typer, which reads a function's signature, see the flags."""
    flags = list(_flags())
    command.__signature__ = inspect.Signature(flags)
    command.__annotations__ = {flag.name: flag.annotation for flag in flags}
    app.command()(command)


_add_command(start)


@app.command()
def rewrite_secrets(
    root_dir: Annotated[Path | None, typer.Option(help="Where the server keeps everything.")] = None,
    encryption_key_file: Annotated[Path | None, typer.Option(help="Keys, a line each: name base64.")] = None,
    delete_unreadable: Annotated[bool, typer.Option(help="Delete Secrets that cannot be decrypted any more.")] = False,
) -> None:
    """Encrypt all Secrets with the first key of the key file, while the server is stopped.

    For a key file that is new, or has a new first line. Afterwards keys below the first are needed no more.
    """
    settings = _settings({"root_dir": root_dir, "encryption_key_file": encryption_key_file})

    from kcpcache.root_dir import DATABASE
    from kcpcache.storage import sqlite_rewrite
    from kcpcache.storage.key_file import load_keys
    from kcpcache.storage.store import StoreError

    path = settings.root_dir / DATABASE
    if settings.encryption_key_file is None:
        _fail("--encryption-key-file is missing: it names the keys")
    if not path.is_file():
        _fail(f"--root-dir {settings.root_dir} holds no {DATABASE}")
    try:
        keys = load_keys(settings.encryption_key_file)
        found = sqlite_rewrite.rewrite_values(path, keys, without_missing_keys=delete_unreadable)
        if delete_unreadable and found.unreadable:
            deleted = asyncio.run(sqlite_rewrite.delete_unreadable(path, keys, found.unreadable))
            typer.echo(f"deleted {deleted} Secrets that could not be decrypted")
    except StoreError as error:
        _fail(str(error))
    typer.echo(f"encrypted {found.changed} values with key {keys.keys[0].name!r}; {found.current} were so already")
    if found.unreadable and not delete_unreadable:
        names = ", ".join(sorted(set(found.unreadable)))
        _fail(f"could not be decrypted and were left as they are (--delete-unreadable deletes them): {names}")


def _settings(given: dict[str, Any]) -> Settings:
    """The settings that flags and environment make; where they cannot be, one line and the end of the program."""
    from pydantic import ValidationError

    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        flag = "--" + ".".join(str(part) for part in first["loc"]).replace("_", "-")
        _fail(f"{flag}: {first['msg'].removeprefix('Value error, ')}")


def _start(settings: Settings) -> None:
    from kcpcache.logs import configure_logs

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


def _fail(text: str) -> NoReturn:
    typer.echo(f"kcpcache: {text}", err=True)
    raise typer.Exit(1)


def main() -> None:
    """The entry point."""
    app()
