"""Bodies that do not say of which type they are, or do not fit it, and what a kube-apiserver 1.33 answers."""

from types import SimpleNamespace

import orjson
import pytest

from kcpcache.api.object_type import check_type
from kcpcache.meta.errors import BadRequestError

JSON = {"content-type": "application/json"}
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


@pytest.mark.parametrize(
    ("body", "given", "name"),
    [
        (b'{"kind":1,"apiVersion":"example.com/v1","kind":"Thing"}', "number", "kind"),
        (b'{"apiVersion":{},"kind":"Thing","apiVersion":"example.com/v1"}', "object", "apiVersion"),
        (b'{"apiVersion":"example.com/v1","kind":[[]],"kind":true,"kind":"Thing"}', "array", "kind"),
    ],
)
def test_a_name_of_a_wrong_type_is_refused_also_where_another_one_follows(body, given, name):
    """SimpleMetaFactory.Interpret of kube-apiserver 1.33.5 decodes each into a Go string."""
    why = f"json: cannot unmarshal {given} into Go struct field .{name} of type string"
    assert why in refused(orjson.loads(body), body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"kind":null,"apiVersion":"example.com/v1","kind":"Thing"}',
        b'{"kind":"Thing","apiVersion":"example.com/v1","spec":{"kind":1}}',
        b'{"kind":"Other","apiVersion":"example.com/v1","kind":"Thing"}',
    ],
)
def test_names_that_are_null_or_further_within_do_not_count(body):
    check_type(orjson.loads(body), body, THING, SimpleNamespace(name="v1"))


def test_yaml_is_shown_as_digits():
    assert refused({}, b"a: b").endswith("(613a2062)")


def test_a_long_body_is_shown_in_part():
    assert len(refused({"spec": "x" * 10_000})) < 1_300


@pytest.mark.parametrize("kind", ["Thing", "Other"])
def test_the_right_version_goes_on_to_validation(kind):
    check_type({"kind": kind, "apiVersion": "example.com/v1"}, b"{}", THING, SimpleNamespace(name="v1"))


LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


async def test_an_integer_of_a_built_in_type_is_written_without_a_point(world):
    """As Go's decoder has it. Objects of no Go type may, and get the integer."""
    body = '{"metadata":{"name":"a","labels":{"v":"1.0"}},"spec":{"leaseDurationSeconds":%s}}'
    refused = await world.client.post(LEASES, content=body % "5.0", headers=JSON)
    assert refused.status_code == 400
    assert refused.json()["message"] == (
        'Lease in version "v1" cannot be handled as a Lease: json: cannot unmarshal number 5.0 into Go struct field '
        "LeaseSpec.spec.leaseDurationSeconds of type int32"
    )
    assert (await world.client.post(LEASES, content=body % "5", headers=JSON)).status_code == 201
    assert (await world.client.put(f"{LEASES}/a", content=body % "5.0", headers=JSON)).status_code == 400
    assert type((await world.cron_tab("a", replicas=5.0))["spec"]["replicas"]) is int
    yaml = {"content-type": "application/yaml"}
    text = "metadata: {name: b}\nspec: {leaseDurationSeconds: 5.0}"
    assert (await world.client.post(LEASES, content=text, headers=yaml)).status_code == 201


@pytest.mark.parametrize("keyword", ["maxLength", "minItems"])
@pytest.mark.parametrize("wrap", [lambda schema: schema, lambda schema: {"items": schema}])
async def test_the_limits_in_a_schema_are_such_integers(world, keyword, wrap):
    schema = {"type": "object", "properties": {"a": wrap({keyword: 5.0})}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": "things", "kind": "Thing"}
    spec = {"group": "example.com", "scope": "Cluster", "names": names, "versions": [version]}
    refused = await world.client.post(CRDS, json={"metadata": {"name": "things.example.com"}, "spec": spec})
    assert refused.status_code == 400
    assert "cannot unmarshal number 5.0 into Go struct field JSONSchemaProps.spec.versions" in refused.json()["message"]
