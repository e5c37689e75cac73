from typing import ClassVar

import pytest
from admission_world import World, crd, running_world

from kcpcache.meta.errors import InvalidError, StatusError
from kcpcache.registry.view import WriteOptions

POLICIES = "validatingadmissionpolicies.v1.admissionregistration.k8s.io"
BINDINGS = "validatingadmissionpolicybindings.v1.admissionregistration.k8s.io"
VALIDATING = "validatingwebhookconfigurations.v1.admissionregistration.k8s.io"
CRDS = "customresourcedefinitions.v1.apiextensions.k8s.io"
CRON_TABS = "crontabs.v1.stable.example.com"


@pytest.fixture
async def world():
    async with running_world() as found:
        yield found


def rules(*resources, operations=("CREATE", "UPDATE"), **more):
    return [
        {
            "operations": list(operations),
            "apiGroups": ["*"],
            "apiVersions": ["*"],
            "resources": list(resources or ("configmaps",)),
            **more,
        }
    ]


def policy(*expressions, name="p", constraints=None, **spec):
    validations = [item if isinstance(item, dict) else {"expression": item} for item in expressions]
    constraints = {"resourceRules": rules(), **(constraints or {})}
    return {
        "metadata": {"name": name},
        "spec": {"matchConstraints": constraints, "validations": validations, **spec},
    }


def binding(name="b", policy_name="p", actions=("Deny",), **spec):
    return {
        "metadata": {"name": name},
        "spec": {"policyName": policy_name, "validationActions": list(actions), **spec},
    }


async def enforce(world: World, obj, *bindings, cluster="alpha"):
    await world.create(POLICIES, obj, cluster=cluster)
    for found in bindings or (binding(),):
        await world.create(BINDINGS, found, cluster=cluster)


def config_map(name="a", **fields):
    return {"metadata": {"name": name}, **fields}


async def refusal(world, *args, **kwargs):
    with pytest.raises(StatusError) as caught:
        await world.create(*args, **kwargs)
    return caught.value.status()


class TestDecisions:
    async def test_a_broken_rule_refuses_in_kubes_words(self, world):
        await enforce(world, policy("object.metadata.name != 'bad'"))
        await world.create("configmaps", config_map("good"))
        status = await refusal(world, "configmaps", config_map("bad"))
        said = (
            "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: "
            "failed expression: object.metadata.name != 'bad'"
        )
        assert status["message"] == f'configmaps "bad" is forbidden: {said}'
        assert (status["code"], status["reason"]) == (422, "Invalid")
        assert status["details"] == {"name": "bad", "kind": "configmaps", "causes": [{"message": said}]}

    async def test_a_policy_without_a_binding_is_not_in_force(self, world):
        await world.create(POLICIES, policy("false"))
        await world.create("configmaps", config_map())

    async def test_policies_of_other_workspaces_do_not_count(self, world):
        await enforce(world, policy("false"), cluster="bravo")
        await world.create("configmaps", config_map())
        await refusal(world, "configmaps", config_map(), cluster="bravo")

    @pytest.mark.parametrize(("reason", "code"), [("Invalid", 422), ("Forbidden", 403), ("RequestEntityTooLarge", 413)])
    async def test_a_rules_reason_is_the_answers(self, world, reason, code):
        await enforce(world, policy({"expression": "false", "reason": reason, "message": "no"}))
        status = await refusal(world, "configmaps", config_map())
        assert (status["code"], status["reason"]) == (code, reason)
        assert status["message"].endswith("denied request: no")

    @pytest.mark.parametrize(
        ("expression", "said"),
        [
            ("'name is ' + object.metadata.name", "name is a"),
            ("''", "fixed"),
            ("'two\\nlines'", "fixed"),
            ("string(object.nope)", "fixed"),
        ],
    )
    async def test_a_message_expression_speaks_unless_it_says_nothing(self, world, expression, said):
        await enforce(world, policy({"expression": "false", "message": "fixed", "messageExpression": expression}))
        assert (await refusal(world, "configmaps", config_map()))["message"].endswith(f"denied request: {said}")

    async def test_warn_warns_and_lets_through(self, world):
        await enforce(world, policy("false"), binding(actions=("Warn", "Audit")))
        options = WriteOptions()
        await world.create("configmaps", config_map(), options=options)
        assert options.warnings == [
            "Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': failed expression: false"
        ]

    async def test_audit_alone_says_nothing(self, world):
        await enforce(world, policy("false"), binding(actions=("Audit",)))
        options = WriteOptions()
        await world.create("configmaps", config_map(), options=options)
        assert options.warnings == []

    @pytest.mark.parametrize("ignored", [False, True])
    async def test_a_rule_that_fails_refuses_unless_failures_are_ignored(self, world, ignored):
        await enforce(world, policy("object.data.x == '1'", failurePolicy="Ignore" if ignored else "Fail"))
        if ignored:
            await world.create("configmaps", config_map())
        else:
            status = await refusal(world, "configmaps", config_map())
            assert "expression 'object.data.x == '1'' resulted in error: no such key: data" in status["message"]

    async def test_an_expression_that_costs_too_much_is_not_evaluated(self, world):
        costly = "object.data.all(a, object.data.all(b, object.data.all(c, object.data[a] + object.data[b] != c)))"
        await enforce(world, policy(costly))
        data = {f"key{i}": "x" * 20 for i in range(400)}
        status = await refusal(world, "configmaps", config_map(data=data))
        assert "running out of cost budget" in status["message"]

    async def test_many_cheap_expressions_may_not_cost_more_together_either(self, world, monkeypatch):
        monkeypatch.setattr("kcpcache.admission.expressions.Budget.__init__.__defaults__", (1500,))
        await enforce(world, policy("true"), *(binding(f"b{i:02}") for i in range(20)))
        status = await refusal(world, "configmaps", config_map())
        assert "running out of cost budget" in status["message"]

    async def test_a_changed_policy_is_in_force_with_the_next_request(self, world):
        await enforce(world, policy("false"))
        await refusal(world, "configmaps", config_map())
        await world.update(POLICIES, policy("true"))
        await world.create("configmaps", config_map())


class TestWhatExpressionsSee:
    async def test_the_object_the_old_one_and_the_request(self, world):
        await world.create("configmaps", config_map(data={"k": "1"}))
        await enforce(
            world,
            policy(
                "request.operation == 'CREATE' ? oldObject == null : oldObject.data.k != object.data.k",
                "request.userInfo.username == 'ann' && 'dev' in request.userInfo.groups",
                "request.resource.resource == 'configmaps' && request.kind.kind == 'ConfigMap'",
                "request.namespace == 'default' && !has(request.subResource) && !request.dryRun",
            ),
        )
        await world.create("configmaps", config_map("b"))
        await world.update("configmaps", config_map(data={"k": "2"}))

    async def test_a_deletion_has_no_object(self, world):
        await world.create("configmaps", config_map())
        constraints = {"resourceRules": rules(operations=["DELETE"])}
        await enforce(world, policy("object == null && oldObject.metadata.name != 'a'", constraints=constraints))
        with pytest.raises(StatusError, match="failed expression"):
            await world.delete("configmaps", "a")

    async def test_the_namespaces_object(self, world):
        await enforce(world, policy("namespaceObject.metadata.labels.team == 'alpha'"))
        await world.create("configmaps", config_map())

    async def test_what_is_in_no_namespace_has_no_namespace_object(self, world):
        constraints = {"resourceRules": rules("namespaces")}
        await enforce(world, policy("namespaceObject == null", constraints=constraints))
        await world.create("namespaces", config_map("extra"))

    async def test_variables_are_computed_when_they_are_used_and_from_one_another(self, world):
        variables = [
            {"name": "size", "expression": "size(object.data)"},
            {"name": "double", "expression": "variables.size * 2"},
            {"name": "unused", "expression": "object.nope"},
        ]
        await enforce(world, policy("variables.double == 2", variables=variables))
        await world.create("configmaps", config_map(data={"a": "b"}))
        await refusal(world, "configmaps", config_map("c", data={}))

    async def test_a_variable_that_fails_fails_its_users_only(self, world):
        variables = [{"name": "bad", "expression": "object.nope"}]
        await enforce(world, policy("true || variables.bad", variables=variables))
        await world.create("configmaps", config_map())
        await world.update(POLICIES, policy("variables.bad == 1", variables=variables))
        status = await refusal(world, "configmaps", config_map("b"))
        assert 'composited variable "bad" fails to evaluate: no such key: nope' in status["message"]

    async def test_the_authorizer_answers_for_the_user_and_for_service_accounts(self, world):
        checks = (
            "authorizer.group('apps').resource('deployments').namespace('default').check('list').allowed()",
            "authorizer.requestResource.check('create').allowed() == false",
            "authorizer.path('/metrics').check('get').reason() == 'because'",
            "authorizer.serviceAccount('default', 'bot').group('').resource('pods').check('get').allowed()",
        )
        asked = []
        answer = world.authorize

        def authorize(attributes):
            asked.append((attributes.user.name, attributes.verb, attributes.cluster))
            return answer(attributes)

        world.chain._last[0]._authorize = authorize
        world.allowed |= {("list", "deployments"), ("get", "pods")}
        await enforce(world, policy(*checks))
        await world.create("configmaps", config_map())
        assert ("system:serviceaccount:default:bot", "get", "alpha") in asked

    async def test_nobody_can_make_a_check_up(self, world):
        await enforce(world, policy("dyn({'text': '{}'}).check('get').allowed()"))
        assert "no such overload" in (await refusal(world, "configmaps", config_map()))["message"]


class TestMatching:
    async def test_excluded_resources_and_names_are_not_judged(self, world):
        constraints = {
            "resourceRules": rules("*"),
            "excludeResourceRules": [
                *rules("secrets"),
                {**rules("configmaps")[0], "resourceNames": ["free"]},
            ],
        }
        await enforce(world, policy("false", constraints=constraints))
        await world.create("secrets", config_map())
        await world.create("configmaps", config_map("free"))
        await refusal(world, "configmaps", config_map("other"))

    async def test_a_binding_narrows_what_its_policy_judges(self, world):
        narrow = {"objectSelector": {"matchLabels": {"strict": "yes"}}}
        await enforce(world, policy("false"), binding(matchResources=narrow))
        await world.create("configmaps", config_map())
        await refusal(world, "configmaps", {"metadata": {"name": "b", "labels": {"strict": "yes"}}})

    async def test_match_conditions_keep_policies_from_judging(self, world):
        conditions = [{"name": "c", "expression": "object.metadata.name == 'judged'"}]
        await enforce(world, policy("false", matchConditions=conditions))
        await world.create("configmaps", config_map())
        await refusal(world, "configmaps", config_map("judged"))

    async def test_a_policy_cannot_lock_the_configurations_of_admission(self, world):
        await enforce(world, policy("false", constraints={"resourceRules": rules("*", operations=["*"])}))
        await world.delete(BINDINGS, "b")
        await world.create("configmaps", config_map())

    async def test_custom_resources_are_judged_in_the_version_that_the_rule_names(self, world):
        await world.given(CRDS, crd())
        constraints = {"resourceRules": rules("crontabs", apiVersions=["v1"])}
        await enforce(world, policy("object.apiVersion == 'stable.example.com/v1'", constraints=constraints))
        await world.create("crontabs.v2.stable.example.com", config_map())
        exact = {**constraints, "matchPolicy": "Exact"}
        await world.update(POLICIES, policy("false", constraints=exact))
        await world.create("crontabs.v2.stable.example.com", config_map("b"))


class TestParameters:
    kind: ClassVar = {"apiVersion": "v1", "kind": "ConfigMap"}

    async def limits(self, world, name="limits", most="1", **meta):
        namespace = meta.pop("namespace", "default")
        obj = {"metadata": {"name": name, "namespace": namespace, **meta}, "data": {"most": most}}
        await world.given("configmaps", obj)

    @staticmethod
    def ref(**fields):
        return {"parameterNotFoundAction": "Deny", **fields}

    async def test_a_named_object_in_the_requests_namespace_carries_them(self, world):
        await self.limits(world)
        expression = policy(
            "size(object.metadata.name) <= int(params.data.most)",
            constraints={"resourceRules": rules("secrets")},
            paramKind=self.kind,
        )
        await enforce(world, expression, binding(paramRef=self.ref(name="limits")))
        await world.create("secrets", config_map("a"))
        await refusal(world, "secrets", config_map("aa"))

    async def test_custom_resources_can_carry_them(self, world):
        await world.given(CRDS, crd())
        await world.create(CRON_TABS, {"metadata": {"name": "limits"}, "spec": {"most": 1}})
        kind = {"apiVersion": "stable.example.com/v2", "kind": "CronTab"}
        obj = policy(
            "params.spec.most == 1 && params.apiVersion == 'stable.example.com/v2' && object.metadata.name != 'bad'",
            paramKind=kind,
        )
        await enforce(world, obj, binding(paramRef=self.ref(name="limits", namespace="default")))
        await world.create("configmaps", config_map("good"))
        await refusal(world, "configmaps", config_map("bad"))

    async def test_a_rule_must_hold_for_every_selected_object(self, world):
        for name, most in (("low", "1"), ("high", "3")):
            await self.limits(world, name, most, labels={"limits": "yes"})
        obj = policy(
            "size(object.metadata.name) <= int(params.data.most)",
            constraints={"resourceRules": rules("secrets")},
            paramKind=self.kind,
        )
        await enforce(world, obj, binding(paramRef=self.ref(selector={"matchLabels": {"limits": "yes"}})))
        await world.create("secrets", config_map("a"))
        await refusal(world, "secrets", config_map("aa"))

    async def test_missing_ones_deny_or_allow_as_the_binding_says(self, world):
        obj = policy("params.data.x == 'y'", constraints={"resourceRules": rules("secrets")}, paramKind=self.kind)
        await enforce(world, obj, binding(paramRef=self.ref(name="none")))
        said = "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"
        assert (await refusal(world, "secrets", config_map()))["message"].endswith(f"denied request: {said}")
        allow = binding(paramRef={"name": "none", "parameterNotFoundAction": "Allow"})
        await world.update(BINDINGS, allow)
        await world.create("secrets", config_map())

    async def test_objects_of_other_workspaces_are_not_found(self, world):
        await world.given("configmaps", {"metadata": {"name": "limits", "namespace": "default"}}, cluster="bravo")
        obj = policy("true", constraints={"resourceRules": rules("secrets")}, paramKind=self.kind)
        await enforce(world, obj, binding(paramRef=self.ref(name="limits")))
        assert "no params found" in (await refusal(world, "secrets", config_map()))["message"]

    async def test_a_kind_that_is_not_served_denies(self, world):
        kind = {"apiVersion": "rules.example.com/v1", "kind": "Limit"}
        await enforce(world, policy("true", paramKind=kind), binding(paramRef=self.ref(name="x")))
        said = (await refusal(world, "configmaps", config_map()))["message"]
        assert said.endswith("failed to find resource referenced by paramKind: 'rules.example.com/v1, Kind=Limit'")

    async def test_objects_in_no_namespace_need_the_parameters_namespace(self, world):
        await self.limits(world)
        constraints = {"resourceRules": rules("namespaces")}
        obj = policy("object.metadata.name != 'bad'", constraints=constraints, paramKind=self.kind)
        await enforce(world, obj, binding(paramRef=self.ref(name="limits")))
        assert "cannot use namespaced paramRef" in (await refusal(world, "namespaces", config_map("x")))["message"]
        await world.update(BINDINGS, binding(paramRef=self.ref(name="limits", namespace="default")))
        await world.create("namespaces", config_map("x"))


class TestExpressionsThatAreStored:
    @pytest.mark.parametrize(
        ("obj", "field", "why"),
        [
            (policy("object.x =="), "spec.validations[0].expression", "compilation failed: ERROR: <input>:1:12"),
            (policy("nobody == 1"), "spec.validations[0].expression", "undeclared reference to 'nobody'"),
            (policy("params == 1"), "spec.validations[0].expression", "undeclared reference to 'params'"),
            (policy("'text'"), "spec.validations[0].expression", "must evaluate to bool"),
            (policy("variables.none"), "spec.validations[0].expression", "undeclared reference to 'variables'"),
            (
                policy("variables.none", variables=[{"name": "some", "expression": "1"}]),
                "spec.validations[0].expression",
                "compilation failed: ERROR: <input>:1:10: undefined field 'none'\n | variables.none\n | .........^",
            ),
            (
                policy({"expression": "true", "messageExpression": "1"}),
                "spec.validations[0].messageExpression",
                "must evaluate to string",
            ),
            (
                policy({"expression": "true", "reason": "Unauthorized"}),
                "spec.validations[0].reason",
                'Unsupported value: "Unauthorized": supported values: "Forbidden", "Invalid", "RequestEntityTooLarge"',
            ),
            (policy({"expression": "true", "reason": "Tired"}), "spec.validations[0].reason", "Unsupported value"),
            (policy("object.x"), "spec.validations[0].expression", "must evaluate to bool but got dyn"),
            (policy("[object.x]"), "spec.validations[0].expression", "must evaluate to bool but got list(dyn)"),
            (policy("request.name"), "spec.validations[0].expression", "must evaluate to bool but got string"),
            (
                policy("variables.n", variables=[{"name": "n", "expression": "{'a': [1]}"}]),
                "spec.validations[0].expression",
                "must evaluate to bool but got map(string, list(int))",
            ),
            (
                policy("variables.n + 'x' == ''", variables=[{"name": "n", "expression": "1"}]),
                "spec.validations[0].expression",
                "found no matching overload for '_+_' applied to '(int, string)'",
            ),
            (
                policy({"expression": "true", "messageExpression": "object.metadata.name"}),
                "spec.validations[0].messageExpression",
                "must evaluate to string but got dyn",
            ),
            (
                policy({"expression": "true", "messageExpression": "string(authorizer == null)"}),
                "spec.validations[0].messageExpression",
                "undeclared reference to 'authorizer'",
            ),
            (
                policy({"expression": "true", "message": "a\nb"}),
                "spec.validations[0].message",
                "message must not contain line breaks",
            ),
            (
                policy({"expression": "true", "message": " "}),
                "spec.validations[0].message",
                "message must be non-empty if specified",
            ),
            (
                policy({"expression": "true", "messageExpression": " "}),
                "spec.validations[0].messageExpression",
                "must be non-empty if specified",
            ),
            (
                policy("true", auditAnnotations=[{"key": "k", "valueExpression": "object.x"}]),
                "spec.auditAnnotations[0].valueExpression",
                "must evaluate to one of [string null_type] but got dyn",
            ),
            (
                policy("true", auditAnnotations=[{"key": "k k", "valueExpression": "''"}]),
                "spec.auditAnnotations[0].key",
                "name part must consist of alphanumeric characters",
            ),
            (
                policy("true", variables=[{"name": "if", "expression": "1"}]),
                "spec.variables[0].name",
                "not a valid CEL identifier",
            ),
            (
                policy("true", variables=[{"name": "a", "expression": "nobody"}]),
                "spec.variables[0].expression",
                "undeclared reference to 'nobody'",
            ),
            (
                policy("true", matchConditions=[{"name": "c", "expression": " object.x "}]),
                "spec.matchConditions[0].expression",
                'Invalid value: "object.x": must evaluate to bool but got dyn',
            ),
            (
                policy(
                    "variables.a",
                    variables=[{"name": "a", "expression": "true"}],
                    matchConditions=[{"name": "c", "expression": "variables.a"}],
                ),
                "spec.matchConditions[0].expression",
                "undeclared reference to 'variables'",
            ),
            (
                policy("true", auditAnnotations=[{"key": "k", "valueExpression": "1"}]),
                "spec.auditAnnotations[0].valueExpression",
                "must evaluate to one of [string null_type]",
            ),
            (
                policy("true", variables=[{"name": "a b", "expression": "1"}]),
                "spec.variables[0].name",
                "not a valid CEL identifier",
            ),
            (
                policy("true", matchConditions=[{"name": "c", "expression": "x"}]),
                "spec.matchConditions[0].expression",
                "undeclared reference to 'x'",
            ),
        ],
    )
    async def test_a_policy_with_one_that_cannot_be_compiled_is_refused(self, world, obj, field, why):
        with pytest.raises(InvalidError) as caught:
            await world.create(POLICIES, obj)
        (cause,) = caught.value.causes
        assert cause.field == field
        assert why in cause.message

    @pytest.mark.parametrize(
        "expression",
        [
            "request.dryRun",
            "has(request.subResource) || !has(variables.yes) || !has(namespaceObject.metadata.labels.x)",
            "variables.yes",
            "variables.names.exists(name, name == request.userInfo.username)",
            "variables.unknown",
            "true ? variables.yes : has(object.x)",
            "object.?x.hasValue() && namespaceObject.metadata.labels['a'] == 'b'",
        ],
    )
    async def test_the_fields_of_requests_and_namespaces_and_variables_have_types(self, world, expression):
        """BuildRequestType, BuildNamespaceType and CompositionEnv.AddField of kube-apiserver 1.33.5."""
        texts = {"yes": "request.dryRun == false", "names": "['a']", "unknown": "[true].max()", "more": "variables.yes"}
        variables = [{"name": name, "expression": text} for name, text in texts.items()]
        await world.create(POLICIES, policy(expression, variables=variables))

    async def test_all_that_is_wrong_with_a_policy_is_said_in_kubes_order(self, world):
        """Keys that lists lack hide nothing, nor does a value that is not supported."""
        broken = policy(
            {"expression": "1", "messageExpression": "1", "reason": "Unauthorized"},
            failurePolicy="Perhaps",
            matchConditions=[{"expression": "1"}, *({"name": "a", "expression": "true"} for _ in range(2))],
            variables=[{"expression": "1"}, {"name": "in", "expression": "nobody"}],
            auditAnnotations=[{"key": "k", "valueExpression": "1"}, {"key": "k", "valueExpression": "''"}],
        )
        with pytest.raises(InvalidError) as caught:
            await world.create(POLICIES, broken)
        assert [(cause.field, cause.message.split(": ")[0]) for cause in caught.value.causes] == [
            ("spec.failurePolicy", "Unsupported value"),
            ("spec.matchConditions[0].expression", "Invalid value"),
            ("spec.matchConditions[0].name", "Required value"),
            ("spec.matchConditions[2].name", "Duplicate value"),
            ("spec.variables[0].name", "Required value"),
            ("spec.variables[1].name", "Invalid value"),
            ("spec.variables[1].expression", "Invalid value"),
            ("spec.validations[0].expression", "Invalid value"),
            ("spec.validations[0].messageExpression", "Invalid value"),
            ("spec.validations[0].reason", "Unsupported value"),
            ("spec.auditAnnotations[0].valueExpression", "Invalid value"),
            ("spec.auditAnnotations[1].key", "Duplicate value"),
        ]
        await world.create(POLICIES, policy("true"))
        broken["metadata"]["name"] = "p"
        with pytest.raises(InvalidError) as again:
            await world.update(POLICIES, broken)
        assert again.value.causes == caught.value.causes

    async def test_a_variable_may_be_there_twice_and_the_last_one_counts(self, world):
        twice = [{"name": "a", "expression": text} for text in ("1", "object.metadata.name == 'good'")]
        await enforce(world, policy("variables.a", variables=twice))
        await world.create("configmaps", config_map("good"))
        await refusal(world, "configmaps", config_map("bad"))

    async def test_all_that_is_wrong_with_webhooks_is_said_in_kubes_order(self, world):
        one = {
            "name": "a.example.com",
            "clientConfig": {},
            "sideEffects": "Some",
            "admissionReviewVersions": ["v2"],
            "matchConditions": [{"name": "c", "expression": "1"}, {"expression": "true"}],
        }
        with pytest.raises(InvalidError) as caught:
            await world.create(VALIDATING, {"metadata": {"name": "a"}, "webhooks": [one, one, {}]})
        said = [cause.field.removeprefix("webhooks") for cause in caught.value.causes]
        each = [
            *("sideEffects", "clientConfig", "matchConditions[0].expression", "matchConditions[1].name"),
            "admissionReviewVersions",
        ]
        assert said == [
            *(f"[0].{name}" for name in each),
            *(f"[1].{name}" for name in (*each, "name")),
            *(f"[2].{name}" for name in ("name", "sideEffects", "clientConfig", "admissionReviewVersions")),
        ]

    async def test_match_conditions_of_webhooks_have_neither_parameters_nor_variables(self, world):
        webhook = {
            "name": "a.example.com",
            "clientConfig": {"url": "https://localhost/"},
            "rules": [],
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "matchConditions": [{"name": "c", "expression": "variables.x && params.y && namespaceObject == null"}],
        }
        with pytest.raises(InvalidError, match=r"webhooks\[0\].matchConditions\[0\].expression"):
            await world.create(VALIDATING, {"metadata": {"name": "a"}, "webhooks": [webhook]})
