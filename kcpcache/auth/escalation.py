"""Whoever grants permissions must hold them: which of some rules are not covered by others.

After kube's ``pkg/registry/rbac/validation`` (``Covers``, ``CompactRules``), with a limit on the work.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import product

from kcpcache.auth.rules import Rule
from kcpcache.auth.user import User

FULL_AUTHORITY = (
    Rule({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}),
    Rule({"verbs": ["*"], "nonResourceURLs": ["*"]}),
)
"""Everything: what an aggregation rule may gather."""
_MOST_STEPS = 300_000
_MOST_SHOWN = 50


class TooManyRightsError(Exception):
    """The rules name more combinations than the server is ready to compare."""


def missing_rights(held: Sequence[Rule], wanted: Iterable[Rule]) -> list[str]:
    """What of ``wanted`` no rule of ``held`` gives, as kube writes it, sorted; empty where all is held.

    Each verb on each resource (of a name, if the rule has names) is a right of its own, and may come from a rule of
    its own. Raises TooManyRightsError.
    """
    left = _beyond_full_authority(held, wanted)
    found: set[str] = set()
    steps = len(held) * len(left)
    for rule in left if steps <= _MOST_STEPS else ():
        candidates = [one for one in held if _touches(one, rule)]
        if any(_covers(one, rule) for one in candidates):
            continue
        steps += max(1, len(candidates)) * _size(rule)
        if steps > _MOST_STEPS:
            break
        found.update(_missing_paths(candidates, rule))
        found.update(_missing_resources(candidates, rule))
    if steps > _MOST_STEPS:
        raise TooManyRightsError
    return sorted(found)


def escalation_text(user: User, missing: Sequence[str]) -> str:
    """Kube's words for an attempt to grant what the user does not hold."""
    shown = [*missing[:_MOST_SHOWN], *(["…"] if len(missing) > _MOST_SHOWN else [])]
    groups = " ".join(f'"{group}"' for group in user.groups)
    who = f'user "{user.name}" (groups=[{groups}])'
    return f"{who} is attempting to grant RBAC permissions not currently held:\n" + "\n".join(shown)


def _beyond_full_authority(held: Iterable[Rule], wanted: Iterable[Rule]) -> list[Rule]:
    """What is left to be compared: administrators hold all of a kind, and need no long look."""
    resources, paths = (any(_covers(one, everything) for one in held) for everything in FULL_AUTHORITY)
    return [rule for rule in wanted if not (paths if rule.paths else resources)]


def _size(rule: Rule) -> int:
    return len(rule.paths) * len(rule.verbs) + len(rule.groups) * len(rule.resources) * max(1, len(rule.names))


def _touches(held: Rule, rule: Rule) -> bool:
    """Whether ``held`` can give any part of ``rule``: a quick look before the long one."""
    if rule.paths:
        return bool(held.paths)
    some_group = held.all_groups or not held.groups.isdisjoint(rule.groups)
    return some_group and (held.all_verbs or not held.verbs.isdisjoint(rule.verbs))


def _covers(held: Rule, rule: Rule) -> bool:
    """Whether one rule gives the whole of the other."""
    if not (held.all_verbs or rule.verbs <= held.verbs):
        return False
    if rule.paths:
        return all(_has_path(held, path) for path in rule.paths)
    return (
        (held.all_groups or rule.groups <= held.groups)
        and all(_has_resource(held, resource) for resource in rule.resources)
        and (not held.names or (bool(rule.names) and rule.names <= held.names))
    )


def _missing_paths(candidates: Sequence[Rule], rule: Rule) -> Iterator[str]:
    for path, verb in product(rule.paths, rule.verbs):
        if not any((one.all_verbs or verb in one.verbs) and _has_path(one, path) for one in candidates):
            yield f"{{NonResourceURLs:{_list([path])}, Verbs:{_list([verb])}}}"


def _missing_resources(candidates: Sequence[Rule], rule: Rule) -> Iterator[str]:
    for group, resource, name in product(rule.groups, rule.resources, rule.names or [""]):
        given: set[str] = set()
        for one in candidates:
            if (
                (one.all_groups or group in one.groups)
                and (not one.names or name in one.names)
                and _has_resource(one, resource)
            ):
                given |= rule.verbs if one.all_verbs else one.verbs
        if left := sorted(rule.verbs - given):
            named = f"ResourceNames:{_list([name])}, " if name else ""
            yield f"{{APIGroups:{_list([group])}, Resources:{_list([resource])}, {named}Verbs:{_list(left)}}}"


def _has_resource(held: Rule, resource: str) -> bool:
    if held.all_resources or resource in held.resources:
        return True
    _, slash, subresource = resource.partition("/")
    return bool(slash) and f"*/{subresource}" in held.resources


def _has_path(held: Rule, path: str) -> bool:
    return path in held.paths or path.startswith(held.prefixes)


def _list(texts: Iterable[str]) -> str:
    return "[" + " ".join(f'"{text}"' for text in texts) + "]"
