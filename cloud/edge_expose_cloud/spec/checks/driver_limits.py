"""What `driver: manifest` cannot carry: each refused wish with its reason. Pure.

edgeAgent makes one Service for a module out of createOptions; what has no place there is refused before sending.
"""

from __future__ import annotations

from collections.abc import Iterator

from edge_expose_cloud.findings.finding import Finding, finding
from edge_expose_cloud.spec.model import Spec
from edge_expose_contract.fields import FIELDS, refusal
from edge_expose_contract.models import Exposure
from edge_expose_contract.violations import shown


def check_manifest_driver(spec: Spec) -> list[Finding]:
    """Every wish of the spec that edgeAgent's Services cannot carry."""
    found: list[Finding] = []
    owners: dict[str, str] = {}
    for name, exposure in spec.exposures.items():
        if not exposure.enabled:
            continue
        found += _check_exposure(name, exposure)
        if exposure.addresses and spec.target.device is None:
            found.append(
                finding(
                    "DriverManifestTarget",
                    f"exposures.{name}.address",
                    f"{exposure.address} cannot be given to every device of a condition",
                )
            )
        if exposure.module is not None:
            other = owners.setdefault(exposure.module, name)
            if other != name:
                found.append(
                    _refuse(
                        name,
                        "module",
                        f"module {shown(exposure.module)} has the exposure {shown(other)} already: "
                        "edgeAgent makes one Service for a module",
                    )
                )
    return found


def _check_exposure(name: str, exposure: Exposure) -> Iterator[Finding]:
    for field in FIELDS:
        if field.manifest and field.is_set(exposure):
            yield _refuse(name, field.name, refusal(field))
    if len(exposure.addresses) > 1:
        yield _refuse(name, "address", "loadBalancerIP holds one address, not one of each family")
    yield from _check_ports(name, exposure)


def _check_ports(name: str, exposure: Exposure) -> Iterator[Finding]:
    by_number: dict[int, str] = {}
    by_target: dict[tuple[int | str, str], int] = {}
    for mapping in exposure.mappings:
        if isinstance(mapping.target, str):
            yield _refuse(name, "ports", f"target port {shown(mapping.target)}: PortBindings take numbers only")
        if mapping.app_protocol is not None:
            yield _refuse(name, "ports", "appProtocol has no place in a Service made by edgeAgent")
        if mapping.port in by_number:
            yield _refuse(
                name,
                "ports",
                f"port {mapping.port} for {by_number[mapping.port]} and {mapping.protocol}: "
                "edgeAgent keeps one entry for a number",
            )
        by_number.setdefault(mapping.port, mapping.protocol)
        key = (mapping.target, mapping.protocol)
        if key in by_target:
            yield _refuse(
                name,
                "ports",
                f"target port {mapping.target} is published as {by_target[key]} and {mapping.port}: "
                "both Service ports would get one name",
            )
        by_target.setdefault(key, mapping.port)
    if exposure.is_external and len(exposure.protocols) > 1:
        protocols = " and ".join(sorted(exposure.protocols))
        yield _refuse(
            name,
            "ports",
            f"{protocols} in one LoadBalancer Service: refused or broken on Azure Stack Edge, "
            "and edgeAgent makes one Service for a module",
        )


def _refuse(name: str, field: str, message: str) -> Finding:
    return finding("DriverManifestInexpressible", f"exposures.{name}.{field}", message)
