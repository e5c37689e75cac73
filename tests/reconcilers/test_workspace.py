from dataclasses import replace

import pytest
from plan_world import LATER, NOW, World, pure

from kcpcache.meta.names import GroupVersionResource
from kcpcache.reconcilers import workspace
from kcpcache.reconcilers.logical_cluster import FINALIZER, LOGICAL_CLUSTERS, PHASE_LABEL
from kcpcache.reconcilers.plan import NOTHING, Create, Delete, Plan, Target, Update, UpdateStatus
from kcpcache.reconcilers.workspace import CLUSTER_NAME_ANNOTATION, OWNER_ANNOTATION, WORKSPACES, Shard, State

AT = Target(WORKSPACES, "parent", "team")
LOGICAL_CLUSTER = Target(LOGICAL_CLUSTERS, "fresh1", "cluster")
NAMESPACES = GroupVersionResource("", "v1", "namespaces")
BINDINGS = GroupVersionResource("rbac.authorization.k8s.io", "v1", "clusterrolebindings")
SHARD = Shard("root", "1pfxsevk", "https://host:6443/")
INITIALIZERS = ("root:universal", "system:apibindings")


class Parent(World):
    """A workspace with a Workspace in it, and the logical clusters around."""

    def __init__(self, **spec):
        super().__init__()
        kind = {"type": {"name": "universal", "path": "root"}}
        self.put(AT, {"metadata": {"annotations": {OWNER_ANNOTATION: '{"username":"u"}'}}, "spec": kind | spec})
        self.inputs = State(None, NOW, "root:org", "fresh1", SHARD, initializers=INITIALIZERS)

    def state(self, **inputs):
        found = self.get(AT)
        cluster = (found or {}).get("metadata", {}).get("annotations", {}).get(CLUSTER_NAME_ANNOTATION)
        logical_cluster, missing = None, ()
        if cluster:
            logical_cluster = self.get(Target(LOGICAL_CLUSTERS, cluster, "cluster"))
            first = [Target(NAMESPACES, cluster, "default"), Target(BINDINGS, cluster, "workspace-admin")]
            missing = tuple(Create(at, {"metadata": {}}) for at in first if at not in self.objects)
        known = {"workspace": found, "logical_cluster": logical_cluster, "bootstrap_objects": missing}
        return replace(self.inputs, **(known | inputs))

    def look(self, **inputs):
        return pure(workspace.reconcile, self.state(**inputs))

    def settled(self, **inputs):
        self.settle(lambda: self.look(**inputs))
        return self.get(AT)

    def becomes(self, phase, *initializers):
        """What the logical cluster's own reconciler does."""
        status = {"phase": phase} | ({"initializers": list(initializers)} if initializers else {})
        self.put(LOGICAL_CLUSTER, self.objects[LOGICAL_CLUSTER] | {"status": status})


@pytest.fixture
def parent():
    return Parent()


def condition(obj, kind):
    found = next((c for c in obj["status"]["conditions"] if c["type"] == kind), {})
    return found.get("status"), found.get("reason")


def test_a_workspace_that_is_gone_needs_nothing(parent):
    assert workspace.reconcile(parent.inputs) == NOTHING


def test_the_name_of_the_logical_cluster_is_written_before_anything_is_made(parent):
    plan = parent.look()
    (change,) = plan.changes
    assert isinstance(change, Update)
    meta = change.object["metadata"]
    assert meta["annotations"][CLUSTER_NAME_ANNOTATION] == "fresh1"
    assert meta["annotations"]["internal.tenancy.kcp.io/shard"] == "1pfxsevk"
    assert meta["annotations"]["core.kcp.io/shard"] == "root"
    assert meta["finalizers"] == [FINALIZER]
    assert meta["labels"][PHASE_LABEL] == "Scheduling"


def test_then_the_logical_cluster_is_made_with_all_that_it_inherits(parent):
    parent.settled()
    made = parent.get(LOGICAL_CLUSTER)
    annotations = {k: v for k, v in made["metadata"]["annotations"].items() if k != "kcp.io/cluster"}
    assert annotations == {
        "kcp.io/path": "root:org:team",
        "internal.tenancy.kcp.io/type": "root:universal",
        OWNER_ANNOTATION: '{"username":"u"}',
    }
    assert made["metadata"]["finalizers"] == [FINALIZER]
    assert made["spec"] == {
        "initializers": list(INITIALIZERS),
        "owner": {
            "apiVersion": "tenancy.kcp.io/v1alpha1",
            "resource": "workspaces",
            "name": "team",
            "cluster": "parent",
            "uid": parent.get(AT)["metadata"]["uid"],
        },
    }


def test_the_first_objects_are_made_before_the_spec_says_where_they_are(parent):
    parent.apply(parent.look())
    plan = parent.look()
    assert [change.target for change in plan.changes] == [
        LOGICAL_CLUSTER,
        Target(NAMESPACES, "fresh1", "default"),
        Target(BINDINGS, "fresh1", "workspace-admin"),
        AT,
    ]
    parent.apply(plan)
    assert parent.get(AT)["spec"]["cluster"] == "fresh1"
    assert parent.get(AT)["spec"]["URL"] == "https://host:6443/clusters/root:org:team"


def test_a_second_pass_plans_nothing_even_later(parent):
    parent.settled()
    assert parent.look(now=LATER) == NOTHING


def test_the_phase_and_its_label_follow_the_logical_cluster(parent):
    obj = parent.settled()
    assert obj["status"]["phase"] == "Scheduling"
    assert condition(obj, "WorkspaceScheduled") == ("True", None)
    parent.becomes("Initializing", "root:universal")
    obj = parent.settled()
    assert obj["status"]["phase"] == "Initializing"
    assert obj["status"]["initializers"] == ["root:universal"]
    assert obj["metadata"]["labels"][PHASE_LABEL] == "Initializing"
    assert condition(obj, "WorkspaceInitialized") == ("False", "InitializerExists")
    parent.becomes("Ready")
    obj = parent.settled()
    assert obj["status"]["phase"] == "Ready"
    assert "initializers" not in obj["status"]
    assert obj["metadata"]["labels"][PHASE_LABEL] == "Ready"
    assert condition(obj, "WorkspaceInitialized") == ("True", None)
    assert parent.look(now=LATER) == NOTHING


def test_there_is_one_write_to_the_workspace_in_a_pass(parent):
    plans = parent.settle(parent.look)
    parent.becomes("Ready")
    for plan in plans + parent.settle(parent.look):
        assert sum(change.target == AT for change in plan.changes) == 1


@pytest.mark.parametrize("writes", range(7))
def test_a_crash_after_any_write_heals(parent, writes):
    names = iter(f"fresh{number}" for number in range(9))
    while writes and (changes := parent.look(fresh_cluster_name=next(names)).changes[:writes]):
        parent.apply(Plan(changes))
        writes -= len(changes)
    obj = parent.settled(fresh_cluster_name="another")
    clusters = [at.cluster for at in parent.objects if at.resource == LOGICAL_CLUSTERS]
    assert clusters == [obj["spec"]["cluster"]]
    assert obj["spec"]["cluster"] == obj["metadata"]["annotations"][CLUSTER_NAME_ANNOTATION]
    assert len(parent.objects) == 4


def test_first_objects_that_are_lost_before_it_is_ready_are_made_again(parent):
    parent.settled()
    parent.delete(Target(NAMESPACES, "fresh1", "default"))
    parent.settled()
    assert Target(NAMESPACES, "fresh1", "default") in parent.objects
    parent.becomes("Ready")
    parent.settled()
    parent.delete(Target(NAMESPACES, "fresh1", "default"))
    assert parent.look() == NOTHING


@pytest.mark.parametrize("missing", [{"shard": None}, {"shard": Shard("root", "h", "")}, {"initializers": None}])
def test_without_shard_or_type_it_is_not_scheduled_and_heals(parent, missing):
    obj = parent.settled(**missing)
    assert condition(obj, "WorkspaceScheduled") == ("False", "Unschedulable")
    assert obj["status"]["phase"] == "Scheduling"
    assert CLUSTER_NAME_ANNOTATION not in obj["metadata"]["annotations"]
    assert parent.look(**missing, now=LATER) == NOTHING
    assert condition(parent.settled(), "WorkspaceScheduled") == ("True", None)


def test_a_scheduled_workspace_does_not_care_for_its_type_any_more(parent):
    parent.settled()
    parent.becomes("Ready")
    assert parent.settled(initializers=None, shard=None)["status"]["phase"] == "Ready"


def test_a_type_without_initializers_gives_none(parent):
    parent.settled(initializers=())
    assert "initializers" not in parent.get(LOGICAL_CLUSTER)["spec"]


def test_a_name_that_another_workspace_has_is_not_taken(parent):
    parent.put(LOGICAL_CLUSTER, {"spec": {"owner": {"uid": "another"}}})
    parent.apply(parent.look())
    obj = parent.settled(fresh_cluster_name="fresh2")
    assert obj["spec"]["cluster"] == "fresh2"
    assert parent.get(LOGICAL_CLUSTER)["spec"]["owner"]["uid"] == "another"


def test_a_logical_cluster_that_disappeared_makes_the_workspace_unavailable(parent):
    parent.settled()
    del parent.objects[LOGICAL_CLUSTER]
    obj = parent.settled()
    assert obj["status"]["phase"] == "Unavailable"
    assert condition(obj, "WorkspaceInitialized") == ("False", "WorkspaceDisappeared")
    assert LOGICAL_CLUSTER not in parent.objects


def test_a_new_external_url_is_taken_over(parent):
    parent.settled()
    obj = parent.settled(shard=Shard("root", "h", "https://new"))
    assert obj["spec"]["URL"] == "https://new/clusters/root:org:team"
    assert obj["spec"]["cluster"] == "fresh1"


def test_a_lost_finalizer_comes_back(parent):
    parent.settled()
    del parent.objects[AT]["metadata"]["finalizers"]
    assert parent.settled()["metadata"]["finalizers"] == [FINALIZER]


def test_a_mounted_workspace_is_only_stored():
    parent = Parent(mount={"ref": {"kind": "X", "name": "x", "apiVersion": "v1"}})
    assert parent.look() == NOTHING


def test_on_deletion_the_logical_cluster_goes_first(parent):
    parent.settled()
    parent.becomes("Ready")
    parent.settled()
    parent.delete(AT)
    plan = parent.look()
    assert [type(change) for change in plan.changes] == [Delete, Update]
    assert plan.changes[0].target == LOGICAL_CLUSTER
    parent.apply(plan)
    assert parent.get(AT)["metadata"]["labels"][PHASE_LABEL] == "Deleting"
    assert parent.look() == NOTHING
    del parent.objects[LOGICAL_CLUSTER]
    assert parent.settled() is None


def test_a_workspace_that_was_never_scheduled_goes_at_once(parent):
    parent.apply(parent.look())
    parent.delete(AT)
    assert parent.settled() is None


def test_a_workspace_whose_logical_cluster_is_gone_goes_even_without_its_shard(parent):
    parent.settled()
    del parent.objects[LOGICAL_CLUSTER]
    parent.delete(AT)
    assert parent.settled(shard=None, initializers=None) is None


def test_on_deletion_the_logical_cluster_of_another_is_left_alone(parent):
    parent.settled()
    parent.put(LOGICAL_CLUSTER, {"spec": {"owner": {"uid": "another"}}})
    parent.delete(AT)
    assert parent.settled() is None
    assert LOGICAL_CLUSTER in parent.objects


def test_in_deletion_finalizers_of_others_are_left_alone(parent):
    parent.settled()
    parent.objects[AT]["metadata"]["finalizers"].append("example.com/hold")
    parent.delete(AT)
    del parent.objects[LOGICAL_CLUSTER]
    assert parent.settled()["metadata"]["finalizers"] == ["example.com/hold"]
    assert parent.look() == NOTHING


def test_the_status_is_only_ever_written_as_status(parent):
    parent.settled()
    parent.becomes("Initializing", "x")
    (change,) = parent.look().changes
    assert isinstance(change, UpdateStatus)


@pytest.mark.parametrize("name", ["system:admin", "../x", "", "Upper"])
def test_a_name_that_no_logical_cluster_can_get_is_replaced(parent, name):
    parent.objects[AT]["metadata"]["annotations"][CLUSTER_NAME_ANNOTATION] = name
    assert parent.settled()["spec"]["cluster"] == "fresh1"
    assert {at.cluster for at in parent.objects} == {"parent", "fresh1"}
