"""``Impersonate-*`` headers: acting as another user, for those who may (kubernetes-api §6)."""

from collections.abc import Iterable
from urllib.parse import unquote

from kcpcache.auth.attributes import Attributes
from kcpcache.auth.authorize import Authorizer, forbid
from kcpcache.auth.subjects import with_home
from kcpcache.auth.user import (
    SCOPES_EXTRA,
    SYSTEM_KCP_ADMIN,
    SYSTEM_MASTERS,
    User,
    service_account_groups,
    service_account_of,
    unique,
    with_standard_group,
)
from kcpcache.meta.errors import ForbiddenError

HEADER_PREFIX = "impersonate-"
_EXTRA_PREFIX = "impersonate-extra-"
_AUTHENTICATION = "authentication.k8s.io"
_KCP_GROUP_PREFIX = "system:kcp:"


def requested_user(headers: Iterable[tuple[str, str]]) -> User | None:
    """The user that the headers (names in lower case, any others among them) ask for; None where they do not.

    Raises ForbiddenError where there are groups, a UID or extras, but no user.
    """
    name, uid, groups = "", "", []
    extra: dict[str, list[str]] = {}
    asked = False
    for header, value in headers:
        if not header.startswith(HEADER_PREFIX):
            continue
        asked = True
        if header == "impersonate-user":
            name = value
        elif header == "impersonate-uid":
            uid = value
        elif header == "impersonate-group":
            groups.append(value)
        elif header.startswith(_EXTRA_PREFIX):
            extra.setdefault(unquote(header.removeprefix(_EXTRA_PREFIX)).lower(), []).append(value)
    if not asked:
        return None
    if not name:
        raise ForbiddenError("impersonation needs the header Impersonate-User")
    return User(name, uid, unique(groups), {key: tuple(values) for key, values in extra.items()})


def impersonate(requester: User, wanted: User, cluster: str, authorizer: Authorizer) -> User:
    """The user that the request goes on as; raises ForbiddenError where ``requester`` may not be ``wanted``.

    Each of user, groups, UID and extras needs the verb ``impersonate`` in ``cluster``. Whoever is not of
    system:masters cannot become it, and stays within ``cluster``: outside, the user is nobody in particular.
    """
    _check_privileged_groups(requester, wanted)
    for attributes in _rights_needed(requester, wanted, cluster):
        decision = authorizer.authorize(attributes)
        if not decision.allowed:
            raise forbid(attributes, decision)
    groups, extra = wanted.groups, dict(wanted.extra)
    account = service_account_of(wanted.name)
    if account is not None and not groups:
        groups = service_account_groups(account[0])
    if not requester.is_master:
        inherited = requester.extra.get(SCOPES_EXTRA, ())
        extra[SCOPES_EXTRA] = unique((*extra.get(SCOPES_EXTRA, ()), *inherited, f"cluster:{cluster}"))
    return with_home(with_standard_group(User(wanted.name, wanted.uid, groups, extra)), cluster)


def _check_privileged_groups(requester: User, wanted: User) -> None:
    """RBAC of one workspace cannot give what counts in all: cluster-admin may impersonate any group of its own."""
    if requester.is_master:
        return
    for group in wanted.groups:
        global_group = group.startswith(_KCP_GROUP_PREFIX) and SYSTEM_KCP_ADMIN not in requester.groups
        if group == SYSTEM_MASTERS or global_group:
            raise ForbiddenError(f'impersonation of group "{group}" is not allowed for this user')


def _rights_needed(requester: User, wanted: User, cluster: str) -> Iterable[Attributes]:
    def right(resource: str, name: str, group: str = "", subresource: str = "", namespace: str = "") -> Attributes:
        return Attributes(
            user=requester,
            verb="impersonate",
            cluster=cluster,
            group=group,
            version="v1",
            resource=resource,
            subresource=subresource,
            namespace=namespace,
            name=name,
        )

    account = service_account_of(wanted.name)
    if account is None:
        yield right("users", wanted.name)
    else:
        yield right("serviceaccounts", account[1], namespace=account[0])
    for group in wanted.groups:
        yield right("groups", group)
    if wanted.uid:
        yield right("uids", wanted.uid, _AUTHENTICATION)
    for key, values in wanted.extra.items():
        for value in values:
            yield right("userextras", value, _AUTHENTICATION, key)
