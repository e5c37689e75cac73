"""Edits of the kubeconfig, as kcp's own tests of ``kubectl ws`` have them."""

from pathlib import Path

import pytest

from kcpcache.client.kubeconfig import Edit, Entry, Kubeconfig, KubeconfigError
from kcpcache.kubectl import contexts
from kcpcache.kubectl.contexts import CURRENT, PREVIOUS

FILE = Path("/k/config")


def entry(**body):
    return Entry({key.replace("_", "-"): value for key, value in body.items()}, FILE)


def config(current, clusters, made):
    """A kubeconfig: names of clusters with their URLs, names of contexts with cluster and user."""
    return Kubeconfig(
        clusters={name: entry(server=url, certificate_authority_data="Y2E=") for name, url in clusters.items()},
        contexts={name: entry(cluster=cluster, user=user) for name, (cluster, user) in made.items()},
        users={},
        current_context=current,
        files=(FILE,),
        default_file=FILE,
    )


def applied(before: Kubeconfig, edit: Edit):
    """Current context, URLs by cluster and (cluster, user) by context after an edit."""
    clusters = {**before.clusters, **edit.clusters}
    made = {**before.contexts, **edit.contexts}
    return (
        before.current_context if edit.current_context is None else edit.current_context,
        {name: each.body["server"] for name, each in clusters.items()},
        {name: (each.body["cluster"], each.body["user"]) for name, each in made.items()},
    )


def test_the_first_move_leaves_the_users_own_context_alone_and_remembers_it():
    before = config("root", {"root": "https://x/clusters/root"}, {"root": ("root", "admin")})
    edit = contexts.enter(before, "https://x/clusters/root:a")
    assert applied(before, edit) == (
        CURRENT,
        {"root": "https://x/clusters/root", CURRENT: "https://x/clusters/root:a"},
        {"root": ("root", "admin"), CURRENT: (CURRENT, "admin"), PREVIOUS: ("root", "admin")},
    )
    assert edit.clusters[CURRENT].body["certificate-authority-data"] == "Y2E="


def test_the_next_move_remembers_the_workspace_that_was_left():
    before = config(CURRENT, {CURRENT: "https://x/clusters/root:a"}, {CURRENT: (CURRENT, "admin")})
    assert applied(before, contexts.enter(before, "https://x/clusters/root:b")) == (
        CURRENT,
        {CURRENT: "https://x/clusters/root:b", PREVIOUS: "https://x/clusters/root:a"},
        {CURRENT: (CURRENT, "admin"), PREVIOUS: (PREVIOUS, "admin")},
    )


def test_another_context_can_be_the_one_to_start_from():
    before = config(
        "root", {"root": "https://x/clusters/root", "o": "https://o"}, {"root": ("root", "a"), "o": ("o", "b")}
    )
    edit = contexts.enter(before, "https://o/clusters/root", "o")
    assert edit.contexts[CURRENT].body == {"cluster": CURRENT, "user": "b"}
    assert edit.contexts[PREVIOUS].body == {"cluster": "o", "user": "b"}


def test_going_back_exchanges_the_two_workspaces():
    before = config(
        CURRENT,
        {CURRENT: "https://x/clusters/root:b", PREVIOUS: "https://x/clusters/root:a"},
        {CURRENT: (CURRENT, "admin"), PREVIOUS: (PREVIOUS, "admin")},
    )
    edit, server = contexts.go_back(before)
    assert server == "https://x/clusters/root:a"
    assert applied(before, edit) == (
        CURRENT,
        {CURRENT: "https://x/clusters/root:a", PREVIOUS: "https://x/clusters/root:b"},
        {CURRENT: (CURRENT, "admin"), PREVIOUS: (PREVIOUS, "admin")},
    )


def test_going_back_to_a_context_with_a_cluster_of_its_own_takes_that_cluster():
    before = config(
        CURRENT,
        {CURRENT: "https://x/clusters/root:foo", "other": "https://other/"},
        {CURRENT: (CURRENT, "test"), PREVIOUS: ("other", "other")},
    )
    edit, server = contexts.go_back(before)
    assert server == "https://other/"
    assert applied(before, edit) == (
        CURRENT,
        {
            CURRENT: "https://x/clusters/root:foo",
            PREVIOUS: "https://x/clusters/root:foo",
            "other": "https://other/",
        },
        {CURRENT: ("other", "other"), PREVIOUS: (PREVIOUS, "test")},
    )


def test_going_back_from_a_context_of_the_users_own_keeps_it():
    before = config(
        "other",
        {"other": "https://other/", "other2": "https://other2/"},
        {PREVIOUS: ("other2", "b"), "other": ("other", "a")},
    )
    edit, server = contexts.go_back(before)
    assert server == "https://other2/"
    assert applied(before, edit)[2] == {PREVIOUS: ("other", "a"), CURRENT: ("other2", "b"), "other": ("other", "a")}
    assert not edit.clusters


def test_there_may_be_nothing_to_go_back_to():
    with pytest.raises(KubeconfigError, match="no previous workspace found in kubeconfig"):
        contexts.go_back(config("root", {"root": "https://x"}, {"root": ("root", "a")}))


BAR = config(CURRENT, {CURRENT: "https://x/clusters/root:bar"}, {CURRENT: (CURRENT, "test")})


def test_a_context_is_made_of_the_current_workspace_and_entered():
    edit, sentence = contexts.create(BAR, "bar")
    assert sentence == 'Created context "bar" and switched to it.'
    assert applied(BAR, edit) == (
        "bar",
        {CURRENT: "https://x/clusters/root:bar", "bar": "https://x/clusters/root:bar"},
        {CURRENT: (CURRENT, "test"), "bar": ("bar", "test")},
    )


def test_a_context_of_another_workspace_can_be_made_without_entering_it():
    edit, sentence = contexts.create(BAR, "new", server="https://x/clusters/root:new", keep_current=True)
    assert sentence == 'Created context "new".'
    assert applied(BAR, edit)[0] == CURRENT
    assert edit.clusters["new"].body["server"] == "https://x/clusters/root:new"


def test_a_context_that_is_there_is_only_overwritten_where_that_is_wanted():
    with pytest.raises(KubeconfigError, match=r"already exists in kubeconfig, use --overwrite"):
        contexts.create(BAR, CURRENT)
    assert contexts.create(BAR, CURRENT, overwrite=True)[1] == f'Updated context "{CURRENT}".'


@pytest.mark.parametrize(
    ("before", "text"),
    [
        (config("", {}, {}), "no current context"),
        (config("x", {}, {"y": ("c", "u")}), 'context "x" does not exist; there are: y'),
        (config("x", {}, {"x": ("c", "u")}), 'cluster "c" not found in kubeconfig'),
    ],
)
def test_a_kubeconfig_that_hangs_in_the_air_is_told(before, text):
    with pytest.raises(KubeconfigError) as caught:
        contexts.enter(before, "https://x")
    assert text in str(caught.value)
