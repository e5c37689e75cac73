"""Configurations of admission per logical cluster: found by one dict lookup, compiled when they are first needed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, Generic, TypeVar

from kcpcache.admission.expressions import REQUEST_VARIABLES, compiling_weight
from kcpcache.admission.match_conditions import MatchConditions, conditions_of
from kcpcache.admission.matching import ADMISSION_GROUP, Match, match_of
from kcpcache.admission.review import SUPPORTED
from kcpcache.meta.names import GroupVersionResource
from kcpcache.meta.objects import Object, name_of
from kcpcache.registry.beside import computed
from kcpcache.registry.caches import CacheEvent
from kcpcache.registry.lookup import Lookup
from kcpcache.registry.webhook_client import WebhookTarget, target_of

MUTATING_WEBHOOKS: Final = GroupVersionResource(ADMISSION_GROUP, "v1", "mutatingwebhookconfigurations")
VALIDATING_WEBHOOKS: Final = GroupVersionResource(ADMISSION_GROUP, "v1", "validatingwebhookconfigurations")

_Compiled = TypeVar("_Compiled")
_DEFAULT_SECONDS = 10


class Index(Generic[_Compiled]):
    """What the objects of some resources of a logical cluster compile to, until one of them changes.

    ``compile_all`` gets a sequence of objects for each resource; it must not touch what is the event loop's.
    """

    def __init__(
        self,
        lookup: Lookup,
        resources: Sequence[GroupVersionResource],
        compile_all: Callable[..., _Compiled],
    ) -> None:
        self._lookup, self._resources, self._compile = lookup, tuple(resources), compile_all
        self._caches = [lookup.cache(resource.group_resource) for resource in resources]
        self._first = self._caches[0].shelves
        self._compiled: dict[str, _Compiled] = {}
        self._compiling: dict[str, object] = {}
        for cache in self._caches:
            cache.listeners.append(self._changed)

    @property
    def empty(self) -> bool:
        """Whether there is no object of the first resource anywhere."""
        return not self._first

    async def of(self, cluster: str) -> _Compiled | None:
        """What was there when it was asked for; None where there is no object of the first resource."""
        if cluster not in self._first:
            return None
        found = self._compiled.get(cluster)
        return await self._made(cluster) if found is None else found

    async def _made(self, cluster: str) -> _Compiled:
        objects = [self._lookup.list(resource, cluster) for resource in self._resources]
        state = self._compiling.setdefault(cluster, object())
        weight = compiling_weight(chain.from_iterable(objects))
        made = await computed(weight, lambda: self._compile(*objects))
        if self._compiling.get(cluster) is state:  # nothing has changed meanwhile
            del self._compiling[cluster]
            self._compiled[cluster] = made
        return made

    def _changed(self, event: CacheEvent) -> None:
        self._compiled.pop(event.cluster, None)
        self._compiling.pop(event.cluster, None)


@dataclass(frozen=True, slots=True)
class Webhook:
    """One webhook of a configuration, compiled. ``key`` tells it apart in its workspace."""

    key: tuple[str, str]
    name: str
    target: WebhookTarget
    match: Match
    conditions: MatchConditions
    timeout_seconds: int
    ignore_failures: bool
    reinvoke: bool
    dry_run: bool
    version: str


def webhooks_of(configurations: Sequence[Object]) -> tuple[Webhook, ...]:
    """The webhooks in the order in which they are called: by the configurations' names, then as they stand there."""
    return tuple(
        _webhook(name_of(configuration), webhook)
        for configuration in sorted(configurations, key=name_of)
        for webhook in configuration.get("webhooks") or ()
    )


def _webhook(configuration: str, webhook: dict[str, Any]) -> Webhook:
    versions = webhook.get("admissionReviewVersions") or ()
    return Webhook(
        key=(configuration, webhook["name"]),
        name=webhook["name"],
        target=target_of(webhook.get("clientConfig") or {}),
        match=match_of(webhook, webhook.get("rules") or ()),
        conditions=conditions_of(webhook, REQUEST_VARIABLES),
        timeout_seconds=webhook.get("timeoutSeconds") or _DEFAULT_SECONDS,
        ignore_failures=webhook.get("failurePolicy") == "Ignore",
        reinvoke=webhook.get("reinvocationPolicy") == "IfNeeded",
        dry_run=webhook.get("sideEffects") in {"None", "NoneOnDryRun"},
        version=next((version for version in versions if version in SUPPORTED), "v1"),
    )
