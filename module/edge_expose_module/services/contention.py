"""Repairs that do not last: somebody else writes the same field, so that both would write for ever.

Each Service is repaired at once at first, then after a growing pause; who writes against us is found in managedFields.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from edge_expose_module.cluster.api import FIELD_MANAGER
from edge_expose_module.cluster.service import Key, ObservedService
from edge_expose_module.cluster.state import Observed
from edge_expose_module.services.plan import Change, Plan, Verb, changed_fields

FREE_REPAIRS: Final = 5
FIRST_PAUSE: Final = 0.1
TOLD_AFTER: Final = 10
LONGEST_PAUSE: Final = 10.0
"""After `TOLD_AFTER` repairs; until then the pause doubles."""
# A Service that needed no repair for so long has no second writer any more.
FORGET_SECONDS: Final = 60.0


@dataclass(slots=True)
class _Repairs:
    count: int = 0
    last: float = 0.0
    fields: tuple[str, ...] = ()
    manager: str = ""

    def pause(self) -> float:
        if self.count < FREE_REPAIRS:
            return 0.0
        return LONGEST_PAUSE if self.count >= TOLD_AFTER else FIRST_PAUSE * 2.0 ** (self.count - FREE_REPAIRS)


@dataclass(slots=True)
class Contention:
    """Counts the repairs of each Service and says how long the next one waits."""

    clock: Callable[[], float] = time.monotonic
    _repairs: dict[Key, _Repairs] = field(default_factory=dict)
    _held_until: float | None = None

    def allow(self, plan: Plan, drifted: Collection[Key], observed: Observed) -> Plan:
        """The plan without the repairs that have to wait. `drifted` are Services that are changed although we want of
        them what we wanted before."""
        now = self.clock()
        self._held_until = None
        self._repairs = {key: entry for key, entry in self._repairs.items() if now - entry.last < FORGET_SECONDS}
        allowed: list[Change] = []
        for change in plan.changes:
            key = (change.namespace, change.name)
            if change.kind != "Service" or key not in drifted:
                allowed.append(change)
                continue
            entry = self._repairs.setdefault(key, _Repairs())
            due = entry.last + entry.pause()
            if now < due:
                self._held_until = min(due, self._held_until or due)
                continue
            entry.count += 1
            entry.last = now
            if change.verb is Verb.PATCH:
                entry.fields = changed_fields(change.body or {})
                entry.manager = other_manager(observed.services.get(key), entry.fields)
            allowed.append(change)
        return replace(plan, changes=tuple(allowed))

    def due_in(self) -> float | None:
        """Seconds until a repair that waits may be made; None when none waits."""
        return None if self._held_until is None else max(0.05, self._held_until - self.clock())

    @property
    def warnings(self) -> tuple[str, ...]:
        found = []
        for (namespace, name), entry in sorted(self._repairs.items()):
            if entry.count >= TOLD_AFTER:
                what = ", ".join(entry.fields) or "it"
                who = f"by {entry.manager}" if entry.manager else "by somebody else"
                found.append(
                    f"Service {namespace}/{name}: {what} is changed again and again {who}, and put back at most every "
                    f"{LONGEST_PAUSE:.0f} s; stop that writer, or declare what it wants"
                )
        return tuple(found)


def other_manager(service: ObservedService | None, fields: Collection[str]) -> str:
    """The field manager, other than us, that wrote one of these fields last; empty when the API does not tell."""
    if service is None:
        return ""
    newest, name = "", ""
    for entry in service.body["metadata"].get("managedFields") or ():
        manager, moment = str(entry.get("manager", "")), str(entry.get("time", ""))
        if manager != FIELD_MANAGER and moment >= newest and any(_owns(entry, path) for path in fields):
            newest, name = moment, manager
    return name


def _owns(entry: Mapping[str, Any], path: str) -> bool:
    node: Any = entry.get("fieldsV1") or {}
    section, _, rest = path.partition(".")
    key, _, inner = rest.partition("[")
    for part in (section, key, inner.rstrip("]")):
        if part:
            node = node.get(f"f:{part}") if isinstance(node, Mapping) else None
    return node is not None
