"""What is set aside in a CEL expression's text is what CEL's own lexer takes for literals and comments."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kcpcache.schema.cel_environment import environment
from kcpcache.schema.cel_rewrite import runnable
from kcpcache.schema.cel_text import arguments, code, literal
from kcpcache.schema.cel_tree import Literal, Select, read

LITERALS = (
    *("''", "'a'", '"a"', "b'a'", "R'a'", "bR'a'", "''''''", "r''''''", "'''a\nb'c''d'''"),
    *(r"'\''", r'"\""', r"'\\'", r"'''a\''''", r'"""a\""""', r"r'''a\' '''", r'Br"""a\" """', r"'''\\'''"),
)
ENDING_IN_A_BACKSLASH = (r"r'\'", r'R"\"', r"bR'\'", r"r'''a\'''", r'Br"""a\"""')
"""All there is to raw strings; cel-cpp ends them there too, but then refuses them."""


@pytest.mark.parametrize("text", LITERALS + ENDING_IN_A_BACKSLASH)
def test_a_literal_is_set_aside_and_nothing_beside_it(text):
    assert isinstance(tree(text), Literal) == (text in LITERALS)
    assert code(f"f({text}, {text}) + x") == f"f({' ' * len(text)}, {' ' * len(text)}) + x"


@pytest.mark.parametrize("name", ["`//`", "`a-b/c.d e`"])
def test_a_quoted_name_is_set_aside_and_nothing_beside_it(name):
    assert isinstance(tree(f"self.{name}"), Select)
    assert code(f"self.{name} + x // {name}\n + y") == f"self.{' ' * len(name)} + x {' ' * (len(name) + 3)}\n + y"


def tree(text):
    try:
        return read(environment().compile(text).serialize())
    except RuntimeError:
        return None


@given(
    st.lists(st.sampled_from(["'", '"', "'''", '"""', "\\", "r", "B", "R", "b", "a", "\n", "\r", "//", "`", " ", "+"]))
)
@example(["'", "\\", "'", "'"])
@example(["'''", "'", "'", "a", "'''"])
def test_a_text_is_all_literal_for_us_if_it_is_for_cel(pieces):
    """``+`` and names are left, so that what is blanked can be told from what is not."""
    text = "".join(pieces)
    found = tree(f"type(\n{text}\n)")
    if found is None:
        return
    (given_one,) = found.arguments
    assert (not code(text).strip()) == isinstance(given_one, Literal)
    assert code(text).count("+") == text_of(given_one).count("+")


def text_of(node):
    """The operators in a tree, one after the other."""
    if isinstance(node, Literal):
        return ""
    below = [part for part in (getattr(node, "target", None), *getattr(node, "arguments", ())) if part is not None]
    return "".join(map(text_of, below)) + ("+" if getattr(node, "function", "") == "_+_" else "")


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        (" 'a' ", "a"),
        ("'''a'b'''", "a'b"),
        (r"'\''", r"\'"),
        ("''", ""),
        ("'''x''' + self.big + '''y'''", None),
        ("'x' + 'y'", None),
        ("'x", None),
        (r"'x\'", None),
        ("'''x''", None),
        ("r'x'", None),
        ("", None),
    ],
)
def test_a_string_literal_is_one_from_its_first_quote_to_its_last(text, inside):
    assert literal(text) == inside


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("f(a, b)", {"a, b": ["a", " b"]}),
        ("f()", {"": [""]}),
        ("f(a, g(b, [c, d]), {e: f})", {"b, [c, d]": ["b", " [c, d]"], "a, g": ["a", " g(b, [c, d])", " {e: f}"]}),
        ("f(a]) g(b)", {"b": ["b"]}),
        ("f(a, g(b)", {"b": ["b"]}),
        ("a) f(b)", {"b": ["b"]}),
        (", (a,)", {"a,": ["a", ""]}),
    ],
)
def test_each_pair_of_parentheses_has_its_arguments(text, spans):
    found = {text.index(f"({start}") + 1: parts for start, parts in spans.items()}
    assert {at: [text[slice(*span)] for span in parts] for at, parts in arguments(text).items()} == found


def test_each_place_of_a_rewritten_text_leads_back_to_where_it_came_from():
    names = ("one", "two", "three", "four", "five", "six")
    text = "optional.unwrap([one]).map(two, two.transformMap(k, v, three)) + [four].unwrapOpt() + string(five) == six"
    rewritten = runnable(text)
    assert {name: rewritten.origin(rewritten.text.index(name)) for name in names} == {
        name: text.index(name) for name in names
    }
    places = [rewritten.origin(at) for at in range(len(rewritten.text) + 1)]
    assert set(places) <= set(range(len(text) + 1))
