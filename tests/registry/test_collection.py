"""Deleting a collection: many at once, and never all at once."""

import asyncio

import pytest
from registry_world import FREE, admit, names, opened, thing

from kcpcache.meta.errors import ForbiddenError, forbidden, not_found
from kcpcache.meta.objects import name_of
from kcpcache.registry.collection import AT_ONCE
from kcpcache.registry.view import Admission, DeleteOptions, ListOptions

MANY = 4 * AT_ONCE


@pytest.fixture
async def world():
    async with opened() as found:
        for number in range(MANY):
            await found.create(thing(f"n{number:03}"))
        yield found


def refusing(refuse):
    """Admission that raises what ``refuse(name)`` returns, if anything."""

    async def validate(_operation, _new, old):
        await asyncio.sleep(0)
        if (error := refuse(name_of(old))) is not None:
            raise error

    return Admission(mutate=admit, validate=validate)


async def test_many_objects_are_being_deleted_at_any_time_but_never_more_than_may_be(world):
    under_way, most = 0, 0

    async def validate(_operation, _new, _old):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        for _ in range(3 * AT_ONCE):
            await asyncio.sleep(0)
        under_way -= 1

    admission = Admission(mutate=admit, validate=validate)
    deleted = await world.view().delete_collection(ListOptions(), DeleteOptions(), admission)
    assert most == AT_ONCE
    assert names(deleted) == [f"n{number:03}" for number in range(MANY)]
    assert not await world.list()


async def test_each_deletion_begins_in_a_round_of_the_event_loop_of_its_own(world):
    """A dry run waits for nothing else that would let others be served."""
    begun, most = 0, 0

    async def mutate(_operation, _new, _old):
        nonlocal begun
        begun += 1

    async def watch_rounds():
        nonlocal begun, most
        while True:
            begun = 0
            await asyncio.sleep(0)
            most = max(most, begun)

    watching = asyncio.create_task(watch_rounds())
    admission = Admission(mutate=mutate, validate=admit)
    deleted = await world.view().delete_collection(ListOptions(), DeleteOptions(dry_run=True), admission)
    watching.cancel()
    assert len(deleted) == MANY
    assert most == 1


async def test_what_somebody_else_deletes_meanwhile_is_passed_over(world):
    gone = refusing(lambda name: not_found("example.com", "things", name) if name == "n001" else None)
    deleted = await world.view().delete_collection(ListOptions(), DeleteOptions(), gone)
    assert len(deleted) == MANY - 1
    assert "n001" not in names(deleted)


async def test_the_first_error_is_raised_and_nothing_further_is_deleted(world):
    def refuse(name):
        return forbidden("example.com", "things", name, "no") if name in {"n002", "n003"} else None

    with pytest.raises(ForbiddenError, match="n002"):
        await world.view().delete_collection(ListOptions(), DeleteOptions(), refusing(refuse))
    left = names(await world.list())
    assert {"n002", "n003"} < set(left)
    assert MANY - len(left) < AT_ONCE


async def test_who_gives_up_leaves_nothing_under_way(world):
    never = asyncio.Event()

    async def validate(_operation, _new, _old):
        await never.wait()

    before = asyncio.all_tasks()
    admission = Admission(mutate=admit, validate=validate)
    deleting = asyncio.create_task(world.view().delete_collection(ListOptions(), DeleteOptions(), admission))
    for _ in range(2 * AT_ONCE):
        await asyncio.sleep(0)
    deleting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await deleting
    assert asyncio.all_tasks() == before
    assert len(await world.view().list(ListOptions())) == MANY


async def test_nothing_selected_is_nothing_deleted(world):
    selection = ListOptions(namespace="elsewhere")
    assert not await world.view().delete_collection(selection, DeleteOptions(), FREE)
