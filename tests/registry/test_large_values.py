import contextlib
import gc
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any, ClassVar

import pytest

from kcpcache.registry.large_values import AT_ONCE, MOST, LargeValues, uncollected, usually_collected


class Leaf:
    """Something that is counted when it is deleted."""

    deleted: ClassVar[int] = 0

    def __del__(self) -> None:
        Leaf.deleted += 1


@pytest.fixture(autouse=True)
def _none_deleted() -> Iterator[None]:
    Leaf.deleted = 0
    yield
    usually_collected()


def most_in_one_step(values: LargeValues) -> int:
    """How many leaves are deleted in one line of ``delete`` at the most."""
    found, last = 0, Leaf.deleted

    def trace(_frame: FrameType, _event: str, _argument: object) -> Any:
        nonlocal found, last
        found, last = max(found, Leaf.deleted - last), Leaf.deleted
        return trace

    before = sys.gettrace()
    sys.settrace(lambda frame, *_: trace if frame.f_code is LargeValues.delete.__code__ else None)
    try:
        values.delete()
    finally:
        sys.settrace(before)
    return max(found, Leaf.deleted - last)


@pytest.mark.parametrize(
    "make",
    [
        lambda: {f"key-{n}": Leaf() for n in range(5 * AT_ONCE)},
        lambda: [Leaf() for _ in range(5 * AT_ONCE)],
        lambda: {"a": [{"b": {f"key-{n}": Leaf() for n in range(5 * AT_ONCE)}}]},
        lambda: ({f"key-{n}": {"f": [Leaf()]} for n in range(5 * AT_ONCE)}, None, True),
    ],
    ids=["dict", "list", "nested", "many small ones"],
)
def test_a_large_value_is_deleted_in_small_steps(make):
    values = LargeValues()
    values.add(make())
    assert Leaf.deleted == 0
    assert 0 < most_in_one_step(values) <= AT_ONCE
    assert Leaf.deleted == 5 * AT_ONCE


def test_what_is_still_in_use_stays_as_it_is():
    values, part = LargeValues(), {"leaf": Leaf()}
    values.add({"part": part, "leaf": Leaf()})
    values.delete()
    assert list(part) == ["leaf"]
    assert Leaf.deleted == 1


def test_what_has_no_parts_is_not_kept_and_not_more_than_a_few_are():
    values = LargeValues()
    for value in (Leaf(), b"bytes", 1, None):
        values.add(value)
    del value
    assert Leaf.deleted == 1
    for _ in range(MOST + 3):
        values.add([Leaf()])
    assert Leaf.deleted == 4


@contextlib.contextmanager
def looks_noted() -> Iterator[list[str]]:
    """An item for each look for garbage in the block."""
    began: list[str] = []

    def note(phase: str, _info: object) -> None:
        if phase == "start":
            began.append(phase)

    gc.callbacks.append(note)
    try:
        yield began
    finally:
        gc.callbacks.remove(note)


def looks(made: int) -> int:
    """How often garbage is looked for while so many objects are made, all of which stay in use."""
    with looks_noted() as began:
        kept = [[] for _ in range(made)]
    assert len(kept) == made
    return len(began)


def test_what_is_made_without_a_look_for_garbage_brings_none_about_afterwards():
    before = gc.get_threshold()
    try:
        gc.collect()
        gc.set_threshold(1000, 1000, 1000)
        assert looks(5000) >= 4
        with uncollected():
            kept = [[] for _ in range(5000)]
        assert gc.isenabled()
        assert looks(800) == 0
        assert looks(1500) == 1  # as often as ever for what comes on top of it
        with uncollected():
            kept += [[] for _ in range(5000)]
        usually_collected()
        assert gc.get_threshold() == (1000, 1000, 1000)
        assert len(kept) == 10_000
    finally:
        gc.set_threshold(*before)


class Knot:
    """Refers to itself, so that it is left to the collector."""

    left: ClassVar[int] = 0

    def __init__(self) -> None:
        self.itself = self
        Knot.left += 1

    def __del__(self) -> None:
        Knot.left -= 1


@pytest.mark.parametrize("inside", [0, 30, 5000])
def test_garbage_made_between_blocks_is_found_however_many_of_them_follow_each_other(inside):
    before = gc.get_threshold()
    try:
        gc.collect()
        gc.set_threshold(1000, 1000, 1000)
        kept: list[Any] = []
        most = 0
        for _ in range(200):
            with uncollected():
                kept = [[] for _ in range(inside)]
            for _ in range(50):
                Knot()
            most = max(most, Knot.left)
        assert most <= 1500
        assert len(kept) == inside
    finally:
        gc.set_threshold(*before)
        gc.collect()


def test_large_values_that_follow_each_other_bring_no_look_for_garbage_about():
    before = gc.get_threshold()
    try:
        gc.collect()
        gc.set_threshold(1000, 1000, 1000)
        kept: list[Any] = []
        with looks_noted() as began:
            for _ in range(5):
                with uncollected():
                    kept += [[] for _ in range(5000)]
                kept += [[] for _ in range(100)]
        assert not began
        assert len(kept) == 25_500
    finally:
        gc.set_threshold(*before)


def test_where_garbage_is_never_looked_for_it_stays_so():
    before = gc.get_threshold()
    try:
        gc.set_threshold(0, 10, 10)
        with uncollected():
            pass
        assert gc.get_threshold() == (0, 10, 10)
        gc.disable()
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
        gc.set_threshold(*before)
