"""What the module answers to the method `topology`: read carefully, since a device said it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from edge_expose_contract.addressing import Address, parse_address
from edge_expose_contract.violations import RuleError

MOST: Final = 300
LONGEST: Final = 256


@dataclass(frozen=True, slots=True)
class Place:
    """One Service: its addresses inside the cluster, outside, and those of its pods."""

    service: str
    ours: bool
    exposure: str
    inside: tuple[str, ...]
    outside: tuple[str, ...]
    pods: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Topology:
    """`known` is False when the device was not asked or did not answer."""

    known: bool = False
    places: tuple[Place, ...] = ()
    by_exposure: dict[str, Place] = field(default_factory=dict)

    def foreign(self) -> dict[Address, str]:
        """External addresses held by Services that are not ours, with the Service's name."""
        found: dict[Address, str] = {}
        for place in self.places:
            for text in () if place.ours else place.outside:
                try:
                    found[parse_address(text)] = place.service
                except RuleError:
                    continue
        return found

    def foreign_services(self) -> frozenset[str]:
        """`namespace/name` of the Services that are not ours."""
        return frozenset(place.service for place in self.places if not place.ours)


def topology_of(answer: Any) -> Topology:
    """Whatever makes no sense is left out."""
    services = answer.get("services") if isinstance(answer, dict) else None
    if not isinstance(services, list):
        return Topology()
    places = tuple(_places(services[:MOST]))
    return Topology(
        True, places, {place.exposure: place for place in reversed(places) if place.ours and place.exposure}
    )


def _places(services: list[Any]) -> Iterator[Place]:
    for item in services:
        if isinstance(item, dict):
            yield Place(
                service=_text(item.get("service")),
                ours=item.get("ours") is True,
                exposure=_text(item.get("exposure")),
                inside=_texts(item.get("clusterIPs")),
                outside=_texts(item.get("external")),
                pods=_texts(item.get("pods")),
            )


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(text for item in value[:16] if (text := _text(item))) if isinstance(value, list) else ()


def _text(value: Any) -> str:
    return value[:LONGEST] if isinstance(value, str) else ""
