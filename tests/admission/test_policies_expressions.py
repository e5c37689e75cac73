import contextlib

import pytest

from kcpcache.admission.authorizer_library import Deciding
from kcpcache.admission.expressions import POLICY_VARIABLES, Budget, Evaluation, EvaluationError, compile_admission
from kcpcache.auth.attributes import Attributes, Decision
from kcpcache.auth.user import User
from kcpcache.schema.cel_environment import CompileError


def evaluation(obj, *variables, budget=None):
    attributes = Attributes(user=User("ann"), verb="create", cluster="alpha", resource="configmaps")
    answers = Deciding(attributes, lambda _: Decision(True))
    data = {"object": obj, "oldObject": None, "request": {}, "namespaceObject": None}
    named = [(name, compile_admission(text, POLICY_VARIABLES, ())) for name, text in variables]
    return Evaluation(POLICY_VARIABLES, data, answers, budget or Budget(), named)


def compiled(text):
    return compile_admission(text, POLICY_VARIABLES)


def nested(depth):
    found = {}
    for _ in range(depth):
        found = {"a": found}
    return found


@pytest.mark.parametrize(
    "obj", [{"x": 2**63}, {"x": 2**64 - 1}, {"x": 1e300}, nested(5000), {"x": ["\0", None]}, {"": {}}, [1], None]
)
@pytest.mark.parametrize(
    "text", ["has(object.x) && object.x == 1", "variables.v == object", "object.x.all(k, k == 'a')"]
)
def test_odd_objects_give_a_bool_or_an_evaluation_error(obj, text):
    found = evaluation(obj, ("v", "object"))
    with contextlib.suppress(EvaluationError):
        assert found.evaluate(compiled(text)) in {True, False}


def test_timestamps_durations_and_quantities_pass_through_variables():
    variables = [
        ("t", "[timestamp('2024-01-01T00:00:00Z')]"),
        ("d", "{'d': duration('90s')}"),
        ("q", "quantity('1Gi')"),
    ]
    text = (
        "variables.t[0] < timestamp('2025-01-01T00:00:00Z') && variables.d.d == duration('1m30s') "
        "&& variables.q.isGreaterThan(quantity('1Mi'))"
    )
    assert evaluation({}, *variables).evaluate(compiled(text)) is True


@pytest.mark.parametrize(
    "text",
    [
        "object.m.transformMap(k, v, v + 1) == {'a': 2} && object.m.transformMapEntry(k, v, {v: k})[1] == 'a'",
        "object.m.all(k, v, k == 'a' && v == 1) && object.l.exists_one(i, v, v == 'x')",
        "optional.unwrap([object.?m, object.?q]).size() == 1 && object.m.a < 1.5",
    ],
)
def test_policies_have_the_macros_and_comparisons_that_rules_have(text):
    assert evaluation({"m": {"a": 1}, "l": ["x", "y"]}).evaluate(compiled(text)) is True


@pytest.mark.parametrize(
    ("text", "function"),
    [
        ("[object.?m].distinct().size() == 1", "distinct"),
        ("dyn(object.?m).check('get').allowed()", "check"),
    ],
)
def test_a_policy_cannot_give_optional_values_to_functions_that_cannot_take_them(text, function):
    with pytest.raises(CompileError, match=f"an optional value cannot be given to '{function}'"):
        compiled(text)


@pytest.mark.parametrize(
    "text",
    [
        "[object.?m].indexOf(object.?m) == 0 && sets.contains([object.?q], [object.?r])",
        "{'//': 1}.`//` == 1 && [optional.of(1)].indexOf(dyn(1)) == -1",
        "object.m.transformMap(k, v, optional.of(v)).a.value() == 1 && [1u, 2u].sum() + 1u == 4u",
    ],
)
def test_functions_in_policies_may_be_given_optional_values_and_unsigned_numbers(text):
    assert evaluation({"m": {"a": 1}}).evaluate(compiled(text)) is True


@pytest.mark.parametrize("text", ["'a'.replace(1, 2) == ''", "'%s'.format(1) == ''", "string([1]) == ''"])
def test_errors_call_functions_by_the_names_that_they_have_in_policies(text):
    with pytest.raises(CompileError, match=r"no matching overload for '(replace|format|string)' applied") as refused:
        compiled(text)
    assert "__" not in str(refused.value)


def test_a_variable_that_is_an_optional_value_fails():
    """It would have to pass through Python."""
    with pytest.raises(EvaluationError):
        evaluation({"m": 1}, ("o", "object.?m")).evaluate(compiled("[variables.o].distinct().size() == 1"))


def test_a_variable_that_names_itself_fails():
    with pytest.raises(EvaluationError, match="refers to itself"):
        evaluation({}, ("a", "variables.b"), ("b", "variables.a")).evaluate(compiled("variables.a"))


def test_a_variable_is_computed_once():
    budget = Budget(700)
    found = evaluation({"x": 1}, ("a", "object.x + 1"), budget=budget)
    for _ in range(4):
        assert found.evaluate(compiled("variables.a == 2")) is True


def test_a_spent_budget_stays_spent():
    found = evaluation({}, budget=Budget(0))
    for _ in range(2):
        with pytest.raises(EvaluationError, match="cost budget"):
            found.evaluate(compiled("true"))
