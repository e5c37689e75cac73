"""Encrypting anew what a SQLite store already holds, while nobody has it open."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kcpcache.storage.encrypted import SECRETS, missing_keys
from kcpcache.storage.encryption import KeyRing, UndecryptableError
from kcpcache.storage.sqlite import SqliteStore
from kcpcache.storage.sqlite_file import SqliteFile, new_file, put_in_place, store_errors, write_transaction
from kcpcache.storage.sqlite_rows import bounds
from kcpcache.storage.store import EncryptionKeyError, StoredEntry, StoreUnavailableError

_TABLES = "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
_LOG = """
    INSERT INTO fresh.log SELECT revision, key, previous, deleted,
        CASE WHEN key >= ?1 AND key < ?2 AND NOT deleted THEN rewritten(key, value) ELSE value END
    FROM main.log ORDER BY revision
"""


@dataclass(slots=True)
class Rewritten:
    """What ``rewrite_values`` did, in values, those of the history included.

    ``unreadable`` are the keys of what could not be decrypted and was left as it was.
    """

    changed: int = 0
    current: int = 0
    unreadable: list[str] = field(default_factory=list)


def rewrite_values(
    path: Path, keys: KeyRing, prefix: str = SECRETS, *, without_missing_keys: bool = False
) -> Rewritten:
    """Encrypt every value below ``prefix`` with the first key, whether it was plain or needed another one.

    The values go into a new file, which takes the place of the old one in one step: what was plain is neither in it
    nor in a log beside it. Revisions stay. ``without_missing_keys``: go on where a key is not there; what needs it is
    unreadable. Raises StoreLockedError, StoreBrokenError, StoreUnavailableError, and
    EncryptionKeyError where a key is not there; then nothing was changed. Blocks.
    """
    file = SqliteFile(path, "full")
    try:
        with store_errors(f"cannot rewrite {file.path}"), _fresh(file.path) as fresh:
            found, lacking = _copy(file, fresh, keys, prefix)
            if lacking and not without_missing_keys:
                raise EncryptionKeyError(missing_keys(lacking, keys))
            wal = file.path.with_name(f"{file.path.name}-wal")
            if wal.exists():  # whoever closes the file as the last one removes it
                raise StoreUnavailableError(f"{file.path} is in use by another program; nothing was changed")
            owner = file.path.stat()
            os.chown(fresh, owner.st_uid, owner.st_gid)  # root may run this, and the server as another user
            put_in_place(fresh, file.path)
            return found
    finally:
        file.release()


@contextlib.contextmanager
def _fresh(path: Path) -> Iterator[Path]:
    fresh = new_file(path)
    try:
        yield fresh
    finally:
        fresh.unlink(missing_ok=True)


def _copy(file: SqliteFile, fresh: Path, keys: KeyRing, prefix: str) -> tuple[Rewritten, dict[str, int]]:
    """Fill ``fresh``; with what was done, how many values need which missing key."""
    found, lacking = Rewritten(), dict[str, int]()

    def rewritten(*arguments: Any) -> bytes:
        key: str = arguments[0]
        value: bytes = arguments[1]
        if wanted := keys.lacks(value):
            lacking[wanted] = lacking.get(wanted, 0) + 1
        try:
            plain = keys.decrypt(value, key)
        except UndecryptableError:
            found.unreadable.append(key)
            return value
        if keys.is_current(value):
            found.current += 1
            return value
        found.changed += 1
        return keys.encrypt(plain, key)

    connection = file.connect()
    try:
        connection.create_scalar_function("rewritten", rewritten, 2)
        connection.execute("ATTACH ? AS fresh", (str(fresh),))
        # Until it is in its place nobody reads it, and what was left unfinished is thrown away.
        connection.execute("PRAGMA fresh.journal_mode = OFF")
        with write_transaction(connection):
            for (table,) in connection.execute(_TABLES).fetchall():
                connection.execute(f'DELETE FROM fresh."{table}"')  # noqa: S608 -- a name of our own schema
                if table == "log":
                    connection.execute(_LOG, bounds(prefix))
                else:
                    connection.execute(f'INSERT INTO fresh."{table}" SELECT * FROM main."{table}"')  # noqa: S608
        connection.execute("PRAGMA fresh.journal_mode = WAL")
        connection.execute("DETACH fresh")
    finally:
        connection.close()
    return found, lacking


async def delete_unreadable(path: Path, keys: KeyRing, among: Iterable[str]) -> int:
    """Delete those of ``among`` whose live value cannot be decrypted; how many there were. Raises StoreError.

    The history goes too, since older versions in it cannot be read either: who watched lists anew.
    """
    store = await SqliteStore.open(path)
    try:
        deleted = 0
        for key in sorted(set(among)):
            entry = (await store.get(key)).entry
            if entry is not None and not _readable(entry, keys):
                await store.delete(key, expected=entry.revision)
                deleted += 1
        await store.compact(await store.revision())
        return deleted
    finally:
        await store.close()


def _readable(entry: StoredEntry, keys: KeyRing) -> bool:
    try:
        keys.decrypt(entry.value, entry.key)
    except UndecryptableError:
        return False
    return True
