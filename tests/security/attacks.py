"""Every request that could show or change what is another tenant's: all verbs, forms of URL, forms of answer.

What there is to ask for comes from discovery. An attack is made from names, so that the same one can be made against a
tenant that is not there.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import orjson
from server_in_process import JSON, MERGE_PATCH
from tenants import ORG, PROVIDER, Resource, Tenant, an_object, name_of

META = "g=meta.k8s.io;v=v1"
ACCEPTS = (
    JSON,
    f"application/json;as=PartialObjectMetadata;{META}",
    f"application/json;as=Table;{META}",
    "application/vnd.kubernetes.protobuf, application/json",
    "application/yaml, application/json",
)
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
APPLY = "application/apply-patch+yaml"


class Attack(NamedTuple):
    """``kind`` is ``http``, ``watch`` or ``websocket``."""

    method: str
    target: str
    body: bytes = b""
    headers: Mapping[str, str] = {}
    kind: str = "http"

    def __str__(self) -> str:
        return f"{self.kind} {self.method} {self.target} {dict(self.headers)}"


def own_places(attacker: Tenant) -> Sequence[str]:
    """Where the attacker may be: bases of URLs before a resource's path."""
    services, own = "/services", attacker.cluster
    return (
        f"/clusters/{attacker.path}",
        f"/clusters/{own}",
        f"{services}/apiexport/{own}/{attacker.marker}/clusters/*",
        f"{services}/apiexport/{own}/{attacker.marker}/clusters/{own}",
        f"{services}/replication/{own}/{attacker.marker}/clusters/*",
        f"{services}/replication/{own}/{attacker.marker}/clusters/{own}",
        f"{services}/initializingworkspaces/{own}:{attacker.marker}/clusters/*",
    )


def foreign_places(attacker: Tenant, victim: Tenant) -> Sequence[str]:
    """Where the attacker has no business, and its own services asked for the victim."""
    services, own, other = "/services", attacker.cluster, victim.cluster
    exports = [f"{other}/{victim.marker}", f"{victim.path}/{victim.marker}", f"{PROVIDER}/cloud", "root/tenancy.kcp.io"]
    cached = [f"{other}/{victim.marker}", f"{PROVIDER}/flavors"]
    initializers = [f"{other}:{victim.marker}", "root:universal", "root:organization"]
    shards = ["*", "root"]
    return (
        "",
        "/clusters/*",
        "/clusters/root",
        f"/clusters/{ORG}",
        f"/clusters/{PROVIDER}",
        "/clusters/system:admin",
        f"/clusters/{victim.path}",
        f"/clusters/{other}",
        f"/clusters/{victim.path}:{victim.marker}",
        f"{services}/apiexport/{own}/{attacker.marker}/clusters/{other}",
        f"{services}/apiexport/{own}/{attacker.marker}/clusters/{victim.path}",
        f"{services}/replication/{own}/{attacker.marker}/clusters/{other}",
        f"{services}/initializingworkspaces/{own}:{attacker.marker}/clusters/{other}",
        *(f"{services}/apiexport/{export}/clusters/{at}" for export in exports for at in ("*", other, own)),
        *(f"{services}/replication/{name}/clusters/{at}" for name in cached for at in ("*", other, own)),
        *(f"{services}/initializingworkspaces/{name}/clusters/{at}" for name in initializers for at in ("*", other)),
        *(f"{services}/cache/shards/{shard}/clusters/{at}" for shard in shards for at in ("*", other)),
    )


def reads(place: str, resource: Resource, victim: Tenant) -> Iterator[Attack]:
    """Get, list and watch, in all forms."""
    name = name_of(resource, victim)
    for accept in ACCEPTS:
        headers = {"accept": accept}
        of_lists = {"accept": accept.replace("=PartialObjectMetadata;", "=PartialObjectMetadataList;")}
        for collection in _collections(place, resource):
            yield Attack("GET", collection, headers=of_lists)
            if accept != ACCEPTS[-1]:
                yield Attack("GET", f"{collection}?watch=true&allowWatchBookmarks=true", headers=headers, kind="watch")
        yield Attack("GET", f"{place}{resource.path()}/{name}", headers=headers)
        for subresource in resource.subresources:
            yield Attack("GET", f"{place}{resource.path()}/{name}/{subresource}", headers=headers)
    collection = f"{place}{resource.path(namespace='')}"
    for query in (f"fieldSelector=metadata.name%3D{name}", f"labelSelector=marker%3D{victim.marker}", "limit=1"):
        yield Attack("GET", f"{collection}?{query}")
    yield Attack("HEAD", f"{place}{resource.path()}/{name}")
    yield Attack("GET", f"{collection}?watch=true", kind="websocket")
    yield Attack("GET", collection, kind="websocket")


def writes(place: str, resource: Resource, victim: Tenant) -> Iterator[Attack]:
    """Create, update, patch, apply, delete, deletecollection, and what subresources take."""
    obj = an_object(resource, victim)
    body, changed = orjson.dumps(obj), orjson.dumps({"metadata": {"labels": {"stolen": "true"}}})
    one = f"{place}{resource.path()}/{name_of(resource, victim)}"
    as_json, as_patch = {"content-type": JSON}, {"content-type": MERGE_PATCH}
    yield Attack("POST", f"{place}{resource.path()}", body, as_json)
    for target in (one, *(f"{one}/{subresource}" for subresource in resource.subresources)):
        yield Attack("PUT", target, body, as_json)
        yield Attack("PATCH", target, changed, as_patch)
        yield Attack("PATCH", f"{target}?fieldManager=thief&force=true", body, {"content-type": APPLY})
        yield Attack("DELETE", target)
    for subresource in resource.subresources:
        yield Attack("POST", f"{one}/{subresource}", orjson.dumps({"spec": {}}), as_json)
    yield from (Attack("DELETE", collection) for collection in _collections(place, resource))


def paths(place: str, resources: Sequence[Resource]) -> Iterator[Attack]:
    """What is no resource: discovery, OpenAPI and the rest."""
    below = {f"apis/{r.group}/{r.version}" if r.group else f"api/{r.version}" for r in resources}
    below |= {f"apis/{r.group}" for r in resources if r.group} | {"api", "apis"}
    documents = [f"openapi/v3/{path}" for path in sorted(below) if path.count("/")]
    for path in ("", "metrics", "openapi/v2", "openapi/v3", "version", "healthz", *sorted(below), *documents):
        yield Attack("GET", f"{place}/{path}")
        yield Attack("POST", f"{place}/{path}", b"{}", {"content-type": JSON})
    for path in ("api", "apis"):
        yield Attack("GET", f"{place}/{path}", headers={"accept": AGGREGATED})


def _collections(place: str, resource: Resource) -> Iterator[str]:
    yield place + resource.path(namespace="")
    if resource.namespaced:
        yield place + resource.path()
