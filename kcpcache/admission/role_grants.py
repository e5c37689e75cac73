"""Roles and bindings give nothing that their writer does not hold, unless he may ``escalate`` or ``bind``.

After kube's ``policybased`` storages of rbac.authorization.k8s.io.
"""

from collections.abc import Iterable
from typing import Any

from kcpcache.admission.chain import MutateNothing, Request
from kcpcache.auth.attributes import Attributes
from kcpcache.auth.authorize import Authorizer
from kcpcache.auth.escalation import FULL_AUTHORITY, TooManyRightsError, escalation_text, missing_rights
from kcpcache.auth.rules import Rule, compile_rules
from kcpcache.meta.errors import forbidden, not_found
from kcpcache.meta.objects import CLUSTER_ANNOTATION, Object, nested

RBAC_GROUP = "rbac.authorization.k8s.io"
_OF_NO_MATTER = ("ownerReferences", "finalizers", "managedFields", "resourceVersion", "generation")
_NO_AGGREGATION = "must have cluster-admin privileges to use the aggregationRule"
_TOO_MANY = "its rules are too many to be compared with those that the user holds"


class _NoEscalation(MutateNothing):
    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    def _may(self, request: Request, verb: str, resource: str, name: str) -> bool:
        asked = request.attributes
        wanted = Attributes(
            user=asked.user,
            verb=verb,
            cluster=asked.cluster,
            group=RBAC_GROUP,
            version="*",
            resource=resource,
            namespace=asked.namespace,
            name=name,
        )
        return self._authorizer.authorize(wanted).allowed

    def _missing(self, request: Request, wanted: Iterable[Rule]) -> list[str]:
        """What the writer does not hold. Raises ForbiddenError where that cannot be found out."""
        asked = request.attributes
        held = self._authorizer.rules_held(asked.user, asked.cluster, asked.namespace)
        try:
            return missing_rights(held, wanted)
        except TooManyRightsError:
            raise forbidden(RBAC_GROUP, asked.resource, request.name, _TOO_MANY) from None

    def _require(self, request: Request, wanted: Iterable[Rule]) -> None:
        missing = self._missing(request, wanted)
        if missing:
            why = escalation_text(request.attributes.user, missing)
            raise forbidden(RBAC_GROUP, request.attributes.resource, request.name, why)


class RolesWithinOwnRights(_NoEscalation):
    """For roles and clusterroles."""

    async def validate(self, request: Request) -> None:
        """Raises ForbiddenError for rules that go beyond the writer's own; an aggregation rule can gather anything.

        A ClusterRole that stands before one of ``system:admin`` is only for those who hold that one's rights, whatever
        they do with it: where it goes, by whatever way, what is bound to its name gets them.
        """
        new, asked = request.new, request.attributes
        behind = self._authorizer.rules_behind(request.name) if asked.resource == "clusterroles" else None
        unchanged = new is None or _same_but_lifecycle(request.old, new)
        if asked.user.is_master or (unchanged and behind is None):
            return
        if self._may(request, "escalate", asked.resource, asked.name):
            return
        if behind is not None:
            self._require(request, behind)
        if new is None or unchanged:
            return
        self._require(request, compile_rules(new))
        aggregated = any(nested(role, "aggregationRule", "clusterRoleSelectors") for role in (new, request.old) if role)
        if aggregated and self._missing(request, FULL_AUTHORITY):
            raise forbidden(RBAC_GROUP, asked.resource, request.name, _NO_AGGREGATION)


class BindingsWithinOwnRights(_NoEscalation):
    """For rolebindings and clusterrolebindings."""

    async def validate(self, request: Request) -> None:
        """Raises ForbiddenError for a role that goes beyond the writer's rights, NotFoundError for one that is not."""
        new, asked = request.new, request.attributes
        if new is None or asked.user.is_master or _same_but_lifecycle(request.old, new):
            return
        kind, name = str(nested(new, "roleRef", "kind")), str(nested(new, "roleRef", "name"))
        plural = f"{kind.lower()}s"
        if self._may(request, "bind", plural, name):
            return
        rules = self._authorizer.rules_of_role(asked.cluster, asked.namespace, kind, name)
        if rules is None:
            raise not_found(RBAC_GROUP, plural, name)
        self._require(request, rules)


def _same_but_lifecycle(old: Object | None, new: Object) -> bool:
    """Whether nothing changes but what garbage collection needs to change."""
    return old is not None and _essence(old) == _essence(new)


def _essence(obj: Object) -> dict[str, Any]:
    meta = {key: value for key, value in obj["metadata"].items() if key not in _OF_NO_MATTER}
    annotations = {key: value for key, value in (meta.get("annotations") or {}).items() if key != CLUSTER_ANNOTATION}
    return {**obj, "metadata": {**meta, "annotations": annotations}}
