"""What kcp's types demand beyond their schemas: rules, accepted spellings, and conversions between their versions."""

from collections.abc import Callable, Mapping

from kcpcache.meta.names import GroupResource
from kcpcache.meta.objects import Object
from kcpcache.registry.kcp import cached_resource
from kcpcache.registry.resource import Convert, Rules

RULES: Mapping[GroupResource, Rules] = {
    GroupResource("cache.kcp.io", "cachedresources"): cached_resource.CachedResourceRules(),
}
NORMALIZERS: Mapping[GroupResource, Callable[[Object], None]] = {
    GroupResource("cache.kcp.io", "cachedresources"): cached_resource.normalize,
}
CONVERSIONS: Mapping[GroupResource, Convert] = {}
