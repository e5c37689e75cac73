"""``kcpcache start``."""

import asyncio
import atexit
import gc
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_origin

import typer

from kcpcache import __version__
from kcpcache.cli.settings import fail, settings_of
from kcpcache.config import Settings


def start(**flags: Any) -> None:
    """Start the server. Every flag can also be given as KCPCACHE_<FLAG> in the environment.

    Example: kcpcache start --root-dir /var/lib/kcpcache --port 6443
    """
    try:
        _start(settings_of(flags))
    except KeyboardInterrupt:
        raise typer.Exit(1) from None


def _flags() -> Iterator[inspect.Parameter]:
    """One flag for each setting; what is not given is left to the environment and to the defaults there."""
    for name, field in Settings.model_fields.items():
        several = get_origin(field.annotation) in {tuple, dict}
        default = ",".join(field.default) if several else str(field.default or "")
        option = typer.Option(f"--{name.replace('_', '-')}", help=field.description, show_default=default or False)
        kind: Any = list[str] if several else str
        flag: Any = Annotated[kind | None, option]
        yield inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=flag)


def with_flags(command: Any) -> Any:
    """The command, such that typer, which reads a function's signature, sees a flag for each setting."""
    flags = list(_flags())
    command.__signature__ = inspect.Signature(flags)
    command.__annotations__ = {flag.name: flag.annotation for flag in flags}
    return command


def _start(settings: Settings) -> None:
    gc.disable()  # until the server is ready: what is loaded is there to stay, and looking through it takes its time
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
        fail(str(error))
    except BaseExceptionGroup as group:
        matching, rest = group.split(known)
        if rest is not None or matching is None:
            raise
        fail(str(_first(matching)))


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


def _announce(url: str, kubeconfig: Path) -> None:
    """What to type next."""
    program = sys.argv[0] if Path(sys.argv[0]).name == "kcpcache" else "kcpcache"
    typer.echo(f"kcpcache {__version__} is ready at {url}\n\n  export KUBECONFIG={kubeconfig.absolute()}")
    typer.echo(f"  kubectl api-resources\n  kubectl get workspacetypes\n  {program} demo")
    typer.echo(f"\nWatch it in a browser: {url}/dashboard. Stop with Ctrl-C.")
    sys.stdout.flush()
