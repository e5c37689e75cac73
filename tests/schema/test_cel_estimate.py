"""What rules may cost when a CustomResourceDefinition is created; figures are those of Kubernetes."""

import pytest

from kcpcache.schema.cel_estimate import estimate
from kcpcache.schema.cel_types import Types
from kcpcache.schema.structural import check_structural

STRING, INTEGER, NUMBER, BOOLEAN = ({"type": name} for name in ("string", "integer", "number", "boolean"))
INT_OR_STRING = {"x-kubernetes-int-or-string": True}
HINT = (
    "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, "
    "and strings are declared)"
)


def listed(items, most=None):
    return {"type": "array", "items": items} | ({} if most is None else {"maxItems": most})


def mapped(values, most=None):
    return {"type": "object", "additionalProperties": values} | ({} if most is None else {"maxProperties": most})


def text(most=None, **more):
    return STRING | more | ({} if most is None else {"maxLength": most})


def fields(**properties):
    return {"type": "object", "properties": properties}


def cost(rule, schema):
    types = Types()
    checked = types.check(rule, types.declare(schema, root=False))
    return estimate(checked.tree, schema, root=False)


@pytest.mark.parametrize(
    ("rule", "schema", "expected"),
    [
        ("self.all(x, true)", listed(NUMBER), 4_718_591),
        ("self.all(x, true)", listed(NUMBER, 10), 32),
        ("self.all(x, true)", listed(STRING), 3_145_727),
        ("self.all(x, true)", listed(BOOLEAN), 1_887_437),
        ("self.all(x, true)", listed(listed(NUMBER)), 3_145_727),
        ("self.all(x, true)", listed(INT_OR_STRING), 4_718_591),
        ("self.all(x, true)", listed(text(format="duration")), 2_359_295),
        ("self.all(x, true)", listed(text(format="date")), 725_936),
        ("self.all(x, true)", listed(text(format="date-time")), 428_963),
        ("self.all(x, true)", mapped(NUMBER), 1_348_169),
        ("self.all(x, true)", mapped(STRING, 3), 11),
        ("self.all(k, v, true)", mapped(STRING, 3), 11),
        ("self.all(k, v, v.contains(v))", mapped(text(10), 3), 65),
        ("self.all(i, v, v.contains(v))", listed(text(10), 3), 65),
        ("self.all(x, true)", mapped(mapped(NUMBER)), 1_179_647),
        ("self.all(x, x == 0.0)", listed(NUMBER), 6_291_454),
        ("self.all(x, self.all(y, self.all(z, true)))", listed(NUMBER, 10), 3_552),
        ("self.all(x, x.contains(self[x]))", mapped(STRING), 2_752_507),
        ("self.contains('test')", text(), 314_574),
        ("self.contains('test')", text(10), 5),
        ("self.contains('A')", text(enum=["A", "LongValue"]), 2),
        ("self.startsWith('test')", text(), 2),
        ("size(self + 'hello') > size('hello')", text(), 314_578),
        ("self[1] == self[1]", listed(STRING), 314_577),
        ("self[0] == 5", listed(INT_OR_STRING), 3),
        ("self[0].getHours() == 2", listed(text(format="duration")), 4),
        ("self.matches('x')", text(50), 22),
        ("''.matches('(((((((((())))))))))[0-9]')", text(), 7),
        ("self.find('[0-9]+') == ''", text(), 629_147),
        ("self.join(' ') == 'aa bb'", listed(text()), 329_853_068_905),
        ("self.join(' ') == 'aa bb'", listed(text(10), 10), 43),
        ("self.isSorted() == true", listed(text(10), 10), 52),
        ("self.str.split(self.separator) == []", fields(str=text(), separator=text()), 629_160),
        ("self.lowerAscii() == 'lower!'", text(), 314_575),
        ("oldSelf.size() == self.size()", mapped(INTEGER), 5),
        ("self['a'] == self['b']", mapped(text(format="date-time")), 8),
        ("self == 'x'", text(0), 1),
        ("sets.contains(self, ['a', 'b'])", listed(STRING, 10), 32),
        ("'a' in self", listed(STRING, 100), 101),
        ("has(self.a) && (self.a ? 'yes' : 'no') == 'no'", fields(a=BOOLEAN), 4),
        ("self.map(x, x + 'a').size() > 1", listed(text(10), 10), 194),
        ("self.replace('a', 'bb').contains('x')", text(1_000), 1_601),
    ],
)
def test_the_worst_case_follows_from_the_bounds_of_the_schema(rule, schema, expected):
    assert cost(rule, schema) == expected


@pytest.mark.parametrize(
    ("rule", "schema"),
    [
        ("'x is ' + string(self) == 'x is 5'", INTEGER),
        ("self.replace('', self).replace('', self).contains(self)", text(1_000)),
        ("self.?a.orValue('x').contains('x')", fields(a=STRING)),
        ("self.split(',').join('').contains('x')", text(10)),
    ],
)
def test_what_nothing_bounds_costs_too_much(rule, schema):
    assert refused(fields(a=ruled(schema, rule))) != []


def refused(schema):
    return [error.message.removeprefix("s.") for error in check_structural(schema, "s")]


def ruled(schema, *rules):
    return schema | {"x-kubernetes-validations": [rule if isinstance(rule, dict) else {"rule": rule} for rule in rules]}


SQUARE = "self.all(x, self.exists_one(y, x == y))"


@pytest.mark.parametrize(
    ("most", "factor"), [(None, "more than 100x"), (10_000, "40.0x"), (1_700, "1.157020x"), (1_500, None)]
)
def test_a_rule_that_may_cost_too_much_is_refused(most, factor):
    found = refused(fields(a=ruled(listed(INTEGER, most), SQUARE)))
    why = (
        "properties[a].x-kubernetes-validations[0].rule: Forbidden: "
        f"estimated rule cost exceeds budget by factor of {factor} {HINT}"
    )
    assert found[:1] == ([] if factor is None else [why])


def test_a_message_that_may_cost_too_much_is_refused():
    rule = {"rule": "self.size() > 1", "messageExpression": "self.join(' ')"}
    (first, *_) = refused(fields(a=ruled(listed(STRING), rule)))
    assert first.startswith(
        "properties[a].x-kubernetes-validations[0].messageExpression: Forbidden: estimated messageExpression cost"
    )


def test_a_rule_counts_as_often_as_its_node_can_occur():
    rule = "self.contains('a')"
    assert refused(fields(a=ruled(STRING, rule))) == []
    assert refused(fields(a=listed(ruled(text(100), rule)))) != []
    assert refused(fields(a=listed(ruled(text(100), rule), 100))) == []
    assert refused(fields(a=mapped(listed(ruled(text(1_000), rule), 1_000), 1_000))) != []
    assert refused(fields(a=mapped(listed(ruled(text(10), rule), 1_000), 1_000))) == []
    assert refused(fields(a=listed(fields(b=ruled(text(10_000), rule))))) != []


def test_all_rules_together_may_not_cost_too_much_either():
    heavy = [f"self.all(x, x != {number})" for number in range(20)]
    found = refused(fields(a=ruled(listed(INTEGER), *heavy)))
    named = (
        "properties[a].x-kubernetes-validations[{}].rule: Forbidden: "
        "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"
    )
    assert found[:4] == [named.format(index) for index in range(4)]
    (last,) = found[4:]
    assert last.endswith(
        "s: Forbidden: x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema "
        f"exceeds budget by factor of 1.258291x {HINT}"
    )
