"""Validation against a structural schema: jsonschema-rs says yes in microseconds, ``explain`` says why not.

Almost every object is valid, so the fast answer is a whole-document check by a compiled validator. Only where that
says no does the slower walk of ``explain.py`` name the fields, with kube-apiserver's texts and with ratcheting; its
verdict is final.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

from kcpcache.meta.errors import FieldError
from kcpcache.meta.objects import Object
from kcpcache.schema.explain import explain
from kcpcache.schema.formats import STRING_FORMATS, string_format
from kcpcache.schema.patterns import PatternError, pattern_options, translate
from kcpcache.schema.values import ABSENT

Validator: TypeAlias = Callable[[Any, Any], list[FieldError]]
"""Validates a value against its schema; the second argument is the old value, or ABSENT on create."""

_COPIED = (
    "maxItems",
    "maxLength",
    "maxProperties",
    "minItems",
    "minLength",
    "minProperties",
    "multipleOf",
)
_NEGATIVE = {"string": "maxLength", "array": "maxItems", "object": "maxProperties", "number": "multipleOf"}
_JUNCTORS = ("allOf", "anyOf", "oneOf")
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1


def compile_validator(schema: Object) -> Validator:
    """A function ``(value, old) -> errors``. With ``old``, values that did not change are not validated anew.

    Ratcheting is KEP-4008's: a sub-value equal to its correlated old value raises no errors. The schema has passed
    ``check_structural``. The function raises nothing, whatever the JSON.
    """
    if _turns_over(schema):
        return partial(explain, schema)

    import jsonschema_rs

    is_valid = jsonschema_rs.Draft202012Validator(
        json_schema(schema),
        formats={f"kube-{name}": check for name, check in STRING_FORMATS.items()},
        validate_formats=True,
        pattern_options=pattern_options(),
        offline=True,
    ).is_valid

    def validate(value: Any, old: Any = ABSENT) -> list[FieldError]:
        try:
            if is_valid(value):
                return []
        except ValueError:
            # Not JSON that the engine can hold, for example a lone surrogate: the walk decides.
            pass
        return explain(schema, value, old)

    return validate


def json_schema(schema: Object) -> Object:
    """The JSON Schema (draft 2020-12) that accepts nearly what Kubernetes accepts under this structural schema.

    Nothing else, and less only where numbers, or what is in an enum, are compared in Go's way: there the walk decides.
    """
    if hopeless := {kind: keyword for kind, keyword in _NEGATIVE.items() if _is_hopeless(schema, keyword)}:
        # Kubernetes takes such limits, and then no value of the type, or not those that JSON Schema takes.
        sound = {key: value for key, value in schema.items() if key not in hopeless.values()}
        return {"allOf": [json_schema(sound), {"not": {"type": list(hopeless)}}]}
    out: Object = {key: schema[key] for key in _COPIED if (schema.get(key) or 0) > 0 or schema.get(key) == 0}
    if options := schema.get("enum"):
        out["enum"] = [option for option in options if isinstance(option, str | int | float)]
    if required := schema.get("required"):
        out["required"] = list(dict.fromkeys(required))
    nullable = schema.get("nullable") is True
    types = type_names(schema)
    if types:
        out["type"] = [*types, "null"] if nullable else list(types)
    _translate_bounds(schema, types, out)
    pattern = schema.get("pattern")
    if pattern:
        try:
            out["pattern"] = translate(pattern)
        except PatternError:
            out["not"] = {"type": "string"}
    if string_format(schema) is not None:
        out["format"] = "kube-" + schema["format"].replace("-", "")
    if properties := schema.get("properties"):
        out["properties"] = {name: json_schema(child) for name, child in properties.items()}
    additional = schema.get("additionalProperties")
    if additional is not None:
        out["additionalProperties"] = json_schema(additional) if isinstance(additional, dict) else bool(additional)
    if isinstance(schema.get("items"), dict):
        out["items"] = json_schema(schema["items"])
    _translate_junctors(schema, out, null_passes=nullable or not types)
    return out


def _is_hopeless(schema: Object, keyword: str) -> bool:
    limit = schema.get(keyword)
    return limit is not None and (limit < 0 or (keyword == "multipleOf" and (limit == 0 or limit % 1 != 0)))


def _turns_over(schema: Object, *, within: bool = False) -> bool:
    """Whether ``not`` or ``oneOf`` would make too much of it that ``json_schema`` accepts too little."""
    if within:
        limits = [schema.get(keyword) for keyword in ("minimum", "maximum", "multipleOf")]
        if any(limit is not None and limit % 1 != 0 for limit in limits):
            return True
        if any(not isinstance(option, str | bool) for option in schema.get("enum") or ()):
            return True
    children = [*(schema.get("properties") or {}).values(), schema.get("additionalProperties"), schema.get("items")]
    children += [branch for junctor in ("allOf", "anyOf") for branch in schema.get(junctor) or ()]
    turned = [*(schema.get("oneOf") or ()), schema.get("not")]
    return any(isinstance(child, dict) and _turns_over(child, within=within) for child in children) or any(
        isinstance(child, dict) and _turns_over(child, within=True) for child in turned
    )


def type_names(schema: Object) -> tuple[str, ...]:
    """The JSON types that the schema allows; empty where it does not say."""
    if schema.get("x-kubernetes-int-or-string") is True:
        return ("integer", "string")
    declared = schema.get("type")
    return (declared,) if isinstance(declared, str) and declared else ()


def _translate_bounds(schema: Object, types: tuple[str, ...], out: Object) -> None:
    """OpenAPI's exclusive bounds are flags; integers are those of 64 bits.

    Whole numbers are compared with what is in front of a bound's point, others with all of it: here with the stricter.
    """
    for bound, flag in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        limit = schema.get(bound)
        if limit is not None:
            stricter = max(limit, int(limit)) if bound == "minimum" else min(limit, int(limit))
            out[flag if schema.get(flag) is True else bound] = stricter
    if "integer" in types:
        out.setdefault("minimum", _INT64_MIN)
        out.setdefault("maximum", _INT64_MAX)


def _translate_junctors(schema: Object, out: Object, *, null_passes: bool) -> None:
    junctors: Object = {key: [json_schema(branch) for branch in schema[key]] for key in _JUNCTORS if schema.get(key)}
    if isinstance(schema.get("not"), dict):
        junctors["not"] = json_schema(schema["not"])
    if not junctors:
        return
    if null_passes:
        # Kubernetes asks a null nothing but its type and the enum.
        junctors = {"if": {"type": "null"}, "else": junctors}
    if "not" in out and "not" in junctors:
        junctors = {"allOf": [junctors]}
    out.update(junctors)
