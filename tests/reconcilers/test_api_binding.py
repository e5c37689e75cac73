from dataclasses import replace

import pytest
from plan_world import LATER, NOW, World, pure

from kcpcache.meta.names import GroupVersionResource
from kcpcache.reconcilers import api_binding, garbage
from kcpcache.reconcilers.api_binding import (
    API_BINDINGS,
    API_RESOURCE_SCHEMAS,
    BOUND_SCHEMAS_CLUSTER,
    FINALIZER,
    Claim,
    State,
    common_verbs,
)
from kcpcache.reconcilers.crd import TakenNames
from kcpcache.reconcilers.garbage import Remnant
from kcpcache.reconcilers.plan import NOTHING, Create, Delete, Target, Update, UpdateStatus

AT = Target(API_BINDINGS, "consumer", "cloud")
GROUP = "cloud.example.com"
VIRTUAL = {"virtual": {"reference": {"kind": "CachedResourceEndpointSlice", "name": "x"}, "identityHash": "other"}}


def a_schema(plural, prefix="v1", storage="v1", **names):
    name = f"{prefix}.{plural}.{GROUP}"
    kind = plural.removesuffix("s").capitalize()
    return {
        "metadata": {"name": name, "uid": f"uid-{prefix}-{plural}", "annotations": {"kcp.io/cluster": "provider"}},
        "spec": {
            "group": GROUP,
            "names": {"plural": plural, "singular": plural.removesuffix("s"), "kind": kind} | names,
            "scope": "Cluster",
            "versions": [{"name": storage, "storage": True, "served": True, "schema": {"type": "object"}}],
        },
    }


def an_export(*resources, claims=(), identity="export-hash"):
    """Of resources as (plural, prefix of the schema, storage)."""
    entries = [
        {"group": GROUP, "name": plural, "schema": f"{prefix}.{plural}.{GROUP}", "storage": storage}
        for plural, prefix, storage in resources
    ]
    return {
        "metadata": {"name": "cloud", "annotations": {"kcp.io/cluster": "provider"}},
        "spec": {"resources": entries, "permissionClaims": list(claims)},
        "status": {"identityHash": identity} if identity else {},
    }


CRD = {"crd": {}}
INSTANCES = ("instances", "v1", CRD)
FLAVORS = ("flavors", "v1", VIRTUAL)
SCHEMAS = {
    found["metadata"]["name"]: found
    for found in (a_schema("instances"), a_schema("instances", "v2", "v2"), a_schema("flavors"))
}


class Consumer(World):
    """A workspace with one binding, and what it depends on."""

    def __init__(self, **spec):
        super().__init__()
        reference = {"reference": {"export": {"path": "root:provider", "name": "cloud"}}}
        self.put(AT, {"spec": reference | spec})
        self.inputs = State(None, "root:consumer", NOW, an_export(INSTANCES, FLAVORS), SCHEMAS)

    def look(self, **inputs):
        kept = frozenset(at.name for at in self.objects if at.cluster == BOUND_SCHEMAS_CLUSTER)
        return pure(api_binding.reconcile, replace(self.inputs, binding=self.get(AT), kept=kept, **inputs))

    def settled(self, **inputs):
        self.settle(lambda: self.look(**inputs))
        return self.get(AT)


@pytest.fixture
def consumer():
    return Consumer()


def condition(obj, kind):
    found = next((c for c in obj["status"]["conditions"] if c["type"] == kind), {})
    return found.get("status"), found.get("reason")


def bound(obj):
    return [entry["resource"] for entry in obj["status"].get("boundResources", ())]


def test_a_binding_that_is_gone_needs_nothing(consumer):
    assert api_binding.reconcile(consumer.inputs) == NOTHING


def test_finalizer_and_path_come_first_and_bound_follows(consumer):
    plans = consumer.settle(consumer.look)
    assert isinstance(plans[0].changes[0], Update)
    binding = consumer.get(AT)
    assert binding["metadata"]["finalizers"] == [FINALIZER]
    assert binding["metadata"]["annotations"]["kcp.io/path"] == "root:consumer"
    assert [type(change) for change in plans[1].changes] == [Create, Create, UpdateStatus]
    assert len(plans) == 2


def test_a_bound_binding_says_what_it_is_bound_to(consumer):
    status = consumer.settled()["status"]
    assert status["phase"] == "Bound"
    assert status["apiExportClusterName"] == "provider"
    assert status["boundResources"] == [
        {
            "group": GROUP,
            "resource": "instances",
            "schema": {"name": f"v1.instances.{GROUP}", "UID": "uid-v1-instances", "identityHash": "export-hash"},
            "storageVersions": ["v1"],
        },
        {
            "group": GROUP,
            "resource": "flavors",
            "schema": {"name": f"v1.flavors.{GROUP}", "UID": "uid-v1-flavors", "identityHash": "export-hash"},
        },
    ]
    assert {c["type"]: c["status"] for c in status["conditions"]} == dict.fromkeys(
        [
            "Ready",
            "APIExportValid",
            "BindingUpToDate",
            "InitialBindingCompleted",
            "PermissionClaimsApplied",
            "PermissionClaimsValid",
        ],
        "True",
    )


def test_a_second_pass_plans_nothing_even_later(consumer):
    consumer.settled()
    assert consumer.look(now=LATER) == NOTHING


def test_copies_of_the_bound_schemas_are_kept_under_their_uids(consumer):
    consumer.settled()
    copy = consumer.get(Target(API_RESOURCE_SCHEMAS, BOUND_SCHEMAS_CLUSTER, "uid-v1-instances"))
    assert copy["spec"] == SCHEMAS[f"v1.instances.{GROUP}"]["spec"]
    assert copy["metadata"]["annotations"]["apis.kcp.io/schema-cluster"] == "provider"
    assert copy["metadata"]["annotations"]["apis.kcp.io/schema-name"] == f"v1.instances.{GROUP}"


def test_a_copy_that_was_lost_is_made_again(consumer):
    consumer.settled()
    lost = Target(API_RESOURCE_SCHEMAS, BOUND_SCHEMAS_CLUSTER, "uid-v1-flavors")
    consumer.delete(lost)
    (change,) = consumer.look().changes
    assert change.target == lost


def test_an_export_of_nothing_is_bound_too(consumer):
    status = consumer.settled(export=an_export())["status"]
    assert status["phase"] == "Bound"
    assert "boundResources" not in status


@pytest.mark.parametrize(
    ("export", "reason", "severity"),
    [(None, "APIExportNotFound", "Error"), (an_export(INSTANCES, identity=""), "MissingIdentityHash", "Warning")],
)
def test_without_a_good_export_the_binding_waits(consumer, export, reason, severity):
    binding = consumer.settled(export=export)
    assert binding["status"]["phase"] == "Binding"
    for kind in ("APIExportValid", "InitialBindingCompleted", "Ready"):
        assert condition(binding, kind) == ("False", reason)
    assert binding["status"]["conditions"][0]["severity"] == severity
    assert consumer.settled()["status"]["phase"] == "Bound"


def test_a_reference_without_a_name_is_invalid():
    consumer = Consumer(reference={})
    assert condition(consumer.settled(), "APIExportValid") == ("False", "APIExportInvalidReference")


def test_what_is_bound_outlives_the_export(consumer):
    before = consumer.settled()["status"]
    after = consumer.settled(export=None, schemas={})["status"]
    assert after["phase"] == "Bound"
    assert after["boundResources"] == before["boundResources"]
    assert condition({"status": after}, "APIExportValid") == ("False", "APIExportNotFound")
    assert condition({"status": after}, "Ready") == ("True", None)


def test_an_export_of_another_workspace_that_took_over_the_path_is_not_the_one_that_was_bound(consumer):
    """It would be let see and write what was granted to the one before."""
    before = consumer.settled()
    stranger = an_export(INSTANCES, claims=[{"group": "", "resource": "secrets", "verbs": ["*"]}], identity="other")
    stranger["metadata"]["annotations"]["kcp.io/cluster"] = "stranger"
    found = consumer.settled(export=stranger)
    assert condition(found, "APIExportValid") == ("False", "APIExportNotFound")
    assert {**before["status"], "conditions": None} == {**found["status"], "conditions": None}
    assert condition(consumer.settled(), "APIExportValid") == ("True", None)


def test_what_is_bound_outlives_its_schema(consumer):
    before = consumer.settled()["status"]
    after = consumer.settled(schemas={})
    assert after["status"]["boundResources"] == before["boundResources"]
    assert condition(after, "BindingUpToDate") == ("False", "APIResourceSchemaInvalid")
    assert condition(after, "InitialBindingCompleted") == ("True", None)


@pytest.mark.parametrize(
    ("schemas", "text"),
    [
        ({f"v1.flavors.{GROUP}": SCHEMAS[f"v1.flavors.{GROUP}"]}, "does not exist"),
        (SCHEMAS | {f"v1.instances.{GROUP}": None}, "does not exist"),
        (SCHEMAS | {f"v1.instances.{GROUP}": a_schema("others")}, f"describes others.{GROUP}"),
        (SCHEMAS | {f"v1.instances.{GROUP}": {"metadata": {}, "spec": {}}}, "describes"),
    ],
)
def test_without_a_good_schema_the_other_resources_still_bind(consumer, schemas, text):
    binding = consumer.settled(schemas=schemas)
    assert bound(binding) == ["flavors"]
    assert binding["status"]["phase"] == "Binding"
    assert condition(binding, "InitialBindingCompleted") == ("False", "APIResourceSchemaInvalid")
    assert text in next(c["message"] for c in binding["status"]["conditions"] if c["type"] == "BindingUpToDate")


def test_a_schema_without_storage_version_is_invalid(consumer):
    schema = a_schema("instances")
    schema["spec"]["versions"] = []
    binding = consumer.settled(schemas=SCHEMAS | {f"v1.instances.{GROUP}": schema})
    assert condition(binding, "BindingUpToDate") == ("False", "APIResourceSchemaInvalid")


@pytest.mark.parametrize(
    "taken",
    [TakenNames({"instances": "CRD x"}), TakenNames({"instance": "CRD x"}), TakenNames({}, {"Instance": "CRD x"})],
)
def test_a_name_in_use_keeps_the_phase_at_binding_while_the_others_bind(consumer, taken):
    binding = consumer.settled(taken={GROUP: taken})
    assert bound(binding) == ["flavors"]
    assert binding["status"]["phase"] == "Binding"
    for kind in ("InitialBindingCompleted", "BindingUpToDate", "Ready"):
        assert condition(binding, kind) == ("False", "NamingConflicts")
    assert "CRD x" in binding["status"]["conditions"][0]["message"]
    healed = consumer.settled()
    assert bound(healed) == ["instances", "flavors"]
    assert healed["status"]["phase"] == "Bound"


def test_names_in_use_in_another_group_do_not_conflict(consumer):
    assert consumer.settled(taken={"example.com": TakenNames({"instances": "x"})})["status"]["phase"] == "Bound"


def test_what_is_bound_already_does_not_conflict_with_who_comes_later(consumer):
    consumer.settled()
    assert consumer.look(taken={GROUP: TakenNames({"instances": "late"})}) == NOTHING


def test_two_resources_of_one_export_with_one_kind_conflict(consumer):
    schemas = {f"v1.{p}.{GROUP}": a_schema(p, kind="Same") for p in ("flavors", "instances")}
    binding = consumer.settled(schemas=schemas)
    assert bound(binding) == ["instances"]
    assert condition(binding, "BindingUpToDate") == ("False", "NamingConflicts")


def test_a_changed_schema_follows_and_the_old_storage_version_is_remembered(consumer):
    consumer.settled()
    binding = consumer.settled(export=an_export(("instances", "v2", CRD), FLAVORS))
    entry = binding["status"]["boundResources"][0]
    assert entry["schema"]["UID"] == "uid-v2-instances"
    assert entry["storageVersions"] == ["v1", "v2"]
    assert consumer.get(Target(API_RESOURCE_SCHEMAS, BOUND_SCHEMAS_CLUSTER, "uid-v2-instances")) is not None


def test_a_changed_schema_whose_names_conflict_leaves_the_old_one_bound(consumer):
    consumer.settled()
    schemas = SCHEMAS | {f"v2.instances.{GROUP}": a_schema("instances", "v2", shortNames=["in"])}
    export = an_export(("instances", "v2", CRD), FLAVORS)
    binding = consumer.settled(export=export, schemas=schemas, taken={GROUP: TakenNames({"in": "CRD x"})})
    assert binding["status"]["boundResources"][0]["schema"]["UID"] == "uid-v1-instances"
    assert condition(binding, "BindingUpToDate") == ("False", "NamingConflicts")
    assert condition(binding, "Ready") == ("True", None)
    assert binding["status"]["phase"] == "Bound"


def test_a_resource_taken_out_of_the_export_stays_bound(consumer):
    consumer.settled()
    binding = consumer.settled(export=an_export(FLAVORS))
    assert bound(binding) == ["flavors", "instances"]
    assert condition(binding, "BindingUpToDate") == ("False", "ResourcesNotExported")
    assert condition(binding, "Ready") == ("True", None)


def test_a_resource_added_to_the_export_is_bound(consumer):
    assert bound(consumer.settled(export=an_export(FLAVORS))) == ["flavors"]
    assert bound(consumer.settled()) == ["instances", "flavors"]


ASKED = {"group": "", "resource": "configmaps", "verbs": ["get", "list"]}
ACCEPTED = ASKED | {"state": "Accepted", "selector": {"matchAll": True}}


@pytest.mark.parametrize(
    ("accepted", "verbs", "valid"),
    [
        (ACCEPTED, ["get", "list"], ("True", None)),
        (ACCEPTED | {"verbs": ["*"]}, ["get", "list"], ("True", None)),
        (ACCEPTED | {"verbs": ["get", "delete"]}, ["get"], ("False", "PermissionClaimsMismatch")),
        (ACCEPTED | {"verbs": ["delete"]}, None, ("False", "PermissionClaimsMismatch")),
        (ACCEPTED | {"state": "Rejected"}, None, ("True", None)),
        (ACCEPTED | {"resource": "secrets"}, None, ("False", "InvalidPermissionClaims")),
        (ACCEPTED | {"identityHash": "x"}, None, ("False", "InvalidPermissionClaims")),
    ],
)
def test_accepted_claims_are_applied_as_far_as_both_sides_agree(accepted, verbs, valid):
    consumer = Consumer(permissionClaims=[accepted])
    binding = consumer.settled(export=an_export(INSTANCES, claims=[ASKED]))
    key = {"group": "", "resource": "configmaps", "identityHash": ""}
    assert binding["status"]["exportPermissionClaims"] == [key | {"verbs": ["get", "list"]}]
    expected = [key | {"verbs": verbs, "selector": {"matchAll": True}}] if verbs else None
    assert binding["status"].get("appliedPermissionClaims") == expected
    assert condition(binding, "PermissionClaimsValid") == valid
    assert binding["status"]["phase"] == "Bound"


def test_a_claim_with_an_identity_that_nobody_has_is_invalid():
    asked = ASKED | {"group": GROUP, "resource": "things", "identityHash": "nobody"}
    accepted = asked | {"state": "Accepted", "selector": {"matchAll": True}}
    consumer = Consumer(permissionClaims=[accepted])
    unknown = frozenset([Claim(GROUP, "things", "nobody")])
    binding = consumer.settled(export=an_export(claims=[asked]), unknown_claims=unknown)
    assert condition(binding, "PermissionClaimsValid") == ("False", "InvalidPermissionClaims")
    assert "appliedPermissionClaims" not in binding["status"]


def test_claims_that_are_withdrawn_are_not_applied_any_more():
    consumer = Consumer(permissionClaims=[ACCEPTED])
    consumer.settled(export=an_export(INSTANCES, claims=[ASKED]))
    status = consumer.settled(export=an_export(INSTANCES))["status"]
    assert "appliedPermissionClaims" not in status
    assert "exportPermissionClaims" not in status


def test_another_selector_is_applied_only_after_the_old_one_went():
    """``appliedPermissionClaims`` refuses to change a selector in place (APIBinding's own rule)."""
    export = an_export(INSTANCES, claims=[ASKED])
    consumer = Consumer(permissionClaims=[ACCEPTED])
    binding = consumer.settled(export=export)
    other = {"matchLabels": {"a": "b"}}
    consumer.put(AT, binding | {"spec": binding["spec"] | {"permissionClaims": [ACCEPTED | {"selector": other}]}})
    (change,) = consumer.look(export=export).changes
    assert "appliedPermissionClaims" not in change.object["status"]
    (applied,) = consumer.settled(export=export)["status"]["appliedPermissionClaims"]
    assert applied["selector"] == other


def test_the_star_stands_for_the_verbs_of_the_other_side():
    assert common_verbs(["*"], ["get"]) == ["get"]
    assert common_verbs(["get"], ["*"]) == ["get"]
    assert common_verbs(["*"], ["*"]) == ["*"]
    assert common_verbs(["get", "list"], ["watch", "list"]) == ["list"]


def test_on_deletion_the_objects_go_first(consumer):
    consumer.settled()
    consumer.delete(AT)
    instance = Target(GroupVersionResource(GROUP, "v1", "instances"), "consumer", "a")
    plan = consumer.look(remaining=(Remnant(instance, "5"),))
    assert plan.changes[0] == Delete(instance, "5")
    assert plan.requeue_after == garbage.NEXT_BATCH
    consumer.apply(plan)
    held = (Remnant(instance, "6", deleting=True, finalizers=("example.com/hold",)),)
    binding = consumer.settled(remaining=held)
    assert condition(binding, "BindingResourceDeleteSuccess") == ("False", "SomeFinalizersRemain")
    assert consumer.look(remaining=held).requeue_after == garbage.WAIT
    assert consumer.settled() is None


def test_a_deletion_without_objects_ends_even_without_export_and_schemas(consumer):
    consumer.settled()
    consumer.delete(AT)
    assert consumer.settled(export=None, schemas={}) is None


def test_virtual_resources_need_no_waiting_on_deletion(consumer):
    consumer.settled(export=an_export(FLAVORS))
    consumer.delete(AT)
    (change,) = consumer.look(export=an_export(FLAVORS)).changes
    assert isinstance(change, Update)


def test_where_the_whole_workspace_goes_its_emptiness_is_not_noted_first(consumer):
    consumer.settled()
    consumer.delete(AT)
    instance = Target(GroupVersionResource(GROUP, "v1", "instances"), "consumer", "a")
    held = (Remnant(instance, "6", deleting=True, finalizers=("example.com/hold",)),)
    assert isinstance(consumer.look(remaining=held, workspace_deleting=True).changes[0], UpdateStatus)
    (change,) = consumer.look(workspace_deleting=True).changes
    assert isinstance(change, Update)
    assert FINALIZER not in change.object["metadata"].get("finalizers", ())


def test_in_deletion_finalizers_of_others_are_left_alone(consumer):
    consumer.settled()
    consumer.objects[AT]["metadata"]["finalizers"].append("example.com/hold")
    consumer.delete(AT)
    assert consumer.settled()["metadata"]["finalizers"] == ["example.com/hold"]
    assert consumer.look() == NOTHING


HELD = "Some content has finalizers remaining: example.com/hold in 1 resource instances"


@pytest.mark.parametrize(
    ("finalizers", "reason", "message"),
    [
        ((), "SomeResourcesRemain", f"Some resources are remaining: instances.{GROUP} has 1 resource instances"),
        (
            ("example.com/hold",),
            "SomeFinalizersRemain",
            f"Some resources are remaining: instances.{GROUP} has 1 resource instances; {HELD}",
        ),
    ],
)
def test_in_deletion_the_condition_says_what_is_left(consumer, finalizers, reason, message):
    consumer.settled()
    consumer.delete(AT)
    instance = Target(GroupVersionResource(GROUP, "v1", "instances"), "consumer", "a")
    binding = consumer.settled(remaining=(Remnant(instance, "6", deleting=True, finalizers=finalizers),))
    found = next(c for c in binding["status"]["conditions"] if c["type"] == "BindingResourceDeleteSuccess")
    assert (found["reason"], found["message"]) == (reason, message)


def test_a_binding_that_was_never_bound_goes_at_once(consumer):
    consumer.apply(consumer.look())
    consumer.delete(AT)
    (change,) = consumer.look(export=None).changes
    assert isinstance(change, Update)


@pytest.mark.parametrize(("path", "where"), [({"path": "root:p"}, "root:p:cloud"), ({}, "cloud")])
def test_a_missing_export_is_named_as_it_is_referred_to(path, where):
    binding = Consumer(reference={"export": {"name": "cloud"} | path}).settled(export=None)
    assert binding["status"]["conditions"][0]["message"] == f"APIExport {where} not found"


def test_of_several_versions_the_storage_version_counts(consumer):
    schema = a_schema("instances")
    schema["spec"]["versions"].insert(0, {"name": "v1beta1", "storage": False})
    binding = consumer.settled(schemas=SCHEMAS | {f"v1.instances.{GROUP}": schema})
    assert binding["status"]["boundResources"][0]["storageVersions"] == ["v1"]
