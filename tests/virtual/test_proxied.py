import contextlib

import httpx
import pytest
from proxied_world import Hosts, ProxiedWorld, places_crd
from shard_world import BINDINGS, CRDS, FLAVORS, crd_spec, running

from kcpcache.api.services import Workspace, find_in
from kcpcache.meta.errors import ForbiddenError
from kcpcache.registry.catalog import Snapshot, StoredResource
from kcpcache.registry.definitions import definition_of_crd
from kcpcache.registry.view import NO_ADMISSION
from kcpcache.virtual.asking import asking
from kcpcache.virtual.proxied import Endpoint, Endpoints, UnusableError, endpoint_of

CONTACT = "the reference of APIExport root:cloud is broken"


@contextlib.asynccontextmanager
async def world_of(*urls, allowed=(), apps=None, **more):
    network = Hosts(apps or {})
    async with running() as shard:
        world = ProxiedWorld(shard, network, allowed)
        try:
            async with world.http.client:
                await world.begin(*urls, **more)
                yield world, network
        finally:
            await world.remote.close()


def flavor(name, version="7"):
    meta = {"name": name, "resourceVersion": version, "annotations": {"kcp.io/cluster": "theirs"}}
    return {"apiVersion": "cloud.example.com/v1", "kind": "Flavor", "metadata": meta, "spec": {"cpu": 2}}


def answering(*answers):
    """An ASGI application with one answer after the other; the last one stays."""
    left = list(answers)

    async def app(scope, receive, send):
        code, text = left.pop(0) if len(left) > 1 else left[0]
        await send({"type": "http.response.start", "status": code, "headers": []})
        await send({"type": "http.response.body", "body": text.encode()})

    return app


def ok(value):
    return 200, httpx.Response(200, json=value).text


async def test_flavors_of_another_server_are_read_as_those_of_the_consumers_workspace():
    app = answering(ok({"metadata": {"resourceVersion": "9"}, "items": [flavor("small")]}), ok(flavor("small")))
    async with world_of("https://other:7443/vw/", allowed=("other:7443",), apps={"other": app}) as (world, network):
        listed = await world.http.get(world.path)
        one = await world.http.get(f"{world.path}/small")
        assert listed["metadata"]["resourceVersion"] == "9"
        assert one["metadata"]["annotations"] == {"kcp.io/cluster": "root"}
        assert listed["items"] == [{k: v for k, v in one.items() if k in listed["items"][0]}]
        assert [str(sent.url) for sent in network.seen] == [
            "https://other:7443/vw/clusters/root/apis/cloud.example.com/v1/flavors",
            "https://other:7443/vw/clusters/root/apis/cloud.example.com/v1/flavors/small",
        ]
        for sent in network.seen:
            assert sent.headers["kcpcache-hops"] == "1"
            assert not {"authorization", "cookie", "x-user"} & set(sent.headers)


async def test_nothing_that_says_who_asks_goes_to_another_server():
    shown = {
        "authorization": "Bearer secret",
        "cookie": "session=secret",
        "x-remote-user": "secret",
        "x-user": "master",
        "sec-websocket-protocol": "base64url.bearer.authorization.k8s.io.c2VjcmV0",
        "kcpcache-hops": "2",
    }
    app = answering(ok({"metadata": {"resourceVersion": "9"}, "items": []}), ok(flavor("small")), (200, ""))
    async with world_of("https://other", allowed=("other",), apps={"other": app}) as (world, network):
        for path in (world.path, f"{world.path}/small", f"{world.path}?watch=true"):
            assert (await world.http.client.get(path, headers=shown)).status_code == 200
        for sent in network.seen:
            assert sent.headers["kcpcache-hops"] == "3"
            assert not shown.keys() - {"kcpcache-hops"} & sent.headers.keys()
            assert "secret" not in str(sent.url)
        assert len(network.seen) == 3


async def test_a_host_that_is_allowed_leads_to_no_other_by_redirects():
    codes = [301, 302, 303, 307, 308]

    async def app(scope, receive, send):
        where = [(b"location", b"https://169.254.169.254/latest")]
        await send({"type": "http.response.start", "status": codes[0], "headers": where})
        await send({"type": "http.response.body", "body": b""})

    async with world_of("https://other", allowed=("other",), apps={"other": app}) as (world, network):
        while codes:
            for path in (world.path, f"{world.path}/a", f"{world.path}?watch=true"):
                code, message = await world.http.refused("GET", path)
                assert (code, CONTACT in message) == (503, True)
                assert f"it answers with HTTP status {codes[0]}" in message
            del codes[0]
        assert [sent.url.host for sent in network.seen] == ["other"] * 15


async def test_a_watch_of_another_servers_flavors_ends_where_that_one_ends_it():
    event = httpx.Response(200, json={"type": "ADDED", "object": flavor("small")}).text
    app = answering((200, f"{event}\n"))
    async with world_of("https://other", allowed=("other",), apps={"other": app}) as (world, network):
        (seen,) = await world.http.watch(world.path, resourceVersion="3")
        assert seen["type"] == "ADDED"
        assert seen["object"]["metadata"]["annotations"] == {"kcp.io/cluster": "root"}
        assert dict(network.seen[0].url.params)["resourceVersion"] == "3"


async def test_a_bad_event_ends_a_watch_with_the_name_of_the_export():
    async with world_of("https://other", allowed=("other",), apps={"other": answering((200, "{\n"))}) as (world, _):
        (seen,) = await world.http.watch(world.path)
        assert (seen["type"], seen["object"]["code"]) == ("ERROR", 503)
        assert CONTACT in seen["object"]["message"]


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://169.254.169.254/latest", "host 169.254.169.254:443 is not on"),
        ("https://other:8443/", "host other:8443 is not on"),
        ("https://localhost:6443/services/a/b", "host localhost:6443 is not on"),
        ("https://host:6443/", "is no virtual workspace of this server"),
        ("https://host:6443", "is no virtual workspace of this server"),
        ("http://allowed/", "must be https://"),
        ("https://user:secret@allowed/", "no user, query or fragment"),
        ("https://allowed/a/../b", "plain path"),
        ("https://allowed/?x=y", "plain path"),
        ("https://allowed/?token=secret", "no user, query or fragment"),
        ("https://allowed/#secret", "no user, query or fragment"),
        ("https://user:se/cret@allowed", "cannot be read"),
        ("https://allowed\\@other/", "no user, query or fragment"),
        ("https://allowed\\.other/", "must be https://"),
        ("https://allowed:99999/", "cannot be read"),
        (7, "must be https://"),
    ],
)
def test_an_endpoint_url_that_may_not_be_followed_is_refused_with_the_reason(url, why):
    endpoints = Endpoints("https://host:6443", ("allowed", "other:7443"), None, None)
    with pytest.raises(UnusableError, match="endpoint URL") as refused:
        endpoints.choose([url])
    assert why in str(refused.value)
    assert "secret" not in str(refused.value).replace("/", "")  # who hears of it is a consumer


async def test_a_host_that_is_not_allowed_names_the_export_to_contact_for_every_verb():
    async with world_of("https://169.254.169.254/x", allowed=("other",)) as (world, network):
        for path in (world.path, f"{world.path}/a", f"{world.path}?watch=true"):
            code, message = await world.http.refused("GET", path)
            assert code == 503
            assert CONTACT in message
            assert "--virtual-workspace-allowed-hosts" in message
        assert not network.seen


def test_the_first_url_that_may_be_followed_is_taken():
    endpoints = Endpoints("https://host:6443", ("[::1]", "b.example", "c:1"), None, None)
    assert endpoints.choose(["https://a/x", "https://B.example:77/x/", "https://c:1"]) == Endpoint(
        "b.example", 77, "/x"
    )
    assert endpoints.choose(["https://[::1]:5"]).url == "https://[::1]:5"
    assert endpoints.choose(["https://HOST:6443/services/a/b"]).own
    with pytest.raises(UnusableError, match="lists no endpoint URL"):
        endpoints.choose([])
    with pytest.raises(UnusableError):
        endpoint_of("https://a b/")


async def test_another_servers_refusal_is_passed_on_and_its_silence_is_a_503():
    status = {"kind": "Status", "code": 404, "reason": "NotFound", "message": "no such flavor there"}
    app = answering((404, httpx.Response(404, json=status).text))
    async with world_of("https://other", allowed=("other",), apps={"other": app}) as (world, network):
        assert await world.http.refused("GET", f"{world.path}/x") == (404, "no such flavor there")
        network.apps.clear()
        code, message = await world.http.refused("GET", f"{world.path}/x")
        assert code == 503
        assert CONTACT in message
        assert "it cannot be reached: connection refused" in message


async def test_two_servers_that_point_at_each_other_stop_at_the_fourth_hop():
    apps = {}
    async with (
        world_of("https://b/services/apiexport/root/cloud", allowed=("b",), apps=apps) as (one, from_one),
        running() as shard,
    ):
        from_other = Hosts(apps)
        other = ProxiedWorld(shard, from_other, ("a",))
        await other.begin("https://a/services/apiexport/root/cloud")
        apps |= {"a": one.app, "b": other.app}
        from_one.apps = apps
        for path in (one.path, f"{one.path}/x", f"{one.path}?watch=true"):
            from_one.seen.clear()
            from_other.seen.clear()
            code, message = await one.http.refused("GET", path)
            assert (code, "they lead in a circle" in message) == (503, True), message
            assert [sent.headers["kcpcache-hops"] for sent in from_one.seen] == ["1", "3"]
            assert [sent.headers["kcpcache-hops"] for sent in from_other.seen] == ["2", "4"]
        await other.remote.close()


async def test_a_virtual_workspace_of_this_server_that_points_at_itself_stops():
    async with world_of("https://host:6443/services/apiexport/root/cloud") as (world, network):
        for path in (world.path, f"{world.path}/x", f"{world.path}?watch=true"):
            code, message = await world.http.refused("GET", path)
            assert (code, "they lead in a circle" in message) == (503, True), message
        assert not network.seen


@pytest.mark.parametrize("hops", ["-1", "x", "99999"])
async def test_a_number_of_hops_that_is_none_is_a_bad_request(hops):
    async with world_of("https://other") as (world, _):
        answer = await world.http.client.get(world.path, headers={"kcpcache-hops": hops})
        assert answer.status_code == 400


class Elsewhere:
    """A virtual workspace with flavors of its own, for those that it knows."""

    def __init__(self, shard, definition, cluster):
        self.shard, self.definition, self.cluster = shard, definition, cluster
        self.entered = []

    async def enter(self, info, user):
        self.entered.append((info.verb, info.cluster, user.name, asking().hops))
        if user.name not in {"root", "alice"}:
            raise ForbiddenError("who are you?")
        snapshot = Snapshot({self.definition.group_resource: StoredResource(self.definition)})
        return Workspace(
            cluster=self.cluster,
            user=user,
            snapshot=snapshot,
            find=lambda asked, _metadata_only: find_in(snapshot, asked),
            view=lambda resource, version: self.shard.views.view(self.cluster, resource, version),
            admission=lambda _attributes, _options: NO_ADMISSION,
            authorize=None,
        )


async def test_a_url_of_this_server_is_served_in_process_for_the_user_who_asks():
    async with world_of("https://host:6443/services/replication/any/thing") as (world, network):
        shard = world.shard
        theirs = await shard.workspace("theirs")
        crd = await _flavors_of_their_own(shard, theirs)
        handler = world.handlers["replication"] = Elsewhere(shard, definition_of_crd(crd), theirs)
        found = await world.http.get(world.path)
        assert [(one["metadata"]["name"], one["metadata"]["annotations"]) for one in found["items"]] == [
            ("small", {"kcp.io/cluster": "root"})
        ]
        one = await world.http.get(f"{world.path}/small")
        assert one["metadata"]["annotations"] == {"kcp.io/cluster": "root"}
        watching = world.http.watch(world.path, resourceVersion=one["metadata"]["resourceVersion"])
        await shard.flavor(theirs, "large")
        (event,) = [event for event in await watching if event["type"] == "ADDED"]
        assert event["object"]["metadata"]["annotations"] == {"kcp.io/cluster": "root"}
        assert handler.entered == [(verb, "root", "root", 1) for verb in ("list", "get", "watch")]
        await world.http.grant("root", "mallory", [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}])
        assert await world.http.refused("GET", world.path, user="mallory") == (403, "who are you?")
        assert not network.seen


async def _flavors_of_their_own(shard, cluster):
    await shard.create(cluster, CRDS, "flavors.cloud.example.com", spec=crd_spec())
    await shard.settled()
    await shard.flavor(cluster, "small")
    assert await shard.names(cluster, FLAVORS) == ["small"]
    return shard.need(cluster, CRDS, "flavors.cloud.example.com")


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"kind": "Unknown"}, "no cluster-scoped resource of kind Unknown.net.example.com"),
        ({"name": "nowhere"}, "unknown endpoint slice Place.net.example.com 'nowhere'"),
        ({"crd": places_crd("Namespaced")}, "no cluster-scoped resource of kind Place.net.example.com"),
        ({}, "it lists no endpoint URL"),
    ],
)
async def test_a_reference_that_leads_nowhere_is_an_honest_503(more, why):
    async with world_of(**more) as (world, _):
        code, message = await world.http.refused("GET", world.path)
        assert code == 503
        assert CONTACT in message
        assert why in message


async def test_writing_is_refused_as_for_every_virtual_resource():
    async with world_of("https://other") as (world, _):
        code, message = await world.http.refused("POST", world.path, flavor("x"))
        assert code == 405
        assert "read-only" in message


async def test_a_watch_ends_when_the_consumer_unbinds():
    async with world_of("https://host:6443/services/replication/any/thing") as (world, _):
        shard = world.shard
        theirs = await shard.workspace("theirs")
        crd = await _flavors_of_their_own(shard, theirs)
        world.handlers["replication"] = Elsewhere(shard, definition_of_crd(crd), theirs)
        watching = world.http.watch(world.path, seconds=3600)
        await shard.settled()
        before = shard.env.clock()
        await shard.delete("root", BINDINGS, "cloud")
        await watching
        assert (shard.env.clock() - before).total_seconds() < 600
