"""How commands that talk to a running server find it, and what they say when they do not."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from kcpcache.cli.settings import fail
from kcpcache.client.connection import ApiError, Connection, RefusedError, UnreachableError
from kcpcache.client.endpoint import Overrides, cluster_entry, context_entry, endpoint
from kcpcache.client.kubeconfig import Kubeconfig, KubeconfigError, kubeconfig_files, load_kubeconfig

ADMINISTRATOR = "shard-base"
"""The context of whoever may see everything, in the kubeconfig that a server writes."""

_HERE = Path(".kcpcache") / "admin.kubeconfig"

KubeconfigOption = Annotated[
    str, typer.Option("--kubeconfig", help="How to reach the server. [default: $KUBECONFIG, then .kcpcache]")
]
ContextOption = Annotated[str, typer.Option("--context", help="Which context of the kubeconfig to use.")]


def load(kubeconfig: str) -> Kubeconfig:
    """The kubeconfig that was named, else that of ``$KUBECONFIG``, of a server started here, or of the user."""
    if not kubeconfig and not os.environ.get("KUBECONFIG") and _HERE.is_file():
        kubeconfig = str(_HERE)
    return load_kubeconfig(kubeconfig_files(kubeconfig, os.environ, Path.home()), explicit=bool(kubeconfig))


def connect(kubeconfig: str = "", context: str = "", *, administrator: bool = True) -> Connection:
    """A connection as the user of a context: the named one, or the administrator's, if that is wanted and there is one.

    Raises KubeconfigError.
    """
    config = load(kubeconfig)
    if not context and administrator and _is_of_same_server(config):
        context = ADMINISTRATOR
    return Connection(endpoint(config, Overrides(context=context)), user_agent="kcpcache")


def _is_of_same_server(config: Kubeconfig) -> bool:
    """Whether there is the administrator's context, and it is of the server that the current context leads to."""
    if ADMINISTRATOR not in config.contexts:
        return False
    names = (config.current_context or ADMINISTRATOR, ADMINISTRATOR)
    clusters = [cluster_entry(config, context_entry(config, name)[1]) for name in names]
    return len({urlsplit(str(cluster.body.get("server", ""))).netloc for cluster in clusters}) == 1


@contextlib.contextmanager
def failing() -> Iterator[None]:
    """What a server or kubeconfig refuses, as one line and exit code 1."""
    try:
        yield
    except RefusedError as error:
        fail(f"{error} (is it started? kcpcache start)")
    except (ApiError, KubeconfigError, UnreachableError) as error:
        fail(str(error))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
