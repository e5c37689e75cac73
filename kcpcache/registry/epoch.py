"""Counts the changes to everything that says who may see what, and what there is to see."""

from typing import Final

from kcpcache.registry.caches import CacheEvent, Caches, ResourceCache

_GROUPS: Final = frozenset(
    {"apiextensions.k8s.io", "apis.kcp.io", "core.kcp.io", "rbac.authorization.k8s.io", "tenancy.kcp.io"}
)
_CORE_RESOURCES: Final = frozenset({"secrets", "serviceaccounts"})
"""What tokens depend on."""
_CORE: Final = "core"


class Epoch:
    """``value`` is the same for as long as nothing of that kind has changed, anywhere. Event loop only."""

    def __init__(self, caches: Caches) -> None:
        self.value = 0
        caches.on_new_cache(self._follow)

    def _follow(self, cache: ResourceCache) -> None:
        _, top, group, resource, *_ = cache.prefix.split("/")
        if top == "registry" and (group in _GROUPS or (group == _CORE and resource in _CORE_RESOURCES)):
            cache.listeners.append(self._changed)

    def _changed(self, _event: CacheEvent) -> None:
        self.begin()

    def begin(self) -> None:
        """Begin a new one: something has changed that is in no cache."""
        self.value += 1
