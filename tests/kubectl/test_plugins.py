import io
import sys
from pathlib import Path

import pytest

from kcpcache.kubectl import plugins
from kcpcache.kubectl.plugins import Surroundings, run


def surroundings(tmp_path: Path) -> Surroundings:
    environ = {"KUBECONFIG": str(tmp_path / "config")}
    return Surroundings(environ, tmp_path, io.StringIO(), io.StringIO(), io.StringIO())


def test_an_error_is_one_line_and_a_code(tmp_path: Path):
    around = surroundings(tmp_path)
    assert run("ws", ["."], around) == 1
    assert around.err.getvalue().startswith("Error: no current context: set KUBECONFIG")
    assert around.out.getvalue() == ""
    assert run("ws", ["--nope"], around) == 1


def test_help_needs_no_kubeconfig(tmp_path: Path):
    around = surroundings(tmp_path)
    assert run("kcp", ["bind", "apiexport", "--help"], around) == 0
    assert "Bind to an APIExport" in around.out.getvalue()
    assert around.err.getvalue() == ""


def test_an_interrupted_call_says_nothing_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(plugins, "parse_command_line", interrupted)
    around = surroundings(tmp_path)
    assert run("ws", [], around) == 130
    assert around.err.getvalue() == ""


@pytest.mark.parametrize(
    ("entry", "shown"),
    [
        (plugins.ws, "Manages kcp workspaces"),
        (plugins.kcp, "kubectl plugin for kcp"),
        (plugins.create_workspace, "Creates a new workspace"),
    ],
)
def test_each_plugin_is_a_program(
    entry, shown: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(sys, "argv", ["kubectl-x", "--help"])
    with pytest.raises(SystemExit) as ended:
        entry()
    assert ended.value.code == 0
    assert shown in capsys.readouterr().out
