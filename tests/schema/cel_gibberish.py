"""Compile and evaluate random expressions, each written to standard error before: a process that ends names its end."""

import contextlib
import random
import sys
from collections.abc import Callable

from kcpcache.schema.cel_environment import CompileError, compile_expression, environment

ATOMS = (
    *("1", "1u", "-1", "1.5", "'a'", "b'a'", "true", "null", "[]", "{}", "type(1)", "v", "k"),
    *(*["oldSelf"] * 8, "self.`//`", "'''a\\''''"),
    *("self", "self.x", "self.m", "self.l", "self.?x", "self[?'x']", "self.l[?0]"),
    *("optional.of(1)", "optional.none()", "quantity('1')", "ip('::1')", "cidr('::/0')", "url('/a')"),
    *("duration('1s')", "timestamp('2024-01-01T00:00:00Z')", "format.dns1123Label()", "format.named('uuid')"),
    *("google.protobuf.Value{}", "double('NaN')", "9223372036854775807", "18446744073709551615u", "b'\\xff'"),
)
ALONE = (
    *("isSorted", "sum", "min", "max", "distinct", "reverse", "first", "last", "unwrapOpt", "value", "size", "family"),
    *("isInteger", "getScheme", "getQuery", "getMilliseconds", "masked", "ip", "join"),
)
WITH_ONE = (
    *("indexOf", "lastIndexOf", "compareTo", "isGreaterThan", "find", "add", "containsIP", "validate", "orValue", "or"),
    *("format", "split", "join", "contains"),
)
CALLED = ("string", "int", "type", "quantity", "ip", "url", "semver", "optional.of", "optional.unwrap", "dyn")
DEEPEST = 3
VALUE = {"x": 1, "m": {"a": [1, None, {"b": 2.5}]}, "l": [1, "a", None, True, {"q": []}]}
CREATED, UPDATED = {"self": VALUE, "old__": {}}, {"self": VALUE, "oldSelf": VALUE, "old__": {"v": VALUE}}


def expression(chance: random.Random, depth: int = 0) -> str:
    """One that is grammatical, and seldom sensible."""
    if depth > DEEPEST or chance.random() < 0.25:
        return chance.choice(ATOMS)

    def part() -> str:
        return expression(chance, depth + 1)

    forms: tuple[Callable[[], str], ...] = (
        lambda: f"[{part()}, {part()}]",
        lambda: f"[?{part()}]",
        lambda: f"{{'a': {part()}}}",
        lambda: f"({part()} == {part()} ? {part()} : {part()})",
        lambda: f"{part()}.{chance.choice(ALONE)}()",
        lambda: f"{part()}.{chance.choice(WITH_ONE)}({part()})",
        lambda: f"sets.contains({part()}, {part()})",
        lambda: f"{chance.choice(CALLED)}({part()})",
        lambda: f"{part()}.map(v, {part()})",
        lambda: f"{part()}.filter(v, {part()} == v)",
        lambda: f"{part()}.transformMap(k, v, {part()})",
        lambda: f"{part()}.transformMapEntry(k, v, {{k: {part()}}})",
        lambda: f"{part()}.optMap(v, {part()})",
        lambda: f"cel.bind(v, {part()}, {part()})",
        lambda: f"{part()} + {part()}",
        lambda: f"{part()}[{part()}]",
        lambda: f"{part()}.?a",
        lambda: f"'%s %d'.format([{part()}, {part()}])",
    )
    return chance.choice(forms)()


def main(seed: int, count: int) -> None:
    """Write how many expressions were evaluated."""
    chance, evaluated = random.Random(seed), 0
    activations = [environment().Activation(data) for data in (CREATED, UPDATED)]
    for _ in range(count):
        text, optional = expression(chance), chance.random() < 0.5
        sys.stderr.write(f"{text}, oldSelf {'optional' if optional else 'plain'}\n")
        sys.stderr.flush()
        try:
            program = compile_expression(f"dyn({text}) == 1", "bool", optional_old_self=optional)
        except CompileError:
            continue
        for activation in activations:
            with contextlib.suppress(RuntimeError, TypeError, ValueError):
                program.eval(activation).value()
        evaluated += 1
    sys.stdout.write(f"{evaluated}\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
