"""``/openapi/v3``: an index of group versions, and one document for each, kept by content."""

import hashlib
import time
from collections import OrderedDict
from email.utils import formatdate
from typing import Final
from weakref import WeakKeyDictionary

import orjson

import kcpcache
from kcpcache.api import openapi_discovery
from kcpcache.api.exchange import Exchange, Header
from kcpcache.api.health import KUBERNETES_VERSION
from kcpcache.api.negotiation import negotiate
from kcpcache.api.openapi_components import Components
from kcpcache.api.openapi_discovery import resources_path
from kcpcache.api.openapi_paths import PATHS_BYTES, paths_of
from kcpcache.api.paths import RequestInfo
from kcpcache.meta.errors import path_not_found
from kcpcache.meta.objects import Object
from kcpcache.registry.beside import computed_once
from kcpcache.registry.catalog import Snapshot, fingerprint

_MOST_DOCUMENTS: Final = 256
_OK: Final = 200
_PREFIX: Final = "/openapi/v3"
_FORMAT: Final = 3
"""To be raised where documents of the same resources come to say something else."""
_YEAR_SECONDS: Final = 365 * 24 * 3600

_hashes: "WeakKeyDictionary[Snapshot, dict[str, str]]" = WeakKeyDictionary()
_documents: "OrderedDict[str, bytes]" = OrderedDict()


async def respond(exchange: Exchange, info: RequestInfo, snapshot: Snapshot) -> None:
    """Answer the index or one document. Raises NotFoundError, NotAcceptableError."""
    negotiate(exchange.header(b"accept"))
    name = info.path.removeprefix(_PREFIX).lstrip("/")
    if not name:
        await exchange.respond_json(_OK, index(snapshot))
        return
    digest = group_version_hashes(snapshot).get(name)
    if digest is None:
        raise path_not_found()
    tag = f'"{digest}"'.encode()
    headers: tuple[Header, ...] = ((b"etag", tag), (b"vary", b"Accept"))
    if info.value("hash") == digest:
        # What has that hash never changes: clients (kubectl among them) keep it, others' caches must not.
        until = formatdate(time.time() + _YEAR_SECONDS, usegmt=True)
        headers += ((b"cache-control", b"private, immutable"), (b"expires", until.encode()))
    if exchange.headers.get(b"if-none-match") == tag:
        await exchange.respond_not_modified(headers)
        return
    await exchange.respond(_OK, await document(snapshot, name, digest), headers=headers)


def index(snapshot: Snapshot) -> Object:
    """Each group version's URL. It begins with ``/openapi/v3``: clients put the workspace's path before that."""
    hashes = group_version_hashes(snapshot)
    return {"paths": {name: {"serverRelativeURL": f"{_PREFIX}/{name}?hash={hashes[name]}"} for name in hashes}}


def group_version_hashes(snapshot: Snapshot) -> dict[str, str]:
    """``api/v1`` or ``apis/<group>/<version>``, and discovery's own documents → a hash of all that each says."""
    found = _hashes.get(snapshot)
    if found is None:
        found = _hashes[snapshot] = {
            _name(group, version): _hash(snapshot, group, version)
            for group, versions in snapshot.groups.items()
            for version in versions
        }
        for name, paths, _ in openapi_discovery.documents(snapshot):
            found[name] = _digest(orjson.dumps(sorted(paths))).hexdigest().upper()
    return found


def _name(group: str, version: str) -> str:
    return f"apis/{group}/{version}" if group else f"api/{version}"


def _group_and_version(name: str) -> tuple[str, str]:
    *_, version = name.split("/")
    return name.split("/")[1] if name.startswith("apis/") else "", version


def _digest(text: bytes) -> "hashlib._Hash":
    """Another version of this program may word its documents otherwise: they must not be taken for the same."""
    return hashlib.sha256(f"{kcpcache.__version__} {_FORMAT} ".encode() + text)


def _hash(snapshot: Snapshot, group: str, version: str) -> str:
    digest = _digest(f"{group}/{version}".encode())
    for resource, _ in snapshot.of_version(group, version):
        digest.update(f"{resource.definition.origin}{fingerprint(resource)}".encode())
    return digest.hexdigest().upper()


async def document(snapshot: Snapshot, name: str, digest: str) -> bytes:
    """The document of a group version, encoded; shared by all workspaces that serve the same."""
    found = _documents.get(digest)
    if found is None:
        found = await computed_once(_documents, digest, _weight(snapshot, name), _encoded, snapshot, name)
    if digest in _documents:
        _documents.move_to_end(digest)
    while len(_documents) > _MOST_DOCUMENTS:
        _documents.popitem(last=False)
    return found


def _weight(snapshot: Snapshot, name: str) -> int:
    served = snapshot.of_version(*_group_and_version(name))
    return sum(PATHS_BYTES + version.schema.size for _, version in served)


def _encoded(snapshot: Snapshot, name: str) -> bytes:
    return orjson.dumps(_document(snapshot, name))


def _document(snapshot: Snapshot, name: str) -> Object:
    discovery = {found: (paths, components) for found, paths, components in openapi_discovery.documents(snapshot)}
    paths, components = discovery.get(name) or _group_version(snapshot, name)
    major, minor = KUBERNETES_VERSION
    required, schemes = openapi_discovery.security()
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": f"v{major}.{minor}.0"},
        "paths": paths,
        "components": {"schemas": components.closure(), "securitySchemes": schemes},
        "security": required,
    }


def _group_version(snapshot: Snapshot, name: str) -> tuple[Object, Components]:
    group, version = _group_and_version(name)
    components, paths = Components(), {}
    found = [(resource.definition, served) for resource, served in snapshot.of_version(group, version)]
    if any(definition.origin == "builtin" for definition, _ in found):
        paths = resources_path(group, version, components)
    for definition, served in found:
        paths |= paths_of(definition, served, components)
    return paths, components
