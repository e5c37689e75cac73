"""The matrix of tenants over real connections, which they share, to a server that is a process of its own: a sample."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from matrix import a_sample, asked, content, objects, send, tells
from server_in_process import until
from server_process import server_process
from tenant_world import World, tenant_world
from tenants import name_of

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with tenant_world(tmp_path_factory.mktemp("server"), server_process) as world:
        yield world


async def test_p11_nothing_of_a_tenant_is_told_or_written_on_connections_that_both_use(world: World) -> None:
    """Between any two attacks the victim asks for its own, as often as it takes for answers by shortcut."""
    cached = f"{world.bravo.base}/apis/cache.kcp.io/v1alpha1/cachedresources/{world.bravo.marker}"
    await world.admin.until(cached, lambda obj: obj["status"].get("resourceCounts") == {"cache": 1, "local": 1})
    before, leaks, allowed = await content(world), [], 0
    attacks = [attack for attack in a_sample(world, world.bravo) if attack.kind == "http"]
    own = f"{world.bravo.base}/api/v1/namespaces/default/secrets/{world.bravo.marker}"
    for number, attack in enumerate(attacks):
        assert (await world.bravo.user.ask("GET", own)).status == 200
        answer = await send(world.alpha.user if number % 4 else world.anonymous, attack)
        allowed += answer.status < 300
        if tells(world, attack, answer):
            leaks.append((str(attack), answer))
    assert not leaks, leaks[:3]
    assert await content(world) == before
    assert len(attacks) > 2000
    assert allowed > 30  # of what is her own


async def test_p11_no_watch_over_a_real_connection_says_anything_of_a_change(world: World) -> None:
    attacks = [attack for attack in a_sample(world, world.bravo) if attack.kind != "http"]
    async with world.alpha.user.watches(map(asked, attacks)) as watches:
        changes = [("http", f"{world.bravo.base}{r.path()}?watch=true", {}) for r in objects(world)]
        async with world.admin.watches(changes) as seeing:
            for resource in objects(world):
                one = f"{world.bravo.base}{resource.path()}/{name_of(resource, world.bravo)}"
                await world.admin.must("PATCH", one, {"metadata": {"annotations": {"changed": "by-the-test"}}})
            await until(lambda: all(b"by-the-test" in watch.answer.body for watch in seeing))
        found = [(attack, watch.answer) for attack, watch in zip(attacks, watches, strict=True)]
    leaks = [(str(attack), answer) for attack, answer in found if tells(world, attack, answer)]
    assert not leaks, leaks[:3]
    started = [attack for attack, answer in found if answer.status in {101, 200}]
    assert {attack.kind for attack in started} == {"watch", "websocket"}
    assert len(attacks) > 300
