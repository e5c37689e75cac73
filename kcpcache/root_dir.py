"""The directory that holds everything a server keeps: checked before anything is written into it."""

import os
from pathlib import Path

DATABASE = "kcpcache.db"
KUBECONFIG = "admin.kubeconfig"
SIGNING_KEY = "service-account.key"
KEPT = (
    *(f"{pair}.{kind}" for pair in ("ca", "client-ca", "apiserver", "admin", "shard-admin") for kind in ("crt", "key")),
    SIGNING_KEY,
    KUBECONFIG,
    DATABASE,
)
"""All that a server keeps and cannot make again; the database last."""

RESTORING = ".restoring"
"""Where a restore gathers what it puts in place in the end; while it is there, what is beside it is not whole."""

_OURS = (DATABASE, f"{DATABASE}.lock", "ca.crt", "ca.key")
_HARMLESS = {"lost+found"}
_PRIVATE = 0o700


class RootDirError(Exception):
    """The root directory cannot be used; one line that says why and what to do."""


def prepare_root_dir(path: Path, *, half_restored: bool = False) -> Path:
    """Make the directory, or accept one that is empty or a server's own. Raises RootDirError; overwrites nothing.

    ``half_restored``: also one in which a restore was not finished, for the next.
    """
    try:
        path.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
    except FileExistsError:
        raise RootDirError(f"--root-dir {path} is not a directory: name another one") from None
    except OSError as error:
        raise RootDirError(f"--root-dir {path} cannot be made: {error.strerror}") from None
    try:
        names = {entry.name for entry in path.iterdir()} - _HARMLESS
    except OSError as error:
        raise RootDirError(f"--root-dir {path} cannot be read: {error.strerror}") from None
    if RESTORING in names and not half_restored:
        raise RootDirError(f"--root-dir {path} was not wholly restored: run kcpcache restore --force again")
    if names and not names & {*_OURS, RESTORING}:
        raise RootDirError(
            f"--root-dir {path} holds other files ({', '.join(sorted(names)[:3])}, …): name an empty or new directory"
        )
    if not os.access(path, os.W_OK | os.X_OK):
        raise RootDirError(f"--root-dir {path} is not writable for this user")
    return path
