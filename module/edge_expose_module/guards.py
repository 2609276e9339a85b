"""Guard rails set on the device by environment: what no twin may ask for, whoever wrote it."""

from __future__ import annotations

from dataclasses import dataclass

from edge_expose_contract.addressing import AddressRange, AddressSet
from edge_expose_contract.models import Exposure
from edge_expose_contract.reasons import Reason


@dataclass(frozen=True, slots=True)
class Guards:
    """None allows everything; ports are (first, last) numbers."""

    namespaces: frozenset[str] | None = None
    ports: tuple[tuple[int, int], ...] | None = None
    addresses: AddressSet | None = None
    sources: tuple[AddressRange, ...] | None = None
    max_exposures: int | None = None
    max_removal_percent: int = 50


@dataclass(frozen=True, slots=True)
class Refused:
    reason: Reason
    message: str


def refuse(guards: Guards, exposure: Exposure, namespace: str, count: int) -> Refused | None:
    """Why the device's owner does not allow this exposure; `count` is its place among those granted."""
    if guards.namespaces is not None and namespace not in guards.namespaces:
        allowed = ", ".join(sorted(guards.namespaces))
        return Refused("NamespaceNotAllowed", f"namespace {namespace} is not among those this device allows: {allowed}")
    if guards.ports is not None:
        for span in exposure.spans:
            outside = _first_outside(span.first, span.last, guards.ports)
            if outside is not None:
                allowed = ", ".join(f"{first}-{last}" for first, last in guards.ports)
                return Refused("PortNotAllowed", f"port {outside} is not among those this device allows: {allowed}")
    if guards.addresses is not None:
        for address in exposure.addresses:
            if address not in guards.addresses:
                return Refused(
                    "AddressNotAllowed", f"address {address} is not among those this device allows: {guards.addresses}"
                )
    if guards.sources is not None and exposure.is_external:
        if not exposure.sources:
            return Refused(
                "SourceNotAllowed", "this device wants allowFrom on every exposure: " + _texts(guards.sources)
            )
        for source in exposure.sources:
            if not any(source.first in allowed and source.last in allowed for allowed in guards.sources):
                return Refused(
                    "SourceNotAllowed",
                    f"allowFrom {source} reaches beyond what this device allows: {_texts(guards.sources)}",
                )
    if guards.max_exposures is not None and count > guards.max_exposures:
        return Refused("TooManyExposures", f"this device allows {guards.max_exposures} exposures; remove another first")
    return None


def _texts(ranges: tuple[AddressRange, ...]) -> str:
    return ", ".join(str(part) for part in ranges)


def _first_outside(first: int, last: int, allowed: tuple[tuple[int, int], ...]) -> int | None:
    """The first port of the span that no allowed range holds."""
    for low, high in sorted(allowed):
        if low <= first <= high:
            first = high + 1
    return first if first <= last else None
