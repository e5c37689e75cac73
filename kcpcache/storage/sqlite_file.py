"""The file under a ``SqliteStore``: whose it is, which schema it has, and who has it open."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeAlias

import apsw

from kcpcache.storage.store import StoreBrokenError, StoreLockedError, StoreUnavailableError

Synchronous: TypeAlias = Literal["full", "normal"]
"""What an acknowledged write survives: ``full`` also power loss, ``normal`` the end of the process."""

APPLICATION_ID = 0x6B637063
"""``kcpc`` in the file's header: tells our files from others."""

MIGRATIONS: tuple[str, ...] = (
    # ``meta``: ``revision`` is the newest ever used, ``compacted`` the oldest readable, ``swept`` how far
    # compaction has removed rows; ``probes`` is there to be changed. ``log``: every write; ``previous`` is the
    # revision it replaced, 0 for none; the value comes last, so that reading the other columns never touches
    # its overflow pages. ``live``: where each key's newest entry is. ``mark``: what the revision was at a time,
    # in seconds the store was open.
    """
    CREATE TABLE meta (
        id INTEGER PRIMARY KEY CHECK (id = 0),
        revision INTEGER NOT NULL, compacted INTEGER NOT NULL, swept INTEGER NOT NULL, probes INTEGER NOT NULL
    ) STRICT;
    INSERT INTO meta VALUES (0, 0, 0, 0, 0);
    CREATE TABLE log (
        revision INTEGER PRIMARY KEY,
        key TEXT NOT NULL, previous INTEGER NOT NULL, deleted INTEGER NOT NULL, value BLOB
    ) STRICT;
    CREATE INDEX log_key ON log (key, revision, deleted);
    CREATE TABLE live (key TEXT PRIMARY KEY, revision INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE mark (revision INTEGER PRIMARY KEY, open_seconds REAL NOT NULL) STRICT;
    """,
)
"""``MIGRATIONS[n]`` takes the schema from version n to n + 1; each runs in one transaction with its number."""

_MAGIC = b"SQLite format 3\0"
_APPLICATION_ID_OFFSET = 68  # https://www.sqlite.org/fileformat2.html#the_database_header
_BUSY_TIMEOUT_MS = 5_000
_WRITER_CACHE_KIB, _READER_CACHE_KIB = 16_384, 4_096
# Random keys dirty the same pages again and again: a rarer checkpoint writes each of them once.
_CHECKPOINT_PAGES = 4_096
_WAL_LIMIT_BYTES = 64 * 1024 * 1024


@contextlib.contextmanager
def store_errors(what: str) -> Iterator[None]:
    """SQLite's and the system's errors as the contract's: damage is StoreBrokenError, else unavailable."""
    try:
        yield
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise StoreBrokenError(f"{what}: the file is damaged: {error}") from error
    except (apsw.Error, OSError) as error:
        raise StoreUnavailableError(f"{what}: {error}") from error


@contextlib.contextmanager
def write_transaction(connection: apsw.Connection) -> Iterator[None]:
    """BEGIN IMMEDIATE … COMMIT; after any error, also one of the commit's, nothing of it is left."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # Some errors (disk full, I/O) have rolled back already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


class SqliteFile:
    """A locked file of ours with the current schema. The lock is held until ``release`` or the process's end.

    Raises StoreLockedError, StoreBrokenError (foreign, newer or damaged: nothing was overwritten),
    StoreUnavailableError (the system refuses). ``vfs`` names a registered SQLite VFS; "" is the system's.
    """

    def __init__(self, path: Path, synchronous: Synchronous, *, vfs: str = "") -> None:
        self.path = path.resolve()
        self._synchronous = synchronous
        self._vfs = vfs
        with store_errors(f"cannot open {self.path}"):
            self._lock = _lock(self.path)
            try:
                self._prepare()
            except BaseException:
                self.release()
                raise

    def release(self) -> None:
        """Let others open the file. Idempotent; all connections must be closed before."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def size_bytes(self) -> int:
        """What the file and its write-ahead log take. Raises OSError."""
        wal = self.path.with_name(f"{self.path.name}-wal")
        return self.path.stat().st_size + (wal.stat().st_size if wal.exists() else 0)

    def connect(self, *, read_only: bool = False) -> apsw.Connection:
        """A new connection, to be used by one thread at a time. Raises apsw.Error."""
        mode = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE
        connection = apsw.Connection(str(self.path), flags=mode, vfs=self._vfs or None)
        connection.set_busy_timeout(_BUSY_TIMEOUT_MS)
        connection.pragma("cache_size", -(_READER_CACHE_KIB if read_only else _WRITER_CACHE_KIB))
        if not read_only:
            connection.pragma("synchronous", self._synchronous)
            connection.pragma("journal_size_limit", _WAL_LIMIT_BYTES)
            connection.wal_autocheckpoint(_CHECKPOINT_PAGES)
        return connection

    def _prepare(self) -> None:
        wal = self.path.with_name(f"{self.path.name}-wal")
        if not self.path.exists() or self.path.stat().st_size == 0:
            if wal.exists() and wal.stat().st_size:
                raise StoreBrokenError(f"{self.path} is missing or empty, but {wal.name} is there")
            put_in_place(new_file(self.path, vfs=self._vfs), self.path)
        with self.path.open("rb") as file:
            header = file.read(100)
        application_id = int.from_bytes(header[_APPLICATION_ID_OFFSET:][:4], "big")
        if not header.startswith(_MAGIC) or application_id != APPLICATION_ID:
            raise StoreBrokenError(f"{self.path} is not a kcpcache store; it was left as it is")
        connection = self.connect()
        try:
            # A restored copy may have lost the mode; it stays with the file.
            connection.pragma("journal_mode", "wal")
            _migrate(connection, self.path)
        finally:
            connection.close()


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep every server away from the store at ``path``, be it whole, damaged or missing.

    Raises StoreLockedError where one has it, StoreUnavailableError.
    """
    with store_errors(f"cannot lock {path}"):
        descriptor = _lock(path.resolve())
    try:
        yield
    finally:
        os.close(descriptor)


def _lock(path: Path) -> int:
    # Beside the database, never on it: closing a descriptor of the database would drop SQLite's own locks.
    lock_path = path.with_name(f"{path.name}.lock")
    descriptor = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise StoreLockedError(f"{path} is in use by another process (lock: {lock_path.name})") from error
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def new_file(path: Path, *, vfs: str = "") -> Path:
    """An empty store beside ``path``, to be filled and put there by ``put_in_place``. Raises apsw.Error, OSError."""
    fresh = path.with_name(f"{path.name}.new")
    for leftover in (fresh, *(path.with_name(f"{fresh.name}{suffix}") for suffix in ("-wal", "-journal", "-shm"))):
        leftover.unlink(missing_ok=True)
    os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    connection = apsw.Connection(str(fresh), flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs or None)
    try:
        connection.pragma("application_id", APPLICATION_ID)
        connection.pragma("journal_mode", "wal")
        _migrate(connection, fresh)
    finally:
        connection.close()
    return fresh


def put_in_place(fresh: Path, path: Path) -> None:
    """``fresh`` appears at ``path`` in one step: whoever sees a file there sees a whole one. Raises OSError."""
    fresh.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _migrate(connection: apsw.Connection, path: Path) -> None:
    version = connection.pragma("user_version")
    if version > len(MIGRATIONS):
        raise StoreBrokenError(
            f"{path} was written by a newer kcpcache (schema {version}; this one knows {len(MIGRATIONS)})"
        )
    for number in range(version, len(MIGRATIONS)):
        with write_transaction(connection):
            connection.execute(MIGRATIONS[number]).fetchall()
            connection.pragma("user_version", number + 1)
