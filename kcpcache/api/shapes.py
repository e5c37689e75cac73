"""How objects are shown: as they are, as PartialObjectMetadata, or as rows of a Table.

One ``Shaper`` serves one request (or watch). Plain objects are never decoded; metadata is cut out undecoded.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from time import perf_counter
from typing import Any, Final, Protocol, TypeAlias
from weakref import WeakKeyDictionary

import msgspec
import orjson

from kcpcache.api.negotiation import Form
from kcpcache.api.options import IncludeObject
from kcpcache.meta.columns import AGE_COLUMN, CREATED_AT_COLUMN, NAME_COLUMN, Column, age_since
from kcpcache.meta.jsonpath import compile_jsonpath
from kcpcache.meta.names import api_version
from kcpcache.meta.objects import Object
from kcpcache.registry.pauses import SLICE_SECONDS
from kcpcache.registry.resource import ResourceDefinition, ServedVersion
from kcpcache.registry.view import Bookmark, Item, Listing

CHUNK_BYTES: Final = 64 * 1024
INITIAL_EVENTS_END: Final = "k8s.io/initial-events-end"
"""The annotation of the bookmark that ends a watch's initial events (KEP-3157)."""

Cell: TypeAlias = Callable[[Mapping[str, Any], datetime], Any]


class Shaper(Protocol):
    """Makes the JSON of answers in one form."""

    def item(self, item: Item) -> bytes:
        """One object, as an answer of its own or in a watch event."""
        ...

    def chunks(self, listing: Listing) -> Iterator[bytes]:
        """A list, in pieces of about 64 KiB."""
        ...

    def bookmark(self, bookmark: Bookmark) -> bytes:
        """The object of a BOOKMARK event."""
        ...


def shaper(
    definition: ResourceDefinition,
    version: ServedVersion,
    form: Form,
    include: IncludeObject,
    clock: Callable[[], datetime],
) -> Shaper:
    """The shaper for a form that was negotiated."""
    if form.shape == "object":
        return PlainShaper(definition, version)
    if form.shape == "metadata":
        return MetadataShaper(form)
    return TableShaper(version, form, include, clock)


def list_meta(listing: Listing) -> Object:
    """``metav1.ListMeta``."""
    meta: Object = {"resourceVersion": str(listing.revision)}
    if listing.continue_token:
        meta["continue"] = listing.continue_token
    if listing.remaining is not None:
        meta["remainingItemCount"] = listing.remaining
    return meta


def _bookmark_metadata(bookmark: Bookmark) -> Object:
    meta: Object = {"resourceVersion": str(bookmark.revision), "creationTimestamp": None}
    return meta | {"annotations": {INITIAL_EVENTS_END: "true"}} if bookmark.initial else meta


def _open_list(kind: str, version: str, listing: Listing) -> bytes:
    head = orjson.dumps({"kind": kind, "apiVersion": version, "metadata": list_meta(listing)})
    return head[:-1] + b',"items":['


def _pieces(listing: Listing) -> Iterator[bytes]:
    """The objects as they are sent, a comma before each, those of a block as it has joined them."""
    for segment in listing.segments:
        seen_in = None if segment.cluster is None else segment.cluster.encode()
        joined = segment.block.wire(seen_in) if segment.block is not None else None
        if joined is not None:
            yield joined
            continue
        parts: list[bytes] = []
        size = 0
        for entry in segment.entries:
            head, tail = entry.head, entry.tail
            parts += (b",", head, entry.cluster.encode() + entry.internal if seen_in is None else seen_in, tail)
            size += len(head) + len(tail)
            if size >= CHUNK_BYTES:
                yield b"".join(parts)
                parts.clear()
                size = 0
        if parts:
            yield b"".join(parts)


class PlainShaper:
    """Objects as they are stored."""

    def __init__(self, definition: ResourceDefinition, version: ServedVersion) -> None:
        self._definition = definition
        self._api_version = api_version(definition.group, version.name)

    def item(self, item: Item) -> bytes:
        """See ``Shaper``."""
        return item.wire()

    def chunks(self, listing: Listing) -> Iterator[bytes]:
        """See ``Shaper``."""
        parts: list[bytes | memoryview] = [_open_list(self._definition.list_kind, self._api_version, listing)]
        size, first = 0, True
        for piece in _pieces(listing):
            parts.append(memoryview(piece)[1:] if first else piece)
            first = False
            size += len(piece)
            if size >= CHUNK_BYTES:
                yield piece if parts[0] is piece else b"".join(parts)
                parts.clear()
                size = 0
        parts.append(b"]}\n")
        yield b"".join(parts)

    def bookmark(self, bookmark: Bookmark) -> bytes:
        """See ``Shaper``."""
        meta = _bookmark_metadata(bookmark)
        return orjson.dumps({"kind": self._definition.kind, "apiVersion": self._api_version, "metadata": meta})


class _MetadataOnly(msgspec.Struct):
    metadata: msgspec.Raw


_metadata_decoder = msgspec.json.Decoder(_MetadataOnly)


def _joined(opening: bytes, rows: Iterator[bytes]) -> Iterator[bytes]:
    """``opening`` with the rows after it, separated by commas, and the end of list and object.

    A piece is smaller where its rows take their time.
    """
    parts, size, separator = [opening], 0, b""
    end = perf_counter() + SLICE_SECONDS
    for row in rows:
        parts += (separator, row)
        separator = b","
        size += len(row)
        if size >= CHUNK_BYTES or perf_counter() > end:
            yield b"".join(parts)
            parts.clear()
            size = 0
            end = perf_counter() + SLICE_SECONDS
    parts.append(b"]}\n")
    yield b"".join(parts)


class MetadataShaper:
    """``PartialObjectMetadata``: metadata only."""

    def __init__(self, form: Form) -> None:
        self._api_version = form.api_version
        self._head = b'{"kind":"PartialObjectMetadata","apiVersion":"%b","metadata":' % form.api_version.encode()

    def item(self, item: Item) -> bytes:
        """See ``Shaper``."""
        return b"".join((self._head, _metadata_decoder.decode(item.wire()).metadata, b"}"))

    def chunks(self, listing: Listing) -> Iterator[bytes]:
        """See ``Shaper``."""
        opening = _open_list("PartialObjectMetadataList", self._api_version, listing)
        return _joined(opening, map(self.item, listing.items()))

    def bookmark(self, bookmark: Bookmark) -> bytes:
        """See ``Shaper``."""
        return b"".join((self._head, orjson.dumps(_bookmark_metadata(bookmark)), b"}"))


class TableShaper:
    """A ``Table``: cells by the version's columns. In a watch only the first Table defines the columns."""

    def __init__(
        self, version: ServedVersion, form: Form, include: IncludeObject, clock: Callable[[], datetime]
    ) -> None:
        self._columns = _table_columns(version)
        self._api_version, self._include, self._clock = form.api_version, include, clock
        self._metadata = MetadataShaper(form)
        self._defined = False

    def item(self, item: Item) -> bytes:
        """See ``Shaper``."""
        revision = item.entry.revision
        meta = {"resourceVersion": str(revision)} if revision else {}
        return b"".join((self._opening(meta), self._row(item, self._clock()), b"]}"))

    def chunks(self, listing: Listing) -> Iterator[bytes]:
        """See ``Shaper``."""
        now = self._clock()
        return _joined(self._opening(list_meta(listing)), (self._row(item, now) for item in listing.items()))

    def bookmark(self, bookmark: Bookmark) -> bytes:
        """See ``Shaper``."""
        cells = [None for _ in self._columns.definitions]
        row = {"cells": cells, "object": orjson.Fragment(self._metadata.bookmark(bookmark))}
        opening = self._opening({"resourceVersion": str(bookmark.revision)})
        return b"".join((opening, orjson.dumps(row), b"]}"))

    def _opening(self, meta: Object) -> bytes:
        definitions = None if self._defined else self._columns.definitions
        self._defined = True
        head = {"kind": "Table", "apiVersion": self._api_version, "metadata": meta, "columnDefinitions": definitions}
        return orjson.dumps(head)[:-1] + b',"rows":['

    def _row(self, item: Item, now: datetime) -> bytes:
        obj = item.object()
        shown: Any = None
        if self._include == "Object":
            shown = orjson.Fragment(item.wire())
        elif self._include == "Metadata":
            shown = orjson.Fragment(self._metadata.item(item))
        return orjson.dumps({"cells": [cell(obj, now) for cell in self._columns.cells], "object": shown})


class _TableColumns(msgspec.Struct, frozen=True):
    definitions: list[Object]
    cells: tuple[Cell, ...]


_compiled: "WeakKeyDictionary[ServedVersion, _TableColumns]" = WeakKeyDictionary()


def _table_columns(version: ServedVersion) -> _TableColumns:
    found = _compiled.get(version)
    if found is None:
        columns = version.columns or (NAME_COLUMN, AGE_COLUMN)
        found = _TableColumns([column.definition() for column in columns], tuple(_cell(column) for column in columns))
        _compiled[version] = found
    return found


def _cell(column: Column) -> Cell:
    """A function that never fails: a cell without a value is null."""
    if not isinstance(column.value, str):
        return _safe(column.value)
    try:
        find = compile_jsonpath(column.value)
    except ValueError:
        return lambda _obj, _now: None
    show = _show_raw if column is CREATED_AT_COLUMN else _SHOWN.get(column.type, _show_text)

    def cell(obj: Mapping[str, Any], now: datetime) -> Any:
        found = find(obj)
        return show(found[0], now) if found and found[0] is not None else None

    return cell


def _safe(value: Cell) -> Cell:
    """Columns of built-in types are written for valid objects; what lies in a store may be older than a rule."""

    def cell(obj: Mapping[str, Any], now: datetime) -> Any:
        try:
            return value(obj, now)
        except (AttributeError, KeyError, TypeError, ValueError):
            return None

    return cell


def _show_raw(value: Any, _now: datetime) -> Any:
    return value


def _show_integer(value: Any, _now: datetime) -> Any:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _show_number(value: Any, _now: datetime) -> Any:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _show_boolean(value: Any, _now: datetime) -> Any:
    return value if isinstance(value, bool) else None


def _show_date(value: Any, now: datetime) -> Any:
    return age_since(value, now) if isinstance(value, str) else None


def _show_text(value: Any, _now: datetime) -> Any:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


_SHOWN: Final[Mapping[str, Callable[[Any, datetime], Any]]] = {
    "integer": _show_integer,
    "number": _show_number,
    "boolean": _show_boolean,
    "date": _show_date,
    "string": _show_text,
}
