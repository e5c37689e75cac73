"""Types of ``apiextensions.k8s.io/v1``: CustomResourceDefinition with its whole JSON schema."""

from functools import partial

from kcpcache.registry.builtin.meta import object_type
from kcpcache.registry.builtin.types import ListOf, MapOf, Scalar, Self, package, row

_PREFIX = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1"
_extensions = package(_PREFIX)
_object = partial(object_type, _PREFIX, "apiextensions.k8s.io/v1")
_S, _B, _I32, _I64, _DOUBLE, _JSON = (
    Scalar.STRING,
    Scalar.BOOL,
    Scalar.INT32,
    Scalar.INT64,
    Scalar.DOUBLE,
    Scalar.JSON,
)

VALIDATION_RULE = _extensions(
    "ValidationRule",
    "A CEL rule about the value.",
    row("rule", 1, _S, "CEL expression over self (and oldSelf) that must give true.", required=True),
    row("message", 2, _S, "What to say where it does not."),
    row("messageExpression", 3, _S, "CEL expression that gives the message."),
    row("reason", 4, _S, "FieldValueInvalid, FieldValueForbidden, FieldValueRequired …", pointer=True),
    row("fieldPath", 5, _S, "Path of the field to blame, from the value on."),
    row("optionalOldSelf", 6, _B, "oldSelf is an optional; the rule runs on create too.", pointer=True),
)

EXTERNAL_DOCUMENTATION = _extensions(
    "ExternalDocumentation",
    "Where more is written.",
    row("description", 1, _S, "What is written there."),
    row("url", 2, _S, "Where."),
)

JSON_SCHEMA_PROPS = _extensions(
    "JSONSchemaProps",
    "A JSON schema, as far as OpenAPI v3 and structural schemas go.",
    row("id", 1, _S, "Identifier of the schema."),
    row("$schema", 2, _S, "Dialect of the schema."),
    row("$ref", 3, _S, "Reference; not allowed in structural schemas.", pointer=True),
    row("description", 4, _S, "What the value means."),
    row("type", 5, _S, "JSON type: object, array, string, integer, number or boolean."),
    row("format", 6, _S, "Format of the value; unknown formats are ignored."),
    row("title", 7, _S, "Short name of the value."),
    row("default", 8, _JSON, "Value where none is given.", pointer=True),
    row("maximum", 9, _DOUBLE, "Largest number.", pointer=True),
    row("exclusiveMaximum", 10, _B, "Whether maximum itself is excluded."),
    row("minimum", 11, _DOUBLE, "Smallest number.", pointer=True),
    row("exclusiveMinimum", 12, _B, "Whether minimum itself is excluded."),
    row("maxLength", 13, _I64, "Most characters.", pointer=True),
    row("minLength", 14, _I64, "Fewest characters.", pointer=True),
    row("pattern", 15, _S, "Regular expression that must match somewhere."),
    row("maxItems", 16, _I64, "Most items.", pointer=True),
    row("minItems", 17, _I64, "Fewest items.", pointer=True),
    row("uniqueItems", 18, _B, "Whether items must differ."),
    row("multipleOf", 19, _DOUBLE, "Number of which the value is a multiple.", pointer=True),
    row("enum", 20, ListOf(_JSON), "The allowed values."),
    row("maxProperties", 21, _I64, "Most properties.", pointer=True),
    row("minProperties", 22, _I64, "Fewest properties.", pointer=True),
    row("required", 23, ListOf(_S), "Properties that must be there."),
    row("items", 24, Scalar.SCHEMA_OR_ARRAY, "Schema of the items.", pointer=True),
    row("allOf", 25, ListOf(Self()), "Schemas that must all hold."),
    row("oneOf", 26, ListOf(Self()), "Schemas of which exactly one must hold."),
    row("anyOf", 27, ListOf(Self()), "Schemas of which at least one must hold."),
    row("not", 28, Self(), "Schema that must not hold.", pointer=True),
    row("properties", 29, MapOf(Self()), "Schemas of named properties."),
    row("additionalProperties", 30, Scalar.SCHEMA_OR_BOOL, "Schema of all other properties.", pointer=True),
    row("patternProperties", 31, MapOf(Self()), "Not allowed in structural schemas."),
    row("dependencies", 32, MapOf(Scalar.SCHEMA_OR_STRINGS), "Not allowed in structural schemas."),
    row("additionalItems", 33, Scalar.SCHEMA_OR_BOOL, "Not allowed in structural schemas.", pointer=True),
    row("definitions", 34, MapOf(Self()), "Not allowed in structural schemas."),
    row("externalDocs", 35, EXTERNAL_DOCUMENTATION, "Where more is written.", pointer=True),
    row("example", 36, _JSON, "An example.", pointer=True),
    row("nullable", 37, _B, "Whether null is allowed."),
    row("x-kubernetes-preserve-unknown-fields", 38, _B, "Unknown fields are kept.", pointer=True),
    row("x-kubernetes-embedded-resource", 39, _B, "The value is a Kubernetes object."),
    row("x-kubernetes-int-or-string", 40, _B, "The value is an integer or a string."),
    row("x-kubernetes-list-map-keys", 41, ListOf(_S), "Keys of a list of type map."),
    row("x-kubernetes-list-type", 42, _S, "atomic, set or map.", pointer=True),
    row("x-kubernetes-map-type", 43, _S, "granular or atomic.", pointer=True),
    row(
        "x-kubernetes-validations",
        44,
        ListOf(VALIDATION_RULE),
        "CEL rules about the value.",
        keys=("rule",),
        merge="rule",
    ),
)

SERVICE_REFERENCE = _extensions(
    "ServiceReference",
    "Names a Service.",
    row("namespace", 1, _S, "Namespace of the service.", required=True),
    row("name", 2, _S, "Name of the service.", required=True),
    row("path", 3, _S, "URL path to call.", pointer=True),
    row("port", 4, _I32, "Port to call; 443 by default.", pointer=True),
)

WEBHOOK_CLIENT_CONFIG = _extensions(
    "WebhookClientConfig",
    "Where a webhook is; either url or service.",
    row("url", 3, _S, "https URL.", pointer=True),
    row("service", 1, SERVICE_REFERENCE, "Service of the cluster.", pointer=True),
    row("caBundle", 2, Scalar.BYTES, "CA certificates in PEM, base64."),
)

CUSTOM_RESOURCE_CONVERSION = _extensions(
    "CustomResourceConversion",
    "How objects get from one version to another.",
    row("strategy", 1, _S, "None changes apiVersion only; Webhook asks.", required=True),
    row(
        "webhook",
        2,
        _extensions(
            "WebhookConversion",
            "The conversion webhook.",
            row("clientConfig", 2, WEBHOOK_CLIENT_CONFIG, "Where it is.", pointer=True),
            row("conversionReviewVersions", 3, ListOf(_S), "ConversionReview versions it takes.", required=True),
        ),
        "The webhook of strategy Webhook.",
        pointer=True,
    ),
)

CUSTOM_RESOURCE_SUBRESOURCES = _extensions(
    "CustomResourceSubresources",
    "Subresources of a version.",
    row(
        "status",
        1,
        _extensions("CustomResourceSubresourceStatus", "Switches the status subresource on."),
        "Serve /status.",
        pointer=True,
    ),
    row(
        "scale",
        2,
        _extensions(
            "CustomResourceSubresourceScale",
            "Where the scale is found.",
            row("specReplicasPath", 1, _S, "Path under .spec of the wanted replicas.", required=True),
            row("statusReplicasPath", 2, _S, "Path under .status of the present replicas.", required=True),
            row("labelSelectorPath", 3, _S, "Path of the selector text.", pointer=True),
        ),
        "Serve /scale.",
        pointer=True,
    ),
)

CUSTOM_RESOURCE_COLUMN_DEFINITION = _extensions(
    "CustomResourceColumnDefinition",
    "A column that kubectl get prints.",
    row("name", 1, _S, "Heading.", required=True),
    row("type", 2, _S, "integer, number, string, boolean or date.", required=True),
    row("format", 3, _S, "Format of the value."),
    row("description", 4, _S, "What the column shows."),
    row("priority", 5, _I32, "0 always shows; higher ones show with -o wide."),
    row("jsonPath", 6, _S, "Path of the value within the object.", required=True),
)

CUSTOM_RESOURCE_DEFINITION_VERSION = _extensions(
    "CustomResourceDefinitionVersion",
    "One version of the resource.",
    row("name", 1, _S, "Version, for example v1alpha1.", required=True),
    row("served", 2, _B, "Whether the API serves it.", required=True),
    row("storage", 3, _B, "Whether objects are stored in it; true for exactly one.", required=True),
    row("deprecated", 7, _B, "Requests get a warning."),
    row("deprecationWarning", 8, _S, "Text of that warning.", pointer=True),
    row(
        "schema",
        4,
        _extensions(
            "CustomResourceValidation",
            "Schema of a version.",
            row("openAPIV3Schema", 1, JSON_SCHEMA_PROPS, "The structural schema.", pointer=True),
        ),
        "Schema for validation, pruning and defaults.",
        pointer=True,
    ),
    row("subresources", 5, CUSTOM_RESOURCE_SUBRESOURCES, "Subresources.", pointer=True),
    row(
        "additionalPrinterColumns",
        6,
        ListOf(CUSTOM_RESOURCE_COLUMN_DEFINITION),
        "Columns after the name; by default the age.",
    ),
    row(
        "selectableFields",
        9,
        ListOf(
            _extensions(
                "SelectableField",
                "A field to select by.",
                row("jsonPath", 1, _S, "Path of the field.", required=True),
            )
        ),
        "Fields that field selectors may use.",
    ),
)

CUSTOM_RESOURCE_DEFINITION_NAMES = _extensions(
    "CustomResourceDefinitionNames",
    "Names of the resource.",
    row("plural", 1, _S, "Name in URLs.", required=True),
    row("singular", 2, _S, "Name for one; by default the kind in lower case."),
    row("shortNames", 3, ListOf(_S), "Short names for kubectl."),
    row("kind", 4, _S, "Kind of the objects.", required=True),
    row("listKind", 5, _S, "Kind of lists; by default the kind with List."),
    row("categories", 6, ListOf(_S), "Groupings for kubectl, like all."),
)

CUSTOM_RESOURCE_DEFINITION_CONDITION = _extensions(
    "CustomResourceDefinitionCondition",
    "One aspect of a definition's current state.",
    row("type", 1, _S, "Established, NamesAccepted, Terminating …", required=True),
    row("status", 2, _S, "True, False or Unknown.", required=True),
    row("lastTransitionTime", 3, Scalar.TIME, "When the status last changed."),
    row("reason", 4, _S, "Why, as one CamelCase word."),
    row("message", 5, _S, "Why, for people."),
    row("observedGeneration", 6, _I64, "Generation of the definition that was judged."),
)

CUSTOM_RESOURCE_DEFINITION = _object(
    "CustomResourceDefinition",
    "Adds a resource to the API.",
    row(
        "spec",
        2,
        _extensions(
            "CustomResourceDefinitionSpec",
            "The resource.",
            row("group", 1, _S, "API group.", required=True),
            row("names", 3, CUSTOM_RESOURCE_DEFINITION_NAMES, "Names of the resource.", required=True),
            row("scope", 4, _S, "Cluster or Namespaced.", required=True),
            row("versions", 7, ListOf(CUSTOM_RESOURCE_DEFINITION_VERSION), "Its versions.", required=True),
            row("conversion", 9, CUSTOM_RESOURCE_CONVERSION, "Conversion between versions.", pointer=True),
            row("preserveUnknownFields", 10, _B, "Must be false."),
        ),
        "The resource.",
        required=True,
    ),
    row(
        "status",
        3,
        _extensions(
            "CustomResourceDefinitionStatus",
            "What the server made of it.",
            row(
                "conditions",
                1,
                ListOf(CUSTOM_RESOURCE_DEFINITION_CONDITION),
                "Details of the state.",
                keys=("type",),
            ),
            row("acceptedNames", 2, CUSTOM_RESOURCE_DEFINITION_NAMES, "Names in force."),
            row("storedVersions", 3, ListOf(_S), "Versions in which objects may be stored."),
            row("observedGeneration", 4, _I64, "Generation of the definition that was looked at."),
        ),
        "Current state; set by the server.",
    ),
)
