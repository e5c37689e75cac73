"""What policies and webhooks have to say to the audit log."""

import base64
import json

import pytest
from admission_world import World, running_world
from webhook_server import WebhookServer

from kcpcache.meta.audit_annotations import collected
from kcpcache.meta.errors import StatusError

POLICIES = "validatingadmissionpolicies.v1.admissionregistration.k8s.io"
BINDINGS = "validatingadmissionpolicybindings.v1.admissionregistration.k8s.io"
MUTATING = "mutatingwebhookconfigurations.v1.admissionregistration.k8s.io"
VALIDATING = "validatingwebhookconfigurations.v1.admissionregistration.k8s.io"
RULES = [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}]
FAILURE = "validation.policy.admission.k8s.io/validation_failure"


@pytest.fixture
async def world():
    async with running_world() as found:
        yield found


async def enforce(world: World, actions, notes=(), **spec):
    validations = [{"expression": "true"}, {"expression": "object.metadata.name != 'bad'", "message": "bad name"}]
    spec = {"matchConstraints": {"resourceRules": RULES}, "validations": validations, **spec}
    annotations = [{"key": key, "valueExpression": text} for key, text in notes]
    await world.create(POLICIES, {"metadata": {"name": "p"}, "spec": {**spec, "auditAnnotations": annotations}})
    await world.create(BINDINGS, {"metadata": {"name": "b"}, "spec": {"policyName": "p", "validationActions": actions}})


async def noted(world: World, name="a"):
    found = {}
    with collected(found):
        await world.create("configmaps", {"metadata": {"name": name}})
    return found


async def test_a_breach_is_noted_where_the_binding_says_audit_and_let_through(world):
    await enforce(world, ["Warn", "Audit"])
    assert await noted(world) == {}
    (failure,) = json.loads((await noted(world, "bad"))[FAILURE])
    assert failure == {
        "message": "bad name",
        "policy": "p",
        "binding": "b",
        "expressionIndex": 1,
        "validationActions": ["Audit", "Warn"],
    }


async def test_a_breach_is_not_noted_where_the_binding_only_denies(world):
    await enforce(world, ["Deny"])
    found = {}
    with collected(found), pytest.raises(StatusError):
        await world.create("configmaps", {"metadata": {"name": "bad"}})
    assert found == {}


async def test_what_a_policys_expressions_give_is_noted_under_its_name(world):
    notes = [("name", "'  it is ' + object.metadata.name"), ("null", "null"), ("empty", "'   '")]
    await enforce(world, ["Deny"], [*notes, ("long", "object.metadata.name.replace('a', 'xxxxxxxxxx')")])
    assert await noted(world) == {"p/name": "it is a", "p/long": "xxxxxxxxxx"}


async def test_values_of_several_bindings_are_joined_and_equal_ones_said_once(world):
    await enforce(world, ["Deny"], [("k", "'v'")])
    await world.create(
        BINDINGS, {"metadata": {"name": "c"}, "spec": {"policyName": "p", "validationActions": ["Deny"]}}
    )
    assert await noted(world) == {"p/k": "v"}


@pytest.mark.parametrize("expression", ["string(object.data.nope)", "[7].max()"])
async def test_an_expression_that_fails_refuses_the_write_whatever_the_binding_says(world, expression):
    await enforce(world, ["Audit"], [("k", expression)])
    with pytest.raises(StatusError, match="denied request"):
        await noted(world)


async def test_an_expression_that_fails_may_be_ignored(world):
    await enforce(world, ["Audit"], [("k", "string(object.data.nope)")], failurePolicy="Ignore")
    assert await noted(world) == {}


def hooks(server, *names, **more):
    return [
        {
            "name": name,
            "rules": RULES,
            "clientConfig": server.client_config(f"/{name}"),
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            **more,
        }
        for name in names
    ]


def allowed(review, **more):
    response = {"uid": review["request"]["uid"], "allowed": True, **more}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}


@pytest.fixture
async def server():
    async with WebhookServer().running() as found:
        found.answer = allowed
        yield found


async def test_what_a_webhook_notes_is_noted_under_its_name(world, server):
    server.answer = lambda review: allowed(review, auditAnnotations={"seen": "yes"})
    await world.create(VALIDATING, {"metadata": {"name": "w"}, "webhooks": hooks(server, "hook.example.com")})
    assert await noted(world) == {"hook.example.com/seen": "yes"}


async def test_which_webhooks_were_called_and_which_changed_the_object_is_noted_for_each_round(world, server):
    """``a`` is called again, since ``b`` changed what it saw."""

    def answer(review):
        if server.heads[-1].startswith("POST /b") and not review["request"]["object"].get("data"):
            patch = base64.b64encode(b'[{"op": "add", "path": "/data", "value": {"k": "v"}}]').decode()
            return allowed(review, patch=patch, patchType="JSONPatch")
        return allowed(review)

    server.answer = answer
    webhooks = hooks(server, "a.example.com", "b.example.com", reinvocationPolicy="IfNeeded")
    await world.create(MUTATING, {"metadata": {"name": "w"}, "webhooks": webhooks})
    prefix = "mutation.webhook.admission.k8s.io"
    assert await noted(world) == {
        f"{prefix}/round_0_index_0": '{"configuration":"w","webhook":"a.example.com","mutated":false}',
        f"{prefix}/round_0_index_1": '{"configuration":"w","webhook":"b.example.com","mutated":true}',
        f"{prefix}/round_1_index_0": '{"configuration":"w","webhook":"a.example.com","mutated":false}',
    }


async def test_a_webhook_that_failed_and_was_let_pass_is_noted(world, server):
    server.answer = lambda _review: {}
    for kind, name in ((MUTATING, "m"), (VALIDATING, "v")):
        webhooks = hooks(server, f"{name}.example.com", failurePolicy="Ignore")
        await world.create(kind, {"metadata": {"name": name}, "webhooks": webhooks})
    called = '{"configuration":"m","webhook":"m.example.com","mutated":false}'
    assert await noted(world) == {
        "mutation.webhook.admission.k8s.io/round_0_index_0": called,
        "failed-open.mutation.webhook.admission.k8s.io/round_0_index_0": "m.example.com",
        "failed-open.validating.webhook.admission.k8s.io/round_0_index_0": "v.example.com",
    }
