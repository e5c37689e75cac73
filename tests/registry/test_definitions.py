"""What a definition makes of a CustomResourceDefinition's version, as kube-apiserver 1.33.5 does."""

import pytest

from kcpcache.registry.catalog import StoredResource, fingerprint
from kcpcache.registry.definitions import definition_of_crd

SCHEMA = {"schema": {"openAPIV3Schema": {"type": "object"}}}


def defined(*versions):
    names = {"plural": "things", "kind": "Thing"}
    listed = [{"served": True, "storage": not at, **SCHEMA, **version} for at, version in enumerate(versions)]
    return definition_of_crd({"spec": {"group": "example.com", "scope": "Cluster", "names": names, "versions": listed}})


@pytest.mark.parametrize(
    ("others", "better"),
    [
        ([], ""),
        ([{"name": "v1"}], "; use example.com/v1 Thing"),
        ([{"name": "v1"}, {"name": "v2"}, {"name": "v3alpha1"}], "; use example.com/v2 Thing"),
        ([{"name": "v1alpha1"}], ""),
        ([{"name": "v1", "served": False}], ""),
        ([{"name": "v1", "deprecated": True}], ""),
    ],
)
def test_requests_of_a_deprecated_version_are_told_what_to_use(others, better):
    """The newest one that is served, newer and not deprecated itself."""
    definition = defined({"name": "v1beta1", "deprecated": True}, *others)
    found = definition.version("v1beta1")
    assert found.deprecation_warning == f"example.com/v1beta1 Thing is deprecated{better}"


def test_a_text_of_its_own_is_what_they_are_told():
    definition = defined(
        {"name": "v1", "deprecated": True, "deprecationWarning": "old"}, {"name": "v2", "deprecated": False}
    )
    assert definition.version("v1").deprecation_warning == "old"
    assert definition.version("v2").deprecation_warning == ""


def test_columns_are_described_by_their_path():
    column = {"name": "A", "type": "string", "jsonPath": ".spec.a"}
    definition = defined({"name": "v1", "additionalPrinterColumns": [column, {**column, "description": "An a."}]})
    _, plain, described = definition.version("v1").columns
    assert plain.description == "Custom resource definition column (in JSONPath format): .spec.a"
    assert described.description == "An a."


def test_the_age_of_custom_objects_is_a_date():
    _, age = defined({"name": "v1"}).version("v1").columns
    assert age.definition() | {"description": ""} == {
        "name": "Age", "type": "date", "format": "", "description": "", "priority": 0,
    }  # fmt: skip


def test_fields_to_select_by_are_part_of_what_is_published():
    """The documents of OpenAPI name them, and are kept by their content."""
    plain, selectable = (
        fingerprint(StoredResource(defined({"name": "v1", "selectableFields": fields})))
        for fields in ([], [{"jsonPath": ".spec.a"}])
    )
    assert plain != selectable
