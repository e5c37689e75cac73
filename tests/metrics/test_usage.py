import pytest

from kcpcache.metrics import usage
from kcpcache.registry import entry
from kcpcache.registry.caches import ResourceCache
from kcpcache.registry.entry import encode

COUNTED = {counted.resource: counted for counted in usage.COUNTED}


class Kept:
    """Objects of one type in a cache, and the tally of them."""

    def __init__(self, resource):
        self.cache = ResourceCache(f"/registry/g/{resource}/", 0)
        self.tally = usage.Tally(COUNTED[resource], self.cache)
        self.revision = 0

    def put(self, name, status):
        obj = {"apiVersion": "v1", "kind": "K", "metadata": {"name": name}, "status": status}
        self.apply(name, encode(obj))

    def apply(self, name, value):
        self.revision += 1
        self.cache.apply(f"c/{name}", self.revision, value)

    def counts(self):
        self.tally.take()
        return {sample.labels: sample.value for sample in self.tally.samples("root")}


@pytest.fixture
def decoded(monkeypatch):
    """The names of the objects that counting looked into."""
    names = []
    stored = entry.Entry.stored
    monkeypatch.setattr(entry.Entry, "stored", lambda self: (names.append(self.name), stored(self))[1])
    return names


def counts(resource, *statuses):
    kept = Kept(resource)
    for number, status in enumerate(statuses):
        kept.put(f"x{number}", status)
    return kept.counts()


def test_every_phase_is_shown_even_when_empty_and_objects_without_one_are_not_counted():
    found = counts("workspaces", {"phase": "Ready"}, {"phase": "Ready"}, {}, {"phase": ""})
    assert found[("root", "Ready")] == 2
    assert found[("root", "Deleting")] == 0
    assert sum(found.values()) == 2


def test_a_phase_that_nobody_knows_is_the_other():
    assert counts("apibindings", {"phase": "Dreaming"})[("root", "other")] == 1


def test_conditions_are_counted_by_type_and_status():
    ready, not_ready = ({"type": "Ready", "status": status} for status in ("True", "False"))
    found = counts("apiexports", {"conditions": [ready]}, {"conditions": [ready]}, {"conditions": [not_ready]})
    assert found == {("root", "Ready", "True"): 2, ("root", "Ready", "False"): 1}


def test_made_up_conditions_stay_bounded():
    made_up = [{"type": f"T{number}", "status": "True"} for number in range(200)]
    assert len(counts("apiexports", {"conditions": made_up})) == 50


def test_a_status_of_another_form_counts_as_none():
    assert sum(counts("workspaces", {"phase": 7}).values()) == 0


def test_a_scrape_looks_only_at_what_changed_since_the_last(decoded):
    kept = Kept("workspaces")
    for name in ("a", "b", "c", "d"):
        kept.put(name, {"phase": "Initializing"})
    assert kept.counts()["root", "Initializing"] == 4
    kept.put("a", {"phase": "Ready"})
    kept.put("a", {"phase": "Deleting"})
    kept.apply("b", None)
    kept.put("e", {"phase": "Ready"})
    decoded.clear()
    found = kept.counts()
    assert decoded == ["a", "e"]
    assert {phase: count for (_, phase), count in found.items() if count} == {
        "Initializing": 2,
        "Deleting": 1,
        "Ready": 1,
    }
    decoded.clear()
    assert kept.counts() == found
    assert decoded == []


def test_conditions_that_nobody_has_any_more_vanish_and_make_room():
    kept = Kept("apiexports")
    kept.put("a", {"conditions": [{"type": f"T{number}", "status": "True"} for number in range(50)]})
    assert len(kept.counts()) == 50
    kept.put("b", {"conditions": [{"type": "Ready", "status": "True"}]})
    assert ("root", "Ready", "True") not in kept.counts()
    kept.apply("a", None)
    kept.put("b", {"conditions": [{"type": "Ready", "status": "True"}]})
    assert kept.counts() == {("root", "Ready", "True"): 1}


def test_nothing_grows_while_nobody_scrapes_and_the_next_scrape_counts_all(monkeypatch):
    monkeypatch.setattr(usage, "MOST_CHANGED", 3)
    kept = Kept("workspaces")
    kept.put("stays", {"phase": "Ready"})
    kept.put("goes", {"phase": "Ready"})
    kept.counts()
    kept.apply("goes", None)
    for number in range(10):
        kept.put(f"x{number}", {"phase": "Ready"})
    assert kept.tally._changed is None
    assert kept.counts()["root", "Ready"] == 11


def test_a_scrape_that_was_given_up_is_made_good_by_the_next():
    kept = Kept("workspaces")
    kept.put("a", {"phase": "Ready"})
    kept.tally.take()
    kept.put("a", {"phase": "Deleting"})
    kept.tally.take()
    found = kept.counts()
    assert (found["root", "Ready"], found["root", "Deleting"]) == (0, 1)
