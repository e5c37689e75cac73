"""What a URL asks for: a pure parser from the raw path and query to a ``RequestInfo``.

Segments are decoded one by one after the split, so that an encoded slash can never make a new segment.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import parse_qs, unquote_to_bytes

import msgspec

from kcpcache.meta.errors import BadRequestError, MethodNotAllowedError, StatusError, path_not_found
from kcpcache.meta.names import is_logical_cluster_path
from kcpcache.meta.selectors import parse_field_selector

ROOT: Final = "root"
WILDCARD: Final = "*"
SERVICE_ARGUMENTS: Final[Mapping[str, int]] = {
    "replication": 2,  # <cluster>/<cachedresource>[:<identity of the APIExport>]
    "apiexport": 2,  # <cluster>/<apiexport>
    "initializingworkspaces": 1,  # <initializer>
    "cache": 2,  # the literal "shards", <shard or *>
}
"""How many segments follow the name of each virtual workspace, before ``clusters/<cluster>``."""

_NAMESPACE_SUBRESOURCES: Final = frozenset({"status", "finalize"})
_LEGACY_VERBS: Final = frozenset({"watch", "proxy", "redirect"})
_CONTROL: Final = re.compile("[\x00-\x1f\x7f]")
_GROUP_OR_VERSION: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_RESOURCE: Final = re.compile(r"([a-z0-9]([-a-z0-9]*[a-z0-9])?)(?::([0-9a-z]+))?")
_ARGUMENT: Final = re.compile(r"[A-Za-z0-9][-A-Za-z0-9._:]*|\*")
_PLAIN_PATH: Final = re.compile(rb"(?:/[A-Za-z0-9_:~*-][A-Za-z0-9_:~*.-]*)+/?")
"""Almost every path: nothing to decode, and nothing that would have to be refused."""
_MOST_PARAMETERS: Final = 100
_LONGEST_PATH: Final = 8192
_LONGEST_REMEMBERED: Final = 512
_VERBS: Final[Mapping[str, tuple[str, str]]] = {
    # method: verb for one object, verb for the collection
    "GET": ("get", "list"),
    "HEAD": ("get", "list"),
    "POST": ("create", "create"),
    "PUT": ("update", "update"),
    "PATCH": ("patch", "patch"),
    "DELETE": ("delete", "deletecollection"),
}
_NO_QUERY: Final[Mapping[str, list[str]]] = {}


class ServicePath(NamedTuple):
    """``/services/<name>/<arguments…>``: a virtual workspace. The cluster behind it is the ``RequestInfo``'s."""

    name: str
    arguments: tuple[str, ...]


class RequestInfo(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What one request asks for, after ``k8s.io/apiserver``'s ``RequestInfo``.

    ``cluster`` is as in the URL: a path, a name or ``*``; ``root`` where the URL has none (then ``explicit_cluster``
    is False). ``path`` is the decoded path within the cluster, without a final slash ("/" for the root). For anything
    but a resource ``is_resource`` is False and ``verb`` is the lower-case method. ``namespace`` is "" for
    cluster-scoped resources, also for a namespace itself; ``name`` is "" for collections.
    """

    method: str
    verb: str
    cluster: str
    path: str
    query: Mapping[str, list[str]]
    explicit_cluster: bool = False
    service: ServicePath | None = None
    is_resource: bool = False
    group: str = ""
    version: str = ""
    resource: str = ""
    identity_hash: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    def value(self, parameter: str) -> str:
        """The first value of a query parameter, or ""."""
        found = self.query.get(parameter)
        return found[0] if found else ""

    def flag(self, parameter: str) -> bool | None:
        """A boolean parameter as kube reads it: only ``0`` and ``false`` are false; None where it is not given."""
        found = self.query.get(parameter)
        return found[0].lower() not in {"0", "false"} if found else None

    @property
    def authorized_namespace(self) -> str:
        """The namespace that RBAC sees: a namespace is in itself."""
        return self.name if self.resource == "namespaces" and not self.group else self.namespace

    @property
    def authorized_name(self) -> str:
        """The name that RBAC sees: also one that a list or watch selects with ``metadata.name=``."""
        if self.name or self.verb not in {"list", "watch", "deletecollection"} or "fieldSelector" not in self.query:
            return self.name
        try:
            requirements = parse_field_selector(self.value("fieldSelector")).requirements
        except StatusError:
            return ""
        return next((r.value for r in requirements if r.path == "metadata.name" and r.equal), "")


def parse(raw_path: bytes, query_string: bytes, method: str) -> RequestInfo:
    """What the request asks for. ``raw_path`` is percent-encoded.

    Raises BadRequestError for what no name may contain, NotFoundError for paths that mean nothing here, and
    MethodNotAllowedError; no other error. Clients ask the same again and again: the last few thousand are remembered.
    """
    if len(raw_path) + len(query_string) > _LONGEST_REMEMBERED:
        return _parsed.__wrapped__(raw_path, query_string, method)
    return _parsed(raw_path, query_string, method)


@lru_cache(maxsize=4096)
def _parsed(raw_path: bytes, query_string: bytes, method: str) -> RequestInfo:
    if len(raw_path) > _LONGEST_PATH:
        raise BadRequestError("the path of the URL is too long")
    segments = _segments(raw_path)
    query = _query(query_string) if query_string else _NO_QUERY
    service, segments = _service(segments)
    cluster, explicit, segments = _cluster(segments, required=service is not None)
    found = _Resource.of(segments)
    path = "/" + "/".join(segments)
    if found is None:
        return RequestInfo(
            method=method,
            verb=method.lower(),
            cluster=cluster,
            path=path,
            query=query,
            explicit_cluster=explicit,
            service=service,
        )
    return RequestInfo(
        method=method,
        verb=_verb(method, found, query),
        cluster=cluster,
        path=path,
        query=query,
        explicit_cluster=explicit,
        service=service,
        is_resource=True,
        group=found.group,
        version=found.version,
        resource=found.resource,
        identity_hash=found.identity_hash,
        namespace=found.namespace,
        name=found.name,
        subresource=found.subresource,
    )


def _segments(raw_path: bytes) -> list[str]:
    if _PLAIN_PATH.fullmatch(raw_path):
        return raw_path.decode().removesuffix("/").split("/")[1:]
    parts = raw_path.split(b"/")
    if parts[0]:
        raise BadRequestError("the path of the URL must begin with a slash")
    del parts[0]
    if parts and not parts[-1]:
        del parts[-1]
    return [_decoded(part) for part in parts]


def _decoded(part: bytes) -> str:
    if not part:
        raise path_not_found()
    try:
        text = (unquote_to_bytes(part) if b"%" in part else part).decode()
    except UnicodeDecodeError:
        raise BadRequestError("the path of the URL is not valid UTF-8") from None
    if text in {".", ".."} or "/" in text or "%" in text or _CONTROL.search(text):
        raise BadRequestError(
            "a segment of the URL's path may not be '.' or '..', nor contain '/', '%' or control bytes"
        )
    return text


def _query(query_string: bytes) -> Mapping[str, list[str]]:
    try:
        return parse_qs(
            query_string.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MOST_PARAMETERS,
        )
    except (UnicodeDecodeError, ValueError):
        raise BadRequestError(
            "the query of the URL cannot be read: it is not percent-encoded UTF-8, or too long"
        ) from None


def _service(segments: list[str]) -> tuple[ServicePath | None, list[str]]:
    if not segments or segments[0] != "services":
        return None, segments
    name = segments[1] if len(segments) > 1 else ""
    count = SERVICE_ARGUMENTS.get(name)
    if count is None:
        raise path_not_found()
    arguments, rest = tuple(segments[2 : 2 + count]), segments[2 + count :]
    if len(arguments) < count or not all(_ARGUMENT.fullmatch(argument) for argument in arguments):
        raise path_not_found()
    if name == "cache" and arguments[0] != "shards":
        raise path_not_found()
    return ServicePath(name, arguments[1:] if name == "cache" else arguments), rest


def _cluster(segments: list[str], *, required: bool) -> tuple[str, bool, list[str]]:
    if not segments or segments[0] != "clusters":
        if required:
            raise path_not_found()
        return ROOT, False, segments
    if len(segments) == 1:
        raise path_not_found()
    cluster = segments[1]
    if cluster != WILDCARD and not is_logical_cluster_path(cluster):
        raise BadRequestError(f'invalid cluster: "{cluster}" is neither a workspace path nor a logical cluster\'s name')
    if len(segments) > 2 and segments[2] in {"clusters", "services"}:  # noqa: PLR2004 -- what follows the cluster
        raise path_not_found()
    return cluster, True, segments[2:]


class _Resource(NamedTuple):
    group: str
    version: str
    resource: str
    identity_hash: str
    namespace: str
    name: str
    subresource: str

    @classmethod
    def of(cls, segments: list[str]) -> "_Resource | None":
        """What comes after ``/api/<version>`` or ``/apis/<group>/<version>``; None for paths that end before that."""
        head = segments[0] if segments else ""
        prefix = {"api": 2, "apis": 3}.get(head, 0)
        if not prefix or len(segments) <= prefix:
            return None
        group, version = ("", segments[1]) if head == "api" else (segments[1], segments[2])
        if not all(_GROUP_OR_VERSION.fullmatch(text) for text in (*([group] if group else []), version)):
            raise path_not_found()
        rest = segments[prefix:]
        if rest[0] in _LEGACY_VERBS and len(rest) > 1:
            raise path_not_found()
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in _NAMESPACE_SUBRESOURCES:  # noqa: PLR2004
            namespace, rest = rest[1], rest[2:]
            if ":" in namespace:
                raise BadRequestError(f'invalid namespace "{namespace}": it is a name, not the path of a workspace')
        return cls._named(group, version, namespace, rest)

    @classmethod
    def _named(cls, group: str, version: str, namespace: str, rest: list[str]) -> "_Resource":
        match = _RESOURCE.fullmatch(rest[0])
        name, subresource, *more = [*rest[1:], "", ""][: max(2, len(rest) - 1)]
        if match is None or more:
            raise path_not_found()
        return cls(group, version, match[1], match[3] or "", namespace, name, subresource)


def _verb(method: str, found: _Resource, query: Mapping[str, Iterable[str]]) -> str:
    verbs = _VERBS.get(method)
    if verbs is None:
        raise MethodNotAllowedError("the server does not allow this method on the requested resource")
    single, many = verbs
    if found.name:
        if method == "POST" and not found.subresource:
            raise MethodNotAllowedError("the server does not allow this method on the requested resource")
        return single
    if method in {"PUT", "PATCH"}:
        raise MethodNotAllowedError("the server does not allow this method on the requested resource")
    watch = next(iter(query.get("watch") or ()), "false")
    return "watch" if method == "GET" and watch.lower() not in {"0", "false"} else many
