"""What holds for every schema and every JSON, structural or not."""

import copy

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kcpcache.meta.errors import FieldError
from kcpcache.schema.compiled import CompiledSchema, schema_hash
from kcpcache.schema.explain import explain
from kcpcache.schema.openapi import published_v2, published_v3
from kcpcache.schema.structural import check_structural
from kcpcache.schema.validate import compile_validator
from kcpcache.schema.values import ABSENT

NAMES = st.sampled_from(["a", "b", "c", "metadata", "kind", "a-b"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**65), 2**65),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=4),
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(NAMES, JSON, max_size=4)


def with_options(schema, options):
    return schema | {key: value for key, value in options.items() if value is not None}


LEAVES = st.one_of(
    st.builds(
        with_options,
        st.just({"type": "string"}),
        st.fixed_dictionaries(
            {
                "maxLength": st.sampled_from([None, 0, 2]),
                "pattern": st.sampled_from([None, "^a", "[0-9]+$"]),
                "format": st.sampled_from([None, "date-time", "uuid", "byte", "duration"]),
                "default": st.sampled_from([None, "a", ""]),
                "nullable": st.sampled_from([None, True]),
                "enum": st.sampled_from([None, ["a", "b"]]),
            }
        ),
    ),
    st.builds(
        with_options,
        st.just({"type": "integer"}),
        st.fixed_dictionaries(
            {
                "minimum": st.sampled_from([None, -1, 1.5]),
                "exclusiveMinimum": st.sampled_from([None, True]),
                "multipleOf": st.sampled_from([None, 2, 0.5]),
                "default": st.sampled_from([None, 0, 7]),
            }
        ),
    ),
    st.sampled_from(
        [
            {"type": "boolean"},
            {"type": "number", "maximum": 3},
            {"x-kubernetes-int-or-string": True},
            {"x-kubernetes-preserve-unknown-fields": True},
        ]
    ),
)


def containers(inner):
    return st.one_of(
        st.builds(lambda items: {"type": "array", "items": items, "maxItems": 2}, inner),
        st.builds(lambda items: {"type": "array", "items": items, "x-kubernetes-list-type": "set"}, LEAVES),
        st.builds(lambda values: {"type": "object", "additionalProperties": values}, inner),
        st.builds(
            with_options,
            st.builds(lambda p: {"type": "object", "properties": p}, st.dictionaries(NAMES, inner, max_size=3)),
            st.fixed_dictionaries(
                {
                    "required": st.sampled_from([None, ["a"], ["b", "b"]]),
                    "nullable": st.sampled_from([None, True]),
                    "default": st.sampled_from([None, {}]),
                    "x-kubernetes-preserve-unknown-fields": st.sampled_from([None, True]),
                    "anyOf": st.sampled_from([None, [{"required": ["a"]}, {"minProperties": 2}]]),
                    "not": st.sampled_from([None, {"required": ["c"]}]),
                }
            ),
        ),
    )


SCHEMAS = st.builds(
    lambda properties: {"type": "object", "properties": properties},
    st.dictionaries(NAMES, st.recursive(LEAVES, containers, max_leaves=4), max_size=4),
)
CHECKED = settings(max_examples=60)


def compiled(schema):
    return CompiledSchema(schema, schema_hash(schema))


@CHECKED
@given(SCHEMAS, OBJECTS)
def test_pruning_twice_is_pruning_once(schema, obj):
    schema_object = compiled(schema)
    schema_object.prune(obj)
    once = copy.deepcopy(obj)
    assert schema_object.prune(obj) == []
    assert obj == once


@CHECKED
@given(SCHEMAS, OBJECTS)
def test_defaulting_twice_is_defaulting_once(schema, obj):
    schema_object = compiled(schema)
    schema_object.default(obj)
    once = copy.deepcopy(obj)
    schema_object.default(obj)
    assert obj == once


@CHECKED
@given(SCHEMAS, OBJECTS, st.none() | OBJECTS)
def test_validation_answers_with_errors_whatever_the_json(schema, obj, old):
    before = copy.deepcopy(obj)
    found = compiled(schema).validate(obj, old)
    assert all(isinstance(error, FieldError) and error.message for error in found)
    assert obj == before


@CHECKED
@given(SCHEMAS, OBJECTS)
def test_the_fast_answer_and_the_explanation_agree(schema, obj):
    """Whatever the compiled validator lets pass, the walk must find nothing wrong with."""
    assert compile_validator(schema)(obj, ABSENT) == explain(schema, obj)


@CHECKED
@given(SCHEMAS, OBJECTS)
def test_an_unchanged_object_is_not_blamed(schema, obj):
    obj.pop("kind", None)
    assert compiled(schema).validate(obj, copy.deepcopy(obj)) == []


def requires_unknown(schema):
    properties = schema.get("properties") or {}
    children = [*properties.values(), schema.get("items"), schema.get("additionalProperties")]
    return not set(schema.get("required") or ()) <= set(properties) or any(
        requires_unknown(child) for child in children if isinstance(child, dict)
    )


@CHECKED
@given(SCHEMAS, OBJECTS)
def test_unknown_fields_make_no_object_invalid(schema, obj):
    """Pruning never turns what was valid into something invalid, unless what is required is unknown itself."""
    assume(not requires_unknown(schema))
    schema_object = compiled(schema)
    schema_object.default(obj)
    if schema_object.validate(obj) == [] and "minProperties" not in str(schema):
        schema_object.prune(obj)
        assert schema_object.validate(obj) == []


@CHECKED
@given(SCHEMAS)
def test_checking_and_publishing_leave_the_schema_alone(schema):
    before = copy.deepcopy(schema)
    check_structural(schema, "schema")
    published_v3(schema, ("example.com", "v1", "X"))
    published_v2(schema, ("example.com", "v1", "X"))
    assert schema == before


KEYWORDS = st.sampled_from(
    [
        *("type", "properties", "items", "additionalProperties", "anyOf", "not", "required", "enum", "default"),
        *("pattern", "minLength", "maximum", "multipleOf", "nullable", "x-kubernetes-list-type"),
        *("x-kubernetes-list-map-keys", "x-kubernetes-validations", "x-kubernetes-embedded-resource"),
    ]
)
GARBAGE = st.recursive(
    SCALARS | st.sampled_from(["object", "array", "map", "self.a == 1"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(KEYWORDS, inner, max_size=4)
        | st.dictionaries(st.sampled_from(["a", "rule", "message"]), inner, max_size=2)
    ),
    max_leaves=15,
)


@CHECKED
@given(GARBAGE)
def test_checking_answers_with_errors_whatever_the_json(schema):
    found = check_structural(schema, "schema")
    assert all(isinstance(error, FieldError) for error in found)


@CHECKED
@given(GARBAGE, OBJECTS)
def test_what_passes_the_check_can_be_used(schema, obj):
    if check_structural(schema, "schema") == []:
        schema_object = compiled(schema)
        schema_object.default(obj)
        schema_object.prune(obj)
        schema_object.validate(obj)


@CHECKED
@given(SCHEMAS, OBJECTS)
def test_what_is_settled_at_a_glance_is_changed_by_nothing(schema, obj):
    made = compiled(schema)
    wanted = copy.deepcopy(obj)
    made.prune(wanted)
    made.default(wanted)
    if made.is_settled(obj):
        assert repr(wanted) == repr(obj)


@CHECKED
@given(SCHEMAS, OBJECTS)
def test_what_was_settled_stays_as_it_is(schema, obj):
    made = compiled(schema)
    made.settle(obj)
    again = copy.deepcopy(obj)
    made.settle(again)
    assert repr(again) == repr(obj)
