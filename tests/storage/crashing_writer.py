"""The process that test_sqlite_survives_sigkill.py kills. Run with: ack descriptor, database path.

For each line on standard input it forks a worker, says the worker's pid, and when it is dead says so. The
fork saves the imports. A worker writes at once from many tasks and reports each acknowledged write.
"""

import asyncio
import math
import os
import random
import sys
from pathlib import Path

from kcpcache.storage.sqlite import SqliteStore
from kcpcache.storage.store import KeyExistsError, RevisionConflictError

TASKS = 12
KEYS = [f"/k/{index}" for index in range(20)]


async def write_for_ever(acks: int, path: Path, seed: int) -> None:
    store = await SqliteStore.open(path, history_seconds=math.inf)
    await asyncio.gather(*(change_keys(store, acks, random.Random(seed * TASKS + task)) for task in range(TASKS)))


async def change_keys(store: SqliteStore, acks: int, choice: random.Random) -> None:
    while True:
        key = choice.choice(KEYS)
        value: bytes | None = choice.randbytes(choice.choice((10, 100, 100, 5_000)))
        expected = 0
        try:
            entry = (await store.get(key)).entry
            if entry is None:
                revision = await store.create(key, value)
            elif choice.random() < 0.2:
                value, expected = None, entry.revision
                revision = await store.delete(key, expected=expected)
            else:
                expected = entry.revision
                revision = await store.update(key, value, expected=expected)
        except (KeyExistsError, RevisionConflictError):
            continue
        # One write of less than PIPE_BUF is whole or absent.
        shown = "-" if value is None else f"{len(value)}:{value[:20].hex()}"
        os.write(acks, f"{revision} {key} {expected} {shown}\n".encode())


def serve(acks: int, path: Path) -> None:
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            asyncio.run(write_for_ever(acks, path, int(line)))
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"dead {status}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve(int(sys.argv[1]), Path(sys.argv[2]))
