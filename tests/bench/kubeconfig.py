"""Whom to ask, and as whom: what is in a kubeconfig, for a server on this machine."""

import base64
import contextlib
import ipaddress
import socket
import ssl
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import yaml


class BenchError(Exception):
    """A measurement that could not be made, or a server that answered what it must not."""


class Target(NamedTuple):
    """Whom to ask, and as whom. ``pid`` is the server's process, where it is known."""

    host: str
    port: int
    tls: ssl.SSLContext
    token: str | None
    pid: int | None = None

    @property
    def head(self) -> str:
        """The header lines that every request carries."""
        return f"Host: {self.host}:{self.port}\r\n" + (f"Authorization: Bearer {self.token}\r\n" if self.token else "")

    def memory(self) -> int | None:
        """Resident bytes of the server; None where that cannot be known."""
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))
        return None


def load_kubeconfig(path: Path, pid: int | None = None, *, token: str | None = None) -> Target:
    """The server of the current context, and its user or whoever has ``token``.

    Raises BenchError for what is not on this machine, or not TLS.
    """
    config = yaml.safe_load(path.read_text())
    context = _named(config, "context", config.get("current-context") or config["contexts"][0]["name"])
    cluster, user = _named(config, "cluster", context["cluster"]), _named(config, "user", context["user"])
    url = urlsplit(cluster["server"])
    if url.scheme != "https" or url.hostname is None:
        raise BenchError(f"{path}: {cluster['server']} is not https")
    addresses = {str(info[4][0]) for info in socket.getaddrinfo(url.hostname, None)}
    if not all(ipaddress.ip_address(address).is_loopback for address in addresses):
        raise BenchError(f"{path}: {url.hostname} is another machine; load is put only on this one")
    tls = ssl.create_default_context(cadata=_given(cluster, "certificate-authority", path))
    if cluster.get("insecure-skip-tls-verify"):
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    if token is not None:
        user = {"token": token}
    certificate, key = _given(user, "client-certificate", path), _given(user, "client-key", path)
    if certificate and key:
        with tempfile.NamedTemporaryFile("w") as file:  # OpenSSL reads keys from files only
            file.write(f"{certificate}\n{key}")
            file.flush()
            tls.load_cert_chain(file.name)
    token = user.get("token") or (Path(user["tokenFile"]).read_text().strip() if "tokenFile" in user else None)
    return Target(url.hostname, url.port or 443, tls, token, pid)


def _named(config: Mapping[str, Any], kind: str, name: str) -> dict[str, Any]:
    for entry in config.get(f"{kind}s") or ():
        if entry["name"] == name:
            return entry[kind] or {}
    raise BenchError(f"the kubeconfig has no {kind} {name!r}")


def _given(section: Mapping[str, Any], field: str, kubeconfig: Path) -> str | None:
    """PEM that stands in the kubeconfig itself, or in a file that it names."""
    if data := section.get(f"{field}-data"):
        return base64.b64decode(data).decode()
    return (kubeconfig.parent / section[field]).read_text() if field in section else None
