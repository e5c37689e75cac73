import pytest
from conversation import BROKEN, FORBIDDEN, TENANCY, Call

from kcpcache.client.connection import ApiError
from kcpcache.client.kubeconfig import KubeconfigError
from kcpcache.kubectl.commands import Create, CreateContext, Use
from kcpcache.kubectl.session import CommandError
from kcpcache.kubectl.workspace import claim_warnings, create_context, new_workspace, use

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


GROUPS = {"groups": [{"name": "tenancy.kcp.io"}]}
BINDINGS = "/apis/apis.kcp.io/v1alpha2/apibindings"


def entered(call: Call) -> list[str]:
    """The servers that were made current."""
    return [edit.clusters[edit.current_context].body["server"] for edit in call.edits]


def test_a_workspace_whose_parent_is_closed_can_be_entered():
    call = Call({"root:foo:bar/apis": GROUPS, f"root:foo{TENANCY}/bar": FORBIDDEN})
    use(call, Use("bar"))
    assert entered(call) == ["https://x/clusters/root:foo:bar"]
    assert call.printed == "Current workspace is 'root:foo:bar'.\n"
    assert call.noted == ""


def test_a_workspace_without_a_parent_can_be_entered():
    call = Call({"other/apis": GROUPS, f"other{BINDINGS}": BROKEN})
    use(call, Use(":other"))
    assert entered(call) == ["https://x/clusters/other"]
    assert call.noted == "error checking APIBindings: broken\n"


@pytest.mark.parametrize(
    ("answers", "error", "text"),
    [
        ({"root:foo:bar/apis": FORBIDDEN}, CommandError, 'workspace "root:foo:bar" not found'),
        ({"root:foo:bar/apis": {}}, CommandError, 'workspace "root:foo:bar" not found'),
        (
            {"root:foo:bar/apis": FORBIDDEN, f"root:foo{TENANCY}/bar": FORBIDDEN},
            CommandError,
            'access to workspace "root:foo:bar" denied',
        ),
        ({"root:foo:bar/apis": BROKEN}, ApiError, "broken"),
    ],
)
def test_a_workspace_that_is_closed_or_not_there_is_not_entered(answers, error, text):
    call = Call(answers)
    with pytest.raises(error, match=text):
        use(call, Use("bar"))
    assert call.edits == []


def test_a_home_workspace_must_have_an_address():
    with pytest.raises(CommandError, match='invalid home workspace URL ""'):
        use(Call({f"root{TENANCY}/~": {}}), Use("~"))


def test_a_context_is_made_of_a_workspace_only():
    with pytest.raises(KubeconfigError, match='current URL "https://x" does not point to a workspace'):
        create_context(Call({}, "https://x"), CreateContext())


def test_a_url_without_workspace_is_shown_as_such():
    call = Call({}, "https://x")
    use(call, Use("."))
    use(call, Use(".", short=True))
    assert call.printed == 'Current workspace is the URL "https://x".\n'
