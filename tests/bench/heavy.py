"""The most that a tenant may send, in many ways: requests that are within the limits, and a lot of work."""

# ruff: noqa: E501, ARG005 -- a table

import base64
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import orjson

from tests.bench import manifests
from tests.bench.client import JSON, MERGE_PATCH, Request

APPLY, YAML = "application/apply-patch+yaml", "application/yaml"
JSON_PATCH, STRATEGIC = "application/json-patch+json", "application/strategic-merge-patch+json"
PROTOBUF = "application/vnd.kubernetes.protobuf"
TABLE = "application/json;as=Table;g=meta.k8s.io;v=v1"
METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
MAPS = "/api/v1/namespaces/default/configmaps"
FIELDS = 100_000
ITEMS = 10_000


class Case(NamedTuple):
    """Requests below a workspace's base; ``before`` are not measured; ``objects`` widgets are made first."""

    name: str
    requests: Callable[[str], Iterable[Request]]
    before: Callable[[str], Iterable[Request]] | None = None
    objects: int = 0


def _map(name: str, fields: int = FIELDS, value: str = "x", **meta: Any) -> dict[str, Any]:
    data = {f"key-{number:06}": f"{value}{number}" for number in range(fields)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **meta}, "data": data}


def _maps(method: str, content_type: str, make: Callable[[int], Any], *, query: str = "", times: int = 2) -> Any:
    def requests(base: str) -> Iterator[Request]:
        for number in range(times):
            found = make(number)
            body = found if isinstance(found, bytes) else orjson.dumps(found)
            path = f"{base}{MAPS}" + ("" if method == "POST" else "/big") + query
            yield Request(method, path, body, content_type)

    return requests


def _fresh(*, fields: int = FIELDS) -> Callable[[str], Iterator[Request]]:
    """``big`` anew, made by an ordinary create."""

    def requests(base: str) -> Iterator[Request]:
        yield Request("DELETE", f"{base}{MAPS}/big")
        yield Request("POST", f"{base}{MAPS}", orjson.dumps(_map("big", fields)), JSON)

    return requests


def _gone(base: str) -> Iterator[Request]:
    yield Request("DELETE", f"{base}{MAPS}/big")


def _operations(number: int) -> list[dict[str, Any]]:
    return [{"op": "add", "path": f"/data/new-{n}", "value": f"{number}"} for n in range(ITEMS)]


def _managed(count: int) -> list[dict[str, Any]]:
    fields = {"f:data": {f"f:key-{number:06}": {} for number in range(count)}}
    one = {"operation": "Update", "apiVersion": "v1", "time": "2030-01-01T00:00:00Z", "fieldsType": "FieldsV1"}
    return [{**one, "manager": f"m{n}", "fieldsV1": fields} for n in range(3)]


def _protobuf(name: str, fields: int) -> bytes:
    def length(value: int) -> bytes:
        out = b""
        while value > 0x7F:
            out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
        return out + bytes([value])

    def field(number: int, value: bytes) -> bytes:
        return bytes([number << 3 | 2]) + length(len(value)) + value

    pairs = (field(1, f"key-{n:06}".encode()) + field(2, b"value") for n in range(fields))
    raw = field(1, field(1, name.encode())) + b"".join(field(2, pair) for pair in pairs)
    return b"k8s\0" + field(1, field(1, b"v1") + field(2, b"ConfigMap")) + field(2, raw)


def _crd(plural: str, schema: dict[str, Any]) -> bytes:
    kind = plural.capitalize()
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return orjson.dumps(
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.steps.example.com"},
            "spec": {
                "group": "steps.example.com",
                "names": {"plural": plural, "singular": plural, "kind": kind, "listKind": f"{kind}List"},
                "scope": "Cluster",
                "versions": [version],
            },
        }
    )


def _object(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"spec": {"type": "object", "properties": properties, **more}}}


def _wide(count: int, **more: Any) -> dict[str, Any]:
    return _object({f"field{n:05}": {"type": "string", "description": "d" * 40, **more} for n in range(count)})


def _ruled(count: int) -> dict[str, Any]:
    text = {"type": "string", "maxLength": 10}
    rules = [{"rule": f"self.a != 'x{n}' || self.b.startsWith('{n}')", "message": "no"} for n in range(count)]
    return _object({"a": text, "b": text}, **{"x-kubernetes-validations": rules})


def _patterned(count: int) -> dict[str, Any]:
    return _object({f"p{n}": {"type": "string", "pattern": f"^[a-z{n % 10}]{{1,63}}(x|y{n})*$"} for n in range(count)})


LISTS = _object(
    {
        "byName": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "n": {"type": "integer"}}},
        },
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "numbers": {"type": "array", "items": {"type": "number"}},
    }
)  # fmt: skip


def _define(name: str, schema: dict[str, Any], then: tuple[str, ...] = ()) -> Callable[[str], Iterator[Request]]:
    def requests(base: str) -> Iterator[Request]:
        yield Request("POST", f"{base}{manifests.CRDS}", _crd(name, schema), JSON)
        for path in then:
            yield Request("GET", base + path)

    return requests


def _ours(method: str, content_type: str, spec: Callable[[int], Any], *, query: str = "", times: int = 2) -> Any:
    def requests(base: str) -> Iterator[Request]:
        collection = f"{base}/apis/steps.example.com/v1/lists"
        for number in range(times):
            kind = {"apiVersion": "steps.example.com/v1", "kind": "Lists", "metadata": {"name": "one"}}
            path = collection + ("" if method == "POST" else "/one") + query
            yield Request(method, path, orjson.dumps({**kind, "spec": spec(number)}), content_type)

    return requests


def _drop(base: str) -> Iterator[Request]:
    yield Request("DELETE", f"{base}/apis/steps.example.com/v1/lists/one")


def _widgets(*asked: tuple[str, str]) -> Callable[[str], Iterator[Request]]:
    return lambda base: (Request("GET", f"{base}{manifests.WIDGETS}{query}", accept=accept) for query, accept in asked)


def _yaml(number: int) -> bytes:
    lines = [b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: big}\ndata:\n"]
    return b"".join([*lines, *(b"  key-%06d: x%d\n" % (n, number) for n in range(FIELDS))])


def _role(number: int) -> bytes:
    rules = [{"apiGroups": [f"g{n}"], "resources": ["a", "b"], "verbs": ["get", "list"]} for n in range(ITEMS)]
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "many"}}
    return orjson.dumps({**role, "rules": rules})


def _roles(base: str) -> Iterator[Request]:
    roles = f"{base}/apis/rbac.authorization.k8s.io/v1/clusterroles"
    yield Request("POST", roles, _role(0), JSON)
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": "default"},
    }
    yield Request("POST", f"{base}/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", orjson.dumps(review), JSON)


def _policy(base: str) -> Iterator[Request]:
    validations = [{"expression": f"object.metadata.name != 'x{n}'", "message": "no"} for n in range(2000)]
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["secrets"]}
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "many"},
        "spec": {"matchConstraints": {"resourceRules": [rule]}, "validations": validations},
    }
    path = f"{base}/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
    yield Request("POST", path, orjson.dumps(policy), JSON)
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "many"},
        "spec": {"policyName": "many", "validationActions": ["Deny"]},
    }
    yield Request("POST", path.replace("policies", "policybindings"), orjson.dumps(binding), JSON)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"a": "b"}}
    yield Request("POST", f"{base}/api/v1/namespaces/default/secrets", orjson.dumps(secret), JSON)


def _secret(base: str) -> Iterator[Request]:
    value = base64.b64encode(b"x" * 10).decode()
    data = {f"key-{number:06}": value for number in range(FIELDS // 2)}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "big"}, "data": data}
    yield Request("POST", f"{base}/api/v1/namespaces/default/secrets", orjson.dumps(secret), JSON)


def _share(base: str) -> Iterator[Request]:
    yield Request("POST", f"{base}{manifests.CACHED}", orjson.dumps(manifests.cached_resource()), JSON)


def _delete_all(base: str) -> Iterator[Request]:
    yield Request("DELETE", f"{base}{manifests.WIDGETS}?dryRun=All")
    yield Request("DELETE", f"{base}{manifests.WIDGETS}")


MERGE = {"data": {f"new-{number:06}": "y" for number in range(FIELDS)}}
FORCE = "?fieldManager=noise&force=true"
CASES = (
    Case("map create", _maps("POST", JSON, lambda n: _map(f"big{n}"))),
    Case("map apply", _maps("PATCH", APPLY, lambda n: _map("big", value=f"{n}"), query=FORCE, times=3), _gone),
    Case("map update", _maps("PUT", JSON, lambda n: _map("big", value=f"{n}")), _fresh()),
    Case("map update dry run", _maps("PUT", JSON, lambda n: _map("big", value=f"{n}"), query="?dryRun=All"), _fresh()),
    Case("map merge patch", _maps("PATCH", MERGE_PATCH, lambda _: MERGE), _fresh()),
    Case("map strategic patch", _maps("PATCH", STRATEGIC, lambda _: MERGE), _fresh()),
    Case("map JSON patch", _maps("PATCH", JSON_PATCH, _operations), _fresh()),
    Case("map small patch", _maps("PATCH", MERGE_PATCH, lambda n: {"data": {"one": f"{n}"}}), _fresh()),
    Case("map managed fields", _maps("PUT", JSON, lambda n: _map("big", 10, managedFields=_managed(30_000))), _fresh(fields=10)),
    Case("map YAML", _maps("POST", YAML, _yaml, times=1), _gone),
    Case("map protobuf", _maps("POST", PROTOBUF, lambda _: _protobuf("big", FIELDS), times=1), _gone),
    Case("map annotations", _maps("POST", JSON, lambda n: _map(f"many{n}", 1, annotations={f"k{i}": "v" for i in range(20_000)}))),
    Case("map labels", _maps("POST", JSON, lambda n: _map(f"labels{n}", 1, labels={f"k{i}": "v" for i in range(100_000)}))),
    Case("map unknown fields", _maps("POST", JSON, lambda _: {**_map("big", 1), **{f"u{i}": 1 for i in range(FIELDS)}}), _gone),
    Case("map wrong keys", _maps("POST", JSON, lambda _: {**_map("big", 1), "data": {f"#{i}": "1" for i in range(FIELDS)}}), _gone),
    Case("map wrong types", _maps("POST", JSON, lambda _: {**_map("big", 1), "data": {f"k{i}": 1 for i in range(FIELDS)}}), _gone),
    Case("secret create", _secret),
    Case("crd lists", _define("lists", LISTS)),
    Case("lists keyed create", _ours("POST", JSON, lambda n: {"byName": [{"name": f"n{i}", "n": n} for i in range(50_000)]}), _drop),
    Case("lists keyed apply", _ours("PATCH", APPLY, lambda n: {"byName": [{"name": f"n{i}", "n": n} for i in range(50_000)]}, query=FORCE), _drop),
    Case("lists set create", _ours("POST", JSON, lambda n: {"set": [f"{n}-{i}" for i in range(100_000)]}), _drop),
    Case("lists set apply", _ours("PATCH", APPLY, lambda n: {"set": [f"{n}-{i}" for i in range(100_000)]}, query=FORCE, times=2), _drop),
    Case("lists free create", _ours("POST", JSON, lambda n: {"free": {f"k{i}": {"a": [n, {"b": 1}]} for i in range(50_000)}}), _drop),
    Case("lists free apply", _ours("PATCH", APPLY, lambda n: {"free": {f"k{i}": {"a": [n, {"b": 1}]} for i in range(50_000)}}, query=FORCE), _drop),
    Case("lists numbers", _ours("POST", JSON, lambda _: {"numbers": [1.0] * 300_000}), _drop),
    Case("lists long numbers", _ours("POST", JSON, lambda _: {"numbers": [1234567890123456789] * 100_000}), _drop),
    Case("lists wrong types", _ours("POST", JSON, lambda _: {"set": [1] * 300_000}), _drop),
    Case("crd wide", _define("wides", _wide(20_000), ("/openapi/v3", "/openapi/v3/apis/steps.example.com/v1", "/openapi/v2", "/apis"))),
    Case("crd defaults", _define("defaults", _wide(15_000, default="x"), ("/openapi/v3/apis/steps.example.com/v1",))),
    Case("crd rules", _define("ruled", _ruled(2_000))),
    Case("crd patterns", _define("patterned", _patterned(5_000))),
    Case("crd wrong", _define("wrongs", _wide(20_000, minLength=-1, unknownKey=True, format=3))),
    Case("role", _roles),
    Case("policy", _policy),
    Case("objects list", _widgets(("", ""), ("?resourceVersion=0", "")), objects=ITEMS),
    Case("objects field selector", _widgets(("?fieldSelector=metadata.name%3Dnobody", ""))),
    Case("objects label selector", _widgets(("?labelSelector=bench%21%3Dyes", ""), ("?labelSelector=bench%3Dyes", ""))),
    Case("objects table", _widgets(("", TABLE), ("?includeObject=Object", TABLE))),
    Case("objects metadata", _widgets(("", METADATA))),
    Case("objects watch", _widgets(("?watch=1&timeoutSeconds=2", ""), ("?watch=1&timeoutSeconds=2", TABLE), ("?watch=1&timeoutSeconds=2&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true", ""))),
    Case("objects paged", _widgets(("?limit=500", ""), ("?limit=5000&labelSelector=a%3Db", ""))),
    Case("objects shared", _share),
    Case("objects delete", _delete_all),
)  # fmt: skip
"""By hand: each is near one of the limits on what a request may hold."""
