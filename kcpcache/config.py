"""Settings of a server: from flags, else from ``KCPCACHE_…`` in the environment, else the defaults here."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

CACHED_APIS = "CachedAPIs"
_ALLOWED_HOST = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?|\[[0-9a-f:.]+\])(:[0-9]{1,5})?|[0-9a-f:.]*:[0-9a-f:.]*")
_EXTERNAL_URL = r"^(https://[^\s/?#@]+)?$"
_SHARD_NAME = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
_ALGORITHMS = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512")
_SPELLINGS = {"CachedAPIs": CACHED_APIS, "CacheAPIs": CACHED_APIS}


def _separate(value: Any) -> Any:
    """``a,b``, given once or several times, as kube's list flags take it."""
    given = [value] if isinstance(value, str) else value
    return tuple(part.strip() for text in given for part in str(text).split(",") if part.strip())


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_separate)]
"""A flag that may be given several times, with commas too."""


def _pairs(value: Any) -> Any:
    """``a=b,c=d``, given once or several times."""
    if isinstance(value, Mapping):
        return value
    pairs = [part.partition("=") for part in _separate(value)]
    for name, equals, _ in pairs:
        if not name or not equals:
            raise ValueError(f"takes name=value, not {name!r}")
    return {name: given for name, _, given in pairs}


Pairs = Annotated[dict[str, str], NoDecode, BeforeValidator(_pairs)]


class Settings(BaseSettings):
    """All settings of ``kcpcache start``, each of them a flag. Raises pydantic's ValidationError for what cannot be.

    A field's description is the flag's help; its type says whether the flag may be given several times.
    """

    model_config = SettingsConfigDict(env_prefix="KCPCACHE_", frozen=True, extra="ignore")

    root_dir: Path = Field(Path(".kcpcache"), description="Where everything is kept.")
    bind_address: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(6443, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    external_hostname: str = Field("", description="Host name in published URLs.")
    shard_external_url: str = Field(
        "",
        pattern=_EXTERNAL_URL,
        description="Address in published URLs, of a proxy before the server: https://host:port.",
    )
    shard_name: str = Field("root", pattern=_SHARD_NAME, description="Name of this shard.")
    feature_gates: Annotated[dict[str, bool], NoDecode] = Field({}, description="For example CachedAPIs=false.")
    token_auth_file: Path | None = Field(None, description='CSV: token,user,uid,"group1,group2".')
    client_ca_file: Path | None = Field(None, description="More authorities for client certificates.")
    oidc_issuer_url: str = Field("", description="OpenID Connect issuer whose ID tokens are believed; https://…")
    oidc_client_id: Names = Field((), validate_default=True, description="Audiences, one of which a token must be for.")
    oidc_username_claim: str = Field("sub", min_length=1, description="Claim with the user's name.")
    oidc_username_prefix: str | None = Field(
        None, description="Before the user's name; - is none. [default: the issuer's URL and #, none before an email]"
    )
    oidc_groups_claim: str = Field("", description="Claim with the user's groups: a name, or a list of names.")
    oidc_groups_prefix: str = Field("", description="Before each group.")
    oidc_required_claim: Pairs = Field({}, description="claim=value that a token must have.")
    oidc_signing_algs: Names = Field(("RS256",), description="Algorithms that tokens may be signed with.")
    oidc_ca_file: Path | None = Field(None, description="Authorities (PEM) for the issuer's certificate.")
    requestheader_client_ca_file: Path | None = Field(
        None, description="Authorities for front proxies, which tell the user in request headers."
    )
    requestheader_allowed_names: Names = Field(
        (), description="Common names of front proxies; any that the authorities vouch for if not given."
    )
    requestheader_username_headers: Names = Field(("X-Remote-User",), description="Headers with the user's name.")
    requestheader_uid_headers: Names = Field(("X-Remote-Uid",), description="Headers with the user's UID.")
    requestheader_group_headers: Names = Field(("X-Remote-Group",), description="Headers with the user's groups.")
    requestheader_extra_headers_prefix: Names = Field(
        ("X-Remote-Extra-",), description="What headers with the user's extra fields begin with."
    )
    tls_cert_file: Path | None = Field(None, description="Serving certificate (PEM) in place of ours.")
    tls_private_key_file: Path | None = Field(None, description="Its private key (PEM).")
    sqlite_synchronous: Literal["full", "normal"] = Field("full", description="full or normal.")
    encryption_key_file: Path | None = Field(
        None, description="Keys that encrypt stored Secrets, a line each: name base64."
    )
    history_seconds: float = Field(600.0, gt=0, description="History for watches.")
    virtual_workspace_allowed_hosts: Names = Field(
        (), description="Other servers that endpoint URLs may lead to: host,host:port."
    )
    webhook_allowed_hosts: Names = Field(
        (), description="Hosts that webhooks may be at: host,host:port. None given: all of them."
    )
    audit_log_path: str = Field("", description="File that the audit log is appended to; - is standard output.")
    audit_policy_file: Path | None = Field(
        None, description="audit.k8s.io/v1 Policy: what is audited, and how much of it."
    )
    audit_log_maxsize: int = Field(100, ge=1, description="Megabytes after which the audit log is rotated.")
    audit_log_maxage: int = Field(0, ge=0, description="Days that rotated audit logs are kept; 0 is for ever.")
    audit_log_maxbackup: int = Field(0, ge=0, description="Number of rotated audit logs that are kept; 0 is all.")
    max_requests_inflight: int = Field(400, ge=1, description="Requests that are served at once; others wait.")
    max_requests_inflight_per_user: int = Field(100, ge=1, description="Those of one user.")
    max_requests_inflight_per_workspace: int = Field(200, ge=1, description="Those in one workspace.")
    max_watches_per_user: int = Field(10_000, ge=1, description="Watches that one user may have open.")
    max_connections: int = Field(16_000, ge=1, description="Connections of clients; one more is cut.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="debug, info, warning, error.")

    @field_validator("feature_gates", mode="before")
    @classmethod
    def _parse_gates(cls, value: Any) -> dict[str, bool]:
        """``A=true,B=false``, as kube's components take it."""
        gates: dict[str, bool] = {}
        for name, given in _pairs(value).items():
            if name not in _SPELLINGS:
                raise ValueError(f"unknown feature gate {name!r}; there is {CACHED_APIS}")
            if str(given).lower() not in {"true", "false"}:
                raise ValueError(f"feature gate {name} takes true or false, not {given!r}")
            gates[_SPELLINGS[name]] = str(given).lower() == "true"
        return gates

    @field_validator("oidc_issuer_url")
    @classmethod
    def _check_issuer(cls, value: str) -> str:
        """As in kube-apiserver: ``https://host[:port][/path]``."""
        parts = urlsplit(value)
        plain = parts.scheme == "https" and parts.hostname and not (parts.query or parts.fragment or parts.username)
        if value and not plain:
            raise ValueError(f"{value!r} is no https:// URL without user, query and fragment")
        return value

    @field_validator("oidc_client_id")
    @classmethod
    def _check_client_ids(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if bool(value) != bool(info.data.get("oidc_issuer_url")):
            raise ValueError("goes together with --oidc-issuer-url")
        return value

    @field_validator("oidc_signing_algs")
    @classmethod
    def _check_algorithms(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name not in _ALGORITHMS:
                raise ValueError(f"unknown algorithm {name!r}; there are {', '.join(_ALGORITHMS)}")
        return value

    @field_validator("virtual_workspace_allowed_hosts", "webhook_allowed_hosts")
    @classmethod
    def _check_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """``host,host:port``; an address of IPv6 in brackets where a port follows."""
        hosts = tuple(host.lower() for host in value)
        for host in hosts:
            if not _ALLOWED_HOST.fullmatch(host):
                raise ValueError(f"{host!r} is neither host nor host:port")
        return hosts

    @property
    def cached_apis(self) -> bool:
        """Whether the gate CachedAPIs is on, as it is by default."""
        return self.feature_gates.get(CACHED_APIS, True)

    @property
    def secret_files(self) -> tuple[Path, ...]:
        """The files named by flags that nobody but the server should be able to read."""
        log = Path(self.audit_log_path) if self.audit_log_path not in {"", "-"} else None
        named = (self.token_auth_file, self.tls_private_key_file, self.encryption_key_file, log)
        return tuple(path for path in named if path is not None)

    @property
    def advertised_host(self) -> str:
        """The host in published URLs and in the kubeconfig; the address that means all addresses is nobody's."""
        if self.external_hostname:
            return self.external_hostname
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.bind_address, self.bind_address)  # noqa: S104 -- compared
