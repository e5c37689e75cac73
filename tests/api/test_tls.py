import ssl
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from kcpcache.api.tls import PromptTls
from kcpcache.registry.handover import HOLD_SECONDS, SWITCH_SECONDS, handover


class Wire:
    """What is to be read, in place of a connection; and which interval was in force at each call."""

    def __init__(self, tls: PromptTls, *records: bytes) -> None:
        self._records, self.seen = list(records), []
        tls._sslobj = self

    def read(self, *_: Any) -> bytes:
        self.seen.append(sys.getswitchinterval())
        if not self._records:
            raise ssl.SSLWantReadError
        return self._records.pop(0)

    def write(self, data: bytes) -> int:
        self.seen.append(sys.getswitchinterval())
        return len(data)


@pytest.fixture
def tls() -> PromptTls:
    return PromptTls.__new__(PromptTls)


@pytest.fixture
def _computing() -> Iterator[None]:
    handover.begin()
    yield
    handover.end()


def read_all(tls: PromptTls) -> bytes:
    found = b""
    while True:
        try:
            found += tls.read(1024)
        except ssl.SSLWantReadError:
            return found


@pytest.mark.usefixtures("_computing")
def test_beside_a_computation_the_loop_holds_on_once_it_has_read_and_lends_while_it_encrypts(tls):
    wire = Wire(tls, b"one", b"two")
    assert read_all(tls) == b"onetwo"
    assert handover.holds
    assert sys.getswitchinterval() == pytest.approx(HOLD_SECONDS)
    assert tls.write(b"answer") == 6
    assert sys.getswitchinterval() == pytest.approx(HOLD_SECONDS)
    assert wire.seen == [pytest.approx(SWITCH_SECONDS)] * 4
    handover.release()
    assert sys.getswitchinterval() == pytest.approx(SWITCH_SECONDS)


@pytest.mark.usefixtures("_computing")
def test_who_has_read_nothing_holds_nothing(tls):
    Wire(tls)
    assert read_all(tls) == b""
    assert not handover.holds
    tls.write(b"event")
    assert sys.getswitchinterval() == pytest.approx(SWITCH_SECONDS)


def test_where_nothing_is_computed_the_interval_is_as_ever(tls):
    usual = sys.getswitchinterval()
    wire = Wire(tls, b"one")
    assert read_all(tls) == b"one"
    tls.write(b"answer")
    assert wire.seen == [usual] * 3
    assert sys.getswitchinterval() == usual
