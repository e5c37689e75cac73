import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcpcache.meta.managed_fields.fields_v1 import (
    FieldsError,
    contains,
    intersection,
    parse,
    paths,
    shown,
    subtract,
    take,
    union,
)
from kcpcache.meta.objects import copy

elements = st.sampled_from(["f:a", "f:b", 'k:{"name":"x"}', 'v:"y"', "i:0"])
locations = st.lists(elements, min_size=1, max_size=4).map(tuple)
path_sets = st.frozensets(locations, max_size=8)


def trie_of(members):
    trie = {}
    for path in members:
        trie = union(trie, nest(path))
    return trie


def nest(path):
    trie = {}
    for element in reversed(path):
        trie = {element: trie}
    return trie


@given(path_sets)
def test_a_set_holds_the_paths_that_it_was_made_of(members):
    trie = trie_of(members)
    assert set(paths(trie)) == members
    assert all(contains(trie, path) for path in members)


@given(path_sets)
def test_a_set_survives_the_round_trip_through_its_wire_form(members):
    trie = trie_of(members)
    assert parse(copy(trie)) == trie


@given(path_sets, path_sets)
def test_union_and_intersection_are_those_of_sets(left, right):
    assert set(paths(union(trie_of(left), trie_of(right)))) == left | right
    assert set(paths(intersection(trie_of(left), trie_of(right)))) == left & right


@given(path_sets, path_sets)
def test_subtracting_takes_equal_paths_and_what_is_below_leaves(owned, lost):
    lost_trie = trie_of(lost)
    leaves = {path for path in lost if not any(other[: len(path)] == path and other != path for other in lost)}
    expected = {path for path in owned if path not in lost and not any(path[: len(leaf)] == leaf for leaf in leaves)}
    assert set(paths(subtract(trie_of(owned), lost_trie))) == expected


@given(path_sets, path_sets)
def test_taking_adds_all_and_keeps_nothing_below_a_new_leaf(owned, changed):
    after = set(paths(take(trie_of(owned), trie_of(changed))))
    leaves = {path for path in changed if not any(other[: len(path)] == path and other != path for other in changed)}
    kept = {path for path in owned if not any(path[: len(leaf)] == leaf for leaf in leaves)}
    assert after == changed | kept


@given(path_sets, path_sets)
def test_no_operation_changes_its_arguments(left, right):
    ours, theirs = trie_of(left), trie_of(right)
    before = copy(ours), copy(theirs)
    for operation in (union, intersection, subtract, take):
        operation(ours, theirs)
    assert (ours, theirs) == before


@given(path_sets)
def test_an_operation_without_effect_answers_with_the_same_set(members):
    trie = trie_of(members)
    assert union(trie, trie) is trie
    assert subtract(trie, {}) is trie


@pytest.mark.parametrize(
    ("sent", "understood"),
    [
        ({'k:{"b": 1, "a":"x"}': {}}, {'k:{"a":"x","b":1}': {}}),
        ({'k:{"port":80.0}': {}}, {'k:{"port":80}': {}}),
        ({'v:"\\u003ca>"': {}}, {'v:"<a>"': {}}),
        ({"v:true": {}, "v:1": {}}, {"v:true": {}, "v:1": {}}),
        ({"x:new-kind": {}, "f:a": {}}, {"f:a": {}}),
        ({"f:a": {".": {}}}, {"f:a": {}}),
        ({"f:": {}}, {"f:": {}}),
    ],
)
def test_path_elements_are_read_however_they_are_spelled(sent, understood):
    assert parse(sent) == understood


@pytest.mark.parametrize(
    "sent", [[], "x", {"f:a": 1}, {"f:a": []}, {"a": {}}, {"v:{": {}}, {"k:x": {}}, {"i:x": {}}, {'k:{"a":[]}': {}}]
)
def test_what_is_no_field_set_is_refused(sent):
    with pytest.raises(FieldsError):
        parse(sent)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("f:spec", "f:replicas"), ".spec.replicas"),
        (("f:spec", 'k:{"name":"a"}', "f:image"), '.spec[name="a"].image'),
        (('k:{"port":80,"protocol":"TCP"}',), '[port=80,protocol="TCP"]'),
        (("f:metadata", "f:finalizers", 'v:"x"'), '.metadata.finalizers[="x"]'),
        (("f:l", "i:3"), ".l[3]"),
    ],
)
def test_paths_are_shown_as_kubernetes_shows_them(path, text):
    assert shown(path) == text
