import pytest
import yaml

from kcpcache.kubectl.session import CommandError
from kcpcache.kubectl.snapshot import api_resource_schema, definitions

CRD = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.io, annotations: {a: b}}
spec:
  group: example.io
  names: {kind: Widget, plural: widgets}
  scope: Cluster
  versions:
  - name: v1
    served: true
    storage: true
    deprecated: true
    schema: {openAPIV3Schema: {type: object, description: A widget}}
    subresources: {status: {}}
    additionalPrinterColumns: [{name: Age, type: date, jsonPath: .metadata.creationTimestamp}]
status: {acceptedNames: {}}
"""


def crd(**spec):
    (found,) = definitions(CRD)
    return {**found, "spec": {**found["spec"], **spec}}


def test_a_definition_becomes_the_schema_of_its_versions():
    assert api_resource_schema(crd(), "today") == {
        "apiVersion": "apis.kcp.io/v1alpha1",
        "kind": "APIResourceSchema",
        "metadata": {"name": "today.widgets.example.io"},
        "spec": {
            "group": "example.io",
            "names": {"kind": "Widget", "plural": "widgets"},
            "scope": "Cluster",
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "deprecated": True,
                    "additionalPrinterColumns": [
                        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}
                    ],
                    "schema": {"type": "object", "description": "A widget"},
                    "subresources": {"status": {}},
                }
            ],
        },
    }


def test_several_documents_and_lists_are_read():
    listed = yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": [crd(), crd()]})
    assert len(list(definitions(f"{CRD}\n---\n---\n{listed}"))) == 3
    assert list(definitions("")) == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("kind: ConfigMap\napiVersion: v1", "unexpected type for CRD ConfigMap"),
        ("kind: CustomResourceDefinition\napiVersion: apiextensions.k8s.io/v1beta1", "unexpected type for CRD"),
        ("- a", "unexpected type for CRD list"),
        ("kind: [x]", "unexpected type for CRD"),
        ("{kind: List, items: 5}", "items: Invalid value: must be a list"),
        ("&a {kind: List, items: [*a]}", "a List that contains itself"),
        ("{", "not YAML"),
    ],
)
def test_what_is_no_definition_is_refused(text, why):
    with pytest.raises(CommandError, match=why):
        list(definitions(text))


WEBHOOK = {"url": "https://x", "caBundle": "Y2E="}
CONVERSION = {"strategy": "Webhook", "webhook": {"clientConfig": WEBHOOK, "conversionReviewVersions": ["v1"]}}


@pytest.mark.parametrize("conversion", [{"strategy": "None"}, CONVERSION])
def test_a_conversion_is_taken_over(conversion):
    assert api_resource_schema(crd(conversion=conversion), "v1")["spec"]["conversion"] == conversion


@pytest.mark.parametrize(
    ("definition", "prefix", "why"),
    [
        (crd(), "To day", "metadata.name: Invalid value: 'To day.widgets.example.io'"),
        (crd(versions=[{"name": "v1"}, {"name": "v2"}]), "v1", "multiple versions specified for widgets.example.io"),
        (
            crd(conversion={"strategy": "Webhook", "webhook": {"clientConfig": {"service": {"name": "x"}}}}),
            "v1",
            "webhooks that refer to services are not supported",
        ),
        (crd(conversion={"strategy": "Webhook", "webhook": {"clientConfig": {}}}), "v1", "webhooks URL must be set"),
        ({**crd(), "spec": 5}, "v1", "spec: Invalid value: must be an object"),
        ({**crd(), "metadata": None}, "", "metadata.name: Invalid value: '.'"),
        (crd(versions=5), "v1", "versions: Invalid value: must be a list"),
        (crd(versions=[5]), "v1", "versions: Invalid value: each must be an object"),
        (crd(versions=[{"schema": "x"}]), "v1", "schema: Invalid value: must be an object"),
        (crd(conversion=[]), "v1", "conversion: Invalid value: must be an object"),
    ],
)
def test_what_kcp_cannot_take_over_is_refused(definition, prefix, why):
    with pytest.raises(CommandError) as caught:
        api_resource_schema(definition, prefix)
    assert why in str(caught.value)
