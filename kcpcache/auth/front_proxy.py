"""Request headers of a front proxy: who asks, as somebody says whose certificate gives him the right to say it.

After kube-apiserver's ``--requestheader-…`` flags. Without that certificate the headers are not even looked at.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

from cryptography import x509

from kcpcache.auth.client_certificates import CertificateChain, common_name, verify_client
from kcpcache.auth.user import User
from kcpcache.meta.errors import UnauthorizedError

Headers = Sequence[tuple[bytes, bytes]]
"""As received: names in lower case, one pair for each time a header stands there."""
_REMEMBERED = 64
_LONGEST_CHAIN_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class ProxyHeaders:
    """The names (in lower case) of the headers that tell of the user; ``extra`` are prefixes of names."""

    username: tuple[str, ...]
    uid: tuple[str, ...]
    group: tuple[str, ...]
    extra: tuple[str, ...]


@dataclass
class FrontProxy:
    """``allowed_names``: common names of the proxies; empty means every certificate of ``authorities``."""

    headers: ProxyHeaders
    allowed_names: frozenset[str] = frozenset()
    authorities: tuple[x509.Certificate, ...] = ()
    _known: dict[CertificateChain, float] = field(default_factory=dict)

    def trust(self, authorities: Iterable[x509.Certificate]) -> None:
        """From now on proxies are those with a certificate of these."""
        self.authorities = tuple(authorities)
        self._known.clear()

    def user(self, chain: CertificateChain, headers: Headers, now: float) -> User | None:
        """The user that the headers name; None where they name none, or come from somebody who may not say so."""
        name = _first(headers, self.headers.username)
        if not name or not self._is_proxy(chain, now):
            return None
        groups = [value for wanted in self.headers.group for value in _values(headers, wanted) if value]
        return User(name, _first(headers, self.headers.uid), tuple(groups), self._extra(headers))

    def _is_proxy(self, chain: CertificateChain, now: float) -> bool:
        if not chain:
            return False
        if now < self._known.get(chain, 0):
            return True
        try:
            certificate, expires = verify_client(chain, self.authorities, now)
        except UnauthorizedError:
            return False
        if self.allowed_names and common_name(certificate) not in self.allowed_names:
            return False
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        if sum(map(len, chain)) <= _LONGEST_CHAIN_BYTES:
            self._known[chain] = expires
        return True

    def _extra(self, headers: Headers) -> dict[str, tuple[str, ...]]:
        found: dict[str, list[str]] = {}
        for prefix in self.headers.extra:
            for raw, value in headers:
                header = raw.decode("latin-1")
                if header.startswith(prefix):
                    found.setdefault(unquote(header.removeprefix(prefix)), []).append(_text(value))
        return {key: tuple(values) for key, values in found.items()}


def _first(headers: Headers, names: Iterable[str]) -> str:
    """The first header of the first name that is there, and not empty."""
    return next((value for name in names if (value := next(_values(headers, name), ""))), "")


def _values(headers: Headers, name: str) -> Iterator[str]:
    wanted = name.encode()
    return (_text(value) for header, value in headers if header == wanted)


def _text(value: bytes) -> str:
    return value.decode(errors="replace")
