"""SqliteStore does what the plain model does, whatever the history."""

import asyncio
import math
import shutil
import tempfile
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from watching import events_until, replay

from kcpcache.storage.memory import MemoryStore
from kcpcache.storage.sqlite import SqliteStore
from kcpcache.storage.store import StoreError

KEYS = st.sampled_from(["/a/1", "/a/2", "/a/3", "/a-b/1", "/ab/1", "/b"])
PREFIXES = st.sampled_from(["", "/", "/a", "/a/", "/ab/", "/none/"])
VALUES = st.binary(max_size=3) | st.integers(65_530, 65_540).map(bytes)
PERCENT = st.integers(0, 110)


class SqliteAgainstModel(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.runner = asyncio.Runner()
        self.model = MemoryStore()
        self.store = self.runner.run(self.open())
        self.watches = None

    async def open(self):
        return await SqliteStore.open(
            self.directory / "store.db", synchronous="normal", history_seconds=math.inf, now=lambda: 0.0
        )

    def both(self, call):
        """The same call on both; the same answer, or the same error about the same entry."""

        async def run():
            answers = []
            for store in (self.model, self.store):
                try:
                    answers.append(await call(store))
                except StoreError as error:
                    answers.append((type(error), str(error), getattr(error, "current", None)))
            return answers

        expected, found = self.runner.run(run())
        assert found == expected
        return expected

    def revision(self, percent):
        return self.both(lambda store: store.revision()) * percent // 100

    @rule(key=KEYS, value=VALUES)
    def create(self, key, value):
        self.both(lambda store: store.create(key, value))

    @rule(key=KEYS, value=VALUES | st.none(), right=st.integers(0, 9), percent=PERCENT)
    def change(self, key, value, right, percent):
        entry = self.both(lambda store: store.get(key)).entry
        expected = entry.revision if entry and right else self.revision(percent)
        if value is None:
            self.both(lambda store: store.delete(key, expected=expected))
        else:
            self.both(lambda store: store.update(key, value, expected=expected))

    @rule(writes=st.lists(st.tuples(KEYS, VALUES | st.none()), min_size=2, max_size=8))
    def write_at_once(self, writes):
        entries = {entry.key: entry.revision for entry in self.both(lambda store: store.list("")).entries}

        async def written(store):
            calls = [
                store.create(key, value or b"")
                if key not in entries
                else store.delete(key, expected=entries[key])
                if value is None
                else store.update(key, value, expected=entries[key])
                for key, value in writes
            ]
            answers = await asyncio.gather(*calls, return_exceptions=True)
            return [answer if isinstance(answer, int) else (type(answer), answer.current) for answer in answers]

        self.both(written)

    @rule(percent=PERCENT)
    def compact(self, percent):
        revision = self.revision(percent)
        self.both(lambda store: store.compact(revision))

    @rule(by=st.integers(-3, 10))
    def bump(self, by):
        revision = self.revision(100) + by
        self.both(lambda store: store.bump(revision))

    @rule()
    def reopen(self):
        self.runner.run(self.store.close())
        self.store = self.runner.run(self.open())
        self.watches = None

    @rule(prefix=PREFIXES, limit=st.integers(0, 3), start=st.none() | KEYS, percent=st.none() | PERCENT)
    def list(self, prefix, limit, start, percent):
        revision = None if percent is None else self.revision(percent)
        self.both(lambda store: store.list(prefix, revision=revision, limit=limit, start=start))

    @rule(prefix=PREFIXES, percent=st.integers(0, 100))
    def replay(self, prefix, percent):
        revision = self.revision(percent)
        self.both(lambda store: replay(store, prefix, revision))

    @rule(prefix=PREFIXES)
    def start_watching(self, prefix):
        newest = self.revision(100)
        self.watches = {store: store.watch(prefix, after=newest) for store in (self.model, self.store)}
        for watch in self.watches.values():
            self.runner.run(events_until(watch, newest))

    @precondition(lambda self: self.watches)
    @rule()
    def read_the_live_watch(self):
        newest = self.revision(100)

        async def drained(store):
            # Nothing is promised twice: without a write since the last time there is nothing to wait for.
            await store.bump(newest + 1)
            return await events_until(self.watches[store], newest + 1)

        self.both(drained)

    @invariant()
    def both_hold_the_same(self):
        self.both(lambda store: store.list(""))

    def teardown(self):
        self.runner.run(self.store.close())
        self.runner.close()
        shutil.rmtree(self.directory)


TestSqliteAgainstModel = SqliteAgainstModel.TestCase
TestSqliteAgainstModel.settings = settings(max_examples=40, stateful_step_count=40)
