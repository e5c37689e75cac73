"""What an APIBinding lets its APIExport see and do in its workspace: bound resources, and permission claims accepted.

Pure functions of APIBinding objects. A claim counts as far as both say: ``spec``, which the workspace's users write (so
that what they take back is gone at once), and ``status``, where the server has found what the export asks for.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from kcpcache.meta.names import GroupResource
from kcpcache.meta.objects import Object, nested
from kcpcache.meta.selectors import EVERYTHING, LabelSelector, label_selector_of

Name: TypeAlias = tuple[str, str]
"""Logical cluster and name of an object."""
Scope: TypeAlias = tuple[LabelSelector, ...]
"""Which objects of a resource are seen: those that one of the selectors matches. None for ()."""
ALL: Scope = (EVERYTHING,)
ANY_VERB = "*"


class ClaimKey(NamedTuple):
    """A resource as a permission claim names it; the identity hash of what is built in is ""."""

    resource: GroupResource
    identity_hash: str


@dataclass(frozen=True, slots=True)
class Claim:
    """An accepted permission claim: the verbs that both sides name, and what it selects.

    ``labels`` are the selector's ``matchLabels``: what is created through the claim gets them.
    """

    verbs: frozenset[str]
    selector: LabelSelector
    labels: tuple[tuple[str, str], ...]

    def allows(self, verb: str) -> bool:
        """Whether the verb was granted."""
        return ANY_VERB in self.verbs or verb in self.verbs


@dataclass(frozen=True, eq=False)
class Grant:
    """One APIBinding that is bound. ``resources`` are bound, each with the identity hash of its objects."""

    export: Name
    resources: frozenset[ClaimKey]
    claims: Mapping[ClaimKey, Claim]

    @property
    def content(self) -> tuple[object, ...]:
        """Equal for grants that say the same."""
        return (self.export, self.resources, tuple(sorted(self.claims.items(), key=lambda item: item[0])))


def grant_of(binding: Object) -> Grant | None:
    """What an APIBinding (v1alpha2) grants; None where it is not bound.

    One that is being deleted grants what it did: its objects go first, and the provider's controllers have finalizers
    to remove.
    """
    status = binding.get("status") or {}
    export = (str(status.get("apiExportClusterName") or ""), nested(binding, "spec", "reference", "export", "name"))
    if status.get("phase") != "Bound" or not all(export):
        return None
    resources = frozenset(
        ClaimKey(GroupResource(bound.get("group") or "", bound["resource"]), bound["schema"]["identityHash"])
        for bound in status.get("boundResources") or ()
    )
    accepted = {
        claim_key(claim): claim_of(claim)
        for claim in nested(binding, "spec", "permissionClaims") or ()
        if claim.get("state") == "Accepted"
    }
    claims = {}
    for applied in status.get("appliedPermissionClaims") or ():
        key = claim_key(applied)
        if key in accepted:
            claims[key] = _both(accepted[key], claim_of(applied))
    return Grant((export[0], str(export[1])), resources, claims)


def claim_key(claim: Object) -> ClaimKey:
    """The resource of an entry of ``permissionClaims``."""
    resource = GroupResource(claim.get("group") or "", str(claim.get("resource") or ""))
    return ClaimKey(resource, claim.get("identityHash") or "")


def claim_of(claim: Object) -> Claim:
    """What an entry of ``permissionClaims`` allows, taken by itself."""
    selector = claim.get("selector") or {}
    labels = tuple(sorted((selector.get("matchLabels") or {}).items()))
    return Claim(frozenset(claim.get("verbs") or ()), label_selector_of(selector), labels)


def _both(one: Claim, other: Claim) -> Claim:
    requirements = dict.fromkeys((*one.selector.requirements, *other.selector.requirements))
    selector, labels = LabelSelector(tuple(requirements)), tuple(sorted({*one.labels, *other.labels}))
    return Claim(common_verbs(one.verbs, other.verbs), selector, labels)


def common_verbs(one: frozenset[str], other: frozenset[str]) -> frozenset[str]:
    """The verbs of both; ``*`` on either side stands for all of the other's."""
    if ANY_VERB in one:
        return other
    return one if ANY_VERB in other else one & other


@dataclass(frozen=True, slots=True)
class Sight:
    """One resource as an APIExport sees it: ``claimed``, or exported by itself; and the verb that it is asked for."""

    key: ClaimKey
    claimed: bool
    verb: str

    def scope(self, grants: Iterable[Grant]) -> Scope:
        """What the grants of one workspace let the export see together; without doubles, so that equals are equal."""
        if not self.claimed:
            return ALL if any(self.key in grant.resources for grant in grants) else ()
        found = dict.fromkeys(claim.selector for claim in self.claims(grants))
        return ALL if EVERYTHING in found else tuple(found)

    def claims(self, grants: Iterable[Grant]) -> list[Claim]:
        """The claims that allow the verb."""
        claims = (grant.claims.get(self.key) for grant in grants)
        return [claim for claim in claims if claim is not None and claim.allows(self.verb)]


def admits(scope: Scope, labels: Mapping[str, str]) -> bool:
    """Whether an object with these labels is in scope."""
    return any(selector.matches(labels) for selector in scope)
