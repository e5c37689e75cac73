"""CustomResourceDefinitions beyond their schemas, with kube's field paths and texts."""

from copy import deepcopy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kcpcache.meta.names import GroupResource
from kcpcache.registry import crd as crd_module
from kcpcache.registry.crd import CRD_RULES
from kcpcache.registry.crd_keywords import drop_unknown_keywords
from kcpcache.registry.system import builtin_definitions, kcp_manifests

CRDS = CRD_RULES[GroupResource("apiextensions.k8s.io", "customresourcedefinitions")]
DNS1035 = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    "'[a-z]([-a-z0-9]*[a-z0-9])?')"
)
NOTHING_STORED = "status.storedVersions: Invalid value: []string(nil): must have at least one stored version"
SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                **{f"f{i}": {"type": "string"} for i in range(9)},
                "on": {"type": "boolean"},
                "size": {"type": "number"},
                "replicas": {"type": "integer"},
                "many": {"type": "array", "items": {"type": "string"}},
            },
        },
        "status": {"type": "object", "properties": {"replicas": {"type": "integer"}}},
    },
}


def version(name="v1", *, storage=True, schema=SCHEMA, **fields):
    found = {"name": name, "served": True, "storage": storage, "schema": {"openAPIV3Schema": deepcopy(schema)}}
    return found | fields


def crd(*versions, group="example.com", plural="widgets", name=None, annotations=None, **spec):
    wanted = {
        "group": group,
        "scope": "Namespaced",
        "names": {"plural": plural, "kind": "Widget"},
        "versions": list(versions or (version(),)),
        **spec,
    }
    metadata = {"name": name or f"{plural}.{group}"} | ({"annotations": annotations} if annotations else {})
    obj = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": metadata}
    obj["spec"] = wanted
    CRDS.default(obj)
    return obj


def messages(obj):
    return [error.message for error in CRDS.validate(obj)]


def updated(new, old):
    return [error.message for error in CRDS.validate_update(new, old)]


# What is stored


def test_a_stored_schema_stays_good_though_it_would_be_refused_now():
    schema = deepcopy(SCHEMA)
    schema["properties"]["spec"]["x-kubernetes-validations"] = [{"rule": "cel.bind(x, self.on, x) || 'stored' == ''"}]
    old = crd(version(schema=schema))
    assert messages(old) != []
    CRDS.accept_stored(old)
    assert messages(crd(version(schema=schema), version("v2", storage=False, schema=schema))) == []
    schema["properties"]["spec"]["x-kubernetes-validations"].append({"rule": "cel.bind(x, self.on, x)"})
    assert messages(crd(version(schema=schema))) != []


# Names


def test_names_follow_from_the_kind_and_nothing_else_needs_saying():
    found = crd()
    assert found["spec"]["names"] == {
        "plural": "widgets",
        "singular": "widget",
        "kind": "Widget",
        "listKind": "WidgetList",
    }
    assert found["spec"]["conversion"] == {"strategy": "None"}
    assert messages(found) == []
    once = deepcopy(found)
    CRDS.default(found)
    assert found == once


def test_names_that_are_given_stay():
    names = {"plural": "widgets", "kind": "Widget", "singular": "one", "listKind": "Widgets"}
    assert crd(names=dict(names))["spec"]["names"] == names


def test_a_definition_is_called_after_its_resource():
    assert messages(crd(name="widgets.example.org")) == [
        'metadata.name: Invalid value: "widgets.example.org": must be spec.names.plural+"."+spec.group'
    ]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"plural": "Widgets"}, f'spec.names.plural: Invalid value: "Widgets": {DNS1035}'),
        (
            {"kind": "Wid_get", "singular": "widget", "listKind": "WidgetList"},
            f'spec.names.kind: Invalid value: "Wid_get": may have mixed case, but should otherwise match: {DNS1035}',
        ),
        ({"singular": "1widget"}, f'spec.names.singular: Invalid value: "1widget": {DNS1035}'),
        ({"shortNames": ["w", "W"]}, f'spec.names.shortNames[1]: Invalid value: "W": {DNS1035}'),
        ({"categories": ["a.b"]}, f'spec.names.categories[0]: Invalid value: "a.b": {DNS1035}'),
        ({"listKind": "Widget"}, 'spec.names.listKind: Invalid value: "Widget": kind and listKind may not be the same'),
        (
            {"shortNames": ["a" * 64]},
            f'spec.names.shortNames[0]: Invalid value: "{"a" * 64}": must be no more than 63 characters',
        ),
    ],
)
def test_names_are_labels(names, expected):
    plural = names.get("plural", "widgets")
    given_names = {"plural": plural, "kind": "Widget", **names}
    assert messages(crd(plural=plural, names=given_names)) == [expected]


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ("example", 'spec.group: Invalid value: "example": should be a domain with at least one dot'),
        ("", "spec.group: Required value"),
    ],
)
def test_the_group_is_a_domain(group, expected):
    assert messages(crd(group=group)) == [expected]


def test_a_group_is_a_subdomain():
    (found,) = messages(crd(group="Example.com"))
    assert found.startswith('spec.group: Invalid value: "Example.com": a lowercase RFC 1123 subdomain')


def test_an_empty_definition_is_told_all_that_it_lacks():
    assert messages({"metadata": {"name": "x"}}) == [
        'metadata.name: Invalid value: "x": must be spec.names.plural+"."+spec.group',
        "spec.group: Required value",
        "spec.scope: Required value",
        "spec.versions: Invalid value: []: must have exactly one version marked as storage version",
        *(f"spec.names.{key}: Required value" for key in ("plural", "singular", "kind", "listKind")),
        NOTHING_STORED,
    ]


def test_there_are_two_scopes():
    assert messages(crd(scope="Global")) == [
        'spec.scope: Unsupported value: "Global": supported values: "Cluster", "Namespaced"'
    ]


def test_unknown_fields_cannot_be_preserved_everywhere():
    (found,) = messages(crd(preserveUnknownFields=True))
    assert found.startswith(
        "spec.preserveUnknownFields: Invalid value: true: cannot set to true, "
        "set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
    )
    assert messages(crd(preserveUnknownFields=False)) == []


# Versions


@pytest.mark.parametrize("storage", [(False, False), (True, True)])
def test_exactly_one_version_is_stored(storage):
    found = crd(version("v1", storage=storage[0]), version("v2", storage=storage[1]))
    wrong = 'spec.versions: Invalid value: ["v1","v2"]: must have exactly one version marked as storage version'
    assert messages(found) == [wrong, NOTHING_STORED] if storage == (False, False) else [wrong]


def test_versions_have_different_names_that_are_labels():
    assert messages(crd(version("v1"), version("v1", storage=False))) == [
        'spec.versions: Invalid value: ["v1","v1"]: must contain unique version names'
    ]
    named = f'Invalid value: "V1": {DNS1035}'
    assert messages(crd(version("V1"))) == [f"spec.versions[0].name: {named}", f"spec.version: {named}"]
    second = messages(crd(version("v1"), version("V1", storage=False)))
    assert second == [f"spec.versions[1].name: {named}"]


def test_a_version_needs_a_schema():
    bare = {"name": "v1", "served": True, "storage": True}
    expected = ["spec.versions[0].schema.openAPIV3Schema: Required value: schemas are required"]
    assert messages(crd(bare)) == expected
    assert messages(crd(bare | {"schema": {}})) == expected


def test_schemas_are_structural_and_blamed_at_their_place():
    broken = {"type": "object", "properties": {"spec": {}}}
    assert messages(crd(version(), version("v2", storage=False, schema=broken))) == [
        (
            "spec.versions[1].schema.openAPIV3Schema.properties[spec].type: "
            "Required value: must not be empty for specified object fields"
        )
    ]


def test_a_schema_that_passed_is_not_checked_again(monkeypatch):
    checked = []
    original = crd_module.check_structural
    monkeypatch.setattr(crd_module, "check_structural", lambda *args: checked.append(args[1]) or original(*args))
    schema = {"type": "object", "description": "only in this test"}
    path = "spec.versions[0].schema.openAPIV3Schema"
    assert messages(crd(version(schema=schema))) == messages(crd(version(schema=schema))) == []
    assert checked == [path]
    broken = {"type": "array", "description": "only in this test"}
    assert messages(crd(version(schema=broken))) == messages(crd(version(schema=broken))) != []
    assert checked == [path] * 3


def test_unknown_keywords_are_dropped_at_any_depth_and_named_where_kubernetes_sees_them():
    """It sees none below items and additionalProperties, which it decodes apart."""
    string = {"type": "string"}
    inner = {**string, "readOnly": True, "default": None, "x-kubernetes-validations": [{"rule": "true", "why": 1}]}
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": "array", "items": {"type": "object", "properties": {"b": inner}}},
            "c": {
                "type": "object",
                "additionalProperties": {**string, "xml": {}},
                "not": {"allOf": [{"deprecated": True}]},
            },
            "d": {"type": "object", "properties": {"e": deepcopy(inner)}},
        },
    }
    found = crd(version(schema=schema))
    at = "spec.versions[0].schema.openAPIV3Schema.properties"
    assert sorted(drop_unknown_keywords(found)) == [
        f"{at}.c.not.allOf[0].deprecated",
        f"{at}.d.properties.e.readOnly",
        f"{at}.d.properties.e.x-kubernetes-validations[0].why",
    ]
    kept = found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    assert kept["a"]["items"]["properties"]["b"] == {**string, "x-kubernetes-validations": [{"rule": "true"}]}
    assert kept["c"] == {"type": "object", "additionalProperties": string, "not": {"allOf": [{}]}}
    assert drop_unknown_keywords(found) == []


@pytest.mark.parametrize("items", [True, 1, "string", ""])
def test_items_that_are_no_schema_are_none(items):
    """Kubernetes decodes nothing out of them, and then misses them."""
    found = crd(version(schema={"type": "object", "properties": {"a": {"type": "array", "items": items}}}))
    assert drop_unknown_keywords(found) == []
    assert messages(found) == ["spec.validation.openAPIV3Schema.properties[a].items: Required value: must be specified"]


def test_what_is_wrong_with_all_versions_alike_is_said_once_and_of_one_of_several_at_its_place():
    broken, other = {"type": "array"}, {"type": "object", "description": "other"}
    alike = messages(crd(version(schema=broken), version("v2", storage=False, schema=broken)))
    assert alike == messages(crd(version(schema=broken)))
    assert all(message.startswith("spec.validation.openAPIV3Schema") for message in alike)
    one = messages(crd(version(schema=other), version("v2", storage=False, schema=broken)))
    assert one == [message.replace("spec.validation", "spec.versions[1].schema") for message in alike]


def test_a_path_within_a_text_is_kubes_too():
    schema = {"type": "object", "allOf": [{"properties": {"spec": {"minLength": 1}}}]}
    (found,) = messages(crd(version(schema=schema)))
    at = "spec.validation.openAPIV3Schema"
    assert found == (f"{at}.properties[spec]: Required value: because it is defined in {at}.allOf[0].properties[spec]")


def test_beside_a_status_subresource_the_root_says_nothing_about_the_object_as_a_whole():
    schema = SCHEMA | {"oneOf": [{"required": ["spec"]}]}
    assert messages(crd(version(schema=schema))) == []
    (found,) = messages(crd(version(schema=schema, subresources={"status": {}})))
    assert found.startswith('spec.validation.openAPIV3Schema: Invalid value: "oneOf": only [description type ')
    assert messages(crd(version(subresources={"status": {}}))) == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"deprecationWarning": "old"}, '"old": can only be set for deprecated versions'),
        ({"deprecated": True, "deprecationWarning": ""}, '"": must not be an empty string'),
        (
            {"deprecated": True, "deprecationWarning": "é" * 129},
            f'"{"é" * 129}": must be <= 256 characters long',
        ),
        (
            {"deprecated": True, "deprecationWarning": "a\tb"},
            '"a\\tb": must only contain printable UTF-8 characters; non-printable character found at index 1',
        ),
        (
            {"deprecated": True, "deprecationWarning": "é\u200b"},
            '"é\\u200b": must only contain printable UTF-8 characters; non-printable character found at index 2',
        ),
    ],
)
def test_a_deprecation_warning_fits_into_a_header(fields, expected):
    assert messages(crd(version(**fields))) == [f"spec.versions[0].deprecationWarning: Invalid value: {expected}"]
    assert messages(crd(version(deprecated=True, deprecationWarning="use v2"))) == []


def scale(**paths):
    found = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas", **paths}
    return {"scale": found}


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ({"specReplicasPath": ""}, "specReplicasPath: Required value"),
        (
            {"specReplicasPath": ".status.replicas"},
            'specReplicasPath: Invalid value: ".status.replicas": should be a json path under .spec',
        ),
        (
            {"statusReplicasPath": "status.replicas"},
            'statusReplicasPath: Invalid value: "status.replicas": must be a simple json path starting with .',
        ),
        ({"specReplicasPath": "."}, 'specReplicasPath: Invalid value: ".": should be a json path under .spec'),
        (
            {"statusReplicasPath": ".status"},
            'statusReplicasPath: Invalid value: ".status": should be a json path under .status',
        ),
        (
            {"labelSelectorPath": ".metadata.labels"},
            'labelSelectorPath: Invalid value: ".metadata.labels": should be a json path under either .spec or .status',
        ),
    ],
)
def test_the_paths_of_a_scale_lead_into_spec_and_status(paths, expected):
    assert messages(crd(version(subresources=scale(**paths)))) == [f"spec.subresources.scale.{expected}"]
    assert messages(crd(version(subresources=scale(labelSelectorPath=".status.selector")))) == []


@pytest.mark.parametrize("path", [".", "..x", ".list[0]", "['x']", ".*", ".a b", ".$", ".a.", ".@x"])
def test_a_scale_whose_paths_lead_nowhere_is_taken(path):
    """Kubernetes looks at their beginnings only."""
    paths = {"specReplicasPath": f".spec.x{path}", "statusReplicasPath": f".status.x{path}"}
    assert messages(crd(version(subresources={"scale": paths}))) == []


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ({"type": "text"}, 'type: Invalid value: "text": must be one of boolean,date,integer,number,string'),
        ({"type": ""}, "type: Required value: must be one of boolean,date,integer,number,string"),
        ({"name": ""}, "name: Required value"),
        ({"jsonPath": ""}, "JSONPath: Required value"),
        ({"jsonPath": "spec"}, 'JSONPath: Invalid value: "spec": must be a simple json path starting with .'),
        (
            {"format": "uuid"},
            'format: Invalid value: "uuid": must be one of byte,date,date-time,double,float,int32,int64,password',
        ),
    ],
)
def test_printer_columns_have_a_type_and_a_path(column, expected):
    good = {"name": "Size", "type": "integer", "format": "int32", "jsonPath": ".spec.size"}
    assert messages(crd(version(additionalPrinterColumns=[good]))) == []
    assert messages(crd(version(additionalPrinterColumns=[good, good | column]))) == [
        f"spec.additionalPrinterColumns[1].{expected}"
    ]


def selecting(*paths):
    return crd(version(selectableFields=[{"jsonPath": path} for path in paths]))


def test_texts_integers_and_booleans_of_the_schema_can_be_selected_by():
    assert messages(selecting(".spec.f0", ".spec.on", ".spec.replicas")) == []


NOWHERE = "is an invalid path: does not refer to a valid field"
NO_SCALAR = (
    "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed."
)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        (".spec.unknown", NOWHERE),
        ("spec.f0", "is an invalid path: expected [ or . but got: spec"),
        (".spec.many[0]", "is an invalid path: array notation is not allowed"),
        (".spec['f0']", "is an invalid path: array notation is not allowed"),
        (".spec.", "is an invalid path: unexpected end of JSON path"),
        (".", "is an invalid path: unexpected end of JSON path"),
        (".spec.f0.deeper", NOWHERE),
        (".metadata.labels", NOWHERE),
        (".spec", NO_SCALAR),
        (".spec.size", NO_SCALAR),
        (".spec.many", NO_SCALAR),
    ],
)
def test_nothing_else_can_be_selected_by(path, why):
    assert messages(selecting(path)) == [f'spec.selectableFields[0].jsonPath: Invalid value: "{path}": {why}']


def test_selectable_fields_and_schemas_are_alike_in_all_versions_or_in_neither():
    """apiextensions-apiserver, v1/conversion.go: what is alike moves to the spec, away from what is not."""
    other = {**SCHEMA, "description": "another"}

    def two(first, second, schema):
        fields = [[{"jsonPath": path}] if path else [] for path in (first, second)]
        return crd(
            version(selectableFields=fields[0]), version("v2", storage=False, schema=schema, selectableFields=fields[1])
        )

    assert messages(two(".spec.f0", ".spec.f0", SCHEMA)) == messages(two(".spec.f0", ".spec.on", other)) == []
    without = 'selectableFields: Invalid value: "": selectableFields may only be set when'
    assert messages(two(".spec.f0", ".spec.f0", other)) == [f"spec.{without} validations.schema is included"]
    expected = [f"spec.versions[0].{without} version.schema.openAPIV3Schema is not included"]
    assert messages(two(".spec.f0", "", SCHEMA)) == expected
    stored = two(".spec.f0", "", SCHEMA) | {"status": {"conditions": [{"type": "Established", "status": "True"}]}}
    assert messages(stored) == updated(stored, stored) == []
    changed = deepcopy(stored)
    changed["spec"]["versions"][1]["served"] = False
    assert updated(changed, stored) == expected


def test_keys_of_maps_can_be_selected_by():
    schema = {"type": "object", "properties": {"map": {"type": "object", "additionalProperties": {"type": "string"}}}}
    assert messages(crd(version(schema=schema, selectableFields=[{"jsonPath": ".map.key"}]))) == []


def test_a_name_to_be_generated_could_not_be_right():
    found = crd()
    found["metadata"]["generateName"] = "x"
    why = 'must be spec.names.plural+"."+spec.group'
    assert messages(found) == [f'metadata.generateName: Invalid value: "x": {why}']


def test_a_webhooks_host_is_one():
    (found,) = messages(converting({"url": "https://a b/c"}))
    assert 'url must be a valid URL: parse "https://a b/c": invalid character " " in host name; desired' in found


def test_metadata_is_not_the_schemas_to_select_by():
    schema = SCHEMA["properties"] | {"metadata": {"type": "object", "properties": {"name": {"type": "string"}}}}
    found = crd(
        version(schema={"type": "object", "properties": schema}, selectableFields=[{"jsonPath": ".metadata.name"}])
    )
    assert messages(found) == [
        ('spec.selectableFields[0].jsonPath: Invalid value: ".metadata.name": must not point to fields in metadata')
    ]


def test_eight_different_fields_can_be_selected_by():
    paths = [f".spec.f{i}" for i in range(8)]
    assert messages(selecting(*paths)) == []
    assert messages(selecting(*paths, ".spec.f8")) == ["spec.selectableFields: Too many: 9: must have at most 8 items"]
    assert messages(selecting(".spec.f0", ".spec.f0")) == [
        'spec.selectableFields[1].jsonPath: Duplicate value: ".spec.f0"'
    ]
    assert messages(selecting("")) == ["spec.selectableFields[0].jsonPath: Required value"]


# Conversion


def converting(client, versions=("v1",)):
    webhook = {"clientConfig": client, "conversionReviewVersions": list(versions)}
    return crd(conversion={"strategy": "Webhook", "webhook": webhook})


SERVICE = {"namespace": "ns", "name": "s"}


def test_a_webhook_is_a_url_or_a_service_whose_port_is_443_unless_told():
    assert messages(converting({"url": "https://example.com/convert"})) == []
    found = converting({"service": dict(SERVICE)})
    assert found["spec"]["conversion"]["webhook"]["clientConfig"]["service"] == SERVICE | {"port": 443}
    assert messages(found) == []


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        ({}, ": Required value: exactly one of url or service is required"),
        (
            {"url": "https://a.example", "service": SERVICE},
            ": Required value: exactly one of url or service is required",
        ),
        ({"service": {"namespace": "ns"}}, ".service.name: Required value: service name is required"),
        (
            {"service": SERVICE | {"port": 0}},
            ".service.port: Invalid value: 0: port is not valid: must be between 1 and 65535, inclusive",
        ),
        (
            {"url": "http://a.example"},
            (
                '.url: Invalid value: "http": '
                "'https' is the only allowed URL scheme; desired format: https://host[/path]"
            ),
        ),
        ({"url": "https:///x"}, '.url: Invalid value: "": host must be specified; desired format: https://host[/path]'),
        (
            {"url": "https://a.example?x=1"},
            ('.url: Invalid value: "x=1": query parameters are not permitted in the URL'),
        ),
        (
            {"url": "https://u:secret@a.example"},
            ('.url: Invalid value: "…": user information is not permitted in the URL'),
        ),
        (
            {"url": "https://[a"},
            ".url: Required value: url must be a valid URL: Invalid IPv6 URL; desired format: https://host[/path]",
        ),
        ({"service": SERVICE | {"path": "ab"}}, ".service.path: Invalid value: \"ab\": must start with a '/'"),
        (
            {"service": SERVICE | {"path": "/a//b"}},
            '.service.path: Invalid value: "/a//b": segment[1] may not be empty',
        ),
    ],
)
def test_a_webhook_that_cannot_be_called_is_refused(client, expected):
    assert messages(converting(client)) == [f"spec.conversion.webhookClientConfig{expected}"]


def test_a_certificate_that_is_yet_to_be_injected_is_no_reason_to_refuse():
    assert messages(converting({"url": "https://a.example", "caBundle": "Cg=="})) == []


def test_a_webhook_belongs_to_its_strategy_and_speaks_a_known_version():
    path = "spec.conversion"
    assert messages(crd(conversion={"strategy": "None", "webhook": {"conversionReviewVersions": ["v1"]}})) == [
        f"{path}.conversionReviewVersions: Forbidden: should not be set when strategy is not set to Webhook"
    ]
    client = {"clientConfig": {"url": "https://a.example"}}
    assert messages(crd(conversion={"strategy": "None", "webhook": client})) == [
        f"{path}.webhookClientConfig: Forbidden: should not be set when strategy is not set to Webhook"
    ]
    assert messages(crd(conversion={})) == [f"{path}.strategy: Required value"]
    assert messages(crd(conversion={"strategy": "Magic"})) == [
        'spec.conversion.strategy: Unsupported value: "Magic": supported values: "None", "Webhook"'
    ]
    assert messages(crd(conversion={"strategy": "Webhook"})) == [
        f"{path}.webhookClientConfig: Required value: required when strategy is set to Webhook",
        f"{path}.conversionReviewVersions: Required value",
    ]
    client = {"url": "https://a.example"}
    assert messages(converting(client, ["v2", "v2"])) == [
        f'{path}.conversionReviewVersions[1]: Invalid value: "v2": duplicate version',
        (
            f'{path}.conversionReviewVersions: Invalid value: []string{{"v2", "v2"}}: '
            "must include at least one of v1, v1beta1"
        ),
    ]


# Protected groups

APPROVAL = "api-approved.kubernetes.io"


@pytest.mark.parametrize("group", ["k8s.io", "sig.k8s.io", "x.kubernetes.io"])
def test_the_communitys_groups_need_an_approval(group):
    path = f"metadata.annotations[{APPROVAL}]"
    assert messages(crd(group=group)) == [
        (
            f'{path}: Required value: protected groups must have approval annotation "{APPROVAL}", '
            "see https://github.com/kubernetes/enhancements/pull/1111"
        )
    ]
    (found,) = messages(crd(group=group, annotations={APPROVAL: "sure"}))
    assert found.startswith(f'{path}: Invalid value: "sure": protected groups must have approval annotation')
    for value in ("unapproved, legacy", "https://github.com/kubernetes/kubernetes/pull/1"):
        assert messages(crd(group=group, annotations={APPROVAL: value})) == []


def test_other_groups_need_no_approval():
    assert messages(crd(group="notk8s.io")) == []


# What does not change


def established(obj):
    return obj | {"status": {"conditions": [{"type": "Established", "status": "True"}], "storedVersions": ["v1"]}}


def test_scope_and_kind_stay_once_the_definition_is_established():
    before = crd()
    after = crd(scope="Cluster", names={"plural": "widgets", "kind": "Gadget"})
    assert updated(after, before) == []
    assert updated(after, established(before)) == [
        'spec.scope: Invalid value: "Cluster": field is immutable',
        'spec.names.kind: Invalid value: "Gadget": field is immutable',
    ]


def test_group_and_plural_always_stay():
    after = crd(group="example.org", plural="gadgets")
    assert updated(after, crd()) == [
        'spec.group: Invalid value: "example.org": field is immutable',
        'spec.names.plural: Invalid value: "gadgets": field is immutable',
    ]


def test_a_version_that_objects_may_be_stored_in_does_not_go():
    after = crd(version("v2")) | {"status": {"storedVersions": ["v1", "v2"]}}
    assert messages(after) == [
        (
            'status.storedVersions[0]: Invalid value: "v1": missing from spec.versions; v1 was previously a storage '
            "version, and must remain in spec.versions until a storage migration ensures no data remains persisted in "
            "v1 and removes v1 from status.storedVersions"
        )
    ]
    assert messages(crd(version("v2")) | {"status": {"storedVersions": ["v2"]}}) == []


def test_the_storage_version_counts_as_stored():
    found = crd(version("v1", storage=False), version("v2")) | {"status": {"storedVersions": ["v1"]}}
    assert messages(found) == [
        'status.storedVersions: Invalid value: []string{"v1"}: must have the storage version v2',
    ]


def test_a_change_of_the_storage_version_is_noted_with_the_write_itself():
    """Otherwise objects could be stored in a version that could be removed before anyone noticed."""
    old = crd(version("v1"), version("v2", storage=False)) | {"status": {"storedVersions": ["v1"]}}
    new = crd(version("v1", storage=False), version("v2")) | {"status": deepcopy(old["status"])}
    CRDS.prepare_update(new, old)
    assert new["status"] == {"storedVersions": ["v1", "v2"]}
    assert messages(new) == []
    assert old["status"] == {"storedVersions": ["v1"]}


def test_the_status_of_a_new_definition_is_left_to_the_controller():
    new = crd()
    CRDS.prepare_update(new, crd())
    assert "status" not in new


# Any JSON, and the server's own

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "a", "url"]), inner),
    max_leaves=6,
)
paths = st.sampled_from(
    [
        ("spec",),
        ("spec", "names"),
        ("spec", "versions"),
        ("spec", "versions", 0),
        ("spec", "versions", 0, "schema"),
        ("spec", "versions", 0, "schema", "openAPIV3Schema"),
        ("spec", "versions", 0, "subresources"),
        ("spec", "versions", 0, "selectableFields"),
        ("spec", "conversion"),
        ("spec", "conversion", "webhook", "clientConfig"),
        ("status",),
    ]
)


@settings(max_examples=200)
@given(paths, json_values)
def test_whatever_has_the_schemas_types_is_answered_not_crashed_on(path, value):
    obj = converting({"url": "https://a.example"})
    obj["spec"]["versions"][0]["subresources"] = scale()
    holder = obj
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = value
    ((_, definition),) = [
        (key, found) for key, found in builtin_definitions().items() if key.resource == "customresourcedefinitions"
    ]
    schema = definition.storage.schema
    schema.prune(obj)
    schema.default(obj)
    if schema.validate(obj):
        return
    CRDS.default(obj)
    CRDS.validate(obj)
    CRDS.validate_update(obj, crd())
    CRDS.prepare_update(obj, crd())


@pytest.mark.parametrize("manifest", kcp_manifests().values(), ids=lambda crd: crd["metadata"]["name"])
def test_the_servers_own_definitions_keep_the_rules(manifest):
    own = deepcopy(manifest)
    CRDS.default(own)
    assert messages(own) == []


@pytest.mark.parametrize("given", [{}, [], 1, False, "x"])
def test_defaults_hide_nothing_that_is_of_a_wrong_type(given):
    """Kubernetes' decoder refuses it; a default in its place would have let the definition pass."""
    obj = crd()
    names = obj["spec"]["names"]
    names["singular"], names["listKind"], obj["spec"]["conversion"] = given, given, given
    CRDS.default(obj)
    assert (names["singular"], names["listKind"], obj["spec"]["conversion"]) == (given, given, given)
    for name in ("singular", "listKind"):
        names[name] = None
    CRDS.default(obj)
    assert (names["singular"], names["listKind"]) == ("widget", "WidgetList")
