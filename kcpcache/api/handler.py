"""Kubernetes requests: path, user, authorisation, resource, verb; and every error as a Status."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final, TypeAlias

import structlog

from kcpcache.api import discovery, openapi, openapi_v2, patches, resources, scale
from kcpcache.api.audited import AuditedExchange, audited
from kcpcache.api.body import ClientGoneError, Receive
from kcpcache.api.call import OK, Call
from kcpcache.api.deadlines import Deadlines
from kcpcache.api.exchange import Exchange, Scope, Send
from kcpcache.api.fairness import Fairness, Seat
from kcpcache.api.health import health, version
from kcpcache.api.home_workspaces import HOME
from kcpcache.api.negotiation import check_form, negotiate
from kcpcache.api.options import check_timeout
from kcpcache.api.origin import SAFE_METHODS, has_bearer, require_own_page
from kcpcache.api.paths import ROOT, WILDCARD, RequestInfo, parse
from kcpcache.api.protocol import connection_of
from kcpcache.api.routes import Route, Routes
from kcpcache.api.services import RequestFacts, Services, Workspace, find_in
from kcpcache.api.shortcuts import Shortcuts
from kcpcache.api.strangers import Strangers
from kcpcache.api.watch import OpenWatches, SlowClientError, watch
from kcpcache.api.watch_stream import HttpStream, Stream
from kcpcache.api.websocket import WebSocketStream, as_http
from kcpcache.audit.trail import Trail
from kcpcache.auth.attributes import Attributes, Decision
from kcpcache.auth.authorize import PUBLIC_PATHS, forbid
from kcpcache.auth.user import ANONYMOUS, CLUSTER_NAME_EXTRA, User
from kcpcache.meta.errors import (
    BadRequestError,
    InternalError,
    MethodNotAllowedError,
    StatusError,
    TimeoutStatusError,
    method_not_allowed,
    not_found,
    path_not_found,
)
from kcpcache.registry.beside import let_go, made
from kcpcache.registry.catalog import ProjectedResource, Resource
from kcpcache.registry.pauses import pausing
from kcpcache.registry.read_only import read_only
from kcpcache.registry.resource import ResourceDefinition, ServedVersion
from kcpcache.virtual import asking
from kcpcache.virtual.projection import origin_of

log = structlog.get_logger(__name__)

REQUEST_SECONDS: Final = 60.0
"""How long anything but a watch may take."""

Verb: TypeAlias = Callable[[Call], Awaitable[None]]
_ANSWERS: Final = {"list": True, "deletecollection": True, **dict.fromkeys(("get", "create", "update", "patch"), False)}
"""Whether a verb is answered with a list, of those always answered with a list or an object."""
_VERBS: Final[Mapping[str, Verb]] = {
    "get": resources.get,
    "list": resources.list_objects,
    "create": resources.create,
    "update": resources.update,
    "patch": patches.patch,
    "delete": resources.delete,
    "deletecollection": resources.delete_collection,
}
_SCALE_VERBS: Final[Mapping[str, Verb]] = {
    "get": scale.get_scale,
    "update": scale.update_scale,
    "patch": scale.patch_scale,
}
_READS: Final = frozenset({"get", "list", "watch"})
_PATH_VERBS: Final = frozenset({"get", "head"})
_COLLECTION_OF_ALL: Final = frozenset({"list", "watch"})
HOPS_HEADER: Final = asking.HOPS_HEADER.encode()
_ENTERED: Final = Decision(allowed=True)
"""Whoever was let into a virtual workspace that asks for nothing more."""
_TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")


class KubernetesHandler:
    """The ASGI application behind all Kubernetes paths. One per process; ``end_watches`` is for shutdown."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.open_watches = OpenWatches()
        self.deadlines = Deadlines(REQUEST_SECONDS)
        self.shortcuts, self.routes = Shortcuts(services), Routes(services)
        self.fairness = Fairness(services.limits)
        self.strangers = Strangers(services.authenticate, self.fairness, self._wait)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer one request, or one watch over WebSocket. Raises nothing but cancellation."""
        if self.services.audit is None:
            return self._handle(scope, receive, send, None)
        return audited(self.services.audit, scope, receive, send, self._handle)

    def _handle(self, scope: Scope, receive: Receive, send: Send, trail: Trail | None) -> Awaitable[None]:
        make = Exchange if trail is None else partial(AuditedExchange, trail)
        if scope["type"] == "websocket":
            stream = WebSocketStream(scope, receive, send)
            scope, send = as_http(scope, send)
            return self._answer(make(scope, receive, send), stream)
        exchange = make(scope, receive, send)
        return self._answer(exchange, HttpStream(exchange))

    async def _answer(self, exchange: Exchange, stream: Stream) -> None:
        scope, measures = exchange.scope, self.services.measures
        began, in_flight = measures.clock(), None
        try:
            exchange.info = info = parse(scope["raw_path"], scope["query_string"], exchange.method)
            if info.verb == "watch":
                stream.require_own_page()
                await self._serve(exchange, info, stream)
                return
            stream.require_watch()
            if exchange.method not in SAFE_METHODS:
                require_own_page(exchange.headers, with_token=has_bearer(exchange.headers))
            in_flight = measures.begin(info)
            await self.deadlines.bound(self._serve(exchange, info, stream))
        except ClientGoneError:
            return
        except SlowClientError:
            connection_of(scope).abort()
        except Exception as error:  # noqa: BLE001 -- the one place where errors become answers
            await respond_error(exchange, error)
        finally:
            exchange.seat.leave()
            measures.end(in_flight, exchange, began)
            if self.services.trace is not None:
                self.services.trace(exchange, began)
            if (values := made.get()) is not None:
                let_go(values)

    def end_watches(self) -> None:
        """End every open watch cleanly, and those that are still to come."""
        self.open_watches.end()

    async def _serve(self, exchange: Exchange, info: RequestInfo, stream: Stream) -> None:
        if info.verb == "options":
            raise MethodNotAllowedError("the server does not allow this method on the requested resource")
        route = self.routes.recall(exchange.scope, info)
        if route is not None:
            await self._serve_again(exchange, info, route)
            return
        if self.services.epoch is not None:
            exchange.epoch = self.services.epoch()
        user, workspace, cluster = await self._enter(exchange, info)
        asking.begin(user, exchange.header(HOPS_HEADER))
        attributes = attributes_of(info, user if workspace is None else workspace.user, cluster)
        authorize = self.services.authorize if workspace is None else workspace.authorize
        decision = _ENTERED if authorize is None else authorize(attributes)
        if exchange.trail is not None:
            exchange.trail.decided(user, cluster, self.services.path_of(cluster), decision)
        if not decision.allowed:
            raise forbid(attributes, decision)
        if info.path in PUBLIC_PATHS and info.verb in _PATH_VERBS:
            # The same in all workspaces, those that are not there among them: nobody learns which are.
            await self._serve_public(exchange, info)
            return
        if workspace is None:
            workspace = self._workspace(info, cluster, user)
        if info.is_resource:
            call = await self._serve_resource(exchange, info, workspace, attributes, stream)
            self.routes.remember(call, user)
        else:
            await self._serve_path(exchange, info, workspace)

    async def _serve_again(self, exchange: Exchange, info: RequestInfo, route: Route) -> None:
        """A write like one before."""
        await self._take_seat(exchange, route.user, route.attributes.cluster)
        asking.begin(route.user, exchange.header(HOPS_HEADER))
        call = route.call(exchange, info, self.services)
        exchange.resource = call.definition
        await verb_of(call)(call)

    async def _take_seat(self, exchange: Exchange, user: User, place: str) -> None:
        """Wait until it is the user's turn."""
        if not user.is_master:
            exchange.seat = self.fairness.enter(user, place) or await self._wait(user, place)
            pausing.set(exchange.seat)

    async def _wait(self, user: User, place: str) -> Seat:
        with self.services.measures.queued():
            return await self.fairness.wait(user, place)

    async def _enter(self, exchange: Exchange, info: RequestInfo) -> tuple[User, Workspace | None, str]:
        """Who asks, and the virtual workspace if it is one, and the logical cluster; when it is the user's turn."""
        resolve = self.services.resolve_cluster
        cluster = info.cluster if info.cluster == WILDCARD else resolve(info.cluster) or info.cluster
        connection = connection_of(exchange.scope)
        trail, service, headers = exchange.trail, info.service, exchange.scope["headers"]
        if trail is not None:
            trail.asked(attributes_of(info, ANONYMOUS, cluster), self.services.path_of(cluster))
        user = await self.strangers.user(exchange.scope, RequestFacts(headers, connection.certificates))
        if not info.explicit_cluster and service is None and (own := user.extra.get(CLUSTER_NAME_EXTRA)):
            cluster = resolve(own[0]) or own[0]  # a ServiceAccount without a cluster in the URL is at home
            if trail is not None:
                trail.asked(attributes_of(info, ANONYMOUS, cluster), self.services.path_of(cluster))
        if trail is not None:
            trail.authenticated(user)
        user = self.services.impersonate(user, headers, cluster)
        if info.path not in PUBLIC_PATHS:
            await self._take_seat(exchange, user, cluster if service is None else service.arguments[0])
        if service is None:
            return user, None, cluster
        handler = self.services.service_handlers.get(service.name)
        if handler is None:
            raise path_not_found()
        workspace = await handler.enter(info, user)
        return user, workspace, workspace.cluster

    def _workspace(self, info: RequestInfo, cluster: str, user: User) -> Workspace:
        """An ordinary workspace, or all of them. Raises NotFoundError for one that is not there."""
        services = self.services
        if cluster != WILDCARD and services.resolve_cluster(cluster) is None:
            # Only system:masters get as far as this. An empty list would hide that it is gone, and so would a create.
            raise not_found("core.kcp.io", "logicalclusters", info.cluster)
        snapshot = services.snapshot(cluster)

        def find(asked: RequestInfo, metadata_only: bool) -> tuple[Resource, ServedVersion] | None:
            if services.find is not None:
                return services.find(cluster, asked, metadata_only)
            return find_in(snapshot, asked)

        return Workspace(
            cluster=cluster,
            user=user,
            snapshot=snapshot,
            find=find,
            view=lambda resource, served: services.view(cluster, resource, served),
            admission=services.admission,
            authorize=services.authorize,
        )

    async def _serve_resource(
        self, exchange: Exchange, info: RequestInfo, workspace: Workspace, attributes: Attributes, stream: Stream
    ) -> Call:
        call = self._call(exchange, info, workspace, attributes)
        if info.verb == "watch":
            await watch(call, self.open_watches, stream)
            return call
        await verb_of(call)(call)
        if info.verb == "get":
            self.shortcuts.remember(call)
        return call

    def _call(self, exchange: Exchange, info: RequestInfo, workspace: Workspace, attributes: Attributes) -> Call:
        """Everything that the verb needs. Raises NotFoundError, MethodNotAllowedError, NotAcceptableError."""
        form = negotiate(exchange.header(b"accept"), streaming=info.verb == "watch")
        found = workspace.find(info, form.shape == "metadata")
        if found is None:
            raise path_not_found()
        resource, served = found
        if form.shape == "metadata" and info.verb in _ANSWERS:
            listed = _ANSWERS[info.verb]
            check_form(form, _kind_of_answer(resource.definition, listed=listed), listed=listed)
        exchange.resource = resource.definition
        if served.deprecation_warning:
            exchange.warnings.append(served.deprecation_warning)
        check_call(info, workspace.cluster, resource, served, self.services.path_of)
        if info.verb != "watch":
            check_timeout(info)
        view = workspace.view(resource, served)
        if info.name == HOME and self.services.home is not None and info.service is None:
            view = self.services.home.seen_by(attributes, view)
        return Call(
            exchange=exchange,
            info=info,
            services=self.services,
            workspace=workspace,
            attributes=attributes,
            resource=resource,
            version=served,
            view=view,
            form=form,
        )

    async def _serve_path(self, exchange: Exchange, info: RequestInfo, workspace: Workspace) -> None:
        """What is no resource: discovery and OpenAPI."""
        if info.verb not in _PATH_VERBS:
            raise MethodNotAllowedError("the server does not allow this method on the requested resource")
        path = info.path
        if discovery.is_discovery(path):
            await discovery.respond(exchange, info, workspace.snapshot)
        elif path == "/openapi/v3" or path.startswith("/openapi/v3/"):
            await openapi.respond(exchange, info, workspace.snapshot)
        elif path == "/openapi/v2":
            await openapi_v2.respond(exchange, workspace.snapshot)
        elif path == "/metrics" and workspace.cluster == ROOT and info.service is None and self.services.metrics:
            # They are of the whole process: what anybody may do in a workspace of his own must not count.
            content_type, text = await self.services.metrics(exchange.header(b"accept"))
            await exchange.respond(OK, text, content_type=(b"content-type", content_type))
        elif path == "/":
            await exchange.respond_json(OK, {"paths": _root_paths(workspace)})
        else:
            raise path_not_found()

    async def _serve_public(self, exchange: Exchange, info: RequestInfo) -> None:
        """Health and version."""
        services, path = self.services, info.path
        if path == "/version":
            await exchange.respond_json(OK, version())
            return
        verbose, shutting_down = "verbose" in info.query, services.shutting_down.is_set()
        found = health(path, services.ready_checks, verbose=verbose, shutting_down=shutting_down)
        await exchange.respond(found.status, found.text.encode(), content_type=_TEXT)


def _kind_of_answer(definition: ResourceDefinition, *, listed: bool) -> str:
    """What kube-apiserver, which is written in Go, calls it in an error."""
    if definition.origin != "builtin":
        return f"*unstructured.Unstructured{'List' if listed else ''}"
    package = "core" if definition.kind == "Event" else definition.group.partition(".")[0] or "core"
    return f"*{package}.{definition.list_kind if listed else definition.kind}"


def _root_paths(workspace: Workspace) -> list[str]:
    paths = ["/api", "/apis", "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"]
    for group, versions in workspace.snapshot.groups.items():
        base = f"/apis/{group}" if group else "/api"
        paths += [*([base] if group else []), *(f"{base}/{name}" for name in versions)]
    return sorted(paths)


def attributes_of(info: RequestInfo, user: User, cluster: str) -> Attributes:
    """The request as authorisation sees it."""
    if not info.is_resource:
        return Attributes(user=user, verb=info.verb, cluster=cluster, path=info.path, is_resource=False)
    return Attributes(
        user=user,
        verb=info.verb,
        cluster=cluster,
        group=info.group,
        version=info.version,
        resource=info.resource,
        subresource=info.subresource,
        namespace=info.authorized_namespace,
        name=info.authorized_name,
    )


def check_call(
    info: RequestInfo, cluster: str, resource: Resource, served: ServedVersion, path_of: Callable[[str], str]
) -> None:
    """That the path fits the resource, and the verb too. Raises NotFoundError, MethodNotAllowedError."""
    definition, verb = resource.definition, info.verb
    if info.namespace and not definition.namespaced:
        raise path_not_found()
    if isinstance(resource, ProjectedResource) and verb not in _READS:
        raise read_only(definition.group_resource, verb, origin_of(resource.bound, path_of(resource.bound.cluster)))
    if cluster == WILDCARD and verb not in _COLLECTION_OF_ALL:
        raise MethodNotAllowedError(f"{verb} needs a workspace: over all of them there is only list and watch")
    if definition.namespaced and not info.namespace and verb not in _COLLECTION_OF_ALL:
        if info.name:
            raise path_not_found()
        raise method_not_allowed(definition.group, definition.plural, verb)
    if info.subresource:
        verbs = served.subresources.get(info.subresource)
        if verbs is None:
            if definition.is_custom:  # kube-apiserver tells only built-in types' paths apart
                raise not_found(definition.group, definition.plural, info.name)
            raise path_not_found()
        if verb not in verbs or (verb not in definition.verbs and "create" not in verbs):
            raise method_not_allowed(definition.group, f"{definition.plural}/{info.subresource}", verb)
    elif verb not in definition.verbs and not (verb == "create" and definition.terminating):
        raise method_not_allowed(definition.group, definition.plural, verb)


def verb_of(call: Call) -> Verb:
    """The function that does what is asked. Raises MethodNotAllowedError."""
    verbs = _SCALE_VERBS if call.info.subresource == "scale" else _VERBS
    found = verbs.get(call.info.verb)
    if found is None:
        raise method_not_allowed(call.info.group, call.info.resource, call.info.verb)
    return found


async def respond_error(exchange: Exchange, error: Exception) -> None:
    """The Status for an error, whatever it is; after the first byte, nothing but a log line."""
    found = status_error(error)
    if isinstance(found, InternalError) and not isinstance(error, StatusError):
        log.error("a request failed", path=exchange.scope.get("path"), method=exchange.method, exc_info=error)
        if exchange.trail is not None:
            exchange.trail.panicked(error)
    if exchange.started:
        connection_of(exchange.scope).abort()
        return
    await exchange.respond_error(found)


def status_error(error: Exception) -> StatusError:
    """What a client is told of an error: nothing of the server's inside."""
    if isinstance(error, StatusError):
        return error
    if isinstance(error, TimeoutError):
        return TimeoutStatusError(f"the server could not answer within {REQUEST_SECONDS:.0f} seconds")
    if isinstance(error, RecursionError):
        return BadRequestError("the object is nested too deeply")
    return InternalError("an internal error occurred; the server's log says more")
