"""ResourceQuota: no more objects in a namespace than its quotas say (documentation: "Resource Quotas").

What is there is counted in the caches, which are ahead of any ``status.used``. What is being created is reserved, from
the moment it is admitted until the caches show it, so that concurrent creates cannot pass together.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Final

from kcpcache.admission.chain import MutateNothing, Request
from kcpcache.meta.errors import forbidden
from kcpcache.meta.names import GroupResource, GroupVersionResource
from kcpcache.meta.objects import Object, name_of, nested
from kcpcache.registry.builtin.rules.quantities import canonical, quantity
from kcpcache.registry.caches import ResourceCache
from kcpcache.registry.lookup import Lookup
from kcpcache.registry.quotas import count_in, counted_names
from kcpcache.registry.serving import Serving

RESOURCE_QUOTAS: Final = GroupVersionResource("", "v1", "resourcequotas")
_DOUBTFUL_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class _Place:
    prefix: str
    cluster: str
    namespace: str


class Quotas(MutateNothing):
    """See ``chain.Plugin``; it must be the last. Costs one dict lookup in workspaces without quotas."""

    def __init__(self, lookup: Lookup, serving: Serving) -> None:
        self._lookup, self._serving = lookup, serving
        self._quotas = lookup.cache(RESOURCE_QUOTAS.group_resource)
        self._reserved: dict[_Place, Counter[str]] = {}

    async def validate(self, request: Request) -> None:
        """Raises ForbiddenError that says what was asked for, what is used and what the limit is."""
        attributes = request.attributes
        if request.operation != "CREATE" or attributes.cluster not in self._quotas.shelves or request.new is None:
            return
        quotas = self._lookup.list(RESOURCE_QUOTAS, attributes.cluster, attributes.namespace)
        found = self._serving.snapshot(attributes.cluster).find(
            attributes.group, attributes.version, attributes.resource
        )
        if not quotas or found is None or not found[0].definition.namespaced or attributes.subresource:
            return
        names = counted_names(GroupResource(attributes.group, attributes.resource))
        limits = [(quota, hard) for quota in quotas if (hard := _limits(quota, names))]
        if not limits:
            return
        cache = self._lookup.caches.of(found[0].definition.storage_prefix)
        place = _Place(cache.prefix, attributes.cluster, attributes.namespace)
        used = count_in(cache, attributes.cluster, attributes.namespace) + self._in_flight(cache, place)
        for quota, hard in limits:
            _check(request, quota, hard, used)
        self._reserve(request, cache, place)

    def _in_flight(self, cache: ResourceCache, place: _Place) -> int:
        """Reserved names that the cache does not show yet."""
        reserved = self._reserved.get(place, ())
        return sum(cache.get(place.cluster, name, place.namespace) is None for name in reserved)

    def _reserve(self, request: Request, cache: ResourceCache, place: _Place) -> None:
        name = request.name
        self._reserved.setdefault(place, Counter())[name] += 1

        def finish(known: bool) -> None:
            if known or cache.get(place.cluster, name, place.namespace) is not None:
                self._release(place, name)
            else:  # cancelled while the store was writing: the caches will know, or nothing was written
                asyncio.get_running_loop().call_later(_DOUBTFUL_SECONDS, self._release, place, name)

        request.finishers.append(finish)

    def _release(self, place: _Place, name: str) -> None:
        reserved = self._reserved[place]
        reserved[name] -= 1
        if not reserved[name]:
            del reserved[name]
        if not reserved:
            del self._reserved[place]


def _limits(quota: Object, names: tuple[str, ...]) -> dict[str, str]:
    """What a quota says of the resource: each name with its limit as written. Scopes are about pods only."""
    if nested(quota, "spec", "scopes") or nested(quota, "spec", "scopeSelector"):
        return {}
    hard = nested(quota, "spec", "hard", default=None) or {}
    return {name: str(hard[name]) for name in names if name in hard}


def _check(request: Request, quota: Object, hard: dict[str, str], used: int) -> None:
    exceeded = {name: limit for name, limit in hard.items() if used + 1 > (quantity(limit) or 0)}
    if not exceeded:
        return
    requested, taken, limited = (
        ",".join(f"{name}={value}" for name, value in sorted(shown.items()))
        for shown in (dict.fromkeys(exceeded, "1"), dict.fromkeys(exceeded, canonical(used)), exceeded)
    )
    attributes = request.attributes
    why = f"exceeded quota: {name_of(quota)}, requested: {requested}, used: {taken}, limited: {limited}"
    raise forbidden(attributes.group, attributes.resource, request.name, why)
