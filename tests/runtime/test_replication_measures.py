import pytest

from kcpcache.meta.names import GroupResource, GroupVersionResource
from kcpcache.reconcilers.plan import CacheTarget
from kcpcache.runtime import replication_measures
from kcpcache.runtime.replication_measures import OTHER, ReplicationMeasures

FLAVORS = GroupResource("cloud.example.com", "flavors")


def target(name: str = "small", resource: str = "flavors") -> CacheTarget:
    return CacheTarget("root", GroupVersionResource("cloud.example.com", "v1", resource), "hash", "provider", name)


@pytest.fixture
def measures() -> ReplicationMeasures:
    return ReplicationMeasures()


def test_lag_is_from_the_commit_of_the_original_to_the_commit_of_the_copy_and_to_its_being_seen(measures):
    measures.original_changed(target(), 7, 100.0)
    assert measures.oldest(101.0) == {FLAVORS: 1.0}
    measures.copy_changed(target(), "create", 7, 102.0, 103.0)
    found = measures.resources[FLAVORS]
    assert (found.committed.count, found.committed.sum) == (1, 2.0)
    assert (found.visible.count, found.visible.sum) == (1, 3.0)
    assert found.writes == {"create": 1, "update": 0, "delete": 0}
    assert measures.oldest(200.0) == {FLAVORS: 0.0}


def test_a_copy_that_shows_several_changes_at_once_has_the_lag_of_the_oldest(measures):
    measures.original_changed(target(), 7, 100.0)
    measures.original_changed(target(), 8, 101.0)
    measures.copy_changed(target(), "update", 8, 105.0, 105.0)
    assert measures.resources[FLAVORS].visible.sum == 5.0
    assert measures.oldest(200.0) == {FLAVORS: 0.0}


def test_a_change_during_the_copying_of_an_earlier_one_waits_on_its_own(measures):
    measures.original_changed(target(), 7, 100.0)
    measures.original_changed(target(), 8, 104.0)
    measures.copy_changed(target(), "update", 7, 105.0, 105.0)
    assert measures.oldest(106.0) == {FLAVORS: 2.0}
    measures.copy_changed(target(), "update", 8, 107.0, 107.0)
    assert measures.resources[FLAVORS].visible.sum == 5.0 + 3.0


def test_a_copy_of_something_older_ends_no_waiting(measures):
    measures.original_changed(target(), 7, 100.0)
    measures.copy_changed(target(), "update", 6, 101.0, 101.0)
    assert measures.resources[FLAVORS].visible.count == 0
    assert measures.oldest(102.0) == {FLAVORS: 2.0}


def test_a_removal_that_follows_the_original_s_has_a_lag_and_is_no_orphan(measures):
    measures.original_changed(target(), 7, 100.0)
    measures.planned(target(), expected=False)
    measures.copy_changed(target(), "delete", 0, 101.0, 102.0)
    found = measures.resources[FLAVORS]
    assert (found.visible.sum, found.orphans_removed, found.repairs) == (2.0, 0, 0)


def test_a_copy_that_nothing_explains_is_an_orphan_when_it_goes_and_a_repair_when_it_is_written(measures):
    measures.planned(target("left"), expected=False)
    measures.copy_changed(target("left"), "delete", 0, 1.0, 1.0)
    measures.planned(target("edited"), expected=False)
    measures.copy_changed(target("edited"), "update", 7, 1.0, 1.0)
    found = measures.resources[FLAVORS]
    assert (found.orphans_removed, found.repairs, found.visible.count) == (1, 1, 0)


def test_the_first_pass_and_the_end_of_a_cached_resource_are_neither_lag_nor_repair(measures):
    measures.planned(target("first"), expected=True)
    measures.copy_changed(target("first"), "create", 7, 1.0, 1.0)
    measures.removing([target("first")])
    measures.planned(target("first"), expected=False)
    measures.copy_changed(target("first"), "delete", 0, 2.0, 2.0)
    found = measures.resources[FLAVORS]
    assert (found.visible.count, found.orphans_removed, found.repairs) == (0, 0, 0)


def test_a_change_that_needs_no_copying_is_not_waited_for(measures):
    measures.original_changed(target(), 7, 100.0)
    measures.settled(target())
    assert not measures.oldest(200.0)


def test_resources_beyond_the_bound_are_counted_together(measures, monkeypatch):
    for number in range(replication_measures.MOST_RESOURCES + 3):
        measures.copy_changed(target(resource=f"r{number}"), "create", 1, 1.0, 1.0)
    assert len(measures.resources) == replication_measures.MOST_RESOURCES + 1
    assert measures.resources[OTHER].writes["create"] == 3


def test_what_is_waited_for_is_bounded(measures, monkeypatch):
    monkeypatch.setattr(replication_measures, "MOST_AWAITED", 2)
    for name in ("a", "b", "c"):
        measures.original_changed(target(name), 7, 100.0)
    assert len(measures._awaited) == 2
    measures.planned(target("c"), expected=False)
    measures.copy_changed(target("c"), "create", 7, 101.0, 101.0)
    assert measures.resources[FLAVORS].repairs == 0
