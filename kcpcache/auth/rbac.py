"""RBAC of one logical cluster, and of ``system:admin`` behind it: compiled once, decisions remembered.

Matching follows kube-apiserver's RBAC authorizer. Everything here runs on the event loop and never waits.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol

from kcpcache.auth.attributes import Attributes, Decision
from kcpcache.auth.rules import Rule, compile_rules
from kcpcache.auth.subjects import Subjects, subjects_in
from kcpcache.auth.user import User
from kcpcache.meta.objects import Object, name_of

SYSTEM_ADMIN_CLUSTER = "system:admin"
"""Its ClusterRoles can be referenced from everywhere, its ClusterRoleBindings count everywhere."""

DENIED = Decision(False)
_DECISIONS_PER_CLUSTER = 4096
_DECISIONS = 65536
LONGEST_REMEMBERED = 2048
"""Characters of what a decision was asked with: reviews may ask with names of megabytes, each time with another."""
_CLUSTER_ROLE = "ClusterRole"


class RbacSource(Protocol):
    """Where the RBAC objects come from: memory, at once, plain dicts that nobody changes in place.

    Whoever implements it calls ``Rbac.invalidate(cluster)`` after every change.
    """

    def cluster_roles(self, cluster: str) -> Iterable[Object]:
        """All ClusterRoles of the logical cluster."""
        ...

    def cluster_role_bindings(self, cluster: str) -> Iterable[Object]:
        """All ClusterRoleBindings of the logical cluster."""
        ...

    def role_bindings(self, cluster: str, namespace: str) -> Iterable[Object]:
        """All RoleBindings of the namespace."""
        ...

    def role(self, cluster: str, namespace: str, name: str) -> Object | None:
        """One Role, or None."""
        ...

    def cluster_role(self, cluster: str, name: str) -> Object | None:
        """One ClusterRole, or None."""
        ...


class _Grant:
    """What one binding gives to one of its subjects. ``missing`` says that there is no such role."""

    __slots__ = ("decision", "missing", "rules")

    def __init__(self, rules: tuple[Rule, ...] | None, binding: str, role: str, subject: str) -> None:
        self.rules = rules or ()
        self.decision = Decision(True, f"RBAC: allowed by {binding} of {role} to {subject}")
        kind, _, name = role.partition(" ")
        self.missing = "" if rules is not None else f"{kind.lower()}.rbac.authorization.k8s.io {name} not found"


class _Bindings:
    """Grants by who gets them."""

    __slots__ = ("accounts", "groups", "users")

    def __init__(self) -> None:
        self.users: dict[str, list[_Grant]] = {}
        self.groups: dict[str, list[_Grant]] = {}
        self.accounts: dict[tuple[str, str], list[_Grant]] = {}

    def __bool__(self) -> bool:
        return bool(self.users or self.groups or self.accounts)

    def to(self, names: Iterable[str], groups: Iterable[str], account: tuple[str, str] | None) -> Iterator[_Grant]:
        for name in names:
            yield from self.users.get(name, ())
        for group in groups:
            yield from self.groups.get(group, ())
        if account is not None:
            yield from self.accounts.get(account, ())


class _Policy:
    """One logical cluster's bindings, and the decisions that were made from them."""

    __slots__ = ("cluster_wide", "decisions", "namespaces", "roles")

    def __init__(self) -> None:
        self.cluster_wide = _Bindings()
        self.namespaces: dict[str, _Bindings] = {}
        self.roles: dict[str, tuple[Rule, ...] | None] = {}
        self.decisions: dict[tuple[str | bool, ...], Decision] = {}


class Rbac:
    """Decides by the Roles and bindings of ``source``.

    A decision is remembered until ``invalidate``. At most 65,536 are, and at most 4,096 of one cluster, so that
    nobody can fill the memory, nor one tenant's requests push out all others' decisions for long; none that was asked
    with more than 2,048 characters.
    """

    def __init__(self, source: RbacSource) -> None:
        self._source = source
        self._policies: dict[str, _Policy] = {}
        self._decisions = 0

    def invalidate(self, cluster: str) -> None:
        """Forget what was compiled and decided for the cluster; for ``system:admin``, for all clusters."""
        if cluster == SYSTEM_ADMIN_CLUSTER:
            self._policies.clear()
            self._decisions = 0
        elif (policy := self._policies.pop(cluster, None)) is not None:
            self._decisions -= len(policy.decisions)

    def allows(self, user: User, attributes: Attributes, cluster: str = "") -> Decision:
        """Whether some rule that ``user`` has in ``cluster`` (default: the attributes' own) allows it.

        ``user`` need not be the attributes' one. A right to all names is remembered without the name, so that the
        memory of decisions does not grow with the number of objects.
        """
        cluster = cluster or attributes.cluster
        policy = self._policies.get(cluster) or self._compile(cluster)
        key: tuple[str | bool, ...] = (
            user.fingerprint,
            attributes.verb,
            attributes.group,
            attributes.resource,
            attributes.subresource,
            attributes.namespace,
            attributes.path,
            attributes.is_resource,
        )
        decision = policy.decisions.get(key)
        if decision is None:
            decision = self._remember(policy, key, self._decide(policy, cluster, user, attributes, ""))
        if decision.allowed or not attributes.name:
            return decision
        key = (*key, attributes.name)
        named = policy.decisions.get(key)
        if named is None:
            named = self._decide(policy, cluster, user, attributes, attributes.name)
            named = self._remember(policy, key, named)
        return named

    def rules_held(self, user: User, cluster: str, namespace: str = "") -> tuple[Rule, ...]:
        """The rules that the user has in the cluster (and namespace), each once."""
        policy = self._policies.get(cluster) or self._compile(cluster)
        seen = subjects_in(user, cluster)
        rules = (rule for grant in self._grants(policy, cluster, seen, namespace) for rule in grant.rules)
        return tuple({id(rule): rule for rule in rules}.values())

    def rules_of_role(self, cluster: str, namespace: str, kind: str, name: str) -> tuple[Rule, ...] | None:
        """What a binding in the cluster (and namespace) to a role gives, now or later; None where there is none.

        That is also what the role of ``system:admin`` gives that a ClusterRole of the cluster's own stands before.
        """
        if kind != _CLUSTER_ROLE:
            role = self._source.role(cluster, namespace, name)
            return None if role is None else compile_rules(role)
        own, shared = self._source.cluster_role(cluster, name), self.rules_behind(name)
        return shared if own is None else (*compile_rules(own), *(shared or ()))

    def rules_behind(self, name: str) -> tuple[Rule, ...] | None:
        """The rules of ``system:admin``'s ClusterRole, in force where there is no other of its name; None without."""
        role = self._source.cluster_role(SYSTEM_ADMIN_CLUSTER, name)
        return None if role is None else compile_rules(role)

    def _remember(self, policy: _Policy, key: tuple[str | bool, ...], decision: Decision) -> Decision:
        if sum(len(part) for part in key if isinstance(part, str)) > LONGEST_REMEMBERED:
            return decision
        if self._decisions >= _DECISIONS:
            for other in self._policies.values():
                other.decisions.clear()
            self._decisions = 0
        elif len(policy.decisions) >= _DECISIONS_PER_CLUSTER:
            self._decisions -= len(policy.decisions)
            policy.decisions.clear()
        policy.decisions[key] = decision
        self._decisions += 1
        return decision

    def _decide(self, policy: _Policy, cluster: str, user: User, attributes: Attributes, name: str) -> Decision:
        missing: dict[str, None] = {}
        seen = subjects_in(user, cluster)
        for grant in self._grants(policy, cluster, seen, attributes.namespace):
            for rule in grant.rules:
                if rule.allows(attributes, name):
                    return grant.decision
            if grant.missing:
                missing[grant.missing] = None
        return Decision(False, f"RBAC: {', '.join(missing)}") if missing else DENIED

    def _grants(self, policy: _Policy, cluster: str, seen: Subjects, namespace: str) -> Iterator[_Grant]:
        if cluster != SYSTEM_ADMIN_CLUSTER:
            # A ServiceAccount that a system:admin binding names is system:admin's, not this cluster's namesake.
            yield from self._system_admin().cluster_wide.to(seen.global_names, seen.groups, None)
        yield from policy.cluster_wide.to(seen.names, seen.groups, seen.service_account)
        if namespace:
            bindings = policy.namespaces.get(namespace)
            if bindings is None:
                bindings = self._compile_namespace(policy, cluster, namespace)
            yield from bindings.to(seen.names, seen.groups, seen.service_account)

    def _system_admin(self) -> _Policy:
        return self._policies.get(SYSTEM_ADMIN_CLUSTER) or self._compile(SYSTEM_ADMIN_CLUSTER)

    def _compile(self, cluster: str) -> _Policy:
        policy = _Policy()
        for binding in self._source.cluster_role_bindings(cluster):
            name = binding["roleRef"]["name"]
            rules = self._cluster_role(policy, cluster, name)
            text = f'ClusterRoleBinding "{name_of(binding)}"'
            _add(policy.cluster_wide, binding, rules, text, "")
        self._policies[cluster] = policy  # only when it is whole
        return policy

    def _compile_namespace(self, policy: _Policy, cluster: str, namespace: str) -> _Bindings:
        bindings = _Bindings()
        for binding in self._source.role_bindings(cluster, namespace):
            reference = binding["roleRef"]
            if reference["kind"] == _CLUSTER_ROLE:
                rules = self._cluster_role(policy, cluster, reference["name"])
            else:
                role = self._source.role(cluster, namespace, reference["name"])
                rules = None if role is None else compile_rules(role)
            text = f'RoleBinding "{name_of(binding)}/{namespace}"'
            _add(bindings, binding, rules, text, namespace)
        if bindings:  # anybody can ask for namespaces that are not there: those are not kept
            policy.namespaces[namespace] = bindings
        return bindings

    def _cluster_role(self, policy: _Policy, cluster: str, name: str) -> tuple[Rule, ...] | None:
        """The cluster's own role of that name, else ``system:admin``'s, whose compiled rules all clusters share."""
        if name not in policy.roles:
            role = self._source.cluster_role(cluster, name)
            if role is not None:
                policy.roles[name] = compile_rules(role)
            elif cluster == SYSTEM_ADMIN_CLUSTER:
                policy.roles[name] = None
            else:
                policy.roles[name] = self._cluster_role(self._system_admin(), SYSTEM_ADMIN_CLUSTER, name)
        return policy.roles[name]


def _add(bindings: _Bindings, binding: Object, rules: tuple[Rule, ...] | None, text: str, namespace: str) -> None:
    role = f'{binding["roleRef"]["kind"]} "{binding["roleRef"]["name"]}"'
    for subject in binding.get("subjects") or ():
        kind, name = subject.get("kind"), subject.get("name", "")
        if kind == "ServiceAccount":
            home = subject.get("namespace") or namespace
            grant = _Grant(rules, text, role, f'{kind} "{name}/{home}"')
            if home:
                bindings.accounts.setdefault((home, name), []).append(grant)
        elif kind in {"User", "Group"}:
            index = bindings.users if kind == "User" else bindings.groups
            index.setdefault(name, []).append(_Grant(rules, text, role, f'{kind} "{name}"'))
