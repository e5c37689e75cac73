"""When a revision was committed, for as long as anybody may ask: what replication lag is counted from."""

from bisect import bisect_left

from kcpcache.storage.store import Revision

REMEMBERED_COMMITS = 4_096


class CommitTimes:
    """The newest commits, each with its last revision. Event loop only."""

    def __init__(self, most: int = REMEMBERED_COMMITS) -> None:
        self._most = most
        self._revisions: list[Revision] = []
        self._times: list[float] = []

    def add(self, revision: Revision, at: float) -> None:
        """A commit whose last revision is ``revision`` was durable at ``at`` (``time.monotonic``)."""
        self._revisions.append(revision)
        self._times.append(at)
        if len(self._revisions) >= 2 * self._most:
            del self._revisions[: self._most], self._times[: self._most]

    def of(self, revision: int) -> float | None:
        """When the commit that holds ``revision`` was durable; None where that is not known (any more)."""
        found = bisect_left(self._revisions, revision)
        if found == len(self._revisions) or (found == 0 and self._revisions[0] != revision):
            return None
        return self._times[found]
