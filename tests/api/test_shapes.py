import pytest

CM = "/api/v1/namespaces/default/configmaps"
CT = "/apis/stable.example.com/v1/namespaces/default/crontabs"
TABLE = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}
METADATA_LIST = {"accept": "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"}
METADATA = {"accept": "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"}


async def test_a_table_has_the_printer_columns_and_a_cell_for_each(world):
    made = await world.cron_tab("a", cronSpec="* *", replicas=3, tags=["x", "y"])
    status = {**made, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    await world.client.put(f"{CT}/a/status", json=status)
    table = (await world.client.get(CT, headers=TABLE)).json()
    assert (table["kind"], table["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert [(column["name"], column["priority"]) for column in table["columnDefinitions"]] == [
        ("Name", 0),
        ("Spec", 0),
        ("Replicas", 1),
        ("Ready", 0),
        ("Tags", 0),
        ("Age", 0),
    ]
    (row,) = table["rows"]
    assert row["cells"] == ["a", "* *", 3, "True", '["x","y"]', "0s"]
    assert row["object"]["kind"] == "PartialObjectMetadata"
    assert row["object"]["metadata"]["name"] == "a"
    assert "spec" not in row["object"]


async def test_cells_without_a_value_are_null(world):
    await world.cron_tab("a")
    (row,) = (await world.client.get(f"{CT}/a", headers=TABLE)).json()["rows"]
    assert row["cells"] == ["a", None, None, None, None, "0s"]


@pytest.mark.parametrize(
    ("include", "shown"),
    [("None", None), ("Object", "ConfigMap"), ("Metadata", "PartialObjectMetadata"), ("", "PartialObjectMetadata")],
)
async def test_rows_carry_as_much_of_the_object_as_is_asked_for(world, include, shown):
    await world.create("a")
    (row,) = (await world.client.get(f"{CM}?includeObject={include}", headers=TABLE)).json()["rows"]
    assert (row["object"] or {}).get("kind") == shown


async def test_any_other_include_is_a_bad_request(world):
    refused = await world.client.get(f"{CM}?includeObject=All", headers=TABLE)
    assert (refused.status_code, refused.json()["message"]) == (400, 'unrecognized includeObject value: "All"')
    assert (await world.client.get(f"{CM}?includeObject=All")).status_code == 200


async def test_writes_answer_in_the_form_that_is_asked_for_and_a_status_stays_one(world):
    for headers, kind in ((TABLE, "Table"), (METADATA, "PartialObjectMetadata")):
        created = await world.client.post(CM, json={"metadata": {"name": "a"}}, headers=headers)
        assert (created.status_code, created.json()["kind"]) == (201, kind)
        body = {"metadata": {"name": "a"}, "data": {"k": "v"}}
        assert (await world.client.put(f"{CM}/a", json=body, headers=headers)).json()["kind"] == kind
        merge = {**headers, "content-type": "application/merge-patch+json"}
        assert (await world.client.patch(f"{CM}/a", json={"data": {}}, headers=merge)).json()["kind"] == kind
        assert (await world.client.delete(f"{CM}/a", headers=headers)).json()["kind"] == "Status"
        missing = (await world.client.get(f"{CM}/a", headers=headers)).json()
        assert (missing["kind"], missing["code"]) == ("Status", 404)


async def test_a_table_of_many_objects_is_paged_like_a_list(world):
    for name in "abc":
        await world.create(name)
    table = (await world.client.get(f"{CM}?limit=2", headers=TABLE)).json()
    assert len(table["rows"]) == 2
    assert table["metadata"]["remainingItemCount"] == 1


async def test_an_old_table_is_made_for_those_who_know_only_that(world):
    headers = {"accept": "application/json;as=Table;v=v1beta1;g=meta.k8s.io"}
    table = (await world.client.get(CM, headers=headers)).json()
    assert (table["apiVersion"], table["rows"]) == ("meta.k8s.io/v1beta1", [])


async def test_partial_metadata_has_the_metadata_and_nothing_else(world):
    created = await world.create("a", data={"k": "v"})
    found = (await world.client.get(f"{CM}/a", headers=METADATA)).json()
    assert found == {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": created["metadata"],
    }
    listed = (await world.client.get(CM, headers=METADATA_LIST)).json()
    assert listed["kind"] == "PartialObjectMetadataList"
    assert listed["items"] == [found]


async def test_a_list_is_no_object_and_an_object_no_list_in_metadata_either(world):
    await world.create("a")
    listed = await world.client.get(CM, headers=METADATA)
    assert (listed.status_code, listed.json()["message"]) == (
        406,
        "you requested PartialObjectMetadata, but the requested object is a list (*core.ConfigMapList)",
    )
    one = await world.client.get(f"{CM}/a", headers=METADATA_LIST)
    assert (one.status_code, one.json()["message"]) == (
        406,
        "you requested PartialObjectMetadataList, but the requested object is not a list (*core.ConfigMap)",
    )
    custom = await world.client.get("/apis/stable.example.com/v1/crontabs", headers=METADATA)
    assert custom.json()["message"].endswith("is a list (*unstructured.UnstructuredList)")
    assert (await world.client.post(CM, json={"metadata": {"name": "b"}}, headers=METADATA_LIST)).status_code == 406
    assert (await world.client.get(f"{CM}/b")).status_code == 404


async def test_a_form_that_is_not_known_is_not_acceptable(world):
    headers = {"accept": "application/vnd.kubernetes.protobuf"}
    response = await world.client.get(CM, headers=headers)
    assert (response.status_code, response.json()["reason"]) == (406, "NotAcceptable")


async def test_what_a_dry_run_made_has_no_version(world):
    made = await world.client.post(f"{CM}?dryRun=All", json={"metadata": {"name": "a"}})
    assert "resourceVersion" not in made.json()["metadata"]
    table = await world.client.post(f"{CM}?dryRun=All", json={"metadata": {"name": "a"}}, headers=TABLE)
    assert table.json()["metadata"] == {}
