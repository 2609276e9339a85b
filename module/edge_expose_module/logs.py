"""One JSON object a line on stderr, and the last lines kept for the support bundle."""

from __future__ import annotations

import json
import logging
from collections import deque
from datetime import UTC, datetime

_KEPT = 200


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["trace"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


class RecentLines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: deque[str] = deque(maxlen=_KEPT)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


def set_up() -> RecentLines:
    """The root logger at INFO until settings say otherwise; the SDK's own only warn, since they tell every packet."""
    formatter = JsonLines()
    stream = logging.StreamHandler()
    stream.setFormatter(formatter)
    recent = RecentLines()
    recent.setFormatter(formatter)
    logging.basicConfig(level=logging.INFO, handlers=[stream, recent], force=True)
    for name in ("azure", "paho", "urllib3", "kubernetes"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return recent
