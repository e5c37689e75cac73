"""CEL expressions of webhooks' match conditions and admission policies: compiled once, evaluated within a budget.

cel-cpp can be neither metered nor stopped, so what an expression may cost is estimated first (``schema.cel_cost``).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache, lru_cache
from typing import Any, Final

from kcpcache.admission import authorizer_library
from kcpcache.admission.authorizer_library import AUTHORIZER, REQUEST_RESOURCE, Deciding, deciding
from kcpcache.meta.objects import Object
from kcpcache.schema.cel_cost import Cost, Size, cost, measure
from kcpcache.schema.cel_environment import CompileError, language, readable, safe
from kcpcache.schema.cel_errors import plain
from kcpcache.schema.cel_rewrite import relocated, runnable
from kcpcache.schema.cel_text import code

REQUEST_VARIABLES: Final = ("object", "oldObject", "request", AUTHORIZER, REQUEST_RESOURCE)
"""What match conditions of webhooks may name."""
POLICY_VARIABLES: Final = (*REQUEST_VARIABLES, "namespaceObject", "variables")
"""What policies may name; ``params`` only where there is a paramKind."""
BUDGET: Final = 10_000_000
"""For all expressions that one request meets, in units of ``cel_cost``: about a second."""

_TYPE_NAMES: Final = {"null": "null_type"}
MOST_CHARACTERS: Final = 20_000
"""That one expression may have."""
_COMPILED: Final = 4096
_EXPRESSIONS: Final = ("variables", "matchConditions", "validations", "auditAnnotations")
_COMPILING_BYTES: Final = 1024
_VARIABLE: Final = re.compile(r"(?<![\w.])variables\s*\.\s*([A-Za-z_]\w*)")


class EvaluationError(Exception):
    """An expression failed on this request; the text is cel-go's."""


class BudgetError(EvaluationError):
    """The expressions cost more than they may."""

    def __init__(self) -> None:
        super().__init__("validation failed due to running out of cost budget, no further validation rules will be run")


@dataclass(frozen=True, slots=True)
class Expression:
    """One compiled expression. ``variables`` are the names that it uses as ``variables.<name>``."""

    text: str
    program: Any
    variables: tuple[str, ...]
    cost: Cost


@cache
def _environment(names: tuple[str, ...]) -> Any:
    from cel_expr_python import cel

    known = language()
    return cel.NewEnv(
        variables=dict.fromkeys(names, cel.Type.DYN) | authorizer_library.variables(),
        **known | {"extensions": [*known["extensions"], authorizer_library.extension()]},
    )


@lru_cache(maxsize=_COMPILED)
def compile_admission(text: str, names: tuple[str, ...], wanted: tuple[str, ...] = ("bool",)) -> Expression:
    """The expression, which may use the variables ``names`` and must be of one of the types ``wanted`` ((): of any).

    Raises CompileError with kube's text.
    """
    from cel_expr_python import cel

    if len(text) > MOST_CHARACTERS:
        raise CompileError(f"expression is longer than {MOST_CHARACTERS} characters")
    rewritten = runnable(text)
    try:
        program = _environment(names).compile(rewritten.text)
    except RuntimeError as error:
        raise CompileError(f"compilation failed: {relocated(readable(str(error)), text, rewritten)}") from None
    except UnicodeEncodeError:
        raise CompileError("compilation failed: expression is not valid Unicode") from None
    types = [getattr(cel.Type, name.upper()) for name in wanted]
    if wanted and program.return_type() not in (*types, cel.Type.DYN):
        names_of_types = " ".join(_TYPE_NAMES.get(name, name) for name in wanted)
        raise CompileError(f"must evaluate to {names_of_types if len(wanted) == 1 else f'one of [{names_of_types}]'}")
    program = safe(program, _environment(names))
    blanked = code(text)
    estimate = cost(text)
    used = tuple(dict.fromkeys(_VARIABLE.findall(blanked)))
    # The estimate knows whole objects by the names of schema rules only: here every operator may see one.
    return Expression(text, program, used, replace(estimate, whole_operators=estimate.operators))


def compiling_weight(objects: Iterable[Mapping[str, Any]]) -> int:
    """What it is to compile all expressions of policies or webhook configurations, as ``beside.computed`` weighs it.

    An expression counts as much as a kilobyte of JSON. The objects are of the right shape.
    """
    holders = [holder for obj in objects for holder in (obj.get("spec") or {}, *(obj.get("webhooks") or ()))]
    return _COMPILING_BYTES * sum(len(holder.get(name) or ()) for holder in holders for name in _EXPRESSIONS)


class Budget:
    """What the expressions that one request meets may cost, whoever they belong to."""

    def __init__(self, units: int = BUDGET) -> None:
        self._left = units

    def spend(self, units: int) -> None:
        """Raises BudgetError once more is spent than there was, then and ever after."""
        self._left -= units
        if self._left < 0:
            raise BudgetError


class Evaluation:
    """The expressions of one webhook or policy on one request: data, and variables computed when they are used.

    ``answers`` is for what the expressions ask ``authorizer``; ``budget`` is shared with others.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        data: Mapping[str, Any],
        answers: Deciding,
        budget: Budget,
        variables: Iterable[tuple[str, Expression]] = (),
    ) -> None:
        self._names, self._answers, self._budget = names, answers, budget
        self._data: Object = {**data, AUTHORIZER: answers.authorizer, REQUEST_RESOURCE: answers.request_resource}
        self._definitions = dict(variables)
        self._values: Object = {}
        self._failed: dict[str, str] = {}
        self._activation: Any = None
        self._size: Size | None = None

    def evaluate(self, expression: Expression) -> Any:
        """A plain Python value. Raises EvaluationError; BudgetError once the budget is spent, then and ever after."""
        for name in expression.variables:
            self._compute(name)
        self._spend(expression.cost)
        try:
            if self._activation is None:
                data = {**self._data, "variables": self._values} if "variables" in self._names else self._data
                self._activation = _environment(self._names).Activation(data)
            with deciding(self._answers):
                result = expression.program.eval(self._activation)
            value = result.plain_value()
        except (RuntimeError, TypeError, ValueError, OverflowError) as error:
            raise EvaluationError(self._readable(str(error))) from None
        if result.type().name() == "ERROR":
            raise EvaluationError(self._readable(str(value)))
        return value

    def _compute(self, name: str) -> None:
        """Variables are computed when they are first used; one that fails fails whoever needs its value."""
        if name in self._values or name in self._failed or name not in self._definitions:
            return
        self._failed[name] = "it refers to itself"
        try:
            value = _for_cel(self.evaluate(self._definitions[name]))
        except BudgetError:
            raise
        except RecursionError:
            self._failed[name] = "its value is nested too deeply"
        except EvaluationError as error:
            self._failed[name] = str(error)
        else:
            del self._failed[name]
            self._values[name] = value
            self._activation = self._size = None

    def _spend(self, estimate: Cost) -> None:
        size = Size()
        if not estimate.flat:
            if self._size is None:
                self._size = measure([*self._data.values(), self._values])
            size = self._size
        self._budget.spend(estimate.of(size))

    def _readable(self, text: str) -> str:
        text = plain(text)
        missing = text.removeprefix("no such key: ")
        if missing != text and missing in self._failed:
            return f"composited variable {missing!r} fails to evaluate: {self._failed[missing]}".replace("'", '"')
        return text


def _for_cel(value: Any) -> Any:
    """A result in the form in which expressions take it."""
    from google.protobuf.duration_pb2 import Duration
    from google.protobuf.timestamp_pb2 import Timestamp

    if isinstance(value, dict):
        return {key: _for_cel(below) for key, below in value.items()}
    if isinstance(value, list):
        return [_for_cel(below) for below in value]
    message: Timestamp | Duration
    if isinstance(value, datetime):
        message = Timestamp()
        message.FromDatetime(value)
        return message
    if isinstance(value, timedelta):
        message = Duration()
        message.FromTimedelta(value)
        return message
    return value
