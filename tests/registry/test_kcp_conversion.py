"""APIExport and APIBinding there and back again between v1alpha1 and v1alpha2."""

import json
from copy import deepcopy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kcpcache.registry.kcp import CONVERSIONS, RULES
from kcpcache.registry.kcp.conversion import API_BINDINGS, API_EXPORTS, V1ALPHA1, V1ALPHA2
from kcpcache.registry.system import kcp_definitions

VERSIONS = {V1ALPHA1: "v1alpha1", V1ALPHA2: "v1alpha2"}
EXPORT_CLAIMS = "apis.v1alpha2.kcp.io/permission-claims"
OLD_CLAIMS = "apis.v1alpha2.kcp.io/v1alpha1-permission-claims"
BINDING_CLAIMS = "apis.v1alpha2.kcp.io/acceptable-permission-claims"
RESOURCES = "apis.v1alpha2.kcp.io/resource-schemas"
ANNOTATIONS = (
    RESOURCES,
    EXPORT_CLAIMS,
    OLD_CLAIMS,
    BINDING_CLAIMS,
    "apis.v1alpha2.kcp.io/status-export-permission-claims",
    "apis.v1alpha2.kcp.io/v1alpha1-status-applied-permission-claims",
)
MATCH_ALL = {"matchAll": True}


def convert(key, obj, version):
    return CONVERSIONS[key](deepcopy(obj), version)


def errors(key, obj):
    """What the API would say of a write of ``obj``, after defaults."""
    definition = kcp_definitions()[key]
    schema = definition.version(VERSIONS[obj["apiVersion"]]).schema
    checked = deepcopy(obj)
    assert schema.prune(checked) == []
    schema.default(checked)
    definition.rules.default(checked)
    return [error.message for error in schema.validate(checked) or definition.rules.validate(checked)]


def export(version, annotations=None, **spec):
    metadata = {"name": "e"} | ({"annotations": annotations} if annotations else {})
    return {"apiVersion": version, "kind": "APIExport", "metadata": metadata, "spec": spec}


def binding(version, claims=None, status=None, annotations=None):
    spec = {"reference": {"export": {"path": "root:org", "name": "e"}}}
    obj = export(version, annotations, **spec) | {"kind": "APIBinding"}
    if claims is not None:
        obj["spec"]["permissionClaims"] = claims
    return obj | ({"status": status} if status is not None else {})


def stored(name, group="example.com", prefix="v1"):
    return {
        "group": group,
        "name": name,
        "schema": f"{prefix}.{name}.{group or 'core'}",
        "storage": {"crd": {}},
    }


def virtual(name, group="example.com"):
    reference = {"apiGroup": "cache.kcp.io", "kind": "CachedResourceEndpointSlice", "name": name}
    return stored(name, group) | {"storage": {"virtual": {"reference": reference, "identityHash": "abc"}}}


# Any valid object

texts = st.sampled_from(["a", "widgets", "things", "x-y"])
groups = st.sampled_from(["", "example.com", "ab.example.org"])
hashes = st.sampled_from(["", "0123abcd"])
verbs = st.lists(st.sampled_from(["*", "get", "list", "create"]), min_size=1, max_size=3, unique=True)
label_selectors = st.fixed_dictionaries(
    {"matchLabels": st.dictionaries(st.sampled_from(["a", "b/c"]), st.sampled_from(["", "x"]), min_size=1)}
)
expression_selectors = st.just({"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]})
selectors = st.just(MATCH_ALL) | label_selectors | expression_selectors
object_selectors = st.lists(
    st.fixed_dictionaries({"name": st.just("n")}, optional={"namespace": st.just("ns")}), min_size=1, max_size=2
)
coverages = st.one_of(
    st.just({"all": True}),
    st.just({"all": True, "resourceSelector": []}),
    object_selectors.map(lambda found: {"resourceSelector": found}),
    object_selectors.map(lambda found: {"all": False, "resourceSelector": found}),
)


def claims(*, old=False, scoped=False, state=False):
    new_fields = {"verbs": verbs} | ({"selector": selectors} if scoped else {})
    fields = {"group": groups, "resource": texts.filter(lambda text: len(text) > 1)}
    fields |= {"coverage": coverages} if old else {"identityHash": hashes, **new_fields}
    fields |= {"state": st.sampled_from(["Accepted", "Rejected"])} if state else {}
    optional = {"identityHash": hashes} if old else {}
    return st.fixed_dictionaries(fields, optional=optional).map(
        lambda found: {k: v for k, v in found.items() if k != "coverage"} | found.get("coverage", {})
    )


def unique_claims(**options):
    # An export's claims are a map by group and resource alone.
    return st.lists(claims(**options), max_size=4, unique_by=lambda c: (c["group"], c["resource"]))


resources = st.lists(
    st.builds(lambda make, name, group: make(name, group), st.sampled_from([stored, virtual]), texts, groups),
    max_size=5,
    unique_by=lambda entry: (entry["name"], entry["group"]),
)
schema_names = resources.map(lambda entries: [entry["schema"] for entry in entries])
annotations = st.none() | st.just({"mine": "kept"})


def parts(**fields):
    return st.fixed_dictionaries({}, optional=fields)


new_exports = st.builds(
    lambda notes, spec: export(V1ALPHA2, notes, **spec),
    annotations,
    parts(
        resources=resources,
        permissionClaims=unique_claims(),
        identity=st.just({"secretRef": {"name": "n", "namespace": "ns"}}),
    ),
)
old_exports = st.builds(
    lambda notes, spec: export(V1ALPHA1, notes, **spec),
    annotations,
    parts(latestResourceSchemas=schema_names, permissionClaims=unique_claims(old=True)),
)
new_bindings = st.builds(
    lambda notes, found, status: binding(V1ALPHA2, found, status, notes),
    annotations,
    st.none() | unique_claims(scoped=True, state=True),
    st.none()
    | parts(
        phase=st.just("Bound"),
        exportPermissionClaims=st.lists(claims(), max_size=4),  # the schema lets them be there twice
        appliedPermissionClaims=unique_claims(scoped=True),
    ),
)
old_bindings = st.builds(
    lambda notes, found, status: binding(V1ALPHA1, found, status, notes),
    annotations,
    st.none() | unique_claims(old=True, state=True),
    st.none()
    | parts(
        phase=st.just("Bound"),
        exportPermissionClaims=st.lists(claims(old=True), max_size=4),
        appliedPermissionClaims=unique_claims(old=True),
    ),
)
objects = st.one_of(
    st.tuples(st.just(API_EXPORTS), st.one_of(new_exports, old_exports)),
    st.tuples(st.just(API_BINDINGS), st.one_of(new_bindings, old_bindings)),
)


def other(obj):
    return V1ALPHA1 if obj["apiVersion"] == V1ALPHA2 else V1ALPHA2


@settings(max_examples=150)
@given(objects)
def test_a_valid_object_survives_the_way_there_and_back_and_is_valid_on_either_side(case):
    key, obj = case
    assert errors(key, obj) == []
    there = convert(key, obj, other(obj))
    assert there["apiVersion"] == other(obj)
    assert errors(key, there) == []
    assert convert(key, there, obj["apiVersion"]) == obj


junk = st.one_of(
    st.text(max_size=8),
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["group", "name", "x"]), inner),
    ).map(json.dumps),
    st.lists(st.one_of(claims(), claims(scoped=True, state=True), claims(old=True, state=True)), max_size=3).map(
        json.dumps
    ),
    resources.map(json.dumps),
)


@settings(max_examples=150)
@given(objects, st.dictionaries(st.sampled_from(ANNOTATIONS), junk, min_size=1))
def test_annotations_that_anyone_may_write_change_no_object_of_its_own_version(case, notes):
    key, obj = case
    obj["metadata"].setdefault("annotations", {}).update(notes)
    there = convert(key, obj, other(obj))
    assert errors(key, there) == []
    back = convert(key, there, obj["apiVersion"])
    empty = [(), []]  # an annotation may bring in a list that was not there
    for part in ("spec", "status"):
        before = {k: v for k, v in obj.get(part, {}).items() if v not in empty}
        assert {k: v for k, v in back.get(part, {}).items() if v not in empty} == before
    again = convert(key, convert(key, back, other(obj)), obj["apiVersion"])
    assert again == back


# What it looks like


def test_a_new_export_is_seen_by_old_clients_with_its_stored_resources():
    old = convert(API_EXPORTS, export(V1ALPHA2, resources=[stored("widgets"), stored("pods", "")]), V1ALPHA1)
    assert old == export(V1ALPHA1, latestResourceSchemas=["v1.widgets.example.com", "v1.pods.core"])


def test_virtual_resources_wait_in_an_annotation_as_kcp_writes_it():
    old = convert(API_EXPORTS, export(V1ALPHA2, resources=[stored("widgets"), virtual("flavors")]), V1ALPHA1)
    assert old["spec"] == {"latestResourceSchemas": ["v1.widgets.example.com"]}
    assert json.loads(old["metadata"]["annotations"][RESOURCES]) == [virtual("flavors")]


def test_an_old_client_may_change_schemas_beside_virtual_resources():
    old = convert(API_EXPORTS, export(V1ALPHA2, resources=[virtual("flavors"), stored("widgets")]), V1ALPHA1)
    old["spec"]["latestResourceSchemas"] = ["v2.widgets.example.com", "v1.things.example.com"]
    new = convert(API_EXPORTS, old, V1ALPHA2)
    wanted = [virtual("flavors"), stored("widgets", prefix="v2"), stored("things")]
    assert new == export(V1ALPHA2, resources=wanted)


def test_a_virtual_resource_gives_way_to_a_stored_one_of_the_same_name():
    old = convert(API_EXPORTS, export(V1ALPHA2, resources=[virtual("widgets")]), V1ALPHA1)
    old["spec"]["latestResourceSchemas"] = ["v2.widgets.example.com"]
    assert convert(API_EXPORTS, old, V1ALPHA2)["spec"]["resources"] == [stored("widgets", prefix="v2")]


def claim(**fields):
    return {"group": "", "resource": "configmaps", **fields}


def test_verbs_outlive_an_old_clients_write():
    new = export(V1ALPHA2, permissionClaims=[claim(identityHash="", verbs=["get"])])
    old = convert(API_EXPORTS, new, V1ALPHA1)
    assert old["spec"]["permissionClaims"] == [claim(all=True)]
    old["spec"]["permissionClaims"].append(claim(resource="secrets", all=True))
    added = claim(resource="secrets", identityHash="", verbs=["*"])
    assert convert(API_EXPORTS, old, V1ALPHA2)["spec"]["permissionClaims"] == [
        claim(identityHash="", verbs=["get"]),
        added,
    ]


def test_an_old_client_rejects_a_claim_without_losing_its_selector():
    accepted = claim(identityHash="", verbs=["get"], selector={"matchLabels": {"a": "b"}}, state="Accepted")
    old = convert(API_BINDINGS, binding(V1ALPHA2, [accepted]), V1ALPHA1)
    assert old["spec"]["permissionClaims"] == [claim(all=True, state="Accepted")]
    old["spec"]["permissionClaims"][0]["state"] = "Rejected"
    new = convert(API_BINDINGS, old, V1ALPHA2)
    assert new["spec"]["permissionClaims"] == [accepted | {"state": "Rejected"}]
    assert "annotations" not in new["metadata"]


def test_accepting_named_objects_does_not_accept_all_of_them():
    """v1alpha2 has no names in selectors: the claim selects nothing there, instead of everything."""
    old = binding(V1ALPHA1, [claim(resourceSelector=[{"name": "n", "namespace": "ns"}], state="Accepted")])
    (found,) = convert(API_BINDINGS, old, V1ALPHA2)["spec"]["permissionClaims"]
    operators = {(term["key"], term["operator"]) for term in found["selector"].pop("matchExpressions")}
    assert found == claim(identityHash="", verbs=["*"], selector={}, state="Accepted")
    (key,) = {key for key, _ in operators}
    assert {operator for _, operator in operators} == {"Exists", "DoesNotExist"}, key


def test_a_new_clients_selector_overrides_what_an_old_client_had_selected():
    old = binding(V1ALPHA1, [claim(resourceSelector=[{"name": "n"}], state="Accepted")])
    new = convert(API_BINDINGS, old, V1ALPHA2)
    new["spec"]["permissionClaims"][0]["selector"] = MATCH_ALL
    assert convert(API_BINDINGS, new, V1ALPHA1)["spec"]["permissionClaims"] == [claim(all=True, state="Accepted")]


def test_an_annotation_of_kcp_is_understood():
    kept = [claim(verbs=["get"], selector=MATCH_ALL, state="Accepted")]  # without the empty identityHash
    old = binding(V1ALPHA1, [claim(all=True, state="Accepted")], annotations={BINDING_CLAIMS: json.dumps(kept)})
    wanted = claim(identityHash="", verbs=["get"], selector=MATCH_ALL, state="Accepted")
    assert convert(API_BINDINGS, old, V1ALPHA2)["spec"]["permissionClaims"] == [wanted]


@pytest.mark.parametrize("key", [API_EXPORTS, API_BINDINGS], ids=str)
def test_an_object_that_is_in_the_wanted_version_stays_as_it_is(key):
    obj = export(V1ALPHA2, {RESOURCES: "[]"}, resources=[stored("widgets")])
    assert convert(key, obj, V1ALPHA2) == obj


def test_what_annotations_bring_in_is_checked_before_it_is_stored():
    forged = claim(verbs=["*"], selector={"matchLabels": {"a b": "c"}}, state="Accepted")
    old = binding(V1ALPHA1, [claim(all=True, state="Accepted")], annotations={BINDING_CLAIMS: json.dumps([forged])})
    (message,) = {error.message.partition(": name part")[0] for error in RULES[API_BINDINGS].validate(old)}
    assert message.startswith("metadata.annotations: Invalid value: ")
    assert "spec.permissionClaims[0].selector.matchLabels" in message
