import pytest
from apply_world import SCHEMA, VERSION, World, thing

from kcpcache.meta.errors import BadRequestError
from kcpcache.meta.managed_fields import update
from kcpcache.meta.objects import copy


def entry(manager, fields, **rest):
    return {
        "manager": manager,
        "operation": "Update",
        "apiVersion": VERSION,
        "time": "2025-01-01T00:00:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
        **rest,
    }


def test_a_creator_owns_every_field_and_every_object_around_them():
    world = World().update(
        "u",
        {"replicas": 1, "free": {"k": "v"}, "args": ["a"], "items": [{"name": "n", "value": "v"}], "set": ["s"]},
        metadata={"labels": {"l": "1"}, "finalizers": ["f"], "uid": "u", "generation": 1},
    )
    assert world.entries == [
        {
            "manager": "u",
            "operation": "Update",
            "apiVersion": VERSION,
            "time": "2026-01-01T00:01:00Z",
            "fieldsType": "FieldsV1",
            "fieldsV1": {
                "f:metadata": {"f:labels": {".": {}, "f:l": {}}, "f:finalizers": {".": {}, 'v:"f"': {}}},
                "f:spec": {
                    ".": {},
                    "f:replicas": {},
                    "f:free": {".": {}, "f:k": {}},
                    "f:args": {},
                    "f:items": {".": {}, 'k:{"name":"n"}': {".": {}, "f:name": {}, "f:value": {}}},
                    "f:set": {".": {}, 'v:"s"': {}},
                },
            },
        }
    ]


def test_objects_that_are_always_there_are_nobodys_and_what_is_in_them_is_its_writers():
    new = thing({"replicas": 1, "nested": {"a": "x"}})
    always = {"spec": {"nested": {}, "selector": {}}, "status": {}}
    update(None, new, manager="u", schema=SCHEMA, api_version=VERSION, now="2026-01-01T00:00:00Z", always=always)
    (made,) = new["metadata"]["managedFields"]
    assert made["fieldsV1"] == {"f:spec": {"f:nested": {"f:a": {}}, "f:replicas": {}}}
    assert new["spec"] == {"replicas": 1, "nested": {"a": "x"}}


def test_a_writer_without_a_name_is_unknown():
    assert World().update("", {"replicas": 1}).owners() == {"unknown"}


def test_the_cluster_annotation_is_nobodys():
    world = World().update("u", metadata={"annotations": {"kcp.io/cluster": "c"}})
    assert world.entries == []
    world.update("v", metadata={"annotations": {"kcp.io/cluster": "d", "mine": "1"}})
    assert world.entries == []  # nothing is tracked where nothing was at creation


def test_who_changes_a_field_takes_it_and_only_it():
    world = World().update("u", {"replicas": 1, "image": "i"}).update("v", {"replicas": 2, "image": "i"})
    assert world.owned("u") == {".spec", ".spec.image"}
    assert world.owned("v") == {".spec.replicas"}
    assert (world.time("u"), world.time("v")) == ("2026-01-01T00:01:00Z", "2026-01-01T00:02:00Z")


def test_an_update_takes_a_field_from_an_applier_too():
    world = World().apply("a", {"replicas": 1, "image": "i"}).update("u", {"replicas": 2, "image": "i"})
    assert world.owned("a") == {".spec.image"}
    assert world.owned("u") == {".spec.replicas"}


def test_a_write_that_changes_nothing_leaves_the_entries_as_they_are():
    world = World().update("u", {"replicas": 1})
    before = world.entries
    assert world.update("v", {"replicas": 1}, metadata={"resourceVersion": "7", "generation": 9}).entries == before


def test_the_same_manager_adds_to_its_entry_and_its_time_moves():
    world = World().update("u", {"replicas": 1}).update("u", {"replicas": 1, "image": "i"})
    assert len(world.entries) == 1
    assert world.owned("u") == {".spec", ".spec.replicas", ".spec.image"}
    assert world.time("u") == "2026-01-01T00:02:00Z"
    assert world.update("u", {"replicas": 2, "image": "i"}).time("u") == "2026-01-01T00:03:00Z"


def test_a_removed_field_is_nobodys_any_more_and_no_time_moves():
    world = World().update("u", {"replicas": 1, "image": "i"}).update("v", {"replicas": 1})
    assert world.owned("u") == {".spec", ".spec.replicas"}
    assert world.owners() == {"u"}
    assert world.time("u") == "2026-01-01T00:01:00Z"


def test_an_entry_that_owns_nothing_any_more_goes():
    world = World().apply("a", {"image": "i"}).update("u", {"image": "j"})
    assert world.owners() == {"u"}


def test_a_removed_object_takes_what_was_owned_in_it_along():
    world = World().apply("a", {"nested": {"a": "1"}, "image": "i"}).update("u", {"image": "i"})
    assert world.owned("a") == {".spec.image"}


@pytest.mark.parametrize(
    ("old", "new", "taken"),
    [
        ({"args": ["a"]}, {"args": ["a", "b"]}, {".spec.args"}),
        ({"selector": {"a": "1"}}, {"selector": {"a": "2"}}, {".spec.selector"}),
        ({"set": ["a"]}, {"set": ["a", "b"]}, {'.spec.set[="b"]'}),
        ({"set": ["a", "b"]}, {"set": ["b", "a"]}, set()),
        ({"items": [{"name": "n"}]}, {"items": [{"name": "n", "value": "1"}]}, {'.spec.items[name="n"].value'}),
        (
            {"items": [{"name": "n"}]},
            {"items": [{"name": "n"}, {"name": "m"}]},
            {'.spec.items[name="m"]', '.spec.items[name="m"].name'},
        ),
        ({"items": [{"name": "n"}]}, {"items": [{"name": "n"}, {"name": "n"}]}, {'.spec.items[name="n"]'}),
        ({"items": [{"name": "n"}]}, {"items": [{"value": "keyless"}]}, {".spec.items"}),
        ({"numbers": [1]}, {"numbers": [1, 2]}, {".spec.numbers[=2]"}),
        ({"free": {}}, {"free": {"a": "1"}}, {".spec.free.a"}),
        ({"free": None}, {"free": {"a": "1"}}, {".spec.free.a"}),
        ({"free": None}, {"free": {}}, {".spec.free"}),
        ({"free": {"a": "1"}}, {"free": {}}, set()),
        ({"image": "i"}, {"image": None}, {".spec.image"}),
        ({"raw": {"a": 1}}, {"raw": {"a": True}}, {".spec.raw.a"}),
        ({"raw": {"a": 1}}, {"raw": {"a": {"b": 1}}}, {".spec.raw.a", ".spec.raw.a.b"}),
        ({"raw": {"a": {"b": 1}}}, {"raw": {"a": 1}}, {".spec.raw.a"}),
        ({"raw": {"a": {"b": 1}}}, {"raw": {"a": [1]}}, {".spec.raw.a"}),
        ({"raw": {"a": [1]}}, {"raw": {"a": {"b": 1}}}, {".spec.raw.a", ".spec.raw.a.b"}),
        ({"amount": 1}, {"amount": "1"}, {".spec.amount"}),
    ],
)
def test_what_is_taken_is_what_changed_in_the_terms_of_the_schema(old, new, taken):
    assert World().update("u", old).update("v", new).owned("v") == taken


def test_what_stood_below_a_value_that_became_another_kind_is_nobodys():
    world = World().update("u", {"raw": {"a": {"b": 1}}}).update("v", {"raw": {"a": [1]}})
    assert world.owned("u") == {".spec", ".spec.raw"}


def test_entries_are_separate_by_subresource_and_version():
    world = World().update("u", {"replicas": 1})
    world.update("u", {"replicas": 1}, subresource="status", status={"phase": "P"})
    world.version = "example.com/v2"
    world.update("u", {"replicas": 2}, status={"phase": "P"})
    assert [(each["apiVersion"], each.get("subresource")) for each in world.entries] == [
        ("example.com/v1", None),
        ("example.com/v1", "status"),
        ("example.com/v2", None),
    ]


def test_entries_stand_by_operation_time_and_manager():
    world = World().update("z", {"replicas": 1}).update("y", {"replicas": 1, "image": "i"})
    world.apply("x", {"flag": True}).apply("w", {"free": {"a": "1"}})
    assert [(each["operation"], each["manager"]) for each in world.entries] == [
        ("Apply", "x"),
        ("Apply", "w"),
        ("Update", "z"),
        ("Update", "y"),
    ]


# More than ten


def test_the_oldest_of_more_than_ten_updaters_become_ancient_changes():
    world = World()
    for index in range(12):
        world.update(f"u{index:02}", {"free": {f"k{at}": "v" for at in range(index + 1)}})
    assert len(world.entries) == 10
    assert world.entries[0]["manager"] == "ancient-changes"
    assert {".spec.free.k0", ".spec.free.k1", ".spec.free.k2"} <= world.owned("ancient-changes")
    assert ".spec.free.k3" not in world.owned("ancient-changes")
    assert world.time("ancient-changes") == "2026-01-01T00:03:00Z"


def test_appliers_do_not_count_towards_the_ten():
    world = World()
    for index in range(15):
        world.apply(f"a{index:02}", {"free": {f"k{index}": "v"}})
    assert len(world.entries) == 15


def test_ancient_changes_that_a_client_made_young_still_take_the_oldest_up():
    sent = [entry(f"u{index:02}", {"f:spec": {f"f:x{index}": {}}}) for index in range(10)]
    sent.append(entry("ancient-changes", {"f:spec": {"f:old": {}}}, time="2027-01-01T00:00:00Z"))
    world = World().update("u", {"image": "i"}, metadata={"managedFields": sent})
    assert len(world.entries) == 10
    assert {".spec.old", ".spec.x0", ".spec.x1"} <= world.owned("ancient-changes")
    everything = {path for each in world.entries for path in world.owned(each["manager"])}
    assert everything == {".spec", ".spec.image", ".spec.old", *(f".spec.x{index}" for index in range(10))}


def test_ancient_changes_are_kept_by_version():
    world = World()
    for index in range(14):
        world.version = f"example.com/v{index % 2}"
        world.update(f"u{index:02}", {"free": {f"k{at}": "v" for at in range(index + 1)}})
    ancient = [each["apiVersion"] for each in world.entries if each["manager"] == "ancient-changes"]
    assert sorted(ancient) == ["example.com/v0", "example.com/v1"]
    assert len(world.entries) == 10


# What the client sends


def test_a_client_that_sends_no_managed_fields_keeps_those_of_the_object():
    world = World().update("u", {"replicas": 1})
    for sent in ({}, {"managedFields": None}):
        world.update("v", {"replicas": 1}, metadata=sent)
        assert world.owners() == {"u"}


def test_a_client_may_rewrite_managed_fields():
    world = World().update("u", {"replicas": 1, "image": "i"})
    sent = [entry("w", {"f:spec": {"f:image": {}}}, operation="Apply")]
    world.update("u", {"replicas": 2, "image": "i"}, metadata={"managedFields": sent})
    assert world.owned("w", "Apply") == {".spec.image"}
    assert world.owned("u") == {".spec.replicas"}


def test_a_creator_may_bring_managed_fields_along():
    sent = [entry("w", {"f:spec": {"f:image": {}}})]
    world = World().update("u", {"image": "i"}, metadata={"managedFields": sent})
    assert world.owners() == {"u"}  # what is written now is the creator's
    world = World().update("u", {"image": "i"}, metadata={"managedFields": [entry("u", {"f:spec": {"f:image": {}}})]})
    assert len(world.entries) == 1


@pytest.mark.parametrize("sent", [[], [{}], [{"fieldsV1": None}], [{"manager": "", "time": None, "other": 1}]])
def test_an_empty_list_forgets_all_ownership_until_the_next_apply(sent):
    world = World().update("u", {"replicas": 1}).update("v", {"replicas": 2}, metadata={"managedFields": sent})
    assert "managedFields" not in world.live["metadata"]
    world.update("v", {"replicas": 3})
    assert world.entries == []
    world.apply("a", {"image": "i"})
    assert world.owners() == {"a", "before-first-apply"}


@pytest.mark.parametrize(
    "sent",
    [
        "x",
        [1],
        [{}, {}],
        [entry("w", {"spec": {}})],
        [entry("w", {"f:spec": {}}, operation="Delete")],
        [entry("w", {"f:spec": {}}, apiVersion="")],
        [entry("w", {"f:spec": {}}, fieldsType="FieldsV2")],
        [entry("w", {"f:spec": {}}, time="yesterday")],
        [entry(1, {"f:spec": {}})],
        [entry("w", {"f:spec": 1})],
        [entry("w", [])],
        [entry("w", "x")],
        [entry("w", {}), {}],
    ],
)
def test_managed_fields_that_make_no_sense_are_ignored(sent):
    world = World().update("u", {"replicas": 1})
    before = world.entries
    assert world.update("u", {"replicas": 1}, metadata={"managedFields": sent}).entries == before


@pytest.mark.parametrize("fields", [{}, None])
def test_entries_that_own_nothing_take_the_place_of_those_there_are_and_go(fields):
    """decodeLiveOrNew counts entries, not fields; merge.Updater removes the empty ones."""
    world = World().update("u", {"replicas": 1, "image": "i"})
    world.update("v", {"replicas": 2, "image": "i"}, metadata={"managedFields": [entry("w", fields)]})
    assert (world.owners(), world.owned("v")) == ({"v"}, {".spec.replicas"})
    world.update("v", {"replicas": 2, "image": "i"}, metadata={"managedFields": [entry("w", fields)]})
    assert world.entries == []


def test_a_null_within_fields_is_an_owned_field():
    world = World().update("u", {"replicas": 1})
    world.update("u", {"replicas": 1}, metadata={"managedFields": [entry("w", {"f:spec": {"f:replicas": None}})]})
    assert world.owned("w") == {".spec.replicas"}


@pytest.mark.parametrize(("typed", "owners"), [(True, {"w", "v"}), (False, set())])
def test_entries_of_a_version_that_there_is_not_go_or_take_all_ownership_along(typed, owners):
    """Kubernetes' scheme knows what it does not know; a CRD's converter has only an error for it."""
    old = World().update("u", {"replicas": 1}).live
    sent = [entry("w", {"f:spec": {"f:image": {}}}), entry("x", {"f:spec": {}}, apiVersion="example.com/v9")]
    new = thing({"replicas": 2}, metadata={"managedFields": sent})
    known = {"has_version": VERSION.__eq__, "typed": typed}
    update(old, new, manager="v", schema=SCHEMA, api_version=VERSION, now="2026-01-01T00:00:00Z", **known)
    assert {each["manager"] for each in new["metadata"].get("managedFields", [])} == owners


def test_a_subresource_cannot_rewrite_managed_fields():
    world = World().update("u", {"replicas": 1})
    sent = [entry("w", {"f:spec": {"f:replicas": {}}})]
    world.update("s", {"replicas": 1}, subresource="status", metadata={"managedFields": sent}, status={"ready": 1})
    assert world.owners() == {"u", "s"}
    world.update("s", {"replicas": 1}, subresource="status", metadata={"managedFields": []}, status={"ready": 2})
    assert world.owners() == {"u", "s"}


def test_entries_spelled_differently_are_the_same():
    world = World().update("u", {"ports": [{"port": 80, "name": "x"}]})
    sent = copy(world.entries)
    fields = sent[0]["fieldsV1"]["f:spec"]["f:ports"]
    fields['k:{"protocol": "TCP", "port": 80}'] = fields.pop('k:{"port":80,"protocol":"TCP"}')
    before = world.entries
    assert world.update("v", {"ports": [{"port": 80, "name": "x"}]}, metadata={"managedFields": sent}).entries == before


# Odd objects


@pytest.mark.parametrize("new", [{}, {"metadata": None}, {"metadata": []}, {"metadata": "x"}])
def test_an_object_without_metadata_is_left_alone(new):
    before = copy(new)
    update(None, new, manager="u", schema=SCHEMA, api_version=VERSION, now="t")
    assert new == before


def test_values_that_do_not_fit_the_schema_are_owned_as_they_are():
    spec = {"replicas": {"a": 1}, "set": "x", "items": [1], "nested": ["x"], "free": 1, "unknown": {"a": [1]}}
    world = World().update("u", spec)
    assert {".spec.set", ".spec.items", ".spec.nested", ".spec.free", ".spec.unknown.a"} <= world.owned("u")


def test_nesting_beyond_measure_is_400():
    deep = {}
    for _ in range(3000):
        deep = {"a": deep}
    with pytest.raises(BadRequestError):
        update(None, thing({"raw": deep}), manager="u", schema=SCHEMA, api_version=VERSION, now="t")
