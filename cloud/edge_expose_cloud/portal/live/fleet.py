"""Rows of the fleet page: made of twins as the hub's query gives them, searched, filtered, sorted and paged. Pure.

Made of the raw sections, not of parsed documents: 10,000 rows are read in one sweep.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from edge_expose_cloud.hub.api import Twin
from edge_expose_cloud.plan.clients import is_open
from edge_expose_cloud.status.health import (
    NEARLY_FULL,
    NO_MODULE,
    POOL_STATES,
    Health,
    counts_of,
    health_of,
    is_unreadable,
    pool_of,
)

PER_PAGE: Final = 50
KINDS: Final = ("bad", "warn", "off", "good")


@dataclass(frozen=True, slots=True)
class Row:
    """One device. `at` is when it was read (Unix seconds), 0 for never; `module` says whether it runs ours."""

    device_id: str
    module: bool = False
    connection: str = ""
    health: Health = NO_MODULE
    counts: Mapping[str, int] = field(default_factory=dict)
    open: int = 0
    used: int = 0
    available: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)
    words: str = ""
    at: float = 0.0
    stamp: tuple[Any, ...] = ()
    unreadable: bool = False

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def online(self) -> bool:
        return self.connection == "Connected"

    @property
    def last_known(self) -> bool:
        """Whether nobody knows how the exposures are now: the device is away, or its module cannot see the cluster."""
        return self.module and (self.connection == "Disconnected" or self.unreadable)

    @property
    def state(self) -> str:
        return self.health.state


def with_module(row: Row | None, twin: Twin, at: float) -> Row:
    """The row with what our module's twin says."""
    reported, desired = _object(twin.reported.get("exposures")), _object(twin.desired.get("exposures"))
    addresses = (str(entry.get("address") or "") for entry in reported.values() if isinstance(entry, dict))
    available, used = pool_of(twin.reported)
    health = health_of(twin, datetime.fromtimestamp(at, UTC))
    return replace(
        row or Row(twin.device_id),
        module=True,
        connection=twin.connection_state,
        health=health,
        counts=counts_of(twin.reported),
        open=sum(isinstance(entry, dict) and is_open(entry) for entry in desired.values()),
        used=used,
        available=available,
        words=" ".join([health.state, health.why, *map(str, reported), *addresses]).lower()[:4000],
        at=at,
        unreadable=is_unreadable(twin.reported),
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
    """What the page asks for; `tag` is `key=value` or a key, `sort` a column, with a minus for the other way round."""

    text: str = ""
    show: str = ""
    tag: str = ""
    page: int = 1
    sort: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    rows: list[Row]
    found: int
    page: int
    pages: int


def _severity(health: Health) -> tuple[int, int]:
    """The worst first; of what is equally bad, the pool's bookkeeping last, a full pool at its head."""
    pool = POOL_STATES.index(health.state) + 1 if health.state in POOL_STATES else 0
    return KINDS.index(health.kind), pool


ORDERS: Final[Mapping[str, Callable[[Row], Any]]] = {
    "attention": lambda row: (not row.health.attention, *_severity(row.health), row.device_id),
    "device": lambda row: row.device_id,
    "state": lambda row: (not row.module, *_severity(row.health), row.state, row.device_id),
    "exposures": lambda row: (-row.total, row.device_id),
    "addresses": lambda row: (-(row.used / row.available if row.available else -1.0), row.device_id),
    "age": lambda row: (-row.at, row.device_id),
}


@dataclass(frozen=True, slots=True)
class Shown:
    """A tile of the page: its title, how it is toned when it has devices, and which it has."""

    title: str
    has: Callable[[Row], bool]
    tone: str = ""


SHOWN: Final[Mapping[str, Shown]] = {
    "attention": Shown("Needs attention", lambda row: row.health.attention, "bad"),
    "": Shown("All devices", lambda row: True),
    "ready": Shown("Ready", lambda row: row.state in ("Ready", "Nearly full")),
    "offline": Shown("Offline", lambda row: row.module and not row.online, "off"),
    "full": Shown("90 % full", lambda row: row.available > 0 and row.used >= NEARLY_FULL * row.available, "warn"),
    "open": Shown("Open to everyone", lambda row: row.open > 0, "warn"),
    "none": Shown("Without the module", lambda row: not row.module),
}


@dataclass(frozen=True, slots=True)
class Totals:
    """`devices` is how many each of `SHOWN` has; the rest are sums over all devices."""

    devices: Mapping[str, int]
    counts: Mapping[str, int]
    used: int
    available: int


class Listing:
    """All rows as they were at one moment, with their sums; each order is made when it is first asked for, once."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._rows = tuple(rows)
        self._orders: dict[str, tuple[Row, ...]] = {}
        self.totals = _totals(self._rows)

    def ordered(self, sort: str) -> tuple[Row, ...]:
        """By a column, with a minus the other way round; those that need attention first, where it is none."""
        column, down = sort.removeprefix("-"), sort.startswith("-")
        name = column if column in ORDERS else "attention"
        key = f"{'-' * down}{name}"
        if key not in self._orders:
            self._orders[key] = tuple(sorted(self._rows, key=ORDERS[name], reverse=down))
        return self._orders[key]


def answer(listing: Listing, question: Question) -> Answer:
    """One page of the rows that match."""
    text, tag = question.text.strip().lower(), question.tag.strip()
    shown = SHOWN.get(question.show, SHOWN[""])
    found = [row for row in listing.ordered(question.sort) if shown.has(row) and _tagged(row, tag) and _says(row, text)]
    pages = max(1, -(-len(found) // PER_PAGE))
    page = min(max(1, question.page), pages)
    return Answer(found[(page - 1) * PER_PAGE : page * PER_PAGE], len(found), page, pages)


def _totals(rows: Iterable[Row]) -> Totals:
    devices: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    used = available = 0
    for row in rows:
        devices.update(name for name, shown in SHOWN.items() if shown.has(row))
        counts.update(row.counts)
        used += row.used
        available += row.available
    return Totals(devices, counts, used, available)


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
