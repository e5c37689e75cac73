"""The house rules on sizes that no linter holds (docs/contributing.md)."""

import ast
import statistics
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
FILES = sorted((REPOSITORY / "kcpcache").rglob("*.py"))
MOST_LINES, MOST_FUNCTION_LINES, MEDIAN_LINES = 500, 70, 150


def test_files_are_short():
    lengths = [len(path.read_text(encoding="utf-8").splitlines()) for path in FILES]
    assert statistics.median(lengths) <= MEDIAN_LINES
    assert max(lengths) <= MOST_LINES


def test_functions_fit_a_screen():
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                assert node.end_lineno - node.lineno < MOST_FUNCTION_LINES, (path, node.name)


def test_no_module_is_named_for_what_has_no_name():
    assert not [path for path in FILES if path.stem in {"utils", "util", "helpers", "helper", "common", "misc"}]
