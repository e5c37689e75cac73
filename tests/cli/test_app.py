import pytest
from typer.main import get_group
from typer.testing import CliRunner

from kcpcache import __version__
from kcpcache.__main__ import main as program
from kcpcache.cli.app import app

COMMANDS = sorted(get_group(app).commands)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "version"])
def test_every_command_shows_an_example_of_itself(name: str):
    shown = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    assert f"Example: kcpcache {name}" in shown.output


@pytest.mark.parametrize(("typed", "offered"), [("re", ["restore", "rewrite-secrets"]), ("d", ["demo", "doctor"])])
def test_commands_are_completed_in_the_shell(typed: str, offered: list[str]):
    env = {"_KCPCACHE_COMPLETE": "complete_bash", "COMP_WORDS": f"kcpcache {typed}", "COMP_CWORD": "1"}
    completed = CliRunner().invoke(app, [], env=env, prog_name="kcpcache")
    assert completed.output.split() == offered


def test_the_version_is_told_to_whoever_asks_as_of_any_program():
    told = CliRunner().invoke(app, ["--version"])
    assert told.exit_code == 0
    assert told.output == CliRunner().invoke(app, ["version"]).output == f"kcpcache {__version__}\n"
    assert "A Kubernetes-style API server" in CliRunner().invoke(app, ["--help"]).output


def test_an_interruption_ends_the_program_without_a_traceback(monkeypatch: pytest.MonkeyPatch):
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("kcpcache.cli.app.main", interrupted)
    with pytest.raises(SystemExit) as ended:
        program()
    assert ended.value.code == 130


def test_a_mistake_ends_with_an_error():
    assert CliRunner().invoke(app, ["restor"]).exit_code == 2
    assert CliRunner().invoke(app, ["backup"]).exit_code == 2
