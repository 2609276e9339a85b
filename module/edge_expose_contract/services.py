"""Which Services one exposure becomes: the rule both the plan of the cloud and the module follow.

A LoadBalancer exposure with TCP and UDP is two Services that share one address, since old clusters (and Azure Stack
Edge) refuse or break one Service with both; a ClusterIP exposure stays one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge_expose_contract.addressing import AddressSet
from edge_expose_contract.identity import EDGE_MODULE_LABEL
from edge_expose_contract.models import Exposure
from edge_expose_contract.names import UDP_SUFFIX, module_object_name, split_pair
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


def selector_of(exposure: Exposure) -> dict[str, str] | None:
    """Pod labels the Service selects, or None for a Service whose endpoints are given by hand."""
    if exposure.module is not None:
        return {EDGE_MODULE_LABEL: module_object_name(exposure.module)}
    if exposure.selector is not None:
        return dict(split_pair(pair) for pair in exposure.selector)
    return None


def selector_text(selector: Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(selector.items()))


def backend_key(exposure: Exposure) -> str:
    """What MetalLB compares before two Services share: the selector for policy Local, nothing for Cluster."""
    return selector_text(selector_of(exposure) or {}) if exposure.external_traffic_policy == "Local" else ""


def families_from(exposure: Exposure, pools: Sequence[AddressSet] | None) -> tuple[int, ...]:
    """The IP families an exposure gets: those it must have, and of those it only prefers the ones that the pools hold.

    `pools` are those it draws from, None where nobody told which addresses there are.
    """
    wanted = exposure.versions
    if exposure.ip_family_policy != "PreferDualStack" or exposure.addresses or pools is None:
        return wanted
    held = {part.version for pool in pools for part in pool.ranges}
    return tuple(version for version in wanted if version in held) or wanted
