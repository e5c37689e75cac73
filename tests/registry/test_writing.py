import asyncio
import threading
from dataclasses import replace
from itertools import count
from types import SimpleNamespace

import pytest
from registry_world import CLUSTER, CONFIG_MAPS, FREE, ITEMS, PLAIN, THINGS, crd, opened, pending, seen, thing

from kcpcache.meta.errors import (
    AlreadyExistsError,
    BadRequestError,
    ConflictError,
    InvalidError,
    MethodNotAllowedError,
    NotFoundError,
    ServiceUnavailableError,
    field_invalid,
)
from kcpcache.meta.objects import copy
from kcpcache.meta.selectors import parse_label_selector
from kcpcache.registry import write_steps
from kcpcache.registry.definitions import definition_of_crd
from kcpcache.registry.pauses import pausing
from kcpcache.registry.resource import NoRules
from kcpcache.registry.system import builtin_definitions
from kcpcache.registry.view import Admission, DeleteOptions, ListOptions, WriteOptions
from kcpcache.registry.write_steps import UndecodableError
from kcpcache.schema import compiled
from kcpcache.schema.compiled import LARGE_BYTES
from kcpcache.storage.memory import MemoryStore
from kcpcache.storage.store import StoreUnavailableError

NAMESPACES = builtin_definitions()["", "namespaces"]
QUOTAS = builtin_definitions()["", "resourcequotas"]
CLUSTER_ROLES = builtin_definitions()["rbac.authorization.k8s.io", "clusterroles"]


@pytest.fixture
async def world():
    async with opened() as found:
        yield found


def config_map(name="x", **more):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "n"}, **more}


# -- create


class Turns:
    """How a request shares the event loop; counts for how many turns it has waited."""

    tenant = object()
    count = 0

    async def pause(self) -> None: ...

    async def turn(self) -> None:
        self.count += 1


@pytest.mark.parametrize(("together", "count"), [(0, 1), (1, 2)])
async def test_a_create_is_done_in_two_steps_and_an_answer_where_several_users_are_served(world, together, count):
    turns = Turns()
    world.caches.company = SimpleNamespace(together=together)
    token = pausing.set(turns)
    try:
        await world.create(thing())
    finally:
        pausing.reset(token)
    assert turns.count == count


async def test_a_new_object_gets_what_only_the_server_gives(world):
    forged = {"uid": "forged", "creationTimestamp": "2001-01-01T00:00:00Z", "generation": 7, "selfLink": "/x"}
    obj = thing(size=1)
    obj["metadata"] |= {**forged, "deletionTimestamp": "2001-01-01T00:00:00Z", "deletionGracePeriodSeconds": 3}
    obj["status"] = {"phase": "Forged"}
    created = await world.create(obj, field_manager="me")
    meta = created["metadata"]
    assert meta["uid"] not in {"", "forged"}
    assert meta["creationTimestamp"] == "2026-06-01T12:00:00Z"
    assert meta["generation"] == 1
    assert meta["resourceVersion"] == "1"
    assert meta["annotations"] == {"kcp.io/cluster": CLUSTER}
    assert [entry["manager"] for entry in meta["managedFields"]] == ["me"]
    assert meta.keys().isdisjoint({"selfLink", "deletionTimestamp", "deletionGracePeriodSeconds"})
    assert "status" not in created
    assert created["spec"] == {"size": 1, "color": "red"}
    assert await world.get("a") == created


async def test_where_the_server_counts_no_generations_one_is_its_creators_word_and_a_deletion_counts(world):
    """After kube-apiserver, which passes it on for ConfigMaps and the like."""
    obj = config_map()
    obj["metadata"] |= {"generation": 7, "finalizers": ["a.b/c"]}
    assert (await world.create(obj, CONFIG_MAPS))["metadata"]["generation"] == 7
    obj["metadata"]["generation"] = 8
    assert (await world.update(obj | {"data": {"k": "v"}}, CONFIG_MAPS))["metadata"]["generation"] == 7
    deleted = (await world.delete("x", CONFIG_MAPS, namespace="n")).item.object()
    assert deleted["metadata"]["generation"] == 8
    with pytest.raises(InvalidError, match=r"metadata\.generation: .*must be greater than or equal to 0"):
        await world.create(config_map(metadata={"name": "y", "namespace": "n", "generation": -1}), CONFIG_MAPS)
    assert "generation" not in (await world.create(config_map("z"), CONFIG_MAPS))["metadata"]


@pytest.mark.parametrize(
    "entry",
    [
        {"operation": "Delete", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {}}},
        {"operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": "data"},
        {"operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"data": {}}},
        {},
    ],
    ids=["operation", "no object", "no fields", "nothing else"],
)
async def test_managed_fields_that_mean_nothing_are_passed_over_and_never_refused(world, entry):
    obj = config_map(data={"k": "1"})
    obj["metadata"]["managedFields"] = [{"manager": "x", **entry}]
    created = await world.create(obj, CONFIG_MAPS, field_manager="me")
    assert [one["manager"] for one in created["metadata"]["managedFields"]] == ["me"]
    updated = await world.update(obj | {"data": {"k": "2"}}, CONFIG_MAPS, field_manager="me")
    assert updated["metadata"]["managedFields"] == created["metadata"]["managedFields"]


async def test_what_the_server_makes_itself_is_not_judged_by_the_rules_of_its_type(world):
    class Never(NoRules):
        def validate(self, _obj):
            return [field_invalid("spec", "x", "never")]

    refusing = replace(THINGS, rules=Never())
    with pytest.raises(InvalidError):
        await world.create(thing(), definition=refusing)
    assert (await world.create(thing(), definition=refusing, trusted=True))["metadata"]["name"] == "a"
    with pytest.raises(InvalidError):
        await world.create(thing("b", size="large"), definition=refusing, trusted=True)


async def test_what_the_server_creates_keeps_its_status_which_is_owned_as_one(world):
    new = thing() | {"status": {"phase": "Big"}}
    assert "status" not in await world.create(new)
    created = await world.create(new | {"metadata": {"name": "b"}}, trusted=True, field_manager="server")
    assert created["status"] == {"phase": "Big"}
    owned = [(each.get("subresource"), *each["fieldsV1"]) for each in created["metadata"]["managedFields"]]
    assert owned == [(None, "f:spec"), ("status", "f:status")]
    without = await world.create(thing("c"), trusted=True, field_manager="server")
    assert "status" not in without
    assert [each.get("subresource") for each in without["metadata"]["managedFields"]] == [None]


async def test_what_the_server_updates_as_a_whole_is_owned_as_if_it_were_written_one_after_the_other(world):
    owners = []
    for name, whole in (("a", True), ("b", False)):
        created = await world.create(thing(name), field_manager="me")
        wanted = created | {"spec": {"size": 2}, "status": {"phase": "Big"}}
        made = await world.update(wanted, whole=whole, field_manager="server")
        assert made.get("status") == ({"phase": "Big"} if whole else None)
        assert made["metadata"]["generation"] == 2
        if not whole:
            reported = made | {"status": {"phase": "Big"}}
            made = await world.update(reported, subresource="status", trusted=True, field_manager="server")
        entries = made["metadata"]["managedFields"]
        owners.append([(each["manager"], each.get("subresource"), each["fieldsV1"]) for each in entries])
    assert owners[0] == owners[1]
    assert [owner[:2] for owner in owners[0]] == [("me", None), ("server", None), ("server", "status")]


async def test_a_status_takes_labels_along_only_where_the_server_reports_it(world):
    def mirrored(live):
        live["status"] = {"phase": "Big"}
        live["metadata"]["labels"] = {"phase": "Big"}
        return live

    for trusted, labels in ((False, None), (True, {"phase": "Big"})):
        name = f"a-{trusted}".lower()
        await world.create(thing(name))
        options = WriteOptions(trusted=trusted)
        written = await world.view().update("", name, mirrored, options, FREE, subresource="status")
        assert written.item.object()["status"] == {"phase": "Big"}
        assert written.item.object()["metadata"].get("labels") == labels


@pytest.mark.parametrize(
    ("definition", "subresource"),
    [(NAMESPACES, "status"), (QUOTAS, "status")],
)
async def test_a_status_of_some_built_in_types_takes_the_metadata_along(world, definition, subresource):
    """As in Kubernetes, whose strategies for them put back the spec and nothing else."""
    namespace = "n" if definition.namespaced else ""
    made = {"metadata": {"name": "a", "namespace": namespace, "labels": {"old": "1"}}, "spec": {}}
    options = WriteOptions(trusted=True)
    view = world.view(definition)
    created = (await view.create(namespace, made, options, FREE)).item.object()

    def label(live):
        live["metadata"]["labels"] = {"new": "1"}
        live["metadata"]["annotations"] = {"a": "b"}
        live["metadata"]["uid"] = created["metadata"]["uid"]
        live["metadata"]["creationTimestamp"] = "2001-01-01T00:00:00Z"
        return live

    options = WriteOptions(field_manager="me")
    written = (await view.update(namespace, "a", label, options, FREE, subresource=subresource)).item.object()
    meta = written["metadata"]
    assert meta["labels"].get("new") == "1"
    assert "old" not in meta["labels"]
    assert meta["annotations"]["a"] == "b"
    assert meta["creationTimestamp"] == created["metadata"]["creationTimestamp"]
    assert written["spec"] == created["spec"]
    (own,) = [entry for entry in meta["managedFields"] if entry["manager"] == "me"]
    assert own["subresource"] == subresource
    assert own["fieldsV1"]["f:metadata"]["f:labels"]["f:new"] == {}


async def test_a_status_of_other_types_takes_no_metadata_along(world):
    known = builtin_definitions().items()
    takes = {plural for (_, plural), definition in known if definition.status_writes_metadata}
    assert takes == {"namespaces", "resourcequotas", "certificatesigningrequests"}
    await world.create(thing(size=1))
    labelled = {"metadata": {"name": "a", "labels": {"new": "1"}}, "status": {"phase": "Up"}}
    assert "labels" not in (await world.update(labelled, subresource="status"))["metadata"]


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"manager": 3}, "managedFields[0].manager: Invalid value: 3: must be of type string"),
        ({"time": "x"}, 'managedFields[0].time: Invalid value: "x": must be of type date-time'),
        ({"operation": ["Update"]}, "managedFields[0].operation: Invalid value: "),
    ],
)
async def test_managed_fields_of_other_types_are_refused(world, entry, why):
    with pytest.raises((InvalidError, UndecodableError)) as refused:
        await world.create({"metadata": {"name": "a", "managedFields": [entry]}})
    said = str(refused.value)
    assert why in said or "Go struct field ManagedFieldsEntry.managedFields." in said or "parsing time" in said


def embedding():
    """Things with a resource within."""
    found = crd()
    properties = found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    template = {"x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True}
    properties["templates"] = {"type": "array", "items": {"type": "object", **template}}
    return definition_of_crd(found)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"kind": 1}, "kind: Invalid value: 1: must be a string"),
        ({"apiVersion": None}, "apiVersion: Invalid value: null: must be a string"),
        ({"metadata": "x"}, 'metadata: Invalid value: "x": json: cannot unmarshal string into Go value of type v1.O'),
        ({"metadata": {"labels": {"a": 1}}}, "json: cannot unmarshal number into Go struct field ObjectMeta.labels"),
    ],
)
async def test_wrong_types_of_an_embedded_resource_cannot_be_decoded(world, more, why):
    """schemaobjectmeta.Coerce is a part of decoding, so that it is a 400."""
    obj = thing(templates=[{"apiVersion": "v1", "kind": "Pod", **more}])
    with pytest.raises(UndecodableError) as raised:
        await world.create(obj, embedding())
    assert raised.value.message.startswith('Thing in version "v1" cannot be handled as a Thing: spec.templates[0].')
    assert why in raised.value.message


async def test_embedded_metadata_is_stored_without_what_says_nothing(world):
    meta = {"name": "b", "labels": {"a": None}, "annotations": {}, "finalizers": None, "creationTimestamp": None}
    templates = [{"apiVersion": "v1", "kind": "Pod", "metadata": given} for given in (meta, None)]
    created = await world.create(thing(templates=templates), embedding())
    kept = [template["metadata"] for template in created["spec"]["templates"]]
    assert kept == [{"name": "b", "labels": {"a": ""}}, {}]


async def test_a_null_among_managed_fields_is_an_empty_entry(world):
    """Alone it forgets all ownership, beside others they all make no sense, as in Kubernetes."""
    created = await world.create(thing(size=1), field_manager="me")
    owners = created["metadata"]["managedFields"]
    entry = owners[0] | {"manager": "you"}
    kept = await world.update(thing(size=1) | {"metadata": {"name": "a", "managedFields": [entry, None]}})
    assert kept["metadata"]["managedFields"] == owners
    forgotten = await world.update(thing(size=1) | {"metadata": {"name": "a", "managedFields": [None]}})
    assert "managedFields" not in forgotten["metadata"]


async def test_managed_fields_of_a_version_that_there_is_not_forget_all_or_go(world):
    """A CRD's converter fails on such a version, the scheme of built-in types knows that it has none."""
    created = await world.create(thing(size=1), field_manager="me")
    foreign = created["metadata"]["managedFields"][0] | {"apiVersion": "example.com/v9"}
    forgotten = await world.update(thing(size=2) | {"metadata": {"name": "a", "managedFields": [foreign]}})
    assert "managedFields" not in forgotten["metadata"]
    made = await world.create(config_map(data={"k": "v"}), CONFIG_MAPS, field_manager="me")
    (own,) = made["metadata"]["managedFields"]
    changed = config_map(data={"k": "v"})
    changed["metadata"]["managedFields"] = [own, own | {"manager": "you", "apiVersion": "v9"}]
    assert (await world.update(changed, CONFIG_MAPS))["metadata"]["managedFields"] == [own]


async def test_an_empty_list_of_managed_fields_forgets_those_of_built_in_types_only(world):
    """Kubernetes cannot tell it from none where the type is a custom one."""
    created = await world.create(thing(size=1), field_manager="me")
    kept = await world.update(thing(size=1) | {"metadata": {"name": "a", "managedFields": []}})
    assert kept["metadata"]["managedFields"] == created["metadata"]["managedFields"]
    await world.create(config_map(data={"k": "v"}), CONFIG_MAPS)
    bare = config_map(data={"k": "v"})
    bare["metadata"]["managedFields"] = []
    assert "managedFields" not in (await world.update(bare, CONFIG_MAPS))["metadata"]


async def test_status_is_kept_where_it_is_no_subresource(world):
    created = await world.create({"metadata": {"name": "a"}, "status": {"phase": "Own"}}, PLAIN)
    assert created["status"] == {"phase": "Own"}


async def test_the_cluster_annotation_is_never_stored(world):
    obj = thing()
    obj["metadata"]["annotations"] = {"kcp.io/cluster": "elsewhere"}
    created = await world.create(obj)
    assert created["metadata"]["annotations"] == {"kcp.io/cluster": CLUSTER}
    assert b"elsewhere" not in (await world.store.list("/")).entries[0].value
    assert "annotations" not in str(created["metadata"].get("managedFields"))


async def test_an_object_that_is_there_already_exists(world):
    await world.create(thing())
    for options in ({}, {"dry_run": True}):
        with pytest.raises(AlreadyExistsError, match='"a" already exists'):
            await world.create(thing(), **options)


async def test_a_new_object_has_no_resource_version(world):
    obj = thing()
    obj["metadata"]["resourceVersion"] = "1"
    with pytest.raises(BadRequestError, match="resourceVersion should not be set on objects to be created"):
        await world.create(obj)


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"kind": "Other"}, InvalidError, 'Other.* "a" is invalid: kind: Invalid value: "Other": must be Thing'),
        ({"apiVersion": "v1"}, BadRequestError, r"API version in the data \(v1\) does not match"),
        ({"metadata": []}, BadRequestError, "metadata must be an object"),
        ({"metadata": {}}, InvalidError, "name or generateName is required"),
        ({"metadata": {"name": 1}}, UndecodableError, "field ObjectMeta.name of type string"),
        ({"metadata": {"name": "A"}}, InvalidError, "a lowercase RFC 1123 subdomain must"),
        ({"metadata": {"name": "a/../b"}}, InvalidError, "a lowercase RFC 1123 subdomain must"),
        ({"spec": {"size": -1}}, InvalidError, "size"),
        ({"spec": {"size": "x"}}, InvalidError, "size"),
        (
            {"metadata": {"name": "a", "ownerReferences": [{"uid": 1}]}},
            UndecodableError,
            "ownerReferences.uid of type string",
        ),
    ],
)
async def test_bad_objects_are_refused_and_nothing_is_stored(world, change, error, text):
    with pytest.raises(error, match=text):
        await world.create({**thing(), **change})
    assert await world.store.revision() == 0


async def test_names_are_checked_by_type(world):
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "rules": []}
    await world.create({**role, "metadata": {"name": "system:Node"}}, CLUSTER_ROLES)
    for name in ("a/b", "..", "a%b", "a\x00b"):
        with pytest.raises(InvalidError, match=r"metadata\.name"):
            await world.create({**role, "metadata": {"name": name}}, CLUSTER_ROLES)


async def test_the_namespace_is_that_of_the_request(world):
    view = world.view(CONFIG_MAPS)
    obj = config_map()
    del obj["metadata"]["namespace"]
    written = await view.create("m", copy(obj), WriteOptions(), FREE)
    assert written.item.object()["metadata"]["namespace"] == "m"
    with pytest.raises(BadRequestError, match="namespace of the provided object does not match"):
        await view.create("m", config_map(), WriteOptions(), FREE)
    with pytest.raises(InvalidError, match=r"metadata\.namespace"):
        await view.create("", obj, WriteOptions(), FREE)


async def test_a_cluster_scoped_object_has_no_namespace(world):
    obj = thing()
    obj["metadata"]["namespace"] = "n"
    written = await world.view().create("", obj, WriteOptions(), FREE)
    assert "namespace" not in written.item.object()["metadata"]


async def test_names_are_generated_and_tried_again_when_taken(world, monkeypatch):
    suffixes = iter(["aaaaa", "aaaaa", "aaaaa", "bbbbb"])
    monkeypatch.setattr(write_steps, "random_suffix", lambda: next(suffixes))
    for suffix in ("aaaaa", "bbbbb"):
        created = await world.create({"metadata": {"generateName": "x-"}})
        assert created["metadata"]["name"] == f"x-{suffix}"
        assert created["metadata"]["generateName"] == "x-"


async def test_generating_a_name_is_given_up_after_eight_attempts(world, monkeypatch):
    tried = []
    monkeypatch.setattr(write_steps, "random_suffix", lambda: tried.append(1) or "aaaaa")
    await world.create({"metadata": {"name": "x-aaaaa"}})
    with pytest.raises(AlreadyExistsError, match="was not able to generate a unique name") as found:
        await world.create({"metadata": {"generateName": "x-"}})
    assert found.value.headers() == {"Retry-After": "1"}
    assert len(tried) - 1 == 8


async def test_a_long_prefix_is_cut(world):
    created = await world.create({"metadata": {"generateName": "x" * 100}})
    assert len(created["metadata"]["name"]) == 63


# -- dry run


async def test_a_dry_run_stores_nothing_and_shows_what_would_be(world):
    created = await world.create(thing(), dry_run=True)
    assert "resourceVersion" not in created["metadata"]
    assert created["spec"] == {"color": "red"}
    await world.create(thing())
    before = await world.store.list("/")
    changed = await world.update(thing(size=1), dry_run=True)
    assert (changed["spec"]["size"], changed["metadata"]["generation"]) == (1, 2)
    assert changed["metadata"]["resourceVersion"] == "1"
    assert (await world.delete("a", dry_run=True)).deleted
    view, selection = world.view(), ListOptions()
    assert len(await view.delete_collection(selection, DeleteOptions(dry_run=True), FREE)) == 1
    assert await world.store.list("/") == before
    assert len(await world.list()) == 1


# -- field validation


@pytest.mark.parametrize("mode", ["Ignore", "Warn", "Strict"])
async def test_unknown_fields_are_dropped_warned_of_or_refused(world, mode):
    obj = thing(sise=1, extra={"anything": 1})
    obj["metadata"]["lables"] = {}
    options = WriteOptions(field_validation=mode)
    if mode == "Strict":
        with pytest.raises(BadRequestError) as found:
            await world.view().create("", obj, options, FREE)
        assert found.value.message == (
            'Thing in version "v1" cannot be handled as a Thing: strict decoding error: '
            'unknown field "metadata.lables", unknown field "spec.sise"'
        )
        return
    created = (await world.view().create("", obj, options, FREE)).item.object()
    assert created["spec"] == {"color": "red", "extra": {"anything": 1}}
    expected = ['unknown field "metadata.lables"', 'unknown field "spec.sise"'] if mode == "Warn" else []
    assert options.warnings == expected


WEBHOOKS = builtin_definitions()["admissionregistration.k8s.io", "validatingwebhookconfigurations"]


async def test_a_value_that_is_no_choice_hides_nothing_that_rules_say(world):
    hook = {"name": "x", "failurePolicy": "Perhaps"}
    obj = {"metadata": {"name": "a"}, "webhooks": [hook]}
    with pytest.raises(InvalidError) as refused:
        await world.create(obj, WEBHOOKS)
    assert {"webhooks[0].failurePolicy", "webhooks[0].name"} <= {error.path for error in refused.value.errors}


async def test_an_owner_named_twice_is_kept_once_with_a_warning(world):
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "u1"}
    options = WriteOptions(field_validation="Ignore")
    obj = thing()
    obj["metadata"]["ownerReferences"] = [owner, owner]
    created = (await world.view().create("", obj, options, FREE)).item.object()
    assert created["metadata"]["ownerReferences"] == [owner]
    (warning,) = options.warnings
    assert warning.startswith(".metadata.ownerReferences contains duplicate entries; ")
    assert warning.endswith("duplicate UID(s) observed: u1")


@pytest.mark.parametrize("owners", [[None], [None, None], [{}, None]])
async def test_an_owner_that_is_null_is_one_without_anything_and_refused(world, owners):
    obj = thing()
    obj["metadata"]["ownerReferences"] = owners
    with pytest.raises(InvalidError) as refused:
        await world.create(obj)
    fields = {error.path for error in refused.value.errors}
    assert fields >= {f"metadata.ownerReferences.{key}" for key in ("apiVersion", "kind", "name", "uid")}


async def test_a_warning_is_given_once_however_many_attempts_a_write_takes(world):
    await world.create(thing())
    options, attempts = WriteOptions(field_validation="Warn"), count(1)

    async def interfere(_operation, new, _old):
        if next(attempts) < 4:
            await world.patch("a", lambda obj: obj["spec"].update(size=next(attempts)))

    written = await world.view().update(
        "", "a", lambda _live: thing(sise=1, size=77), options, Admission(mutate=interfere, validate=FREE.validate)
    )
    assert options.warnings == ['unknown field "spec.sise"']
    assert written.item.entry.revision > 2


async def test_a_custom_objects_finalizer_without_a_domain_is_warned_of(world):
    obj = thing()
    obj["metadata"]["finalizers"] = ["bare"]
    options = WriteOptions()
    created = (await world.view().create("", obj, options, FREE)).item.object()
    (warning,) = options.warnings
    assert warning.startswith('metadata.finalizers: "bare": prefer a domain-qualified finalizer name')
    again = WriteOptions()
    await world.view().update("", "a", lambda _live: created, again, FREE)
    assert again.warnings == []


async def test_finalizers_are_warned_of_in_order_and_told_what_they_lack(world):
    """Texts of apiextensions-apiserver 0.33.5 (``validateKubeFinalizerName``)."""
    obj, options = thing(), WriteOptions()
    obj["metadata"]["finalizers"] = ["z", "a.io", "orphan"]
    await world.view().create("", obj, options, FREE)
    why = "to avoid accidental conflicts with other finalizer writers"
    assert options.warnings == [
        f'metadata.finalizers: "a.io": prefer a domain-qualified finalizer name including a path (/) {why}',
        f'metadata.finalizers: "z": prefer a domain-qualified finalizer name {why}',
    ]
    with pytest.raises(InvalidError, match="neither a standard finalizer name nor is it fully qualified"):
        await world.create(
            {**config_map(), "metadata": {"name": "x", "namespace": "n", "finalizers": ["bare"]}}, CONFIG_MAPS
        )


# -- update


async def test_an_update_keeps_what_is_the_servers(world):
    created = await world.create(thing())
    world.pass_time(60)
    changed = copy(created)
    changed["spec"]["size"] = 5
    changed["metadata"] |= {"creationTimestamp": "2001-01-01T00:00:00Z", "generation": 99}
    updated = await world.update(changed)
    for key in ("uid", "creationTimestamp"):
        assert updated["metadata"][key] == created["metadata"][key]
    assert updated["metadata"]["generation"] == 2
    assert updated["metadata"]["resourceVersion"] == "2"
    assert updated["spec"]["size"] == 5


@pytest.mark.parametrize(
    "change",
    [
        lambda obj: obj,
        lambda obj: dict(reversed(obj.items())),
        lambda obj: {**obj, "spec": dict(reversed(obj["spec"].items()))},
        lambda obj: {**obj, "metadata": dict(reversed(obj["metadata"].items()))},
        lambda obj: {
            **obj,
            "metadata": {**obj["metadata"], "annotations": {}, "finalizers": [], "ownerReferences": None},
        },
        lambda obj: {**obj, "spec": {"size": 1}},
        lambda obj: {**obj, "status": {"phase": "Dropped"}},
    ],
)
async def test_a_write_that_changes_nothing_keeps_the_version(world, change):
    created = await world.create(thing(size=1), field_manager="me")
    world.pass_time(60)
    assert await world.update(change(copy(created)), field_manager="me") == created
    assert await world.store.revision() == 1


async def test_generation_counts_changes_of_the_spec_only(world):
    created = await world.create(thing())
    labelled = await world.patch("a", lambda obj: obj["metadata"].update(labels={"a": "b"}))
    status = await world.patch("a", lambda obj: obj.update(status={"phase": "Up"}), subresource="status")
    sized = await world.patch("a", lambda obj: obj["spec"].update(size=1))
    assert [one["metadata"]["generation"] for one in (created, labelled, status, sized)] == [1, 1, 1, 2]
    await world.create({"metadata": {"name": "p"}}, PLAIN)
    changed = await world.patch("p", lambda obj: obj.update(status={"phase": "Up"}), PLAIN)
    assert changed["metadata"]["generation"] == 2


async def test_the_two_ways_of_writing_do_not_touch_each_others_part(world):
    await world.create(thing(size=1))
    obj = await world.get("a")
    obj["status"], obj["spec"] = {"phase": "Up"}, {"size": 2}
    obj["metadata"]["labels"] = {"a": "b"}
    status = await world.update(obj, subresource="status")
    assert (status["spec"]["size"], status["status"]) == (1, {"phase": "Up"})
    assert "labels" not in status["metadata"]
    status["spec"]["size"], status["status"] = 3, {"phase": "Down"}
    main = await world.update(status)
    assert (main["spec"]["size"], main["status"]) == (3, {"phase": "Up"})
    del main["status"]
    assert (await world.update(main))["status"] == {"phase": "Up"}


async def test_an_update_of_another_version_is_a_conflict(world):
    created = await world.create(thing())
    await world.patch("a", lambda obj: obj["spec"].update(size=1))
    for change in ({"resourceVersion": "1"}, {"resourceVersion": "99"}, {"resourceVersion": "x"}):
        obj = copy(created)
        obj["metadata"] |= {"resourceVersion": "2"} | change
        with pytest.raises(ConflictError, match="Operation cannot be fulfilled on things"):
            await world.update(obj)
    assert await world.store.revision() == 2


async def test_of_many_writers_at_one_version_one_wins(world):
    """P3."""
    created = await world.create(thing())

    async def write(size):
        obj = copy(created)
        obj["spec"]["size"] = size
        return await world.update(obj)

    results = await asyncio.gather(*(write(size) for size in range(1, 21)), return_exceptions=True)
    winners = [one for one in results if not isinstance(one, Exception)]
    assert len(winners) == 1
    assert {type(one) for one in results if isinstance(one, Exception)} == {ConflictError}
    assert (await world.get("a"))["spec"] == winners[0]["spec"]


async def test_unpinned_writers_all_get_through(world):
    await world.create(thing(size=0))
    results = await asyncio.gather(
        *(world.patch("a", lambda obj: obj["spec"].update(size=obj["spec"]["size"] + 1)) for _ in range(50))
    )
    assert sorted(one["spec"]["size"] for one in results) == list(range(1, 51))


async def test_what_is_immutable_is_refused_or_kept(world):
    created = await world.create(thing())
    with pytest.raises(BadRequestError, match="does not match the name on the URL"):
        await world.patch("a", lambda obj: obj["metadata"].update(name="b"))
    with pytest.raises(InvalidError, match=r"metadata\.deletionTimestamp.*field is immutable"):
        await world.patch("a", lambda obj: obj["metadata"].update(deletionTimestamp="2026-01-01T00:00:00Z"))
    assert await world.get("a") == created


async def test_another_uid_is_refused_and_nothing_changes(world):
    created = await world.create(thing())
    with pytest.raises(InvalidError, match=r'metadata\.uid: Invalid value: "other": field is immutable'):
        await world.patch("a", lambda obj: obj["metadata"].update(uid="other"))
    assert await world.get("a") == created


async def test_what_a_new_namespace_begins_with_is_owned_by_nobody(world):
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}
    created = await world.create(copy(namespace), NAMESPACES, field_manager="me")
    (entry,) = created["metadata"]["managedFields"]
    assert entry["fieldsV1"] == {"f:metadata": {"f:labels": {".": {}, "f:kubernetes.io/metadata.name": {}}}}
    assert created["spec"] == {"finalizers": ["kubernetes"]}
    namespace["metadata"]["name"] = "held"
    created = await world.create({**namespace, "spec": {"finalizers": ["a.b/c"]}}, NAMESPACES, field_manager="me")
    assert created["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"] == {"f:finalizers": {}}
    assert created["spec"] == {"finalizers": ["a.b/c", "kubernetes"]}


async def test_an_update_of_what_is_not_there_is_not_found_unless_it_may_create(world):
    with pytest.raises(NotFoundError):
        await world.update(thing())
    written = await world.view().update("", "a", lambda _live: thing(), WriteOptions(), FREE, create_if_missing=True)
    assert written.created
    gone = thing("b")
    gone["metadata"]["uid"] = "1"
    with pytest.raises(ConflictError, match="UID in precondition: 1"):
        await world.view().update("", "b", lambda _live: gone, WriteOptions(), FREE, create_if_missing=True)
    with pytest.raises(NotFoundError):
        await world.view().update(
            "", "c", lambda _live: thing("c"), WriteOptions(), FREE, subresource="status", create_if_missing=True
        )


async def test_two_who_create_by_updating_both_get_through(world):
    async def apply(key):
        def change(live):
            wanted = live or thing()
            wanted["metadata"].pop("resourceVersion", None)
            wanted["metadata"].setdefault("labels", {})[key] = "x"
            return wanted

        return await world.view().update("", "a", change, WriteOptions(), FREE, create_if_missing=True)

    written = await asyncio.gather(*(apply(key) for key in "abc"))
    assert sorted(one.created for one in written) == [False, False, True]
    assert (await world.get("a"))["metadata"]["labels"] == {"a": "x", "b": "x", "c": "x"}


async def test_nesting_that_patches_pile_up_is_refused_before_it_is_stored(world):
    await world.create(thing(extra={}))
    deep = {}
    for _ in range(300):
        deep = {"x": deep}
    with pytest.raises(BadRequestError):
        await world.patch("a", lambda obj: obj["spec"].update(extra=deep))
    assert await world.store.revision() == 1


# -- delete


async def test_a_deleted_object_is_gone_and_its_event_has_the_deletions_version(world):
    live = await world.watch()
    created = await world.create(thing())
    written = await world.delete("a")
    assert written.deleted
    assert written.item.object()["metadata"]["uid"] == created["metadata"]["uid"]
    assert seen(await pending(live)) == [("ADDED", "a", 1), ("DELETED", "a", 2)]
    with pytest.raises(NotFoundError):
        await world.delete("a")


async def test_preconditions_hold_a_deletion_back(world):
    created = await world.create(thing())
    named = r"on Thing\.example\.com "
    with pytest.raises(ConflictError, match=rf'{named}"a": the UID in the precondition \(x\) does not match'):
        await world.delete("a", uid="x")
    with pytest.raises(ConflictError, match=rf'{named}"a": the ResourceVersion in the precondition \(9\) does not'):
        await world.delete("a", resource_version="9")
    assert (await world.delete("a", uid=created["metadata"]["uid"], resource_version="1")).deleted


async def test_finalizers_hold_an_object_until_the_last_is_removed(world):
    obj = thing()
    obj["metadata"]["finalizers"] = ["example.com/a", "example.com/b"]
    await world.create(obj)
    written = await world.delete("a")
    assert not written.deleted
    meta = written.item.object()["metadata"]
    assert meta["deletionTimestamp"] == "2026-06-01T12:00:00Z"
    assert meta["deletionGracePeriodSeconds"] == 0
    assert meta["generation"] == 2
    world.pass_time(60)
    again = await world.delete("a")
    assert again.item.object()["metadata"] == meta
    with pytest.raises(InvalidError, match="no new finalizers can be added if the object is being deleted"):
        await world.patch("a", lambda obj: obj["metadata"]["finalizers"].append("example.com/c"))
    kept = await world.patch("a", lambda obj: obj["metadata"].pop("deletionTimestamp"))
    assert kept["metadata"]["deletionTimestamp"] == meta["deletionTimestamp"]
    one = await world.patch("a", lambda obj: obj["metadata"].update(finalizers=["example.com/b"]))
    assert one["metadata"]["finalizers"] == ["example.com/b"]
    last = await world.patch("a", lambda obj: obj["metadata"].pop("finalizers"))
    assert "finalizers" not in last["metadata"]
    with pytest.raises(NotFoundError):
        await world.get("a")


@pytest.mark.parametrize(
    ("before", "policy", "after"),
    [
        ([], "Background", None),
        ([], "", None),
        ([], "Foreground", ["foregroundDeletion"]),
        ([], "Orphan", ["orphan"]),
        (["orphan"], "", ["orphan"]),
        (["orphan"], "Background", None),
        (["example.com/a", "orphan"], "Foreground", ["example.com/a", "foregroundDeletion"]),
        (["example.com/a"], "Background", ["example.com/a"]),
    ],
)
async def test_the_propagation_policy_decides_on_the_garbage_collectors_finalizers(world, before, policy, after):
    obj = thing()
    obj["metadata"]["finalizers"] = before
    await world.create(obj)
    written = await world.delete("a", propagation_policy=policy)
    assert written.deleted is (after is None)
    if after is not None:
        assert written.item.object()["metadata"]["finalizers"] == after


async def test_a_collection_is_deleted_as_it_is_selected(world):
    for number in range(4):
        await world.create(thing(f"n{number}", labels={"odd": str(number % 2)}))
    selection = ListOptions(label_selector=parse_label_selector("odd=1"))
    deleted = await world.view().delete_collection(selection, DeleteOptions(), FREE)
    assert [item.entry.name for item in deleted.items()] == ["n1", "n3"]
    assert len(await world.list()) == 2


# -- large types


async def test_what_a_large_type_needs_for_its_first_object_is_not_made_by_the_event_loop(world, monkeypatch):
    found = crd("larges")
    fields = {f"field{number:05}": {"type": "string"} for number in range(LARGE_BYTES // 20)}
    found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"].update(fields)
    makers = [name for name in dir(compiled) if name.startswith("compile_") and name != "compile_schema"]
    threads = dict.fromkeys(makers, 0)

    def noting(name, make):
        def made(schema):
            threads[name] = threading.get_ident()
            return make(schema)

        return made

    for name in makers:
        monkeypatch.setattr(compiled, name, noting(name, getattr(compiled, name)))
    view = world.view(definition_of_crd(found))
    kind = {"apiVersion": "example.com/v1", "kind": "Large"}
    await view.create("", {**kind, "metadata": {"name": "a"}, "spec": {"size": 1}}, WriteOptions(), FREE)
    assert all(threads.values())
    assert threading.get_ident() not in threads.values()
    options = WriteOptions()
    await view.create("", {**kind, "metadata": {"name": "b"}, "spec": {}}, options, FREE)
    assert options.weight == 0


# -- views


async def test_over_all_workspaces_there_is_only_list_and_watch(world):
    view = world.view(cluster="*")
    for call in (
        view.get("", "a"),
        view.create("", thing(), WriteOptions(), FREE),
        view.update("", "a", lambda _live: thing(), WriteOptions(), FREE),
        view.delete("", "a", DeleteOptions(), FREE),
        view.delete_collection(ListOptions(), DeleteOptions(), FREE),
    ):
        with pytest.raises(MethodNotAllowedError):
            await call


async def test_a_verb_that_the_resource_does_not_have_is_not_allowed(world):
    view = world.view(replace(THINGS, verbs=("get",)))
    with pytest.raises(MethodNotAllowedError, match="list is not supported"):
        await view.list(ListOptions())
    with pytest.raises(NotFoundError):
        await view.get("", "a")


async def test_another_version_is_written_and_stored_in_the_stored_one(world):
    view = world.view(ITEMS, version="v1beta1")
    obj = {"apiVersion": "example.com/v1beta1", "metadata": {"name": "x"}, "spec": {}}
    written = await view.create("n", obj, WriteOptions(), FREE)
    assert written.item.object()["apiVersion"] == "example.com/v1beta1"
    assert (await world.store.list("/")).entries[0].value.startswith(b'{"apiVersion":"example.com/v1",')


async def test_versions_are_converted_where_they_differ(world):
    def convert(obj, api_version):
        obj["spec"]["size"] = obj["spec"].get("size", 0) + (100 if api_version.endswith("beta1") else -100)
        obj["apiVersion"] = api_version
        return obj

    items = replace(ITEMS, convert=convert)
    await world.create({"metadata": {"name": "x", "namespace": "n"}, "spec": {"size": 5}}, items)
    beta = world.view(items, version="v1beta1")
    assert (await beta.get("n", "x")).object()["spec"]["size"] == 105
    live = await beta.watch(ListOptions())

    def grow(obj):
        obj["spec"]["size"] += 1
        return obj

    assert (await beta.update("n", "x", grow, WriteOptions(), FREE)).item.object()["spec"]["size"] == 106
    assert (await world.get("x", items, namespace="n"))["spec"]["size"] == 6
    assert [event.item.object()["spec"]["size"] for event in await pending(live)] == [105, 106]


class Broken(MemoryStore):
    broken = False

    def _check_open(self):
        if self.broken:
            raise StoreUnavailableError("disk full")
        super()._check_open()


async def test_a_store_that_takes_no_writes_is_an_honest_503():
    store = Broken()
    async with opened(store) as world:
        created = await world.create(thing())
        store.broken = True
        with pytest.raises(ServiceUnavailableError, match="disk full"):
            await world.create(thing("b"))
        with pytest.raises(ServiceUnavailableError, match="disk full"):
            await world.patch("a", lambda obj: obj["spec"].update(size=1))
        with pytest.raises(ServiceUnavailableError, match="disk full"):
            await world.delete("a")
        assert await world.get("a") == created
        store.broken = False


async def test_refusing_admission_leaves_nothing_behind(world):
    async def refuse(_operation, _new, _old):
        raise InvalidError("", "Thing", "a", [])

    for admission in (Admission(mutate=refuse, validate=FREE.validate), Admission(mutate=FREE.mutate, validate=refuse)):
        with pytest.raises(InvalidError):
            await world.view().create("", thing(), WriteOptions(), admission)
    assert await world.store.revision() == 0
