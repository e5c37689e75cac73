"""Writes like one that the same connection has sent before: who it is, that he may, and the view that takes them.

All that the first write of a kind finds out before it looks at its body holds for the next one of the same headers, as
long as nothing changes that any of it depends on. Controllers and whoever loads data send hardly anything else.
"""

from typing import Any, Final, NamedTuple

import msgspec

from kcpcache.api.call import Call
from kcpcache.api.exchange import Exchange, Scope
from kcpcache.api.home_workspaces import HOME
from kcpcache.api.negotiation import Form
from kcpcache.api.paths import WILDCARD, RequestInfo
from kcpcache.api.protocol import NO_CONNECTION, connection_of
from kcpcache.api.services import Services, Workspace
from kcpcache.api.shortcuts import SECONDS
from kcpcache.auth.attributes import Attributes
from kcpcache.auth.user import User
from kcpcache.registry.catalog import Resource
from kcpcache.registry.resource import ServedVersion
from kcpcache.registry.view import View

MOST_OF_A_CONNECTION: Final = 16
_WRITES: Final = frozenset({"create", "update", "patch", "delete"})
_LENGTH: Final = b"content-length"


class Route(NamedTuple):
    """Where the writes of one kind lead, and until when. ``attributes`` are those of a write without a name."""

    epoch: int
    until: float
    user: User
    workspace: Workspace
    attributes: Attributes
    resource: Resource
    version: ServedVersion
    view: View
    form: Form

    def call(self, exchange: Exchange, info: RequestInfo, services: Services) -> Call:
        """What there is to know of one of these writes."""
        attributes = self.attributes
        if info.name:
            attributes = msgspec.structs.replace(attributes, name=info.name)
        return Call(
            exchange=exchange,
            info=info,
            services=services,
            workspace=self.workspace,
            attributes=attributes,
            resource=self.resource,
            version=self.version,
            view=self.view,
            form=self.form,
        )


class Routes:
    """Finds and remembers. Event loop only; ``services.epoch`` None: there are none."""

    def __init__(self, services: Services) -> None:
        self._epoch, self._authorize = services.epoch, services.authorize
        self._measures = services.measures
        self._none = services.epoch is None or services.audit is not None  # the audit log is told of each step

    def recall(self, scope: Scope, info: RequestInfo) -> Route | None:
        """The route of a write; None where it is not known yet, or no more."""
        known = connection_of(scope).routes
        if not known or self._epoch is None or info.name == HOME:
            return None
        found: Route | None = known.get(key := _key(scope, info))
        if found is None:
            return None
        if found.epoch != self._epoch() or self._measures.clock() > found.until:
            del known[key]
            return None
        return found

    def remember(self, call: Call, user: User) -> None:
        """Note where a write that was answered has led, if the next one like it may go there straight away."""
        connection = connection_of(call.exchange.scope)
        if self._epoch is None or connection is NO_CONNECTION or not self._may_be_repeated(call):
            return
        if len(connection.routes) >= MOST_OF_A_CONNECTION:
            connection.routes.clear()
        connection.routes[_key(call.exchange.scope, call.info)] = Route(
            call.exchange.epoch,  # what has changed meanwhile may be what this request still rests on
            self._measures.clock() + SECONDS,
            user,
            call.workspace,
            msgspec.structs.replace(call.attributes, name=""),
            call.resource,
            call.version,
            call.view,
            call.form,
        )

    def _may_be_repeated(self, call: Call) -> bool:
        """Whether nothing about the request but its name and its body can make a difference."""
        info, attributes = call.info, call.attributes
        if self._none or info.verb not in _WRITES or (info.verb == "create" and info.subresource):
            return False
        if info.service or info.name == HOME or attributes.cluster == WILDCARD or call.version.deprecation_warning:
            return False
        if info.authorized_namespace != info.namespace:  # a namespace is in itself
            return False
        return not info.name or self._authorize(msgspec.structs.replace(attributes, name="")).allowed


def _key(scope: Scope, info: RequestInfo) -> Any:
    """What a write has to have in common with another. What the query says is read of each."""
    headers = tuple([header for header in scope["headers"] if header[0] != _LENGTH])
    place = info.cluster, info.explicit_cluster, info.namespace
    return headers, info.verb, *place, info.group, info.version, info.resource, info.identity_hash, info.subresource
