"""The controller that clears away copies of bound schemas: which bindings name them, and what wakes it."""

from typing import Final

from kcpcache.meta.objects import annotations_of
from kcpcache.reconcilers import bound_schema
from kcpcache.reconcilers.api_binding import (
    API_BINDINGS,
    API_RESOURCE_SCHEMAS,
    BOUND_SCHEMAS_CLUSTER,
    SCHEMA_CLUSTER_ANNOTATION,
    SCHEMA_NAME_ANNOTATION,
)
from kcpcache.reconcilers.plan import Plan
from kcpcache.registry.caches import CacheEvent
from kcpcache.registry.serving import bound_resources
from kcpcache.runtime.controller import Controller
from kcpcache.runtime.environment import Environment, either
from kcpcache.runtime.indexes import Name

LINGER_SECONDS: Final = 2.0
"""A binding writes the copy first and then that it is bound to it: nothing is looked at between the two."""


class BoundSchemaController:
    """``controller``, keyed by the uid that names the copy, is run by the owner."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        self.controller: Controller[str] = Controller("bound-schema", self._plan, env.apply)
        self._bindings: dict[str, set[Name]] = {}
        self._uids: dict[Name, frozenset[str]] = {}
        env.on_event(API_BINDINGS.group, API_BINDINGS.resource, self._binding_changed)
        env.on_event(API_RESOURCE_SCHEMAS.group, API_RESOURCE_SCHEMAS.resource, self._schema_changed)
        for entry in env.cache(API_BINDINGS.group, API_BINDINGS.resource).all_entries():
            self._note((entry.cluster, entry.name))
        for entry in env.cache(API_RESOURCE_SCHEMAS.group, API_RESOURCE_SCHEMAS.resource).entries(
            BOUND_SCHEMAS_CLUSTER
        ):
            self.controller.add(entry.name)

    def _binding_changed(self, event: CacheEvent) -> None:
        self._note((event.cluster, either(event).name))

    def _note(self, name: Name) -> None:
        """Keep who is bound to what; a copy that lost a binding is looked at."""
        binding = self._env.lookup.get(API_BINDINGS, *name)
        before = self._uids.pop(name, frozenset())
        after = frozenset(bound.schema_uid for bound in bound_resources(binding)) if binding else frozenset()
        if after:
            self._uids[name] = after
        for uid in after - before:
            self._bindings.setdefault(uid, set()).add(name)
        for uid in before - after:
            self._bindings[uid].discard(name)
            if not self._bindings[uid]:
                del self._bindings[uid]
            self._look_later(uid)

    def _schema_changed(self, event: CacheEvent) -> None:
        if event.cluster == BOUND_SCHEMAS_CLUSTER:
            self._look_later(either(event).name)
        elif event.entry is None:
            self._look_later(either(event).uid)

    def _look_later(self, uid: str) -> None:
        self.controller.queue.add_after(uid, LINGER_SECONDS)

    def _plan(self, uid: str) -> Plan:
        lookup = self._env.lookup
        kept = lookup.get(API_RESOURCE_SCHEMAS, BOUND_SCHEMAS_CLUSTER, uid)
        notes = annotations_of(kept) if kept else {}
        cluster, name = notes.get(SCHEMA_CLUSTER_ANNOTATION, ""), notes.get(SCHEMA_NAME_ANNOTATION, "")
        original = lookup.entry(API_RESOURCE_SCHEMAS, cluster, name)
        there = original is not None and original.uid == uid
        return bound_schema.reconcile(bound_schema.State(kept, there, uid in self._bindings))
