"""What a user can ask the plugins for, as values: the outcome of ``grammar.parse``."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from kcpcache.client.endpoint import Overrides


@dataclass(frozen=True, slots=True)
class Use:
    """Enter a workspace; ``typed`` may be any of the spellings that ``paths.destination`` knows."""

    typed: str
    short: bool = False


@dataclass(frozen=True, slots=True)
class Current:
    """Print the current workspace."""

    short: bool = False


@dataclass(frozen=True, slots=True)
class Tree:
    """Print the workspaces below the current one, or browse them."""

    full: bool = False
    interactive: bool = False
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Create:
    """Create a workspace below the current one and wait for it."""

    name: str
    type: str = ""
    enter: bool = False
    ignore_existing: bool = False
    location_selector: str = ""
    create_context: str = ""


@dataclass(frozen=True, slots=True)
class CreateContext:
    """Keep the current workspace as a context; "" is named by its path."""

    name: str = ""
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """A permission claim to decide on: the core group is ""."""

    resource: str
    group: str
    state: Literal["Accepted", "Rejected"]


@dataclass(frozen=True, slots=True)
class Bind:
    """Bind an APIExport into the current workspace and wait for it. ``all_claims`` decides on every exported claim."""

    path: str
    export: str
    name: str
    timeout_seconds: float = 30.0
    claims: tuple[Claim, ...] = ()
    all_claims: Literal["", "Accepted", "Rejected"] = ""


@dataclass(frozen=True, slots=True)
class GetClaims:
    """Print the claims of one APIBinding, or of all (``name`` "")."""

    name: str = ""


@dataclass(frozen=True, slots=True)
class DecideClaims:
    """Accept or reject claims of an APIBinding: those of a resource, of an identity, or all."""

    name: str
    state: Literal["Accepted", "Rejected"]
    resource: str = ""
    identity_hash: str = ""
    everything: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Turn CustomResourceDefinitions into APIResourceSchemas; "-" reads standard input."""

    filename: str
    prefix: str
    output: Literal["yaml", "json"] = "yaml"


@dataclass(frozen=True, slots=True)
class Help:
    """Print a text: usage or version."""

    text: str


Command: TypeAlias = Use | Current | Tree | Create | CreateContext | Bind | GetClaims | DecideClaims | Snapshot | Help


@dataclass(frozen=True, slots=True)
class Options:
    """How to get to the server: which kubeconfig, which workspace in place of the current one, what to override."""

    kubeconfig: str = ""
    workspace: str = ""
    overrides: Overrides = field(default_factory=Overrides)


@dataclass(frozen=True, slots=True)
class Invocation:
    """A whole command line."""

    command: Command
    options: Options = field(default_factory=Options)
