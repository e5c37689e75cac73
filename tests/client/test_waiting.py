import pytest

from kcpcache.client.waiting import NotInTimeError, in_phase, is_established, wait_for


class Scripted:
    """A connection whose object changes each time that it is asked for."""

    def __init__(self, *phases: str) -> None:
        self.phases = list(phases)

    def get(self, path: str):
        return {"status": {"phase": self.phases.pop(0)}, "path": path}


def test_waiting_ends_with_the_object_or_with_what_was_waited_for():
    slept: list[float] = []
    time = {"now": lambda: sum(slept), "sleep": slept.append}
    assert wait_for(Scripted("a", "b", "c", "d", "ok"), "/x", in_phase("ok"), 60, "no", **time)["path"] == "/x"
    assert slept == [0.05, 0.1, 0.2, 0.4]
    with pytest.raises(NotInTimeError, match=r"^x is not ready within 1\.5 s$"):
        wait_for(Scripted(*"abcdefg"), "/x", lambda _: False, 1.5, "x is not ready", **time)


def test_a_definition_is_served_once_it_is_established():
    assert is_established({"status": {"conditions": [{"type": "Established", "status": "True"}]}})
    assert not is_established({})
