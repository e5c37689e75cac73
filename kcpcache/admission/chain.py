"""What may be written, beyond what authorization and the types say: plugins, each about one kind of thing."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Protocol, runtime_checkable

import msgspec

from kcpcache.auth.attributes import Attributes
from kcpcache.meta.errors import InvalidError
from kcpcache.meta.names import GroupResource
from kcpcache.meta.objects import Object, name_of
from kcpcache.registry.view import Admission, DeleteOptions, Operation, WriteOptions


class Request(msgspec.Struct, frozen=True):
    """One write. ``new`` is None for a delete, ``old`` for a create; only ``mutate`` may change ``new``.

    What is appended to ``finishers`` is called once, when the write is over: with False where nobody can know whether
    it took place (it was cancelled).
    """

    attributes: Attributes
    operation: Operation
    new: Object | None
    old: Object | None
    options: WriteOptions | DeleteOptions = msgspec.field(default_factory=WriteOptions)
    finishers: list[Callable[[bool], None]] = msgspec.field(default_factory=list)

    @property
    def name(self) -> str:
        """Of the object: that of the URL, else the object's own (a create, one of a collection)."""
        if self.attributes.name:
            return self.attributes.name
        obj = self.old if self.new is None else self.new
        return name_of(obj) if obj is not None else ""


class Plugin(Protocol):
    """Raises a StatusError to refuse. It runs on the event loop and must not block it."""

    async def mutate(self, request: Request) -> None:
        """Fill in what the writer leaves to the server; called before defaults and validation, maybe twice."""
        ...

    async def validate(self, request: Request) -> None:
        """Refuse what must not be; called when the object is as it would be stored."""
        ...


class ForeignMutator(Protocol):
    """Lets others change the object, after all plugins have."""

    async def mutate(self, request: Request, again: Callable[[], Awaitable[None]]) -> None:
        """Change ``request.new``; then ``await again()``, so that every plugin sees what was changed."""
        ...


@runtime_checkable
class Completing(Protocol):
    """A plugin whose ``validate`` is part of the validation of a type."""

    async def complete(self, error: InvalidError, new: Object, old: Object | None) -> InvalidError:
        """The error of an object that the type's rules refuse, with what ``validate`` would say."""
        ...


class MutateNothing:
    """A plugin that only refuses."""

    async def mutate(self, request: Request) -> None:
        """Leaves everything as it is."""


class ValidateNothing:
    """A plugin that only fills in."""

    async def validate(self, request: Request) -> None:
        """Refuses nothing."""


class _Plugins:
    """What is to be awaited for a resource: nothing of plugins that have nothing to say."""

    def __init__(self, plugins: Iterable[Plugin]) -> None:
        asked = tuple(plugins)
        self.mutate = [p.mutate for p in asked if not isinstance(p, MutateNothing)]
        self.validate = [p.validate for p in asked if not isinstance(p, ValidateNothing)]
        self.complete = [p.complete for p in asked if isinstance(p, Completing)]


class Chain:
    """Plugins for all resources, then those for the one written, in the order given, then the ``last`` for all."""

    def __init__(
        self,
        general: Iterable[Plugin],
        specific: Mapping[GroupResource, Iterable[Plugin]],
        *,
        foreign: ForeignMutator | None = None,
        last: Iterable[Plugin] = (),
    ) -> None:
        self._last, self._foreign = tuple(last), foreign
        first = tuple(general)
        self._general = _Plugins((*first, *self._last))
        self._plugins = {key: _Plugins((*first, *plugins, *self._last)) for key, plugins in specific.items()}

    def admission(self, attributes: Attributes, options: WriteOptions | DeleteOptions | None = None) -> Admission:
        """What a view asks during one write. Warnings go to ``options``."""
        key = GroupResource(attributes.group, attributes.resource)
        plugins = self._plugins.get(key, self._general)
        foreign = self._foreign
        how = options or WriteOptions()
        finishers: list[Callable[[bool], None]] = []

        async def mutate(operation: Operation, new: Object | None, old: Object | None) -> None:
            request = Request(attributes, operation, new, old, how, finishers)

            async def ask_plugins() -> None:
                for ask in plugins.mutate:
                    await ask(request)

            await ask_plugins()
            if foreign is not None:
                await foreign.mutate(request, ask_plugins)

        async def validate(operation: Operation, new: Object | None, old: Object | None) -> None:
            request = Request(attributes, operation, new, old, how, finishers)
            for ask in plugins.validate:
                await ask(request)

        async def complete(error: InvalidError, new: Object, old: Object | None) -> InvalidError:
            for ask in plugins.complete:
                error = await ask(error, new, old)
            return error

        def finish(known: bool) -> None:
            while finishers:
                finishers.pop()(known)

        return Admission(mutate=mutate, validate=validate, finish=finish, complete=complete)
