"""What Kubernetes refuses of a schema's keywords, one by one; the most common of them are in test_structural.py."""

import pytest

from kcpcache.schema.structural import check_structural

STRING, INTEGER, OBJECT = {"type": "string"}, {"type": "integer"}, {"type": "object"}
PRESERVE = {"x-kubernetes-preserve-unknown-fields": True}
EMBEDDED = {"type": "object", "x-kubernetes-embedded-resource": True}
INT_OR_STRING = {"x-kubernetes-int-or-string": True}
NULLABLE = {"nullable": True}
AT = "s.properties[a]"


def root(**properties):
    return {"type": "object", "properties": properties}


def errors(schema):
    return [error.message for error in check_structural(schema, "s")]


def listed(list_type, items, *keys, **more):
    schema = {"type": "array", "items": items, "x-kubernetes-list-type": list_type, **more}
    return schema | ({"x-kubernetes-list-map-keys": list(keys)} if keys else {})


def mapped(values):
    return {"type": "object", "additionalProperties": values}


# Junctors


@pytest.mark.parametrize("junctor", ["allOf", "anyOf", "oneOf", "not"])
@pytest.mark.parametrize(
    ("keyword", "value", "why"),
    [
        ("type", "string", "must be empty to be structural"),
        ("title", "t", "must be empty to be structural"),
        ("description", "d", "must be empty to be structural"),
        ("default", "x", "must be undefined to be structural"),
        ("additionalProperties", STRING, "must be undefined to be structural"),
        ("nullable", True, "must be false to be structural"),
        ("x-kubernetes-preserve-unknown-fields", True, "must be false to be structural"),
        ("x-kubernetes-embedded-resource", True, "must be false to be structural"),
        ("x-kubernetes-int-or-string", True, "must be false to be structural"),
        ("x-kubernetes-list-map-keys", ["k"], "must be empty to be structural"),
        ("x-kubernetes-list-type", "atomic", "must be undefined to be structural"),
        ("x-kubernetes-map-type", "atomic", "must be undefined to be structural"),
        ("x-kubernetes-validations", [{"rule": "true"}], "must be empty to be structural"),
    ],
)
def test_junctors_validate_and_do_nothing_else(junctor, keyword, value, why):
    branch = {"properties": {"a": {keyword: value}}}
    place = junctor if junctor == "not" else f"{junctor}[0]"
    found = errors(root(a=STRING) | {junctor: branch if junctor == "not" else [branch]})
    assert f"s.{place}.properties[a].{keyword}: Forbidden: {why}" in found


@pytest.mark.parametrize(
    ("junctor", "place"),
    [
        ({"allOf": [{}, {"title": "t"}]}, "allOf[1]"),
        ({"allOf": [{"allOf": [{"title": "t"}]}]}, "allOf[0].allOf[0]"),
        ({"anyOf": [{"oneOf": [{"title": "t"}]}]}, "anyOf[0].oneOf[0]"),
        ({"not": {"not": {"title": "t"}}}, "not.not"),
        ({"oneOf": [{"items": {"title": "t"}}]}, "oneOf[0].items"),
        ({"allOf": [{"items": {"not": {"title": "t"}}}]}, "allOf[0].items.not"),
    ],
)
def test_junctors_are_followed_to_any_depth(junctor, place):
    schema = root(a={"type": "array", "items": STRING} | junctor)
    assert errors(schema) == [f"{AT}.{place}.title: Forbidden: must be empty to be structural"]


def test_the_two_spellings_of_int_or_string_are_the_only_types_in_junctors():
    either = [{"type": "integer"}, {"type": "string"}]
    assert errors(root(a=INT_OR_STRING | {"allOf": [{"pattern": "a"}, {"anyOf": either}]})) == [
        f"{AT}.allOf[1].anyOf[{index}].type: Forbidden: must be empty to be structural" for index in (0, 1)
    ]
    for within in (
        {"not": {"anyOf": either}},
        {"oneOf": [{"anyOf": either}]},
        {"allOf": [{"allOf": [{"anyOf": either}]}]},
    ):
        assert len(errors(root(a=INT_OR_STRING | within))) == 2
    assert errors(root(a=INT_OR_STRING | {"oneOf": either})) != []
    assert errors(root(a=INT_OR_STRING | {"anyOf": either[::-1]})) != []


def test_a_pattern_in_a_junctor_is_a_regular_expression_too():
    (found,) = errors(root(a=STRING | {"anyOf": [{"pattern": "("}]}))
    assert found.startswith(f'{AT}.anyOf[0].pattern: Invalid value: "(": must be a valid regular expression')


@pytest.mark.parametrize(
    ("schema", "nested", "missing"),
    [
        ({"type": "array", "items": OBJECT}, {"items": {"properties": {"b": {}}}}, ".items.properties[b]"),
        (STRING, {"items": {"minLength": 1}}, ".items"),
        (root(b=OBJECT), {"properties": {"b": {"properties": {"c": {}}}}}, ".properties[b].properties[c]"),
        (mapped(STRING), {"properties": {"b": {"minLength": 1}}}, ".properties[b]"),
    ],
)
def test_what_junctors_speak_of_is_specified_outside_of_them(schema, nested, missing):
    why = f"because it is defined in s.anyOf[0].properties[a]{missing}"
    found = errors(root(a=schema) | {"anyOf": [{"properties": {"a": nested}}]})
    assert found == [f"{AT}{missing}: Required value: {why}"]


# Types


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (
            {"x-kubernetes-embedded-resource": True} | PRESERVE,
            ".type: Required value: must be object if x-kubernetes-embedded-resource is true",
        ),
        (
            EMBEDDED | PRESERVE | {"type": "string"},
            '.type: Invalid value: "string": must be object if x-kubernetes-embedded-resource is true',
        ),
        (
            EMBEDDED | PRESERVE | {"additionalProperties": STRING},
            ".additionalProperties: Forbidden: must not be used if x-kubernetes-embedded-resource is set",
        ),
        (
            EMBEDDED | INT_OR_STRING | {"properties": {"b": STRING}},
            (
                ".x-kubernetes-embedded-resource: Invalid value: true: "
                "must be false if x-kubernetes-int-or-string is true"
            ),
        ),
        (EMBEDDED | root(kind=INTEGER), '.properties[kind].type: Invalid value: "integer": must be string'),
        (EMBEDDED | root(metadata=STRING), '.properties[metadata].type: Invalid value: "string": must be object'),
        (root(kind=INTEGER, metadata=STRING), None),
        (EMBEDDED | root(metadata={"type": "object", "properties": {"labels": OBJECT}}), None),
    ],
)
def test_embedded_resources_are_objects_with_a_type(schema, expected):
    assert errors(root(a=schema)) == ([] if expected is None else [AT + expected])


@pytest.mark.parametrize(
    ("name", "schema", "wanted"), [("apiVersion", INTEGER, "string"), ("metadata", STRING, "object")]
)
def test_type_and_metadata_of_the_root_have_their_types(name, schema, wanted):
    found = f's.properties[{name}].type: Invalid value: "{schema["type"]}": must be {wanted}'
    assert errors(root(**{name: schema})) == [found]


@pytest.mark.parametrize("more", [{"description": "d"}, {"required": ["name"]}, {"x-kubernetes-map-type": "atomic"}])
def test_metadata_of_the_root_restricts_names_and_nothing_else(more):
    metadata = {"type": "object", "properties": {"name": STRING, "generateName": STRING}}
    assert errors(root(metadata=metadata)) == []
    (found, *_) = errors(root(metadata=metadata | more))
    assert found.startswith("s.properties[metadata]: Forbidden: must not specify anything other than name and ")


def test_null_is_no_type():
    types = '"array", "boolean", "integer", "number", "object", "string"'
    assert sorted(errors(root(a={"type": "null"}))) == [
        f"{AT}.type: Forbidden: type cannot be set to null, use nullable as an alternative",
        f'{AT}.type: Unsupported value: "null": supported values: {types}',
    ]


def test_items_are_one_schema():
    assert errors(root(a={"type": "array", "items": [STRING]})) == [
        f"{AT}.items: Forbidden: items must be a schema object and not an array"
    ]


# Metadata of embedded resources


def test_metadata_holds_no_resource():
    inside = EMBEDDED | PRESERVE
    assert errors(root(a=EMBEDDED | root(metadata=inside))) == [
        f"{AT}.properties[metadata].x-kubernetes-embedded-resource: Forbidden: must not be used inside of resource meta"
    ]


def test_maps_in_metadata_have_no_defaults():
    labels = root(labels=mapped(STRING | {"default": "x"}))
    assert errors(root(a=EMBEDDED | root(metadata=labels))) == [
        (
            f"{AT}.properties[metadata].properties[labels].additionalProperties.default: Forbidden: "
            "must not be set inside additionalProperties applying to object metadata"
        )
    ]


# Defaults of whole resources


@pytest.mark.parametrize(
    ("default", "expected"),
    [
        ({}, ["apiVersion: Required value: must not be empty", "kind: Required value: must not be empty"]),
        ({"kind": "X", "a": 1}, ["apiVersion: Required value: must not be empty"]),
        ({"apiVersion": "v1", "kind": "X", "a": "x"}, []),
        (
            {"apiVersion": "v1", "kind": "X", "a": 1},
            ['a: Invalid value: "integer": a in body must be of type string: "integer"'],
        ),
    ],
)
def test_the_default_of_a_resource_says_what_it_is(default, expected):
    """So does that of the whole object, which is never applied."""
    assert errors(root(a=STRING) | {"default": default}) == [f"s.default.{text}" for text in expected]
    found = errors(root(e=EMBEDDED | root(a=STRING) | {"default": default}))
    assert found == [f"s.properties[e].default.{text}" for text in expected]


def test_the_default_of_the_whole_object_has_no_unknown_fields():
    shown = 'map[string]interface {}{"apiVersion":"v1", "b":1, "kind":"X"}'
    assert errors(root(a=STRING) | {"default": {"apiVersion": "v1", "kind": "X", "b": 1}}) == [
        f"s.default: Invalid value: {shown}: must not have unknown fields"
    ]


# Lists and maps

NEED_KEYS = "must be map if x-kubernetes-list-map-keys is non-empty"
THIS = "this property is in x-kubernetes-list-map-keys, so it"


def keyed(key, **more):
    return listed("map", root(k=key) | {"required": ["k"]}, "k", **more)


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (
            STRING | {"x-kubernetes-map-type": "atomic"},
            ['.type: Invalid value: "string": must be object if x-kubernetes-map-type is specified'],
        ),
        (
            PRESERVE | {"x-kubernetes-map-type": "atomic"},
            [".type: Required value: must be object if x-kubernetes-map-type is specified"],
        ),
        (
            PRESERVE | {"x-kubernetes-list-type": "atomic"},
            [".type: Required value: must be array if x-kubernetes-list-type is specified"],
        ),
        (
            listed("set", STRING | NULLABLE),
            [".items.nullable: Forbidden: cannot be nullable when x-kubernetes-list-type is set"],
        ),
        (
            listed("map", root(k=STRING) | {"required": ["k"]} | NULLABLE, "k"),
            [".items.nullable: Forbidden: cannot be nullable when x-kubernetes-list-type is map"],
        ),
        (
            listed("set", listed("set", STRING)),
            [
                (
                    '.items.x-kubernetes-list-type: Invalid value: "set": '
                    "must be atomic as item of a list with x-kubernetes-list-type=set"
                )
            ],
        ),
        (listed("set", listed("atomic", STRING)), []),
        (listed("set", {"type": "array", "items": STRING}), []),
        (listed("set", OBJECT | {"x-kubernetes-map-type": "atomic"}), []),
        (
            {"type": "array", "items": STRING, "x-kubernetes-list-map-keys": ["k"]},
            [f".x-kubernetes-list-type: Required value: {NEED_KEYS}"],
        ),
        (listed("set", STRING, "k"), [f'.x-kubernetes-list-type: Invalid value: "set": {NEED_KEYS}']),
        (
            {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]},
            [
                ".items: Required value: must be specified",
                ".items: Required value: must have a schema if x-kubernetes-list-type is map",
            ],
        ),
        (
            listed("map", STRING, "k"),
            ['.items.type: Invalid value: "string": must be object if parent array\'s x-kubernetes-list-type is map'],
        ),
        (
            listed("map", root(k=STRING) | {"required": ["k"]}, "k", "k"),
            ['.x-kubernetes-list-map-keys: Invalid value: []string{"k", "k"}: must not contain duplicate entries'],
        ),
        (
            keyed(OBJECT),
            [
                (
                    '.items.properties[k].type: Invalid value: "object": '
                    "must be a scalar type if parent array's x-kubernetes-list-type is map"
                )
            ],
        ),
        (keyed(STRING | NULLABLE), [f".items.properties[k].nullable: Forbidden: {THIS} cannot be nullable"]),
        (keyed(INT_OR_STRING), []),
    ],
)
def test_sets_and_maps_are_of_what_can_be_told_apart(schema, expected):
    assert errors(root(a=schema)) == [AT + text for text in expected]


# Rules


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (
            {"rule": "true", "message": "a\nb"},
            ['message: Invalid value: "a\\nb": message must not contain line breaks'],
        ),
        (
            {"rule": "true", "messageExpression": " "},
            ["messageExpression: Required value: messageExpression must be non-empty if specified"],
        ),
        (
            {"rule": "true", "fieldPath": " "},
            [
                'fieldPath: Invalid value: " ": fieldPath must be non-empty if specified',
                'fieldPath: Invalid value: " ": fieldPath must be a valid path',
            ],
        ),
        (
            {"rule": "true", "fieldPath": ".a\n"},
            [
                'fieldPath: Invalid value: ".a\\n": fieldPath must not contain line breaks',
                'fieldPath: Invalid value: ".a\\n": fieldPath must be a valid path',
            ],
        ),
        ({"rule": "true &&\ntrue", "message": "both"}, []),
    ],
)
def test_what_a_rule_says_is_one_line(rule, expected):
    found = errors(root(a=STRING) | {"x-kubernetes-validations": [rule]})
    assert found == [f"s.x-kubernetes-validations[0].{text}" for text in expected]


@pytest.mark.parametrize("list_type", ["set", "atomic", None])
def test_items_that_nothing_tells_apart_have_no_transition_rules_below_them_either(list_type):
    below = INTEGER | {"x-kubernetes-validations": [{"rule": "self >= oldSelf"}]}
    item = root(b=below) | {"x-kubernetes-map-type": "atomic"}
    items = {"type": "array", "items": item} | ({"x-kubernetes-list-type": list_type} if list_type else {})
    (found,) = errors(root(a=items))
    assert found.endswith("oldSelf cannot be used on the uncorrelatable portion of the schema within s.properties[a]")
    keys = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]}
    mappable = root(k=STRING, b=below) | {"required": ["k"]}
    assert errors(root(a={"type": "array", "items": mappable} | keys)) == []
