"""Who is asking: the user that authentication found, and the names that have a meaning of their own."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from kcpcache.meta.objects import Object

SYSTEM_MASTERS = "system:masters"
"""Members of this group may do everything, in all workspaces."""
SYSTEM_KCP_ADMIN = "system:kcp:admin"
"""Members are bound to cluster-admin in every workspace (bootstrap policy)."""
AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
ANONYMOUS_NAME = "system:anonymous"
SERVICE_ACCOUNTS = "system:serviceaccounts"
SERVICE_ACCOUNT_PREFIX = "system:serviceaccount:"

CLUSTER_NAME_EXTRA = "authentication.kcp.io/cluster-name"
"""The logical cluster that a ServiceAccount lives in."""
SCOPES_EXTRA = "authentication.kcp.io/scopes"
"""``cluster:<name>[,cluster:<name>…]``: where the user counts as itself. All values must hold."""


@dataclass(frozen=True, slots=True)
class User:
    """One authenticated (or anonymous) user, as ``user.Info`` of k8s.io/apiserver.

    ``fingerprint`` is equal for equal users and different for different ones: a short key for caches, whose
    hash Python computes once. ``is_master`` tells a member of system:masters whose power no scope limits.
    """

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    fingerprint: str = field(init=False, compare=False, repr=False)
    is_master: bool = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        extra = sorted(self.extra.items())
        object.__setattr__(self, "fingerprint", repr((self.name, self.uid, self.groups, extra)))
        object.__setattr__(self, "is_master", SYSTEM_MASTERS in self.groups and SCOPES_EXTRA not in self.extra)

    def to_user_info(self) -> Object:
        """``authentication/v1 UserInfo``: what reviews and annotations carry; empty fields are left out."""
        info: Object = {"username": self.name}
        if self.uid:
            info["uid"] = self.uid
        if self.groups:
            info["groups"] = list(self.groups)
        if self.extra:
            info["extra"] = {key: list(values) for key, values in self.extra.items()}
        return info


ANONYMOUS = User(ANONYMOUS_NAME, groups=(UNAUTHENTICATED,))
"""Whoever shows no credentials."""


def user_from_info(info: Mapping[str, Any]) -> User:
    """The inverse of ``User.to_user_info``; what is missing is empty."""
    extra = info.get("extra") or {}
    return User(
        info.get("username") or "",
        info.get("uid") or "",
        tuple(info.get("groups") or ()),
        {key: tuple(values) for key, values in extra.items()},
    )


def with_standard_group(user: User) -> User:
    """The user with system:authenticated, the anonymous one with system:unauthenticated, neither of them twice."""
    if AUTHENTICATED in user.groups or UNAUTHENTICATED in user.groups:
        return user
    group = UNAUTHENTICATED if user.name == ANONYMOUS_NAME else AUTHENTICATED
    return replace(user, groups=(*user.groups, group))


def unique(names: Iterable[str]) -> tuple[str, ...]:
    """Each name once, in the order of its first appearance."""
    return tuple(dict.fromkeys(names))


def service_account_of(name: str) -> tuple[str, str] | None:
    """Namespace and name in ``system:serviceaccount:<namespace>:<name>``; None for every other user name."""
    if not name.startswith(SERVICE_ACCOUNT_PREFIX):
        return None
    namespace, colon, account = name.removeprefix(SERVICE_ACCOUNT_PREFIX).partition(":")
    if not (namespace and colon and account) or ":" in account:
        return None
    return namespace, account


def service_account_groups(namespace: str) -> tuple[str, str]:
    """The groups of every ServiceAccount of the namespace."""
    return SERVICE_ACCOUNTS, f"{SERVICE_ACCOUNTS}:{namespace}"
