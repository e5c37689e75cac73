"""What cel-go says of an expression that it does not take."""

from collections.abc import Iterable


def report(expression: str, errors: Iterable[tuple[int, str]]) -> str:
    """Errors, each with the character it is about, in the order of the text and with the lines that they are in."""
    return "\n".join(_one(expression, at, why) for at, why in sorted(errors, key=lambda error: error[0]))


def _one(expression: str, at: int, why: str) -> str:
    before = expression[:at].split("\n")
    column = len(before[-1])
    line = expression.split("\n")[len(before) - 1]
    return f"ERROR: <input>:{len(before)}:{column + 1}: {why}\n | {line}\n | {'.' * column}^"
