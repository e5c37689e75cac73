"""Discovery: which groups, versions and resources a workspace serves, in the old form and the aggregated one."""

import base64
import hashlib
from collections.abc import Callable, Iterable
from typing import Any, Final
from weakref import WeakKeyDictionary

import orjson

from kcpcache.api.exchange import Exchange
from kcpcache.api.negotiation import media_ranges, negotiate
from kcpcache.api.paths import RequestInfo
from kcpcache.meta.errors import path_not_found
from kcpcache.meta.names import api_version
from kcpcache.meta.objects import Object
from kcpcache.registry.catalog import Snapshot
from kcpcache.registry.resource import ResourceDefinition, ServedVersion

AGGREGATED_VERSIONS: Final = ("v2", "v2beta1")
_GROUP: Final = "apidiscovery.k8s.io"
_AGGREGATED_KIND: Final = "APIGroupDiscoveryList"
_OK: Final = 200
_SEPARATE_KINDS: Final = {
    "scale": ("autoscaling", "v1", "Scale"),
    "token": ("authentication.k8s.io", "v1", "TokenRequest"),
}
"""Subresources whose bodies are of another kind than the resource."""

_documents: "WeakKeyDictionary[Snapshot, dict[tuple[str, ...], tuple[bytes, bytes]]]" = WeakKeyDictionary()


def is_discovery(path: str) -> bool:
    """Whether a path that names no resource asks for discovery."""
    segments = path.split("/")[1:]
    return (segments[0] == "api" and len(segments) <= 2) or (segments[0] == "apis" and len(segments) <= 3)  # noqa: PLR2004


async def respond(exchange: Exchange, info: RequestInfo, snapshot: Snapshot) -> None:
    """Answer ``/api``, ``/apis`` and what is below, down to a group version. Raises NotFoundError."""
    root, *rest = info.path.split("/")[1:]
    accept = exchange.header(b"accept")
    if not rest and (version := aggregated_version(accept)):
        body, tag = _cached(snapshot, ("aggregated", root, version), lambda: _aggregated(snapshot, root, version))
        await _respond_aggregated(exchange, body, tag, version)
        return
    negotiate(accept, shapes=False)
    body, _ = _cached(snapshot, (root, *rest), lambda: _document(snapshot, root, rest))
    await exchange.respond(_OK, body, headers=((b"vary", b"Accept"),))


async def _respond_aggregated(exchange: Exchange, body: bytes, tag: bytes, version: str) -> None:
    headers = ((b"etag", tag), (b"vary", b"Accept"))
    if exchange.headers.get(b"if-none-match") == tag:
        await exchange.respond_not_modified(headers)
        return
    content_type = f"application/json;g={_GROUP};v={version};as={_AGGREGATED_KIND}".encode()
    await exchange.respond(_OK, body, headers=headers, content_type=(b"content-type", content_type))


def aggregated_version(accept: str) -> str:
    """The version of aggregated discovery that an Accept header prefers; "" for the old form."""
    for media_type, parameters in media_ranges(accept):
        if media_type != "application/json":
            if media_type in {"*/*", "application/*"}:
                return ""
            continue
        if "as" not in parameters:
            return ""
        wanted = parameters.get("g"), parameters.get("as")
        if wanted == (_GROUP, _AGGREGATED_KIND) and parameters.get("v") in AGGREGATED_VERSIONS:
            return parameters["v"]
    return ""


def _cached(snapshot: Snapshot, key: tuple[str, ...], make: Callable[[], Any]) -> tuple[bytes, bytes]:
    """The document and its ETag. Errors are not kept, so that the cache holds what is served and no more."""
    documents = _documents.setdefault(snapshot, {})
    found = documents.get(key)
    if found is None:
        body = orjson.dumps(make())
        found = documents[key] = body, b'"%b"' % hashlib.sha256(body).hexdigest().upper().encode()
    return found


def _document(snapshot: Snapshot, root: str, rest: list[str]) -> Object:
    if root == "api":
        if not rest:
            return _core_versions(snapshot)
        return _resource_list(snapshot, "", rest[0])
    if not rest:
        groups = [_group(snapshot, name) for name in snapshot.groups if name]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    group = rest[0]
    if not group or group not in snapshot.groups:
        raise path_not_found()
    if len(rest) == 1:
        return {"kind": "APIGroup", "apiVersion": "v1", **_group(snapshot, group)}
    return _resource_list(snapshot, group, rest[1])


def _core_versions(snapshot: Snapshot) -> Object:
    return {
        "kind": "APIVersions",
        "versions": list(snapshot.groups.get("", ())),
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": ""}],
    }


def _group(snapshot: Snapshot, name: str) -> Object:
    versions = [{"groupVersion": api_version(name, version), "version": version} for version in snapshot.groups[name]]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def _resource_list(snapshot: Snapshot, group: str, version: str) -> Object:
    if version not in snapshot.groups.get(group, ()):
        raise path_not_found()
    resources: list[Object] = []
    for resource, served in snapshot.of_version(group, version):
        resources.append(_resource(resource.definition))
        resources += _subresources(resource.definition, served)
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": api_version(group, version),
        "resources": resources,
    }


def _resource(definition: ResourceDefinition) -> Object:
    found: Object = {
        "name": definition.plural,
        "singularName": definition.singular,
        "namespaced": definition.namespaced,
        "kind": definition.kind,
        "verbs": sorted(definition.verbs),
    }
    if definition.short_names:
        found["shortNames"] = list(definition.short_names)
    if definition.categories:
        found["categories"] = list(definition.categories)
    if "list" in definition.verbs:
        found["storageVersionHash"] = storage_version_hash(definition)
    return found


def storage_version_hash(definition: ResourceDefinition) -> str:
    """Changes when the stored version does: base64 of 8 bytes of a SHA-256, as in kube-apiserver."""
    text = f"{definition.group}/{definition.storage_version}/{definition.kind}"
    return base64.b64encode(hashlib.sha256(text.encode()).digest()[:8]).decode()


def subresource_verbs(definition: ResourceDefinition, served: ServedVersion) -> Iterable[tuple[str, tuple[str, ...]]]:
    """Each subresource with the verbs that are left where the resource itself is read-only."""
    for name in sorted(served.subresources):
        verbs = served.subresources[name]
        if "create" not in verbs:
            verbs = tuple(verb for verb in verbs if verb in definition.verbs)
        if verbs:
            yield name, tuple(sorted(verbs))


def _subresources(definition: ResourceDefinition, served: ServedVersion) -> Iterable[Object]:
    for name, verbs in subresource_verbs(definition, served):
        found: Object = {
            "name": f"{definition.plural}/{name}",
            "singularName": "",
            "namespaced": definition.namespaced,
            "kind": definition.kind,
            "verbs": list(verbs),
        }
        if name in _SEPARATE_KINDS:
            found["group"], found["version"], found["kind"] = _SEPARATE_KINDS[name]
        yield found


def _aggregated(snapshot: Snapshot, root: str, version: str) -> Object:
    names = [name for name in snapshot.groups if bool(name) == (root == "apis")]
    return {
        "kind": _AGGREGATED_KIND,
        "apiVersion": f"{_GROUP}/{version}",
        "metadata": {},
        "items": [_aggregated_group(snapshot, name) for name in names],
    }


def _aggregated_group(snapshot: Snapshot, name: str) -> Object:
    versions = [
        {
            "version": version,
            "resources": [_aggregated_resource(found.definition, s) for found, s in snapshot.of_version(name, version)],
            "freshness": "Current",
        }
        for version in snapshot.groups[name]
    ]
    metadata: Object = {"creationTimestamp": None}
    return {"metadata": {"name": name, **metadata} if name else metadata, "versions": versions}


def _aggregated_resource(definition: ResourceDefinition, served: ServedVersion) -> Object:
    # Of a built-in type's own kind kube-apiserver tells the name alone; clients add group and version.
    builtin = definition.origin == "builtin"
    own = ("", "", definition.kind) if builtin else (definition.group, served.name, definition.kind)
    found: Object = {
        "resource": definition.plural,
        "responseKind": _kind(own),
        "scope": "Namespaced" if definition.namespaced else "Cluster",
        "singularResource": definition.singular,
        "verbs": sorted(definition.verbs),
    }
    if definition.short_names:
        found["shortNames"] = list(definition.short_names)
    if definition.categories:
        found["categories"] = list(definition.categories)
    subresources = [
        {"subresource": name, "responseKind": _kind(_SEPARATE_KINDS.get(name, own)), "verbs": list(verbs)}
        for name, verbs in subresource_verbs(definition, served)
    ]
    return found | {"subresources": subresources} if subresources else found


def _kind(names: tuple[str, str, str]) -> Object:
    group, version, kind = names
    return {"group": group, "version": version, "kind": kind}
