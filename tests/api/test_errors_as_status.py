import asyncio
import inspect
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kcpcache.api.deadlines import Deadlines
from kcpcache.api.handler import status_error
from kcpcache.meta import errors
from kcpcache.meta.errors import InvalidError, StatusError, field_invalid

CM = "/api/v1/namespaces/default/configmaps"
CLASSES = [
    found
    for _, found in inspect.getmembers(errors, inspect.isclass)
    if issubclass(found, StatusError) and found is not StatusError
]


def instance(kind: type[StatusError]) -> StatusError:
    return kind("g", "K", "n", [field_invalid("spec.x", 1, "no")]) if kind is InvalidError else kind("text")


@pytest.mark.parametrize("kind", CLASSES)
async def test_every_error_becomes_a_status_with_its_code(world, kind, monkeypatch):
    async def fail(_call: Any) -> None:
        raise instance(kind)

    monkeypatch.setattr("kcpcache.api.resources.get", fail)
    monkeypatch.setattr("kcpcache.api.handler._VERBS", {"get": fail})
    response = await world.client.get(f"{CM}/a")
    status = response.json()
    assert response.status_code == kind.code == status["code"]
    assert (status["kind"], status["apiVersion"], status["status"]) == ("Status", "v1", "Failure")
    assert status["reason"] == kind.reason
    assert status["message"]


async def test_an_unexpected_error_tells_nothing_of_the_inside(world, monkeypatch):
    async def fail(_call: Any) -> None:
        raise ValueError("secret of the inside")

    monkeypatch.setattr("kcpcache.api.handler._VERBS", {"get": fail})
    response = await world.client.get(f"{CM}/a")
    assert (response.status_code, response.json()["reason"]) == (500, "InternalError")
    assert "secret" not in response.text


def test_running_out_of_time_is_a_timeout_and_out_of_stack_a_bad_request():
    assert status_error(TimeoutError()).code == 504
    assert status_error(RecursionError()).code == 400


async def test_a_request_that_takes_a_minute_is_answered_with_a_timeout(world, monkeypatch):
    async def never(_call: Any) -> None:
        await asyncio.Event().wait()

    assert world.app.kubernetes.deadlines.seconds == 60
    monkeypatch.setattr("kcpcache.api.handler._VERBS", {"get": never})
    monkeypatch.setattr("kcpcache.api.deadlines.SWEEP_SECONDS", 0.01)
    monkeypatch.setattr(world.app.kubernetes, "deadlines", Deadlines(0.0))
    response = await world.client.get(f"{CM}/a")
    assert (response.status_code, response.json()["reason"]) == (504, "Timeout")
    assert response.json()["message"] == "the server could not answer within 60 seconds"


async def test_retry_after_is_a_header_too(world, monkeypatch):
    async def fail(_call: Any) -> None:
        raise errors.TooManyRequestsError("wait", retry_after_seconds=7)

    monkeypatch.setattr("kcpcache.api.handler._VERBS", {"get": fail})
    assert (await world.client.get(f"{CM}/a")).headers["retry-after"] == "7"


async def test_whoever_may_not_gets_403_whether_the_thing_exists_or_not(world):
    for path in (f"{CM}/a", "/apis/no.such/v1/things", "/apis", "/openapi/v3", "/clusters/nowhere/api"):
        response = await world.client.get(path, headers={"x-user": "nobody"})
        assert (response.status_code, response.json()["reason"]) == (403, "Forbidden")


async def test_authorisation_sees_the_request_as_it_is(world):
    await world.client.get("/clusters/root:ws/apis/stable.example.com/v1/namespaces/ns/crontabs/x/status")
    (asked,) = world.asked
    assert (asked.verb, asked.cluster, asked.group, asked.version) == ("get", "ws", "stable.example.com", "v1")
    assert (asked.resource, asked.subresource, asked.namespace, asked.name) == ("crontabs", "status", "ns", "x")


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/apis/no.such/v1/things", 404),
        ("GET", "/api/v1/nothings", 404),
        ("GET", "/api/v1/configmaps/a", 404),
        ("GET", f"{CM}/a/status", 404),
        ("GET", f"{CM}:abc", 404),
        ("GET", "/api/v1/namespaces/default/namespaces", 404),
        ("GET", "/apis/cloud.example.com/v1/namespaces/x/flavors", 404),
        ("GET", "/clusters/root/nothing", 404),
        ("GET", "/nothing", 404),
        ("GET", "/apifoo", 404),
        ("GET", "/services/cache/shards/x/clusters/y/api", 404),
        ("POST", "/api/v1/configmaps", 405),
        ("DELETE", "/api/v1/configmaps", 405),
        ("DELETE", "/api/v1/namespaces", 405),
        ("OPTIONS", CM, 405),
        ("OPTIONS", "/api", 405),
        ("POST", "/api", 405),
        ("POST", "/version", 405),
        ("GET", "/api/v1/namespaces/n/finalize", 405),
        ("PATCH", CM, 405),
        ("POST", CM, 400),
    ],
)
async def test_a_request_that_cannot_be_is_answered_with_a_status(world, method, path, code):
    response = await world.client.request(method, path)
    assert response.status_code == code
    assert (response.json()["kind"], response.json()["code"]) == ("Status", code)


async def test_a_body_that_is_too_large_ends_the_connection(world):
    response = await world.client.post(CM, content=b" " * (3 * 1024 * 1024 + 1))
    assert (response.status_code, response.json()["reason"]) == (413, "RequestEntityTooLarge")
    assert response.headers["connection"] == "close"


async def test_protobuf_is_for_built_in_types(world):
    headers = {"content-type": "application/vnd.kubernetes.protobuf"}
    crontabs = "/apis/stable.example.com/v1/namespaces/default/crontabs"
    assert (await world.client.post(crontabs, content=b"k8s\0", headers=headers)).status_code == 415
    assert (await world.client.post(CM, content=b"k8s\0", headers=headers)).status_code == 400


_TYPES = st.sampled_from(
    [
        "application/json",
        "application/yaml",
        "application/merge-patch+json",
        "application/json-patch+json",
        "application/strategic-merge-patch+json",
        "application/apply-patch+yaml",
        "application/vnd.kubernetes.protobuf",
        "text/plain",
    ]
)
_SCALARS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5)
_FIELDS = st.sampled_from(
    ["metadata", "name", "namespace", "labels", "annotations", "spec", "status", "data", "kind", "apiVersion", "rules",
     "finalizers", "ownerReferences", "managedFields", "resourceVersion", "uid", "replicas", "op", "path", "$patch"]
)  # fmt: skip
_BODIES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_FIELDS, inner, max_size=4), max_leaves=12
)
_PATHS = st.sampled_from(
    [
        CM,
        f"{CM}/a",
        "/apis/stable.example.com/v1/namespaces/default/crontabs",
        "/apis/stable.example.com/v1/namespaces/default/crontabs/a",
        "/apis/stable.example.com/v1/namespaces/default/crontabs/a/status",
        "/apis/stable.example.com/v1/namespaces/default/crontabs/a/scale",
        "/api/v1/namespaces",
        "/api/v1/namespaces/default/serviceaccounts/a/token",
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles/a",
    ]
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["POST", "PUT", "PATCH", "DELETE"]),
    path=_PATHS,
    kind=_TYPES,
    query=st.sampled_from(["", "?fieldManager=m", "?fieldManager=m&force=1", "?fieldValidation=Strict", "?dryRun=All"]),
    body=_BODIES,
    raw=st.none() | st.binary(max_size=30),
)
async def test_no_body_makes_a_5xx(world, method, path, kind, query, body, raw):
    import json

    content = json.dumps(body).encode() if raw is None else raw
    response = await world.client.request(method, path + query, content=content, headers={"content-type": kind})
    assert response.status_code < 500, response.text
    if response.status_code >= 400:
        assert response.json()["kind"] == "Status"


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"]),
    path=st.binary(max_size=40)
    | st.sampled_from([CM.encode(), b"/apis", b"/openapi/v3", b"/clusters/*/api/v1/secrets"]),
    query=st.binary(max_size=30)
    | st.sampled_from([b"limit=1", b"continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEifQ", b"dryRun=All"]),
    accept=st.binary(max_size=30),
)
async def test_no_path_query_or_header_makes_a_5xx(world, method, path, query, accept):
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    raw = path if path.startswith(b"/") else b"/apis/" + path
    headers = [(b"accept", accept)]
    scope = {
        "type": "http", "method": method, "path": raw.decode("latin-1"), "raw_path": raw, "query_string": query,
        "headers": headers,
    }  # fmt: skip
    await world.app.kubernetes(scope, receive, send)
    assert sent[0]["status"] < 500
