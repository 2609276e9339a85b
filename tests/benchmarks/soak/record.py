"""What a soak has wished and seen so far, and which moves of an address have a cause."""

from __future__ import annotations

import collections
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from edge_expose_contract.addressing import AddressSet, parse_address

Service = dict[str, Any]


class Record:
    """`held` is where each exposure was at the last pause; `pins` what was wished for it since, where it may be too."""

    def __init__(self) -> None:
        self.wishes: dict[str, dict[str, Any]] = {}
        self.held: dict[str, str] = {}
        self.pins: dict[str, set[str]] = {}
        self.foreign: dict[str, dict[str, Any]] = {}
        """Services of others in the module's namespace, with their `spec`."""
        self.hidden: dict[str, str] = {}
        """Services where the module may not look, with the address each holds."""
        self.given_away: set[str] = set()
        """Addresses that Services of others got since the last pause."""
        self.unheld: set[str] = set()
        """Exposures whose Service was deleted by hand since the last pause: for a moment nobody held their address."""
        self.kept_ports: set[tuple[str, str, str]] = set()
        """Exposures that were refused a port which nobody has, with the address and the port."""
        self.counts: collections.Counter[str] = collections.Counter()
        self.moved_with_cause = 0
        self.violations: list[str] = []
        """What a step itself saw that must not be."""
        self.history: list[str] = []

    def note(self, text: str) -> None:
        self.history.append(f"{datetime.now(UTC).isoformat(timespec='milliseconds')} {text}")

    def wish(self, name: str, wish: dict[str, Any]) -> None:
        if wish.get("type") != self.wishes.get(name, {}).get("type"):
            self.forget(name)
        if name in self.unheld and wish.get("address") not in (None, self.held.get(name)):
            # It was wished elsewhere while nobody held its place: anybody may have that now, and it cannot go back.
            self.forget(name)
        if "address" in wish:
            self.pins.setdefault(name, set()).add(wish["address"])
        self.wishes[name] = wish

    def withdraw(self, name: str) -> None:
        del self.wishes[name]
        self.forget(name)

    def forget(self, name: str) -> None:
        """What this exposure holds may change: it was wished, or nothing can prevent it."""
        self.held.pop(name, None)
        self.pins.pop(name, None)

    def forget_outside(self, legal: AddressSet, before: AddressSet, *, only: Collection[str] | None = None) -> None:
        """A range that leaves an address out moves it; of all exposures, or of these only. `before` is what was legal
        until now: an exposure may have gone to its pin since the last pause, and loses that then, not what it had."""
        for name, address in list(self.held.items()):
            places = [address, *(pin for pin in self.pins.get(name, ()) if parse_address(pin) in before)]
            if any(parse_address(place) not in legal for place in places) and (only is None or name in only):
                self.forget(name)
                self.moved_with_cause += 1

    def may_be_at(self, name: str, address: str) -> bool:
        before = self.held.get(name)
        return before is None or address == before or address in self.pins.get(name, ())

    def seen_at(self, name: str, address: str) -> None:
        """A pin that is refused now may be granted later."""
        self.held[name] = address
        self.pins[name] = {pin for pin in [self.wishes[name].get("address")] if pin}
