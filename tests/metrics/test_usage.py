from kcpcache.metrics import usage
from kcpcache.registry.entry import encode, entry_of

COUNTED = {counted.resource: counted for counted in usage.COUNTED}


def counts(resource, *statuses):
    entries = [
        entry_of(
            encode({"apiVersion": "v1", "kind": "K", "metadata": {"name": "x"}, "status": status}),
            cluster="c",
            namespace="",
            name="x",
            revision=1,
        )
        for status in statuses
    ]
    return {sample.labels: sample.value for sample in usage.samples(COUNTED[resource], entries, "root")}


def test_every_phase_is_shown_even_when_empty_and_objects_without_one_are_not_counted():
    found = counts("workspaces", {"phase": "Ready"}, {"phase": "Ready"}, {}, {"phase": ""})
    assert found[("root", "Ready")] == 2
    assert found[("root", "Deleting")] == 0
    assert sum(found.values()) == 2


def test_a_phase_that_nobody_knows_is_the_other():
    assert counts("apibindings", {"phase": "Dreaming"})[("root", "other")] == 1


def test_conditions_are_counted_by_type_and_status():
    ready, not_ready = ({"type": "Ready", "status": status} for status in ("True", "False"))
    found = counts("apiexports", {"conditions": [ready]}, {"conditions": [ready]}, {"conditions": [not_ready]})
    assert found == {("root", "Ready", "True"): 2, ("root", "Ready", "False"): 1}


def test_made_up_conditions_stay_bounded():
    made_up = [{"type": f"T{number}", "status": "True"} for number in range(200)]
    assert len(counts("apiexports", {"conditions": made_up})) == 50


def test_a_status_of_another_form_counts_as_none():
    assert sum(counts("workspaces", {"phase": 7}).values()) == 0
