import re
from pathlib import Path

import pytest

import kcpcache
from kcpcache.meta.virtual_resources import (
    CACHED_RESOURCE,
    CACHED_RESOURCES,
    ENDPOINT_SLICE,
    ENDPOINT_SLICES,
    CachedResourceReference,
    Exported,
    NotExported,
    Refusal,
    VirtualReference,
    cached_resource_reference,
    exported_cached_resource,
    group_version_resource_of,
    is_endpoint_slice,
    virtual_reference,
)

HASH = "676a1a997f7507fdfcfd1fcf35920efdff1297cd215cad4f486220c30a5c7090"


def meta(name, cluster="provider"):
    return {"name": name, "annotations": {"kcp.io/cluster": cluster}}


def entry(*, group="cloud.example.com", name="flavors", identity=HASH, **reference):
    reference = {"apiGroup": "cache.kcp.io", "kind": "CachedResourceEndpointSlice", "name": "slice"} | reference
    return {"group": group, "name": name, "storage": {"virtual": {"reference": reference, "identityHash": identity}}}


def endpoint_slice(name="slice", cluster="provider", **reference):
    return {"metadata": meta(name, cluster), "spec": {"cachedResource": {"name": "flavors-v1"} | reference}}


def cached_resource(name="flavors-v1", cluster="provider", identity=HASH, **spec):
    spec = {"group": "cloud.example.com", "version": "v1", "resource": "flavors"} | spec
    return {"metadata": meta(name, cluster), "spec": spec, "status": {"identityHash": identity} if identity else {}}


EXPORT = {"metadata": meta("cloud")}


def refusal(*args, **kwargs):
    result = exported_cached_resource(EXPORT, *args, **kwargs)
    assert isinstance(result, NotExported), "it was exported"
    assert result.message
    return result.reason


def test_an_entry_exports_the_cached_resource_that_its_slice_resolves_to():
    found = cached_resource()
    assert exported_cached_resource(EXPORT, entry(), endpoint_slice(), found) == Exported(found)


def test_a_path_to_the_exports_own_workspace_needs_no_permission():
    result = exported_cached_resource(EXPORT, entry(), endpoint_slice(path="root:provider"), cached_resource())
    assert isinstance(result, Exported)


def test_a_cached_resource_being_deleted_is_still_the_one_that_is_exported():
    found = cached_resource()
    found["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert isinstance(exported_cached_resource(EXPORT, entry(), endpoint_slice(), found), Exported)


@pytest.mark.parametrize("storage", [None, {}, {"crd": {}}, {"virtual": None}])
def test_without_virtual_storage_nothing_is_exported(storage):
    plain = {"group": "cloud.example.com", "name": "flavors", "storage": storage}
    assert refusal(plain, endpoint_slice(), cached_resource()) is Refusal.NOT_VIRTUAL


@pytest.mark.parametrize("reference", [{"kind": "Other"}, {"apiGroup": "other.io"}, {"apiGroup": None}, {"kind": ""}])
def test_a_reference_to_another_kind_exports_no_cached_resource(reference):
    assert refusal(entry(**reference), endpoint_slice(), cached_resource()) is Refusal.OTHER_KIND


@pytest.mark.parametrize(
    "found", [None, endpoint_slice(name="other"), endpoint_slice(cluster="stranger"), {"metadata": {}, "spec": {}}]
)
def test_a_slice_that_is_not_there_or_not_the_exports_own_is_unknown(found):
    result = exported_cached_resource(EXPORT, entry(), found, cached_resource())
    assert result.reason is Refusal.UNKNOWN_ENDPOINT_SLICE
    assert "reference is to an unknown endpoint slice" in result.message


@pytest.mark.parametrize("allowed", [False, True])
@pytest.mark.parametrize(
    ("slice_path", "found"), [("", None), ("", cached_resource("other")), ("", cached_resource(cluster="stranger"))]
)
def test_a_slice_that_resolves_to_nothing_or_to_another_object_exports_nothing(slice_path, found, allowed):
    where = endpoint_slice(path=slice_path)
    assert refusal(entry(), where, found, reference_allowed=allowed) is Refusal.UNKNOWN_CACHED_RESOURCE


def test_a_cached_resource_of_another_workspace_is_exported_only_if_the_slices_creator_could_read_it():
    where, found = endpoint_slice(path="root:stranger"), cached_resource(cluster="stranger")
    assert refusal(entry(), where, found) is Refusal.UNKNOWN_CACHED_RESOURCE
    assert exported_cached_resource(EXPORT, entry(), where, found, reference_allowed=True) == Exported(found)


@pytest.mark.parametrize("other", [entry(group="other.io"), entry(name="sizes"), entry(group="")])
def test_the_group_resource_must_agree(other):
    assert refusal(other, endpoint_slice(), cached_resource()) is Refusal.GROUP_RESOURCE_MISMATCH


@pytest.mark.parametrize(("given", "recorded"), [("other", HASH), ("", HASH), (HASH, ""), ("", ""), (None, None)])
def test_the_identity_hash_must_agree_and_empty_ones_never_do(given, recorded):
    result = exported_cached_resource(
        EXPORT, entry(identity=given), endpoint_slice(), cached_resource(identity=recorded)
    )
    assert result.reason is Refusal.IDENTITY_MISMATCH
    assert HASH not in result.message or given == HASH


@pytest.mark.parametrize("broken", [{}, {"spec": None}, {"metadata": None, "spec": []}])
def test_broken_objects_export_nothing_and_raise_nothing(broken):
    assert isinstance(exported_cached_resource(broken, broken, broken, broken), NotExported)
    assert isinstance(exported_cached_resource(EXPORT, entry(), broken, broken), NotExported)
    assert isinstance(exported_cached_resource(EXPORT, entry(), endpoint_slice(), broken), NotExported)


def test_references_are_read_from_the_wire_form():
    assert virtual_reference(entry()) == VirtualReference("cache.kcp.io", "CachedResourceEndpointSlice", "slice", HASH)
    assert is_endpoint_slice(virtual_reference(entry()))
    assert not is_endpoint_slice(virtual_reference(entry(kind="Other")))
    assert cached_resource_reference(endpoint_slice(path="root:p")) == CachedResourceReference("root:p", "flavors-v1")
    assert group_version_resource_of(cached_resource(version="")) == ("cloud.example.com", "", "flavors")


def test_the_names_of_the_kinds_are_in_one_place():
    """Later versions of kcp call them ClusterCachedResource and so on (kcp-compat): both can be served one day."""
    names = {CACHED_RESOURCES.resource, ENDPOINT_SLICES.resource, CACHED_RESOURCE, ENDPOINT_SLICE}
    literal = re.compile(rf"""["']({"|".join(names)})["']""")
    package = Path(kcpcache.__file__).parent
    files = {str(path.relative_to(package)) for path in package.rglob("*.py") if literal.search(path.read_text())}
    assert files == {"meta/virtual_resources.py"}
