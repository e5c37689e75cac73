"""Two tenants of one provider, alike in everything, and in each an object of every resource that discovery knows.

Whatever belongs to a tenant carries its marker: in names, groups, labels, values. What has no marker but is as
telling (logical clusters, UIDs, identity hashes) is in ``Tenant.secrets``.
"""

import base64
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from server_in_process import Http

PROVIDER, ORG = "root:org:provider", "root:org"
NAMESPACE = "default"
UNIVERSAL = {"name": "universal", "path": "root"}
_ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


class Resource(NamedTuple):
    """One line of discovery."""

    group: str
    version: str
    name: str
    namespaced: bool
    kind: str
    verbs: frozenset[str]
    subresources: Mapping[str, frozenset[str]] = {}

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, *, namespace: str = NAMESPACE) -> str:
        """Of the collection, below the workspace; ``namespace=""``: in all namespaces."""
        root = f"/apis/{self.group}" if self.group else "/api"
        within = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root}/{self.version}{within}/{self.name}"


@dataclass
class Tenant:
    """``path`` is of its workspace, ``user`` what its administrator sends."""

    name: str
    marker: str
    user: Http
    cluster: str = ""
    secrets: set[str] = field(default_factory=set)

    @property
    def path(self) -> str:
        return f"{ORG}:{self.name}"

    @property
    def group(self) -> str:
        return f"{self.marker}.example.com"

    @cached_property
    def words(self) -> re.Pattern[bytes]:
        """Matches whatever tells of the tenant; asked for when all is there."""
        return re.compile("|".join(re.escape(word) for word in sorted({self.marker, *self.secrets})).encode())

    @property
    def base(self) -> str:
        return f"/clusters/{self.path}"


# -- what it takes to make an object of each kind


def crd_spec(group: str, plural: str) -> dict[str, Any]:
    kind = plural.removesuffix("s").capitalize()
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": _ANYTHING}}
    return {"group": group, "scope": "Cluster", "names": {"plural": plural, "kind": kind}, "versions": [version]}


def schema_spec(group: str, plural: str) -> dict[str, Any]:
    kind = plural.removesuffix("s").capitalize()
    names = {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"}
    version = {"name": "v1", "served": True, "storage": True, "schema": _ANYTHING}
    return {"group": group, "scope": "Cluster", "names": names, "versions": [version]}


def virtual_storage(identity_hash: str, name: str, group: str = "cache.kcp.io", kind: str = "") -> dict[str, Any]:
    """``spec.resources[].storage`` of what is read from an endpoint slice."""
    reference = {"apiGroup": group, "kind": kind or "CachedResourceEndpointSlice", "name": name}
    return {"virtual": {"reference": reference, "identityHash": identity_hash}}


def _signing_request(tenant: Tenant) -> dict[str, Any]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, tenant.marker)])
    pem = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    request = base64.b64encode(pem.public_bytes(serialization.Encoding.PEM)).decode()
    signer = "kubernetes.io/kube-apiserver-client"
    return {"spec": {"request": request, "signerName": signer, "usages": ["client auth"]}}


def _webhooks(tenant: Tenant) -> dict[str, Any]:
    # It concerns nothing that exists: this server would call it.
    rule = {"apiGroups": [f"no.{tenant.group}"], "apiVersions": ["v1"], "resources": ["things"], "operations": ["*"]}
    webhook = {"name": f"a.{tenant.group}", "rules": [rule], "sideEffects": "None", "admissionReviewVersions": ["v1"]}
    return {"webhooks": [{**webhook, "clientConfig": {"url": f"https://{tenant.marker}.example.com/"}}]}


def _event(tenant: Tenant) -> dict[str, Any]:
    about = {"kind": "Namespace", "name": NAMESPACE, "namespace": NAMESPACE, "apiVersion": "v1"}
    return {"involvedObject": about, "message": tenant.marker, "reason": tenant.marker, "type": "Normal"}


def _new_event(tenant: Tenant) -> dict[str, Any]:
    about = {"kind": "Namespace", "name": NAMESPACE, "namespace": NAMESPACE, "apiVersion": "v1"}
    said = {"action": "Test", "reason": tenant.marker, "note": tenant.marker, "type": "Normal"}
    reporter = {"reportingController": tenant.group, "reportingInstance": tenant.marker}
    return {"regarding": about, "eventTime": "2030-01-01T00:00:00.000000Z", **said, **reporter}


def _role_reference(kind: str, tenant: Tenant) -> dict[str, Any]:
    return {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": tenant.marker}}


def _policy(tenant: Tenant) -> dict[str, Any]:
    rule = {"apiGroups": [f"no.{tenant.group}"], "apiVersions": ["v1"], "resources": ["things"], "operations": ["*"]}
    validation = {"expression": "true", "message": tenant.marker}
    return {"spec": {"matchConstraints": {"resourceRules": [rule]}, "validations": [validation]}}


def _authentication(tenant: Tenant) -> dict[str, Any]:
    issuer = {"url": f"https://{tenant.marker}.example.com", "audiences": [tenant.marker]}
    return {"spec": {"jwt": [{"issuer": issuer, "claimMappings": {"username": {"claim": "sub", "prefix": ""}}}]}}


def _conversion(tenant: Tenant) -> dict[str, Any]:
    rule = {"field": ".spec.a", "destination": ".spec.b"}
    between = {"from": "v1", "to": "v2", "rules": [rule]}
    return {"spec": {"conversions": [between]}}


ORDER = (
    "namespaces",
    "customresourcedefinitions",
    "things",
    "cachedresources",
    "cachedresourceendpointslices",
    "apiresourceschemas",
    "apiexports",
)
"""What others refer to comes first."""
REST_OF: Mapping[str, Callable[[Tenant], dict[str, Any]]] = {
    "apibindings": lambda _: {"spec": {"reference": {"export": {"path": PROVIDER, "name": "cloud"}}}},
    "apiconversions": _conversion,
    "apiexportendpointslices": lambda t: {"spec": {"export": {"path": t.path, "name": t.marker}}},
    "apiresourceschemas": lambda t: {"spec": schema_spec(t.group, "things")},
    "cachedresourceendpointslices": lambda t: {"spec": {"cachedResource": {"name": t.marker}}},
    "cachedresources": lambda t: {"spec": {"group": t.group, "version": "v1", "resource": "things"}},
    "certificatesigningrequests": _signing_request,
    "clusterrolebindings": lambda t: _role_reference("ClusterRole", t),
    "clusterroles": lambda t: {"rules": [{"apiGroups": [t.group], "resources": ["things"], "verbs": ["get"]}]},
    "configmaps": lambda t: {"data": {t.marker: t.marker}},
    "customresourcedefinitions": lambda t: {"spec": crd_spec(t.group, "things")},
    "events": _event,
    "events.k8s.io": _new_event,
    "limitranges": lambda _: {"spec": {"limits": []}},
    "mutatingwebhookconfigurations": _webhooks,
    "rolebindings": lambda t: _role_reference("Role", t),
    "roles": lambda t: {"rules": [{"apiGroups": [t.group], "resources": ["things"], "verbs": ["get"]}]},
    "secrets": lambda t: {"stringData": {t.marker: t.marker}},
    "validatingadmissionpolicies": _policy,
    "validatingadmissionpolicybindings": lambda t: {
        "spec": {"policyName": t.marker, "validationActions": ["Audit"]},
    },
    "validatingwebhookconfigurations": _webhooks,
    "workspaceauthenticationconfigurations": _authentication,
    "workspaces": lambda _: {"spec": {"type": UNIVERSAL}},
    "workspacetypes": lambda _: {"spec": {"initializer": True}},
}
NAMES: Mapping[str, Callable[[Tenant], str]] = {
    "apiconversions": lambda t: f"v1.things.{t.group}",
    "apiresourceschemas": lambda t: f"v1.things.{t.group}",
    "customresourcedefinitions": lambda t: f"things.{t.group}",
    "events.k8s.io": lambda t: f"{t.marker}.new",
    "logicalclusters": lambda _: "cluster",
}


def name_of(resource: Resource, tenant: Tenant) -> str:
    """Of the tenant's object of that resource."""
    name = NAMES.get(resource.group) or NAMES.get(resource.name) or (lambda t: t.marker)
    return name(tenant)


def an_object(resource: Resource, tenant: Tenant) -> dict[str, Any]:
    """A valid one. A resource that needs more than metadata has its line in ``REST_OF``."""
    rest = REST_OF.get(resource.group) or REST_OF.get(resource.name) or (lambda t: {"spec": {"value": t.marker}})
    found = {"apiVersion": resource.api_version, "kind": resource.kind, **rest(tenant)}
    labels = {"marker": tenant.marker}
    return {**found, "metadata": {"name": name_of(resource, tenant), "labels": labels}}


# -- discovery, and filling a tenant


async def discover(http: Http, base: str) -> list[Resource]:
    """Every resource that is served there, in each of its versions, as discovery tells it."""
    found = [resource async for resource in _discovered(http, base)]
    assert len({resource.group for resource in found}) > 3, found
    return found


async def _discovered(http: Http, base: str) -> AsyncIterator[Resource]:
    groups = (await http.must("GET", f"{base}/apis"))["groups"]
    versions = [("", "v1"), *((group["name"], v["version"]) for group in groups for v in group["versions"])]
    for group, version in versions:
        listed = (await http.must("GET", f"{base}/{f'apis/{group}' if group else 'api'}/{version}"))["resources"]
        below: dict[str, dict[str, frozenset[str]]] = {}
        for one in listed:
            parent, _, subresource = one["name"].partition("/")
            if subresource:
                below.setdefault(parent, {})[subresource] = frozenset(one["verbs"])
        for one in listed:
            if "/" not in one["name"]:
                verbs, name = frozenset(one["verbs"]), one["name"]
                yield Resource(group, version, name, one["namespaced"], one["kind"], verbs, below.get(name, {}))


def order_of(resource: Resource) -> int:
    """Where in the order of creation."""
    return ORDER.index(resource.name) if resource.name in ORDER else len(ORDER)


async def fill(admin: Http, tenant: Tenant) -> list[Resource]:
    """An object of everything, and what discovery then knows of the tenant's workspace."""
    done: set[tuple[str, str]] = set()
    while True:  # what is created makes new resources known
        todo = [r for r in await discover(admin, tenant.base) if (r.group, r.name) not in done]
        if not todo:
            break
        for resource in sorted(todo, key=order_of):
            done.add((resource.group, resource.name))
            if {"create", "list"} <= resource.verbs:
                await _create(admin, tenant, resource)
    return await _collect(admin, tenant)


async def _create(admin: Http, tenant: Tenant, resource: Resource) -> None:
    collection, name = tenant.base + resource.path(), name_of(resource, tenant)
    if resource.name == "logicalclusters":
        await admin.must("PATCH", f"{collection}/{name}", {"metadata": {"labels": {"marker": tenant.marker}}})
    elif (await admin.ask("GET", f"{collection}/{name}")).status == 404:
        await admin.must("POST", collection, an_object(resource, tenant))
    match resource.name:
        case "customresourcedefinitions":
            await admin.until(f"{collection}/{name}", is_established)
        case "cachedresources":
            found = await admin.until(f"{collection}/{name}", phase_is("Ready"))
            await _export(admin, tenant, found["status"]["identityHash"])
        case "apibindings":
            await admin.until(f"{collection}/{name}", phase_is("Bound"))
        case "workspaces":
            await admin.until(f"{collection}/{name}", phase_is("Ready"))


async def _export(admin: Http, tenant: Tenant, identity_hash: str) -> None:
    """The tenant's things are virtual, of its own CachedResource; nobody binds them."""
    base, labels, schema = f"{tenant.base}/apis/apis.kcp.io", {"marker": tenant.marker}, f"v1.things.{tenant.group}"
    body = {"metadata": {"name": schema, "labels": labels}, "spec": schema_spec(tenant.group, "things")}
    await admin.must("POST", f"{base}/v1alpha1/apiresourceschemas", body)
    storage = virtual_storage(identity_hash, tenant.marker)
    entry = {"group": tenant.group, "name": "things", "schema": schema, "storage": storage}
    body = {"metadata": {"name": tenant.marker, "labels": labels}, "spec": {"resources": [entry]}}
    await admin.must("POST", f"{base}/v1alpha2/apiexports", body)


async def _collect(admin: Http, tenant: Tenant) -> list[Resource]:
    """Note everything of the tenant's that tells of it without its marker."""
    resources = await discover(admin, tenant.base)
    for resource in resources:
        if "list" in resource.verbs:
            for obj in (await admin.must("GET", tenant.base + resource.path(namespace="")))["items"]:
                identity = (obj.get("status") or {}).get("identityHash")
                tenant.secrets |= {obj["metadata"]["uid"], *([identity] if identity else [])}
    return resources


def phase_is(phase: str) -> Callable[[Mapping[str, Any]], bool]:
    """Whether an object has come that far."""
    return lambda obj: obj.get("status", {}).get("phase") == phase


def is_established(obj: Mapping[str, Any]) -> bool:
    """Whether a CRD is served."""
    conditions = obj.get("status", {}).get("conditions") or ()
    return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)
