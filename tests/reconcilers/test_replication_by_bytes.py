"""What replication plans without decoding is what the reconciler would have planned."""

from typing import Any

import pytest
from cache_objects import FLAVORS, HASH, a_cached_resource, meta

from kcpcache.meta.objects import copy
from kcpcache.reconcilers import replication
from kcpcache.reconcilers.plan import NOTHING, CacheTarget, Create, Plan, PutCopy, Update
from kcpcache.registry.entry import Entry, encode, entry_of
from kcpcache.runtime.controllers.replication import plan_by_bytes

TARGET = CacheTarget("root", FLAVORS, HASH, "provider", "small")
ORIGINAL = {
    "apiVersion": "cloud.example.com/v1",
    "kind": "Flavor",
    "metadata": meta("small", labels={"tier": "gold"}, annotations={"a": "b", "kcp.io/shard": "forged"}),
    "spec": {"cpus": 2, "price": 1.5},
}
CONDITIONS = {
    "both": ["IdentityValid", "ResourceValid"],
    "no identity": ["ResourceValid"],
    "no resource": ["IdentityValid"],
}
SELECTORS: dict[str, Any] = {"all": {}, "gold": {"matchLabels": {"tier": "gold"}}, "none": {"matchLabels": {"x": "y"}}}


def entry(obj: Any, revision: int) -> Entry:
    return entry_of(encode(obj), cluster="provider", namespace="", name="small", revision=revision)


def copy_as(how: str) -> Entry | None:
    if how == "missing":
        return None
    found = copy(replication.copy_of(copy(ORIGINAL), "root"))
    if how == "older":
        found["metadata"]["annotations"]["cache.kcp.io/original-resource-version"] = "5"
        found["spec"]["cpus"] = 1
    elif how == "of another life":
        found["metadata"]["uid"] = "uid-before"
    elif how == "edited":
        found["spec"]["cpus"] = 9
    elif how == "in another order":
        found["spec"] = dict(reversed(found["spec"].items()))
    return entry(found, 55)


@pytest.mark.parametrize("conditions", CONDITIONS)
@pytest.mark.parametrize("selector", SELECTORS)
@pytest.mark.parametrize("how", ["missing", "equal", "older", "of another life", "edited", "in another order"])
def test_the_plan_is_the_reconcilers(how: str, selector: str, conditions: str) -> None:
    cached = copy(a_cached_resource())
    cached["spec"]["labelSelector"] = SELECTORS[selector]
    cached["status"]["conditions"] = [{"type": kind, "status": "True"} for kind in CONDITIONS[conditions]]
    source = replication.source_of(cached)
    original, known = entry(ORIGINAL, 7), copy_as(how)
    found = plan_by_bytes(TARGET, original, known, source)
    state = replication.State(TARGET, original.object(), known.object() if known else None, source)
    asked = replication.reconcile(state)
    usual = how in {"missing", "equal", "older"} and selector != "none" and conditions == "both"
    assert (found is not None) is usual
    if found is not None:
        assert found == (NOTHING if asked is NOTHING else Plan(tuple(map(as_bytes, asked.changes))))


def as_bytes(change: Any) -> PutCopy:
    assert isinstance(change, Create | Update)
    revision = int(change.object["metadata"].get("resourceVersion", 0))
    return PutCopy(TARGET, encode(change.object), revision)
