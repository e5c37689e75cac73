"""May he: the order in which a request is judged, and the text of a refusal."""

from collections.abc import Iterable, Mapping
from typing import Literal, Protocol

import orjson

from kcpcache.auth.attributes import ALL_CLUSTERS, Attributes, Decision
from kcpcache.auth.limited_rules import LimitedRules, limit_rules
from kcpcache.auth.rbac import DENIED, LONGEST_REMEMBERED, Rbac
from kcpcache.auth.rules import Rule
from kcpcache.auth.subjects import binding_user, is_service_account_of, subjects_in
from kcpcache.auth.user import ANONYMOUS, SYSTEM_KCP_ADMIN, User, service_account_of
from kcpcache.meta.errors import ForbiddenError, forbidden
from kcpcache.meta.names import GroupResource
from kcpcache.meta.objects import Object

WorkspaceState = Literal["missing", "system", "scheduling", "initializing", "ready", "unavailable", "deleting"]
"""A LogicalCluster's phase in lower case; ``missing`` where there is none, ``system`` for what is no workspace."""

PUBLIC_PATHS = frozenset({"/healthz", "/livez", "/readyz", "/version"})
"""What everybody may read, with all that is below (kubernetes-api §6)."""
PUBLIC_RULE: Object = {
    "verbs": ["get", "head"],
    "nonResourceURLs": [path for public in sorted(PUBLIC_PATHS) for path in (public, f"{public}/*")],
}
"""The same as a rule."""
ACCESS_VERB, ACCESS_PATH = "access", "/"
"""The right to enter a workspace at all, in ClusterRole system:kcp:workspace:access."""
ACCESS_DENIED = "access denied"
POLICY_DENIED = "access not permitted by maximal permission policy"

_ENTERABLE = frozenset({"initializing", "ready"})
_MASTER = Decision(True, "system:masters")
_PUBLIC = Decision(True, "public path")
_NO_ACCESS = Decision(False, ACCESS_DENIED)
_NO_WILDCARD = Decision(False, "only system:masters may see all workspaces at once")
_BEYOND_POLICY = Decision(False, POLICY_DENIED)
_ENTER = Attributes(user=ANONYMOUS, verb=ACCESS_VERB, cluster="", path=ACCESS_PATH, is_resource=False)
_BINDING_USERS = 4096


class WorkspaceGate(Protocol):
    """What is known of logical clusters; asked on every request, so it answers from memory at once."""

    def state(self, cluster: str) -> WorkspaceState:
        """The state of the logical cluster of that name. Only ``initializing`` and ``ready`` let anybody in.

        System clusters are for system:masters alone (as in kcp): who could write there could grant rights everywhere.

        A LogicalCluster that is being deleted and still has content stays ``ready`` as long as its phase is, so that
        its users can remove their finalizers; ``deleting`` is one that nobody shall enter any more.
        """
        ...

    def required_groups(self, cluster: str) -> tuple[frozenset[str], ...]:
        """Sets of groups, of one of which a user must be in all to enter; empty where nothing is required."""
        ...


class MaximalPermissionPolicy(Protocol):
    """Which exports limit what their consumers may do; asked on every request, so from memory and at once."""

    def provider(self, cluster: str, group: str, resource: str) -> str | None:
        """The provider's logical cluster where ``resource`` is bound from an APIExport with a local policy.

        None for what is not bound, and for exports without a policy.
        """
        ...

    def served(self, cluster: str) -> Mapping[GroupResource, Iterable[str]]:
        """All resources of the logical cluster, with the names of their subresources."""
        ...


class Authorizer:
    """Decides on requests: system:masters, public paths, the workspace's gate, access, RBAC, export's policy."""

    def __init__(self, rbac: Rbac, workspaces: WorkspaceGate, policies: MaximalPermissionPolicy | None = None) -> None:
        self._rbac = rbac
        self._workspaces = workspaces
        self._policies = policies
        self._binding_users: dict[tuple[str, str, str], User] = {}

    def authorize(self, attributes: Attributes) -> Decision:
        """The decision on one request; nothing is raised, see ``forbid`` for the refusal."""
        user, cluster = attributes.user, attributes.cluster
        if user.is_master:
            return _MASTER
        if not attributes.is_resource and _is_public(attributes):
            return _PUBLIC
        if cluster == ALL_CLUSTERS:
            return _NO_WILDCARD
        if self._workspaces.state(cluster) not in _ENTERABLE or not self._may_enter(user, cluster):
            return _NO_ACCESS
        decision = self._rbac.allows(user, attributes)
        if decision.allowed and attributes.is_resource and self._policies is not None:
            provider = self._policies.provider(cluster, attributes.group, attributes.resource)
            if provider is not None:
                limit = self._rbac.allows(self._binding_user(user, cluster, provider), attributes, provider)
                return decision if limit.allowed else _BEYOND_POLICY
        return decision

    def authorize_reference(self, attributes: Attributes) -> Decision:
        """Like ``authorize``, for what can be used without entering the workspace that it is in.

        That is: ``bind`` on an APIExport, ``use`` and ``initialize`` on a WorkspaceType, ``apiexports/content``.
        The workspace must be there, and its RBAC decides; access and policies do not matter. A workspace that is not
        there is refused like one that grants nothing: whoever may not enter it does not learn which it is.
        """
        if attributes.user.is_master:
            return _MASTER
        if attributes.cluster == ALL_CLUSTERS:
            return _NO_WILDCARD
        if self._workspaces.state(attributes.cluster) not in _ENTERABLE:
            return DENIED
        return self._rbac.allows(attributes.user, attributes)

    def authorize_by_policy(self, attributes: Attributes, provider: str) -> Decision:
        """Whether the maximal permission policy in ``provider``, of a resource bound from there, allows a request.

        For those who come to a workspace's objects by another way than its RBAC: through a permission claim.
        """
        if attributes.user.is_master:
            return _MASTER
        user = self._binding_user(attributes.user, attributes.cluster, provider)
        limit = self._rbac.allows(user, attributes, provider)
        return limit if limit.allowed else _BEYOND_POLICY

    def rules_for(self, user: User, cluster: str, namespace: str) -> LimitedRules:
        """What ``authorize`` allows the user in the namespace and in the cluster, written as rules.

        Without access that is only what is public. Policies of exports are taken into account.
        """
        if user.is_master:
            everything = [
                {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
                {"verbs": ["*"], "nonResourceURLs": ["*"]},
            ]
            return LimitedRules(everything, complete=True)
        if self._workspaces.state(cluster) not in _ENTERABLE or not self._may_enter(user, cluster):
            return LimitedRules([PUBLIC_RULE], complete=True)
        found = self._limited(user, cluster, namespace)
        return found._replace(rules=[*found.rules, PUBLIC_RULE])

    def _limited(self, user: User, cluster: str, namespace: str) -> LimitedRules:
        everywhere = set(self._rbac.rules_held(user, cluster))
        # A RoleBinding gives no paths, whatever its ClusterRole says: they are in no namespace.
        held = [
            rule for rule in self._rbac.rules_held(user, cluster, namespace) if rule.resources or rule in everywhere
        ]
        if self._policies is None:
            return limit_rules(held, {}, {})
        served, limits = self._policies.served(cluster), {}
        for key in served:
            provider = self._policies.provider(cluster, *key)
            if provider is not None:
                limiting = self._binding_user(user, cluster, provider)
                limits[key] = self._rbac.rules_held(limiting, provider, namespace)
        return limit_rules(held, limits, served)

    def rules_held(self, user: User, cluster: str, namespace: str) -> tuple[Rule, ...]:
        """The user's rules as RBAC has them: what there is to hand on."""
        return self._rbac.rules_held(user, cluster, namespace)

    def rules_of_role(self, cluster: str, namespace: str, kind: str, name: str) -> tuple[Rule, ...] | None:
        """What a binding there to the Role or ClusterRole gives, now or later; None where there is no such role."""
        return self._rbac.rules_of_role(cluster, namespace, kind, name)

    def rules_behind(self, name: str) -> tuple[Rule, ...] | None:
        """The rules of the ClusterRole of that name which all clusters share; None where there is none."""
        return self._rbac.rules_behind(name)

    def _may_enter(self, user: User, cluster: str) -> bool:
        required = self._workspaces.required_groups(cluster)
        if required and not _has_required(user, cluster, required):
            return False
        return self._rbac.allows(user, _ENTER, cluster).allowed or is_service_account_of(user, cluster)

    def _binding_user(self, user: User, cluster: str, provider: str) -> User:
        key = (user.fingerprint, cluster, provider)
        found = self._binding_users.get(key)
        if found is None:
            found = binding_user(user, cluster, provider)
            if len(self._binding_users) >= _BINDING_USERS:
                self._binding_users.clear()
            if len(user.fingerprint) <= LONGEST_REMEMBERED:
                self._binding_users[key] = found
        return found


def forbid(attributes: Attributes, decision: Decision) -> ForbiddenError:
    """The 403 for a denied request, in kube-apiserver's words."""
    user = _quoted(attributes.user.name)
    why = f": {decision.reason}" if decision.reason else ""
    if not attributes.is_resource:
        path = _quoted(attributes.path)
        return ForbiddenError(f"forbidden: User {user} cannot {attributes.verb} path {path}{why}")
    resource = attributes.resource
    if attributes.subresource:
        resource = f"{resource}/{attributes.subresource}"
    where = f"in the namespace {_quoted(attributes.namespace)}" if attributes.namespace else "at the cluster scope"
    what = f"cannot {attributes.verb} resource {_quoted(resource)} in API group {_quoted(attributes.group)}"
    return forbidden(attributes.group, attributes.resource, attributes.name, f"User {user} {what} {where}{why}")


def _has_required(user: User, cluster: str, required: Iterable[frozenset[str]]) -> bool:
    """ServiceAccounts are of no groups that could be required, and administrators of all workspaces are let in."""
    groups = set(subjects_in(user, cluster).groups)
    if service_account_of(user.name) is not None or SYSTEM_KCP_ADMIN in groups:
        return True
    return any(wanted <= groups for wanted in required)


def _is_public(attributes: Attributes) -> bool:
    path = attributes.path
    if attributes.verb not in {"get", "head"} or len(path) < len("/livez"):
        return False
    end = path.find("/", 1)
    return (path if end < 0 else path[:end]) in PUBLIC_PATHS


def _quoted(text: str) -> str:
    return orjson.dumps(text).decode()
