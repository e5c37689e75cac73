"""Restoring a backup: all of it or nothing, and revisions that nobody has seen."""

import asyncio
import contextlib
from datetime import datetime
from pathlib import Path

import apsw

from kcpcache.backup.archive import Backup, BackupError, read_archive
from kcpcache.root_dir import DATABASE, KEPT, RESTORING, prepare_root_dir
from kcpcache.storage.sqlite import SqliteStore
from kcpcache.storage.sqlite_copy import check_store, newest_revision
from kcpcache.storage.sqlite_file import locked
from kcpcache.storage.store import Revision

REVISION_GAP = 1_000_000_000
"""How far a restore raises the counter: more than a server can have written since the backup (etcd's advice too)."""


def restore_backup(file: Path, root: Path, *, now: datetime, overwrite: bool = False) -> tuple[Backup, Path | None]:
    """Make ``root`` what it was when ``file`` was written; also where what was there before is kept, if anything was.

    Nothing in ``root`` changes before all of the backup was read and checked. The revision counter goes on far above
    every revision ever used, so that no client takes a new state for one that it knows. Blocks.
    Raises BackupError, RootDirError, StoreError (StoreLockedError while a server runs there), OSError.
    """
    prepare_root_dir(root, half_restored=True)
    staging = root / RESTORING
    present = [name for name in KEPT if (root / name).exists()]
    if present and not overwrite:
        raise BackupError(f"--root-dir {root} holds a server already: name an empty or new directory, or use --force")
    with locked(root / DATABASE):
        _clear(staging)  # of a restore that was not finished
        try:
            staging.mkdir(mode=0o700)
            backup = read_archive(file, staging)
            check_store(staging / DATABASE)
            newest = max(backup.store.revision, _revision_of(root / DATABASE))
            asyncio.run(_raise_revision(staging / DATABASE, newest + REVISION_GAP))
        except BaseException:
            _clear(staging)
            raise
        return backup, _exchange(root, staging, now)


def _exchange(root: Path, staging: Path, now: datetime) -> Path | None:
    """Old files aside, new ones in. Until ``staging`` is gone no server starts here, and a restore can be repeated."""
    old = [path for name in KEPT for path in (root / name, root / f"{name}-wal", root / f"{name}-shm") if path.exists()]
    aside = root / f"before-restore-{now:%Y%m%dT%H%M%SZ}" if old else None
    if aside is not None:
        aside.mkdir(mode=0o700)
        for path in old:
            path.replace(aside / path.name)
    for name in KEPT:
        if (staging / name).exists():
            (staging / name).replace(root / name)
    _clear(staging)
    return aside


async def _raise_revision(path: Path, revision: int) -> None:
    store = await SqliteStore.open(path)
    try:
        await store.bump(Revision(revision))
    finally:
        await store.close()


def _revision_of(path: Path) -> int:
    """The newest revision of a store that is about to be replaced; 0 where there is none, or none that can be read."""
    try:
        with contextlib.closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
            return newest_revision(connection)
    except (apsw.Error, TypeError):
        return 0


def _clear(directory: Path) -> None:
    """Remove a directory of plain files."""
    if directory.is_dir():
        for path in directory.iterdir():
            path.unlink()
        directory.rmdir()
