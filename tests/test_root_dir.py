"""Who may open what is in the root directory: looked at, and put right, at each start."""

import os
import stat
from pathlib import Path

import pytest

from kcpcache.config import Settings
from kcpcache.root_dir import DATABASE, KEPT, Opened, RootDirError, close_to_others, is_open, open_among

SECRET = sorted({*KEPT, f"{DATABASE}-wal", f"{DATABASE}-shm"} - {name for name in KEPT if name.endswith(".crt")})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A server's directory in which everybody may read everything."""
    folder = tmp_path / "root"
    folder.mkdir(mode=0o700)
    for name in (*KEPT, f"{DATABASE}-wal", f"{DATABASE}-shm", "thesis.txt"):
        (folder / name).touch()
        (folder / name).chmod(0o644)
    return folder


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def test_what_is_secret_is_closed_to_others_and_told_and_the_rest_stays_as_it_is(root: Path):
    assert "ca.key" in SECRET
    assert sorted(close_to_others(root)) == [Opened(root / name, 0o644) for name in SECRET]
    assert modes(root) == {name: 0o600 if name in SECRET else 0o644 for name in modes(root)}
    assert close_to_others(root) == []


@pytest.mark.parametrize(("mode", "left"), [(0o660, 0o600), (0o604, 0o600), (0o440, 0o400), (0o777, 0o700)])
def test_only_what_others_may_do_is_taken_away(tmp_path: Path, mode: int, left: int):
    key = tmp_path / "ca.key"
    key.touch()
    key.chmod(mode)
    assert close_to_others(tmp_path) == [Opened(key, mode)]
    assert modes(tmp_path) == {"ca.key": left}


def test_nobody_else_puts_files_into_our_directory(root: Path):
    close_to_others(root)
    root.chmod(0o777)
    assert close_to_others(root) == [Opened(root, 0o777)]
    assert stat.S_IMODE(root.stat().st_mode) == 0o755
    assert close_to_others(root) == []


def test_a_volume_that_somebody_else_mounted_stays_as_it_is(root: Path, monkeypatch: pytest.MonkeyPatch):
    close_to_others(root)
    root.chmod(0o775)
    monkeypatch.setattr("kcpcache.root_dir.os.geteuid", lambda: os.getuid() + 1)
    assert close_to_others(root) == []
    assert stat.S_IMODE(root.stat().st_mode) == 0o775


def test_a_key_that_stays_open_is_refused_in_one_line(root: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "chmod", refuse)
    with pytest.raises(RootDirError) as refused:
        close_to_others(root)
    line = str(refused.value)
    assert "\n" not in line
    assert line.startswith(f"{root / 'ca.key'} is open to others (mode 0644) and cannot be closed: Operation not")


@pytest.mark.parametrize(
    ("owner", "user", "mode", "opened"),
    [
        (1000, 1000, 0o600, False),
        (1000, 1000, 0o640, True),
        (1000, 1000, 0o604, True),
        (0, 1000, 0o640, False),  # a mounted secret
        (0, 1000, 0o660, True),
        (0, 1000, 0o644, True),
        (0, 0, 0o640, True),
        (4711, 1000, 0o640, True),
    ],
)
def test_a_file_is_its_owners_and_what_root_mounts_may_be_read_by_a_group(
    owner: int, user: int, mode: int, opened: bool
):
    assert is_open(os.stat_result((stat.S_IFREG | mode, 0, 0, 1, owner, 0, 0, 0, 0, 0)), user) is opened


def test_of_files_that_flags_name_those_are_told_that_others_can_open(tmp_path: Path):
    tokens, key, log = (tmp_path / name for name in ("tokens.csv", "tls.key", "audit.log"))
    for path, mode in ((tokens, 0o644), (key, 0o600)):
        path.touch()
        path.chmod(mode)
    settings = Settings(token_auth_file=tokens, tls_private_key_file=key, audit_log_path=str(log))
    assert settings.secret_files == (tokens, key, log)
    assert list(open_among(settings.secret_files)) == [Opened(tokens, 0o644)]
    assert stat.S_IMODE(tokens.stat().st_mode) == 0o644, "it is not ours"
    assert Settings(audit_log_path="-").secret_files == ()


def test_a_directory_without_files_has_nothing_open(tmp_path: Path):
    assert close_to_others(tmp_path) == []
