"""``<``, ``<=``, ``>`` and ``>=``, which Kubernetes takes between numbers of different types too.

cel-cpp evaluates such comparisons but lets none of them pass its checker, so the operators are declared anew. So is
``int``, of which cel-cpp knows the nanoseconds of a duration, but cannot tell them.
"""

from datetime import timedelta
from typing import Any

from kcpcache.schema.cel_calls import called_by_cel

_INT64 = range(-(2**63), 2**63)
_EXTENSIONS = ("sets", "two-var-comprehensions")
_OPERATORS = {"_<_": "less", "_<=_": "less_equals", "_>_": "greater", "_>=_": "greater_equals"}


def config(cel: Any) -> Any:
    """The configuration of an environment with the operators of ``functions``, sets, and macros of two variables."""
    names = "".join(f"  - name: {name!r}\n" for name in (*_OPERATORS, "int"))
    extensions = "extensions:\n" + "".join(f"- name: {name}\n  version: latest\n" for name in _EXTENSIONS)
    return cel.NewEnvConfigFromYaml(f"stdlib:\n  exclude_functions:\n{names}{extensions}")


def _nanoseconds(duration: timedelta) -> int:
    nanoseconds = duration // timedelta(microseconds=1) * 1000
    if nanoseconds not in _INT64:
        raise ValueError("integer overflow")
    return nanoseconds


def functions(cel: Any) -> list[Any]:
    """The declarations, for ``NewEnv``."""
    kind = cel.Type
    nanoseconds = called_by_cel(_nanoseconds)
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
    whole = {name: of for name, of in (numbers | others).items() if name not in {"bool", "bytes"}}
    conversions = [
        cel.Overload(f"{name}_to_int64", kind.INT, [of], False, **({"impl": nanoseconds} if name == "duration" else {}))
        for name, of in whole.items()
    ]
    return [
        cel.FunctionDecl(operator, [cel.Overload(f"{verb}_{name}", kind.BOOL, types, False) for name, types in pairs])
        for operator, verb in _OPERATORS.items()
    ] + [cel.FunctionDecl("int", conversions)]
