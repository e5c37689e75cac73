from kcpcache.schema.openapi import OBJECT_META, published_v2, published_v3

GVK = ("example.com", "v1", "Widget")
STRING = {"type": "string"}
PRESERVE = {"x-kubernetes-preserve-unknown-fields": True}


def root(**properties):
    return {"type": "object", "properties": properties}


def test_the_kind_is_named():
    for published in (published_v2(root(), GVK), published_v3(root(), GVK), published_v3(None, GVK)):
        assert published["x-kubernetes-group-version-kind"] == [
            {"group": "example.com", "kind": "Widget", "version": "v1"}
        ]


def test_type_and_metadata_are_added():
    published = published_v3(root(spec=STRING, metadata={"type": "object"}), GVK)
    assert set(published["properties"]) == {"spec", "apiVersion", "kind", "metadata"}
    assert published["properties"]["apiVersion"]["type"] == "string"
    assert published["properties"]["metadata"]["allOf"] == [{"$ref": f"#/components/schemas/{OBJECT_META}"}]
    assert published_v2(root(), GVK)["properties"]["metadata"]["$ref"] == f"#/definitions/{OBJECT_META}"


def test_embedded_resources_get_them_too():
    embedded = {"type": "object", "x-kubernetes-embedded-resource": True, "properties": {"a": STRING}}
    for publish in (published_v2, published_v3):
        below = publish(root(spec=embedded), GVK)["properties"]["spec"]
        assert set(below["properties"]) == {"a", "apiVersion", "kind", "metadata"}
        assert below["required"] == ["kind", "apiVersion"]


def test_version_3_keeps_all_keywords():
    spec = {
        "type": "object",
        "nullable": True,
        "oneOf": [{"required": ["a"]}],
        "properties": {"a": STRING | {"default": "x"}},
        "x-kubernetes-validations": [{"rule": "true"}],
    }
    assert published_v3(root(spec=spec), GVK)["properties"]["spec"] == spec


def test_version_2_says_less():
    published = published_v2(
        root(
            any={"type": "object", "anyOf": [{}], "oneOf": [{}], "allOf": [{}], "not": {}},
            null={"type": "object", "nullable": True, "properties": {"a": STRING}},
            loose={"type": "object", "properties": {"a": STRING}} | PRESERVE,
            looser={"type": "array", "items": {"type": "object"}} | PRESERVE,
        )
        | {"required": ["null", "any"]},
        GVK,
    )
    assert published["properties"]["any"] == {"type": "object"}
    assert published["properties"]["null"] == {}
    assert published["properties"]["loose"] == PRESERVE
    assert published["properties"]["looser"] == PRESERVE
    assert published["required"] == ["any"]


def test_version_2_does_not_describe_what_may_hold_anything():
    published = published_v2(root(spec=STRING) | PRESERVE, GVK)
    assert set(published) == {"type", "x-kubernetes-group-version-kind"}


def test_a_kind_without_schema_is_a_bare_object():
    assert published_v3(None, GVK)["type"] == "object"
    assert "properties" not in published_v2(None, GVK)
