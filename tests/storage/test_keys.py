"""How keys are laid out, and what never gets into one."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from kcpcache.storage import keys

SEGMENTS = st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,8}[a-z0-9])?", fullmatch=True)
BAD = ["", ".", "..", "a/b", "/", "a\0", "a\nb", "\x7f", "\x85", "\ud800"]


def test_keys_look_as_designed():
    registry = keys.registry_prefix("cloud.example.com", "cpuflavors")
    assert registry == "/registry/cloud.example.com/cpuflavors/"
    assert keys.object_key(registry, "root", "x") == "/registry/cloud.example.com/cpuflavors/root/x"
    core = keys.registry_prefix("", "configmaps")
    assert keys.object_key(core, "2vz", "y", namespace="default") == "/registry/core/configmaps/2vz/default/y"
    assert keys.registry_prefix("a.b", "cs", identity="0f") == "/registry/a.b/cs:0f/"
    assert keys.cache_prefix("shard1", "", "v1", "configmaps", "0f") == "/cache/shard1/core/v1/configmaps:0f/"


@given(cluster=SEGMENTS, namespace=SEGMENTS | st.just(""), name=SEGMENTS)
def test_what_was_joined_can_be_split(cluster, namespace, name):
    prefix = keys.cache_prefix("s", "g.x", "v1", "things", "id")
    key = keys.object_key(prefix, cluster, name, namespace=namespace)
    assert keys.parse_key(prefix, key) == (cluster, namespace, name)
    assert key.startswith(keys.cluster_prefix(prefix, cluster))
    if namespace:
        assert key.startswith(keys.namespace_prefix(prefix, cluster, namespace))


def test_a_prefix_never_reaches_into_a_neighbour():
    prefix = keys.registry_prefix("g.x", "things")
    neighbour = keys.object_key(prefix, "ab", "x", namespace="nsx")
    assert not neighbour.startswith(keys.cluster_prefix(prefix, "a"))
    assert not neighbour.startswith(keys.namespace_prefix(prefix, "ab", "ns"))
    assert not keys.registry_prefix("g.x", "things", identity="1").startswith(prefix)


@pytest.mark.parametrize("bad", BAD)
def test_what_could_change_a_keys_shape_is_refused_everywhere(bad):
    prefix = keys.registry_prefix("g.x", "things")
    calls = [
        lambda: keys.registry_prefix("g.x", bad),
        lambda: keys.cache_prefix(bad, "g.x", "v1", "things", "id"),
        lambda: keys.cache_prefix("s", "g.x", bad, "things", "id"),
        lambda: keys.cache_prefix("s", "g.x", "v1", bad, "id"),
        lambda: keys.cache_prefix("s", "g.x", "v1", "things", bad),
        lambda: keys.cluster_prefix(prefix, bad),
        lambda: keys.namespace_prefix(prefix, "c", bad),
        lambda: keys.object_key(prefix, bad, "n"),
        lambda: keys.object_key(prefix, "c", bad),
        lambda: keys.object_key(prefix, "c", bad, namespace="ns"),
    ]
    if bad:
        calls += [
            lambda: keys.registry_prefix(bad, "things"),
            lambda: keys.registry_prefix("g.x", "things", identity=bad),
            lambda: keys.object_key(prefix, "c", "n", namespace=bad),
        ]
    for call in calls:
        with pytest.raises(ValueError, match="storage key"):
            call()


def test_a_colon_separates_the_identity_and_nothing_else():
    for call in (
        lambda: keys.registry_prefix("g.x", "things:1"),
        lambda: keys.registry_prefix("g.x", "things", identity="1:2"),
        lambda: keys.cache_prefix("s", "g.x", "v1", "a:b", "c"),
    ):
        with pytest.raises(ValueError, match="':'"):
            call()
    prefix = keys.registry_prefix("rbac.authorization.k8s.io", "clusterroles")
    assert keys.object_key(prefix, "root", "system:node").endswith("/root/system:node")


@pytest.mark.parametrize("path", ["root:org", "root:org:team", ":", "system:admin:x", "root:"])
def test_a_workspace_path_is_no_cluster(path):
    with pytest.raises(ValueError, match="workspace path"):
        keys.cluster_prefix("/registry/g.x/things/", path)


def test_a_system_cluster_is_a_cluster():
    assert keys.cluster_prefix("/registry/g.x/things/", "system:admin") == "/registry/g.x/things/system:admin/"


def test_the_spelled_out_core_group_is_refused_since_it_would_be_the_core_group():
    with pytest.raises(ValueError, match="core"):
        keys.registry_prefix("core", "configmaps")


@pytest.mark.parametrize("key", ["/registry/g.x/things/c", "/registry/g.x/things/c/n/m/o", "/registry/g.x/things//n"])
def test_a_key_of_another_shape_is_refused(key):
    with pytest.raises(ValueError, match="not an object's key"):
        keys.parse_key("/registry/g.x/things/", key)
    with pytest.raises(ValueError, match="not an object's key"):
        keys.parse_key("/registry/g.x/others/", key)


@given(prefix=st.text(st.characters(codec="utf-8"), max_size=4), rest=st.text(st.characters(codec="utf-8"), max_size=3))
def test_after_prefix_is_above_all_that_start_with_it(prefix, rest):
    above = keys.after_prefix(prefix)
    assert above is None or prefix + rest < above
    assert above is None or not above.startswith(prefix)
    assert above is not None or set(prefix) <= {"\U0010ffff"}
