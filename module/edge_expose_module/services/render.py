"""One exposure with its decided address -> the Service objects we declare, every field that we hold against drift."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edge_expose_contract.addressing import Address, parse_address
from edge_expose_contract.identity import LABEL_OWNER, MANAGED_BY
from edge_expose_contract.models import Exposure
from edge_expose_contract.services import (
    ServiceShape,
    own_sharing_key,
    ownership_labels,
    service_body,
    service_shapes,
    sharing_key,
)
from edge_expose_module.cluster.service import DECLARED_ANNOTATION, Key
from edge_expose_module.cluster.state import Capabilities
from edge_expose_module.load_balancers.api import Ask, LoadBalancer
from edge_expose_module.services import node_ports


@dataclass(frozen=True, slots=True)
class Target:
    """For whom the Services are, and what this cluster understands; `namespace` is the default one."""

    owner: str
    namespace: str
    load_balancer_for: Callable[[str | None], LoadBalancer]
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
    name: str,
    exposure: Exposure,
    addresses: tuple[Address, ...],
    target: Target,
    *,
    may_be_joined: bool = False,
    under: str | None = None,
    noted: tuple[Address, ...] = (),
) -> tuple[DeclaredService, ...]:
    """The Services of one exposure; a split one whose address is not known yet is only its first Service, since both
    must ask for the same address.

    `may_be_joined` lets another Service of the same exposure share the address; `under` is the sharing key if not that
    of the exposure; `noted` are the addresses that our note names, where they are not those asked for now.
    """
    shapes = service_shapes(name, exposure, target.namespace)
    if len(shapes) > 1 and not addresses:
        shapes = shapes[:1]
    return tuple(_declare(shape, name, exposure, addresses, target, may_be_joined, under, noted) for shape in shapes)


def _declare(
    shape: ServiceShape,
    name: str,
    exposure: Exposure,
    addresses: tuple[Address, ...],
    target: Target,
    may_be_joined: bool,
    under: str | None,
    noted: tuple[Address, ...],
) -> DeclaredService:
    body = service_body(shape, exposure, target.owner)
    ask: Ask | None = None
    if exposure.is_external:
        sharing = under or sharing_key(shape.exposure, exposure, target.owner, shape.namespace)
        if sharing is None and may_be_joined:
            sharing = own_sharing_key(target.owner, name)
        ask = Ask(addresses, sharing, exposure.pool)
    key = (shape.namespace, shape.name)
    load_balancer = target.load_balancer_for(exposure.load_balancer_class)
    spec = body.spec | node_ports.declared_fields(exposure, load_balancer, target.capabilities)
    return declared_service(name, key, body.labels, body.annotations, spec, ask, target, noted)


def declared_service(
    name: str,
    key: Key,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    spec: Mapping[str, Any],
    ask: Ask | None,
    target: Target,
    noted: tuple[Address, ...] = (),
) -> DeclaredService:
    """A Service of ours, with what it asks of the load balancer and the note that names what we declare."""
    ownership = ownership_labels(target.owner, name)
    annotations, spec = dict(annotations), {**spec, "loadBalancerIP": None}
    if ask is not None:
        request = target.load_balancer_for(spec.get("loadBalancerClass")).request(ask)
        annotations |= request.annotations
        spec["loadBalancerIP"] = request.load_balancer_ip
    # Names the label and annotation keys we set, so that one we no longer declare is removed and no other is.
    declared = {"annotations": sorted(annotations), "labels": sorted(labels.keys() - ownership.keys())}
    if ask is not None and ask.addresses:
        declared["addresses"] = [str(address) for address in noted or ask.addresses]
    note = {DECLARED_ANNOTATION: json.dumps(declared, separators=(",", ":"))}
    return DeclaredService(name, *key, {**labels, **ownership}, {**annotations, **note}, spec)


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
