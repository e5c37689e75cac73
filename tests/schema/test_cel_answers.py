"""What kube-apiserver 1.33 answered to expressions on the value in ``test_cel_functions``: edges and errors."""

from pathlib import Path

import pytest

from kcpcache.schema.cel import compile_rules
from kcpcache.schema.structural import check_structural
from tests.schema.test_cel_functions import SCHEMA, VALUE

LINES = Path(__file__).with_name("cel_answers.txt").read_text(encoding="utf-8").splitlines()
ANSWERS = [tuple(line.split(" ==> ")) for line in LINES if " ==> " in line]
VALUES = [answer for answer in ANSWERS if not answer[1].startswith("!")]
ERRORS = [(expression, answer[1:]) for expression, answer in ANSWERS if answer.startswith("!")]


def errors(rule):
    schema = SCHEMA | {"x-kubernetes-validations": [{"rule": rule}]}
    refused = [error.message for error in check_structural(schema, "s")]
    assert [text for text in refused if "exceed" not in text] == []  # what it may cost is not the question here
    return [error.message for error in compile_rules(schema)(VALUE)]


@pytest.mark.parametrize(("expression", "value"), VALUES, ids=[expression for expression, _ in VALUES])
def test_an_expression_has_the_value_and_type_that_it_has_in_kubernetes(expression, value):
    same = [] if "NaN" in value else errors(f"dyn({expression}) == dyn({value})")
    assert (same, errors(f"type({expression}) == type({value})")) == ([], [])


@pytest.mark.parametrize(("expression", "text"), ERRORS, ids=[expression for expression, _ in ERRORS])
def test_an_expression_fails_with_the_words_of_kubernetes(expression, text):
    rule = f"[{expression}].size() == 1"
    overload = "call arguments did not match a supported operator, function or macro signature for"
    said = f"'{text}': {overload}" if text.startswith("no such overload") else f"{text} evaluating"
    assert errors(rule) == [f'<nil>: Invalid value: "object": {said} rule: {rule}']
