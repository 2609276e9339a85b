"""Exposures that share an address by a key, and whose ports change hands: given up, taken, handed over, exchanged.

Each edit deals the ports of one key anew to those of its exposures that are there after it, in one patch. Whatever the
order in which the module and the load balancer act, the key's address stays.
"""

from __future__ import annotations

from typing import Any, Final

from benchmarks.soak.record import Record
from benchmarks.soak.steps import Step, Steps

_MEMBERS: Final = {"web": ("g0", "g1", "g2"), "dns": ("g3", "g4")}
# Few, so that most edits hand some over.
_PORTS: Final = range(80, 86)


class Groups:
    def __init__(self, record: Record, steps: Steps) -> None:
        self.record = record
        self.steps = steps
        self.random = steps.random

    def weighted(self) -> list[Step]:
        return [(self.deal, 20)]

    def deal(self) -> None:
        key = self.random.choice(sorted(_MEMBERS))
        there = [name for name in _MEMBERS[key] if self.random.random() < 0.85]
        exposures: dict[str, Any] = {
            name: None for name in _MEMBERS[key] if name not in there and name in self.record.wishes
        }
        if there:
            exposures.update({name: _wish(key, ports) for name, ports in self._dealt(there).items()})
        self.steps.patch(exposures)
        for name, wish in exposures.items():
            if wish is None:
                self.record.withdraw(name)
            else:
                self.record.wish(name, wish)
        self.record.counts["ports of a shared address dealt anew"] += 1

    def _dealt(self, names: list[str]) -> dict[str, list[str]]:
        """Every exposure has a TCP port; the others, and the same numbers for UDP, go to anybody or nobody."""
        numbers = self.random.sample(_PORTS, k=len(_PORTS))
        dealt = {name: [f"{numbers.pop()}:8080"] for name in names}
        for number in numbers:
            if self.random.random() < 0.4:
                dealt[self.random.choice(names)].append(f"{number}:8080")
        for number in _PORTS:
            if self.random.random() < 0.15:
                dealt[self.random.choice(names)].append(f"{number}:8080/udp")
        return dealt


def _wish(key: str, ports: list[str]) -> dict[str, Any]:
    return {"module": "idle", "ports": ports, "share": key}
