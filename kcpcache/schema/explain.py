"""Why a value is not valid: a walk over value and schema that words errors as kube-apiserver does.

Texts are those of kube-openapi's validation, mapped to field errors as apiextensions-apiserver maps them. Slow
(microseconds per node) and only used on what a compiled validator has refused.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from kcpcache.meta.errors import (
    FieldError,
    field_invalid,
    field_not_supported,
    field_required,
    field_too_long,
    field_too_many,
    field_type_invalid,
)
from kcpcache.meta.objects import Object
from kcpcache.schema.formats import string_format
from kcpcache.schema.patterns import PatternError, compile_pattern
from kcpcache.schema.values import ABSENT, INT64, as_go_reads, correlate, map_key, same, shown

NO_PATH = "<nil>"
"""What Kubernetes shows where an error has no field."""

_MAX_ERRORS = 200
_MAX_SAFE_FLOAT = 2.0**53
_RUNES = range(0x110000)
_SURROGATES = range(0xD800, 0xE000)
_TYPE_NAMES = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}


def explain(schema: Object, value: Any, old: Any = ABSENT, path: str = "") -> list[FieldError]:
    """The errors of ``value``, at most 200 of them; without those of sub-values that equal their old ones."""
    return _node(schema, value, path, old)[:_MAX_ERRORS]


def _node(schema: Object, value: Any, path: str, old: Any) -> list[FieldError]:
    errors = list(_null(schema, path)) if value is None else list(_value(schema, value, path, old))
    if errors and old is not ABSENT and same(value, old):
        return []
    return errors


def _null(schema: Object, path: str) -> Iterator[FieldError]:
    types = _types(schema)
    if types and schema.get("nullable") is not True:
        yield _wrong_type(path, types, "null")
    yield from _enum(schema, None, path)


def _value(schema: Object, value: Any, path: str, old: Any) -> Iterator[FieldError]:
    yield from _type(schema, value, path)
    yield from _junctors(schema, value, path, old)
    if isinstance(value, str):
        yield from _string(schema, value, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _number(schema, value, path)
    elif isinstance(value, list):
        yield from _list(schema, value, path, old)
    yield from _enum(schema, value, path)
    if isinstance(value, dict):
        yield from _object(schema, value, path, old)


def _types(schema: Object) -> list[str]:
    if schema.get("x-kubernetes-int-or-string") is True:
        return ["integer", "string"]
    return [schema["type"]] if schema.get("type") else []


def _named(path: str) -> str:
    """An error's field: Kubernetes cuts the dot that required fields of the root begin with."""
    return path.removeprefix(".") or NO_PATH


def _wrong_type(path: str, types: list[str], found: str) -> FieldError:
    wanted = ",".join(types)
    return field_type_invalid(_named(path), found, f'{path} in body must be of type {wanted}: "{found}"')


def _type(schema: Object, value: Any, path: str) -> Iterator[FieldError]:
    types = _types(schema)
    found = _TYPE_NAMES.get(type(value), "object")
    if found == "integer" and value not in INT64:
        found = "number"  # as Go reads it
    if not types or found in types:
        return
    if found == "integer" and "number" in types:
        return
    whole = found == "number" and abs(value) <= _MAX_SAFE_FLOAT and value == int(value)
    if whole and "integer" in types:
        return
    yield _wrong_type(path, types, found)


def _enum(schema: Object, value: Any, path: str) -> Iterator[FieldError]:
    options = schema.get("enum")
    if options and not any(_is_option(value, option) for option in options):
        texts = [option if isinstance(option, str) else shown(option) for option in options]
        yield field_not_supported(_named(path), as_go_reads(value), texts)


def _is_option(value: Any, option: Any) -> bool:
    """Whether a value, converted to the option's type as Go converts it, is the option.

    So 1.5 is the option 1, and 97 the option ``a``; within lists and objects 1 and 1.0 are two. A null is none.
    """
    if value is None or option is None:
        return False
    value, option = as_go_reads(value), as_go_reads(option)
    kinds = (type(value), type(option))
    if kinds == (float, int):
        return bool(int(value) == option)
    if kinds == (int, float):
        return bool(value == option)
    if kinds == (int, str):
        return bool((chr(value) if value in _RUNES and value not in _SURROGATES else "\ufffd") == option)
    return same(value, option)


def _string(schema: Object, value: str, path: str) -> Iterator[FieldError]:
    """Kubernetes stops at a string's first failure, and checks the format apart."""
    longest, shortest, pattern = schema.get("maxLength"), schema.get("minLength"), schema.get("pattern")
    if longest is not None and len(value) > longest:
        yield field_too_long(_named(path), longest)
    elif shortest is not None and len(value) < shortest:
        yield field_invalid(_named(path), value, f"{path} in body should be at least {shortest} chars long")
    elif pattern and not _matches(pattern, value):
        yield field_invalid(_named(path), value, f"{path} in body should match '{pattern}'")
    has_format = string_format(schema)
    if has_format is not None and not has_format(value):
        yield field_type_invalid(
            _named(path), value, f"{path} in body must be of type {schema['format']}: {shown(value)}"
        )


def _matches(pattern: str, value: str) -> bool:
    try:
        return compile_pattern(pattern)(value)
    except PatternError:
        return False
    except ValueError:  # text that is no Unicode
        return False


def _number(schema: Object, value: float, path: str) -> Iterator[FieldError]:
    """Limits of a whole number lose what is behind their point: so it is compared (``MaximumNativeType``)."""
    given = as_go_reads(value)

    def limit(keyword: str) -> Any:
        found = schema.get(keyword)
        return int(found) if found is not None and isinstance(given, int) else found

    factor, lowest, highest = limit("multipleOf"), limit("minimum"), limit("maximum")
    if factor is not None and factor <= 0:
        why = f"factor MultipleOf declared for {path} must be positive: {_plain(factor)}"
        yield field_invalid(_named(path), factor, why)
    elif factor and _exact(value) % _exact(factor):
        yield field_invalid(_named(path), given, f"{path} in body should be a multiple of {factor}")
    if lowest is not None:
        exclusive = schema.get("exclusiveMinimum") is True
        if value < lowest or (exclusive and value == lowest):
            than = "greater than" if exclusive else "greater than or equal to"
            yield field_invalid(_named(path), given, f"{path} in body should be {than} {_plain(lowest)}")
    if highest is not None:
        exclusive = schema.get("exclusiveMaximum") is True
        if value > highest or (exclusive and value == highest):
            than = "less than" if exclusive else "less than or equal to"
            yield field_invalid(_named(path), given, f"{path} in body should be {than} {_plain(highest)}")


def _exact(number: float) -> Fraction:
    """The number that the digits say: 0.3 is a multiple of 0.1."""
    return Fraction(number) if isinstance(number, int) else Fraction(str(number))


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) and abs(number) < _MAX_SAFE_FLOAT else str(number)


def _list(schema: Object, value: list[Any], path: str, old: Any) -> Iterator[FieldError]:
    most, least, items = schema.get("maxItems"), schema.get("minItems"), schema.get("items")
    if isinstance(items, dict):
        correlated = correlate(schema, old)
        keys = schema.get("x-kubernetes-list-map-keys") or ()
        count = 0
        for index, item in enumerate(value):
            before = correlated.get(map_key(item, keys), ABSENT) if correlated else ABSENT
            found = _node(items, item, f"{path}[{index}]", before)
            yield from found
            count += len(found)
            if count >= _MAX_ERRORS:
                return
    if least is not None and len(value) < least:
        yield field_invalid(_named(path), len(value), f"{path} in body should have at least {least} items")
    if most is not None and len(value) > most:
        yield field_too_many(_named(path), len(value), most)


def _object(schema: Object, value: Object, path: str, old: Any) -> Iterator[FieldError]:
    properties: Object = schema.get("properties") or {}
    additional = schema.get("additionalProperties")
    before: Object = old if isinstance(old, dict) else {}
    least, most = schema.get("minProperties"), schema.get("maxProperties")
    if least is not None and len(value) < least:
        yield field_invalid(_named(path), len(value), f"{path} in body should have at least {least} properties")
    if most is not None and len(value) > most:
        yield field_too_many(_named(path), len(value), most)
    count = 0
    for name, item in value.items():
        child = properties.get(name, additional)
        if child is False:
            yield field_invalid(_named(path), name, f"{path}.{name} in body is a forbidden property")
            count += 1
        elif isinstance(child, dict):
            # Type and version were converted before this: whether they changed cannot be seen (KEP-4008).
            seen = path or name not in {"apiVersion", "kind"}
            below = f"{path}.{name}" if path else name
            found = _node(child, item, below, before.get(name, ABSENT) if seen else ABSENT)
            yield from found
            count += len(found)
        if count >= _MAX_ERRORS:
            return
    for name in schema.get("required") or ():
        if name not in value:
            yield field_required(_named(f"{path}.{name}"))


def _junctors(schema: Object, value: Any, path: str, old: Any) -> Iterator[FieldError]:
    yield from _any_of(schema.get("anyOf") or (), value, path, old)
    yield from _one_of(schema.get("oneOf") or (), value, path, old)
    yield from _all_of(schema.get("allOf") or (), value, path, old)
    refused = schema.get("not")
    if isinstance(refused, dict) and not _node(refused, value, path, ABSENT):
        yield _junctor_error(path, "must not validate the schema (not)")


def _junctor_error(path: str, text: str) -> FieldError:
    return field_invalid(NO_PATH, "", f"{shown(path)} {text}")


def _any_of(branches: Any, value: Any, path: str, old: Any) -> Iterator[FieldError]:
    failures = []
    for branch in branches:
        errors = _node(branch, value, path, old)
        if not errors:
            return
        failures.append(errors)
    if failures:
        yield _junctor_error(path, "must validate at least one schema (anyOf)")
        yield from min(failures, key=len)


def _one_of(branches: Any, value: Any, path: str, old: Any) -> Iterator[FieldError]:
    results = [_node(branch, value, path, old) for branch in branches]
    valid = sum(not errors for errors in results)
    if not results or valid == 1:
        return
    found = f"Found {valid} valid alternatives" if valid else "Found none valid"
    yield _junctor_error(path, f"must validate one and only one schema (oneOf). {found}")
    if not valid:
        yield from min(results, key=len)


def _all_of(branches: Any, value: Any, path: str, old: Any) -> Iterator[FieldError]:
    results = [_node(branch, value, path, old) for branch in branches]
    for errors in results:
        yield from errors
    if any(results):
        none = "" if not all(results) else ". None validated"
        yield _junctor_error(path, f"must validate all the schemas (allOf){none}")
