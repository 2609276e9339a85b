"""Node ports answer everybody, whatever `allowFrom` says: where they are left out, and what is said where they are not.
Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from edge_expose_contract.models import Exposure
from edge_expose_module.cluster.service import ObservedService
from edge_expose_module.cluster.state import Capabilities
from edge_expose_module.desired.resolved import ResolvedExposure
from edge_expose_module.load_balancers.api import LoadBalancer

FIELD: Final = "allocateLoadBalancerNodePorts"
_MOST: Final = 3


def declared_fields(exposure: Exposure, load_balancer: LoadBalancer, can: Capabilities) -> dict[str, Any]:
    """What a Service declares so that nobody gets around `allowFrom`."""
    if exposure.is_external and exposure.allow_from and _may_do_without(load_balancer, can):
        return {FIELD: False}
    return {}


def has_open_ports(declared: Mapping[str, Any], ports: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a Service that is to have none has node ports: the flag alone leaves those open that it has."""
    return declared.get(FIELD) is False and any(port.get("nodePort") for port in ports)


def keeps_node_ports(declared: Mapping[str, Any]) -> bool:
    """Whether the node ports that a Service has are carried over when its ports change."""
    return declared["type"] == "LoadBalancer" and declared.get(FIELD) is not False


def warnings(
    standing: Mapping[str, ResolvedExposure],
    owned: Sequence[ObservedService],
    load_balancer: LoadBalancer,
    can: Capabilities,
) -> tuple[str, ...]:
    """One line for all exposures whose `allowFrom` does not hold for their node ports."""
    open_now = {
        service.exposure for service in owned if any(port.get("nodePort") for port in service.spec.get("ports") or ())
    }
    found = [
        name
        for name, wanted in sorted(standing.items())
        if wanted.exposure.is_external and wanted.exposure.allow_from and name in open_now
    ]
    if not found or _may_do_without(load_balancer, can):
        return ()
    shown = ", ".join(found[:_MOST]) + (f" and {len(found) - _MOST} more" if len(found) > _MOST else "")
    needs = f"{load_balancer.name} needs them" if can.optional_node_ports else f"Kubernetes {can.version} allots them"
    return (f"node ports of {shown} answer everybody, allowFrom or not, and {needs}: close them in the firewall",)


def _may_do_without(load_balancer: LoadBalancer, can: Capabilities) -> bool:
    return can.optional_node_ports and load_balancer.needs_no_node_ports
