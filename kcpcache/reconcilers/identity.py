"""The identity of a CachedResource or APIExport: a secret key, and its hash that everyone may know (behaviour §3.2).

Shared by both owners' reconcilers: ``decide`` says what to create, what to write into the spec, and what to record.
"""

import base64
import hashlib
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from kcpcache.meta import conditions
from kcpcache.meta.names import GroupVersionResource
from kcpcache.meta.objects import (
    Object,
    annotations_of,
    cluster_of,
    metadata,
    name_of,
    namespace_of,
    nested,
    secret_value,
)
from kcpcache.meta.virtual_resources import IDENTITY_VALID
from kcpcache.reconcilers.plan import Create, Target

NAMESPACE: Final = "kcp-system"
OWNER_ANNOTATION: Final = "kcp.io/identity-owner"
"""On a generated Secret: whose it is, as ``<resource>.<group>/<name>``."""

_NAMESPACES: Final = GroupVersionResource("", "v1", "namespaces")
_SECRETS: Final = GroupVersionResource("", "v1", "secrets")
_NAME_BYTES: Final = 253


class SecretName(NamedTuple):
    """Where a Secret is, in the owner's workspace."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class State:
    """All that an identity depends on.

    ``owner`` is the CachedResource or APIExport, ``resource`` which of them it is. ``namespace`` is the Namespace
    ``kcp-system``, None where there is none. ``secrets`` are those of ``secrets_to_read(owner, resource)`` that exist.
    ``fresh_key`` is a new random key (256 bits, as text); it is used only if a Secret must be made.
    """

    owner: Object
    resource: GroupVersionResource
    namespace: Object | None
    secrets: tuple[Object, ...]
    fresh_key: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the identity is not valid: reason and message of ``IdentityValid=False``."""

    reason: Literal["IdentityGenerationFailed", "IdentityVerificationFailed"]
    message: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do. ``changes`` come before the owner's own.

    ``reference``, where not None, goes into ``spec.identity.secretRef``; the identity is then verified in the next
    pass. ``hash`` is the one to be recorded, "" while there is none; a recorded one never changes.
    """

    changes: tuple[Create, ...] = ()
    reference: SecretName | None = None
    hash: str = ""
    failure: Failure | None = None


def identity_hash(key: bytes) -> str:
    """Lower-case hex SHA-256 of the key's bytes."""
    return hashlib.sha256(key).hexdigest()


def secrets_to_read(owner: Object, resource: GroupVersionResource) -> tuple[SecretName, ...]:
    """The Secrets that the decision may look at: the referenced one, or those that could be generated, in order.

    ``kcp-system/<name>`` is taken by whichever owner comes first. A CachedResource and an APIExport of one name never
    share it unasked: the second one gets ``kcp-system/<name>.<resource>``.
    """
    reference = _reference(owner)
    if reference is not None:
        return (reference,)
    name, suffix = name_of(owner), f".{resource.resource}"
    second = name[: _NAME_BYTES - len(suffix)].rstrip("-.") + suffix
    return SecretName(NAMESPACE, name), SecretName(NAMESPACE, second)


def decide(state: State) -> Decision:
    """Generate what is missing, or verify what is there."""
    recorded: str = nested(state.owner, "status", "identityHash") or ""
    reference = _reference(state.owner)
    return _generate(state, recorded) if reference is None else _verify(state, reference, recorded)


def record(decision: Decision, owner: Object, *, now: str) -> None:
    """Write the decision into ``owner.status`` (changed in place): ``identityHash`` and condition IdentityValid."""
    status = owner.setdefault("status", {})
    if decision.hash:
        status["identityHash"] = decision.hash
    if decision.failure is None:
        conditions.mark_true(owner, IDENTITY_VALID, now=now)
    else:
        reason, message = decision.failure.reason, decision.failure.message
        conditions.mark_false(owner, IDENTITY_VALID, reason, "Error", message, now=now)


def _verify(state: State, where: SecretName, recorded: str) -> Decision:
    def fail(message: str) -> Decision:
        return Decision(hash=recorded, failure=Failure("IdentityVerificationFailed", message))

    if not where.namespace or not where.name:
        return fail("spec.identity.secretRef must have both a name and a namespace")
    secret = _find(state, where)
    if secret is None:
        return fail(f"Secret {where} does not exist")
    key = secret_value(secret, "key")
    if key is None:
        return fail(f'Secret {where} has no data item "key"')
    found = identity_hash(key)
    if recorded and found != recorded:
        return fail(f"the key of Secret {where} hashes to {found}, not to the recorded identityHash {recorded}")
    return Decision(hash=found)


def _generate(state: State, recorded: str) -> Decision:
    mark = f"{state.resource.group_resource}/{name_of(state.owner)}"
    names = secrets_to_read(state.owner, state.resource)
    for where in names:
        secret = _find(state, where)
        if secret is None:
            return _create(state, where, mark, recorded)
        if annotations_of(secret).get(OWNER_ANNOTATION, mark) == mark:
            return Decision(reference=where, hash=recorded)
    taken = " and ".join(str(name) for name in names)
    message = f"Secrets {taken} belong to others; set spec.identity.secretRef"
    return Decision(hash=recorded, failure=Failure("IdentityGenerationFailed", message))


def _create(state: State, where: SecretName, mark: str, recorded: str) -> Decision:
    if recorded:
        # A new key could only hash differently, so there is nothing to gain from making one.
        message = f"spec.identity.secretRef was removed, and Secret {where} with the recorded identity does not exist"
        return Decision(hash=recorded, failure=Failure("IdentityVerificationFailed", message))
    if state.namespace is not None and metadata(state.namespace).get("deletionTimestamp"):
        message = f"Secret {where} cannot be created while namespace {where.namespace} is being deleted"
        return Decision(failure=Failure("IdentityGenerationFailed", message))
    cluster = cluster_of(state.owner)
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": where.namespace}}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": where.name, "namespace": where.namespace, "annotations": {OWNER_ANNOTATION: mark}},
        "type": "Opaque",
        "data": {"key": base64.b64encode(state.fresh_key.encode()).decode()},
    }
    create_secret = Create(Target(_SECRETS, cluster, where.name, where.namespace), secret)
    if state.namespace is not None:
        return Decision((create_secret,), reference=where)
    return Decision((Create(Target(_NAMESPACES, cluster, where.namespace), namespace), create_secret), reference=where)


def _reference(owner: Object) -> SecretName | None:
    found = nested(owner, "spec", "identity", "secretRef") or {}
    where = SecretName(found.get("namespace") or "", found.get("name") or "")
    return where if any(where) else None


def _find(state: State, where: SecretName) -> Object | None:
    return next((s for s in state.secrets if (namespace_of(s), name_of(s)) == where), None)
