import dataclasses
import ssl

import httpx
import pytest
import trustme
import uvicorn

from kcpcache.api.app import create_app
from kcpcache.api.health import health
from kcpcache.api.protocol import CONNECTION, KubernetesProtocol, connection_of
from kcpcache.meta.errors import UnauthorizedError


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz", "/clusters/root/healthz", "/clusters/root/readyz"])
async def test_health_is_ok_in_one_word(world, path):
    response = await world.client.get(path)
    assert (response.status_code, response.text) == (200, "ok")


async def test_verbose_health_lists_the_checks(world):
    text = (await world.client.get("/readyz?verbose")).text
    assert text == "[+]ping ok\n[+]shutdown ok\nreadyz check passed\n"


async def test_readiness_fails_with_a_check_and_during_shutdown_but_liveness_does_not():
    checks = {"storage": lambda: "disk full at /secret"}
    failed = health("/readyz", checks, verbose=False, shutting_down=False)
    assert failed.status == 500
    assert "[-]storage failed: reason withheld" in failed.text
    assert "secret" not in failed.text
    assert health("/readyz", {}, verbose=False, shutting_down=True).status == 500
    assert health("/livez", checks, verbose=False, shutting_down=True).status == 200


async def test_the_version_is_one_that_clients_can_compare(world):
    for path in ("/version", "/clusters/root/version"):
        found = (await world.client.get(path)).json()
        assert (found["major"], found["minor"]) == ("1", "33")
        assert found["gitVersion"].startswith("v1.33.0+kcpcache-")


async def test_the_root_lists_paths(world):
    assert "/apis/stable.example.com/v1" in (await world.client.get("/clusters/root/")).json()["paths"]


async def test_a_route_of_the_program_s_own_can_be_added_and_its_errors_are_statuses(world):
    app = create_app(world.services)

    @app.fixed.get("/own/{number}")
    async def own(number: int) -> dict[str, int]:
        return {"number": number}

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
        assert (await client.get("/own/5")).json() == {"number": 5}
        wrong = await client.get("/own/x")
        assert (wrong.status_code, wrong.json()["kind"]) == (400, "Status")


async def test_strangers_do_not_learn_which_paths_there_are(world):
    async def authenticate(_facts):
        raise UnauthorizedError

    app = create_app(dataclasses.replace(world.services, authenticate=authenticate))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
        assert (await client.get("/nothing")).status_code == 401
        assert (await client.get("/livez/nothing")).status_code == 401
        assert (await client.get("/livez")).status_code == 200
    refused = await world.client.get("/nothing")
    assert (refused.status_code, refused.json()["kind"]) == (404, "Status")


async def test_the_peer_s_certificates_are_in_the_scope_of_every_request(world):
    import asyncio

    authority = trustme.CA()
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server_context)
    authority.configure_trust(server_context)
    server_context.verify_mode = ssl.CERT_OPTIONAL
    seen: list[tuple[bytes, ...]] = []
    connections = set()

    async def app(scope, receive, send):
        seen.append(connection_of(scope).certificates)
        connections.add(id(scope["state"][CONNECTION]))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    config = uvicorn.Config(app, http=KubernetesProtocol, port=0, log_config=None, loop="none", lifespan="off")
    config.load()
    config.ssl = server_context
    running = uvicorn.Server(config)
    task = asyncio.create_task(running.serve())
    while not running.started:  # noqa: ASYNC110 -- uvicorn has no event for it
        await asyncio.sleep(0)
    url = f"https://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}"
    client_context = ssl.create_default_context()
    authority.configure_trust(client_context)
    async with httpx.AsyncClient(verify=client_context) as anonymous:
        await anonymous.get(url)
    known = ssl.create_default_context()
    authority.configure_trust(known)
    certificate = authority.create_child_ca().issue_cert("user@example.com")
    certificate.configure_cert(known)
    async with httpx.AsyncClient(verify=known) as client:
        await client.get(url)
        await client.get(url)
    running.should_exit = True
    await task
    own, between = (ssl.PEM_cert_to_DER_cert(pem.bytes().decode()) for pem in certificate.cert_chain_pems)
    assert seen == [(), (own, between), (own, between)]
    assert len(connections) == 2


async def test_a_service_account_without_a_cluster_in_the_url_is_at_home(world):
    from kcpcache.auth.user import CLUSTER_NAME_EXTRA, User

    async def authenticate(_facts):
        return User("system:serviceaccount:default:a", extra={CLUSTER_NAME_EXTRA: ("ws",)})

    app = create_app(dataclasses.replace(world.services, authenticate=authenticate))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
        await client.get("/api/v1/configmaps")
        await client.get("/clusters/root/api/v1/configmaps")
    assert [attributes.cluster for attributes in world.asked] == ["ws", "root"]


async def test_whom_a_service_account_may_impersonate_is_asked_at_home_where_the_request_goes(world):
    from kcpcache.auth.user import CLUSTER_NAME_EXTRA, User

    places = []

    async def authenticate(_facts):
        return User("system:serviceaccount:default:a", extra={CLUSTER_NAME_EXTRA: ("ws",)})

    def impersonate(_user, _headers, cluster):
        places.append(cluster)
        return User("bob")

    app = create_app(dataclasses.replace(world.services, authenticate=authenticate, impersonate=impersonate))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
        for path in ("/api/v1/configmaps", "/api", "/clusters/root/api/v1/configmaps"):
            await client.get(path)
    assert places == [attributes.cluster for attributes in world.asked] == ["ws", "ws", "root"]


async def test_somebody_with_a_cluster_of_his_own_by_impersonation_alone_is_where_the_requester_is(world):
    from kcpcache.auth.user import CLUSTER_NAME_EXTRA, User

    def impersonate(_user, _headers, _cluster):
        return User("system:serviceaccount:default:a", extra={CLUSTER_NAME_EXTRA: ("ws",)})

    app = create_app(dataclasses.replace(world.services, impersonate=impersonate))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
        await client.get("/api/v1/configmaps")
    assert [attributes.cluster for attributes in world.asked] == ["root"]


async def test_a_virtual_workspace_decides_what_is_served_and_as_whom(world):
    from kcpcache.api.services import Workspace, find_in
    from kcpcache.auth.user import User
    from kcpcache.meta.errors import ForbiddenError

    class Handler:
        async def enter(self, info, user):
            if info.service.arguments != ("root", "mine"):
                raise ForbiddenError("not yours")
            snapshot = world.services.snapshot("ws")
            return Workspace(
                cluster="ws",
                user=User("owner"),
                snapshot=snapshot,
                find=lambda asked, _metadata_only: find_in(snapshot, asked),
                view=lambda resource, version: world.services.view("ws", resource, version),
                admission=world.services.admission,
                authorize=None,
            )

    app = create_app(dataclasses.replace(world.services, service_handlers={"replication": Handler()}))
    await world.client.post("/clusters/ws/api/v1/namespaces/n/configmaps", json={"metadata": {"name": "a"}})
    world.asked.clear()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
        base = "/services/replication/root/mine/clusters/c"
        found = (await client.get(f"{base}/api/v1/configmaps")).json()
        assert [item["metadata"]["name"] for item in found["items"]] == ["a"]
        assert (await client.get(f"{base}/apis")).json()["kind"] == "APIGroupList"
        assert (await client.get(base.replace("mine", "other") + "/apis")).status_code == 403
        assert (await client.get("/services/apiexport/a/b/clusters/c/apis")).status_code == 404
    assert world.asked == []
