"""One OpenAPI 3 document of all that every server has: its own endpoints, Kubernetes' built-in types, and kcp's.

What a workspace serves in fact, custom types included, it tells at ``/openapi/v3``; this is for reading, for code
generators, and for seeing in a diff that an API has changed.
"""

from typing import Any, Final

import kcpcache
from kcpcache.api.openapi_components import STATUS, Components, reference
from kcpcache.api.openapi_paths import paths_of
from kcpcache.meta.objects import Object
from kcpcache.registry.system import builtin_definitions, kcp_definitions

_HOST: Final = {"host": {"default": "127.0.0.1:6443"}}
_TEXT: Final = {"text/plain": {"schema": {"type": "string"}}}
_JSON: Final = {"application/json": {"schema": {"type": "object"}}}
_VERBOSE: Final = {
    "name": "verbose",
    "in": "query",
    "allowEmptyValue": True,
    "description": "Tell every check by itself.",
    "schema": {"type": "boolean"},
}
FIXED: Final[dict[str, tuple[str, Any, tuple[Object, ...]]]] = {
    "/healthz": ("Whether the process is alive. Deprecated in favour of the other two.", _TEXT, (_VERBOSE,)),
    "/livez": ("Whether the process is alive.", _TEXT, (_VERBOSE,)),
    "/readyz": ("Whether requests can be answered.", _TEXT, (_VERBOSE,)),
    "/version": ("The version of the Kubernetes API that is kept, and of the program.", _JSON, ()),
    "/metrics": ("Metrics for Prometheus. Needs the verb get on the nonResourceURL.", _TEXT, ()),
    "/openapi/v2": ("All that is served here as one Swagger document.", _JSON, ()),
    "/openapi/v3": ("Where the OpenAPI document of each group version is.", _JSON, ()),
}
"""The program's own endpoints: what it is, content of the answer, parameters."""


def program_document() -> Object:
    """The document. Its order depends on names only, so that two of one version are the same to the byte."""
    components = Components()
    paths: Object = {path: _fixed(*found) for path, found in FIXED.items()}
    for definitions in (builtin_definitions(), kcp_definitions()):
        for _, definition in sorted(definitions.items()):
            for version in definition.versions:
                if version.served:
                    paths |= paths_of(definition, version, components)
    return {
        "openapi": "3.0.0",
        "info": {
            "title": "kcpcache",
            "version": kcpcache.__version__,
            "description": "A Kubernetes-style API server that shares read-only objects between workspaces.",
        },
        "servers": [
            {
                "url": "https://{host}/clusters/{workspace}",
                "description": "One workspace",
                "variables": {**_HOST, "workspace": {"default": "root"}},
            }
        ],
        "paths": {path: paths[path] for path in sorted(paths)},
        "components": {"schemas": components.closure()},
    }


def _fixed(summary: str, content: Any, parameters: tuple[Object, ...]) -> Object:
    refused = {"application/json": {"schema": reference(STATUS)}}
    responses = {
        "200": {"description": "OK", "content": content},
        "default": {"description": "Why not", "content": refused},
    }
    operation = {"summary": summary, "parameters": list(parameters), "responses": responses}
    return {"servers": [{"url": "https://{host}", "variables": _HOST}], "get": operation}
