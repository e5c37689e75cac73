"""A log file that is set aside when it is full, and the old ones that are deleted in time."""

import contextlib
import os
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

_STAMP: Final = "%Y-%m-%dT%H-%M-%S"
_STAMPED: Final = re.compile(r"-(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d)\.\d{3}(?:-\d+)?")


class StandardOutput:
    """The process's standard output, which is nobody's to rotate."""

    def write(self, data: bytes) -> None:
        """Raises OSError."""
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    def close(self) -> None:
        """It stays open."""


class RotatingFile:
    """Appends to ``path``. Once it would grow above ``max_bytes`` it is renamed to ``name-<time>.ext`` and begun anew.

    Renamed files go after ``max_age`` (None: never), and when there are more than ``max_backups`` of them (0: as many
    as come). All belong to their owner alone. One thread at a time; raises OSError.
    """

    def __init__(
        self, path: Path, *, max_bytes: int, max_age: timedelta | None, max_backups: int, now: Callable[[], datetime]
    ) -> None:
        self._path, self._max_bytes, self._max_age, self._max_backups = path, max_bytes, max_age, max_backups
        self._now = now
        self._descriptor = -1
        self._size = 0
        self._open()

    def write(self, data: bytes) -> None:
        """Append ``data``, which is never split between two files."""
        if self._descriptor < 0:
            self._open()
        if self._size and self._size + len(data) > self._max_bytes:
            self._rotate()
        view = memoryview(data)
        while view:
            written = os.write(self._descriptor, view)
            self._size += written
            view = view[written:]

    def close(self) -> None:
        """Idempotent; the next ``write`` opens the file again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = os.open(self._path, flags, 0o600)
        self._size = os.fstat(self._descriptor).st_size

    def _rotate(self) -> None:
        self.close()
        now = self._now()
        self._path.rename(self._free_name(f"{now.strftime(_STAMP)}.{now.microsecond // 1000:03}"))
        self._open()
        self._prune(now)

    def _free_name(self, stamp: str) -> Path:
        name, number = self._path.with_name(f"{self._path.stem}-{stamp}{self._path.suffix}"), 0
        while name.exists():
            number += 1
            name = self._path.with_name(f"{self._path.stem}-{stamp}-{number}{self._path.suffix}")
        return name

    def _prune(self, now: datetime) -> None:
        found = sorted(self._backups(), reverse=True)
        kept = self._max_backups or len(found)
        for index, (at, path) in enumerate(found):
            if index >= kept or (self._max_age is not None and now - at > self._max_age):
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()

    def _backups(self) -> list[tuple[datetime, Path]]:
        found = []
        for path in self._path.parent.glob(f"*{self._path.suffix}"):
            rest = path.stem.removeprefix(self._path.stem)
            stamped = _STAMPED.fullmatch(rest) if rest != path.stem else None
            if stamped is not None:
                found.append((datetime.strptime(stamped[1], _STAMP).replace(tzinfo=UTC), path))
        return found
