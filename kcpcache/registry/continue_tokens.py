"""Continue tokens of lists: where the next page begins, and as of when."""

import base64
from typing import Final

import orjson

from kcpcache.meta.errors import BadRequestError

FOREIGN_KEY: Final = (
    "invalid continue token: continue key is not valid: it is not a token that this server gave out for this resource"
)


def encode_continue(revision: int, start: str, resource: str = "") -> str:
    """A token for the page that begins at key ``start`` of the snapshot at ``revision`` (-1: of the newest)."""
    token = orjson.dumps({"v": "meta.k8s.io/v1", "rv": revision, "start": start, "of": resource})
    return base64.urlsafe_b64encode(token).decode().rstrip("=")


def decode_continue(token: str, resource: str = "") -> tuple[int, str]:
    """The inverse of ``encode_continue`` for the same resource. Raises BadRequestError."""
    try:
        found = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        version, revision, start, of = found["v"], found["rv"], found["start"], found["of"]
    except (ValueError, TypeError, KeyError):
        raise BadRequestError(FOREIGN_KEY) from None
    known = version == "meta.k8s.io/v1" and of == resource and type(revision) is int and isinstance(start, str)
    if not known or (revision <= 0 and revision != -1):
        raise BadRequestError(FOREIGN_KEY)
    return revision, start
