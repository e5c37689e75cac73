import pytest
from hypothesis import given
from hypothesis import strategies as st
from rbac_world import path_rule, rule

from kcpcache.auth.attributes import Attributes
from kcpcache.auth.escalation import FULL_AUTHORITY, TooManyRightsError, escalation_text, missing_rights
from kcpcache.auth.rules import Rule
from kcpcache.auth.user import User


def missing(held, wanted):
    return missing_rights([Rule(one) for one in held], [Rule(one) for one in wanted])


@pytest.mark.parametrize(
    ("held", "wanted"),
    [
        ([rule(["*"], ["*"], ["*"])], [rule(["get", "list"], ["", "apps"], ["pods", "pods/log"])]),
        ([rule(["get"], [""], ["pods"]), rule(["list"], [""], ["pods"])], [rule(["get", "list"], [""], ["pods"])]),
        ([rule(["get"], [""], ["pods"])], [rule(["get"], [""], ["pods"], ["a", "b"])]),
        ([rule(["get"], [""], ["pods"], ["a", "b"])], [rule(["get"], [""], ["pods"], ["b"])]),
        ([rule(["get"], [""], ["*/log"])], [rule(["get"], [""], ["pods/log", "jobs/log"])]),
        ([path_rule(["get"], ["/a/*"])], [path_rule(["get"], ["/a/b", "/a/*", "/a/b/*"])]),
        ([], []),
    ],
)
def test_what_is_held_in_one_rule_or_in_several_is_not_missing(held, wanted):
    assert missing(held, wanted) == []


@pytest.mark.parametrize(
    ("held", "wanted", "left"),
    [
        ([], rule(["list", "get"], [""], ["pods"]), '{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}'),
        (
            [rule(["get"], [""], ["pods"])],
            rule(["*"], [""], ["pods"]),
            '{APIGroups:[""], Resources:["pods"], Verbs:["*"]}',
        ),
        (
            [rule(["get"], [""], ["pods"], ["a"])],
            rule(["get"], [""], ["pods"]),
            '{APIGroups:[""], Resources:["pods"], Verbs:["get"]}',
        ),
        (
            [rule(["get"], [""], ["pods"], ["a"])],
            rule(["get"], [""], ["pods"], ["a", "b"]),
            '{APIGroups:[""], Resources:["pods"], ResourceNames:["b"], Verbs:["get"]}',
        ),
        (
            [rule(["get"], [""], ["pods"])],
            rule(["get"], [""], ["pods/log"]),
            '{APIGroups:[""], Resources:["pods/log"], Verbs:["get"]}',
        ),
        (
            [rule(["get"], ["*"], ["*"])],
            path_rule(["get"], ["/a"]),
            '{NonResourceURLs:["/a"], Verbs:["get"]}',
        ),
        (
            [path_rule(["get"], ["/a/*"])],
            path_rule(["get"], ["/a"]),
            '{NonResourceURLs:["/a"], Verbs:["get"]}',
        ),
    ],
)
def test_what_is_missing_is_told_as_kube_tells_it(held, wanted, left):
    assert missing(held, [wanted]) == [left]


def test_full_authority_is_more_than_all_resources():
    assert missing_rights([FULL_AUTHORITY[0]], FULL_AUTHORITY) == ['{NonResourceURLs:["*"], Verbs:["*"]}']
    assert missing_rights(FULL_AUTHORITY, FULL_AUTHORITY) == []


def test_rules_of_endless_combinations_are_refused_before_they_are_compared():
    many = [f"r{number}" for number in range(1000)]
    with pytest.raises(TooManyRightsError):
        missing([rule(["get"], ["g"], ["x"])], [rule(["get"], ["g", *many], many)])
    assert missing([rule(["*"], ["*"], ["*"])], [rule(["get"], many, many)]) == []
    each = [rule(["get"], [name], ["x"]) for name in many]
    assert missing(each[:500], each[:500]) == []
    with pytest.raises(TooManyRightsError):
        missing(each, each)


def test_a_long_list_of_what_is_missing_is_cut():
    text = escalation_text(User("eve", groups=("a", "b")), [f"right {number}" for number in range(1000)])
    assert text.startswith(
        'user "eve" (groups=["a" "b"]) is attempting to grant RBAC permissions not currently held:\nright 0\n'
    )
    assert text.endswith("\nright 49\n…")


def some(values, least=1):
    return st.lists(st.sampled_from(values), min_size=least, max_size=2, unique=True)


rules = st.lists(
    st.builds(
        rule, some(["get", "list", "*"]), some(["", "g", "*"]), some(["p", "p/s", "*/s", "*"]), some(["x", "y"], 0)
    )
    | st.builds(path_rule, some(["get", "*"]), some(["/", "/p", "/p/*", "*"])),
    max_size=3,
)
USER = User("ann")
QUESTIONS = [
    Attributes(user=USER, verb=verb, cluster="c", group=group, resource=resource, subresource=sub, name=name)
    for verb in ("get", "list", "else")
    for group in ("", "g", "else")
    for resource in ("p", "else")
    for sub in ("", "s")
    for name in ("", "x", "else")
]
QUESTIONS += [
    Attributes(user=USER, verb=verb, cluster="c", path=path, is_resource=False)
    for verb in ("get", "else")
    for path in ("/", "/p", "/p/q", "/else")
]


@given(held=rules, wanted=rules)
def test_where_nothing_is_missing_nobody_gains_a_single_right(held, wanted):
    if missing(held, wanted):
        return

    def allowed(given, question):
        return any(Rule(one).allows(question, question.name) for one in given)

    assert [q for q in QUESTIONS if allowed(wanted, q) and not allowed(held, q)] == []
