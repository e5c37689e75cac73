"""Objects that were stored before their definition became what it is, and what a definition's keywords do to writes."""

import pytest
from registry_world import crd, names, opened, thing

from kcpcache.meta.errors import InvalidError
from kcpcache.meta.selectors import parse_field_selector
from kcpcache.registry.definitions import definition_of_crd

STRING, INTEGER, BOOLEAN = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}


def defined(*selectable, **properties):
    """The definition of things with a spec of these properties."""
    made = crd()
    (version,) = made["spec"]["versions"]
    version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"] = properties
    version["selectableFields"] = [{"jsonPath": path} for path in selectable]
    return definition_of_crd(made)


@pytest.fixture
async def world():
    async with opened() as found:
        yield found


async def test_a_stricter_schema_bears_what_was_stored_before_it(world):
    loose, strict = defined(size=INTEGER, color=STRING), defined(size=INTEGER | {"maximum": 5}, color=STRING)
    await world.create(thing(size=9), loose)
    changed = await world.patch("a", lambda live: live["spec"].update(color="blue"), strict)
    assert changed["spec"] == {"size": 9, "color": "blue"}
    reported = await world.patch("a", lambda live: live.update(status={"phase": "x"}), strict, subresource="status")
    assert (reported["spec"]["size"], reported["status"]) == (9, {"phase": "x"})
    why = r"spec\.size: Invalid value: 8: spec\.size in body should be less than or equal to 5"
    with pytest.raises(InvalidError, match=why):
        await world.patch("a", lambda live: live["spec"].update(size=8), strict)
    with pytest.raises(InvalidError, match=r"spec\.size: Invalid value: 9"):
        await world.create(thing("b", size=9), strict)


async def test_fields_and_defaults_that_a_schema_got_or_lost_show_at_once_and_are_stored_with_the_next_write(world):
    before = defined(size=INTEGER, color=STRING)
    await world.create(thing(size=1, color="red"), before)
    later = defined(size=INTEGER, shape=STRING | {"default": "round"})
    assert (await world.get("a", later))["spec"] == {"size": 1, "shape": "round"}
    assert (await world.get("a", before))["spec"] == {"size": 1, "color": "red"}
    assert (await world.patch("a", lambda _live: None, later))["spec"] == {"size": 1, "shape": "round"}


async def test_keys_of_list_maps_are_defaulted_before_they_are_compared(world):
    port = {
        "type": "object",
        "required": ["port"],
        "properties": {"port": INTEGER, "protocol": STRING | {"default": "TCP"}},
    }
    keys = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port", "protocol"]}
    ports = defined(ports={"type": "array", "items": port} | keys)
    made = await world.create(thing(ports=[{"port": 80}, {"port": 80, "protocol": "UDP"}]), ports)
    assert made["spec"]["ports"] == [{"port": 80, "protocol": "TCP"}, {"port": 80, "protocol": "UDP"}]
    why = r'spec\.ports\[1\]: Duplicate value: map\[string\]interface \{\}\{"port":80, "protocol":"TCP"\}'
    with pytest.raises(InvalidError, match=why):
        await world.create(thing("b", ports=[{"port": 80}, {"port": 80, "protocol": "TCP"}]), ports)


async def test_unknown_fields_are_gone_before_anything_is_defaulted_or_judged(world):
    """A default can put in only what the schema knows, and what it does not know makes nothing invalid."""
    inner = {"type": "object", "maxProperties": 1, "default": {}, "properties": {"x": INTEGER | {"default": 7}}}
    made = await world.create(thing(inner={"y": 1, "z": 2}), defined(inner=inner))
    assert made["spec"] == {"inner": {"x": 7}}
    assert (await world.create(thing("b"), defined(inner=inner)))["spec"] == {"inner": {"x": 7}}


@pytest.mark.parametrize(
    ("selector", "shown"),
    [
        ("spec.on=true", ["a"]),
        ("spec.on=false", ["b"]),
        ("spec.on=", ["c"]),
        ("spec.size=3", ["a"]),
        ("spec.size=-3", ["b"]),
        ("spec.size!=3", ["b", "c"]),
        ("spec.size=3,spec.on=false", []),
        ("spec.marks.x=1", ["c"]),
    ],
)
async def test_numbers_flags_and_keys_of_maps_can_be_selected_by(world, selector, shown):
    marks = {"type": "object", "additionalProperties": STRING}
    definition = defined(".spec.on", ".spec.size", ".spec.marks.x", on=BOOLEAN, size=INTEGER, marks=marks)
    await world.create(thing("a", on=True, size=3), definition)
    await world.create(thing("b", on=False, size=-3), definition)
    await world.create(thing("c", marks={"x": "1"}), definition)
    assert names(await world.list(definition, field_selector=parse_field_selector(selector))) == shown
