"""Policies of many expressions: compiled beside the event loop, and judged in pieces."""

import asyncio
import threading

import pytest
from admission_world import World, running_world

from kcpcache.admission import expression_types
from kcpcache.admission import policy as policies
from kcpcache.admission.configurations import Index
from kcpcache.admission.policies import BINDINGS, POLICIES
from kcpcache.meta.errors import InvalidError, StatusError
from kcpcache.registry import pauses

MANY = 60
_POLICIES = "validatingadmissionpolicies.v1.admissionregistration.k8s.io"
_BINDINGS = "validatingadmissionpolicybindings.v1.admissionregistration.k8s.io"


@pytest.fixture
async def world():
    async with running_world() as found:
        yield found


def policy(salt, *more, count=MANY):
    rule = {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["configmaps"]}
    expressions = [f"object.metadata.name != '{salt}-{number}'" for number in range(count)]
    return {
        "metadata": {"name": "p"},
        "spec": {
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": expression} for expression in (*expressions, *more)],
        },
    }


def binding(name="b"):
    return {"metadata": {"name": name}, "spec": {"policyName": "p", "validationActions": ["Deny"]}}


@pytest.fixture
def compiling(monkeypatch):
    """The threads in which expressions of policies were compiled."""
    threads: set[int] = set()
    compile_admission = policies.compile_admission

    def noting(*args):
        threads.add(threading.get_ident())
        return compile_admission(*args)

    for module in (policies, expression_types):
        monkeypatch.setattr(module, "compile_admission", noting)
    return threads


async def test_many_expressions_are_compiled_on_another_thread_when_they_are_stored_and_when_they_are_used(
    world: World, compiling: set[int]
):
    await world.create(_POLICIES, policy("a"))
    await world.create(_BINDINGS, binding())
    await world.create("configmaps", {"metadata": {"name": "c"}})
    with pytest.raises(StatusError, match="failed expression"):
        await world.create("configmaps", {"metadata": {"name": f"a-{MANY - 1}"}})
    assert compiling
    assert threading.get_ident() not in compiling


async def test_what_is_wrong_with_one_of_many_expressions_is_said(world: World):
    with pytest.raises(InvalidError, match=rf"validations\[{MANY}\].expression"):
        await world.create(_POLICIES, policy("b", "object."))


async def test_few_expressions_are_compiled_at_once(world: World, compiling: set[int]):
    await world.create(_POLICIES, policy("c", count=2))
    assert compiling == {threading.get_ident()}


async def test_what_changes_while_it_is_compiled_counts_for_those_who_ask_later(world: World):
    await world.create(_POLICIES, policy("d"))
    await world.create(_BINDINGS, binding("one"))
    begun, may_end = threading.Event(), threading.Event()

    def names(bindings, _policies):
        begun.set()
        assert may_end.wait(10)
        return sorted(found["metadata"]["name"] for found in bindings)

    index: Index[list[str]] = Index(world.lookup, [BINDINGS, POLICIES], names)
    asking = asyncio.create_task(index.of("alpha"))
    await asyncio.to_thread(begun.wait, 10)
    await world.given(_BINDINGS, binding("two"))  # admission would wait for the same thread
    later = asyncio.create_task(index.of("alpha"))
    await asyncio.sleep(0)
    may_end.set()
    assert await asking == ["one"]
    assert await later == ["one", "two"]
    assert await index.of("alpha") is await later


async def test_others_are_served_between_the_rules_of_a_policy(world: World, monkeypatch):
    paused = 0

    class Counting:
        tenant: object = None

        async def pause(self):
            nonlocal paused
            paused += 1

        async def turn(self): ...

    await world.create(_POLICIES, policy("e"))
    await world.create(_BINDINGS, binding())
    monkeypatch.setattr(pauses, "SLICE_SECONDS", -1.0)
    token = pauses.pausing.set(Counting())
    try:
        await world.create("configmaps", {"metadata": {"name": "c"}})
    finally:
        pauses.pausing.reset(token)
    assert paused >= MANY
