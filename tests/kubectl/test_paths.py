"""Where words lead, as kcp's own tests of ``kubectl ws`` have it."""

import pytest

from kcpcache.kubectl.paths import Destination, PathError, destination, resolve, split


@pytest.mark.parametrize(
    ("typed", "current", "path"),
    [
        ("bar", "root:foo", "root:foo:bar"),
        ("bar:baz", "root:foo", "root:foo:bar:baz"),
        ("bar/baz", "root:foo", "root:foo:bar:baz"),
        (":root:foo:bar", "root:foo", "root:foo:bar"),
        ("root:foo:bar", "root:foo", "root:foo:bar"),
        ("root", "root:foo", "root"),
        ("rooted", "root:foo", "root:foo:rooted"),
        (":system:admin", "root:foo", "system:admin"),
        ("..", "root:foo:bar", "root:foo"),
        ("../..", "root:foo:bar:baz", "root:foo"),
        ("..:..", "root:foo:bar:baz", "root:foo"),
        ("bar:..:bar:baz:..:baz", "root:foo", "root:foo:bar:baz"),
        (".:bar:.:.:baz:.", "root:foo", "root:foo:bar:baz"),
        (":", "root:foo:bar", "root"),
        ("/", "root:foo:bar", "root"),
        (":", "user:me:x", "user"),
        ("~", "root:foo", "user:me"),
        ("", "root:foo", "user:me"),
        ("~/bar/baz", "root:foo", "user:me:bar:baz"),
        ("~/..", "root:foo", "user"),
        ("/home/me", "root:foo", "user:me"),
        ("/home/me/bar", "root:foo", "user:me:bar"),
        ("a/.", "root", "root:a"),
        (".", "root:foo", "root:foo"),
    ],
)
def test_words_lead_to_workspaces(typed, current, path):
    assert resolve(destination(typed, "/home/me"), current, "user:me") == path


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("..", "cannot go up from root"),
        ("../..", "cannot go up from root"),
        ("ju:nk§", "invalid workspace path: ju:nk§"),
        ("a::b", "invalid workspace path: a::b"),
        (":Root", "invalid workspace path: Root"),
        ("--", "invalid workspace path: --"),
        ("-", '"-" can be entered only'),
    ],
)
def test_what_leads_nowhere_is_refused(typed, text):
    with pytest.raises(PathError) as caught:
        resolve(destination(typed), "root")
    assert text in str(caught.value)


def test_a_few_words_need_no_path():
    assert destination("-") == Destination("previous")
    assert destination(".") == Destination("current")
    assert destination(":") == Destination("top")


def test_a_path_from_root_without_its_colon_is_taken_with_a_note():
    assert destination("root:foo") == Destination("absolute", "root:foo", legacy=True)
    assert not destination(":root:foo").legacy


def test_a_directory_that_only_begins_like_the_home_directory_is_none_of_it():
    assert destination("/home/meyer", "/home/me") == Destination("absolute", "home:meyer")


def test_a_path_splits_into_parent_and_name():
    assert split("root:a:b") == ("root:a", "b")
    assert split("root") == ("", "root")
