"""Where a kubeconfig's context leads, and with which credentials."""

import base64
import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kcpcache.client.kubeconfig import Entry, Kubeconfig, KubeconfigError, names
from kcpcache.meta.objects import Object

_EXEC_SECONDS = 60
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Overrides:
    """What flags put in place of the kubeconfig's words; "" and False leave them."""

    context: str = ""
    user: str = ""
    server: str = ""
    token: str = ""
    certificate_authority: str = ""
    tls_server_name: str = ""
    insecure_skip_tls_verify: bool = False


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server and who asks: everything that a connection needs. ``ca_pem`` None means the system's authorities."""

    server: str
    ca_pem: str | None = None
    insecure: bool = False
    tls_server_name: str = ""
    proxy_url: str = ""
    certificate_pem: bytes = b""
    key_pem: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


Execute = Callable[[Object, Path], Object]
"""Runs a credential plugin: its ``exec`` entry, seen from a directory, to the ``status`` of what it printed."""


def context_entry(config: Kubeconfig, name: str = "") -> tuple[str, Entry]:
    """The named context, or the current one. Raises KubeconfigError."""
    wanted = name or config.current_context
    if not wanted:
        raise KubeconfigError("no current context: set KUBECONFIG, or choose one with kubectl config use-context")
    if wanted not in config.contexts:
        raise KubeconfigError(f'context "{wanted}" does not exist; there are: {names(config.contexts)}')
    return wanted, config.contexts[wanted]


def cluster_entry(config: Kubeconfig, context: Entry) -> Entry:
    """The cluster of a context. Raises KubeconfigError."""
    name = str(context.body.get("cluster", ""))
    if name not in config.clusters:
        raise KubeconfigError(f'cluster "{name}" not found in kubeconfig')
    return config.clusters[name]


def endpoint(config: Kubeconfig, overrides: Overrides, execute: Execute | None = None) -> Endpoint:
    """The endpoint of the chosen context. Reads the files that it names. Raises KubeconfigError."""
    _, context = context_entry(config, overrides.context)
    cluster = cluster_entry(config, context)
    server = overrides.server or str(cluster.body.get("server", ""))
    proxy = str(cluster.body.get("proxy-url") or "")
    for what, url in (("server", server), ("proxy-url", proxy)):
        if (url or what == "server") and not _is_url(url):
            raise KubeconfigError(f"{what} {url!r} of the kubeconfig is no URL")
    insecure = overrides.insecure_skip_tls_verify or bool(cluster.body.get("insecure-skip-tls-verify"))
    authority = overrides.certificate_authority
    ca = _read(Path(authority)) if authority else _content(cluster, "certificate-authority")
    certificate, key, headers = _credentials(config, overrides, context, execute or run_plugin)
    for name, value in headers:
        if not _HEADER_NAME.fullmatch(name) or _CONTROL.search(value):
            raise KubeconfigError(
                f"what the kubeconfig says cannot be sent as {name!r}: it has characters of another kind"
            )
    return Endpoint(
        server=server,
        ca_pem=ca.decode(errors="replace") if ca else None,
        insecure=insecure,
        tls_server_name=overrides.tls_server_name or str(cluster.body.get("tls-server-name") or ""),
        proxy_url=proxy,
        certificate_pem=certificate,
        key_pem=key,
        headers=tuple(headers),
    )


def _is_url(text: str) -> bool:
    """Whether it says where to connect to."""
    try:
        url = urlsplit(text)
        return url.scheme in {"https", "http"} and bool(url.hostname) and url.port != 0
    except ValueError:
        return False


def _credentials(
    config: Kubeconfig, overrides: Overrides, context: Entry, execute: Execute
) -> tuple[bytes, bytes, list[tuple[str, str]]]:
    """Client certificate, its key, and headers. A token of the command line is used alone."""
    if overrides.token:
        return b"", b"", [("Authorization", f"Bearer {overrides.token}")]
    name = overrides.user or str(context.body.get("user") or "")
    if not name:
        return b"", b"", []
    if name not in config.users:
        raise KubeconfigError(f'user "{name}" not found in kubeconfig; there are: {names(config.users)}')
    user = config.users[name]
    certificate, key = _content(user, "client-certificate"), _content(user, "client-key")
    token = _token(user)
    if user.body.get("exec") and not token and not certificate:
        status = execute(user.body["exec"], user.origin.parent)
        token = str(status.get("token") or "")
        certificate = str(status.get("clientCertificateData") or "").encode()
        key = str(status.get("clientKeyData") or "").encode()
    headers = _impersonation(user.body)
    if token:
        headers.append(("Authorization", f"Bearer {token}"))
    elif user.body.get("username"):
        pair = f"{user.body['username']}:{user.body.get('password', '')}".encode()
        headers.append(("Authorization", f"Basic {base64.b64encode(pair).decode()}"))
    return certificate, key, headers


def _token(user: Entry) -> str:
    """A file with a token is read each time, since it may be renewed."""
    if (path := user.path("tokenFile")) is not None:
        return _read(path).decode(errors="replace").strip()
    return str(user.body.get("token") or "")


def _impersonation(user: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = [("Impersonate-User", str(user["as"]))] if user.get("as") else []
    found += [("Impersonate-Uid", str(user["as-uid"]))] if user.get("as-uid") else []
    found += [("Impersonate-Group", str(group)) for group in _listed("as-groups", user.get("as-groups"))]
    extra = user.get("as-user-extra") or {}
    if not isinstance(extra, dict):
        raise KubeconfigError("as-user-extra of the kubeconfig is no mapping")
    return found + [
        (f"Impersonate-Extra-{key}", str(value))
        for key, values in extra.items()
        for value in _listed(f"as-user-extra of {key}", values)
    ]


def _listed(what: str, value: Any) -> list[Any]:
    if value is not None and not isinstance(value, list):
        raise KubeconfigError(f"{what} of the kubeconfig is no list")
    return value or []


def _content(entry: Entry, name: str) -> bytes:
    """``<name>-data``, base64, before the file that ``<name>`` names; empty where neither is set."""
    if data := entry.body.get(f"{name}-data"):
        try:
            return base64.b64decode(str(data), validate=True)
        except ValueError:
            raise KubeconfigError(f"{name}-data in {entry.origin} is not base64") from None
    path = entry.path(name)
    return _read(path) if path is not None else b""


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise KubeconfigError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise KubeconfigError(f"{str(path)!r} is no name of a file") from None


def run_plugin(spec: Object, directory: Path) -> Object:
    """Run an exec credential plugin (client-authentication.k8s.io). Raises KubeconfigError with what it said."""
    command = str(spec.get("command", ""))
    if os.sep in command:
        command = str(directory / command)
    api_version = str(spec.get("apiVersion") or "client.authentication.k8s.io/v1")
    info = {"apiVersion": api_version, "kind": "ExecCredential", "spec": {"interactive": False}}
    extra = {str(each["name"]): str(each["value"]) for each in spec.get("env") or []}
    environ = {**os.environ, **extra, "KUBERNETES_EXEC_INFO": json.dumps(info)}
    try:
        ran = subprocess.run(  # noqa: S603 -- the user's own kubeconfig says what to run
            [command, *map(str, spec.get("args") or [])],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            timeout=_EXEC_SECONDS,
            check=True,
        )
        status = json.loads(ran.stdout)["status"]
    except FileNotFoundError:
        hint = str(spec.get("installHint") or "install it, or use other credentials").strip()
        raise KubeconfigError(f"credential plugin {command} not found: {hint}") from None
    except (OSError, subprocess.SubprocessError) as error:
        raise KubeconfigError(f"credential plugin {command} failed: {error}") from None
    except (ValueError, KeyError, TypeError):
        raise KubeconfigError(f"credential plugin {command} printed no ExecCredential with a status") from None
    if not isinstance(status, dict):
        raise KubeconfigError(f"credential plugin {command} printed no ExecCredential with a status")
    return status
