"""A backup of a running server, restored into another directory, makes the same server."""

import subprocess
import threading
from pathlib import Path

from real_server import command, environment, start_server

COLLECTION = "/clusters/root/api/v1/namespaces/default/configmaps"


def kcpcache(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command of the program to its end."""
    return subprocess.run(command(*arguments), env=environment(), capture_output=True, text=True, check=False)


def test_a_restored_server_is_the_one_that_was_backed_up_while_writes_went_on(tmp_path: Path):
    root, new, file = tmp_path / "root", tmp_path / "new", tmp_path / "backup.tar"
    with start_server(root) as server, server.client("shard-admin") as client:
        stop, started = threading.Event(), threading.Event()
        written: list[str] = []

        def write() -> None:
            with server.client("shard-admin") as writer:
                while not stop.is_set():
                    name = f"c{len(written)}"
                    made = writer.post(COLLECTION, json={"metadata": {"name": name}, "data": {"a": "b" * 500}})
                    assert made.status_code == 201, made.text
                    written.append(name)
                    if len(written) == 20:
                        started.set()

        writer = threading.Thread(target=write)
        writer.start()
        assert started.wait(30)
        ran = kcpcache("backup", file, "--root-dir", root)
        stop.set()
        writer.join()
        assert ran.returncode == 0, ran.stderr
        revision = ran.stdout.split("at revision ")[1].split()[0]
        query = {"resourceVersion": revision, "resourceVersionMatch": "Exact"}
        there = client.get(COLLECTION, params=query).json()["items"]
        assert 20 <= len(there) <= len(written)
        busy = kcpcache("restore", file, "--root-dir", root, "--force")
        assert (busy.returncode, busy.stderr) == (1, "kcpcache: a server runs there: stop it first\n")
        kubeconfig = server.kubeconfig.read_text()
        pem = server.user_pem("kcp-admin").read_bytes()
    ran = kcpcache("restore", file, "--root-dir", new)
    assert ran.returncode == 0, ran.stderr
    assert "kcpcache start --root-dir" in ran.stdout
    with start_server(new, port=server.port) as restored, restored.client("shard-admin") as client:
        assert restored.user_pem("kcp-admin").read_bytes() == pem
        assert restored.kubeconfig.read_text() == kubeconfig
        listed = client.get(COLLECTION).json()
        assert listed["items"] == there
        examined = kcpcache("doctor", "--root-dir", new)
        assert (examined.returncode, examined.stdout[:21]) == (0, "0 errors, 0 warnings,"), examined.stdout
        assert int(listed["metadata"]["resourceVersion"]) >= int(revision) + 1_000_000_000
        late = client.get(COLLECTION, params={"watch": "1", "resourceVersion": revision})
        assert (late.status_code, late.json()["reason"]) == (410, "Expired")
