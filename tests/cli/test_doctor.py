"""The checks of ``kcpcache doctor``, each against something that is in order and something that is not."""

import asyncio
import errno
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kcpcache.auth.certificates import ensure_certificates
from kcpcache.cli.app import app
from kcpcache.cli.local_checks import check_root_dir
from kcpcache.cli.remote_checks import Differences, check_server, differences
from kcpcache.client.connection import ApiError
from kcpcache.root_dir import DATABASE, RESTORING
from kcpcache.storage.sqlite import SqliteStore

NOW = datetime(2026, 3, 1, tzinfo=UTC)
CACHE = "/services/cache/shards/*/clusters/"
SHEETS = "/apis/g.io/v1/sheets"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    ensure_certificates(tmp_path, ["localhost"], NOW)

    async def fill() -> None:
        store = await SqliteStore.open(tmp_path / DATABASE)
        await store.create("/registry/a", b"")
        await store.close()

    asyncio.run(fill())
    return tmp_path


def local(root: Path, now: datetime = NOW) -> dict[str, str]:
    """What is wrong, by check."""
    found = list(check_root_dir(root, now))
    assert all(each.mend for each in found if each.level != "ok")
    return {each.check: f"{each.level}: {each.text}" for each in found if each.level != "ok"}


def test_a_directory_in_order_has_nothing_to_complain_of(root: Path):
    assert local(root) == {}
    texts = {each.check: each.text for each in check_root_dir(root, NOW)}
    assert texts["database"] == "whole: 1 entries at revision 1"
    assert texts["certificate admin.crt"].startswith("valid until 20")


def test_certificates_that_end_soon_or_are_of_the_future_are_found(root: Path):
    soon = local(root, NOW + timedelta(days=350))
    assert set(soon) == {"certificate admin.crt", "certificate shard-admin.crt", "certificate apiserver.crt"}
    assert all(text.startswith("warning: expires on 20") for text in soon.values())
    late = local(root, NOW + timedelta(days=365 * 11))
    assert late["certificate ca.crt"].startswith("error: expired on 20")
    assert local(root, NOW - timedelta(days=3))["certificate ca.crt"].startswith("error: is valid from 2026-0")
    (root / "ca.crt").write_text("rubbish")
    assert local(root)["certificate ca.crt"].startswith("error: cannot be read")


def test_a_damaged_or_missing_database_is_found(root: Path):
    (root / DATABASE).write_bytes(b"rubbish" * 1000)
    assert local(root)["database"].startswith("error: cannot check")
    (root / DATABASE).unlink()
    assert "is not there" in local(root)["database"]


def test_keys_open_to_others_are_found(root: Path):
    (root / "ca.key").chmod(0o644)
    assert local(root) == {"file modes": "error: open to others: ca.key"}


def test_a_directory_that_others_can_write_to_is_found(root: Path):
    root.chmod(0o770)
    assert local(root) == {"file modes": "error: others can put files of theirs into the directory"}


def test_a_certificate_with_the_key_of_another_is_found(root: Path):
    for name in ("admin.key", "ca.key"):
        kept = (root / name).read_bytes()
        for other in ((root / "apiserver.key").read_bytes(), b"rubbish"):
            (root / name).write_bytes(other)
            certificate = f"certificate {name.removesuffix('.key')}.crt"
            assert local(root) == {certificate: f"error: {name} is not its key"}
        (root / name).write_bytes(kept)
    assert local(root) == {}


def test_a_full_disk_and_an_unfinished_restore_are_found(root: Path, monkeypatch: pytest.MonkeyPatch):
    (root / RESTORING).mkdir()
    usage = shutil.disk_usage(root)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10_000))
    found = local(root)
    assert found["restore"] == "error: a restore was not finished"
    assert found["disk"].startswith("warning: 0.0 GB free")


def obj(name: str, version: str = "1", uid: str = "u", **labels: str):
    return {"metadata": {"name": name, "resourceVersion": version, "uid": uid, "labels": labels}}


def copy(name: str, version: str = "1", uid: str = "u"):
    annotations = {"cache.kcp.io/original-resource-version": version, "cache.kcp.io/original-resource-UID": uid}
    return {"metadata": {"name": name, "resourceVersion": "9", "annotations": annotations}}


def test_copies_are_compared_by_version_and_uid():
    assert not differences([obj("a"), obj("b", "7")], [copy("b", "7"), copy("a")])
    assert differences(
        [obj("a"), obj("b", "7"), obj("c")], [copy("b", "6"), copy("c", uid="v"), copy("d")]
    ) == Differences(missing=frozenset({"a"}), stale=frozenset({"b", "c"}), extra=frozenset({"d"}))
    assert differences([], [{"metadata": {"name": "x"}}]).extra == {"x"}


class Server:
    """What a server answers, by path; whatever is not there is forbidden."""

    def __init__(self, **changes: object) -> None:
        cached = {
            "metadata": {"name": "s", "annotations": {"kcp.io/path": "root:a", "kcp.io/cluster": "abc"}},
            "spec": {
                "group": "g.io",
                "version": "v1",
                "resource": "sheets",
                "labelSelector": {"matchLabels": {"x": "1"}},
            },
            "status": {"phase": "Ready", "identityHash": "hash", "conditions": [{"type": "A", "status": "True"}]},
        }
        root = {"metadata": {"annotations": {"kcp.io/path": "root"}}, "status": {"phase": "Ready"}}
        discovery = {"groups": [{"name": "g.io", "versions": [{"version": "v1", "groupVersion": "g.io/v1"}]}]}
        own = {"name": "cache.kcp.io", "versions": []}
        self.answers: dict[str, object] = {
            "/version": {"gitVersion": "v1.33"},
            "/readyz": "ok",
            "/clusters/*/apis/core.kcp.io/v1alpha1/logicalclusters": [root],
            "/clusters/*/apis/cache.kcp.io/v1alpha1/cachedresources": [cached],
            "/clusters/root/api/v1/namespaces?dryRun=All": {"metadata": {"creationTimestamp": "2026-03-01T00:00:00Z"}},
            f"/clusters/abc{SHEETS}": [obj("one", x="1"), obj("other")],
            f"{CACHE}abc{SHEETS}:hash": [copy("one")],
            f"{CACHE}*/apis": {"groups": [own, *discovery["groups"]]},
            f"{CACHE}*/apis/g.io/v1": {"resources": [{"name": "sheets"}, {"name": "sheets/status"}]},
            f"{CACHE}*{SHEETS}": [copy("one")],
        }
        self.answers.update(changes)

    def get(self, path: str):
        if path not in self.answers:
            raise ApiError(403, "Forbidden", f"{path} is forbidden")
        answer = self.answers[path]
        if isinstance(answer, Exception):
            raise answer
        return answer.pop(0) if isinstance(answer, tuple) else answer

    text = items = get

    def create(self, path: str, made: object):
        return self.get(path)


def remote(server: Server) -> dict[str, str]:
    """What is wrong, by check."""
    found = list(check_server(server, now=lambda: NOW, sleep=lambda _: None))
    assert all(each.mend for each in found if each.level == "error")
    return {each.check: f"{each.level}: {each.text}" for each in found if each.level != "ok"}


def test_a_server_in_order_has_nothing_to_complain_of():
    assert remote(Server()) == {}


def test_a_server_that_is_not_ready_and_workspaces_that_are_not_are_found():
    cluster = {"metadata": {"annotations": {"kcp.io/path": "root:b"}}, "status": {"phase": "Initializing"}}
    server = Server(**{"/readyz": ApiError(500, "", "no")})
    server.answers["/clusters/*/apis/core.kcp.io/v1alpha1/logicalclusters"] = [cluster, {"metadata": {}}]
    assert remote(server) == {
        "server": "error: v1.33 is not ready",
        "workspaces": "warning: 2 of 2 are not ready:  (no phase), root:b (Initializing)",
    }


@pytest.mark.parametrize(
    ("theirs", "text"),
    [
        ("2026-03-01T00:01:00Z", "error: the server's clock is 60 s ahead of this machine's"),
        ("2026-02-28T23:59:00Z", "error: the server's clock is 59 s behind this machine's"),
    ],
)
def test_a_clock_that_is_wrong_is_found(theirs: str, text: str):
    made = {"metadata": {"creationTimestamp": theirs}}
    assert remote(Server(**{"/clusters/root/api/v1/namespaces?dryRun=All": made})) == {"clock": text}
    refused = ApiError(403, "Forbidden", "no")
    assert remote(Server(**{"/clusters/root/api/v1/namespaces?dryRun=All": refused})) == {
        "clock": "warning: not looked at: no"
    }


def test_complaints_of_a_cached_resource_are_found():
    server = Server()
    (cached,) = server.answers["/clusters/*/apis/cache.kcp.io/v1alpha1/cachedresources"]
    cached["status"]["conditions"] = [{"type": "ResourceValid", "status": "False", "message": "no such resource"}]
    server.answers[f"/clusters/abc{SHEETS}"] = ApiError(404, "NotFound", "gone")
    server.answers[f"{CACHE}abc{SHEETS}:hash"] = server.answers[f"{CACHE}*{SHEETS}"] = []
    assert remote(server) == {"CachedResource root:a/s": "error: ResourceValid: no such resource"}


def test_copies_that_stay_wrong_and_orphans_are_found():
    server = Server(**{f"{CACHE}abc{SHEETS}:hash": [copy("one", "0"), copy("old")]})
    server.answers[f"/clusters/abc{SHEETS}"] = [obj("one", x="1"), obj("two", x="1")]
    server.answers[f"{CACHE}*{SHEETS}"] = [copy("one"), copy("old"), copy("orphan")]
    assert remote(server) == {
        "copies of root:a/s": "error: 1 missing: two; 1 out of date: one; 1 without an original: old",
        "orphans": "error: copies that no CachedResource explains: 1 of sheets.v1.g.io",
    }


def test_copies_that_were_only_on_their_way_are_no_complaint():
    listed = [[copy("one", "0")], [copy("one")]]
    server = Server()
    get = server.get

    def moving(path: str):
        return listed.pop(0) if path == f"{CACHE}abc{SHEETS}:hash" else get(path)

    server.items = moving
    assert remote(server) == {}
    assert listed == []


def test_without_the_right_to_the_cache_copies_are_not_looked_at():
    server = Server()
    del server.answers[f"{CACHE}abc{SHEETS}:hash"]
    assert remote(server) == {"copies": "warning: not looked at: that needs system:masters"}


def test_a_root_directory_that_is_missing_or_closed_is_told(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "missing"))
    ran = CliRunner().invoke(app, ["doctor", "--root-dir", str(tmp_path / "nowhere")])
    assert (ran.exit_code, type(ran.exception)) == (1, SystemExit)
    assert f"error   root directory: not looked at: {tmp_path}/nowhere is not here" in ran.output

    def closed(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(root / DATABASE))

    monkeypatch.setattr("kcpcache.cli.local_checks.check_store", closed)
    ran = CliRunner().invoke(app, ["doctor", "--root-dir", str(root)])
    assert (ran.exit_code, type(ran.exception)) == (1, SystemExit)
    assert f"error   root directory: {root}/kcpcache.db cannot be looked at: Permission denied" in ran.output
    assert "mend: run it as the user that the server runs as" in ran.output


def test_the_command_says_what_to_do_and_ends_with_an_error(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "missing"))
    monkeypatch.chdir(tmp_path)
    ran = CliRunner().invoke(app, ["doctor"])
    assert "warning root directory: not looked at: .kcpcache is not here" in ran.output
    (root / "ca.key").chmod(0o644)
    ran = CliRunner().invoke(app, ["doctor", "--root-dir", str(root)])
    assert ran.exit_code == 1
    assert "error   file modes: open to others: ca.key" in ran.output
    assert f"mend: chmod 600 {root}/ca.key" in ran.output
    assert "error   server: no current context" in ran.output
    assert "2 errors, 0 warnings, " in ran.output
    assert "checks in order" in ran.output
    assert "certificate" not in ran.output
    assert "ok      certificate ca.crt" in CliRunner().invoke(app, ["doctor", "-v", "--root-dir", str(root)]).output
