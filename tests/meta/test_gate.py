"""A gate stops what is computed on another thread, and nobody else."""

import threading

import pytest

from kcpcache.meta.gate import Gate


@pytest.fixture
def gate() -> Gate:
    found = Gate()
    found.computing = True
    return found


def computing(gate: Gate, log: list[str]) -> threading.Thread:
    """A computation that looks at the gate, and notes when it is past it."""

    def work() -> None:
        if gate.closed:
            log.append("stops")
            gate.wait()
        log.append("goes on")

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_it_cannot_be_closed_where_nothing_is_computed():
    gate = Gate()
    assert not gate.close()
    assert not gate.closed


def test_a_computation_waits_until_it_is_open(gate: Gate):
    log: list[str] = []
    assert gate.close()
    thread = computing(gate, log)
    while not log:
        pass
    assert log == ["stops"]
    gate.open()
    thread.join(10)
    assert log == ["stops", "goes on"]


def test_an_open_one_stops_nobody(gate: Gate):
    log: list[str] = []
    computing(gate, log).join(10)
    assert log == ["goes on"]


def test_who_has_closed_it_is_not_stopped(gate: Gate):
    assert gate.close()
    gate.wait()
    gate.open()


def test_it_is_closed_once(gate: Gate):
    assert gate.close()
    assert not gate.close()
    gate.open()
    assert gate.close()
    gate.open()
