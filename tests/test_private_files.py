import stat
from pathlib import Path

import pytest

from kcpcache.private_files import make_private_directory, write_atomically


def test_a_file_is_replaced_as_a_whole_with_its_mode(tmp_path):
    path = tmp_path / "secret"
    path.write_bytes(b"a longer content that was there before")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "secret"
    path.write_bytes(b"old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {"secret": b"old"}


def test_a_directory_that_is_there_keeps_its_mode(tmp_path):
    (tmp_path / "old").mkdir(mode=0o755)
    make_private_directory(tmp_path / "old")
    make_private_directory(tmp_path / "new")
    assert stat.S_IMODE((tmp_path / "old").stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
