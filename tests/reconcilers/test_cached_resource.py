from dataclasses import dataclass, field

import pytest
from cache_objects import FLAVORS, HASH, a_secret
from plan_world import LATER, NOW, World, pure

from kcpcache.meta import conditions
from kcpcache.meta.names import GroupVersionResource
from kcpcache.meta.virtual_resources import CACHED_RESOURCES, ENDPOINT_SLICES, FINALIZER
from kcpcache.reconcilers import cached_resource, identity
from kcpcache.reconcilers.cached_resource import Served, State, first_of_others, resource_to_claim
from kcpcache.reconcilers.plan import Create, Plan, Target, Update, UpdateStatus

OWNER = Target(CACHED_RESOURCES, "provider", "flavors-v1")
SLICE = Target(ENDPOINT_SLICES, "provider", "flavors-v1")
NAMESPACE = Target(GroupVersionResource("", "v1", "namespaces"), "provider", "kcp-system")
SECRETS = GroupVersionResource("", "v1", "secrets")
SECRET = Target(SECRETS, "provider", "flavors-v1", "kcp-system")
CLUSTER_SCOPED = Served(("v1", "v1beta1"), namespaced=False)


@dataclass
class Provider:
    """A workspace with one CachedResource, and what its state is read from."""

    spec: dict = field(default_factory=lambda: {"group": FLAVORS.group, "version": "v1", "resource": "flavors"})
    annotations: dict = field(default_factory=dict)
    served: Served | None = CLUSTER_SCOPED
    other: str | None = None
    local: int | None = 2
    copies: int | None = 2
    consumers: int | None = 0
    full_pass_done: bool = True
    now: str = NOW

    def __post_init__(self):
        self.world = World()
        self.world.put(OWNER, {"metadata": {"annotations": self.annotations}, "spec": self.spec})

    @property
    def owner(self):
        return self.world.get(OWNER)

    def decide(self) -> Plan:
        return pure(cached_resource.reconcile, self.state())

    def state(self):
        owner = self.owner
        names = identity.secrets_to_read(owner, CACHED_RESOURCES) if owner else ()
        secrets = [self.world.get(Target(SECRETS, "provider", name, namespace)) for namespace, name in names]
        return State(
            cached_resource=owner,
            path="root:provider",
            now=self.now,
            served=self.served,
            other_with_same_gvr=self.other,
            namespace=self.world.get(NAMESPACE),
            secrets=tuple(secret for secret in secrets if secret),
            fresh_key="instances-cr-identity-123",
            endpoint_slice=self.world.get(SLICE),
            local=self.local,
            copies=self.copies,
            consumers=self.consumers,
            full_pass_done=self.full_pass_done,
        )

    def settle(self):
        return self.world.settle(self.decide)

    def write(self, change):
        owner = self.owner
        change(owner)
        self.world.put(OWNER, owner)

    def put_secret(self, key, name="flavors-v1", namespace="kcp-system"):
        self.world.put(Target(SECRETS, "provider", name, namespace), a_secret(name, key, namespace))

    def phase(self):
        return self.owner["status"]["phase"]

    def condition(self, kind):
        found = conditions.get(self.owner, kind)
        return (found["status"], found.get("reason"), found.get("severity")) if found else None


TRUE = ("True", None, None)


@pytest.fixture
def ready():
    provider = Provider()
    provider.settle()
    assert provider.phase() == "Ready"
    return provider


def test_a_new_cached_resource_gets_ready_in_two_passes():
    provider = Provider()
    assert len(provider.settle()) == 2
    owner = provider.owner
    assert owner["metadata"]["finalizers"] == [FINALIZER]
    assert owner["metadata"]["annotations"]["kcp.io/path"] == "root:provider"
    assert owner["spec"]["identity"] == {"secretRef": {"name": "flavors-v1", "namespace": "kcp-system"}}
    assert owner["status"] == {
        "phase": "Ready",
        "identityHash": HASH,
        "resourceCounts": {"cache": 2, "local": 2},
        "conditions": [
            {"type": "IdentityValid", "status": "True", "lastTransitionTime": NOW},
            {"type": "ReplicationStarted", "status": "True", "lastTransitionTime": NOW},
            {"type": "ResourceValid", "status": "True", "lastTransitionTime": NOW},
        ],
    }
    assert NAMESPACE in provider.world.objects
    assert SECRET in provider.world.objects


def test_when_nothing_changed_nothing_is_written_whatever_the_time(ready):
    ready.now = LATER
    assert ready.decide() == Plan()


def test_one_plan_never_writes_the_cached_resource_twice():
    provider = Provider(spec={"group": FLAVORS.group, "resource": "flavors"})
    while (plan := provider.decide()).changes:
        assert sum(isinstance(c, Update | UpdateStatus) and c.target == OWNER for c in plan.changes) <= 1
        provider.world.apply(plan)


def test_a_cached_resource_that_is_gone_needs_nothing():
    provider = Provider()
    provider.world.objects.clear()
    assert provider.decide() == Plan()


# The resource.


def test_the_version_is_defaulted_once_to_the_preferred_one():
    provider = Provider(spec={"group": FLAVORS.group, "resource": "flavors"})
    provider.settle()
    assert provider.owner["spec"]["version"] == "v1"
    provider.served = Served(("v2", "v1"), namespaced=False)
    provider.settle()
    assert provider.owner["spec"]["version"] == "v1"
    assert provider.phase() == "Ready"


def test_a_version_that_another_one_took_meanwhile_is_not_set():
    provider = Provider(spec={"group": FLAVORS.group, "resource": "flavors"}, other="first")
    provider.settle()
    assert "version" not in provider.owner["spec"]
    assert provider.condition("ResourceValid") == ("False", "InternalError", "Error")
    assert "'first'" in conditions.get(provider.owner, "ResourceValid")["message"]
    assert provider.phase() == "Initializing"
    provider.other = None
    provider.settle()
    assert provider.owner["spec"]["version"] == "v1"
    assert provider.phase() == "Ready"


@pytest.mark.parametrize(
    ("spec", "served", "claim"),
    [
        ({}, CLUSTER_SCOPED, "v1"),
        ({"version": ""}, CLUSTER_SCOPED, "v1"),
        ({"version": "v2"}, CLUSTER_SCOPED, "v2"),
        ({"version": "v2"}, None, "v2"),
        ({}, Served(("v1",), namespaced=True), None),
        ({}, Served((), namespaced=False), None),
        ({}, None, None),
    ],
)
def test_what_a_cached_resource_claims_is_its_resource_in_its_own_or_the_preferred_version(spec, served, claim):
    found = resource_to_claim({"spec": {"group": FLAVORS.group, "resource": "flavors"} | spec}, served)
    assert found == (FLAVORS._replace(version=claim) if claim else None)


def claimant(name, created, version="v1"):
    spec = {"group": FLAVORS.group, "resource": "flavors"} | ({"version": version} if version else {})
    return {"metadata": {"name": name, "creationTimestamp": created}, "spec": spec}


@pytest.mark.parametrize(
    ("own", "others", "first"),
    [
        (claimant("b", NOW), [], None),
        (claimant("b", NOW), [claimant("b", NOW)], None),
        (claimant("b", NOW), [claimant("a", NOW), claimant("b", NOW)], "a"),
        (claimant("a", NOW), [claimant("b", NOW)], None),
        (claimant("a", LATER), [claimant("b", NOW)], "b"),
        (claimant("a", NOW, version=""), [claimant("b", LATER)], "b"),
        (claimant("c", LATER), [claimant("b", NOW), claimant("a", LATER)], "b"),
    ],
)
def test_of_two_with_one_resource_the_older_one_has_it(own, others, first):
    assert first_of_others(own, others) == first


def test_of_two_that_were_defaulted_at_one_moment_the_later_one_gives_way_until_the_other_is_gone(ready):
    ready.other = "first"
    ready.settle()
    assert ready.condition("ResourceValid") == ("False", "InternalError", "Error")
    assert ready.phase() == "Initializing"
    ready.other = None
    ready.settle()
    assert ready.phase() == "Ready"


@pytest.mark.parametrize(
    ("spec", "served", "reason"),
    [
        ({"version": "v1"}, None, "NoResources"),
        ({"version": "v1"}, Served((), namespaced=False), "NoResources"),
        ({"version": "v1"}, Served(("v2",), namespaced=False), "NoResources"),
        ({"version": "v1"}, Served(("v1",), namespaced=True), "ResourceNotClusterScoped"),
        ({}, None, "NoResources"),
        ({}, Served((), namespaced=False), "NoResources"),
        ({}, Served(("v1",), namespaced=True), "ResourceNotClusterScoped"),
    ],
)
def test_a_resource_that_cannot_be_replicated_leaves_it_initializing_until_it_can(spec, served, reason):
    provider = Provider(spec={"group": FLAVORS.group, "resource": "flavors"} | spec, served=served)
    provider.settle()
    assert provider.condition("ResourceValid") == ("False", reason, "Error")
    assert provider.condition("ReplicationStarted") == ("False", reason, "Error")
    what = "flavors.v1.cloud.example.com" if spec else "flavors.cloud.example.com"
    assert conditions.get(provider.owner, "ResourceValid")["message"].startswith(f"{what} is ")
    assert provider.phase() == "Initializing"
    provider.served = CLUSTER_SCOPED
    provider.settle()
    assert provider.phase() == "Ready"


def test_when_the_resource_is_no_longer_served_it_waits_and_starts_anew(ready):
    ready.served, ready.local, ready.copies, ready.full_pass_done, ready.now = None, 0, 0, False, LATER
    ready.settle()
    assert ready.phase() == "Initializing"
    assert ready.owner["status"]["resourceCounts"] == {"cache": 0, "local": 0}
    assert conditions.get(ready.owner, "ResourceValid")["lastTransitionTime"] == LATER
    assert conditions.get(ready.owner, "IdentityValid")["lastTransitionTime"] == NOW
    ready.served = CLUSTER_SCOPED
    ready.settle()
    assert ready.condition("ReplicationStarted") is None
    assert ready.phase() == "Initializing"
    ready.full_pass_done = True
    ready.settle()
    assert ready.phase() == "Ready"


# Replication and counts.


def test_it_is_ready_only_after_the_first_full_pass():
    provider = Provider(full_pass_done=False)
    provider.settle()
    assert provider.condition("ReplicationStarted") is None
    assert provider.phase() == "Initializing"
    provider.full_pass_done = True
    provider.settle()
    assert provider.condition("ReplicationStarted") == TRUE
    assert provider.phase() == "Ready"


def test_a_restart_takes_nothing_back_while_its_first_pass_runs(ready):
    ready.full_pass_done = False
    assert ready.decide() == Plan()


def test_counts_follow_and_what_is_not_known_stays_as_it_was(ready):
    ready.local, ready.copies = 5, None
    ready.settle()
    assert ready.owner["status"]["resourceCounts"] == {"cache": 2, "local": 5}
    ready.local, ready.copies = None, 4
    (plan,) = ready.settle()
    assert [type(change) for change in plan.changes] == [UpdateStatus]
    assert ready.owner["status"]["resourceCounts"] == {"cache": 4, "local": 5}


def test_counts_that_were_never_known_are_zero():
    provider = Provider(local=None, copies=None, served=None)
    provider.settle()
    assert provider.owner["status"]["resourceCounts"] == {"cache": 0, "local": 0}


# The identity.


def test_a_secret_of_ones_own_is_taken_and_no_other_made():
    reference = {"secretRef": {"name": "mine", "namespace": "default"}}
    provider = Provider(spec={"group": FLAVORS.group, "version": "v1", "resource": "flavors", "identity": reference})
    provider.put_secret("instances-cr-identity-123", "mine", "default")
    provider.settle()
    assert provider.owner["status"]["identityHash"] == HASH
    assert SECRET not in provider.world.objects
    assert NAMESPACE not in provider.world.objects


def test_a_secret_of_the_default_name_is_reused():
    provider = Provider()
    provider.put_secret("mine")
    provider.settle()
    assert provider.owner["status"]["identityHash"] == identity.identity_hash(b"mine")


@pytest.mark.parametrize("key", [None, "", "another key"])
def test_p9_a_secret_edited_or_deleted_stops_replication_until_it_is_as_it_was(ready, key):
    if key is None:
        del ready.world.objects[SECRET]
    else:
        ready.put_secret(key)
    ready.full_pass_done = False
    ready.settle()
    assert ready.condition("IdentityValid") == ("False", "IdentityVerificationFailed", "Error")
    assert ready.condition("ReplicationStarted") == ("False", "IdentityVerificationFailed", "Error")
    assert "kcp-system/flavors-v1" in conditions.get(ready.owner, "IdentityValid")["message"]
    assert ready.owner["status"]["identityHash"] == HASH
    assert ready.phase() == "Initializing"
    assert ready.decide() == Plan()
    ready.put_secret("instances-cr-identity-123")
    ready.full_pass_done = True
    ready.settle()
    assert ready.phase() == "Ready"


def test_while_its_namespace_is_being_deleted_it_says_so_and_looks_again():
    provider = Provider()
    provider.world.put(NAMESPACE, {"metadata": {"deletionTimestamp": NOW}})
    provider.settle()
    assert provider.condition("IdentityValid") == ("False", "IdentityGenerationFailed", "Error")
    assert provider.phase() == "Initializing"
    assert provider.decide().requeue_after is not None
    del provider.world.objects[NAMESPACE]
    provider.settle()
    assert provider.phase() == "Ready"
    assert provider.decide().requeue_after is None


# The endpoint slice.


def test_the_slice_is_made_owned_and_refers_by_name_and_path(ready):
    found = ready.world.get(SLICE)
    assert found["spec"] == {"cachedResource": {"name": "flavors-v1", "path": "root:provider"}}
    assert found["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "cache.kcp.io/v1alpha1",
            "kind": "CachedResource",
            "name": "flavors-v1",
            "uid": ready.owner["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]


def test_a_deleted_slice_is_made_again(ready):
    del ready.world.objects[SLICE]
    (plan,) = ready.settle()
    assert [type(change) for change in plan.changes] == [Create]
    assert SLICE in ready.world.objects


@pytest.mark.parametrize("value", ["", "true", "false"])
def test_no_slice_is_made_where_the_annotation_says_so_whatever_its_value(value):
    provider = Provider(annotations={"cachedresources.cache.kcp.io/skip-endpointslice": value})
    provider.settle()
    assert SLICE not in provider.world.objects
    assert provider.phase() == "Ready"


def test_somebody_elses_slice_of_the_name_is_left_alone():
    provider = Provider()
    provider.world.put(SLICE, {"spec": {"cachedResource": {"name": "other"}}})
    provider.settle()
    assert provider.world.get(SLICE)["spec"] == {"cachedResource": {"name": "other"}}


# The end.


def test_deletion_waits_for_the_copies_then_says_deleted_then_lets_go(ready):
    ready.world.delete(OWNER)
    ready.consumers = 1
    ready.settle()
    assert ready.phase() == "Deleting"
    assert ready.condition("ResourceValid") == ("False", "Deleting", "Info")
    assert ready.condition("ReplicationStarted") == ("False", "Deleting", "Info")
    ready.copies = 0
    ready.settle()
    assert ready.phase() == "Deleting"
    assert ready.owner["status"]["resourceCounts"]["cache"] == 0
    ready.consumers = 0
    deleted, released = ready.settle()
    assert [change.object["status"]["phase"] for change in deleted.changes] == ["Deleted"]
    assert [change.object["metadata"]["finalizers"] for change in released.changes] == [[]]
    assert ready.owner is None


def test_deletion_passes_through_both_phases_even_if_there_is_nothing_to_purge(ready):
    ready.copies = 0
    ready.settle()
    ready.world.delete(OWNER)
    plans = ready.settle()
    assert [plan.changes[0].object["status"]["phase"] for plan in plans] == ["Deleting", "Deleted", "Deleted"]
    assert ready.owner is None


@pytest.mark.parametrize("unknown", ["copies", "consumers"])
def test_deletion_waits_while_the_cache_cannot_be_read(ready, unknown):
    ready.copies = ready.consumers = 0
    setattr(ready, unknown, None)
    ready.world.delete(OWNER)
    ready.settle()
    assert ready.phase() == "Deleting"
    assert ready.owner["metadata"]["finalizers"] == [FINALIZER]


def test_a_copy_that_turns_up_late_takes_it_back_to_deleting(ready):
    ready.world.delete(OWNER)
    ready.copies = 0
    ready.world.apply(ready.decide())
    ready.world.apply(ready.decide())
    assert ready.phase() == "Deleted"
    ready.copies = 1
    ready.settle()
    assert ready.phase() == "Deleting"


def test_deletion_makes_no_slice_secret_or_version():
    provider = Provider(spec={"group": FLAVORS.group, "resource": "flavors"}, copies=0)
    provider.write(lambda owner: owner["metadata"].update(finalizers=[FINALIZER], deletionTimestamp=NOW))
    provider.settle()
    assert not provider.world.objects


def test_p9_deletion_completes_when_resource_secret_namespace_and_slice_are_gone(ready):
    for target in (SECRET, NAMESPACE, SLICE):
        del ready.world.objects[target]
    ready.served, ready.local, ready.copies = None, 0, 0
    ready.world.delete(OWNER)
    ready.settle()
    assert not ready.world.objects


def test_other_finalizers_are_kept_and_then_left_alone(ready):
    ready.copies = 0
    ready.write(lambda owner: owner["metadata"]["finalizers"].insert(0, "example.com/mine"))
    ready.settle()
    ready.world.delete(OWNER)
    ready.settle()
    assert ready.owner["metadata"]["finalizers"] == ["example.com/mine"]
    assert ready.phase() == "Deleted"
    ready.copies, ready.now = 7, LATER
    assert ready.decide() == Plan()


def test_finalizers_and_annotations_of_others_are_kept_when_its_own_are_added():
    provider = Provider(annotations={"mine": "x"})
    provider.write(lambda owner: owner["metadata"].update(finalizers=["example.com/mine"]))
    provider.settle()
    found = provider.owner["metadata"]
    assert found["finalizers"] == ["example.com/mine", FINALIZER]
    assert found["annotations"]["mine"] == "x"


def test_deleted_before_it_had_a_finalizer_it_is_left_alone():
    provider = Provider()
    provider.write(lambda owner: owner["metadata"].update(deletionTimestamp=NOW))
    assert provider.decide() == Plan()


def test_what_a_user_takes_away_comes_back(ready):
    ready.write(lambda owner: (owner["metadata"].update(finalizers=[], annotations={}), owner["spec"].pop("identity")))
    ready.settle()
    owner = ready.owner
    assert owner["metadata"]["finalizers"] == [FINALIZER]
    assert owner["metadata"]["annotations"]["kcp.io/path"] == "root:provider"
    assert owner["spec"]["identity"]["secretRef"]["name"] == "flavors-v1"
    assert owner["status"]["identityHash"] == HASH


REASONS = {
    "NoResources",
    "ResourceNotClusterScoped",
    "Deleting",
    "IdentityGenerationFailed",
    "IdentityVerificationFailed",
    "InternalError",
}


@pytest.mark.parametrize("deleting", [False, True])
@pytest.mark.parametrize("other", [None, "rival"])
@pytest.mark.parametrize("secret", ["as it is", "edited", "gone", "without a key"])
@pytest.mark.parametrize("full_pass_done", [True, False])
@pytest.mark.parametrize("served", [CLUSTER_SCOPED, Served(("v1",), namespaced=True), None])
def test_whatever_is_wrong_every_false_condition_says_so_with_one_of_six_reasons(
    served, full_pass_done, secret, other, deleting, ready
):
    ready.served, ready.full_pass_done, ready.other = served, full_pass_done, other
    if secret == "gone":
        del ready.world.objects[SECRET]
    elif secret != "as it is":
        ready.put_secret("other" if secret == "edited" else None)
    if deleting:
        ready.copies = 1
        ready.write(lambda owner: owner["metadata"].update(deletionTimestamp=NOW))
    ready.settle()
    found = ready.owner["status"]["conditions"]
    assert {condition["type"] for condition in found} == {"IdentityValid", "ResourceValid", "ReplicationStarted"}
    for condition in found:
        rest = {"type", "status", "lastTransitionTime"}
        if condition["status"] == "True":
            assert set(condition) == rest
        else:
            assert condition["reason"] in REASONS, condition
            assert condition["severity"] in {"Error", "Warning", "Info"}
            assert condition["message"]
            assert set(condition) == rest | {"severity", "reason", "message"}
    everything = {condition["status"] for condition in found} == {"True"}
    assert ready.phase() == ("Deleting" if deleting else "Ready" if everything else "Initializing")
