"""The guard rails in force, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edge_expose_contract.addressing import Address, AddressRange, AddressSet

ENVIRONMENT = "environment"

Patterns = tuple[str, ...]
"""Keys or host names; `*` at an end stands for anything."""


@dataclass(frozen=True, slots=True)
class Networks:
    """What endpoints may not lie in by default: ranges with a name for each. `unknown` are networks nobody told us."""

    ranges: tuple[tuple[AddressRange, str], ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Guards:
    """None allows everything; ports are (first, last) numbers.

    `endpoints`, `annotations`, `labels` and `hostnames` hold a list for each place that said something: all must allow.
    What is refused by default (`adopt`, some endpoints and annotations) is allowed only where every such place says so.
    """

    namespaces: frozenset[str] | None = None
    ports: tuple[tuple[int, int], ...] | None = None
    addresses: AddressSet | None = None
    sources: tuple[AddressRange, ...] | None = None
    adopt: bool | None = None
    take_over: frozenset[str] | None = None
    """Owner ids whose Services this module may make its own: those it had as another device or at another hub."""
    endpoints: tuple[tuple[AddressRange, ...], ...] | None = None
    annotations: tuple[Patterns, ...] | None = None
    labels: tuple[Patterns, ...] | None = None
    hostnames: tuple[Patterns, ...] | None = None
    classes: frozenset[str] | None = None
    max_exposures: int | None = None
    max_removal_percent: int = 50
    said: Mapping[str, str] = field(default_factory=dict)
    """Where each field was said, for messages."""
    networks: Networks = Networks()
    unknown: str = ""
    """Why nobody knows what the owner allows; then nothing new is made."""

    def where(self, field_name: str) -> str:
        """` (set in ...)`, to stand behind a rule."""
        place = self.said.get(field_name)
        return f" (set by its owner in the {place})" if place else ""


def host(address: Address) -> AddressRange:
    """The range that holds one address."""
    return AddressRange(address, address)
