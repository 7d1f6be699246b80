"""Logging of a process that serves or works, for programs to read."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime

import orjson

RECORD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}  # what every log record has


class JsonFormatter(logging.Formatter):
    """A log record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {key: value for key, value in vars(record).items() if key not in RECORD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


def log_as_json(level: str) -> None:
    """Send all logging of this process to stderr, one line of JSON each."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for chatty in ("uvicorn", "httpx", "httpcore", "python_multipart"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))
