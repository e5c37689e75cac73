"""As whom a logical cluster's RBAC meets a user: what crosses from one workspace to another, and what does not."""

from collections.abc import Iterable
from dataclasses import replace

import msgspec

from kcpcache.auth.user import (
    ANONYMOUS_NAME,
    AUTHENTICATED,
    CLUSTER_NAME_EXTRA,
    SCOPES_EXTRA,
    UNAUTHENTICATED,
    User,
    service_account_of,
)

BINDING_PREFIX = "apis.kcp.io:binding:"
"""Before user and group names in the bindings of a maximal permission policy."""
CLUSTER_GROUP_PREFIX = "system:cluster:"
"""Before a logical cluster's name: the group of those who are at home there, as all other clusters see them."""
_CLUSTER_SCOPE = "cluster:"


class Subjects(msgspec.Struct, frozen=True, gc=False):
    """What the subjects of a binding are compared with.

    ``service_account`` (namespace, name) is set only for an account of the very cluster. ``global_names`` are the
    names among ``names`` that mean the same user in every cluster: those that ``system:admin``'s bindings see.
    """

    names: tuple[str, ...]
    groups: tuple[str, ...]
    service_account: tuple[str, str] | None
    global_names: tuple[str, ...]


def subjects_in(user: User, cluster: str) -> Subjects:
    """The user as seen in ``cluster``.

    Outside its scopes a user is anonymous, yet authenticated if it was, and of ``system:cluster:<each scope>``. A
    ServiceAccount of another cluster is ``system:kcp:serviceaccount:<cluster>:<namespace>:<name>``, and of no other
    groups than ``system:authenticated`` and ``system:cluster:<cluster>`` (as in kcp).
    """
    if (nobody := _out_of_scope(user, cluster)) is not None:
        return nobody
    account = service_account_of(user.name)
    if account is None:
        return Subjects((user.name,), user.groups, None, (user.name,))
    home = user.extra.get(CLUSTER_NAME_EXTRA, ())
    if not home:
        return Subjects((user.name,), user.groups, account, ())
    alias = global_service_account_name(home[0], *account)
    if home == (cluster,):
        return Subjects((user.name, alias), user.groups, account, (alias,))
    return Subjects((alias,), _groups_from(user, home[:1]), None, (alias,))


def is_service_account_of(user: User, cluster: str) -> bool:
    """Whether the user is a ServiceAccount that certainly lives in ``cluster``: its token said so."""
    return user.extra.get(CLUSTER_NAME_EXTRA) == (cluster,) and (subjects_in(user, cluster).service_account is not None)


def with_home(user: User, cluster: str) -> User:
    """A ServiceAccount of which only the name was given, as the one of ``cluster``; any other user as it is."""
    if service_account_of(user.name) is None or CLUSTER_NAME_EXTRA in user.extra:
        return user
    return replace(user, extra={**user.extra, CLUSTER_NAME_EXTRA: (cluster,)})


def global_service_account_name(cluster: str, namespace: str, name: str) -> str:
    """The name by which a ServiceAccount is known outside its logical cluster."""
    return f"system:kcp:serviceaccount:{cluster}:{namespace}:{name}"


def global_name(user: User) -> str:
    """The name that means this user in every logical cluster: what a binding in another one must say."""
    account, home = service_account_of(user.name), user.extra.get(CLUSTER_NAME_EXTRA)
    return global_service_account_name(home[0], *account) if account and home else user.name


def binding_user(user: User, consumer: str, provider: str) -> User:
    """The user as a maximal permission policy in ``provider`` sees it: name and groups behind ``apis.kcp.io:binding:``.

    What it is in ``consumer`` counts, and a ServiceAccount goes by its global name, so that two consumers'
    accounts of one name are two. Whoever has scopes is impersonated, perhaps by the consumer's own administrator, and
    is nobody in particular where the policy is: else the consumer would choose what limits it.
    """
    seen = _out_of_scope(user, provider) or subjects_in(user, consumer)
    name = seen.names[-1]
    if seen.service_account and not seen.global_names:
        name = global_service_account_name(consumer, *seen.service_account)
    return User(BINDING_PREFIX + name, groups=tuple(BINDING_PREFIX + group for group in seen.groups))


def _out_of_scope(user: User, cluster: str) -> Subjects | None:
    """What is left of the user where none of its scopes is; None where it is itself."""
    scopes = _scopes(user)
    if scopes is None or cluster in scopes:
        return None
    return Subjects((ANONYMOUS_NAME,), _groups_from(user, scopes), None, (ANONYMOUS_NAME,))


def _scopes(user: User) -> list[str] | None:
    """The logical clusters in which the user is itself; None means all of them."""
    found: list[str] | None = None
    for scope in user.extra.get(SCOPES_EXTRA, ()):
        parts = (part.strip() for part in scope.split(","))
        named = [part.removeprefix(_CLUSTER_SCOPE) for part in parts if part.startswith(_CLUSTER_SCOPE)]
        found = named if found is None else [cluster for cluster in found if cluster in named]
    return found


def _groups_from(user: User, clusters: Iterable[str]) -> tuple[str, ...]:
    """The groups of somebody who is at home elsewhere."""
    known = AUTHENTICATED if AUTHENTICATED in user.groups else UNAUTHENTICATED
    return known, *(CLUSTER_GROUP_PREFIX + cluster for cluster in clusters)
