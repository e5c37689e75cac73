"""A PartitionSet's Partitions: one for each combination of its dimensions' values that a shard has (behaviour §8)."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson

from kcpcache.meta import conditions
from kcpcache.meta.names import GroupVersionResource
from kcpcache.meta.objects import Object, cluster_of, copy, labels_of, metadata, name_of, nested
from kcpcache.meta.selectors import label_selector_errors, label_selector_of
from kcpcache.reconcilers.garbage import is_deleting, resource_version
from kcpcache.reconcilers.plan import NOTHING, Change, Create, Delete, Plan, Target, Update, UpdateStatus

PARTITION_SETS: Final = GroupVersionResource("topology.kcp.io", "v1alpha1", "partitionsets")
PARTITIONS: Final = GroupVersionResource("topology.kcp.io", "v1alpha1", "partitions")
VALID: Final = "PartitionSetValid"
READY: Final = "PartitionsReady"
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_SUFFIX_LENGTH: Final = 5
_NAME_BYTES: Final = 63
_NO_NAME: Final = re.compile(r"[^a-z0-9-]+")


@dataclass(frozen=True, slots=True)
class State:
    """One PartitionSet, None once it is gone; ``now`` is RFC 3339.

    ``shards``: all Shard objects. ``partitions``: all Partitions of the set's workspace.
    """

    partition_set: Object | None
    shards: tuple[Object, ...]
    partitions: tuple[Object, ...]
    now: str


def reconcile(state: State) -> Plan:
    """Create, put right and delete the Partitions that the set owns, then count them in the status.

    A shard without one of the dimensions' labels is in none of them. Those of a set that is deleted go as garbage.
    """
    found = state.partition_set
    if found is None or is_deleting(found):
        return NOTHING
    draft: Object = {**found, "status": copy(found.get("status") or {})}
    changes: tuple[Change, ...] = ()
    wanted: dict[str, Object] | None = None
    errors = label_selector_errors(nested(found, "spec", "shardSelector") or {}, "spec.shardSelector")
    if errors:
        problem = errors[0].message
        conditions.mark_false(draft, VALID, "InvalidSelector", "Error", problem, now=state.now)
    else:
        conditions.mark_true(draft, VALID, now=state.now)
        wanted = {_name(found, selector): selector for selector in _selectors(found, state.shards)}
        strangers = sorted(name_of(p) for p in state.partitions if name_of(p) in wanted and not _owns(found, p))
        problem = f"Partitions of other owners are in the way: {', '.join(strangers)}" if strangers else ""
        changes = tuple(_changes(found, wanted, state.partitions, strangers))
    if problem:
        conditions.mark_false(draft, READY, "ErrorGeneratingPartitions", "Error", problem, now=state.now)
    else:
        conditions.mark_true(draft, READY, now=state.now)
    if wanted is not None:
        draft["status"]["count"] = len(wanted)
    target = Target(PARTITION_SETS, cluster_of(found), name_of(found))
    status = (UpdateStatus(target, draft),) if draft["status"] != found.get("status") else ()
    return Plan((*changes, *status))


def _selectors(partition_set: Object, shards: tuple[Object, ...]) -> Iterator[Object]:
    """A selector for each combination of values, each once, in the order of the values."""
    spec = partition_set.get("spec") or {}
    given, dimensions = spec.get("shardSelector") or {}, spec.get("dimensions") or []
    matches = label_selector_of(given).matches
    labels = [labels_of(shard) for shard in shards if matches(labels_of(shard))]
    combinations = {tuple(found[key] for key in dimensions) for found in labels if all(k in found for k in dimensions)}
    for values in sorted(combinations):
        selector: dict[str, Any] = {}
        if match_labels := (given.get("matchLabels") or {}) | dict(zip(dimensions, values, strict=True)):
            selector["matchLabels"] = match_labels
        if expressions := given.get("matchExpressions"):
            selector["matchExpressions"] = copy(expressions)
        yield selector


def _name(partition_set: Object, selector: Object) -> str:
    """``<set>-<values>-<5 characters>``, cut to 63: one name for one selector, so that a retry makes no second."""
    number = int.from_bytes(hashlib.sha224(orjson.dumps(selector, option=orjson.OPT_SORT_KEYS)).digest())
    suffix = ""
    for _ in range(_SUFFIX_LENGTH):
        number, digit = divmod(number, len(_DIGITS))
        suffix += _DIGITS[digit]
    labels = selector.get("matchLabels") or {}
    dimensions = sorted(set(nested(partition_set, "spec", "dimensions") or ()))
    values = [_NO_NAME.sub("-", labels[key].lower()) for key in dimensions]
    return "-".join([name_of(partition_set), *values, ""])[: _NAME_BYTES - _SUFFIX_LENGTH] + suffix


def _owns(partition_set: Object, partition: Object) -> bool:
    owners = metadata(partition).get("ownerReferences") or ()
    return any(owner.get("uid") == metadata(partition_set)["uid"] for owner in owners)


def _changes(
    partition_set: Object, wanted: dict[str, Object], partitions: tuple[Object, ...], strangers: list[str]
) -> Iterator[Change]:
    cluster = cluster_of(partition_set)
    present = {name_of(partition): partition for partition in partitions}
    for name, selector in wanted.items():
        target, found = Target(PARTITIONS, cluster, name), present.get(name)
        if found is None:
            yield Create(target, _partition(partition_set, name, selector))
        elif name not in strangers and not is_deleting(found) and nested(found, "spec", "selector") != selector:
            yield Update(target, {**found, "spec": {"selector": selector}})
    for name, partition in present.items():
        if name not in wanted and _owns(partition_set, partition) and not is_deleting(partition):
            yield Delete(Target(PARTITIONS, cluster, name), resource_version(partition))


def _partition(partition_set: Object, name: str, selector: Object) -> Object:
    owner = {
        "apiVersion": PARTITION_SETS.api_version,
        "kind": "PartitionSet",
        "name": name_of(partition_set),
        "uid": metadata(partition_set)["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "apiVersion": PARTITIONS.api_version,
        "kind": "Partition",
        "metadata": {"name": name, "ownerReferences": [owner]},
        "spec": {"selector": selector},
    }
