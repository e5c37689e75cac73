import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kcpcache.schema.patterns import MOST_FOR_STARTERS, STARTERS, PatternError, compile_pattern, engine_pattern
from kcpcache.schema.regex_search import SearchLimitError, find_all
from kcpcache.schema.structural import check_structural


@pytest.mark.parametrize(
    ("pattern", "match", "other"),
    [
        ("b+", "abc", "ac"),
        ("^a$", "a", "a\n"),
        (r"^\d$", "1", "٣"),
        (r"^\w$", "a", "é"),
        (r"^\pL$", "é", "1"),
        (r"^\p{Greek}{2}$", "αβ", "ab"),
        ("^(?i)ab$", "AB", "ac"),
        ("^(?P<name>a)$", "a", "b"),
        ("^[[:alpha:][:digit:]]+$", "a1", "_"),
        ("^[^[:space:]]$", "a", " "),
        (r"^[\w-.]+$", "a-.", "/"),
        ("^[a&&b]+$", "a&b", "c"),
        ("^[a[b]+$", "[ab", "c"),
        ("^a{,2}$", "a{,2}", "aa"),
        ("^a{$", "a{", "a"),
        ("^{}$", "{}", ""),
        (r"^\Qa.b{\E$", "a.b{", "axb{"),
        (r"\bfoo\b", "a foo", "afoo"),
        (r"^\x{61}\x62$", "ab", "a"),
        (r"^[]a]$", "]", "b"),
        (r"^\/\-\_$", "/-_", ""),
        ("^(?:a*)*?b{1,2}?(?i)c+$", "aabC", "aa"),
    ],
)
def test_the_syntax_is_gos(pattern, match, other):
    matches = compile_pattern(pattern)
    assert matches(match)
    assert not matches(other)


@pytest.mark.parametrize(
    "pattern",
    [
        *("(", "a)", "[a", "(?=a)", r"(a)\1", "a{1001}", "(a{1000}){1000}", "*", "[[:nope:]]", "x" * 20_000),
        *("a**", "a+*", "a{2}{3}", "a*?*", "(a)+??"),
    ],
)
def test_what_go_refuses_or_what_is_too_large_is_refused(pattern):
    with pytest.raises(PatternError):
        compile_pattern(pattern)


@given(st.sampled_from(sorted(STARTERS)), st.text("va09z-:.A\né", max_size=9) | st.text(max_size=5))
def test_what_a_start_asks_of_python_the_engine_would_answer_in_the_same_way(pattern, text):
    assert compile_pattern(pattern)(text) == engine_pattern(pattern)(text)


@pytest.mark.parametrize("pattern", sorted(STARTERS))
def test_long_text_is_nothing_for_python(pattern):
    text = "a" * 1_000_000 + "!"  # would take Python hours
    assert compile_pattern(pattern)(text) == engine_pattern(pattern)(text)
    assert MOST_FOR_STARTERS < 1_000


def test_matching_takes_linear_time():
    begin = time.process_time()
    assert not compile_pattern("^(a+)+$")("a" * 1_000_000 + "b")
    assert time.process_time() - begin < 5


def test_schemas_cannot_hoard_large_patterns():
    def schema(count):
        properties = {str(i): {"type": "string", "pattern": rf"^\pL{{{i},60}}$"} for i in range(1, count + 1)}
        return {"type": "object", "properties": properties}

    assert check_structural(schema(3), "s") == []
    (error,) = check_structural(schema(20), "s")
    assert error.message == "s: Forbidden: must not have more than 1000 patterns, or 8 that are large"


SEARCHES = [
    ("a+", "baaab", ["aaa"]),
    ("a+?", "aa", ["a", "a"]),
    ("(a|ab)(c|bcd)", "abcd", ["abcd"]),
    ("a|ab", "ab", ["a"]),
    ("a*", "baac", ["", "aa", ""]),
    ("", "ab", ["", "", ""]),
    ("^a", "aa", ["a"]),
    ("(?m)^a$", "a\nb\na", ["a", "a"]),
    ("(?i)AB", "xaB", ["aB"]),
    ("(?i:a)b", "Ab aB", ["Ab"]),
    ("(?s).", "\n", ["\n"]),
    (r"\bfoo\b", "foo afoo foo", ["foo", "foo"]),
    (r"\Boo\b", "foo", ["oo"]),
    ("a{2,3}", "aaaaa", ["aaa", "aa"]),
    ("(?U)a{2,3}", "aaaaa", ["aa", "aa"]),
    ("(?:ab){2}", "ababab", ["abab"]),
    ("(?P<x>a)b", "ab", ["ab"]),
    (r"\Qa.b\E+", "a.bb axb", ["a.bb"]),
    (r"\x41\x{42}", "AB", ["AB"]),
    (r"\pL+", "éa1", ["éa"]),
    ("[[:digit:]]+", "a12b3", ["12", "3"]),
    (r"\d+\z", "1 2", ["2"]),
    ("a{", "a{", ["a{"]),
    ("()|a", "a", ["", ""]),
]


@pytest.mark.parametrize(("pattern", "text", "expected"), SEARCHES)
def test_searches_find_what_go_finds(pattern, text, expected):
    assert find_all(pattern, text) == expected


def test_searches_stop_at_the_limit():
    assert find_all("a", "aaa", 2) == ["a", "a"]
    assert find_all("a", "aaa", 0) == []


SIMPLE = st.recursive(
    st.sampled_from(["a", "b", "[ab]", "[^a]", "."]),
    lambda inner: st.one_of(
        st.builds("({}|{})".format, inner, inner),
        st.builds("{}{}".format, inner, inner),
        st.builds("({}){}".format, inner, st.sampled_from(["*", "+", "?", "*?", "+?", "??", "{1,2}", "{2}"])),
    ),
    max_leaves=6,
)


@settings(max_examples=200)
@given(SIMPLE, st.text("abc", max_size=8))
def test_the_first_match_is_the_one_that_backtracking_finds(pattern, text):
    expected = re.search(pattern, text)
    assert find_all(pattern, text, 1) == ([expected.group()] if expected else [])


def test_searches_that_take_too_long_are_ended():
    with pytest.raises(SearchLimitError):
        find_all("(" + "a?" * 400 + ")*b$", "a" * 20_000 + "b")


def test_programs_do_not_grow_without_bound():
    with pytest.raises(PatternError):
        find_all("((a{30}){30}){30}|b", "b")


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(", "missing closing ): `(`"),
        ("a)b", "unexpected ): `a)b`"),
        ("[a", "missing closing ]: `[a`"),
        ("x[^]", "missing closing ]: `[^]`"),
        ("*a", "missing argument to repetition operator: `*`"),
        ("a|+", "missing argument to repetition operator: `+`"),
        ("(?i)*?", "missing argument to repetition operator: `*?`"),
        ("a**", "invalid nested repetition operator: `**`"),
        ("a+?{2}", "invalid nested repetition operator: `+?{2}`"),
        ("a{1001}", "invalid repeat count: `{1001}`"),
        ("a{2,1}", "invalid repeat count: `{2,1}`"),
        ("((a{100}){9}){2}", "invalid repeat count: `{2}`"),
        ("a\\", "trailing backslash at end of expression: ``"),
        ("\\8", "invalid escape sequence: `\\8`"),
        ("\\C", "invalid escape sequence: `\\C`"),
        ("\\x4g", "invalid escape sequence: `\\x4g`"),
        ("\\x{110000}", "invalid escape sequence: `\\x{110000`"),
        ("[z-a]", "invalid character class range: `z-a`"),
        ("[[:foo:]]", "invalid character class range: `[:foo:]`"),
        ("\\p{Foo}", "invalid character class range: `\\p{Foo}`"),
        ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
        ("(?<!a)", "invalid named capture: `(?<!a)`"),
        ("(?<a", "invalid named capture: `(?<a`"),
        ("(?P<a b>c)", "invalid named capture: `(?P<a b>`"),
        ("(?i-)a", "invalid or unsupported Perl syntax: `(?i-)`"),
    ],
)
def test_what_is_wrong_is_said_in_gos_words(pattern, why):
    with pytest.raises(PatternError) as refused:
        compile_pattern(pattern)
    assert str(refused.value) == f"error parsing regexp: {why}"


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (r"^\07$", "\a", "07"),
        (r"^\101\0$", "A\0", "A"),
        (r"^\a$", "\a", "a"),
        (r"^[[:^alpha:]]+$", "1-", "1a"),
        (r"^{02}$", "{02}", "02"),
        (r"^(?<name>a){2}$", "aa", "a"),
        (r"^(?i)a(?-i)b$", "Ab", "AB"),
        (r"^\Qa.b*\E+$", "a.b**", "axb"),
    ],
)
def test_what_go_takes_is_taken_and_means_the_same(pattern, good, bad):
    matches = compile_pattern(pattern)
    assert (matches(good), matches(bad)) == (True, False)
