"""The objects that the tests of the cache side are about, as small as they can be."""

import base64

from kcpcache.meta.names import GroupVersionResource
from kcpcache.meta.objects import Object
from kcpcache.meta.virtual_resources import API_VERSION
from kcpcache.reconcilers.identity import OWNER_ANNOTATION

FLAVORS = GroupVersionResource("cloud.example.com", "v1", "flavors")
HASH = "676a1a997f7507fdfcfd1fcf35920efdff1297cd215cad4f486220c30a5c7090"


def a_secret(name: str, key: str, namespace: str = "kcp-system", mark: str = "") -> Object:
    """A Secret with that key."""
    annotations = {OWNER_ANNOTATION: mark} if mark else {}
    data = {"key": base64.b64encode(key.encode()).decode()} if key else {}
    return {"metadata": {"name": name, "namespace": namespace, "annotations": annotations}, "data": data}


def meta(name: str, cluster: str = "provider", **more: object) -> Object:
    """Metadata as a client reads it."""
    return {
        "name": name,
        "uid": f"uid-{name}",
        "resourceVersion": "7",
        "annotations": {"kcp.io/cluster": cluster},
    } | more


def a_cached_resource(name: str = "flavors-v1", cluster: str = "provider", **more: object) -> Object:
    """A CachedResource that replicates."""
    spec = {"group": "cloud.example.com", "version": "v1", "resource": "flavors"}
    valid = [{"type": kind, "status": "True"} for kind in ("IdentityValid", "ResourceValid")]
    return {
        "apiVersion": API_VERSION,
        "kind": "CachedResource",
        "metadata": meta(name, cluster),
        "spec": spec,
        "status": {"identityHash": HASH, "conditions": valid},
    } | more


def a_slice(name: str = "flavors-v1", cluster: str = "provider", path: str = "", **spec: object) -> Object:
    """A CachedResourceEndpointSlice that refers to ``flavors-v1``."""
    reference = {"name": "flavors-v1"} | ({"path": path} if path else {})
    return {
        "apiVersion": API_VERSION,
        "kind": "CachedResourceEndpointSlice",
        "metadata": meta(name, cluster),
        "spec": {"cachedResource": reference} | spec,
    }


def an_entry(**virtual: object) -> Object:
    """An entry of an APIExport's ``spec.resources`` that refers to that slice."""
    reference = {"apiGroup": "cache.kcp.io", "kind": "CachedResourceEndpointSlice", "name": "flavors-v1"}
    storage = {"virtual": {"reference": reference, "identityHash": HASH} | virtual}
    return {
        "group": "cloud.example.com",
        "name": "flavors",
        "schema": "v1.flavors.cloud.example.com",
        "storage": storage,
    }


def an_export(*entries: Object, cluster: str = "provider") -> Object:
    """An APIExport of these entries."""
    return {
        "metadata": meta("cloud", cluster),
        "spec": {"resources": list(entries)},
        "status": {"identityHash": "export-hash"},
    }
