"""Settings of a server: from flags, else from ``KCPCACHE_…`` in the environment, else the defaults here."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

CACHED_APIS = "CachedAPIs"
_ALLOWED_HOST = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?|\[[0-9a-f:.]+\])(:[0-9]{1,5})?|[0-9a-f:.]*:[0-9a-f:.]*")
_SPELLINGS = {"CachedAPIs": CACHED_APIS, "CacheAPIs": CACHED_APIS}


class Settings(BaseSettings):
    """All settings of ``kcpcache start``. Raises pydantic's ValidationError for what cannot be."""

    model_config = SettingsConfigDict(env_prefix="KCPCACHE_", frozen=True, extra="ignore")

    root_dir: Path = Path(".kcpcache")
    bind_address: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 6443
    external_hostname: str = ""
    shard_name: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")] = "root"
    feature_gates: Annotated[dict[str, bool], NoDecode] = {}
    token_auth_file: Path | None = None
    client_ca_file: Path | None = None
    tls_cert_file: Path | None = None
    tls_private_key_file: Path | None = None
    sqlite_synchronous: Literal["full", "normal"] = "full"
    history_seconds: Annotated[float, Field(gt=0)] = 600.0
    virtual_workspace_allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("feature_gates", mode="before")
    @classmethod
    def _parse_gates(cls, value: Any) -> dict[str, bool]:
        """``A=true,B=false``, as kube's components take it."""
        if not isinstance(value, dict):
            value = {name: given for name, _, given in (part.partition("=") for part in str(value).split(",") if part)}
        gates: dict[str, bool] = {}
        for name, given in value.items():
            if name not in _SPELLINGS:
                raise ValueError(f"unknown feature gate {name!r}; there is {CACHED_APIS}")
            if str(given).lower() not in {"true", "false"}:
                raise ValueError(f"feature gate {name} takes true or false, not {given!r}")
            gates[_SPELLINGS[name]] = str(given).lower() == "true"
        return gates

    @field_validator("virtual_workspace_allowed_hosts", mode="before")
    @classmethod
    def _parse_hosts(cls, value: Any) -> tuple[str, ...]:
        """``host,host:port``; an address of IPv6 in brackets where a port follows."""
        parts = [part.strip().lower() for part in (value.split(",") if isinstance(value, str) else value)]
        hosts = tuple(part for part in parts if part)
        for host in hosts:
            if not _ALLOWED_HOST.fullmatch(host):
                raise ValueError(f"{host!r} is neither host nor host:port")
        return hosts

    @property
    def cached_apis(self) -> bool:
        """Whether the gate CachedAPIs is on, as it is by default."""
        return self.feature_gates.get(CACHED_APIS, True)

    @property
    def advertised_host(self) -> str:
        """The host in published URLs and in the kubeconfig; the address that means all addresses is nobody's."""
        if self.external_hostname:
            return self.external_hostname
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.bind_address, self.bind_address)  # noqa: S104 -- compared
