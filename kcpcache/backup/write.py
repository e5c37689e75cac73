"""Taking a backup: everything that makes a server what it is, in one file, while it runs.

What lies outside the root directory (a key file for Secrets, token files, certificates of one's own) is not in it.
"""

import tempfile
from datetime import datetime
from pathlib import Path

from kcpcache.backup.archive import Backup, BackupError, write_archive
from kcpcache.root_dir import DATABASE, KEPT
from kcpcache.storage.sqlite_copy import copy_store


def write_backup(root: Path, file: Path, *, now: datetime, overwrite: bool = False) -> Backup:
    """Back up the server of ``root`` into ``file``, mode 0600, which appears at once and whole. Blocks.

    The server may run meanwhile. Raises BackupError, StoreError, OSError.
    """
    if not (root / DATABASE).is_file():
        raise BackupError(f"--root-dir {root} holds no {DATABASE}")
    if file.exists() and not overwrite:
        raise BackupError(f"{file} is there already: name another file, or use --force")
    with tempfile.TemporaryDirectory(prefix=f".{file.name}.", dir=file.absolute().parent) as name:
        staging = Path(name)
        facts = copy_store(root / DATABASE, staging / DATABASE)
        sources = {DATABASE: staging / DATABASE}
        sources |= {kept: root / kept for kept in KEPT if kept != DATABASE and (root / kept).is_file()}
        backup = write_archive(staging / "backup", sources, facts, now)
        (staging / "backup").replace(file)
    return backup
