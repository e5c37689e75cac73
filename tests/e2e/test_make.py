"""README's first command, in the environment that it makes."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from real_kubectl import Kubectl, kubectl_binary
from real_server import REPOSITORY, Server, environment, ready_url

VENV = REPOSITORY / ".venv"


@pytest.mark.skipif(Path(sys.prefix) != VENV, reason="the tests do not run in the environment that make made")
def test_make_run_starts_a_server_that_kubectl_can_use_and_that_ctrl_c_ends(tmp_path: Path):
    root_dir, log = tmp_path / "root", tmp_path / "root.log"
    command = ["make", "--silent", "run", f"ARGS=--port 0 --root-dir {root_dir}"]
    with (
        log.open("ab") as stderr,
        subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
        ) as make,
    ):
        try:
            server = Server(make, root_dir, log, ready_url(make.stdout, log))
            assert "universal" in Kubectl(kubectl_binary(), server, tmp_path / "home")("root", "get", "workspacetypes")
        finally:
            os.killpg(make.pid, signal.SIGINT)
    assert not server.complaints()
    with socket.socket() as again:
        assert again.connect_ex(("127.0.0.1", server.port)) != 0
