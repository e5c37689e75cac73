"""What the HTTP layer needs of everything below it; the composition root fills it in."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol, TypeAlias

import msgspec

from kcpcache.api.exchange import Exchange
from kcpcache.api.fairness import Limits
from kcpcache.api.home_workspaces import HomeWorkspaces
from kcpcache.api.paths import RequestInfo
from kcpcache.api.request_measures import RequestMeasures
from kcpcache.audit.trail import Audit
from kcpcache.auth.attributes import Attributes, Decision
from kcpcache.auth.client_certificates import CertificateChain
from kcpcache.auth.user import User
from kcpcache.meta.objects import Object
from kcpcache.registry.catalog import Resource, Snapshot
from kcpcache.registry.resource import ServedVersion
from kcpcache.registry.view import Admission, DeleteOptions, View, WriteOptions


class RequestFacts(NamedTuple):
    """What authentication may look at: the headers as received (lower-case names), and what the client showed."""

    headers: Sequence[tuple[bytes, bytes]]
    certificates: CertificateChain


Authenticate: TypeAlias = Callable[[RequestFacts], Awaitable[User]]
"""The user, before any impersonation. Raises UnauthorizedError."""
Impersonate: TypeAlias = Callable[[User, Sequence[tuple[bytes, bytes]], str], User]
"""``impersonate(user, headers, cluster)``: as whom the user goes on in a logical cluster. Raises ForbiddenError.

For an unknown cluster its text in the URL, for a virtual workspace what is behind it.
"""
Authorize: TypeAlias = Callable[[Attributes], Decision]
"""Decides from memory, at once."""
AdmissionFor: TypeAlias = Callable[[Attributes, WriteOptions | DeleteOptions], Admission]
"""The admission of one write. For an apply or update that creates, the verb is still ``patch`` or ``update``."""
Find: TypeAlias = Callable[[RequestInfo, bool], "tuple[Resource, ServedVersion] | None"]
"""``find(info, metadata_only)``: the resource that a request names, with its version; None where it is not served."""


class Workspace(msgspec.Struct, frozen=True):
    """One logical cluster, or ``*``, or what is behind a virtual workspace: everything that verbs work on.

    ``user`` is who acts in it. ``authorize`` None: whoever got this far may do everything that the views allow.
    """

    cluster: str
    user: User
    snapshot: Snapshot
    find: Find
    view: Callable[[Resource, ServedVersion], View]
    admission: AdmissionFor
    authorize: Authorize | None


class ServiceHandler(Protocol):
    """One virtual workspace (``/services/<name>``)."""

    async def enter(self, info: RequestInfo, user: User) -> Workspace:
        """What ``info.service`` and ``info.cluster`` name, for ``user``, after this service's own authorisation.

        Raises StatusErrors: ForbiddenError, NotFoundError, ServiceUnavailableError.
        """
        ...


class Reviews(Protocol):
    """Answers what is created and never stored: the review kinds, and token requests."""

    async def review(self, info: RequestInfo, obj: Object, user: User, cluster: str) -> Object:
        """The answer to ``obj``, with its status. ``info`` names the resource and, for tokens, the subresource.

        Raises StatusErrors; MethodNotAllowedError for subresources that cannot be created.
        """
        ...


Metrics: TypeAlias = Callable[[str], Awaitable[tuple[bytes, bytes]]]
"""``metrics(accept)``: all that is measured, in a form that the ``Accept`` header allows: its type and the text."""
ReadyCheck: TypeAlias = Callable[[], str | None]
"""Why the server is not ready, in a word or two for the log; None where it is."""


@dataclass(frozen=True, slots=True)
class Services:
    """All collaborators. Everything is called on the event loop.

    ``find(cluster, info, metadata_only)`` may be left out: then a resource is what the cluster's snapshot has, if
    its identity hash agrees with the one in the URL.
    """

    resolve_cluster: Callable[[str], str | None]
    snapshot: Callable[[str], Snapshot]
    view: Callable[[str, Resource, ServedVersion], View]
    authenticate: Authenticate
    impersonate: Impersonate
    authorize: Authorize
    admission: AdmissionFor
    reviews: Reviews
    clock: Callable[[], datetime]
    shutting_down: asyncio.Event
    service_handlers: Mapping[str, ServiceHandler] = field(default_factory=dict)
    ready_checks: Mapping[str, ReadyCheck] = field(default_factory=dict)
    path_of: Callable[[str], str] = str
    """The workspace path of a logical cluster, for messages."""
    epoch: Callable[[], int] | None = None
    """Another number whenever something has changed that says who may see what, and what there is to see."""
    audit: Audit | None = None
    home: HomeWorkspaces | None = None
    limits: Limits = field(default_factory=Limits)
    measures: RequestMeasures = field(default_factory=RequestMeasures)
    metrics: Metrics | None = None
    trace: Callable[[Exchange, float], None] | None = None
    """Told of each request's end, and when it began on ``measures.clock``."""
    find: "Callable[[str, RequestInfo, bool], tuple[Resource, ServedVersion] | None] | None" = None


def find_in(snapshot: Snapshot, info: RequestInfo) -> tuple[Resource, ServedVersion] | None:
    """The resource of a snapshot that a request names, identity hash included."""
    found = snapshot.find(info.group, info.version, info.resource)
    if found is not None and info.identity_hash and found[0].definition.identity_hash != info.identity_hash:
        return None
    return found
