"""P14, by generated requests: from the published OpenAPI, and from no description at all.

No answer is a 5xx, every error is a whole Status, the log stays clean (the server's fixture looks), memory is bounded.
``KCPCACHE_FUZZ_EXAMPLES`` multiplies the number of examples.
"""

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from http.client import HTTPResponse
from typing import Any, NamedTuple
from urllib.parse import quote_from_bytes

import httpx
import pytest
import requests
import schemathesis
from hostile import HTTP_LAYER, ROOT, check_status, crd, established, memory_mib, raw_connection
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from real_server import Server, eventually
from schemathesis import GenerationMode

EXAMPLES = int(os.environ.get("KCPCACHE_FUZZ_EXAMPLES", "1"))
FUZZED = "/clusters/root:fuzz"
GROUP_VERSIONS = (
    "apis/fuzz.example.com/v1",  # before anything deletes the CRD
    "api/v1",
    "apis/rbac.authorization.k8s.io/v1",
    "apis/apiextensions.k8s.io/v1",
    "apis/coordination.k8s.io/v1",
    "apis/cache.kcp.io/v1alpha1",
    "apis/apis.kcp.io/v1alpha2",
)
ROOM_MIB = 200.0
OPERATIONS_PER_DOCUMENT = 8


def bounded(max_examples: int) -> settings:
    """The same examples each time: a failure is the change's, not the day's."""
    return settings(
        max_examples=max_examples * EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )


def mistreated(http: httpx.Client, name: str) -> None:
    """Make a workspace, with a CRD, for what is to come."""
    workspaces, there = f"{ROOT}/apis/tenancy.kcp.io/v1alpha1/workspaces", f"/clusters/root:{name}/apis"
    body = {"metadata": {"name": name}, "spec": {"type": {"name": "universal", "path": "root"}}}
    assert http.post(workspaces, json=body).is_success
    eventually(lambda: http.get(f"{workspaces}/{name}").json().get("status", {}).get("phase") == "Ready", 20)
    number = {"type": "integer", "minimum": 0}
    spec = {"type": "object", "properties": {"number": number, "texts": {"type": "array", "items": {"type": "string"}}}}
    crds = f"{there}/apiextensions.k8s.io/v1/customresourcedefinitions"
    assert http.post(crds, json=crd("fuzzes", spec)).is_success
    eventually(lambda: http.get(f"{there}/fuzz.example.com/v1/fuzzes").is_success)


@pytest.fixture(scope="module")
def described(server: Server, http: httpx.Client) -> str:
    """The URL of a workspace whose OpenAPI is followed."""
    mistreated(http, "described")
    return f"{server.url}/clusters/root:described"


@pytest.fixture(scope="module", autouse=True)
def bounded_memory(server: Server) -> Iterator[None]:
    """The server's memory, when all is over."""
    before = memory_mib(server)
    yield
    assert memory_mib(server) - before < ROOM_MIB


@pytest.fixture(scope="module")
def session(server: Server) -> Iterator[requests.Session]:
    """The administrator, as schemathesis sends requests."""
    authority = server.log.parent / "ca.pem"
    authority.write_text(server.authority())
    with requests.Session() as session:
        session.trust_env = False
        session.verify, session.cert = str(authority), str(server.user_pem("kcp-admin"))
        yield session


def judge(code: int, content_type: str, body: bytes, what: Any) -> None:
    """Fail where an answer is none that a client can live with."""
    assert code < 500 or code in HTTP_LAYER, (code, body[:500], what)
    assert b"Traceback" not in body, what
    if code >= 400 and body:
        assert content_type.partition(";")[0] == "application/json", (code, content_type, body[:200], what)
        check_status(json.loads(body), code)


# -- from the published OpenAPI


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["positive", "negative"])
@pytest.mark.parametrize("group_version", GROUP_VERSIONS)
def test_p14_requests_made_from_the_openapi_document_are_answered_like_any(
    described: str, session: requests.Session, group_version: str, mode: GenerationMode
):
    index = session.get(f"{described}/openapi/v3", timeout=20).json()["paths"]
    document = session.get(f"{described}{index[group_version]['serverRelativeURL']}", timeout=20)
    assert document.ok, document.text
    schema = schemathesis.openapi.from_dict(document.json())
    operations = [found.ok() for found in schema.get_all_operations()]
    assert operations
    step = max(1, len(operations) // OPERATIONS_PER_DOCUMENT)
    codes: set[int] = set()
    for operation in operations[::step]:

        @bounded(3)
        @given(case=operation.as_strategy(generation_mode=mode))
        def send(case: schemathesis.Case) -> None:
            # A watch would be answered too, but only at its end.
            case.query = {name: value for name, value in (case.query or {}).items() if name != "watch"}
            # What the session knows is not asked where the call says nothing.
            response = case.call(
                base_url=described, session=session, timeout=20, verify=session.verify, cert=session.cert
            )
            judge(
                response.status_code,
                response.headers.get("content-type", [""])[0],
                response.content,
                case.as_curl_command(),
            )
            codes.add(response.status_code)

        if mode is GenerationMode.POSITIVE:
            send()
        else:
            # Some operations have nothing that could be made wrong.
            with contextlib.suppress(schemathesis.errors.SchemathesisError):
                send()
    assert codes


# -- from no description


class Request(NamedTuple):
    """A request as it goes over the wire."""

    method: bytes
    target: bytes
    headers: Mapping[bytes, bytes]
    body: bytes

    def encode(self) -> bytes:
        """Its bytes."""
        lines = [b"%s %s HTTP/1.1" % (self.method, self.target), b"Host: fuzz"]
        lines += [b"%s: %s" % pair for pair in self.headers.items()]
        if self.body or self.method in {b"POST", b"PUT", b"PATCH"}:
            lines.append(b"Content-Length: %d" % len(self.body))
        return b"\r\n".join(lines) + b"\r\n\r\n" + self.body


class Wire:
    """One connection after the other to a server; as few as it allows."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._connection = raw_connection(server)

    def send(self, request: Request) -> None:
        """Send, read the whole answer, and judge it."""
        for _ in range(2):
            try:
                self._connection.sendall(request.encode())
                response = HTTPResponse(self._connection, method=request.method.decode())
                response.begin()
                break
            except (OSError, ValueError):
                # It may have been closed after the request before; a new one has no such excuse.
                self._renew()
        else:
            raise AssertionError(f"no answer to {request}")
        body = response.read()
        assert body or request.method == b"HEAD" or response.status < 400, (response.status, request)
        judge(response.status, response.getheader("content-type", ""), body, request)
        if response.will_close:
            self._renew()

    def _renew(self) -> None:
        self._connection.close()
        self._connection = raw_connection(self._server)

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


@pytest.fixture(scope="module")
def wire(server: Server, http: httpx.Client) -> Iterator[Wire]:
    mistreated(http, "fuzz")
    found = Wire(server)
    yield found
    found.close()


MAPS, ONE = f"{FUZZED}/api/v1/namespaces/default/configmaps", f"{FUZZED}/api/v1/namespaces/default/configmaps/one"
FUZZES = f"{FUZZED}/apis/fuzz.example.com/v1/fuzzes"
CRDS = f"{FUZZED}/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
COLLECTIONS = (
    *(
        MAPS,
        FUZZES,
        CRDS,
        f"{FUZZED}/api/v1/namespaces",
        f"{FUZZED}/api/v1/events",
        f"{FUZZED}/api/v1/namespaces/default/secrets",
    ),
    f"{FUZZED}/apis/rbac.authorization.k8s.io/v1/clusterroles",
    f"{FUZZED}/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
    f"{FUZZED}/apis/authentication.k8s.io/v1/tokenreviews",
    f"{FUZZED}/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
    f"{FUZZED}/apis/cache.kcp.io/v1alpha1/cachedresources",
    f"{FUZZED}/apis/apis.kcp.io/v1alpha2/apiexports",
    f"{FUZZED}/apis/apis.kcp.io/v1alpha2/apibindings",
    f"{FUZZED}/apis/apis.kcp.io/v1alpha1/apiresourceschemas",
    f"{FUZZED}/apis/tenancy.kcp.io/v1alpha1/workspaces",
)
_KEYS = """
    apiVersion kind metadata spec status data name namespace generateName labels annotations finalizers uid
    ownerReferences managedFields resourceVersion fieldsV1 f:data k:{"a":1} deletionTimestamp creationTimestamp
    generation versions schema openAPIV3Schema properties items type group names plural scope resource
    labelSelector matchLabels matchExpressions key operator values rules verbs apiGroups resources reference
    export path storage virtual identity op from path value $patch $retainKeys $setElementOrder/finalizers
    x-kubernetes-validations rule token user resourceAttributes webhooks clientConfig limits hard subjects
    roleRef a
"""
KEYS = st.sampled_from(_KEYS.split())
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
    st.sampled_from(
        ["v1", "ConfigMap", "one", "default", "object", "string", "*", "root:fuzz", "/data/a", "replace", "1"]
    ),
)
JSON_VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=6), inner, max_size=5),
    max_leaves=25,
)
BODIES = st.one_of(
    st.binary(max_size=200),
    JSON_VALUES.map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass")),
    st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.builds(lambda tail: b"k8s\x00" + tail, st.binary(max_size=100)),
    st.builds(
        lambda metadata, rest: json.dumps({"metadata": metadata, **rest}).encode("utf-8", "surrogatepass"),
        st.dictionaries(KEYS, JSON_VALUES, max_size=4) | st.just({"name": "one"}),
        st.dictionaries(KEYS, JSON_VALUES, max_size=4),
    ),
)
CONTENT_TYPES = st.sampled_from(
    [
        *(
            b"application/json",
            b"application/yaml",
            b"application/vnd.kubernetes.protobuf",
            b"application/json-patch+json",
        ),
        *(b"application/merge-patch+json", b"application/strategic-merge-patch+json", b"application/apply-patch+yaml"),
        *(b"application/json; charset=utf-8", b"text/plain", b"*/*", b";", b"application/apply-patch+cbor"),
    ]
)
VERBATIM = "/:@!$&'()*+,;=-._~%"
_SEGMENTS = """
    clusters root root:fuzz root:nothing * system:admin services apiexport replication cache shards api apis v1
    v1alpha1 namespaces default configmaps one fuzzes fuzz.example.com status scale finalize token watch proxy
    openapi v2 v3 .. . %2e%2e %2f %00 %25 version livez metrics initializingworkspaces cache.kcp.io
    cachedresources virtualworkspace a:b configmaps:abc dashboard
"""
SEGMENTS = st.one_of(
    st.sampled_from(_SEGMENTS.split()).map(str.encode),
    st.binary(min_size=1, max_size=8).map(lambda raw: quote_from_bytes(raw, safe="").encode()),
)
_PARAMETERS = """
    limit continue resourceVersion resourceVersionMatch labelSelector fieldSelector timeoutSeconds dryRun
    fieldManager fieldValidation force propagationPolicy gracePeriodSeconds orphanDependents pretty
    allowWatchBookmarks sendInitialEvents includeObject preconditions verbose timeout as
"""
PARAMETERS = st.sampled_from(_PARAMETERS.split())
VALUES = st.one_of(
    st.sampled_from(
        ["", "0", "1", "-1", "true", "false", "All", "Exact", "NotOlderThan", "Strict", "9" * 25, "a=b", "a in (b)"]
    ),
    st.sampled_from(
        ["metadata.name=one", "!a", "a!=b,c", "Foreground", "Nope", "1.5", "\x00", "é", "eyJ2IjoibWV0YSJ9"]
    ),
    st.text(max_size=20),
)
QUERIES = st.lists(st.tuples(PARAMETERS, VALUES), max_size=4).map(
    lambda pairs: "&".join(
        f"{name}={quote_from_bytes(value.encode('utf-8', 'surrogatepass'))}" for name, value in pairs
    )
)
HEADER_TEXT = st.one_of(
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30).map(str.encode),
    st.binary(max_size=20).map(lambda raw: re.sub(rb"[\x00-\x1f\x7f]", b"?", raw)),
    st.sampled_from(
        [
            *(
                b"application/json;as=Table;v=v1;g=meta.k8s.io",
                b"application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
            ),
            *(
                b"application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
                b"*/*;q=x",
                b"gzip",
                b"gzip;q=0",
            ),
            *(b"system:masters", b"Bearer x", b"Basic eDp5", b"\xff", b'W/"x"', b"websocket"),
        ]
    ),
)
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            *(
                b"Accept",
                b"Accept-Encoding",
                b"Accept-Language",
                b"If-None-Match",
                b"If-Match",
                b"User-Agent",
                b"Range",
            ),
            *(
                b"Impersonate-User",
                b"Impersonate-Group",
                b"Impersonate-Uid",
                b"Impersonate-Extra-a%2fb",
                b"X-Remote-User",
            ),
            *(
                b"X-Remote-Group",
                b"X-Forwarded-For",
                b"Cookie",
                b"Origin",
                b"X-Kubernetes-Pf-Flowschema-Uid",
                b"Kcp-Hop",
            ),
            *(
                b"Content-Encoding",
                b"Authorization",
                b"Sec-WebSocket-Protocol",
                b"Audit-Id",
                b"Expect",
                b"Via",
                b"Forwarded",
            ),
        ]
    ),
    HEADER_TEXT,
    max_size=4,
)


@bounded(300)
@given(
    method=st.sampled_from([b"POST", b"PUT", b"PATCH", b"DELETE"]),
    path=st.sampled_from(COLLECTIONS),
    content_type=CONTENT_TYPES,
    query=QUERIES,
    body=BODIES,
)
def test_p14_any_body_of_any_type_is_answered(
    wire: Wire, method: bytes, path: str, content_type: bytes, query: str, body: bytes
):
    path = path if method == b"POST" else f"{path}/one"
    wire.send(Request(method, f"{path}?{query}".encode(), {b"Content-Type": content_type}, body))


@bounded(300)
@given(
    patch=JSON_VALUES,
    content_type=CONTENT_TYPES,
    path=st.sampled_from([ONE, f"{FUZZES}/one", f"{FUZZED}/api/v1/namespaces/default"]),
)
def test_p14_any_patch_of_an_object_that_exists_is_answered(
    wire: Wire, http: httpx.Client, patch: Any, content_type: bytes, path: str
):
    for collection, extra in ((MAPS, {"data": {"a": "1"}}), (FUZZES, {"spec": {"number": 1, "texts": ["a"]}})):
        kind = {"apiVersion": "fuzz.example.com/v1", "kind": "Fuzze"} if collection == FUZZES else {}
        http.post(collection, json={**kind, "metadata": {"name": "one", "labels": {"a": "b"}}, **extra})
    body = json.dumps(patch).encode("utf-8", "surrogatepass")
    wire.send(Request(b"PATCH", f"{path}?fieldManager=fuzz".encode(), {b"Content-Type": content_type}, body))


@bounded(500)
@given(
    method=st.sampled_from([b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"OPTIONS", b"TRACE", b"PROPFIND"]),
    segments=st.lists(SEGMENTS, min_size=1, max_size=10),
    rooted=st.sampled_from(["", FUZZED, f"{FUZZED}/api/v1", f"{FUZZED}/apis/fuzz.example.com/v1", "/services"]),
    query=QUERIES,
)
def test_p14_any_path_is_answered(wire: Wire, method: bytes, segments: list[bytes], rooted: str, query: str):
    target = rooted.encode() + b"/" + b"/".join(segment for segment in segments if segment != b"watch")
    wire.send(Request(method, target + b"?" + query.encode(), {}, b""))


@bounded(300)
@given(
    path=st.sampled_from([*COLLECTIONS, ONE, f"{FUZZED}/apis", f"{FUZZED}/openapi/v2", "/version", "/readyz"]),
    query=QUERIES,
)
def test_p14_any_query_is_answered(wire: Wire, path: str, query: str):
    wire.send(Request(b"GET", f"{path}?{query}".encode(), {}, b""))


@bounded(300)
@given(
    method=st.sampled_from([b"GET", b"POST"]),
    path=st.sampled_from([MAPS, FUZZES, f"{FUZZED}/apis", f"{FUZZED}/openapi/v3", "/readyz"]),
    headers=HEADERS,
)
def test_p14_any_header_is_answered(wire: Wire, method: bytes, path: str, headers: dict[bytes, bytes]):
    wire.send(Request(method, path.encode(), headers, b"{}" if method == b"POST" else b""))


def test_p14_the_server_serves_after_all_of_that(http: httpx.Client):
    made = http.post(f"{ROOT}/api/v1/namespaces/default/configmaps", json={"metadata": {"generateName": "after-"}})
    assert made.is_success, made.text
    established(http, "things")
