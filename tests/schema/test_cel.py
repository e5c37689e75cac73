import pytest

from kcpcache.schema.compiled import compile_schema
from kcpcache.schema.structural import check_structural

STRING, INTEGER = {"type": "string"}, {"type": "integer"}


def fields(rules=(), **properties):
    schema = {"type": "object", "properties": properties}
    return schema | {"x-kubernetes-validations": [r if isinstance(r, dict) else {"rule": r} for r in rules]}


def errors(schema, obj, old=None):
    assert check_structural(schema, "schema") == []
    return found(schema, obj, old)


def found(schema, obj, old=None):
    """Errors by a schema that was stored when its rules were not yet judged as they are now."""
    return [error.message for error in compile_schema(schema).validate(obj, old)]


def holds(rule, schema, value):
    """Whether a rule on ``spec`` is true; the error's text where it has no answer."""
    whole = fields(spec=schema | {"x-kubernetes-validations": [{"rule": rule}]})
    messages = (errors if "type" in schema else found)(whole, {"spec": value})
    if not messages:
        return True
    return False if messages[0].endswith(f"failed rule: {rule}") else messages[0]


def test_a_failed_rule_is_named():
    schema = fields(spec=fields(["self.a <= self.b"], a=INTEGER, b=INTEGER))
    assert errors(schema, {"spec": {"a": 1, "b": 1}}) == []
    assert errors(schema, {"spec": {"a": 2, "b": 1}}) == [
        'spec: Invalid value: "object": failed rule: self.a <= self.b'
    ]


def test_a_message_replaces_the_rule():
    schema = fields(spec=fields([{"rule": "self.a > 1", "message": "a must be big"}], a=INTEGER))
    assert errors(schema, {"spec": {"a": 1}}) == ['spec: Invalid value: "object": a must be big']


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("'a is ' + string(self.a)", "a is 1"),
        ("string(self.nothing)", "fallback"),
        ("'  '", "fallback"),
        ("'two\\nlines'", "fallback"),
    ],
)
def test_a_message_expression_speaks_if_it_can(expression, expected):
    rule = {"rule": "self.a > 1", "message": "fallback", "messageExpression": expression}
    schema = {"x-kubernetes-preserve-unknown-fields": True, "x-kubernetes-validations": [rule]}
    assert found(fields(spec=schema), {"spec": {"a": 1}}) == [f'spec: Invalid value: "object": {expected}']


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("FieldValueForbidden", "spec.a: Forbidden: m"),
        ("FieldValueRequired", "spec.a: Required value: m"),
        ("FieldValueInvalid", 'spec.a: Invalid value: "object": m'),
        ("FieldValueDuplicate", 'spec.a: Duplicate value: "object"'),
    ],
)
def test_reason_and_field_path_are_the_rules_choice(reason, expected):
    rule = {"rule": "false", "message": "m", "reason": reason, "fieldPath": ".a"}
    schema = fields(spec=fields([rule], a=INTEGER))
    (error,) = compile_schema(schema).validate({"spec": {}})
    assert (error.message, error.reason) == (expected, reason)


def test_transition_rules_wait_for_an_old_value():
    schema = fields(spec=fields(a=STRING | {"x-kubernetes-validations": [{"rule": "self == oldSelf"}]}))
    assert errors(schema, {"spec": {"a": "x"}}) == []
    assert errors(schema, {"spec": {"a": "x"}}, {"spec": {}}) == []
    assert errors(schema, {"spec": {"a": "x"}}, {"spec": {"a": "x"}}) == []
    assert errors(schema, {"spec": {"a": "x"}}, {"spec": {"a": "y"}}) == [
        'spec.a: Invalid value: "string": failed rule: self == oldSelf'
    ]


def test_an_optional_old_self_is_there_on_create_too():
    rule = {"rule": "!oldSelf.hasValue() ? self == 'new' : self == oldSelf.value()", "optionalOldSelf": True}
    schema = fields(a=STRING | {"x-kubernetes-validations": [rule]})
    assert errors(schema, {"a": "new"}) == []
    assert errors(schema, {"a": "old"}) != []
    assert errors(schema, {"a": "old"}, {"a": "old"}) == []
    assert errors(schema, {"a": "new"}, {"a": "old"}) != []


def test_items_of_list_maps_meet_their_old_selves():
    item = fields(["self.v >= oldSelf.v"], k=STRING, v=INTEGER) | {"required": ["k"]}
    schema = fields(
        a={
            "type": "array",
            "items": item,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["k"],
        }
    )
    old = {"a": [{"k": "x", "v": 5}, {"k": "y", "v": 1}]}
    assert errors(schema, {"a": [{"k": "y", "v": 1}, {"k": "z", "v": 0}, {"k": "x", "v": 5}]}, old) == []
    assert errors(schema, {"a": [{"k": "y", "v": 2}, {"k": "x", "v": 4}]}, old) == [
        'a[1]: Invalid value: "object": failed rule: self.v >= oldSelf.v'
    ]


def test_sets_are_equal_in_any_order():
    def schema(list_type):
        return fields(
            ["self.a == oldSelf.a"], a={"type": "array", "items": STRING, "x-kubernetes-list-type": list_type}
        )

    assert errors(schema("set"), {"a": ["x", "y"]}, {"a": ["y", "x"]}) == []
    assert errors(schema("set"), {"a": ["x", "y"]}, {"a": ["y", "z"]}) != []
    assert errors(schema("atomic"), {"a": ["x", "y"]}, {"a": ["y", "x"]}) != []


def test_unchanged_values_may_go_on_failing():
    schema = fields(spec=fields(["self.a == 'good'"], a=STRING), other=STRING)
    old = {"spec": {"a": "bad"}}
    assert errors(schema, {"spec": {"a": "bad"}, "other": "x"}, old) == []
    assert errors(schema, {"spec": {"a": "worse"}}, old) != []


def test_rules_wait_until_the_schema_is_met():
    schema = fields(["self.a > 1"], a=INTEGER)
    assert errors(schema, {"a": "x"})[1:] == [
        (
            '<nil>: Invalid value: "null": some validation rules were not checked because the object was invalid; '
            "correct the existing errors to complete validation"
        )
    ]


@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        ("namespace", "__namespace__"),
        ("a-b", "a__dash__b"),
        ("a.b", "a__dot__b"),
        ("a/b", "a__slash__b"),
        ("a__b", "a__underscores__b"),
        ("in", "__in__"),
        ("plain", "plain"),
    ],
)
def test_property_names_are_escaped(name, escaped):
    assert holds(f"has(self.{escaped}) && self.{escaped} == 'x'", fields(**{name: STRING}), {name: "x"}) is True


def test_keys_of_maps_are_not_escaped():
    schema = {"type": "object", "additionalProperties": STRING}
    assert holds("self['a-b'] == 'x' && 'a-b' in self", schema, {"a-b": "x"}) is True


@pytest.mark.parametrize(
    ("schema", "value", "rule"),
    [
        (STRING | {"format": "date-time"}, "2024-01-01T00:00:00.5Z", "self > timestamp('2024-01-01T00:00:00Z')"),
        (STRING | {"format": "date"}, "2024-01-02", "self.getDayOfYear() == 1"),
        (STRING | {"format": "duration"}, "1h30m", "self == duration('90m')"),
        (STRING | {"format": "byte"}, "aGFsbG8=", "self == b'hallo'"),
        ({"type": "number"}, 3, "self / 2.0 == 1.5"),
        (INTEGER, 4.0, "self % 3 == 1"),
        ({"x-kubernetes-int-or-string": True}, "5%", "type(self) == string ? self == '5%' : self == 5"),
        (fields(n=STRING | {"nullable": True}), {"n": None}, "dyn(self.n) == null"),
        (fields(n=fields() | {"nullable": True}), {"n": None}, "self.n == null"),
        ({"type": "object", "additionalProperties": INTEGER}, {"a": 1}, "self.all(k, self[k] == 1)"),
    ],
)
def test_values_have_the_types_that_the_schema_says(schema, value, rule):
    assert holds(rule, schema, value) is True


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("self.missing == 1", "no such key: missing evaluating rule: self.missing == 1"),
        ("1 / self.zero == 1", "division by zero evaluating rule: 1 / self.zero == 1"),
        ("self.list[5] == 1", "index out of bounds"),
        ("self.zero.contains('a')", "call arguments did not match a supported operator"),
        ("self.zero", "evaluating rule: self.zero"),
    ],
)
def test_errors_while_evaluating_fail_the_rule(rule, text):
    schema = {"x-kubernetes-preserve-unknown-fields": True}
    assert text in str(holds(rule, schema, {"zero": 0, "list": []}))


STRINGS = [
    "'a,b'.split(',') == ['a', 'b'] && 'AB'.lowerAscii() == 'ab' && 'ab'.upperAscii() == 'AB'",
    "'abc'.substring(1) == 'bc' && 'abc'.charAt(1) == 'b' && ' a '.trim() == 'a'",
    "'abcb'.replace('b', 'x') == 'axcx' && 'abcb'.lastIndexOf('b') == 3 && ['a', 'b'].join('-') == 'a-b'",
    "'%s %d'.format(['a', 1]) == 'a 1' && 'a1'.matches('^[a-z][0-9]$')",
    "[1, 2, 2].isSorted() && ![2, 1].isSorted() && ['a', 'b'].isSorted()",
    "[1, 2, 3].sum() == 6 && [1.5, 2.5].sum() == 4.0 && [duration('1s'), duration('2s')].sum() == duration('3s')",
    "[3, 1, 2].min() == 1 && [3, 1, 2].max() == 3 && ['b', 'a'].min() == 'a'",
    "[1, 2, 1].indexOf(1) == 0 && [1, 2, 1].lastIndexOf(1) == 2 && [1].indexOf(5) == -1",
    "[1, 2, 2].distinct() == [1, 2] && [1, 2, 3].slice(1, 3) == [2, 3] && [1, 2].reverse() == [2, 1]",
    "sets.contains([1, 2], [2]) && sets.equivalent([1, 2], [2, 1]) && !sets.intersects([1], [2])",
    "optional.of(1).hasValue() && self.?nothing.orValue('x') == 'x'",
    "cel.bind(x, 2, x * x == 4) && math.greatest(1, 2) == 2 && base64.encode(b'a') == 'YQ=='",
    "duration('1h').getMinutes() == 60 && timestamp('2024-02-01T00:00:00Z').getMonth() == 1",
    "[1, 2].exists(x, x == 2) && [1, 2].all(x, x > 0) && [1, 2].exists_one(x, x == 1)",
    "[1, 2].map(x, x * 2) == [2, 4] && [1, 2].filter(x, x > 1) == [2]",
    "1 < 1.5 && 2.5 >= 2 && uint(3) > 2 && size('ab') <= 2.0 && 'a' < 'b' && false < true && b'a' <= b'a'",
    "{'a': 1, 'b': 2}.all(k, v, k < 'c' && v > 0) && [5, 6].exists(i, v, i == 1 && v == 6)",
    "[5, 6].existsOne(i, v, v == 5 + i) == false && [5, 6].transformList(i, v, i > 0, v * i) == [6]",
    "duration('1s') < duration('1m') && timestamp('2024-02-01T00:00:00Z') > timestamp('2024-01-01T00:00:00Z')",
]


@pytest.mark.parametrize("rule", STRINGS)
def test_the_language_and_its_libraries_are_there(rule):
    assert holds(rule, {"x-kubernetes-preserve-unknown-fields": True}, {}) is True


def test_what_rules_may_cost_is_bounded():
    schema = fields(a={"type": "array", "items": STRING})
    obj = {"a": ["x" * 100_000] * 30}
    schema["x-kubernetes-validations"] = [{"rule": "self.a.all(x, self.a.all(y, self.a.all(z, x.contains(y + z))))"}]
    assert found(schema, obj) == [
        (
            '<nil>: Invalid value: "object": validation failed due to running out of cost budget, '
            "no further validation rules will be run"
        )
    ]


@pytest.mark.parametrize(
    ("rule", "items"),
    [
        ("self.a.all(x, self.a.join('').size() > 0)", ["x" * 300] * 9000),
        ("self.a.all(x, x in self.a)", ["x"] * 9000),
        ("self.a.all(i, x, x in self.a)", ["x"] * 9000),
        ("self.a.transformList(i, x, self.a.isSorted()).size() > 0", ["x"] * 9000),
        ("cel.bind(b, self.a, b.all(x, b == b))", ["x"] * 9000),
        ("self.a.all(x, self.a.isSorted())", ["x"] * 9000),
        ("self.a.distinct().size() > 0", [str(n) for n in range(100_000)]),
        ("sets.equivalent(self.a, self.a)", [str(n) for n in range(100_000)]),
        ("self.a[0].split('').all(c, self.a[0].contains('b'))", ["a" * 100_000]),
        ("self.a.all(x, x.findAll('(a?){50}b').size() == 0)", ["a" * 1000] * 9000),
        ("self.a[0].replace('', self.a[0]).replace('', self.a[0]) != ''", ["a" * 10_000]),
        ("self.a[0].replace('a', '''x''' + self.a[0] + '''y''') != ''", ["a" * 20_000]),
        ("self.a[0].replace('a', 'x' + self.a[0] + 'y') != ''", ["a" * 20_000]),
        ("{'//': 1}.`//` == 1 && self.a[0].replace('a', self.a[0]) != ''", ["a" * 20_000]),
        (r"'''\'''' != '' && self.a[0].replace('', self.a[0]) != '' && '''\'''' != ''", ["a" * 20_000]),
    ],
)
def test_bombs_are_refused_before_they_are_evaluated(rule, items):
    schema = fields([rule], a={"type": "array", "items": STRING})
    assert "cost budget" in found(schema, {"a": items})[0]
    assert found(schema, {"a": ["b"] * 3}) in ([], [f'<nil>: Invalid value: "object": failed rule: {rule}'])


def test_replacing_by_what_is_written_out_is_not_taken_for_growth():
    """A chain that strips characters is common, and cannot make a text longer."""
    chain = "self.a" + "".join(f".replace('{character}', '')" for character in "abcdefgh")
    schema = fields([f"{chain}.replace('x', 'yy').size() == 2000"], a=STRING)
    assert found(schema, {"a": "abx" * 1000}) == []
    widening = "self.a" + ".replace('', 'bbbbbbbbb')" * 9
    assert "cost budget" in found(fields([f"{widening}.contains('c')"], a=STRING), {"a": "x" * 100})[0]


def test_a_comment_at_the_end_of_a_rule_does_not_hide_what_its_message_costs():
    message = "self.a.replace('', self.a).replace('', self.a)"
    rule = {"rule": "self.a == '' // never", "messageExpression": message, "message": "no"}
    schema = fields(a=STRING) | {"x-kubernetes-validations": [rule]}
    assert "cost budget" in found(schema, {"a": "x" * 2_000})[0]


def test_growing_strings_are_bounded():
    rule = "cel.bind(a, self.a + self.a, " * 12 + "a.size() > 0" + ")" * 12
    doubling = rule.replace("self.a + self.a", "a + a").replace("a + a", "self.a + self.a", 1)
    schema = fields([doubling], a=STRING)
    assert "cost budget" in found(schema, {"a": "x" * 1_000_000})[0]
    assert found(schema, {"a": "x"}) == []


def test_equal_data_at_many_places_shares_one_budget():
    schema = fields(a={"type": "array", "items": INTEGER | {"x-kubernetes-validations": [{"rule": "self > 0"}]}})
    assert errors(schema, {"a": [1] * 1000}) == []
    assert "cost budget" in errors(schema, {"a": [1] * 250_000})[0]


PLACES = fields(
    a=INTEGER,
    sub=fields(**{"x-y": STRING}),
    map={"type": "object", "additionalProperties": STRING},
    list={"type": "array", "items": STRING},
)


@pytest.mark.parametrize(
    ("field_path", "blamed"),
    [
        (".a", "spec.a"),
        ("['a']", "spec.a"),
        (".sub['x-y']", "spec.sub.x-y"),
        (".map.key", "spec.map[key]"),
        (".map['a.b']", "spec.map[a.b]"),
        (r".map['it\'s']", "spec.map[it's]"),
    ],
)
def test_a_field_path_leads_to_properties_and_keys(field_path, blamed):
    rule = {"rule": "false", "fieldPath": field_path}
    schema = fields(spec=PLACES | {"x-kubernetes-validations": [rule]})
    assert errors(schema, {"spec": {}}) == [f'{blamed}: Invalid value: "object": failed rule: false']


@pytest.mark.parametrize(
    "field_path", ["a", ".a.b", ".sub.", ".sub.x", ".list[0]", ".map['a]", r".map['\q']", ".map[a]"]
)
def test_a_field_path_leads_to_nothing_else(field_path):
    rule = {"rule": "false", "fieldPath": field_path}
    (error,) = check_structural(PLACES | {"x-kubernetes-validations": [rule]}, "s")
    assert (error.path, error.body.endswith(": fieldPath must be a valid path")) == (
        "s.x-kubernetes-validations[0].fieldPath",
        True,
    )


def test_rules_of_the_whole_object_see_its_name():
    rule = "self.metadata.name.startsWith('a') && self.kind == 'X'"
    schema = fields([rule], spec=fields())
    assert errors(schema, {"kind": "X", "metadata": {"name": "ab"}}) == []
    assert errors(schema, {"kind": "X", "metadata": {"name": "ba"}}) == [
        f'<nil>: Invalid value: "object": failed rule: {rule}'
    ]


def test_values_of_maps_have_rules_and_old_selves_by_their_key():
    growing = INTEGER | {"x-kubernetes-validations": [{"rule": "self >= oldSelf"}, {"rule": "self > 0"}]}
    schema = fields(spec={"type": "object", "additionalProperties": growing})
    assert errors(schema, {"spec": {"a": 5, "b": 1}}, {"spec": {"a": 5}}) == []
    assert errors(schema, {"spec": {"a": 4, "b": 0}}, {"spec": {"a": 5}}) == [
        'spec[a]: Invalid value: "integer": failed rule: self >= oldSelf',
        'spec[b]: Invalid value: "integer": failed rule: self > 0',
    ]


def test_null_is_asked_nothing():
    schema = fields(a=STRING | {"nullable": True, "x-kubernetes-validations": [{"rule": "self == 'x'"}]})
    assert errors(schema, {"a": None}) == []
    assert errors(schema, {"a": "y"}) != []


def test_a_message_expression_may_compare_with_the_old_value():
    rule = {"rule": "self >= oldSelf", "messageExpression": "self + ' is before ' + oldSelf"}
    schema = fields(a=STRING | {"maxLength": 5, "x-kubernetes-validations": [rule]})
    assert errors(schema, {"a": "x"}, {"a": "y"}) == ['a: Invalid value: "string": x is before y']
