"""A world that plans are applied to: what the runtime and the stores promise, in one dict."""

from collections.abc import Callable

from kcpcache.meta.objects import CLUSTER_ANNOTATION, Object, copy
from kcpcache.reconcilers.plan import CacheTarget, Create, Delete, Plan, Target, Update, UpdateStatus

NOW = "2026-01-02T03:04:05Z"
LATER = "2026-01-02T04:00:00Z"


class World:
    """Objects by target. Checks every resourceVersion, grows one counter, knows finalizers."""

    def __init__(self) -> None:
        self.objects: dict[Target | CacheTarget, Object] = {}
        self.revision = 100

    def put(self, target: Target | CacheTarget, obj: Object) -> Object:
        """Write as a user does: no questions asked; metadata is filled in."""
        stored = copy(obj)
        self.revision += 1
        found = stored.setdefault("metadata", {})
        found["name"], found["resourceVersion"] = target.name, str(self.revision)
        if isinstance(target, Target):
            old = self.objects.get(target, {}).get("metadata", {})
            found.setdefault("uid", old.get("uid", f"uid-{self.revision}"))
            if target.namespace:
                found["namespace"] = target.namespace
            if CLUSTER_ANNOTATION in found.get("annotations", {}):
                del found["annotations"][CLUSTER_ANNOTATION]
        self.objects[target] = stored
        return stored

    def get(self, target: Target | CacheTarget) -> Object | None:
        """Read as a client does: a workspace's objects say which it is."""
        found = copy(self.objects.get(target))
        if found is not None and isinstance(target, Target):
            found["metadata"].setdefault("annotations", {})[CLUSTER_ANNOTATION] = target.cluster
        return found

    def delete(self, target: Target | CacheTarget) -> None:
        """Delete as a user does: finalizers keep the object."""
        if self.objects[target]["metadata"].get("finalizers"):
            self.objects[target]["metadata"]["deletionTimestamp"] = NOW
            self.put(target, self.objects[target])
        else:
            del self.objects[target]

    def apply(self, plan: Plan) -> None:
        """Apply all changes; any that the runtime would have to discard fails the test."""
        for change in plan.changes:
            if isinstance(change, Create):
                assert change.target not in self.objects, f"exists: {change.target}"
                assert "resourceVersion" not in change.object["metadata"]
                self.put(change.target, change.object)
            elif isinstance(change, Delete):
                if change.target in self.objects:
                    assert change.resource_version == self.objects[change.target]["metadata"]["resourceVersion"]
                    self.delete(change.target)
            else:
                self._write(change)

    def _write(self, change: Update | UpdateStatus) -> None:
        old = self.objects[change.target]
        assert change.object["metadata"]["resourceVersion"] == old["metadata"]["resourceVersion"], "conflict"
        if isinstance(change, UpdateStatus):
            labels = {key: change.object["metadata"][key] for key in ("labels",) if key in change.object["metadata"]}
            new = {**old, "status": change.object["status"], "metadata": {**old["metadata"], **labels}}
        elif isinstance(change.target, CacheTarget):
            new = change.object
        else:
            new = {**change.object, "status": old["status"]} if "status" in old and not change.status else change.object
            assert {k: v for k, v in new.items() if k != "status"} != {k: v for k, v in old.items() if k != "status"}
        assert new != old, "a write that changes nothing"
        if "deletionTimestamp" in new["metadata"] and not new["metadata"].get("finalizers"):
            del self.objects[change.target]
        else:
            self.put(change.target, new)

    def settle(self, decide: Callable[[], Plan], limit: int = 12) -> list[Plan]:
        """Look and apply until nothing is planned; the plans that it took. Endless writing fails the test."""
        plans: list[Plan] = []
        while (plan := decide()).changes:
            plans.append(plan)
            self.apply(plan)
            assert len(plans) <= limit, f"does not settle: {plan}"
        return plans


def pure(reconcile: Callable[[object], Plan], state: object) -> Plan:
    """Reconcile, and fail if anything in the state was changed by it, or if a second look differs."""
    before = repr(state)
    plan = reconcile(state)
    assert repr(state) == before, "the state was changed"
    assert reconcile(state) == plan
    return plan
