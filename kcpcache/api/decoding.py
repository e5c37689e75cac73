"""Bodies to objects, by Content-Type: JSON, YAML, Kubernetes protobuf."""

import contextlib
from dataclasses import dataclass, field
from typing import Any, Final

from kcpcache.api.json_body import decode_json, duplicate_fields
from kcpcache.api.yaml_body import decode_yaml
from kcpcache.meta import protobuf
from kcpcache.meta.errors import BadRequestError, UnsupportedMediaTypeError
from kcpcache.meta.objects import Object
from kcpcache.registry.beside import LIGHT_BYTES, computed, keep
from kcpcache.registry.builtin.wire import protobuf_types

JSON: Final = "application/json"
YAML: Final = "application/yaml"


@dataclass(frozen=True, slots=True)
class Body:
    """A decoded object, and what strict decoding has to say about repeated fields, in kube's words.

    ``yaml``: the complaints are goyaml's, which come as one error.
    """

    object: Object
    complaints: list[str] = field(default_factory=list)
    yaml: bool = False

    def errors(self) -> list[str]:
        """The complaints as errors: YAML's are one of several lines."""
        return [yaml_errors(self.complaints)] if self.yaml and self.complaints else self.complaints


def yaml_errors(complaints: list[str]) -> str:
    """One error of goyaml for several complaints."""
    return "yaml: unmarshal errors:\n" + "\n".join(f"  {complaint}" for complaint in complaints)


def media_type(content_type: str) -> str:
    """The bare, lower-case media type of a Content-Type header; JSON where there is none."""
    return content_type.partition(";")[0].strip().lower() or JSON


async def decode_body(data: bytes, content_type: str, *, protobuf_allowed: bool, strict: bool = True) -> Body:
    """The object in a request body. ``strict``: look for repeated fields.

    Raises UnsupportedMediaTypeError, and BadRequestError for everything that is not an object in that format.
    """
    kind = media_type(content_type)
    if kind == JSON:
        light = len(data) <= LIGHT_BYTES  # as almost always, which is why it is looked at here
        return _decode_json(data, strict) if light else await _decode_large_json(data, strict)
    if kind == YAML:
        return await decode_yaml_object(data)
    if kind == protobuf.MEDIA_TYPE and protobuf_allowed:
        return Body(await computed(len(data), protobuf.decode_body, data, protobuf_types()))
    accepted = [JSON, YAML, *([protobuf.MEDIA_TYPE] if protobuf_allowed else [])]
    raise UnsupportedMediaTypeError(
        f"the body of the request was in an unknown format - accepted media types include: {', '.join(accepted)}"
    )


async def decode_yaml_object(data: bytes) -> Body:
    """The object in a YAML body (where it is JSON, it is read as that). Raises BadRequestError."""
    if data.lstrip()[:1] == b"{":
        with contextlib.suppress(BadRequestError):  # else it is YAML in braces, or YAML says what is wrong
            body = await _decode_large_json(data, True)
            if body.complaints:  # YAML says in which lines
                with contextlib.suppress(BadRequestError):
                    found = await computed(len(data), decode_yaml, data)
                    return Body(body.object, found.duplicates, yaml=True)
            return body
    found = await computed(len(data), decode_yaml, data)
    keep(found.value)
    return Body(_object(found.value), found.duplicates, yaml=True)


async def _decode_large_json(data: bytes, strict: bool) -> Body:
    body = await computed(len(data), _decode_json, data, strict)
    keep(body.object)
    return body


def _decode_json(data: bytes, strict: bool) -> Body:
    value = decode_json(data)
    return Body(_object(value), _repeated(data, value) if strict else [])


def _repeated(data: bytes, value: Any) -> list[str]:
    return [f'duplicate field "{path}"' for path in duplicate_fields(data, value)]


def _object(value: Any) -> Object:
    if not isinstance(value, dict):
        raise BadRequestError("the object provided is unrecognized: the body must be a JSON object")
    return value
