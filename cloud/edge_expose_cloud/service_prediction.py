"""The Services our module will make of exposures, as far as the cloud can know them. Pure.

Namespace and address are None where only the device knows: the module's own namespace, an address not yet chosen. The
owner label is left out: it is made of the hub's name as the device sees it, which a gateway or a tunnel may change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge_expose_contract.identity import (
    EDGE_MODULE_LABEL,
    HOSTNAME_ANNOTATION,
    LABEL_EXPOSURE,
    LABEL_MANAGED_BY,
    MANAGED_BY,
)
from edge_expose_contract.models import Exposure
from edge_expose_contract.names import sanitize_k8s_value, split_pair
from edge_expose_contract.services import ServiceShape, service_shapes

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known of the device: default namespace ("" if unknown) and the addresses held, by exposure."""

    namespace: str = ""
    held: Mapping[str, str] | None = None


def predicted_services(exposures: Mapping[str, Exposure], around: Surroundings) -> dict[tuple[str, str], Json]:
    """(namespace, name) -> Service object, for every enabled exposure."""
    found: dict[tuple[str, str], Json] = {}
    for name, exposure in sorted(exposures.items()):
        if not exposure.enabled:
            continue
        for shape in service_shapes(name, exposure, around.namespace):
            found[shape.namespace, shape.name] = _service(name, exposure, shape, around)
    return found


def _service(name: str, exposure: Exposure, shape: ServiceShape, around: Surroundings) -> Json:
    labels = {LABEL_MANAGED_BY: MANAGED_BY, LABEL_EXPOSURE: name}
    labels.update(split_pair(pair) for pair in exposure.labels or ())
    spec: Json = {
        "type": shape.type,
        "ports": [
            {"name": port.name, "port": port.port, "targetPort": port.target, "protocol": str(port.protocol)}
            | ({"appProtocol": port.app_protocol} if port.app_protocol else {})
            for port in shape.ports
        ],
    }
    selector = _selector(exposure)
    if selector:
        spec["selector"] = selector
    if exposure.is_external:
        address = exposure.address or (around.held or {}).get(name)
        spec["loadBalancerIP"] = address
    for key, value, default in (
        ("sessionAffinity", exposure.session_affinity, "None"),
        ("externalTrafficPolicy", exposure.external_traffic_policy, "Cluster"),
        ("ipFamilyPolicy", exposure.ip_family_policy, None),
        ("ipFamilies", exposure.ip_families, None),
        ("loadBalancerClass", exposure.load_balancer_class, None),
        ("loadBalancerSourceRanges", exposure.allow_from, None),
    ):
        if value != default:
            spec[key] = value
    metadata: Json = {"name": shape.name, "namespace": shape.namespace or None, "labels": labels}
    annotations = dict(split_pair(pair) for pair in exposure.annotations or ())
    if exposure.hostname:
        annotations[HOSTNAME_ANNOTATION] = exposure.hostname
    if annotations:
        metadata["annotations"] = annotations
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def _selector(exposure: Exposure) -> Json:
    if exposure.module is not None:
        return {EDGE_MODULE_LABEL: sanitize_k8s_value(exposure.module)}
    return dict(split_pair(pair) for pair in exposure.selector or ())
