"""Exposures that change places, again and again: rings of pins, pairs of Services among them, and one that steps aside.

A ring passes through a moment in which one address is free and one exposure has none; it must never stay so.
"""

from __future__ import annotations

import random
from typing import Any

from benchmarks.soak.record import Record
from benchmarks.soak.steps import Step, Steps
from benchmarks.soak.world import World

_NAMES = [f"s{number}" for number in range(6)]


class Swaps:
    def __init__(self, world: World, record: Record, steps: Steps) -> None:
        self.world = world
        self.record = record
        self.steps = steps
        self.random: random.Random = steps.random
        self._at: dict[str, str] = {}

    def weighted(self) -> list[Step]:
        return [(self.swap, 1)]

    def swap(self) -> None:
        """The first time they are put in a row; then some of them change places in one edit."""
        if not self._at:
            self._put({name: self.world.local.address(20 + n) for n, name in enumerate(_NAMES)})
            return
        ring = self.random.sample(_NAMES, k=self.random.randrange(2, 5))
        places = [self._at[name] for name in ring]
        if self.random.random() < 0.3:
            places.append(self.world.local.address(self.random.randrange(30, 36)))  # the last one steps aside
            self.record.counts["chains to a free address"] += 1
        else:
            places.append(places[0])
            self.record.counts["rings"] += 1
        self._put(dict(zip(ring, places[1:], strict=True)))

    def _put(self, places: dict[str, str]) -> None:
        exposures: dict[str, Any] = {}
        for name, address in places.items():
            ports = ["80:8080", "53:8080/udp"] if name in _NAMES[4:] else ["80:8080"]
            exposures[name] = {"module": "idle", "ports": ports, "address": address}
            self.record.wish(name, exposures[name])
        self._at.update(places)
        self.steps.patch(exposures)
