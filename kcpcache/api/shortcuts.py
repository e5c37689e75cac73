"""GETs like one that the same connection has sent before: from the request to the bytes of its answer at once.

What the first GET of a kind finds out (credentials, workspace, permission, catalog, view) holds for the next one that
has the same headers and names another object of the same collection, as long as nothing changes that any of it depends
on. Controllers and whoever polls send hardly anything else.
"""

from typing import Any, Final, NamedTuple

import msgspec

from kcpcache.api.call import Call
from kcpcache.api.exchange import GZIP_ABOVE_BYTES, Scope
from kcpcache.api.fairness import Seat
from kcpcache.api.home_workspaces import HOME
from kcpcache.api.negotiation import PLAIN
from kcpcache.api.paths import WILDCARD
from kcpcache.api.protocol import NO_CONNECTION, Connection, connection_of
from kcpcache.api.request_measures import RequestCounts
from kcpcache.api.services import Services
from kcpcache.registry.view import PromptView

MOST_OF_A_CONNECTION: Final = 32
SECONDS: Final = 1.0
"""How long credentials, which may expire, are taken on trust; everything else counts its changes."""


class Shortcut(NamedTuple):
    """Where the GETs of one collection lead, and until when."""

    epoch: int
    until: float
    view: PromptView
    namespace: str
    counts: RequestCounts
    seat: Seat


class Shortcuts:
    """Finds and remembers. Event loop only; ``services.epoch`` None: there are none."""

    def __init__(self, services: Services) -> None:
        self._epoch, self._authorize, self._measures = services.epoch, services.authorize, services.measures
        self._none = services.epoch is None or services.audit is not None or services.trace is not None

    def answer(self, scope: Scope) -> bytes | None:
        """The body of the answer to a GET; None where the ordinary way has to be taken."""
        known = connection_of(scope).shortcuts
        if not known or scope["query_string"] or self._epoch is None:
            return None
        collection, _, name = scope["raw_path"].rpartition(b"/")
        key = (collection, tuple(scope["headers"]))
        found: Shortcut | None = known.get(key)
        if found is None or b"%" in name:
            return None
        now = self._measures.clock()
        if found.epoch != self._epoch() or now > found.until:
            del known[key]
            return None
        if not found.seat.once_more():
            return None
        item = found.view.at_once(found.namespace, name.decode())
        if item is None or len(body := item.wire()) > GZIP_ABOVE_BYTES:
            return None
        self._measures.answered(found.counts, now, len(body))
        return body

    def remember(self, call: Call) -> None:
        """Note where a GET that has been answered has led, if the next one like it may go there straight away."""
        scope, view = call.exchange.scope, call.view
        connection = connection_of(scope)
        if not self._may_be_repeated(call, connection) or not isinstance(view, PromptView) or self._epoch is None:
            return
        collection, _, name = scope["raw_path"].rpartition(b"/")
        if name != call.info.name.encode():
            return
        if len(connection.shortcuts) >= MOST_OF_A_CONNECTION:
            connection.shortcuts.clear()
        key: Any = (collection, tuple(scope["headers"]))
        counts = self._measures.counts_of(call.exchange)
        until = self._measures.clock() + SECONDS
        epoch = call.exchange.epoch  # what has changed meanwhile may be what this request still rests on
        connection.shortcuts[key] = Shortcut(epoch, until, view, call.info.namespace, counts, call.exchange.seat)

    def _may_be_repeated(self, call: Call, connection: Connection) -> bool:
        """Whether nothing about the request but its name can make a difference."""
        info, attributes = call.info, call.attributes
        if self._none or connection is NO_CONNECTION or call.exchange.warnings or call.exchange.method != "GET":
            return False
        if info.service or info.subresource or info.query or info.name == HOME or attributes.cluster == WILDCARD:
            return False
        if call.form != PLAIN or info.authorized_namespace != info.namespace:  # a namespace is in itself
            return False
        return self._authorize(msgspec.structs.replace(attributes, name="")).allowed
