"""Which writes a webhook or policy is about: rules, selectors, and in which version it wants to see the object."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kcpcache.admission.chain import Request
from kcpcache.admission.expressions import Budget
from kcpcache.auth.attributes import Attributes
from kcpcache.meta.errors import not_found
from kcpcache.meta.names import GroupResource, GroupVersionResource, api_version
from kcpcache.meta.objects import Object, labels_of
from kcpcache.meta.selectors import LabelSelector, label_selector_of
from kcpcache.registry.conversion_webhook import object_in
from kcpcache.registry.lookup import Lookup
from kcpcache.registry.resource import ResourceDefinition, Scale, ServedVersion
from kcpcache.registry.scale import scale_of
from kcpcache.registry.serving import Serving

ALL: Final = "*"
NAMESPACES: Final = GroupVersionResource("", "v1", "namespaces")
ADMISSION_GROUP: Final = "admissionregistration.k8s.io"
_CONFIGURATIONS: Final = frozenset(
    GroupResource(ADMISSION_GROUP, f"{what}ing{plural}")
    for what in ("mutat", "validat")
    for plural in ("admissionpolicies", "admissionpolicybindings", "webhookconfigurations")
)


@dataclass(frozen=True, slots=True)
class Subject:
    """One write, with what its workspace says of the resource and of the namespace."""

    request: Request
    definition: ResourceDefinition
    version: ServedVersion
    namespace: Callable[[], Object | None]
    """The namespace's object, None for what is in none. Raises NotFoundError."""
    budget: Budget = field(default_factory=Budget)

    @property
    def is_namespace(self) -> bool:
        """Whether it is a namespace that is written."""
        return self.definition.group_resource == NAMESPACES.group_resource

    @property
    def in_namespace(self) -> bool:
        """Whether the object is in a namespace."""
        return self.definition.namespaced and bool(self.request.attributes.namespace)

    def namespace_labels(self) -> Mapping[str, str] | None:
        """What namespace selectors see: a namespace's own labels, and None for what has nothing to do with one."""
        request = self.request
        if self.is_namespace:
            obj = request.new if request.operation != "DELETE" else request.old
            return labels_of(obj) if obj is not None else {}
        found = self.namespace()
        return None if found is None else labels_of(found)

    def scale(self, version: str) -> Scale | None:
        """Where a version has its replicas, if it is a Scale that is written."""
        served = self.definition.version(version) if self.request.attributes.subresource == "scale" else None
        return served.scale if served is not None else None

    async def in_version(self, version: str) -> tuple[Object | None, Object | None]:
        """``new`` and ``old`` in a version of the resource, or as Scales; not copies where they are in it already."""
        return await self._shown(self.request.new, version), await self._shown(self.request.old, version)

    async def _shown(self, obj: Object | None, version: str) -> Object | None:
        if obj is None:
            return None
        found = await object_in(self.definition, obj, api_version(self.definition.group, version))
        paths = self.scale(version)
        return found if paths is None else scale_of(found, paths)


class Subjects:
    """Makes subjects of requests."""

    def __init__(self, lookup: Lookup, serving: Serving) -> None:
        self._lookup, self._serving = lookup, serving

    def judge(self, attributes: Attributes) -> str:
        """The logical cluster whose webhooks and policies judge a write: of what is bound the provider's, as in kcp."""
        resources = self._serving.snapshot(attributes.cluster).resources
        found = resources.get(GroupResource(attributes.group, attributes.resource))
        return attributes.cluster if found is None or found.bound is None else found.bound.cluster

    def of(self, request: Request) -> Subject | None:
        """The subject; None for the configurations of admission themselves, which nothing may lock, and reviews."""
        attributes = request.attributes
        if GroupResource(attributes.group, attributes.resource) in _CONFIGURATIONS:
            return None
        snapshot = self._serving.snapshot(attributes.cluster)
        found = snapshot.find(attributes.group, attributes.version, attributes.resource)
        if found is None:
            return None
        definition, version = found[0].definition, found[1]

        def namespace() -> Object | None:
            if not definition.namespaced or not attributes.namespace:
                return None
            obj = self._lookup.get(NAMESPACES, attributes.cluster, attributes.namespace)
            if obj is None:
                raise not_found("", "namespaces", attributes.namespace)
            return obj

        return Subject(request, definition, version, namespace)


@dataclass(frozen=True, slots=True)
class Rule:
    """A ``NamedRuleWithOperations``, compiled."""

    operations: frozenset[str]
    groups: frozenset[str]
    versions: frozenset[str]
    resources: frozenset[str]
    scope: str
    names: frozenset[str]

    def matches(self, subject: Subject, version: str) -> bool:
        """Whether the rule is about this write, seen as one of ``version``."""
        request = subject.request
        attributes = request.attributes
        return (
            _has(self.operations, request.operation)
            and _has(self.groups, attributes.group)
            and _has(self.versions, version)
            and self._has_resource(attributes.resource, attributes.subresource)
            and self._has_scope(subject)
            and (not self.names or request.name in self.names)
        )

    def _has_resource(self, resource: str, subresource: str) -> bool:
        wanted: tuple[str, ...]
        if subresource:
            wanted = (f"{resource}/{subresource}", f"{resource}/*", f"*/{subresource}", "*/*")
        else:
            wanted = (resource, ALL, "*/*")
        return any(name in self.resources for name in wanted)

    def _has_scope(self, subject: Subject) -> bool:
        if self.scope == ALL:
            return True
        return subject.in_namespace == (self.scope == "Namespaced")


def _has(names: frozenset[str], name: str) -> bool:
    return ALL in names or name in names


def rule_of(rule: Mapping[str, Any]) -> Rule:
    """The compiled form of a rule of a webhook or policy."""
    return Rule(
        frozenset(rule.get("operations") or ()),
        frozenset(rule.get("apiGroups") or ()),
        frozenset(rule.get("apiVersions") or ()),
        frozenset(rule.get("resources") or ()),
        rule.get("scope") or ALL,
        frozenset(rule.get("resourceNames") or ()),
    )


@dataclass(frozen=True, slots=True)
class Match:
    """``MatchResources``, and the like of webhooks, compiled. ``rules`` None: all that something else lets through."""

    rules: tuple[Rule, ...] | None
    excluded: tuple[Rule, ...] = ()
    equivalent: bool = True
    namespaces: LabelSelector = field(default_factory=LabelSelector)
    objects: LabelSelector = field(default_factory=LabelSelector)

    def version(self, subject: Subject) -> str | None:
        """The version in which the object is wanted; None where the write is not matched.

        Raises NotFoundError where the namespace, on whose labels it depends, is not there.
        """
        found = self._version(subject)
        if found is None or not self._selects_namespace(subject) or not self._selects_object(subject.request):
            return None
        return found

    def _version(self, subject: Subject) -> str | None:
        asked = subject.request.attributes.version
        versions = [asked]
        if self.equivalent:
            versions += [v.name for v in subject.definition.versions if v.served and v.name != asked]
        if any(rule.matches(subject, version) for rule in self.excluded for version in versions):
            return None
        if self.rules is None:
            return asked
        return next((v for v in versions if any(rule.matches(subject, v) for rule in self.rules)), None)

    def _selects_namespace(self, subject: Subject) -> bool:
        if not self.namespaces:
            return True
        labels = subject.namespace_labels()
        return labels is None or self.namespaces.matches(labels)

    def _selects_object(self, request: Request) -> bool:
        if not self.objects:
            return True
        return any(self.objects.matches(labels_of(obj)) for obj in (request.new, request.old) if obj is not None)


def match_of(holder: Mapping[str, Any], rules: Iterable[Mapping[str, Any]] | None) -> Match:
    """The compiled form of ``MatchResources`` or of a webhook, whose rules stand elsewhere."""
    return Match(
        None if rules is None else tuple(rule_of(rule) for rule in rules),
        tuple(rule_of(rule) for rule in holder.get("excludeResourceRules") or ()),
        holder.get("matchPolicy") != "Exact",
        label_selector_of(holder.get("namespaceSelector")),
        label_selector_of(holder.get("objectSelector")),
    )
