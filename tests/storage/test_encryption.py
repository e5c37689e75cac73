"""The cipher, and what a stored value says of its key."""

import pytest

from kcpcache.storage.encryption import EncryptionKey, KeyRing, UndecryptableError, header_of

PLACE = "/registry/core/secrets/2x7f0/default/a"
VALUE = b'{"apiVersion":"v1","kind":"Secret"}'


def ring(*numbers):
    return KeyRing(EncryptionKey(f"key-{number}", bytes([number]) * 32) for number in numbers)


@pytest.mark.parametrize(
    ("byte", "associated", "sealed"),
    [
        (b"\1", b"", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"),
        (b"\3", b"c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"),
    ],
)
def test_the_cipher_gives_what_its_specification_says(byte, associated, sealed):
    """The vectors of https://c2sp.org/XAES-256-GCM; the two keys differ in the carry of the subkey."""
    key, nonce = EncryptionKey("a", byte * 32), b"ABCDEFGHIJKLMNOPQRSTUVWX"
    assert key.seal(b"XAES-256-GCM", nonce, associated).hex() == sealed
    assert key.open(bytes.fromhex(sealed), nonce, associated) == b"XAES-256-GCM"


@pytest.mark.parametrize("value", [b"", b"x", VALUE, b"\0" * 100_000])
def test_what_is_encrypted_is_decrypted(value):
    keys = ring(1)
    assert keys.decrypt(keys.encrypt(value, PLACE), PLACE) == value


def test_the_same_value_never_looks_the_same_twice():
    keys = ring(1)
    assert len({keys.encrypt(VALUE, PLACE) for _ in range(100)}) == 100


def test_a_value_is_good_in_its_own_place_only():
    keys = ring(1)
    stored = keys.encrypt(VALUE, PLACE)
    with pytest.raises(UndecryptableError):
        keys.decrypt(stored, f"{PLACE}b")


def test_no_byte_of_a_stored_value_can_be_changed_or_cut_off():
    keys = ring(1)
    stored = keys.encrypt(VALUE, PLACE)
    for index in range(len(header_of(stored)), len(stored)):
        with pytest.raises(UndecryptableError):
            keys.decrypt(stored[:index] + bytes([stored[index] ^ 1]) + stored[index + 1 :], PLACE)
        with pytest.raises(UndecryptableError):
            keys.decrypt(stored[:index], PLACE)


def test_the_first_key_encrypts_and_the_others_decrypt():
    old, both, new = ring(1), ring(2, 1), ring(2)
    stored = old.encrypt(VALUE, PLACE)
    assert both.decrypt(stored, PLACE) == VALUE
    assert not both.is_current(stored)
    again = both.encrypt(VALUE, PLACE)
    assert both.is_current(again)
    assert new.decrypt(again, PLACE) == VALUE
    with pytest.raises(UndecryptableError):
        new.decrypt(stored, PLACE)


def test_a_plain_value_is_its_own_stored_form():
    assert ring(1).decrypt(VALUE, PLACE) == VALUE
    assert not ring(1).is_current(VALUE)
    assert header_of(VALUE) == b""


def test_a_stored_value_names_its_key_and_never_shows_it():
    stored = ring(1).encrypt(VALUE, PLACE)
    assert header_of(stored).startswith(b"kcpcache:enc:xaes256gcm:v1:key-1:")
    assert b"\1\1\1\1" not in header_of(stored)
    assert ring(2).lacks(stored).startswith('"key-1" (')
    assert ring(2, 1).lacks(stored) == ""
    assert ring(1).lacks(VALUE) == ""


def test_another_key_of_the_same_name_is_another_key():
    stored = ring(1).encrypt(VALUE, PLACE)
    other = KeyRing([EncryptionKey("key-1", b"\2" * 32)])
    assert other.lacks(stored)


def test_where_the_key_cannot_be_read_off_the_value_is_damaged_and_no_key_is_missing():
    damaged = ring(1).encrypt(VALUE, PLACE).replace(b":", b";").replace(b";", b":", 4)
    assert header_of(damaged)
    assert ring(2).lacks(damaged) == ""
    with pytest.raises(UndecryptableError):
        ring(1).decrypt(damaged, PLACE)


@pytest.mark.parametrize("numbers", [(), (1, 1)])
def test_a_ring_has_a_key_and_none_twice(numbers):
    with pytest.raises(ValueError, match="key"):
        ring(*numbers)


def test_a_key_of_another_size_is_refused():
    with pytest.raises(ValueError, match="32 bytes"):
        EncryptionKey("a", b"x" * 16)
