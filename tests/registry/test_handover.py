import sys
from collections.abc import Iterator

import pytest

from kcpcache.registry.handover import HOLD_SECONDS, SWITCH_SECONDS, Handover

USUAL = 0.004


@pytest.fixture(autouse=True)
def _usual_interval() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(USUAL)
    yield
    sys.setswitchinterval(before)


def interval() -> float:
    return pytest.approx(sys.getswitchinterval())


def test_who_waits_while_something_is_computed_waits_for_microseconds():
    handover = Handover()
    handover.begin()
    assert interval() == SWITCH_SECONDS
    handover.end()
    assert interval() == USUAL


def test_who_begins_to_wait_while_the_event_loop_holds_on_waits_for_longer():
    handover = Handover()
    handover.begin()
    handover.hold()
    assert interval() == HOLD_SECONDS
    handover.release()
    assert interval() == SWITCH_SECONDS


def test_what_was_lent_is_soon_given_back():
    handover = Handover()
    handover.begin()
    handover.hold()
    handover.lend()
    assert interval() == SWITCH_SECONDS
    handover.hold()
    assert interval() == HOLD_SECONDS


def test_where_nothing_is_computed_nothing_changes():
    handover = Handover()
    for step in (handover.hold, handover.lend, handover.release):
        step()
        assert interval() == USUAL
        assert not handover.holds


def test_the_end_of_the_last_computation_is_the_end_of_it_all():
    handover = Handover()
    handover.begin()
    handover.begin()
    handover.hold()
    handover.end()
    assert interval() == HOLD_SECONDS
    handover.end()
    assert interval() == USUAL
    handover.release()
    assert interval() == USUAL
