"""The last changes of all exposures, each with whose change of the document caused it. Values and JSON; pure.

A change of the declaration that leaves state and address as they are is one too: it is what somebody looks for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

MOST_CHANGES: Final = 200


@dataclass(frozen=True, slots=True)
class Since:
    """When an exposure took its present state."""

    state: str
    address: str
    reason: str
    time: str


@dataclass(frozen=True, slots=True)
class Author:
    """Whose change of the document it was: `change` of the desired properties. `at` is when it was written."""

    by: str
    at: str = ""
    note: str = ""

    def to_json(self) -> dict[str, str]:
        return {key: text for key, text in (("by", self.by), ("at", self.at), ("note", self.note)) if text}


UNKNOWN: Final = Author("unknown")
"""Of a document that does not say: somebody wrote it by hand."""


@dataclass(frozen=True, slots=True)
class StateChange:
    """What an exposure became. `number` counts on for ever; no `state` means that the exposure is gone; no `author`
    that no document caused it: a pod, a pool, the clock or the cluster did."""

    number: int
    time: str
    exposure: str
    state: str
    address: str = ""
    reason: str = ""
    author: Author | None = None

    def to_json(self) -> dict[str, Any]:
        """As the method `history` answers it."""
        found: dict[str, Any] = {
            "number": self.number,
            "time": self.time,
            "exposure": self.exposure,
            "state": self.state or None,
        }
        found |= {key: text for key, text in (("address", self.address), ("reason", self.reason)) if text}
        return found | ({"change": self.author.to_json()} if self.author is not None else {})


History = tuple[StateChange, ...]
"""Oldest first, at most `MOST_CHANGES`."""


def recorded(
    history: History,
    before: Mapping[str, Since],
    after: Mapping[str, Since],
    causes: Mapping[str, Author],
    now: str,
    redeclared: Collection[str] = (),
) -> History:
    """The history with what differs between two looks. `causes` are the authors of exposures that a document changed,
    `redeclared` those that it describes in another way; `now` is the time of these, and of those that are gone."""
    number = history[-1].number if history else 0
    found: list[StateChange] = []
    for name in sorted({*before, *after}):
        new = after.get(name) or Since("", "", "", now)
        if before.get(name) != new or name in redeclared:
            number += 1
            time = new.time if before.get(name) != new else now
            found.append(StateChange(number, time, name, new.state, new.address, new.reason, causes.get(name)))
    return (*history, *found)[-MOST_CHANGES:]


def newest_first(history: History, exposure: str | None = None, before: int | None = None) -> list[StateChange]:
    """Those of one exposure, or of all, with a smaller number than `before`."""
    return [
        change
        for change in reversed(history)
        if (exposure is None or change.exposure == exposure) and (before is None or change.number < before)
    ]


def history_json(history: History) -> dict[str, Any]:
    """As it stands in the state file, each author once."""
    authors: dict[Author, int] = {}
    changes = []
    for change in history:
        place = -1 if change.author is None else authors.setdefault(change.author, len(authors))
        changes.append(
            [change.number, change.time, change.exposure, change.state, change.address, change.reason, place]
        )
    return {"authors": [[author.by, author.at, author.note] for author in authors], "changes": changes}


def history_from(content: object) -> History:
    """Reads what `history_json` wrote; what is not as expected is left out."""
    if not isinstance(content, Mapping):
        return ()
    authors = [_author(item) for item in _items(content.get("authors"))]
    changes = [change for item in _items(content.get("changes")) if (change := _change(item, authors)) is not None]
    return tuple(sorted(changes, key=lambda change: change.number))[-MOST_CHANGES:]


def _items(content: object) -> Iterable[object]:
    return content if isinstance(content, list) else ()


def _author(item: object) -> Author:
    match item:
        case [str(by), str(at), str(note)] if by:
            return Author(by, at, note)
        case _:
            return UNKNOWN


def _change(item: object, authors: list[Author]) -> StateChange | None:
    match item:
        case [int(number), str(time), str(exposure), str(state), str(address), str(reason), int(place)]:
            author = authors[place] if 0 <= place < len(authors) else None
            return StateChange(number, time, exposure, state, address, reason, author)
        case _:
            return None
