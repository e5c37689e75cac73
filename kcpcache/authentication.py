"""Who asks: the authenticators that the settings call for, and what of a request they look at."""

from kcpcache.api.origin import is_of_another_site
from kcpcache.api.services import Authenticate, Impersonate, RequestFacts
from kcpcache.auth.authenticate import Authenticator, Credentials
from kcpcache.auth.authorize import Authorizer
from kcpcache.auth.certificates import load_authorities
from kcpcache.auth.front_proxy import FrontProxy, Headers, ProxyHeaders
from kcpcache.auth.impersonate import HEADER_PREFIX, impersonate, requested_user
from kcpcache.auth.oidc import OidcClaims, OidcTokens
from kcpcache.auth.oidc_keys import IssuerKeys
from kcpcache.auth.service_accounts import ServiceAccountTokens
from kcpcache.auth.tokens import TokenAuthenticator, load_static_tokens
from kcpcache.auth.trusted_files import Trust, TrustedFiles
from kcpcache.auth.user import User
from kcpcache.config import Settings

_IMPERSONATE = HEADER_PREFIX.encode()


def authenticator_of(settings: Settings, trusted: TrustedFiles, accounts: ServiceAccountTokens) -> Authenticator:
    """The chain of a server; it follows changes of ``trusted``. Raises TokenFileError, CertificateError."""
    tokens: list[TokenAuthenticator] = [accounts]
    if settings.token_auth_file is not None:
        tokens.insert(0, load_static_tokens(settings.token_auth_file))
    if settings.oidc_issuer_url:
        tokens.append(_oidc(settings))
    authenticator = Authenticator(tokens=tokens, front_proxy=_front_proxy(settings))

    def trust(found: Trust) -> None:
        authenticator.trust(found.client_authorities, found.proxy_authorities)

    trust(trusted.current)
    trusted.listeners.append(trust)
    return authenticator


def authenticate_with(authenticator: Authenticator) -> Authenticate:
    """Who asks."""

    async def authenticate(facts: RequestFacts) -> User:
        headers = dict(reversed(facts.headers))  # of several, the first counts, as in Go
        return await authenticator.authenticate(
            Credentials(
                facts.certificates,
                _text(headers.get(b"authorization")),
                _text(b",".join(value for name, value in facts.headers if name == b"sec-websocket-protocol")),
                facts.headers,
                is_of_another_site(headers),
            )
        )

    return authenticate


def impersonate_with(authorizer: Authorizer) -> Impersonate:
    """As whom."""

    def goes_on_as(user: User, headers: Headers, cluster: str) -> User:
        if not any(name.startswith(_IMPERSONATE) for name, _ in headers):
            return user
        wanted = requested_user((name.decode("latin-1"), value.decode(errors="replace")) for name, value in headers)
        return user if wanted is None else impersonate(user, wanted, cluster, authorizer)

    return goes_on_as


def _oidc(settings: Settings) -> OidcTokens:
    """Raises CertificateError. The issuer itself is not asked before somebody shows a token of his."""
    claims = OidcClaims(
        settings.oidc_issuer_url,
        frozenset(settings.oidc_client_id),
        settings.oidc_username_claim,
        settings.oidc_username_prefix,
        settings.oidc_groups_claim,
        settings.oidc_groups_prefix,
        settings.oidc_required_claim,
        frozenset(settings.oidc_signing_algs),
    )
    if settings.oidc_ca_file is not None:
        load_authorities(settings.oidc_ca_file)
    return OidcTokens(claims, IssuerKeys(settings.oidc_issuer_url, settings.oidc_ca_file))


def _front_proxy(settings: Settings) -> FrontProxy | None:
    if settings.requestheader_client_ca_file is None:
        return None
    headers = ProxyHeaders(
        username=_lower(settings.requestheader_username_headers),
        uid=_lower(settings.requestheader_uid_headers),
        group=_lower(settings.requestheader_group_headers),
        extra=_lower(settings.requestheader_extra_headers_prefix),
    )
    return FrontProxy(headers, frozenset(settings.requestheader_allowed_names))


def _lower(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.lower() for name in names)


def _text(header: bytes | None) -> str | None:
    return None if header is None else header.decode("latin-1")
