"""What a tenant can write down that names another's: references, identities, forged metadata, tokens.

Each is made twice, naming what bravo has and what nobody has: what comes of it is the same.
"""

import base64
import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson
import pytest
from attacks import APPLY
from server_in_process import MERGE_PATCH, Answer, Http
from tenant_world import World, make_workspace
from tenants import UNIVERSAL, Tenant, crd_spec, is_established, phase_is, schema_spec, virtual_storage

pytestmark = pytest.mark.asyncio(loop_scope="module")

APIS, CACHE = "/apis/apis.kcp.io", "/apis/cache.kcp.io/v1alpha1"
TENANCY, CORE = "/apis/tenancy.kcp.io/v1alpha1", "/apis/core.kcp.io/v1alpha1"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
NAMED, NUMBERS = re.compile(rb"\bc\d+\b"), itertools.count()
PATCH = {"content-type": MERGE_PATCH}
Body = dict[str, Any]


def endpoint_slice_of_an_export(victim: Tenant) -> tuple[str, Body]:
    spec = {"export": {"path": victim.path, "name": victim.marker}}
    return f"{APIS}/v1alpha1/apiexportendpointslices", {"metadata": {"name": "probe"}, "spec": spec}


def binding_to_an_export(victim: Tenant) -> tuple[str, Body]:
    spec = {"reference": {"export": {"path": victim.path, "name": victim.marker}}}
    return f"{APIS}/v1alpha2/apibindings", {"metadata": {"name": "probe"}, "spec": spec}


def type_with_default_bindings(victim: Tenant) -> tuple[str, Body]:
    spec = {"defaultAPIBindings": [{"path": victim.path, "export": victim.marker}]}
    return f"{TENANCY}/workspacetypes", {"metadata": {"name": "probe"}, "spec": spec}


def workspace_of_a_type(victim: Tenant) -> tuple[str, Body]:
    spec = {"type": {"path": victim.path, "name": victim.marker}}
    return f"{TENANCY}/workspaces", {"metadata": {"name": "probe"}, "spec": spec}


@pytest.mark.parametrize(
    "made",
    [endpoint_slice_of_an_export, binding_to_an_export, type_with_default_bindings, workspace_of_a_type],
    ids=lambda made: made.__name__,
)
async def test_p11_a_reference_to_another_tenant_is_refused_whether_or_not_there_is_such_a_thing(
    world: World, made: Callable[[Tenant], tuple[str, Body]]
):
    answers = []
    for victim in (world.nobody, world.bravo):
        path, body = made(victim)
        answer = await world.alpha.user.ask("POST", world.alpha.base + path, body)
        answers.append((answer.status, unnamed(answer, victim)))
    assert answers[0] == answers[1]
    assert answers[0][0] == 403


async def test_p11_a_type_that_extends_another_tenant_s_cannot_be_used_and_does_not_tell_whether_there_is_one(
    world: World,
):
    answers = []
    for victim in (world.bravo, world.nobody):
        name = f"extends-{victim.name}"
        spec = {"extend": {"with": [{"path": victim.path, "name": victim.marker}]}}
        types, spaces = (f"{world.alpha.base}{TENANCY}/{plural}" for plural in ("workspacetypes", "workspaces"))
        await world.alpha.user.must("POST", types, {"metadata": {"name": name}, "spec": spec})
        await world.alpha.user.until(f"{types}/{name}", lambda found: found.get("status", {}).get("conditions"))
        told = await world.alpha.user.ask("GET", f"{types}/{name}")
        body = {"metadata": {"name": "probe"}, "spec": {"type": {"path": world.alpha.path, "name": name}}}
        made = await world.alpha.user.ask("POST", spaces, body)
        assert made.status == 403
        answers.append((unnamed(made, victim), status_of(told)))
    assert answers[0] == answers[1]


async def test_p11_a_slice_of_another_tenant_s_cached_resource_leads_nowhere_whether_or_not_it_is_there(world: World):
    user, base = world.alpha.user, world.alpha.base
    told = []
    for number, victim in enumerate((world.bravo, world.nobody)):
        for path in (victim.path, victim.cluster):
            name = f"foreign-{number}-{'path' if path == victim.path else 'name'}"
            spec = {"cachedResource": {"path": path, "name": victim.marker}}
            slices = f"{base}{CACHE}/cachedresourceendpointslices"
            await user.must("POST", slices, {"metadata": {"name": name}, "spec": spec})
            answer = await virtual_things(world, await identity_of(world), name, group=victim.group)
            found = await user.ask("GET", f"{slices}/{name}")
            said = NAMED.sub(b"?", unnamed(answer, victim).replace(name.encode(), b"?"))
            told.append((path == victim.path, said, status_of(found)))
            assert answer.status == 503
            assert answer.status == 503
    assert told[:2] == told[2:]


async def test_p11_an_export_that_names_another_tenant_s_public_identity_shows_nothing(world: World):
    """The hash proves nothing: neither with the name of the other's slice, nor with one of the exporter's own."""
    for endpoint_slice in (world.bravo.marker, world.alpha.marker):
        for group in (world.alpha.group, world.bravo.group):
            answer = await virtual_things(world, await identity_of(world), endpoint_slice, group=group)
            assert answer.status == 503
            assert_nothing_of_bravo(world, answer, endpoint_slice + group + await identity_of(world))


async def test_p11_two_owners_of_one_identity_key_share_no_objects(world: World):
    """However alpha came by bravo's key: the identity is the same, the objects are each one's own."""
    secret = f"{world.bravo.base}/api/v1/namespaces/kcp-system/secrets/{world.bravo.marker}"
    key = (await world.admin.must("GET", secret))["data"]["key"]
    user, base, group = world.alpha.user, world.alpha.base, world.bravo.group
    stolen = {"metadata": {"name": "stolen"}, "data": {"key": key}}
    await user.must("POST", f"{base}/api/v1/namespaces/default/secrets", stolen)
    await define(user, base, group)
    spec = {"group": group, "version": "v1", "resource": "things"}
    spec["identity"] = {"secretRef": {"namespace": "default", "name": "stolen"}}
    cached = f"{base}{CACHE}/cachedresources"
    await user.must("POST", cached, {"metadata": {"name": "stolen"}, "spec": spec})
    found = await user.until(f"{cached}/stolen", phase_is("Ready"))
    assert found["status"]["identityHash"] == await identity_of(world)
    own = {"apiVersion": f"{group}/v1", "kind": "Thing", "metadata": {"name": "own"}}
    await user.must("POST", f"{base}/apis/{group}/v1/things", own)
    await user.until(f"{cached}/stolen", lambda found: found["status"]["resourceCounts"] == {"local": 1, "cache": 1})
    answer = await virtual_things(world, await identity_of(world), "stolen", group=group)
    assert [item["metadata"]["name"] for item in answer.json()["items"]] == ["own"]
    assert_nothing_of_bravo(world, answer, group)
    place = f"/services/replication/{world.alpha.cluster}/stolen/clusters/*/apis/{group}/v1/things"
    assert_nothing_of_bravo(world, await user.ask("GET", place), place)
    counts = (await world.admin.must("GET", f"{world.bravo.base}{CACHE}/cachedresources/{world.bravo.marker}"))[
        "status"
    ]
    assert counts["resourceCounts"] == {"local": 1, "cache": 1}


async def test_p11_an_endpoint_slice_of_a_foreign_kind_opens_nothing_that_its_reader_may_not_open(world: World):
    """Every virtual workspace of this server in its URLs: what mallory asks through one, she asks herself."""
    user, base, other = world.alpha.user, world.alpha.base, world.bravo.cluster
    await define(user, base, "routes.example.com", "routes")
    routes = f"{base}/apis/routes.example.com/v1/routes"
    url = (await world.admin.must("GET", "/clusters/root/apis/core.kcp.io/v1alpha1/shards/root"))["spec"]["baseURL"]
    for number, path in enumerate(
        (
            f"/services/replication/{other}/{world.bravo.marker}",
            f"/services/apiexport/{other}/{world.bravo.marker}",
            f"/services/initializingworkspaces/{other}:{world.bravo.marker}",
            "/services/cache/shards/root",
            f"/clusters/{other}",
            f"/services/replication/{world.alpha.cluster}/{world.alpha.marker}/clusters/{other}/../..",
        )
    ):
        name = f"route-{number}"
        status = {"endpoints": [{"url": f"{url}{path}"}]}
        route = {"apiVersion": "routes.example.com/v1", "kind": "Route", "metadata": {"name": name}, "status": status}
        await user.must("POST", routes, route)
        slice_of = ("routes.example.com", "Route")
        answer = await virtual_things(world, await identity_of(world), name, slice_of=slice_of, group=world.bravo.group)
        assert answer.status in {403, 404, 503}, answer
        assert_nothing_of_bravo(world, answer, path + world.bravo.group)


async def test_p11_a_claim_on_another_tenant_s_resource_shows_only_what_its_own_consumers_have(world: World):
    user, base, marker = world.alpha.user, world.alpha.base, world.bravo.marker
    claim = {"group": world.bravo.group, "resource": "things", "identityHash": await identity_of(world), "verbs": ["*"]}
    claims = [claim, {"group": "", "resource": "configmaps", "verbs": ["*"]}]
    exports = f"{base}{APIS}/v1alpha2/apiexports"
    await user.must("POST", exports, {"metadata": {"name": "claims"}, "spec": {"permissionClaims": claims}})
    accepted = [{**one, "state": "Accepted", "selector": {"matchAll": True}} for one in claims]
    spec = {"reference": {"export": {"path": world.alpha.path, "name": "claims"}}, "permissionClaims": accepted}
    bindings = f"{base}{APIS}/v1alpha2/apibindings"
    await user.must("POST", bindings, {"metadata": {"name": "claims"}, "spec": spec})
    await user.until(f"{bindings}/claims", phase_is("Bound"))
    for at in ("*", world.alpha.cluster, world.bravo.cluster):
        place = f"/services/apiexport/{world.alpha.cluster}/claims/clusters/{at}"
        for path in ("/api/v1/configmaps", f"/apis/{world.bravo.group}/v1/things", f"/apis/{marker}.example.com/v1"):
            assert_nothing_of_bravo(world, await user.ask("GET", place + path), at + path)


async def test_p11_nobody_moves_his_workspace_to_another_s_path_or_has_another_s_workspace_for_his_own(world: World):
    user, base, bravo = world.alpha.user, world.alpha.base, world.bravo
    forged = {"kcp.io/path": bravo.path, "experimental.tenancy.kcp.io/owner": '{"username":"victor"}'}
    one, body = f"{base}{CORE}/logicalclusters/cluster", {"metadata": {"annotations": forged}}
    await user.ask("PATCH", one, body, PATCH)
    apply = {"apiVersion": "core.kcp.io/v1alpha1", "kind": "LogicalCluster", **body}
    await user.ask("PATCH", f"{one}?fieldManager=thief&force=true", apply, {"content-type": APPLY})
    await user.ask("PUT", one, {**(await user.must("GET", one)), **body})
    found = await world.admin.must("GET", f"{bravo.base}{CORE}/logicalclusters/cluster")
    assert found["metadata"]["annotations"]["kcp.io/cluster"] == bravo.cluster
    owner = (await user.must("GET", one))["metadata"]["annotations"].get("experimental.tenancy.kcp.io/owner", "")
    assert "victor" not in owner
    for number, spec in enumerate(({"cluster": bravo.cluster}, {"URL": "https://127.0.0.1/clusters/" + bravo.path})):
        workspace = {"metadata": {"name": f"mine-{number}"}, "spec": {"type": UNIVERSAL, **spec}}
        assert (await user.ask("POST", f"{base}{TENANCY}/workspaces", workspace)).status == 403
    workspace = {"metadata": {"name": "owned", "annotations": forged}, "spec": {"type": UNIVERSAL}}
    made = await user.must("POST", f"{base}{TENANCY}/workspaces", workspace)
    assert "mallory" in made["metadata"]["annotations"]["experimental.tenancy.kcp.io/owner"]


@pytest.mark.parametrize("annotation", ["kcp.io/cluster", "kcp.io/path", "internal.cache.kcp.io/reference-allowed"])
async def test_p11_no_annotation_makes_an_object_another_tenant_s(world: World, annotation: str):
    """Which workspace an object is in decides about much; it is never what the object says of itself."""
    user, marker, forged = world.alpha.user, world.alpha.marker, f"forged-{annotation.replace('/', '-')}"
    lies = {
        annotation: f"{world.bravo.cluster}/{world.bravo.marker}" if "reference" in annotation else world.bravo.cluster
    }
    spec = {"cachedResource": {"path": world.bravo.path, "name": world.bravo.marker}}
    slices = f"{world.alpha.base}{CACHE}/cachedresourceendpointslices"
    made = {"metadata": {"name": forged, "annotations": lies}, "spec": spec}
    await user.ask("POST", slices, made)
    await user.ask("PATCH", f"{slices}/{marker}", {"metadata": {"annotations": lies}}, PATCH)
    cached = f"{world.alpha.base}{CACHE}/cachedresources/{marker}"
    status = {"status": {"identityHash": await identity_of(world)}, "metadata": {"annotations": lies}}
    await user.ask("PATCH", f"{cached}/status", status, PATCH)
    await user.ask("PATCH", cached, {"metadata": {"annotations": lies}}, PATCH)
    for endpoint_slice in (forged, marker):
        for group in (world.alpha.group, world.bravo.group):
            answer = await virtual_things(world, await identity_of(world), endpoint_slice, group=group)
            assert_nothing_of_bravo(world, answer, f"{world.bravo.marker} {await identity_of(world)}")
        for at in ("*", world.alpha.cluster):
            place = f"/services/replication/{world.alpha.cluster}/{marker}/clusters/{at}"
            answer = await user.ask("GET", f"{place}/apis/{world.bravo.group}/v1/things")
            assert_nothing_of_bravo(world, answer, place + world.bravo.group)
    here = (await user.must("GET", cached))["metadata"]["annotations"]
    assert here["kcp.io/cluster"] == world.alpha.cluster


async def test_p11_an_impersonated_user_is_nobody_in_other_workspaces(world: World):
    """As administrator of alpha mallory may be whoever she likes there: it takes her nowhere else."""
    user, base = world.alpha.user, world.alpha.base
    assert (await world.bravo.user.ask("GET", f"{world.bravo.base}/api/v1/configmaps")).status == 200
    for headers in (
        {"impersonate-user": "victor"},
        {"impersonate-user": "root", "impersonate-group": "system:masters"},
        {"impersonate-user": "x", "impersonate-group": "system:kcp:admin"},
        {"impersonate-user": f"system:kcp:serviceaccount:{world.bravo.cluster}:default:default"},
    ):
        for victim in (world.bravo, world.nobody):
            there = await user.ask("GET", f"{victim.base}/api/v1/configmaps", headers=headers)
            assert there.status == 403
            path, body = binding_to_an_export(victim)
            assert (await user.ask("POST", base + path, body, headers)).status == 403
            content = f"/services/apiexport/{victim.cluster}/{victim.marker}/clusters/*/apis/{victim.group}/v1/things"
            assert (await user.ask("GET", content, headers=headers)).status == 403


async def test_p11_a_service_account_of_one_tenant_is_nobody_to_the_other(world: World):
    for name in ("default", "victor"):
        path = f"{world.alpha.base}/api/v1/namespaces/default/serviceaccounts/{name}"
        await world.alpha.user.ask("POST", path.rpartition("/")[0], {"metadata": {"name": name}})
        token = (await world.alpha.user.must("POST", f"{path}/token", {"spec": {}}))["status"]["token"]
        account = world.alpha.user.as_user(token)
        for target in (f"{world.bravo.base}/api/v1/configmaps", "/services/cache/shards/*/clusters/*/api/v1/secrets"):
            assert (await account.ask("GET", target)).status == 403
        assert_nothing_of_bravo(world, await account.ask("GET", "/api/v1/configmaps"))


async def test_p11_a_forged_continue_token_leads_to_no_key_of_another_tenant(world: World):
    user, path = world.alpha.user, f"{world.alpha.base}/api/v1/configmaps"
    await user.must("POST", path.replace("configmaps", "namespaces/default/configmaps"), {"metadata": {"name": "a"}})
    token = (await user.must("GET", f"{path}?limit=1"))["metadata"]["continue"]
    told = orjson.loads(base64.urlsafe_b64decode(token + "=="))
    for forged in _forgeries(told, world):
        text = base64.urlsafe_b64encode(orjson.dumps(forged)).decode().rstrip("=")
        for target in (f"{path}?limit=500&continue={text}", f"{path}?continue={text}"):
            assert_nothing_of_bravo(world, await user.ask("GET", target), target)


def _forgeries(token: Mapping[str, Any], world: World) -> Iterator[Mapping[str, Any]]:
    for key, value in token.items():
        if isinstance(value, str):
            yield {**token, key: value.replace(world.alpha.cluster, world.bravo.cluster)}
            yield {**token, key: value.replace("configmaps", "secrets")}
            yield {**token, key: f"../{world.bravo.cluster}/{value}"}
            yield {**token, key: ""}
        else:
            yield {**token, key: 1}


# -- what these have in common


async def define(user: Http, base: str, group: str, plural: str = "things") -> None:
    """A CRD, once it is served."""
    name, crds = f"{plural}.{group}", f"{base}/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    await user.must("POST", crds, {"metadata": {"name": name}, "spec": crd_spec(group, plural)})
    await user.until(f"{crds}/{name}", is_established)
    await user.until(f"{base}/apis/{group}/v1/{plural}", lambda found: "items" in found)


async def identity_of(world: World) -> str:
    """The public hash of bravo's CachedResource."""
    found = await world.admin.must("GET", f"{world.bravo.base}{CACHE}/cachedresources/{world.bravo.marker}")
    return str(found["status"]["identityHash"])


async def virtual_things(
    world: World,
    identity_hash: str,
    endpoint_slice: str,
    *,
    slice_of: tuple[str, str] = ("cache.kcp.io", "CachedResourceEndpointSlice"),
    group: str,
) -> Answer:
    """What mallory reads in a new workspace of hers that binds an export of hers of things that are behind a slice."""
    user, base, name = world.alpha.user, f"{world.alpha.base}{APIS}", f"c{next(NUMBERS)}"
    schema = f"v1.things.{group}"
    body = {"metadata": {"name": schema}, "spec": schema_spec(group, "things")}
    assert (await user.ask("POST", f"{base}/v1alpha1/apiresourceschemas", body)).status in {201, 409}
    storage = virtual_storage(identity_hash, endpoint_slice, *slice_of)
    entry = {"group": group, "name": "things", "schema": schema, "storage": storage}
    body = {"metadata": {"name": name}, "spec": {"resources": [entry]}}
    await user.must("POST", f"{base}/v1alpha2/apiexports", body)
    await make_workspace(user, f"{world.alpha.path}:{name}")
    consumer = f"/clusters/{world.alpha.path}:{name}"
    bindings = f"{consumer}{APIS}/v1alpha2/apibindings"
    reference = {"reference": {"export": {"path": world.alpha.path, "name": name}}}
    await user.must("POST", bindings, {"metadata": {"name": name}, "spec": reference})
    await user.until(f"{bindings}/{name}", phase_is("Bound"))
    return await user.ask("GET", f"{consumer}/apis/{group}/v1/things")


def assert_nothing_of_bravo(world: World, answer: Answer, asked: str = "") -> None:
    told = set(world.bravo.words.findall(answer.everything)) - set(world.bravo.words.findall(asked.encode()))
    assert not told, answer


def unnamed(answer: Answer, victim: Tenant) -> bytes:
    """Its body without the victim's names."""
    text = answer.body
    for name in (victim.marker, victim.cluster, victim.name):
        text = text.replace(name.encode(), b"?")
    return text


def status_of(answer: Answer) -> list[tuple[str, ...]]:
    """The conditions, without their times, and whether there are endpoints."""
    status = answer.json().get("status", {})
    conditions = [
        tuple(str(condition.get(key, "")) for key in ("type", "status", "reason"))
        for condition in status.get("conditions", ())
    ]
    return [*conditions, ("endpoints", str(bool(status.get("endpoints") or status.get("cachedResourceEndpoints"))))]
