"""Reading rows of the SQLite store: many per step, so that a busy event loop does not hold each of them up.

A thread that steps through a statement gives up the interpreter's lock at every row, and may wait
milliseconds to get it back: a hundred thousand rows then take half a minute instead of half a second. So every
query returns up to a thousand rows as one: JSON arrays of the small columns, and one blob of the values.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import apsw
import orjson

from kcpcache.storage.broadcast import History
from kcpcache.storage.keys import after_prefix
from kcpcache.storage.store import (
    CompactedError,
    Event,
    FutureRevisionError,
    Page,
    Read,
    Revision,
    StoredEntry,
)

_CHUNK_ROWS = 1_000
_HISTORY_BYTES = 16 * 1024 * 1024
# Larger values are fetched one by one: a thousand of the largest would be over SQLite's limit for one value.
_PACKED_BYTES = 65_536
# Above every TEXT in SQLite's order of types.
_NO_UPPER_BOUND = b""


def _packed(table: str) -> str:
    """Four result columns: keys, revisions and sizes as JSON, the values that are not too large as one blob."""
    # Casting a blob to TEXT and back only renames it: nothing looks at the bytes on the way.
    return (
        f"json_group_array({table}.key), json_group_array({table}.revision),"
        f" json_group_array(length({table}.value)),"
        f" CAST(group_concat(CASE WHEN length({table}.value) <= {_PACKED_BYTES}"
        f" THEN CAST({table}.value AS TEXT) ELSE '' END, '') AS BLOB)"
    )


_META = "SELECT revision, compacted FROM meta"
_GET = """
    SELECT meta.revision, log.revision, log.value FROM meta
    LEFT JOIN live ON live.key = ?1 LEFT JOIN log ON log.revision = live.revision
"""
_CURRENT = f"""
    SELECT {_packed("log")} FROM json_each(?1) AS wanted
    CROSS JOIN live ON live.key = wanted.value CROSS JOIN log ON log.revision = live.revision
"""  # noqa: S608 - constants
_LIST = f"""
    SELECT {_packed("page")} FROM (
        SELECT log.key, log.revision, log.value FROM live CROSS JOIN log ON log.revision = live.revision
        WHERE live.key >= ?1 AND live.key < ?2 ORDER BY live.key LIMIT ?3
    ) AS page
"""  # noqa: S608 - constants
_COUNT = "SELECT count(*), min(key) FROM live WHERE key >= ?1 AND key < ?2"
# With max(), SQLite takes the bare column from the row that has the maximum.
_NEWEST_AS_OF = """
    SELECT key, max(revision) AS revision, deleted FROM log INDEXED BY log_key
    WHERE key >= ?1 AND key < ?2 AND revision <= ?3 GROUP BY key HAVING NOT deleted
"""
_LIST_AS_OF = f"""
    SELECT {_packed("page")} FROM (
        SELECT log.key, log.revision, log.value FROM ({_NEWEST_AS_OF} ORDER BY key LIMIT ?4) AS newest
        CROSS JOIN log ON log.revision = newest.revision ORDER BY newest.key
    ) AS page
"""  # noqa: S608 - constants
_COUNT_AS_OF = f"SELECT count(*), min(key) FROM ({_NEWEST_AS_OF})"  # noqa: S608 - constants
_HISTORY_END = "SELECT revision FROM log WHERE revision > ?1 ORDER BY revision LIMIT 1 OFFSET ?2"
_HISTORY = f"""
    SELECT {_packed("page")}, json_group_array(previous),
        json_group_array(previous_size), CAST(group_concat(CASE WHEN previous_size <= {_PACKED_BYTES}
        THEN CAST(previous_value AS TEXT) ELSE '' END, '') AS BLOB)
    FROM (
        SELECT log.key, log.revision, log.value, log.previous,
            before.value AS previous_value, length(before.value) AS previous_size
        FROM log LEFT JOIN log AS before ON before.revision = log.previous
        WHERE log.revision > ?1 AND log.revision <= ?2 AND log.key >= ?3 AND log.key < ?4 ORDER BY log.revision
    ) AS page
"""  # noqa: S608 - constants
_VALUE = "SELECT value FROM log WHERE revision = ?"


@contextlib.contextmanager
def _snapshot(connection: apsw.Connection) -> Iterator[None]:
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def bounds(prefix: str) -> tuple[str, str | bytes]:
    """``key >= lower AND key < upper`` for all keys that start with ``prefix``."""
    return prefix, after_prefix(prefix) or _NO_UPPER_BOUND


def _values(
    connection: apsw.Connection, revisions: Sequence[int], sizes: Sequence[int | None], blob: bytes | None
) -> Iterator[Any]:
    """The values that a packed blob holds, in order; None where there is none, the large ones by themselves."""
    packed, at = blob or b"", 0
    for revision, size in zip(revisions, sizes, strict=True):
        if size is None:
            yield None
        elif size > _PACKED_BYTES:
            yield connection.execute(_VALUE, (revision,)).get
        else:
            end = at + size
            yield packed[at:end]
            at = end


def _entries(connection: apsw.Connection, query: str, bindings: tuple[object, ...]) -> list[StoredEntry]:
    keys, revisions, sizes, blob = connection.execute(query, bindings).get
    found = orjson.loads(revisions)
    values = _values(connection, found, orjson.loads(sizes), blob)
    return list(map(StoredEntry, orjson.loads(keys), values, found))


def current_entries(connection: apsw.Connection, keys: Sequence[str]) -> dict[str, StoredEntry]:
    """The live entries among ``keys``. Raises apsw.Error."""
    entries = _entries(connection, _CURRENT, (orjson.dumps(keys).decode(),))
    return {entry.key: entry for entry in entries}


def read_key(connection: apsw.Connection, key: str) -> Read:
    """One key's entry and the revision read at. Raises apsw.Error."""
    newest, revision, value = connection.execute(_GET, (key,)).get
    return Read(None if revision is None else StoredEntry(key, value, revision), newest)


def read_page(
    connection: apsw.Connection, prefix: str, revision: Revision | None, limit: int, start: str | None
) -> Page:
    """The contract's ``list``, in one snapshot. Raises CompactedError, FutureRevisionError, apsw.Error."""
    with _snapshot(connection):
        newest, compacted = connection.execute(_META).get
        at = newest if revision is None else revision
        if at < compacted:
            raise CompactedError(at, compacted)
        if at > newest:
            raise FutureRevisionError(at, newest)
        lower, upper = bounds(prefix)
        lower = max(lower, start or "")
        as_of: tuple[int, ...] = () if at == newest else (at,)
        query = _LIST_AS_OF if as_of else _LIST
        entries: list[StoredEntry] = []
        while True:
            wanted = min(_CHUNK_ROWS, limit - len(entries)) if limit else _CHUNK_ROWS
            chunk = _entries(connection, query, (lower, upper, *as_of, wanted))
            entries += chunk
            if len(chunk) < wanted:
                return Page(tuple(entries), at)
            lower = f"{chunk[-1].key}\0"  # the next possible key
            if len(entries) == limit:
                break
        count = _COUNT_AS_OF if as_of else _COUNT
        remaining, next_start = connection.execute(count, (lower, upper, *as_of)).get
        return Page(tuple(entries), at, next_start, remaining)


def read_history(connection: apsw.Connection, prefix: str, after: Revision) -> History:
    """A chunk of the events above ``after``. Raises CompactedError, apsw.Error."""
    with _snapshot(connection):
        newest, compacted = connection.execute(_META).get
        if after < compacted:
            raise CompactedError(after, compacted)
        end = connection.execute(_HISTORY_END, (after, _CHUNK_ROWS - 1)).get
        end = newest if end is None else end
        keys, revisions, sizes, blob, previous, previous_sizes, previous_blob = connection.execute(
            _HISTORY, (after, end, *bounds(prefix))
        ).get
        found, replaced = orjson.loads(revisions), orjson.loads(previous)
        values = _values(connection, found, orjson.loads(sizes), blob)
        before = _values(connection, replaced, orjson.loads(previous_sizes), previous_blob)
        events: list[Event] = []
        held_bytes = 0
        for key, event_revision, value, replaced_revision, old in zip(
            orjson.loads(keys), found, values, replaced, before, strict=True
        ):
            if held_bytes > _HISTORY_BYTES:
                return History(events, events[-1].revision)
            entry = None if old is None else StoredEntry(key, old, replaced_revision)
            events.append(Event(key, event_revision, value, entry))
            held_bytes += len(value or b"") + len(old or b"")
        return History(events, end)
