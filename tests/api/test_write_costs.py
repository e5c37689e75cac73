"""How much work the next write of a kind takes, in function calls: what must not grow unnoticed.

Calls of functions written in Python, from the request's scope to the answer's last byte, over a store in memory.
"""

import sys
from typing import Any

import orjson
import pytest

from kcpcache.api.protocol import CONNECTION, Connection
from kcpcache.registry import pauses

CRON_TABS = "/apis/stable.example.com/v1/namespaces/default/crontabs"


class Calls:
    """Requests of one connection, each with the calls it took."""

    def __init__(self, world: Any) -> None:
        self._app, self._connection = world.app, Connection()

    async def take(self, method: str, path: str, content_type: str, body: object) -> int:
        data, sent = orjson.dumps(body), []
        headers = [(b"host", b"a"), (b"content-type", content_type.encode()), (b"content-length", b"%d" % len(data))]
        scope = {
            "type": "http",
            "method": method,
            "raw_path": path.encode(),
            "path": path,
            "query_string": b"",
            "headers": headers,
            "state": {CONNECTION: self._connection},
        }

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": data, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        count = 0

        def counting(_frame: Any, event: str, _argument: Any) -> None:
            nonlocal count
            count += event == "call"

        sys.setprofile(counting)
        try:
            await self._app(scope, receive, send)
        finally:
            sys.setprofile(None)
        assert sent[0]["status"] in {200, 201}, sent
        return count


def cron_tab(name: str) -> dict[str, Any]:
    meta = {"name": name, "labels": {"tier": "basic"}, "annotations": {"a": "b"}}
    spec = {"cronSpec": "* * * * *", "replicas": 3, "tags": ["a", "b"]}
    return {"apiVersion": "stable.example.com/v1", "kind": "CronTab", "metadata": meta, "spec": spec}


@pytest.fixture
def calls(world, monkeypatch: pytest.MonkeyPatch) -> Calls:
    monkeypatch.setattr(pauses, "SLICE_SECONDS", 3600.0)  # whether there are pauses depends on the machine
    return Calls(world)


async def test_a_create_takes_few_calls(calls: Calls):
    took = [await calls.take("POST", CRON_TABS, "application/json", cron_tab(name)) for name in ("a", "b", "c")]
    assert took[0] > took[2]  # the first one has found out where they go
    assert took[2] <= 270, took


async def test_a_patch_of_a_status_takes_few_calls(calls: Calls):
    await calls.take("POST", CRON_TABS, "application/json", cron_tab("a"))
    path, kind = f"{CRON_TABS}/a/status", "application/merge-patch+json"
    took = [await calls.take("PATCH", path, kind, {"status": {"round": number}}) for number in range(4)]
    assert took[3] <= 335, took
