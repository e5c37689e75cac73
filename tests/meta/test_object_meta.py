import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcpcache.meta import object_meta
from kcpcache.meta.names import dns1123_subdomain_errors

OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "1"}


def messages(meta, *, namespaced=False, qualified=False):
    found = object_meta.errors(
        meta, namespaced=namespaced, check_name=dns1123_subdomain_errors, qualified_finalizers=qualified
    )
    return [error.message for error in found]


def test_good_metadata_has_no_errors():
    meta = {
        "name": "a.b",
        "namespace": "n",
        "labels": {"example.com/a": "b"},
        "annotations": {"Example.com/A": "anything \n at all"},
        "finalizers": ["example.com/f", "orphan"],
        "ownerReferences": [OWNER, {**OWNER, "controller": True}],
    }
    assert object_meta.type_errors(meta) == []
    assert messages(meta, namespaced=True) == []


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({"name": 1}, "metadata.name: Invalid value: 1: must be of type string"),
        ({"labels": []}, "metadata.labels: Invalid value: []: must be of type map"),
        ({"labels": {"a": 1}}, "metadata.labels.a: Invalid value: 1: must be of type string"),
        ({"creationTimestamp": "x"}, 'metadata.creationTimestamp: Invalid value: "x": must be of type date-time'),
        ({"finalizers": "x"}, 'metadata.finalizers: Invalid value: "x": must be of type array'),
        ({"finalizers": [1]}, "metadata.finalizers[0]: Invalid value: 1: must be of type string"),
        ({"ownerReferences": ["x"]}, 'metadata.ownerReferences[0]: Invalid value: "x": must be of type object'),
        (
            {"ownerReferences": [OWNER, {**OWNER, "blockOwnerDeletion": "yes"}]},
            'metadata.ownerReferences[1].blockOwnerDeletion: Invalid value: "yes": must be of type boolean',
        ),
        (
            {"ownerReferences": [{"uid": 1}]},
            "metadata.ownerReferences[0].uid: Invalid value: 1: must be of type string",
        ),
        ({"generation": True}, "metadata.generation: Invalid value: true: must be of type integer"),
        ({"generation": 2**63}, "metadata.generation: Invalid value: 9223372036854775808: must be of type integer"),
        ({"generation": 1.5}, "metadata.generation: Invalid value: 1.5: must be of type integer"),
        ({"managedFields": [1]}, "metadata.managedFields[0]: Invalid value: 1: must be of type object"),
    ],
)
def test_a_field_of_the_wrong_type_is_named(meta, message):
    assert [error.message for error in object_meta.type_errors(meta)] == [message]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=6,
)
known_keys = st.sampled_from(
    [
        "name",
        "generateName",
        "namespace",
        "labels",
        "annotations",
        "finalizers",
        "ownerReferences",
        "uid",
        "generation",
    ]
)


@given(st.dictionaries(known_keys, json_values))
def test_metadata_of_right_types_can_always_be_judged(meta):
    if not object_meta.type_errors(meta):
        object_meta.drop_unknown(meta)
        messages(meta, namespaced=True, qualified=True)


def test_labels_and_annotations_that_are_null_are_empty():
    meta = {"labels": {"a": None, "b": "x"}, "annotations": {"a": None}}
    assert object_meta.type_errors(meta) == []
    assert object_meta.drop_unknown(meta) == []
    assert meta == {"labels": {"a": "", "b": "x"}, "annotations": {"a": ""}}


def test_of_several_references_to_one_owner_the_first_stays():
    meta = {"ownerReferences": [OWNER, {**OWNER, "uid": "v"}, {**OWNER, "controller": True}]}
    assert object_meta.drop_repeated_owners(meta) == [OWNER["uid"]]
    assert meta == {"ownerReferences": [OWNER, {**OWNER, "uid": "v"}]}
    assert object_meta.drop_repeated_owners(meta) == []


def test_what_is_unknown_or_empty_goes_and_the_unknown_is_named():
    meta = {
        "name": "a",
        "nmae": "b",
        "labels": {},
        "annotations": None,
        "finalizers": [],
        "generateName": "",
        "managedFields": [],
        "generation": 0,
        "ownerReferences": [{**OWNER, "contoller": True, "controller": None}],
    }
    assert object_meta.drop_unknown(meta) == ["metadata.nmae", "metadata.ownerReferences[0].contoller"]
    assert meta == {"name": "a", "managedFields": [], "generation": 0, "ownerReferences": [OWNER]}


@pytest.mark.parametrize(
    ("meta", "starts"),
    [
        ({}, ["metadata.name: Required value: name or generateName is required"]),
        ({"name": "A"}, ['metadata.name: Invalid value: "A": a lowercase RFC 1123 subdomain must']),
        ({"name": "a", "namespace": "n"}, ["metadata.namespace: Forbidden: not allowed on this type"]),
        ({"name": "a", "generateName": "A-"}, ['metadata.generateName: Invalid value: "A-"']),
        ({"name": "a", "generateName": "a."}, ['metadata.generateName: Invalid value: "a."']),
        ({"name": "a", "generateName": "a-"}, []),
        (
            {"name": "a", "generation": -1},
            ["metadata.generation: Invalid value: -1: must be greater than or equal to 0"],
        ),
        ({"name": "a", "generation": 1}, []),
        ({"name": "a", "labels": {"-": "b"}}, ['metadata.labels: Invalid value: "-": name part must consist']),
        ({"name": "a", "labels": {"b": "-"}}, ['metadata.labels: Invalid value: "-": a valid label must']),
        ({"name": "a", "annotations": {"a b": ""}}, ['metadata.annotations: Invalid value: "a b": name part must']),
        (
            {"name": "a", "annotations": {"a": "x" * 262144}},
            ["metadata.annotations: Too long: may not be more than 262144 bytes"],
        ),
        ({"name": "a", "annotations": {"a": "x" * 262143}}, []),
        ({"name": "a", "finalizers": ["a b"]}, ['metadata.finalizers: Invalid value: "a b": name part must']),
        (
            {"name": "a", "finalizers": ["orphan", "foregroundDeletion"]},
            [
                (
                    'metadata.finalizers: Invalid value: ["orphan","foregroundDeletion"]: '
                    "finalizer orphan and foregroundDeletion cannot be both set"
                )
            ],
        ),
        (
            {"name": "a", "ownerReferences": [{}]},
            [
                'metadata.ownerReferences.apiVersion: Invalid value: "": version must not be empty',
                'metadata.ownerReferences.kind: Invalid value: "": kind must not be empty',
                'metadata.ownerReferences.name: Invalid value: "": name must not be empty',
                'metadata.ownerReferences.uid: Invalid value: "": uid must not be empty',
            ],
        ),
        (
            {"name": "a", "ownerReferences": [{**OWNER, "apiVersion": "a/b/c"}]},
            ['metadata.ownerReferences.apiVersion: Invalid value: "a/b/c": version must not be empty'],
        ),
        (
            {"name": "a", "ownerReferences": [{**OWNER, "kind": "Event"}]},
            ["metadata.ownerReferences: Invalid value: "],
        ),
        (
            {
                "name": "a",
                "ownerReferences": [{**OWNER, "controller": True}, {**OWNER, "name": "p", "controller": True}],
            },
            ["metadata.ownerReferences: Invalid value: "],
        ),
    ],
)
def test_what_is_wrong_with_metadata_is_said_in_kubes_words(meta, starts):
    found = messages(meta)
    assert len(found) == len(starts)
    assert all(text.startswith(wanted) for text, wanted in zip(found, starts, strict=True))


@pytest.mark.parametrize(("namespace", "count"), [("n", 0), ("", 1), (None, 1), ("a.b", 1), ("A", 1)])
def test_a_namespaced_object_has_a_valid_namespace(namespace, count):
    assert len(messages({"name": "a", "namespace": namespace}, namespaced=True)) == count


@pytest.mark.parametrize(
    ("finalizer", "count"), [("bare", 1), ("a.b", 1), ("a.b/c", 0), ("kubernetes", 0), ("orphan", 0)]
)
def test_only_built_in_types_insist_on_a_finalizers_domain(finalizer, count):
    meta = {"name": "a", "finalizers": [finalizer]}
    assert messages(meta) == []
    assert len(messages(meta, qualified=True)) == count


@pytest.mark.parametrize(
    ("new", "old", "message"),
    [
        ({"name": "b"}, {"name": "a"}, 'metadata.name: Invalid value: "b": field is immutable'),
        ({"deletionTimestamp": "x"}, {}, 'metadata.deletionTimestamp: Invalid value: "x": field is immutable'),
        (
            {"deletionGracePeriodSeconds": 5},
            {"deletionGracePeriodSeconds": 0},
            "metadata.deletionGracePeriodSeconds: Invalid value: 5: field is immutable; may only be changed via deletion",  # noqa: E501
        ),
        (
            {"finalizers": ["a", "b"], "deletionTimestamp": "x"},
            {"finalizers": ["a"], "deletionTimestamp": "x"},
            (
                "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, "
                'found new finalizers []string{"b"}'
            ),
        ),
    ],
)
def test_an_update_keeps_what_is_immutable(new, old, message):
    assert [error.message for error in object_meta.update_errors(new, old)] == [message]


def test_an_update_may_leave_out_what_is_immutable_and_remove_finalizers():
    old = {"name": "a", "uid": "1", "finalizers": ["x", "y"], "deletionTimestamp": "x"}
    assert object_meta.update_errors({"finalizers": ["y"]}, old) == []
    assert object_meta.update_errors({"finalizers": ["z"]}, {"finalizers": ["x"]}) == []


def test_a_built_in_type_looks_at_each_finalizer_by_itself_too():
    def said(*finalizers: str) -> list[str]:
        found = messages({"name": "a", "finalizers": list(finalizers)}, qualified=True)
        return [message.partition(":")[0] for message in found]

    assert said("example.com/x", "orphan") == []
    assert said("example.com/x", "plain") == ["metadata.finalizers[1]"]
    assert said("a b") == ["metadata.finalizers", "metadata.finalizers[0]"]
