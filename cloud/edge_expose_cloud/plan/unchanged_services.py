"""What a plan says of exposures that change while no Service does, such as one that is disabled. Pure.

Without a sentence such a plan would show a written twin and leave open what comes of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from edge_expose_cloud.hub.api import Json
from edge_expose_contract.identity import LABEL_EXPOSURE
from edge_expose_contract.models import Exposure

Services = Mapping[tuple[str, str], Json]
Exposures = Mapping[str, Exposure]


def unchanged_service_notes(
    exposures: tuple[Exposures, Exposures], services: tuple[Services, Services], now: datetime | None
) -> Iterator[str]:
    """A sentence for each exposure that changes without its Services; both pairs are (before, after)."""
    before, after = exposures
    touched = {
        _exposure_of(key, service)
        for one, other in (services, services[::-1])
        for key, service in one.items()
        if other.get(key) != service
    }
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old != new and name not in touched:
            yield _note(name, old, new, now)


def _exposure_of(key: tuple[str, str], service: Json) -> str:
    labels = service["metadata"].get("labels") or {}
    return str(labels.get(LABEL_EXPOSURE) or key[1])


def _note(name: str, old: Exposure | None, new: Exposure | None, now: datetime | None) -> str:
    was_off = _off(old, now) if old is not None else ""
    if new is None:
        return f"{name} {was_off or 'has no Service'}: only its declaration is removed, and no client is affected"
    off = _off(new, now)
    if not off:
        return f"the Service of {name} stays as it is: only settings that the module itself uses change"
    until = "its closing time is changed" if new.enabled else "it is enabled"
    if old is None:
        return f"{name} {off}: it gets neither a Service nor an address until {until}"
    if was_off:
        return f"{name} {off} and has no Service: the change takes effect when {until}"
    return f"{name} has no Service on the device, so nothing stops answering"


def _off(exposure: Exposure, now: datetime | None) -> str:
    """Why the exposure is to have no Service, as a verb phrase; "" when it is to have one."""
    if not exposure.enabled:
        return "is disabled"
    expired = now is not None and exposure.expiry is not None and exposure.expiry <= now
    return f"expired at {exposure.expires}" if expired else ""
