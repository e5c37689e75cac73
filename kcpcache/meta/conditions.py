"""kcp's conditions: ``status.conditions`` with severity, after Cluster API's.

A condition's ``lastTransitionTime`` changes only when its ``status`` does. ``severity``, ``reason`` and ``message``
go with False (and Unknown) only.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from kcpcache.meta.objects import Object, nested

Severity = Literal["Error", "Warning", "Info"]


def get(obj: Mapping[str, Any], kind: str) -> Object | None:
    """The condition of that ``type``, or None."""
    found: Object | None = next((c for c in nested(obj, "status", "conditions") or () if c.get("type") == kind), None)
    return found


def status_of(obj: Mapping[str, Any], kind: str) -> str:
    """``True``, ``False``, ``Unknown``, or "" where there is no such condition."""
    condition = get(obj, kind)
    return str(condition["status"]) if condition else ""


def is_true(obj: Mapping[str, Any], kind: str) -> bool:
    """Whether the condition is there and True."""
    return status_of(obj, kind) == "True"


def mark_true(obj: Object, kind: str, *, now: str) -> None:
    """Set the condition to True; ``now`` is RFC 3339 and used only if the status changes."""
    _set(obj, {"type": kind, "status": "True"}, now)


def mark_false(obj: Object, kind: str, reason: str, severity: Severity, message: str, *, now: str) -> None:
    """Set the condition to False, with why."""
    condition = {"type": kind, "status": "False", "severity": severity, "reason": reason, "message": message}
    _set(obj, condition, now)


def summarize(obj: Object, kinds: Iterable[str], *, now: str, into: str = "Ready") -> None:
    """``into`` mirrors ``kinds``: True where all that exist are True, else the first that is not, with its reason."""
    found = [condition for kind in kinds if (condition := get(obj, kind))]
    bad = next((condition for condition in found if condition["status"] != "True"), None)
    if bad is not None:
        kept: Object = {key: bad[key] for key in ("status", "severity", "reason", "message") if key in bad}
        _set(obj, {"type": into, **kept}, now)
    elif found:
        mark_true(obj, into, now=now)


def _set(obj: Object, condition: Object, now: str) -> None:
    conditions: list[Object] = obj.setdefault("status", {}).setdefault("conditions", [])
    for index, old in enumerate(conditions):
        if old.get("type") == condition["type"]:
            unchanged = old.get("status") == condition["status"]
            since = old.get("lastTransitionTime", now) if unchanged else now
            conditions[index] = {**condition, "lastTransitionTime": since}
            return
    conditions.append({**condition, "lastTransitionTime": now})
    conditions.sort(key=lambda entry: (entry["type"] != "Ready", entry["type"]))
