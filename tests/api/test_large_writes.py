"""No step of the event loop looks at each field of a large object: in countable steps, as no test measures time."""

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

import orjson
import pytest

from kcpcache.api.patches import APPLY_PATCH, JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH
from kcpcache.meta import managed_fields
from kcpcache.registry import write_turns

MAPS = "/api/v1/namespaces/default/configmaps"
FIELDS = 20_000
MOST_CALLS = 5_000
"""Of Python between two looks of the event loop at what else there is; a quarter of a call for each field."""
_STEP = asyncio.Handle._run.__code__


class Steps:
    """How many calls each step of the event loop takes, on its thread alone."""

    def __init__(self) -> None:
        self.longest = self._calls = 0

    def _count(self, frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call" and frame.f_code is _STEP:
            self._calls = 0
        elif event in {"call", "c_call"}:
            self._calls += 1
            self.longest = max(self.longest, self._calls)

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        before = sys.getprofile()
        sys.setprofile(self._count)
        try:
            yield
        finally:
            sys.setprofile(before)


def config_map(value: str, **more: Any) -> bytes:
    data = {f"key-{number:05}": f"{value}{number}" for number in range(FIELDS)}
    return orjson.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "big"}, "data": data, **more})


MORE = orjson.dumps({"data": {f"more-{number:05}": "1" for number in range(FIELDS)}})
MOST_OPERATIONS = 10_000
OPERATIONS = orjson.dumps(
    [{"op": "add", "path": f"/data/n-{number}", "value": "1"} for number in range(FIELDS // 2)]
)  # as many as are taken


@pytest.mark.parametrize(
    ("method", "query", "content_type", "body", "status"),
    [
        ("PUT", "", "application/json", config_map("new"), 200),
        ("PUT", "?dryRun=All", "application/json", config_map("new"), 200),
        ("PUT", "", "application/yaml", b"# YAML" + bytes([10]) + config_map("new"), 200),
        ("PATCH", "?fieldManager=me&force=true", APPLY_PATCH, config_map("new"), 200),
        ("PATCH", "", MERGE_PATCH, MORE, 200),
        ("PATCH", "", STRATEGIC_MERGE_PATCH, MORE, 200),
        ("PATCH", "", JSON_PATCH, OPERATIONS, 200),
        ("PATCH", "", MERGE_PATCH, b'{"data":{"one":"more"}}', 200),
        ("PATCH", "?fieldValidation=Strict", MERGE_PATCH, config_map("new", unknown=1), 422),
        ("PUT", "", "application/json", config_map("#", data={f"#{n}": "" for n in range(FIELDS)}), 422),
    ],
    ids=[
        *("an update", "a dry run", "YAML", "an apply", "a merge patch", "a strategic merge patch", "a JSON patch"),
        *("a small patch of a large object", "a strict patch", "an update that is wrong everywhere"),
    ],
)
async def test_a_large_write_is_no_long_step(world, method, query, content_type, body, status):
    created = await world.client.post(MAPS, content=config_map("old"), headers={"content-type": "application/json"})
    assert created.status_code == 201
    steps, headers = Steps(), {"content-type": content_type}
    with steps.counted():
        found = await world.client.request(method, f"{MAPS}/big{query}", content=body, headers=headers)
    assert found.status_code == status
    assert steps.longest < MOST_CALLS


async def test_a_large_create_is_no_long_step(world):
    steps = Steps()
    with steps.counted():
        found = await world.client.post(MAPS, content=config_map("old"), headers={"content-type": "application/json"})
    assert found.status_code == 201
    assert steps.longest < MOST_CALLS


async def test_what_is_computed_beside_the_event_loop_is_applied_to_the_newest_object(world):
    """Others write meanwhile: whoever was slower begins anew with what they have written."""
    await world.client.post(MAPS, content=config_map("old"), headers={"content-type": "application/json"})

    async def add(number: int) -> None:
        patch = {"data": {f"of-{number}": "x" * 10_000}}
        headers = {"content-type": MERGE_PATCH}
        answer = await world.client.patch(f"{MAPS}/big", content=orjson.dumps(patch), headers=headers)
        assert answer.status_code == 200

    await asyncio.gather(*(add(number) for number in range(5)))
    data = (await world.client.get(f"{MAPS}/big")).json()["data"]
    assert len(data) == FIELDS + 5


async def test_large_applies_to_one_object_at_once_are_each_computed_once(world, monkeypatch):
    """Each that lost against another one would throw away what it has computed, and begin anew."""
    applied: list[int] = []
    apply = managed_fields.apply

    def counted(*arguments: Any, **options: Any) -> Any:
        applied.append(1)
        return apply(*arguments, **options)

    monkeypatch.setattr(managed_fields, "apply", counted)
    monkeypatch.setattr(write_turns, "WAIT_SECONDS", 60.0)
    await world.client.post(MAPS, content=config_map("old"), headers={"content-type": "application/json"})
    headers = {"content-type": APPLY_PATCH}
    bodies = [config_map(f"by{number}-") for number in range(6)]

    async def put(body: bytes) -> int:
        url = f"{MAPS}/big?fieldManager=me&force=true"
        return (await world.client.request("PATCH", url, content=body, headers=headers)).status_code

    assert await asyncio.gather(*map(put, bodies)) == [200] * len(bodies)
    assert len(applied) == len(bodies)
