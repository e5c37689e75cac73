"""How kcp writes a shard's name into an annotation of a Workspace (kcp-compat, "Workspaces")."""

import hashlib
from functools import lru_cache

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_LENGTH = 8


@lru_cache(maxsize=64)
def shard_hash(name: str) -> str:
    """The first eight characters of base36 of SHA-224 of the name: ``root`` is ``1pfxsevk``."""
    number = int.from_bytes(hashlib.sha224(name.encode()).digest())
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits[:_LENGTH]
