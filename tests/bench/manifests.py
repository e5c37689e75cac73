"""The objects that the workloads make: one kind with a schema, what shares it, and what binds to it."""

import time
from typing import Any

import orjson

GROUP, VERSION, PLURAL, EXPORT = "bench.example.com", "v1", "widgets", "widgets"
WIDGETS = f"/apis/{GROUP}/{VERSION}/{PLURAL}"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
CACHED = "/apis/cache.kcp.io/v1alpha1/cachedresources"
SCHEMAS = "/apis/apis.kcp.io/v1alpha1/apiresourceschemas"
EXPORTS = "/apis/apis.kcp.io/v1alpha2/apiexports"
BINDINGS = "/apis/apis.kcp.io/v1alpha2/apibindings"
WORKSPACES = "/apis/tenancy.kcp.io/v1alpha1/workspaces"
STAMP = b'"stamp":"'
_NAMES = {"plural": PLURAL, "singular": "widget", "kind": "Widget", "listKind": "WidgetList"}
_SCHEMA_NAME = f"v1.{PLURAL}.{GROUP}"


def _schema() -> dict[str, Any]:
    text = {"type": "string", "maxLength": 4096}
    spec = {
        "owner": {**text, "pattern": "^[a-z0-9-]*$"},
        "size": {"type": "integer", "minimum": 0, "maximum": 1_000_000},
        "tier": {"type": "string", "enum": ["basic", "premium"], "default": "basic"},
        "stamp": text,
        "payload": text,
    }
    status = {"round": {"type": "integer", "minimum": 0}, "message": text}
    return {
        "type": "object",
        "required": ["spec"],
        "properties": {
            "spec": {"type": "object", "required": ["size"], "properties": spec},
            "status": {"type": "object", "properties": status},
        },
    }


def crd() -> dict[str, Any]:
    version = {"name": VERSION, "served": True, "storage": True, "subresources": {"status": {}}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": _NAMES,
            "scope": "Cluster",
            "versions": [{**version, "schema": {"openAPIV3Schema": _schema()}}],
        },
    }


def api_resource_schema() -> dict[str, Any]:
    version = {"name": VERSION, "served": True, "storage": True, "subresources": {"status": {}}}
    return {
        "apiVersion": "apis.kcp.io/v1alpha1",
        "kind": "APIResourceSchema",
        "metadata": {"name": _SCHEMA_NAME},
        "spec": {
            "group": GROUP,
            "names": _NAMES,
            "scope": "Cluster",
            "versions": [{**version, "schema": _schema()}],
        },
    }


def cached_resource() -> dict[str, Any]:
    return {
        "apiVersion": "cache.kcp.io/v1alpha1",
        "kind": "CachedResource",
        "metadata": {"name": PLURAL},
        "spec": {"group": GROUP, "version": VERSION, "resource": PLURAL},
    }


def api_export(identity_hash: str) -> dict[str, Any]:
    reference = {"apiGroup": "cache.kcp.io", "kind": "CachedResourceEndpointSlice", "name": PLURAL}
    storage = {"virtual": {"reference": reference, "identityHash": identity_hash}}
    return {
        "apiVersion": "apis.kcp.io/v1alpha2",
        "kind": "APIExport",
        "metadata": {"name": EXPORT},
        "spec": {"resources": [{"group": GROUP, "name": PLURAL, "schema": _SCHEMA_NAME, "storage": storage}]},
    }


def api_binding(provider_path: str) -> dict[str, Any]:
    return {
        "apiVersion": "apis.kcp.io/v1alpha2",
        "kind": "APIBinding",
        "metadata": {"name": EXPORT},
        "spec": {"reference": {"export": {"path": provider_path, "name": EXPORT}}},
    }


def workspace(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "tenancy.kcp.io/v1alpha1",
        "kind": "Workspace",
        "metadata": {"name": name},
        "spec": {"type": {"name": "universal", "path": "root"}},
    }


def widget(name: str, *, owner: str = "bench", stamp: str = "", size_bytes: int = 1024) -> bytes:
    """The JSON of one object to create, filled up to ``size_bytes``."""
    content: dict[str, Any] = {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "Widget",
        "metadata": {"name": name, "labels": {"bench": "yes"}},
        "spec": {"owner": owner, "size": 1, "stamp": stamp, "payload": ""},
    }
    content["spec"]["payload"] = "x" * max(0, size_bytes - len(orjson.dumps(content)))
    return orjson.dumps(content)


def stamp() -> str:
    """The time now, as ``lag_of`` reads it back. The clock is the machine's: any process on it may compare."""
    return f"{time.monotonic_ns():020}"


def lag_of(event: bytes) -> float | None:
    """Seconds from the stamp in an event to now; None where it has none."""
    at = event.find(STAMP)
    text = event[at + len(STAMP) : at + len(STAMP) + 20] if at >= 0 else b""
    return (time.monotonic_ns() - int(text)) / 1e9 if text.isdigit() else None
