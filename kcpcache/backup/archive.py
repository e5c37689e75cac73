"""The file that a backup is: a tar whose first member, ``backup.json``, names the others with their SHA-256.

After it come the database, the authorities, certificates and keys, and the administrator's kubeconfig, each a plain
file without a path.
"""

import contextlib
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from kcpcache import __version__
from kcpcache.private_files import create_private
from kcpcache.root_dir import DATABASE, KEPT
from kcpcache.storage.sqlite_copy import StoreFacts
from kcpcache.storage.sqlite_file import MIGRATIONS

_FORMAT = 1
_MANIFEST = "backup.json"
_MOST_MANIFEST_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 20


class BackupError(Exception):
    """A backup or restore cannot be done; one line that says why and what to do."""


@dataclass(frozen=True, slots=True)
class Backup:
    """What is in a backup."""

    created: str
    store: StoreFacts
    size_bytes: int


def write_archive(target: Path, sources: Mapping[str, Path], facts: StoreFacts, created: datetime) -> Backup:
    """Write ``sources``, by the names of the members, into the new file ``target``, to the disk. Raises OSError."""
    manifest = {
        "format": _FORMAT,
        "version": __version__,
        "created": created.isoformat(timespec="seconds"),
        "schema": facts.schema,
        "revision": facts.revision,
        "entries": facts.entries,
        "files": {name: _described(path) for name, path in sources.items()},
    }
    with create_private(target) as stream:
        _write_tar(stream, manifest, sources)
        stream.flush()
        os.fsync(stream.fileno())
    return _backup(manifest, target)


def read_archive(file: Path, directory: Path) -> Backup:
    """All members of ``file`` into ``directory``, mode 0600, each checked. Raises BackupError, OSError."""
    with _opened(file) as archive:
        manifest = _manifest(archive, file)
        wanted = dict(manifest["files"])
        while (member := archive.next()) is not None:
            described = wanted.pop(member.name, None)
            content = archive.extractfile(member) if member.isreg() else None  # a link would lead to another member
            if described is None or member.name not in KEPT or content is None:
                raise BackupError(f"{file} is damaged: {member.name} does not belong there")
            with create_private(directory / member.name) as stream:
                while chunk := content.read(_CHUNK_BYTES):
                    stream.write(chunk)
                stream.flush()
                os.fsync(stream.fileno())
            if _described(directory / member.name) != described:
                raise BackupError(f"{file} is damaged: {member.name} is not what was written")
    if wanted:
        raise BackupError(f"{file} is damaged: {', '.join(sorted(wanted))} is missing")
    return _backup(manifest, file)


def _write_tar(stream: IO[bytes], manifest: Mapping[str, Any], sources: Mapping[str, Path]) -> None:
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        text = json.dumps(manifest, indent=2).encode()
        archive.addfile(_member(_MANIFEST, len(text)), io.BytesIO(text))
        for name, path in sources.items():
            with path.open("rb") as content:
                archive.addfile(_member(name, manifest["files"][name]["bytes"]), content)


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    return member


def _described(path: Path) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as content:
        while chunk := content.read(_CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return {"sha256": digest.hexdigest(), "bytes": size}


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(file, mode="r:") as archive:
            yield archive
    except (tarfile.TarError, EOFError):
        raise BackupError(f"{file} is not a whole backup") from None
    except OSError as error:
        raise BackupError(f"{file} cannot be read: {error.strerror or error}") from None


def _manifest(archive: tarfile.TarFile, file: Path) -> dict[str, Any]:
    first = archive.next()
    content = archive.extractfile(first) if first is not None and first.name == _MANIFEST else None
    try:
        manifest = json.loads(content.read(_MOST_MANIFEST_BYTES)) if content else {}
        known = manifest.get("format") == _FORMAT and DATABASE in manifest["files"]
    except (ValueError, KeyError, AttributeError, TypeError):
        known = False
    if not known:
        raise BackupError(f"{file} is not a backup that this kcpcache knows")
    if manifest["schema"] > len(MIGRATIONS):
        raise BackupError(
            f"{file} was written by a newer kcpcache: restore it with {manifest['version']} "
            f"(its schema is {manifest['schema']}; this one knows {len(MIGRATIONS)})"
        )
    return dict(manifest)


def _backup(manifest: Mapping[str, Any], file: Path) -> Backup:
    facts = StoreFacts(manifest["schema"], manifest["revision"], manifest["entries"])
    return Backup(manifest["created"], facts, file.stat().st_size)
