from kcpcache.schema.openapi import OBJECT_META, published_v2, published_v3, selectable_fields

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


def test_what_is_an_integer_or_a_string_says_so_in_every_clients_words():
    """As ``Structural.Unfold`` of apiextensions-apiserver 0.33.5, which leaves alone what is spelled already."""
    either = [{"type": "integer"}, {"type": "string"}]
    flag = {"x-kubernetes-int-or-string": True}
    published = published_v3(
        root(
            plain=dict(flag),
            spelled=flag | {"anyOf": either},
            nested=flag | {"allOf": [{"anyOf": either}, {"minimum": 1}]},
            other=flag | {"anyOf": [{"minimum": 1}], "allOf": [{"maximum": 2}]},
            listed={"type": "array", "items": dict(flag)},
        ),
        GVK,
    )["properties"]
    assert published["plain"] == flag | {"anyOf": either}
    assert published["spelled"] == flag | {"anyOf": either}
    assert published["nested"] == flag | {"allOf": [{"anyOf": either}, {"minimum": 1}]}
    assert published["other"] == flag | {"anyOf": [{"minimum": 1}], "allOf": [{"anyOf": either}, {"maximum": 2}]}
    assert published["listed"]["items"] == flag | {"anyOf": either}


def test_version_2_has_no_defaults():
    published = published_v2(root(a=STRING | {"default": "x"}, default=STRING), GVK)["properties"]
    assert (published["a"], published["default"]) == (STRING, STRING)


def test_fields_to_select_by_are_named():
    found = {"x-kubernetes-selectable-fields": [{"fieldPath": "spec.a"}, {"fieldPath": "spec.b"}]}
    assert selectable_fields(["spec.a", "spec.b"]) == found
    assert selectable_fields([]) == {}
