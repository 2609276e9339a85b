"""What became of exposures and addresses, by the module's own account: read carefully, a device said it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

MOST: Final = 500
LONGEST: Final = 300


@dataclass(frozen=True, slots=True)
class Moment:
    """An exposure became `state`, "" for gone. `by` is whose change of the document caused it, "" where none did."""

    time: str
    exposure: str
    state: str
    address: str
    reason: str
    by: str
    note: str


@dataclass(frozen=True, slots=True)
class Tenure:
    """An exposure had an address from `since` until `until`, "" for still now."""

    address: str
    exposure: str
    since: str
    until: str


def timeline(answer: Any) -> list[Moment]:
    """The newest first; whatever makes no sense is left out."""
    changes = answer.get("changes") if isinstance(answer, Mapping) else None
    return list(_moments(changes[:MOST])) if isinstance(changes, list) else []


def _moments(changes: Iterable[Any]) -> Iterator[Moment]:
    for item in changes:
        if not isinstance(item, Mapping) or not isinstance(item.get("exposure"), str):
            continue
        change = item.get("change")
        author = change if isinstance(change, Mapping) else {}
        yield Moment(
            time=_text(item.get("time")),
            exposure=_text(item["exposure"]),
            state=_text(item.get("state")),
            address=_text(item.get("address")),
            reason=_text(item.get("reason")),
            by=_text(author.get("by")),
            note=_text(author.get("note")),
        )


def tenures(moments: Iterable[Moment]) -> list[Tenure]:
    """Who had which address when, the newest first; as far back as the history goes."""
    found: list[Tenure] = []
    now: dict[str, Tenure] = {}
    for moment in reversed(list(moments)):
        current = now.get(moment.exposure)
        if current is not None and current.address != moment.address:
            found.append(Tenure(current.address, current.exposure, current.since, moment.time))
            del now[moment.exposure]
        if moment.address and moment.exposure not in now:
            now[moment.exposure] = Tenure(moment.address, moment.exposure, moment.time, "")
    found += now.values()
    return sorted(found, key=lambda item: item.since, reverse=True)


def _text(value: Any) -> str:
    return value[:LONGEST] if isinstance(value, str) else ""
