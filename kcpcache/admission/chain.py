"""What may be written, beyond what authorization and the types say: plugins, each about one kind of thing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from kcpcache.auth.attributes import Attributes
from kcpcache.meta.names import GroupResource
from kcpcache.meta.objects import Object
from kcpcache.registry.view import Admission, Operation


@dataclass(frozen=True, slots=True)
class Request:
    """One write. ``new`` is None for a delete, ``old`` for a create; only ``mutate`` may change ``new``."""

    attributes: Attributes
    operation: Operation
    new: Object | None
    old: Object | None


class Plugin(Protocol):
    """Raises a StatusError to refuse. It runs on the event loop and must not block it."""

    async def mutate(self, request: Request) -> None:
        """Fill in what the writer leaves to the server; called before defaults and validation."""
        ...

    async def validate(self, request: Request) -> None:
        """Refuse what must not be; called when the object is as it would be stored."""
        ...


class MutateNothing:
    """A plugin that only refuses."""

    async def mutate(self, request: Request) -> None:
        """Leaves everything as it is."""


class ValidateNothing:
    """A plugin that only fills in."""

    async def validate(self, request: Request) -> None:
        """Refuses nothing."""


class Chain:
    """Plugins for all resources, then those for the one written, in the order given."""

    def __init__(self, general: Iterable[Plugin], specific: Mapping[GroupResource, Iterable[Plugin]]) -> None:
        self._general = tuple(general)
        self._plugins = {key: (*self._general, *plugins) for key, plugins in specific.items()}

    def admission(self, attributes: Attributes) -> Admission:
        """What a view asks during one write."""
        key = GroupResource(attributes.group, attributes.resource)
        plugins = self._plugins.get(key, self._general)

        async def mutate(operation: Operation, new: Object | None, old: Object | None) -> None:
            for plugin in plugins:
                await plugin.mutate(Request(attributes, operation, new, old))

        async def validate(operation: Operation, new: Object | None, old: Object | None) -> None:
            for plugin in plugins:
                await plugin.validate(Request(attributes, operation, new, old))

        return Admission(mutate=mutate, validate=validate)
