"""Values as ciphertext: the keys, the cipher, and how a stored value says which of them it needs.

The cipher is XAES-256-GCM (https://c2sp.org/XAES-256-GCM): AES-256-GCM whose key is derived anew for each value, so
that random nonces never run out. The storage key is authenticated with the value, which is therefore worth nothing
under another one.
"""

import os
from collections.abc import Iterable
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES: Final = 32
_MARK: Final = b"kcpcache:enc:xaes256gcm:v1:"
"""Begins every encrypted value; no JSON does. After it: ``<name>:<id>:``, the nonce, the ciphertext and its tag."""
_MOST_HEADER_BYTES: Final = 128
_BLOCK_BYTES, _NONCE_BYTES, _TAG_BYTES = 16, 24, 16
_OVERFLOW: Final = 1 << 128
_REDUCE: Final = 0x87


class UndecryptableError(ValueError):
    """The value is damaged, was stored under another storage key, or needs a key that is not there."""


class EncryptionKey:
    """A 256-bit key. ``name`` is for people; ``id`` is derived from the key itself and tells it from others.

    Raises ValueError for a key of another size.
    """

    def __init__(self, name: str, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"an encryption key has {KEY_BYTES} bytes, not {len(key)}")
        self.name = name
        self.id = sha256(b"kcpcache encryption key id\0" + key).hexdigest()[:16]
        self.header = b"%b%b:%b:" % (_MARK, name.encode(), self.id.encode())
        # ECB, since the derivation is a CMAC of two single blocks; each call is whole blocks and leaves no state.
        self._block = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305
        subkey = int.from_bytes(self._block.update(bytes(_BLOCK_BYTES)), "big") << 1
        if subkey & _OVERFLOW:
            subkey ^= _OVERFLOW | _REDUCE
        self._halves = tuple(subkey ^ int.from_bytes(b"\0%cX\0" % half + bytes(12), "big") for half in (1, 2))

    def seal(self, value: bytes, nonce: bytes, associated: bytes) -> bytes:
        """Ciphertext and tag. ``nonce`` is 24 random bytes."""
        return self._derived(nonce).encrypt(nonce[12:], value, associated)

    def open(self, sealed: bytes, nonce: bytes, associated: bytes) -> bytes:
        """What was sealed. Raises InvalidTag."""
        return self._derived(nonce).decrypt(nonce[12:], sealed, associated)

    def _derived(self, nonce: bytes) -> AESGCM:
        half = int.from_bytes(nonce[:12], "big")
        blocks = b"".join((mask ^ half).to_bytes(_BLOCK_BYTES, "big") for mask in self._halves)
        return AESGCM(self._block.update(blocks))


class KeyRing:
    """The first key encrypts; all of them decrypt. Raises ValueError without a key, or where one is there twice."""

    def __init__(self, keys: Iterable[EncryptionKey]) -> None:
        self.keys = tuple(keys)
        if not self.keys:
            raise ValueError("there is no key")
        if len({key.name for key in self.keys}) < len(self.keys) or len({key.id for key in self.keys}) < len(self.keys):
            raise ValueError("each key and each name may be there once")
        self._by_header = {key.header: key for key in self.keys}

    def encrypt(self, value: bytes, storage_key: str) -> bytes:
        """The stored form of ``value``, good under ``storage_key`` only."""
        nonce = os.urandom(_NONCE_BYTES)
        first = self.keys[0]
        return b"".join((first.header, nonce, first.seal(value, nonce, storage_key.encode())))

    def decrypt(self, stored: bytes, storage_key: str) -> bytes:
        """The value; one that was stored in plain is its own stored form. Raises UndecryptableError."""
        header = header_of(stored)
        if not header:
            return stored
        key = self._by_header.get(header)
        sealed = stored[len(header) + _NONCE_BYTES :]
        if key is None or len(sealed) < _TAG_BYTES:
            raise UndecryptableError
        try:
            return key.open(sealed, stored[len(header) : len(header) + _NONCE_BYTES], storage_key.encode())
        except InvalidTag:
            raise UndecryptableError from None

    def is_current(self, stored: bytes) -> bool:
        """Whether ``stored`` was encrypted with the first key."""
        return stored.startswith(self.keys[0].header)

    def lacks(self, stored: bytes) -> str:
        """The name and id of the key that ``stored`` needs and that is not here; "" where it is here, or illegible."""
        header = header_of(stored)
        return "" if header in {b"", _MARK} or header in self._by_header else describe(header)


def header_of(stored: bytes) -> bytes:
    """What tells the key of an encrypted value; b"" for one that is stored in plain."""
    if not stored.startswith(_MARK):
        return b""
    after_name = stored.find(b":", len(_MARK), _MOST_HEADER_BYTES)
    after_id = stored.find(b":", after_name + 1, _MOST_HEADER_BYTES) if after_name >= 0 else -1
    # Where the colons are damaged, all that is left is that it was encrypted: the header of no key.
    return stored[: after_id + 1] if after_id >= 0 else _MARK


def describe(header: bytes) -> str:
    """A header's key, for messages: ``"name" (id)``."""
    name, _, key_id = header.removeprefix(_MARK).rstrip(b":").decode("ascii", "replace").partition(":")
    return f'"{name}" ({key_id})'
