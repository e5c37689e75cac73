"""Constants in rules that can never be what they are used as; the reports are apiextensions-apiserver's."""

import pytest

from kcpcache.schema.structural import check_structural

SCHEMA = {
    "type": "object",
    "properties": {
        "s": {"type": "string", "maxLength": 5},
        "i": {"type": "integer"},
        "n": {"type": "number"},
        "b": {"type": "boolean"},
        "names": {"type": "array", "items": {"type": "string", "maxLength": 5}, "maxItems": 5},
        "matrix": {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}},
        "q": {"type": "object", "properties": {"a": {"type": "string"}}},
        "io": {"x-kubernetes-int-or-string": True},
    },
}


def refused(**rule):
    return [error.message for error in check_structural(SCHEMA | {"x-kubernetes-validations": [rule]}, "s")]


@pytest.mark.parametrize(
    ("rule", "report"),
    [
        ("[1, 'a', 2.0].exists(x, x == 1)", "1:5: expected type 'int' but found 'string'"),
        ("[[1],['a']].size()==2", "1:6: expected type 'list(int)' but found 'list(string)'"),
        ("{1: 'a', 'b': 'c'}.size()==2", "1:10: expected type 'int' but found 'string'"),
        ("[null, self.q].size()==1", "1:12: expected type 'null' but found 'object'"),
        ("[self.q, null].size()==1", "1:10: expected type 'object' but found 'null'"),
        ("['a', null].size()==1", "1:7: expected type 'string' but found 'null'"),
        ("'%'.format([1]) == ''", "1:11: unexpected end of string"),
        (
            "'%.f'.format([self.n]) == ''",
            "1:13: could not parse formatting clause: error while parsing precision: error while converting precision ",
        ),
        (
            "'%.2'.format([self.n]) == ''",
            "1:13: could not parse formatting clause: error while parsing precision: could not find end of precision ",
        ),
        (
            "'%s'.format([self.q]) == ''",
            "1:18: error during formatting: string clause can only be used on strings, bools, bytes, ints, ",
        ),
        ("'%5d'.format([1]) == ''", '1:13: could not parse formatting clause: unrecognized formatting clause "5"'),
        (
            "'%.3e'.format([1]) == ''",
            "1:16: error during formatting: scientific clause can only be used on doubles, was given int",
        ),
        (
            "'%x'.format([self.n]) == ''",
            "1:18: error during formatting: only integers, byte buffers, and strings can be formatted as hex, was ",
        ),
        (
            "'%b'.format([self.s])==''",
            "1:18: error during formatting: only integers and bools can be formatted as binary, was given string",
        ),
        (
            "'%o'.format([self.b])==''",
            "1:18: error during formatting: octal clause can only be used on integers, was given bool",
        ),
        (
            "'%f'.format([self.i])==''",
            "1:18: error during formatting: fixed-point clause can only be used on doubles, was given int",
        ),
        ("'%s'.format(['a','b'])==''", "1:12: too many arguments supplied to string.format (expected 1, got 2)"),
        ("duration('1h30m') > duration('a')", "1:30: invalid duration argument"),
        ("timestamp('2020-01-01') == timestamp('2020-01-01T00:00:00Z')", "1:11: invalid timestamp argument"),
        ("duration('') == duration('1h')", "1:10: invalid duration argument"),
        ("duration('1') == duration('0')", "1:10: invalid duration argument"),
        ("timestamp(0) == timestamp(99999999999999)", "1:27: invalid timestamp argument"),
        (
            "self.s.findAll('(', 1).size() > 1",
            "program instantiation failed: error parsing regexp: missing closing ): `(`",
        ),
        (
            "self.s.find('a{1001}') == ''",
            "program instantiation failed: error parsing regexp: invalid repeat count: `{1001}`",
        ),
        ("matches(self.s, '(')", "program instantiation failed: error parsing regexp: missing closing ): `(`"),
        ("'a'.matches(\"(?P<n>a\")", "1:13: invalid matches argument"),
        ("[b'a', 'a'].size()==1", "1:8: expected type 'bytes' but found 'string'"),
        ("[1u, 1].size()==1", "1:6: expected type 'uint' but found 'int'"),
        ("[duration('1s'), 1].size()==1", "1:18: expected type 'duration' but found 'int'"),
        ("['a', self.names].size()==1", "1:11: expected type 'string' but found 'list(string)'"),
        (
            "'%s'.format([optional.of(1)])==''",
            "1:25: error during formatting: string clause can only be used on strings, bools, bytes, ints, ",
        ),
        ("self.names.map(x, [x, 1]).size() > 1", "1:23: expected type 'string' but found 'int'"),
        ("duration('9999999h') > duration('1s')", "1:10: invalid duration argument"),
        ("duration('1h') > duration('1d')", "1:27: invalid duration argument"),
        ("[self.?s, self.?i].size()==1", "1:15: expected type 'optional_type(string)' but found 'optional_type(int)'"),
        ("[?self.?s, 'a', ?self.?i].size()==1", "1:22: expected type 'string' but found 'int'"),
        ("[dyn(1), 'a'].size()==2", "1:10: expected type 'dyn' but found 'string'"),
        ("['a', dyn(1)].size()==2", "1:10: expected type 'string' but found 'dyn'"),
        ("[self.io, 'a'].size()==2", "1:11: expected type 'dyn' but found 'string'"),
        ("[[self.io], [1]].size()==2", "1:13: expected type 'list(dyn)' but found 'list(int)'"),
        ("{'a': self.io, 'b': 2}.size()==2", "1:21: expected type 'dyn' but found 'int'"),
        ("int('a') == 1", "program instantiation failed: type conversion error from 'string' to 'int'"),
        (
            "int('9223372036854775808') == 1",
            "program instantiation failed: type conversion error from 'string' to 'int'",
        ),
        ("int(1e30) == 1", "program instantiation failed: integer overflow"),
        ("int(18446744073709551615u) == 1", "program instantiation failed: integer overflow"),
        ("uint(-1) == 1u", "program instantiation failed: unsigned integer overflow"),
        ("uint(-1.0) == 1u", "program instantiation failed: unsigned integer overflow"),
        ("uint('-1') == 1u", "program instantiation failed: type conversion error from 'string' to 'uint'"),
        ("double('x') == 1.0", "program instantiation failed: type conversion error from 'string' to 'double'"),
        ("double('1e400') == 1.0", "program instantiation failed: type conversion error from 'string' to 'double'"),
        ("bool('maybe')", "program instantiation failed: type conversion error from 'string' to 'bool'"),
        ("string(b'\\xff') == ''", "program instantiation failed: invalid UTF-8 in bytes, cannot convert to string"),
        ("int(string(dyn('a'))) == 1", "program instantiation failed: type conversion error from 'string' to 'int'"),
        ("false && int('a') == 1", "program instantiation failed: type conversion error from 'string' to 'int'"),
    ],
)
def test_a_constant_that_cannot_be_what_it_is_used_as_is_refused(rule, report):
    (message,) = refused(rule=rule)
    start = "" if report.startswith("program") else "compilation failed: ERROR: <input>:"
    assert f"{start}{report}" in message


@pytest.mark.parametrize("sign", ["", "+", "-"])
def test_a_number_of_any_length_is_read(sign):
    """Python refuses to read one of more than 4,300 digits."""
    unfit = "program instantiation failed: type conversion error from 'string' to '{}'"
    (message,) = refused(rule=f"int('{sign}{'1' * 5000}') == 1")
    assert unfit.format("int") in message
    (message,) = refused(rule=f"uint('{sign}{'1' * 5000}') == 1u")
    assert unfit.format("uint") in message
    assert refused(rule=f"int('{sign}{'0' * 5000}9223372036854775807') != 1") == []
    assert refused(rule=f"uint('{'0' * 5000}18446744073709551615') != 1u") == []
    assert refused(rule="int('-09223372036854775808') < int('-0')") == []


def test_every_one_is_reported_in_the_order_of_the_text_with_its_line():
    (message,) = refused(rule="[1, 'a'].size() == 2 &&\n self.s.matches('(')", message="no")
    assert message.endswith(
        "compilation failed: ERROR: <input>:1:5: expected type 'int' but found 'string'\n"
        " | [1, 'a'].size() == 2 &&\n"
        " | ....^\n"
        "ERROR: <input>:2:17: invalid matches argument\n"
        " |  self.s.matches('(')\n"
        " | ................^"
    )


def test_expressions_of_messages_are_held_to_the_same():
    assert "messageExpression compilation failed: ERROR: <input>:1:10: invalid duration argument" in str(
        refused(rule="self.b", messageExpression="duration('1d') > duration('1h') ? 'a' : 'b'")
    )
    assert "messageExpression instantiation failed: error parsing regexp: missing closing ): `(`" in str(
        refused(rule="self.b", messageExpression="self.s.find('(')")
    )


@pytest.mark.parametrize(
    "rule",
    [
        "[[], [1]].size() == 2 && [dyn(1), dyn('a')].size() == 2 && [1, 2].size() == 2",
        "self.matrix.size() > 0 ? [self.matrix[0], [1]].size() > 0 : [self.matrix, [[1]]].size() > 0",
        "[?self.?s, 'a'].size() == 1 && {?'a': self.?s, 'b': 'c'}.size() == 1",
        "'%s'.format([[1, 'a']]) == '' || '%s %d'.format(['a', 1]) == '' || '%%'.format([]) == '%'",
        "'%d %X %x'.format([self.io, self.s, self.i]) == '' || '%s'.format([null]) == ''",
        "'%.2f %e'.format([self.n, self.n]) == '' || '%s'.format(self.names) == '' || self.s.format([self.q]) == ''",
        "self.s.matches(self.s) || self.s.find(self.s) == '' || self.s.matches('^[a-z]+\\\\d$')",
        "duration('1h2m3.5s') > duration('-1us') && duration('0') < duration('100ms')",
        "timestamp('2020-02-29T00:00:00.5+02:00') > timestamp('2020-01-01T00:00:00Z') && timestamp(0) == timestamp(1)",
    ],
)
def test_constants_that_make_sense_are_taken(rule):
    assert refused(rule=rule) == []
