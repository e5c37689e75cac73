import pytest

from kcpcache.kubectl.claims import claim_rows, decided, new_binding, table
from kcpcache.kubectl.commands import Bind, Claim, DecideClaims

SECRETS = {"group": "", "resource": "secrets", "verbs": ["*"], "selector": {"matchAll": True}, "state": "Accepted"}
SHEETS = {"group": "g.io", "resource": "sheets", "identityHash": "abc", "verbs": ["get"]}
BINDING = {
    "metadata": {"name": "b"},
    "spec": {"permissionClaims": [SECRETS]},
    "status": {"exportPermissionClaims": [{"group": "", "resource": "secrets", "verbs": ["*"]}, SHEETS]},
}
ADDED = {**SHEETS, "selector": {"matchAll": True}}


def test_a_binding_without_claims_names_its_export_only():
    assert new_binding(Bind("root:a", "x", "b")) == {
        "apiVersion": "apis.kcp.io/v1alpha2",
        "kind": "APIBinding",
        "metadata": {"name": "b"},
        "spec": {"reference": {"export": {"path": "root:a", "name": "x"}}},
    }


def test_claims_are_answered_for_all_verbs_and_all_objects():
    made = new_binding(Bind("root", "x", "x", claims=(Claim("secrets", "", "Accepted"), Claim("c", "d.e", "Rejected"))))
    everything = {"verbs": ["*"], "selector": {"matchAll": True}}
    assert made["spec"]["permissionClaims"] == [
        {"group": "", "resource": "secrets", "state": "Accepted", **everything},
        {"group": "d.e", "resource": "c", "state": "Rejected", **everything},
    ]


def test_all_claims_of_an_export_can_be_answered_alike():
    made = new_binding(Bind("root", "x", "x", all_claims="Rejected"), [{"resource": "secrets"}, SHEETS])
    assert [
        (each["resource"], each.get("identityHash"), each["state"]) for each in made["spec"]["permissionClaims"]
    ] == [
        ("secrets", None, "Rejected"),
        ("sheets", "abc", "Rejected"),
    ]


def test_claims_are_printed_as_a_table():
    rows = list(claim_rows([{**BINDING, "spec": {"permissionClaims": [SECRETS, {**SHEETS, "state": "Rejected"}]}}]))
    assert list(table([("A", "LONG COLUMN", "B", "C"), *rows])) == [
        "A   LONG COLUMN   B     C",
        "b   secrets       *     Accepted",
        "b   sheets.g.io   get   Rejected",
    ]


@pytest.mark.parametrize(
    ("command", "claims", "count"),
    [
        (DecideClaims("b", "Rejected", resource="secrets.core"), [{**SECRETS, "state": "Rejected"}], 1),
        (DecideClaims("b", "Rejected", resource="secrets"), [{**SECRETS, "state": "Rejected"}], 1),
        (DecideClaims("b", "Accepted", resource="sheets.g.io"), [SECRETS, {**ADDED, "state": "Accepted"}], 1),
        (DecideClaims("b", "Accepted", identity_hash="abc"), [SECRETS, {**ADDED, "state": "Accepted"}], 1),
        (
            DecideClaims("b", "Rejected", everything=True),
            [{**SECRETS, "state": "Rejected"}, {**ADDED, "state": "Rejected"}],
            2,
        ),
        (DecideClaims("b", "Accepted", resource="other.g.io"), [SECRETS], 0),
        (DecideClaims("b", "Accepted", identity_hash="xyz"), [SECRETS], 0),
    ],
)
def test_a_decision_changes_the_claims_that_are_meant_and_adds_what_is_only_exported(command, claims, count):
    assert decided(BINDING, command) == (claims, count)
    assert BINDING["spec"]["permissionClaims"] == [SECRETS]
