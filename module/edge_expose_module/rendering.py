"""One exposure with its decided address -> the Service objects we declare, every field that we hold against drift."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge_expose_contract.addressing import Address, parse_address
from edge_expose_contract.identity import LABEL_OWNER, MANAGED_BY
from edge_expose_contract.models import Exposure
from edge_expose_contract.services import (
    ADDRESSES_KEY,
    POOL_KEY,
    SHARE_KEY,
    Dialect,
    ServiceShape,
    ownership_labels,
    service_body,
    service_shapes,
)
from edge_expose_module.observing import (
    DECLARED_ANNOTATION,
    NEW_PREFIX,
    OLD_PREFIX,
    Capabilities,
    LoadBalancer,
)


@dataclass(frozen=True, slots=True)
class Target:
    """Which words this cluster's load balancer understands."""

    owner: str
    namespace: str
    load_balancer: LoadBalancer
    prefix: str
    capabilities: Capabilities


@dataclass(frozen=True, slots=True)
class DeclaredService:
    """A Service as it should be. `spec` holds only what we declare; None values must be absent."""

    exposure: str
    namespace: str
    name: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    spec: Mapping[str, Any]

    def body(self) -> dict[str, Any]:
        """The object to create."""
        spec = {key: value for key, value in self.spec.items() if value is not None}
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": self.name,
                "namespace": self.namespace,
                "labels": dict(self.labels),
                "annotations": dict(self.annotations),
            },
            "spec": spec,
        }


def declare(
    name: str, exposure: Exposure, addresses: tuple[Address, ...], target: Target
) -> tuple[DeclaredService, ...]:
    """The Services of one exposure; a split one whose address is not known yet is only its first Service, since both
    must ask for the same address."""
    shapes = service_shapes(name, exposure, target.namespace)
    if len(shapes) > 1 and not addresses:
        shapes = shapes[:1]
    return tuple(_declare(shape, name, exposure, addresses, target) for shape in shapes)


def _declare(
    shape: ServiceShape, name: str, exposure: Exposure, addresses: tuple[Address, ...], target: Target
) -> DeclaredService:
    dialect = Dialect(target.prefix, target.load_balancer is not LoadBalancer.CONFIG_MAP)
    body = service_body(shape, exposure, addresses, target.owner, dialect)
    owned = ownership_labels(target.owner, name).keys()
    # Names the label and annotation keys we set, so that one we no longer declare is removed and no other is.
    declared = {"annotations": sorted(body.annotations), "labels": sorted(body.labels.keys() - owned)}
    if exposure.is_external and addresses:
        declared["addresses"] = [str(address) for address in addresses]
    note = {DECLARED_ANNOTATION: json.dumps(declared, separators=(",", ":"))}
    return DeclaredService(name, shape.namespace, shape.name, body.labels, {**body.annotations, **note}, body.spec)


def request_annotations() -> tuple[str, ...]:
    """Every MetalLB key we may have set, in both prefixes."""
    keys = (SHARE_KEY, POOL_KEY, ADDRESSES_KEY)
    return tuple(f"{prefix}/{key}" for prefix in (OLD_PREFIX, NEW_PREFIX) for key in keys)


def slice_bodies(
    service: DeclaredService, exposure: Exposure, capabilities: Capabilities
) -> tuple[dict[str, Any], ...]:
    """EndpointSlices (one for each family), or core/v1 Endpoints on clusters without them, for a Service whose
    endpoints are given by hand."""
    if exposure.endpoints is None:
        return ()
    labels = ownership_labels(service.labels[LABEL_OWNER], service.exposure)
    ports = [
        {"name": port["name"], "port": port["targetPort"], "protocol": port["protocol"]}
        for port in service.spec["ports"]
    ]
    addresses = {parse_address(text) for text in exposure.endpoints}
    if not capabilities.endpoint_slices:
        subset = {"addresses": [{"ip": text} for text in sorted(map(str, addresses))], "ports": ports}
        return (
            {
                "apiVersion": "v1",
                "kind": "Endpoints",
                "metadata": {"name": service.name, "namespace": service.namespace, "labels": labels},
                "subsets": [subset],
            },
        )
    bodies = []
    for version in (4, 6):
        family = f"IPv{version}"
        texts = sorted(str(address) for address in addresses if address.version == version)
        if not texts:
            continue
        slice_labels = {
            **labels,
            "kubernetes.io/service-name": service.name,
            "endpointslice.kubernetes.io/managed-by": MANAGED_BY,
        }
        bodies.append(
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": f"{service.name}-{family.lower()}",
                    "namespace": service.namespace,
                    "labels": slice_labels,
                },
                "addressType": family,
                "endpoints": [{"addresses": [text], "conditions": {"ready": True}} for text in texts],
                "ports": ports,
            }
        )
    return tuple(bodies)
