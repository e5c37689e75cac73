"""Four holes that kcp has had, against a real server and over real connections: they stay closed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from real_server import Server, eventually, start_server

TOKENS = "alice-token,alice,u-1\n"
FORGED = {"X-Remote-User": "kcp-admin", "X-Remote-Group": "system:masters", "X-Remote-Extra-Scopes": "x"}
RBAC, APIS = "/apis/rbac.authorization.k8s.io/v1", "/apis/apis.kcp.io"
MERGE_PATCH = {"content-type": "application/merge-patch+json"}
THINGS = "/apis/example.com/v1/things"
THING = {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "a"}}
SCHEMA = {
    "metadata": {"name": "v1.things.example.com"},
    "spec": {
        "group": "example.com",
        "names": {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"},
        "scope": "Cluster",
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"type": "object"}}],
    },
}
EXPORTED = {"group": "example.com", "name": "things", "schema": "v1.things.example.com", "storage": {"crd": {}}}


class Site:
    """A server, the files of a front proxy that it believes, and two workspaces."""

    def __init__(self, server: Server, proxy: tuple[Path, Path]) -> None:
        self.server, self.proxy = server, proxy
        with server.client() as admin:
            self.provider, self.consumer = (self._workspace(admin, name) for name in ("provider", "consumer"))
            subject = {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "alice"}
            role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
            binding = {"metadata": {"name": "alice"}, "roleRef": role, "subjects": [subject]}
            made(admin.post(f"/clusters/{self.consumer}{RBAC}/clusterrolebindings", json=binding))

    @staticmethod
    def _workspace(admin: httpx.Client, name: str) -> str:
        path = "/clusters/root/apis/tenancy.kcp.io/v1alpha1/workspaces"
        made(
            admin.post(path, json={"metadata": {"name": name}, "spec": {"type": {"name": "universal", "path": "root"}}})
        )
        eventually(lambda: admin.get(f"{path}/{name}").json()["status"].get("phase") == "Ready")
        return str(admin.get(f"{path}/{name}").json()["spec"]["cluster"])


def made(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == httpx.codes.CREATED, response.text
    return dict(response.json())


def codes(http: httpx.Client, collection: str, **more: Any) -> set[int]:
    """What every verb on a collection and on an object in it is answered."""
    one, patch = f"{collection}/a", {**more.pop("headers", {}), **MERGE_PATCH}
    return {
        http.get(collection, **more).status_code,
        http.get(one, **more).status_code,
        http.get(collection, params={"watch": "1", "timeoutSeconds": "1"}, **more).status_code,
        http.post(collection, json=THING, **more).status_code,
        http.put(one, json=THING, **more).status_code,
        http.patch(one, json={"metadata": {"labels": {"a": "b"}}}, headers=patch).status_code,
        http.delete(one, **more).status_code,
        http.delete(collection, **more).status_code,
    }


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("holes")
    (folder / "tokens.csv").write_text(TOKENS)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "proxy-ca.crt")
    pair = authority.issue_cert("front.example.com", common_name="front")
    pair.cert_chain_pems[0].write_to_path(folder / "front.crt")
    pair.private_key_pem.write_to_path(folder / "front.key")
    flags = ("--token-auth-file", folder / "tokens.csv", "--requestheader-client-ca-file", folder / "proxy-ca.crt")
    with start_server(folder / "root", *flags) as server:
        yield Site(server, (folder / "front.crt", folder / "front.key"))


def test_unauthenticated_cache_server(site: Site):
    stores = [
        f"/services/cache/shards/{shard}/clusters/{where}{THINGS}" for shard in ("root", "*") for where in ("a", "*")
    ]
    for store in stores:
        with site.server.client(None) as nobody:
            assert codes(nobody, store) <= {401, 403}
            assert nobody.get(store, headers={"Authorization": "Bearer made-up"}).status_code == 401
        for known in ({"token": "alice-token"}, {"user": "kcp-admin"}):
            with site.server.client(**known) as user:
                assert codes(user, store) == {403}
    with site.server.client("shard-admin") as master:
        resources = master.get(f"/services/cache/shards/*/clusters/*{APIS}/v1alpha2/apiexports")
        assert resources.status_code == 200, resources.text


def test_injected_x_remote_headers(site: Site, server: Server):
    secrets = f"/clusters/{site.consumer}/api/v1/secrets"
    for target in (site.server, server):  # the second knows of no front proxy at all
        with target.client(None) as nobody:
            assert nobody.get("/api/v1/secrets", headers=FORGED).status_code in {401, 403}
        with target.client("kcp-admin") as http:
            review = http.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", json={}, headers=FORGED)
            info = made(review)["status"]["userInfo"]
            assert (info["username"], info["groups"]) == ("kcp-admin", ["system:kcp:admin", "system:authenticated"])
            assert http.get("/clusters/*/api/v1/secrets", headers=FORGED).status_code == 403
    with site.server.client(token="alice-token") as alice:
        assert alice.get("/clusters/root/api/v1/secrets", headers=FORGED).status_code == 403
        assert alice.get(secrets).status_code == 200
    with site.server.client(certificate=site.proxy) as proxy:
        assert proxy.get(secrets).status_code == 401
        assert proxy.get(secrets, headers={"X-Remote-User": "alice"}).status_code == 200
        assert proxy.get(secrets, headers={"X-Remote-User": "mallory"}).status_code == 403


def test_writes_through_the_api_export_virtual_workspace_without_a_binding(site: Site):
    content = f"/services/apiexport/{site.provider}/things/clusters"
    with site.server.client("kcp-admin") as admin, site.server.client("shard-admin") as master:
        made(admin.post(f"/clusters/{site.provider}{APIS}/v1alpha1/apiresourceschemas", json=SCHEMA))
        export = {"metadata": {"name": "things"}, "spec": {"resources": [EXPORTED]}}
        made(admin.post(f"/clusters/{site.provider}{APIS}/v1alpha2/apiexports", json=export))

        def closed() -> bool:
            places = [f"{content}/{where}" for where in (site.consumer, site.provider, "root", "system:admin")]
            resources = (THINGS, "/api/v1/namespaces/default/secrets", f"{RBAC}/clusterroles")
            found = {
                code
                for http in (admin, master)
                for place in places
                for r in resources
                for code in codes(http, place + r)
            }
            assert found <= {403, 404}, found
            return True

        eventually(closed)
        reference = {"reference": {"export": {"path": "root:provider", "name": "things"}}}
        bindings = f"/clusters/{site.consumer}{APIS}/v1alpha2/apibindings"
        made(admin.post(bindings, json={"metadata": {"name": "things"}, "spec": reference}))
        bound = f"{content}/{site.consumer}{THINGS}"
        eventually(lambda: admin.post(bound, json=THING).status_code == httpx.codes.CREATED)
        assert admin.delete(f"{bindings}/things").is_success
        eventually(lambda: admin.get(f"{bindings}/things").status_code == httpx.codes.NOT_FOUND)
        assert closed()


def test_impersonation_of_global_groups(site: Site):
    path = f"/clusters/{site.consumer}/api/v1/namespaces"

    def code(http: httpx.Client, *groups: str, at: str = path, user: str = "somebody", **extra: str) -> int:
        headers = [("Impersonate-User", user), *(("Impersonate-Group", group) for group in groups), *extra.items()]
        return http.get(at, headers=headers).status_code

    with site.server.client(token="alice-token") as alice, site.server.client("kcp-admin") as admin:
        for group in ("system:masters", "system:kcp:admin", "system:kcp:anything"):
            assert code(alice, group) == 403
            assert code(alice, "devs", group) == 403
        assert code(admin, "system:masters") == 403
        assert code(admin, "system:kcp:admin") == 200
        assert code(alice, user="alice") == 200
        assert code(alice, user="shard-admin") == 403  # the name without its groups is nobody here
        for elsewhere in ("root", site.provider):
            for user in ("kcp-admin", "shard-admin", "alice"):
                assert code(alice, user=user, at=f"/clusters/{elsewhere}/api/v1/namespaces") == 403
        assert code(alice, at="/clusters/*/api/v1/namespaces") == 403
        scopes = {"Impersonate-Extra-authentication.kcp.io%2Fscopes": f"cluster:{site.provider}"}
        assert code(alice, user="alice", **scopes) == 403
