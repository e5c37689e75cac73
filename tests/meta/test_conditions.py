import pytest

from kcpcache.meta import conditions

EARLIER, NOW = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"


def test_a_condition_that_is_not_there_has_no_status():
    for obj in ({}, {"status": {}}, {"status": {"conditions": None}}, {"status": {"conditions": []}}):
        assert conditions.get(obj, "Ready") is None
        assert conditions.status_of(obj, "Ready") == ""
        assert not conditions.is_true(obj, "Ready")


def test_a_condition_is_true_since_its_status_changed():
    obj = {}
    conditions.mark_true(obj, "Valid", now=EARLIER)
    assert conditions.is_true(obj, "Valid")
    conditions.mark_true(obj, "Valid", now=NOW)
    assert obj["status"]["conditions"] == [{"type": "Valid", "status": "True", "lastTransitionTime": EARLIER}]
    conditions.mark_false(obj, "Valid", "Gone", "Error", "it is gone", now=NOW)
    assert conditions.get(obj, "Valid") == {
        "type": "Valid",
        "status": "False",
        "severity": "Error",
        "reason": "Gone",
        "message": "it is gone",
        "lastTransitionTime": NOW,
    }


def test_another_reason_is_no_transition():
    obj = {}
    conditions.mark_false(obj, "Valid", "Gone", "Error", "it is gone", now=EARLIER)
    conditions.mark_false(obj, "Valid", "Broken", "Warning", "it is broken", now=NOW)
    found = conditions.get(obj, "Valid")
    assert found["lastTransitionTime"] == EARLIER
    assert (found["reason"], found["severity"], found["message"]) == ("Broken", "Warning", "it is broken")


def test_nothing_of_a_false_condition_is_left_when_it_is_true():
    obj = {}
    conditions.mark_false(obj, "Valid", "Gone", "Error", "it is gone", now=EARLIER)
    conditions.mark_true(obj, "Valid", now=NOW)
    assert conditions.get(obj, "Valid") == {"type": "Valid", "status": "True", "lastTransitionTime": NOW}


def test_ready_comes_first_and_the_others_by_name():
    obj = {}
    for kind in ("B", "Ready", "A"):
        conditions.mark_true(obj, kind, now=NOW)
    assert [condition["type"] for condition in obj["status"]["conditions"]] == ["Ready", "A", "B"]


@pytest.mark.parametrize(
    ("states", "ready"),
    [
        ({}, ""),
        ({"A": True}, "True"),
        ({"A": True, "B": True}, "True"),
        ({"A": True, "B": False}, "False"),
        ({"B": False}, "False"),
    ],
)
def test_a_summary_is_true_where_all_that_exist_are(states, ready):
    obj = {}
    for kind, good in states.items():
        if good:
            conditions.mark_true(obj, kind, now=NOW)
        else:
            conditions.mark_false(obj, kind, f"{kind}Broken", "Error", f"{kind} is broken", now=NOW)
    conditions.summarize(obj, ("A", "B"), now=NOW)
    assert conditions.status_of(obj, "Ready") == ready


def test_a_summary_says_what_the_first_bad_condition_says():
    obj = {}
    conditions.mark_true(obj, "A", now=NOW)
    conditions.mark_false(obj, "C", "CBroken", "Warning", "c", now=NOW)
    conditions.mark_false(obj, "B", "BBroken", "Error", "b", now=NOW)
    conditions.summarize(obj, ("A", "B", "C"), now=NOW, into="Summary")
    found = conditions.get(obj, "Summary")
    assert (found["status"], found["reason"], found["severity"], found["message"]) == ("False", "BBroken", "Error", "b")
