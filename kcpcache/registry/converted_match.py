"""Field selectors where a webhook converts: objects are converted first, and then judged.

What is stored says only which objects to ask about: labels, names and namespaces are those that are stored.
"""

from collections.abc import Sequence

from kcpcache.registry.conversion_webhook import entries_in
from kcpcache.registry.entry import Entry
from kcpcache.registry.field_match import FieldMatch
from kcpcache.registry.pauses import Slices


class ConvertedMatch(FieldMatch):
    """See ``FieldMatch``; ``shown`` and ``page`` raise ConversionError."""

    chunk = 500
    """The webhook is asked about so many at a time."""

    async def _as_shown(self, entries: Sequence[Entry], slices: Slices) -> Sequence[Entry]:
        settled = await super()._as_shown(entries, slices)
        return await entries_in(self._reader.definition, settled, self._reader.api_version)
