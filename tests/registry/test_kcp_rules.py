"""kcp's types beyond their schemas, together with what the schemas' own CEL rules say."""

from copy import deepcopy

import pytest

from kcpcache.meta.names import GroupResource
from kcpcache.registry.system import kcp_definitions

EXPORTS = GroupResource("apis.kcp.io", "apiexports")
BINDINGS = GroupResource("apis.kcp.io", "apibindings")
EXPORT_SLICES = GroupResource("apis.kcp.io", "apiexportendpointslices")
SLICES = GroupResource("cache.kcp.io", "cachedresourceendpointslices")
WORKSPACES = GroupResource("tenancy.kcp.io", "workspaces")
TYPES = GroupResource("tenancy.kcp.io", "workspacetypes")
LOGICAL_CLUSTERS = GroupResource("core.kcp.io", "logicalclusters")
PARTITIONS = GroupResource("topology.kcp.io", "partitions")
PARTITION_SETS = GroupResource("topology.kcp.io", "partitionsets")


def written(key, spec, *, old=None, version=None, status=None, name="x", annotations=None):
    """What the registry says of a write: defaults, schema, then rules (``registry/writing.py``)."""
    definition = kcp_definitions()[key]
    version = version or definition.storage_version
    served = definition.version(version)

    def made(found):
        metadata = {"name": name} | ({"annotations": annotations} if annotations else {})
        obj = {"apiVersion": f"{key.group}/{version}", "kind": definition.kind, "metadata": metadata, "spec": found}
        obj |= {} if status is None else {"status": status[0] if found is old else status[-1]}
        obj = deepcopy(obj) if found is not None else {k: v for k, v in obj.items() if k != "spec"}
        assert served.schema.prune(obj) == []
        served.schema.default(obj)
        definition.rules.default(obj)
        return obj

    new = made(spec)
    if old is None:
        errors = served.schema.validate(new) or definition.rules.validate(new)
    else:
        before = made(old)
        errors = served.schema.validate(new, before)
        errors = errors or [*definition.rules.validate(new), *definition.rules.validate_update(new, before)]
    return [error.message for error in errors]


# Endpoint slices


@pytest.mark.parametrize(
    ("key", "field", "changed"),
    [
        (SLICES, "cachedResource", "CachedResource reference must not be changed"),
        (EXPORT_SLICES, "export", "APIExport reference must not be changed"),
    ],
)
def test_a_slice_keeps_what_it_refers_to(key, field, changed):
    spec = {field: {"name": "a", "path": "root:org"}}
    assert written(key, spec) == []
    assert written(key, spec | {"partition": "p"}, old=spec) == []
    for other in ({"name": "b", "path": "root:org"}, {"name": "a"}):
        assert written(key, {field: other}, old=spec) == [f'spec.{field}: Invalid value: "object": {changed}']
    assert written(key, None, old=spec) == [f"spec.{field}: Required value"]


@pytest.mark.parametrize(("key", "field"), [(SLICES, "cachedResource"), (EXPORT_SLICES, "export")])
def test_a_slice_names_an_object_and_perhaps_a_partition(key, field):
    assert written(key, None) == [f"spec.{field}: Required value"]
    assert written(key, {field: {"name": ""}}) == [f"spec.{field}.name: Required value"]
    (message,) = written(key, {field: {"name": "a/b"}})
    assert message.startswith(f'spec.{field}.name: Invalid value: "a/b": a lowercase RFC 1123 subdomain')
    (message,) = written(key, {field: {"name": "a"}, "partition": "P"})
    assert message.startswith('spec.partition: Invalid value: "P": a lowercase RFC 1123 subdomain')


# APIExports


def resource(name="widgets", group="example.com", schema=None, **fields):
    return {"name": name, "group": group, "schema": schema or f"v1.{name}.{group}", **fields}


def virtual(**fields):
    reference = {"apiGroup": "cache.kcp.io", "kind": "CachedResourceEndpointSlice", "name": "s"}
    return {"virtual": {"reference": reference, "identityHash": "abc", **fields}}


def test_an_export_offers_stored_and_virtual_resources():
    resources = [resource(), resource("pods", "", "v1.pods.core"), resource("things", storage=virtual())]
    assert written(EXPORTS, {"resources": resources}) == []
    assert written(EXPORTS, {}) == []
    assert written(EXPORTS, None) == []


def test_an_exported_resource_has_a_schema_of_its_own():
    assert written(EXPORTS, {"resources": [resource(schema="v1.gadgets.example.com")]}) == [
        'spec.resources[0].schema: Invalid value: "v1.gadgets.example.com": must end in .widgets.example.com'
    ]
    (message,) = written(EXPORTS, {"resources": [resource(schema="a.b.widgets.example.com")]})
    assert message.endswith("in front of .widgets.example.com")


def test_a_resource_is_exported_once():
    assert written(EXPORTS, {"resources": [resource(), resource(schema="v2.widgets.example.com")]}) == [
        'spec.resources[1]: Duplicate value: map[string]interface {}{"group":"example.com", "name":"widgets"}'
    ]


def test_a_resource_has_one_kind_of_storage():
    found = written(EXPORTS, {"resources": [resource(storage=virtual() | {"crd": {}})]})
    assert 'spec.resources[0].storage: Invalid value: "object": Exactly one of crd or virtual must be set' in found


def test_virtual_storage_says_whose_and_where():
    reference = {"apiGroup": "Cache", "kind": "", "name": ""}
    path = "spec.resources[0].storage.virtual"
    found = written(EXPORTS, {"resources": [resource(storage=virtual(reference=reference, identityHash=""))]})
    assert [message.partition(": a lowercase")[0] for message in found] == [
        f"{path}.reference.kind: Required value",
        f'{path}.reference.apiGroup: Invalid value: "Cache"',
        f"{path}.reference.name: Required value",
        f"{path}.identityHash: Required value: status.identityHash of what is behind the reference",
    ]


def test_the_reference_to_the_identity_is_whole():
    path = "spec.identity.secretRef"
    assert written(EXPORTS, {"identity": {"secretRef": {"name": "n", "namespace": "ns"}}}) == []
    assert written(EXPORTS, {"identity": {"secretRef": {}}}) == []
    assert written(EXPORTS, {"identity": {"secretRef": {"name": "n"}}}) == [
        f"{path}.namespace: Required value: must be set together with the name"
    ]
    assert written(EXPORTS, {"identity": {"secretRef": {"namespace": "ns"}}}) == [
        f"{path}.name: Required value: must be set together with the namespace"
    ]
    (message,) = written(EXPORTS, {"identity": {"secretRef": {"name": "n", "namespace": "a.b"}}})
    assert message.startswith(f'{path}.namespace: Invalid value: "a.b": must not contain dots')


def test_an_export_claims_a_resource_once_and_with_real_verbs():
    claim = {"group": "", "resource": "configmaps", "verbs": ["get"]}
    assert written(EXPORTS, {"permissionClaims": [claim]}) == []
    (message,) = written(EXPORTS, {"permissionClaims": [claim, claim | {"identityHash": "a"}]})
    assert message.startswith("spec.permissionClaims[1]: Duplicate value")
    assert written(EXPORTS, {"permissionClaims": [claim | {"verbs": ["get", ""]}]}) == [
        'spec.permissionClaims[0].verbs: Invalid value: ["get",""]: a verb must not be empty'
    ]


def test_the_old_list_of_schemas_names_each_resource_once():
    def old(*names):
        return written(EXPORTS, {"latestResourceSchemas": list(names)}, version="v1alpha1")

    path = "spec.latestResourceSchemas"
    assert old("v1.widgets.example.com", "v1.pods.core") == []
    assert old("v1.widgets.example.com", "v2.widgets.example.com") == [
        f'{path}[1]: Invalid value: "v2.widgets.example.com": is of the same resource as v1.widgets.example.com'
    ]
    assert old("widgets", "1.widgets.example.com") == [
        f'{path}[{i}]: Invalid value: "{name}": must be the name of an APIResourceSchema, <prefix>.<plural>.<group>'
        for i, name in enumerate(["widgets", "1.widgets.example.com"])
    ]


# APIBindings

REFERENCE = {"reference": {"export": {"name": "e", "path": "root:org"}}}


def claim(**fields):
    return {"group": "", "resource": "configmaps", "verbs": ["*"], "state": "Accepted", **fields}


@pytest.mark.parametrize("version", ["v1alpha1", "v1alpha2"])
def test_a_binding_names_an_export_for_good(version):
    assert written(BINDINGS, REFERENCE, version=version) == []
    assert written(BINDINGS, {"reference": {"export": {"name": ""}}}, version=version) == [
        "spec.reference.export.name: Required value"
    ]
    other = {"reference": {"export": {"name": "other", "path": "root:org"}}}
    (message,) = written(BINDINGS, other, old=REFERENCE, version=version)
    assert message.endswith("APIExport reference must not be changed")


def test_a_reference_without_an_export_is_none():
    assert written(BINDINGS, {"reference": {}}) == ["spec.reference.export: Required value: the APIExport to bind"]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({"matchAll": True}, []),
        ({"matchLabels": {"a": "b"}}, []),
        ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, []),
        ({}, [": Required value: one of matchAll, matchLabels and matchExpressions must be set"]),
        ({"matchAll": False}, [": Required value: one of matchAll, matchLabels and matchExpressions must be set"]),
        (
            {"matchAll": True, "matchLabels": {"a": "b"}},
            [".matchAll: Forbidden: may not be true beside matchLabels or matchExpressions"],
        ),
        (
            {"matchExpressions": [{"key": "a", "operator": "In"}]},
            [(".matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'")],
        ),
    ],
)
def test_a_claim_is_answered_for_all_objects_or_for_some(selector, expected):
    found = written(BINDINGS, REFERENCE | {"permissionClaims": [claim(selector=selector)]})
    assert found == [f"spec.permissionClaims[0].selector{text}" for text in expected]


def test_an_old_binding_answers_each_claim_once():
    old = {"resource": "configmaps", "all": True, "state": "Accepted"}
    assert written(BINDINGS, REFERENCE | {"permissionClaims": [old]}, version="v1alpha1") == []
    again = [old, old | {"group": "", "identityHash": "", "state": "Rejected"}]
    keys = '{"group":"", "identityHash":"", "resource":"configmaps"}'
    assert written(BINDINGS, REFERENCE | {"permissionClaims": again}, version="v1alpha1") == [
        f"spec.permissionClaims[1]: Duplicate value: map[string]interface {{}}{keys}"
    ]


def test_old_claims_are_spelt_in_one_way():
    definition = kcp_definitions()[BINDINGS]
    obj = {"apiVersion": "apis.kcp.io/v1alpha1", "spec": {"permissionClaims": [{"resource": "a", "identityHash": ""}]}}
    definition.rules.default(obj)
    assert obj["spec"]["permissionClaims"] == [{"resource": "a", "group": ""}]


# Workspaces and their types


def test_the_type_of_a_workspace_has_a_whole_name():
    assert written(WORKSPACES, {"type": {"name": "universal", "path": "root"}}) == []
    (message,) = written(WORKSPACES, {"type": {"name": "universal/x"}})
    assert message.startswith('spec.type.name: Invalid value: "universal/x": a lowercase RFC 1123 label')


def test_the_location_of_a_workspace_is_a_selector():
    selector = {"matchExpressions": [{"key": "a", "operator": "Near"}]}
    assert written(WORKSPACES, {"location": {"selector": selector}}) == [
        'spec.location.selector.matchExpressions[0].operator: Invalid value: "Near": not a valid selector operator'
    ]


def test_a_workspace_type_refers_to_types_by_whole_names_each_once():
    one = {"name": "team", "path": "root"}
    for holder, key in (
        ("extend", "with"),
        ("limitAllowedChildren", "types"),
        ("limitAllowedParents", "types"),
    ):
        assert written(TYPES, {holder: {key: [one, {"name": "team"}]}}) == []
        assert written(TYPES, {holder: {key: [one, one]}}) == [
            f'spec.{holder}.{key}[1]: Duplicate value: map[string]interface {{}}{{"name":"team", "path":"root"}}'
        ]
        (message,) = written(TYPES, {holder: {key: [{"name": "team:x"}]}})
        assert message.startswith(f'spec.{holder}.{key}[0].name: Invalid value: "team:x": a lowercase RFC 1123 label')
    (message,) = written(TYPES, {"defaultChildWorkspaceType": {"name": "team x"}})
    assert message.startswith("spec.defaultChildWorkspaceType.name: Invalid value")


def test_a_workspace_type_binds_an_export_once():
    one = {"export": "e", "path": "root"}
    assert written(TYPES, {"defaultAPIBindings": [one, {"export": "e"}]}) == []
    assert written(TYPES, {"defaultAPIBindings": [one, one]}) == [
        'spec.defaultAPIBindings[1]: Duplicate value: map[string]interface {}{"export":"e", "path":"root"}'
    ]
    (message,) = written(TYPES, {"defaultAPIBindings": [{"export": "E"}]})
    assert message.startswith('spec.defaultAPIBindings[0].export: Invalid value: "E": a lowercase RFC 1123 subdomain')


def test_a_workspace_type_gives_labels_that_a_workspace_can_have():
    assert written(TYPES, {"additionalWorkspaceLabels": {"a/b": "c"}}) == []
    key, value = written(TYPES, {"additionalWorkspaceLabels": {"a b": "c d"}})
    assert key.startswith('spec.additionalWorkspaceLabels: Invalid value: "a b": name part must consist of')
    assert value.startswith('spec.additionalWorkspaceLabels: Invalid value: "c d": a valid label must be')


# Logical clusters


def moved(before, after):
    return written(LOGICAL_CLUSTERS, {"directlyDeletable": True}, old={}, status=(before, after), name="cluster")


def test_a_logical_cluster_goes_forward_only():
    first, second = "system:a", "system:b"
    assert moved({"phase": "Scheduling"}, {"phase": "Initializing", "initializers": [first, second]}) == []
    assert moved({"phase": "Initializing", "initializers": [first]}, {"phase": "Ready"}) == []
    assert moved({"phase": "Ready"}, {"phase": "Unavailable"}) == []
    assert moved({"phase": "Unavailable"}, {"phase": "Ready"}) == []
    assert moved({"phase": "Ready"}, {"phase": "Initializing"}) == [
        'status.phase: Invalid value: "Initializing": cannot transition from Ready to Initializing'
    ]


def test_initializers_go_and_do_not_come_back():
    before = {"phase": "Initializing", "initializers": ["system:a", "system:b"]}
    assert moved(before, {"phase": "Initializing", "initializers": ["system:b"]}) == []
    assert moved(before, {"phase": "Initializing", "initializers": ["system:c"]}) == [
        (
            'status.initializers: Invalid value: ["system:c"]: '
            "initializers can only be removed once the logical cluster is initializing"
        )
    ]


def test_a_ready_logical_cluster_has_no_initializers_left():
    before = {"phase": "Initializing", "initializers": ["system:a"]}
    assert moved(before, before | {"phase": "Ready"}) == [
        "status.initializers: Forbidden: must be empty in phase Ready"
    ]


# Partitions


def test_a_partition_selects_shards():
    assert written(PARTITIONS, {"selector": {"matchLabels": {"region": "eu"}}}) == []
    (message,) = written(PARTITIONS, {"selector": {"matchLabels": {"region": "e u"}}})
    assert message.startswith('spec.selector.matchLabels: Invalid value: "e u": a valid label must be')


def test_a_partition_set_divides_by_labels_each_once():
    assert written(PARTITION_SETS, {"dimensions": ["region", "cloud/zone"]}) == []
    invalid, duplicate = written(PARTITION_SETS, {"dimensions": ["a b", "x", "x"]})
    assert invalid.startswith('spec.dimensions[0]: Invalid value: "a b": name part must consist of')
    assert duplicate == 'spec.dimensions[2]: Duplicate value: "x"'
