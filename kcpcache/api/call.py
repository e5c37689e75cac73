"""One request on one resource, with everything found that its verb needs."""

from typing import Final

import msgspec
import orjson

from kcpcache.api.decoding import JSON, Body, decode_body, media_type
from kcpcache.api.exchange import Exchange
from kcpcache.api.json_body import complaints
from kcpcache.api.negotiation import Form
from kcpcache.api.object_type import check_type
from kcpcache.api.options import include_object, write_options
from kcpcache.api.paths import RequestInfo
from kcpcache.api.services import Services, Workspace
from kcpcache.api.shapes import Shaper, shaper
from kcpcache.auth.attributes import Attributes
from kcpcache.meta import object_meta
from kcpcache.meta.errors import BadRequestError
from kcpcache.meta.objects import Object, copy, metadata
from kcpcache.registry import scale
from kcpcache.registry.beside import LIGHT_BYTES, computed
from kcpcache.registry.catalog import Resource
from kcpcache.registry.resource import ResourceDefinition, ServedVersion
from kcpcache.registry.view import Admission, DeleteOptions, Item, View, WriteOptions
from kcpcache.registry.write_steps import UndecodableError, drop_unknown, strict_decoding_error, warn

CREATED: Final = 201
OK: Final = 200


def check_metadata(obj: Object) -> None:
    """Drop a null ``metadata``, which means as much as none. Raises BadRequestError where it is not an object."""
    given = obj.get("metadata")
    if given is None:
        obj.pop("metadata", None)
    elif not isinstance(given, dict):
        raise BadRequestError("metadata must be an object")


def _is_custom(definition: ResourceDefinition) -> bool:
    """Whether objects must name their type; those of kcp's own types need not, wherever they are bound."""
    return definition.is_custom and not definition.group.endswith(".kcp.io")


class Call(msgspec.Struct, frozen=True):
    """A resource request, authenticated, authorised and resolved."""

    exchange: Exchange
    info: RequestInfo
    services: Services
    workspace: Workspace
    attributes: Attributes
    resource: Resource
    version: ServedVersion
    view: View
    form: Form

    @property
    def definition(self) -> ResourceDefinition:
        """What the resource is."""
        return self.resource.definition

    def shaper(self) -> Shaper:
        """Makes answers in the form that was negotiated."""
        include = include_object(self.info) if self.form.shape == "table" else "Metadata"
        return shaper(self.definition, self.version, self.form, include, self.services.clock)

    def write_options(self, *, apply: bool = False) -> WriteOptions:
        """How to write; what the write warns of goes into the answer. Raises InvalidError."""
        user_agent = self.exchange.header(b"user-agent")
        return write_options(self.info, user_agent, apply=apply, warnings=self.exchange.warnings)

    def admission(self, options: WriteOptions | DeleteOptions) -> Admission:
        """The admission of this write."""
        return self.workspace.admission(self.attributes, options)

    async def decode(self, options: WriteOptions) -> Body:
        """The object in the body. Fields that stand twice are refused or warned about, as ``options`` say.

        Raises what ``read_body`` and ``decode_body`` raise, and UndecodableError.
        """
        data = await self.exchange.body()
        content_type = self.exchange.header(b"content-type")
        strict = options.field_validation != "Ignore"
        builtin = self.definition.origin == "builtin" or bool(self.info.subresource == "scale")
        options.weight = len(data)
        body = await decode_body(data, content_type, protobuf_allowed=builtin, strict=strict)
        if builtin and b".0" in data and media_type(content_type) == JSON:
            await computed(len(data), self._check_integers, data)
        if _is_custom(self.definition) and self.info.subresource != "scale":
            if len(data) <= LIGHT_BYTES:
                check_type(body.object, data, self.definition, self.version)
            else:
                await computed(len(data), check_type, body.object, data, self.definition, self.version)
        check_metadata(body.object)
        if self.exchange.trail is not None:
            self.exchange.trail.sent_object(metadata(body.object))
        if body.complaints and strict:
            await computed(len(data), self._complain, body, data, options)
        return body

    def _check_integers(self, data: bytes) -> None:
        """Go takes no ``5.0`` for an integer, other than ``decode_json``. Raises UndecodableError."""
        if self._is_of_another_type():
            return
        why = self.definition.decoding_error(orjson.loads(data))
        if why.startswith("json: cannot unmarshal number"):
            raise UndecodableError(self.definition.kind, self.version.name, why)

    def _is_of_another_type(self) -> bool:
        """Whether the body is no object of the resource: a Scale, a TokenRequest."""
        return self.info.subresource == "scale" or bool(self.info.subresource and self.info.verb == "create")

    def _complain(self, body: Body, data: bytes, options: WriteOptions) -> None:
        """Say what stands twice, and of what is unknown at least as much as belongs into the same error."""
        unknown = self.unknown_fields(body.object)
        warnings, errors = [*body.complaints, *unknown], [*body.errors(), *unknown]
        if self.definition.origin == "builtin" and not body.yaml:
            # Kubernetes decodes these into Go types, in one pass that finds both.
            paths = {text.removeprefix('unknown field "')[:-1] for text in unknown}
            warnings = errors = complaints(data, body.object, paths)
        if options.field_validation == "Strict":
            raise strict_decoding_error(self.definition, self.version, errors)
        warn(options, warnings)

    def unknown_fields(self, obj: Object) -> list[str]:
        """What strict decoding says of fields that the type does not have; ``obj`` stays as it is.

        Nothing where the object is of another type (a TokenRequest), or is refused for its metadata anyway.
        """
        if self.info.subresource == "scale":
            return [f'unknown field "{path}"' for path in scale.unknown_fields(obj)]
        if self._is_of_another_type() or object_meta.type_errors(metadata(obj)):
            return []
        seen = copy(obj)
        seen.setdefault("metadata", {})
        return drop_unknown(self.definition, self.version, seen)

    async def respond_item(self, status: int, item: Item) -> None:
        """Answer with one object."""
        await self.exchange.respond(status, self.shaper().item(item))
