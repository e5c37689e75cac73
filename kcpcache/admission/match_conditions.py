"""``matchConditions``: CEL conditions that must all hold before a webhook or policy is asked."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kcpcache.admission.expressions import Evaluation, EvaluationError, Expression, compile_admission
from kcpcache.schema.cel_environment import CompileError


class ConditionsError(Exception):
    """A condition failed, and none said no."""


@dataclass(frozen=True, slots=True)
class MatchConditions:
    """The compiled conditions of one webhook or policy; ``broken`` says why they cannot be compiled."""

    conditions: tuple[Expression, ...] = ()
    broken: str = ""

    def hold(self, evaluation: Evaluation) -> bool:
        """Whether all do. One that says no outweighs those that fail. Raises ConditionsError."""
        failed = [self.broken] if self.broken else []
        for expression in self.conditions:
            try:
                if evaluation.evaluate(expression) is not True:
                    return False
            except EvaluationError as error:
                failed.append(f"expression '{expression.text}' resulted in error: {error}")
        if failed:
            raise ConditionsError(f"[{', '.join(failed)}]" if len(failed) > 1 else failed[0])
        return True

    def __bool__(self) -> bool:
        return bool(self.conditions or self.broken)


def conditions_of(holder: Mapping[str, Any], names: tuple[str, ...]) -> MatchConditions:
    """The conditions of a webhook or policy, which may use the variables ``names``. Never raises."""
    conditions: Iterable[Mapping[str, Any]] = holder.get("matchConditions") or ()
    try:
        compiled = [compile_admission(str(item["expression"]), names) for item in conditions]
    except CompileError as error:
        return MatchConditions(broken=str(error))
    return MatchConditions(tuple(compiled))
