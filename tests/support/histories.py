"""Random histories of four exposures that share two addresses by keys, or have one of their own.

With each edit ports are dealt anew, TCP and UDP, and some exposures move, come or go. Meanwhile writes find another
version or get no answer, deleted Services wait for finalizers, and the module is started again. Nobody asks for what
cannot be given: in the end all must be as wished, and no Service may ever have lost its address on the way.

In histories of refused ports somebody out of sight has ports of the shared addresses for some time. Whoever asks for
those loses the address for a moment, and must have it back at the next rest.
"""

from __future__ import annotations

import random
from typing import Any, Final

from edge_expose_module.cluster.api import Conflict, Unavailable
from support.bench import Bench
from support.watched_cluster import Watched

_NAMES: Final = ("e0", "e1", "e2", "e3")
_KEYS: Final = ("k1", "k2", None)
_ADDRESSES: Final = {"k1": "10.0.0.12", "k2": "10.0.0.13"} | {n: f"10.0.0.{14 + i}" for i, n in enumerate(_NAMES)}
_PORTS: Final = tuple((number, protocol) for number in (80, 81, 82, 83) for protocol in ("tcp", "udp"))
_EDITS: Final = 12


class _Unreliable(Watched):
    """Of so many writes, in hundredths, one is not made."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self.trouble = 0
        self._chance = chance

    def _ask(self, name: str) -> None:
        if self._chance.randrange(100) < self.trouble:
            raise self._chance.choice([Unavailable, Conflict])(f"nothing was done about {name}")


class History:
    """`problems` says after `live` who lost an address, and what is not as wished in the end."""

    def __init__(self, seed: int, *, moves: bool = True, refused_ports: bool = False) -> None:
        self._chance = random.Random(seed)
        self._hidden = random.Random(seed + 2) if refused_ports else None
        self._had: set[str] = set()
        """Exposures that had an address at the last rest, and were wished ever since."""
        self._lost: list[str] = []
        self._moves = moves
        self._cluster = _Unreliable(random.Random(seed + 1))
        self._cluster.add_pod("w", {"app": "ws"})
        self._bench = Bench(self._cluster)
        self._keys = {name: self._chance.choice(_KEYS) for name in _NAMES}
        self._wishes: dict[str, Any] = {}

    def live(self) -> None:
        self._edit()
        self._rest()
        for _ in range(_EDITS):
            self._bad_hour()

    @property
    def problems(self) -> list[str]:
        self._cluster.trouble = 0
        self._release()
        self._rest()
        lost = self._cluster.lost if self._hidden is None else self._lost
        if self._hidden is not None:
            self._cluster.metallb.hidden_ports.clear()
            before = dict(self._wishes)
            self._edit()
            # Who is not changed is not asked for again; and many removals at once would be held back.
            while any(self._wishes.get(name) in (None, wish) for name, wish in before.items()):
                self._edit()
            self._rest()
        found = [f"{name} lost its address" for name in lost]
        for name, wish in self._wishes.items():
            state = self._bench.state(name)
            if state != ("Ready", wish["address"], None):
                found.append(f"{name} is {state}, not Ready at {wish['address']}")
        return found

    def _bad_hour(self) -> None:
        chance = self._chance
        if self._moves and chance.random() < 0.3:
            self._keys[chance.choice(_NAMES)] = chance.choice(_KEYS)
        if self._cluster.services and chance.random() < 0.3:
            _, name = chance.choice(sorted(self._cluster.services))
            self._cluster.add_finalizer(name, "example.org/cleanup")
        self._cluster.trouble = chance.choice([0, 0, 20, 50])
        if self._hidden is not None:
            self._hide(self._hidden)
        self._edit()
        self._bench.run(chance.choice([1, 2, 3]))
        if chance.random() < 0.2:
            self._bench.restart()
        self._release()
        if chance.random() < 0.5:
            self._cluster.trouble = 0
            self._rest()

    def _edit(self) -> None:
        free: dict[str, list[tuple[int, str]]] = {}
        self._wishes = {}
        for name in _NAMES:
            place = self._keys[name] or name
            left = free.setdefault(place, self._chance.sample(_PORTS, k=len(_PORTS)))
            dealt = [left.pop() for _ in range(min(len(left), self._chance.choice([1, 1, 2, 2, 3])))]
            if dealt and self._chance.random() < 0.9:
                ports = [f"{number}/{protocol}" for number, protocol in dealt]
                wish = {"selector": ["app=ws"], "ports": ports, "address": _ADDRESSES[place]}
                self._wishes[name] = wish if place == name else {**wish, "share": place}
        self._bench.desire(self._wishes)
        self._had &= self._wishes.keys()

    def _rest(self) -> None:
        for _ in range(12):
            self._bench.run(1)
            self._bench.later(seconds=5)
        has = {name for name in self._wishes if self._bench.exposure(name).get("address")}
        self._lost.extend(f"{name}: {self._bench.exposure(name)}:" for name in sorted(self._had - has))
        self._had = has

    def _hide(self, chance: random.Random) -> None:
        """Ports that no Service in sight has are taken at a shared address, or those there are given up."""
        address = _ADDRESSES[chance.choice(["k1", "k2"])]
        published = {
            (port["protocol"].lower(), port["port"])
            for (_, name), service in self._cluster.services.items()
            if self._cluster.address_of(name) == address
            for port in service["spec"]["ports"]
        }
        free = [(protocol.upper(), number) for number, protocol in _PORTS if (protocol, number) not in published]
        hidden = set(chance.sample(free, k=min(len(free), chance.choice([0, 0, 1, 2]))))
        self._cluster.metallb.hidden_ports[address] = hidden

    def _release(self) -> None:
        for (_, name), service in list(self._cluster.services.items()):
            if service["metadata"].get("finalizers"):
                self._cluster.release(name)
