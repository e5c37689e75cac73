"""Nothing of one tenant for another: all verbs, forms of URL and forms of answer, from discovery."""

import pytest
from attacks import ACCEPTS, Attack
from matrix import asked, asking, content, objects, reading, send, tells, unnamed, writing
from server_in_process import until
from tenant_world import World
from tenants import name_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_every_resource_shows_its_marker_to_who_may_see_it(world: World):
    """Else the matrix would look for what is not there. A new resource may need a line in ``tenants.REST_OF``."""
    blind = []
    for resource in objects(world):
        one = f"{world.bravo.base}{resource.path()}/{name_of(resource, world.bravo)}"
        answers = [await world.admin.ask("GET", one, headers={"accept": accept}) for accept in ACCEPTS[:3]]
        if not all(world.bravo.words.search(answer.body) and answer.status == 200 for answer in answers):
            blind.append((resource.name, answers))
    assert not blind, blind


async def test_p11_nothing_of_a_tenant_is_in_any_answer_to_another(world: World):
    attacks = [attack for attack in reading(world, world.bravo) if attack.kind == "http"]
    leaks, allowed = [], 0
    for attack in attacks:
        answer = await send(world.alpha.user, attack)
        allowed += answer.status == 200
        if tells(world, attack, answer):
            leaks.append((str(attack), answer))
    assert not leaks, leaks[:3]
    assert len(attacks) > 10_000
    assert allowed > 1000  # of what is her own


async def test_p11_no_answer_tells_whether_a_workspace_an_export_or_an_object_is_there(world: World):
    """Asked for what another tenant has and for what nobody has, the server says the same."""
    told = []
    for real, made_up in zip(asking(world, world.bravo), asking(world, world.nobody), strict=True):
        for user in (world.alpha.user, world.anonymous) if real.target != made_up.target else ():
            one, other = await send(user, real), await send(user, made_up)
            if unnamed(one, world.bravo) != unnamed(other, world.nobody):
                told.append((str(real), one, other))
    assert not told, told[:3]


async def test_p11_nothing_of_a_tenant_can_be_written_by_another(world: World):
    before = await content(world)
    attacks = list(writing(world, world.bravo))
    assert len(attacks) > 10_000
    succeeded = [str(attack) for attack in attacks if (await send(world.alpha.user, attack)).status < 300]
    assert not succeeded, succeeded[:3]
    assert await content(world) == before


async def test_p11_no_watch_of_another_tenant_says_anything_of_a_change(world: World):
    attacks = [attack for attack in reading(world, world.bravo) if attack.kind != "http"]
    own = [
        Attack("GET", f"{world.bravo.base}{resource.path()}?watch=true", kind="watch") for resource in objects(world)
    ]
    async with world.admin.watches(map(asked, own)) as seeing, world.alpha.user.watches(map(asked, attacks)) as open_:
        for resource in objects(world):
            one = f"{world.bravo.base}{resource.path()}/{name_of(resource, world.bravo)}"
            await world.admin.must("PATCH", one, {"metadata": {"annotations": {"changed": "by-the-test"}}})
        await until(lambda: all(b"by-the-test" in watch.answer.body for watch in seeing))
        answers = [watch.answer for watch in open_]
    assert sum(answer.status in {101, 200} for answer in answers) > 100
    found = zip(attacks, answers, strict=True)
    leaks = [(str(attack), answer) for attack, answer in found if tells(world, attack, answer)]
    assert not leaks, leaks[:3]
