"""What the audit log is told of requests, by the whole HTTP layer."""

import dataclasses
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import yaml

from kcpcache.api.app import create_app
from kcpcache.api.services import RequestFacts
from kcpcache.audit.log import AuditLog
from kcpcache.audit.policy import parse_policy
from kcpcache.audit.trail import Audit
from kcpcache.auth.user import User
from kcpcache.meta.audit_annotations import annotate
from kcpcache.meta.errors import UnauthorizedError

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "rules": [
        {"level": "None", "users": ["quiet"]},
        {"level": "Metadata", "resources": [{"resources": ["secrets"]}]},
        {"level": "Request", "verbs": ["patch"]},
        {"level": "RequestResponse", "omitStages": ["RequestReceived"]},
    ],
}


class Lines:
    """The audit log's file."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.text = b""

    def write(self, data: bytes) -> None:
        self.text += data
        self.events += map(json.loads, data.splitlines())

    def close(self) -> None:
        """Nothing to close."""


class Audited:
    """A world whose requests are audited. ``events`` closes the log and gives its lines."""

    def __init__(self, world: Any, app: Any, lines: Lines, log: AuditLog) -> None:
        self.world, self.app, self._lines, self._log = world, app, lines, log
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test")

    async def events(self) -> list[dict[str, Any]]:
        await self._log.close()
        return self._lines.events

    async def text(self) -> bytes:
        await self._log.close()
        return self._lines.text


@pytest.fixture
async def audited(world: Any) -> AsyncIterator[Audited]:
    lines = Lines()
    log = AuditLog(lines)
    audit = Audit(parse_policy(yaml.safe_dump(POLICY).encode()), log, lambda: NOW)

    async def authenticate(facts: RequestFacts) -> User:
        headers = dict(facts.headers)
        if headers.get(b"authorization") == b"Bearer wrong":
            raise UnauthorizedError("Unauthorized")
        return User(headers.get(b"x-user", b"admin").decode())

    def impersonate(user: User, headers: Sequence[tuple[bytes, bytes]], _cluster: str) -> User:
        wanted = dict(headers).get(b"impersonate-user")
        return User(wanted.decode()) if wanted else user

    services = dataclasses.replace(world.services, authenticate=authenticate, impersonate=impersonate, audit=audit)
    found = Audited(world, create_app(services), lines, log)
    async with found.client:
        yield found
    await log.close()


async def test_a_request_is_told_with_who_what_where_and_what_came_of_it(audited: Audited) -> None:
    headers = {"User-Agent": "test/1", "X-Forwarded-For": "10.1.2.3"}
    body = {"metadata": {"name": "a"}, "data": {"x": "y"}}
    answer = await audited.client.post(f"/clusters/root:ws{CONFIG_MAPS}?fieldManager=me", json=body, headers=headers)
    (event,) = await audited.events()
    assert answer.headers["audit-id"] == event.pop("auditID")
    assert event.pop("responseObject") == answer.json()
    assert event == {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "RequestResponse",
        "stage": "ResponseComplete",
        "requestURI": f"/clusters/root:ws{CONFIG_MAPS}?fieldManager=me",
        "verb": "create",
        "user": {"username": "admin"},
        "sourceIPs": ["10.1.2.3", "127.0.0.1"],
        "userAgent": "test/1",
        "objectRef": {
            "resource": "configmaps",
            "namespace": "default",
            "name": "a",
            "apiVersion": "v1",
        },
        "responseStatus": {"metadata": {}, "code": 201},
        "requestObject": body,
        "requestReceivedTimestamp": "2030-01-01T12:00:00.000000Z",
        "stageTimestamp": "2030-01-01T12:00:00.000000Z",
        "annotations": {
            "kcp.io/cluster": "ws",
            "kcp.io/path": "ws",
            "tenancy.kcp.io/workspace": "ws",
            "authorization.k8s.io/decision": "allow",
            "authorization.k8s.io/reason": "",
        },
    }


async def test_the_clients_audit_id_is_kept_and_sent_back(audited: Audited) -> None:
    answer = await audited.client.get(CONFIG_MAPS, headers={"Audit-ID": "mine"})
    assert answer.headers["audit-id"] == "mine"
    assert {event["auditID"] for event in await audited.events()} == {"mine"}


async def test_both_stages_of_a_request_have_the_same_id(audited: Audited) -> None:
    await audited.client.get("/api/v1/namespaces/default/secrets")
    received, complete = await audited.events()
    assert (received["stage"], complete["stage"]) == ("RequestReceived", "ResponseComplete")
    assert received["auditID"] == complete["auditID"]
    assert "responseStatus" not in received


async def test_of_whom_the_policy_says_none_nothing_is_told(audited: Audited) -> None:
    answer = await audited.client.get(CONFIG_MAPS, headers={"X-User": "quiet"})
    assert answer.status_code == 200
    assert await audited.events() == []


async def test_at_level_metadata_no_body_is_told(audited: Audited) -> None:
    secrets = "/api/v1/namespaces/default/secrets"
    body = {"metadata": {"name": "s"}, "stringData": {"password": "hunter2"}}
    assert (await audited.client.post(secrets, json=body)).status_code == 201
    assert (await audited.client.get(f"{secrets}/s")).status_code == 200
    broken = {"metadata": {"name": "t"}, "data": {"password": "hunter2!"}, "type": 7, "hunter2": "hunter2"}
    assert (await audited.client.post(f"{secrets}?fieldValidation=Strict", json=broken)).status_code == 400
    applied = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"password": ["hunter2"]}}
    for kind in ("merge-patch+json", "strategic-merge-patch+json", "apply-patch+yaml"):
        answer = await audited.client.patch(
            f"{secrets}/s?fieldManager=f", content=json.dumps(applied), headers={"Content-Type": f"application/{kind}"}
        )
        assert answer.is_client_error
        assert "hunter2" not in answer.text
    yaml_text = b"stringData:\n  password: *hunter2\n"
    await audited.client.post(secrets, content=yaml_text, headers={"Content-Type": "application/yaml"})
    events, text = await audited.events(), await audited.text()
    refused = [event["responseStatus"] for event in events if event.get("responseStatus", {}).get("code") in {400, 422}]
    assert len(refused) == 5
    assert {status["message"] for status in refused} == {"<secret contents redacted>"}
    assert b"hunter2" not in text
    assert b'"name":"s"' in text
    assert b"aHVudGVyMg" not in text


async def test_at_level_request_a_patch_is_told_and_its_result_is_not(audited: Audited) -> None:
    await audited.world.create("a")
    patches = {
        "application/merge-patch+json": b'{\n"data": {"x": "y"}}',
        "application/apply-patch+yaml": b"data:\n  x: z\n",
    }
    for kind, patch in patches.items():
        await audited.client.patch(f"{CONFIG_MAPS}/a?fieldManager=f", content=patch, headers={"Content-Type": kind})
    events = [event for event in await audited.events() if event["stage"] == "ResponseComplete"]
    assert [event["requestObject"] for event in events] == [{"data": {"x": "y"}}, {"data": {"x": "z"}}]
    assert not [event for event in events if "responseObject" in event]


async def test_a_protobuf_body_is_told_as_json(audited: Audited) -> None:
    def field(number: int, value: bytes) -> bytes:
        return bytes([number << 3 | 2, len(value)]) + value

    config_map = field(1, field(1, b"a")) + field(2, field(1, b"x") + field(2, b"y"))
    body = b"k8s\0" + field(1, field(1, b"v1") + field(2, b"ConfigMap")) + field(2, config_map)
    kind = {"Content-Type": "application/vnd.kubernetes.protobuf"}
    assert (await audited.client.post(CONFIG_MAPS, content=body, headers=kind)).status_code == 201
    (event,) = await audited.events()
    assert event["requestObject"]["data"] == {"x": "y"}
    assert event["objectRef"]["name"] == "a"


@pytest.mark.parametrize("path", ["/api/v1/namespaces/default/serviceaccounts/default/token"])
async def test_tokens_are_never_told_whatever_the_policy_says(path: str, audited: Audited) -> None:
    reviews = "/apis/authentication.k8s.io/v1/tokenreviews"
    await audited.client.post(reviews, json={"spec": {"token": "hunter2"}})
    await audited.client.post(path, json={"spec": {"audiences": ["hunter2"]}})
    events = await audited.events()
    assert {event["level"] for event in events} == {"Metadata"}
    assert b"hunter2" not in await audited.text()


async def test_a_refusal_is_told_with_its_status_and_the_decision(audited: Audited) -> None:
    audited.world.denied.add(("get", "configmaps"))
    await audited.client.get(f"{CONFIG_MAPS}/a")
    (event,) = await audited.events()
    assert event["annotations"]["authorization.k8s.io/decision"] == "forbid"
    assert event["responseStatus"].items() >= {"code": 403, "reason": "Forbidden", "status": "Failure"}.items()
    assert 'cannot get resource "configmaps"' in event["responseStatus"]["message"]


async def test_the_impersonated_user_is_told_beside_the_real_one(audited: Audited) -> None:
    await audited.client.get("/api/v1/namespaces/default/secrets", headers={"Impersonate-User": "alice"})
    received, complete = await audited.events()
    assert received["user"] == complete["user"] == {"username": "admin"}
    assert "impersonatedUser" not in received
    assert complete["impersonatedUser"] == {"username": "alice"}


async def test_failed_authentication_is_told_with_what_was_shown_and_not_the_token(audited: Audited) -> None:
    answer = await audited.client.get(CONFIG_MAPS, headers={"Authorization": "Bearer wrong"})
    assert answer.status_code == 401
    (event,) = await audited.events()
    assert event["stage"] == "ResponseStarted"
    assert event["user"] == {}
    assert event["responseStatus"]["message"] == "Authentication failed, attempted: bearer"
    assert b"wrong" not in await audited.text()


async def test_a_list_is_told_as_it_was_sent_and_left_out_where_it_is_huge(
    audited: Audited, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        await audited.world.create(f"a{number}", data={"x": "y" * 100_000})
    answer = await audited.client.get(CONFIG_MAPS)
    monkeypatch.setattr("kcpcache.audit.trail.MOST_BODY_BYTES", 100_000)
    monkeypatch.setattr("kcpcache.api.audited.MOST_BODY_BYTES", 100_000)
    await audited.client.get(CONFIG_MAPS)
    whole, cut = await audited.events()
    assert whole["responseObject"] == answer.json()
    assert "responseObject" not in cut
    assert cut["annotations"]["audit.k8s.io/truncated"] == "true"


async def test_what_went_wrong_inside_is_a_panic_and_tells_nothing_of_it(
    audited: Audited, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **_how: Any) -> None:
        raise RuntimeError("hunter2")

    monkeypatch.setattr("kcpcache.api.handler.negotiate", broken)
    await audited.client.get(CONFIG_MAPS)
    (event,) = await audited.events()
    assert event["stage"] == "Panic"
    assert event["responseStatus"] == {
        "metadata": {},
        "status": "Failure",
        "message": "APIServer panic'd: RuntimeError",
        "reason": "InternalError",
        "code": 500,
    }
    assert b"hunter2" not in await audited.text()


async def test_notes_of_other_parts_are_annotations(audited: Audited, monkeypatch: pytest.MonkeyPatch) -> None:
    async def noting(*_: Any, **_how: Any) -> None:
        annotate("example.com/note", "first")
        annotate("example.com/note", "second")
        raise TimeoutError

    monkeypatch.setattr("kcpcache.api.resources.decode_body", noting)
    await audited.client.request("DELETE", f"{CONFIG_MAPS}/a", json={})
    annotate("example.com/note", "nobody audits this")
    (event,) = await audited.events()
    assert event["annotations"]["example.com/note"] == "first"


async def test_what_is_no_resource_is_told_without_bodies(audited: Audited) -> None:
    await audited.client.get("/apis")
    (event,) = await audited.events()
    assert (event["verb"], event["requestURI"]) == ("get", "/apis")
    assert not {"objectRef", "requestObject", "responseObject"} & set(event)


async def test_a_watch_is_told_when_it_starts_and_when_it_ends(audited: Audited) -> None:
    audited.app.kubernetes.end_watches()
    await audited.client.get(f"{CONFIG_MAPS}?watch=1")
    started, complete = await audited.events()
    assert (started["stage"], complete["stage"]) == ("ResponseStarted", "ResponseComplete")
    assert started["verb"] == "watch"
    assert started["responseStatus"]["code"] == complete["responseStatus"]["code"] == 200


async def test_a_watch_over_websocket_switches_protocols(audited: Audited) -> None:
    audited.app.kubernetes.end_watches()
    sent: list[dict[str, Any]] = []
    coming = iter([{"type": "websocket.connect"}, {"type": "websocket.disconnect"}])

    async def receive() -> dict[str, Any]:
        return next(coming)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    path = CONFIG_MAPS.encode()
    scope = {"type": "websocket", "raw_path": path, "query_string": b"watch=1", "headers": [], "client": ("::1", 7)}
    await audited.app(scope, receive, send)
    started, complete = await audited.events()
    assert sent[0]["headers"] == [(b"audit-id", started["auditID"].encode())]
    assert (started["stage"], complete["stage"]) == ("ResponseStarted", "ResponseComplete")
    assert started["responseStatus"] == {"metadata": {}, "code": 101}
    assert started["sourceIPs"] == ["::1"]
