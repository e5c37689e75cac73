"""CustomResourceDefinitions from creation to their end, with every controller running."""

import asyncio
from collections.abc import Callable

import pytest
from shard_world import CRDS, FLAVORS, Shard, crd_spec

from kcpcache.meta.errors import ForbiddenError, InvalidError
from kcpcache.meta.objects import Object

CRD = "flavors.cloud.example.com"
FLAVORS_V2 = FLAVORS._replace(version="v2")


def condition(obj: Object, kind: str) -> tuple[str, str]:
    found = next((c for c in obj["status"]["conditions"] if c["type"] == kind), {})
    return found.get("status", ""), found.get("reason", "")


async def defined(shard: Shard, *versions: str) -> str:
    cluster = await shard.workspace("work")
    await shard.create(cluster, CRDS, CRD, spec=crd_spec(versions=versions or ("v1",)))
    await shard.settled()
    return cluster


async def test_a_definition_and_each_change_of_it_count_within_a_second(shard: Shard) -> None:
    cluster = await shard.workspace("work")
    await shard.create(cluster, CRDS, CRD, spec=crd_spec(versions=("v1", "v2")))
    await asyncio.sleep(1)
    await shard.flavor(cluster, "small", cpu=8)
    assert await shard.names(cluster, FLAVORS_V2) == ["small"]

    def stricter(crd: Object) -> None:
        cpu = {"type": "integer", "maximum": 4}
        spec = {"type": "object", "properties": {"cpu": cpu}}
        for version in crd["spec"]["versions"]:
            version["schema"]["openAPIV3Schema"] = {"type": "object", "properties": {"spec": spec}}
        crd["spec"]["versions"][1]["served"] = False

    await shard.change(cluster, CRDS, CRD, stricter)
    await asyncio.sleep(1)
    with pytest.raises(InvalidError, match=r"spec\.cpu"):
        await shard.flavor(cluster, "large", cpu=8)
    with pytest.raises(KeyError):
        shard.view(cluster, FLAVORS_V2)
    relabelled = await shard.change(cluster, FLAVORS, "small", lambda obj: obj["metadata"].update(labels={"a": "b"}))
    assert relabelled["spec"]["cpu"] == 8


async def test_of_two_definitions_with_one_kind_the_second_waits_for_the_first_to_go(shard: Shard) -> None:
    cluster = await defined(shard)
    names = {"plural": "flavours", "singular": "flavour", "kind": "Flavor", "listKind": "FlavorList"}
    await shard.create(cluster, CRDS, "flavours.cloud.example.com", spec=crd_spec() | {"names": names})
    await shard.settled()
    second = shard.need(cluster, CRDS, "flavours.cloud.example.com")
    assert condition(second, "NamesAccepted") == ("False", "ListKindConflict")
    assert condition(second, "Established") == ("False", "NotAccepted")
    with pytest.raises(KeyError):
        shard.view(cluster, FLAVORS._replace(resource="flavours"))
    await shard.delete(cluster, CRDS, CRD)
    await shard.settled()
    second = shard.need(cluster, CRDS, "flavours.cloud.example.com")
    assert condition(second, "Established") == ("True", "InitialNamesAccepted")
    assert await shard.names(cluster, FLAVORS._replace(resource="flavours")) == []


async def test_a_name_of_another_group_is_no_conflict(shard: Shard) -> None:
    cluster = await defined(shard)
    await shard.create(cluster, CRDS, "flavors.example.org", spec=crd_spec() | {"group": "example.org"})
    await shard.settled()
    assert condition(shard.need(cluster, CRDS, "flavors.example.org"), "Established")[0] == "True"


async def test_a_definition_ends_with_its_last_object_and_a_new_one_begins_empty(shard: Shard) -> None:
    cluster = await defined(shard)
    await shard.flavor(cluster, "small")
    await shard.create(cluster, FLAVORS, "held", finalizers=["example.com/hold"])
    before = shard.need(cluster, CRDS, CRD)["metadata"]["uid"]
    await shard.delete(cluster, CRDS, CRD)
    await shard.settled()
    assert condition(shard.need(cluster, CRDS, CRD), "Terminating") == ("True", "InstanceDeletionInProgress")
    assert await shard.names(cluster, FLAVORS) == ["held"]
    with pytest.raises(ForbiddenError, match="custom resource definition is terminating"):
        await shard.flavor(cluster, "new")
    await shard.change(cluster, FLAVORS, "held", lambda obj: obj["metadata"].pop("finalizers"))
    await shard.settled()
    assert shard.get(cluster, CRDS, CRD) is None
    with pytest.raises(KeyError):
        shard.view(cluster, FLAVORS)
    await shard.create(cluster, CRDS, CRD, spec=crd_spec(scope="Namespaced"))
    await shard.settled()
    assert shard.need(cluster, CRDS, CRD)["metadata"]["uid"] != before
    assert await shard.names(cluster, FLAVORS) == []


async def test_a_version_may_go_once_nothing_is_said_to_be_stored_in_it(shard: Shard) -> None:
    cluster = await defined(shard, "v1", "v2")
    await shard.flavor(cluster, "small")

    def store_v2(crd: Object) -> None:
        for version in crd["spec"]["versions"]:
            version["storage"] = version["name"] == "v2"

    def only_v2(crd: Object) -> None:
        crd["spec"]["versions"] = [version for version in crd["spec"]["versions"] if version["name"] == "v2"]

    def say_stored(*versions: str) -> Callable[[Object], object]:
        return lambda crd: crd["status"].update(storedVersions=list(versions))

    await shard.change(cluster, CRDS, CRD, store_v2)
    await shard.settled()
    assert shard.need(cluster, CRDS, CRD)["status"]["storedVersions"] == ["v1", "v2"]
    with pytest.raises(InvalidError, match=r'status\.storedVersions\[0\]: Invalid value: "v1": missing from spec'):
        await shard.change(cluster, CRDS, CRD, only_v2)
    with pytest.raises(InvalidError, match="must have the storage version v2"):
        await shard.change(cluster, CRDS, CRD, say_stored("v1"), subresource="status")
    await shard.change(cluster, CRDS, CRD, say_stored("v2"), subresource="status")
    await shard.change(cluster, CRDS, CRD, only_v2)
    await shard.settled()
    with pytest.raises(KeyError):
        shard.view(cluster, FLAVORS)
    (small,) = await shard.objects(cluster, FLAVORS_V2)
    assert (small["apiVersion"], small["metadata"]["name"]) == ("cloud.example.com/v2", "small")
