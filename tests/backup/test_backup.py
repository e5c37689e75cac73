"""Backup and restore of a root directory whose store is in use."""

import asyncio
import hashlib
import io
import json
import stat
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import apsw
import pytest

from kcpcache.backup.archive import BackupError
from kcpcache.backup.restore import REVISION_GAP, restore_backup
from kcpcache.backup.write import write_backup
from kcpcache.root_dir import DATABASE, RESTORING, RootDirError, prepare_root_dir
from kcpcache.storage.sqlite import SqliteStore
from kcpcache.storage.sqlite_copy import check_store, copy_store
from kcpcache.storage.store import (
    CompactedError,
    Revision,
    StoreBrokenError,
    StoreError,
    StoreLockedError,
    StoreUnavailableError,
)

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


@asynccontextmanager
async def opened(root: Path) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(root / DATABASE, synchronous="normal")
    try:
        yield store
    finally:
        await store.close()


async def live(store: SqliteStore, revision: int | None = None) -> dict[str, tuple[bytes, int]]:
    page = await store.list("", revision=None if revision is None else Revision(revision))
    return {entry.key: (entry.value, entry.revision) for entry in page.entries}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The directory of a server that has written something and is stopped."""
    directory = tmp_path / "root"
    directory.mkdir(mode=0o700)
    (directory / "ca.key").write_text("the key")
    (directory / "admin.kubeconfig").write_text("the kubeconfig")
    (directory / "notes.txt").write_text("not ours")
    asyncio.run(fill(directory))
    return directory


async def fill(directory: Path) -> None:
    async with opened(directory) as store:
        for number in range(20):
            await store.create(f"/registry/{number:02}", b"first")
        await store.delete("/registry/00", expected=Revision(1))


async def test_a_restore_is_what_was_there_at_one_moment_while_writes_went_on(root: Path, tmp_path: Path):
    async with opened(root) as store:
        stop, enough = asyncio.Event(), asyncio.Event()

        async def write() -> None:
            number = 0
            while not stop.is_set():
                revision = await store.create(f"/registry/new/{number}", b"x" * 500)
                await store.update(f"/registry/new/{number}", b"y" * 500, expected=revision)
                number += 1
                if number == 20:
                    enough.set()

        writing = asyncio.create_task(write())
        await enough.wait()
        made = await asyncio.to_thread(write_backup, root, tmp_path / "backup", now=NOW)
        after = await store.revision()
        stop.set()
        await writing
        there = await live(store, made.store.revision)
    assert 21 < made.store.revision < after
    assert made.store.entries == len(there)
    restored, aside = await asyncio.to_thread(restore_backup, tmp_path / "backup", tmp_path / "new", now=NOW)
    assert (restored.store, aside) == (made.store, None)
    async with opened(tmp_path / "new") as store:
        assert await live(store) == there


def test_everything_that_a_server_keeps_comes_back_for_its_owner_only(root: Path, tmp_path: Path):
    write_backup(root, tmp_path / "backup", now=NOW)
    assert stat.S_IMODE((tmp_path / "backup").stat().st_mode) == 0o600
    restore_backup(tmp_path / "backup", tmp_path / "new", now=NOW)
    assert {path.name for path in (tmp_path / "new").iterdir()} == {
        "ca.key",
        "admin.kubeconfig",
        DATABASE,
        f"{DATABASE}.lock",
    }
    assert (tmp_path / "new" / "ca.key").read_text() == "the key"
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new").iterdir()} == {0o600}
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    assert {path.name for path in tmp_path.iterdir()} == {"root", "backup", "new"}


async def test_no_revision_comes_twice_after_a_restore(root: Path, tmp_path: Path):
    write_backup(root, tmp_path / "backup", now=NOW)
    async with opened(root) as store:
        lost = await store.create("/registry/lost", b"after the backup")
    _, aside = await asyncio.to_thread(restore_backup, tmp_path / "backup", root, now=NOW, overwrite=True)
    assert aside == root / "before-restore-20260301T123000Z"
    async with opened(root) as store:
        assert "/registry/lost" not in await live(store)
        assert await store.create("/registry/next", b"") == lost + REVISION_GAP + 1
        with pytest.raises(CompactedError):
            await store.list("", revision=lost)
    assert check_store(aside / DATABASE).revision == lost
    assert (root / "notes.txt").exists()


def test_what_is_there_is_overwritten_only_where_that_is_wanted(root: Path, tmp_path: Path):
    write_backup(root, tmp_path / "backup", now=NOW)
    with pytest.raises(BackupError, match="backup is there already: name another file, or use --force"):
        write_backup(root, tmp_path / "backup", now=NOW)
    write_backup(root, tmp_path / "backup", now=NOW, overwrite=True)
    with pytest.raises(BackupError, match="holds a server already: name an empty or new directory"):
        restore_backup(tmp_path / "backup", root, now=NOW)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(RootDirError, match="holds other files"):
        restore_backup(tmp_path / "backup", tmp_path / "other", now=NOW, overwrite=True)
    with pytest.raises(BackupError, match=r"holds no kcpcache\.db"):
        write_backup(tmp_path / "other", tmp_path / "x", now=NOW)


async def test_nothing_is_restored_under_a_running_server(root: Path, tmp_path: Path):
    write_backup(root, tmp_path / "backup", now=NOW)
    async with opened(root):
        with pytest.raises(StoreLockedError):
            restore_backup(tmp_path / "backup", root, now=NOW, overwrite=True)
    assert not (root / RESTORING).exists()


def test_a_damaged_store_can_be_replaced(root: Path, tmp_path: Path):
    write_backup(root, tmp_path / "backup", now=NOW)
    (root / DATABASE).write_bytes(b"rubbish" * 1000)
    with pytest.raises(StoreError):
        write_backup(root, tmp_path / "second", now=NOW)
    assert not (tmp_path / "second").exists()
    restore_backup(tmp_path / "backup", root, now=NOW, overwrite=True)
    assert check_store(root / DATABASE).entries == 19


def test_a_restore_that_was_not_finished_lets_no_server_start_and_can_be_repeated(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write_backup(root, tmp_path / "backup", now=NOW)
    replace = Path.replace

    def fail(self: Path, target: Path) -> Path:
        if self.name == DATABASE and RESTORING in self.parts:
            raise OSError(28, "No space left on device")
        return replace(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", fail)
        with pytest.raises(OSError, match="No space"):
            restore_backup(tmp_path / "backup", root, now=NOW, overwrite=True)
    with pytest.raises(RootDirError, match="was not wholly restored: run kcpcache restore --force again"):
        prepare_root_dir(root)
    later = NOW.replace(hour=13)
    restore_backup(tmp_path / "backup", root, now=later, overwrite=True)
    prepare_root_dir(root)
    assert check_store(root / DATABASE).entries == 19
    assert (root / "before-restore-20260301T123000Z" / DATABASE).exists()


def rewritten(source: Path, target: Path, change) -> None:
    """The backup with its members changed: a function from names and contents to such."""
    with tarfile.open(source) as archive:
        members = {member.name: archive.extractfile(member).read() for member in archive}
    with tarfile.open(target, "w") as archive:
        for name, content in change(members).items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def newer(members: dict[str, bytes]) -> dict[str, bytes]:
    manifest = json.loads(members["backup.json"])
    return {**members, "backup.json": json.dumps({**manifest, "schema": 99, "version": "9.0"}).encode()}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda members: {**members, "ca.key": b"the yek"}, "is damaged: ca.key is not what was written"),
        (lambda members: {**members, "../evil": b"x"}, r"is damaged: \.\./evil does not belong there"),
        (lambda members: {**members, "notes.txt": b"x"}, "is damaged: notes.txt does not belong there"),
        (lambda members: {name: members[name] for name in members if name != "ca.key"}, "damaged: ca.key is missing"),
        (lambda members: {name: members[name] for name in members if name != "backup.json"}, "is not a backup that"),
        (lambda members: {**members, "backup.json": b"{}"}, "is not a backup that this kcpcache knows"),
        (lambda members: {**members, "backup.json": b"["}, "is not a backup that this kcpcache knows"),
        (newer, "was written by a newer kcpcache: restore it with 9.0"),
    ],
)
def test_a_backup_that_is_not_whole_is_refused_and_nothing_is_changed(root: Path, tmp_path: Path, change, why: str):
    write_backup(root, tmp_path / "good", now=NOW)
    rewritten(tmp_path / "good", tmp_path / "bad", change)
    before = {path.name: path.read_bytes() for path in root.iterdir()}
    with pytest.raises(BackupError, match=why):
        restore_backup(tmp_path / "bad", root, now=NOW, overwrite=True)
    assert {path.name: path.read_bytes() for path in root.iterdir()} == before


def test_a_file_that_is_cut_off_or_no_backup_is_refused(root: Path, tmp_path: Path):
    write_backup(root, tmp_path / "good", now=NOW)
    (tmp_path / "cut").write_bytes((tmp_path / "good").read_bytes()[:20_000])
    (tmp_path / "text").write_text("no backup")
    for name in ("cut", "text"):
        with pytest.raises(BackupError, match="is not a whole backup"):
            restore_backup(tmp_path / name, tmp_path / "new", now=NOW)
    with pytest.raises(BackupError, match="missing cannot be read: No such file"):
        restore_backup(tmp_path / "missing", tmp_path / "new", now=NOW)


def test_a_check_finds_damage_foreign_files_and_newer_schemas(root: Path, tmp_path: Path):
    path = root / DATABASE
    assert check_store(path).revision == 21
    with pytest.raises(StoreUnavailableError, match="is not there"):
        copy_store(tmp_path / "missing", tmp_path / "copy")
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE live SET revision = 99 WHERE key = '/registry/01'")
    with pytest.raises(StoreBrokenError, match="1 keys have no value"):
        check_store(path)
    connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreBrokenError, match="newer kcpcache"):
        check_store(path)
    connection.execute("PRAGMA application_id = 1")
    with pytest.raises(StoreBrokenError, match="is not a kcpcache store"):
        copy_store(path, tmp_path / "copy")
    connection.close()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("../ca.key", tarfile.REGTYPE),
        ("/tmp/ca.key", tarfile.REGTYPE),
        ("ca.key", tarfile.SYMTYPE),
        ("ca.key", tarfile.LNKTYPE),
        ("ca.key", tarfile.CHRTYPE),
        ("ca.key", tarfile.DIRTYPE),
        ("authorized_keys", tarfile.REGTYPE),
    ],
)
def test_a_forged_backup_writes_nothing_but_what_a_server_keeps(root: Path, tmp_path: Path, name: str, kind: bytes):
    write_backup(root, tmp_path / "backup", now=NOW)
    with tarfile.open(tmp_path / "backup") as archive:
        manifest = json.loads(archive.extractfile("backup.json").read())  # type: ignore[union-attr]
    manifest["files"] = {name: {"sha256": hashlib.sha256(b"").hexdigest(), "bytes": 0}, DATABASE: {}}
    with tarfile.open(tmp_path / "forged", "w") as archive:
        text = json.dumps(manifest).encode()
        first, second = tarfile.TarInfo("backup.json"), tarfile.TarInfo(name)
        first.size, second.type, second.linkname, second.mode = len(text), kind, "/etc/passwd", 0o777
        archive.addfile(first, io.BytesIO(text))
        archive.addfile(second)
    with pytest.raises(BackupError, match="does not belong there"):
        restore_backup(tmp_path / "forged", tmp_path / "new", now=NOW)
    assert [path.name for path in (tmp_path / "new").iterdir()] == [f"{DATABASE}.lock"]
