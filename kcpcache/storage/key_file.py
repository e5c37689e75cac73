"""The file that ``--encryption-key-file`` names: a key a line, ``name base64``, and the first one encrypts."""

import base64
import binascii
import os
import re
import stat
from pathlib import Path
from typing import Final

from kcpcache.storage.encryption import KEY_BYTES, EncryptionKey, KeyRing
from kcpcache.storage.store import EncryptionKeyError

_MOST_BYTES: Final = 64 * 1024
_NAME: Final = re.compile(r"[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?")
_OTHERS: Final = stat.S_IRWXO
_GROUP: Final = stat.S_IRWXG
_GROUP_MORE_THAN_READ: Final = stat.S_IWGRP | stat.S_IXGRP


def load_keys(path: Path) -> KeyRing:
    """The keys of a file; empty lines and those that begin with ``#`` are skipped.

    Raises EncryptionKeyError, whose text names file and line, and never a key.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            _check_mode(path, os.fstat(descriptor))
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise EncryptionKeyError(f"--encryption-key-file {path} cannot be read: {error.strerror}") from None
    if len(content) > _MOST_BYTES:
        raise EncryptionKeyError(f"--encryption-key-file {path} is larger than {_MOST_BYTES} bytes")
    keys = [
        _key(f"--encryption-key-file {path}, line {number}", line)
        for number, line in enumerate(content.decode("ascii", "replace").splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    try:
        return KeyRing(keys)
    except ValueError as error:
        raise EncryptionKeyError(f"--encryption-key-file {path}: {error}") from None


def _check_mode(path: Path, found: os.stat_result) -> None:
    """Nobody else may read it. One that root owns (a mounted secret) may be readable for the group.

    The rule is PostgreSQL's for the key of its server certificate.
    """
    if not stat.S_ISREG(found.st_mode):
        raise EncryptionKeyError(f"--encryption-key-file {path} is not a file")
    if found.st_uid not in {0, os.geteuid()}:
        raise EncryptionKeyError(f"--encryption-key-file {path} must belong to root or to the user of the server")
    own = found.st_uid == os.geteuid()
    if found.st_mode & (_OTHERS | (_GROUP if own else _GROUP_MORE_THAN_READ)):
        wanted = "chmod 600" if own else "chmod 640"
        mode = stat.S_IMODE(found.st_mode)
        raise EncryptionKeyError(f"--encryption-key-file {path} is open to others (mode {mode:04o}): {wanted}")


def _key(where: str, line: str) -> EncryptionKey:
    name, *rest = line.split()
    if len(rest) != 1 or not _NAME.fullmatch(name):
        raise EncryptionKeyError(f"{where}: a line is a name and a key: name base64")
    try:
        key = base64.b64decode(rest[0], validate=True)
    except binascii.Error:
        raise EncryptionKeyError(f"{where}: the key {name!r} is not base64") from None
    if len(key) != KEY_BYTES:
        raise EncryptionKeyError(f"{where}: the key {name!r} has {len(key)} bytes, not {KEY_BYTES}")
    return EncryptionKey(name, key)
