"""Field selectors that look into objects, as these are shown."""

from typing import TYPE_CHECKING

from kcpcache.meta.selectors import FieldSelector, LabelSelector
from kcpcache.registry.entry import Entry

if TYPE_CHECKING:
    from kcpcache.registry.reading import Reader


class FieldMatch:
    """A predicate for entries, best as ``Reader.settle`` gives them: others are settled at once to be looked at."""

    def __init__(self, reader: "Reader", labels: LabelSelector, fields: FieldSelector) -> None:
        self._reader, self._labels, self._fields = reader, labels, fields

    def may_match(self, entry: Entry) -> bool:
        """Whether it may match, as far as that can be told without a look into it."""
        return self._labels.matches(entry.labels)

    def __call__(self, entry: Entry) -> bool:
        """Whether it matches."""
        return self.may_match(entry) and self._fields.matches(self._reader.fields_of(entry))
