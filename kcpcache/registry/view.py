"""A ``View`` is one way to see the objects of one resource in one version.

A workspace's own objects, all workspaces (``*``), a projection from the cache store, an APIExport's consumers:
each is a view with the same verbs, and the HTTP layer knows nothing else. All methods run on the event loop.
Errors are ``StatusError``s.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import msgspec

from kcpcache.meta.errors import InvalidError
from kcpcache.meta.objects import Object, copy
from kcpcache.meta.selectors import EVERYTHING, FieldSelector, LabelSelector
from kcpcache.registry.entry import Entry
from kcpcache.registry.resource import ResourceDefinition, ServedVersion
from kcpcache.registry.shelf import Block

WILDCARD = "*"
"""Stands for all logical clusters in a URL."""


@dataclass(frozen=True, slots=True)
class ListOptions:
    """What a list or watch asks for; field names follow ``metav1.ListOptions``.

    ``resource_version`` is "" (newest), "0" (any) or a decimal number. ``namespace`` "" means all.
    """

    namespace: str = ""
    label_selector: LabelSelector = EVERYTHING
    field_selector: FieldSelector = field(default_factory=FieldSelector)
    resource_version: str = ""
    resource_version_match: Literal["", "Exact", "NotOlderThan"] = ""
    limit: int = 0
    continue_token: str = ""
    allow_watch_bookmarks: bool = False
    send_initial_events: bool | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """Entries seen in one logical cluster; ``cluster`` None: each in its own. ``block`` has exactly these entries."""

    entries: Sequence[Entry]
    cluster: str | None = None
    block: Block | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """A consistent list: the segments in order, its revision, and how to go on.

    ``remaining`` is None where it is not known (a selector is set, or there is no further page). ``unreadable`` is how
    many objects should be here, but are damaged, or cannot be decrypted.
    """

    segments: Sequence[Segment]
    revision: int
    continue_token: str = ""
    remaining: int | None = None
    unreadable: int = 0

    def __len__(self) -> int:
        return sum(len(segment.entries) for segment in self.segments)

    def items(self) -> Iterator["Item"]:
        """Each entry with the cluster that it is seen in."""
        for segment in self.segments:
            for entry in segment.entries:
                yield Item(entry, segment.cluster)


class Item(msgspec.Struct, frozen=True):
    """One entry, seen in ``cluster`` (None: its own)."""

    entry: Entry
    cluster: str | None = None

    def wire(self) -> bytes:
        """The JSON that a client gets."""
        return self.entry.wire(self.cluster)

    def object(self) -> Object:
        """A fresh decoded object."""
        return self.entry.object(self.cluster)


EventType: TypeAlias = Literal["ADDED", "MODIFIED", "DELETED"]


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One change as this watch sees it: entering a selector is ADDED, leaving it is DELETED."""

    type: EventType
    item: Item


@dataclass(frozen=True, slots=True)
class Bookmark:
    """Everything up to ``revision`` was delivered. ``initial`` marks the end of the initial events."""

    revision: int
    initial: bool = False


class Watch(Protocol):
    """An open watch. It has one reader; ``close`` may be called from anywhere on the loop, more than once."""

    async def next(self, timeout_seconds: float | None = None) -> Sequence[WatchEvent | Bookmark]:
        """What has come since the last call, in order; empty after ``timeout_seconds`` without anything.

        Raises ExpiredError where the watch fell behind or its revision is gone, and StopAsyncIteration when the server
        ended it (the view went away, or shutdown). A Bookmark comes by itself only where a view must send one (the end
        of the initial events, the end of a batch).
        """
        ...

    def bookmark(self) -> Bookmark:
        """A bookmark for now: true once everything that ``next`` returned was sent."""
        ...

    def close(self) -> None:
        """Stop; ``next`` raises StopAsyncIteration from now on."""
        ...


@dataclass(slots=True)
class WriteOptions:
    """How to write; names follow ``metav1.CreateOptions``. ``warnings`` is filled by the write.

    ``applied``: the change is a server-side apply that has put the managed fields right itself. ``trusted``: the server
    creates what it made itself, which the type's rules need not judge (with its status, where it has one), or reports a
    status, which CEL need not judge, with the labels that mirror it. ``whole``: the server updates an object together
    with its status. ``weight`` is how much the client sent, in bytes:
    what is computed from much is computed beside the event loop (``registry/beside.py``).

    ``own(old, new, options, subresource)`` notes in the object who owns what the client wrote. Whoever lets others
    change the object calls it first: what they change is nobody's. ``owned``: the managed fields that it noted.
    """

    dry_run: bool = False
    field_manager: str = ""
    applied: bool = False
    trusted: bool = False
    whole: bool = False
    field_validation: Literal["Ignore", "Warn", "Strict"] = "Ignore"
    warnings: list[str] = field(default_factory=list)
    weight: int = 0
    own: "Callable[[Object | None, Object, WriteOptions, str], Awaitable[None]] | None" = None
    owned: list[Object] | None = None


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """``metav1.DeleteOptions``. ``propagation_policy`` "" lets the resource's default decide.

    ``warnings`` is filled by the deletion.
    """

    dry_run: bool = False
    propagation_policy: Literal["", "Background", "Foreground", "Orphan"] = ""
    uid: str = ""
    resource_version: str = ""
    grace_period_seconds: int | None = None
    warnings: list[str] = field(default_factory=list)


class Written(msgspec.Struct, frozen=True):
    """The outcome of a write. ``created``: answer 201. ``deleted``: the object is gone for good."""

    item: Item
    created: bool = False
    deleted: bool = False


Operation: TypeAlias = Literal["CREATE", "UPDATE", "DELETE"]

Admit: TypeAlias = Callable[[Operation, "Object | None", "Object | None"], Awaitable[None]]
"""``await admit(operation, new, old)``: may change ``new`` in place before it is validated; raises a StatusError
to refuse.
"""

Change: TypeAlias = Callable[["Object | None"], Object]
"""Makes the wanted object of the live one, which it may change; None: there is none. May raise a StatusError."""


class Replacement:
    """A ``Change`` that takes no look at the live object: ``wanted``, parts of which others may have, replaces it."""

    __slots__ = ("_wanted",)

    def __init__(self, wanted: Object) -> None:
        self._wanted = wanted

    def __call__(self, _live: Object | None) -> Object:
        """A copy of what is wanted."""
        return copy(self._wanted)


def _finish(known: bool) -> None:
    """Nothing is waiting for the outcome."""


async def _as_it_is(error: InvalidError, _new: Object, _old: Object | None) -> InvalidError:
    return error


class Admission(msgspec.Struct, frozen=True):
    """The two moments at which a write can be refused. ``mutate`` sees the object before defaulting and validation.

    ``complete(error, new, old)`` says what else is wrong with an object that the rules of its type refuse.
    ``finish(known)`` is called after each attempt to create; ``known`` False: it was cancelled, and may yet happen.
    """

    mutate: Admit
    validate: Admit
    finish: Callable[[bool], None] = _finish
    complete: Callable[[InvalidError, Object, Object | None], Awaitable[InvalidError]] = _as_it_is


async def _admit(operation: Operation, new: Object | None, old: Object | None) -> None:
    """Refuses nothing and changes nothing."""


NO_ADMISSION = Admission(mutate=_admit, validate=_admit)
"""For controllers, which write what they decided, and for views that are read-only."""


@runtime_checkable
class PromptView(Protocol):
    """A view that knows the newest state most of the time without asking anybody."""

    def at_once(self, namespace: str, name: str) -> Item | None:
        """What ``View.get`` would return now; None where that cannot be told at once, or is an error."""
        ...


class View(Protocol):
    """Verbs over one resource. ``cluster`` is the logical cluster that it is seen in, or ``*``.

    A verb that the view does not have raises MethodNotAllowedError with a message for the user.
    """

    definition: ResourceDefinition
    version: ServedVersion
    cluster: str

    async def get(self, namespace: str, name: str, *, resource_version: str = "") -> Item:
        """The object. Raises NotFoundError."""
        ...

    async def list(self, options: ListOptions) -> Listing:
        """The objects that match, consistent at one revision. Raises ExpiredError, BadRequestError."""
        ...

    async def watch(self, options: ListOptions) -> Watch:
        """Changes after ``options.resource_version``; unset or "0": the present objects first. Raises ExpiredError."""
        ...

    async def create(self, namespace: str, obj: Object, options: WriteOptions, admission: Admission) -> Written:
        """Store a new object. Raises AlreadyExistsError, InvalidError, BadRequestError."""
        ...

    async def update(
        self,
        namespace: str,
        name: str,
        change: Change,
        options: WriteOptions,
        admission: Admission,
        *,
        subresource: str = "",
        create_if_missing: bool = False,
    ) -> Written:
        """Replace the object by ``change(live)``; done again with the newer object where another writer was faster.

        An object that carries a resourceVersion is written only over that version (ConflictError otherwise).
        ``subresource`` "status" writes the status only. Raises NotFoundError, InvalidError.
        """
        ...

    async def delete(self, namespace: str, name: str, options: DeleteOptions, admission: Admission) -> Written:
        """Delete, or start to where finalizers hold it. Raises NotFoundError, ConflictError for a precondition."""
        ...

    async def delete_collection(self, selection: ListOptions, options: DeleteOptions, admission: Admission) -> Listing:
        """Delete what matches; the listing is of what was deleted."""
        ...
