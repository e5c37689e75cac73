import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict

from kcpcache.meta.objects import CLUSTER_ANNOTATION
from kcpcache.meta.virtual_resources import (
    ORIGINAL_RESOURCE_VERSION_ANNOTATION,
    ORIGINAL_UID_ANNOTATION,
    SHARD_ANNOTATION,
)
from kcpcache.reconcilers.replication import copy_of
from kcpcache.registry.entry import copy_entry, encode, entry_of, is_copy_of, stored_copy_of

COPY_ANNOTATIONS = (SHARD_ANNOTATION, ORIGINAL_RESOURCE_VERSION_ANNOTATION, ORIGINAL_UID_ANNOTATION)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | texts
values = st.recursive(
    scalars | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
annotations = st.dictionaries(
    texts | st.sampled_from([CLUSTER_ANNOTATION, *COPY_ANNOTATIONS]), texts | st.just('a","b":"'), max_size=6
)
owners = st.fixed_dictionaries({"uid": texts, "kind": texts, "name": texts, "apiVersion": texts})
metadata = st.fixed_dictionaries(
    {"name": texts},
    optional={
        "annotations": annotations,
        "labels": st.dictionaries(texts, texts, max_size=3),
        "uid": texts,
        "resourceVersion": texts,
        "ownerReferences": st.lists(owners, max_size=2),
        "deletionTimestamp": st.just("2026-01-01T00:00:00Z"),
        "finalizers": st.lists(texts, max_size=2),
    },
)
bodies = st.dictionaries(texts | st.sampled_from([*COPY_ANNOTATIONS, "spec", "status"]), values, max_size=4)


@st.composite
def objects(draw):
    body = draw(bodies)
    return {**body, "apiVersion": draw(texts), "kind": draw(texts), "metadata": draw(metadata)}


def entry(obj, revision=7, cluster="root"):
    return entry_of(encode(obj), cluster=cluster, namespace="", name="x", revision=revision)


def expected(obj, revision, cluster, *, without=()):
    meta = {key: value for key, value in obj["metadata"].items() if key != "selfLink"}
    given = {k: v for k, v in meta.get("annotations", {}).items() if k not in without}
    return {
        **obj,
        "metadata": {
            **meta,
            "resourceVersion": str(revision),
            "annotations": {**given, CLUSTER_ANNOTATION: cluster},
        },
    }


@given(objects(), st.integers(1, 2**63), st.sampled_from(["root", "2x7f0", "system:admin"]))
def test_what_is_read_is_what_was_written_at_its_revision_and_in_its_cluster(obj, revision, cluster):
    found = entry(obj, revision, cluster)
    assert found.object() == expected(obj, revision, cluster)
    assert found.wire() == orjson.dumps(found.object())


@given(objects(), st.integers(1, 2**63))
def test_a_projection_is_the_object_in_another_cluster_without_the_annotations_of_copies(obj, revision):
    assert entry(obj, revision).object("consumer") == expected(obj, revision, "consumer", without=COPY_ANNOTATIONS)


@given(objects())
def test_the_stored_form_survives_every_round_trip(obj):
    value = encode(obj)
    found = entry(obj)
    assert found.stored() == value
    assert encode(found.object()) == value


@given(objects(), st.integers(1, 2**63))
def test_an_entry_can_be_shown_at_another_revision(obj, revision):
    assert entry(obj).at(revision).object() == expected(obj, revision, "root")


@given(objects(), texts)
def test_another_version_changes_the_api_version_and_nothing_else(obj, api_version):
    found = entry(obj)
    changed = found.as_version(api_version)
    assert changed.object() == {**found.object(), "apiVersion": api_version}
    assert changed.as_version(obj["apiVersion"]).stored() == found.stored()


@given(objects())
def test_an_entry_knows_what_selectors_and_garbage_collection_ask(obj):
    meta, found = obj["metadata"], entry(obj)
    assert found.labels == meta.get("labels", {})
    assert found.uid == meta.get("uid", "")
    assert found.deleting == ("deletionTimestamp" in meta)
    assert [owner.uid for owner in found.owners] == [owner["uid"] for owner in meta.get("ownerReferences", [])]


@pytest.mark.parametrize("api_version", ["v1", "example.com/v1", "ü/v1"])
def test_an_entry_knows_its_api_version(api_version):
    assert entry({"apiVersion": api_version, "kind": "K", "metadata": {}}).api_version == api_version


def test_an_object_that_was_not_stored_has_no_resource_version():
    assert "resourceVersion" not in entry({"apiVersion": "v1", "kind": "K", "metadata": {}}, 0).object()["metadata"]


def test_equal_label_sets_and_prefixes_are_kept_once():
    obj = {"apiVersion": "v1", "kind": "K", "metadata": {"labels": {"a": "b"}}}
    one, other = entry(obj, 1), entry(obj, 2)
    assert one.labels is other.labels
    assert one.prefix is other.prefix


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"[]",
        b'{"apiVersion":"v1","kind":"K","metadata":{}}',
        encode({"apiVersion": "v1", "kind": "K", "metadata": {"labels": {"a": 1}}}),
        encode({"apiVersion": "v1", "kind": "K", "metadata": {"ownerReferences": [{}]}}),
    ],
)
def test_bytes_that_are_no_stored_object_are_refused(value):
    with pytest.raises(ValueError, match=r"."):
        entry_of(value, cluster="c", namespace="", name="n", revision=1)


@given(objects(), st.integers(1, 2**60))
def test_a_copy_is_known_by_its_bytes(obj, revision):
    obj["metadata"]["uid"] = "0f1e"
    original = entry(obj, revision)
    copy = entry(copy_of(original.object(), "root"), revision + 1)
    assert stored_copy_of(original, "root") == copy.stored()
    assert is_copy_of(copy, original, "root")
    assert not is_copy_of(copy, original, "other")
    assert not is_copy_of(copy, original.at(revision + 1), "root")
    assert not is_copy_of(original, original, "root")


@given(objects(), st.integers(1, 2**60))
def test_the_entry_of_a_copy_is_the_same_made_of_its_original_or_decoded(obj, revision):
    obj["metadata"]["uid"] = "0f1e"
    original = entry(obj, revision)
    value = stored_copy_of(original, "root")
    decoded = entry_of(value, cluster="root", namespace="", name="x", revision=revision + 1, memo="memo")
    made = copy_entry(original, value, name="x", revision=revision + 1, memo="memo")
    assert asdict(made) == asdict(decoded)
    assert made.tail is original.tail


@given(objects(), objects(), st.booleans())
def test_what_is_a_copy_by_its_bytes_is_one(obj, other, alike):
    original = entry(obj)
    desired = copy_of(original.object(), "root")
    copy = entry(desired if alike else other, 8)
    if is_copy_of(copy, original, "root"):
        assert encode(copy.object()) == encode(desired)
