"""One request on one resource, with everything found that its verb needs."""

from typing import Final

import msgspec

from kcpcache.api.decoding import Body, decode_body
from kcpcache.api.exchange import Exchange
from kcpcache.api.negotiation import Form
from kcpcache.api.options import include_object, write_options
from kcpcache.api.paths import RequestInfo
from kcpcache.api.services import Services, Workspace
from kcpcache.api.shapes import Shaper, shaper
from kcpcache.auth.attributes import Attributes
from kcpcache.meta.errors import BadRequestError
from kcpcache.meta.objects import Object
from kcpcache.registry.catalog import Resource
from kcpcache.registry.resource import ResourceDefinition, ServedVersion
from kcpcache.registry.view import Admission, DeleteOptions, Item, View, WriteOptions

CREATED: Final = 201
OK: Final = 200


def check_metadata(obj: Object) -> None:
    """Drop a null ``metadata``, which means as much as none. Raises BadRequestError where it is not an object."""
    given = obj.get("metadata")
    if given is None:
        obj.pop("metadata", None)
    elif not isinstance(given, dict):
        raise BadRequestError("metadata must be an object")


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

        Raises what ``read_body`` and ``decode_body`` raise.
        """
        data = await self.exchange.body()
        content_type = self.exchange.header(b"content-type")
        strict = options.field_validation != "Ignore"
        builtin = self.definition.origin == "builtin" or bool(self.info.subresource == "scale")
        body = await decode_body(data, content_type, protobuf_allowed=builtin, strict=strict)
        self.complain(body.complaints, options)
        check_metadata(body.object)
        return body

    def complain(self, complaints: list[str], options: WriteOptions) -> None:
        """What strict decoding found: raises BadRequestError, or becomes a warning, or is ignored."""
        if not complaints or options.field_validation == "Ignore":
            return
        if options.field_validation == "Strict":
            kind = self.definition.kind
            raise BadRequestError(
                f'{kind} in version "{self.version.name}" cannot be handled as a {kind}: '
                f"strict decoding error: {', '.join(complaints)}"
            )
        options.warnings += complaints

    async def respond_item(self, status: int, item: Item) -> None:
        """Answer with one object."""
        await self.exchange.respond(status, self.shaper().item(item))
