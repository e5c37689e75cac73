"""The audit log's file: appended to, set aside when full, deleted in time, nobody else's to read."""

from datetime import UTC, datetime, timedelta

import pytest

from kcpcache.audit.rotation import RotatingFile


class Clock:
    def __init__(self):
        self.now = datetime(2030, 1, 1, 12, tzinfo=UTC)

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def rotating(tmp_path, clock):
    opened = []

    def make(**more):
        options = {"max_bytes": 10, "max_age": None, "max_backups": 0, "now": clock, **more}
        opened.append(RotatingFile(tmp_path / "logs" / "audit.log", **options))
        return opened[-1]

    yield make
    for file in opened:
        file.close()


def contents(tmp_path):
    return {path.name: path.read_bytes() for path in sorted((tmp_path / "logs").iterdir())}


def test_lines_are_appended_also_by_the_next_process(rotating, tmp_path):
    first = rotating()
    first.write(b"one\n")
    first.close()
    rotating().write(b"two\n")
    assert contents(tmp_path) == {"audit.log": b"one\ntwo\n"}


def test_a_full_file_is_set_aside_under_the_time_and_no_line_is_split(rotating, tmp_path, clock):
    file = rotating()
    file.write(b"12345678\n")
    file.write(b"next\n")
    assert contents(tmp_path) == {"audit.log": b"next\n", "audit-2030-01-01T12-00-00.000.log": b"12345678\n"}
    file.write(b"longer than a file may be\n")  # a second time in the same millisecond
    assert contents(tmp_path)["audit-2030-01-01T12-00-00.000-1.log"] == b"next\n"
    assert contents(tmp_path)["audit.log"] == b"longer than a file may be\n"


def test_what_an_earlier_process_wrote_counts(rotating, tmp_path):
    first = rotating()
    first.write(b"12345678\n")
    first.close()
    rotating().write(b"next\n")
    assert contents(tmp_path)["audit.log"] == b"next\n"


def test_only_so_many_are_kept(rotating, tmp_path, clock):
    file = rotating(max_backups=2)
    (tmp_path / "logs" / "audit-notes.log").write_bytes(b"mine")
    (tmp_path / "logs" / "other-2029-01-01T12-00-00.000.log").write_bytes(b"mine")
    for number in range(5):
        file.write(b"123456 %d\n" % number)
        clock.now += timedelta(minutes=1)
    assert [name for name in contents(tmp_path) if name.startswith("audit-2")] == [
        "audit-2030-01-01T12-03-00.000.log",
        "audit-2030-01-01T12-04-00.000.log",
    ]
    assert {"audit-notes.log", "other-2029-01-01T12-00-00.000.log"} <= set(contents(tmp_path))


def test_old_ones_go(rotating, tmp_path, clock):
    file = rotating(max_age=timedelta(days=1))
    for _ in range(4):
        file.write(b"12345678\n")
        clock.now += timedelta(hours=20)
    kept = ["audit-2030-01-03T04-00-00.000.log", "audit-2030-01-04T00-00-00.000.log", "audit.log"]
    assert list(contents(tmp_path)) == kept


def test_it_is_its_owners_alone(rotating, tmp_path):
    file = rotating()
    file.write(b"12345678\n")
    file.write(b"next\n")
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "logs").iterdir()} == {0o600}
    assert (tmp_path / "logs").stat().st_mode & 0o777 == 0o700


def test_after_closing_the_next_line_opens_it_again(rotating, tmp_path):
    file = rotating()
    file.write(b"one\n")
    file.close()
    file.close()
    file.write(b"two\n")
    assert contents(tmp_path) == {"audit.log": b"one\ntwo\n"}
