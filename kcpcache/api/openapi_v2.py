"""``/openapi/v2``: one Swagger document for a whole workspace, made of the same parts as ``/openapi/v3``.

kubectl up to 1.28 reads it, as protobuf; see ``openapi_protobuf``.
"""

from typing import Any, Final
from weakref import WeakKeyDictionary

import orjson

from kcpcache.api import openapi_discovery
from kcpcache.api.exchange import Exchange
from kcpcache.api.health import KUBERNETES_VERSION
from kcpcache.api.negotiation import media_ranges, negotiate
from kcpcache.api.openapi_components import REFERENCE, Components, custom_name
from kcpcache.api.openapi_paths import PATHS_BYTES, paths_of
from kcpcache.api.openapi_protobuf import encode_document
from kcpcache.meta.objects import Object
from kcpcache.registry.beside import computed_once
from kcpcache.registry.catalog import Snapshot
from kcpcache.schema.openapi import published_v2, selectable_fields

PROTOBUF: Final = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
"""Clients ask for it with an ``@`` before ``v1.0``, which no answer may have: Go cannot parse that."""
_ASKED_FOR: Final = (PROTOBUF, PROTOBUF.replace(".v1.0", "@v1.0"))
_JSON: Final = "application/json"
_OK: Final = 200
_documents: "WeakKeyDictionary[Snapshot, dict[str, bytes]]" = WeakKeyDictionary()


async def respond(exchange: Exchange, snapshot: Snapshot) -> None:
    """Answer in the format that is asked for. Raises NotAcceptableError."""
    accept = exchange.header(b"accept")
    wanted = next((r.type for r in media_ranges(accept) if r.type in {*_ASKED_FOR, _JSON, "*/*"}), "")
    protobuf = wanted in _ASKED_FOR
    if not protobuf:
        negotiate(accept)
    tag = f'"{snapshot.hash}{"-pb" if protobuf else ""}"'.encode()
    headers = ((b"etag", tag), (b"vary", b"Accept"))
    if exchange.headers.get(b"if-none-match") == tag:
        await exchange.respond_not_modified(headers)
        return
    kind = PROTOBUF if protobuf else _JSON
    documents = _documents.setdefault(snapshot, {})
    body = documents.get(kind)
    if body is None:
        body = await computed_once(documents, kind, _weight(snapshot), _encoded, snapshot, protobuf)
    await exchange.respond(_OK, body, headers=headers, content_type=(b"content-type", kind.encode()))


def _weight(snapshot: Snapshot) -> int:
    versions = (version for resource in snapshot.resources.values() for version in resource.definition.versions)
    return sum(PATHS_BYTES + version.schema.size for version in versions)


def _encoded(snapshot: Snapshot, protobuf: bool) -> bytes:
    made = document(snapshot)
    return encode_document(made) if protobuf else orjson.dumps(made)


def document(snapshot: Snapshot) -> Object:
    """The Swagger 2.0 document of everything that the snapshot serves."""
    components = Components()
    paths: Object = {}
    custom: Object = {}
    for group, versions in snapshot.groups.items():
        for version in versions:
            for resource, served in snapshot.of_version(group, version):
                definition = resource.definition
                paths |= paths_of(definition, served, components)
                if definition.origin != "builtin":
                    name = custom_name(group, version, definition.kind)
                    published = published_v2(served.schema.schema, (group, version, definition.kind))
                    custom[name] = published | selectable_fields(served.selectable_fields)
            if any(found.definition.origin == "builtin" for found, _ in snapshot.of_version(group, version)):
                paths |= openapi_discovery.resources_path(group, version, components)
    definitions: Object = {}
    for _, more, parts in (*openapi_discovery.documents(snapshot), ("", {}, components)):
        paths |= more
        definitions |= {name: to_v2(schema) for name, schema in parts.closure().items()}
    required, schemes = openapi_discovery.security()
    major, minor = KUBERNETES_VERSION
    return {
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": f"v{major}.{minor}.0"},
        "paths": {
            path: {method: _operation(method, found) for method, found in item.items()} for path, item in paths.items()
        },
        "definitions": definitions | custom,
        "securityDefinitions": schemes,
        "security": required,
    }


def to_v2(value: Any) -> Any:
    """A schema with its references in Swagger's place; an ``allOf`` around a single one is not needed there."""
    if isinstance(value, list):
        return [to_v2(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {key: to_v2(child) for key, child in value.items() if key != "allOf"}
    parts: list[Any] = value.get("allOf") or []
    if len(parts) == 1 and set(parts[0]) == {"$ref"}:
        found |= to_v2(parts[0])
    if isinstance(found.get("$ref"), str):
        found["$ref"] = found["$ref"].replace(REFERENCE, "#/definitions/")
    return found


def _parameter(parameter: Object) -> Object:
    """A parameter whose type stands beside its name."""
    schema: Object = parameter["schema"]
    return {key: value for key, value in parameter.items() if key != "schema"} | schema


def _operation(method: str, found: Any) -> Any:
    if method == "parameters":
        return [_parameter(parameter) for parameter in found]
    body = found.get("requestBody")
    parameters = [_parameter(parameter) for parameter in found.get("parameters", ())]
    operation = {key: value for key, value in found.items() if key not in {"requestBody", "parameters", "responses"}}
    operation["produces"] = list(found["responses"]["200"]["content"])
    operation["schemes"] = ["https"]
    operation["consumes"] = list(body["content"]) if body else ["*/*"]
    if body:
        schema = to_v2(next(iter(body["content"].values()))["schema"])
        parameters.insert(0, {"name": "body", "in": "body", "required": body["required"], "schema": schema})
    operation["parameters"] = parameters
    operation["responses"] = {code: _response(response) for code, response in found["responses"].items()}
    return operation


def _response(response: Object) -> Object:
    found = {"description": response["description"]}
    content = response.get("content")
    return found | {"schema": to_v2(content[_JSON]["schema"])} if content else found
