"""What every plugin call needs: the kubeconfig, the workspace it is about, a connection, and where to print."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TextIO
from urllib.parse import SplitResult

from kcpcache.client.connection import Connection
from kcpcache.client.endpoint import Endpoint, endpoint
from kcpcache.client.kubeconfig import Edit, Kubeconfig, KubeconfigError, kubeconfig_files, load_kubeconfig, write_edit
from kcpcache.client.waiting import wait_for
from kcpcache.client.workspaces import cluster_of
from kcpcache.kubectl.commands import Options
from kcpcache.kubectl.paths import destination, resolve
from kcpcache.meta.objects import Object


class CommandError(Exception):
    """The command could not be done; one line that says why."""


@dataclass
class Session:
    """One call of a plugin. Files are read and the connection made when they are first needed."""

    options: Options
    environ: Mapping[str, str]
    home: Path
    stdin: TextIO
    out: TextIO
    err: TextIO
    _connection: Connection | None = field(default=None, init=False)

    @cached_property
    def config(self) -> Kubeconfig:
        """All kubeconfig files as one. Raises KubeconfigError."""
        given = self.options.kubeconfig
        return load_kubeconfig(kubeconfig_files(given, self.environ, self.home), explicit=bool(given))

    @cached_property
    def endpoint(self) -> Endpoint:
        """Server and credentials of the chosen context. Raises KubeconfigError."""
        return endpoint(self.config, self.options.overrides)

    @property
    def connection(self) -> Connection:
        """The connection to that server."""
        if self._connection is None:
            self._connection = Connection(self.endpoint, user_agent="kubectl-kcp", environ=self.environ)
        return self._connection

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection.close()

    def workspace(self) -> tuple[SplitResult, str]:
        """The server's URL and the path of the workspace that is meant. Raises KubeconfigError, PathError."""
        found = cluster_of(self.endpoint.server)
        if found is None:
            raise KubeconfigError(f'current URL "{self.endpoint.server}" does not point to a workspace')
        base, path = found
        if self.options.workspace:
            path = resolve(destination(self.options.workspace), path)
        return base, path

    def edit(self, edit: Edit) -> None:
        """Change the kubeconfig. Raises KubeconfigError."""
        write_edit(self.config, edit)

    def say(self, text: str) -> None:
        """Print a line."""
        print(text, file=self.out, flush=True)

    def note(self, text: str) -> None:
        """Print a line beside the output."""
        print(text, file=self.err, flush=True)

    def wait(self, path: str, done: Callable[[Object], bool], timeout_seconds: float, what: str) -> Object:
        """Get the object at ``path`` until it is ``done``. Raises NotInTimeError ("<what> within …"), ApiError."""
        return wait_for(self.connection, path, done, timeout_seconds, what)
