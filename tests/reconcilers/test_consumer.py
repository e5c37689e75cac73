import pytest
from cache_objects import FLAVORS, HASH, a_cached_resource, a_slice, an_entry, an_export, meta
from plan_world import NOW, World, pure

from kcpcache.meta.virtual_resources import CONSUMERS
from kcpcache.reconcilers import consumer
from kcpcache.reconcilers.consumer import Record, Resolution, State
from kcpcache.reconcilers.plan import CacheTarget, Create, Delete, Plan, Update

RECORD = CacheTarget("root", CONSUMERS, HASH, "provider", "customer_cloud_flavors-v1")


def a_binding(phase="Bound", bound=({"group": "cloud.example.com", "resource": "flavors"},), **metadata):
    return {"metadata": meta("cloud", "customer") | metadata, "status": {"phase": phase, "boundResources": list(bound)}}


def a_resolution(**more):
    found = {"endpoint_slice": a_slice(), "cached_resource": a_cached_resource(), "reference_allowed": False}
    return Resolution(FLAVORS.group_resource, **(found | more))


class Consumer:
    def __init__(self, **state):
        self.world = World()
        found = {"binding": a_binding(), "export": an_export(an_entry()), "resolutions": (a_resolution(),)}
        self.state = found | state

    def decide(self):
        records = tuple(Record(target, self.world.get(target)) for target in self.world.objects)
        return pure(consumer.reconcile, State("root", "customer", "cloud", records=records, **self.state))

    def settle(self, **changes):
        self.state |= changes
        self.plans = self.world.settle(self.decide)
        assert len(self.plans) <= 1
        return set(self.world.objects)


def test_a_bound_virtual_resource_gives_a_record_that_says_who_sees_what():
    found = Consumer()
    assert found.settle() == {RECORD}
    obj = found.world.get(RECORD)
    assert obj["apiVersion"] == "cache.kcp.io/v1alpha1"
    assert obj["kind"] == "Consumer"
    assert obj["metadata"]["name"] == "customer_cloud_flavors-v1"
    assert obj["spec"] == {
        "cachedResource": {"cluster": "provider", "name": "flavors-v1"},
        "resource": {"group": "cloud.example.com", "version": "v1", "resource": "flavors"},
        "consumer": {"cluster": "customer", "binding": "cloud"},
        "export": {"cluster": "provider", "name": "cloud", "identityHash": "export-hash"},
    }


def test_a_second_pass_plans_nothing_even_if_the_store_adds_metadata():
    found = Consumer()
    found.settle()
    found.world.objects[RECORD]["metadata"] |= {"uid": "x", "creationTimestamp": NOW}
    assert found.decide() == Plan()


OTHER_SLICE = a_slice()
OTHER_SLICE["spec"]["cachedResource"]["name"] = "other"
GOING = a_cached_resource()
GOING["metadata"]["deletionTimestamp"] = NOW


@pytest.mark.parametrize(
    "missing",
    [
        {"binding": None},
        {"binding": a_binding(deletionTimestamp=NOW, finalizers=["apis.kcp.io/apibinding-finalizer"])},
        {"binding": a_binding(phase="Binding")},
        {"binding": a_binding(phase="")},
        {"binding": {"metadata": meta("cloud", "customer")}},
        {"binding": a_binding(bound=())},
        {"binding": a_binding(bound=({"group": "cloud.example.com", "resource": "sizes"},))},
        {"binding": a_binding(bound=({"group": FLAVORS.group, "resource": "flavors", "storageVersions": ["v1"]},))},
        {"export": None},
        {"export": an_export()},
        {"export": an_export(an_entry(identityHash="other"))},
        {"export": an_export(an_entry() | {"storage": {"crd": {}}})},
        {"resolutions": ()},
        {"resolutions": (a_resolution(endpoint_slice=None),)},
        {"resolutions": (a_resolution(endpoint_slice=OTHER_SLICE),)},
        {"resolutions": (a_resolution(endpoint_slice=a_slice(cluster="stranger")),)},
        {"resolutions": (a_resolution(cached_resource=None),)},
        {"resolutions": (a_resolution(cached_resource=GOING),)},
        {"resolutions": (a_resolution(cached_resource=a_cached_resource(cluster="stranger")),)},
    ],
)
def test_p10_whatever_of_it_ends_ends_the_record_and_its_return_brings_it_back(missing):
    found = Consumer()
    assert found.settle() == {RECORD}
    before = {key: found.state[key] for key in missing}
    assert found.settle(**missing) == set()
    assert [type(change) for change in found.plans[0].changes] == [Delete]
    assert found.settle(**before) == {RECORD}


def test_p11_a_strangers_export_that_names_the_public_hash_gets_no_record():
    found = Consumer(export=an_export(an_entry(), cluster="stranger"))
    assert found.settle() == set()


def test_a_foreign_cached_resource_counts_if_the_slices_creator_could_read_it():
    foreign = a_cached_resource(cluster="elsewhere")
    resolution = {"endpoint_slice": a_slice(path="root:elsewhere"), "cached_resource": foreign}
    found = Consumer(resolutions=(a_resolution(**resolution),))
    assert found.settle() == set()
    assert found.settle(resolutions=(a_resolution(**resolution, reference_allowed=True),)) == {
        RECORD.__class__("root", CONSUMERS, HASH, "elsewhere", RECORD.name)
    }
    assert found.world.get(next(iter(found.world.objects)))["spec"]["export"]["cluster"] == "provider"


@pytest.mark.parametrize("tampered", [{"spec": {}}, {"kind": "Other"}, {"apiVersion": "v1"}])
def test_a_record_that_was_tampered_with_is_put_right(tampered):
    found = Consumer()
    found.settle()
    right = found.world.get(RECORD)
    found.world.put(RECORD, right | tampered)
    found.settle()
    assert [type(change) for change in found.plans[0].changes] == [Update]
    assert {k: v for k, v in found.world.get(RECORD).items() if k != "metadata"} == {
        k: v for k, v in right.items() if k != "metadata"
    }


def test_a_record_follows_the_exports_identity():
    found = Consumer()
    found.settle()
    export = an_export(an_entry())
    export["status"]["identityHash"] = "changed"
    found.settle(export=export)
    assert found.world.get(RECORD)["spec"]["export"]["identityHash"] == "changed"


def test_a_slice_that_leads_elsewhere_now_moves_the_record():
    found = Consumer()
    found.settle()
    moved = a_resolution(endpoint_slice=OTHER_SLICE, cached_resource=a_cached_resource("other"))
    assert {target.name for target in found.settle(resolutions=(moved,))} == {"customer_cloud_other"}
    assert [type(change) for change in found.plans[0].changes] == [Delete, Create]


def test_each_bound_virtual_resource_has_its_own_record():
    sizes = an_entry() | {"name": "sizes"}
    sizes["storage"] = an_entry(reference=an_entry()["storage"]["virtual"]["reference"] | {"name": "sizes-v1"})[
        "storage"
    ]
    owner = a_cached_resource("sizes-v1")
    owner["spec"]["resource"] = "sizes"
    where = a_slice("sizes-v1")
    where["spec"]["cachedResource"]["name"] = "sizes-v1"
    second = Resolution(FLAVORS.group_resource._replace(resource="sizes"), where, owner, reference_allowed=False)
    bound = tuple({"group": "cloud.example.com", "resource": name} for name in ("flavors", "sizes"))
    found = Consumer(
        binding=a_binding(bound=bound), export=an_export(an_entry(), sizes), resolutions=(a_resolution(), second)
    )
    assert {t.name for t in found.settle()} == {"customer_cloud_flavors-v1", "customer_cloud_sizes-v1"}
