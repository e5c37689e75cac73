"""A Swagger document as protobuf: gnostic's ``openapi.v2.Document`` (OpenAPIv2.proto), by a table of field numbers.

Only what this server's documents contain. Vendor extensions (``x-…``) are YAML text, and JSON is YAML.
"""

import struct
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from kcpcache.meta.objects import Object

_LENGTH, _VARINT, _FIXED64 = 2, 0, 1
_CONTINUED, _SEVEN_BITS = 0x80, 0x7F


def encode_document(document: Object) -> bytes:
    """The document in protobuf."""
    return b"".join(
        (
            _field(1, document["swagger"].encode()),
            _field(2, _text_fields(document["info"], {"title": 1, "version": 2})),
            _field(8, b"".join(_field(2, _named(path, _path_item(item))) for path, item in document["paths"].items())),
            _field(9, b"".join(_field(1, _named(name, _schema(s))) for name, s in document["definitions"].items())),
        )
    )


def _varint(value: int) -> bytes:
    out = bytearray()
    value &= (1 << 64) - 1
    while value > _SEVEN_BITS:
        out.append(value & _SEVEN_BITS | _CONTINUED)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number: int, content: bytes) -> bytes:
    return b"".join((_varint(number << 3 | _LENGTH), _varint(len(content)), content))


def _flag(number: int, value: object) -> bytes:
    return _varint(number << 3 | _VARINT) + b"\x01" if value else b""


def _text_fields(value: Mapping[str, Any], numbers: Mapping[str, int]) -> bytes:
    return b"".join(_field(numbers[key], str(value[key]).encode()) for key in numbers if value.get(key))


def _named(name: str, content: bytes) -> bytes:
    return _field(1, name.encode()) + _field(2, content)


def _extensions(number: int, value: Mapping[str, Any]) -> bytes:
    return b"".join(_field(number, _named(key, _any(found))) for key, found in value.items() if key.startswith("x-"))


def _any(value: Any) -> bytes:
    return _field(2, orjson.dumps(value))


_METHODS: Final = {"get": 2, "put": 3, "post": 4, "delete": 5, "patch": 8}


def _path_item(item: Object) -> bytes:
    operations = (_field(number, _operation(item[method])) for method, number in _METHODS.items() if method in item)
    return b"".join((*operations, _parameters(9, item.get("parameters") or ())))


def _operation(operation: Object) -> bytes:
    responses = (_field(1, _named(code, _field(1, _response(found)))) for code, found in operation["responses"].items())
    return b"".join(
        (
            *(_field(1, tag.encode()) for tag in operation["tags"]),
            _text_fields(operation, {"description": 3, "operationId": 5}),
            *(_field(6, media_type.encode()) for media_type in operation["produces"]),
            *(_field(7, media_type.encode()) for media_type in operation["consumes"]),
            _parameters(8, operation["parameters"]),
            _field(9, b"".join(responses)),
            _extensions(13, operation),
        )
    )


def _response(response: Object) -> bytes:
    schema = response.get("schema")
    return _field(1, response["description"].encode()) + (_field(2, _field(1, _schema(schema))) if schema else b"")


def _parameters(number: int, parameters: Iterable[Object]) -> bytes:
    return b"".join(_field(number, _field(1, _parameter(parameter))) for parameter in parameters)


def _parameter(parameter: Object) -> bytes:
    place = parameter["in"]
    if place == "body":
        texts = _text_fields(parameter, {"description": 1, "name": 2, "in": 3})
        return _field(1, texts + _flag(4, parameter.get("required")) + _field(5, _schema(parameter["schema"])))
    common = _flag(1, parameter.get("required")) + _text_fields(parameter, {"in": 2, "description": 3, "name": 4})
    if place == "query":
        found = common + _text_fields(parameter, {"type": 6}) + _flag(20, parameter.get("uniqueItems"))
        return _field(2, _field(3, found))
    found = common + _text_fields(parameter, {"type": 5}) + _flag(19, parameter.get("uniqueItems"))
    return _field(2, _field(4, found))


def _double(number: int, value: Any) -> bytes:
    return _varint(number << 3 | _FIXED64) + struct.pack("<d", float(value))


_SCHEMA_TEXTS: Final = {"$ref": 1, "format": 2, "title": 3, "description": 4, "pattern": 13}
_SCHEMA_NUMBERS: Final = {
    "maxLength": 11,
    "minLength": 12,
    "maxItems": 14,
    "minItems": 15,
    "maxProperties": 17,
    "minProperties": 18,
}
_SCHEMA_DOUBLES: Final = {"multipleOf": 6, "maximum": 7, "minimum": 9}
_SCHEMA_FLAGS: Final = {"exclusiveMaximum": 8, "exclusiveMinimum": 10, "uniqueItems": 16}


def _schema(schema: Object) -> bytes:
    parts = [_text_fields(schema, _SCHEMA_TEXTS)]
    if "default" in schema:
        parts.append(_field(5, _any(schema["default"])))
    parts += [_double(number, schema[key]) for key, number in _SCHEMA_DOUBLES.items() if key in schema]
    parts += [_flag(number, schema.get(key)) for key, number in _SCHEMA_FLAGS.items()]
    parts += [
        _varint(number << 3 | _VARINT) + _varint(schema[key])
        for key, number in _SCHEMA_NUMBERS.items()
        if isinstance(schema.get(key), int)
    ]
    parts += [_field(19, name.encode()) for name in schema.get("required") or ()]
    parts += [_field(20, _any(value)) for value in schema.get("enum") or ()]
    additional = schema.get("additionalProperties")
    if isinstance(additional, dict):
        parts.append(_field(21, _field(1, _schema(additional))))
    elif additional is not None:
        parts.append(_field(21, _varint(2 << 3 | _VARINT) + _varint(int(bool(additional)))))
    if schema.get("type"):
        parts.append(_field(22, _field(1, schema["type"].encode())))
    if isinstance(schema.get("items"), dict):
        parts.append(_field(23, _field(1, _schema(schema["items"]))))
    if schema.get("properties"):
        named = (_field(1, _named(name, _schema(child))) for name, child in schema["properties"].items())
        parts.append(_field(25, b"".join(named)))
    parts.append(_extensions(31, schema))
    return b"".join(parts)
