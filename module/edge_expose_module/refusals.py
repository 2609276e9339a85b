"""Addresses the load balancer would not give because somebody we cannot see holds them; forgotten after ten minutes."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Final

from edge_expose_contract.addressing import Address
from edge_expose_module.observing import Key, Observed, ServiceEvent

KEEP_SECONDS: Final = 600.0
# What somebody wrote into a Service of ours may have made the load balancer refuse; it may say so a moment later.
DRIFT_SECONDS: Final = 2.0


class Refusals:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[tuple[str, Address], float] = {}
        self._drifted: dict[Key, float] = {}
        self._spoiled: dict[Key, ServiceEvent] = {}

    def learn(self, observed: Observed, owner: str, drifted: Collection[Key]) -> bool:
        """Takes in what the newest events say of our waiting Services; True when that is news.

        An event counts when it names the address asked for. `drifted` are Services that somebody else changed: what is
        said of those was not said of our request.
        """
        now = self._clock()
        self._drifted.update(dict.fromkeys(drifted, now))
        before = self.current()
        for service in observed.owned(owner):
            event = observed.events.get(service.key)
            for address in service.assigned:
                self._until.pop((service.exposure or "", address), None)
            if service.assigned or event is None or event.type != "Warning" or service.exposure is None:
                continue
            if "not allowed in config" in event.message:
                continue  # that is the pool, which we read ourselves
            if now - self._drifted.get(service.key, -DRIFT_SECONDS) < DRIFT_SECONDS:
                self._spoiled[service.key] = event
            if event == self._spoiled.get(service.key):
                continue
            for address in service.requested:
                if f'"{address}"' in event.message:
                    self._until[(service.exposure, address)] = now + KEEP_SECONDS
        return self.current() != before

    def current(self) -> Mapping[str, frozenset[Address]]:
        """What is refused now, by exposure."""
        now = self._clock()
        self._until = {key: until for key, until in self._until.items() if until > now}
        found: dict[str, set[Address]] = {}
        for name, address in self._until:
            found.setdefault(name, set()).add(address)
        return {name: frozenset(addresses) for name, addresses in found.items()}
