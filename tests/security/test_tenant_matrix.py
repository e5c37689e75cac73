"""Nothing of one tenant for another: all verbs, forms of URL and forms of answer, from discovery."""

import re
from collections.abc import Iterator, Mapping

import pytest
from attacks import ACCEPTS, Attack, foreign_places, own_places, paths, reads, writes
from server_in_process import JSON, Answer, Http, until
from tenant_world import World
from tenants import Resource, Tenant, name_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

REVISION = re.compile(rb'"resourceVersion":"\d+"')


async def test_every_resource_shows_its_marker_to_who_may_see_it(world: World):
    """Else the matrix would look for what is not there. A new resource may need a line in ``tenants.REST_OF``."""
    blind = []
    for resource in _objects(world):
        one = f"{world.bravo.base}{resource.path()}/{name_of(resource, world.bravo)}"
        answers = [await world.admin.ask("GET", one, headers={"accept": accept}) for accept in ACCEPTS[:3]]
        if not all(world.bravo.words.search(answer.body) and answer.status == 200 for answer in answers):
            blind.append((resource.name, answers))
    assert not blind, blind


async def test_p11_nothing_of_a_tenant_is_in_any_answer_to_another(world: World):
    attacks = [attack for attack in _reading(world, world.bravo) if attack.kind == "http"]
    leaks, allowed = [], 0
    for attack in attacks:
        answer = await _send(world.alpha.user, attack)
        allowed += answer.status == 200
        if _tells(world, attack, answer):
            leaks.append((str(attack), answer))
    assert not leaks, leaks[:3]
    assert len(attacks) > 10_000
    assert allowed > 1000  # of what is her own


async def test_p11_no_answer_tells_whether_a_workspace_an_export_or_an_object_is_there(world: World):
    """Asked for what another tenant has and for what nobody has, the server says the same."""
    told = []
    for real, made_up in zip(_asking(world, world.bravo), _asking(world, world.nobody), strict=True):
        for user in (world.alpha.user, world.anonymous) if real.target != made_up.target else ():
            one, other = await _send(user, real), await _send(user, made_up)
            if _unnamed(one, world.bravo) != _unnamed(other, world.nobody):
                told.append((str(real), one, other))
    assert not told, told[:3]


async def test_p11_nothing_of_a_tenant_can_be_written_by_another(world: World):
    before = await _content(world)
    attacks = list(_writing(world, world.bravo))
    assert len(attacks) > 10_000
    succeeded = [str(attack) for attack in attacks if (await _send(world.alpha.user, attack)).status < 300]
    assert not succeeded, succeeded[:3]
    assert await _content(world) == before


async def test_p11_no_watch_of_another_tenant_says_anything_of_a_change(world: World):
    attacks = [attack for attack in _reading(world, world.bravo) if attack.kind != "http"]
    own = [
        Attack("GET", f"{world.bravo.base}{resource.path()}?watch=true", kind="watch") for resource in _objects(world)
    ]
    async with world.admin.watches(map(_watch, own)) as seeing, world.alpha.user.watches(map(_watch, attacks)) as open_:
        for resource in _objects(world):
            one = f"{world.bravo.base}{resource.path()}/{name_of(resource, world.bravo)}"
            await world.admin.must("PATCH", one, {"metadata": {"annotations": {"changed": "by-the-test"}}})
        await until(lambda: all(b"by-the-test" in watch.answer.body for watch in seeing))
        answers = [watch.answer for watch in open_]
    assert sum(answer.status in {101, 200} for answer in answers) > 100
    found = zip(attacks, answers, strict=True)
    leaks = [(str(attack), answer) for attack, answer in found if _tells(world, attack, answer)]
    assert not leaks, leaks[:3]


def _objects(world: World) -> list[Resource]:
    """What a tenant has objects of. The flavors are the provider's, and the same for everybody."""
    return [resource for resource in world.resources if "list" in resource.verbs and resource.name != "flavors"]


def _resources(world: World, victim: Tenant) -> list[Resource]:
    """Of bravo, with what names it named as if it were the victim's."""
    return [one._replace(group=one.group.replace(world.bravo.marker, victim.marker)) for one in world.resources]


def _reading(world: World, victim: Tenant) -> Iterator[Attack]:
    places = [*own_places(world.alpha), *foreign_places(world.alpha, victim)]
    for place in places:
        yield from paths(place, _resources(world, victim))
        for resource in _resources(world, victim):
            yield from reads(place, resource, victim)


def _writing(world: World, victim: Tenant) -> Iterator[Attack]:
    for place in foreign_places(world.alpha, victim):
        for resource in _resources(world, victim):
            if "list" in resource.verbs:  # who reviews something writes nothing
                yield from writes(place, resource, victim)


def _asking(world: World, victim: Tenant) -> Iterator[Attack]:
    one_form = (attack for attack in _reading(world, victim) if attack.headers.get("accept", JSON) == JSON)
    yield from (attack for attack in one_form if attack.kind == "http")
    yield from _writing(world, victim)


def _watch(attack: Attack) -> tuple[str, str, Mapping[str, str]]:
    return "websocket" if attack.kind == "websocket" else "http", attack.target, attack.headers


async def _send(user: Http, attack: Attack) -> Answer:
    return await user.ask(attack.method, attack.target, attack.body, attack.headers)


def _tells(world: World, attack: Attack, answer: Answer) -> bool:
    """Whether there is more of bravo in the answer than there was in the question."""
    told = world.bravo.words.findall(answer.everything)
    return not set(told) <= set(world.bravo.words.findall(attack.target.encode() + attack.body))


def _unnamed(answer: Answer, tenant: Tenant) -> bytes:
    """The answer without what was in the question, and without what differs from moment to moment."""
    text = REVISION.sub(b"", answer.everything)
    for name in (tenant.marker, tenant.cluster, tenant.name):
        text = text.replace(name.encode(), b"?")
    return text


async def _content(world: World) -> dict[str, bytes]:
    """All that bravo has."""
    places = [f"{world.bravo.base}{resource.path(namespace='')}" for resource in _objects(world)]
    return {place: REVISION.sub(b"", (await world.admin.ask("GET", place)).body, count=1) for place in places}
