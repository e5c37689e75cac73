import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcpcache.meta.errors import BadRequestError, InvalidError, StatusError
from kcpcache.meta.objects import copy
from kcpcache.meta.patch.strategic_merge_patch import apply_strategic_merge_patch

STRING = {"type": "string"}
ITEM = {
    "type": "object",
    "properties": {
        "name": STRING,
        "value": STRING,
        "other": STRING,
        "tags": {"type": "array", "items": STRING, "x-kubernetes-patch-strategy": "merge"},
    },
}
SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "merging": {
                    "type": "array",
                    "items": ITEM,
                    "x-kubernetes-patch-strategy": "merge",
                    "x-kubernetes-patch-merge-key": "name",
                },
                "volumes": {
                    "type": "array",
                    "items": ITEM,
                    "x-kubernetes-patch-strategy": "merge,retainKeys",
                    "x-kubernetes-patch-merge-key": "name",
                },
                "replacing": {"type": "array", "items": ITEM},
                "strings": {"type": "array", "items": STRING, "x-kubernetes-patch-strategy": "merge"},
                "plain": {"type": "array", "items": STRING},
                "keyless": {"type": "array", "items": ITEM, "x-kubernetes-patch-strategy": "merge"},
                "strategy": {"type": "object", "x-kubernetes-patch-strategy": "retainKeys"},
                "whole": {"type": "object", "x-kubernetes-patch-strategy": "replace"},
                "free": {"type": "object", "additionalProperties": STRING},
            },
        }
    },
}


def spec_after(spec, patch):
    return apply_strategic_merge_patch({"spec": spec}, {"spec": patch}, SCHEMA)["spec"]


CASES = {
    "a field is set and one is removed by null": (
        {"free": {"a": "1", "b": "2"}},
        {"free": {"a": "9", "b": None, "c": "3"}},
        {"free": {"a": "9", "c": "3"}},
    ),
    "a list without a strategy is replaced": (
        {"replacing": [{"name": "a"}], "plain": ["x", "y"]},
        {"replacing": [{"name": "b", "value": None}], "plain": ["z"]},
        {"replacing": [{"name": "b"}], "plain": ["z"]},
    ),
    "items merge by key and new ones come first": (
        {"merging": [{"name": "a", "value": "1"}, {"name": "b"}]},
        {"merging": [{"name": "b", "value": "2"}, {"name": "c"}]},
        {"merging": [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}, {"name": "c"}]},
    ),
    "a single new item is put in front": (
        {"merging": [{"name": "a"}, {"name": "b"}]},
        {"merging": [{"name": "c"}]},
        {"merging": [{"name": "c"}, {"name": "a"}, {"name": "b"}]},
    ),
    "an item is deleted by directive": (
        {"merging": [{"name": "a"}, {"name": "b"}]},
        {"merging": [{"$patch": "delete", "name": "a"}]},
        {"merging": [{"name": "b"}]},
    ),
    "deleting an item that is not there is fine": (
        {"merging": [{"name": "b"}]},
        {"merging": [{"$patch": "delete", "name": "a"}]},
        {"merging": [{"name": "b"}]},
    ),
    "a merging list is replaced by directive": (
        {"merging": [{"name": "a"}, {"name": "b"}]},
        {"merging": [{"name": "c"}, {"$patch": "replace"}]},
        {"merging": [{"name": "c"}]},
    ),
    "an object is replaced by directive": (
        {"free": {"a": "1", "b": "2"}},
        {"free": {"$patch": "replace", "c": "3"}},
        {"free": {"c": "3"}},
    ),
    "an object is emptied by directive": (
        {"free": {"a": "1"}},
        {"free": {"$patch": "delete"}},
        {"free": {}},
    ),
    "an object with strategy replace is replaced": (
        {"whole": {"a": 1}},
        {"whole": {"b": 2}},
        {"whole": {"b": 2}},
    ),
    "scalars merge without duplicates": (
        {"strings": ["a", "b"]},
        {"strings": ["b", "c"]},
        {"strings": ["a", "b", "c"]},
    ),
    "scalars are deleted from a list": (
        {"strings": ["a", "b", "c"]},
        {"$deleteFromPrimitiveList/strings": ["a", "c", "z"]},
        {"strings": ["b"]},
    ),
    "scalars are deleted and added at once": (
        {"strings": ["a", "b"]},
        {"$deleteFromPrimitiveList/strings": ["a"], "strings": ["c"]},
        {"strings": ["c", "b"]},
    ),
    "deleting from a list that is not there is fine": ({}, {"$deleteFromPrimitiveList/strings": ["a"]}, {}),
    "an order sorts items that only the server has": (
        {"merging": [{"name": "a"}, {"name": "b"}, {"name": "c"}]},
        {"$setElementOrder/merging": [{"name": "c"}, {"name": "a"}]},
        {"merging": [{"name": "b"}, {"name": "c"}, {"name": "a"}]},
    ),
    "an order holds for merged and new items": (
        {"merging": [{"name": "a"}, {"name": "b"}, {"name": "c"}]},
        {
            "$setElementOrder/merging": [{"name": "c"}, {"name": "d"}, {"name": "b"}],
            "merging": [{"name": "d"}, {"name": "b", "value": "1"}],
        },
        {"merging": [{"name": "a"}, {"name": "c"}, {"name": "d"}, {"name": "b", "value": "1"}]},
    ),
    "an order of scalars holds": (
        {"strings": ["a", "b", "c"]},
        {"$setElementOrder/strings": ["c", "d", "a"], "strings": ["d"]},
        {"strings": ["b", "c", "d", "a"]},
    ),
    "an order leaves a list without strategy as it is but for the order": (
        {"plain": ["a", "b"]},
        {"$setElementOrder/plain": ["b", "a"]},
        {"plain": ["b", "a"]},
    ),
    "an order of a list that is not there yet": (
        {},
        {"$setElementOrder/merging": [{"name": "b"}, {"name": "a"}], "merging": [{"name": "b"}, {"name": "a"}]},
        {"merging": [{"name": "b"}, {"name": "a"}]},
    ),
    "keys that are not retained go": (
        {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}},
        {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}},
        {"strategy": {"type": "Recreate"}},
    ),
    "keys that are not retained go in an item too": (
        {"volumes": [{"name": "v", "value": "1"}]},
        {"volumes": [{"$retainKeys": ["name", "other"], "name": "v", "other": "2"}]},
        {"volumes": [{"name": "v", "other": "2"}]},
    ),
    "lists within items merge too": (
        {"merging": [{"name": "a", "tags": ["x"]}]},
        {"merging": [{"name": "a", "$deleteFromPrimitiveList/tags": ["x"], "tags": ["y"]}]},
        {"merging": [{"name": "a", "tags": ["y"]}]},
    ),
    "a new item comes without directives and nulls": (
        {"merging": []},
        {"merging": [{"name": "a", "value": None, "$retainKeys": ["name"]}, {"name": "b", "$patch": "delete"}]},
        {"merging": [{"name": "a"}]},
    ),
    "a new object comes without directives and nulls": (
        {},
        {"free": {"a": None, "b": "1"}, "strategy": {"x": {"$patch": "delete"}, "y": 1}},
        {"free": {"b": "1"}, "strategy": {"y": 1}},
    ),
    "another type replaces": ({"free": {"a": "1"}}, {"free": "text"}, {"free": "text"}),
    "a field outside the schema merges like one without strategy": (
        {"unknown": {"a": [1], "b": 1}},
        {"unknown": {"a": [2]}},
        {"unknown": {"a": [2], "b": 1}},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_strategic_merge(case):
    spec, patch, expected = CASES[case]
    assert spec_after(spec, patch) == expected


def test_metadata_merges_owner_references_by_uid_and_finalizers_as_a_set():
    document = {"metadata": {"finalizers": ["a"], "ownerReferences": [{"uid": "1", "name": "x"}], "labels": {"l": "1"}}}
    patch = {
        "metadata": {
            "finalizers": ["b"],
            "ownerReferences": [{"uid": "2", "name": "y"}, {"$patch": "delete", "uid": "1"}],
            "labels": {"m": "2"},
        }
    }
    after = apply_strategic_merge_patch(document, patch, {"type": "object"})["metadata"]
    assert sorted(after["finalizers"]) == ["a", "b"]
    assert after["ownerReferences"] == [{"uid": "2", "name": "y"}]
    assert after["labels"] == {"l": "1", "m": "2"}


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ({"merging": [{"value": "1"}]}, "does not contain declared merge key: name"),
        ({"merging": [{"value": "1"}, {"$patch": "replace"}]}, "does not contain declared merge key: name"),
        ({"merging": [{"$patch": "delete"}]}, "does not contain declared merge key: name"),
        ({"merging": [{"$patch": "merge", "name": "a"}]}, 'unknown patch type: "merge"'),
        ({"free": {"$patch": "merge"}}, 'unknown patch type: "merge"'),
        ({"strategy": {"$retainKeys": "x"}}, "invalid patch format of retainKeys"),
        ({"strategy": {"$retainKeys": ["a"], "b": 1}}, "invalid patch format of retainKeys"),
        ({"$setElementOrder/merging": "x"}, "invalid patch format of setElementOrder list"),
        ({"$setElementOrder": []}, "invalid patch format of setElementOrder list"),
        ({"$deleteFromPrimitiveList": []}, "invalid patch format of primitive list"),
        ({"$setElementOrder/merging": [{"name": "b"}], "merging": [{"name": "c"}]}, "The order in patch list"),
        (
            {
                "$setElementOrder/merging": [{"name": "b"}, {"name": "c"}],
                "merging": [{"name": "c"}, {"name": "b"}],
            },
            "The order in patch list",
        ),
        ({"keyless": [{"name": "a"}]}, "cannot merge lists without merge key"),
        ({"strings": ["a", {"b": 1}]}, "not identical"),
    ],
)
def test_a_patch_in_a_wrong_form_is_400(patch, message):
    spec = {
        "merging": [{"name": "a"}],
        "strings": ["x"],
        "free": {"a": "1"},
        "strategy": {},
        "keyless": [{"name": "b"}],
    }
    with pytest.raises(BadRequestError) as raised:
        spec_after(spec, patch)
    assert message in raised.value.message


def test_lists_of_lists_are_422():
    with pytest.raises(InvalidError) as raised:
        spec_after({"strings": ["a"]}, {"strings": [["b"]]})
    assert raised.value.why == "lists of lists are not supported"


def test_a_type_without_schema_does_not_support_it():
    with pytest.raises(BadRequestError) as raised:
        apply_strategic_merge_patch({}, {}, None)
    assert raised.value.message == "strategic merge patch format is not supported"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from(["a", "b", "delete", "replace"]),
    lambda values: (
        st.lists(values, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "value", "tags", "$patch", "$retainKeys", "$setElementOrder/tags"]),
            values,
            max_size=3,
        )
    ),
    max_leaves=8,
)
specs = st.dictionaries(
    st.sampled_from(
        [
            *SCHEMA["properties"]["spec"]["properties"],
            "$setElementOrder/merging",
            "$setElementOrder/plain",
            "$deleteFromPrimitiveList/strings",
        ]
    ),
    json_values,
    max_size=4,
)


@given(specs, specs)
def test_whatever_comes_in_only_status_errors_come_out(spec, patch):
    with contextlib.suppress(StatusError):
        spec_after(copy(spec), copy(patch))


named = st.lists(st.sampled_from("abcdef"), unique=True).map(lambda names: [{"name": name} for name in names])


@given(named, named)
def test_a_merged_list_holds_every_item_once_with_the_patch_in_its_order(server, patch):
    after = spec_after({"merging": copy(server)}, {"merging": copy(patch)})["merging"]
    names = [item["name"] for item in after]
    assert sorted(names) == sorted({item["name"] for item in server + patch})
    assert [name for name in names if {"name": name} in patch] == [item["name"] for item in patch]
    left = [item["name"] for item in server if item not in patch]
    assert [name for name in names if name in left] == left
