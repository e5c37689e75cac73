"""The grammar of the plugins, as a table: words, and what they ask for."""

import pytest

from kcpcache.client.endpoint import Overrides
from kcpcache.kubectl.commands import (
    Bind,
    Claim,
    Create,
    CreateContext,
    Current,
    DecideClaims,
    GetClaims,
    Help,
    Options,
    Snapshot,
    Tree,
    Use,
)
from kcpcache.kubectl.flags import UsageError
from kcpcache.kubectl.programs import parse_command_line


def asked(line: str):
    """The command of ``kubectl <line>``, and the options with it."""
    program, *words = line.split()
    found = parse_command_line(program, words, "1.2.3")
    return found.command, found.options


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("ws", Use("")),
        ("ws ~", Use("~")),
        ("ws .", Use(".")),
        ("ws ..", Use("..")),
        ("ws -", Use("-")),
        ("ws :", Use(":")),
        ("ws foo", Use("foo")),
        ("ws foo --short", Use("foo", short=True)),
        ("ws :root:foo", Use(":root:foo")),
        ("ws use foo", Use("foo")),
        ("ws cd ../foo", Use("../foo")),
        ("ws use -", Use("-")),
        ("ws use use", Use("use")),
        ("ws current", Current()),
        ("ws current --short", Current(short=True)),
        ("ws tree", Tree()),
        ("ws tree -i", Tree(interactive=True)),
        ("ws tree --full --wide", Tree(full=True, wide=True)),
        ("ws -i", Tree(interactive=True)),
        ("ws create foo", Create("foo")),
        ("ws create foo --type team --enter", Create("foo", type="team", enter=True)),
        ("ws create --type=root:team foo --ignore-existing", Create("foo", type="root:team", ignore_existing=True)),
        ("ws create foo --create-context bar", Create("foo", create_context="bar")),
        ("ws create foo --location-selector a=b", Create("foo", location_selector="a=b")),
        ("ws create-context", CreateContext()),
        ("ws create-context mine --overwrite", CreateContext("mine", overwrite=True)),
        ("create-workspace foo --enter", Create("foo", enter=True)),
        ("kcp workspace foo", Use("foo")),
        ("kcp workspaces use foo", Use("foo")),
        ("kcp ws tree", Tree()),
        ("kcp bind apiexport root:a:x", Bind("root:a", "x", "x")),
        ("kcp bind apiexport root:a:x ignored", Bind("root:a", "x", "x")),
        ("kcp bind apiexport root:x.y.z --name b --timeout 5s", Bind("root", "x.y.z", "b", timeout_seconds=5.0)),
        (
            "kcp bind apiexport root:x --accept-permission-claim secrets.core,a.b --reject-permission-claim c.d.e",
            Bind(
                "root",
                "x",
                "x",
                claims=(
                    Claim("secrets", "", "Accepted"),
                    Claim("a", "b", "Accepted"),
                    Claim("c", "d.e", "Rejected"),
                ),
            ),
        ),
        ("kcp bind apiexport root:x --accept-all-permission-claims", Bind("root", "x", "x", all_claims="Accepted")),
        ("kcp bind apiexport root:x --reject-all-permission-claims", Bind("root", "x", "x", all_claims="Rejected")),
        ("kcp claims get apibinding", GetClaims()),
        ("kcp claims get apibinding foo", GetClaims("foo")),
        ("kcp claims accept foo --resource secrets.core", DecideClaims("foo", "Accepted", resource="secrets.core")),
        ("kcp claims reject foo --identity-hash abc", DecideClaims("foo", "Rejected", identity_hash="abc")),
        ("kcp claims accept foo --all", DecideClaims("foo", "Accepted", everything=True)),
        ("kcp crd snapshot -f - --prefix today", Snapshot("-", "today")),
        ("kcp crd snapshot --filename a.yaml --prefix v1 -o json", Snapshot("a.yaml", "v1", "json")),
        ("ws --version", Help("kubectl-ws 1.2.3")),
    ],
)
def test_words_ask_for_commands(line, command):
    assert asked(line) == (command, Options())


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("ws foo --kubeconfig /x", Options(kubeconfig="/x")),
        ("ws --kubeconfig=/x use foo", Options(kubeconfig="/x")),
        ("ws --context a use foo --context b", Options(overrides=Overrides(context="b"))),
        ("ws create foo -w :root:bar", Options(workspace=":root:bar")),
        ("kcp bind apiexport root:x --workspace ..", Options(workspace="..")),
        (
            "kcp claims get apibinding --token t -s https://x",
            Options(overrides=Overrides(token="t", server="https://x")),
        ),
        (
            "ws tree --insecure-skip-tls-verify --certificate-authority ca --tls-server-name n --user u",
            Options(
                overrides=Overrides(
                    insecure_skip_tls_verify=True, certificate_authority="ca", tls_server_name="n", user="u"
                )
            ),
        ),
    ],
)
def test_flags_say_how_to_reach_the_server(line, options):
    assert asked(line)[1] == options


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("ws use", "Usage:\n  kubectl ws use <workspace>"),
        ("ws use a b", "Usage:\n  kubectl ws use <workspace>"),
        ("ws a b", "Usage:\n  kubectl ws ["),
        ("ws current a", "Usage:\n  kubectl ws current"),
        ("ws tree a", "Usage:\n  kubectl ws tree"),
        ("ws create-context a b", "Usage:\n  kubectl ws create-context"),
        ("ws --help", "kubectl ws create my-workspace --enter"),
        ("ws create -h", "--ignore-existing"),
        ("create-workspace --help", "Usage:\n  kubectl create workspace <name>"),
        ("kcp", "Commands:\n  bind"),
        ("kcp help", "Commands:\n  bind"),
        ("kcp bind", "apiexport"),
        ("kcp bind apiexport --help", "--accept-permission-claim list"),
        ("kcp claims", "reject"),
        ("kcp claims get", "apibinding"),
        ("kcp crd", "snapshot"),
    ],
)
def test_help_is_shown_where_it_is_asked_for_or_the_words_say_too_little(line, text):
    command, _ = asked(line)
    assert text in command.text


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("ws -i foo", "interactive mode does not accept arguments"),
        ("ws create", "accepts 1 arg(s), received 0"),
        ("create-workspace a b", "accepts 1 arg(s), received 2"),
        ("ws create a --ignore-existing --type team", "--ignore-existing must not be used with non-absolute type path"),
        ("ws foo --enter", "unknown flag: --enter"),
        ("ws use foo -w x", "unknown shorthand flag: 'w' in -w"),
        ("kcp nonsense", 'unknown command "nonsense"'),
        ("kcp bind apiexport", "reference to bind is required as an argument"),
        ("kcp bind apiexport x", "fully qualified reference to workspace where APIExport exists is required"),
        ("kcp bind apiexport root:T@st:x", "fully qualified reference"),
        ("kcp bind apiexport root:x --accept-permission-claim secrets", 'invalid permission claim "secrets"'),
        (
            "kcp bind apiexport root:x --accept-permission-claim a.b --reject-permission-claim a.b",
            "permission claim a.b is both accepted and rejected",
        ),
        (
            "kcp bind apiexport root:x --accept-all-permission-claims --reject-all-permission-claims",
            "cannot use --accept-all-permission-claims together with --reject-all-permission-claims",
        ),
        (
            "kcp bind apiexport root:x --reject-all-permission-claims --accept-permission-claim a.b",
            "cannot use --reject-all-permission-claims together with --accept-permission-claim",
        ),
        ("kcp claims accept", "the name of the APIBinding is missing"),
        ("kcp claims accept foo", "say which claims"),
        ("kcp claims accept foo --all --resource a.b", "say which claims"),
        ("kcp crd snapshot --prefix x", "--filename is required"),
        ("kcp crd snapshot -f -", "--prefix is required"),
        ("kcp crd snapshot -f - --prefix x -o toml", 'invalid value "toml" for --output; valid values are json, yaml'),
    ],
)
def test_what_cannot_be_meant_is_refused(line, text):
    with pytest.raises(UsageError) as caught:
        asked(line)
    assert text in str(caught.value)
