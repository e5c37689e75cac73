import pytest

from kcpcache.api.discovery import aggregated_version

V2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
V2BETA1 = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"


@pytest.mark.parametrize(
    ("accept", "version"),
    [
        (f"{V2},{V2BETA1},application/json", "v2"),
        (f"{V2BETA1},application/json", "v2beta1"),
        (f"application/json,{V2}", ""),
        (f"{V2};q=0.1,application/json;q=0.9", ""),
        ("application/json;g=apidiscovery.k8s.io;v=v3;as=APIGroupDiscoveryList,application/json", ""),
        ("*/*", ""),
        ("", ""),
    ],
)
def test_aggregated_discovery_is_for_those_who_prefer_it_in_the_version_they_know(accept, version):
    assert aggregated_version(accept) == version


async def test_core_and_named_groups_are_listed_apart(world):
    core = (await world.client.get("/api")).json()
    assert (core["kind"], core["versions"]) == ("APIVersions", ["v1"])
    groups = (await world.client.get("/clusters/root/apis")).json()
    assert groups["kind"] == "APIGroupList"
    found = {group["name"]: group for group in groups["groups"]}
    assert "" not in found
    assert found["stable.example.com"]["preferredVersion"] == {"groupVersion": "stable.example.com/v1", "version": "v1"}
    assert (await world.client.get("/apis/stable.example.com")).json()["versions"] == [
        {"groupVersion": "stable.example.com/v1", "version": "v1"},
        {"groupVersion": "stable.example.com/v1beta1", "version": "v1beta1"},
    ]


async def test_a_group_version_lists_resources_and_subresources_with_their_verbs(world):
    document = (await world.client.get("/apis/stable.example.com/v1")).json()
    assert (document["kind"], document["groupVersion"]) == ("APIResourceList", "stable.example.com/v1")
    crontabs, scale, status = document["resources"]
    assert crontabs == {
        "name": "crontabs",
        "singularName": "crontab",
        "namespaced": True,
        "kind": "CronTab",
        "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        "shortNames": ["ct"],
        "categories": ["all"],
        "storageVersionHash": crontabs["storageVersionHash"],
    }
    assert len(crontabs["storageVersionHash"]) == 12
    assert (scale["name"], scale["group"], scale["version"], scale["kind"]) == (
        "crontabs/scale",
        "autoscaling",
        "v1",
        "Scale",
    )
    assert (status["name"], status["kind"], status["verbs"]) == (
        "crontabs/status",
        "CronTab",
        ["get", "patch", "update"],
    )


@pytest.mark.parametrize("path", ["/apis/no.such.group", "/apis/stable.example.com/v9", "/api/v2", "/apis/core/v1"])
async def test_what_is_not_served_is_not_found(world, path):
    response = await world.client.get(path)
    assert (response.status_code, response.json()["kind"]) == (404, "Status")


@pytest.mark.parametrize(("accept", "version"), [(V2, "v2"), (V2BETA1, "v2beta1")])
async def test_aggregated_discovery_says_everything_at_once_with_an_etag(world, accept, version):
    response = await world.client.get("/apis", headers={"accept": accept})
    assert response.headers["content-type"] == accept.replace("application/json;", "application/json;")
    document = response.json()
    assert (document["kind"], document["apiVersion"]) == ("APIGroupDiscoveryList", f"apidiscovery.k8s.io/{version}")
    group = next(item for item in document["items"] if item["metadata"]["name"] == "stable.example.com")
    assert [found["version"] for found in group["versions"]] == ["v1", "v1beta1"]
    (resource,) = group["versions"][0]["resources"]
    assert resource["responseKind"] == {"group": "stable.example.com", "version": "v1", "kind": "CronTab"}
    assert resource["scope"] == "Namespaced"
    assert [sub["subresource"] for sub in resource["subresources"]] == ["scale", "status"]
    core = (await world.client.get("/api", headers={"accept": accept})).json()
    assert [item["metadata"].get("name", "") for item in core["items"]] == [""]
    assert (response.headers["cache-control"], response.headers["vary"]) == ("no-cache, private", "Accept")
    tag = response.headers["etag"]
    same = await world.client.get("/apis", headers={"accept": accept, "if-none-match": tag})
    assert (same.status_code, same.content) == (304, b"")
    assert "content-length" not in same.headers
    assert "content-type" not in same.headers
    other = await world.client.get("/apis", headers={"accept": accept, "if-none-match": '"other"'})
    assert other.status_code == 200


async def test_aggregated_discovery_tells_the_kinds_of_built_in_types_as_kube_apiserver_does(world):
    (core,) = (await world.client.get("/api", headers={"accept": V2})).json()["items"]
    resources = {found["resource"]: found for found in core["versions"][0]["resources"]}
    assert resources["serviceaccounts"] == {
        "resource": "serviceaccounts",
        "responseKind": {"group": "", "version": "", "kind": "ServiceAccount"},
        "scope": "Namespaced",
        "singularResource": "serviceaccount",
        "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        "shortNames": ["sa"],
        "subresources": [
            {
                "subresource": "token",
                "responseKind": {"group": "authentication.k8s.io", "version": "v1", "kind": "TokenRequest"},
                "verbs": ["create"],
            }
        ],
    }


async def test_kubernetes_own_groups_come_before_all_others(world):
    aggregated = (await world.client.get("/apis", headers={"accept": V2})).json()["items"]
    listed = (await world.client.get("/apis")).json()["groups"]
    names = [item["metadata"]["name"] for item in aggregated]
    assert names == [group["name"] for group in listed]
    assert names[:8] == [
        "events.k8s.io",
        "authentication.k8s.io",
        "authorization.k8s.io",
        "certificates.k8s.io",
        "rbac.authorization.k8s.io",
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "coordination.k8s.io",
    ]
    assert names[8:] == sorted(names[8:])


async def test_discovery_is_no_table(world):
    table = "application/json;as=Table;v=v1;g=meta.k8s.io"
    assert (await world.client.get("/apis", headers={"accept": table})).status_code == 406
    assert (await world.client.get("/apis", headers={"accept": f"{table},application/json"})).status_code == 200


async def test_a_read_only_resource_offers_no_writes(world):
    (flavors,) = (await world.client.get("/apis/cloud.example.com/v1")).json()["resources"]
    assert flavors["verbs"]
    for method in ("POST", "DELETE"):
        response = await world.client.request(method, "/apis/cloud.example.com/v1/flavors", json={})
        assert response.status_code == 405
        assert "read-only" in response.json()["message"]
        assert 'APIExport "cloud"' in response.json()["message"]
