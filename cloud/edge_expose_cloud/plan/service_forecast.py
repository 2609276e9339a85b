"""The Services our module will make of exposures, as far as the cloud can know them. Pure.

Namespace and address are None where only the device knows: the module's own namespace, an address not yet chosen. What
is made of the owner (a label, and the sharing key of a split exposure) is left out: the owner is made of the hub's name
as the device sees it, which a gateway or a tunnel may change. MetalLB's annotations are shown with the prefix that all
its versions know; the module writes the newer one where it is served.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from edge_expose_contract.addressing import Address
from edge_expose_contract.hostnames import plain, without_their_hostname
from edge_expose_contract.models import Exposure, parse_addresses
from edge_expose_contract.services import ServiceShape, service_body, service_shapes, sharing_key
from edge_expose_contract.violations import RuleError

Json = dict[str, Any]

_PREFIX: Final = "metallb.universe.tf"
_ADDRESSES: Final = f"{_PREFIX}/loadBalancerIPs"
SHARE_ANNOTATION: Final = f"{_PREFIX}/allow-shared-ip"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known of the device: default namespace ("" if unknown), the addresses held, by exposure, whether its load
    balancer takes two addresses, and the time there (None: nothing is taken for expired)."""

    namespace: str = ""
    held: Mapping[str, str] | None = None
    takes_two: bool = True
    now: datetime | None = None


def predicted_services(exposures: Mapping[str, Exposure], around: Surroundings) -> dict[tuple[str, str], Json]:
    """(namespace, name) -> Service object, for every exposure that is enabled and not expired."""
    live = {name: exposure for name, exposure in sorted(exposures.items()) if _is_live(exposure, around.now)}
    # Who shares with a pinned one has its address.
    pins = {exposure.share: exposure.addresses for exposure in live.values() if exposure.share and exposure.addresses}
    found: dict[tuple[str, str], Json] = {}
    wanted = {name: exposure.hostname for name, exposure in live.items() if exposure.hostname is not None}
    carried = {(name, hostname) for name, hostname in wanted.items() if name in (around.held or {})}
    losers = without_their_hostname(wanted, carried)
    for name, exposure in live.items():
        addresses = (
            exposure.addresses or _held(around, name) or _of_family(pins.get(exposure.share or "", ()), exposure)
        )
        for shape in service_shapes(name, exposure, around.namespace):
            found[shape.namespace, shape.name] = _service(
                plain(exposure) if name in losers else exposure, shape, addresses, around
            )
    return found


def _is_live(exposure: Exposure, now: datetime | None) -> bool:
    return exposure.enabled and (now is None or exposure.expiry is None or exposure.expiry > now)


def _of_family(addresses: tuple[Address, ...], exposure: Exposure) -> tuple[Address, ...]:
    """The addresses, where they are just those families that the exposure needs."""
    fits = exposure.is_external and tuple(address.version for address in addresses) == exposure.versions
    return addresses if fits else ()


def _service(exposure: Exposure, shape: ServiceShape, addresses: tuple[Address, ...], around: Surroundings) -> Json:
    body = service_body(shape, exposure, "")
    spec = {key: value for key, value in body.spec.items() if value is not None}
    annotations = dict(body.annotations)
    if exposure.is_external:
        annotations |= _request(exposure, shape)
        if len(addresses) == 2 and around.takes_two:
            annotations[_ADDRESSES] = ",".join(str(address) for address in addresses)
        else:
            spec["loadBalancerIP"] = str(addresses[0]) if addresses else None
    metadata: Json = {"name": shape.name, "namespace": shape.namespace or None, "labels": body.labels}
    if annotations:
        metadata["annotations"] = annotations
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def _request(exposure: Exposure, shape: ServiceShape) -> dict[str, str]:
    found = {
        "allow-shared-ip": sharing_key(shape.exposure, exposure, "", shape.namespace),
        "address-pool": exposure.pool,
    }
    return {f"{_PREFIX}/{key}": value for key, value in found.items() if value is not None}


def addresses_asked(service: Json) -> str:
    """The addresses that a predicted Service asks for, "" when the load balancer chooses."""
    notes = service["metadata"].get("annotations") or {}
    return str(notes.get(_ADDRESSES) or service["spec"].get("loadBalancerIP") or "")


def _held(around: Surroundings, name: str) -> tuple[Address, ...]:
    text = (around.held or {}).get(name)
    try:
        return parse_addresses(text) if text else ()
    except RuleError:
        return ()  # reported by a module of another kind than we know
