"""What is left of a user's rules where APIExports' maximal permission policies limit some resources of a workspace.

The authorizer asks both for each request. Here the answer is written as rules again: what both give.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import NamedTuple

from kcpcache.auth.rules import Rule
from kcpcache.meta.names import GroupResource
from kcpcache.meta.objects import Object

_ALL = "*"
_MOST_STEPS = 300_000
"""How many pairs of rules, and rights of theirs, are compared for one answer: some hundredths of a second."""


class LimitedRules(NamedTuple):
    """``complete`` False: there are more rights than these, as there was too much to compare."""

    rules: list[Object]
    complete: bool


Served = Mapping[GroupResource, Iterable[str]]
"""The subresources of each resource of a workspace."""
Limits = Mapping[GroupResource, Sequence[Rule]]
"""The rules that the policy of a bound resource's export gives the user."""


def limit_rules(held: Sequence[Rule], limits: Limits, served: Served) -> LimitedRules:
    """The rules that give what ``held`` gives, and of limited resources only what their policy gives too.

    RBAC cannot say "all but this one". Where a rule for all resources or groups is limited, what the workspace serves
    is told one by one; a right to what it does not serve is none that anybody could use.
    """
    found = _Found(limits, served)
    for rule in held:
        found.add(rule)
    return LimitedRules(list(found.rules.values()), found.complete)


class _Found:
    def __init__(self, limits: Limits, served: Served) -> None:
        self._served, self._steps = served, 0
        self.rules: dict[str, Object] = {}
        self.complete = True
        self._limits = {key: list(self._given(key, rules)) for key, rules in limits.items()}

    def _given(self, key: GroupResource, rules: Sequence[Rule]) -> Iterator[tuple[Rule, frozenset[str]]]:
        """What of a policy is about the resource."""
        for rule in rules:
            if self._may_go_on(len(rule.resources)) and (below := _below(rule, key)):
                yield rule, below

    def _may_go_on(self, steps: int) -> bool:
        self._steps += 1 + steps
        if self._steps > _MOST_STEPS:
            self.complete = False
        return self._steps <= _MOST_STEPS

    def add(self, rule: Rule) -> None:
        """Take over a rule, or what the limits leave of it."""
        if not rule.resources:
            self._tell(rule.source)
        elif self._may_go_on(len(self._limits) + len(rule.resources)):
            touched = self._touched(rule)
            if all(self._is_covered(rule, key, below) for key, below in touched.items()):
                self._tell(rule.source)
                return
            self._add_unlimited(rule, {key.group for key in touched})
            for key, below in touched.items():
                self._add_common(rule, key, below)

    def _touched(self, rule: Rule) -> dict[GroupResource, frozenset[str]]:
        names = {text.partition("/")[0] for text in rule.resources}
        found = (key for key in self._limits if key.resource in names or _ALL in names)
        return {key: below for key in found if self._may_go_on(len(rule.resources)) and (below := _below(rule, key))}

    def _is_covered(self, rule: Rule, key: GroupResource, below: Iterable[str]) -> bool:
        """Whether the policy gives all that the rule does: each verb on each resource, by any rule of its own."""
        for verb, resource, name in product(rule.verbs, below, rule.names or (None,)):
            if not self._may_go_on(len(self._limits[key])):
                return False
            if not any(_gives(limit, given, verb, resource, name) for limit, given in self._limits[key]):
                return False
        return True

    def _add_unlimited(self, rule: Rule, limited: set[str]) -> None:
        """What the rule gives of everything else. Groups without a limit need no list of resources."""
        groups = rule.groups - {_ALL} - limited
        if rule.all_groups:
            groups |= {key.group for key in self._served} - limited
        if groups:
            self._tell({**rule.source, "apiGroups": sorted(groups)})
        for group in sorted(limited):
            if resources := self._unlimited_in(rule, group):
                self._tell({**rule.source, "apiGroups": [group], "resources": sorted(resources)})

    def _unlimited_in(self, rule: Rule, group: str) -> set[str]:
        named = {text for text in rule.resources if not _is_wild(text)}
        found = {text for text in named if GroupResource(group, text.partition("/")[0]) not in self._limits}
        for key, subresources in self._served.items() if len(named) < len(rule.resources) else ():
            if key.group == group and key not in self._limits and self._may_go_on(len(rule.resources)):
                found |= _texts(_below(rule, key), key.resource, subresources)
        return found

    def _add_common(self, rule: Rule, key: GroupResource, below: frozenset[str]) -> None:
        """What both the rule and the policy give of a limited resource."""
        for limit, given in self._limits[key]:
            if not self._may_go_on(len(rule.verbs) + len(rule.names)):
                return
            verbs = _common(rule.verbs, limit.verbs)
            names = rule.names & limit.names if rule.names and limit.names else rule.names or limit.names
            resources = _texts(_common(below, given), key.resource, self._served.get(key, ()))
            if verbs and resources and (names or not (rule.names or limit.names)):
                common: Object = {"verbs": sorted(verbs), "apiGroups": [key.group], "resources": sorted(resources)}
                self._tell(common | ({"resourceNames": sorted(names)} if names else {}))

    def _tell(self, rule: Object) -> None:
        self.rules.setdefault(repr(rule), rule)


def _below(rule: Rule, key: GroupResource) -> frozenset[str]:
    """What the rule says of a resource: ``*`` for it with all that is below, "" for itself, names of subresources."""
    if not (rule.all_groups or key.group in rule.groups):
        return frozenset()
    if rule.all_resources:
        return frozenset({_ALL})
    texts = (text.partition("/") for text in rule.resources)
    return frozenset(
        below
        for resource, slash, below in texts
        if below != _ALL and (resource == key.resource or (resource == _ALL and slash))
    )


def _gives(limit: Rule, given: frozenset[str], verb: str, below: str, name: str | None) -> bool:
    return (
        (limit.all_verbs or verb in limit.verbs)
        and (not limit.names or name in limit.names)
        and (_ALL in given or below in given)
    )


def _common(one: frozenset[str], other: frozenset[str]) -> frozenset[str]:
    """What is in both sets, in each of which ``*`` stands for everything."""
    if _ALL in one:
        return other
    return one if _ALL in other else one & other


def _texts(below: Iterable[str], resource: str, subresources: Iterable[str]) -> set[str]:
    """How a rule names a resource and what is below it; for all that is below, what is served."""
    wanted = set(below)
    if _ALL in wanted:
        wanted |= {"", *subresources}
    return {f"{resource}/{name}" if name else resource for name in wanted - {_ALL}}


def _is_wild(text: str) -> bool:
    return text == _ALL or text.startswith("*/")
