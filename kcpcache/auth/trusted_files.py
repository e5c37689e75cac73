"""What TLS and client certificates rest on, read from files, and read again whenever one of them changes.

As in kube-apiserver, a renewed serving certificate or another set of authorities needs no restart.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from kcpcache.auth.certificates import CertificateError, load_authorities

log = structlog.get_logger(__name__)

LOOK_EVERY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: the serving certificate with its chain and key, and bundles of authorities.

    ``client_authorities`` vouch for users, ``proxy_authorities`` for front proxies; ``proxies_have_names`` says that of
    these only some are believed.
    """

    certificate: Path
    key: Path
    client_authorities: tuple[Path, ...]
    proxy_authorities: tuple[Path, ...] = ()
    proxies_have_names: bool = False

    def all(self) -> tuple[Path, ...]:
        """Every file."""
        return (self.certificate, self.key, *self.client_authorities, *self.proxy_authorities)


@dataclass(frozen=True, slots=True)
class Trust:
    """What the files say. The authorities of both kinds are good enough for a handshake, not for a request."""

    context: ssl.SSLContext
    client_authorities: tuple[x509.Certificate, ...]
    proxy_authorities: tuple[x509.Certificate, ...]


class TrustedFiles:
    """``current`` is what was read last; ``listeners`` are told when that changes.

    ``context`` is for listening: each handshake takes what is current, connections that are open stay. Raises
    CertificateError where the files cannot be used at the start; later the old ones stay in force.
    """

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._seen = _stamps(files)
        self.current = load_trust(files)
        self.listeners: list[Callable[[Trust], None]] = []
        self.context = self.current.context
        self.context.sni_callback = self._choose

    async def follow(self) -> None:
        """Look at the files again and again, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Take over what has changed."""
        stamps = await asyncio.to_thread(_stamps, self._files)
        if stamps == self._seen:
            return
        self._seen = stamps
        try:
            found = await asyncio.to_thread(load_trust, self._files)
        except CertificateError as error:
            log.warning("changed certificates cannot be used; those of before stay in force", why=str(error))
            return
        log.info("took over changed certificates")
        self.current = found
        for listener in self.listeners:
            listener(found)

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self.current.context


def load_trust(files: TlsFiles) -> Trust:
    """What the files say now. Raises CertificateError, also where every user would be a front proxy."""
    clients = _authorities(files.client_authorities)
    proxies = _authorities(files.proxy_authorities)
    if not files.proxies_have_names and not set(clients).isdisjoint(proxies):
        raise CertificateError(
            "an authority for front proxies is one for users, too: give --requestheader-allowed-names, "
            "so that users cannot speak for others"
        )
    return Trust(_tls_context(files.certificate, files.key, (*clients, *proxies)), clients, proxies)


def _authorities(paths: tuple[Path, ...]) -> tuple[x509.Certificate, ...]:
    return tuple(certificate for path in paths for certificate in load_authorities(path))


def _tls_context(chain: Path, key: Path, authorities: tuple[x509.Certificate, ...]) -> ssl.SSLContext:
    """TLS 1.2 and later; a client certificate is asked for and may be left out.

    There are no tickets: a session that is resumed by one has lost the authorities between the client's certificate
    and ours.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0  # TLS 1.3 would keep sessions in memory instead
    try:
        context.load_cert_chain(chain, key)
    except (OSError, ssl.SSLError) as error:
        raise CertificateError(f"cannot use certificate {chain} with key {key}: {error}") from None
    for authority in authorities:
        with contextlib.suppress(ssl.SSLError):  # the same one twice
            context.load_verify_locations(cadata=authority.public_bytes(Encoding.DER))
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # an authority need not be the root of all
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


def _stamps(files: TlsFiles) -> tuple[tuple[int, int, int] | None, ...]:
    """What changes when a file is written or replaced, also behind a symbolic link."""
    return tuple(map(_stamp, files.all()))


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
