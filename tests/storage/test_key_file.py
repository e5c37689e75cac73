"""The key file: its form, and who may read it."""

import base64
import os

import pytest

from kcpcache.storage.key_file import load_keys
from kcpcache.storage.store import EncryptionKeyError

ONE, TWO = (base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2))


@pytest.fixture
def key_file(tmp_path):
    def write(text, mode=0o600):
        path = tmp_path / "keys"
        path.write_text(text)
        path.chmod(mode)
        return path

    return write


def test_keys_are_in_the_order_of_their_lines_with_comments_and_empty_lines_between(key_file):
    keys = load_keys(key_file(f"# since March\nnew {TWO}\n\n  old\t{ONE}  \n"))
    assert [key.name for key in keys.keys] == ["new", "old"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "there is no key"),
        ("# nothing\n", "there is no key"),
        (f"{ONE}\n", "line 1: a line is a name and a key"),
        (f"a {ONE}\nb {TWO} c\n", "line 2: a line is a name and a key"),
        (f"a:b {ONE}\n", "line 1: a line is a name and a key"),
        (f"a {ONE[:-2]}*=\n", "line 1: the key 'a' is not base64"),
        (f"a {base64.b64encode(b'x' * 16).decode()}\n", "line 1: the key 'a' has 16 bytes, not 32"),
        (f"a {ONE}\na {TWO}\n", "each key and each name"),
        (f"a {ONE}\nb {ONE}\n", "each key and each name"),
        ("ä" * 20, "line 1: a line is a name and a key"),
        ("#" * 70_000, "larger than"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_in_one_line_without_a_key(text, complaint, key_file):
    with pytest.raises(EncryptionKeyError, match=complaint) as caught:
        load_keys(key_file(text))
    assert "\n" not in str(caught.value)
    assert ONE[:8] not in str(caught.value)


def test_a_file_that_is_not_there_or_no_file_is_one_clear_line(tmp_path):
    with pytest.raises(EncryptionKeyError, match="No such file"):
        load_keys(tmp_path / "missing")
    with pytest.raises(EncryptionKeyError, match=r"is not a file|Is a directory"):
        load_keys(tmp_path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666, 0o644])
def test_a_file_that_others_can_open_is_refused(mode, key_file):
    with pytest.raises(EncryptionKeyError, match=r"is open to others .*chmod 600"):
        load_keys(key_file(f"a {ONE}\n", mode))


@pytest.mark.parametrize(("owner", "mode", "fine"), [(0, 0o640, True), (0, 0o644, False), (4711, 0o600, False)])
def test_roots_file_may_be_the_groups_to_read_and_a_strangers_is_refused(owner, mode, fine, key_file, monkeypatch):
    real = os.fstat

    def owned(descriptor):
        found = list(real(descriptor))
        found[4] = owner
        return os.stat_result(found)

    path = key_file(f"a {ONE}\n", mode)
    monkeypatch.setattr("kcpcache.storage.key_file.os.fstat", owned)
    monkeypatch.setattr("kcpcache.storage.key_file.os.geteuid", lambda: 1000)
    if fine:
        assert load_keys(path).keys
    else:
        with pytest.raises(EncryptionKeyError, match=r"open to others|belong to"):
            load_keys(path)
