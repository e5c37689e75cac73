"""``semver("1.2.3-beta.1")``: semantic versions (semver.org, version 2.0.0)."""

import re
from functools import lru_cache
from typing import Any, NamedTuple

from kcpcache.schema.cel_calls import called_by_cel
from kcpcache.schema.cel_library.messages import cel_type, message

_DIGITS = re.compile(r"[0-9]+", re.ASCII)
_IDENTIFIER = re.compile(r"[0-9A-Za-z-]*", re.ASCII)
_MAX_LENGTH = 256
_MOST = 2**64
_NUMBERS = ("Major", "Minor", "Patch")


class Version(NamedTuple):
    """The parts of a version: three numbers, and what makes it a pre-release."""

    numbers: tuple[int, ...]
    prerelease: tuple[str, ...]


@lru_cache(maxsize=256)
def parse(text: str) -> Version:
    """The parts of a version without build metadata. Raises ValueError with the words of Kubernetes' library."""
    if not text:
        raise ValueError("Version string empty")
    numbers = text.split(".", 2) if len(text) <= _MAX_LENGTH else []
    if len(numbers) < len(_NUMBERS):
        raise ValueError("No Major.Minor.Patch elements found")
    rest, plus, build = numbers[2].partition("+")
    patch, hyphen, prerelease = rest.partition("-")
    read = [_number(number, name) for number, name in zip((*numbers[:2], patch), _NUMBERS, strict=True)]
    identifiers = prerelease.split(".") if hyphen else []
    for identifier in identifiers:
        _check(identifier, "Prerelease is empty", "prerelease")
        if _DIGITS.fullmatch(identifier):
            if identifier.startswith("0") and identifier != "0":
                raise ValueError(f'Numeric PreRelease version must not contain leading zeroes "{identifier}"')
            _fitting(identifier)
    for identifier in build.split(".") if plus else []:
        _check(identifier, "Build meta data is empty", "build meta data")
    return Version(tuple(read), tuple(identifiers))


def _number(text: str, name: str) -> int:
    if text and _DIGITS.fullmatch(text) is None:
        raise ValueError(f'Invalid character(s) found in {name.lower()} number "{text}"')
    if text.startswith("0") and len(text) > 1:
        raise ValueError(f'{name} number must not contain leading zeroes "{text}"')
    return _fitting(text)


def _fitting(text: str) -> int:
    if not text:
        raise ValueError('strconv.ParseUint: parsing "": invalid syntax')
    if int(text) >= _MOST:
        raise ValueError(f'strconv.ParseUint: parsing "{text}": value out of range')
    return int(text)


def _check(identifier: str, empty: str, name: str) -> None:
    if not identifier:
        raise ValueError(empty)
    if _IDENTIFIER.fullmatch(identifier) is None:
        raise ValueError(f'Invalid character(s) found in {name} "{identifier}"')


def _normalized(text: str) -> str:
    """Kubernetes' tolerant form: ``v1.2`` is ``1.2.0``, leading zeros go."""
    parts = [_shortened(part) if len(part) > 1 else part for part in text.removeprefix("v").split(".", 2)]
    if len(parts) < len(_NUMBERS):
        if re.search(r"[+-]", parts[-1]):
            raise ValueError("short version cannot contain PreRelease/Build meta data")
        parts += ["0"] * (len(_NUMBERS) - len(parts))
    return ".".join(parts)


def _shortened(part: str) -> str:
    part = part.lstrip("0")
    return part if _DIGITS.match(part) else f"0{part}"


def _read(text: str, normalize: bool) -> str:
    text = _normalized(text) if normalize else text
    parse(text)
    return text


def _is_semver(text: str, normalize: bool = False) -> bool:
    try:
        _read(text, normalize)
    except ValueError:
        return False
    return True


def _semver(text: str, normalize: bool = False) -> Any:
    return message("Semver", _read(text, normalize))


def _component(place: int) -> Any:
    return lambda version: (parse(version.text).numbers[place - 1] + 2**63) % 2**64 - 2**63


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
    found = parse(text)
    parts = [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in found.prerelease]
    return (*found.numbers, not parts, parts)
