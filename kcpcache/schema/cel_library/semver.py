"""``semver("1.2.3-beta.1")``: semantic versions (semver.org, version 2.0.0)."""

import re
from typing import Any

from kcpcache.schema.cel_calls import called_by_cel
from kcpcache.schema.cel_library.messages import cel_type, message

_NUMBER = r"(0|[1-9]\d*)"
_PART = r"(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)"
_SEMVER = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-({_PART}(?:\.{_PART})*))?(?:\+([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?",
    re.ASCII,
)
_LENIENT = re.compile(r"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?([-+].*)?", re.ASCII)
_MAX_LENGTH = 256


def _normalized(text: str) -> str:
    """Kubernetes' tolerant form: ``v1.2`` is ``1.2.0``, leading zeros go."""
    found = _LENIENT.fullmatch(text) if len(text) <= _MAX_LENGTH else None
    if found is None:
        return text
    numbers = ".".join(str(int(number or "0")) for number in found.groups()[:3])
    return numbers + (found[4] or "")


def _match(text: str) -> re.Match[str]:
    found = _SEMVER.fullmatch(text) if len(text) <= _MAX_LENGTH else None
    if found is None:
        raise ValueError("No valid semantic version")
    return found


def _is_semver(text: str, normalize: bool = False) -> bool:
    try:
        _match(_normalized(text) if normalize else text)
    except ValueError:
        return False
    return True


def _semver(text: str, normalize: bool = False) -> Any:
    return message("Semver", _match(_normalized(text) if normalize else text)[0])


def _component(place: int) -> Any:
    return lambda version: int(_match(version.text)[place])


def functions(cel: Any) -> list[Any]:
    """The declarations, for ``CelExtension``."""
    kind = cel.Type
    semver = cel_type(cel, "Semver")
    texts = ([kind.STRING], [kind.STRING, kind.BOOL])
    return [
        *(
            cel.FunctionDecl(
                name,
                [
                    cel.Overload(
                        f"kubernetes_{name}_{len(parameters)}", result, parameters, False, impl=called_by_cel(impl)
                    )
                    for parameters in texts
                ],
            )
            for name, result, impl in (("semver", semver, _semver), ("isSemver", kind.BOOL, _is_semver))
        ),
        *(
            cel.FunctionDecl(
                name,
                [
                    cel.Overload(
                        f"kubernetes_semver_{name}", kind.INT, [semver], True, impl=called_by_cel(_component(place))
                    )
                ],
            )
            for place, name in enumerate(("major", "minor", "patch"), 1)
        ),
    ]


def compare(left: Any, right: Any) -> int:
    """-1, 0 or 1: the precedence of two versions; build metadata does not count."""
    ours, theirs = _order(left.text), _order(right.text)
    return (ours > theirs) - (ours < theirs)


def _order(text: str) -> tuple[Any, ...]:
    found = _match(text)
    parts = [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in (found[4] or "").split(".") if part]
    return (int(found[1]), int(found[2]), int(found[3]), not parts, parts)
