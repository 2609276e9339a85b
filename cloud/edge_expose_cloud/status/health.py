"""The state of a device in one word, and one line that says why: the worst of what its module and the hub say. Pure.

The command line, the fleet page and the device page ask here. The sections are read as they come from the hub: a device
may have written anything, a fleet page has ten thousand of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from edge_expose_cloud.hub.api import Twin
from edge_expose_contract.identity import Code, State
from edge_expose_contract.reason_table import MEANINGS

Kind = Literal["bad", "warn", "off", "good"]

#: a device that is silent for longer needs attention
OFFLINE_AFTER: Final = timedelta(minutes=15)
#: a document that is newer has just been written
BEHIND_AFTER: Final = timedelta(seconds=60)
NEARLY_FULL: Final = 0.9
MOST_ADDRESSES: Final = 2**20
LONGEST: Final = 200
_OFFLINE_TOO: Final = "; offline"
_COUNTED: Final = {str(state): str(state).lower() for state in State}


@dataclass(frozen=True, slots=True)
class Health:
    """`attention`: somebody has to look. `kind` is how bad it is; `why` is "" where the state says it all."""

    state: str
    kind: Kind
    why: str = ""
    attention: bool = False

    def to_json(self) -> dict[str, Any]:
        return {"state": self.state, "attention": self.attention, "why": self.why or None}


#: pool bookkeeping, behind which an app that is dark is never listed
POOL_STATES: Final = ("Pool full", "Pool mismatch", "Pool", "Nearly full")
NO_MODULE: Final = Health("No module", "off")
PREDICTED: Final = Health("Predicted", "off", "edgeAgent makes the Services; nobody reports whether they answer")


def health_of(twin: Twin, now: datetime, offline_after: timedelta = OFFLINE_AFTER) -> Health:
    """The worst there is to say of a device with our module; its own twin is asked, the hub's index may lag behind.

    A device that is offline says so, whatever else is worse.
    """
    offline = _offline(twin, now, offline_after)
    worst = next(_said(twin, now, offline))
    if offline is None or worst.state == offline.state:
        return worst
    return replace(worst, why=f"{_line(worst.why, LONGEST - len(_OFFLINE_TOO))}{_OFFLINE_TOO}".removeprefix("; "))


def is_unreadable(reported: Mapping[str, Any]) -> bool:
    """Whether the module cannot read its cluster: what it says of exposures is what it saw last."""
    return _object(reported.get("cluster")).get("api", "ok") not in ("ok", "")


def _said(twin: Twin, now: datetime, offline: Health | None) -> Iterator[Health]:
    """Everything there is to say, the worst first: an app that is dark stands above pool bookkeeping."""
    reported = twin.reported
    pool, version = _object(reported.get("pool")), reported.get("lastDesiredVersion")
    yield from _refusals(reported)
    if version is None:
        what = "the report of the module cannot be read" if reported else "the module has never reported"
        yield Health("Unreadable report" if reported else "Never reported", "bad", what, True)
    if offline is not None and offline.attention:
        yield offline
    counts = counts_of(reported)
    for state in (State.FAILED, State.BLOCKED):
        if counts[state.lower()]:
            yield Health(str(state), "bad", _exposures(reported, state), True)
    reason = pool.get("reason")
    if reason == "PoolInvalid":
        yield _pool(reason, pool)
    behind = isinstance(version, int) and version < twin.desired_version
    text = f"the module has seen version {version} of {twin.desired_version}"
    late = Health("Behind", "warn", text, behind and _written(twin, now) > BEHIND_AFTER)
    if counts["pending"]:
        if behind and offline is None:
            yield late  # what waits may be what the newer document cures
        yield Health("Pending", "warn", _exposures(reported, State.PENDING), True)
    size, used = pool_of(reported)
    if size and used >= size:
        yield Health("Pool full", "warn", f"all {size} external addresses are used", True)
    if isinstance(reason, str) and reason:
        yield _pool(reason, pool)
    if offline is not None and behind:
        waits = f"{offline.why}; version {twin.desired_version} waits"
        yield Health("Offline", "off", waits, offline.attention)
    if behind:
        yield late
    if offline is not None:
        yield offline
    if size and used >= NEARLY_FULL * size:
        yield Health("Nearly full", "warn", f"{used} of {size} external addresses are used")
    yield Health("Ready", "good")


def _refusals(reported: Mapping[str, Any]) -> Iterator[Health]:
    """What keeps the module from its work. A cluster that cannot be read is no fault of the document."""
    status, pending = _object(reported.get("lastDesiredStatus")), _object(reported.get("pendingRemoval"))
    code, unreadable = status.get("code", 200), is_unreadable(reported)
    if pending:
        count = pending.get("count")
        yield Health("Removal held back", "bad", f"{count} exposures stay until their removal is confirmed", True)
    if code != 200 and not (unreadable and code == Code.FAILED.number):
        what = status.get("description") or "the desired properties were not accepted"
        yield Health("Refused", "bad", _line(f"{what} ({code})"), True)
    if unreadable:
        api = _object(reported.get("cluster"))["api"]
        yield Health("Cluster unreadable", "bad", _line(f"the module cannot access it: {api}"), True)


def counts_of(reported: Mapping[str, Any]) -> Counter[str]:
    """How many exposures are in each state, by its name in lower case. The exposures themselves are counted: a summary
    may say any number, a document holds so many."""
    return Counter(
        word
        for entry in _object(reported.get("exposures")).values()
        if isinstance(entry, Mapping) and (word := _COUNTED.get(str(entry.get("state")))) is not None
    )


def pool_of(reported: Mapping[str, Any]) -> tuple[int, int]:
    """(addresses that may be given out, those that are used); (0, 0) where no pool is known."""
    pool = _object(reported.get("pool"))
    size, reserved, used = (_number(pool.get(key)) for key in ("size", "reserved", "used"))
    available = max(0, size - reserved)
    return available, min(used, available)


def _offline(twin: Twin, now: datetime, after: timedelta) -> Health | None:
    if twin.connection_state == "Connected":
        return None
    since = _moment(twin.last_activity)
    if since is None:
        return Health("Offline", "off", "not connected to the hub", True)
    text = f"not connected to the hub; last seen {since:%Y-%m-%d %H:%M} UTC"
    return Health("Offline", "off", text, now - since > after)


def _written(twin: Twin, now: datetime) -> timedelta:
    """How long ago the document was written; long ago, where the hub does not say."""
    moment = _moment(twin.desired_metadata.get("$lastUpdated"))
    return now - moment if moment is not None else timedelta.max


def _moment(text: Any) -> datetime | None:
    """None for no time, and for year 1: what the hub says of an identity that was never there."""
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return moment if moment.year > 1 else None


def _exposures(reported: Mapping[str, Any], state: State) -> str:
    """`web: the address is in use, and 2 more`."""
    entries = _object(reported.get("exposures"))
    found = sorted(name for name, entry in entries.items() if _object(entry).get("state") == str(state))
    entry = _object(entries.get(found[0]))
    reason = entry.get("message") or MEANINGS.get(str(entry.get("reason")), entry.get("reason"))
    first = f"{found[0]}: {reason}" if reason else found[0]
    return _line(first if len(found) == 1 else f"{first}, and {len(found) - 1} more")


def _pool(reason: str, pool: Mapping[str, Any]) -> Health:
    match reason:
        case "PoolMismatch":
            why = _line(f"the declared range is not the load balancer's pool {pool.get('ranges') or ''}")
            return Health("Pool mismatch", "warn", why, True)
        case "PoolInvalid":
            return Health("Pool rejected", "bad", "the load balancer rejects its configuration", True)
        case _:
            return Health("Pool", "warn", _line(f"{reason}: {pool.get('message') or ''}"), True)


def _line(text: str, longest: int = LONGEST) -> str:
    """One line without control characters, and not a long one."""
    plain = " ".join("".join(char if char.isprintable() else " " for char in text).split()).rstrip(": ")
    return plain if len(plain) <= longest else f"{plain[: longest - 1]}…"


def _number(value: object) -> int:
    return max(0, min(value, MOST_ADDRESSES)) if isinstance(value, int) and not isinstance(value, bool) else 0


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
