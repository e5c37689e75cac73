"""Which form of an answer the client asks for (Accept), after the rules of kube-apiserver.

Answers are always JSON; what can be chosen is their shape.
"""

from functools import lru_cache
from typing import Final, Literal, NamedTuple

from kcpcache.meta.errors import NotAcceptableError

Shape = Literal["object", "table", "metadata"]

_META_GROUP: Final = "meta.k8s.io"
_META_VERSIONS: Final = frozenset({"v1", "v1beta1"})
_JSON_TYPES: Final = frozenset({"application/json", "application/*", "*/*"})
_SHAPES: Final[dict[str, Shape]] = {
    "Table": "table",
    "PartialObjectMetadata": "metadata",
    "PartialObjectMetadataList": "metadata",
}
_NOT_ACCEPTABLE: Final = "only the following media types are accepted: application/json"
_MOST_RANGES: Final = 64
_LONGEST_HEADER: Final = 2048


class Form(NamedTuple):
    """The shape of an answer, and for all but plain objects the kind and version of meta.k8s.io that it is in."""

    shape: Shape = "object"
    version: str = "v1"
    kind: str = ""

    @property
    def api_version(self) -> str:
        """``apiVersion`` of a Table or PartialObjectMetadata in this form."""
        return f"{_META_GROUP}/{self.version}"


PLAIN: Final = Form()


class MediaRange(NamedTuple):
    """One part of an Accept header; parameters by lower-case name, without ``q``."""

    type: str
    parameters: dict[str, str]


def media_ranges(accept: str) -> tuple[MediaRange, ...]:
    """The parts of an Accept header, most wanted first; what is refused (``q=0``) or unreadable is left out.

    Of an absurdly long header only the beginning counts, so that what is remembered stays small.
    """
    return _media_ranges(accept[:_LONGEST_HEADER])


@lru_cache(maxsize=1024)
def _media_ranges(accept: str) -> tuple[MediaRange, ...]:
    found: list[tuple[float, MediaRange]] = []
    for part in accept.split(",")[:_MOST_RANGES]:
        media_type, *pairs = part.split(";")
        parameters, quality = {}, 1.0
        for pair in pairs:
            key, _, value = (text.strip() for text in pair.partition("="))
            if key.lower() == "q":
                quality = _quality(value)
            else:
                parameters[key.lower()] = value.strip('"')
        if media_type.strip() and quality > 0:
            found.append((quality, MediaRange(media_type.strip().lower(), parameters)))
    return tuple(media_range for _, media_range in sorted(found, key=lambda pair: -pair[0]))


def _quality(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 0.0


def negotiate(accept: str, *, streaming: bool = False, shapes: bool = True) -> Form:
    """The first form that the Accept header names and this server has; "" accepts everything.

    ``streaming``: for a watch. ``shapes`` False: for what has one shape only. Raises NotAcceptableError.
    """
    return _negotiate(accept[:_LONGEST_HEADER], streaming, shapes)


@lru_cache(maxsize=1024)
def _negotiate(accept: str, streaming: bool, shapes: bool) -> Form:
    if not accept.strip():
        return PLAIN
    for media_type, parameters in media_ranges(accept):
        if media_type not in _JSON_TYPES or (parameters.get("stream", "watch") != "watch" and streaming):
            continue
        if "as" not in parameters:
            return PLAIN
        shape = _SHAPES.get(parameters["as"]) if shapes else None
        version = parameters.get("v", "")
        if shape is not None and parameters.get("g") == _META_GROUP and version in _META_VERSIONS:
            return Form(shape, version, parameters["as"])
    raise NotAcceptableError(_NOT_ACCEPTABLE)


def check_form(form: Form, kind: str, *, listed: bool) -> None:
    """That a list's metadata is not asked for as one object's, or an object's as a list's. Raises NotAcceptableError.

    ``kind`` is that of the answer. The texts are kube-apiserver's.
    """
    if form.kind.endswith("List") == listed:
        return
    what = "a list" if listed else "not a list"
    raise NotAcceptableError(f"you requested {form.kind}, but the requested object is {what} ({kind})")


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether the answer may be compressed."""
    return any(r.type in {"gzip", "*"} for r in media_ranges(accept_encoding))
