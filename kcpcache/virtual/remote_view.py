"""One resource of another server, as objects of a workspace here. What comes from there is believed in nothing."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

import msgspec
import orjson

from kcpcache.meta.errors import StatusError
from kcpcache.meta.names import api_version
from kcpcache.meta.objects import Object, nested
from kcpcache.meta.selectors import FieldSelector, LabelSelector, Requirement
from kcpcache.meta.virtual_resources import COPY_ANNOTATIONS
from kcpcache.registry.entry import Entry, encode, entry_of
from kcpcache.registry.resource import ResourceDefinition, ServedVersion
from kcpcache.registry.view import Bookmark, EventType, Item, Listing, ListOptions, Segment, WatchEvent
from kcpcache.virtual.remote import Lines, Remote, RemoteError, error_of

_EVENT_TYPES: Final[dict[str, EventType]] = {"ADDED": "ADDED", "MODIFIED": "MODIFIED", "DELETED": "DELETED"}
_INITIAL_EVENTS_END: Final = "k8s.io/initial-events-end"
_MOST_DIGITS: Final = 18
_SERVER_ERROR: Final = 500


def label_selector_text(selector: LabelSelector) -> str:
    """The selector as ``?labelSelector=`` takes it."""
    return ",".join(_term(requirement) for requirement in selector.requirements)


def _term(requirement: Requirement) -> str:
    key, values = requirement.key, ",".join(sorted(requirement.values))
    match requirement.operator:
        case "In":
            return f"{key} in ({values})"
        case "NotIn":
            return f"{key} notin ({values})"
        case "Exists":
            return key
        case "DoesNotExist":
            return f"!{key}"
        case "Gt":
            return f"{key}>{values}"
        case "Lt":
            return f"{key}<{values}"


def field_selector_text(selector: FieldSelector) -> str:
    """The selector as ``?fieldSelector=`` takes it."""
    return ",".join(f"{r.path}{'=' if r.equal else '!='}{_escaped(r.value)}" for r in selector.requirements)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")


class RemoteView:
    """Get, list and watch at ``base`` (``https://…/clusters/<cluster>``), seen in ``cluster``; ``hops`` go along.

    All raise RemoteError, and StatusErrors that the server answers with.
    """

    def __init__(
        self,
        remote: Remote,
        base: str,
        definition: ResourceDefinition,
        version: ServedVersion,
        cluster: str,
        *,
        hops: int,
    ) -> None:
        self._remote, self._hops, self._cluster = remote, hops, cluster
        self._api_version = api_version(definition.group, version.name)
        self._definition = definition
        self._root = f"{base}/{'apis' if definition.group else 'api'}/{self._api_version}"

    async def get(self, namespace: str, name: str, *, resource_version: str = "") -> Item:
        """One object."""
        parameters = {"resourceVersion": resource_version} if resource_version else {}
        found = await self._remote.get(f"{self._url(namespace)}/{quote(name, safe='')}", parameters, self._hops)
        return Item(self._entry(found))

    async def list(self, options: ListOptions) -> Listing:
        """A page, with the continue token of that server."""
        found = await self._remote.get(self._url(options.namespace), _parameters(options), self._hops)
        items, meta = found.get("items"), found.get("metadata")
        if not isinstance(items, list):
            raise RemoteError("its answer is no list")
        token, remaining = nested(meta, "continue"), nested(meta, "remainingItemCount")
        return Listing(
            [Segment([self._entry(item) for item in items])],
            _revision(meta),
            token if isinstance(token, str) else "",
            remaining if isinstance(remaining, int) else None,
        )

    async def watch(self, options: ListOptions) -> "RemoteWatch":
        """A watch that has begun."""
        # Bookmarks are always asked for: only they say how far a watch has come that began with what is there.
        parameters = {**_parameters(options), "watch": "true", "allowWatchBookmarks": "true"}
        if options.send_initial_events is not None:
            parameters["sendInitialEvents"] = "true" if options.send_initial_events else "false"
        lines = await self._remote.lines(self._url(options.namespace), parameters, self._hops)
        return RemoteWatch(self, lines, options)

    def _url(self, namespace: str) -> str:
        inside = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
        return f"{self._root}{inside}/{self._definition.plural}"

    def event(self, line: bytes) -> WatchEvent | Bookmark | None:
        """What a line says; None for what means nothing here. Raises the error that it tells of."""
        try:
            found = orjson.loads(line)
        except orjson.JSONDecodeError:
            raise RemoteError("it sends an event that is no JSON") from None
        kind, obj = nested(found, "type"), nested(found, "object")
        if kind == "ERROR":
            raise error_of(obj, _SERVER_ERROR)
        if kind == "BOOKMARK":
            meta = nested(obj, "metadata")
            return Bookmark(_revision(meta), nested(meta, "annotations", _INITIAL_EVENTS_END) == "true")
        known = _EVENT_TYPES.get(kind) if isinstance(kind, str) else None
        return None if known is None else WatchEvent(known, Item(self._entry(obj)))

    def _entry(self, obj: object) -> Entry:
        """The object under our names, in the workspace here. Raises RemoteError where it is none."""
        meta = nested(obj, "metadata")
        name, namespace = nested(meta, "name"), nested(meta, "namespace", default="")
        annotations = nested(meta, "annotations", default=None) or {}
        if not isinstance(obj, dict) or not isinstance(name, str) or not name or not isinstance(namespace, str):
            raise RemoteError("it sends something that is no object")
        if not isinstance(annotations, dict) or not all(isinstance(v, str) for v in annotations.values()):
            raise RemoteError("it sends an object whose annotations are none")
        kept = {key: value for key, value in annotations.items() if key not in COPY_ANNOTATIONS}
        shown: Object = {
            **obj,
            "apiVersion": self._api_version,
            "kind": self._definition.kind,
            "metadata": {**meta, "annotations": kept},
        }
        revision = _revision(meta)
        try:
            return entry_of(encode(shown), cluster=self._cluster, namespace=namespace, name=name, revision=revision)
        except (ValueError, TypeError, RecursionError, msgspec.MsgspecError):
            raise RemoteError(f"it sends an object {name[:253]!r} whose metadata is wrong") from None


class RemoteWatch:
    """See ``view.Watch``. It ends where the other server ends it; who asks again goes on where it was."""

    def __init__(self, view: RemoteView, lines: Lines, options: ListOptions) -> None:
        self._view, self._lines = view, lines
        self._in_order = options.resource_version not in {"", "0"} and not options.send_initial_events
        self._told = int(options.resource_version) if self._in_order else 0
        self._failed: StatusError | RemoteError | None = None

    async def next(self, timeout_seconds: float | None = None) -> Sequence[WatchEvent | Bookmark]:
        """See ``view.Watch``; also raises RemoteError for what no API server sends."""
        if self._failed is not None:
            raise self._failed
        found: list[WatchEvent | Bookmark] = []
        for line in await self._lines.next(timeout_seconds):
            try:
                event = self._view.event(line)
            except (StatusError, RemoteError) as error:
                self._lines.close()
                self._failed = error
                if not found:
                    raise
                break
            if event is not None:
                self._note(event)
                found.append(event)
        return found

    def _note(self, event: WatchEvent | Bookmark) -> None:
        """What is there at the beginning does not come in the order of revisions: until a bookmark, nothing is said."""
        if isinstance(event, Bookmark):
            self._told, self._in_order = event.revision, True
        elif self._in_order:
            self._told = event.item.entry.revision

    def bookmark(self) -> Bookmark:
        """See ``view.Watch``; at 0, which means from the beginning, while that is all that is sure."""
        return Bookmark(self._told)

    def close(self) -> None:
        """See ``view.Watch``."""
        self._failed = None
        self._lines.close()


def _parameters(options: ListOptions) -> dict[str, str]:
    given = {
        "labelSelector": label_selector_text(options.label_selector),
        "fieldSelector": field_selector_text(options.field_selector),
        "resourceVersion": options.resource_version,
        "resourceVersionMatch": options.resource_version_match,
        "limit": str(options.limit) if options.limit else "",
        "continue": options.continue_token,
    }
    return {key: value for key, value in given.items() if value}


def _revision(meta: object) -> int:
    """Raises RemoteError where the resourceVersion is not a number, as every API server's is (KEP-5504)."""
    found = nested(meta, "resourceVersion")
    if not isinstance(found, str) or not (found.isascii() and found.isdigit()) or len(found) > _MOST_DIGITS:
        raise RemoteError("it sends a resourceVersion that is no number")
    return int(found)
