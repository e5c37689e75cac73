import gzip
import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcpcache.api.body import MOST_BODY_BYTES, ClientGoneError, read_body
from kcpcache.api.decoding import decode_body
from kcpcache.api.json_body import MOST_NESTING, decode_json, duplicate_fields
from kcpcache.api.yaml_body import decode_yaml
from kcpcache.meta.errors import (
    BadRequestError,
    RequestEntityTooLargeError,
    StatusError,
    UnsupportedMediaTypeError,
)


def receiver(*chunks: bytes, gone: bool = False):
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    if gone:
        messages.append({"type": "http.disconnect"})
    else:
        messages[-1]["more_body"] = False
    iterator = iter(messages)

    async def receive():
        return next(iterator)

    return receive


async def test_a_body_is_put_together_from_its_chunks():
    assert await read_body(receiver(b"ab", b"c"), {}) == b"abc"


async def test_a_body_of_three_mebibytes_is_read_and_one_more_byte_is_refused():
    body = b"x" * MOST_BODY_BYTES
    assert len(await read_body(receiver(body), {})) == MOST_BODY_BYTES
    for chunks in ((body + b"x",), (body, b"x"), (b"x" * 1000,) * 4000):
        with pytest.raises(RequestEntityTooLargeError):
            await read_body(receiver(*chunks), {})


async def test_an_announced_length_above_the_limit_is_refused_before_anything_is_read():
    async def never():
        raise AssertionError

    with pytest.raises(RequestEntityTooLargeError):
        await read_body(never, {b"content-length": b"%d" % (MOST_BODY_BYTES + 1)})


async def test_a_gzip_body_is_decompressed():
    assert await read_body(receiver(gzip.compress(b"hello")), {b"content-encoding": b"gzip"}) == b"hello"


@pytest.mark.parametrize(
    ("body", "encoding", "error"),
    [
        (gzip.compress(b"\0" * 50_000_000, mtime=0), b"gzip", RequestEntityTooLargeError),
        (b"no gzip at all", b"gzip", BadRequestError),
        (gzip.compress(b"hello", mtime=0)[:-6], b"gzip", BadRequestError),
        (b"x", b"br", UnsupportedMediaTypeError),
    ],
)
async def test_a_bomb_a_broken_or_a_foreign_encoding_is_refused(body, encoding, error):
    with pytest.raises(error):
        await read_body(receiver(body), {b"content-encoding": encoding})


async def test_a_client_that_goes_away_is_told_from_a_short_body():
    with pytest.raises(ClientGoneError):
        await read_body(receiver(b"ab", gone=True), {})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": 1e999}',
        b'{"a": 18446744073709551615}',
        b'{"a": -9223372036854775809}',
        b'{"a": ' + b"1" * 6000 + b"}",
        b'{"a": "\xff"}',
        b'{"a": "\\ud800"}',
        b"[" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"a":' * (MOST_NESTING + 1) + b"1" + b"}" * (MOST_NESTING + 1),
        b"// no comments\n{}",
    ],
)
def test_what_is_not_exact_json_is_a_bad_request(body):
    with pytest.raises(BadRequestError):
        decode_json(body)


def test_a_number_without_a_fraction_is_an_integer():
    body = b'{"a":1.0,"b":[2.0,{"c":-3.000}],"d":1.5,"e":"4.0","f":1.0e30}'
    assert orjson.dumps(decode_json(body)) == b'{"a":1,"b":[2,{"c":-3}],"d":1.5,"e":"4.0","f":1e+30}'
    assert orjson.dumps(decode_json(b"5.0")) == b"5"


def test_the_deepest_allowed_json_can_be_encoded_again():
    body = b'{"a":' * MOST_NESTING + b"1" + b"}" * MOST_NESTING
    assert orjson.dumps(decode_json(body)) == body


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63), 0, -1])
def test_integers_of_64_bits_come_back_as_they_were(number):
    assert decode_json(b'{"a":%d,"b":"%d"}' % (number, 2**70)) == {"a": number, "b": str(2**70)}


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ('{"a":1,"b":{"c":1}}', []),
        ('{"a":1,"a":2}', ["a"]),
        ('{"spec":{"x":1,"x":1}}', ["spec.x"]),
        ('{"spec":{"l":[{},{"n":1,"n":{"deep":1},"n":3}]}}', ["spec.l[1].n"]),
        ('{"a":"\\"quoted\\"","b":"\\\\"}', []),
        ('{"a":"\\u0022","a":1}', ["a"]),
        ('{"a":"\\u0022","b":1}', []),
        ('{"\\u0061":1,"a":2}', ["a"]),
    ],
)
def test_repeated_fields_are_found_with_their_path(text, paths):
    assert duplicate_fields(text.encode(), decode_json(text.encode())) == paths


_PRINTABLE = st.text(st.characters(categories=("L", "N", "P", "S")), max_size=8)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)


@given(_JSON, st.booleans())
def test_json_without_repeated_fields_is_never_blamed(value, escaped):
    data = json.dumps(value, ensure_ascii=escaped).encode()
    assert duplicate_fields(data, decode_json(data)) == []


@given(
    st.dictionaries(
        _PRINTABLE, _PRINTABLE | st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.none() | st.lists(_PRINTABLE)
    )
)
def test_json_read_as_yaml_means_the_same(value):
    assert decode_yaml(orjson.dumps(value)).value == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1", {"a": 1}),
        ("a: '1'", {"a": "1"}),
        ("a: yes\nb: off\nc: ~\nd:", {"a": True, "b": False, "c": None, "d": None}),
        ("a: [y, Y, n, N, 'y', yy]", {"a": [True, True, False, False, "y", "yy"]}),
        ("y: 1\nn: 2", {"true": 1, "false": 2}),
        ("a: 2001-01-01\nb: 1:30", {"a": "2001-01-01", "b": "1:30"}),
        ("c: 0x1F\nd: 017\ne: 1_000", {"c": 31, "d": 15, "e": 1000}),
        ("a: 1.5\nb: 1e3\nc: 1.0\nd: .5", {"a": 1.5, "b": 1000, "c": 1, "d": 0.5}),
        ("1: a\ntrue: b", {"1": "a", "true": "b"}),
        ("a: &x {k: 1}\nb: *x", {"a": {"k": 1}, "b": {"k": 1}}),
        ("base: &b {k: 1, l: 2}\nc:\n  <<: *b\n  k: 3", {"base": {"k": 1, "l": 2}, "c": {"k": 3, "l": 2}}),
        ("a: !!str 1\nc: !!int '3'", {"a": "1", "c": 3}),
        ("a: |\n  x\n  y\n", {"a": "x\ny\n"}),
        ("--- {a: [1, 2]}\n...", {"a": [1, 2]}),
    ],
)  # fmt: skip
def test_yaml_becomes_what_kubernetes_makes_of_it(text, value):
    assert decode_yaml(text.encode()).value == value


def test_yaml_repeated_keys_are_named_with_their_line():
    assert decode_yaml(b"a: 1\nb:\n  c: 1\n  c: 2\n").duplicates == ['line 4: key "c" already set in map']


_BOMB = "a: &a [" + "x," * 100 + "]\n"
for _i in range(1, 9):
    _BOMB += f"k{_i}: &{chr(97 + _i)} [{','.join(['*' + chr(96 + _i)] * 10)}]\n"


@pytest.mark.parametrize(
    "text",
    [
        _BOMB,
        "a: &a [*a]",
        "a: *nowhere",
        "[" * 100_000,
        "- " * 1000 + "x",
        "a: &a " + "[" * 150 + "]" * 150 + "\nb: " + "[" * 100 + "*a" + "]" * 100,
        "a: .nan",
        "a: .inf",
        "a: 99999999999999999999",
        "a: !!python/object:os.system x",
        "? [1]\n: 2",
        "a: 1\n---\nb: 2",
        "a: [",
        "a: b: c",
        "<<: 1",
        "\t",
    ],
)
def test_yaml_that_json_cannot_say_or_that_would_explode_is_a_bad_request(text):
    with pytest.raises(BadRequestError):
        decode_yaml(text.encode())


@pytest.mark.parametrize("body", [b"[]", b"1", b'"x"', b"null"])
@pytest.mark.parametrize("kind", ["application/json", "application/yaml"])
async def test_a_body_must_be_an_object(body, kind):
    with pytest.raises(BadRequestError):
        await decode_body(body, kind, protobuf_allowed=True)


@pytest.mark.parametrize(
    ("kind", "allowed"),
    [("text/plain", True), ("application/vnd.kubernetes.protobuf", False), ("application/cbor", True)],
)
async def test_a_foreign_content_type_is_unsupported(kind, allowed):
    with pytest.raises(UnsupportedMediaTypeError):
        await decode_body(b"{}", kind, protobuf_allowed=allowed)


async def test_json_is_assumed_without_a_content_type_and_parameters_do_not_matter():
    assert (await decode_body(b'{"a":1}', "", protobuf_allowed=False)).object == {"a": 1}
    assert (await decode_body(b'{"a":1}', "Application/JSON; charset=utf-8", protobuf_allowed=False)).object == {"a": 1}


async def test_yaml_in_braces_is_still_yaml():
    assert (await decode_body(b"{a: b}", "application/yaml", protobuf_allowed=False)).object == {"a": "b"}


async def test_a_large_yaml_body_means_the_same_as_a_small_one():
    body = "items:\n" + "- {name: x, value: 1}\n" * 3000
    found = await decode_body(body.encode(), "application/yaml", protobuf_allowed=False)
    assert found.object == {"items": [{"name": "x", "value": 1}] * 3000}


@given(
    st.binary(max_size=60) | st.text(alphabet='{}[]:,"\\ua01-*&!<>\n ', max_size=40).map(str.encode),
    st.sampled_from(["application/json", "application/yaml", "application/vnd.kubernetes.protobuf", ""]),
)
async def test_any_bytes_are_an_object_or_a_client_error(data, kind):
    try:
        assert isinstance((await decode_body(data, kind, protobuf_allowed=True)).object, dict)
    except StatusError as error:
        assert error.code in {400, 415}  # noqa: PT017 -- not every example raises
