import io

import pytest
from rich.console import Console

from kcpcache.cli.status import duration, rendered, rows
from kcpcache.cli.survey import Lag, Survey, parse_lags

METRICS = """\
# TYPE kcpcache_replication_lag_seconds histogram
kcpcache_replication_lag_seconds_bucket{cachedresource="root:a:y",group="g.io",resource="sheets",le="0.1"} 4.0
kcpcache_replication_lag_seconds_sum{cachedresource="root:a:y",group="g.io",resource="sheets",stage="visible"} 0.04
kcpcache_replication_lag_seconds_count{cachedresource="root:a:y",group="g.io",resource="sheets",stage="visible"} 4.0
kcpcache_replication_lag_seconds_sum{cachedresource="root:a:y",group="g.io",resource="sheets",stage="committed"} 9.0
kcpcache_replication_queue_age_seconds{cachedresource="root:a:y",group="g.io",resource="sheets"} 2.5
kcpcache_replication_copies{cachedresource="root:a:y",group="g.io",resource="sheets"} 3.0
process_open_fds 12.0
"""


def cached(workspace: str, name: str, **status):
    return {
        "metadata": {"name": name, "annotations": {"kcp.io/path": workspace, "kcp.io/cluster": "x"}},
        "spec": {"group": "g.io", "version": "v1", "resource": "sheets"},
        "status": {"phase": "Ready", "resourceCounts": {"local": 3, "cache": 2}, **status},
    }


def found(*cached_resources, lags=None) -> Survey:
    return Survey("v1.33", "ready", {"root": "Ready", "root:a": "Initializing"}, cached_resources, lags)


def test_lags_are_read_from_the_metrics_of_the_stage_that_consumers_see():
    assert parse_lags(METRICS) == {"root:a:y": Lag(0.04, 4.0, 2.5)}
    assert parse_lags("") == {}


def test_there_is_a_row_for_each_cached_resource_in_order():
    lags = {"root:b:x": Lag(0.04, 4.0, 2.5)}
    first, second = rows(found(cached("root:b", "x"), cached("root:a", "y"), lags=lags))
    assert (first.workspace, second.workspace) == ("root:a", "root:b")
    assert (second.resource, second.phase, second.local, second.cache) == ("sheets.v1.g.io", "Ready", 3, 2)
    assert (second.lag_seconds, second.waiting_seconds, second.problems) == (0.01, 2.5, ())
    assert (first.lag_seconds, first.waiting_seconds) == (None, 0.0)


def test_those_that_are_measured_together_share_a_lag_and_the_others_have_none():
    lags = {"other": Lag(1.0, 2.0, 3.0), "root:a:y": Lag()}
    mine, common = rows(found(cached("root:a", "y"), cached("root:b", "x"), lags=lags))
    assert (mine.lag_seconds, mine.waiting_seconds) == (None, 0.0)
    assert (common.lag_seconds, common.waiting_seconds) == (0.5, 3.0)


def test_the_lag_is_that_since_the_last_look_where_anything_was_copied():
    before, now = {"root:a:y": Lag(1.0, 2.0)}, {"root:a:y": Lag(1.5, 7.0)}
    (row,) = rows(found(cached("root:a", "y"), lags=now), before)
    assert row.lag_seconds == 0.1
    (row,) = rows(found(cached("root:a", "y"), lags=before), before)
    assert row.lag_seconds == 0.5


def test_what_is_not_known_is_not_made_up():
    (row,) = rows(found({"metadata": {"name": "x", "annotations": {"kcp.io/cluster": "abc"}}}))
    assert (row.workspace, row.phase, row.local, row.lag_seconds, row.waiting_seconds) == ("abc", "", 0, None, None)
    assert duration(None) == "-"
    assert [duration(seconds) for seconds in (0.0, 0.0124, 0.9, 3.14)] == ["0 ms", "12 ms", "900 ms", "3.1 s"]


@pytest.mark.parametrize("width", [60, 80, 100])
def test_nothing_is_cut_off_in_a_narrow_terminal(width):
    name = "a-cached-resource-with-a-name-that-is-rather-long-v1"
    conditions = [{"type": "ResourceValid", "status": "False", "message": "sheets.v1.g.io is not served here"}]
    long = cached("root:company:division:team", name, phase="Initializing", conditions=conditions)
    lags = {f"root:company:division:team:{name}": Lag(0.04, 4.0, 2.5)}
    survey = found(long, lags=lags)
    console = Console(file=io.StringIO(), width=width)
    console.print(rendered(survey, rows(survey), width))
    shown = console.file.getvalue()
    assert "…" not in shown
    for text in ("PHASE", "LOCAL", "CACHE", "LAG", "WAITING", "Initializing", "10 ms", "2.5 s"):
        assert text in shown
    assert "sheets.v1.g.io is not served here" in " ".join(shown.split())
    names = "".join(line.split("  ")[0].strip() for line in shown.splitlines())
    assert name in names


def test_conditions_that_are_not_true_are_shown():
    conditions = [
        {"type": "IdentityValid", "status": "True"},
        {"type": "ResourceValid", "status": "False", "reason": "NotFound", "message": "no such resource"},
        {"type": "ReplicationStarted", "status": "Unknown"},
    ]
    survey = found(cached("root:a", "x", conditions=conditions))
    (row,) = rows(survey)
    assert row.problems == ("ResourceValid: no such resource", "ReplicationStarted: Unknown")
    console = Console(file=io.StringIO(), width=200)
    console.print(rendered(survey, rows(survey)))
    shown = console.file.getvalue()
    assert "v1.33, ready" in shown
    assert "2 (1 Initializing, 1 Ready)" in shown
    assert "ResourceValid: no such resource" in shown
    console.print(rendered(found(), []))
    assert "no CachedResources; kcpcache demo makes some" in console.file.getvalue()
