"""Functions in Python that CEL calls leave nothing behind, whatever cel-cpp's Python interface forgets."""

import subprocess
import sys

import pytest

from kcpcache.schema.cel_environment import compile_expression, environment

RULES = {
    "an argument that is text": "isURL(self) || true",
    "a list": "[self, self].isSorted()",
    "a message as the result": "quantity('100').isInteger()",
    "text as the result": "self.replace('a', 'b') != ''",
    "an error": "quantity(self).isInteger()",
    "null in a list": "[null, self].indexOf(null) == 0",
}
NULLS = """
from kcpcache.schema.cel_environment import environment
program = environment().compile("self")
for _ in range(50_000):
    assert program.eval(environment().Activation({"self": None})).value() is None
"""


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_call_takes_no_memory_for_good(rule):
    program = compile_expression(rule, "bool")

    def evaluate(times):
        for number in range(times):
            program.eval(environment().Activation({"self": f"aaa {number:5}"})).value()
        return sys.getallocatedblocks()

    before = evaluate(100)
    assert evaluate(2_000) - before < 500


def test_nulls_that_leave_cel_do_not_use_none_up():
    done = subprocess.run([sys.executable, "-c", NULLS], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
