"""TLS beside computations: to decrypt and to encrypt hands the interpreter over, and it is to come back at once."""

import ssl
from typing import Any

from kcpcache.registry.handover import handover


class PromptTls(ssl.SSLObject):
    """Give this to a context as ``sslobject_class``.

    Once something has been read, the event loop holds on to the interpreter until the protocol that has been given the
    data says that it is through (``handover.release``).
    """

    # Both are called several times for each request: they take the place of the library's, of one line each, and
    # do not call them.

    def read(self, len: int = 1024, buffer: Any = None) -> Any:  # noqa: A002 -- the library's name
        """As ever. Raises ssl.SSLWantReadError where there is nothing to read."""
        if handover.computing:
            return self._read_promptly(len, buffer)
        tls = self._sslobj  # type: ignore[attr-defined]
        return tls.read(len) if buffer is None else tls.read(len, buffer)

    def write(self, data: Any) -> int:
        """As ever. Raises ssl.SSLError."""
        if handover.holds:
            return self._write_promptly(data)
        return self._sslobj.write(data)  # type: ignore[attr-defined, no-any-return]

    def _read_promptly(self, size: int, buffer: Any) -> Any:
        handover.lend()
        try:
            found = super().read(size, buffer)
        except ssl.SSLError:
            if handover.holds:  # for what has been read before
                handover.hold()
            raise
        handover.hold()
        return found

    def _write_promptly(self, data: Any) -> int:
        handover.lend()
        try:
            return super().write(data)
        finally:
            handover.hold()
