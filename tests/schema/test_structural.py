import pytest

from kcpcache.schema.structural import check_structural

STRING, OBJECT = {"type": "string"}, {"type": "object"}
PATH = "spec.versions[0].schema.openAPIV3Schema"


def root(**properties):
    return {"type": "object", "properties": properties}


def errors(schema, path="s"):
    return [error.message for error in check_structural(schema, path)]


def embedded(**more):
    return {"type": "object", "x-kubernetes-embedded-resource": True, **more}


def listed(list_type, items, **more):
    return {"type": "array", "items": items, "x-kubernetes-list-type": list_type, **more}


def keyed(**item):
    return listed("map", {"type": "object", **item}, **{"x-kubernetes-list-map-keys": ["k"]})


GOOD = {
    "an empty object": OBJECT,
    "restricted names": root(
        metadata={"type": "object", "properties": {"name": STRING | {"maxLength": 9}}},
        kind=STRING,
    ),
    "int-or-string": root(a={"x-kubernetes-int-or-string": True}),
    "int-or-string with the usual anyOf": root(
        a={"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}
    ),
    "int-or-string with the usual anyOf in allOf": root(
        a={
            "x-kubernetes-int-or-string": True,
            "allOf": [{"anyOf": [{"type": "integer"}, {"type": "string"}]}, {"pattern": "^a"}],
        }
    ),
    "preserved without type": root(a={"x-kubernetes-preserve-unknown-fields": True}),
    "junctors over specified fields": {
        **root(a=STRING, b=STRING),
        "oneOf": [{"required": ["a"]}, {"properties": {"b": {"enum": ["x"]}}}],
    },
    "embedded resources": root(a=embedded(**{"x-kubernetes-preserve-unknown-fields": True})),
    "list maps with required keys": root(a=keyed(properties={"k": STRING}, required=["k"])),
    "list maps with default keys": root(a=keyed(properties={"k": STRING | {"default": "x"}})),
    "valid defaults": root(a=STRING | {"default": "x", "enum": ["x"]}),
    "additional properties that are true beside properties": root(
        a={"type": "object", "properties": {"b": STRING}, "additionalProperties": True}
    ),
    "documentation": root(a=STRING | {"description": "d", "title": "t", "example": "e"}),
}


@pytest.mark.parametrize("name", GOOD)
def test_structural_schemas_pass(name):
    assert errors(GOOD[name]) == []


BAD = [
    ({}, ["s.type: Required value: must not be empty at the root"]),
    ({"type": "array", "items": STRING}, ['s.type: Invalid value: "array": must be object at the root']),
    (
        root(a={}),
        ["s.properties[a].type: Required value: must not be empty for specified object fields"],
    ),
    (
        root(a={"type": "array", "items": {}}),
        ["s.properties[a].items.type: Required value: must not be empty for specified array items"],
    ),
    (root(a={"type": "array"}), ["s.properties[a].items: Required value: must be specified"]),
    (
        root(a={"type": "number", "$ref": "#/x"}),
        ["s.properties[a].$ref: Forbidden: $ref is not supported"],
    ),
    (
        {**OBJECT, "definitions": {"a": {}}, "patternProperties": {"a": {}}},
        [
            "s.patternProperties: Forbidden: patternProperties is not supported",
            "s.definitions: Forbidden: definitions is not supported",
        ],
    ),
    (
        {**OBJECT, "additionalProperties": STRING},
        ["s.additionalProperties: Forbidden: must not be used at the root"],
    ),
    (
        root(a={"type": "object", "properties": {"b": STRING}, "additionalProperties": STRING}),
        ["s.properties[a].additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive"],
    ),
    (
        {**root(a=STRING), "anyOf": [{"properties": {"b": {"minLength": 1}}}]},
        ["s.properties[b]: Required value: because it is defined in s.anyOf[0].properties[b]"],
    ),
    (
        {**root(a=STRING), "anyOf": [{"type": "object", "description": "x"}]},
        [
            "s.anyOf[0].description: Forbidden: must be empty to be structural",
            "s.anyOf[0].type: Forbidden: must be empty to be structural",
        ],
    ),
    (
        {**root(a=STRING), "not": {"properties": {"metadata": {}}}},
        [
            "s.not.properties[metadata]: Forbidden: must not be specified in a nested context",
            "s.properties[metadata]: Required value: because it is defined in s.not.properties[metadata]",
        ],
    ),
    (
        {**root(a=STRING), "allOf": [{"x-kubernetes-validations": [{"rule": "true"}]}]},
        ["s.allOf[0].x-kubernetes-validations: Forbidden: must be empty to be structural"],
    ),
    (
        root(metadata={"type": "object", "properties": {"labels": OBJECT}}),
        [
            (
                "s.properties[metadata]: Forbidden: must not specify anything other than name and generateName, "
                "but metadata is implicitly specified"
            )
        ],
    ),
    (
        root(kind={"type": "integer"}),
        ['s.properties[kind].type: Invalid value: "integer": must be string'],
    ),
    (
        root(a={"x-kubernetes-int-or-string": True, "x-kubernetes-preserve-unknown-fields": True}),
        [
            (
                "s.properties[a].x-kubernetes-preserve-unknown-fields: Invalid value: true: "
                "must be false if x-kubernetes-int-or-string is true"
            )
        ],
    ),
    (
        root(a=embedded()),
        [
            (
                "s.properties[a].properties: Required value: must not be empty if x-kubernetes-embedded-resource "
                "is true without x-kubernetes-preserve-unknown-fields"
            )
        ],
    ),
    (
        root(a=STRING | {"pattern": "("}),
        [
            (
                's.properties[a].pattern: Invalid value: "(": must be a valid regular expression, but isn\'t: '
                "error parsing regexp: missing closing ): `(`"
            )
        ],
    ),
    (
        root(a={"type": "text"}),
        [
            (
                's.properties[a].type: Unsupported value: "text": supported values: '
                '"array", "boolean", "integer", "number", "object", "string"'
            )
        ],
    ),
    (
        root(a=STRING | {"x-kubernetes-list-type": "set"}),
        ['s.properties[a].type: Invalid value: "string": must be array if x-kubernetes-list-type is specified'],
    ),
    (
        root(a=listed("bag", STRING)),
        ['s.properties[a].x-kubernetes-list-type: Unsupported value: "bag": supported values: "atomic", "set", "map"'],
    ),
    (
        root(a=listed("set", OBJECT)),
        [
            (
                's.properties[a].items.x-kubernetes-map-type: Invalid value: "null": '
                "must be atomic as item of a list with x-kubernetes-list-type=set"
            )
        ],
    ),
    (
        root(a=listed("map", OBJECT)),
        [
            (
                "s.properties[a].x-kubernetes-list-map-keys: Required value: "
                "must not be empty if x-kubernetes-list-type is map"
            )
        ],
    ),
    (
        root(a=keyed(properties={"k": STRING})),
        [
            (
                "s.properties[a].items.properties[k].default: Required value: this property is in "
                "x-kubernetes-list-map-keys, so it must have a default or be a required property"
            )
        ],
    ),
    (
        root(a=keyed()),
        [
            (
                's.properties[a].x-kubernetes-list-map-keys: Invalid value: []string{"k"}: '
                "entries must all be names of item properties"
            )
        ],
    ),
    (
        root(a=OBJECT | {"x-kubernetes-map-type": "x"}),
        ['s.properties[a].x-kubernetes-map-type: Unsupported value: "x": supported values: "atomic", "granular"'],
    ),
    (
        root(a=OBJECT | {"uniqueItems": True}),
        [
            (
                "s.properties[a].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime "
                "complexity becomes quadratic"
            )
        ],
    ),
    (
        root(a=OBJECT | {"x-kubernetes-preserve-unknown-fields": False}),
        ["s.properties[a].x-kubernetes-preserve-unknown-fields: Invalid value: false: must be true or undefined"],
    ),
    (OBJECT | {"nullable": True}, ["s.nullable: Forbidden: nullable cannot be true at the root"]),
    (
        root(kind=STRING | {"default": "x"}),
        ["s.properties[kind].default: Forbidden: must not be set in top-level kind"],
    ),
    (
        root(a=STRING | {"default": 1}),
        [
            's.properties[a].default: Invalid value: "integer":  in body must be of type string: "integer"',
        ],
    ),
    (
        root(a={"type": "object", "properties": {"b": STRING}, "default": {"c": "x"}}),
        ['s.properties[a].default: Invalid value: map[string]interface {}{"c":"x"}: must not have unknown fields'],
    ),
    (
        root(a={"type": "object", "properties": {"b": STRING}, "default": {"b": 1}}),
        ['s.properties[a].default.b: Invalid value: "integer": b in body must be of type string: "integer"'],
    ),
    (
        root(a=embedded(default={"kind": "X"}, **{"x-kubernetes-preserve-unknown-fields": True})),
        ["s.properties[a].default.apiVersion: Required value: must not be empty"],
    ),
    (
        root(a=STRING | {"default": "x", "x-kubernetes-validations": [{"rule": "self == 'y'", "message": "be y"}]}),
        ['s.properties[a].default: Invalid value: "string": be y'],
    ),
]


@pytest.mark.parametrize(("schema", "expected"), BAD)
def test_what_is_wrong_is_said_in_kubernetes_words(schema, expected):
    assert errors(schema) == expected


RULES = [
    ([{"rule": " "}], ["[0].rule: Required value: rule is not specified"]),
    ([{"rule": "true", "message": " "}], ['[0].message: Invalid value: " ": message must be non-empty if specified']),
    (
        [{"rule": "true &&\ntrue"}],
        ["[0].message: Required value: message must be specified if rule contains line breaks"],
    ),
    (
        [{"rule": "true", "reason": "Because"}],
        [
            (
                '[0].reason: Unsupported value: "Because": supported values: "FieldValueDuplicate", '
                '"FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"'
            )
        ],
    ),
    (
        [{"rule": "true", "fieldPath": ".nothing"}],
        ['[0].fieldPath: Invalid value: ".nothing": fieldPath must be a valid path'],
    ),
    ([{"rule": "true", "fieldPath": ".a"}], []),
    (
        [{"rule": "true", "optionalOldSelf": True}],
        ["[0].optionalOldSelf: Invalid value: true: may not be set if oldSelf is not used in rule"],
    ),
]


@pytest.mark.parametrize(("rules", "expected"), RULES)
def test_rules_are_checked_before_they_are_compiled(rules, expected):
    schema = root(a=STRING) | {"x-kubernetes-validations": rules}
    assert errors(schema) == [f"s.x-kubernetes-validations{text}" for text in expected]


@pytest.mark.parametrize(
    ("rule", "fragment"),
    [
        ({"rule": "self.a +"}, "compilation failed: ERROR: <input>:1:9: Syntax error"),
        ({"rule": "self.nope == 1"}, "compilation failed: ERROR: <input>:1:5: undefined field 'nope'"),
        ({"rule": "unknown(self)"}, "undeclared reference to 'unknown'"),
        ({"rule": "'text'"}, "cel expression must evaluate to a bool"),
        ({"rule": "true", "messageExpression": "1"}, "messageExpression must evaluate to a string"),
        ({"rule": "true) || (true"}, "compilation failed"),
        ({"rule": "x" * 30_000}, "longer than 20000 characters"),
    ],
)
def test_rules_that_cannot_be_compiled_are_refused(rule, fragment):
    found = errors(root(a=STRING) | {"x-kubernetes-validations": [rule]})
    assert len(found) == 1
    assert fragment in found[0]


def test_transition_rules_need_an_old_counterpart():
    item = OBJECT | {"x-kubernetes-validations": [{"rule": "self == oldSelf"}]}
    assert errors(root(a={"type": "array", "items": item})) == [
        (
            's.properties[a].items.x-kubernetes-validations[0].rule: Invalid value: "self == oldSelf": '
            "oldSelf cannot be used on the uncorrelatable portion of the schema within s.properties[a]"
        )
    ]
    assert errors(root(a={"type": "object", "additionalProperties": item})) == []


@pytest.mark.parametrize(
    "schema",
    [
        None,
        [],
        {"type": 1},
        {"properties": []},
        {"properties": {"a": 1}},
        {"required": "a"},
        {"anyOf": {}},
        {"minLength": -1},
        {"minLength": 1.5},
        {"x-kubernetes-validations": [1]},
        {"x-kubernetes-validations": [{"rule": 1}]},
        {"multipleOf": 0},
        {"enum": "a"},
    ],
)
def test_keywords_of_another_type_are_named(schema):
    assert errors(schema) != []


def test_nesting_is_bounded():
    schema = OBJECT
    for _ in range(100):
        schema = root(a=schema)
    (message,) = errors(schema)
    assert "must not be nested deeper than 64 levels" in message


def test_paths_begin_where_the_schema_stands():
    (error,) = check_structural({}, PATH)
    assert error.path == f"{PATH}.type"


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        *(("$ref", value) for value in ("", "#/definitions/x")),
        *(("additionalItems", value) for value in (True, False, {})),
        *(("dependencies", value) for value in ({}, {"a": ["b"]})),
        ("id", "x"),
        ("definitions", {"a": {"type": "string"}}),
        ("patternProperties", {"a": {"type": "string"}}),
    ],
)
def test_keywords_that_are_not_supported_are_refused_also_if_empty(keyword, value):
    path = f"s.properties[a].{keyword}"
    assert errors(root(a=STRING | {keyword: value})) == [f"{path}: Forbidden: {keyword} is not supported"]


def test_what_is_not_supported_hides_whether_the_rest_is_structural():
    untyped = "s.properties[b].type: Required value: must not be empty for specified object fields"
    assert errors(root(a=STRING, b={})) == [untyped]
    assert errors(root(a=STRING | {"id": "x"}, b={})) == ["s.properties[a].id: Forbidden: id is not supported"]
    schema = "http://json-schema.org/draft-07/schema#"
    why = "s: Invalid value: \"\": OpenAPIV3Schema 'schema' is not supported"
    assert errors(root(a=STRING | {"$schema": schema}, b={})) == [why]
    assert errors(root() | {"$schema": schema}) == [why]


@pytest.mark.parametrize(
    "keyword", ["maxLength", "minLength", "maxItems", "minItems", "maxProperties", "minProperties", "multipleOf"]
)
@pytest.mark.parametrize("limit", [-1, 0, -(2**63)])
def test_limits_that_make_no_sense_are_taken(keyword, limit):
    """As Kubernetes does; what they mean for objects is in test_schema_validate.py."""
    assert errors(root(a=STRING | {keyword: limit})) == []


def test_junctors_may_forbid_further_properties_as_they_are():
    """A false there is lost on the way to Kubernetes' structural schema."""
    assert errors(root(a=STRING) | {"oneOf": [{"additionalProperties": False}]}) == []
    for value in (True, {}, STRING):
        (error,) = errors(root(a=STRING) | {"oneOf": [{"additionalProperties": value}]})[:1]
        assert error == "s.oneOf[0].additionalProperties: Forbidden: must be undefined to be structural"
