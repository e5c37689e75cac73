"""How a command line is taken apart: a tree of words, each with its flags, down to the one that makes the command."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kcpcache.client.endpoint import Overrides
from kcpcache.kubectl import commands
from kcpcache.kubectl.flags import Flag, Words, parse

_CONNECTION = (
    Flag("kubeconfig", "text", "Path to the kubeconfig file"),
    Flag("context", "text", "The name of the kubeconfig context to use"),
    Flag("user", "text", "The name of the kubeconfig user to use"),
    Flag("server", "text", "The address and port of the Kubernetes API server", short="s"),
    Flag("token", "text", "Bearer token for authentication to the API server"),
    Flag("certificate-authority", "text", "Path to a cert file for the certificate authority"),
    Flag("tls-server-name", "text", "Server name to use for server certificate validation"),
    Flag("insecure-skip-tls-verify", "bool", "Do not check the server's certificate; connections are insecure then"),
)
_HELP = Flag("help", "bool", "Show this help", short="h")
_ALIASES = {"cd": "use", "workspaces": "workspace", "ws": "workspace"}

Build = Callable[[Words], commands.Command | None]
"""Makes the command; None where help is all that the words deserve."""


@dataclass(frozen=True, slots=True)
class Node:
    """One word of a command line, and what may follow."""

    use: str
    about: str
    build: Build
    flags: tuple[Flag, ...] = ()
    children: Mapping[str, "Node"] = field(default_factory=dict)
    connects: bool = True
    example: str = ""


def invocation(node: Node, shown: str, words: Sequence[str]) -> commands.Invocation:
    """What ``words`` after the program of ``node`` ask for; ``shown`` is how help calls it. Raises UsageError."""
    given: dict[str, Any] = {}
    rest = list(words)
    while node.children:
        found = parse(_flags(node), rest, given, stop_at_first=True)
        word = found.arguments[0] if found.arguments else ""
        word = _ALIASES.get(word, word)
        if word not in node.children or found.values["help"]:
            break
        given = {flag.name: found.values[flag.name] for flag in _CONNECTION if flag.name in found.values}
        node, shown, rest = node.children[word], f"{shown} {word}", list(found.arguments[1:])
    found = parse(_flags(node), rest, given)
    command = None if found.values["help"] else node.build(found)
    return commands.Invocation(command or commands.Help(help_text(node, shown)), _options(found.values))


def help_text(node: Node, shown: str) -> str:
    """What ``--help`` prints."""
    lines = [node.about, "", "Usage:", f"  {shown} {node.use}".rstrip()]
    if node.example:
        lines += ["", "Examples:", *(f"  {line}" for line in node.example.strip().splitlines())]
    if node.children:
        lines += ["", "Commands:", *(f"  {name:<15} {child.about}" for name, child in node.children.items())]
    lines += ["", "Flags:"]
    for flag in _flags(node):
        dash = f"-{flag.short}, " if flag.short else "    "
        takes = "" if flag.kind == "bool" else f" {flag.kind if flag.kind != 'text' else 'string'}"
        lines.append(f"  {dash}--{flag.name + takes:<38} {flag.about}")
    return "\n".join(lines)


def _flags(node: Node) -> tuple[Flag, ...]:
    return (*node.flags, *(_CONNECTION if node.connects else ()), _HELP)


def _options(values: Mapping[str, Any]) -> commands.Options:
    overrides = Overrides(
        context=values.get("context", ""),
        user=values.get("user", ""),
        server=values.get("server", ""),
        token=values.get("token", ""),
        certificate_authority=values.get("certificate-authority", ""),
        tls_server_name=values.get("tls-server-name", ""),
        insecure_skip_tls_verify=values.get("insecure-skip-tls-verify", False),
    )
    return commands.Options(values.get("kubeconfig", ""), values.get("workspace", ""), overrides)
