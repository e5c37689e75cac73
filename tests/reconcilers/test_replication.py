import orjson
import pytest
from cache_objects import FLAVORS, HASH, a_cached_resource, meta
from hypothesis import given
from hypothesis import strategies as st
from plan_world import World, pure

from kcpcache.meta.objects import copy
from kcpcache.meta.selectors import label_selector_of
from kcpcache.reconcilers import replication
from kcpcache.reconcilers.plan import NOTHING, CacheTarget, Create, Delete, Plan, Target, Update
from kcpcache.reconcilers.replication import State, copy_of, source_of

TARGET = CacheTarget("root", FLAVORS, HASH, "provider", "small")


def original(**more):
    return {
        "apiVersion": "cloud.example.com/v1",
        "kind": "Flavor",
        "metadata": meta("small", labels={"tier": "gold"}) | more,
        "spec": {"cpus": 2, "price": 1.5, "burst": True},
        "status": {"ready": True},
    }


def stored(obj, revision="55"):
    found = copy(copy_of(obj, "root"))
    found["metadata"]["resourceVersion"] = revision
    return found


def reconcile(original, copy, cached_resource, target=TARGET):
    source = source_of(cached_resource) if cached_resource else None
    return pure(replication.reconcile, State(target, original, copy, source))


def changed(obj, *path, to):
    obj = copy(obj)
    *front, last = path
    at = obj
    for step in front:
        at = at[step]
    at[last] = to
    return obj


def test_a_copy_is_the_whole_object_with_three_annotations_and_without_what_is_only_read():
    (create,) = reconcile(
        original(annotations={"kcp.io/cluster": "provider", "a": "b"}), None, a_cached_resource()
    ).changes
    expected = original(
        annotations={
            "a": "b",
            "kcp.io/shard": "root",
            "cache.kcp.io/original-resource-version": "7",
            "cache.kcp.io/original-resource-UID": "uid-small",
        }
    )
    del expected["metadata"]["resourceVersion"]
    assert create == Create(TARGET, expected)


def test_an_equal_copy_is_left_alone():
    assert reconcile(original(), stored(original()), a_cached_resource()) is NOTHING


def test_the_order_of_keys_is_not_a_difference():
    shuffled = orjson.loads(orjson.dumps(stored(original()), option=orjson.OPT_SORT_KEYS))
    assert reconcile(original(), shuffled, a_cached_resource()) is NOTHING


def test_the_cluster_that_a_read_adds_to_the_copy_is_not_a_difference():
    read = changed(stored(original()), "metadata", "annotations", "kcp.io/cluster", to="provider")
    assert reconcile(original(), read, a_cached_resource()) is NOTHING


def test_an_originals_own_annotations_of_these_names_do_not_count():
    forged = {
        "kcp.io/shard": "x",
        "cache.kcp.io/original-resource-version": "x",
        "cache.kcp.io/original-resource-UID": "",
    }
    assert copy_of(original(annotations=forged), "root") == copy_of(original(), "root")
    assert copy_of(original(annotations=None), "root") == copy_of(original(), "root")


def test_without_original_without_copy_or_without_anything_nothing_breaks():
    deletes = Plan((Delete(TARGET, "55"),))
    assert reconcile(None, None, None) == reconcile(None, None, a_cached_resource()) == NOTHING
    assert reconcile(original(), None, None) == NOTHING
    assert reconcile(None, stored(original()), a_cached_resource()) == deletes
    assert reconcile(original(), stored(original()), None) == deletes
    assert reconcile(None, stored(original()), None) == deletes


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "cpus"), 3),
        (("spec", "cpus"), 2.0),
        (("spec", "burst"), 1),
        (("spec", "price"), "1.5"),
        (("spec",), {}),
        (("status",), {"ready": False}),
        (("added",), None),
        (("kind",), "Other"),
        (("metadata", "labels"), {"tier": "silver"}),
        (("metadata", "labels", "more"), "x"),
        (("metadata", "finalizers"), ["x/y"]),
        (("metadata", "annotations", "more"), "x"),
        (("metadata", "annotations", "kcp.io/shard"), "other"),
        (("metadata", "annotations"), None),
        (("metadata", "annotations", "cache.kcp.io/original-resource-version"), "6"),
        (("metadata", "annotations", "cache.kcp.io/original-resource-UID"), "x"),
        (("metadata", "creationTimestamp"), "2020-01-01T00:00:00Z"),
    ],
)
def test_whatever_was_tampered_with_is_put_right(path, value):
    tampered = changed(stored(original()), *path, to=value)
    plan = reconcile(original(), tampered, a_cached_resource())
    assert plan == Plan((Update(TARGET, stored(original())),))


def test_the_copy_follows_labels_annotations_spec_and_status():
    for changes in (
        {"labels": {"tier": "new"}},
        {"annotations": {"kcp.io/cluster": "provider", "x": "y"}},
        {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["a/b"]},
    ):
        new = original(resourceVersion="8", **changes)
        (update,) = reconcile(new, stored(original()), a_cached_resource()).changes
        assert update == Update(TARGET, stored(new))


def test_an_original_with_finalizers_stays_cached_until_it_is_gone():
    going = original(deletionTimestamp="2026-01-01T00:00:00Z", finalizers=["a/b"])
    assert reconcile(going, stored(going), a_cached_resource()) is NOTHING
    assert isinstance(reconcile(going, None, a_cached_resource()).changes[0], Create)


def test_an_original_made_again_under_its_name_is_another_object():
    old, new = original(), original(uid="uid-again")
    assert reconcile(new, stored(old), a_cached_resource()).changes == (
        Delete(TARGET, "55"),
        Create(TARGET, copy_of(new, "root")),
    )


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        (None, True),
        ({}, True),
        ({"matchLabels": {"tier": "gold"}}, True),
        ({"matchLabels": {"tier": "silver"}}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "In", "values": ["gold", "x"]}]}, True),
        ({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["gold"]}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}, False),
        ({"matchLabels": {"tier": "gold"}, "matchExpressions": [{"key": "no", "operator": "Exists"}]}, False),
    ],
)
def test_p7_only_what_the_selector_matches_is_cached_and_leaving_it_removes_the_copy(selector, matches):
    owner = a_cached_resource()
    owner["spec"]["labelSelector"] = selector
    into, out = reconcile(original(), None, owner), reconcile(original(), stored(original()), owner)
    assert bool(into.changes) is matches
    assert out == (NOTHING if matches else Plan((Delete(TARGET, "55"),)))


def condition(kind, status):
    return {"type": kind, "status": status}


def test_deleting_the_cached_resource_or_losing_its_resource_removes_the_copies():
    deleting = a_cached_resource()
    deleting["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    status = {"identityHash": HASH, "conditions": [condition("IdentityValid", "True")]}
    invalid = [*status["conditions"], condition("ResourceValid", "False")]
    for owner in (
        deleting,
        a_cached_resource(status=status),
        a_cached_resource(status=status | {"conditions": invalid}),
    ):
        assert reconcile(original(), stored(original()), owner) == Plan((Delete(TARGET, "55"),))
        assert reconcile(original(), None, owner) is NOTHING


def test_while_the_identity_is_not_valid_nothing_is_written_but_what_must_go_goes():
    conditions = [condition("ResourceValid", "True"), condition("IdentityValid", "False")]
    owner = a_cached_resource(status={"identityHash": HASH, "conditions": conditions})
    assert reconcile(original(), None, owner) is NOTHING
    assert reconcile(original(resourceVersion="8"), stored(original()), owner) is NOTHING
    assert reconcile(original(), stored(original()), owner) is NOTHING
    assert reconcile(original(uid="again"), stored(original()), owner) == Plan((Delete(TARGET, "55"),))
    assert reconcile(None, stored(original()), owner) == Plan((Delete(TARGET, "55"),))
    owner["spec"]["labelSelector"] = {"matchLabels": {"tier": "x"}}
    assert reconcile(original(), stored(original()), owner) == Plan((Delete(TARGET, "55"),))


@pytest.mark.parametrize(
    "target",
    [
        TARGET.__class__("root", FLAVORS, "other-hash", "provider", "small"),
        TARGET.__class__("root", FLAVORS._replace(version="v2"), HASH, "provider", "small"),
        TARGET.__class__("root", FLAVORS, HASH, "stranger", "small"),
    ],
)
def test_p11_a_copy_in_a_place_that_is_not_the_cached_resources_is_removed(target):
    assert reconcile(original(), stored(original()), a_cached_resource(), target) == Plan((Delete(target, "55"),))
    assert reconcile(original(), None, a_cached_resource(), target) is NOTHING


names = st.sampled_from(["a", "b", "c"])
labels = st.dictionaries(st.sampled_from(["tier", "zone"]), st.sampled_from(["x", "y"]))
expressions = st.one_of(
    st.fixed_dictionaries(
        {
            "key": st.sampled_from(["tier", "zone"]),
            "operator": st.sampled_from(["In", "NotIn"]),
            "values": st.lists(st.sampled_from(["x", "y"]), min_size=1),
        }
    ),
    st.fixed_dictionaries(
        {"key": st.sampled_from(["tier", "zone"]), "operator": st.sampled_from(["Exists", "DoesNotExist"])}
    ),
)
selectors = st.one_of(
    st.none(), st.fixed_dictionaries({}, optional={"matchLabels": labels, "matchExpressions": st.lists(expressions)})
)
steps = st.one_of(
    st.tuples(st.just("write"), names, labels, st.integers(0, 3)),
    st.tuples(st.just("delete"), names),
    st.tuples(st.just("select"), selectors),
    st.tuples(st.just("tamper"), names, st.integers(0, 3)),
    st.tuples(st.just("lose"), names),
    st.tuples(st.just("invent"), names),
    st.tuples(st.just("identity"), st.booleans()),
    st.tuples(st.just("reconcile"), names),
)


class Provider:
    """A workspace, a cache and one CachedResource; any history of them."""

    def __init__(self):
        self.world, self.owner = World(), a_cached_resource()

    def original(self, name):
        return Target(FLAVORS, "provider", name)

    def cached(self, name):
        return CacheTarget("root", FLAVORS, HASH, "provider", name)

    def decide(self, name):
        state = State(
            self.cached(name),
            self.world.get(self.original(name)),
            self.world.get(self.cached(name)),
            source_of(self.owner),
        )
        return pure(replication.reconcile, state)

    def step(self, kind, *args):
        getattr(self, kind)(*args)

    def write(self, name, labels, size):
        old = self.world.get(self.original(name)) or {"metadata": {}}
        new = {"apiVersion": "cloud.example.com/v1", "kind": "Flavor", "metadata": old["metadata"], "spec": {"n": size}}
        new["metadata"]["labels"] = labels
        self.world.put(self.original(name), new)

    def delete(self, name):
        self.world.objects.pop(self.original(name), None)

    def select(self, selector):
        self.owner["spec"]["labelSelector"] = selector

    def tamper(self, name, size):
        if found := self.world.get(self.cached(name)):
            self.world.put(self.cached(name), found | {"spec": {"n": size, "tampered": True}})

    def lose(self, name):
        self.world.objects.pop(self.cached(name), None)

    def invent(self, name):
        self.world.put(self.cached(name), {"metadata": {"uid": "invented"}})

    def identity(self, valid):
        conditions = [condition("ResourceValid", "True"), condition("IdentityValid", str(valid))]
        self.owner["status"]["conditions"] = conditions

    def reconcile(self, name):
        self.world.apply(self.decide(name))


@given(st.lists(steps, max_size=20))
def test_p8_after_any_history_the_cache_is_the_originals_that_match(history):
    provider = Provider()
    for step in history:
        provider.step(*step)
    provider.identity(valid=True)
    expected = {}
    selector = label_selector_of(provider.owner["spec"].get("labelSelector"))
    for name in ("a", "b", "c"):
        plans = provider.world.settle(lambda name=name: provider.decide(name))
        assert len(plans) <= 1, "one pass is enough"
        found = provider.world.get(provider.original(name))
        if found and selector.matches(found["metadata"].get("labels", {})):
            expected[name] = copy_of(found, "root")
    cached = {t.name: copy(o) for t, o in provider.world.objects.items() if isinstance(t, CacheTarget)}
    for obj in cached.values():
        del obj["metadata"]["resourceVersion"]
    assert cached == expected
