from kcpcache.storage.commit_times import CommitTimes


def test_every_revision_of_a_commit_has_its_time():
    times = CommitTimes()
    times.add(3, 10.0)
    times.add(7, 11.0)
    assert [times.of(revision) for revision in (3, 4, 5, 6, 7)] == [10.0, 11.0, 11.0, 11.0, 11.0]


def test_what_is_not_known_has_no_time():
    times = CommitTimes()
    assert times.of(1) is None
    times.add(3, 10.0)
    assert times.of(2) is None, "it may have been in this commit, or in one before this process"
    assert times.of(4) is None


def test_old_commits_are_forgotten():
    times = CommitTimes(most=10)
    for revision in range(1, 1001):
        times.add(revision, float(revision))
    assert times.of(1000) == 1000.0
    assert times.of(991) == 991.0
    assert times.of(900) is None
    assert len(times._revisions) < 20
