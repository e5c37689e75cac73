import base64
import struct
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kcpcache.meta import protobuf
from kcpcache.meta.errors import BadRequestError
from kcpcache.meta.protobuf import MAGIC, Shape, WireField, WireMessage, WireType, decode_body

INNER = WireMessage(
    "Inner", {1: WireField("name", WireType.STRING), 2: WireField("set", WireType.STRING, Shape.ONE, True)}
)
THING = WireMessage("Thing")
THING.fields.update(
    {
        1: WireField("text", WireType.STRING),
        2: WireField("flag", WireType.BOOL),
        3: WireField("small", WireType.INT32),
        4: WireField("large", WireType.INT64),
        5: WireField("ratio", WireType.DOUBLE),
        6: WireField("raw", WireType.BYTES),
        7: WireField("time", WireType.TIME, keeps_zero=True),
        8: WireField("micro", WireType.MICRO_TIME),
        9: WireField("port", WireType.INT_OR_STRING),
        10: WireField("amount", WireType.QUANTITY),
        11: WireField("json", WireType.RAW_JSON, keeps_zero=True),
        12: WireField("inner", INNER),
        13: WireField("kept", INNER, keeps_zero=True),
        14: WireField("words", WireType.STRING, Shape.LIST),
        15: WireField("byKey", INNER, Shape.MAP),
        16: WireField("extra", WireType.STRING_ITEMS, Shape.MAP),
        17: WireField("embedded", INNER, Shape.INLINE),
        18: WireField("self", THING),
        19: WireField("optional", WireType.INT32, keeps_zero=True),
        20: WireField("items", WireType.SCHEMA_OR_ARRAY, keeps_zero=True),
        21: WireField("additional", WireType.SCHEMA_OR_BOOL, keeps_zero=True),
        22: WireField("dependencies", WireType.SCHEMA_OR_STRINGS, Shape.MAP),
        23: WireField("blobs", WireType.BYTES, Shape.MAP),
        24: WireField("amounts", WireType.QUANTITY, Shape.MAP),
        25: WireField("values", WireType.RAW_JSON, Shape.LIST),
    }
)
TYPES = {("example.com/v1", "Thing"): THING}


def varint(number: int) -> bytes:
    number &= 2**64 - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def field(number: int, value: bytes | str | float) -> bytes:
    """One field, written independently of the reader: varint, double or length-delimited."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def body(*fields: bytes, kind: str = "Thing", after: bytes = b"") -> bytes:
    type_meta = field(1, "example.com/v1") + field(2, kind)
    return MAGIC + field(1, type_meta) + field(2, b"".join(fields)) + after


def decoded(*fields: bytes) -> dict[str, Any]:
    found = decode_body(body(*fields), TYPES)
    assert found.pop("apiVersion") == "example.com/v1"
    assert found.pop("kind") == "Thing"
    return found


def test_scalars_become_json_values():
    assert decoded(
        field(1, "text"), field(2, 1), field(3, -5), field(4, 2**62), field(5, 0.5), field(6, b"\x00\xff")
    ) == {
        "text": "text",
        "flag": True,
        "small": -5,
        "large": 2**62,
        "ratio": 0.5,
        "raw": base64.b64encode(b"\x00\xff").decode(),
    }


def test_zero_values_are_left_out_as_omitempty_does_unless_the_field_keeps_them():
    zeros = [field(1, ""), field(2, 0), field(3, 0), field(4, 0), field(6, b""), field(12, b"")]
    assert decoded(*zeros) == {}
    assert decoded(field(19, 0), field(13, field(2, ""))) == {"optional": 0, "kept": {"set": ""}}
    assert decoded(field(13, b"")) == {"kept": {}}


def test_a_whole_double_is_written_without_a_fraction():
    assert repr(decoded(field(5, 3.0))["ratio"]) == "3"
    assert decoded(field(5, 1e300)) == {"ratio": 1e300}


def test_times_become_rfc_3339_and_the_zero_time_is_absent():
    assert decoded(field(7, field(1, 1_700_000_000) + field(2, 999))) == {"time": "2023-11-14T22:13:20Z"}
    assert decoded(field(8, field(1, 1_700_000_000) + field(2, 1_500_000))) == {"micro": "2023-11-14T22:13:20.001500Z"}
    assert decoded(field(7, field(1, -62_135_596_800 + 1))) == {"time": "0001-01-01T00:00:01Z"}
    assert decoded(field(7, b""), field(8, field(1, 0) + field(2, 0))) == {}


def test_unions_and_quantities_become_what_json_has_for_them():
    assert decoded(field(9, field(1, 0) + field(2, 8080) + field(3, ""))) == {"port": 8080}
    assert decoded(field(9, field(1, 1) + field(2, 0) + field(3, "http"))) == {"port": "http"}
    assert decoded(field(10, field(1, "100m"))) == {"amount": "100m"}
    assert decoded(field(24, field(1, "cpu") + field(2, field(1, "2")))) == {"amounts": {"cpu": "2"}}


def test_embedded_json_is_parsed_and_null_survives():
    assert decoded(field(11, field(1, b'{"a":[1,null]}'))) == {"json": {"a": [1, None]}}
    assert decoded(field(11, field(1, b"null"))) == {"json": None}
    assert decoded(field(11, b"")) == {}
    assert decoded(field(25, field(1, b'"a"')), field(25, field(1, b"null"))) == {"values": ["a", None]}


def test_lists_maps_and_inlined_messages():
    entry = field(1, "k") + field(2, field(1, "n"))
    assert decoded(field(14, "a"), field(14, ""), field(15, entry), field(17, field(1, "inlined"))) == {
        "words": ["a", ""],
        "byKey": {"k": {"name": "n"}},
        "name": "inlined",
    }


def test_a_missing_map_key_or_value_is_the_zero_value():
    assert decoded(field(15, b""), field(16, field(1, "k")), field(23, field(1, "b"))) == {
        "byKey": {"": {}},
        "extra": {"k": []},
        "blobs": {"b": ""},
    }


def test_extra_values_are_lists_of_strings():
    assert decoded(field(16, field(1, "k") + field(2, field(1, "a") + field(1, "b")))) == {"extra": {"k": ["a", "b"]}}


def test_schema_unions_read_the_message_they_stand_in():
    one = field(1, "x")
    assert decoded(field(20, field(1, one))) == {"items": {"text": "x"}}
    assert decoded(field(20, field(2, one) + field(2, b""))) == {"items": [{"text": "x"}, {}]}
    assert decoded(field(21, field(1, 0))) == {"additional": False}
    assert decoded(field(21, field(1, 1) + field(2, one))) == {"additional": {"text": "x"}}
    assert decoded(field(22, field(1, "k") + field(2, field(2, "p")))) == {"dependencies": {"k": ["p"]}}
    assert decoded(field(22, field(1, "k") + field(2, field(1, one)))) == {"dependencies": {"k": {"text": "x"}}}


def test_unknown_fields_of_every_wire_type_are_ignored():
    unknown = [field(99, 1), field(99, 1.5), field(99, "x"), varint(99 << 3 | 5) + b"abcd"]
    assert decoded(*unknown, field(1, "text")) == {"text": "text"}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "does not start"),
        (b'{"kind":"Thing"}', "does not start"),
        (body(kind="Other"), 'no kind "Other" is registered for version "example.com/v1"'),
        (MAGIC, 'no kind ""'),
        (body(field(1, "x"))[:-1], "ends within a field"),
        (body(b"\x0a\xff"), "number does not end"),
        (body(b"\x08" + b"\xff" * 11), "number does not end"),
        (body(b"\x02\x00"), "field number 0"),
        (body(b"\x0b"), "wire type 3"),
        (body(field(1, b"\xff")), "not UTF-8"),
        (body(field(1, 5)), "another wire type"),
        (body(field(2, "x")), "another wire type"),
        (body(field(5, 1)), "another wire type"),
        (body(field(5, float("nan"))), "finite"),
        (body(field(5, float("-inf"))), "finite"),
        (body(field(7, field(1, 2**62))), "outside the years"),
        (body(field(7, field(2, 2**31))), "second of nanoseconds"),
        (body(field(11, field(1, b"{"))), "not JSON"),
        (body(after=field(3, "gzip")), "contentEncoding"),
    ],
)
def test_malformed_bodies_are_bad_requests_that_say_what_is_wrong(data, words):
    with pytest.raises(BadRequestError) as caught:
        decode_body(data, TYPES)
    assert words in caught.value.message


def nest(levels: int) -> bytes:
    inner = b""
    for _ in range(levels):
        inner = field(18, inner + field(1, "x"))
    return inner


def test_nesting_is_bounded():
    assert decoded(nest(protobuf.MAX_DEPTH - 1))["self"]["text"] == "x"
    with pytest.raises(BadRequestError, match="nested too deeply"):
        decoded(nest(protobuf.MAX_DEPTH))


def test_the_number_of_fields_is_bounded():
    with pytest.raises(BadRequestError, match="more than"):
        decoded(field(14, "") * protobuf.MAX_FIELDS)


def fields_of(numbers: Iterable[int]) -> st.SearchStrategy[bytes]:
    leaf = st.integers(-(2**63), 2**64 - 1) | st.floats() | st.binary(max_size=12) | st.text(max_size=6)
    number = st.sampled_from(sorted(numbers))
    flat = st.builds(field, number, leaf)
    nested = st.recursive(
        flat, lambda inner: st.builds(field, number, st.lists(inner, max_size=4).map(b"".join)), max_leaves=12
    )
    return st.lists(nested, max_size=6).map(b"".join)


@given(fields_of([*THING.fields, 60]) | st.binary(max_size=64))
@settings(max_examples=400)
def test_arbitrary_bytes_decode_or_are_bad_requests(data):
    try:
        found = decode_body(body(data), TYPES)
    except BadRequestError:
        return
    assert found["kind"] == "Thing"


@given(st.binary(max_size=64))
@settings(max_examples=300)
def test_arbitrary_envelopes_are_bad_requests(data):
    try:
        decode_body(MAGIC + data, TYPES)
    except BadRequestError:
        return
