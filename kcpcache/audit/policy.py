"""What is noted of which request: ``audit.k8s.io/v1 Policy``, read and matched as kube-apiserver does."""

import re
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Any, Final, Literal, NamedTuple

import msgspec

from kcpcache.auth.attributes import Attributes

API_VERSION: Final = "audit.k8s.io/v1"
_GROUP: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")

Stage = Literal["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"]
"""When an event is made. ``ResponseStarted`` is for watches, and for whom authentication turned away."""


class Level(IntEnum):
    """How much an event tells; each level includes those before it."""

    NONE = 0
    METADATA = 1
    REQUEST = 2
    REQUEST_RESPONSE = 3

    @property
    def text(self) -> str:
        """As in policies and events."""
        return _LEVELS[self]


_LEVELS: Final = ("None", "Metadata", "Request", "RequestResponse")


class PolicyError(ValueError):
    """The policy cannot be used; one line that says where and why."""


class Ruling(NamedTuple):
    """What a policy says of one request."""

    level: Level
    omit_stages: frozenset[Stage] = frozenset()
    omit_managed_fields: bool = False


class GroupResources(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Resources of an API group: ``pods``, ``pods/log``, ``pods/*``, ``*/scale``, ``*``; none: all of the group."""

    group: str = ""
    resources: tuple[str, ...] = ()
    resource_names: tuple[str, ...] = ()

    def match(self, attributes: Attributes) -> bool:
        """Whether the request is for one of them."""
        if self.group != attributes.group:
            return False
        if not self.resources:
            return True
        if self.resource_names and attributes.name not in self.resource_names:
            return False
        resource, subresource = attributes.resource, attributes.subresource
        wanted = {"*", f"{resource}/*", f"{resource}/{subresource}" if subresource else resource}
        if subresource:
            wanted.add(f"*/{subresource}")
        return not wanted.isdisjoint(self.resources)


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"non_resource_urls": "nonResourceURLs"}):
    """One rule: a request must fit every list that is not empty."""

    level: Literal["None", "Metadata", "Request", "RequestResponse"]
    users: tuple[str, ...] = ()
    user_groups: tuple[str, ...] = msgspec.field(default=(), name="userGroups")
    verbs: tuple[str, ...] = ()
    resources: tuple[GroupResources, ...] = ()
    namespaces: tuple[str, ...] = ()
    non_resource_urls: tuple[str, ...] = ()
    omit_stages: tuple[Stage, ...] = msgspec.field(default=(), name="omitStages")
    omit_managed_fields: bool | None = msgspec.field(default=None, name="omitManagedFields")

    def match(self, attributes: Attributes) -> bool:
        """Whether the rule is for this request."""
        user = attributes.user
        if self.users and user.name not in self.users:
            return False
        if self.user_groups and not any(group in self.user_groups for group in user.groups):
            return False
        if self.verbs and attributes.verb not in self.verbs:
            return False
        if self.namespaces or self.resources:
            return attributes.is_resource and self._match_resource(attributes)
        if self.non_resource_urls:
            return not attributes.is_resource and any(
                _path_fits(attributes.path, url) for url in self.non_resource_urls
            )
        return True

    def _match_resource(self, attributes: Attributes) -> bool:
        if self.namespaces and attributes.namespace not in self.namespaces:
            return False
        return not self.resources or any(found.match(attributes) for found in self.resources)


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Rules in order: the first that fits decides; where none does, nothing is noted."""

    api_version: str
    kind: str
    rules: tuple[Rule, ...]
    metadata: dict[str, Any] = {}
    omit_stages: tuple[Stage, ...] = ()
    omit_managed_fields: bool = False

    def ruling(self, attributes: Attributes) -> Ruling:
        """What to note of a request. ``attributes.user`` is who was authenticated, before any impersonation."""
        for rule in self.rules:
            if rule.match(attributes):
                omit = rule.omit_managed_fields
                return Ruling(
                    Level(_LEVELS.index(rule.level)),
                    frozenset((*self.omit_stages, *rule.omit_stages)),
                    self.omit_managed_fields if omit is None else omit,
                )
        return Ruling(Level.NONE)


def parse_policy(content: bytes) -> Policy:
    """The policy in YAML or JSON. Raises PolicyError, also for fields that there are not: they would go unnoticed."""
    import yaml

    try:
        document = yaml.safe_load(content)
    except yaml.YAMLError as error:
        raise PolicyError(f"is not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise PolicyError("is nested too deeply") from None
    try:
        policy = msgspec.convert(_without_nulls(document), Policy)
    except msgspec.ValidationError as error:
        raise PolicyError(str(error)) from None
    for problem in _problems(policy):
        raise PolicyError(problem)
    return policy


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(found) for key, found in value.items() if found is not None}
    return [_without_nulls(found) for found in value] if isinstance(value, list) else value


def _problems(policy: Policy) -> Iterator[str]:
    """kube-apiserver's validation, in its words."""
    if (policy.api_version, policy.kind) != (API_VERSION, "Policy"):
        yield f"is of {policy.api_version}, kind {policy.kind}; wanted is {API_VERSION}, kind Policy"
    if not policy.rules:
        yield "loaded illegal policy with 0 rules"
    for index, rule in enumerate(policy.rules):
        where = f"rules[{index}]"
        if rule.non_resource_urls and (rule.resources or rule.namespaces):
            yield f"{where}.nonResourceURLs: rules cannot apply to both regular resources and non-resource URLs"
        yield from _url_problems(f"{where}.nonResourceURLs", rule.non_resource_urls)
        for found in rule.resources:
            if found.group and not _GROUP.fullmatch(found.group):
                yield f"{where}.resources.group: Invalid value: {found.group!r}: must be the name of an API group"
            if found.resource_names and not found.resources:
                yield f"{where}.resources.resourceNames: using resourceNames requires at least one resource"


def _url_problems(where: str, urls: Sequence[str]) -> Iterator[str]:
    for index, url in enumerate(urls):
        if url == "*":
            continue
        if not url.startswith("/"):
            yield f"{where}[{index}]: {url!r}: non-resource URL rules must begin with a '/' character"
        if "*" in url[:-1]:
            yield f"{where}[{index}]: {url!r}: non-resource URL wildcards '*' must be the final character of the rule"


def _path_fits(path: str, pattern: str) -> bool:
    return pattern in {"*", path} or (pattern.endswith("*") and path.startswith(pattern.rstrip("*")))
