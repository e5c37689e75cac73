"""Rules, as far as a maximal permission policy leaves them. For all cases at once: ``test_rbac_oracle.py``."""

import pytest
from rbac_world import path_rule, rule

from kcpcache.auth.limited_rules import limit_rules
from kcpcache.auth.rules import Rule
from kcpcache.meta.names import GroupResource

THINGS, TOOLS, MAPS = GroupResource("g", "things"), GroupResource("g", "tools"), GroupResource("", "configmaps")
SERVED = {THINGS: ("status", "scale"), TOOLS: ("status",), MAPS: ()}
EVERYTHING = rule(["*"], ["*"], ["*"])


def limited(held, policy):
    """What is left of one rule, where things are limited by some others."""
    return limit_rules([Rule(held)], {THINGS: [Rule(one) for one in policy]}, SERVED)


@pytest.mark.parametrize(
    "held", [rule(["get"], [""], ["*"]), rule(["*"], ["g"], ["tools"]), path_rule(["*"], ["*"]), rule([], ["*"], ["*"])]
)
def test_a_rule_that_has_nothing_of_what_is_limited_stays_as_it_is(held):
    assert limited(held, []) == ([held], True)


@pytest.mark.parametrize(
    "policy",
    [
        [EVERYTHING],
        [rule(["*"], ["g"], ["*"])],
        [rule(["*"], ["g"], ["*"], ["x"]), rule(["get", "*"], ["g", "h"], ["*"])],
    ],
)
def test_a_rule_of_which_the_policy_allows_all_stays_as_it_is(policy):
    assert limited(EVERYTHING, policy) == ([EVERYTHING], True)


def test_rights_that_several_rules_of_the_policy_give_together_are_all_there():
    held = rule(["get", "list"], ["*"], ["things", "things/status"])
    policy = [rule(["get"], ["g"], ["*"]), rule(["list"], ["g"], ["things"]), rule(["list"], ["g"], ["*/status"])]
    assert limited(held, policy) == ([held], True)


def test_what_both_give_is_left_and_what_is_named_is_told_completely():
    held = rule(["get", "update"], ["", "g"], ["configmaps", "things", "things/scale", "tools"], ["x", "y"])
    policy = [rule(["get", "list"], ["g"], ["*"], ["y", "z"])]
    assert limited(held, policy) == (
        [
            rule(["get", "update"], [""], ["configmaps", "things", "things/scale", "tools"], ["x", "y"]),
            rule(["get", "update"], ["g"], ["configmaps", "tools"], ["x", "y"]),
            rule(["get"], ["g"], ["things", "things/scale"], ["y"]),
        ],
        True,
    )


def test_everything_that_is_served_but_what_is_limited_is_told_one_by_one():
    assert limited(EVERYTHING, [rule(["get"], ["*"], ["things", "*/status"])]) == (
        [
            rule(["*"], [""], ["*"]),
            rule(["*"], ["g"], ["tools", "tools/status"]),
            rule(["get"], ["g"], ["things", "things/status"]),
        ],
        True,
    )


def test_a_policy_that_gives_nothing_leaves_nothing():
    assert limited(rule(["get"], ["g"], ["things"]), []) == ([], True)
    assert limited(rule(["get"], ["g"], ["things"], ["x"]), [rule(["get"], ["g"], ["things"], ["y"])]) == ([], True)


def test_the_work_is_bounded_and_what_was_not_compared_is_not_promised():
    names = [f"n{number}" for number in range(20_000)]
    held = [Rule(rule([f"verb{number}"], ["g"], names)) for number in range(100)]
    found = limit_rules(held, {THINGS: [Rule(rule(["*"], ["g"], names))] * 1000}, SERVED)
    assert found == ([], False)
