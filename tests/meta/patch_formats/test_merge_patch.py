import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcpcache.meta.errors import BadRequestError
from kcpcache.meta.objects import copy
from kcpcache.meta.patch.merge_patch import apply_merge_patch

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("xy", max_size=2),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.sampled_from("abc"), values, max_size=3),
    max_leaves=10,
)
objects = st.dictionaries(st.sampled_from("abc"), json_values, max_size=3)


@pytest.mark.parametrize(
    ("document", "patch", "expected"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({"a": "foo"}, {"a": {"b": {"c": None, "d": 1}}}, {"a": {"b": {"d": 1}}}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ({}, {"a": [None, {"b": None, "c": [1]}]}, {"a": [None, {"c": [1]}]}),
    ],
)
def test_merging_follows_the_examples_of_rfc_7396(document, patch, expected):
    assert apply_merge_patch(document, patch) == expected


@pytest.mark.parametrize("patch", [[], "x", 1, None, True])
def test_a_patch_that_is_no_object_is_400(patch):
    with pytest.raises(BadRequestError) as raised:
        apply_merge_patch({"a": 1}, patch)
    assert raised.value.message == "Invalid JSON Patch"


def test_a_patch_that_is_nested_beyond_measure_is_400():
    patch = {}
    for _ in range(3000):
        patch = {"a": patch}
    with pytest.raises(BadRequestError):
        apply_merge_patch({}, patch)


@given(objects, objects)
def test_a_patch_applied_twice_does_what_it_does_once(document, patch):
    once = apply_merge_patch(copy(document), copy(patch))
    assert apply_merge_patch(copy(once), copy(patch)) == once


@given(objects)
def test_an_empty_patch_changes_nothing(document):
    assert apply_merge_patch(copy(document), {}) == document
