import pytest

from kcpcache.kubectl.commands import Create
from kcpcache.kubectl.session import CommandError
from kcpcache.kubectl.tree import Branch, lines
from kcpcache.kubectl.workspace import claim_warnings, new_workspace

TEST = {"group": "test.kcp.io", "resource": "test", "identityHash": "abcdef", "verbs": ["*"]}
ADD = "Add this claim to the APIBinding's Spec."
CONFIG_MAPS = {"group": "", "resource": "configmaps", "verbs": ["get"]}


def binding(exported, answers):
    return {
        "metadata": {"name": "a"},
        "spec": {"permissionClaims": answers},
        "status": {"exportPermissionClaims": exported},
    }


@pytest.mark.parametrize("state", ["Accepted", "Rejected"])
def test_answered_claims_are_nothing_to_warn_of(state):
    assert list(claim_warnings([binding([TEST], [{**TEST, "state": state}])])) == []
    assert list(claim_warnings([{"metadata": {"name": "a"}}])) == []


def test_claims_without_an_answer_are_warned_of():
    assert list(claim_warnings([binding([TEST, CONFIG_MAPS], [{**TEST, "state": ""}])])) == [
        "Warning: claim for test.test.kcp.io:abcdef specified on APIBinding a but not accepted or rejected.",
        "Warning: claim for configmaps exported but not specified on APIBinding a\n" + ADD,
    ]


def test_claims_answered_for_other_verbs_are_warned_of():
    answer = {**CONFIG_MAPS, "verbs": ["list", "get"], "state": "Accepted"}
    assert list(claim_warnings([binding([CONFIG_MAPS], [answer])])) == [
        "Warning: allowed verbs (get,list) on claim for configmaps on APIBinding a do not match expected verbs (get)."
    ]


@pytest.mark.parametrize(
    ("command", "spec"),
    [
        (Create("a"), {}),
        (Create("a", type="Team"), {"type": {"name": "team"}}),
        (Create("a", type="root:org:Team"), {"type": {"name": "team", "path": "root:org"}}),
        (
            Create("a", location_selector="x=y,z in (b,a),!w"),
            {
                "location": {
                    "selector": {
                        "matchExpressions": [
                            {"key": "x", "operator": "In", "values": ["y"]},
                            {"key": "z", "operator": "In", "values": ["a", "b"]},
                            {"key": "w", "operator": "DoesNotExist"},
                        ]
                    }
                }
            },
        ),
    ],
)
def test_a_workspace_is_made_of_the_words(command, spec):
    made = new_workspace(command)
    assert made["metadata"] == {"name": "a"}
    assert made["spec"] == spec


def test_a_location_selector_that_is_none_is_refused():
    with pytest.raises(CommandError, match="invalid location selector"):
        new_workspace(Create("a", location_selector="=="))


def test_a_tree_is_drawn_as_kcp_draws_it():
    root = Branch("root", (Branch("a", (Branch("b", (Branch("c"),)), Branch("d"))), Branch("e [m]")))
    assert list(lines(root)) == [
        ".",
        "└── root",
        "    ├── a",
        "    │   ├── b",
        "    │   │   └── c",
        "    │   └── d",
        "    └── e [m]",
    ]
