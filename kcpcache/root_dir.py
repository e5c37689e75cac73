"""The directory that holds everything a server keeps: checked before anything is written into it."""

import os
from pathlib import Path

DATABASE = "kcpcache.db"
KUBECONFIG = "admin.kubeconfig"
_OURS = (DATABASE, "ca.crt", "ca.key")
_HARMLESS = {"lost+found"}
_PRIVATE = 0o700


class RootDirError(Exception):
    """The root directory cannot be used; one line that says why and what to do."""


def prepare_root_dir(path: Path) -> Path:
    """Make the directory, or accept one that is empty or a server's own. Raises RootDirError; overwrites nothing."""
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
    if names and not names & set(_OURS):
        raise RootDirError(
            f"--root-dir {path} holds other files ({', '.join(sorted(names)[:3])}, …): name an empty or new directory"
        )
    if not os.access(path, os.W_OK | os.X_OK):
        raise RootDirError(f"--root-dir {path} is not writable for this user")
    return path
