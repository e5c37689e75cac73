"""The kubeconfig that a first start leaves for its administrator (kcp-compat, "Kubeconfig")."""

import base64
from pathlib import Path
from typing import Any

import yaml

from kcpcache.auth.certificates import Certificates, KeyPair
from kcpcache.meta.objects import Object
from kcpcache.private_files import write_atomically

KCP_ADMIN, SHARD_ADMIN = "kcp-admin", "shard-admin"
CURRENT_CONTEXT = "root"


def server_url(host: str, port: int) -> str:
    """``https://host:port``, an IPv6 address in brackets."""
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def admin_kubeconfig(host: str, port: int, certificates: Certificates, serving_ca_pem: bytes | None = None) -> Object:
    """Clusters base, root and system:admin; contexts base, root (current), shard-base, system:admin.

    Their users: kcp-admin of system:kcp:admin for the first two contexts, shard-admin of system:masters for the
    others. ``serving_ca_pem`` is for a serving certificate that is not of our own authority.
    """
    url = server_url(host, port)
    authority = _encoded(serving_ca_pem or certificates.serving_authority.certificate_pem())
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            _cluster("base", url, authority),
            _cluster("root", f"{url}/clusters/root", authority),
            _cluster("system:admin", f"{url}/clusters/system:admin", authority),
        ],
        "contexts": [
            _context("base", "base", KCP_ADMIN),
            _context("root", "root", KCP_ADMIN),
            _context("shard-base", "base", SHARD_ADMIN),
            _context("system:admin", "system:admin", SHARD_ADMIN),
        ],
        "current-context": CURRENT_CONTEXT,
        "preferences": {},
        "users": [_user(KCP_ADMIN, certificates.kcp_admin), _user(SHARD_ADMIN, certificates.shard_admin)],
    }


def write_kubeconfig(path: Path, kubeconfig: Object) -> bool:
    """Write the file, mode 0600, unless it has the same clusters and users already; whether it was written.

    ``kubectl ws`` adds contexts of its own to the file and changes the current one: that survives a restart.
    Raises OSError.
    """
    if _has_entries_of(_load(path), kubeconfig):
        return False
    write_atomically(path, yaml.dump(kubeconfig, Dumper=yaml.CSafeDumper, sort_keys=False).encode())
    return True


def _has_entries_of(existing: Any, wanted: Object) -> bool:
    if not isinstance(existing, dict):
        return False
    for kind in ("clusters", "users"):
        entries = existing.get(kind)
        if not isinstance(entries, list) or any(entry not in entries for entry in wanted[kind]):
            return False
    return True


def _load(path: Path) -> Any:
    try:
        return yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader)
    except (FileNotFoundError, UnicodeDecodeError, yaml.YAMLError):
        return None


def _cluster(name: str, server: str, authority: str) -> Object:
    return {"name": name, "cluster": {"certificate-authority-data": authority, "server": server}}


def _context(name: str, cluster: str, user: str) -> Object:
    return {"name": name, "context": {"cluster": cluster, "user": user}}


def _user(name: str, pair: KeyPair) -> Object:
    data = {
        "client-certificate-data": _encoded(pair.certificate_pem()),
        "client-key-data": _encoded(pair.key_pem()),
    }
    return {"name": name, "user": data}


def _encoded(pem: bytes) -> str:
    return base64.b64encode(pem).decode()
