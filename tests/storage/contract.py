"""What every store promises. A store's test module derives from ``StoreContract`` and gives it ``open_store``."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from watching import events_until, next_event, replay

from kcpcache.storage.store import (
    CompactedError,
    FutureRevisionError,
    KeyExistsError,
    Progress,
    Put,
    RevisionConflictError,
    StoredEntry,
    StoreUnavailableError,
    WatcherTooSlowError,
)

OpenStore = Callable[..., Awaitable[Any]]


class ReadsAndWrites:
    """get, create, update, delete."""

    async def test_an_empty_store_is_at_revision_zero(self, store):
        assert await store.revision() == 0
        assert (await store.list("/")).revision == 0
        read = await store.get("/a")
        assert (read.entry, read.revision) == (None, 0)

    async def test_a_created_entry_is_read_back_with_its_revision(self, store):
        assert await store.create("/a", b"1") == 1
        read = await store.get("/a")
        assert read.entry == StoredEntry("/a", b"1", 1)
        assert read.revision == 1

    async def test_every_write_takes_the_next_revision(self, store):
        first = await store.create("/a", b"1")
        second = await store.update("/a", b"2", expected=first)
        third = await store.create("/b", b"3")
        fourth = await store.delete("/a", expected=second)
        assert [first, second, third, fourth] == [1, 2, 3, 4]
        assert await store.revision() == 4

    async def test_each_commit_has_a_time_and_time_goes_on(self, store):
        before = time.monotonic()
        await store.create("/a", b"1")
        await store.create("/b", b"1")
        first, second = store.committed_at(1), store.committed_at(2)
        assert first is not None
        assert second is not None
        assert before <= first <= second <= time.monotonic()
        assert store.committed_at(3) is None

    async def test_create_refuses_a_live_key_and_shows_what_is_there(self, store):
        await store.create("/a", b"1")
        with pytest.raises(KeyExistsError) as caught:
            await store.create("/a", b"2")
        assert caught.value.current == StoredEntry("/a", b"1", 1)

    async def test_a_deleted_key_can_be_created_again(self, store):
        await store.delete("/a", expected=await store.create("/a", b"1"))
        assert (await store.get("/a")).entry is None
        assert await store.create("/a", b"2") == 3
        assert (await store.get("/a")).entry == StoredEntry("/a", b"2", 3)

    @pytest.mark.parametrize("verb", ["update", "delete"])
    @pytest.mark.parametrize("expected", [0, 1, 3, 99])
    async def test_another_revision_than_expected_is_a_conflict_that_shows_what_is_there(self, store, verb, expected):
        await store.update("/a", b"2", expected=await store.create("/a", b"1"))
        await store.create("/b", b"3")
        with pytest.raises(RevisionConflictError) as caught:
            await change(store, verb, "/a", expected)
        assert caught.value.current == StoredEntry("/a", b"2", 2)

    @pytest.mark.parametrize("verb", ["update", "delete"])
    @pytest.mark.parametrize("expected", [0, 1, 2])
    async def test_a_key_that_is_not_there_is_a_conflict_with_nothing(self, store, verb, expected):
        await store.delete("/a", expected=await store.create("/a", b"1"))
        with pytest.raises(RevisionConflictError) as caught:
            await change(store, verb, "/a", expected)
        assert caught.value.current is None

    async def test_a_failed_write_uses_up_no_revision_and_tells_no_watch(self, store):
        await store.create("/a", b"1")
        with pytest.raises(KeyExistsError):
            await store.create("/a", b"2")
        with pytest.raises(RevisionConflictError):
            await store.update("/a", b"2", expected=7)
        with pytest.raises(RevisionConflictError):
            await store.delete("/b", expected=7)
        assert await store.create("/c", b"3") == 2
        assert [event.key for event in await replay(store, "/", 0)] == ["/a", "/c"]

    async def test_of_many_writers_with_one_revision_one_wins(self, store):
        seen = await store.create("/a", b"0")
        results = await asyncio.gather(
            *(store.update("/a", b"%d" % index, expected=seen) for index in range(50)), return_exceptions=True
        )
        winners = [(index, result) for index, result in enumerate(results) if isinstance(result, int)]
        assert len(winners) == 1
        assert sum(isinstance(result, RevisionConflictError) for result in results) == 49
        assert (await store.get("/a")).entry == StoredEntry("/a", b"%d" % winners[0][0], winners[0][1])

    async def test_concurrent_writes_get_distinct_revisions_and_all_arrive(self, store):
        revisions = await asyncio.gather(*(store.create(f"/k/{index:03}", b"%d" % index) for index in range(300)))
        assert sorted(revisions) == list(range(1, 301))
        page = await store.list("/k/")
        assert [entry.value for entry in page.entries] == [b"%d" % index for index in range(300)]

    @pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 8 * 1024 * 1024])
    async def test_a_value_comes_back_byte_for_byte_whatever_its_size(self, store, size):
        value = (bytes(range(256)) * (size // 256 + 1))[:size]
        await store.create("/z", b"before")
        revision = await store.create("/a", value)
        await store.create("/b", value)
        changed = await store.update("/a", value[::-1], expected=revision)
        await store.delete("/a", expected=changed)
        assert (await store.list("/", revision=revision)).entries[0].value == value
        assert (await store.list("/")).entries[0].value == value
        events = await replay(store, "/a", 0)
        assert [event.value for event in events] == [value, value[::-1], None]
        assert [event.previous and event.previous.value for event in events] == [None, value, value[::-1]]

    @pytest.mark.parametrize("key", ["/ü/日本/🦜", "/a b", '/"quoted"\\', "/a%b_c*", "/[1,2]", "/tab\there", "/nul\0x"])
    async def test_a_key_is_text_and_nothing_in_it_means_anything(self, store, key):
        revision = await store.create(key, b"1")
        assert (await store.get(key)).entry == StoredEntry(key, b"1", revision)
        assert [entry.key for entry in (await store.list(key)).entries] == [key]
        await store.delete(key, expected=revision)
        assert [event.key for event in await replay(store, key, 0)] == [key, key]

    async def test_a_key_without_utf8_is_a_value_error_and_spoils_no_other_write(self, store):
        results = await asyncio.gather(
            store.create("/a", b""), store.create("/\ud800", b""), store.create("/b", b""), return_exceptions=True
        )
        assert [results[0], results[2]] == [1, 2]
        assert isinstance(results[1], ValueError)

    async def test_of_writes_sent_together_each_succeeds_or_fails_by_itself(self, store):
        there = await store.create("/there", b"0")
        gone = await store.create("/gone", b"0")
        puts = [
            Put("/new", b"1"),
            Put("/there", b"2"),
            Put("/there", b"3", there),
            Put("/missing", b"4", 7),
            Put("/gone", None, gone),
            Put("/missing", None, 7),
        ]
        outcomes = await store.write_each(puts)
        assert [type(outcome) for outcome in outcomes] == [
            *(int, KeyExistsError, int, RevisionConflictError, int, RevisionConflictError)
        ]
        assert outcomes[1].current.key == "/there"
        assert (outcomes[3].key, outcomes[3].expected, outcomes[3].current) == ("/missing", 7, None)
        assert sorted(outcome for outcome in outcomes if isinstance(outcome, int)) == [3, 4, 5]
        assert await store.revision() == 5
        found = {entry.key: (entry.value, entry.revision) for entry in (await store.list("/")).entries}
        assert found == {"/new": (b"1", outcomes[0]), "/there": (b"3", outcomes[2])}

    async def test_of_writes_sent_together_to_one_key_one_wins(self, store):
        outcomes = await store.write_each([Put("/a", b"%d" % number) for number in range(5)])
        (winner,) = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, int)]
        assert [type(outcome) for outcome in outcomes].count(KeyExistsError) == 4
        assert (await store.get("/a")).entry == StoredEntry("/a", b"%d" % winner, 1)

    async def test_many_writes_sent_together_are_in_the_watch_when_they_are_answered(self, store):
        assert await store.write_each([]) == []
        outcomes = await store.write_each([Put(f"/k/{number:05}", b"%d" % number) for number in range(5_000)])
        assert sorted(outcomes) == list(range(1, 5_001))
        events = {event.key: (event.value, event.revision) for event in await replay(store, "/k/", 0)}
        assert events == {f"/k/{number:05}": (b"%d" % number, outcomes[number]) for number in range(5_000)}

    async def test_of_writes_sent_together_none_is_made_where_a_key_is_without_utf8(self, store):
        with pytest.raises(UnicodeEncodeError):
            await store.write_each([Put("/a", b""), Put("/\ud800", b"")])
        assert await store.create("/b", b"") == 1

    async def test_nothing_is_deleted_that_no_revision_is_named_of(self, store):
        await store.create("/there", b"")
        with pytest.raises(ValueError, match="revision"):
            await store.write_each([Put("/a", b""), Put("/there", None)])
        assert await store.revision() == 1

    async def test_a_cancelled_write_leaves_the_store_usable(self, store):
        tasks = [asyncio.create_task(store.create(f"/{index}", b"")) for index in range(20)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert all(task.result() for task in tasks[1::2] if not task.cancelled())
        revision = await store.create("/after", b"")
        found = {entry.key for entry in (await store.list("/")).entries}
        assert {f"/{index}" for index in range(1, 20, 2)} | {"/after"} <= found
        assert revision == len(found), "cancelled or not, each revision is one write"


class Lists:
    """list, its pages and its past."""

    async def test_a_list_is_in_key_order_by_code_point(self, store):
        keys = ["/a", "/a-b", "/a/b", "/aa", "/B", "/é", "/\uffff", "/\U0001f99c"]
        for key in reversed(keys):
            await store.create(key, key.encode())
        page = await store.list("/")
        assert [entry.key for entry in page.entries] == sorted(keys)
        assert (page.next_start, page.remaining, page.revision) == (None, 0, len(keys))

    @pytest.mark.parametrize("prefix", ["/r/a/", "/r/a", "", "/", "/r/ab/", "/none/", "/r/\ud7ff", "/\U0010ffff"])
    async def test_a_prefix_selects_exactly_the_keys_that_start_with_it(self, store, prefix):
        keys = ["/q", "/r/a/1", "/r/a/2", "/r/ab/1", "/r0", "/r/\ud7ff1", "/r/\ue0001", "/\U0010ffff1"]
        for key in keys:
            await store.create(key, b"")
        at = await store.revision()
        await store.create("/zzz", b"")
        for revision in (None, at):
            page = await store.list(prefix, revision=revision)
            expected = [key for key in [*keys, "/zzz"] if key.startswith(prefix)]
            if revision:
                expected = [key for key in expected if key != "/zzz"]
            assert [entry.key for entry in page.entries] == sorted(expected)

    @pytest.mark.parametrize("past", [False, True])
    @pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 8])
    async def test_pages_join_to_the_whole_list_of_one_revision(self, store, limit, past):
        for index in range(7):
            await store.create(f"/k/{index}", b"%d" % index)
        at = await store.revision()
        if past:
            await store.delete("/k/2", expected=3)
            await store.update("/k/3", b"changed", expected=4)
            await store.create("/k/25", b"new")
        entries, start, pages = [], None, 0
        while True:
            page = await store.list("/k/", revision=at, limit=limit, start=start)
            entries += page.entries
            pages += 1
            assert page.revision == at
            assert page.remaining == 7 - len(entries)
            start = page.next_start
            if start is None:
                break
            assert page.remaining > 0
        assert [entry.value for entry in entries] == [b"%d" % index for index in range(7)]
        assert pages == -(-7 // limit)

    async def test_start_is_inclusive_and_never_leaves_the_prefix(self, store):
        for key in ("/a", "/k/1", "/k/2", "/z"):
            await store.create(key, b"")

        async def keys(start):
            return [entry.key for entry in (await store.list("/k/", start=start)).entries]

        assert await keys("/k/1") == ["/k/1", "/k/2"]
        assert await keys("/k/1\0") == ["/k/2"]
        assert await keys("/") == ["/k/1", "/k/2"]
        assert await keys("/y") == []

    async def test_more_entries_than_a_chunk_come_whole_and_in_order(self, store):
        count = 2_345
        await asyncio.gather(*(store.create(f"/k/{index:05}", b"%d" % index) for index in range(count)))
        at = await store.revision()
        await store.create("/other", b"")
        for revision in (None, at):
            page = await store.list("/k/", revision=revision)
            assert [entry.value for entry in page.entries] == [b"%d" % index for index in range(count)]
            page = await store.list("/k/", revision=revision, limit=1_500)
            assert (len(page.entries), page.remaining, page.next_start) == (1_500, 845, "/k/01500")

    async def test_a_past_revision_is_read_as_it_was(self, store):
        one = await store.create("/a", b"1")
        two = await store.create("/b", b"1")
        three = await store.update("/a", b"2", expected=one)
        four = await store.delete("/b", expected=two)
        five = await store.create("/b", b"2")
        seen = {
            revision: {entry.key: entry.value for entry in (await store.list("/", revision=revision)).entries}
            for revision in (0, one, two, three, four, five)
        }
        assert seen == {
            0: {},
            one: {"/a": b"1"},
            two: {"/a": b"1", "/b": b"1"},
            three: {"/a": b"2", "/b": b"1"},
            four: {"/a": b"2"},
            five: {"/a": b"2", "/b": b"2"},
        }

    async def test_a_future_revision_is_refused(self, store):
        await store.create("/a", b"")
        with pytest.raises(FutureRevisionError) as caught:
            await store.list("/", revision=2)
        assert caught.value.current == 1


class Watches:
    """watch: history, live, progress, ends."""

    async def test_history_then_live_without_gap_or_duplicate(self, store):
        async def write():
            for index in range(200):
                await store.create(f"/k/{index:03}", b"")

        writing = asyncio.create_task(write())
        while await store.revision() < 50:
            await store.create(f"/other/{await store.revision()}", b"")
        async with contextlib.aclosing(store.watch("/k/", after=0)) as watch:
            seen = [await next_event(watch) for _ in range(200)]
        await writing
        assert [event.key for event in seen] == [f"/k/{index:03}" for index in range(200)]
        assert [event.revision for event in seen] == sorted({event.revision for event in seen})

    async def test_list_then_watch_leaves_no_gap_and_no_duplicate(self, store):
        stop = asyncio.Event()

        async def write(name):
            index = 0
            while not stop.is_set():
                await store.create(f"/{name}/{index}", b"")
                await asyncio.sleep(0)  # a store may answer without a step of the event loop
                index += 1

        writers = [asyncio.create_task(write(name)) for name in "abc"]
        for _ in range(20):
            page = await store.list("/")
            watch = store.watch("/", after=page.revision)
            events = await events_until(watch, page.revision + 30)
            await watch.aclose()
            revisions = [event.revision for event in events]
            assert revisions == list(range(page.revision + 1, page.revision + 1 + len(events)))
            assert len(page.entries) == page.revision
        stop.set()
        await asyncio.gather(*writers)

    async def test_events_carry_what_was_there_before(self, store):
        one = await store.create("/a", b"1")
        two = await store.update("/a", b"2", expected=one)
        watch = store.watch("/", after=0)
        history = await events_until(watch, two)
        three = await store.delete("/a", expected=two)
        four = await store.create("/a", b"3")
        live = await events_until(watch, four)
        await watch.aclose()
        assert [(e.revision, e.value, e.previous) for e in history + live] == [
            (one, b"1", None),
            (two, b"2", StoredEntry("/a", b"1", one)),
            (three, None, StoredEntry("/a", b"2", two)),
            (four, b"3", None),
        ]
        assert [event.deleted for event in live] == [True, False]

    async def test_an_awaited_write_is_in_the_watch_already(self, store):
        async with contextlib.aclosing(store.watch("/", after=0)) as watch:
            await anext(watch)
            await store.create("/a", b"")
            with pytest.raises(StopIteration) as answered:
                anext(watch).send(None)  # one step by hand: an answer without waiting
            assert answered.value.value.key == "/a"

    @pytest.mark.parametrize(("prefix", "expected"), [("", "abc"), ("/", "abc"), ("/x/", "ab"), ("/x/a", "a")])
    async def test_a_watch_sees_what_is_under_its_prefix(self, store, prefix, expected):
        keys = {"/x/a": "a", "/x/b": "b", "/xy/c": "c"}
        live = store.watch(prefix, after=0)
        assert await events_until(live, 0) == []
        for key in keys:
            await store.create(key, b"")
        assert "".join(keys[event.key] for event in await events_until(live, 3)) == expected
        await live.aclose()
        assert "".join(keys[event.key] for event in await replay(store, prefix, 0)) == expected

    async def test_progress_follows_the_history_and_moves_on_with_writes_elsewhere(self, store):
        await store.create("/a/1", b"")
        await store.create("/b/1", b"")
        watch = store.watch("/a/", after=0)
        assert (await anext(watch)).key == "/a/1"
        assert await anext(watch) == Progress(2)
        await store.create("/b/2", b"")
        assert await anext(watch) == Progress(3)
        await watch.aclose()

    async def test_progress_comes_at_once_where_there_is_no_history(self, store):
        await store.create("/a", b"")
        watch = store.watch("/", after=1)
        assert await anext(watch) == Progress(1)
        await watch.aclose()

    async def test_a_watch_from_the_future_waits_and_skips_what_is_not_above(self, store):
        watch = store.watch("/", after=2)
        first = asyncio.create_task(anext(watch))
        await asyncio.sleep(0)
        await store.create("/1", b"")
        assert not first.done()
        await store.create("/2", b"")
        assert await first == Progress(2)
        await store.create("/3", b"")
        assert (await anext(watch)).key == "/3"
        await watch.aclose()

    async def test_a_watcher_that_falls_behind_is_ended_and_others_go_on(self, open_store):
        store = await open_store(watch_queue_events=10)
        slow, quick = store.watch("/", after=0), store.watch("/", after=0)
        await anext(slow)
        await anext(quick)
        for index in range(11):
            await store.create(f"/{index}", b"")
            assert (await next_event(quick)).key == f"/{index}"
        with pytest.raises(WatcherTooSlowError):
            await anext(slow)
        with pytest.raises(StopAsyncIteration):
            await anext(slow)
        await store.create("/more", b"")
        assert (await next_event(quick)).key == "/more"
        await quick.aclose()
        await store.close()

    async def test_a_full_queue_is_not_yet_too_slow(self, open_store):
        store = await open_store(watch_queue_events=10)
        watch = store.watch("/", after=0)
        await anext(watch)
        for index in range(10):
            await store.create(f"/{index}", b"")
        assert len(await events_until(watch, 10)) == 10
        await watch.aclose()
        await store.close()

    async def test_a_long_history_is_no_reason_to_be_too_slow(self, open_store):
        store = await open_store(watch_queue_events=10)
        await asyncio.gather(*(store.create(f"/{index}", b"") for index in range(2_100)))
        watch = store.watch("/", after=0)
        first = await anext(watch)
        await asyncio.gather(*(store.create(f"/more/{index}", b"") for index in range(100)))
        rest = await events_until(watch, 2_200)
        assert [first.revision, *(event.revision for event in rest)] == list(range(1, 2_201))
        await watch.aclose()
        await store.close()

    async def test_closing_or_cancelling_a_watch_unregisters_it(self, store):
        closed, cancelled = store.watch("/", after=0), store.watch("/", after=0)
        await anext(closed)
        await anext(cancelled)
        assert store._broadcast.watchers == 2
        await closed.aclose()
        waiting = asyncio.create_task(anext(cancelled))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert store._broadcast.watchers == 0
        await store.create("/a", b"")


class Compactions:
    """compact, bump and what can no longer be read."""

    async def test_live_entries_stay_and_older_reads_are_refused(self, store):
        one = await store.create("/a", b"1")
        two = await store.update("/a", b"2", expected=one)
        three = await store.create("/b", b"3")
        await store.compact(two)
        assert [entry.value for entry in (await store.list("/", revision=two)).entries] == [b"2"]
        assert [entry.value for entry in (await store.list("/")).entries] == [b"2", b"3"]
        assert (await store.get("/a")).entry == StoredEntry("/a", b"2", two)
        with pytest.raises(CompactedError) as caught:
            await store.list("/", revision=one)
        assert caught.value.compacted == two
        assert (await store.list("/", revision=three)).revision == three

    async def test_a_watch_below_is_refused_at_its_first_step_and_one_at_it_works(self, store):
        for index in range(5):
            await store.create(f"/{index}", b"")
        await store.compact(3)
        watch = store.watch("/", after=2)
        with pytest.raises(CompactedError):
            await anext(watch)
        assert [event.revision for event in await replay(store, "/", 3)] == [4, 5]

    async def test_events_after_it_still_carry_what_was_there_before(self, store):
        one = await store.create("/a", b"1")
        two = await store.update("/a", b"2", expected=one)
        await store.compact(two)
        await store.delete("/a", expected=two)
        events = await replay(store, "/", two)
        assert [event.previous for event in events] == [StoredEntry("/a", b"2", two)]

    async def test_a_compaction_that_races_a_delete_and_a_watch_loses_no_delete(self, store):
        watch = store.watch("/", after=0)
        await anext(watch)
        for index in range(30):
            revision = await store.create("/a", b"%d" % index)
            deleting = asyncio.create_task(store.delete("/a", expected=revision))
            await store.compact(revision)
            await store.compact(await deleting)
        events = await events_until(watch, 60)
        await watch.aclose()
        assert [event.deleted for event in events] == [False, True] * 30

    async def test_no_revision_comes_twice_when_the_newest_was_a_compacted_delete(self, store):
        await store.delete("/a", expected=await store.create("/a", b""))
        await store.compact(2)
        assert await store.revision() == 2
        assert (await store.list("/")).revision == 2
        assert await store.create("/b", b"") == 3

    async def test_it_can_be_repeated_and_does_not_go_back(self, store):
        for index in range(4):
            await store.create(f"/{index}", b"")
        await store.compact(3)
        await store.compact(3)
        await store.compact(1)
        with pytest.raises(CompactedError):
            await store.list("/", revision=2)

    async def test_the_future_cannot_be_compacted(self, store):
        await store.create("/a", b"")
        with pytest.raises(FutureRevisionError):
            await store.compact(2)
        assert [event.key for event in await replay(store, "/", 0)] == ["/a"]

    async def test_bump_raises_the_counter_and_ends_the_history_before_it(self, store):
        await store.create("/a", b"")
        watch = store.watch("/", after=1)
        await anext(watch)
        await store.bump(1_000)
        assert await anext(watch) == Progress(1_000)
        assert await store.revision() == 1_000
        assert await store.create("/b", b"") == 1_001
        assert [entry.revision for entry in (await store.list("/")).entries] == [1, 1_001]
        with pytest.raises(CompactedError):
            await store.list("/", revision=999)
        assert [event.revision for event in await replay(store, "/", 1_000)] == [1_001]
        await watch.aclose()

    async def test_bump_never_lowers_the_counter(self, store):
        await store.create("/a", b"")
        await store.create("/b", b"")
        await store.bump(1)
        assert await store.revision() == 2
        async with contextlib.aclosing(store.watch("/", after=2)) as watch:
            with pytest.raises(StopIteration) as answered:
                anext(watch).send(None)  # without waiting: the broadcast is still at 2
            assert answered.value.value == Progress(2)
        assert (await store.list("/", revision=1)).revision == 1


class Ends:
    """close."""

    async def test_close_ends_every_watch_after_what_is_queued(self, store):
        idle, behind, unstarted = (store.watch("/", after=0) for _ in range(3))
        await anext(idle)
        await anext(behind)
        waiting = asyncio.create_task(anext(idle))
        await store.create("/a", b"")
        assert (await waiting).key == "/a"
        waiting = asyncio.create_task(collect(idle))
        await store.close()
        assert [step for step in await waiting if not isinstance(step, Progress)] == []
        assert [step.key for step in await collect(behind) if not isinstance(step, Progress)] == ["/a"]
        assert await collect(unstarted) == []

    async def test_a_closed_store_refuses_reads_and_writes(self, store):
        await store.create("/a", b"")
        await store.close()
        for call in (
            store.get("/a"),
            store.list("/"),
            store.create("/b", b""),
            store.update("/a", b"", expected=1),
            store.delete("/a", expected=1),
            store.write_each([Put("/b", b"")]),
            store.compact(1),
            store.bump(9),
        ):
            with pytest.raises(StoreUnavailableError):
                await call

    async def test_close_finishes_the_writes_that_are_queued(self, store):
        writes = [asyncio.create_task(store.create(f"/{index}", b"")) for index in range(100)]
        await asyncio.sleep(0)
        await store.close()
        assert sorted(await asyncio.gather(*writes)) == list(range(1, 101))

    async def test_close_answers_all_writes_that_were_sent_together(self, store):
        sent = asyncio.create_task(store.write_each([Put(f"/{number}", b"") for number in range(6_000)]))
        await asyncio.sleep(0)
        await store.close()
        outcomes = await sent
        made = [outcome for outcome in outcomes if isinstance(outcome, int)]
        assert sorted(made) == list(range(1, len(made) + 1))
        others = {repr(outcome) for outcome in outcomes if not isinstance(outcome, int | StoreUnavailableError)}
        assert others == set()

    async def test_close_can_be_repeated_and_at_the_same_time(self, store):
        await asyncio.gather(store.close(), store.close())
        await store.close()


class StoreContract(ReadsAndWrites, Lists, Watches, Compactions, Ends):
    """All of it. The fixture ``open_store(**options)`` opens an empty store; ``store`` is one with defaults."""


async def change(store: Any, verb: str, key: str, expected: int) -> int:
    if verb == "update":
        return await store.update(key, b"new", expected=expected)
    return await store.delete(key, expected=expected)


async def collect(watch: Any) -> list[Any]:
    return [step async for step in watch]
