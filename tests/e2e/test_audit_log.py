"""The audit log of a real server, and that no credential is in it, in the server's log or in what it answers."""

import base64
import json
import stat
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from real_server import command, environment, start_server

STATIC, WRONG, VALUE = "static-token-0123456789", "wrong-token-0123456789", "the value of a secret"
SECRETS, ACCOUNTS = "/api/v1/namespaces/default/secrets", "/api/v1/namespaces/default/serviceaccounts"
POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "Metadata", "resources": [{"resources": ["secrets"]}]},
        {"level": "RequestResponse"},
    ],
}


@pytest.fixture
def flags(tmp_path: Path) -> list[object]:
    policy, tokens = tmp_path / "policy.yaml", tmp_path / "tokens.csv"
    policy.write_text(yaml.safe_dump(POLICY))
    tokens.write_text(f'{STATIC},dora,u-1,"system:masters"\n')
    audit = ["--audit-log-path", tmp_path / "logs/audit.log", "--audit-policy-file", policy]
    return [*audit, "--token-auth-file", tokens, "--log-level", "debug"]


def refusal(*arguments: object) -> str:
    ran = subprocess.run(
        command("start", "--port", 0, *arguments),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (1, "")
    (line,) = ran.stderr.splitlines()
    return line


def test_every_request_is_in_the_audit_log_and_no_credential_anywhere(tmp_path: Path, flags: list[object]):
    secret = {"metadata": {"name": "s"}, "stringData": {"password": VALUE}}
    with start_server(tmp_path / "root", *flags) as server:
        with server.client(token=STATIC) as http:
            answers = [
                http.post(SECRETS, json=secret),
                http.put(f"{SECRETS}/s", json={**secret, "type": "example.com/other"}),
                http.patch(
                    f"{SECRETS}/s",
                    json={"data": {"password": VALUE}},
                    headers={"Content-Type": "application/merge-patch+json"},
                ),
                http.post(f"{SECRETS}?fieldValidation=Strict", json={**secret, "password": VALUE, "data": VALUE}),
                http.post(ACCOUNTS, json={"metadata": {"name": "robot"}}),
                http.patch(
                    f"{SECRETS}/s",
                    json=[{"op": "test", "path": "/data/password", "value": "a guess"}],
                    headers={"Content-Type": "application/json-patch+json"},
                ),
                http.patch(
                    f"{SECRETS}/s?fieldValidation=Strict",
                    json={"data": {"other": [VALUE]}, "unknown": 1},
                    headers={"Content-Type": "application/merge-patch+json"},
                ),
                http.get(f"{SECRETS}/s", headers={"Impersonate-User": "alice"}),
            ]
            assert [http.get(f"{ACCOUNTS}/robot").status_code for _ in range(3)] == [200, 200, 200]
            issued = http.post(f"{ACCOUNTS}/robot/token", json={"spec": {}}).json()["status"]["token"]
            review = {"spec": {"token": issued}}
            assert http.post("/apis/authentication.k8s.io/v1/tokenreviews", json=review).json()["status"][
                "authenticated"
            ]
        with server.client(token=issued) as http:
            answers.append(http.get(SECRETS))
        with server.client(token=WRONG) as http:
            answers.append(http.get(SECRETS))
        assert [answer.status_code for answer in answers] == [201, 422, 422, 400, 201, 422, 422, 403, 403, 401]
        with server.client(token=STATIC) as http:
            metrics = http.get("/metrics")
        assert b"apiserver_audit_event_total" in metrics.content
        said = b"".join(answer.content for answer in [*answers[1:], metrics])
        shown = said + server.log.read_bytes()
    log = tmp_path / "logs/audit.log"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    for credential in (STATIC, WRONG, issued, VALUE, base64.b64encode(VALUE.encode()).decode()):
        assert credential.encode() not in shown + log.read_bytes()
    check_events([json.loads(line) for line in log.read_text().splitlines()], issued)


def check_events(events: list[dict[str, Any]], issued: str) -> None:
    def only(verb: str, resource: str, user: str, code: int) -> dict[str, Any]:
        (found,) = [
            event
            for event in events
            if (event["verb"], event["user"].get("username", ""), event["responseStatus"]["code"]) == (verb, user, code)
            and event.get("objectRef", {}).get("resource") == resource
        ]
        return found

    created = only("create", "secrets", "dora", 201)
    assert created["objectRef"] == {"resource": "secrets", "namespace": "default", "name": "s", "apiVersion": "v1"}
    assert created["annotations"]["kcp.io/path"] == "root"
    assert only("get", "secrets", "dora", 403)["impersonatedUser"]["username"] == "alice"
    assert only("list", "secrets", "", httpx.codes.UNAUTHORIZED)["stage"] == "ResponseStarted"
    assert (
        only("list", "secrets", "system:serviceaccount:default:robot", 403)["annotations"][
            "authorization.k8s.io/decision"
        ]
        == "forbid"
    )
    assert len([event for event in events if event["requestURI"] == f"{ACCOUNTS}/robot"]) == 3
    (token,) = [event for event in events if event.get("objectRef", {}).get("subresource") == "token"]
    claims = json.loads(base64.urlsafe_b64decode(issued.split(".")[1] + "=="))
    assert token["annotations"]["authentication.kubernetes.io/issued-credential-id"] == f"JTI={claims['jti']}"


def test_what_cannot_be_audited_is_one_clear_line(tmp_path: Path):
    policy, root = tmp_path / "policy.yaml", ("--root-dir", tmp_path / "root")
    assert "go together" in refusal(*root, "--audit-log-path", tmp_path / "audit.log")
    with_policy = (*root, "--audit-policy-file", policy)
    assert "go together" in refusal(*with_policy)
    policy.write_text("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Everything}]\n")
    assert "Everything" in refusal(*with_policy, "--audit-log-path", tmp_path / "audit.log")
    policy.write_text(yaml.safe_dump(POLICY))
    assert "Is a directory" in refusal(*with_policy, "--audit-log-path", tmp_path)
