"""Types of ``admissionregistration.k8s.io/v1``: webhooks and policies that judge requests."""

from functools import partial

from kcpcache.registry.builtin.meta import CONDITION, LABEL_SELECTOR, object_type
from kcpcache.registry.builtin.types import Field, ListOf, Scalar, package, row

_admission = package("io.k8s.api.admissionregistration.v1")
_object = partial(object_type, "io.k8s.api.admissionregistration.v1", "admissionregistration.k8s.io/v1")
_S, _I32 = Scalar.STRING, Scalar.INT32
_FAILURE_POLICY = "What follows from errors: Fail refuses, Ignore admits."
_MATCH_POLICY = "Exact, or Equivalent to match other versions of the same resource too."

SERVICE_REFERENCE = _admission(
    "ServiceReference",
    "Names a Service.",
    row("namespace", 1, _S, "Namespace of the service.", required=True),
    row("name", 2, _S, "Name of the service.", required=True),
    row("path", 3, _S, "URL path to call.", pointer=True),
    row("port", 4, _I32, "Port to call; 443 by default.", pointer=True),
)

WEBHOOK_CLIENT_CONFIG = _admission(
    "WebhookClientConfig",
    "Where a webhook is; either url or service.",
    row("url", 3, _S, "https URL.", pointer=True),
    row("service", 1, SERVICE_REFERENCE, "Service of the cluster.", pointer=True),
    row("caBundle", 2, Scalar.BYTES, "CA certificates in PEM, base64."),
)

_RULE_FIELDS = (
    row("apiGroups", 1, ListOf(_S), "Groups; '*' means all."),
    row("apiVersions", 2, ListOf(_S), "Versions; '*' means all."),
    row("resources", 3, ListOf(_S), "Resources, as 'name' or 'name/subresource'; '*' and '*/*' mean all."),
    row(
        "scope",
        4,
        _S,
        "Cluster, Namespaced or '*'.",
        pointer=True,
        enum=("*", "Cluster", "Namespaced"),
    ),
)

_RULE = _admission("Rule", "Which resources.", *_RULE_FIELDS)
_OPERATIONS = row("operations", 1, ListOf(_S), "CREATE, UPDATE, DELETE, CONNECT or '*'.")

RULE_WITH_OPERATIONS = _admission(
    "RuleWithOperations",
    "Which operations on which resources.",
    _OPERATIONS,
    row("rule", 2, _RULE, "Which resources.", inline=True),
)

NAMED_RULE_WITH_OPERATIONS = _admission(
    "NamedRuleWithOperations",
    "Which operations on which resources and names.",
    row("resourceNames", 1, ListOf(_S), "Only these names; empty means all."),
    row("ruleWithOperations", 2, RULE_WITH_OPERATIONS, "Which operations and resources.", inline=True),
    map_type="atomic",
)

MATCH_CONDITION = _admission(
    "MatchCondition",
    "A CEL condition that a request must meet to be judged.",
    row("name", 1, _S, "Name of the condition, for logs.", required=True),
    row("expression", 2, _S, "CEL expression that gives a bool.", required=True),
)


def _match_conditions(number: int) -> Field:
    return row(
        "matchConditions",
        number,
        ListOf(MATCH_CONDITION),
        "Conditions that must all hold; at most 64.",
        keys=("name",),
        merge="name",
    )


def _webhook_fields(object_selector: int, *more: Field) -> tuple[Field, ...]:
    return (
        row("name", 1, _S, "Name of the webhook, a full domain name.", required=True),
        row("clientConfig", 2, WEBHOOK_CLIENT_CONFIG, "Where it is.", required=True),
        row("rules", 3, ListOf(RULE_WITH_OPERATIONS), "Requests that it is called for."),
        row("failurePolicy", 4, _S, _FAILURE_POLICY, pointer=True, enum=("Fail", "Ignore")),
        row("matchPolicy", 9, _S, _MATCH_POLICY, pointer=True, enum=("Equivalent", "Exact")),
        row("namespaceSelector", 5, LABEL_SELECTOR, "Only objects in such namespaces.", pointer=True),
        row("objectSelector", object_selector, LABEL_SELECTOR, "Only such objects.", pointer=True),
        row("sideEffects", 6, _S, "None or NoneOnDryRun.", required=True),
        row("timeoutSeconds", 7, _I32, "Seconds to wait for an answer, 1 to 30.", pointer=True),
        row("admissionReviewVersions", 8, ListOf(_S), "AdmissionReview versions it takes.", required=True),
        *more,
    )


VALIDATING_WEBHOOK = _admission(
    "ValidatingWebhook",
    "A webhook that admits or refuses.",
    *_webhook_fields(10, _match_conditions(11)),
)

MUTATING_WEBHOOK = _admission(
    "MutatingWebhook",
    "A webhook that may change the object.",
    *_webhook_fields(
        11,
        row(
            "reinvocationPolicy",
            10,
            _S,
            "Whether it is called again when later webhooks change the object: Never or IfNeeded.",
            pointer=True,
            enum=("IfNeeded", "Never"),
        ),
        _match_conditions(12),
    ),
)

VALIDATING_WEBHOOK_CONFIGURATION = _object(
    "ValidatingWebhookConfiguration",
    "Webhooks that admit or refuse.",
    row("webhooks", 2, ListOf(VALIDATING_WEBHOOK), "The webhooks.", keys=("name",), merge="name"),
)

MUTATING_WEBHOOK_CONFIGURATION = _object(
    "MutatingWebhookConfiguration",
    "Webhooks that may change objects.",
    row("webhooks", 2, ListOf(MUTATING_WEBHOOK), "The webhooks.", keys=("name",), merge="name"),
)

MATCH_RESOURCES = _admission(
    "MatchResources",
    "Which requests a policy judges.",
    row("namespaceSelector", 1, LABEL_SELECTOR, "Only objects in such namespaces.", pointer=True),
    row("objectSelector", 2, LABEL_SELECTOR, "Only such objects.", pointer=True),
    row("resourceRules", 3, ListOf(NAMED_RULE_WITH_OPERATIONS), "Requests that are judged."),
    row("excludeResourceRules", 4, ListOf(NAMED_RULE_WITH_OPERATIONS), "Requests that are not, all the same."),
    row("matchPolicy", 7, _S, _MATCH_POLICY, pointer=True, enum=("Equivalent", "Exact")),
    map_type="atomic",
)

PARAM_KIND = _admission(
    "ParamKind",
    "Kind of the objects that carry a policy's parameters.",
    row("apiVersion", 1, _S, "API version, as group/version."),
    row("kind", 2, _S, "Kind."),
    map_type="atomic",
)

PARAM_REF = _admission(
    "ParamRef",
    "Names the parameters of a binding; either by name or by selector.",
    row("name", 1, _S, "Name of the parameter object."),
    row("namespace", 2, _S, "Its namespace; by default that of the object judged."),
    row("selector", 3, LABEL_SELECTOR, "Selects parameter objects.", pointer=True),
    row("parameterNotFoundAction", 4, _S, "Allow or Deny when there are none.", pointer=True),
    map_type="atomic",
)

VALIDATION = _admission(
    "Validation",
    "A CEL rule.",
    row("expression", 1, _S, "CEL expression that must give true.", required=True),
    row("message", 2, _S, "What to say where it does not."),
    row("reason", 3, _S, "Reason of the refusal: Unauthorized, Forbidden, Invalid …", pointer=True),
    row("messageExpression", 4, _S, "CEL expression that gives the message."),
)

AUDIT_ANNOTATION = _admission(
    "AuditAnnotation",
    "A note for the audit log.",
    row("key", 1, _S, "Last part of the annotation's key.", required=True),
    row("valueExpression", 2, _S, "CEL expression that gives the value; null leaves it out.", required=True),
)

VARIABLE = _admission(
    "Variable",
    "A named part of expressions.",
    row("name", 1, _S, "Name, used as variables.<name>.", required=True),
    row("expression", 2, _S, "CEL expression that gives the value.", required=True),
    map_type="atomic",
)

EXPRESSION_WARNING = _admission(
    "ExpressionWarning",
    "Something odd about an expression.",
    row("fieldRef", 2, _S, "Path of the expression.", required=True),
    row("warning", 3, _S, "What is odd.", required=True),
)

VALIDATING_ADMISSION_POLICY = _object(
    "ValidatingAdmissionPolicy",
    "CEL rules that admit or refuse; in force where a binding says so.",
    row(
        "spec",
        2,
        _admission(
            "ValidatingAdmissionPolicySpec",
            "The rules.",
            row("paramKind", 1, PARAM_KIND, "Kind of the parameters, if any.", pointer=True),
            row("matchConstraints", 2, MATCH_RESOURCES, "Requests that are judged.", pointer=True),
            row("validations", 3, ListOf(VALIDATION), "Rules that must all hold."),
            row("failurePolicy", 4, _S, _FAILURE_POLICY, pointer=True, enum=("Fail", "Ignore")),
            row("auditAnnotations", 5, ListOf(AUDIT_ANNOTATION), "Notes for the audit log."),
            _match_conditions(6),
            row("variables", 7, ListOf(VARIABLE), "Named parts.", keys=("name",), merge="name"),
        ),
        "The rules.",
    ),
    row(
        "status",
        3,
        _admission(
            "ValidatingAdmissionPolicyStatus",
            "What the server found in the rules.",
            row("observedGeneration", 1, Scalar.INT64, "Generation of the policy that was looked at."),
            row(
                "typeChecking",
                2,
                _admission(
                    "TypeChecking",
                    "Results of type checking.",
                    row("expressionWarnings", 1, ListOf(EXPRESSION_WARNING), "Warnings."),
                ),
                "Results of type checking.",
                pointer=True,
            ),
            row("conditions", 3, ListOf(CONDITION), "Details of the state.", keys=("type",)),
        ),
        "Current state; set by the server.",
    ),
)

VALIDATING_ADMISSION_POLICY_BINDING = _object(
    "ValidatingAdmissionPolicyBinding",
    "Puts a policy in force.",
    row(
        "spec",
        2,
        _admission(
            "ValidatingAdmissionPolicyBindingSpec",
            "Which policy, where and how.",
            row("policyName", 1, _S, "Name of the policy."),
            row("paramRef", 2, PARAM_REF, "Parameters for it.", pointer=True),
            row("matchResources", 3, MATCH_RESOURCES, "Narrows the requests judged.", pointer=True),
            row("validationActions", 4, ListOf(_S), "What a breach leads to: Deny, Warn, Audit.", list_type="set"),
        ),
        "Which policy, where and how.",
    ),
)
