"""The entry points ``kubectl-ws``, ``kubectl-kcp`` and ``kubectl-create_workspace``: parse, run, report."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from kcpcache import __version__
from kcpcache.client.connection import ApiError, UnreachableError
from kcpcache.client.kubeconfig import KubeconfigError
from kcpcache.client.waiting import NotInTimeError
from kcpcache.kubectl import claims, commands, snapshot, tree, workspace
from kcpcache.kubectl.flags import UsageError
from kcpcache.kubectl.paths import PathError
from kcpcache.kubectl.programs import parse_command_line
from kcpcache.kubectl.session import CommandError, Session

_EXPECTED = (UsageError, PathError, CommandError, KubeconfigError, NotInTimeError, ApiError, UnreachableError)
_RUN: Mapping[type, Any] = {
    commands.Use: workspace.use,
    commands.Current: workspace.current,
    commands.Create: workspace.create,
    commands.CreateContext: workspace.create_context,
    commands.Tree: tree.tree,
    commands.Bind: claims.bind,
    commands.GetClaims: claims.get_claims,
    commands.DecideClaims: claims.decide,
    commands.Snapshot: snapshot.snapshot,
    commands.Help: lambda session, command: session.say(command.text),
}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a call finds around it: the process's own, or a test's."""

    environ: Mapping[str, str]
    home: Path
    stdin: TextIO
    out: TextIO
    err: TextIO


def run(program: str, words: Sequence[str], around: Surroundings) -> int:
    """One call of a plugin, to its exit code. What is expected to go wrong is one line, ``Error: …``, and code 1."""
    session = None
    try:
        invocation = parse_command_line(program, words, __version__)
        session = Session(invocation.options, around.environ, around.home, around.stdin, around.out, around.err)
        _RUN[type(invocation.command)](session, invocation.command)
    except _EXPECTED as error:
        print(f"Error: {error}", file=around.err)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever reads the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    finally:
        if session is not None:
            session.close()
    return 0


def _main(program: str) -> None:
    sys.exit(run(program, sys.argv[1:], Surroundings(os.environ, Path.home(), sys.stdin, sys.stdout, sys.stderr)))


def ws() -> None:
    """``kubectl ws``."""
    _main("ws")


def kcp() -> None:
    """``kubectl kcp``."""
    _main("kcp")


def create_workspace() -> None:
    """``kubectl create workspace``."""
    _main("create-workspace")
