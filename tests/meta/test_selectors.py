import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcpcache.meta.errors import BadRequestError
from kcpcache.meta.selectors import (
    EVERYTHING,
    FieldRequirement,
    FieldSelector,
    LabelSelector,
    Requirement,
    label_selector_errors,
    label_selector_of,
    parse_field_selector,
    parse_label_selector,
)

keys = st.sampled_from(["a", "b", "example.com/c"])
label_values = st.sampled_from(["", "x", "y", "1", "2", "10"])
labels = st.dictionaries(keys, label_values)


def parsed(text):
    return parse_label_selector(text).requirements


@pytest.mark.parametrize(
    ("text", "requirements"),
    [
        ("", ()),
        ("  ", ()),
        ("a=b", (Requirement("a", "In", frozenset("b")),)),
        ("a==b", (Requirement("a", "In", frozenset("b")),)),
        ("a!=b", (Requirement("a", "NotIn", frozenset("b")),)),
        ("a=", (Requirement("a", "In", frozenset([""])),)),
        ("a", (Requirement("a", "Exists"),)),
        ("!a", (Requirement("a", "DoesNotExist"),)),
        ("a in (b, c)", (Requirement("a", "In", frozenset("bc")),)),
        ("a notin (b,,c)", (Requirement("a", "NotIn", frozenset(["b", "", "c"])),)),
        ("a in ()", (Requirement("a", "In", frozenset([""])),)),
        ("a>1,b<2", (Requirement("a", "Gt", frozenset("1")), Requirement("b", "Lt", frozenset("2")))),
        (
            " example.com/x = y , !z ",
            (Requirement("example.com/x", "In", frozenset("y")), Requirement("z", "DoesNotExist")),
        ),
        ("in in (notin)", (Requirement("in", "In", frozenset(["notin"])),)),
    ],
)
def test_every_operator_of_a_label_selector_is_understood(text, requirements):
    assert parsed(text) == requirements


@pytest.mark.parametrize(
    "text",
    [
        *(",", "a,", ",a", "a=b c", "a in b", "a in (b", "a in (b c)", "a in", "=b", "!", "!=b", "a!b", "a>x", "a>"),
        *("a<1.5", "a=b=c", "a=-", "a b", "-a", "a/b/c", "a=(b)", "a in (b))", "(", "ä=b", "a>99999999999999999999"),
    ],
)
def test_what_is_no_label_selector_is_a_bad_request(text):
    with pytest.raises(BadRequestError):
        parse_label_selector(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bad!!", "unable to parse requirement: found '!', expected: in, notin, =, ==, !=, gt, lt"),
        ("=a", "found '=', expected: !, identifier, or 'end of string'"),
        (",a", "found ',', expected: !, identifier, or 'end of string'"),
        ("a=b,", "found '', expected: identifier after ','"),
        ("a,,b", "found ',', expected: identifier after ','"),
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
        ("!", "unable to parse requirement: found '', expected: identifier"),
        ("a===", "unable to parse requirement: found '=', expected: identifier"),
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        (
            "a>x",
            (
                "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, "
                "the value must be an integer"
            ),
        ),
    ],
)
def test_what_is_wrong_with_a_label_selector_is_told_in_kubes_words(text, message):
    with pytest.raises(BadRequestError) as caught:
        parse_label_selector(text)
    assert caught.value.message == message


def test_invalid_keys_and_values_are_shown_with_their_place():
    for text, beginning in (
        ("-a", 'unable to parse requirement: <nil>: Invalid value: "-a": name part must consist of'),
        ("a in (x,-b)", 'unable to parse requirement: values[0][a]: Invalid value: "-b": a valid label must be'),
    ):
        with pytest.raises(BadRequestError) as caught:
            parse_label_selector(text)
        assert caught.value.message.startswith(beginning)


@given(st.text(st.sampled_from("ab1 ,=!<>()in-/."), max_size=20))
def test_any_text_is_either_a_selector_or_a_bad_request(text):
    try:
        parse_label_selector(text).matches({"a": "1"})
        parse_field_selector(text).matches({"a": "1"})
    except BadRequestError:
        pass


def test_a_long_selector_is_parsed_in_linear_time():
    text = ",".join(["a=b"] * 100_000) + " " * 1000
    assert len(parsed(text)) == 100_000


@given(labels, keys, st.frozensets(label_values, min_size=1))
def test_in_and_notin_are_opposites_and_a_missing_key_is_not_in(have, key, wanted):
    inside = Requirement(key, "In", wanted).matches(have)
    assert inside == (key in have and have[key] in wanted)
    assert Requirement(key, "NotIn", wanted).matches(have) is not inside


@given(labels, keys)
def test_exists_and_does_not_exist_are_opposites(have, key):
    assert Requirement(key, "Exists").matches(have) is (key in have)
    assert Requirement(key, "DoesNotExist").matches(have) is (key not in have)


@pytest.mark.parametrize(
    ("text", "have", "matches"),
    [
        ("a>1", "2", True),
        ("a>1", "1", False),
        ("a>1", "10", True),
        ("a<10", "9", True),
        ("a<10", "x", False),
        ("a>1", "1_0", False),
        ("a>1", "\N{ARABIC-INDIC DIGIT FIVE}", False),
        ("a>1", "", False),
        ("a>1", None, False),
    ],
)
def test_gt_and_lt_compare_integers_and_nothing_else(text, have, matches):
    assert parse_label_selector(text).matches({} if have is None else {"a": have}) is matches


def test_all_requirements_must_match_and_none_match_everything():
    both = parse_label_selector("a=x,b")
    assert both.matches({"a": "x", "b": ""})
    assert not both.matches({"a": "x"})
    assert EVERYTHING.matches({})
    assert not EVERYTHING
    assert both


@given(st.dictionaries(keys, label_values), labels)
def test_match_labels_is_a_conjunction_of_equalities(wanted, have):
    selector = label_selector_of({"matchLabels": wanted})
    assert selector.matches(have) == all(have.get(key) == value for key, value in wanted.items())


def test_match_expressions_and_match_labels_work_together():
    selector = label_selector_of(
        {
            "matchLabels": {"a": "x"},
            "matchExpressions": [
                {"key": "b", "operator": "In", "values": ["1", "2"]},
                {"key": "c", "operator": "DoesNotExist"},
            ],
        }
    )
    assert selector == LabelSelector((*parsed("a=x,b in (1,2)"), *parsed("!c")))
    assert label_selector_of(None) == label_selector_of({}) == EVERYTHING


@pytest.mark.parametrize(
    ("selector", "messages"),
    [
        ({}, []),
        ({"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "a", "operator": "Exists"}]}, []),
        ({"matchLabels": {"-": "b"}}, ['s.matchLabels: Invalid value: "-": name part']),
        ({"matchLabels": {"a": "-"}}, ['s.matchLabels: Invalid value: "-": a valid label must']),
        (
            {"matchExpressions": [{"key": "a", "operator": "In"}]},
            ["s.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'"],
        ),
        (
            {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["x"]}]},
            ["s.matchExpressions[0].values: Forbidden: may not be specified when `operator` is"],
        ),
        (
            {"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]},
            ['s.matchExpressions[0].operator: Invalid value: "Gt": not a valid selector operator'],
        ),
        (
            {"matchExpressions": [{"key": "", "operator": "Exists"}]},
            ['s.matchExpressions[0].key: Invalid value: "": name part must be non-empty', "s.matchExpressions[0].key"],
        ),
        (
            {"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["-"]}]},
            ['s.matchExpressions[0].values[0]: Invalid value: "-": a valid label must'],
        ),
    ],
)
def test_what_is_wrong_with_a_label_selector_object_is_said_with_its_path(selector, messages):
    found = [error.message for error in label_selector_errors(selector, "s")]
    assert len(found) == len(messages)
    assert all(text.startswith(wanted) for text, wanted in zip(found, messages, strict=True))


@pytest.mark.parametrize(
    ("text", "requirements"),
    [
        ("", ()),
        (",,", ()),
        ("a=b", (FieldRequirement("a", "b", equal=True),)),
        ("a==b,c!=d", (FieldRequirement("a", "b", equal=True), FieldRequirement("c", "d", equal=False))),
        ("a=", (FieldRequirement("a", "", equal=True),)),
        (r"a=b\,c", (FieldRequirement("a", "b,c", equal=True),)),
        (r"a=b\=c", (FieldRequirement("a", "b=c", equal=True),)),
        (r"a=b\\,c=d", (FieldRequirement("a", "b\\", equal=True), FieldRequirement("c", "d", equal=True))),
    ],
)
def test_field_selectors_are_understood_with_their_escapes(text, requirements):
    assert parse_field_selector(text).requirements == requirements


@pytest.mark.parametrize("text", ["a", "=b", "a=b=c", r"a=b\x", "a=b\\", "!=x"])
def test_what_is_no_field_selector_is_a_bad_request(text):
    with pytest.raises(BadRequestError):
        parse_field_selector(text)


@given(st.text())
def test_an_escaped_value_is_found_again(value):
    escaped = value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")
    assert parse_field_selector(f"a={escaped}").requirements == (FieldRequirement("a", value, equal=True),)


def test_a_missing_field_is_empty():
    assert parse_field_selector("a=").matches({})
    assert parse_field_selector("a!=b").matches({})
    assert not parse_field_selector("a=b").matches({})
    assert FieldSelector().matches({})


def test_a_selector_knows_when_metadata_decides():
    assert parse_field_selector("metadata.name=a,metadata.namespace!=b").metadata_only
    assert not parse_field_selector("metadata.name=a,spec.x=b").metadata_only
