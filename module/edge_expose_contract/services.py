"""Which Services one exposure becomes: the rule both the plan of the cloud and the module follow.

A LoadBalancer exposure with TCP and UDP is two Services that share one address, since old clusters (and Azure Stack
Edge) refuse or break one Service with both; a ClusterIP exposure stays one.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_expose_contract.models import Exposure
from edge_expose_contract.names import UDP_SUFFIX
from edge_expose_contract.ports import PortMapping, Protocol


@dataclass(frozen=True, slots=True)
class ServiceShape:
    """Name, namespace, type and ports of one Service."""

    exposure: str
    namespace: str
    name: str
    type: str
    ports: tuple[PortMapping, ...]


def service_shapes(name: str, exposure: Exposure, default_namespace: str) -> tuple[ServiceShape, ...]:
    """One shape, or two (`<name>` and `<name>-udp`) for an external exposure that mixes UDP with TCP or SCTP."""
    namespace = exposure.namespace or default_namespace
    udp = tuple(mapping for mapping in exposure.mappings if mapping.protocol is Protocol.UDP)
    other = tuple(mapping for mapping in exposure.mappings if mapping.protocol is not Protocol.UDP)
    if exposure.is_external and udp and other:
        return (
            ServiceShape(name, namespace, name, exposure.type, other),
            ServiceShape(name, namespace, name + UDP_SUFFIX, exposure.type, udp),
        )
    return (ServiceShape(name, namespace, name, exposure.type, exposure.mappings),)


def sharing_key(name: str, exposure: Exposure, owner: str, default_namespace: str) -> str | None:
    """The load balancer's sharing key: the declared one, or one of our own for the two Services of a split exposure."""
    if exposure.share is not None:
        return exposure.share
    if len(service_shapes(name, exposure, default_namespace)) > 1:
        return f"edge-expose-{owner}-{name}"
    return None
