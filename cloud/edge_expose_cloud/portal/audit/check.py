"""Whether an audit log is whole: each line holds the hash of the one before it. Reads only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_expose_cloud.portal.audit.log import NOTHING_BEFORE, line_hash, older_of


@dataclass(frozen=True, slots=True)
class AuditCheck:
    """`problem` is "" for a whole log; `last` is the hash of its last line, worth noting somewhere else.

    `unchained` lines are of a version that made no chain, `cut` ones were not written to their end. `begins` tells
    whether the first entry of all is there; older ones are given up when the log is full.
    """

    entries: int
    last: str
    problem: str
    unchained: int = 0
    cut: int = 0
    begins: bool = True


def check_audit(path: Path, expected: str = "") -> AuditCheck:
    """Walks the log set aside and the log. `expected` is the hash of a line that must be there."""
    entries = unchained = cut = 0
    previous, begins, chained, met = NOTHING_BEFORE, True, False, expected == ""

    def answer(problem: str = "") -> AuditCheck:
        return AuditCheck(entries, previous, problem, unchained, cut, begins)

    try:
        for where, line in _lines(path):
            told = _previous(line)
            if told is None:
                cut += 1
            elif told == "" and chained:
                return answer(f"{where} holds no hash of the line before")
            elif told == "":
                unchained += 1
            elif told != previous and (chained or unchained or cut):
                return answer(f"{where} does not follow the line before: one was changed, added or taken out")
            else:
                begins = begins and (chained or told == previous)
                chained = True
            entries += 1
            previous = line_hash(line)
            met = met or previous == expected
    except OSError as error:
        return answer(f"{error.filename or path} cannot be read: {error.strerror or error}")
    return answer() if met else answer(f"no line has the hash {expected}: it was taken out, or given up as too old")


def _lines(path: Path) -> Iterator[tuple[str, bytes]]:
    """Each with `FILE line N`, the oldest first."""
    files = [file for file in (older_of(path), path) if file.exists()]
    if not files:
        raise FileNotFoundError(2, "there is no such file", str(path))
    for file in files:
        with file.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                if text := line.rstrip(b"\n"):
                    yield f"{file} line {number}", text


def _previous(line: bytes) -> str | None:
    """The hash that a line holds, "" for none; None when the line is no entry."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return str(entry.get("previous", "")) if isinstance(entry, dict) else None
