import pytest

from kcpcache.registry.caches import Caches
from kcpcache.registry.epoch import Epoch
from kcpcache.storage.memory import MemoryStore

VALUE = b'{"apiVersion":"v1","kind":"X","metadata":{"resourceVersion":"","annotations":{"kcp.io/cluster":""}}}'


@pytest.mark.parametrize(
    ("prefix", "counts"),
    [
        ("/registry/rbac.authorization.k8s.io/clusterroles/", True),
        ("/registry/rbac.authorization.k8s.io/rolebindings/", True),
        ("/registry/apiextensions.k8s.io/customresourcedefinitions/", True),
        ("/registry/apis.kcp.io/apibindings/", True),
        ("/registry/apis.kcp.io/apiexports/", True),
        ("/registry/core.kcp.io/logicalclusters/", True),
        ("/registry/tenancy.kcp.io/workspaces:0abc/", True),
        ("/registry/core/serviceaccounts/", True),
        ("/registry/core/secrets/", True),
        ("/registry/core/configmaps/", False),
        ("/registry/cloud.example.com/cpuflavors/", False),
        ("/cache/root/cloud.example.com/v1/cpuflavors:0abc/", False),
    ],
)
async def test_only_what_says_who_may_see_what_begins_a_new_epoch(prefix, counts):
    caches = Caches(MemoryStore())
    epoch = Epoch(caches)
    cache = caches.of(prefix)
    cache.apply("root/a", 1, VALUE)
    assert epoch.value == int(counts)
    cache.apply("root/a", 2, None)
    assert epoch.value == 2 * int(counts)


async def test_caches_from_before_count_too():
    caches = Caches(MemoryStore())
    cache = caches.of("/registry/rbac.authorization.k8s.io/roles/")
    epoch = Epoch(caches)
    cache.apply("root/default/a", 1, VALUE)
    assert epoch.value == 1


async def test_what_is_in_no_cache_begins_one_too():
    epoch = Epoch(Caches(MemoryStore()))
    epoch.begin()
    assert epoch.value == 1
