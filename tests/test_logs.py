"""Logs: lines of JSON in which no value that a client sent can appear by way of an error's text."""

import logging
import subprocess
import sys

import orjson
import pytest

from kcpcache.logs import error_text
from kcpcache.storage.store import StoreError

_SECRET = "hunter2-do-not-log-this"


def _raised(error: Exception) -> str:
    with pytest.raises(type(error)) as found:
        raise error
    return error_text((found.type, found.value, found.tb))


@pytest.mark.parametrize("kind", [ValueError, KeyError, RuntimeError, Exception, LookupError, StopAsyncIteration])
def test_an_error_that_may_quote_a_value_is_told_by_type_and_stack(kind: type[Exception]) -> None:
    text = _raised(kind(_SECRET))
    assert _SECRET not in text
    assert text.splitlines()[-1] == kind.__name__
    assert "test_logs.py" in text
    assert "in _raised" in text


@pytest.mark.parametrize(
    ("error", "last"),
    [
        (OSError(28, "No space left on device"), "OSError: [Errno 28] No space left on device"),
        (StoreError("the store is closed"), "kcpcache.storage.store.StoreError: the store is closed"),
        (AttributeError("'dict' object has no attribute 'x'"), "AttributeError: 'dict' object has no attribute 'x'"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_an_error_that_quotes_nothing_is_told_with_its_text(error: Exception, last: str) -> None:
    assert _raised(error).splitlines()[-1] == last


def test_what_led_to_an_error_is_told_in_the_same_way() -> None:
    def cause() -> None:
        try:
            int(_SECRET)
        except ValueError as error:
            raise StoreError("unreadable") from error

    with pytest.raises(StoreError) as found:
        cause()
    text = error_text((found.type, found.value, found.tb))
    assert _SECRET not in text
    assert text.index("\nValueError\n") < text.index("direct cause") < text.index("StoreError: unreadable")


def test_a_group_is_told_with_all_that_is_in_it() -> None:
    text = _raised(ExceptionGroup(_SECRET, [ValueError(_SECRET), OSError(5, "Input/output error")]))
    assert _SECRET not in text
    assert "\nValueError" in text
    assert "OSError: [Errno 5] Input/output error" in text


def test_errors_that_name_each_other_as_their_cause_are_told_once() -> None:
    one, other = OSError("one"), OSError("other")
    one.__cause__, other.__cause__ = other, one
    assert _raised(one).count("OSError: one") == 1


_PROGRAM = f"""
import asyncio, logging
from kcpcache.logs import configure_logs, structlog

configure_logs("info")
log = structlog.get_logger()
log.info("begins", port=6443)
try:
    int({_SECRET!r})
except ValueError as error:
    log.exception("failed")
    log.error("failed again", exc_info=error)
    logging.getLogger("library").exception("failed there")

async def main():
    async def fails():
        raise KeyError({_SECRET!r})
    task = asyncio.create_task(fails())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del task

asyncio.run(main())
"""


def test_each_line_is_one_json_object_and_none_has_a_value_that_an_error_quotes() -> None:
    """Of our own logs, of libraries', and of what asyncio says about a task that nobody awaited."""
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, check=True, timeout=60)
    lines = [orjson.loads(line) for line in done.stderr.splitlines()]
    assert [line["message"].split("\n")[0] for line in lines] == [
        "begins",
        "failed",
        "failed again",
        "failed there",
        "Task exception was never retrieved",
    ]
    assert (lines[0]["level"], lines[0]["port"]) == ("info", 6443)
    assert [line["exception"].splitlines()[-1] for line in lines[1:]] == ["ValueError"] * 3 + ["KeyError"]
    assert _SECRET not in str(lines)


def test_a_record_of_a_library_without_an_error_is_told_as_it_is() -> None:
    from kcpcache.logs import _JsonFormatter

    record = logging.LogRecord("uvicorn", logging.WARNING, "x.py", 1, "retry in %s s", (3,), None)
    assert orjson.loads(_JsonFormatter().format(record)) == {
        "level": "warning",
        "logger": "uvicorn",
        "message": "retry in 3 s",
    }
