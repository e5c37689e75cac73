"""One request's way through the server, told stage by stage to the audit log."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from kcpcache.audit.event import TRUNCATED, Event, Head
from kcpcache.audit.log import AuditLog
from kcpcache.audit.policy import Level, Policy, Ruling, Stage
from kcpcache.auth.attributes import Attributes, Decision
from kcpcache.auth.user import User
from kcpcache.meta.errors import REDACTED

DECISION: Final = "authorization.k8s.io/decision"
REASON: Final = "authorization.k8s.io/reason"
CLUSTER: Final = "kcp.io/cluster"
PATH: Final = "kcp.io/path"
WORKSPACE: Final = "tenancy.kcp.io/workspace"
"""The name that ``kcp.io/cluster`` had in kcp at first; kcp still writes both."""
MOST_BODY_BYTES: Final = 3 * 1024 * 1024
"""Of an answer; a request's body is never larger."""
_EARLY: Final[dict[str, Any]] = {"metadata": {}, "status": "Success", "message": "Connection closed early", "code": 200}
_STATUS_FIELDS: Final = ("status", "message", "reason", "details", "code")
_UNAUTHORIZED, _FORBIDDEN = 401, 403
_MAY_QUOTE: Final = {400, 422, 500}
_CREDENTIALS: Final = {("", "serviceaccounts", "token"), ("authentication.k8s.io", "tokenreviews", "")}
"""Group, resource and subresource whose bodies are tokens: noted at level Metadata at the most, whatever is asked for.
kube-apiserver leaves this to the policy."""


class Audit:
    """The policy and the log. On the event loop."""

    def __init__(self, policy: Policy, log: AuditLog, clock: Callable[[], datetime]) -> None:
        self.policy, self.log, self.clock = policy, log, clock


class Trail:
    """Told what happens to a request, in this order: ``asked``, ``authenticated``, ``decided``, ``started``, ``close``.

    Any of them may be missing where the request ends early. Cheap: lines are made by the log's own thread.
    """

    def __init__(self, audit: Audit, head: Head) -> None:
        self._audit, self.head = audit, head
        self.annotations: dict[str, str] = {}
        self._attributes: Attributes | None = None
        self._user: User | None = None
        self._acts_as: User | None = None
        self._ruling = Ruling(Level.NONE)
        self._bodies = Level.METADATA
        self._reference: dict[str, str] = {}
        self._status: dict[str, Any] | None = None
        self._request: Callable[[], Any] | None = None
        self._response: bytes | None = None
        self._body_bytes = 0
        self._last: Stage = "ResponseComplete"

    def asked(self, attributes: Attributes, path: str) -> None:
        """What the request is; ``attributes.user`` does not matter yet. ``path`` is the workspace's."""
        self._attributes = attributes
        if attributes.is_resource:
            named = {
                "resource": attributes.resource,
                "namespace": attributes.namespace,
                "name": attributes.name,
                "apiGroup": attributes.group,
                "apiVersion": attributes.version,
                "subresource": attributes.subresource,
            }
            self._reference = {key: value for key, value in named.items() if value}
        self._in_cluster(attributes.cluster, path)

    def authenticated(self, user: User) -> None:
        """Who asks, before any impersonation."""
        self._user = user
        self._rule(user)
        self._emit("RequestReceived")

    def decided(self, user: User, cluster: str, path: str, decision: Decision) -> None:
        """As whom the request goes on, where, and what authorisation said."""
        self._acts_as = user
        self._in_cluster(cluster, path)
        self.annotations[DECISION] = "allow" if decision.allowed else "forbid"
        self.annotations[REASON] = decision.reason

    def sent_object(self, meta: Mapping[str, Any]) -> None:
        """The metadata of the object in the body: completes what the URL says."""
        for key in ("namespace", "name", "uid", "resourceVersion"):
            value = meta.get(key)
            if isinstance(value, str) and value:
                self._reference.setdefault(key, value)

    @property
    def wants_request(self) -> bool:
        """Whether to tell ``request``."""
        return self._bodies >= Level.REQUEST

    @property
    def wants_response(self) -> bool:
        """Whether to tell ``response``."""
        return self._bodies >= Level.REQUEST_RESPONSE

    def request(self, decode: Callable[[], Any], size_bytes: int) -> None:
        """The body: ``decode`` makes values of it. It is called in another thread; what it raises is ignored."""
        self._request = decode
        self._body_bytes += size_bytes

    def response(self, body: bytes | None) -> None:
        """The answer's body, JSON; None where it was too large to keep."""
        if body is None or len(body) > MOST_BODY_BYTES:
            self.annotations[TRUNCATED] = "true"
            return
        self._response = body
        self._body_bytes += len(body)

    def failed(self, status: Mapping[str, Any]) -> None:
        """The Status that is the answer."""
        if self._last == "Panic":
            return
        self._status = {"metadata": {}, **{key: status[key] for key in _STATUS_FIELDS if status.get(key)}}
        quoted = self._reference.get("resource") == "secrets" and status.get("code") in _MAY_QUOTE
        if quoted and not self.wants_request:
            # Whatever refused it, a webhook or a policy too, may have quoted what it did not like.
            self._status = {**self._status, "message": REDACTED}
            self._status.pop("details", None)

    def panicked(self, error: BaseException) -> None:
        """Something of ours went wrong. Its text is not told: nobody knows what is in it."""
        message = f"APIServer panic'd: {type(error).__name__}"
        self._last = "Panic"
        self._status = {"metadata": {}, "status": "Failure", "message": message, "reason": "InternalError", "code": 500}

    def started(self, code: int, credentials: str = "") -> None:
        """The answer's status is sent. ``credentials`` says what was shown, for whom authentication turned away."""
        if self._status is None:
            self._status = {"metadata": {}, "code": code}
        if self._user is None:
            self._turn_away(code, credentials)
            return
        if code == _FORBIDDEN:
            self.annotations.setdefault(DECISION, "forbid")
            self.annotations.setdefault(REASON, "")
        if self._attributes is not None and self._attributes.verb == "watch":
            self._emit("ResponseStarted")

    def close(self) -> None:
        """The request is over, one way or another."""
        if self._user is not None:
            if self._status is None:
                self._status = _EARLY
            self._emit(self._last)

    def _turn_away(self, code: int, credentials: str) -> None:
        if self._attributes is None:
            return
        if code == _UNAUTHORIZED:
            why = f"attempted: {credentials}" if credentials else "no credentials provided"
            self._status = {**(self._status or {}), "message": f"Authentication failed, {why}"}
        self._rule(User(""))
        self._emit("ResponseStarted")

    def _rule(self, user: User) -> None:
        if self._attributes is None:
            return
        attributes = msgspec.structs.replace(self._attributes, user=user)
        ruling = self._audit.policy.ruling(attributes)
        if (attributes.group, attributes.resource, attributes.subresource) in _CREDENTIALS:
            ruling = ruling._replace(level=min(ruling.level, Level.METADATA))
        self._ruling = ruling
        if attributes.is_resource:
            self._bodies = ruling.level

    def _in_cluster(self, cluster: str, path: str) -> None:
        self.annotations.update({CLUSTER: cluster, PATH: path, WORKSPACE: cluster})

    def _emit(self, stage: Stage) -> None:
        ruling, attributes = self._ruling, self._attributes
        if ruling.level is Level.NONE or stage in ruling.omit_stages or attributes is None:
            return
        head, user, acts_as = self.head, self._user, self._acts_as
        self._audit.log.put(
            Event(
                head=head,
                level=ruling.level,
                stage=stage,
                at=head.received if stage == "RequestReceived" else self._audit.clock(),
                verb=attributes.verb,
                user={} if user is None else user.to_user_info(),
                impersonated=None if acts_as is None or acts_as is user else acts_as.to_user_info(),
                reference=dict(self._reference),
                status=self._status,
                request=self._request,
                response=self._response,
                body_bytes=self._body_bytes,
                omit_managed_fields=ruling.omit_managed_fields,
                annotations=dict(self.annotations),
            )
        )
