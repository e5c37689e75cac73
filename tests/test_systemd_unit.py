"""docs/examples/systemd/kcpcache.service against the program that it starts."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_group

from kcpcache.cli.app import app
from kcpcache.server import GRACE_SECONDS

UNIT = Path(__file__).resolve().parents[1] / "docs" / "examples" / "systemd" / "kcpcache.service"


def settings() -> dict[str, str]:
    lines = [line for line in UNIT.read_text().splitlines() if "=" in line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_the_unit_starts_the_server_with_flags_that_it_has_and_gives_it_time_to_end():
    _, command, *words = shlex.split(settings()["ExecStart"])
    known = {option for parameter in get_group(app).commands[command].params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known
    assert int(settings()["TimeoutStopSec"]) > GRACE_SECONDS


def test_the_data_are_in_the_directory_that_systemd_makes_for_it():
    words = shlex.split(settings()["ExecStart"])
    assert words[words.index("--root-dir") + 1] == f"/var/lib/{settings()['StateDirectory']}"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze on this machine")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path):
    program = shlex.split(settings()["ExecStart"])[0]
    (tmp_path / UNIT.name).write_text(UNIT.read_text().replace(program, sys.executable))
    command = ["systemd-analyze", "verify", "--man=no", tmp_path / UNIT.name]
    verified = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")
