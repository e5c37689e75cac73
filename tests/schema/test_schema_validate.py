import pytest

from kcpcache.schema.compiled import compile_schema
from kcpcache.schema.validate import compile_validator
from kcpcache.schema.values import ABSENT


def fields(*required, **properties):
    schema = {"type": "object", "properties": properties}
    return schema | {"required": list(required)} if required else schema


def messages(schema, value, old=ABSENT):
    return [error.message for error in compile_validator(schema)(value, old)]


def of_spec(schema, value):
    return messages(fields(spec=schema), {"spec": value})


INTEGER, STRING, NUMBER = {"type": "integer"}, {"type": "string"}, {"type": "number"}

CASES = [
    (INTEGER, "x", ['spec: Invalid value: "string": spec in body must be of type integer: "string"']),
    (INTEGER, 1.5, ['spec: Invalid value: "number": spec in body must be of type integer: "number"']),
    (INTEGER, 1.0, []),
    (INTEGER, 2**63, ['spec: Invalid value: "number": spec in body must be of type integer: "number"']),
    (INTEGER, True, ['spec: Invalid value: "boolean": spec in body must be of type integer: "boolean"']),
    (INTEGER, None, ['spec: Invalid value: "null": spec in body must be of type integer: "null"']),
    (INTEGER | {"nullable": True}, None, []),
    (NUMBER, 1, []),
    (STRING, {}, ['spec: Invalid value: "object": spec in body must be of type string: "object"']),
    (STRING | {"enum": ["basic", "premium"]}, "basic", []),
    (
        STRING | {"enum": ["basic", "premium"]},
        "x",
        ['spec: Unsupported value: "x": supported values: "basic", "premium"'],
    ),
    (INTEGER | {"enum": [1, 2]}, 3, ['spec: Unsupported value: 3: supported values: "1", "2"']),
    (INTEGER | {"enum": [1]}, 1.0, []),
    (STRING | {"maxLength": 3}, "äöü", []),
    (STRING | {"maxLength": 2}, "abc", ["spec: Too long: may not be more than 2 bytes"]),
    (
        STRING | {"minLength": 2},
        "a",
        ['spec: Invalid value: "a": spec in body should be at least 2 chars long'],
    ),
    (STRING | {"pattern": "^a+$"}, "aa", []),
    (STRING | {"pattern": "^a+$"}, "b", ["spec: Invalid value: \"b\": spec in body should match '^a+$'"]),
    (STRING | {"pattern": "a"}, "bab", []),
    (
        INTEGER | {"minimum": 1},
        0,
        ["spec: Invalid value: 0: spec in body should be greater than or equal to 1"],
    ),
    (
        INTEGER | {"minimum": 1, "exclusiveMinimum": True},
        1,
        ["spec: Invalid value: 1: spec in body should be greater than 1"],
    ),
    (
        NUMBER | {"maximum": 1.5},
        2,
        ["spec: Invalid value: 2: spec in body should be less than or equal to 1"],
    ),
    (
        NUMBER | {"maximum": 1.5},
        2.5,
        ["spec: Invalid value: 2.5: spec in body should be less than or equal to 1.5"],
    ),
    (
        INTEGER | {"maximum": 1, "exclusiveMaximum": True},
        1,
        ["spec: Invalid value: 1: spec in body should be less than 1"],
    ),
    (
        NUMBER | {"multipleOf": 0.1},
        0.25,
        ["spec: Invalid value: 0.25: spec in body should be a multiple of 0.1"],
    ),
    (NUMBER | {"multipleOf": 0.1}, 0.3, []),
    (
        {"type": "array", "items": STRING, "maxItems": 1},
        ["a", "b"],
        ["spec: Too many: 2: must have at most 1 items"],
    ),
    (
        {"type": "array", "items": STRING, "minItems": 1},
        [],
        ["spec: Invalid value: 0: spec in body should have at least 1 items"],
    ),
    (
        {"type": "array", "items": STRING},
        ["a", None, 1],
        [
            'spec[1]: Invalid value: "null": spec[1] in body must be of type string: "null"',
            'spec[2]: Invalid value: "integer": spec[2] in body must be of type string: "integer"',
        ],
    ),
    (
        {"type": "object", "additionalProperties": INTEGER},
        {"k": "v"},
        ['spec.k: Invalid value: "string": spec.k in body must be of type integer: "string"'],
    ),
    (
        {"type": "object", "minProperties": 1, "additionalProperties": True},
        {},
        ["spec: Invalid value: 0: spec in body should have at least 1 properties"],
    ),
    (
        {"type": "object", "maxProperties": 1, "additionalProperties": True},
        {"a": 1, "b": 2},
        ["spec: Too many: 2: must have at most 1 items"],
    ),
    (
        {"type": "object", "additionalProperties": False},
        {"a": 1},
        ['spec: Invalid value: "a": spec.a in body is a forbidden property'],
    ),
    (fields("name", name=STRING), {}, ["spec.name: Required value"]),
    ({"x-kubernetes-int-or-string": True}, "50%", []),
    ({"x-kubernetes-int-or-string": True}, 8080, []),
    (
        {"x-kubernetes-int-or-string": True},
        [],
        ['spec: Invalid value: "array": spec in body must be of type integer,string: "array"'],
    ),
    ({"x-kubernetes-preserve-unknown-fields": True}, [{"any": None}], []),
    (STRING | {"format": "uuid"}, "6fc1ca4b-ab52-4b02-9ea0-eeed7b8f3d2a", []),
    (
        STRING | {"format": "uuid"},
        "x",
        ['spec: Invalid value: "x": spec in body must be of type uuid: "x"'],
    ),
    (STRING | {"format": "quantity"}, "anything", []),
    (INTEGER | {"format": "int32"}, 1, []),
    (
        {"type": "object", "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
        {},
        [
            '<nil>: Invalid value: "": "spec" must validate at least one schema (anyOf)',
            "spec.a: Required value",
        ],
    ),
    (
        {"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
        {},
        [
            '<nil>: Invalid value: "": "spec" must validate one and only one schema (oneOf). Found none valid',
            "spec.a: Required value",
        ],
    ),
    (
        {"type": "object", "oneOf": [{"minProperties": 0}, {"maxProperties": 9}]},
        {},
        ['<nil>: Invalid value: "": "spec" must validate one and only one schema (oneOf). Found 2 valid alternatives'],
    ),
    (
        {"type": "object", "allOf": [{"required": ["a"]}, {"maxProperties": 9}]},
        {},
        ["spec.a: Required value", '<nil>: Invalid value: "": "spec" must validate all the schemas (allOf)'],
    ),
    (
        {"type": "object", "not": {"required": ["a"]}},
        {"a": 1},
        ['<nil>: Invalid value: "": "spec" must not validate the schema (not)'],
    ),
    ({"type": "object", "nullable": True, "not": {"maxProperties": 5}}, None, []),
    ({"type": "object", "nullable": True, "not": {"maxProperties": 0}}, {"a": 1}, []),
    ({"type": "string", "nullable": True, "enum": ["a"]}, None, None),
]


@pytest.mark.parametrize(("schema", "value", "expected"), CASES)
def test_errors_read_like_kube_apiservers(schema, value, expected):
    found = of_spec(schema, value)
    if expected is None:
        assert found == ['spec: Unsupported value: null: supported values: "a"']
    else:
        assert found == expected


def test_required_fields_of_the_root_have_no_leading_dot():
    assert messages(fields("spec", spec=STRING), {}) == ["spec: Required value"]


def test_reasons_follow_the_kind_of_error():
    validate = compile_validator(fields("b", a=STRING, c=STRING | {"maxLength": 1}))
    reasons = [error.reason for error in validate({"a": 1, "c": "xx"}, ABSENT)]
    assert reasons == ["FieldValueTypeInvalid", "FieldValueTooLong", "FieldValueRequired"]


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("date-time", "2014-12-15T19:30:20.000Z", "2014-12-15"),
        ("date", "2006-01-02", "2006-13-02"),
        ("duration", "1h30m", "1 fortnight"),
        ("duration", "22 ns", "h"),
        ("byte", "aGFsbG8=", "?"),
        ("ipv4", "10.0.0.1", "10.0.0.256"),
        ("ipv6", "::1", "10.0.0.1"),
        ("cidr", "10.0.0.0/8", "10.0.0.0"),
        ("mac", "01:23:45:67:89:ab", "01:23"),
        ("hostname", "example.com", "-a.com"),
        ("email", "a@example.com", "a"),
        ("uri", "https://example.com/x", "not a uri"),
        ("uuid4", "6fc1ca4b-ab52-4b02-9ea0-eeed7b8f3d2a", "6fc1ca4b-ab52-1b02-9ea0-eeed7b8f3d2a"),
        ("uuid3", "6fa459ea-ee8a-3ca4-894e-db77e160355e", "6fa459ea-ee8a-4ca4-894e-db77e160355e"),
        ("uuid5", "886313e1-3b8a-5372-9b90-0c9aee199e5d", "886313e1-3b8a-5372-1b90-0c9aee199e5d"),
        ("isbn13", "978-0321751041", "0321751043"),
        ("isbn", "978-0321751041", "978-0321751042"),
        ("isbn10", "0321751043", "0321751044"),
        ("creditcard", "4111 1111 1111 1111", "4111 1111 1111 1112"),
        ("ssn", "123-45-6789", "12-345"),
        ("hexcolor", "#FFFFFF", "#GG"),
        ("rgbcolor", "rgb(255,255,255)", "rgb(256,0,0)"),
        ("bsonobjectid", "507f1f77bcf86cd799439011", "507f"),
        ("password", "", None),
    ],
)
def test_formats_are_those_of_kubernetes(name, good, bad):
    schema = STRING | {"format": name}
    assert of_spec(schema, good) == []
    if bad is not None:
        assert of_spec(schema, bad) == [f'spec: Invalid value: "{bad}": spec in body must be of type {name}: "{bad}"']


def test_unchanged_values_are_not_blamed_on_update():
    schema = fields(spec=fields(a=STRING | {"maxLength": 1}, b=STRING | {"maxLength": 1}))
    old = {"spec": {"a": "long"}}
    assert messages(schema, {"spec": {"a": "long", "b": "x"}}, old) == []
    assert messages(schema, {"spec": {"a": "long", "b": "xx"}}, old) == [
        "spec.b: Too long: may not be more than 1 bytes"
    ]
    assert messages(schema, {"spec": {"a": "longer"}}, old) == ["spec.a: Too long: may not be more than 1 bytes"]


def test_true_is_not_an_unchanged_one():
    assert messages(fields(a=INTEGER), {"a": True}, {"a": 1}) != []


def test_a_missing_required_field_is_blamed_when_its_object_changed():
    schema = fields(spec=fields("a", a=STRING, b=STRING))
    assert messages(schema, {"spec": {"b": "x"}}, {"spec": {}}) == ["spec.a: Required value"]
    assert messages(schema, {"spec": {}}, {"spec": {}}) == []


def test_items_of_list_maps_are_unchanged_wherever_they_stand():
    item = fields(name=STRING, value=STRING | {"maxLength": 1})
    schema = fields(
        spec={
            "type": "array",
            "items": item,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
        }
    )
    old = {"spec": [{"name": "a", "value": "long"}]}
    new = {"spec": [{"name": "b", "value": "x"}, {"name": "a", "value": "long"}]}
    assert messages(schema, new, old) == []
    atomic = fields(spec={"type": "array", "items": item})
    assert messages(atomic, new, old) == ["spec[1].value: Too long: may not be more than 1 bytes"]


def list_schema(list_type, items, *keys):
    schema = {"type": "array", "items": items, "x-kubernetes-list-type": list_type}
    return fields(spec=schema | ({"x-kubernetes-list-map-keys": list(keys)} if keys else {}))


LISTS = [
    (list_schema("set", STRING), ["a", "b", "a", "a"], ['spec[2]: Duplicate value: "a"']),
    (list_schema("set", {"x-kubernetes-int-or-string": True}), [1, "1"], []),
    (list_schema("atomic", STRING), ["a", "a"], []),
    (
        list_schema("map", fields(name=STRING), "name"),
        [{"name": "a"}, {"name": "b"}, {"name": "a"}],
        ['spec[2]: Duplicate value: map[string]interface {}{"name":"a"}'],
    ),
    (
        list_schema("map", fields(a=STRING, b=INTEGER), "a", "b"),
        [{"a": "x", "b": 1}, {"a": "x", "b": 2}, {"b": 1, "a": "x"}],
        ['spec[2]: Duplicate value: map[string]interface {}{"a":"x", "b":1}'],
    ),
]


@pytest.mark.parametrize(("schema", "value", "expected"), LISTS)
def test_sets_and_maps_hold_nothing_twice(schema, value, expected):
    assert [error.message for error in compile_schema(schema).validate({"spec": value})] == expected


NUMBERS = {"type": "array", "items": NUMBER}


@pytest.mark.parametrize(
    ("schema", "value", "valid"),
    [
        (list_schema("set", NUMBER), [1, 1.0], True),
        (list_schema("set", NUMBER), [1.0, 1.0], False),
        (list_schema("set", NUMBER), [0.0, -0.0], False),
        (list_schema("set", NUMBER), [2**64, 2.0**64], False),
        (list_schema("set", NUMBERS | {"x-kubernetes-list-type": "atomic"}), [[1], [1.0]], False),
        (list_schema("map", fields(a=NUMBER), "a"), [{"a": 1}, {"a": 1.0}], True),
        (list_schema("map", fields(a=NUMBER, b=NUMBER), "a", "b"), [{"a": 1}, {"a": 1.0}], False),
    ],
)
def test_numbers_in_sets_and_keys_are_told_apart_as_go_tells_them_apart(schema, value, valid):
    """apiextensions-apiserver, schema/listtype: scalars by type and value, all else by its JSON."""
    assert (compile_schema(schema).validate({"spec": value}) == []) is valid


def test_duplicates_that_were_there_before_are_let_through():
    schema = compile_schema(list_schema("set", STRING))
    assert schema.validate({"spec": ["a", "a"]}, {"spec": ["b", "b"]}) == []
    assert schema.validate({"spec": ["a", "a"]}, {"spec": ["b"]}) != []


def test_embedded_resources_say_what_they_are():
    schema = compile_schema(
        fields(spec={"type": "object", "x-kubernetes-embedded-resource": True, "properties": {"a": STRING}})
    )
    assert schema.validate({"spec": {"apiVersion": "v1", "kind": "X"}}) == []
    assert [error.message for error in schema.validate({"spec": {"kind": "X"}})] == [
        "spec.apiVersion: Required value: must not be empty"
    ]


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"apiVersion": "a/b/c"}, "spec.apiVersion"),
        ({"kind": "x y"}, "spec.kind"),
        ({"metadata": []}, "spec.metadata"),
        ({"metadata": {"labels": {"a": 1}}}, "spec.metadata.labels.a"),
        ({"metadata": {"labels": {"a": "b c"}}}, "spec.metadata.labels"),
        ({"metadata": {"annotations": {"a b": ""}}}, "spec.metadata.annotations"),
    ],
)
def test_type_labels_and_annotations_of_embedded_resources_are_checked_like_any(more, path):
    spec = {"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True}
    schema = compile_schema(fields(spec=spec))
    (error,) = schema.validate({"spec": {"apiVersion": "v1", "kind": "X", **more}})
    assert error.path == path


def test_the_number_of_errors_is_bounded():
    schema = fields(spec={"type": "array", "items": {"type": "array", "items": INTEGER}})
    assert len(messages(schema, {"spec": [["x"] * 1000] * 1000})) == 200


@pytest.mark.parametrize(
    ("schema", "value", "valid"),
    [
        (NUMBER | {"minimum": 1.5}, 1, True),
        (NUMBER | {"minimum": 1.5}, 1.0, False),
        (NUMBER | {"minimum": 1.5}, 0, False),
        (NUMBER | {"maximum": -1.5}, -1, True),
        (NUMBER | {"maximum": -1.5}, -1.25, False),
        (NUMBER | {"maximum": 1.5, "exclusiveMaximum": True}, 1, False),
        (NUMBER | {"maximum": 1.5, "exclusiveMaximum": True}, 1.25, True),
        (NUMBER | {"minimum": -1.5, "exclusiveMinimum": True}, -1, False),
        (INTEGER | {"maximum": 2.5}, 2, True),
        (NUMBER | {"multipleOf": 2.5}, 4, True),
        (NUMBER | {"multipleOf": 2.5}, 5, False),
        (NUMBER | {"multipleOf": 2.5}, 7.5, True),
        (NUMBER | {"multipleOf": 0.5}, 1, False),
        (NUMBER | {"not": {"minimum": 1.5}}, 1, False),
        (NUMBER | {"oneOf": [{"minimum": 1.5}, {"maximum": 0}]}, 1, True),
        (fields(a=NUMBER | {"not": {"multipleOf": 0.5}}), {"a": 1.5}, False),
    ],
)
def test_whole_numbers_are_compared_with_limits_that_lost_what_is_behind_the_point(schema, value, valid):
    """kube-openapi, validate/values.go: MinimumNativeType, MaximumNativeType and MultipleOfNativeType."""
    assert (of_spec(schema, value) == []) is valid


@pytest.mark.parametrize(
    ("options", "value", "valid"),
    [
        ([1], 1.0, True),
        ([1], 1.5, True),
        ([2], 1.5, False),
        ([1.0], 1, True),
        ([1.5], 1, False),
        ([1], True, False),
        (["a"], 97, True),
        (["\ufffd"], -1, True),
        ([[1]], [1.0], False),
        ([{"a": 1}], {"a": 1}, True),
        ([None, "a"], None, False),
        ([None], "a", False),
    ],
)
def test_a_value_is_converted_to_the_type_of_an_option_of_an_enum(options, value, valid):
    """kube-openapi, validate/validator.go: basicCommonValidator, which lets no null pass."""
    schema = {"x-kubernetes-preserve-unknown-fields": True, "enum": options}
    assert (of_spec(schema, value) == []) is valid


def test_what_is_converted_to_an_option_is_one_to_not_and_one_of_too():
    for junctors in ({"not": {"enum": [1]}}, {"oneOf": [{"enum": [1]}, {"minimum": 1}]}):
        assert of_spec(NUMBER | junctors, 1.5) != []
        assert of_spec(NUMBER | junctors, 2.5) == []


POSITIVE = "factor MultipleOf declared for spec must be positive:"


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        (STRING | {"maxLength": -1}, "", ["spec: Too long: value is too long"]),
        (STRING | {"minLength": -1}, "", []),
        (fields() | {"maxProperties": -1}, {}, ["spec: Too many: 0: has too many items"]),
        (fields() | {"minProperties": -(2**63)}, {}, []),
        ({"type": "array", "items": STRING, "maxItems": -1}, ["a"], ["spec: Too many: 1: has too many items"]),
        ({"type": "array", "items": STRING, "minItems": -1}, [], []),
        (INTEGER | {"multipleOf": 0}, 0, [f"spec: Invalid value: 0: {POSITIVE} 0"]),
        (INTEGER | {"multipleOf": -2}, 4, [f"spec: Invalid value: -2: {POSITIVE} -2"]),
        (NUMBER | {"multipleOf": -1.5}, 3, [f"spec: Invalid value: -1: {POSITIVE} -1"]),
        (INTEGER | {"maxLength": -1, "maxItems": -1}, 4, []),
        ({"nullable": True, "maxLength": -1} | STRING, None, []),
        (INTEGER | {"not": {"multipleOf": 0}}, 4, []),
        (
            STRING | {"not": {"multipleOf": 0}},
            "x",
            ['<nil>: Invalid value: "": "spec" must not validate the schema (not)'],
        ),
    ],
)
def test_limits_that_make_no_sense_mean_what_they_say(schema, value, expected):
    """Answers of apiextensions-apiserver, which takes such schemas."""
    assert of_spec(schema, value) == expected
