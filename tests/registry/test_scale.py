"""What of an object makes its Scale, and what keeps it from having one; seen at kube-apiserver 1.33.5."""

import pytest

from kcpcache.registry.resource import Scale
from kcpcache.registry.scale import scale_errors, scale_of, unknown_fields

PATHS = Scale(".spec.count", ".status.replicas", ".status.selector")
OBJECT = "map[string]interface {}"
WANTED = "expected int64"
TOO_MANY = "should be less than or equal to 2147483647"


def found(obj, **how):
    return [(error.path, error.body) for error in scale_errors(obj, PATHS, **how)]


@pytest.mark.parametrize(
    "obj",
    [
        {},
        {"spec": {}, "status": {}},
        {"spec": None, "status": None},
        {"spec": {"count": 2**31 - 1}, "status": {"replicas": 0, "selector": ""}},
    ],
)
def test_what_is_missing_is_no_error(obj):
    assert found(obj) == []


@pytest.mark.parametrize(
    ("obj", "path", "body"),
    [
        ({"spec": {"count": -1}}, ".spec.count", "Invalid value: -1: should be a non-negative integer"),
        ({"spec": {"count": 2**31}}, ".spec.count", f"Invalid value: 2147483648: {TOO_MANY}"),
        ({"status": {"replicas": -1}}, ".status.replicas", "Invalid value: -1: should be a non-negative integer"),
        (
            {"spec": {"count": "1"}},
            ".spec.count",
            "Invalid value: 0: .spec.count accessor error: 1 is of the type string, expected int64",
        ),
        (
            {"spec": {"count": True}},
            ".spec.count",
            "Invalid value: 0: .spec.count accessor error: true is of the type bool, expected int64",
        ),
        (
            {"spec": {"count": None}},
            ".spec.count",
            "Invalid value: 0: .spec.count accessor error: <nil> is of the type <nil>, expected int64",
        ),
        (
            {"spec": {"count": {"b": [1.5], "a": None}}},
            ".spec.count",
            f"Invalid value: 0: .spec.count accessor error: map[a:<nil> b:[1.5]] is of the type {OBJECT}, {WANTED}",
        ),
        (
            {"spec": 1.5},
            ".spec.count",
            "Invalid value: 0: .spec.count accessor error: 1.5 is of the type float64, expected map[string]interface{}",
        ),
        (
            {"status": {"selector": 1}},
            ".status.selector",
            'Invalid value: "": .status.selector accessor error: 1 is of the type int64, expected string',
        ),
    ],
)
def test_replicas_are_counts_and_the_selector_is_a_text(obj, path, body):
    assert found(obj) == [(path, body)]


def test_of_a_write_of_the_status_the_rest_is_not_asked():
    obj = {"spec": {"count": -1}, "status": []}
    expected = "map[string]interface{}"
    why = f"accessor error: [] is of the type []interface {{}}, expected {expected}"
    assert found(obj, status_only=True) == [
        (".status.replicas", f"Invalid value: 0: .status.replicas {why}"),
        (".status.selector", f'Invalid value: "": .status.selector {why}'),
    ]


def test_a_selector_that_no_path_leads_to_is_none():
    assert scale_errors({"status": {"selector": 1}}, Scale(".spec.count", ".status.replicas")) == []


def test_no_replicas_are_left_out_of_the_spec_and_stand_in_the_status():
    """As Go writes ScaleSpec (``omitempty``) and ScaleStatus."""
    assert scale_of({"metadata": {"name": "a"}, "spec": {"count": 0}}, PATHS) == {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {"name": "a"},
        "spec": {},
        "status": {"replicas": 0},
    }


def test_what_a_scale_does_not_have_is_unknown():
    scale = {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {"name": "a", "x": 1},
        "spec": {"replicas": 1, "count": 2},
        "status": {"replicas": 1, "selector": "", "phase": ""},
        "data": {},
    }
    assert unknown_fields(scale) == ["data", "metadata.x", "spec.count", "status.phase"]
    assert unknown_fields({"metadata": {"name": 1, "x": 1}, "spec": []}) == []
