import gc
import weakref

from kcpcache.schema import compiled
from kcpcache.schema.compiled import LARGE_BYTES, MOST_WALKS, compile_schema, schema_hash

SCHEMA = {"type": "object", "properties": {"a": {"type": "string", "default": "x"}}}


def test_equal_schemas_share_one_object():
    other_order = {"properties": {"a": {"default": "x", "type": "string"}}, "type": "object"}
    first = compile_schema(SCHEMA)
    assert compile_schema(other_order) is first
    assert compile_schema({"type": "object"}) is not first


def test_the_hash_is_of_the_content():
    assert compile_schema(SCHEMA).hash == schema_hash(dict(reversed(SCHEMA.items())))
    assert len(compile_schema(SCHEMA).hash) == 64
    assert schema_hash({"a": True}) != schema_hash({"a": 1})


def test_nobodys_schemas_are_forgotten():
    reference = weakref.ref(compile_schema({"type": "object", "description": "short-lived"}))
    gc.collect()
    assert reference() is None


def test_the_given_dict_may_change_afterwards():
    given = {"type": "object", "properties": {"a": {"type": "string"}}}
    compiled = compile_schema(given)
    given["properties"].clear()
    assert compiled.prune({"a": "x"}) == []


def test_the_parts_work_together():
    compiled = compile_schema(SCHEMA)
    obj = {"b": 1}
    compiled.default(obj)
    assert compiled.prune(obj) == ["b"]
    assert obj == {"a": "x"}
    assert compiled.validate(obj) == []
    assert [error.path for error in compiled.validate({"a": 1})] == ["a"]


def test_a_large_schema_says_how_much_is_to_be_compiled_until_it_is():
    fields = {f"f{number:05}": {"type": "string"} for number in range(LARGE_BYTES // 20)}
    large, small = compile_schema({"type": "object", "properties": fields}), compile_schema(SCHEMA)
    assert large.size > LARGE_BYTES > small.size > 0
    assert (large.uncompiled, small.uncompiled) == (large.size, 0)
    assert not large.validate({"f00001": "x"}, rules=False)
    assert large.uncompiled
    assert not large.validate({"f00001": "x"})
    assert large.uncompiled == 0


def test_the_first_small_objects_are_walked_and_the_validator_is_compiled_when_there_are_many(monkeypatch):
    made = []

    def compile_validator(schema):
        made.append(schema)
        return lambda *_: ["engine"]

    monkeypatch.setattr(compiled, "compile_validator", compile_validator)
    schema = compile_schema({"type": "object", "properties": {"walked": {"type": "string", "maxLength": 1}}})
    for _ in range(MOST_WALKS):
        assert not schema.validate({"walked": "a"}, walk=True)
    assert not made
    assert schema.validate({"walked": "a"}, walk=True) == ["engine"]
    assert len(made) == 1


def test_an_object_that_is_walked_is_told_what_is_wrong_and_a_compiled_validator_is_used_at_once():
    schema = compile_schema({"type": "object", "properties": {"told": {"type": "string", "maxLength": 1}}})
    (walked,) = schema.validate({"told": "ab"}, walk=True)
    assert schema.validate({"told": "ab"}) == [walked]
    assert schema.validate({"told": "ab"}, walk=True) == [walked]
