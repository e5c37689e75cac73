import orjson
import pytest
from apply_world import SCHEMA, VERSION, World, thing

from kcpcache.meta.errors import BadRequestError, ConflictError
from kcpcache.meta.managed_fields import apply
from kcpcache.meta.objects import copy


def conflicts(raised):
    return {(cause.message, cause.field) for cause in raised.value.causes}


# Owning, sharing, giving up


def test_an_applied_object_is_created_and_its_fields_are_owned():
    world = World().apply("a", {"replicas": 1, "free": {"k": "v"}}, metadata={"labels": {"l": "1"}})
    assert world.live["spec"] == {"replicas": 1, "free": {"k": "v"}}
    assert world.entries == [
        {
            "manager": "a",
            "operation": "Apply",
            "apiVersion": VERSION,
            "time": "2026-01-01T00:01:00Z",
            "fieldsType": "FieldsV1",
            "fieldsV1": {
                "f:metadata": {"f:labels": {"f:l": {}}},
                "f:spec": {"f:replicas": {}, "f:free": {"f:k": {}}},
            },
        }
    ]


def test_names_types_and_what_the_server_sets_are_owned_by_nobody():
    metadata = {"namespace": "n", "uid": "u", "resourceVersion": "1", "annotations": {"kcp.io/cluster": "c"}}
    world = World().apply("a", {"replicas": 1}, metadata=metadata)
    assert world.owned("a") == {".spec.replicas"}


def test_an_object_without_a_field_to_own_has_no_managed_fields():
    world = World().apply("a")
    assert "managedFields" not in world.live["metadata"]


def test_a_keyed_list_without_items_is_not_owned_nor_is_what_holds_nothing_else():
    world = World().update("u", {"set": ["x"]}).apply("a", {"set": []})
    assert world.spec == {"set": ["x"]}
    assert world.owners() == {"u"}


def test_two_managers_share_a_field_when_they_apply_the_same_value():
    world = World().apply("a", {"replicas": 1}).apply("b", {"replicas": 1})
    assert world.owned("a") == world.owned("b") == {".spec.replicas"}


def test_a_field_that_its_only_owner_no_longer_applies_is_removed():
    world = World().apply("a", {"replicas": 1, "image": "i"}).apply("a", {"image": "i"})
    assert world.spec == {"image": "i"}
    assert world.owned("a") == {".spec.image"}


def test_a_shared_field_stays_until_the_last_owner_gives_it_up():
    world = World().apply("a", {"replicas": 1, "image": "i"}).apply("b", {"replicas": 1})
    world.apply("a", {"image": "i"})
    assert world.spec == {"replicas": 1, "image": "i"}
    assert world.owned("a") == {".spec.image"}
    world.apply("b")
    assert world.spec == {"image": "i"}
    assert world.owners() == {"a"}


def test_a_field_that_an_update_set_is_not_removed_by_an_applier_that_gives_it_up():
    world = World().apply("a", {"replicas": 1}).update("u", {"replicas": 2}).apply("a", {"replicas": 2})
    world.apply("a")
    assert world.spec == {"replicas": 2}


def test_a_field_that_was_never_applied_stays():
    world = World().update("u", {"image": "i", "replicas": 1}).apply("a", {"flag": True}).apply("a")
    assert world.spec == {"image": "i", "replicas": 1}


def test_giving_up_everything_removes_everything_and_the_entry():
    world = World().apply("a", {"nested": {"a": "1", "inner": {"c": "2"}}, "set": ["x"], "items": [{"name": "n"}]})
    world.apply("a")
    assert world.live == thing()


def test_labels_given_up_go_but_the_name_stays():
    world = World().apply("a", metadata={"labels": {"l": "1"}, "annotations": {"n": "1"}}).apply("a")
    assert world.live == thing()


def test_applying_the_same_again_changes_nothing_not_even_the_time():
    world = World().apply("a", {"replicas": 1, "items": [{"name": "n", "value": "v"}]})
    before = copy(world.live)
    assert world.apply("a", {"replicas": 1, "items": [{"name": "n", "value": "v"}]}).live == before


def test_who_applies_what_is_there_already_becomes_an_owner_without_a_time():
    world = World().apply("a", {"replicas": 1}).apply("b", {"replicas": 1})
    assert world.time("b") is None
    assert world.apply("b", {"replicas": 2}, force=True).time("b") == "2026-01-01T00:03:00Z"


def test_the_time_moves_with_a_value():
    world = World().apply("a", {"replicas": 1}).apply("a", {"replicas": 2})
    assert world.time("a") == "2026-01-01T00:02:00Z"


# Conflicts


def test_one_conflict_names_the_manager_the_version_and_the_field():
    world = World().update("kubectl", {"replicas": 1})
    with pytest.raises(ConflictError) as raised:
        world.apply("a", {"replicas": 2})
    assert raised.value.message == (
        'Apply failed with 1 conflict: conflict with "kubectl" using example.com/v1: .spec.replicas'
    )
    status = raised.value.status()
    assert (status["code"], status["reason"]) == (409, "Conflict")
    assert status["details"]["causes"] == [
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "kubectl" using example.com/v1',
            "field": ".spec.replicas",
        }
    ]


def test_a_conflict_with_an_applier_names_no_version():
    world = World().apply("b", {"replicas": 1})
    with pytest.raises(ConflictError) as raised:
        world.apply("a", {"replicas": 2})
    assert raised.value.message == 'Apply failed with 1 conflict: conflict with "b": .spec.replicas'


def test_several_conflicts_are_listed_by_manager():
    world = World().update("u", {"replicas": 1, "image": "i"}).apply("b", {"flag": True})
    with pytest.raises(ConflictError) as raised:
        world.apply("a", {"replicas": 2, "image": "j", "flag": False})
    assert raised.value.message == (
        'Apply failed with 3 conflicts: conflicts with "b":\n- .spec.flag\n'
        'conflicts with "u" using example.com/v1:\n- .spec.image\n- .spec.replicas'
    )
    assert len(raised.value.causes) == 3


def test_a_conflict_names_the_subresource_it_was_written_through():
    world = (
        World().apply("a", {"replicas": 1}).update("c", {"replicas": 1}, subresource="status", status={"phase": "P"})
    )
    with pytest.raises(ConflictError) as raised:
        world.apply("a", {"replicas": 1}, status={"phase": "Q"})
    assert raised.value.causes[0].message == 'conflict with "c" with subresource "status" using example.com/v1'


def test_what_is_reset_is_neither_merged_nor_owned_nor_in_conflict():
    world = World().apply("c", subresource="status", status={"phase": "P"})
    world.apply("a", {"replicas": 1}, status={"phase": "Q"}, reset=("status",))
    assert world.live["status"] == {"phase": "P"}
    assert world.owned("a") == {".spec.replicas"}


def test_what_is_reset_must_fit_the_schema_all_the_same():
    with pytest.raises(BadRequestError):
        World().apply("a", {"replicas": 1}, status={"phase": 5}, reset=("status",))


def test_force_takes_the_field_and_leaves_the_others_theirs():
    world = World().update("u", {"replicas": 1, "image": "i"}).apply("a", {"replicas": 2}, force=True)
    assert world.spec == {"replicas": 2, "image": "i"}
    assert world.owned("a") == {".spec.replicas"}
    assert world.owned("u") == {".spec", ".spec.image"}
    assert world.time("u") == "2026-01-01T00:01:00Z"


def test_a_manager_that_loses_all_its_fields_loses_its_entry():
    world = World().apply("b", {"replicas": 1}).apply("a", {"replicas": 2}, force=True)
    assert world.owners() == {"a"}


def test_applying_the_live_value_is_no_conflict():
    world = World().update("u", {"replicas": 1}).apply("a", {"replicas": 1})
    assert ".spec.replicas" in world.owned("a") & world.owned("u")


def test_an_update_by_the_same_name_is_another_manager():
    world = World().update("a", {"replicas": 1})
    with pytest.raises(ConflictError):
        world.apply("a", {"replicas": 2})


@pytest.mark.parametrize(
    ("live", "applied", "field"),
    [
        ({"args": ["a"]}, {"args": ["b"]}, ".spec.args"),
        ({"selector": {"a": "1"}}, {"selector": {"b": "1"}}, ".spec.selector"),
        ({"free": {"a": "1"}}, {"free": {"a": "2"}}, ".spec.free.a"),
        ({"freeObjects": {"k": {"a": "1"}}}, {"freeObjects": {"k": {"a": "2"}}}, ".spec.freeObjects.k.a"),
        (
            {"items": [{"name": "n", "value": "1"}]},
            {"items": [{"name": "n", "value": "2"}]},
            '.spec.items[name="n"].value',
        ),
        ({"raw": {"x": {"y": 1}}}, {"raw": {"x": {"y": True}}}, ".spec.raw.x.y"),
        ({"raw": {"l": [1]}}, {"raw": {"l": [2]}}, ".spec.raw.l"),
        ({"amount": 1}, {"amount": "1"}, ".spec.amount"),
        ({"any": {"a": 1}}, {"any": {"a": 2}}, ".spec.any.a"),
        (
            {"template": {"metadata": {"labels": {"a": "1"}}}},
            {"template": {"metadata": {"labels": {"a": "2"}}}},
            ".spec.template.metadata.labels.a",
        ),
    ],
)
def test_what_conflicts_is_what_the_schema_makes_one_value(live, applied, field):
    world = World().apply("b", live)
    with pytest.raises(ConflictError) as raised:
        world.apply("a", applied)
    assert [cause.field for cause in raised.value.causes] == [field]


@pytest.mark.parametrize(
    ("live", "applied", "merged"),
    [
        ({"set": ["a"]}, {"set": ["b"]}, {"set": ["a", "b"]}),
        ({"numbers": [1]}, {"numbers": [2, 1]}, {"numbers": [2, 1]}),
        ({"free": {"a": "1"}}, {"free": {"b": "1"}}, {"free": {"a": "1", "b": "1"}}),
        ({"nested": {"a": "1"}}, {"nested": {"b": "1"}}, {"nested": {"a": "1", "b": "1"}}),
        ({"raw": {"x": {"y": 1}}}, {"raw": {"x": {"z": 1}}}, {"raw": {"x": {"y": 1, "z": 1}}}),
    ],
)
def test_what_the_schema_makes_several_values_does_not_conflict(live, applied, merged):
    assert World().apply("b", live).apply("a", applied).spec == merged


# Lists and maps


def test_a_key_with_a_default_is_the_same_item_with_or_without_it():
    world = World().apply("a", {"ports": [{"port": 80, "name": "x"}]})
    assert '.spec.ports[port=80,protocol="TCP"].name' in world.owned("a")
    with pytest.raises(ConflictError) as raised:
        world.apply("b", {"ports": [{"port": 80, "protocol": "TCP", "name": "y"}]})
    assert raised.value.causes[0].field == '.spec.ports[port=80,protocol="TCP"].name'


def test_sets_of_several_managers_add_up_and_each_takes_only_its_own_away():
    world = World().apply("a", {"set": ["x", "y"]}).apply("b", {"set": ["y", "z"]})
    assert sorted(world.spec["set"]) == ["x", "y", "z"]
    world.apply("a", {"set": []})
    assert sorted(world.spec["set"]) == ["y", "z"]
    assert world.owned("b") == {'.spec.set[="y"]', '.spec.set[="z"]'}


def test_items_of_several_managers_merge_by_key():
    world = World().apply("a", {"items": [{"name": "n", "value": "1"}]})
    world.apply("b", {"items": [{"name": "n", "other": "2"}, {"name": "m"}]})
    assert world.spec["items"] == [{"name": "n", "value": "1", "other": "2"}, {"name": "m"}]
    world.apply("a", {"items": []})
    assert world.spec["items"] == [{"name": "n", "other": "2"}, {"name": "m"}]
    world.apply("b", {"items": [{"name": "m"}]})
    assert world.spec["items"] == [{"name": "m"}]


def test_an_item_that_an_update_put_there_outlives_what_an_applier_adds_to_it():
    world = World().update("u", {"items": [{"name": "n", "value": "1"}]})
    world.apply("a", {"items": [{"name": "n", "other": "2"}]}).apply("a")
    assert world.spec["items"] == [{"name": "n", "value": "1"}]


def test_an_item_that_stays_keeps_its_keys():
    world = World().apply("a", {"ports": [{"port": 80, "protocol": "TCP", "name": "x"}]})
    assert world.apply("a", {"ports": [{"port": 80}]}).spec["ports"] == [{"port": 80, "protocol": "TCP"}]


def test_an_atomic_list_is_replaced_whole():
    world = World().apply("a", {"args": ["x", "y"]}).apply("a", {"args": ["z"]})
    assert world.spec["args"] == ["z"]


def test_an_atomic_map_is_replaced_whole():
    world = World().apply("a", {"selector": {"x": "1"}}).apply("a", {"selector": {"y": "1"}})
    assert world.spec["selector"] == {"y": "1"}


def test_maps_of_several_managers_add_up():
    world = World().apply("a", {"free": {"x": "1"}}).apply("b", {"free": {"y": "2"}})
    world.apply("a")
    assert world.spec == {"free": {"y": "2"}}


def test_nested_objects_go_when_nobody_owns_anything_in_them():
    world = World().apply("a", {"nested": {"a": "1", "inner": {"c": "1"}}}).apply("b", {"nested": {"b": "1"}})
    world.apply("a")
    assert world.spec == {"nested": {"b": "1"}}
    world.apply("b", {"replicas": 1})
    assert world.spec == {"replicas": 1}


def test_an_object_or_list_that_loses_all_that_was_in_it_is_null_for_the_schema_to_judge():
    """structured-merge-diff, typed/remove.go: an emptied map or list has no value left."""
    world = World().update("u", {"nested": {}}).apply("a", {"nested": {"a": "1"}}).apply("a")
    assert world.spec == {"nested": None}
    world = (
        World().update("u", {"items": [], "set": []}).apply("a", {"items": [{"name": "n"}], "set": ["s"]}).apply("a")
    )
    assert world.spec == {"items": None, "set": None}
    assert World().apply("a", {"free": {"x": "1"}}).apply("a", {"free": {}}).spec == {"free": None}
    assert World().apply("a", {"free": {}}).apply("a", {"free": {}}).spec == {"free": {}}


def test_labels_that_are_all_gone_are_none():
    world = World().apply("a", metadata={"labels": {"x": "1"}}).apply("a", metadata={"labels": {}})
    assert "labels" not in world.live["metadata"]


@pytest.mark.parametrize(
    ("live", "applied", "expected"),
    [
        ("abc", "cxa", "bcxa"),
        ("bc", "xc", "bxc"),
        ("abcde", "ec", "abdec"),
        ("abc", "", "abc"),
        ("abc", "d", "abcd"),
        ("abc", "cba", "cba"),
        ("acbd", "abz", "acbdz"),
    ],
)
def test_a_merged_list_follows_the_applied_order_around_the_items_of_others(live, applied, expected):
    world = World().update("u", {"set": list(live)}).apply("a", {"set": list(applied), "flag": True})
    assert "".join(world.spec["set"]) == expected


def test_duplicates_that_are_live_are_left_alone_until_the_item_is_applied():
    world = World().update("u", {"items": [{"name": "n", "value": "1"}, {"name": "n", "value": "2"}, {"name": "m"}]})
    world.apply("a", {"items": [{"name": "m", "other": "x"}]})
    assert len(world.spec["items"]) == 3
    world.apply("a", {"items": [{"name": "n", "value": "3"}]}, force=True)
    assert [item for item in world.spec["items"] if item["name"] == "n"] == [{"name": "n", "value": "3"}]


def test_an_explicit_null_keeps_an_object_and_owns_the_field():
    world = World().update("u", {"free": {"a": "1"}}).apply("a", {"free": None})
    assert world.spec == {"free": {"a": "1"}}
    assert world.owned("a") == {".spec.free"}


def test_without_a_schema_objects_merge_and_lists_are_single_values():
    world = World(schema=None).apply("a", {"m": {"x": 1}, "l": [1]}).apply("b", {"m": {"y": [{"z": 1}]}})
    assert world.spec == {"m": {"x": 1, "y": [{"z": 1}]}, "l": [1]}
    assert world.owned("b") == {".spec", ".spec.m", ".spec.m.y"}
    with pytest.raises(ConflictError) as raised:
        world.apply("b", {"l": [2]})
    assert raised.value.causes[0].field == ".spec.l"


def test_metadata_has_its_own_schema_whatever_the_type_says():
    world = World(schema=None).apply("a", metadata={"finalizers": ["x"], "ownerReferences": [owner("1")]})
    world.apply("b", metadata={"finalizers": ["y"], "ownerReferences": [owner("2")]})
    assert world.live["metadata"]["finalizers"] == ["x", "y"]
    world.apply("a")
    assert world.live["metadata"]["finalizers"] == ["y"]
    assert [reference["uid"] for reference in world.live["metadata"]["ownerReferences"]] == ["2"]
    assert world.owned("b") == {'.metadata.finalizers[="y"]', '.metadata.ownerReferences[uid="2"]'}


def owner(uid):
    return {"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": uid}


def test_a_merge_key_stands_for_a_list_type_that_a_type_does_not_name():
    items = {**SCHEMA["properties"]["spec"]["properties"]["items"]}
    del items["x-kubernetes-list-type"], items["x-kubernetes-list-map-keys"]
    items |= {"x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": "name"}
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"items": items}}}}
    world = World(schema=schema).apply("a", {"items": [{"name": "n"}]}).apply("b", {"items": [{"name": "m"}]})
    assert [item["name"] for item in world.spec["items"]] == ["n", "m"]


# Subresources, versions, schema changes, objects from before


def test_entries_of_subresources_are_separate():
    world = World().apply("a", {"replicas": 1}).apply("a", subresource="status", status={"phase": "P"})
    assert [entry.get("subresource") for entry in world.entries] == [None, "status"]
    assert world.live["spec"] == {"replicas": 1}


def test_an_applier_that_moves_to_another_version_keeps_its_one_entry():
    world = World().apply("a", {"replicas": 1, "image": "i"})
    world.version = world.live["apiVersion"] = "example.com/v2"
    world.apply("a", {"image": "i"})
    assert world.spec == {"image": "i"}
    assert [entry["apiVersion"] for entry in world.entries] == ["example.com/v2"]


def test_what_became_atomic_is_owned_as_a_whole():
    world = World().apply("a", {"free": {"x": "1"}}).apply("b", {"free": {"y": "1"}})
    world.schema = copy(SCHEMA)
    world.schema["properties"]["spec"]["properties"]["free"]["x-kubernetes-map-type"] = "atomic"
    with pytest.raises(ConflictError) as raised:
        world.apply("a", {"free": {"z": "1"}})
    assert conflicts(raised) == {('conflict with "b"', ".spec.free")}
    world.apply("a", {"free": {"z": "1"}}, force=True)
    assert world.spec == {"free": {"z": "1"}}
    assert world.owners() == {"a"}


def test_what_was_there_before_the_first_apply_has_an_owner():
    world = World()
    world.live = thing({"replicas": 1, "image": "i"})
    with pytest.raises(ConflictError) as raised:
        world.apply("a", {"replicas": 2})
    assert conflicts(raised) == {('conflict with "before-first-apply" using example.com/v1', ".spec.replicas")}
    world.apply("a", {"replicas": 2}, force=True)
    assert world.owned("before-first-apply") == {".spec", ".spec.image"}


# Taking over from client-side apply


def client_side_applied(**spec):
    last = orjson.dumps(thing(spec)).decode()
    metadata = {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": last}}
    return World().update("kubectl-client-side-apply", spec, metadata=metadata)


def test_kubectl_takes_over_what_it_applied_client_side_without_a_conflict():
    world = client_side_applied(replicas=1, image="i").apply("kubectl", {"replicas": 2, "image": "i"})
    assert world.spec["replicas"] == 2
    assert {".spec.replicas", ".spec.image"} <= world.owned("kubectl", "Apply")
    assert ".spec.replicas" not in world.owned("kubectl-client-side-apply")


def test_kubectl_still_conflicts_over_what_others_changed_since():
    world = client_side_applied(replicas=1, image="i")
    world.update("scaler", obj={**world.live, "spec": {"replicas": 5, "image": "i"}})
    with pytest.raises(ConflictError) as raised:
        world.apply("kubectl", {"replicas": 2, "image": "j"})
    assert conflicts(raised) == {('conflict with "scaler" using example.com/v1', ".spec.replicas")}


def test_other_managers_do_not_take_over():
    with pytest.raises(ConflictError):
        client_side_applied(replicas=1).apply("a", {"replicas": 2})


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"apiVersion":"other/v1"}', '{"apiVersion":"example.com/v1","spec":1}']
)
def test_an_unusable_annotation_allows_nothing(text):
    world = World().update(
        "u", {"replicas": 1}, metadata={"annotations": {"kubectl.kubernetes.io/last-applied-configuration": text}}
    )
    with pytest.raises(ConflictError):
        world.apply("kubectl", {"replicas": 2})


def test_the_annotation_follows_what_kubectl_applies():
    world = client_side_applied(replicas=1).apply("kubectl", {"replicas": 2})
    annotations = world.live["metadata"]["annotations"]
    assert orjson.loads(annotations["kubectl.kubernetes.io/last-applied-configuration"]) == thing({"replicas": 2})
    world.apply("a", {"flag": True})
    assert world.live["metadata"]["annotations"] == annotations


# What is refused


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"unknown": 1}, ".spec.unknown: field not declared in schema"),
        ({"replicas": "x"}, '.spec.replicas: expected numeric (int or float), got "x"'),
        ({"replicas": True}, ".spec.replicas: expected numeric (int or float), got true"),
        ({"image": 1}, ".spec.image: expected string, got 1"),
        ({"flag": "x"}, '.spec.flag: expected boolean, got "x"'),
        ({"nested": []}, ".spec.nested: expected map, got []"),
        ({"set": {}}, ".spec.set: expected list, got {}"),
        ({"amount": {}}, ".spec.amount: expected any scalar, got {}"),
        ({"set": ["a", "a"]}, '.spec.set: duplicate entries for key [="a"]'),
        ({"items": [{"name": "n"}, {"name": "n"}]}, '.spec.items: duplicate entries for key [name="n"]'),
        (
            {"items": [{"value": "1"}]},
            (
                '.spec.items: element 0: associative list with keys has an element that omits all key fields ["name"] '
                "(and doesn't have default values for any key fields)"
            ),
        ),
        ({"items": ["x"]}, ".spec.items: element 0: associative list with keys may not have non-map elements"),
        ({"items": [None]}, ".spec.items: element 0: associative list with keys may not have a null element"),
        ({"set": [None]}, ".spec.set: element 0: associative list without keys has an element that's an explicit null"),
        ({"set": [{}]}, ".spec.set: element 0: associative list without keys has an element that's a map type"),
        ({"items": [{"name": "n", "value": 1}]}, '.spec.items[name="n"].value: expected string, got 1'),
        ({"args": ["a", 1]}, ".spec.args[1]: expected string, got 1"),
        (
            {"image": 1, "flag": 1},
            "errors:\n  .spec.image: expected string, got 1\n  .spec.flag: expected boolean, got 1",
        ),
    ],
)
def test_a_configuration_that_does_not_fit_the_schema_is_400(spec, message):
    with pytest.raises(BadRequestError) as raised:
        World().apply("a", spec, metadata={"namespace": "n"})
    assert raised.value.message == (f"failed to create typed patch object (n/x; example.com/v1, Kind=Thing): {message}")


def test_a_configuration_of_another_type_is_400():
    live = thing({"replicas": 1})
    for applied in ({**thing(), "kind": "Other"}, {**thing(), "apiVersion": "example.com/v2"}, {"metadata": {}}):
        with pytest.raises(BadRequestError) as raised:
            apply(live, applied, manager="a", schema=SCHEMA, api_version=VERSION, force=False, now="t")
        assert raised.value.message.startswith("invalid object type: ")


def test_a_configuration_with_managed_fields_is_400():
    with pytest.raises(BadRequestError) as raised:
        World().apply("a", metadata={"managedFields": []})
    assert raised.value.message == "metadata.managedFields must be nil"


def test_a_configuration_that_is_nested_beyond_measure_is_400():
    deep = {}
    for _ in range(600):
        deep = {"a": deep}
    with pytest.raises(BadRequestError):
        apply(None, thing({"raw": deep}), manager="a", schema=SCHEMA, api_version=VERSION, force=False, now="t")
