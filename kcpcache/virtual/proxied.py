"""Bound virtual resources whose reference is to an endpoint slice of any other kind: read at the URLs that it lists.

Behaviour §6: URLs of this server are served in process, for the user who asks; others only where their host is on
``--virtual-workspace-allowed-hosts``, with nobody's credentials. A request goes through four URLs at most.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Protocol, TypeAlias
from urllib.parse import quote, urlsplit

from kcpcache.auth.user import User
from kcpcache.meta.errors import NotFoundError, ServiceUnavailableError
from kcpcache.meta.hosts import is_listed
from kcpcache.meta.names import api_version
from kcpcache.meta.objects import nested
from kcpcache.meta.virtual_resources import VirtualReference
from kcpcache.registry.catalog import StoredResource
from kcpcache.registry.lookup import Lookup
from kcpcache.registry.read_only import ReadOnlyView
from kcpcache.registry.resource import ResourceDefinition, ServedVersion
from kcpcache.registry.serving import Serving
from kcpcache.registry.stored_view import Guard, StoredView
from kcpcache.registry.view import Bookmark, Item, Listing, ListOptions, View, Watch, WatchEvent
from kcpcache.virtual.asking import MOST_HOPS, asking, one_hop_further
from kcpcache.virtual.remote import Remote, RemoteError
from kcpcache.virtual.remote_view import RemoteView

_HOST: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?|[0-9a-f:.]*:[0-9a-f:.]*")
_HIDDEN: Final = re.compile(r"//.*@|[?#].*", re.DOTALL)
_PATH: Final = re.compile(r"(/(?!\.{1,2}(/|\Z))[A-Za-z0-9_:~.-]+)*")
_SERVICES: Final = "/services/"
_HTTPS_PORT: Final = 443
_MOST_URLS: Final = 64

InProcess: TypeAlias = Callable[[str, str, User], Awaitable[View]]
"""``await in_process(path, query, user)``: the view behind a path of this server; raises StatusErrors."""


class UnusableError(Exception):
    """A reference or an endpoint URL that cannot be followed; the text is for the owner of the APIExport."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A URL that may be followed; ``own``: it is of this server. ``path`` has no slash at its end."""

    host: str
    port: int
    path: str
    own: bool = False

    @property
    def url(self) -> str:
        """The URL, written anew from its parts: what was checked is what is asked."""
        return f"https://{self.netloc}{self.path}"

    @property
    def netloc(self) -> str:
        """Host and port."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def endpoint_of(url: object) -> Endpoint:
    """The parts of an endpoint URL. Raises UnusableError."""
    shown = f"endpoint URL {_HIDDEN.sub(_hidden, str(url))[:200]!r}"
    try:
        parts = urlsplit(str(url))
        host, port = parts.hostname or "", parts.port or _HTTPS_PORT
    except ValueError:
        raise UnusableError(f"{shown} cannot be read") from None
    if parts.scheme != "https" or not _HOST.fullmatch(host):
        raise UnusableError(f"{shown} must be https://host[:port][/path]")
    path = parts.path.rstrip("/")
    if "@" in parts.netloc or parts.query or parts.fragment or not _PATH.fullmatch(path):
        raise UnusableError(f"{shown} must have a plain path and no user, query or fragment")
    return Endpoint(host, port, path)


def _hidden(found: re.Match[str]) -> str:
    """In place of what may be a password or a token of the provider's: consumers are told what is wrong with a URL."""
    return "//…@" if found[0].startswith("//") else f"{found[0][0]}…"


class Endpoints:
    """Which URLs may be followed, and how. ``allowed_hosts`` are names or addresses, each with or without a port."""

    def __init__(self, own_url: str, allowed_hosts: Sequence[str], remote: Remote, in_process: InProcess) -> None:
        own = urlsplit(own_url)
        self._own = ((own.hostname or "").lower(), own.port or _HTTPS_PORT)
        self._allowed = frozenset(host.lower() for host in allowed_hosts)
        self.remote, self.in_process = remote, in_process

    def choose(self, urls: Sequence[object]) -> Endpoint:
        """The first URL that may be followed. Raises UnusableError, which says what is wrong with the first one."""
        first: UnusableError | None = None
        for url in urls[:_MOST_URLS]:
            try:
                return self._checked(endpoint_of(url))
            except UnusableError as error:
                first = first or error
        raise first or UnusableError("it lists no endpoint URL")

    def _checked(self, found: Endpoint) -> Endpoint:
        if (found.host, found.port) == self._own:
            if not found.path.startswith(_SERVICES):
                raise UnusableError(f"endpoint URL {found.url!r} is no virtual workspace of this server")
            return replace(found, own=True)
        if not is_listed(found.host, found.port, self._allowed):
            option = "--virtual-workspace-allowed-hosts"
            raise UnusableError(f"endpoint URL {found.url!r}: host {found.netloc} is not on this server's {option}")
        return found


class References:
    """Reads endpoint slices of any kind: cluster-scoped objects that the export's workspace has of its own."""

    def __init__(self, lookup: Lookup, serving: Serving, clock: Callable[[], datetime]) -> None:
        self._lookup, self._serving, self._clock = lookup, serving, clock

    async def urls(self, cluster: str, reference: VirtualReference) -> Sequence[object]:
        """``status.endpoints[].url`` of the object that an export in ``cluster`` refers to. Raises UnusableError."""
        what = f"{reference.kind}.{reference.group}" if reference.group else reference.kind
        view = self._view(cluster, reference, what)
        try:
            found = (await view.get("", reference.name)).object()
        except NotFoundError:
            raise UnusableError(f"reference is to an unknown endpoint slice {what} {reference.name!r}") from None
        listed = nested(found, "status", "endpoints")
        return [nested(one, "url") for one in listed] if isinstance(listed, list) else []

    def _view(self, cluster: str, reference: VirtualReference, what: str) -> StoredView:
        for resource in self._serving.snapshot(cluster).resources.values():
            definition = resource.definition
            if (definition.group, definition.kind) != (reference.group, reference.kind) or definition.namespaced:
                continue
            version = next((found for found in definition.versions if found.served), None)
            if isinstance(resource, StoredResource) and version is not None:
                return StoredView(self._lookup.caches, definition, version, cluster, self._clock)
        raise UnusableError(f"the APIExport's workspace has no cluster-scoped resource of kind {what}")


class _Reads(Protocol):
    """The part of a view that is asked here."""

    async def get(self, namespace: str, name: str, *, resource_version: str = "") -> Item: ...
    async def list(self, options: ListOptions) -> Listing: ...
    async def watch(self, options: ListOptions) -> Watch: ...


class ProxiedView(ReadOnlyView):
    """See ``view.View``. ``urls`` reads the endpoint slice anew for each call; it raises UnusableError.

    ``unavailable(why)`` makes the error that names the APIExport to contact.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        definition: ResourceDefinition,
        version: ServedVersion,
        cluster: str,
        *,
        urls: Callable[[], Awaitable[Sequence[object]]],
        unavailable: Callable[[str], ServiceUnavailableError],
        origin: str,
        guard: Guard | None = None,
    ) -> None:
        self.definition, self.version, self.cluster, self.origin = definition, version, cluster, origin
        self._endpoints, self._urls, self._unavailable, self._guard = endpoints, urls, unavailable, guard

    async def get(self, namespace: str, name: str, *, resource_version: str = "") -> Item:
        """See ``view.View``. Also raises ServiceUnavailableError, as ``list`` and ``watch`` do."""
        with one_hop_further():
            try:
                behind = await self._behind(namespace, name)
                found = await behind.get(namespace, name, resource_version=resource_version)
            except (UnusableError, RemoteError) as error:
                raise self._unavailable(str(error)) from None
        return Item(found.entry, self.cluster)

    async def list(self, options: ListOptions) -> Listing:
        """See ``view.View``."""
        with one_hop_further():
            try:
                found = await (await self._behind(options.namespace)).list(options)
            except (UnusableError, RemoteError) as error:
                raise self._unavailable(str(error)) from None
        return replace(found, segments=[replace(segment, cluster=self.cluster) for segment in found.segments])

    async def watch(self, options: ListOptions) -> Watch:
        """See ``view.View``."""
        with one_hop_further():
            try:
                behind = await self._behind(options.namespace, query="watch=true")
                watch = ProxiedWatch(await behind.watch(options), self.cluster, self._unavailable)
            except (UnusableError, RemoteError) as error:
                raise self._unavailable(str(error)) from None
        if self._guard is not None:
            self._guard(watch)
        return watch

    async def _behind(self, namespace: str, name: str = "", query: str = "") -> _Reads:
        """What is read instead. Called one hop further on; raises UnusableError and StatusErrors."""
        now = asking()
        if now.hops > MOST_HOPS:
            raise UnusableError(
                f"the request has come through {MOST_HOPS} endpoint URLs already: they lead in a circle"
            )
        endpoint = self._endpoints.choose(await self._urls())
        definition, version = self.definition, self.version
        base = f"/clusters/{self.cluster}"
        if not endpoint.own:
            url = endpoint.url + base
            return RemoteView(self._endpoints.remote, url, definition, version, self.cluster, hops=now.hops)
        parts = [api_version(definition.group, version.name)]
        parts += ["namespaces", namespace] if namespace else []
        parts += [definition.plural, quote(name, safe="")] if name else [definition.plural]
        root = "apis" if definition.group else "api"
        return await self._endpoints.in_process(f"{endpoint.path}{base}/{root}/{'/'.join(parts)}", query, now.user)


class ProxiedWatch:
    """See ``view.Watch``: another one, with its objects seen in ``cluster``."""

    def __init__(self, inner: Watch, cluster: str, unavailable: Callable[[str], ServiceUnavailableError]) -> None:
        self._inner, self._cluster, self._unavailable = inner, cluster, unavailable

    async def next(self, timeout_seconds: float | None = None) -> Sequence[WatchEvent | Bookmark]:
        """See ``view.Watch``. Raises ServiceUnavailableError for what no API server sends."""
        try:
            return [self._seen(event) for event in await self._inner.next(timeout_seconds)]
        except RemoteError as error:
            raise self._unavailable(str(error)) from None

    def _seen(self, event: WatchEvent | Bookmark) -> WatchEvent | Bookmark:
        return event if isinstance(event, Bookmark) else replace(event, item=Item(event.item.entry, self._cluster))

    def bookmark(self) -> Bookmark:
        """See ``view.Watch``."""
        return self._inner.bookmark()

    def close(self) -> None:
        """See ``view.Watch``."""
        self._inner.close()
