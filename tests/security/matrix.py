"""The attacks of one tenant on another that there are in a world, and what their answers tell."""

import re
from collections.abc import Iterator, Mapping, Sequence

from attacks import Attack, foreign_places, own_places, paths, reads, writes
from server_in_process import JSON, Answer, Http
from tenant_world import World
from tenants import Resource, Tenant

REVISION = re.compile(rb'"resourceVersion":"\d+"')


def objects(world: World) -> list[Resource]:
    """What a tenant has objects of. The flavors are the provider's, and the same for everybody."""
    return [resource for resource in world.resources if "list" in resource.verbs and resource.name != "flavors"]


def resources_of(world: World, victim: Tenant) -> list[Resource]:
    """Of bravo, with what names it named as if it were the victim's."""
    return [one._replace(group=one.group.replace(world.bravo.marker, victim.marker)) for one in world.resources]


def reading(world: World, victim: Tenant) -> Iterator[Attack]:
    places = [*own_places(world.alpha), *foreign_places(world.alpha, victim)]
    for place in places:
        yield from paths(place, resources_of(world, victim))
        for resource in resources_of(world, victim):
            yield from reads(place, resource, victim)


def writing(world: World, victim: Tenant) -> Iterator[Attack]:
    for place in foreign_places(world.alpha, victim):
        for resource in resources_of(world, victim):
            if "list" in resource.verbs:  # who reviews something writes nothing
                yield from writes(place, resource, victim)


def asking(world: World, victim: Tenant) -> Iterator[Attack]:
    one_form = (attack for attack in reading(world, victim) if attack.headers.get("accept", JSON) == JSON)
    yield from (attack for attack in one_form if attack.kind == "http")
    yield from writing(world, victim)


def asked(attack: Attack) -> tuple[str, str, Mapping[str, str]]:
    return "websocket" if attack.kind == "websocket" else "http", attack.target, attack.headers


async def send(user: Http, attack: Attack) -> Answer:
    return await user.ask(attack.method, attack.target, attack.body, attack.headers)


def tells(world: World, attack: Attack, answer: Answer) -> bool:
    """Whether there is more of bravo in the answer than there was in the question."""
    told = world.bravo.words.findall(answer.everything)
    return not set(told) <= set(world.bravo.words.findall(attack.target.encode() + attack.body))


def unnamed(answer: Answer, tenant: Tenant) -> bytes:
    """The answer without what was in the question, and without what differs from moment to moment."""
    text = REVISION.sub(b"", answer.everything)
    for name in (tenant.marker, tenant.cluster, tenant.name):
        text = text.replace(name.encode(), b"?")
    return text


async def content(world: World) -> dict[str, bytes]:
    """All that bravo has."""
    places = [f"{world.bravo.base}{resource.path(namespace='')}" for resource in objects(world)]
    return {place: REVISION.sub(b"", (await world.admin.ask("GET", place)).body, count=1) for place in places}


def a_sample(world: World, victim: Tenant) -> Iterator[Attack]:
    """Of each place each attack that there is on a resource, but on one resource only, and on another in each place."""
    resources = resources_of(world, victim)
    stored = [resource for resource in resources if "list" in resource.verbs]
    own, foreign = own_places(world.alpha), foreign_places(world.alpha, victim)
    for number, place in enumerate([*own, *foreign]):
        yield from [*paths(place, resources)][number % 5 :: 5]
        yield from _one_of_each([[*reads(place, resource, victim)] for resource in resources], number)
        if number >= len(own):
            yield from _one_of_each([[*writes(place, resource, victim)] for resource in stored], number)


def _one_of_each(of_resources: Sequence[Sequence[Attack]], shift: int) -> Iterator[Attack]:
    for number in range(max(map(len, of_resources))):
        fitting = [attacks for attacks in of_resources if len(attacks) > number]
        yield fitting[(shift + number) % len(fitting)][number]
