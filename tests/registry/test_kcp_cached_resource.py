"""CachedResource: what may be replicated, what stays, and the short form of the selector (behaviour §3.1)."""

from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcpcache.meta.names import GroupResource
from kcpcache.meta.patch.merge_patch import apply_merge_patch
from kcpcache.registry.kcp import NORMALIZERS, PATCH_NORMALIZERS
from kcpcache.registry.system import kcp_definitions

KEY = GroupResource("cache.kcp.io", "cachedresources")
VISIBLE = "cloud.example.com/visibility"


def cached_resource(**spec):
    wanted = {"group": "cloud.example.com", "resource": "cpuflavors", **spec}
    return {"apiVersion": "cache.kcp.io/v1alpha1", "kind": "CachedResource", "metadata": {"name": "x"}, "spec": wanted}


def stored(obj):
    """As it is stored: the short form folded, defaults applied. Unknown fields would fail the test."""
    obj = deepcopy(obj)
    schema = kcp_definitions()[KEY].storage.schema
    NORMALIZERS[KEY](obj)
    assert schema.prune(obj) == []
    schema.default(obj)
    return obj


def selector(obj):
    return stored(obj)["spec"]["labelSelector"]


def messages(obj):
    definition, obj = kcp_definitions()[KEY], stored(obj)
    return [error.message for error in definition.storage.schema.validate(obj) or definition.rules.validate(obj)]


def patched(obj, patch):
    """What an ordinary ``kubectl patch --type=merge`` stores."""
    patch = {"spec": {"labelSelector": patch}}
    PATCH_NORMALIZERS[KEY](patch)
    return selector(apply_merge_patch(stored(obj), patch))


# The short form


def test_a_plain_map_of_labels_is_a_selector():
    assert selector(cached_resource(labelSelector={VISIBLE: "Public"})) == {"matchLabels": {VISIBLE: "Public"}}


def test_the_long_form_stays():
    long = {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "c", "operator": "Exists"}]}
    assert selector(cached_resource(labelSelector=long)) == long
    assert "labelSelector" not in stored(cached_resource())["spec"]
    assert selector(cached_resource(labelSelector={})) == {}


def test_a_label_in_the_short_form_joins_the_long_one():
    both = {"matchLabels": {"a": "1", "b": "1"}, "b": "2"}
    assert selector(cached_resource(labelSelector=both)) == {"matchLabels": {"a": "1", "b": "2"}}


def test_a_null_takes_a_label_away():
    both = {"matchLabels": {"a": "1", "b": "1"}, "b": None}
    assert selector(cached_resource(labelSelector=both)) == {"matchLabels": {"a": "1"}}
    assert selector(cached_resource(labelSelector={"matchLabels": None, "a": "1"})) == {"matchLabels": {"a": "1"}}


@pytest.mark.parametrize("value", [1, True, ["Public"], {}])
def test_what_cannot_be_a_label_is_refused_and_never_dropped(value):
    """Dropped as an unknown field it would leave a selector that selects everything."""
    (message, *_) = messages(cached_resource(labelSelector={VISIBLE: value}))
    assert message.startswith(f"spec.labelSelector.matchLabels.{VISIBLE}: Invalid value")


@pytest.mark.parametrize("value", ["Public", [], 1])
def test_what_is_no_selector_at_all_is_left_to_the_schema(value):
    (message, *_) = messages(cached_resource(labelSelector=value))
    assert message.startswith("spec.labelSelector: Invalid value")
    (message, *_) = messages(cached_resource(labelSelector={"matchLabels": value}))
    assert message.startswith("spec.labelSelector.matchLabels: Invalid value")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["matchLabels", "a", "b"]), inner),
    max_leaves=8,
)


@given(json_values)
def test_normalising_twice_is_normalising_once_whatever_the_selector(value):
    once = cached_resource(labelSelector=value)
    NORMALIZERS[KEY](once)
    twice = deepcopy(once)
    NORMALIZERS[KEY](twice)
    assert twice == once
    PATCH_NORMALIZERS[KEY](twice)
    assert twice == once


@pytest.mark.parametrize("obj", [{}, {"spec": None}, {"spec": {"labelSelector": None}}, {"spec": []}])
def test_an_object_without_a_selector_stays_as_it_is(obj):
    same = deepcopy(obj)
    NORMALIZERS[KEY](same)
    PATCH_NORMALIZERS[KEY](same)
    assert same == obj


# Patches in the short form of what is stored in the long one

SHORT = cached_resource(labelSelector={"a": "1", "b": "1"})


def test_a_patch_changes_and_adds_labels_in_the_short_form():
    assert patched(SHORT, {"b": "2", "c": "3"}) == {"matchLabels": {"a": "1", "b": "2", "c": "3"}}


def test_a_patch_takes_labels_away_in_the_short_form():
    """What ``kubectl apply`` sends when a key went from the manifest, with all that is not in the long form anew."""
    assert patched(SHORT, {"a": None, "b": "1"}) == {"matchLabels": {"b": "1"}}
    assert patched(SHORT, {"a": None, "b": None}) == {"matchLabels": {}}


def test_a_patch_puts_the_short_form_in_the_place_of_the_long_one():
    """What ``kubectl apply`` sends when the manifest went from the long form to the short one."""
    assert patched(SHORT, {"matchLabels": None, "c": "3"}) == {"matchLabels": {"c": "3"}}


def test_a_patch_in_the_long_form_means_what_it_says():
    assert patched(SHORT, {"matchLabels": {"a": None}}) == {"matchLabels": {"b": "1"}}
    expressions = [{"key": "c", "operator": "Exists"}]
    wanted = {"matchLabels": {"a": "1", "b": "1"}, "matchExpressions": expressions}
    assert patched(SHORT, {"matchExpressions": expressions}) == wanted


# What may be replicated


def test_a_users_own_resource_may_be_replicated():
    assert messages(cached_resource(version="v1alpha1", labelSelector={VISIBLE: "Public"})) == []


@pytest.mark.parametrize("group", ["kcp.io", "apis.kcp.io", "cache.kcp.io", "any.thing.kcp.io"])
def test_resources_of_the_system_may_not(group):
    assert messages(cached_resource(group=group)) == [
        f'spec.group: Invalid value: "{group}": resources of kcp\'s system groups cannot be replicated'
    ]


@pytest.mark.parametrize(
    ("group", "resource", "path", "value"),
    [
        ("", "configmaps", "spec.resource", "configmaps"),
        ("", "anything", "spec.resource", "anything"),
        ("rbac.authorization.k8s.io", "clusterroles", "spec.resource", "clusterroles"),
        ("rbac.authorization.k8s.io", "anything", "spec.group", "rbac.authorization.k8s.io"),
    ],
)
def test_resources_of_built_in_apis_may_not(group, resource, path, value):
    assert messages(cached_resource(group=group, resource=resource)) == [
        f'{path}: Invalid value: "{value}": resources of built-in APIs cannot be replicated'
    ]


def test_a_selector_can_be_evaluated():
    expressions = [{"key": "a", "operator": "Near", "values": ["b"]}]
    assert messages(cached_resource(labelSelector={"matchExpressions": expressions})) == [
        'spec.labelSelector.matchExpressions[0].operator: Invalid value: "Near": not a valid selector operator'
    ]


def test_a_version_is_a_name():
    (message,) = messages(cached_resource(version="v1/../x"))
    assert message.startswith('spec.version: Invalid value: "v1/../x": a DNS-1035 label')


def test_the_reference_to_the_identity_is_whole():
    assert messages(cached_resource(identity={"secretRef": {"name": "n", "namespace": "ns"}})) == []
    assert messages(cached_resource(identity={"secretRef": {"name": "n"}})) == [
        "spec.identity.secretRef.namespace: Required value: must be set together with the name"
    ]


# What stays


def updated(new, old):
    return [error.message for error in kcp_definitions()[KEY].rules.validate_update(new, old)]


@pytest.mark.parametrize("field", ["group", "resource"])
def test_another_resource_is_another_object(field):
    assert updated(cached_resource(**{field: "other"}), cached_resource()) == [
        f'spec.{field}: Invalid value: "other": field is immutable'
    ]


def test_a_version_is_chosen_once():
    assert updated(cached_resource(version="v1"), cached_resource()) == []
    assert updated(cached_resource(version="v2"), cached_resource(version="v1")) == [
        'spec.version: Invalid value: "v2": field is immutable'
    ]
    assert updated(cached_resource(), cached_resource(version="v1")) == [
        'spec.version: Invalid value: "": field is immutable'
    ]


def test_an_identity_is_recorded_once():
    recorded = cached_resource() | {"status": {"identityHash": "a"}}
    assert updated(recorded, cached_resource()) == []
    assert updated(cached_resource() | {"status": {"identityHash": "b"}}, recorded) == [
        'status.identityHash: Invalid value: "b": field is immutable'
    ]
    assert updated(cached_resource(labelSelector={"a": "b"}) | {"status": recorded["status"]}, recorded) == []
