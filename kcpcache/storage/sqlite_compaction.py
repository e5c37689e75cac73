"""Forgetting history in the SQLite store. All of it runs on the writer thread."""

from collections.abc import Callable

import apsw

from kcpcache.storage.sqlite_file import write_transaction
from kcpcache.storage.store import FutureRevisionError, Revision

_SWEEP_ROWS = 200  # about a batch's work: a write waits no longer for a step than for other writes
_MARKS_PER_HISTORY = 20

_SWEEP_END = "SELECT revision FROM log WHERE revision > ?1 AND revision <= ?2 ORDER BY revision LIMIT 1 OFFSET ?3"
_DELETE_SUPERSEDED = """
    DELETE FROM log WHERE revision IN (
        SELECT previous FROM log WHERE revision > ?1 AND revision <= ?2 AND previous > 0
    )
"""
_DELETE_TOMBSTONES = "DELETE FROM log WHERE revision > ?1 AND revision <= ?2 AND deleted"


class Compaction:
    """Raises the compacted revision first, in one small transaction, and then removes rows in small steps.

    Each row says which one it replaced, so a step walks the log and needs no search. What a step has reached
    is in the file; a stopped process goes on where it was. Time is what the store was open, summed up over
    its life (but for idle time at a run's end): neither the wall clock's jumps nor a long stop take history away.
    """

    def __init__(self, connection: apsw.Connection, *, history_seconds: float, now: Callable[[], float]) -> None:
        self._connection = connection
        self._history_seconds = history_seconds
        self._interval_seconds = history_seconds / _MARKS_PER_HISTORY
        self._now = now
        marked = connection.execute("SELECT max(open_seconds) FROM mark").get
        self._origin = now() - (marked or 0.0)
        self._next_mark = now()
        self.sweeping = True
        """Whether ``sweep`` may have something to do."""

    def tick(self) -> None:
        """Note the revision now and then, and compact what is older than the history. Raises apsw.Error."""
        if self._now() < self._next_mark:
            return
        open_seconds = self._now() - self._origin
        with write_transaction(self._connection):
            self._connection.execute("INSERT OR IGNORE INTO mark SELECT revision, ? FROM meta", (open_seconds,))
            oldest = self._connection.execute(
                "SELECT max(revision) FROM mark WHERE open_seconds <= ?", (open_seconds - self._history_seconds,)
            ).get
            if oldest is not None:
                self._raise_compacted(oldest)
        self._next_mark = self._now() + self._interval_seconds

    def compact(self, revision: Revision) -> None:
        """Forget what was superseded by ``revision``. Raises FutureRevisionError, apsw.Error."""
        with write_transaction(self._connection):
            newest = self._connection.execute("SELECT revision FROM meta").get
            if revision > newest:
                raise FutureRevisionError(revision, newest)
            self._raise_compacted(revision)

    def bump(self, revision: Revision) -> None:
        """Raise the counter, and the compacted revision with it. Raises apsw.Error."""
        with write_transaction(self._connection):
            if revision > self._connection.execute("SELECT revision FROM meta").get:
                self._connection.execute("UPDATE meta SET revision = ?", (revision,))
                self._raise_compacted(revision)

    def sweep(self) -> None:
        """One step of removing rows; ``sweeping`` says whether another follows. Raises apsw.Error."""
        with write_transaction(self._connection):
            compacted, swept = self._connection.execute("SELECT compacted, swept FROM meta").get
            if swept < compacted:
                end = self._connection.execute(_SWEEP_END, (swept, compacted, _SWEEP_ROWS - 1)).get
                end = compacted if end is None else end
                self._connection.execute(_DELETE_SUPERSEDED, (swept, end))
                self._connection.execute(_DELETE_TOMBSTONES, (swept, end))
                self._connection.execute("UPDATE meta SET swept = ?", (end,))
                swept = end
        self.sweeping = swept < compacted

    def _raise_compacted(self, revision: Revision) -> None:
        self._connection.execute("UPDATE meta SET compacted = ?1 WHERE compacted < ?1", (revision,))
        # The newest mark stays: the time it tells goes on from there after a restart.
        self._connection.execute(
            "DELETE FROM mark WHERE revision <= ? AND revision < (SELECT max(revision) FROM mark)", (revision,)
        )
        self.sweeping = True
