"""``<``, ``<=``, ``>`` and ``>=``, which Kubernetes takes between numbers of different types too.

cel-cpp evaluates such comparisons but lets none of them pass its checker, so the operators are declared anew.
"""

from typing import Any

_EXTENSIONS = ("sets", "two-var-comprehensions")
_OPERATORS = {"_<_": "less", "_<=_": "less_equals", "_>_": "greater", "_>=_": "greater_equals"}


def config(cel: Any) -> Any:
    """The configuration of an environment with the operators of ``functions``, sets, and macros of two variables."""
    names = "".join(f"  - name: {name!r}\n" for name in _OPERATORS)
    extensions = "extensions:\n" + "".join(f"- name: {name}\n  version: latest\n" for name in _EXTENSIONS)
    return cel.NewEnvConfigFromYaml(f"stdlib:\n  exclude_functions:\n{names}{extensions}")


def functions(cel: Any) -> list[Any]:
    """The declarations, for ``NewEnv``."""
    kind = cel.Type
    numbers = {"int64": kind.INT, "uint64": kind.UINT, "double": kind.DOUBLE}
    others = {
        "bool": kind.BOOL,
        "string": kind.STRING,
        "bytes": kind.BYTES,
        "timestamp": kind.TIMESTAMP,
        "duration": kind.DURATION,
    }
    pairs = [("_".join(dict.fromkeys((a, b))), [numbers[a], numbers[b]]) for a in numbers for b in numbers]
    pairs += [(name, [of, of]) for name, of in others.items()]
    return [
        cel.FunctionDecl(operator, [cel.Overload(f"{verb}_{name}", kind.BOOL, types, False) for name, types in pairs])
        for operator, verb in _OPERATORS.items()
    ]
