"""Bodies of custom objects that do not say of which type they are, and what a kube-apiserver 1.33 answers."""

from types import SimpleNamespace

import orjson
import pytest

from kcpcache.api.object_type import check_type
from kcpcache.meta.errors import BadRequestError

THING = SimpleNamespace(group="example.com", kind="Thing")
UNRECOGNIZED = "the object provided is unrecognized (must be of type Thing): "


def refused(obj, body=None):
    with pytest.raises(BadRequestError) as found:
        check_type(obj, orjson.dumps(obj) if body is None else body, THING, SimpleNamespace(name="v1"))
    return str(found.value)


@pytest.mark.parametrize(
    ("obj", "why"),
    [
        (
            {"apiVersion": "example.com/v1"},
            UNRECOGNIZED
            + """Object 'Kind' is missing in '{"apiVersion":"example.com/v1"}' ({"apiVersion":"example.com/v1" ...)""",
        ),
        ({}, UNRECOGNIZED + "Object 'Kind' is missing in '{}' ({})"),
        ({"kind": None}, UNRECOGNIZED + """Object 'Kind' is missing in '{"kind":null}' ({"kind":null})"""),
        ({"kind": "Thing"}, "the API version in the data () does not match the expected API version (example.com/v1)"),
        (
            {"kind": "Thing", "apiVersion": "example.com/v2"},
            "the API version in the data (example.com/v2) does not match the expected API version (example.com/v1)",
        ),
        (
            {"kind": "T", "apiVersion": "a/b/c"},
            UNRECOGNIZED + """unexpected GroupVersion string: a/b/c ({"kind":"T","apiVersion":"a/b/ ...)""",
        ),
        (
            {"kind": 1},
            UNRECOGNIZED
            + "couldn't get version/kind; json parse error: json: cannot unmarshal number into Go struct field .kind "
            'of type string ({"kind":1})',
        ),
        (
            {"apiVersion": [], "kind": "T"},
            UNRECOGNIZED
            + "couldn't get version/kind; json parse error: json: cannot unmarshal array into Go struct field "
            '.apiVersion of type string ({"apiVersion":[],"kind":"T"})',
        ),
    ],
)
def test_a_custom_object_must_name_its_type(obj, why):
    assert refused(obj) == why


def test_yaml_is_shown_as_digits():
    assert refused({}, b"a: b").endswith("(613a2062)")


def test_a_long_body_is_shown_in_part():
    assert len(refused({"spec": "x" * 10_000})) < 1_300


@pytest.mark.parametrize("kind", ["Thing", "Other"])
def test_the_right_version_goes_on_to_validation(kind):
    check_type({"kind": kind, "apiVersion": "example.com/v1"}, b"{}", THING, SimpleNamespace(name="v1"))
