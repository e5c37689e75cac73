"""Reading request bodies: bounded in size, compressed or not."""

import zlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

from kcpcache.meta.errors import BadRequestError, RequestEntityTooLargeError, UnsupportedMediaTypeError

MOST_BODY_BYTES: Final = 3 * 1024 * 1024
"""kube-apiserver's limit on a request body, before and after decompression."""
_GZIP: Final = zlib.MAX_WBITS | 16

Receive: TypeAlias = Callable[[], Awaitable[Mapping[str, Any]]]


class ClientGoneError(Exception):
    """The client went away in the middle of its request: there is nobody to answer."""


async def read_body(receive: Receive, headers: Mapping[bytes, bytes]) -> bytes:
    """The whole body, decompressed.

    Raises RequestEntityTooLargeError above 3 MiB (of either form), BadRequestError for what is not gzip though it
    says so, UnsupportedMediaTypeError for other encodings, ClientGoneError.
    """
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and int(length) > MOST_BODY_BYTES:
        raise _too_large()
    message = await receive()
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        chunks, size = [body], len(body)
        while message.get("more_body"):
            message = await receive()
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            if size > MOST_BODY_BYTES:
                raise _too_large()
        body = b"".join(chunks)
    if message["type"] == "http.disconnect":
        raise ClientGoneError
    if len(body) > MOST_BODY_BYTES:
        raise _too_large()
    encoding = headers.get(b"content-encoding", b"").strip().lower()
    return _decompressed(body, encoding) if encoding not in {b"", b"identity"} else body


def _decompressed(body: bytes, encoding: bytes) -> bytes:
    if encoding != b"gzip":
        raise UnsupportedMediaTypeError("the body's Content-Encoding is not supported; accepted are gzip and identity")
    decompressor = zlib.decompressobj(_GZIP)
    try:
        found = decompressor.decompress(body, MOST_BODY_BYTES + 1)
    except zlib.error:
        raise BadRequestError("the body is not valid gzip") from None
    if len(found) > MOST_BODY_BYTES:
        raise _too_large()
    if not decompressor.eof:
        raise BadRequestError("the gzip body ends too early")
    return found


def _too_large() -> RequestEntityTooLargeError:
    return RequestEntityTooLargeError(f"Request entity too large: limit is {MOST_BODY_BYTES}")
