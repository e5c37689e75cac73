"""A consistent copy of a SQLite store while it is in use, and whether a file is a whole store."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import apsw

from kcpcache.storage.sqlite_file import APPLICATION_ID, MIGRATIONS, store_errors
from kcpcache.storage.store import StoreBrokenError, StoreUnavailableError

_MOST_PROBLEMS = 10


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """What a file holds: its schema's version, its newest revision, and how many live entries."""

    schema: int
    revision: int
    entries: int


def copy_store(source: Path, target: Path) -> StoreFacts:
    """Copy the store at ``source``, as it is at one moment, to the new file ``target``; then check the copy.

    A process that serves the store goes on writing: this one only reads, in one transaction, through a connection that
    can neither write nor checkpoint. Raises StoreUnavailableError, StoreBrokenError. Blocks.
    """
    if not source.is_file():
        raise StoreUnavailableError(f"{source} is not there")
    with (
        store_errors(f"cannot copy {source}"),
        closing(apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READONLY)) as connection,
    ):
        _check_ours(connection, source)
        connection.execute("VACUUM INTO ?", (str(target),))
    return check_store(target)


def check_store(path: Path) -> StoreFacts:
    """What the store at ``path`` holds, after SQLite's and our own checks of all of it.

    Raises StoreBrokenError for damage, for what is no store of ours and for one of a newer program, else
    StoreUnavailableError. Blocks.
    """
    with (
        store_errors(f"cannot check {path}"),
        closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as connection,
    ):
        _check_ours(connection, path)
        problems = [row[0] for row in connection.execute(f"PRAGMA integrity_check({_MOST_PROBLEMS})")]
        if problems != ["ok"]:
            raise StoreBrokenError(f"{path} is damaged: {'; '.join(problems)}")
        entries, lost = connection.execute(
            "SELECT count(*), count(*) - count(log.revision) FROM live"
            " LEFT JOIN log ON log.revision = live.revision AND log.key = live.key AND NOT log.deleted"
        ).get
        if lost:
            raise StoreBrokenError(f"{path} is damaged: {lost} keys have no value")
        return StoreFacts(connection.pragma("user_version"), newest_revision(connection), entries)


def newest_revision(connection: apsw.Connection) -> int:
    """The newest revision that a store has used. Raises apsw.Error."""
    return int(connection.execute("SELECT revision FROM meta").get)


def _check_ours(connection: apsw.Connection, path: Path) -> None:
    if connection.pragma("application_id") != APPLICATION_ID:
        raise StoreBrokenError(f"{path} is not a kcpcache store")
    version = connection.pragma("user_version")
    if version > len(MIGRATIONS):
        raise StoreBrokenError(
            f"{path} was written by a newer kcpcache (schema {version}; this one knows {len(MIGRATIONS)})"
        )
