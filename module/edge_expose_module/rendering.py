"""One exposure with its decided address -> the Service objects we declare, every field that we hold against drift."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge_expose_contract.addressing import Address
from edge_expose_contract.identity import (
    HOSTNAME_ANNOTATION,
    LABEL_EXPOSURE,
    LABEL_MANAGED_BY,
    LABEL_OWNER,
    MANAGED_BY,
)
from edge_expose_contract.models import Exposure
from edge_expose_contract.names import check_label, split_pair
from edge_expose_contract.ports import PortMapping
from edge_expose_contract.services import ServiceShape, selector_of, service_shapes, sharing_key
from edge_expose_module.observing import (
    DECLARED_ANNOTATION,
    NEW_PREFIX,
    OLD_PREFIX,
    Capabilities,
    LoadBalancer,
)

"""Names the label and annotation keys we set, so that one we no longer declare is removed and no other is."""


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


def ownership_labels(owner: str, exposure: str) -> dict[str, str]:
    return {LABEL_MANAGED_BY: MANAGED_BY, LABEL_OWNER: owner, LABEL_EXPOSURE: exposure}


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
    labels = dict(check_label(pair) for pair in exposure.labels or ())
    annotations = dict(split_pair(pair) for pair in exposure.annotations or ())
    if exposure.hostname is not None:
        annotations[HOSTNAME_ANNOTATION] = exposure.hostname
    spec = _spec(shape, exposure)
    if exposure.is_external:
        key = sharing_key(name, exposure, target.owner, target.namespace)
        if key is not None:
            annotations[f"{target.prefix}/allow-shared-ip"] = key
        if exposure.pool is not None:
            annotations[f"{target.prefix}/address-pool"] = exposure.pool
        _request(addresses, annotations, spec, target)
    declared = {"annotations": sorted(annotations), "labels": sorted(labels)}
    if exposure.is_external and addresses:
        declared["addresses"] = [str(address) for address in addresses]
    annotations[DECLARED_ANNOTATION] = json.dumps(declared, separators=(",", ":"))
    return DeclaredService(
        name,
        shape.namespace,
        shape.name,
        {**labels, **ownership_labels(target.owner, name)},
        annotations,
        spec,
    )


def _request(addresses: tuple[Address, ...], annotations: dict[str, str], spec: dict[str, Any], target: Target) -> None:
    """Asks for the addresses in one form only: both forms together are an error to MetalLB, even when they agree."""
    if len(addresses) == 2 and target.load_balancer is not LoadBalancer.CONFIG_MAP:
        annotations[f"{target.prefix}/loadBalancerIPs"] = ",".join(str(address) for address in addresses)
        spec["loadBalancerIP"] = None
    else:
        spec["loadBalancerIP"] = str(addresses[0]) if addresses else None


def _spec(shape: ServiceShape, exposure: Exposure) -> dict[str, Any]:
    external = exposure.is_external
    spec: dict[str, Any] = {
        "type": shape.type,
        "ports": [_port(mapping) for mapping in shape.ports],
        "selector": selector_of(exposure),
        "sessionAffinity": exposure.session_affinity,
        "externalTrafficPolicy": exposure.external_traffic_policy if external else None,
        "loadBalancerSourceRanges": list(exposure.allow_from) if exposure.allow_from else None,
        "loadBalancerClass": exposure.load_balancer_class,
    }
    if not external:
        spec["loadBalancerIP"] = None
    policy, families = _families(exposure)
    if policy is not None:
        spec["ipFamilyPolicy"] = policy
    if families is not None:
        spec["ipFamilies"] = families
    return spec


def _families(exposure: Exposure) -> tuple[str | None, list[str] | None]:
    """Declared only where the exposure says something: the cluster's default is its own."""
    versions = [f"IPv{address.version}" for address in exposure.addresses]
    families: list[str] | None = [*exposure.ip_families] if exposure.ip_families is not None else None
    if len(versions) == 2:
        return exposure.ip_family_policy or "RequireDualStack", families or versions
    if families is None and versions == ["IPv6"]:
        return exposure.ip_family_policy or "SingleStack", versions
    return exposure.ip_family_policy, families


def _port(mapping: PortMapping) -> dict[str, Any]:
    port: dict[str, Any] = {
        "name": mapping.name,
        "port": mapping.port,
        "targetPort": mapping.target,
        "protocol": str(mapping.protocol),
    }
    if mapping.app_protocol is not None:
        port["appProtocol"] = mapping.app_protocol
    return port


def request_annotations() -> tuple[str, ...]:
    """Every MetalLB key we may have set, in both prefixes."""
    keys = ("allow-shared-ip", "address-pool", "loadBalancerIPs")
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
    if not capabilities.endpoint_slices:
        subset = {"addresses": [{"ip": text} for text in sorted(exposure.endpoints)], "ports": ports}
        return (
            {
                "apiVersion": "v1",
                "kind": "Endpoints",
                "metadata": {"name": service.name, "namespace": service.namespace, "labels": labels},
                "subsets": [subset],
            },
        )
    bodies = []
    for family, mark in (("IPv4", "."), ("IPv6", ":")):
        texts = sorted(text for text in exposure.endpoints if mark in text and (mark == ":" or ":" not in text))
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
