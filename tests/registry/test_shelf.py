"""What lists join and keep: it is what each object is, it goes with a change, and it has a bound."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcpcache.meta.virtual_resources import SHARD_ANNOTATION
from kcpcache.registry import shelf as shelves
from kcpcache.registry.entry import encode, entry_of
from kcpcache.registry.kept import Kept
from kcpcache.registry.shelf import Shelf, key_of, loose


def entry(name, revision=1, *, spec="", shard="", version="v1"):
    annotations = {SHARD_ANNOTATION: shard} if shard else {}
    obj = {"apiVersion": f"example.com/{version}", "kind": "Thing"}
    obj |= {"metadata": {"name": name, "annotations": annotations}, "spec": spec}
    return entry_of(encode(obj), cluster="c", namespace="", name=name, revision=revision)


def filled(count, kept=None, **more):
    shelf = Shelf(kept)
    for number in range(count):
        shelf.put(f"n{number:05}", entry(f"n{number:05}", number + 1, **more))
    return shelf


def flat(blocks):
    return [one for block in blocks for one in block.entries]


def wire(blocks, cluster=None):
    """What blocks send, and how many of them send it as one."""
    joined = [block.wire(cluster and cluster.encode()) for block in blocks]
    singly = [b"".join(b"," + one.wire(cluster) for one in block.entries) for block in blocks]
    return b"".join(one or other for one, other in zip(joined, singly, strict=True)), sum(map(bool, joined))


names = st.integers(0, 40).map("n{:02}".format)
steps = st.lists(st.tuples(st.sampled_from(["put", "pop", "list", "project"]), names), max_size=60)


@given(steps, names)
def test_a_list_stays_as_it_was_lent_and_sends_what_its_objects_are(steps, start):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shelves, "MOST_OF_A_BLOCK", 6)
        patch.setattr(shelves, "_FEWEST_JOINED", 2)
        kept = Kept(2000)
        shelf, model, lent = Shelf(kept), {}, []
        for revision, (step, name) in enumerate(steps, 1):
            if step == "put":
                model[name] = entry(name, revision, shard="s" if revision % 3 else "")
                shelf.put(name, model[name])
            elif step == "pop":
                assert shelf.pop(name) is model.pop(name, None)
            else:
                lent.append((shelf.lend(start=start), [model[key] for key in sorted(model) if key >= start]))
                lent[-1] += ("elsewhere" if step == "project" else None,)
            for blocks, entries, cluster in lent[-3:]:
                assert flat(blocks) == entries
                assert wire(blocks, cluster)[0] == b"".join(b"," + one.wire(cluster) for one in entries)
            assert kept.bytes <= 2000
        for name in list(model):
            shelf.pop(name)
        assert (kept.bytes, len(kept), shelf.lend()) == (0, 0, [])


def test_objects_that_came_in_order_lie_in_full_blocks():
    assert [len(block.entries) for block in filled(300).lend()] == [128, 128, 44]


def test_what_is_left_of_many_deleted_objects_lies_together():
    shelf = filled(128 * 20)
    for number in range(128 * 20):
        if number % 64:
            shelf.pop(f"n{number:05}")
    assert len(shelf) == 40
    assert len(shelf.lend()) <= 6


def test_only_the_block_of_a_changed_object_is_joined_anew():
    shelf = filled(1280)
    before = [block.wire(None) for block in shelf.lend()]
    shelf.put("n00500", entry("n00500", 9999))
    after = [block.wire(None) for block in shelf.lend()]
    assert [one is other for one, other in zip(before, after, strict=True)] == [True] * 3 + [False] + [True] * 6


def test_all_workspaces_that_objects_are_shown_in_share_what_is_kept():
    kept = Kept()
    shelf = filled(128, kept)
    (block,) = shelf.lend()
    one, size = block.wire(b"one"), kept.bytes
    other = block.wire(b"another")
    assert kept.bytes == size
    assert [orjson.loads(b"[" + joined[1:] + b"]")[5]["metadata"]["annotations"] for joined in (one, other)] == [
        {"kcp.io/cluster": "one"},
        {"kcp.io/cluster": "another"},
    ]


def test_the_blocks_that_were_used_the_longest_ago_give_way():
    one, other = filled(128, kept := Kept(60_000)), filled(128, kept)
    first, second = one.lend() + other.lend()
    was = first.wire(None)
    second.wire(None)
    assert first.wire(None) is was
    third = filled(128, kept).lend()[0]
    third.wire(None)
    size = len(was)
    assert kept.bytes == size * (60_000 // size)
    assert first.wire(None) is was


def test_large_objects_are_not_joined():
    assert wire(filled(128, spec="x" * 4096).lend())[1] == 0


def test_a_lent_block_that_has_been_replaced_keeps_nothing():
    shelf = filled(128, kept := Kept())
    (block,) = shelf.lend()
    shelf.put("n00005", entry("n00005", 9999))
    assert block.wire(None) is None
    assert kept.bytes == 0


def test_a_block_knows_whether_all_its_objects_are_in_one_version():
    shelf = filled(40)
    opening = b'{"apiVersion":"example.com/v1",'
    assert shelf.lend()[0].all_begin_with(opening)
    shelf.put("n00007", entry("n00007", 99, version="v2"))
    assert not shelf.lend()[0].all_begin_with(opening)
    shelf.put("n00007", entry("n00007", 100))
    assert shelf.lend()[0].all_begin_with(opening)


def test_loose_entries_are_in_blocks_that_keep_nothing():
    entries = filled(200).snapshot()
    blocks = loose(entries)
    assert flat(blocks) == entries
    assert wire(blocks)[1] == 0
    assert [key_of(block.entries[0]) for block in blocks] == ["n00000", "n00128"]
