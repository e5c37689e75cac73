"""What Kubernetes refuses about rules when a CustomResourceDefinition is created, and what it takes."""

import pytest

from kcpcache.schema.structural import check_structural

STRING, INTEGER, NUMBER, BOOLEAN = ({"type": name} for name in ("string", "integer", "number", "boolean"))
INT_OR_STRING = {"x-kubernetes-int-or-string": True}
UNTYPED = {"x-kubernetes-preserve-unknown-fields": True}


def fields(**properties):
    return {"type": "object", "properties": properties}


def listed(items, **more):
    return {"type": "array", "items": items, **more}


def mapped(values, **more):
    return {"type": "object", "additionalProperties": values, **more}


def text(text_format, **more):
    return STRING | {"format": text_format, **more}


def refused(rule, schema, **more):
    """The errors about one rule on a schema."""
    rules = {"x-kubernetes-validations": [{"rule": rule, **more}]}
    prefix = "s.x-kubernetes-validations[0]."
    return [error.message.removeprefix(prefix) for error in check_structural(schema | rules, "s")]


PORT = fields(name=STRING | {"maxLength": 10}, port=INTEGER)
EVERYTHING = fields(
    i=INTEGER,
    s=STRING | {"maxLength": 10},
    n=NUMBER,
    b=BOOLEAN,
    at=text("date-time"),
    day=text("date"),
    wait=text("duration"),
    raw=text("byte", maxLength=10),
    either=INT_OR_STRING,
    names=listed(STRING | {"maxLength": 10}, maxItems=10),
    numbers=listed(INTEGER, maxItems=10),
    ports=listed(PORT, maxItems=10),
    matrix=listed(listed(INTEGER, maxItems=10), maxItems=10),
    labels=mapped(STRING | {"maxLength": 10}, maxProperties=10),
    backends=mapped(PORT, maxProperties=10),
    groups=mapped(listed(STRING | {"maxLength": 10}, maxItems=10), maxProperties=10),
    times=mapped(text("date-time"), maxProperties=10),
    nested=fields(deep=fields(leaf=INTEGER), q=STRING | {"maxLength": 10}),
    maybe=STRING | {"nullable": True, "maxLength": 10},
    absent=fields(a=STRING) | {"nullable": True},
    anything=UNTYPED,
    free={"type": "object", "additionalProperties": True},
    fooBar=mapped(STRING),
    foo_bar=mapped(STRING),
    FooBarEntry=STRING,
    **{"a-b": STRING, "namespace": STRING},
)


@pytest.mark.parametrize(
    ("rule", "report"),
    [
        ("self.i == 'x'", "1:8: found no matching overload for '_==_' applied to '(int, string)'"),
        ("self.n == 1", "1:8: found no matching overload for '_==_' applied to '(double, int)'"),
        ("self.s == null", "1:8: found no matching overload for '_==_' applied to '(string, null)'"),
        ("self.names == 'a'", "1:12: found no matching overload for '_==_' applied to '(list(string), string)'"),
        ("self.nested > 1", "1:13: found no matching overload for '_>_' applied to '(object, int)'"),
        ("self.s + 1 == 'x1'", "1:8: found no matching overload for '_+_' applied to '(string, int)'"),
        ("self.i + self.n > 1.0", "1:8: found no matching overload for '_+_' applied to '(int, double)'"),
        ("self.i in ['a']", "1:8: found no matching overload for '@in' applied to '(int, list(string))'"),
        ("self.s && self.b", "1:8: found no matching overload for '_&&_' applied to '(string, bool)'"),
        ("self.names.all(x, x > 1)", "1:21: found no matching overload for '_>_' applied to '(string, int)'"),
        ("self['i'] == 1", "1:5: found no matching overload for '_[_]' applied to '(object, string)'"),
        ("self.i.size() == 1", "1:12: found no matching overload for 'size' applied to 'int.()'"),
        ("self.i.matches('a')", "1:15: found no matching overload for 'matches' applied to 'int.(string)'"),
        ("size(self.i) == 1", "1:5: found no matching overload for 'size' applied to '(int)'"),
        ("self.at > 1", "1:9: found no matching overload for '_>_' applied to '(timestamp, int)'"),
        ("self.nope == 1", "1:5: undefined field 'nope'"),
        ("has(self.nested.nope)", "1:4: undefined field 'nope'"),
        ("self.ports.exists(p, p.prot == 1)", "1:23: undefined field 'prot'"),
        ("self.backends['a'].prot == 1", "1:19: undefined field 'prot'"),
        ("self.backends.all(k, b, b.prot == 1)", "1:26: undefined field 'prot'"),
        ("self.metadata.labels.size() == 0", "1:14: undefined field 'labels'"),
        ("self.nested.exists(x, true)", "1:5: expression of type 'object' cannot be range of a comprehension"),
        ("unknown(self.i)", "1:8: undeclared reference to 'unknown' (in container '')"),
        ("self.maybe == null", "1:12: found no matching overload for '_==_' applied to '(string, null)'"),
        ("self.anything == 1", "1:5: undefined field 'anything'"),
        ("self.free.a == 1", "1:10: undefined field 'a'"),
        ("self.s.a == 1", "1:7: type 'string' does not support field selection"),
        ("self.names.sum() == 1", "1:15: found no matching overload for 'sum' applied to 'list(string).()'"),
        ("self.numbers.min() == 'a'", "1:20: found no matching overload for '_==_' applied to '(int, string)'"),
        ("ip('::1').prefixLength() == 1", "1:23: found no matching overload for 'prefixLength' applied to 'net.IP.()'"),
        (
            "quantity('1') == self.s",
            "1:15: found no matching overload for '_==_' applied to '(kubernetes.Quantity, string)'",
        ),
    ],
)
def test_rules_must_fit_the_types_of_their_schema(rule, report):
    (message,) = refused(rule, EVERYTHING)
    assert message.startswith("rule: Invalid value: ")
    assert f"compilation failed: ERROR: <input>:{report}" in message


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        ("cel.bind(x, self.i, x == 1)", "cel"),
        ("self.b || cel . bind (x, self.i, x == 1)", "cel"),
        ("math.greatest(self.i, 2) == 2", "math"),
        ("base64.encode(b'a') == 'YQ=='", "base64"),
        ("self.names.reverse() == []", "reverse"),
        ("self.names.distinct() == []", "distinct"),
        ("self.names.slice(1, 2) == []", "slice"),
        ("self.s.reverse() == 'x'", "reverse"),
    ],
)
def test_functions_that_kubernetes_has_not_are_refused(rule, name):
    """In CRDs only, which are to be good for other servers too; rules that are stored already go on running."""
    (message,) = refused(rule, EVERYTHING)
    assert f"undeclared reference to '{name}' (in container '')" in message


def test_what_is_called_like_them_is_taken():
    schema = fields(math=fields(x=INTEGER), s=STRING | {"maxLength": 10})
    assert refused("self.math.x == 1 && self.s != 'cel.bind(x)' // cel.bind(x)", schema) == []


@pytest.mark.parametrize(
    "schema", [UNTYPED, listed(UNTYPED), mapped(listed(UNTYPED), maxProperties=5) | {"type": "object"}]
)
def test_a_node_of_unknown_type_can_have_no_rules(schema):
    rules = {"x-kubernetes-validations": [{"rule": "true"}]}
    (error,) = check_structural(fields(a=schema | rules), "s")
    assert (error.reason, error.path) == ("InternalError", "s.properties[a].x-kubernetes-validations")
    assert error.body.endswith("unable to convert structural schema to CEL declarations")


def test_what_follows_from_an_error_is_not_reported_again():
    (message,) = refused("self.nope.a == 'x' && self.other.all(x, x == 1)", EVERYTHING)
    assert [line for line in message.split("\n") if "ERROR" in line] == [
        message.split("\n")[0],
        "ERROR: <input>:1:27: undefined field 'other'",
    ]


def test_a_report_shows_the_line_that_is_wrong():
    (message,) = refused("self.b &&\n  self.i == 'x'", EVERYTHING, message="no")
    assert message.endswith(
        "ERROR: <input>:2:10: found no matching overload for '_==_' applied to '(int, string)'\n"
        " |   self.i == 'x'\n | .........^"
    )


@pytest.mark.parametrize("rule", ["self.i", "self.s", "'a'", "self.names", "self.nested", "self.ports.map(p, p.port)"])
def test_rules_must_be_of_type_bool(rule):
    (message,) = refused(rule, EVERYTHING)
    assert message.endswith("cel expression must evaluate to a bool")


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("self.i", "messageExpression must evaluate to a string"),
        ("self.b", "messageExpression must evaluate to a string"),
        ("'is ' + self.i", "messageExpression compilation failed: ERROR: <input>:1:7: found no matching overload"),
        ("self.nope", "messageExpression compilation failed: ERROR: <input>:1:5: undefined field 'nope'"),
    ],
)
def test_message_expressions_must_be_of_type_string(expression, why):
    (message,) = refused("self.b", EVERYTHING, messageExpression=expression)
    assert message.startswith("messageExpression: Invalid value: ")
    assert why in message


@pytest.mark.parametrize(
    "rule",
    [
        "self.i < 1.5 && 1.5 > self.i && self.n >= 1 && double(self.i) == self.n",
        "self.at > timestamp('2024-01-01T00:00:00Z') && self.at + self.wait > self.at && self.day.getFullYear() > 2000",
        "self.times.all(k, self.times[k] < self.at) && self.wait <= duration('1h') && self.at != null",
        "self.raw == b'x' && self.raw.size() > 0",
        "self.either == 1 || self.either == 'a' || self.either in [1, 2] || self.i == self.either",
        "type(self.either) == string ? self.either.matches('[0-9]+%') : self.either > 1",
        "type(self.i) == int && type(self.s) == string",
        "self.names.all(x, x.size() > 1 && x in self.labels) && self.names == [] && self.s in self.names",
        "self.ports.exists(p, p.name == 'a' && p.port > 1)",
        "self.ports.filter(p, p.port > 1).map(p, p.name).size() > 0",
        "self.ports.all(p, self.ports.exists_one(q, p.name == q.name)) && self.ports[0].name == self.names[0]",
        "self.numbers.sum() == 1 && self.numbers.max() < self.i",
        "self.names.isSorted() && self.names.indexOf('a') < 1",
        "self.matrix.all(row, row.all(x, x == 1)) && self.matrix[0][0] == 1",
        "self.labels == {} || self.labels == {'a': 'b'} || self.labels.a == 'b' || has(self.labels.a)",
        "self.backends.a.port == 1 && self.groups.all(k, self.groups[k].exists(v, v == 'a'))",
        "self.nested.deep.leaf == 1 && has(self.nested.deep.leaf) && self.nested == self.nested",
        "!has(self.maybe) || self.maybe.size() > 1 || self.maybe in ['a'] || dyn(self.maybe) == null",
        "self.absent == null || self.absent.a == 'b'",
        "self.fooBar['a'] == 'b' && self.foo_bar['a'] == 'b' && self.FooBarEntry == 'x'",
        "self.a__dash__b == 'x' && self.__namespace__ == 'y'",
        "self.metadata.name == 'x' && self.metadata.generateName.startsWith('x') && self.kind == 'K'",
        "self == oldSelf && self.ports == oldSelf.ports",
        "self.?nested.q.orValue('x') == 'x' && self.labels[?'a'].orValue('x') == 'x' && self.names[?0].hasValue()",
        "self.?nested.optMap(n, n.q == 'a').orValue(true) && self.?ports.optMap(p, p.size() == 1).orValue(true)",
        "quantity(self.s).isLessThan(quantity('1')) && ip(self.s).family() == 4 && url(self.s).getScheme() == 'https'",
        "!format.dns1123Label().validate(self.s).hasValue() && semver(self.s).major() == 1",
        "'%s %d'.format([self.s, self.i]) == 'a 1' && self.s.split(',').all(x, x == 'a') && self.names.join(',') == ''",
        "[dyn(1), dyn('a')].exists(x, x == self.s) && dyn(self.i) == 'x' && {'a': self.i}.a == 1",
        "self.b ? self.i == 1 : self.b // a comment",
        "self.backends.all(k, b, k == b.name) && self.ports.exists(i, p, i == 0 && p.port == 1)",
        "self.ports.transformList(i, p, p.port)[0] == 1 && self.s != '.transformMap('",
    ],
)
def test_rules_that_fit_are_taken(rule):
    assert refused(rule, EVERYTHING, messageExpression="self.s + ' is not ' + self.nested.q") == []


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        ("!oldSelf.hasValue() || oldSelf.value().i <= self.i", True),
        ("oldSelf.?i.orValue(1) <= self.i && oldSelf.optMap(o, o.b).orValue(true)", True),
        ("oldSelf.value().i == 'x'", False),
        ("oldSelf.value().nope == 1", False),
    ],
)
def test_an_optional_old_self_has_the_type_of_the_node(rule, fits):
    assert (refused(rule, EVERYTHING, optionalOldSelf=True) == []) is fits


def test_every_node_has_its_own_type():
    schema = fields(
        a=INTEGER | {"x-kubernetes-validations": [{"rule": "self > 1"}, {"rule": "self > 'a'"}]},
        b=listed(STRING | {"x-kubernetes-validations": [{"rule": "self > 'a'"}, {"rule": "self > 1"}]}),
        c=fields(d=BOOLEAN) | {"x-kubernetes-validations": [{"rule": "self.d"}, {"rule": "self.metadata.name == 'x'"}]},
    )
    assert [error.path for error in check_structural(schema, "s")] == [
        "s.properties[a].x-kubernetes-validations[1].rule",
        "s.properties[b].items.x-kubernetes-validations[1].rule",
        "s.properties[c].x-kubernetes-validations[1].rule",
    ]


def test_embedded_resources_have_names():
    schema = fields(a=STRING) | {"x-kubernetes-embedded-resource": True}
    rules = {"x-kubernetes-validations": [{"rule": "self.metadata.name == 'x' && self.kind == 'K' && self.a == 'x'"}]}
    assert check_structural(fields(e=schema | rules), "s") == []


def test_unknown_fields_that_are_kept_are_hidden_from_rules():
    """Documentation, on x-kubernetes-preserve-unknown-fields: "unknown fields are NOT accessible in CEL expression"."""
    (message,) = refused("self.b == 1", fields(a=STRING) | UNTYPED)
    assert "undefined field 'b'" in message


@pytest.mark.parametrize("names", [[f"f{number}" for number in range(20_000)], ["f0", "x" * 70_000]])
def test_objects_too_large_for_types_are_dynamic(names):
    schema = fields(a=fields(**dict.fromkeys(names, STRING)), b=INTEGER)
    assert refused("self.a.f0 == 'x'", schema) == []
    assert refused("self.a.f0 == 'x' && self.b == 'x'", schema) != []


@pytest.mark.parametrize("depth", [5, 7, 8, 30])
def test_lists_and_maps_may_nest_as_they_like(depth):
    lists, maps = INTEGER, INTEGER
    for _ in range(depth):
        lists, maps = listed(lists, maxItems=2), mapped(maps, maxProperties=2)
    rules = {"x-kubernetes-validations": [{"rule": "size(self) > 0"}]}
    assert refused("self.l.size() > 0 && self.m.size() > 0", fields(l=lists | rules, m=maps | rules)) == []


def test_rules_that_are_no_unicode_are_refused():
    (message,) = refused("self.s == '\ud800'", EVERYTHING)
    assert "not valid Unicode" in message


@pytest.mark.parametrize(
    ("rule", "report"),
    [
        ("self.backends.transformMap(k, b, b.port).a == 1", None),
        (
            "self.backends.transformMap(k, b, b.port > 1, b.port).a == 'x'",
            "1:56: found no matching overload for '_==_'",
        ),
        ("self.backends.transformMapEntry(k, b, {b.port: k})[1] == 'x'", None),
        ("self.backends.transformMapEntry(k, b, {b.port: k})[1] == 1", "1:55: found no matching overload for '_==_'"),
        ("self.backends.transformMap(k, b, b.gate)", "1:35: undefined field 'gate'"),
        ("optional.unwrap([self.?s]) == [1]", "1:28: found no matching overload for '_==_'"),
        ("[self.?s].unwrapOpt() == ['x'] && self.s + 1 == 2", "1:42: found no matching overload for '_+_'"),
        ("self.backends.transformMap(k, b, b.port", "1:40: Syntax error: missing ')' at '<EOF>'"),
        ("self.backends.exists_one(k, b, b.port == k)", "1:39: found no matching overload for '_==_'"),
    ],
)
def test_macros_that_make_maps_are_checked_and_errors_point_into_the_rule_as_written(rule, report):
    messages = refused(rule, EVERYTHING)
    assert (messages == []) if report is None else (f"ERROR: <input>:{report}" in messages[0])
    assert rule in "".join(messages) or report is None
    assert "transformList" not in "".join(messages)


@pytest.mark.parametrize("terms", [20, 26, 27, 28, 29, 30])
def test_rules_as_deep_as_can_be_compiled_are_taken(terms):
    assert refused("1" + " + 1" * terms + " > 0", EVERYTHING) == []
