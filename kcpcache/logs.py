"""Structured logs: one JSON object a line, on standard error.

Of an unexpected error they have the type and where it came from. Its text they have only where it cannot hold what a
client sent: a ValueError of some library may quote the value, which may be of a Secret.
"""

import json
import logging
import re
import sys
import traceback
from collections.abc import Iterator, MutableMapping
from types import TracebackType
from typing import Any, Final, TypeAlias

import orjson


def _structlog() -> Any:
    """Structlog without rich, which it would import for colours that JSON lines do not have: a tenth of a start."""
    known = sys.modules.get("rich")
    sys.modules["rich"] = None  # type: ignore[assignment]  # for the import system: there is none
    try:
        import structlog
    finally:
        del sys.modules["rich"]
        if known is not None:
            sys.modules["rich"] = known
    return structlog


structlog = _structlog()

_ExcInfo: TypeAlias = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
)  # as sys.exc_info() has it

_QUOTE_NOTHING: Final = (
    ArithmeticError,
    AttributeError,
    ImportError,
    MemoryError,
    NameError,
    OSError,
    RecursionError,
    TypeError,
    json.JSONDecodeError,
)
_OF_WHOM_TEXTS_ARE_KNOWN: Final = ("kcpcache.", "apsw.")
_ERROR_IN_REPR: Final = re.compile(r"\bexception=.*", re.DOTALL)


def configure_logs(level: str) -> None:
    """Send our own logs, and what libraries log as warning or worse, to standard error as JSON lines."""
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.ExceptionRenderer(error_text),
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(serializer=_dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.BytesLoggerFactory(file=sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter())
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)


def error_text(exc_info: _ExcInfo) -> str:
    """The error with what led to it, each with its stack, and with its text if that quotes nothing."""
    error = exc_info[1]
    return "" if error is None else "\n".join(_lines(error, set()))


def _lines(error: BaseException, seen: set[int]) -> Iterator[str]:
    seen.add(id(error))
    before, how = error.__cause__, "The above was the direct cause of:"
    if before is None and not error.__suppress_context__:
        before, how = error.__context__, "While the above was handled, this occurred:"
    if before is not None and id(before) not in seen:
        yield from _lines(before, seen)
        yield f"\n{how}\n"
    yield "Traceback (most recent call last):"
    yield "".join(traceback.format_tb(error.__traceback__)) + _last_line(error)
    for inner in error.exceptions if isinstance(error, BaseExceptionGroup) else ():
        if id(inner) not in seen:
            yield "\nOne of the group:\n"
            yield from _lines(inner, seen)


def _last_line(error: BaseException) -> str:
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    known = isinstance(error, _QUOTE_NOTHING) or name.startswith(_OF_WHOM_TEXTS_ARE_KNOWN)
    return f"{name}: {error}" if known and str(error) else name


def _dumps(value: MutableMapping[str, Any], **_kwargs: Any) -> bytes:
    return orjson.dumps(value, default=str)


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        message = _ERROR_IN_REPR.sub("", record.getMessage()) if record.name == "asyncio" else record.getMessage()
        found = {"level": record.levelname.lower(), "logger": record.name, "message": message}
        if record.exc_info:
            found["exception"] = error_text(record.exc_info)
        return orjson.dumps(found).decode()
