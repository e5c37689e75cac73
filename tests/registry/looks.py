"""Looks into entries, to find out how they are shown: each costs a decoding, and none may come twice."""

from collections.abc import Callable

import pytest

from kcpcache.registry.entry import Entry
from kcpcache.registry.settling import Settling


def tell_looks(monkeypatch: pytest.MonkeyPatch, note: Callable[[Entry], object]) -> None:
    """Call ``note`` with every entry that is looked at, wherever that is."""
    made = Settling.made

    def looking(settling: Settling, entry: Entry) -> Entry:
        note(entry)
        return made(settling, entry)

    monkeypatch.setattr(Settling, "made", looking)
