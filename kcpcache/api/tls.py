"""TLS beside computations: to decrypt and to encrypt hands the interpreter over, and it is to come back at once."""

import ssl
from typing import Any

from kcpcache.registry.handover import handover


class PromptTls(ssl.SSLObject):
    """Give this to a context as ``sslobject_class``.

    Once something has been read, the event loop holds on to the interpreter until the protocol that has been given the
    data says that it is through (``handover.release``).
    """

    def read(self, *arguments: Any) -> Any:
        """As ever. Raises ssl.SSLWantReadError where there is nothing to read."""
        if not handover.computing:
            return super().read(*arguments)
        handover.lend()
        try:
            found = super().read(*arguments)
        except ssl.SSLError:
            if handover.holds:  # for what has been read before
                handover.hold()
            raise
        handover.hold()
        return found

    def write(self, data: Any) -> int:
        """As ever. Raises ssl.SSLError."""
        if not handover.holds:
            return super().write(data)
        handover.lend()
        try:
            return super().write(data)
        finally:
            handover.hold()
