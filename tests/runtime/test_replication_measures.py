import pytest

from kcpcache.meta.names import GroupResource, GroupVersionResource
from kcpcache.reconcilers.plan import CacheTarget
from kcpcache.runtime import replication_measures
from kcpcache.runtime.replication_measures import MOST_NAMED, OTHER, ReplicationMeasures

FLAVORS = GroupResource("cloud.example.com", "flavors")
OWNER = ("provider", "flavors")


def target(name: str = "small", resource: str = "flavors") -> CacheTarget:
    return CacheTarget("root", GroupVersionResource("cloud.example.com", "v1", resource), "hash", "provider", name)


@pytest.fixture
def measures() -> ReplicationMeasures:
    measures = ReplicationMeasures()
    measures.follow(OWNER, FLAVORS)
    return measures


def oldest(measures, now):
    return measures.named[OWNER].waiting.seconds(now)


def test_lag_is_from_the_commit_of_the_original_to_the_commit_of_the_copy_and_to_its_being_seen(measures):
    measures.original_changed(OWNER, target(), 7, 100.0)
    assert oldest(measures, 101.0) == 1.0
    measures.copy_changed(OWNER, target(), "create", 7, 102.0, 103.0)
    found = measures.named[OWNER]
    assert (found.committed.count, found.committed.sum) == (1, 2.0)
    assert (found.visible.count, found.visible.sum) == (1, 3.0)
    assert found.writes == {"create": 1, "update": 0, "delete": 0}
    assert oldest(measures, 200.0) == 0.0


def test_a_copy_that_shows_several_changes_at_once_has_the_lag_of_the_oldest(measures):
    measures.original_changed(OWNER, target(), 7, 100.0)
    measures.original_changed(OWNER, target(), 8, 101.0)
    measures.copy_changed(OWNER, target(), "update", 8, 105.0, 105.0)
    assert measures.named[OWNER].visible.sum == 5.0
    assert oldest(measures, 200.0) == 0.0


def test_a_change_during_the_copying_of_an_earlier_one_waits_on_its_own(measures):
    measures.original_changed(OWNER, target(), 7, 100.0)
    measures.original_changed(OWNER, target(), 8, 104.0)
    measures.copy_changed(OWNER, target(), "update", 7, 105.0, 105.0)
    assert oldest(measures, 106.0) == 2.0
    measures.copy_changed(OWNER, target(), "update", 8, 107.0, 107.0)
    assert measures.named[OWNER].visible.sum == 5.0 + 3.0


def test_a_copy_of_something_older_ends_no_waiting(measures):
    measures.original_changed(OWNER, target(), 7, 100.0)
    measures.copy_changed(OWNER, target(), "update", 6, 101.0, 101.0)
    assert measures.named[OWNER].visible.count == 0
    assert oldest(measures, 102.0) == 2.0


def test_a_removal_that_follows_the_original_s_has_a_lag_and_is_no_orphan(measures):
    measures.original_changed(OWNER, target(), 7, 100.0)
    measures.planned(target(), expected=False)
    measures.copy_changed(OWNER, target(), "delete", 0, 101.0, 102.0)
    found = measures.named[OWNER]
    assert (found.visible.sum, found.orphans_removed, found.repairs) == (2.0, 0, 0)


def test_a_copy_that_nothing_explains_is_an_orphan_when_it_goes_and_a_repair_when_it_is_written(measures):
    measures.planned(target("left"), expected=False)
    measures.copy_changed(OWNER, target("left"), "delete", 0, 1.0, 1.0)
    measures.planned(target("edited"), expected=False)
    measures.copy_changed(OWNER, target("edited"), "update", 7, 1.0, 1.0)
    found = measures.named[OWNER]
    assert (found.orphans_removed, found.repairs, found.visible.count) == (1, 1, 0)


def test_the_first_pass_and_the_end_of_a_cached_resource_are_neither_lag_nor_repair(measures):
    measures.planned(target("first"), expected=True)
    measures.copy_changed(OWNER, target("first"), "create", 7, 1.0, 1.0)
    measures.removing([target("first")])
    measures.planned(target("first"), expected=False)
    measures.copy_changed(OWNER, target("first"), "delete", 0, 2.0, 2.0)
    found = measures.named[OWNER]
    assert (found.visible.count, found.orphans_removed, found.repairs) == (0, 0, 0)


def test_a_change_that_needs_no_copying_is_not_waited_for(measures):
    measures.original_changed(OWNER, target(), 7, 100.0)
    measures.settled(target())
    assert oldest(measures, 200.0) == 0.0


def test_cached_resources_beyond_the_bound_are_counted_together(measures):
    for number in range(MOST_NAMED + 2):
        measures.follow(("tenant", f"c{number}"), FLAVORS)
        measures.copy_changed(("tenant", f"c{number}"), target(f"o{number}"), "create", 1, 1.0, 1.0)
    assert len(measures.named) == MOST_NAMED
    assert measures.has_others
    assert measures.others.resource == OTHER
    assert measures.others.writes["create"] == 3
    measures.original_changed(("tenant", f"c{MOST_NAMED}"), target(), 7, 100.0)
    assert measures.others.waiting.seconds(103.0) == 3.0


def test_measures_go_with_their_cached_resource_and_the_oldest_of_the_others_gets_its_own(measures):
    for number in range(MOST_NAMED + 1):
        measures.follow(("tenant", f"c{number}"), FLAVORS)
    late, later = ("tenant", f"c{MOST_NAMED - 1}"), ("tenant", f"c{MOST_NAMED}")
    assert late not in measures.named
    measures.forget(OWNER)
    assert OWNER not in measures.named
    assert late in measures.named
    assert later not in measures.named
    assert measures.has_others
    measures.forget(later)
    assert not measures.has_others
    measures.forget(("tenant", "c0"))
    assert len(measures.named) == MOST_NAMED - 1


def test_being_told_again_of_a_cached_resource_changes_nothing(measures):
    measures.copy_changed(OWNER, target(), "create", 1, 1.0, 1.0)
    measures.follow(OWNER, FLAVORS)
    assert measures.named[OWNER].writes["create"] == 1


def test_what_belongs_to_no_cached_resource_is_counted_with_the_others(measures):
    assert not measures.has_others
    measures.planned(target(), expected=False)
    measures.copy_changed(None, target(), "delete", 0, 1.0, 1.0)
    assert measures.has_others
    assert (measures.others.orphans_removed, measures.named[OWNER].orphans_removed) == (1, 0)


def test_an_object_that_changes_all_the_time_leaves_nothing_behind(measures):
    measures.original_changed(OWNER, target("stuck"), 1, 1.0)
    for revision in range(2, 10_000):
        measures.original_changed(OWNER, target("busy"), revision, float(revision))
    assert len(measures.named[OWNER].waiting) < 100
    assert oldest(measures, 10_000.0) == 9_999.0
    measures.settled(target("stuck"))
    assert oldest(measures, 10_000.0) == 9_998.0


def test_what_is_waited_for_is_bounded(measures, monkeypatch):
    monkeypatch.setattr(replication_measures, "MOST_AWAITED", 2)
    for name in ("a", "b", "c"):
        measures.original_changed(OWNER, target(name), 7, 100.0)
    assert len(measures._awaited) == 2
    measures.planned(target("c"), expected=False)
    measures.copy_changed(OWNER, target("c"), "create", 7, 101.0, 101.0)
    assert measures.named[OWNER].repairs == 0
