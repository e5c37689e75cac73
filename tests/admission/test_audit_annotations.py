"""What policies and webhooks have to say to the audit log."""

import json

import pytest
from admission_world import World, running_world
from webhook_server import WebhookServer

from kcpcache.meta.audit_annotations import collected
from kcpcache.meta.errors import StatusError

POLICIES = "validatingadmissionpolicies.v1.admissionregistration.k8s.io"
BINDINGS = "validatingadmissionpolicybindings.v1.admissionregistration.k8s.io"
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


@pytest.mark.parametrize("expression", ["object.data.nope", "dyn(7)"])
async def test_an_expression_that_fails_refuses_the_write_whatever_the_binding_says(world, expression):
    await enforce(world, ["Audit"], [("k", expression)])
    with pytest.raises(StatusError, match="denied request"):
        await noted(world)


async def test_an_expression_that_fails_may_be_ignored(world):
    await enforce(world, ["Audit"], [("k", "object.data.nope")], failurePolicy="Ignore")
    assert await noted(world) == {}


async def test_what_a_webhook_notes_is_noted_under_its_name(world):
    async with WebhookServer().running() as server:
        server.answer = lambda review: {
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "response": {"uid": review["request"]["uid"], "allowed": True, "auditAnnotations": {"seen": "yes"}},
        }
        hook = {
            "name": "hook.example.com",
            "rules": RULES,
            "clientConfig": server.client_config(),
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }
        await world.create(VALIDATING, {"metadata": {"name": "w"}, "webhooks": [hook]})
        assert await noted(world) == {"hook.example.com/seen": "yes"}
