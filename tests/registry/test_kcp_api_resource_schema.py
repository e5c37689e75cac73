"""APIResourceSchemas: checked like CustomResourceDefinitions, named otherwise, and never changed."""

from copy import deepcopy

import pytest

from kcpcache.meta.names import GroupResource
from kcpcache.registry.kcp import RULES

SCHEMAS = RULES[GroupResource("apis.kcp.io", "apiresourceschemas")]


def version(name="v1", **fields):
    return {"name": name, "served": True, "storage": True, "schema": {"type": "object"}, **fields}


def schema_object(*versions, group="example.com", name=None, **spec):
    names = {"plural": "widgets", "kind": "Widget"}
    wanted = {"group": group, "scope": "Cluster", "names": names, "versions": list(versions or (version(),)), **spec}
    obj = {
        "apiVersion": "apis.kcp.io/v1alpha1",
        "kind": "APIResourceSchema",
        "metadata": {"name": name or f"today.widgets.{group or 'core'}"},
        "spec": wanted,
    }
    SCHEMAS.default(obj)
    return obj


def messages(obj):
    return [error.message for error in SCHEMAS.validate(obj)]


def updated(new, old):
    return [error.message for error in SCHEMAS.validate_update(new, old)]


def test_an_api_resource_schema_is_checked_like_a_definition():
    assert messages(schema_object()) == []
    broken = schema_object(
        version("v1", schema={"type": "string"}, additionalPrinterColumns=[{"name": "A", "type": "x", "jsonPath": "."}])
    )
    assert messages(broken) == [
        'spec.versions[0].schema.type: Invalid value: "string": must be object at the root',
        (
            'spec.versions[0].additionalPrinterColumns[0].type: Invalid value: "x": '
            "must be one of boolean,date,integer,number,string"
        ),
    ]


def test_selectable_fields_are_checked_like_a_definitions():
    """As in kcp from ``APIResourceVersion.SelectableFields`` on."""
    fields = {f"c{number}": {"type": "string"} for number in range(9)} | {"parts": {"type": "object"}}
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": fields}}}

    def selecting(*paths):
        return messages(schema_object(version(schema=schema, selectableFields=[{"jsonPath": path} for path in paths])))

    at = "spec.versions[0].selectableFields"
    assert selecting(".spec.c0", ".spec.c1") == []
    assert selecting(*(f".spec.c{number}" for number in range(9))) == [f"{at}: Too many: 9: must have at most 8 items"]
    (wrong,) = selecting(".spec.parts")
    assert wrong.startswith(f'{at}[0].jsonPath: Invalid value: ".spec.parts": must point to a field of type string, ')


def test_names_of_api_resource_schemas_follow_from_the_kind():
    assert schema_object()["spec"]["names"]["listKind"] == "WidgetList"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("widgets.example.com", "must end in .widgets.example.com"),
        ("v1.gadgets.example.com", "must end in .widgets.example.com"),
        (".widgets.example.com", "must match ^[a-z]([-a-z0-9]*[a-z0-9])?$ in front of .widgets.example.com"),
        ("a.b.widgets.example.com", "must match ^[a-z]([-a-z0-9]*[a-z0-9])?$ in front of .widgets.example.com"),
        ("1.widgets.example.com", "must match ^[a-z]([-a-z0-9]*[a-z0-9])?$ in front of .widgets.example.com"),
    ],
)
def test_the_name_of_an_api_resource_schema_has_one_prefix(name, expected):
    assert messages(schema_object(name=name)) == [f'metadata.name: Invalid value: "{name}": {expected}']


def test_the_copy_of_a_bound_schema_has_the_name_of_the_original_in_an_annotation():
    uid = "01234567-89ab-cdef-0123-456789abcdef"
    copy = schema_object(name=uid)
    assert messages(copy) == [f'metadata.name: Invalid value: "{uid}": must end in .widgets.example.com']
    copy["metadata"]["annotations"] = {"apis.kcp.io/schema-name": "v1.widgets.example.com"}
    assert messages(copy) == []
    copy["metadata"]["name"] = "mine"
    assert messages(copy) == ['metadata.name: Invalid value: "mine": must end in .widgets.example.com']


def test_api_resource_schemas_may_be_of_kubernetes_own_groups():
    assert messages(schema_object(group="")) == []
    assert messages(schema_object(group="apps")) == []
    assert messages(schema_object(group="core")) == [
        'spec.group: Invalid value: "core": must be empty string for the core group'
    ]
    assert messages(schema_object(group="example")) == [
        'spec.group: Invalid value: "example": should be a domain with at least one dot'
    ]


def test_the_webhook_of_an_api_resource_schema_has_a_url():
    webhook = {"clientConfig": {}, "conversionReviewVersions": ["v1"]}
    found = schema_object(conversion={"strategy": "Webhook", "webhook": webhook})
    assert messages(found) == ["spec.conversion.webhook.clientConfig: Required value: url is required"]


def test_an_api_resource_schema_never_changes_but_for_its_metadata():
    old = schema_object()
    labelled = deepcopy(old)
    labelled["metadata"]["labels"] = {"a": "b"}
    assert updated(labelled, old) == []
    changed = deepcopy(old)
    changed["spec"]["versions"][0]["served"] = False
    assert updated(changed, old) == ['spec: Invalid value: "object": is immutable']
