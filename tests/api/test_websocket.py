import asyncio
import json

import pytest
import websockets
from websockets.exceptions import InvalidStatus

from kcpcache.api.websocket import chosen_protocol
from kcpcache.auth.authenticate import WEBSOCKET_BEARER_PREFIX

CM = "/api/v1/namespaces/default/configmaps"


def url(server: str, query: str = "watch=1") -> str:
    return f"{server.replace('http', 'ws', 1)}{CM}?{query}"


async def next_event(socket) -> dict:
    async with asyncio.timeout(10):
        return json.loads(await socket.recv())


async def test_each_event_is_one_text_message(world, server):
    await world.create("a")
    async with websockets.connect(url(server)) as socket:
        assert (await next_event(socket))["object"]["metadata"]["name"] == "a"
        await world.create("b")
        event = await next_event(socket)
        assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "b")


async def test_the_socket_is_closed_cleanly_when_the_time_is_up(server):
    async with websockets.connect(url(server, "watch=1&resourceVersion=0&timeoutSeconds=1")) as socket:
        async with asyncio.timeout(10):
            assert [message async for message in socket] == []
        assert socket.close_code == 1000


async def test_shutdown_ends_the_watch(world, server):
    async with websockets.connect(url(server, "watch=1&resourceVersion=0")) as socket:
        world.services.shutting_down.set()
        async with asyncio.timeout(10):
            assert [message async for message in socket] == []


async def test_a_client_that_goes_away_leaves_no_watch_behind(world, server):
    async with websockets.connect(url(server)):
        assert len(world.app.kubernetes.open_watches) == 1
    async with asyncio.timeout(10):
        while len(world.app.kubernetes.open_watches):  # noqa: ASYNC110 -- the disconnect has no event of its own
            await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("query", "user", "code", "reason"),
    [
        ("watch=1", "nobody", 403, "Forbidden"),
        ("", "admin", 400, "BadRequest"),
        ("watch=1&timeoutSeconds=x", "admin", 400, "BadRequest"),
    ],
)
async def test_a_refused_handshake_is_answered_with_a_status(server, query, user, code, reason):
    with pytest.raises(InvalidStatus) as refused:
        await websockets.connect(url(server, query), additional_headers={"x-user": user})
    assert refused.value.response.status_code == code
    status = json.loads(refused.value.response.body)
    assert status["kind"] == "Status"
    assert status["reason"] == reason


async def test_a_token_among_the_sub_protocols_is_never_the_one_chosen(server):
    offered = [f"{WEBSOCKET_BEARER_PREFIX}c2VjcmV0", "base64.binary.k8s.io"]
    async with websockets.connect(url(server), subprotocols=offered) as socket:
        assert socket.subprotocol == "base64.binary.k8s.io"
    assert chosen_protocol(offered[:1]) is None


async def test_a_page_of_the_server_s_own_may_watch(server):
    async with websockets.connect(url(server), origin=server.replace("http:", "https:")):
        pass


async def test_a_page_of_another_site_may_watch_with_a_token_since_somebody_gave_it_that(server):
    offered = [f"{WEBSOCKET_BEARER_PREFIX}c2VjcmV0", "base64.binary.k8s.io"]
    async with websockets.connect(url(server), origin="http://dashboard.example.com", subprotocols=offered):
        pass


@pytest.mark.parametrize("origin", ["http://evil.example.com", "null"])
async def test_a_page_of_another_site_gets_nothing_by_its_user_s_certificate(server, origin):
    with pytest.raises(InvalidStatus) as refused:
        await websockets.connect(url(server), origin=origin)
    assert refused.value.response.status_code == 403
