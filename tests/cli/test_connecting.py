from pathlib import Path

import pytest
import typer
import yaml

from kcpcache.cli.connecting import connect, failing
from kcpcache.client.connection import ApiError, RefusedError, UnreachableError
from kcpcache.client.kubeconfig import KubeconfigError


def kubeconfig(path: Path, current: str, **servers: str) -> str:
    """A file with a context for each server, of the same name."""
    named = {name.replace("_", "-"): server for name, server in servers.items()}
    document = {
        "clusters": [{"name": name, "cluster": {"server": server}} for name, server in named.items()],
        "contexts": [{"name": name, "context": {"cluster": name}} for name in named],
        "current-context": current,
    }
    path.write_text(yaml.safe_dump(document))
    return str(path)


@pytest.mark.parametrize(
    ("current", "context", "administrator", "server"),
    [
        ("root", "", True, "https://a:1"),
        ("root", "", False, "https://a:1/clusters/root"),
        ("root", "root", True, "https://a:1/clusters/root"),
        ("other", "", True, "https://b:1"),
        ("", "", True, "https://a:1"),
    ],
)
def test_the_administrator_is_asked_for_where_there_is_one_of_the_same_server(
    tmp_path: Path, current: str, context: str, administrator: bool, server: str
):
    servers = {"root": "https://a:1/clusters/root", "shard_base": "https://a:1", "other": "https://b:1"}
    file = kubeconfig(tmp_path / "config", current, **servers)
    assert connect(file, context, administrator=administrator).server == server


def test_without_an_administrator_it_is_the_current_context(tmp_path: Path):
    assert connect(kubeconfig(tmp_path / "config", "x", x="https://a:1")).server == "https://a:1"


def test_a_server_that_was_started_here_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    with pytest.raises(KubeconfigError, match="no current context"):
        connect()
    (tmp_path / ".kcpcache").mkdir()
    kubeconfig(tmp_path / ".kcpcache" / "admin.kubeconfig", "x", x="https://a:1")
    assert connect().server == "https://a:1"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RefusedError("nobody there"), "kcpcache: nobody there (is it started? kcpcache start)\n"),
        (UnreachableError("not trusted"), "kcpcache: not trusted\n"),
        (ApiError(403, "Forbidden", "no"), "kcpcache: no\n"),
        (KubeconfigError("no file"), "kcpcache: no file\n"),
    ],
)
def test_only_where_nobody_listens_is_it_said_how_to_start_a_server(
    error: Exception, said: str, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(typer.Exit) as ended, failing():
        raise error
    assert ended.value.exit_code == 1
    assert capsys.readouterr().err == said
