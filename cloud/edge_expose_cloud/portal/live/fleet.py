"""Rows of the fleet page: made of twins as the hub's query gives them, searched, filtered and paged. Pure.

Made of the raw sections, not of parsed documents: 10,000 rows are read in one sweep.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from edge_expose_cloud.hub.api import Twin

COUNTS: Final = ("ready", "pending", "blocked", "failed", "expired", "disabled")
PER_PAGE: Final = 50
Filter = Literal["", "trouble", "offline", "ready", "none"]


@dataclass(frozen=True, slots=True)
class Row:
    """One device. `at` is when it was read (Unix seconds), 0 for never; `module` says whether it runs ours."""

    device_id: str
    module: bool = False
    connection: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    used: int = 0
    size: int = 0
    reserved: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)
    words: str = ""
    at: float = 0.0
    stamp: tuple[Any, ...] = ()

    @property
    def available(self) -> int:
        return max(0, self.size - self.reserved)

    @property
    def trouble(self) -> int:
        return sum(self.counts.get(name, 0) for name in ("pending", "blocked", "failed"))

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def online(self) -> bool:
        return self.connection == "Connected"

    @property
    def state(self) -> str:
        if not self.module:
            return "No module"
        if not self.online:
            return "Offline"
        if self.counts.get("blocked", 0) or self.counts.get("failed", 0):
            return "Blocked"
        return "Pending" if self.counts.get("pending", 0) else "Ready"


def with_module(row: Row | None, twin: Twin, at: float) -> Row:
    """The row with what our module's twin says."""
    reported = twin.reported
    summary, pool, exposures = (_object(reported.get(key)) for key in ("summary", "pool", "exposures"))
    words = " ".join(
        [
            *map(str, exposures),
            *(str(entry.get("address") or "") for entry in exposures.values() if isinstance(entry, dict)),
        ]
    )
    return replace(
        row or Row(twin.device_id),
        module=True,
        connection=twin.connection_state,
        counts={name: _count(summary.get(name)) for name in COUNTS},
        used=_count(pool.get("used")),
        size=_count(pool.get("size")),
        reserved=_count(pool.get("reserved")),
        words=words.lower()[:4000],
        at=at,
        stamp=(twin.desired_version, twin.reported_version, twin.connection_state, twin.etag),
    )


def with_device(row: Row | None, twin: Twin, at: float) -> Row:
    """The row with the device twin's tags (two levels deep, as `site=north` and `place.hall=3`)."""
    found = row or Row(twin.device_id, connection=twin.connection_state, at=at)
    return replace(found, tags=dict(_tags(twin.tags)))


def _tags(tags: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    for key, value in tags.items():
        if key == "edgeExposeLease":
            continue
        if isinstance(value, dict):
            if not prefix:
                yield from _tags(value, f"{key}.")
        elif value is not None and not isinstance(value, list):
            yield f"{prefix}{key}", str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True, slots=True)
class Question:
    """What the page asks for; `tag` is `key=value` or a key."""

    text: str = ""
    show: str = ""
    tag: str = ""
    page: int = 1


@dataclass(frozen=True, slots=True)
class Answer:
    rows: list[Row]
    found: int
    page: int
    pages: int


def answer(rows: Sequence[Row], question: Question) -> Answer:
    """One page of `rows`, which are in order of device id: trouble first would move the page under its reader."""
    text, tag = question.text.strip().lower(), question.tag.strip()
    found = rows
    if text or tag or question.show:
        found = [row for row in rows if _shown(row, question.show) and _tagged(row, tag) and _says(row, text)]
    pages = max(1, -(-len(found) // PER_PAGE))
    page = min(max(1, question.page), pages)
    return Answer(list(found[(page - 1) * PER_PAGE : page * PER_PAGE]), len(found), page, pages)


def totals(rows: Iterable[Row]) -> dict[str, int]:
    """Sums for the head of the page."""
    sums = dict.fromkeys((*COUNTS, "devices", "online", "trouble", "used", "available"), 0)
    for row in rows:
        sums["devices"] += 1
        sums["online"] += row.online
        sums["trouble"] += row.trouble > 0
        sums["used"] += row.used
        sums["available"] += row.available
        for name in COUNTS:
            sums[name] += row.counts.get(name, 0)
    return sums


def _shown(row: Row, show: str) -> bool:
    match show:
        case "trouble":
            return row.trouble > 0
        case "offline":
            return row.module and not row.online
        case "ready":
            return row.state == "Ready"
        case "none":
            return not row.module
        case _:
            return True


def _tagged(row: Row, tag: str) -> bool:
    if not tag:
        return True
    key, equals, value = tag.partition("=")
    return row.tags.get(key) == value if equals else key in row.tags


def _says(row: Row, text: str) -> bool:
    if not text:
        return True
    inside = (
        f"{row.device_id.lower()} {row.words} " + " ".join(f"{key}={value}" for key, value in row.tags.items()).lower()
    )
    return all(word in inside for word in text.split())


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 10**9 else 0
