"""PolicyRules of Roles and ClusterRoles, compiled to sets."""

from collections.abc import Mapping
from typing import Any

from kcpcache.auth.attributes import Attributes
from kcpcache.meta.objects import Object

_ALL = "*"


class Rule:
    """One ``PolicyRule`` of rbac.authorization.k8s.io/v1; ``source`` is the rule as it stands in the role."""

    __slots__ = (
        "all_groups",
        "all_resources",
        "all_verbs",
        "groups",
        "names",
        "paths",
        "prefixes",
        "resources",
        "source",
        "verbs",
    )

    def __init__(self, source: Object) -> None:
        self.source = source
        self.verbs = frozenset(source.get("verbs") or ())
        self.groups = frozenset(source.get("apiGroups") or ())
        self.resources = frozenset(source.get("resources") or ())
        self.names = frozenset(source.get("resourceNames") or ())
        paths = source.get("nonResourceURLs") or ()
        self.paths = frozenset(paths)
        self.prefixes = tuple(path.rstrip(_ALL) for path in paths if path.endswith(_ALL))
        self.all_verbs = _ALL in self.verbs
        self.all_groups = _ALL in self.groups
        self.all_resources = _ALL in self.resources

    def allows(self, attributes: Attributes, name: str) -> bool:
        """Whether the rule allows it for an object called ``name``; "" where the request names none.

        ``*/scale`` means that subresource of every resource; ``pods/*`` means nothing (as in kube).
        """
        if not self.all_verbs and attributes.verb not in self.verbs:
            return False
        if not attributes.is_resource:
            return attributes.path in self.paths or attributes.path.startswith(self.prefixes)
        if not self.all_groups and attributes.group not in self.groups:
            return False
        if self.names and name not in self.names:
            return False
        if self.all_resources:
            return True
        if not attributes.subresource:
            return attributes.resource in self.resources
        return (
            f"{attributes.resource}/{attributes.subresource}" in self.resources
            or f"{_ALL}/{attributes.subresource}" in self.resources
        )


def compile_rules(role: Mapping[str, Any]) -> tuple[Rule, ...]:
    """The rules of a Role or ClusterRole."""
    return tuple(Rule(rule) for rule in role.get("rules") or ())
