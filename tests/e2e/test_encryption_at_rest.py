"""Secrets on disk: ciphertext in every file, keys that change, and nothing of the server's open to others."""

import base64
import contextlib
import sqlite3
import stat
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
from real_server import Server, command, environment, eventually, start_server

from kcpcache.storage.encrypted import SECRETS as SECRETS_PREFIX
from kcpcache.storage.encrypted import EncryptedStore
from kcpcache.storage.key_file import load_keys
from kcpcache.storage.sqlite import SqliteStore

SECRETS = "/api/v1/namespaces/default/secrets"
EXPORTS = "/apis/apis.kcp.io/v1alpha2/apiexports"
IDENTITIES = "/api/v1/namespaces/kcp-system/secrets"


def key_line(name: str, number: int) -> str:
    return f"{name} {base64.b64encode(bytes([number]) * 32).decode()}\n"


def secret(name: str, value: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "data": {"value": base64.b64encode(value.encode()).decode()}}


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), env=environment(), capture_output=True, text=True, timeout=30, check=False
    )


def on_disk(root_dir: Path) -> bytes:
    return b"".join(path.read_bytes() for path in root_dir.iterdir())


class Keys:
    """A root directory and a key file, and what is told of a start that is refused."""

    def __init__(self, folder: Path) -> None:
        self.root_dir, self.file = folder / "root", folder / "keys"

    def write(self, *lines: str) -> None:
        self.file.write_text("".join(lines))
        self.file.chmod(0o600)

    def refusal(self, *flags: object) -> str:
        before = self.stored()
        ran = run("start", "--root-dir", self.root_dir, "--port", 0, *flags)
        assert (ran.returncode, ran.stdout) == (1, "")
        assert self.stored() == before
        (line,) = ran.stderr.splitlines()
        return line

    def stored(self) -> list[Any]:
        with contextlib.closing(sqlite3.connect(self.root_dir / "kcpcache.db")) as database:
            return database.execute("SELECT * FROM log ORDER BY revision").fetchall()

    def rewrite(self, *flags: str) -> subprocess.CompletedProcess[str]:
        return run("rewrite-secrets", "--root-dir", self.root_dir, "--encryption-key-file", self.file, *flags)


def value_of(http: httpx.Client, name: str) -> str:
    return base64.b64decode(http.get(f"{SECRETS}/{name}").json()["data"]["value"]).decode()


def identity_of(http: httpx.Client) -> str:
    return str(eventually(lambda: http.get(f"{EXPORTS}/mine").json().get("status", {}).get("identityHash")))


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("encryption"))


@pytest.fixture(scope="module")
def plain(keys: Keys) -> set[bytes]:
    """What a server without keys left in its files, and an APIExport's identity among it."""
    with start_server(keys.root_dir) as server, server.client() as http:
        assert http.post(SECRETS, json=secret("first", "the first value")).is_success
        assert http.post(EXPORTS, json={"metadata": {"name": "mine"}, "spec": {}}).is_success
        identity_of(http)
        (identity,) = (
            item["data"]["key"] for item in http.get(IDENTITIES).json()["items"] if "mine" in item["metadata"]["name"]
        )
        check_modes(server)
    values = {secret("", "the first value")["data"]["value"].encode(), identity.encode()}
    assert all(value in on_disk(keys.root_dir) for value in values)
    return values


def check_modes(server: Server) -> None:
    """The server is running: all its files are there."""
    assert stat.S_IMODE(server.root_dir.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in server.root_dir.iterdir()}
    assert {"kcpcache.db", "kcpcache.db-wal", "admin.kubeconfig", "service-account.key"} <= set(modes)
    assert {name: oct(mode) for name, mode in modes.items() if mode & 0o077 and not name.endswith(".crt")} == {}


def test_secrets_become_ciphertext_keys_change_and_nothing_plain_is_left(keys: Keys, plain: set[bytes]):
    keys.write(key_line("one", 1))
    assert keys.rewrite().returncode == 0
    assert not [value for value in plain if value in on_disk(keys.root_dir)]

    assert 'with key "one"' in keys.refusal()
    keys.write(key_line("two", 2))
    assert 'with key "one"' in keys.refusal("--encryption-key-file", keys.file)
    keys.write(key_line("one", 3))
    assert "another one of that name" in keys.refusal("--encryption-key-file", keys.file)
    assert keys.rewrite().returncode == 1

    keys.write(key_line("two", 2), key_line("one", 1))
    with start_server(keys.root_dir, "--encryption-key-file", keys.file) as server, server.client() as http:
        assert value_of(http, "first") == "the first value"
        hash_before = identity_of(http)
        assert http.post(SECRETS, json=secret("second", "the second value")).is_success
        assert http.put(f"{SECRETS}/second", json=secret("second", "the third value")).is_success
        assert http.delete(f"{SECRETS}/second").is_success
        server.kill()  # so that the log of the database stays
    assert (keys.root_dir / "kcpcache.db-wal").stat().st_size
    later = {secret("", value)["data"]["value"].encode() for value in ("the second value", "the third value")}
    assert not [value for value in plain | later if value in on_disk(keys.root_dir)]

    ran = keys.rewrite()
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "with key 'two'" in ran.stdout
    keys.write(key_line("two", 2))
    with start_server(keys.root_dir, "--encryption-key-file", keys.file) as server, server.client() as http:
        assert value_of(http, "first") == "the first value"
        assert identity_of(http) == hash_before
        running = run("rewrite-secrets", "--root-dir", keys.root_dir, "--encryption-key-file", keys.file)
        assert running.returncode == 1
        assert "in use by another process" in running.stderr


def test_a_key_file_that_others_can_read_is_refused_before_anything_is_made(tmp_path: Path):
    file = tmp_path / "keys"
    file.write_text(key_line("one", 1))
    file.chmod(0o644)
    ran = run("start", "--root-dir", tmp_path / "root", "--port", 0, "--encryption-key-file", file)
    assert ran.returncode == 1
    assert "is open to others" in ran.stderr
    assert not list((tmp_path / "root").iterdir())


async def test_what_cannot_be_decrypted_is_named_and_deleted_only_when_asked_for(tmp_path: Path):
    keys = Keys(tmp_path)
    keys.write(key_line("one", 1))
    keys.root_dir.mkdir()
    store = await SqliteStore.open(keys.root_dir / "kcpcache.db")
    place = f"{SECRETS_PREFIX}root/default/"
    await EncryptedStore(store, load_keys(keys.file)).create(f"{place}whole", b"{}")
    whole = (await store.get(f"{place}whole")).entry
    assert whole is not None
    await store.create(f"{place}moved", whole.value)
    await store.close()
    left = keys.rewrite()
    assert left.returncode == 1
    assert left.stderr.rstrip().endswith(f"{place}moved")
    deleted = keys.rewrite("--delete-unreadable")
    assert (deleted.returncode, deleted.stderr) == (0, "")
    assert "deleted 1 Secrets" in deleted.stdout
    assert keys.rewrite().returncode == 0
