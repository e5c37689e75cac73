"""The plugins' command lines: from words to a command, without I/O.

The commands, flags, defaults and texts are those of kcp's own plugins (kcp-dev/cli), so that its users and scripts
need not learn anything; ``claims accept`` and ``reject`` go further than theirs.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from kcpcache.kubectl import commands
from kcpcache.kubectl.flags import Flag, UsageError, Words
from kcpcache.kubectl.grammar import Build, Node, invocation
from kcpcache.meta.names import is_logical_cluster_path

_BIND_SECONDS = 30.0
_WORKSPACE = Flag("workspace", "text", "Workspace to use in place of the current one: ':root:ws', 'child' or '..'", "w")
_SHORT = Flag("short", "bool", "Print only the name of the workspace, e.g. for integration into the shell prompt")
_CREATE_FLAGS = (
    Flag("type", "text", "A workspace type. The default depends on where the workspace is created"),
    Flag("enter", "bool", "Immediately enter the created workspace"),
    Flag("ignore-existing", "bool", "Ignore if the workspace already exists. Requires none or absolute type path"),
    Flag("location-selector", "text", "A label selector to select the scheduling location of the created workspace"),
    Flag("create-context", "text", "Create a kubeconfig context for the new workspace with the given name"),
)
_BIND_FLAGS = (
    Flag("name", "text", "Name of the APIBinding to create"),
    Flag("timeout", "duration", "How long to wait for the APIBinding to be bound (default 30s)", default=_BIND_SECONDS),
    Flag("accept-permission-claim", "list", "Permission claims to accept, as resource.group"),
    Flag("reject-permission-claim", "list", "Permission claims to reject, as resource.group"),
    Flag("accept-all-permission-claims", "bool", "Accept all permission claims of the APIExport"),
    Flag("reject-all-permission-claims", "bool", "Reject all permission claims of the APIExport"),
)
_DECIDE_FLAGS = (
    Flag("resource", "text", "The claims of a resource, as resource.group"),
    Flag("identity-hash", "text", "The claims of an API with this identity"),
    Flag("all", "bool", "All claims"),
)
_TREE_FLAGS = (
    Flag("full", "bool", "Show full workspace names", short="f"),
    Flag("interactive", "bool", "Interactive workspace tree browser", short="i"),
    Flag("wide", "bool", "Show workspace and logical cluster status for each node"),
)
_SNAPSHOT_FLAGS = (
    Flag("filename", "text", "A file with CustomResourceDefinitions, or - for stdin", short="f"),
    Flag("prefix", "text", "What the names of the APIResourceSchemas begin with, before <resource>.<group>"),
    Flag("output", "text", "Output format: json or yaml", short="o", default="yaml"),
)


def _workspace(words: Words) -> commands.Command | None:
    if words.values["interactive"]:
        if words.arguments:
            raise UsageError("interactive mode does not accept arguments")
        return commands.Tree(interactive=True)
    if len(words.arguments) > 1:
        return None
    return commands.Use(words.arguments[0] if words.arguments else "", words.values["short"])


def _use(words: Words) -> commands.Command | None:
    return commands.Use(words.arguments[0], words.values["short"]) if len(words.arguments) == 1 else None


def _current(words: Words) -> commands.Command | None:
    return None if words.arguments else commands.Current(words.values["short"])


def _tree(words: Words) -> commands.Command | None:
    values = words.values
    return None if words.arguments else commands.Tree(values["full"], values["interactive"], values["wide"])


def _create_context(words: Words) -> commands.Command | None:
    if len(words.arguments) > 1:
        return None
    return commands.CreateContext(words.arguments[0] if words.arguments else "", words.values["overwrite"])


def _create(words: Words) -> commands.Command:
    if len(words.arguments) != 1:
        raise UsageError(f"accepts 1 arg(s), received {len(words.arguments)}")
    values = words.values
    if values["ignore-existing"] and values["type"] and values["type"].split(":", 1)[0] != "root":
        raise UsageError("--ignore-existing must not be used with non-absolute type path")
    return commands.Create(
        name=words.arguments[0],
        type=values["type"],
        enter=values["enter"],
        ignore_existing=values["ignore-existing"],
        location_selector=values["location-selector"],
        create_context=values["create-context"],
    )


def _bind(words: Words) -> commands.Command:
    values, reference = words.values, words.arguments[0] if words.arguments else ""
    if not reference:
        raise UsageError("`root:ws:apiexport_object` reference to bind is required as an argument")
    _check_all_claims(values)
    path, _, export = reference.rpartition(":")
    if not path or not is_logical_cluster_path(path):
        raise UsageError(
            "fully qualified reference to workspace where APIExport exists is required. The format is "
            "`<logical-cluster-name>:<apiexport>` or `<full>:<path>:<to>:<apiexport>`"
        )
    accepted = [_claim(text, "Accepted") for text in values["accept-permission-claim"]]
    rejected = [_claim(text, "Rejected") for text in values["reject-permission-claim"]]
    both = {(claim.resource, claim.group) for claim in accepted} & {(claim.resource, claim.group) for claim in rejected}
    if both:
        resource, group = min(both)
        raise UsageError(f"permission claim {resource}.{group or 'core'} is both accepted and rejected")
    everything: Literal["", "Accepted", "Rejected"] = ""
    if values["accept-all-permission-claims"]:
        everything = "Accepted"
    elif values["reject-all-permission-claims"]:
        everything = "Rejected"
    return commands.Bind(path, export, values["name"] or export, values["timeout"], (*accepted, *rejected), everything)


def _check_all_claims(values: Mapping[str, Any]) -> None:
    given = [name for name in _ALL_OR_SOME if values[name]]
    for name in ("accept-all-permission-claims", "reject-all-permission-claims"):
        if name in given and len(given) > 1:
            other = next(each for each in given if each != name)
            raise UsageError(f"cannot use --{name} together with --{other}")


_ALL_OR_SOME = tuple(flag.name for flag in _BIND_FLAGS if flag.name.endswith(("claim", "claims")))


def _claim(text: str, state: Literal["Accepted", "Rejected"]) -> commands.Claim:
    resource, dot, group = text.partition(".")
    if not dot:
        raise UsageError(f'invalid permission claim "{text}": it is written as resource.group, and resource.core')
    return commands.Claim(resource, "" if group == "core" else group, state)


def _get_claims(words: Words) -> commands.Command:
    return commands.GetClaims(words.arguments[0] if words.arguments else "")


def _decide(state: Literal["Accepted", "Rejected"]) -> Build:
    def build(words: Words) -> commands.Command:
        values = words.values
        if not words.arguments:
            raise UsageError("the name of the APIBinding is missing")
        if sum(bool(values[name]) for name in ("resource", "identity-hash", "all")) != 1:
            raise UsageError("say which claims: one of --resource, --identity-hash and --all")
        return commands.DecideClaims(
            words.arguments[0], state, values["resource"], values["identity-hash"], values["all"]
        )

    return build


def _snapshot(words: Words) -> commands.Command:
    values = words.values
    for name in ("filename", "prefix"):
        if not values[name]:
            raise UsageError(f"--{name} is required")
    output = values["output"]
    if output not in {"json", "yaml"}:
        raise UsageError(f'invalid value "{output}" for --output; valid values are json, yaml')
    return commands.Snapshot(values["filename"], values["prefix"], output)


def _only_help(words: Words) -> None:
    if words.arguments and words.arguments[0] != "help":
        raise UsageError(f'unknown command "{words.arguments[0]}"')


_WORKSPACE_EXAMPLE = """
kubectl ws .                          # show the current workspace
kubectl ws my-workspace               # enter a workspace below it
kubectl ws :root:default:my-workspace # enter a workspace by its absolute path
kubectl ws ..                         # enter the parent workspace
kubectl ws -                          # go back to the previous workspace
kubectl ws                            # go to your home workspace
kubectl ws create my-workspace --enter
kubectl ws tree
kubectl ws create-context my-context  # keep the current workspace as a context
"""
_BIND_EXAMPLE = """
kubectl kcp bind apiexport root:my-service:my-export --name my-binding
kubectl kcp bind apiexport root:my-service:my-export --accept-permission-claim secrets.core,configmaps.core
"""
_CLAIMS_EXAMPLE = """
kubectl kcp claims get apibinding              # of all APIBindings
kubectl kcp claims get apibinding cert-manager
kubectl kcp claims accept cert-manager --resource=secrets.core
kubectl kcp claims reject cert-manager --all
"""
_SNAPSHOT_EXAMPLE = """
kubectl get crd foo -o yaml | kubectl kcp crd snapshot -f - --prefix today > apiresourceschema.yaml
"""
_CREATE = Node(
    "<name> [--type=<type>] [--enter] [--ignore-existing]",
    "Creates a new workspace",
    _create,
    (*_CREATE_FLAGS, _WORKSPACE),
    example="kubectl create workspace my-workspace --type root:team --enter",
)
_WORKSPACES = Node(
    "[create|create-context|use|current|tree|<workspace>|..|.|-|~|<:root:absolute:workspace>]",
    "Manages kcp workspaces",
    _workspace,
    (_SHORT, Flag("interactive", "bool", "Interactive workspace tree browser", short="i")),
    {
        "use": Node("<workspace>|..|.|-|~|<:root:absolute:workspace>", "Enters a workspace", _use, (_SHORT,)),
        "current": Node("[--short]", "Prints the current workspace, as 'kubectl ws .' does", _current, (_SHORT,)),
        "create": _CREATE,
        "create-context": Node(
            "[<context-name>] [--overwrite]",
            "Creates a kubeconfig context for the current workspace",
            _create_context,
            (Flag("overwrite", "bool", "Overwrite the context if it already exists"),),
        ),
        "tree": Node("", "Prints the tree of workspaces", _tree, (*_TREE_FLAGS, _WORKSPACE)),
    },
    example=_WORKSPACE_EXAMPLE,
)
_CLAIMS = Node(
    "",
    "Operations related to viewing or updating permission claims",
    _only_help,
    children={
        "get": Node(
            "apibinding [<apibinding-name>]",
            "Prints claims and what was decided on them",
            _only_help,
            children={
                "apibinding": Node("[<apibinding-name>]", "Prints claims of APIBindings", _get_claims, (_WORKSPACE,))
            },
        ),
        "accept": Node("<apibinding-name>", "Accepts claims", _decide("Accepted"), (*_DECIDE_FLAGS, _WORKSPACE)),
        "reject": Node("<apibinding-name>", "Rejects claims", _decide("Rejected"), (*_DECIDE_FLAGS, _WORKSPACE)),
    },
    example=_CLAIMS_EXAMPLE,
)
_KCP = Node(
    "",
    "kubectl plugin for kcp",
    _only_help,
    children={
        "bind": Node(
            "",
            "Bind different types into current workspace",
            _only_help,
            children={
                "apiexport": Node(
                    "<workspace_path:apiexport-name>",
                    "Bind to an APIExport",
                    _bind,
                    (*_BIND_FLAGS, _WORKSPACE),
                    example=_BIND_EXAMPLE,
                )
            },
        ),
        "claims": _CLAIMS,
        "crd": Node(
            "",
            "CRD related operations",
            _only_help,
            children={
                "snapshot": Node(
                    "-f FILE --prefix PREFIX",
                    "Snapshot a CRD and convert it to an APIResourceSchema",
                    _snapshot,
                    _SNAPSHOT_FLAGS,
                    connects=False,
                    example=_SNAPSHOT_EXAMPLE,
                )
            },
        ),
        "workspace": _WORKSPACES,
    },
)
PROGRAMS: Mapping[str, Node] = {"ws": _WORKSPACES, "kcp": _KCP, "create-workspace": _CREATE}
"""The plugins by the name under which kubectl knows them."""


def parse_command_line(program: str, words: Sequence[str], version: str) -> commands.Invocation:
    """What ``kubectl <program> <words>`` asks for; ``program`` is a key of PROGRAMS. Raises UsageError."""
    if list(words) == ["--version"]:
        return commands.Invocation(commands.Help(f"kubectl-{program} {version}"))
    return invocation(PROGRAMS[program], f"kubectl {program.replace('-', ' ')}", words)
