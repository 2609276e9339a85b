"""Two processes with one identity: the one that started later writes, the other one only reads.

Every write of a Service carries the stamp of the process that made it and the version of its document; no stamp causes
a write. A stamp that appears while we run is a second process. What follows a newer document is never undone.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import MAXYEAR, UTC, datetime, timedelta
from typing import Final

from edge_expose_module.cluster.foreign_text import number
from edge_expose_module.cluster.service import ObservedService
from edge_expose_module.services.plan import Change, Plan, Verb

ANNOTATION: Final = "edge-expose.io/written-by"
_FORMAT: Final = "%Y-%m-%dT%H:%M:%S.%fZ"
_KEPT: Final = 16


class Instance:
    """This process. `lives` are the stamps of its earlier lives, from the state file, newest last.

    `services` below are those with our labels in the namespaces that this module works in: labels and stamps can be
    copied, and what stands elsewhere was written by no process of ours.
    """

    def __init__(self, started: datetime, lives: Collection[str] = ()) -> None:
        self._started = started
        self._before = tuple(lives)
        self._seen: frozenset[tuple[str, int]] | None = None
        self._fresh: frozenset[tuple[str, int]] = frozenset()
        self.stamp = ""
        """Start of this process; empty before the cluster was seen for the first time."""
        self.rival = ""
        """Start of a later process of the same identity; empty while none was seen."""

    @property
    def lives(self) -> tuple[str, ...]:
        return (*self._before, self.stamp)[-_KEPT:] if self.stamp else self._before

    def look(self, services: Collection[ObservedService]) -> None:
        """Takes in the stamps on our Services. A clock that went back does not make us the elder: our start is later
        than every stamp that was there before us."""
        found = {stamp for service in services if (stamp := stamp_of(service))[0]}
        if self._seen is None:
            self._seen = frozenset(found)
            before = (parsed for start, _ in found if (parsed := _parse(start)) is not None)
            self.stamp = max([self._started, *(moment + _TICK for moment in before)]).strftime(_FORMAT)
        self._fresh = frozenset(stamp for stamp in found - self._seen if stamp[0] not in self.lives)
        self.rival = max(self.rival, *(start for start, _ in self._fresh if start > self.stamp), "")

    def why_read_only(self, services: Collection[ObservedService], version: int, *, from_disk: bool) -> str:
        """Why nothing may be written now; empty when all may. `version` is that of the document in force, and
        `from_disk` means that the twin was not read since the start."""
        if self.rival:
            return (
                f"another process of this module, started {self.rival}, writes its Services; this one, started "
                f"{self.stamp}, only reads: stop one of them, then start this one again"
            )
        # Once the twin was read, what was written before our start says nothing: a new identity counts from 1 again.
        compared = {stamp_of(service) for service in services} if from_disk else self._fresh
        newest = max((number for start, number in compared if start not in self.lives), default=0)
        if newest > version:
            return (
                f"another process of this module wrote Services for document version {newest}, and this one knows "
                f"version {version}: nothing is written until the hub tells it the newer one"
            )
        return ""

    def stamped(self, plan: Plan, version: int) -> Plan:
        """The plan with our stamp on every Service that is written anyway."""
        note = f"{self.stamp} {version}"
        return replace(plan, changes=tuple(_stamped(change, note) for change in plan.changes))


_TICK: Final = timedelta(microseconds=1)


def stamp_of(service: ObservedService) -> tuple[str, int]:
    """Start of the process that wrote a Service last, and the version of its document; ("", 0) when nobody says."""
    start, _, version = service.annotations.get(ANNOTATION, "").partition(" ")
    return (start, number(version) or 0) if _parse(start) is not None else ("", 0)


def _parse(text: str) -> datetime | None:
    try:
        moment = datetime.strptime(text, _FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return None
    # What is no text of ours is no stamp of ours; and of the end of time there is none that is later.
    return moment if moment.year < MAXYEAR and moment.strftime(_FORMAT) == text else None


def _stamped(change: Change, note: str) -> Change:
    if change.kind != "Service" or change.verb is Verb.DELETE or change.body is None:
        return change
    metadata = change.body.get("metadata") or {}
    annotations = {**(metadata.get("annotations") or {}), ANNOTATION: note}
    return replace(change, body={**change.body, "metadata": {**metadata, "annotations": annotations}})
