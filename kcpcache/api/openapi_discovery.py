"""OpenAPI of discovery: ``/api``, ``/apis``, ``/apis/<group>``, the list of each group version; and of the version."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from kcpcache.api.openapi_components import META, Components, reference
from kcpcache.api.openapi_names import group_words, joined, tag
from kcpcache.meta.objects import Object
from kcpcache.registry.catalog import Snapshot

_VERSION_INFO: Final = "io.k8s.apimachinery.pkg.version.Info"
_GVK: Final = "x-kubernetes-group-version-kind"
_STRING: Final = {"type": "string"}


def _strings(description: str) -> Object:
    items = {"type": "array", "items": {"type": "string", "default": ""}}
    return {**items, "description": description, "x-kubernetes-list-type": "atomic"}


def _list_of(name: str, description: str) -> Object:
    items: Object = {"type": "array", "items": {"allOf": [reference(f"{META}.{name}")], "default": {}}}
    return {**items, "description": description, "x-kubernetes-list-type": "atomic"}


def _text(description: str) -> Object:
    return {**_STRING, "description": description}


def _struct(description: str, required: tuple[str, ...], properties: Object, kind: str = "") -> Object:
    found: Object = {"type": "object", "description": description, "properties": properties}
    if kind:
        types = {"apiVersion": _text("Version of the API."), "kind": _text("Kind of the document.")}
        found["properties"] = {**types, **properties}
        found[_GVK] = [{"group": "", "version": "v1", "kind": kind}]
    return found | ({"required": list(required)} if required else {})


_ADDRESSES: Final = _list_of("ServerAddressByClientCIDR", "Which clients reach the server at which address.")
_GROUP: Final[Object] = {
    "name": _text("Name of the group."),
    "preferredVersion": {
        "allOf": [reference(f"{META}.GroupVersionForDiscovery")],
        "default": {},
        "description": "The version that clients should use.",
    },
    "serverAddressByClientCIDRs": _ADDRESSES,
    "versions": _list_of("GroupVersionForDiscovery", "The versions that are served."),
}
_RESOURCE: Final[Object] = {
    "categories": _strings("Groups of resources such as all."),
    "group": _text("Group of the kind, where it is not the list's."),
    "kind": _text("Kind of the objects."),
    "name": _text("Plural name, and the subresource's after a slash."),
    "namespaced": {"type": "boolean", "default": False, "description": "Whether the objects are in namespaces."},
    "shortNames": _strings("Abbreviations of the name."),
    "singularName": _text("Singular name."),
    "storageVersionHash": _text("Changes with the version that is stored."),
    "verbs": {"type": "array", "items": {"type": "string", "default": ""}, "description": "What can be done."},
    "version": _text("Version of the kind, where it is not the list's."),
}
_INFO: Final = (
    "buildDate", "compiler", "gitCommit", "gitTreeState", "gitVersion", "goVersion", "major", "minor", "platform",
)  # fmt: skip
SCHEMAS: Final[Mapping[str, Object]] = {
    f"{META}.ServerAddressByClientCIDR": _struct(
        "The address at which some clients reach the server.",
        ("clientCIDR", "serverAddress"),
        {"clientCIDR": _text("Which clients."), "serverAddress": _text("Host and port.")},
    ),
    f"{META}.GroupVersionForDiscovery": _struct(
        "A version of a group.",
        ("groupVersion", "version"),
        {"groupVersion": _text("Group and version."), "version": _text("The version alone.")},
    ),
    f"{META}.APIVersions": _struct(
        "The versions of the core group.",
        ("versions", "serverAddressByClientCIDRs"),
        {"serverAddressByClientCIDRs": _ADDRESSES, "versions": _strings("The versions that are served.")},
        "APIVersions",
    ),
    f"{META}.APIGroup": _struct("A group and its versions.", ("name", "versions"), _GROUP, "APIGroup"),
    f"{META}.APIGroupList": _struct(
        "All groups but the core one.", ("groups",), {"groups": _list_of("APIGroup", "The groups.")}, "APIGroupList"
    ),
    f"{META}.APIResource": _struct(
        "A resource or subresource.", ("name", "singularName", "namespaced", "kind", "verbs"), _RESOURCE
    ),
    f"{META}.APIResourceList": _struct(
        "The resources of a group version.",
        ("groupVersion", "resources"),
        {"groupVersion": _text("Which one."), "resources": _list_of("APIResource", "Resources and subresources.")},
        "APIResourceList",
    ),
    _VERSION_INFO: _struct("The version of the server.", _INFO, {name: {**_STRING, "default": ""} for name in _INFO}),
}


def _get(path: str, name: str, kind: str, description: str, tags: str) -> dict[str, Object]:
    content = {"application/json": {"schema": reference(kind)}}
    responses = {"200": {"description": "OK", "content": content}, "401": {"description": "Unauthorized"}}
    return {path: {"get": {"tags": [tags], "description": description, "operationId": name, "responses": responses}}}


def resources_path(group: str, version: str, components: Components) -> dict[str, Object]:
    """Where a group version lists its resources: part of its own document."""
    base = f"/apis/{group}/{version}/" if group else f"/api/{version}/"
    name = f"get{group_words(group, capital=True)}{joined(version, capital=True)}APIResources"
    kind = components.known(f"{META}.APIResourceList", SCHEMAS)
    return _get(base, name, kind, "get available resources", tag(group, version))


def documents(snapshot: Snapshot) -> Iterator[tuple[str, dict[str, Object], Components]]:
    """Those beside the group versions': name, paths, schemas. Only Kubernetes' groups have any of their own."""
    components = Components(empty=True)
    versions = components.known(f"{META}.APIVersions", SCHEMAS)
    yield "api", _get("/api/", "getCoreAPIVersions", versions, "get available API versions", "core"), components
    components = Components(empty=True)
    groups = components.known(f"{META}.APIGroupList", SCHEMAS)
    yield "apis", _get("/apis/", "getAPIVersions", groups, "get available API versions", "apis"), components
    builtin = {key.group for key, found in snapshot.resources.items() if found.definition.origin == "builtin"}
    for group in snapshot.groups:
        if group and group in builtin:
            components = Components(empty=True)
            kind = components.known(f"{META}.APIGroup", SCHEMAS)
            name = f"get{group_words(group, capital=True)}APIGroup"
            words = group_words(group, capital=False)
            yield (
                f"apis/{group}",
                _get(f"/apis/{group}/", name, kind, "get information of a group", words),
                components,
            )
    components = Components(empty=True)
    info = components.known(_VERSION_INFO, SCHEMAS)
    yield (
        "version",
        _get("/version/", "getCodeVersion", info, "get the version information for this server", "version"),
        components,
    )


def security() -> tuple[Any, Any]:
    """What a request must carry, and the scheme's definition, as kube-apiserver's documents say it."""
    scheme = {"type": "apiKey", "name": "authorization", "in": "header", "description": "Bearer Token authentication"}
    return [{"BearerToken": []}], {"BearerToken": scheme}
