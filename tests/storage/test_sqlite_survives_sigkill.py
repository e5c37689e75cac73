"""P1, P2, P3 when the process is killed at any moment while it writes."""

import math
import os
import random
import select
import signal
import subprocess
import sys
from pathlib import Path

import apsw
import pytest
from watching import replay

from kcpcache.storage.sqlite import SqliteStore

CYCLES = int(os.environ.get("KCPCACHE_CRASH_CYCLES", "100"))
CYCLES_PER_FILE = 20
SEED = int(os.environ.get("KCPCACHE_CRASH_SEED", "1"))


class Writer:
    """The process that is killed, and what it said was stored."""

    def __init__(self, path: Path) -> None:
        self._acks, ack_end = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("crashing_writer.py")), str(ack_end), str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[ack_end],
        )
        os.close(ack_end)
        os.set_blocking(self._acks, False)

    def run_and_kill(self, seed: int, after_acks: int) -> list[tuple[int, str, int, str]]:
        """Kill a worker once it has acknowledged ``after_acks`` writes; all that it acknowledged."""
        self._process.stdin.write(b"%d\n" % seed)
        self._process.stdin.flush()
        pid = int(self._process.stdout.readline())
        received = b""
        while received.count(b"\n") < after_acks:
            ready, _, _ = select.select([self._acks, self._process.stdout], [], [])
            assert self._process.stdout not in ready, "the worker ended by itself"
            received += os.read(self._acks, 1 << 16)
        os.kill(pid, signal.SIGKILL)
        assert self._process.stdout.readline() == b"dead %d\n" % signal.SIGKILL
        while True:
            try:
                received += os.read(self._acks, 1 << 16)
            except BlockingIOError:
                break
        lines = received.decode().splitlines()
        return [(int(r), key, int(e), shown) for r, key, e, shown in (line.split(" ") for line in lines)]

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        os.close(self._acks)


class Checked:
    """What the file held after the last kill."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.revision = 0
        self.state: dict[str, tuple[int, bytes]] = {}

    async def check(self, acked: list[tuple[int, str, int, str]], *, compact: bool) -> None:
        store = await SqliteStore.open(self.path, history_seconds=math.inf)
        newest = await store.revision()
        events = await replay(store, "/", self.revision)
        entries = (await store.list("/")).entries
        if compact:
            await store.compact(newest)
        await store.close()
        # P2: the revision grew, by one per write, and past whatever was acknowledged.
        assert newest >= max((revision for revision, *_ in acked), default=self.revision)
        assert [event.revision for event in events] == list(range(self.revision + 1, newest + 1))
        # P1: each acknowledged write is there, as it was acknowledged.
        stored = {
            event.revision: (event.key, event.previous.revision if event.previous else 0, shown(event.value))
            for event in events
        }
        for revision, key, expected, value in acked:
            assert stored[revision] == (key, expected, value)
        # P3: what each write replaced is what its key held, so no entry was replaced twice.
        for event in events:
            held = self.state.pop(event.key, None)
            assert held == (event.previous and (event.previous.revision, event.previous.value))
            if event.value is not None:
                self.state[event.key] = (event.revision, event.value)
        assert {entry.key: (entry.revision, entry.value) for entry in entries} == self.state
        connection = apsw.Connection(str(self.path))
        assert connection.pragma("integrity_check") == "ok"
        connection.close()
        self.revision = newest


def shown(value: bytes | None) -> str:
    return "-" if value is None else f"{len(value)}:{value[:20].hex()}"


@pytest.mark.timeout(60 + 2 * CYCLES)
@pytest.mark.parametrize("round_", range(-(-CYCLES // CYCLES_PER_FILE)))
async def test_sqlite_survives_sigkill(tmp_path, round_):
    choice = random.Random(SEED * 1_000 + round_)
    writer = Writer(tmp_path / "store.db")
    checked = Checked(tmp_path / "store.db")
    acked_in_all = 0
    try:
        for cycle in range(min(CYCLES_PER_FILE, CYCLES - round_ * CYCLES_PER_FILE)):
            # Sometimes at once: in the middle of creating, recovering or opening.
            acks = choice.choice((0, 1, choice.randrange(100), choice.randrange(500)))
            acked = writer.run_and_kill(choice.randrange(1 << 30), acks)
            acked_in_all += len(acked)
            await checked.check(acked, compact=cycle % 5 == 4)
    finally:
        writer.close()
    assert acked_in_all
