"""Which Services one exposure becomes, and what they say: the rule both the plan of the cloud and the module follow.

A LoadBalancer exposure with TCP and UDP is two Services that share one address, since old clusters (and Azure Stack
Edge) refuse or break one Service with both; a ClusterIP exposure stays one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_expose_contract.addressing import AddressSet
from edge_expose_contract.identity import (
    EDGE_MODULE_LABEL,
    HOSTNAME_ANNOTATION,
    LABEL_EXPOSURE,
    LABEL_MANAGED_BY,
    LABEL_OWNER,
    MANAGED_BY,
)
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
    """The load balancer's sharing key: the declared one, or one of our own for the two Services of a split exposure.

    Ours is made of the owner: without one (the cloud does not know it) there is none.
    """
    if exposure.share is not None:
        return exposure.share
    if owner and len(service_shapes(name, exposure, default_namespace)) > 1:
        return own_sharing_key(owner, name)
    return None


def own_sharing_key(owner: str, name: str) -> str:
    """The sharing key under which the Services of one exposure, and of no other, hold their address."""
    return f"edge-expose-{owner}-{name}"


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


@dataclass(frozen=True, slots=True)
class ServiceBody:
    """What one Service declares. Of `spec`, None values must be absent."""

    labels: dict[str, str]
    annotations: dict[str, str]
    spec: dict[str, Any]


def service_body(shape: ServiceShape, exposure: Exposure, owner: str) -> ServiceBody:
    """Labels, annotations and spec of one Service, without what it asks of the load balancer.

    `owner` is empty where it is not known: then what is made of it is left out.
    """
    labels = dict(split_pair(pair) for pair in exposure.labels or ())
    annotations = dict(split_pair(pair) for pair in exposure.annotations or ())
    if exposure.hostname is not None and shape.name == shape.exposure:
        # The UDP half has the same address, and one Service is enough for a name.
        annotations[HOSTNAME_ANNOTATION] = exposure.hostname
    return ServiceBody({**labels, **ownership_labels(owner, shape.exposure)}, annotations, _spec(shape, exposure))


def ownership_labels(owner: str, exposure: str) -> dict[str, str]:
    labels = {LABEL_MANAGED_BY: MANAGED_BY, LABEL_EXPOSURE: exposure}
    return labels | {LABEL_OWNER: owner} if owner else labels


def _spec(shape: ServiceShape, exposure: Exposure) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "type": shape.type,
        "ports": [_port(mapping) for mapping in shape.ports],
        "selector": selector_of(exposure),
        "sessionAffinity": exposure.session_affinity,
        "externalTrafficPolicy": exposure.external_traffic_policy if exposure.is_external else None,
        "loadBalancerSourceRanges": list(exposure.allow_from) if exposure.allow_from else None,
        "loadBalancerClass": exposure.load_balancer_class,
        "loadBalancerIP": None,
    }
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
