"""Several reconcilers of one object, each deciding on what those before it have made of it: one write instead of many.

Who waits for the other's write only to write again costs two, and where both write at once, one of them in vain.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TypeAlias

from kcpcache.meta.objects import Object
from kcpcache.reconcilers.plan import Change, Create, Plan, Target, Update, UpdateStatus

Decide: TypeAlias = Callable[[Object], Plan]
"""A reconciler with all of its state but the object."""
_MOST_ROUNDS = 8
"""Far more than any status takes; reconcilers that never agree go on in the next pass."""


def in_one_write(target: Target, obj: Object, reconcilers: Sequence[Decide]) -> Plan:
    """What they want of the object ``target``, asked in turn until none changes its status any more.

    Changes of other objects come first, each once, then the status. A change of more than the status has the next pass
    to itself, unless there is nothing before it. To be looked at again when the earliest of them asks for it.
    """
    others: dict[Target, Change] = {}
    draft = obj
    waits: list[timedelta] = []
    for _ in range(_MOST_ROUNDS):
        before, waits = draft, []
        for decide in reconcilers:
            plan = decide(draft)
            if plan.requeue_after is not None:
                waits.append(plan.requeue_after)
            for change in plan.changes:
                if change.target != target:
                    others.setdefault(change.target, change)  # type: ignore[arg-type]  # none is of the cache store
                elif isinstance(change, UpdateStatus):
                    draft = change.object
                elif draft is obj:
                    return Plan((*others.values(), change), plan.requeue_after)
        if draft is before:
            break
    status = () if draft is obj else (UpdateStatus(target, draft),)
    return Plan((*others.values(), *status), min(waits) if waits else None)


def with_next_status(update: Update, decide: Decide) -> Update:
    """The update together with the status that the object's reconciler would write next, if that is all it would do."""
    changes = decide(update.object).changes
    if len(changes) != 1 or not isinstance(changes[0], UpdateStatus) or changes[0].target != update.target:
        return update
    return Update(update.target, changes[0].object, status=True)


def begun(create: Create, obj: Object, reconcilers: Sequence[Decide]) -> Create:
    """The creation of an object together with the first status that its own reconcilers would give it.

    ``obj`` is the object as they will read it. What they want besides is theirs to do, once it is there.
    """
    changes = in_one_write(create.target, obj, reconcilers).changes  # type: ignore[arg-type]
    written = next((change.object for change in changes if isinstance(change, UpdateStatus)), None)
    if written is None:
        return create
    meta = {**create.object["metadata"], "labels": written["metadata"].get("labels") or {}}
    return Create(create.target, {**create.object, "metadata": meta, "status": written["status"]})
