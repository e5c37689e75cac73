import json

import pytest

CM = "/api/v1/namespaces/default/configmaps"
CT = "/apis/stable.example.com/v1/namespaces/default/crontabs"
TYPED = {"apiVersion": "stable.example.com/v1", "kind": "CronTab"}
MERGE = {"content-type": "application/merge-patch+json"}
APPLY = {"content-type": "application/apply-patch+yaml"}


async def test_a_merge_patch_changes_what_it_names(world):
    await world.create("a", data={"k": "1", "l": "2"})
    response = await world.client.patch(f"{CM}/a", content=b'{"data":{"k":null,"m":"3"}}', headers=MERGE)
    assert (response.status_code, response.json()["data"]) == (200, {"l": "2", "m": "3"})


async def test_a_json_patch_is_applied_in_order_or_not_at_all(world):
    await world.create("a", data={"k": "1"})
    headers = {"content-type": "application/json-patch+json"}
    body = b'[{"op":"test","path":"/data/k","value":"1"},{"op":"replace","path":"/data/k","value":"2"}]'
    assert (await world.client.patch(f"{CM}/a", content=body, headers=headers)).json()["data"] == {"k": "2"}
    assert (await world.client.patch(f"{CM}/a", content=body, headers=headers)).status_code == 422
    assert (await world.client.patch(f"{CM}/a", content=b'{"op":1}', headers=headers)).status_code == 400
    whole = b'[{"op":"replace","path":"","value":["no object"]}]'
    assert (await world.client.patch(f"{CM}/a", content=whole, headers=headers)).status_code == 422
    whole = b'[{"op":"replace","path":"","value":"nothing"}]'
    assert (await world.client.patch(f"{CM}/a", content=whole, headers=headers)).json()["data"] == {"k": "2"}


async def test_a_strategic_merge_patch_is_for_built_in_types_only(world):
    await world.create("a", data={"k": "1"})
    await world.cron_tab("a")
    headers = {"content-type": "application/strategic-merge-patch+json"}
    patched = await world.client.patch(f"{CM}/a", content=b'{"data":{"l":"2"}}', headers=headers)
    assert patched.json()["data"] == {"k": "1", "l": "2"}
    refused = await world.client.patch(f"{CT}/a", content=b"{}", headers=headers)
    assert (refused.status_code, refused.json()["reason"]) == (415, "UnsupportedMediaType")
    assert refused.json()["message"] == (
        "the body of the request was in an unknown format - accepted media types include: "
        "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
    )


async def test_a_patch_without_a_media_type_is_unsupported(world):
    await world.create("a")
    assert (await world.client.patch(f"{CM}/a", content=b"{}")).status_code == 415


async def test_a_patch_that_names_an_old_resource_version_conflicts(world):
    created = await world.create("a")
    version = created["metadata"]["resourceVersion"].encode()
    body = b'{"metadata":{"resourceVersion":"' + version + b'"},"data":{"k":"one"}}'
    assert (await world.client.patch(f"{CM}/a", content=body, headers=MERGE)).status_code == 200
    again = body.replace(b"one", b"two")
    assert (await world.client.patch(f"{CM}/a", content=again, headers=MERGE)).status_code == 409


async def test_a_patch_that_changes_nothing_keeps_the_version(world):
    created = await world.create("a", data={"k": "1"})
    response = await world.client.patch(f"{CM}/a", content=b'{"data":{"k":"1"}}', headers=MERGE)
    assert response.json()["metadata"]["resourceVersion"] == created["metadata"]["resourceVersion"]


@pytest.mark.parametrize(
    "body", [b"[]", b"1", b"{", b"null", b'{"metadata":[]}', b'{"data":[1]}', b'{"metadata":null}']
)
async def test_a_merge_patch_that_leaves_no_object_is_the_client_s_mistake(world, body):
    await world.create("a")
    response = await world.client.patch(f"{CM}/a", content=body, headers=MERGE)
    assert 400 <= response.status_code < 500


async def test_patching_what_is_not_there_is_not_found(world):
    assert (await world.client.patch(f"{CM}/a", content=b"{}", headers=MERGE)).status_code == 404


async def test_repeated_fields_of_a_patch_are_complained_about(world):
    await world.create("a")
    body = b'{"data":{"k":"1","k":"2"}}'
    warned = await world.client.patch(f"{CM}/a", content=body, headers=MERGE)
    assert warned.headers["warning"] == r'299 - "duplicate field \"data.k\""'
    strict = await world.client.patch(f"{CM}/a?fieldValidation=Strict", content=body, headers=MERGE)
    assert strict.status_code == 422
    assert 'strict decoding error: duplicate field "data.k"' in strict.json()["message"]


async def test_what_is_wrong_with_a_patch_is_one_error_about_the_patched_object(world):
    await world.cron_tab("a")
    body = b'{"spec":{"unknown":1,"cronSpec":"x","cronSpec":"y"}}'
    strict = await world.client.patch(f"{CT}/a?fieldValidation=Strict", content=body, headers=MERGE)
    assert (strict.status_code, strict.json()["details"]["causes"][0]["field"]) == (422, "patch")
    assert strict.json()["message"].startswith(' "" is invalid: patch: Invalid value: "{')
    said = 'strict decoding error: duplicate field "spec.cronSpec", unknown field "spec.unknown"'
    assert strict.json()["message"].endswith(said)
    assert "cronSpec" not in (await world.client.get(f"{CT}/a")).json()["spec"]


@pytest.mark.parametrize("kind", ["merge-patch+json", "strategic-merge-patch+json"])
async def test_a_wrong_type_is_a_bad_request_and_in_a_patch_one_invalid_field(world, kind):
    why = "json: cannot unmarshal number into Go struct field ConfigMap.data of type string"
    made = await world.client.post(CM, json={"metadata": {"name": "a"}, "data": {"k": 1}})
    assert (made.status_code, made.json()["message"]) == (
        400,
        f'ConfigMap in version "v1" cannot be handled as a ConfigMap: {why}',
    )
    await world.create("a")
    headers = {"content-type": f"application/{kind}"}
    patched = await world.client.patch(f"{CM}/a", json={"data": {"k": 1}}, headers=headers)
    (cause,) = patched.json()["details"]["causes"]
    assert (patched.status_code, cause["field"]) == (422, "patch")
    assert cause["message"] == f'Invalid value: "{{\\"data\\":{{\\"k\\":1}}}}": {why}'


async def test_operations_of_a_json_patch_are_looked_at_strictly_themselves(world):
    await world.cron_tab("a")
    headers = {"content-type": "application/json-patch+json"}
    body = b"""[{"op":"add","path":"/spec/x","value":1,"foo":2},
        {"op":"add","path":"/spec/y","path":"/spec/z","value":1}]"""
    said = ['json patch unknown field "[0].foo"', 'json patch duplicate field "[1].path"']
    said += ['unknown field "spec.x"', 'unknown field "spec.z"']
    strict = await world.client.patch(f"{CT}/a?fieldValidation=Strict", content=body, headers=headers)
    assert strict.json()["message"].endswith(f"strict decoding error: {', '.join(said)}")
    warned = await world.client.patch(f"{CT}/a", content=body, headers=headers)
    assert [text.replace("\\", "")[7:-1] for text in warned.headers.get_list("warning")] == said


async def test_repeated_fields_of_an_apply_are_named_with_their_line(world):
    body = b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},\n"data":{"k":"1",\n"k":"2"}}'
    strict = await world.client.patch(f"{CM}/a?fieldManager=m&fieldValidation=Strict", content=body, headers=APPLY)
    assert (strict.status_code, strict.json()["message"]) == (
        400,
        (
            "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n"
            '  line 3: key "k" already set in map'
        ),
    )
    warned = await world.client.patch(f"{CM}/a?fieldManager=m", content=body, headers=APPLY)
    assert warned.headers["warning"] == r'299 - "line 3: key \"k\" already set in map"'


async def test_an_apply_creates_then_owns_and_conflicts_with_others(world):
    body = b"apiVersion: stable.example.com/v1\nkind: CronTab\nmetadata:\n  name: a\nspec:\n  cronSpec: one\n"
    created = await world.client.patch(f"{CT}/a?fieldManager=first", content=body, headers=APPLY)
    assert created.status_code == 201, created.text
    (entry,) = created.json()["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"]) == ("first", "Apply")
    other = body.replace(b"one", b"two")
    refused = await world.client.patch(f"{CT}/a?fieldManager=second", content=other, headers=APPLY)
    assert (refused.status_code, refused.json()["details"]["causes"][0]["field"]) == (409, ".spec.cronSpec")
    forced = await world.client.patch(f"{CT}/a?fieldManager=second&force=true", content=other, headers=APPLY)
    assert (forced.status_code, forced.json()["spec"]) == (200, {"cronSpec": "two"})
    again = await world.client.patch(f"{CT}/a?fieldManager=second", content=other, headers=APPLY)
    assert again.json() == forced.json()


@pytest.mark.parametrize(
    ("kind", "patch"),
    [
        ("merge-patch+json", {"metadata": {"uid": "other"}}),
        ("strategic-merge-patch+json", {"metadata": {"uid": "other"}}),
        ("json-patch+json", [{"op": "replace", "path": "/metadata/uid", "value": "other"}]),
    ],
)
async def test_a_patch_cannot_change_the_uid_and_a_put_means_the_object_that_has_it(world, kind, patch):
    made = await world.create("a")
    patched = await world.client.patch(f"{CM}/a", json=patch, headers={"content-type": f"application/{kind}"})
    assert (patched.status_code, patched.json()["message"]) == (
        422,
        'ConfigMap "a" is invalid: metadata.uid: Invalid value: "other": field is immutable',
    )
    put = await world.client.put(f"{CM}/a", json={**made, "metadata": {**made["metadata"], "uid": "other"}})
    assert (put.status_code, put.json()["message"]) == (
        409,
        (
            'Operation cannot be fulfilled on configmaps "a": '
            f"Precondition failed: UID in precondition: other, UID in object meta: {made['metadata']['uid']}"
        ),
    )
    assert (await world.client.get(f"{CM}/a")).json() == made


async def test_a_json_patch_that_cannot_be_applied_says_as_little_as_kube_apiserver(world):
    await world.create("a")
    headers = {"content-type": "application/json-patch+json"}
    patch = [{"op": "test", "path": "/metadata/name", "value": "b"}]
    refused = await world.client.patch(f"{CM}/a", json=patch, headers=headers)
    assert refused.json() == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "the server rejected our request due to an error in our request",
        "reason": "Invalid",
        "details": {},
        "code": 422,
    }


@pytest.mark.parametrize(("text", "at"), [("!!", 0), ("abc", 0), ("YQ==Y", 4), ("Y Q==", 1)])
async def test_what_is_no_base64_cannot_be_decoded(world, text, at):
    why = f"illegal base64 data at input byte {at}"
    made = await world.client.post(CM, json={"metadata": {"name": "a"}, "binaryData": {"k": text}})
    assert (made.status_code, made.json()["message"]) == (
        400,
        f'ConfigMap in version "v1" cannot be handled as a ConfigMap: {why}',
    )
    secrets = CM.replace("configmaps", "secrets")
    made = await world.client.post(secrets, json={"metadata": {"name": "a"}, "data": {"k": text}})
    assert (made.status_code, made.json()["message"]) == (
        400,
        f'Secret in version "v1" cannot be handled as a Secret: {why}',
    )


async def test_what_is_no_quantity_cannot_be_decoded(world):
    path = "/api/v1/namespaces/default/resourcequotas"
    why = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    made = await world.client.post(path, json={"metadata": {"name": "q"}, "spec": {"hard": {"pods": "many"}}})
    assert (made.status_code, made.json()["message"]) == (
        400,
        f'ResourceQuota in version "v1" cannot be handled as a ResourceQuota: {why}',
    )
    assert (await world.client.post(path, json={"metadata": {"name": "q"}, "spec": {"hard": {}}})).status_code == 201
    headers = {"content-type": "application/merge-patch+json"}
    patched = await world.client.patch(f"{path}/q", json={"spec": {"hard": {"pods": "many"}}}, headers=headers)
    (cause,) = patched.json()["details"]["causes"]
    assert (patched.status_code, cause["field"]) == (422, "patch")
    assert cause["message"].endswith(why)


async def test_an_apply_may_name_the_object_and_the_version_that_it_means(world):
    made = (await world.create("a"))["metadata"]

    async def apply(name, **metadata):
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}, "data": {"k": "v"}}
        return await world.client.patch(f"{CM}/{name}?fieldManager=m", json=body, headers=APPLY)

    other = await apply("a", uid="other")
    assert (other.status_code, other.json()["message"]) == (
        422,
        'ConfigMap "a" is invalid: metadata.uid: Invalid value: "other": field is immutable',
    )
    assert (await apply("a", resourceVersion="1000")).status_code == 409
    missing = await apply("b", uid="other")
    assert (missing.status_code, missing.json()["message"]) == (
        409,
        (
            'Operation cannot be fulfilled on configmaps "b": '
            "uid mismatch: the provided object specified uid other, and no existing object was found"
        ),
    )
    assert (await world.client.get(f"{CM}/b")).status_code == 404
    owned = await apply("a", managedFields=[{"manager": "x"}])
    assert (owned.status_code, owned.json()["message"]) == (400, "metadata.managedFields must be nil")
    exact = await apply("a", uid=made["uid"], resourceVersion=made["resourceVersion"], managedFields=None)
    assert (exact.status_code, exact.json()["data"]) == (200, {"k": "v"})


async def test_an_apply_owns_nothing_of_what_its_subresource_does_not_write(world):
    def tab(spec, replicas):
        meta = {"name": "a"}
        status = {"replicas": replicas}
        return {
            "apiVersion": "stable.example.com/v1",
            "kind": "CronTab",
            "metadata": meta,
            "spec": spec,
            "status": status,
        }

    async def apply(url, spec, replicas, manager):
        body = tab({"cronSpec": spec}, replicas)
        answer = await world.client.patch(f"{CT}/a{url}?fieldManager={manager}", json=body, headers=APPLY)
        assert answer.is_success, answer.text
        return answer.json()

    made = await apply("", "one", 1, "author")
    assert "status" not in made
    reported = await apply("/status", "two", 2, "controller")
    assert (reported["spec"], reported["status"]) == ({"cronSpec": "one"}, {"replicas": 2})
    owned = {entry["manager"]: entry["fieldsV1"] for entry in reported["metadata"]["managedFields"]}
    assert owned == {"author": {"f:spec": {"f:cronSpec": {}}}, "controller": {"f:status": {"f:replicas": {}}}}


async def test_a_null_that_an_apply_sends_or_leaves_is_judged_by_the_schema(world):
    """kube-apiserver drops nulls where it decodes an object, which it does not do again after merging."""

    async def apply(spec):
        body = {**TYPED, "metadata": {"name": "a"}, "spec": spec}
        answer = await world.client.patch(f"{CT}/a?fieldManager=m", json=body, headers=APPLY)
        return answer.status_code, answer.json()

    code, said = await apply({"cronSpec": None})
    assert (code, said["details"]["causes"][0]["field"]) == (422, "spec.cronSpec")
    assert 'spec.cronSpec in body must be of type string: "null"' in said["message"]
    assert (await apply({"cronSpec": "one"}))[0] == 201
    code, said = await apply({})
    assert (code, said["details"]["causes"][0]["field"]) == (422, "spec")
    assert (await apply({"replicas": 1}))[1]["spec"] == {"replicas": 1}
    for data in ({"k": "1"}, {}):
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data}
        kept = await world.client.patch(f"{CM}/a?fieldManager=m", json=body, headers=APPLY)
        assert kept.is_success, kept.text
    assert not kept.json().get("data")


async def test_an_apply_of_a_scale_owns_the_replicas_of_the_object(world):
    made = {**TYPED, "metadata": {"name": "a"}, "spec": {"cronSpec": "x"}}
    await world.client.post(f"{CT}?fieldManager=maker", json=made)

    async def apply(replicas, manager, query="", **metadata):
        scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": metadata, "spec": {"replicas": replicas}}
        url = f"{CT}/a/scale?fieldManager={manager}{query}"
        return await world.client.patch(url, json=scale, headers=APPLY)

    scaled = await apply(3, "scaler", name="a")
    assert (scaled.status_code, scaled.json()["kind"], scaled.json()["spec"]) == (200, "Scale", {"replicas": 3})
    found = (await world.client.get(f"{CT}/a")).json()
    assert found["spec"] == {"cronSpec": "x", "replicas": 3}
    (entry,) = [entry for entry in found["metadata"]["managedFields"] if entry["manager"] == "scaler"]
    assert (entry["operation"], entry["subresource"]) == ("Apply", "scale")
    assert (entry["apiVersion"], entry["fieldsV1"]) == ("stable.example.com/v1", {"f:spec": {"f:replicas": {}}})
    refused = await apply(4, "other")
    assert (refused.status_code, refused.json()["details"]["causes"][0]["field"]) == (409, ".spec.replicas")
    assert (await apply(4, "other", "&force=true")).json()["spec"] == {"replicas": 4}
    assert (await apply(5, "other", resourceVersion="1")).status_code == 409
    assert (await apply(5, "other", uid="other")).status_code == 409
    assert (await apply(-1, "other")).status_code == 422
    assert (await apply("5", "other")).status_code == 400
    assert (await apply(5, "")).status_code == 422
    assert (await apply(5, "other", managedFields=[])).status_code == 400
    assert (await world.client.get(f"{CT}/a")).json()["spec"] == {"cronSpec": "x", "replicas": 4}


async def test_a_conflict_about_a_scale_is_one_of_scales(world):
    """Managed fields of the object are shown to it as those of the Scale (apimachinery's ``ScaleHandler``)."""
    made = {**TYPED, "metadata": {"name": "a"}, "spec": {"replicas": 1}}
    await world.client.post(f"{CT}?fieldManager=maker", json=made)
    scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "a"}, "spec": {"replicas": 5}}
    refused = await world.client.patch(f"{CT}/a/scale?fieldManager=m", json=scale, headers=APPLY)
    assert refused.status_code == 409
    status = refused.json()
    assert status["details"]["causes"] == [
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "maker" using autoscaling/v1',
            "field": ".spec.replicas",
        }
    ]
    conflict = 'conflict with "maker" using autoscaling/v1: .spec.replicas'
    assert status["message"] == f"Apply failed with 1 conflict: {conflict}"


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"kind: Scale",
        b"[]",
        b"kind: CronTab\napiVersion: stable.example.com/v1",
        b"kind: Scale\napiVersion: autoscaling/v1\nspec: 5",
        b"kind: Scale\napiVersion: autoscaling/v1\nspec: []",
    ],
)
async def test_an_apply_of_what_is_no_scale_is_a_bad_request(world, body):
    await world.cron_tab("a", replicas=1)
    response = await world.client.patch(f"{CT}/a/scale?fieldManager=m", content=body, headers=APPLY)
    assert (response.status_code, response.json()["kind"]) == (400, "Status")
    missing = await world.client.patch(f"{CT}/b/scale?fieldManager=m", content=b"{}", headers=APPLY)
    assert missing.status_code == 404


async def test_an_apply_needs_a_field_manager_and_only_an_apply_may_force(world):
    body = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
    nameless = await world.client.patch(f"{CM}/a", content=body, headers=APPLY)
    assert nameless.status_code == 422
    assert nameless.json()["details"]["causes"][0]["message"] == "Required value: is required for apply patch"
    await world.create("a")
    assert (await world.client.patch(f"{CM}/a?force=true", content=b"{}", headers=MERGE)).status_code == 422


async def test_an_apply_that_creates_needs_the_right_to_create(world):
    world.denied.add(("create", "configmaps"))
    body = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
    assert (await world.client.patch(f"{CM}/a?fieldManager=m", content=body, headers=APPLY)).status_code == 403
    assert (await world.client.get(f"{CM}/a")).status_code == 404


async def test_the_field_manager_is_the_client_s_name_where_none_is_given(world):
    made = {**TYPED, "metadata": {"name": "a"}, "spec": {"cronSpec": "x"}}
    await world.client.post(CT, json=made, headers={"user-agent": "kubectl/v1.33"})
    found = (await world.client.get(f"{CT}/a")).json()
    assert [entry["manager"] for entry in found["metadata"]["managedFields"]] == ["kubectl"]


@pytest.mark.parametrize(("body", "kind"), [("[1]", "array"), ('"x"', "string"), ("1", "number"), ("true", "bool")])
async def test_a_merge_patch_that_is_no_object_is_refused_in_the_decoders_words(world, body, kind):
    await world.create("a")
    refused = (await world.client.patch(f"{CM}/a", content=body, headers=MERGE)).json()
    why = f"json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
    assert (refused["code"], refused["message"]) == (400, f"error decoding patch: {why}")
    nothing = (await world.client.patch(f"{CM}/a", content="null", headers=MERGE)).json()
    assert (nothing["code"], nothing["message"]) == (400, "Invalid JSON Patch")


async def test_an_apply_that_creates_does_not_mind_the_version_it_names(world):
    body = {**TYPED, "metadata": {"name": "a", "resourceVersion": "7"}, "spec": {"cronSpec": "x"}}
    made = await world.client.patch(f"{CT}/a?fieldManager=m", json=body, headers=APPLY)
    assert made.status_code == 201
    stale = await world.client.patch(f"{CT}/a?fieldManager=m", json=body, headers=APPLY)
    assert stale.status_code == 409


async def test_a_patched_custom_object_that_cannot_be_is_shown_with_its_members_in_order(world):
    await world.cron_tab("a")
    live = (await world.client.get(f"{CT}/a")).json()
    for query, patch, why in (
        (
            "",
            {"metadata": {"labels": 1}},
            "json: cannot unmarshal number into Go struct field ObjectMeta.labels of type ",
        ),
        ("?fieldValidation=Strict", {"spec": {"x": 1}}, 'strict decoding error: unknown field "spec.x"'),
    ):
        refused = (await world.client.patch(f"{CT}/a{query}", json=patch, headers=MERGE)).json()
        (cause,) = refused["details"]["causes"]
        assert why in cause["message"]
        quoted, _ = json.JSONDecoder().raw_decode(cause["message"].removeprefix("Invalid value: "))
        shown = json.loads(quoted)
        assert list(shown) == sorted(shown)
        assert shown["metadata"]["resourceVersion"] == live["metadata"]["resourceVersion"]


@pytest.mark.parametrize(("verb", "code"), [("PATCH", 422), ("PUT", 400)])
async def test_a_write_of_a_scale_is_told_what_scales_do_not_have(world, verb, code):
    await world.cron_tab("a", replicas=1)
    headers = MERGE if verb == "PATCH" else {"content-type": "application/json"}

    async def write(query):
        body = {"metadata": {"name": "a"}, "spec": {"replicas": 2, "count": 1}}
        return await world.client.request(verb, f"{CT}/a/scale{query}", json=body, headers=headers)

    assert (await write("")).headers["warning"] == '299 - "unknown field \\"spec.count\\""'
    assert "warning" not in (await write("?fieldValidation=Ignore")).headers
    strict = await write("?fieldValidation=Strict")
    assert strict.status_code == code
    assert 'strict decoding error: unknown field "spec.count"' in strict.json()["message"]


@pytest.mark.parametrize("path", [CM, CT], ids=["ConfigMap", "CronTab"])
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (MERGE, b"{"),
        (MERGE, b"[]"),
        (MERGE, b'{"metadata":1}'),
        ({"content-type": "application/json-patch+json"}, b"{"),
        ({"content-type": "application/json-patch+json"}, b'{"op":"add"}'),
    ],
)
async def test_a_patch_that_is_none_is_refused_only_where_there_is_an_object(world, path, kind, body):
    """store.Update of kube-apiserver 1.33.5 says that there is no object before UpdatedObject reads the patch."""
    assert (await world.client.patch(f"{path}/a", content=body, headers=kind)).status_code == 404
    typed = TYPED if path == CT else {}
    assert (await world.client.post(path, json={**typed, "metadata": {"name": "a"}})).status_code == 201
    assert (await world.client.patch(f"{path}/a", content=body, headers=kind)).status_code in {400, 422}
