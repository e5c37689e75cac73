"""Unknown keywords within a CustomResourceDefinition's schemas, at any depth.

The type is recursive and its schema is not: below the first level that one keeps everything.
"""

from typing import Any, Final

from kcpcache.meta.objects import Object
from kcpcache.registry.builtin.apiextensions import JSON_SCHEMA_PROPS, VALIDATION_RULE
from kcpcache.registry.builtin.rules.rule import section, sections
from kcpcache.registry.builtin.types import json_fields

_KEYWORDS: Final = frozenset(field.name for field in json_fields(JSON_SCHEMA_PROPS))
_RULE_FIELDS: Final = frozenset(field.name for field in json_fields(VALIDATION_RULE))
_MAPS: Final = ("properties", "patternProperties", "definitions", "dependencies")
_LISTS: Final = ("allOf", "anyOf", "oneOf", "items")
_SINGLES: Final = ("not", "items", "additionalProperties", "additionalItems")
_LENIENT: Final = frozenset({"items", "additionalProperties", "additionalItems", "dependencies"})
"""What may be of several types decodes itself in Kubernetes, and drops unknown keywords without a word."""


def drop_unknown_keywords(crd: Object) -> list[str]:
    """Remove, in place, what JSONSchemaProps does not have, and nulls; the paths of the former that clients hear of.

    Bears any JSON.
    """
    dropped: list[str] = []
    for index, version in sections(section(crd, "spec"), "versions"):
        schema = section(version, "schema").get("openAPIV3Schema")
        _drop(schema, f"spec.versions[{index}].schema.openAPIV3Schema", dropped)
    return dropped


def _drop(schema: Any, path: str, dropped: list[str]) -> None:
    if not isinstance(schema, dict):
        return
    _drop_fields(schema, _KEYWORDS, path, dropped)
    if not isinstance(schema.get("items", {}), dict | list):
        del schema["items"]  # Kubernetes reads nothing out of it
    unheard: list[str] = []
    for keyword in _MAPS:
        for name, child in section(schema, keyword).items():
            _drop(child, f"{path}.{keyword}.{name}", unheard if keyword in _LENIENT else dropped)
    for keyword in _LISTS:
        for index, child in sections(schema, keyword):
            _drop(child, f"{path}.{keyword}[{index}]", unheard if keyword in _LENIENT else dropped)
    for keyword in _SINGLES:
        _drop(schema.get(keyword), f"{path}.{keyword}", unheard if keyword in _LENIENT else dropped)
    for index, rule in sections(schema, "x-kubernetes-validations"):
        _drop_fields(rule, _RULE_FIELDS, f"{path}.x-kubernetes-validations[{index}]", dropped)


def _drop_fields(obj: Object, known: frozenset[str], path: str, dropped: list[str]) -> None:
    gone = {name: value for name, value in obj.items() if value is None or name not in known}
    for name in gone:
        del obj[name]
    dropped += [f"{path}.{name}" for name in gone if name not in known]
