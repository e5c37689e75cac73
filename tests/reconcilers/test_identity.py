import base64

import pytest
from cache_objects import a_secret

from kcpcache.meta import conditions
from kcpcache.meta.names import GroupVersionResource
from kcpcache.meta.virtual_resources import CACHED_RESOURCES
from kcpcache.reconcilers import identity
from kcpcache.reconcilers.identity import OWNER_ANNOTATION, Decision, SecretName, State, secrets_to_read

EXPORTS = GroupVersionResource("apis.kcp.io", "v1alpha2", "apiexports")
CHECK_KEY = "instances-cr-identity-123"
CHECK_HASH = "676a1a997f7507fdfcfd1fcf35920efdff1297cd215cad4f486220c30a5c7090"
NAMESPACE = {"metadata": {"name": "kcp-system", "annotations": {"kcp.io/cluster": "abc"}}}


def owner(name="flavors", reference=None, recorded=""):
    return {
        "metadata": {"name": name, "resourceVersion": "1", "annotations": {"kcp.io/cluster": "abc"}},
        "spec": {"identity": {"secretRef": reference}} if reference is not None else {},
        "status": {"identityHash": recorded} if recorded else {},
    }


def decide(obj, *secrets, resource=CACHED_RESOURCES, namespace=NAMESPACE, key="fresh"):
    return identity.decide(State(obj, resource, namespace, secrets, key))


REFERENCE = {"name": "mine", "namespace": "default"}


def test_the_hash_is_lower_case_hex_sha256_of_the_keys_bytes():
    assert identity.identity_hash(CHECK_KEY.encode()) == CHECK_HASH


def test_a_referenced_secret_gives_the_hash_and_changes_nothing():
    assert decide(owner(reference=REFERENCE), a_secret("mine", CHECK_KEY, "default")) == Decision(hash=CHECK_HASH)


def test_without_reference_a_secret_with_the_fresh_key_is_made_and_referred_to():
    decision = decide(owner(), key=CHECK_KEY)
    assert [(c.target.cluster, c.target.namespace, c.target.name) for c in decision.changes] == [
        ("abc", "kcp-system", "flavors")
    ]
    assert base64.b64decode(decision.changes[0].object["data"]["key"]).decode() == CHECK_KEY
    assert decision.reference == SecretName("kcp-system", "flavors")
    assert decision.failure is None


def test_the_namespace_is_made_first_where_there_is_none():
    decision = decide(owner(), namespace=None)
    assert [c.target.resource.resource for c in decision.changes] == ["namespaces", "secrets"]
    assert decision.changes[0].object["metadata"]["name"] == "kcp-system"


def test_a_secret_that_is_there_already_is_reused():
    decision = decide(owner(), a_secret("flavors", CHECK_KEY))
    assert decision == Decision(reference=SecretName("kcp-system", "flavors"))


def test_a_secret_generated_for_the_same_owner_in_an_earlier_life_is_reused():
    first = decide(owner()).changes[0].object
    assert decide(owner(), first) == Decision(reference=SecretName("kcp-system", "flavors"))


@pytest.mark.parametrize(("first", "second"), [(EXPORTS, CACHED_RESOURCES), (CACHED_RESOURCES, EXPORTS)])
def test_an_export_and_a_cached_resource_of_one_name_get_secrets_of_their_own(first, second):
    generated = decide(owner(), resource=first).changes[0].object
    decision = decide(owner(), generated, resource=second, key="other")
    assert decision.reference == SecretName("kcp-system", f"flavors.{second.resource}")
    own = decision.changes[0].object
    assert own["data"] != generated["data"]
    assert decide(owner(), generated, own, resource=second).reference == decision.reference
    assert decide(owner(), generated, own, resource=second).changes == ()


def test_when_both_names_are_somebody_elses_generation_fails_and_says_what_to_do():
    others = [a_secret(name, "k", mark="x/y") for _, name in secrets_to_read(owner(), CACHED_RESOURCES)]
    decision = decide(owner(), *others)
    assert decision.failure.reason == "IdentityGenerationFailed"
    assert "kcp-system/flavors" in decision.failure.message
    assert "secretRef" in decision.failure.message
    assert not decision.changes


def test_the_second_name_of_a_very_long_owner_still_fits():
    _, second = secrets_to_read(owner("a" * 253), CACHED_RESOURCES)
    assert len(second.name) <= 253
    assert second.name.endswith(".cachedresources")


def test_only_the_referenced_secret_is_to_be_read():
    assert secrets_to_read(owner(reference=REFERENCE), CACHED_RESOURCES) == (SecretName("default", "mine"),)


def test_an_empty_reference_is_no_reference():
    assert decide(owner(reference={})).reference == SecretName("kcp-system", "flavors")
    assert decide(owner(reference={"name": "", "namespace": ""})).reference == SecretName("kcp-system", "flavors")


@pytest.mark.parametrize(
    ("reference", "secrets", "says"),
    [
        (REFERENCE, (), "Secret default/mine does not exist"),
        (REFERENCE, (a_secret("mine", "", "default"),), "Secret default/mine"),
        (REFERENCE, (a_secret("mine", "other", "default"),), "Secret default/mine"),
        (REFERENCE, ({"metadata": {"name": "mine", "namespace": "default"}, "data": {"key": "%%%"}},), "default/mine"),
        ({"name": "mine"}, (a_secret("mine", CHECK_KEY, "default"),), "both a name and a namespace"),
        ({"namespace": "default"}, (a_secret("mine", CHECK_KEY, "default"),), "both a name and a namespace"),
    ],
)
def test_what_cannot_be_verified_fails_names_the_secret_and_keeps_the_recorded_hash(reference, secrets, says):
    decision = decide(owner(reference=reference, recorded=CHECK_HASH), *secrets)
    assert decision.failure.reason == "IdentityVerificationFailed"
    assert says in decision.failure.message
    assert decision.hash == CHECK_HASH
    assert not decision.changes


def test_a_reference_that_vanished_after_the_hash_was_recorded_makes_no_new_key():
    decision = decide(owner(recorded=CHECK_HASH))
    assert decision.failure.reason == "IdentityVerificationFailed"
    assert not decision.changes


def test_nothing_is_generated_into_a_namespace_that_is_being_deleted():
    going = {"metadata": {"name": "kcp-system", "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    decision = decide(owner(), namespace=going)
    assert decision.failure.reason == "IdentityGenerationFailed"
    assert "kcp-system/flavors" in decision.failure.message
    assert not decision.changes


def test_a_generated_secret_says_whose_it_is():
    marked = decide(owner()).changes[0].object["metadata"]["annotations"]
    assert marked == {OWNER_ANNOTATION: "cachedresources.cache.kcp.io/flavors"}


def test_while_there_is_no_hash_none_is_recorded():
    obj = owner()
    failure = identity.Failure("IdentityGenerationFailed", "not yet")
    identity.record(Decision(failure=failure), obj, now="2026-01-01T00:00:00Z")
    assert "identityHash" not in obj["status"]
    assert not conditions.is_true(obj, "IdentityValid")


def test_recording_sets_hash_and_condition_and_a_failure_keeps_the_hash():
    obj = owner()
    identity.record(Decision(hash=CHECK_HASH), obj, now="2026-01-01T00:00:00Z")
    assert conditions.is_true(obj, "IdentityValid")
    failure = identity.Failure("IdentityVerificationFailed", "Secret a/b does not exist")
    identity.record(Decision(hash=CHECK_HASH, failure=failure), obj, now="2026-01-01T00:00:01Z")
    assert obj["status"]["identityHash"] == CHECK_HASH
    assert conditions.get(obj, "IdentityValid") == {
        "type": "IdentityValid",
        "status": "False",
        "severity": "Error",
        "reason": "IdentityVerificationFailed",
        "message": "Secret a/b does not exist",
        "lastTransitionTime": "2026-01-01T00:00:01Z",
    }
