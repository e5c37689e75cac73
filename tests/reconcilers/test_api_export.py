import pytest
from cache_objects import a_secret
from plan_world import LATER, NOW, World, pure

from kcpcache.meta.names import GroupVersionResource
from kcpcache.reconcilers import api_export
from kcpcache.reconcilers.api_export import API_EXPORTS, ENDPOINT_SLICES, SKIP_ENDPOINT_SLICE_ANNOTATION, State
from kcpcache.reconcilers.identity import identity_hash
from kcpcache.reconcilers.plan import NOTHING, Create, Target, Update, UpdateStatus

AT = Target(API_EXPORTS, "abc", "cloud")
SLICE = Target(ENDPOINT_SLICES, "abc", "cloud")
SECRET = Target(GroupVersionResource("", "v1", "secrets"), "abc", "cloud", "kcp-system")
NAMESPACE = Target(GroupVersionResource("", "v1", "namespaces"), "abc", "kcp-system")
URL = "https://localhost:6443/"


@pytest.fixture
def world():
    world = World()
    world.put(AT, {"metadata": {"annotations": {"example.com/mine": "x"}}, "spec": {"resources": []}})
    return world


def look(world, now=NOW, url=URL, secrets=None):
    found = world.get(SECRET)
    secrets = secrets if secrets is not None else (found,) if found else ()
    slices, namespace = world.get(SLICE), world.get(NAMESPACE)
    return pure(
        api_export.reconcile,
        State(world.get(AT), "root:org", now, namespace, secrets, "fresh", slices, url),
    )


def condition(obj, kind):
    return next((c for c in obj["status"]["conditions"] if c["type"] == kind), None)


def test_an_export_that_is_gone_needs_nothing():
    assert api_export.reconcile(State(None, "root", NOW)) == NOTHING


def test_a_new_export_gets_identity_path_slice_and_status(world):
    world.settle(lambda: look(world))
    export = world.get(AT)
    assert export["metadata"]["annotations"]["kcp.io/path"] == "root:org"
    assert export["metadata"]["annotations"]["example.com/mine"] == "x"
    assert export["spec"] == {
        "resources": [],
        "identity": {"secretRef": {"namespace": "kcp-system", "name": "cloud"}},
    }
    assert export["status"]["identityHash"] == identity_hash(b"fresh")
    assert condition(export, "IdentityValid")["status"] == "True"
    assert condition(export, "VirtualWorkspaceURLsReady")["status"] == "True"
    assert export["status"]["virtualWorkspaces"] == [{"url": "https://localhost:6443/services/apiexport/abc/cloud"}]
    assert world.get(SLICE)["spec"] == {"export": {"name": "cloud", "path": "root:org"}}


def test_the_slice_goes_with_the_export(world):
    world.settle(lambda: look(world))
    (owner,) = world.get(SLICE)["metadata"]["ownerReferences"]
    uid = world.get(AT)["metadata"]["uid"]
    assert (owner["apiVersion"], owner["kind"], owner["uid"]) == ("apis.kcp.io/v1alpha2", "APIExport", uid)


def test_the_secret_is_made_before_it_is_referred_to(world):
    changes = look(world).changes
    assert [type(change) for change in changes] == [Create, Create, Update, Create]
    assert [change.target for change in changes] == [NAMESPACE, SECRET, AT, SLICE]


def test_a_second_pass_plans_nothing_even_later(world):
    world.settle(lambda: look(world))
    assert look(world, LATER) == NOTHING


def test_the_annotation_keeps_the_slice_from_being_made(world):
    world.objects[AT]["metadata"]["annotations"][SKIP_ENDPOINT_SLICE_ANNOTATION] = ""
    world.settle(lambda: look(world))
    assert world.get(SLICE) is None


def test_a_deleted_slice_is_made_again(world):
    world.settle(lambda: look(world))
    world.delete(SLICE)
    (change,) = look(world).changes
    assert change.target == SLICE


def test_a_secret_of_ones_own_gives_the_hash(world):
    world.objects[AT]["spec"]["identity"] = {"secretRef": {"namespace": "default", "name": "mine"}}
    world.settle(lambda: look(world, secrets=(a_secret("mine", "my-key", "default"),)))
    assert world.get(AT)["status"]["identityHash"] == identity_hash(b"my-key")
    assert world.get(SECRET) is None


def test_a_lost_secret_makes_the_identity_invalid_and_keeps_the_hash(world):
    world.settle(lambda: look(world))
    world.settle(lambda: look(world, secrets=()))
    export = world.get(AT)
    assert condition(export, "IdentityValid")["reason"] == "IdentityVerificationFailed"
    assert "kcp-system/cloud" in condition(export, "IdentityValid")["message"]
    assert export["status"]["identityHash"] == identity_hash(b"fresh")


def test_a_namespace_in_deletion_is_tried_again(world):
    world.put(NAMESPACE, {"metadata": {"deletionTimestamp": NOW}})
    world.settle(lambda: look(world))
    assert condition(world.get(AT), "IdentityValid")["reason"] == "IdentityGenerationFailed"
    assert look(world).requeue_after is not None


def test_without_the_shards_url_the_condition_says_so(world):
    world.settle(lambda: look(world, url=""))
    export = world.get(AT)
    assert condition(export, "VirtualWorkspaceURLsReady")["reason"] == "ErrorGeneratingURLs"
    assert "virtualWorkspaces" not in export["status"]


def test_status_and_spec_are_never_written_in_one_pass(world):
    for plan in world.settle(lambda: look(world)):
        assert sum(isinstance(change, Update | UpdateStatus) for change in plan.changes) <= 1


def test_an_export_in_deletion_is_left_alone(world):
    world.objects[AT]["metadata"]["finalizers"] = ["example.com/hold"]
    world.delete(AT)
    assert look(world) == NOTHING
