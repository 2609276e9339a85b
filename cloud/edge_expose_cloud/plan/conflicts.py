"""What stands in the way of an exposure on a device: who holds its address or its name, and that it has expired. Pure.

A spec cannot know these; the map of addresses does, and the form must not accept what the map shows as taken.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime

from edge_expose_cloud.findings.finding import Finding, finding
from edge_expose_contract.addressing import Address
from edge_expose_contract.models import Exposure
from edge_expose_contract.reported import Reported
from edge_expose_contract.services import service_shapes
from edge_expose_contract.violations import shown

SOMEBODY = "somebody else"


def foreign_addresses(
    exposures: Mapping[str, Exposure],
    held: Mapping[str, tuple[Address, ...]],
    report: Reported,
    named: Mapping[Address, str],
) -> dict[Address, str]:
    """Addresses of Services that are not ours, with their names where the module was asked for them (`named`)."""
    ours = {address for addresses in held.values() for address in addresses}
    blocked = {
        address: SOMEBODY
        for name, entry in report.exposures.items()
        if entry.reason == "AddressTaken" and name in exposures
        for address in exposures[name].addresses
        if address not in ours
    }
    return blocked | dict(named)


def taken_findings(
    name: str,
    exposure: Exposure,
    others: Mapping[str, Exposure],
    held: Mapping[str, tuple[Address, ...]],
    foreign: Mapping[Address, str],
) -> list[Finding]:
    """What stands in the way of the addresses `exposure` asks for. `others` are the other exposures declared."""
    if not exposure.enabled or not exposure.is_external:
        return []
    path = f"exposures.{name}.address"
    found: list[Finding] = []
    for address in exposure.addresses:
        if address in held.get(name, ()):
            continue
        found += _ours(address, path, exposure, others, held)
        found += _foreign(address, path, name, exposure, foreign)
    return found


def _ours(
    address: Address,
    path: str,
    exposure: Exposure,
    others: Mapping[str, Exposure],
    held: Mapping[str, tuple[Address, ...]],
) -> Iterator[Finding]:
    for other, known in sorted(others.items()):
        # One that asks for the address itself is found by the rules of a spec; one that asks for another moves away.
        if address not in held.get(other, ()) or known.addresses or not known.enabled or not known.is_external:
            continue
        if exposure.share is None or exposure.share != known.share:
            yield finding("AddressTaken", path, f"{address} is held by exposure {shown(other)}")


def _foreign(
    address: Address, path: str, name: str, exposure: Exposure, foreign: Mapping[Address, str]
) -> Iterator[Finding]:
    service = foreign.get(address)
    if service is None or (exposure.adopt and service.rpartition("/")[2] in (name, SOMEBODY)):
        return
    who = service if service == SOMEBODY else f"the Service {service}"
    message = f"{address} is held by {who}, which is not ours"
    if exposure.share is None:
        yield finding("AddressTaken", path, message)
    else:
        text = f"this works only if it has the sharing key {exposure.share} too, and other ports"
        yield finding("AddressTaken", path, message, hint=text, severity="warning")


def name_findings(name: str, exposure: Exposure, namespace: str, services: Collection[str]) -> list[Finding]:
    """Services of the exposure whose names somebody else's Services have. `namespace` is the device's default."""
    if exposure.adopt:
        return []
    return [
        finding("ServiceNameTaken", f"exposures.{name}", f"the Service {full} is there already, and is not ours")
        for shape in service_shapes(name, exposure, namespace)
        if (full := f"{shape.namespace}/{shape.name}") in services
    ]


def expiry_findings(name: str, exposure: Exposure, now: datetime | None) -> list[Finding]:
    """`now` is None where the time is not known."""
    if not exposure.enabled or now is None or exposure.expiry is None or exposure.expiry > now:
        return []
    return [
        finding("ExposureExpired", f"exposures.{name}.expires", f"{exposure.expires} has passed: nothing is made of it")
    ]


def target_findings(name: str, exposure: Exposure, listening: Mapping[str, Collection[str]]) -> Iterator[Finding]:
    """`listening` maps a module to the ports it names, as `80/tcp`; of a module that names none, nothing is known."""
    known = listening.get(exposure.module or "", ())
    for number, mapping in enumerate(exposure.mappings if known and exposure.enabled else ()):
        target = f"{mapping.target}/{mapping.protocol.lower()}"
        if isinstance(mapping.target, int) and target not in known:
            text = f"the module {shown(exposure.module)} names {', '.join(sorted(known))}, not {target}"
            path = f"exposures.{name}.ports"
            yield finding("TargetPortUnknown", f"{path}[{number}]" if len(exposure.mappings) > 1 else path, text)


def namespace_findings(name: str, exposure: Exposure, namespace: str) -> list[Finding]:
    """`namespace` is where the device's modules run, as far as the cloud knows: the default of its Services."""
    if exposure.module is None or exposure.namespace in (None, namespace) or not namespace or not exposure.enabled:
        return []
    text = f"the module {shown(exposure.module)} runs in the namespace {namespace}, not in {exposure.namespace}"
    return [finding("SelectorNamespace", f"exposures.{name}.namespace", text)]


def pool_findings(name: str, exposure: Exposure, report: Reported) -> list[Finding]:
    """A new exposure that asks for any address of a pool that has none left."""
    pool = report.pool
    if pool is None or not pool.size or pool.free > 0 or name in report.exposures:
        return []
    if not exposure.enabled or not exposure.is_external or exposure.addresses or exposure.share:
        return []
    return [finding("PoolFull", f"exposures.{name}", f"no address of {pool.ranges or 'the pool'} is free")]
