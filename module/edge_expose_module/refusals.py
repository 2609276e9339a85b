"""Addresses the load balancer would not give because somebody we cannot see holds them; forgotten after ten minutes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

from edge_expose_contract.addressing import Address
from edge_expose_module.observing import Observed

KEEP_SECONDS: Final = 600.0


class Refusals:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[tuple[str, Address], float] = {}

    def learn(self, observed: Observed, owner: str) -> Mapping[str, frozenset[Address]]:
        """Takes in what the newest events say of our waiting Services: an event counts when it names the address asked
        for. Returns what is refused now, by exposure."""
        now = self._clock()
        for service in observed.owned(owner):
            event = observed.events.get(service.key)
            if service.assigned or event is None or event.type != "Warning" or service.exposure is None:
                continue
            for address in service.requested:
                if f'"{address}"' in event.message:
                    self._until[(service.exposure, address)] = now + KEEP_SECONDS
        self._until = {key: until for key, until in self._until.items() if until > now}
        found: dict[str, set[Address]] = {}
        for name, address in self._until:
            found.setdefault(name, set()).add(address)
        return {name: frozenset(addresses) for name, addresses in found.items()}
