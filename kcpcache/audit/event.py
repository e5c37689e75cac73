"""One line of the audit log: ``audit.k8s.io/v1 Event``, made outside the event loop."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_address
from typing import Any, Final, NamedTuple

import orjson

from kcpcache.audit.policy import API_VERSION, Level, Stage

TRUNCATED: Final = "audit.k8s.io/truncated"
"""The annotation of an event from which a body was left out for its size, as of kube-apiserver's truncating backend."""
_HEAD_BYTES: Final = 2_048
_MOST_USER_AGENT: Final = 1_024


class Head(NamedTuple):
    """What is known of a request before it is read."""

    audit_id: str
    uri: str
    user_agent: str
    source_ips: Sequence[str]
    received: datetime


@dataclass(frozen=True, slots=True)
class Event:
    """An event at one stage. ``request`` decodes the request's body; ``response`` is JSON."""

    head: Head
    level: Level
    stage: Stage
    at: datetime
    verb: str
    user: Mapping[str, Any]
    impersonated: Mapping[str, Any] | None = None
    reference: Mapping[str, str] | None = None
    status: Mapping[str, Any] | None = None
    request: Callable[[], Any] | None = None
    response: bytes | None = None
    body_bytes: int = 0
    omit_managed_fields: bool = False
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def weight_bytes(self) -> int:
        """About how much memory the event holds."""
        return _HEAD_BYTES + len(self.head.uri) + self.body_bytes

    def line(self) -> bytes:
        """The event as a line of JSON, in kube-apiserver's order of fields."""
        response = self.response
        request_object = self._decoded(self.request)
        response_object = self._decoded(None if response is None else lambda: orjson.loads(response))
        try:
            return self._encoded(request_object, response_object)
        except TypeError:  # a body of values that JSON cannot have, from YAML
            return self._encoded(None, response_object)

    def _encoded(self, request_object: Any, response_object: Any) -> bytes:
        head = self.head
        fields = {
            "kind": "Event",
            "apiVersion": API_VERSION,
            "level": self.level.text,
            "auditID": head.audit_id,
            "stage": self.stage,
            "requestURI": head.uri,
            "verb": self.verb,
            "user": self.user,
            "impersonatedUser": self.impersonated,
            "sourceIPs": head.source_ips,
            "userAgent": head.user_agent,
            "objectRef": self.reference,
            "responseStatus": self.status,
            "requestObject": request_object,
            "responseObject": response_object,
            "requestReceivedTimestamp": _micro_time(head.received),
            "stageTimestamp": _micro_time(self.at),
            "annotations": self.annotations,
        }
        wanted = {key: value for key, value in fields.items() if value or key == "user"}
        return orjson.dumps(wanted, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS)

    def _decoded(self, decode: Callable[[], Any] | None) -> Any:
        if decode is None:
            return None
        try:
            value = decode()
        except Exception:  # noqa: BLE001 -- a body that cannot be decoded was refused for that, as the status says
            return None
        return _without_managed_fields(value) if self.omit_managed_fields else value


def _micro_time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _without_managed_fields(value: Any) -> Any:
    """The object, or each object of a list or Table, without ``metadata.managedFields``."""
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("metadata"), dict):
        value["metadata"].pop("managedFields", None)
    for item in value.get("items") or ():
        _without_managed_fields(item)
    for row in value.get("rows") or ():
        _without_managed_fields(row.get("object"))
    return value


def source_ips(headers: Mapping[bytes, bytes], remote: str) -> list[str]:
    """X-Forwarded-For, X-Real-Ip and the connection's address, each once in a row; all but the last may be invented."""
    found = [ip for part in _text(headers, b"x-forwarded-for").split(",") if (ip := _ip(part))]
    real = _ip(_text(headers, b"x-real-ip"))
    if real and real not in found:
        found.append(real)
    if (ip := _ip(remote)) and (not found or found[-1] != ip):
        found.append(ip)
    return found


def user_agent(headers: Mapping[bytes, bytes]) -> str:
    """The User-Agent header, cut where it is longer than anyone reads."""
    text = _text(headers, b"user-agent")
    return f"{text[:_MOST_USER_AGENT]}...TRUNCATED" if len(text) > _MOST_USER_AGENT else text


def _text(headers: Mapping[bytes, bytes], name: bytes) -> str:
    return headers.get(name, b"").decode("latin-1")


def _ip(text: str) -> str:
    try:
        return str(ip_address(text.strip()))
    except ValueError:
        return ""
