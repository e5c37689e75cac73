"""Selectors as what they do to entries: some can be told from what an entry knows, others need a look into it.

Fields are looked at in objects as they are shown, which may take a while and is therefore awaited.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeAlias, Union

from kcpcache.meta.objects import nested
from kcpcache.meta.selectors import FieldSelector, LabelSelector
from kcpcache.registry.entry import Entry
from kcpcache.registry.pauses import Slices

if TYPE_CHECKING:
    from kcpcache.registry.reading import Reader

Predicate: TypeAlias = Callable[[Entry], bool]
Match: TypeAlias = Union[Predicate, "FieldMatch"]
"""What selects entries: a ``FieldMatch`` has to be awaited."""


class FieldMatch:
    """Selects entries by fields in them. ``may_match`` says which have to be looked at."""

    chunk: int = 16
    """How many entries are looked at before it is known whether a page is full."""

    def __init__(
        self, reader: "Reader", labels: LabelSelector, fields: FieldSelector, also: Sequence[Predicate] = ()
    ) -> None:
        self._reader, self._labels, self._fields, self._also = reader, labels, fields, also

    def narrowed(self, also: Predicate) -> "FieldMatch":
        """The same, of what ``also`` says yes to."""
        return type(self)(self._reader, self._labels, self._fields, (*self._also, also))

    def may_match(self, entry: Entry) -> bool:
        """Whether it may match, as far as that can be told without a look into it."""
        return self._labels.matches(entry.labels) and all(also(entry) for also in self._also)

    async def shown(self, entries: Iterable[Entry], slices: Slices | None = None) -> list[Entry | None]:
        """The entries as they are shown, None for those that do not match. Others are served in between."""
        slices = slices or Slices()
        asked = [entry if self.may_match(entry) else None for entry in entries]
        shown = iter(await self._as_shown([entry for entry in asked if entry is not None], slices))
        found: list[Entry | None] = []
        for entry in asked:
            one = None if entry is None else next(shown)
            found.append(one if one is not None and self._matches(one) else None)
            if one is not None and slices.over:
                await slices.pause()
        return found

    async def page(self, entries: Sequence[Entry], limit: int) -> tuple[list[Entry], int]:
        """What matches, as it is shown, ``limit`` (0: all) at the most; and the index of the first not looked at."""
        found: list[Entry] = []
        slices = Slices()
        for first in range(0, len(entries), self.chunk):
            for offset, entry in enumerate(await self.shown(entries[first : first + self.chunk], slices)):
                if entry is None:
                    continue
                if limit and len(found) == limit:
                    return found, first + offset
                found.append(entry)
            if slices.over:
                await slices.pause()
        return found, len(entries)

    async def _as_shown(self, entries: Sequence[Entry], slices: Slices) -> Sequence[Entry]:
        return await self._reader.settle(entries, slices)

    def _matches(self, entry: Entry) -> bool:
        """Whether an entry does that is shown like this."""
        obj, fields = entry.object(), metadata_fields(entry)
        for label, path in self._reader.version.selectable_fields.items():
            fields[label] = _text(nested(obj, *path.split(".")))
        return self._fields.matches(fields)


def metadata_fields(entry: Entry) -> dict[str, str]:
    """What fields every resource can be selected by, by their names."""
    return {"metadata.name": entry.name, "metadata.namespace": entry.namespace}


def narrowed(match: Match | None, also: Predicate) -> Match:
    """What selects by both."""
    if match is None:
        return also
    if isinstance(match, FieldMatch):
        return match.narrowed(also)
    return lambda entry: also(entry) and match(entry)


def quick(match: Match | None) -> Predicate | None:
    """What can be told at once of whether entries match; None: all may."""
    return match.may_match if isinstance(match, FieldMatch) else match


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
