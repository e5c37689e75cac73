import gzip

import orjson
import pytest

INVALID = "invalid resource version"
CM = "/api/v1/namespaces/default/configmaps"
CT = "/apis/stable.example.com/v1/namespaces/default/crontabs"
TYPED = {"apiVersion": "stable.example.com/v1", "kind": "CronTab"}
JSON = {"content-type": "application/json"}


async def test_create_answers_201_with_the_object_and_get_shows_it_in_its_cluster(world):
    created = await world.create("a", data={"k": "v"})
    response = await world.client.get(f"{CM}/a")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json() == created
    assert created["kind"] == "ConfigMap"
    assert created["metadata"]["annotations"]["kcp.io/cluster"] == "root"


async def test_clusters_are_apart_and_found_by_path_and_by_name(world):
    await world.create("a")
    assert (await world.client.get(f"/clusters/root{CM}/a")).status_code == 200
    assert (await world.client.get(f"/clusters/ws{CM}/a")).status_code == 404
    assert (await world.client.get(f"/clusters/root:ws{CM}")).json()["items"] == []
    assert (await world.client.get(f"/clusters/nowhere{CM}")).status_code == 404


async def test_a_wildcard_lists_all_clusters_and_does_nothing_else(world):
    await world.create("a")
    await world.client.post(f"/clusters/ws{CM}", json={"metadata": {"name": "b"}})
    items = (await world.client.get("/clusters/*/api/v1/configmaps")).json()["items"]
    assert [item["metadata"]["annotations"]["kcp.io/cluster"] for item in items] == ["root", "ws"]
    for method, path in (("GET", f"{CM}/a"), ("POST", CM), ("DELETE", f"{CM}/a"), ("PUT", f"{CM}/a")):
        response = await world.client.request(method, f"/clusters/*{path}", json={})
        assert response.status_code == 405


async def test_update_replaces_and_an_old_resource_version_conflicts(world):
    created = await world.create("a", data={"k": "1"})
    updated = await world.client.put(f"{CM}/a", json={**created, "data": {"k": "2"}})
    assert (updated.status_code, updated.json()["data"]) == (200, {"k": "2"})
    stale = await world.client.put(f"{CM}/a", json={**created, "data": {"k": "3"}})
    assert (stale.status_code, stale.json()["reason"]) == (409, "Conflict")


async def test_an_update_creates_only_types_that_kubernetes_lets_it_create(world):
    assert (await world.client.put(f"{CM}/new", json={"metadata": {"name": "new"}})).status_code == 404
    leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases/new"
    created = await world.client.put(leases, json={"metadata": {"name": "new"}, "spec": {}})
    assert created.status_code == 201, created.text
    world.denied.add(("create", "leases"))
    other = await world.client.put(leases.replace("new", "other"), json={"metadata": {"name": "other"}})
    assert other.status_code == 403


async def test_delete_answers_a_status_with_the_uid_or_the_object_that_finalizers_hold(world):
    created = await world.create("a")
    status = (await world.client.delete(f"{CM}/a")).json()
    assert status["status"] == "Success"
    assert status["details"] == {"name": "a", "kind": "configmaps", "uid": created["metadata"]["uid"]}
    held = {"metadata": {"name": "b", "finalizers": ["example.com/hold"]}}
    await world.client.post(CM, json=held)
    answer = (await world.client.delete(f"{CM}/b")).json()
    assert answer["kind"] == "ConfigMap"
    assert answer["metadata"]["deletionTimestamp"]


async def test_delete_options_come_in_the_body_or_in_the_query(world):
    created = await world.create("a")
    wrong = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": "other"}}
    assert (await world.client.request("DELETE", f"{CM}/a", json=wrong)).status_code == 409
    assert (await world.client.delete(f"{CM}/a?propagationPolicy=Sideways")).status_code == 422
    assert (await world.client.delete(f"{CM}/a?dryRun=All")).status_code == 200
    assert (await world.client.get(f"{CM}/a")).status_code == 200
    right = {"preconditions": {"uid": created["metadata"]["uid"]}}
    assert (await world.client.request("DELETE", f"{CM}/a", json=right)).status_code == 200
    both = {"propagationPolicy": "Orphan", "orphanDependents": True}
    assert (await world.client.request("DELETE", f"{CM}/a", json=both)).status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        {"kind": []},
        {"kind": "Other"},
        {"dryRun": [1]},
        {"dryRun": "Some"},
        {"propagationPolicy": []},
        {"preconditions": {"uid": [1]}},
        {"propagationPolicy": [1]},
        {"gracePeriodSeconds": "x"},
        [],
    ],
)
async def test_delete_options_of_the_wrong_types_are_the_client_s_mistake(world, body):
    await world.create("a")
    for path in (f"{CM}/a", CM):
        response = await world.client.request("DELETE", path, json=body)
        assert response.status_code < 500


@pytest.mark.parametrize("path", ["/a", ""])
async def test_a_policy_that_there_is_not_and_an_older_way_to_say_it_are_refused_together(world, path):
    await world.create("a")
    policy = (
        'propagationPolicy: Unsupported value: "Bad": supported values: "Foreground", "Background", "Orphan", "nil"'
    )
    refused = await world.client.delete(f"{CM}{path}?propagationPolicy=Bad")
    assert refused.json()["message"] == f'DeleteOptions.meta.k8s.io "" is invalid: {policy}'
    both = 'propagationPolicy: Invalid value: "Bad": orphanDependents and deletionPropagation cannot be both set'
    refused = await world.client.delete(f"{CM}{path}?propagationPolicy=Bad&orphanDependents=false")
    assert refused.json()["message"] == f'DeleteOptions.meta.k8s.io "" is invalid: [{both}, {policy}]'
    assert (await world.client.delete(f"{CM}{path}?gracePeriodSeconds=x")).status_code == 400
    assert (await world.client.delete(f"{CM}{path}?gracePeriodSeconds=-1")).status_code == 200


async def test_deletecollection_takes_pages_and_refuses_what_a_list_refuses(world):
    for name in "abc":
        await world.create(name)
    assert (await world.client.delete(f"{CM}?resourceVersionMatch=Exact")).status_code == 422
    assert (await world.client.delete(f"{CM}?labelSelector=bad!!")).status_code == 400
    first = (await world.client.delete(f"{CM}?limit=2")).json()
    assert [item["metadata"]["name"] for item in first["items"]] == ["a", "b"]
    rest = await world.client.delete(CM, params={"limit": 2, "continue": first["metadata"]["continue"]})
    assert [item["metadata"]["name"] for item in rest.json()["items"]] == ["c"]
    await world.create("d")
    selected = (await world.client.delete(f"{CM}?fieldSelector=metadata.name%3Dx")).json()
    assert selected["items"] == []


async def test_deletecollection_deletes_what_the_selector_matches_and_lists_it(world):
    await world.create("a", metadata={"name": "a", "labels": {"x": "1"}})
    await world.create("b")
    response = await world.client.delete(f"{CM}?labelSelector=x=1")
    assert [item["metadata"]["name"] for item in response.json()["items"]] == ["a"]
    assert [item["metadata"]["name"] for item in (await world.client.get(CM)).json()["items"]] == ["b"]


@pytest.mark.parametrize("match", ["", "&resourceVersionMatch=NotOlderThan"])
async def test_a_list_of_any_version_has_no_pages(world, match):
    """kube-apiserver answers ``resourceVersion=0`` from its watch cache, and takes no notice of a limit there."""
    for name in ("a", "b", "c"):
        labelled = {"metadata": {"name": name, "labels": {"odd": str(name != "b")}}}
        assert (await world.client.post(CM, json=labelled)).status_code == 201
    listed = (await world.client.get(f"{CM}?limit=2&resourceVersion=0{match}")).json()
    assert [item["metadata"]["name"] for item in listed["items"]] == ["a", "b", "c"]
    assert {"continue", "remainingItemCount"}.isdisjoint(listed["metadata"])
    selected = (await world.client.get(f"{CM}?limit=1&resourceVersion=0{match}&labelSelector=odd=True")).json()
    assert len(selected["items"]) == 2
    page = (await world.client.get(f"{CM}?limit=2")).json()
    token = page["metadata"]["continue"]
    rest = (await world.client.get(f"{CM}?limit=1&resourceVersion=0&continue={token}")).json()
    assert [item["metadata"]["name"] for item in rest["items"]] == ["c"]
    newer = page["metadata"]["resourceVersion"]
    paged = (await world.client.get(f"{CM}?limit=1&resourceVersion={newer}&resourceVersionMatch=NotOlderThan")).json()
    assert len(paged["items"]) == 1
    assert paged["metadata"]["remainingItemCount"] == 2


async def test_a_list_has_its_kind_its_revision_and_pages_that_fit_together(world):
    for name in "abc":
        await world.create(name)
    first = (await world.client.get(f"{CM}?limit=2")).json()
    assert first["kind"] == "ConfigMapList"
    assert first["apiVersion"] == "v1"
    assert first["metadata"]["remainingItemCount"] == 1
    second = (await world.client.get(CM, params={"limit": 2, "continue": first["metadata"]["continue"]})).json()
    names = [item["metadata"]["name"] for item in first["items"] + second["items"]]
    assert names == ["a", "b", "c"]
    assert "continue" not in second["metadata"]
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


@pytest.mark.parametrize(
    "query",
    [
        "limit=x",
        "limit=",
        "timeoutSeconds=x",
        "watch=1&timeoutSeconds=x",
        "watch=1&limit=x",
        f"limit={'9' * 40}",
        "resourceVersion=x",
        "resourceVersion=-5",
        "continue=nonsense",
        "labelSelector=a%3D%3D%3D",
        "fieldSelector=%3D",
        "fieldSelector=spec.unknown%3D1",
        "continue=x&resourceVersion=5",
    ],
)
async def test_list_parameters_that_cannot_be_read_are_a_bad_request(world, query):
    response = await world.client.get(f"{CM}?{query}")
    assert (response.status_code, response.json()["kind"]) == (400, "Status")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("limit=x", 'strconv.ParseInt: parsing "x": invalid syntax'),
        (f"limit={2**63}", f'strconv.ParseInt: parsing "{2**63}": value out of range'),
        ("labelSelector=bad!!", "unable to parse requirement: found '!', expected: in, notin, =, ==, !=, gt, lt"),
        ("continue=x&resourceVersion=5", "specifying resource version is not allowed when using continue"),
        (
            "resourceVersion=abc",
            f'{INVALID}: resourceVersion: Invalid value: "abc": strconv.ParseUint: parsing "abc": invalid syntax',
        ),
    ],
)
async def test_what_cannot_be_read_of_a_list_is_told_in_kubes_words(world, query, message):
    assert (await world.client.get(f"{CM}?{query}")).json()["message"] == message


@pytest.mark.parametrize("query", ["limit=-1", "timeoutSeconds=-5", "allowWatchBookmarks=true", "pretty=true"])
async def test_what_means_nothing_to_a_list_is_passed_over(world, query):
    for name in "ab":
        await world.create(name)
    assert len((await world.client.get(f"{CM}?{query}")).json()["items"]) == 2


@pytest.mark.parametrize("duration", ["abc", "1", "s", "1y", "-", "1s1", "9" * 10_000])
async def test_a_timeout_that_is_no_duration_is_a_bad_request(world, duration):
    response = await world.client.get(CM, params={"timeout": duration})
    assert response.status_code == 400
    assert response.json()["message"].startswith(
        f'invalid timeout specified in the request URL - time: invalid duration "{duration[:40]}'
    )


@pytest.mark.parametrize("duration", ["0", "10s", "1h2m", "1.5s", "-1s", ".5m", ""])
async def test_a_timeout_is_a_duration_in_gos_form(world, duration):
    assert (await world.client.get(CM, params={"timeout": duration})).status_code == 200


@pytest.mark.parametrize("version", ["abc", "-1"])
async def test_what_excludes_each_other_is_told_before_what_is_no_version(world, version):
    both = await world.client.get(CM, params={"resourceVersion": version, "resourceVersionMatch": "Bad"})
    assert both.status_code == 422
    token = await world.client.get(CM, params={"resourceVersion": version, "continue": "x"})
    assert token.json()["message"] == "specifying resource version is not allowed when using continue"
    assert (await world.client.get(CM, params={"resourceVersion": version})).status_code == 400


@pytest.mark.parametrize(
    ("query", "causes"),
    [
        (
            "resourceVersionMatch=Sometimes&continue=x",
            [
                "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided",
                "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when continue is provided",
                'resourceVersionMatch: Unsupported value: "Sometimes": supported values: "Exact", "NotOlderThan", ""',
            ],
        ),
        (
            "resourceVersionMatch=Exact&resourceVersion=0&sendInitialEvents=false",
            [
                'resourceVersionMatch: Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"',
                "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list",
            ],
        ),
        (
            "watch=1&sendInitialEvents=true&resourceVersionMatch=Exact",
            [
                (
                    "resourceVersionMatch: Forbidden: "
                    "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
                ),
                'resourceVersionMatch: Unsupported value: "Exact": supported values: "NotOlderThan"',
            ],
        ),
        (
            "watch=1&resourceVersionMatch=NotOlderThan&continue=x",
            [
                (
                    "resourceVersionMatch: Forbidden: "
                    "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
                ),
                "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when continue is provided",
            ],
        ),
    ],
)
async def test_all_that_excludes_each_other_is_told_at_once(world, query, causes):
    status = (await world.client.get(f"{CM}?{query}")).json()
    assert status["message"] == f'ListOptions.meta.k8s.io "" is invalid: [{", ".join(causes)}]'
    assert (status["reason"], len(status["details"]["causes"])) == ("Invalid", len(causes))


@pytest.mark.parametrize(
    "query",
    [
        "resourceVersionMatch=Exact",
        "resourceVersionMatch=Exact&resourceVersion=0",
        "resourceVersionMatch=Sometimes&resourceVersion=1",
        "resourceVersionMatch=NotOlderThan&resourceVersion=1&continue=x",
        "sendInitialEvents=true",
        "watch=1&resourceVersionMatch=NotOlderThan&resourceVersion=1",
        "watch=1&sendInitialEvents=true",
        "watch=1&sendInitialEvents=true&resourceVersionMatch=Exact&resourceVersion=1",
    ],
)
async def test_list_parameters_that_exclude_each_other_are_invalid(world, query):
    response = await world.client.get(f"{CM}?{query}")
    assert (response.status_code, response.json()["reason"]) == (422, "Invalid")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("dryRun=Some", "dryRun"),
        ("dryRun=", "dryRun"),
        ("fieldValidation=Perhaps", "fieldValidation"),
        (f"fieldManager={'m' * 129}", "fieldManager"),
        ("fieldManager=a%0ab", "fieldManager"),
    ],
)
async def test_write_options_are_checked(world, query, field):
    response = await world.client.post(f"{CM}?{query}", json={"metadata": {"name": "a"}})
    assert response.status_code == 422
    assert [cause["field"] for cause in response.json()["details"]["causes"]] == [field]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("dryRun=Some", 'dryRun: Unsupported value: []string{"Some"}: supported values: "All"'),
        (f"fieldManager={'m' * 129}", "fieldManager: Too long: may not be more than 128 bytes"),
        (
            "fieldManager=%C3%A4%00b",
            'fieldManager: Invalid value: "ä\\x00b": invalid character U+0000 (at position 2)',
        ),
        (
            "fieldValidation=No",
            'fieldValidation: Unsupported value: "No": supported values: "", "Ignore", "Strict", "Warn"',
        ),
    ],
)
async def test_what_is_wrong_with_write_options_is_told_in_kubes_words(world, query, message):
    response = await world.client.post(f"{CM}?{query}", json={"metadata": {"name": "a"}})
    assert response.json()["message"] == f'CreateOptions.meta.k8s.io "" is invalid: {message}'


async def test_a_dry_run_answers_and_stores_nothing(world):
    response = await world.client.post(f"{CM}?dryRun=All", json={"metadata": {"name": "a"}})
    assert response.status_code == 201
    assert (await world.client.get(f"{CM}/a")).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "kind", "change"),
    [
        ("PUT", f"{CT}/a", "json", {"spec": {"replicas": 7}}),
        ("PUT", f"{CT}/a/status", "json", {"status": {"replicas": 7}}),
        ("PUT", f"{CT}/a/scale", "json", None),
        ("PATCH", f"{CT}/a", "merge-patch+json", {"spec": {"replicas": 7}}),
        ("PATCH", f"{CT}/a", "json-patch+json", [{"op": "add", "path": "/spec/replicas", "value": 7}]),
        ("PATCH", f"{CT}/a/status", "merge-patch+json", {"status": {"replicas": 7}}),
        ("PATCH", f"{CT}/a/scale", "merge-patch+json", {"spec": {"replicas": 7}}),
        ("PATCH", f"{CT}/a?fieldManager=m&force=1", "apply-patch+yaml", {"spec": {"replicas": 7}}),
        ("PATCH", f"{CM}/c", "strategic-merge-patch+json", {"data": {"k": "v"}}),
        ("DELETE", f"{CT}/a", "json", {}),
        ("DELETE", CT, "json", {}),
    ],
)
async def test_a_dry_run_of_any_way_to_write_stores_nothing(world, method, path, kind, change):
    made = await world.cron_tab("a", replicas=1)
    await world.create("c")
    if change is None:
        change = {**(await world.client.get(path)).json(), "spec": {"replicas": 7}}
    if method == "PUT":
        change = {**made, **change}
    if kind.startswith("apply"):
        change = {"apiVersion": made["apiVersion"], "kind": made["kind"], "metadata": {"name": "a"}, **change}
    before = await world.caches.store.revision()
    query = "&dryRun=All" if "?" in path else "?dryRun=All"
    answer = await world.client.request(
        method, f"{path}{query}", json=change, headers={"content-type": f"application/{kind}"}
    )
    assert answer.is_success, answer.text
    assert await world.caches.store.revision() == before


async def test_unknown_and_repeated_fields_are_warned_about_refused_or_ignored(world):
    def body(name: str) -> bytes:
        typed = b'"apiVersion":"stable.example.com/v1","kind":"CronTab"'
        spec = b'{"cronSpec":"a","cronSpec":"b","extra":1}'
        return b'{%b,"metadata":{"name":"%b"},"spec":%b}' % (typed, name.encode(), spec)

    warned = await world.client.post(CT, content=body("a"), headers=JSON)
    assert warned.status_code == 201
    assert warned.headers.get_list("warning") == [
        r'299 - "duplicate field \"spec.cronSpec\""',
        r'299 - "unknown field \"spec.extra\""',
    ]
    strict = await world.client.post(f"{CT}?fieldValidation=Strict", content=body("b"), headers=JSON)
    assert (strict.status_code, strict.json()["message"]) == (
        400,
        (
            'CronTab in version "v1" cannot be handled as a CronTab: strict decoding error: '
            'duplicate field "spec.cronSpec", unknown field "spec.extra"'
        ),
    )
    ignored = await world.client.post(f"{CT}?fieldValidation=Ignore", content=body("c"), headers=JSON)
    assert "warning" not in ignored.headers


async def test_what_strict_decoding_says_of_a_built_in_type_is_in_the_order_of_the_text(world):
    body = b"""{"x":{"y":1,"y":2},"metadata":{"name":"b","name":"a","odd":1},"data":{"k":"1","k":"2"},"z":1,"z":2}"""
    strict = await world.client.post(f"{CM}?fieldValidation=Strict", content=body, headers=JSON)
    said = ['unknown field "x"', 'duplicate field "metadata.name"', 'unknown field "metadata.odd"']
    said += ['duplicate field "data.k"', 'unknown field "z"']
    assert strict.json()["message"].endswith(f": strict decoding error: {', '.join(said)}")
    warned = await world.client.post(CM, content=body, headers=JSON)
    assert [text.replace("\\", "")[7:-1] for text in warned.headers.get_list("warning")] == said


async def test_repeated_keys_of_yaml_are_one_error_before_the_unknown_fields(world):
    body = "metadata:\n  name: a\n  name: a\nspec:\n  cronSpec: x\n  cronSpec: y\n  extra: 1\n"
    body += "kind: CronTab\napiVersion: stable.example.com/v1\n"
    headers = {"content-type": "application/yaml"}
    strict = await world.client.post(f"{CT}?fieldValidation=Strict", content=body, headers=headers)
    assert strict.json()["message"].endswith(
        'strict decoding error: yaml: unmarshal errors:\n  line 3: key "name" already set in map\n'
        '  line 6: key "cronSpec" already set in map, unknown field "spec.extra"'
    )


async def test_a_yaml_body_is_as_good_as_json(world):
    headers = {"content-type": "application/yaml"}
    response = await world.client.post(CM, content="metadata:\n  name: a\ndata:\n  k: v\n", headers=headers)
    assert (response.status_code, response.json()["data"]) == (201, {"k": "v"})


async def test_a_deprecated_version_says_so_in_every_answer(world):
    response = await world.client.get("/apis/stable.example.com/v1beta1/namespaces/default/crontabs")
    assert response.headers["warning"] == r'299 - "use \"v1\", please"'


async def test_status_and_spec_are_written_apart(world):
    created = await world.cron_tab("a", replicas=1)
    changed = {**created, "spec": {"replicas": 9}, "status": {"replicas": 5}}
    assert (await world.client.put(f"{CT}/a/status", json=changed)).json()["spec"] == {"replicas": 1}
    found = (await world.client.get(f"{CT}/a/status")).json()
    assert (found["spec"], found["status"]) == ({"replicas": 1}, {"replicas": 5})


async def test_scale_shows_and_writes_the_replicas_of_any_object(world):
    await world.cron_tab("a", replicas=1)
    scale = (await world.client.get(f"{CT}/a/scale")).json()
    assert (scale["kind"], scale["apiVersion"], scale["spec"]) == ("Scale", "autoscaling/v1", {"replicas": 1})
    put = await world.client.put(f"{CT}/a/scale", json={**scale, "spec": {"replicas": 2}})
    assert (put.status_code, put.json()["spec"]) == (200, {"replicas": 2})
    stale = await world.client.put(f"{CT}/a/scale", json={**scale, "spec": {"replicas": 7}})
    assert stale.status_code == 409
    patched = await world.client.patch(
        f"{CT}/a/scale", content=b'{"spec":{"replicas":3}}', headers={"content-type": "application/merge-patch+json"}
    )
    assert patched.json()["spec"] == {"replicas": 3}
    assert (await world.client.get(f"{CT}/a")).json()["spec"] == {"replicas": 3}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"spec": {"replicas": -1}}, 422),
        ({"spec": {"replicas": 2**31}}, 422),
        ({"spec": {"replicas": "3"}}, 400),
        ({"spec": {"replicas": True}}, 400),
        ({"spec": []}, 400),
        ({"kind": "CronTab", "apiVersion": "v1", "spec": {}}, 400),
        ({"metadata": {"name": "other"}}, 400),
        ({"metadata": []}, 400),
        ({"metadata": {"name": [1]}}, 400),
        ({"kind": [1]}, 400),
        ({"metadata": {"uid": "other"}, "spec": {"replicas": 1}}, 409),
    ],
)
async def test_a_scale_that_cannot_be_is_refused(world, body, code):
    await world.cron_tab("a", replicas=1)
    assert (await world.client.put(f"{CT}/a/scale", json=body)).status_code == code


async def test_finalize_writes_a_namespace_s_finalizers_and_metadata_but_not_its_status(world):
    """namespaceFinalizeStrategy.PrepareForUpdate puts back the status and nothing else."""
    made = await world.client.post("/api/v1/namespaces", json={"metadata": {"name": "ns", "labels": {"y": "1"}}})
    assert made.status_code == 201, made.text
    meta = {"name": "ns", "labels": {"x": "1"}, "annotations": {"a": "1"}, "creationTimestamp": "2001-01-01T00:00:00Z"}
    body = {"metadata": meta, "spec": {"finalizers": ["example.com/a"]}, "status": {"phase": "Terminating"}}
    found = (await world.client.put("/api/v1/namespaces/ns/finalize", json=body)).json()
    assert found["spec"]["finalizers"] == ["example.com/a"]
    assert found["metadata"]["labels"] == {"x": "1", "kubernetes.io/metadata.name": "ns"}
    assert found["metadata"]["annotations"]["a"] == "1"
    assert found["metadata"]["creationTimestamp"] == made.json()["metadata"]["creationTimestamp"]
    assert found["status"] == {"phase": "Active"}


async def test_the_status_of_a_namespace_is_written_apart(world):
    made = (await world.client.post("/api/v1/namespaces", json={"metadata": {"name": "ns"}})).json()
    condition = {"type": "NamespaceContentRemaining", "status": "True", "reason": "SomeResourcesRemain"}
    status = {"phase": "Active", "conditions": [condition]}
    changed = {**made, "spec": {"finalizers": ["example.com/a"]}, "status": status}
    put = await world.client.put("/api/v1/namespaces/ns/status", json=changed)
    assert (put.status_code, put.json()["status"]["conditions"]) == (200, [condition])
    found = (await world.client.get("/api/v1/namespaces/ns/status")).json()
    assert (found["spec"], found["status"]["conditions"]) == (made["spec"], [condition])
    main = await world.client.put("/api/v1/namespaces/ns", json={**found, "status": {"phase": "Active"}})
    assert main.json()["status"]["conditions"] == [condition]


async def test_reviews_and_tokens_are_answered_and_not_stored(world):
    url = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    response = await world.client.post(f"/clusters/root:ws{url}", json={"spec": {}}, headers={"x-user": "jane"})
    assert response.status_code == 201
    assert response.json()["status"] == {"resource": "selfsubjectaccessreviews", "user": "jane", "cluster": "ws"}
    assert (response.json()["kind"], response.json()["apiVersion"]) == (
        "SelfSubjectAccessReview",
        "authorization.k8s.io/v1",
    )
    assert (await world.client.get(url)).status_code == 405
    local = "/apis/authorization.k8s.io/v1/namespaces/default/localsubjectaccessreviews"
    answer = await world.client.post(local, json={"spec": {}})
    assert answer.json()["metadata"] == {"namespace": "default"}
    token = await world.client.post("/api/v1/namespaces/default/serviceaccounts/a/token", json={})
    assert token.status_code == 201


async def test_a_large_list_comes_in_pieces_compressed_where_that_is_accepted(world):
    for index in range(40):
        await world.create(f"n{index:02}", data={"k": "x" * 10_000})
    plain = await world.client.get(CM, headers={"accept-encoding": "identity"})
    assert "content-length" not in plain.headers
    assert "content-encoding" not in plain.headers
    assert [item["metadata"]["name"] for item in plain.json()["items"]] == [f"n{index:02}" for index in range(40)]
    async with world.client.stream("GET", CM, headers={"accept-encoding": "gzip"}) as packed:
        assert packed.headers["content-encoding"] == "gzip"
        raw = b"".join([chunk async for chunk in packed.aiter_raw()])
    assert orjson.loads(gzip.decompress(raw)) == plain.json()


async def test_a_small_answer_is_not_compressed(world):
    await world.create("a")
    response = await world.client.get(CM, headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in response.headers
    assert response.headers["content-length"]


async def test_a_request_with_a_compressed_body_is_understood(world):
    body = gzip.compress(b'{"metadata":{"name":"a"}}')
    response = await world.client.post(CM, content=body, headers={**JSON, "content-encoding": "gzip"})
    assert response.status_code == 201


async def test_head_is_get_without_a_body(world):
    await world.create("a")
    assert (await world.client.head(f"{CM}/a")).status_code == 200
    assert (await world.client.head(f"{CM}/b")).status_code == 404


@pytest.mark.parametrize("subresource", ["", "/status"])
async def test_a_custom_object_is_only_replaced_over_a_version_that_is_named(world, subresource):
    made = await world.cron_tab("a", replicas=1)
    del made["metadata"]["resourceVersion"]
    path = f"/apis/stable.example.com/v1/namespaces/default/crontabs/a{subresource}"
    answer = await world.client.put(path, json=made)
    assert answer.status_code == 422
    assert "metadata.resourceVersion: Invalid value: 0x0: must be specified for an update" in answer.json()["message"]
    assert answer.json()["details"]["kind"] == "crontabs"
    for metadata in ({"name": "b"}, {"namespace": "other"}, {"name": ""}):
        elsewhere = await world.client.put(path, json={**made, "metadata": {**made["metadata"], **metadata}})
        assert elsewhere.status_code == 400, "whose object it is comes first"


async def test_a_config_map_may_be_replaced_whatever_its_version(world):
    made = await world.create("a")
    del made["metadata"]["resourceVersion"]
    answer = await world.client.put("/api/v1/namespaces/default/configmaps/a", json={**made, "data": {"b": "c"}})
    assert (answer.status_code, answer.json()["data"]) == (200, {"b": "c"})


async def test_a_list_warns_of_what_it_leaves_out_since_it_cannot_be_read(world):
    await world.create("whole")
    await world.caches.store.create("/registry/core/configmaps/root/default/damaged", b"no object")
    answer = await world.client.get("/api/v1/namespaces/default/configmaps")
    assert [item["metadata"]["name"] for item in answer.json()["items"]] == ["whole"]
    assert answer.headers["warning"] == '299 - "1 configmaps cannot be read and are left out"'
    assert "warning" not in (await world.client.get("/api/v1/namespaces/other/configmaps")).headers


@pytest.mark.parametrize("subresource", ["scale", "other"])
async def test_a_subresource_that_a_version_lacks_is_not_found_under_the_objects_name(world, subresource):
    """As in apiextensions-apiserver, whether or not the object is there; built-in types have no such path."""
    url = CT.replace("/v1/", "/v1beta1/")
    answer = (await world.client.get(f"{url}/a/{subresource}")).json()
    assert (answer["code"], answer["message"]) == (404, 'crontabs.stable.example.com "a" not found')
    answer = (await world.client.get(f"{CM}/a/{subresource}")).json()
    assert (answer["code"], answer["message"]) == (404, "the server could not find the requested resource")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"metadata": {"name": "a", "labels": 1}}, "cannot unmarshal number into Go struct field ObjectMeta.labels"),
        ({"metadata": {"name": "a"}, "spec": {"x": 1}}, 'strict decoding error: unknown field "spec.x"'),
    ],
)
async def test_what_cannot_be_an_object_replaces_none_whether_or_not_there_is_one(world, body, why):
    refused = await world.client.put(f"{CT}/a?fieldValidation=Strict", json={**TYPED, **body})
    assert refused.status_code == 400
    assert why in refused.json()["message"]


async def test_an_object_that_replaces_none_is_warned_of_what_its_type_does_not_have(world):
    missing = await world.client.put(f"{CT}/a", json={**TYPED, "metadata": {"name": "a"}, "spec": {"x": 1}})
    assert (missing.status_code, missing.headers["warning"]) == (404, '299 - "unknown field \\"spec.x\\""')


async def test_the_name_of_what_is_being_deleted_is_taken(world):
    meta = {"name": "a", "finalizers": ["x.io/f"]}
    await world.client.post(CT, json={"apiVersion": "stable.example.com/v1", "kind": "CronTab", "metadata": meta})
    await world.client.delete(f"{CT}/a")
    body = {"apiVersion": "stable.example.com/v1", "kind": "CronTab", "metadata": {"name": "a"}}
    for query in ("", "?dryRun=All"):
        taken = (await world.client.post(f"{CT}{query}", json=body)).json()
        why = 'object is being deleted: crontabs.stable.example.com "a" already exists'
        assert (taken["reason"], taken["message"]) == ("AlreadyExists", why)


async def test_a_deprecated_version_says_so_whatever_is_asked_of_it(world):
    url = CT.replace("/v1/", "/v1beta1/")
    for answer in (await world.client.get(f"{url}/a/other"), await world.client.delete(f"{url}/a")):
        assert (answer.status_code, answer.headers["warning"]) == (404, '299 - "use \\"v1\\", please"')


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/apis/coordination.k8s.io/v1/namespaces/default/leases/a", 201),
        ("/api/v1/namespaces/default/limitranges/a", 201),
        ("/api/v1/namespaces/default/resourcequotas/a", 404),
        ("/api/v1/namespaces/default/serviceaccounts/a", 404),
    ],
)
async def test_an_update_creates_what_its_strategy_lets_it_create_whatever_version_it_names(world, path, code):
    """``AllowCreateOnUpdate`` of Kubernetes 1.33; a version is one of what is there."""
    body = {"metadata": {"name": "a", "resourceVersion": "7"}, "spec": {}}
    body |= {"spec": {"limits": []}} if "limitranges" in path else {}
    body = {"metadata": body["metadata"]} if "serviceaccounts" in path else body
    assert (await world.client.put(path, json=body)).status_code == code
    if code == 201:
        assert (await world.client.put(path, json=body)).status_code == 409


async def test_a_service_account_may_be_replaced_without_a_version(world):
    url = "/api/v1/namespaces/default/serviceaccounts"
    await world.client.post(url, json={"metadata": {"name": "a"}})
    assert (await world.client.put(f"{url}/a", json={"metadata": {"name": "a"}})).status_code == 200


async def test_a_secret_whose_plain_items_are_no_text_is_refused(world):
    body = {"metadata": {"name": "a"}, "stringData": {"k": 1}}
    refused = await world.client.post("/api/v1/namespaces/default/secrets", json=body)
    assert refused.status_code == 400
    assert "cannot unmarshal number into Go struct field Secret.stringData of type string" in refused.json()["message"]


async def test_a_secret_whose_data_is_none_is_refused_though_plain_data_would_take_its_place(world):
    body = {"metadata": {"name": "a"}, "data": {"k": "!"}, "stringData": {"k": "v"}}
    refused = await world.client.post("/api/v1/namespaces/default/secrets", json=body)
    assert refused.status_code == 400
    assert "illegal base64 data at input byte 0" in refused.json()["message"]


async def test_a_lease_is_stored_without_what_coordinated_election_has(world):
    spec = {"strategy": "OldestEmulationVersion", "preferredHolder": "x", "holderIdentity": "y"}
    url = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
    made = await world.client.post(url, json={"metadata": {"name": "a"}, "spec": spec})
    assert made.json()["spec"] == {"holderIdentity": "y"}
    patched = await world.client.patch(
        f"{url}/a", json={"spec": spec}, headers={"content-type": "application/merge-patch+json"}
    )
    assert patched.json()["spec"] == {"holderIdentity": "y"}


async def test_the_preconditions_of_a_namespaces_deletion_have_words_of_their_own(world):
    await world.client.post("/api/v1/namespaces", json={"metadata": {"name": "ns"}})
    live = (await world.client.get("/api/v1/namespaces/ns")).json()["metadata"]
    for key, name, found in (
        ("uid", "UID", live["uid"]),
        ("resourceVersion", "ResourceVersion", live["resourceVersion"]),
    ):
        body = {"preconditions": {key: "1000"}}
        refused = (await world.client.request("DELETE", "/api/v1/namespaces/ns", json=body)).json()
        why = f"Precondition failed: {name} in precondition: 1000, {name} in object meta: {found}"
        assert refused["message"] == f'Operation cannot be fulfilled on namespaces "ns": {why}'


@pytest.mark.parametrize("nothing", [None, ""])
async def test_a_kind_that_is_nothing_can_be_told_from_the_url(world, nothing):
    """Of built-in types; a custom object must name both."""
    body = {"apiVersion": nothing, "kind": nothing, "metadata": {"name": "a"}}
    made = await world.client.post(CM, json=body)
    assert (made.status_code, made.json()["apiVersion"], made.json()["kind"]) == (201, "v1", "ConfigMap")
    assert (await world.client.post(CT, json=body)).status_code == 400
