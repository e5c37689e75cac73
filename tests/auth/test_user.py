from dataclasses import replace

import pytest

from kcpcache.auth.subjects import Subjects, binding_user, global_name, is_service_account_of, subjects_in, with_home
from kcpcache.auth.user import ANONYMOUS, User, service_account_of, user_from_info, with_standard_group

ACCOUNT = "system:serviceaccount:default:robot"
KNOWN, GLOBAL = "system:authenticated", "system:kcp:serviceaccount:home:default:robot"
HOME = {"authentication.kcp.io/cluster-name": ("home",)}
SCOPES = "authentication.kcp.io/scopes"


def test_a_user_survives_the_way_through_user_info():
    user = User("alice", "7", ("a", "b"), {"k": ("v", "w")})
    assert user_from_info(user.to_user_info()) == user


def test_user_info_leaves_out_what_is_empty():
    assert User("alice").to_user_info() == {"username": "alice"}


def test_equal_users_have_one_fingerprint_and_different_ones_two():
    assert User("a", extra={"x": ("1",), "y": ()}).fingerprint == User("a", extra={"y": (), "x": ("1",)}).fingerprint
    different = [User("a"), User("a", "a"), User("a", groups=("a",)), User("a", groups=("a", "b"))]
    different += [User("a", groups=("a, b",)), User("a', '"), User("a", extra={"a": ("b",)})]
    assert len({user.fingerprint for user in different}) == len(different)


def test_users_can_be_members_of_sets():
    assert len({User("a", extra={"k": ("v",)}), User("a", extra={"k": ("v",)})}) == 1


@pytest.mark.parametrize(
    ("user", "groups"),
    [
        (User("alice", groups=("x",)), ("x", "system:authenticated")),
        (User("alice", groups=("system:authenticated",)), ("system:authenticated",)),
        (User("system:anonymous"), ("system:unauthenticated",)),
        (ANONYMOUS, ("system:unauthenticated",)),
    ],
)
def test_everybody_is_authenticated_or_not(user, groups):
    assert with_standard_group(user).groups == groups


@pytest.mark.parametrize("name", ["", "alice", "system:serviceaccount:", "system:serviceaccount:a", ACCOUNT + ":x"])
def test_a_name_that_is_not_quite_an_accounts_is_none(name):
    assert service_account_of(name) is None


def test_a_scope_takes_the_power_of_system_masters():
    assert User("root", groups=("system:masters",)).is_master
    assert not User("root", groups=("system:masters",), extra={SCOPES: ("cluster:x",)}).is_master


@pytest.mark.parametrize(
    ("extra", "cluster", "expected"),
    [
        (HOME, "home", ((ACCOUNT, GLOBAL), ("g", KNOWN), ("default", "robot"))),
        (HOME, "away", ((GLOBAL,), (KNOWN, "system:cluster:home"), None)),
        ({}, "home", ((ACCOUNT,), ("g", KNOWN), ("default", "robot"))),
        (HOME | {SCOPES: ("cluster:away",)}, "home", (("system:anonymous",), (KNOWN, "system:cluster:away"), None)),
    ],
)
def test_a_service_account_is_itself_at_home_only(extra, cluster, expected):
    seen = subjects_in(User(ACCOUNT, groups=("g", KNOWN), extra=extra), cluster)
    assert (seen.names, seen.groups, seen.service_account) == expected


def test_an_accounts_plain_name_is_no_global_name():
    assert subjects_in(User(ACCOUNT, extra=HOME), "home").global_names == (
        "system:kcp:serviceaccount:home:default:robot",
    )
    assert subjects_in(User(ACCOUNT), "home").global_names == ()


@pytest.mark.parametrize(
    ("scopes", "outside"),
    [
        (("cluster:here",), None),
        (("cluster:there, cluster:here",), None),
        (("cluster:there",), ("system:cluster:there",)),
        (("cluster:there,cluster:x",), ("system:cluster:there", "system:cluster:x")),
        (("cluster:there,cluster:x", "cluster:there,cluster:here"), ("system:cluster:there",)),
        (("cluster:here", "cluster:there"), ()),
        (("here",), ()),
        (("",), ()),
    ],
)
@pytest.mark.parametrize(("groups", "left"), [(("g", KNOWN), KNOWN), (("g",), "system:unauthenticated")])
def test_a_scoped_user_is_nobody_outside_its_scopes_but_for_where_it_is_at_home(scopes, outside, groups, left):
    seen = subjects_in(User("alice", groups=groups, extra={SCOPES: scopes}), "here")
    nobody = Subjects(("system:anonymous",), (left, *(outside or ())), None, ("system:anonymous",))
    assert seen == (Subjects(("alice",), groups, None, ("alice",)) if outside is None else nobody)


def test_two_consumers_accounts_of_one_name_are_two_in_a_policy():
    users = [User(ACCOUNT, groups=("g",), extra={"authentication.kcp.io/cluster-name": (home,)}) for home in "ab"]
    names = [binding_user(user, home, "provider").name for user, home in zip(users, "ab", strict=True)]
    assert names == [f"apis.kcp.io:binding:system:kcp:serviceaccount:{home}:default:robot" for home in "ab"]


def test_a_policy_sees_name_and_groups_behind_the_prefix_and_nothing_else():
    user = User("alice", "7", ("g", "system:masters"), {SCOPES: ("cluster:here",)})
    expected = User("apis.kcp.io:binding:alice", groups=("apis.kcp.io:binding:g", "apis.kcp.io:binding:system:masters"))
    assert binding_user(replace(user, extra={}), "here", "provider") == expected
    assert binding_user(user, "here", "here") == expected


def test_a_policy_elsewhere_sees_nobody_in_particular_in_whom_a_consumers_administrator_impersonates():
    """He may be anybody in his own workspace: what limits him there must not be for him to choose."""
    user = User("alice", groups=("g", KNOWN), extra={SCOPES: ("cluster:here",)})
    groups = (f"apis.kcp.io:binding:{KNOWN}", "apis.kcp.io:binding:system:cluster:here")
    assert binding_user(user, "here", "provider") == User("apis.kcp.io:binding:system:anonymous", groups=groups)


def test_only_a_token_makes_an_account_certain():
    assert is_service_account_of(User(ACCOUNT, extra=HOME), "home")
    assert not is_service_account_of(User(ACCOUNT, extra=HOME), "away")
    assert not is_service_account_of(User(ACCOUNT), "home")
    assert not is_service_account_of(User("alice", extra=HOME), "home")


def test_a_home_is_given_to_accounts_without_one():
    assert with_home(User(ACCOUNT), "home") == User(ACCOUNT, extra=HOME)
    assert with_home(User(ACCOUNT, extra=HOME), "away") == User(ACCOUNT, extra=HOME)
    assert with_home(User("alice"), "home") == User("alice")


def test_the_global_name_of_an_account_says_where_it_lives():
    assert global_name(User(ACCOUNT, extra=HOME)) == "system:kcp:serviceaccount:home:default:robot"
    assert global_name(User("alice", extra=HOME)) == "alice"
