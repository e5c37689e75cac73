import pytest
from conversation import BROKEN, FORBIDDEN, TENANCY, Call

from kcpcache.client.connection import ApiError
from kcpcache.kubectl.commands import Tree
from kcpcache.kubectl.session import CommandError
from kcpcache.kubectl.tree import Branch, lines, tree


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


def workspace(name: str, **spec: object):
    made = {"URL": f"https://x/clusters/root:foo:{name}", **spec}
    return {"metadata": {"name": name}, "spec": made, "status": {"phase": "Ready"}}


def test_mounts_are_leaves_and_what_is_being_deleted_is_left_out():
    gone = workspace("gone")
    gone["metadata"]["deletionTimestamp"] = "2026-03-01T00:00:00Z"
    call = Call(
        {f"root:foo{TENANCY}": [workspace("a"), workspace("m", mount={}, URL=""), gone, workspace("n", mount={"x": 1})]}
    )
    call._connection.answers[f"root:foo{TENANCY}"][1]["spec"]["mount"] = {"ref": {}}
    tree(call, Tree())
    assert call.printed == ".\n└── foo\n    ├── a\n    ├── m [m]\n    └── n [m]\n\n"


def test_the_wide_tree_has_columns_and_says_unknown_of_what_it_may_not_see():
    cluster = "/apis/core.kcp.io/v1alpha1/logicalclusters/cluster"
    answers = {f"root:foo{TENANCY}": [workspace("abcdef")], f"root:foo{cluster}": {"status": {"phase": "Ready"}}}
    call = Call({**answers, f"root:foo:abcdef{cluster}": FORBIDDEN})
    tree(call, Tree(wide=True))
    assert call.printed.splitlines()[1:3] == [
        "└── foo         ws=-      lc=Ready",
        "    └── abcdef  ws=Ready  lc=Unknown",
    ]


def test_what_cannot_be_followed_or_read_ends_the_tree():
    with pytest.raises(CommandError, match='URL "" does not point to workspace'):
        tree(Call({f"root:foo{TENANCY}": [workspace("a", URL="")]}), Tree())
    with pytest.raises(ApiError, match="broken"):
        tree(Call({f"root:foo{TENANCY}": BROKEN}), Tree())
    loop = workspace("a", URL="https://x/clusters/" + ":".join(["a"] * 102))
    with pytest.raises(CommandError, match="nested too deeply"):
        tree(Call({f"root:foo{TENANCY}": [loop]}), Tree())


def test_a_context_that_leads_to_no_workspace_has_no_tree():
    call = Call({}, "https://x")
    tree(call, Tree())
    assert call.printed == 'current context URL "https://x" does not point directly to a kcp workspace\n'
