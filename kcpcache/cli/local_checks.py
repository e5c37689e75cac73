"""What ``kcpcache doctor`` looks at in the root directory; the server may run meanwhile, or not."""

import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from kcpcache.cli.findings import Finding
from kcpcache.root_dir import DATABASE, RESTORING, is_writable_for_others, opened_files
from kcpcache.storage.sqlite_copy import check_store
from kcpcache.storage.store import StoreError

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_SOON = timedelta(days=30)
"""From when on a server issues its certificates anew at its start."""

_AUTHORITIES = {"ca.crt", "client-ca.crt"}


def check_root_dir(root: Path, now: datetime) -> Iterator[Finding]:
    """Database, room on the disk, certificates and file modes of ``root``."""
    if (root / RESTORING).exists():
        yield Finding("restore", "error", "a restore was not finished", "run it again: kcpcache restore FILE --force")
    yield _database(root / DATABASE)
    yield from _room(root)
    for path in sorted(root.glob("*.crt")):
        yield _certificate(path, now)
    yield _modes(root)


def _database(path: Path) -> Finding:
    if not path.is_file():
        return Finding("database", "error", f"{path} is not there", "name the server's directory with --root-dir")
    try:
        found = check_store(path)
    except StoreError as error:
        return Finding("database", "error", str(error), "restore a backup: kcpcache restore FILE --force")
    return Finding("database", "ok", f"whole: {found.entries} entries at revision {found.revision}")


def _room(root: Path) -> Iterator[Finding]:
    """A backup, and a rewriting of Secrets, need the size of the database once or twice more."""
    size = sum(path.stat().st_size for path in root.glob(f"{DATABASE}*"))
    free = shutil.disk_usage(root).free
    shown = f"{free / 1e9:.1f} GB free, the database takes {size / 1e9:.1f} GB"
    if free < 2 * size:
        yield Finding(
            "disk", "warning", shown, "make room, or move the root directory: writes fail when the disk is full"
        )
    else:
        yield Finding("disk", "ok", shown)


def _certificate(path: Path, now: datetime) -> Finding:
    from cryptography import x509

    check = f"certificate {path.name}"
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        return Finding(check, "error", f"cannot be read: {error}", "restore it from a backup")
    key = path.with_suffix(".key")
    if key.exists() and not _fit(certificate, key):
        mend = "restore the two from one backup, or remove both and restart to have a new pair made"
        return Finding(check, "error", f"{key.name} is not its key", mend)
    ends, begins = certificate.not_valid_after_utc, certificate.not_valid_before_utc
    if begins > now:
        return Finding(check, "error", f"is valid from {begins:%Y-%m-%d %H:%M} UTC on only", "set this machine's clock")
    mend = "restart the server: it issues a new one"
    if path.name in _AUTHORITIES:
        mend = "put a new authority in its place, or remove it and restart to have one made for the same key"
    if ends <= now:
        return Finding(check, "error", f"expired on {ends:%Y-%m-%d}", mend)
    if ends <= now + _SOON:
        return Finding(check, "warning", f"expires on {ends:%Y-%m-%d}", mend)
    return Finding(check, "ok", f"valid until {ends:%Y-%m-%d}")


def _fit(certificate: "Certificate", key: Path) -> bool:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return load_pem_private_key(key.read_bytes(), password=None).public_key() == certificate.public_key()
    except (ValueError, TypeError):
        return False


def _modes(root: Path) -> Finding:
    if is_writable_for_others(root):
        return Finding("file modes", "error", "others can put files of theirs into the directory", f"chmod 700 {root}")
    opened = [found.path for found in opened_files(root)]
    if opened:
        names = ", ".join(path.name for path in opened)
        return Finding("file modes", "error", f"open to others: {names}", f"chmod 600 {' '.join(map(str, opened))}")
    return Finding("file modes", "ok", "keys, database and kubeconfig are for their owner only")
