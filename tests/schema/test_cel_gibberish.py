"""No expression ends the process: what evaluates them is not Python, and has ended it before."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("seed", [1, 2])
def test_no_expression_ends_the_process(seed):
    program = Path(__file__).with_name("cel_gibberish.py")
    ran = subprocess.run([sys.executable, program, str(seed), "3000"], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"{ran.returncode} after {ran.stderr.splitlines()[-1:]}"
    assert int(ran.stdout) > 300
