"""The paths of an OpenAPI 3 document: every verb of every resource, with its parameters and bodies."""

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from kcpcache.api.discovery import subresource_verbs
from kcpcache.api.openapi_components import DELETE_OPTIONS, PATCH, STATUS, Components, reference
from kcpcache.api.openapi_names import description, operation_id, tag
from kcpcache.api.patches import patch_types
from kcpcache.meta.objects import Object
from kcpcache.registry.resource import ResourceDefinition, ServedVersion

PATHS_BYTES: Final = 8 * 1024
"""About what is said of one resource in one version, beside its schema."""
_BODY_TYPES: Final = ("application/json", "application/yaml")
_JSON: Final = ("application/json",)
_STRING, _INTEGER, _BOOLEAN = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
_SEPARATE: Final = {
    "scale": ("autoscaling", "v1", "Scale"),
    "token": ("authentication.k8s.io", "v1", "TokenRequest"),
}


def _query(name: str, schema: Object, description: str) -> Object:
    return {"name": name, "in": "query", "description": description, "schema": {**schema, "uniqueItems": True}}


def _path(name: str, description: str) -> Object:
    schema = {"type": "string", "uniqueItems": True}
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


_PRETTY: Final = _query("pretty", _STRING, "Accepted and ignored.")
_DRY_RUN: Final = _query("dryRun", _STRING, "'All': do everything but store the outcome.")
_MANAGER: Final = _query("fieldManager", _STRING, "Who makes this change; required for apply patches.")
_VALIDATION: Final = _query(
    "fieldValidation", _STRING, "What happens to unknown and repeated fields: Ignore, Warn (the default) or Strict."
)
_WRITE: Final = (_DRY_RUN, _MANAGER, _VALIDATION)
_FORCE: Final = _query("force", _BOOLEAN, "For apply patches: take fields over from other managers.")
_SELECTORS: Final = (
    _query("continue", _STRING, "Where the last page ended."),
    _query("fieldSelector", _STRING, "Only objects whose fields match."),
    _query("labelSelector", _STRING, "Only objects whose labels match."),
    _query("limit", _INTEGER, "How many objects a page has at the most."),
    _query("resourceVersion", _STRING, "Which version to read."),
    _query("resourceVersionMatch", _STRING, "How resourceVersion is meant."),
    _query("sendInitialEvents", _BOOLEAN, "Begin a watch with the present objects."),
    _query("timeoutSeconds", _INTEGER, "When to end."),
)
_WATCH: Final = (
    _query("allowWatchBookmarks", _BOOLEAN, "Send bookmarks."),
    _query("watch", _BOOLEAN, "Stream changes instead of listing."),
)
_DELETE: Final = (
    _DRY_RUN,
    _query("gracePeriodSeconds", _INTEGER, "How long to wait before deletion."),
    _query("orphanDependents", _BOOLEAN, "Deprecated in favour of propagationPolicy."),
    _query("propagationPolicy", _STRING, "Foreground, Background or Orphan."),
)
_NAMESPACE: Final = _path("namespace", "Namespace of the objects.")


_PLACES: Final = frozenset({"collection", "all", "object"})
_STREAM: Final = "application/json;stream=watch"
_CODES: Final = {"200": "OK", "201": "Created", "202": "Accepted"}
_MORE_CODES: Final = {"post": ("201", "202"), "put": ("201",), "patch": ("201",), "delete": ("202",)}


class _Verb(NamedTuple):
    """A method, and what OpenAPI says of it. ``body``: content types of the request."""

    method: str
    action: str
    parameters: tuple[Object, ...] = ()
    body: tuple[str, ...] = ()


def paths_of(definition: ResourceDefinition, served: ServedVersion, components: Components) -> Object:
    """All paths of one resource in one version."""
    return dict(_Paths(definition, served, components).all())


class _Paths:
    def __init__(self, definition: ResourceDefinition, served: ServedVersion, components: Components) -> None:
        self.definition, self.served, self.components = definition, served, components
        group = definition.group
        self.base = f"/apis/{group}/{served.name}" if group else f"/api/{served.name}"
        self.gvk = (group, served.name, definition.kind)
        self.kind = components.kind(definition, served)

    def all(self) -> Iterator[tuple[str, Object]]:
        plural, namespaced = self.definition.plural, self.definition.namespaced
        inside = f"{self.base}/namespaces/{{namespace}}/{plural}" if namespaced else f"{self.base}/{plural}"
        common = (_NAMESPACE,) if namespaced else ()
        if collection := self.operations(self.collection_verbs(), self.kind, self.gvk, "collection"):
            yield inside, collection | {"parameters": [*common, _PRETTY]}
        if namespaced and "list" in self.definition.verbs:
            verb = next(iter(self.collection_verbs()))
            yield (
                f"{self.base}/{plural}",
                self.operations([verb], self.kind, self.gvk, "all") | {"parameters": [_PRETTY]},
            )
        named = (_path("name", f"Name of the {self.definition.kind}."), *common, _PRETTY)
        if single := self.operations(self.object_verbs(self.definition.verbs, ""), self.kind, self.gvk, "object"):
            yield f"{inside}/{{name}}", single | {"parameters": list(named)}
        for name, verbs in subresource_verbs(self.definition, self.served):
            gvk = _SEPARATE.get(name, self.gvk)
            schema = self.components.named(gvk) if name in _SEPARATE else self.kind
            operations = self.operations(self.object_verbs(verbs, name), schema or self.kind, gvk, name)
            yield f"{inside}/{{name}}/{name}", operations | {"parameters": list(named)}

    def collection_verbs(self) -> Iterator[_Verb]:
        verbs = self.definition.verbs
        if "list" in verbs:
            yield _Verb("get", "list", (*_SELECTORS, *_WATCH))
        if "create" in verbs:
            yield _Verb("post", "post", _WRITE, _BODY_TYPES)
        if "deletecollection" in verbs:
            yield _Verb("delete", "deletecollection", (*_SELECTORS, *_DELETE), _BODY_TYPES)

    def object_verbs(self, verbs: Iterable[str], subresource: str) -> Iterator[_Verb]:
        patches = patch_types(self.definition, scale=subresource == "scale")
        known = {
            "get": _Verb("get", "get"),
            "update": _Verb("put", "put", _WRITE, _BODY_TYPES),
            "patch": _Verb("patch", "patch", (*_WRITE, _FORCE), patches),
            "delete": _Verb("delete", "delete", _DELETE, _BODY_TYPES),
        }
        if subresource:
            known["create"] = _Verb("post", "post", _WRITE, _BODY_TYPES)
        for name, verb in known.items():
            if name in verbs:
                yield verb

    def operations(self, verbs: Iterable[_Verb], schema: str, gvk: tuple[str, str, str], place: str) -> Object:
        return {verb.method: self.operation(verb, schema, gvk, place) for verb in verbs}

    def operation(self, verb: _Verb, schema: str, gvk: tuple[str, str, str], place: str) -> Object:
        group, version, kind = gvk
        answer = schema
        if verb.action == "list":
            answer = self.components.list_of(self.definition, self.served)
        elif verb.action in {"delete", "deletecollection"}:
            answer = STATUS
        own_group, own_version, own_kind = self.gvk
        subresource = "" if place in _PLACES else place
        scope = "Namespaced" if self.definition.namespaced and place != "all" else ""
        what = f"{scope}{own_kind}{subresource.title()}{'ForAllNamespaces' if place == 'all' else ''}"
        found: Object = {
            "operationId": operation_id(verb.action, own_group, own_version, what),
            "description": description(verb.action, own_kind, subresource),
            "tags": [tag(own_group, own_version)],
            "parameters": list(verb.parameters),
            "responses": self.responses(verb, answer),
            "x-kubernetes-action": verb.action,
            "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind},
        }
        if verb.body:
            body = {"patch": PATCH, "delete": DELETE_OPTIONS, "deletecollection": DELETE_OPTIONS}.get(
                verb.action, schema
            )
            content = {media_type: {"schema": reference(body)} for media_type in verb.body}
            found["requestBody"] = {"content": content, "required": not verb.action.startswith("delete")}
        return found

    @staticmethod
    def responses(verb: _Verb, schema: str) -> Object:
        """The codes that kube-apiserver's documents name, whether or not this server uses them all."""
        types = (*_JSON, _STREAM) if verb.action == "list" else _JSON
        content: Any = {media_type: {"schema": reference(schema)} for media_type in types}
        codes = ("200", *_MORE_CODES.get(verb.action, ()))
        found = {code: {"description": _CODES[code], "content": content} for code in codes}
        return found | {"401": {"description": "Unauthorized"}}
