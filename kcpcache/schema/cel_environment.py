"""The CEL environment that rules are compiled in; cel-cpp is imported when the first rule is."""

import re
from functools import cache
from typing import Any

from kcpcache.schema.cel_native import ANSWERED, TooLargeError, answered
from kcpcache.schema.cel_optionals import may_give_back, may_meet, unanswerable
from kcpcache.schema.cel_rewrite import relocated, runnable
from kcpcache.schema.cel_tree import read

OLD_VARIABLE = "old__"
"""Holds ``{"v": old}``, or nothing, for rules whose ``oldSelf`` is optional."""

_MAX_EXPRESSION_LENGTH = 20_000
_STRINGS_VERSION = 2
_FREE = re.compile(r"\bT%\d+")
"""What cel-cpp calls a type that nothing tells."""


class CompileError(ValueError):
    """The expression is no CEL, or has another type than it must have. The text is for the user."""

    step = "compilation"
    """What failed."""


class InstantiationError(CompileError):
    """The expression is sound, but contains something that can never be computed."""

    step = "instantiation"


class MisplacedError(CompileError):
    """The expression could give an optional value to a function which cannot take it."""


@cache
def language() -> dict[str, Any]:
    """What rules are written in, as arguments of ``NewEnv``: CEL with the Kubernetes libraries, made once."""
    from cel_expr_python import cel
    from cel_expr_python.ext import ext_bindings, ext_encoders, ext_math, ext_optional, ext_strings

    from kcpcache.schema.cel_library import comparisons, extension

    extensions = [
        ext_bindings.ExtBindings(),
        ext_math.ExtMath(),
        ext_optional.ExtOptional(),
        ext_encoders.ExtEncoders(),
        ext_strings.ExtStrings(),
        extension(),
    ]
    return {"config": comparisons.config(cel), "functions": comparisons.functions(cel), "extensions": extensions}


@cache
def typed_language() -> dict[str, Any]:
    """The same for an environment that only checks rules: no more functions than Kubernetes has, with their types."""
    from cel_expr_python import cel
    from cel_expr_python.ext import ext_bindings, ext_optional, ext_strings

    from kcpcache.schema.cel_library import comparisons, signatures

    extensions = [
        ext_bindings.ExtBindings(),
        ext_optional.ExtOptional(),
        ext_strings.ExtStrings(_STRINGS_VERSION),
        signatures.extension(),
    ]
    return {"config": comparisons.config(cel), "functions": comparisons.functions(cel), "extensions": extensions}


@cache
def environment() -> Any:
    """The one environment that rules run in: ``self`` and ``oldSelf`` are dynamic."""
    from cel_expr_python import cel

    dynamic = cel.Type.DYN
    return cel.NewEnv(variables={"self": dynamic, "oldSelf": dynamic, OLD_VARIABLE: dynamic}, **language())


def compile_expression(expression: str, wanted: str, *, optional_old_self: bool = False, telling: bool = False) -> Any:
    """The program of an expression that must be a ``bool`` or ``string`` (or of unknown type).

    With ``optional_old_self`` the name ``oldSelf`` is an optional value; with ``telling`` it runs slower, and says more
    of what is wrong. Raises CompileError.
    """
    from cel_expr_python import cel

    if len(expression) > _MAX_EXPRESSION_LENGTH:
        raise CompileError(f"expression is longer than {_MAX_EXPRESSION_LENGTH} characters")
    rewritten = runnable(expression, telling=telling)
    try:
        program = environment().compile(rewritten.text)
        if optional_old_self:  # only now, with parentheses known to be balanced
            program = environment().compile(f"cel.bind(oldSelf, {OLD_VARIABLE}.?v, {rewritten.text}\n)")
    except RuntimeError as error:
        raise CompileError(relocated(readable(str(error)), expression, rewritten)) from None
    except TypeError:  # pybind11's word for lone surrogates
        raise CompileError("expression is not valid Unicode") from None
    if program.return_type() not in (getattr(cel.Type, wanted.upper()), cel.Type.DYN):
        raise CompileError(wanted)
    return safe(program, environment())


def safe(program: Any, known: Any) -> Any:
    """The program, which is of the environment ``known``, with no call that could end the process or answer wrongly.

    Raises MisplacedError where an optional value would be given to a function that has no other form.
    """
    serialized = program.serialize()
    meets = may_meet(serialized)
    if not meets and not may_give_back(serialized):
        return program
    tree = read(serialized)
    if tree is None:
        if meets:
            raise MisplacedError("expression is nested too deeply to be followed")
        return program
    calls = unanswerable(tree)
    if not calls:
        return program
    if other := [call for call in calls if call.function not in ANSWERED]:
        name = min(other, key=lambda call: call.at).function.removesuffix("__")
        raise MisplacedError(f"an optional value cannot be given to '{name}'; ask for what is in it with value()")
    try:
        return known.deserialize(answered(serialized, calls, known))
    except TooLargeError:
        raise MisplacedError("too many functions are given optional values or unsigned numbers") from None
    except RuntimeError:  # cel-cpp reads no tree that is deeper than protobuf's messages may be
        raise MisplacedError("functions that are given optional values are nested too deeply") from None


def readable(text: str) -> str:
    """cel-cpp's report without its status codes; what could be of any type is dynamic."""
    return _FREE.sub("dyn", text.removeprefix("INVALID_ARGUMENT: ").removesuffix(" [INVALID_ARGUMENT]"))
