"""Structured logs: one JSON object a line, on standard error."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

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


def configure_logs(level: str) -> None:
    """Send our own logs, and what libraries log as warning or worse, to standard error as JSON lines."""
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
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


def _dumps(value: MutableMapping[str, Any], **_kwargs: Any) -> bytes:
    return orjson.dumps(value, default=str)


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        found = {"level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            found["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(found).decode()
