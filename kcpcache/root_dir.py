"""The directory that holds everything a server keeps: checked, and closed to others, before anything is written."""

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

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
_PUBLIC = ".crt"
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_WRITABLE = stat.S_IWGRP | stat.S_IWOTH
_MORE_THAN_READ_BY_GROUP = _OTHERS & ~stat.S_IRGRP


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


class Opened(NamedTuple):
    """A file for its owner only that others could open, or the directory where others could put files of theirs."""

    path: Path
    mode: int


def opened_files(root: Path) -> Iterator[Opened]:
    """Keys, kubeconfig, and the database with what SQLite puts beside it, as far as others can open them.

    The rule is PostgreSQL's for keys: what root owns (a mounted secret) may be readable for the server's group.
    """
    secret = (root / name for name in KEPT if not name.endswith(_PUBLIC))
    yield from open_among((*secret, *sorted(root.glob(f"{DATABASE}-*"))))


def open_among(paths: Iterable[Path]) -> Iterator[Opened]:
    """The files that others than the server can open; what is not there, or no file, is nobody's."""
    for path in paths:
        try:
            found = path.stat()
        except OSError:  # not there yet, or not any more
            continue
        if stat.S_ISREG(found.st_mode) and is_open(found, os.geteuid()):
            yield Opened(path, stat.S_IMODE(found.st_mode))


def is_open(found: os.stat_result, user: int) -> bool:
    """Whether others than the server, which runs as ``user``, can open the file."""
    mounted = found.st_uid == 0 and user != 0
    return bool(found.st_mode & (_MORE_THAN_READ_BY_GROUP if mounted else _OTHERS))


def is_writable_for_others(root: Path) -> bool:
    """Whether others can put files into the directory, also in place of its keys."""
    return bool(root.stat().st_mode & _WRITABLE)


def close_to_others(root: Path) -> list[Opened]:
    """Take from others what they may do with the keys, and with the directory if it is ours; say what was open.

    A volume that somebody else mounted stays as it is: its writers are whoever mounted it.
    Raises RootDirError for a key that stays open, as ssh refuses one.
    """
    closed = []
    for path, mode in opened_files(root):
        try:
            path.chmod(mode & ~_OTHERS)
        except OSError as error:
            raise RootDirError(
                f"{path} is open to others (mode {mode:04o}) and cannot be closed: {error.strerror}; "
                "let only the server's user read it"
            ) from None
        closed.append(Opened(path, mode))
    found = root.stat()
    if is_writable_for_others(root) and found.st_uid == os.geteuid():
        mode = stat.S_IMODE(found.st_mode)
        root.chmod(mode & ~_WRITABLE)
        closed.append(Opened(root, mode))
    return closed
