"""Large JSON, a piece at a time: whatever it is, it is what one call of the decoder would make of it."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcpcache.api.json_body import decode_json
from kcpcache.meta import large_json
from kcpcache.meta.errors import BadRequestError
from kcpcache.meta.large_json import PIECE_BYTES, loads

TEXT = st.text(st.sampled_from('a,"\\{}[]:é\n'), max_size=12)
SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    SCALARS | TEXT, lambda inner: st.lists(inner, max_size=8) | st.dictionaries(TEXT, inner, max_size=8), max_leaves=60
)


def outcome(decode, data: bytes) -> object:
    """What comes out, in the order of its keys, or the error."""
    try:
        return json.dumps(decode(data))
    except ValueError as error:
        return str(error)


def with_small_pieces(data: bytes) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large_json, "LARGE_BYTES", 4)
        patch.setattr(large_json, "PIECE_BYTES", 8)
        return outcome(loads, data)


@given(VALUES, st.booleans())
def test_a_value_is_what_one_call_makes_of_it(value, spaced):
    data = json.dumps(value, indent=1 if spaced else None).encode()
    assert with_small_pieces(data) == outcome(orjson.loads, data)


@given(VALUES, st.data())
def test_damage_is_told_as_by_one_call(value, draw):
    data = orjson.dumps(value)
    at = draw.draw(st.integers(0, len(data)))
    damaged = (
        data[:at]
        + draw.draw(st.sampled_from([b"", b",", b'"', b"}", b"]", b"\xff", b"\x01", b"{", b"\x0b", b"\x0c", b" " * 20]))
        + data[at + 1 :]
    )
    assert with_small_pieces(damaged) == outcome(orjson.loads, damaged)


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1,"b":2,"a":{"a":3},"c":[1,2,3,4,5,6,7],"b":4}',
        b' \n{"a" : [ 1 , 2 , 3 ] , "b" : {"c" : "' + b"x" * 99 + b'"}}\n ',
        b'{"a":1,"b":2,,"c":3333333}',
        b'{"a":1,"b":2,"c":3333333,}',
        b"[1,2,3,4,5,6,7,8,]",
        b"[1,2,3,4,5,6,7,8," + b" " * 20 + b"]",
        b'{"a":1,"b":2,"c":3,' + b" " * 20 + b"}",
        b'\x0b{"a":"' + b"x" * 20 + b'"}',
        b'{"a":"' + b"x" * 20 + b'"}\x0c',
        b'["' + b"x" * 20 + b'",0,1,2,3,4,5,6,7,8,9]',
        b'{"a":"' + b"x" * 20 + b'","b":[],"c":"ccccccccccccccccccc","d":4,"e":{"f":[1,2,3,4,5,6,7]}}',
        b'{"a":"' + b"x" * 20 + b'"} {}',
        b'{"\\ud800":"' + b"x" * 20 + b'","b":1}',
        b"[" * 500 + b"1" + b"]" * 500,
        b"[" * 2000 + b"1" + b"]" * 2000,
    ],
)
def test_odd_documents_are_taken_or_refused_as_by_one_call(data):
    assert with_small_pieces(data) == outcome(orjson.loads, data)


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Of what each call decodes."""
    found: list[int] = []
    whole = orjson.loads

    def counted(part: bytes):
        found.append(len(part))
        return whole(part)

    monkeypatch.setattr(large_json.orjson, "loads", counted)
    return found


FIELDS = {f"key-{number:05}": {} for number in range(5_000)}
OBJECT = {
    "apiVersion": "v1",
    "metadata": {"name": "big", "managedFields": [{"manager": "a", "fieldsV1": {"f:data": FIELDS}}]},
    "data": {f"key-{number:05}": f'{number}, "quoted"' for number in range(5_000)},
    "items": [{"name": f"n{number}", "ports": [{"port": number}]} for number in range(2_000)],
}


@pytest.mark.parametrize(
    "data", [orjson.dumps(OBJECT), json.dumps(OBJECT).encode(), json.dumps(OBJECT, indent=2).encode()]
)
def test_no_call_decodes_much(data, sizes):
    assert loads(data) == OBJECT
    assert max(sizes) <= PIECE_BYTES + 2
    assert len(sizes) < 6 * len(data) / PIECE_BYTES, "not many more calls than pieces"


def test_many_small_members_beside_a_large_one_are_not_decoded_one_by_one(sizes):
    large = "x" * (PIECE_BYTES + 1)
    assert loads(orjson.dumps([large, *range(100_000)])) == [large, *range(100_000)]
    records = {f"n{number}": {"a": [number], "b": {}, "c": "-", "d": 1} for number in range(5_000)}
    data = orjson.dumps({"large": large, **records})
    assert loads(data) == {"large": large, **records}
    assert len(sizes) < 6 * (len(data) + 700_000) / PIECE_BYTES


@pytest.mark.parametrize("space", [b"\x0b", b"\x0c", b"\x00", b"\xc2\xa0"])
def test_what_is_no_whitespace_of_json_is_none_before_a_large_body(space):
    body = b'{"n":1234567890123456789,"a":"' + b"x" * large_json.LARGE_BYTES + b'"}'
    with pytest.raises(BadRequestError):
        decode_json(space + body)
    with pytest.raises(BadRequestError):
        decode_json(body + space)
