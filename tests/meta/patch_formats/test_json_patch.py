import contextlib

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcpcache.meta.errors import BadRequestError, InvalidError, RequestEntityTooLargeError, StatusError
from kcpcache.meta.patch.json_patch import apply_json_patch

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=4),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.sampled_from("ab~/"), values, max_size=3),
    max_leaves=8,
)
pointers = st.sampled_from(["", "/a", "/a/b", "/b/0", "/a/-", "/a~1b", "/~2", "a", "/a/01", "/a/-1", None, 3])
operations = st.fixed_dictionaries(
    {},
    optional={
        "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "append", None]),
        "path": pointers,
        "from": pointers,
        "value": json_values,
    },
)


@pytest.mark.parametrize(
    ("document", "operation", "expected"),
    [
        ({"a": 1}, {"op": "add", "path": "/b", "value": 2}, {"a": 1, "b": 2}),
        ({"a": [1, 3]}, {"op": "add", "path": "/a/1", "value": 2}, {"a": [1, 2, 3]}),
        ({"a": [1]}, {"op": "add", "path": "/a/-", "value": 2}, {"a": [1, 2]}),
        ({"a": 1, "b": 2}, {"op": "remove", "path": "/b"}, {"a": 1}),
        ({"a": 1}, {"op": "replace", "path": "/a", "value": {"b": 2}}, {"a": {"b": 2}}),
        ({"a": {"b": 1}}, {"op": "move", "from": "/a/b", "path": "/c"}, {"a": {}, "c": 1}),
        ({"a": {"b": 1}}, {"op": "copy", "from": "/a", "path": "/c"}, {"a": {"b": 1}, "c": {"b": 1}}),
        ({"a": {"b": [1]}}, {"op": "test", "path": "/a/b", "value": [1]}, {"a": {"b": [1]}}),
        ({"x/y": {"~": 1}}, {"op": "replace", "path": "/x~1y/~0", "value": 2}, {"x/y": {"~": 2}}),
        ({"a": 1}, {"op": "replace", "path": "", "value": {"b": 2}}, {"b": 2}),
    ],
)
def test_each_operation_does_what_rfc_6902_says(document, operation, expected):
    assert apply_json_patch(document, [operation]) == expected


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ({"op": "replace", "path": "/b", "value": 2}, {"a": [[1, 2], 3], "b": 2}),
        ({"op": "replace", "path": "/a/-1", "value": 2}, {"a": [[1, 2], 2]}),
        ({"op": "remove", "path": "/a/-2"}, {"a": [3]}),
        ({"op": "remove", "path": "/a/-2/-1"}, {"a": [[1], 3]}),
        ({"op": "add", "path": "/a/-1", "value": 4}, {"a": [[1, 2], 3, 4]}),
        ({"op": "copy", "from": "/a/-1", "path": "/c"}, {"a": [[1, 2], 3], "c": 3}),
        ({"op": "test", "path": "/a/-1", "value": 3}, {"a": [[1, 2], 3]}),
    ],
)
def test_kubernetes_replaces_what_is_missing_and_counts_from_the_end(operation, expected):
    assert apply_json_patch({"a": [[1, 2], 3]}, [operation]) == expected


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ({"op": "copy", "from": "/missing", "path": "/b"}, {"a": None, "l": [1, 2], "b": None}),
        ({"op": "copy", "from": "/a", "path": "/l/0"}, {"a": None, "l": [None, 1, 2]}),
        ({"op": "move", "from": "/a", "path": "/b"}, {"l": [1, 2], "b": None}),
        ({"op": "add", "path": "/b"}, {"a": None, "l": [1, 2], "b": None}),
        ({"op": "replace", "path": "/l/+1"}, {"a": None, "l": [1, None]}),
        ({"op": "remove", "path": "/l/01"}, {"a": None, "l": [1]}),
        ({"op": "test", "path": "/missing", "value": None}, {"a": None, "l": [1, 2]}),
        ({"op": "remove", "path": "ignored/a"}, {"l": [1, 2]}),
    ],
)
def test_what_is_missing_reads_as_null_as_in_kubernetes(operation, expected):
    """partialDoc.get of json-patch v4.12 has no error for a member that is not there; partialDoc.remove has."""
    assert apply_json_patch({"a": None, "l": [1, 2]}, [operation]) == expected


def test_numbers_are_compared_as_they_are_written():
    """lazyNode.equal compares bytes, and the API server writes the whole number 1.0 as 1."""
    whole = [{"op": "test", "path": "/a", "value": [1, {"b": 1.5}]}]
    assert apply_json_patch({"a": [1.0, {"b": 1.5}]}, whole) == {"a": [1.0, {"b": 1.5}]}


def test_operations_are_applied_in_order_and_may_come_as_bytes():
    patch = orjson.dumps([{"op": "add", "path": "/a", "value": {}}, {"op": "add", "path": "/a/b", "value": 1}])
    assert apply_json_patch({}, patch) == {"a": {"b": 1}}


def test_a_copy_is_independent_of_its_source():
    patch = [{"op": "copy", "from": "/a", "path": "/c"}, {"op": "add", "path": "/c/d", "value": 1}]
    assert apply_json_patch({"a": {}}, patch) == {"a": {}, "c": {"d": 1}}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/a", "value": 2},
        {"op": "test", "path": "/a", "value": True},
        {"op": "test", "path": "/missing", "value": 1},
        {"op": "remove", "path": "/missing"},
        {"op": "replace", "path": "/missing/x", "value": 1},
        {"op": "replace", "path": "/l/5", "value": 1},
        {"op": "remove", "path": "/l/-3"},
        {"op": "add", "path": "/missing/x", "value": 1},
        {"op": "add", "path": "/a/x", "value": 1},
        {"op": "move", "from": "/missing", "path": "/b"},
        {"op": "move", "from": "", "path": "/b"},
        {"op": "copy", "from": "/missing/x", "path": "/b"},
        {"op": "copy", "from": "/l/2", "path": "/b"},
        {"op": "copy", "from": "", "path": "/b"},
        {"op": "test", "path": "/missing/x", "value": None},
        {"op": "test", "path": "/l/x", "value": None},
        {"op": "test", "path": "/a"},
        {"op": "test", "path": "/a", "value": 1.0},
        {"op": "remove", "path": ""},
        {"op": "append", "path": "/s", "value": "x"},
        {"op": "jump", "path": "/a"},
        {"op": "add", "value": 1},
        {"op": "copy", "path": "/b"},
        {"op": "add", "path": "a", "value": 1},
    ],
)
def test_an_operation_that_cannot_be_applied_is_422_with_the_text_of_kube_apiserver(operation):
    with pytest.raises(InvalidError) as raised:
        apply_json_patch({"a": 1, "s": "x", "l": [1, 2]}, [operation])
    assert raised.value.status()["code"] == 422
    assert raised.value.message == "the server rejected our request due to an error in our request"
    assert raised.value.status()["details"] == {}
    assert raised.value.why.startswith("operation 0: ")


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        (b"{", "error decoding patch: "),
        (b'{"op":"add"}', "json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"),
        (b"[1]", "json: cannot unmarshal number into Go value of type handlers.jsonPatchOp"),
        (b'["add"]', "json: cannot unmarshal string into Go value of type handlers.jsonPatchOp"),
        (b"[[]]", "json: cannot unmarshal array into Go value of type handlers.jsonPatchOp"),
        (b"true", "json: cannot unmarshal bool into Go value of type []handlers.jsonPatchOp"),
        (b'[{"op":["add"]}]', "json: cannot unmarshal array into Go struct field jsonPatchOp.op of type string"),
        (
            b'[{"op":"add","path":3}]',
            "json: cannot unmarshal number into Go struct field jsonPatchOp.path of type string",
        ),
        (b'[{"from":{}}]', "json: cannot unmarshal object into Go struct field jsonPatchOp.from of type string"),
    ],
)
def test_what_is_no_list_of_operations_is_400(patch, said):
    with pytest.raises(BadRequestError) as caught:
        apply_json_patch({}, patch)
    assert said in caught.value.message


@pytest.mark.parametrize("value", ["a", 1, 1.5, True, None])
def test_a_scalar_in_place_of_the_whole_document_changes_nothing(value):
    """json-patch v4.12 wraps an error there that is nil, and so returns none; seen at kube-apiserver 1.33.5."""
    patch = [{"op": "replace", "path": "", "value": value}, {"op": "add", "path": "/b", "value": 2}]
    assert apply_json_patch({"a": 1}, patch) == {"a": 1, "b": 2}
    with pytest.raises(InvalidError):
        apply_json_patch({"a": 1}, [{"op": "replace", "path": ""}])


def test_null_is_no_operation_or_one_without_a_name():
    assert apply_json_patch({"a": 1}, b"null") == {"a": 1}
    with pytest.raises(InvalidError):
        apply_json_patch({"a": 1}, b"[null]")


def test_ten_thousand_operations_are_allowed_and_one_more_is_413():
    operation = {"op": "test", "path": "/a", "value": 1}
    assert apply_json_patch({"a": 1}, [operation] * 10_000) == {"a": 1}
    with pytest.raises(RequestEntityTooLargeError) as raised:
        apply_json_patch({"a": 1}, [operation] * 10_001)
    assert raised.value.message == "The allowed maximum operations in a JSON patch is 10000, got 10001"


def test_copies_that_double_what_they_copy_are_stopped():
    doubling = [{"op": "copy", "from": "/a", "path": f"/a/{index}"} for index in range(60)]
    with pytest.raises(InvalidError) as raised:
        apply_json_patch({"a": {"a": "x" * 1000}}, doubling)
    assert "copies may add no more than" in raised.value.why


def test_moves_cannot_nest_a_document_deeper_than_it_can_be_encoded():
    steps = []
    for _ in range(3000):
        steps += [
            {"op": "add", "path": "/n", "value": {}},
            {"op": "move", "from": "/d", "path": "/n/d"},
            {"op": "move", "from": "/n", "path": "/d"},
        ]
    with pytest.raises(InvalidError):
        apply_json_patch({"d": {}}, steps)


@given(json_values, st.lists(operations, max_size=5))
def test_whatever_comes_in_only_status_errors_come_out(document, patch):
    with contextlib.suppress(StatusError):
        apply_json_patch(document, patch)


@pytest.mark.parametrize("op", ["test", "add", "remove", "replace", "move", "copy"])
def test_an_operation_that_fails_tells_nothing_of_what_the_object_holds(op):
    """Whoever may patch a Secret may not therefore read it."""
    paths = ["/data/p", "/data/x", "/data/x/y", "/data/p/q", "/data/l/5", "/data/l/x", "/x/~3", ""]
    said = []
    for path in paths:
        for source in paths if op in {"move", "copy"} else [None]:
            operation = {"op": op, "path": path, "value": "guess"} | ({} if source is None else {"from": source})
            try:
                apply_json_patch({"data": {"p": "hidden", "l": ["hidden"]}}, [operation])
            except StatusError as error:
                said.append(str(error.status()))
    assert len(said) > 2
    assert not [text for text in said if "hidden" in text]


def test_a_failed_test_says_what_kube_says():
    with pytest.raises(InvalidError) as caught:
        apply_json_patch({"a": 1}, [{"op": "test", "path": "/a", "value": 2}])
    assert caught.value.why == "operation 0: testing value /a failed: test failed"
