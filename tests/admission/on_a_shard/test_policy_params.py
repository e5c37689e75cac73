"""Nobody has a ValidatingAdmissionPolicy tell him of parameters that he may not read (as in kube-apiserver)."""

from typing import Any

import pytest
from shard_http import Http, rule
from shard_world import Shard

GROUP = "admissionregistration.k8s.io"
KINDS = {
    "validatingadmissionpolicies": "ValidatingAdmissionPolicy",
    "validatingadmissionpolicybindings": "ValidatingAdmissionPolicyBinding",
}
POLICIES, BINDINGS = KINDS
SECRETS, MAPS = {"apiVersion": "v1", "kind": "Secret"}, {"apiVersion": "v1", "kind": "ConfigMap"}
UNKNOWN = {"apiVersion": "example.com/v1", "kind": "Thing"}


class Policies:
    """Policies of one workspace, written by eve: all that she may besides is to get configmaps, and one Secret."""

    def __init__(self, http: Http, cluster: str) -> None:
        self.http, self.root = http, f"/clusters/{cluster}/apis/{GROUP}/v1"

    async def write(self, method: str, plural: str, name: str, spec: dict[str, Any], user: str = "eve") -> Any:
        path = f"{self.root}/{plural}" + (f"/{name}" if method != "POST" else "")
        body: dict[str, Any] = {
            "apiVersion": f"{GROUP}/v1",
            "kind": KINDS[plural],
            "metadata": {"name": name},
            "spec": spec,
        }
        if method == "PUT":
            body["metadata"] = (await self.http.get(path))["metadata"]
        if method != "APPLY":
            return await self.http.request(method, path, body, user=user)
        headers = {"x-user": user, "content-type": "application/apply-patch+yaml"}
        return await self.http.client.patch(f"{path}?fieldManager=eve&force=true", json=body, headers=headers)


@pytest.fixture
async def policies(shard: Shard, http: Http) -> Policies:
    cluster = await shard.workspace("work")
    verbs = ("get", "create", "update", "patch")
    rules = [rule(GROUP, plural, *verbs) for plural in KINDS]
    await http.grant(
        cluster, "eve", [*rules, rule("", "configmaps", "get"), rule("", "secrets", "get", names=("own",))]
    )
    await http.grant(cluster, "all", [rule("*", "*", "*")], "all")
    return Policies(http, cluster)


def policy(kind: object = None) -> dict[str, Any]:
    matched = [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["*"]}]
    found: dict[str, Any] = {"matchConstraints": {"resourceRules": matched}, "validations": [{"expression": "true"}]}
    return found | ({"paramKind": kind} if kind else {})


def binding(policy_name: str, **ref: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"policyName": policy_name, "validationActions": ["Deny"]}
    return found | ({"paramRef": {"parameterNotFoundAction": "Deny", **ref}} if ref else {})


@pytest.mark.parametrize("method", ["POST", "PUT", "APPLY"])
@pytest.mark.parametrize(("kind", "allowed"), [(None, True), (MAPS, True), (SECRETS, False), (UNKNOWN, False)])
async def test_a_policy_takes_what_its_writer_may_get_all_of(
    policies: Policies, method: str, kind: object, allowed: bool
) -> None:
    if method == "PUT":
        assert (await policies.write("POST", POLICIES, "p", policy())).status_code == 201
    answer = await policies.write(method, POLICIES, "p", policy(kind))
    if allowed:
        assert answer.is_success, answer.text
    else:
        assert (answer.status_code, 'must have \\"get\\" permission on all objects' in answer.text) == (422, True)


@pytest.mark.parametrize(
    ("ref", "allowed"),
    [
        ({"name": "own", "namespace": "default"}, True),
        ({"name": "other", "namespace": "default"}, False),
        ({"selector": {}, "namespace": "default"}, False),
        ({}, True),
    ],
)
async def test_a_binding_names_what_its_writer_may_get(policies: Policies, ref: dict[str, Any], allowed: bool) -> None:
    assert (await policies.write("POST", POLICIES, "p", policy(SECRETS), user="all")).status_code == 201
    answer = await policies.write("POST", BINDINGS, "b", binding("p", **ref))
    assert answer.status_code == (201 if allowed else 422), answer.text


async def test_a_binding_to_what_is_not_there_yet_needs_the_right_to_everything(policies: Policies) -> None:
    ref = {"name": "own", "namespace": "default"}
    assert (await policies.write("POST", BINDINGS, "b", binding("later", **ref))).status_code == 422
    assert (await policies.write("POST", BINDINGS, "b", binding("later", **ref), user="all")).status_code == 201


async def test_what_stays_as_it_is_is_not_judged_again_and_what_changes_is(policies: Policies) -> None:
    await policies.write("POST", POLICIES, "p", policy(SECRETS), user="all")
    await policies.write("POST", BINDINGS, "b", binding("p", name="other", namespace="default"), user="all")
    assert (await policies.write("PUT", POLICIES, "p", policy(SECRETS) | {"failurePolicy": "Ignore"})).is_success
    same = binding("p", name="other", namespace="default") | {"validationActions": ["Warn"]}
    assert (await policies.write("PUT", BINDINGS, "b", same)).is_success
    for changed in (binding("p", name="third", namespace="default"), binding("q", name="other", namespace="default")):
        assert (await policies.write("PUT", BINDINGS, "b", changed)).status_code == 422
