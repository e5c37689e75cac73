"""Files that hold keys: readable by their owner only, and either whole or not there."""

import os
import tempfile
from pathlib import Path
from typing import IO


def make_private_directory(path: Path) -> None:
    """Make the directory, mode 0700, and what is missing above it; one that is there keeps its mode."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def create_private(path: Path) -> IO[bytes]:
    """A new file, mode 0600, open for writing. Raises FileExistsError, OSError."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")


def write_atomically(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write the file under a temporary name, bring it to the disk, and rename it. Raises OSError."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
