import contextlib

from apply_world import SCHEMA, VERSION, World, thing
from hypothesis import given
from hypothesis import strategies as st

from kcpcache.meta.errors import ConflictError, StatusError
from kcpcache.meta.managed_fields import apply, update
from kcpcache.meta.managed_fields.fields_v1 import parse
from kcpcache.meta.objects import copy

texts = st.sampled_from(["", "1", "2"])


def optional(**fields):
    return st.fixed_dictionaries({}, optional=fields)


def named(item):
    return st.lists(item, max_size=3, unique_by=lambda each: each["name"])


specs = optional(
    replicas=st.integers(0, 2),
    image=texts,
    nested=optional(a=texts, b=texts, inner=optional(c=texts)),
    free=st.dictionaries(st.sampled_from("xy"), texts, max_size=2),
    freeObjects=st.dictionaries(st.sampled_from("xy"), optional(a=texts, b=texts), max_size=2),
    selector=st.dictionaries(st.sampled_from("xy"), texts, max_size=2),
    args=st.lists(texts, max_size=2),
    set=st.lists(st.sampled_from("abc"), unique=True, max_size=3),
    items=named(
        st.fixed_dictionaries(
            {"name": st.sampled_from("nm")},
            optional={"value": texts, "set": st.lists(st.sampled_from("ab"), unique=True, max_size=2)},
        )
    ),
    raw=st.dictionaries(
        st.sampled_from("xy"), st.recursive(texts, lambda v: st.dictionaries(st.just("k"), v)), max_size=2
    ),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda values: (
        st.lists(values, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "value", "set", "x", "port", ""]), values, max_size=3)
    ),
    max_leaves=8,
)
metadata = st.dictionaries(
    st.sampled_from(["name", "labels", "annotations", "finalizers", "ownerReferences", "managedFields"]),
    json_values,
    max_size=3,
)
odd_objects = st.fixed_dictionaries(
    {},
    optional={
        "apiVersion": st.just(VERSION) | json_values,
        "kind": st.just("Thing") | json_values,
        "metadata": metadata | json_values,
        "spec": st.dictionaries(
            st.sampled_from(list(SCHEMA["properties"]["spec"]["properties"])), json_values, max_size=4
        )
        | json_values,
    },
)
schemas = st.sampled_from([SCHEMA, None])


@given(specs, specs, schemas)
def test_applying_twice_is_applying_once(first, second, schema):
    world = World(schema).apply("b", first).apply("a", second, force=True)
    once = copy(world.live)
    assert world.apply("a", second).live == once


@given(specs, specs)
def test_what_is_applied_is_in_the_object(first, second):
    world = World().apply("b", first).apply("a", second, force=True)
    for name, value in second.items():
        if not isinstance(value, dict | list) or name in {"args", "selector"}:
            assert world.spec[name] == value
    assert set(second.get("set", [])) <= set((world.spec or {}).get("set", []))
    assert second.get("free", {}).items() <= (world.spec or {}).get("free", {}).items()


@given(specs)
def test_what_only_one_manager_applied_is_gone_when_it_gives_it_up(spec):
    owning = {name: value for name, value in spec.items() if value or name not in {"set", "items"}}
    assert World().apply("a", owning).apply("a").live == thing()


@given(specs, specs)
def test_a_manager_that_comes_and_goes_leaves_others_what_they_apply(first, second):
    world = World().apply("b", first)
    before = world.owned("b")
    with contextlib.suppress(ConflictError):
        world.apply("a", second)
        world.apply("a")
        assert world.owned("b") == before
        assert world.apply("b", first).owned("b") == before


@given(specs, specs)
def test_without_force_nobody_loses_a_field_that_is_still_there(first, second):
    world = World().apply("b", first)
    before = world.owned("b")
    with contextlib.suppress(ConflictError):
        assert world.apply("a", second).owned("b") == before


@given(st.lists(st.tuples(st.sampled_from("uvw"), st.booleans(), specs), min_size=1, max_size=5), schemas)
def test_managed_fields_survive_the_round_trip_through_a_client(writes, schema):
    world = World(schema).update("creator", {"replicas": 0})
    for manager, applies, spec in writes:
        world.apply(manager, spec, force=True) if applies else world.update(manager, spec)
        for entry in world.entries:
            assert parse(entry["fieldsV1"]) == entry["fieldsV1"] != {}
    before = copy(world.live)
    assert world.update("x", obj=world.live).live == before


@given(specs, specs)
def test_every_field_of_an_updated_object_has_an_owner(first, second):
    world = World().update("u", first).update("v", second)
    everything = World().update("w", second).owned("w")
    assert world.owned("u") | world.owned("v") == everything


@given(odd_objects, odd_objects, odd_objects, schemas)
def test_whatever_comes_in_only_status_errors_come_out(first, second, applied, schema):
    with contextlib.suppress(StatusError):
        update(None, first, manager="u", schema=schema, api_version=VERSION, now="2026-01-01T00:00:00Z")
        update(first, second, manager="v", schema=schema, api_version=VERSION, now="2026-01-01T00:00:01Z")
    live = second if isinstance(second.get("metadata"), dict) else thing()
    for manager, force in (("kubectl", False), ("a", True)):
        with contextlib.suppress(StatusError):
            apply(
                live,
                {"apiVersion": VERSION, "kind": "Thing"} | applied,
                manager=manager,
                schema=schema,
                api_version=VERSION,
                force=force,
                now="2026-01-01T00:00:02Z",
            )
