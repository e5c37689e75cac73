import base64

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kcpcache.registry.builtin.rules import RULES

GROUP = "admissionregistration.k8s.io"
VALIDATING = RULES[GROUP, "validatingwebhookconfigurations"]
MUTATING = RULES[GROUP, "mutatingwebhookconfigurations"]
POLICY = RULES[GROUP, "validatingadmissionpolicies"]
BINDING = RULES[GROUP, "validatingadmissionpolicybindings"]
REQUESTS = RULES["certificates.k8s.io", "certificatesigningrequests"]


def messages(errors):
    return [error.message for error in errors]


def webhook(**changes):
    return {
        "name": "check.example.com",
        "clientConfig": {"url": "https://example.com/check"},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}],
        **changes,
    }


def test_webhooks_get_kubes_defaults():
    configuration = {"webhooks": [webhook(clientConfig={"service": {"name": "s", "namespace": "n"}})]}
    MUTATING.default(configuration)
    (found,) = configuration["webhooks"]
    assert found["failurePolicy"] == "Fail"
    assert found["matchPolicy"] == "Equivalent"
    assert found["timeoutSeconds"] == 10
    assert found["reinvocationPolicy"] == "Never"
    assert found["namespaceSelector"] == found["objectSelector"] == {}
    assert found["rules"][0]["scope"] == "*"
    assert found["clientConfig"]["service"]["port"] == 443
    assert MUTATING.validate(configuration) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"name": ""}, ["webhooks[0].name: Required value"]),
        (
            {"name": "a.b"},
            [
                (
                    'webhooks[0].name: Invalid value: "a.b": '
                    "should be a domain with at least three segments separated by dots"
                )
            ],
        ),
        ({"sideEffects": None}, ["webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun"]),
        (
            {"sideEffects": "Some"},
            ['webhooks[0].sideEffects: Unsupported value: "Some": supported values: "None", "NoneOnDryRun"'],
        ),
        (
            {"timeoutSeconds": 31},
            ["webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds"],
        ),
        (
            {"admissionReviewVersions": []},
            ["webhooks[0].admissionReviewVersions: Required value: must specify one of v1, v1beta1"],
        ),
        (
            {"clientConfig": {}},
            ["webhooks[0].clientConfig: Required value: exactly one of url or service is required"],
        ),
        (
            {"clientConfig": {"service": {"name": "s"}}},
            ["webhooks[0].clientConfig.service.namespace: Required value: service namespace is required"],
        ),
        (
            {"clientConfig": {"url": "https://[x/"}},
            ["webhooks[0].clientConfig.url: Required value: url must be a valid URL"],
        ),
        (
            {"clientConfig": {"url": "https:///x#y"}},
            [
                'webhooks[0].clientConfig.url: Invalid value: "": host must be specified',
                'webhooks[0].clientConfig.url: Invalid value: "y": fragments are not permitted in the URL',
            ],
        ),
        (
            {"admissionReviewVersions": ["v2"]},
            [('webhooks[0].admissionReviewVersions: Invalid value: ["v2"]: must include at least one of v1, v1beta1')],
        ),
        (
            {"matchConditions": [{"name": str(number), "expression": "true"} for number in range(65)]},
            ["webhooks[0].matchConditions: Too many: 65: must have at most 64 items"],
        ),
        (
            {"clientConfig": {"url": "http://example.com/?a=b"}},
            [
                (
                    'webhooks[0].clientConfig.url: Invalid value: "http": '
                    "'https' is the only allowed URL scheme; desired format: https://host[/path]"
                ),
                'webhooks[0].clientConfig.url: Invalid value: "a=b": query parameters are not permitted in the URL',
            ],
        ),
        (
            {
                "rules": [
                    {
                        "operations": ["*", "READ"],
                        "apiGroups": [],
                        "apiVersions": [""],
                        "resources": ["*", "pods"],
                        "scope": "All",
                    }
                ]
            },
            [
                (
                    'webhooks[0].rules[0].operations: Invalid value: ["*","READ"]: '
                    "if '*' is present, must not specify other operations"
                ),
                "webhooks[0].rules[0].apiGroups: Required value",
                (
                    'webhooks[0].rules[0].operations[1]: Unsupported value: "READ": '
                    'supported values: "*", "CONNECT", "CREATE", "DELETE", "UPDATE"'
                ),
                "webhooks[0].rules[0].apiVersions[0]: Required value",
                (
                    'webhooks[0].rules[0].resources: Invalid value: ["*","pods"]: '
                    "if '*' is present, must not specify other resources without subresources"
                ),
                'webhooks[0].rules[0].scope: Unsupported value: "All": supported values: "*", "Cluster", "Namespaced"',
            ],
        ),
        (
            {"matchConditions": [{"name": "a", "expression": " "}, {"name": "a", "expression": "true"}]},
            [
                "webhooks[0].matchConditions[0].expression: Required value",
                'webhooks[0].matchConditions[1].name: Duplicate value: "a"',
            ],
        ),
    ],
)
def test_webhook_mistakes_are_told_in_kubes_words(changes, expected):
    assert messages(VALIDATING.validate({"webhooks": [webhook(**changes)]})) == expected


def test_webhooks_of_one_configuration_have_different_names():
    found = VALIDATING.validate({"webhooks": [webhook(), webhook()]})
    assert messages(found) == ['webhooks[1].name: Duplicate value: "check.example.com"']


def policy(**changes):
    match = {
        "resourceRules": [
            {"operations": ["CREATE"], "apiGroups": ["a"], "apiVersions": ["v1"], "resources": ["b"]},
        ]
    }
    return {"spec": {"matchConstraints": match, "validations": [{"expression": "true"}], **changes}}


def test_policies_get_kubes_defaults():
    found = policy()
    POLICY.default(found)
    assert found["spec"]["failurePolicy"] == "Fail"
    assert found["spec"]["matchConstraints"]["matchPolicy"] == "Equivalent"
    assert found["spec"]["matchConstraints"]["resourceRules"][0]["scope"] == "*"
    assert POLICY.validate(found) == []


def test_policies_judge_something_by_something():
    assert messages(POLICY.validate({"spec": {}})) == [
        "spec.matchConstraints: Required value",
        "spec.validations: Required value: validations or auditAnnotations must contain at least one item",
        "spec.auditAnnotations: Required value: validations or auditAnnotations must contain at least one item",
    ]
    broken = policy(validations=[{}], variables=[{"name": "a"}], paramKind={"kind": "ConfigMap"})
    assert messages(POLICY.validate(broken)) == [
        "spec.paramKind.apiVersion: Required value",
        "spec.variables[0].expression: Required value: expression is not specified",
        "spec.validations[0].expression: Required value: expression is not specified",
    ]


def test_a_policys_notes_have_keys_of_their_own_and_a_size():
    note = {"key": "k", "valueExpression": "'" + "x" * 5119 + "'"}
    found = {"metadata": {"name": "p"}, **policy(auditAnnotations=[note, {"key": "k"}])}
    assert messages(POLICY.validate(found)) == [
        "spec.auditAnnotations[0].valueExpression: Required value: must not exceed 5120 bytes in length",
        "spec.auditAnnotations[1].valueExpression: Required value: valueExpression is not specified",
        'spec.auditAnnotations[1].key: Duplicate value: "k"',
    ]
    many = [{"key": f"k{number}", "valueExpression": "''"} for number in range(21)]
    (error,) = POLICY.validate({"metadata": {"name": "p"}, **policy(auditAnnotations=many)})
    assert error.path == "spec.auditAnnotations"
    assert error.message.endswith("must not have more than 20 auditAnnotations")


def test_bindings_name_a_policy_and_what_follows():
    assert messages(BINDING.validate({})) == [
        "spec.policyName: Required value",
        "spec.validationActions: Required value: at least one validation action is required",
    ]
    spec = {
        "policyName": "p",
        "validationActions": ["Deny", "Warn", "Deny", "Shout"],
        "paramRef": {"name": "a", "selector": {}},
    }
    assert [error.path for error in BINDING.validate({"spec": spec})] == [
        "spec.validationActions[2]",
        "spec.validationActions[3]",
        "spec.validationActions",
        "spec.paramRef.name",
        "spec.paramRef.selector",
        "spec.paramRef.parameterNotFoundAction",
    ]


def test_bindings_need_one_way_to_find_parameters():
    spec = {"policyName": "p", "validationActions": ["Audit"], "paramRef": {"parameterNotFoundAction": "Shrug"}}
    assert messages(BINDING.validate({"spec": spec})) == [
        "spec.paramRef: Required value: one of name or selector must be specified",
        'spec.paramRef.parameterNotFoundAction: Unsupported value: "Shrug": supported values: "Deny", "Allow"',
    ]


@pytest.fixture(scope="module")
def pem():
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "anna")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return base64.b64encode(request.public_bytes(serialization.Encoding.PEM)).decode()


def test_a_signing_request_carries_a_real_request(pem):
    spec = {"request": pem, "signerName": "example.com/signer", "usages": ["client auth"]}
    assert REQUESTS.validate({"spec": spec}) == []
    broken = {"request": "eA==", "signerName": "example/x", "usages": ["client auth", "tea", "tea"]}
    found = REQUESTS.validate({"spec": {**broken, "expirationSeconds": 599}})
    assert [error.path for error in found] == [
        "spec.request",
        "spec.usages[1]",
        "spec.usages[2]",
        "spec.usages[2]",
        "spec.signerName",
        "spec.expirationSeconds",
    ]


def test_a_signing_request_of_a_version_that_is_not_there_is_none(pem):
    request = x509.load_pem_x509_csr(base64.b64decode(pem))
    whole, inner = request.public_bytes(serialization.Encoding.DER), request.tbs_certrequest_bytes
    of_version_9 = whole.replace(inner, inner.replace(b"\x02\x01\x00", b"\x02\x01\x09", 1))
    lines = b"-----BEGIN CERTIFICATE REQUEST-----", base64.b64encode(of_version_9), b"-----END CERTIFICATE REQUEST-----"
    odd = base64.b64encode(b"\n".join(lines)).decode()
    spec = {"request": odd, "signerName": "example.com/signer", "usages": ["client auth"]}
    assert [error.path for error in REQUESTS.validate({"spec": spec})] == ["spec.request"]


def test_a_signing_request_and_decisions_about_it_stay(pem):
    spec = {"request": pem, "signerName": "example.com/signer", "usages": ["client auth"]}
    old = {
        "spec": spec,
        "status": {"conditions": [{"type": "Approved", "status": "True"}], "certificate": "eA=="},
    }
    assert REQUESTS.validate_update(old, old) == []
    assert messages(REQUESTS.validate_update({"spec": spec, "status": {}}, old)) == [
        'status.conditions: Forbidden: updates may not remove a condition of type "Approved"',
        "status.certificate: Forbidden: updates may not modify or remove existing certificate",
    ]
    changed = {**old, "spec": {**spec, "usages": ["server auth"]}}
    assert [error.path for error in REQUESTS.validate_update(changed, old)] == ["spec"]
    REQUESTS.prepare_update(changed, old)
    assert changed == old


def test_a_request_is_approved_or_denied_not_both(pem):
    spec = {"request": pem, "signerName": "example.com/signer", "usages": ["client auth"]}
    conditions = [
        {"type": "Approved", "status": "True"},
        {"type": "Denied", "status": "True"},
        {"type": "Failed", "status": "False"},
        {"type": "Odd", "status": "Perhaps"},
        {"type": "Odd"},
        {"status": "True"},
    ]
    assert messages(REQUESTS.validate({"spec": spec, "status": {"conditions": conditions}})) == [
        'status.conditions[1].type: Invalid value: "Denied": Approved and Denied conditions are mutually exclusive',
        'status.conditions[2].status: Unsupported value: "False": supported values: "True"',
        'status.conditions[3].status: Unsupported value: "Perhaps": supported values: "True", "False", "Unknown"',
        "status.conditions[4].status: Required value",
        'status.conditions[4].type: Duplicate value: "Odd"',
        "status.conditions[5].type: Required value",
    ]


@pytest.mark.parametrize("signer", ["", "example.com", "example.com/", "Example.com/x"])
def test_a_signer_is_a_domain_and_a_path(pem, signer):
    spec = {"request": pem, "signerName": signer, "usages": ["client auth"]}
    assert [error.path for error in REQUESTS.validate({"spec": spec})] == ["spec.signerName"]


def test_review_versions_are_labels_that_stand_once():
    found = messages(VALIDATING.validate({"webhooks": [webhook(admissionReviewVersions=["v1", "v1", "V_"])]}))
    assert found[0] == 'webhooks[0].admissionReviewVersions[1]: Invalid value: "v1": duplicate version'
    assert found[1].startswith('webhooks[0].admissionReviewVersions[2]: Invalid value: "V_": a DNS-1035 label must ')
    assert len(found) == 2
