"""What is really in the cluster, for whoever asks: Services, their addresses inside and outside, and pods. Pure.

It also names the holders of external addresses that are not ours, which the reported properties only count.
"""

from __future__ import annotations

from typing import Any, Final

from edge_expose_contract.identity import LABEL_EXPOSURE
from edge_expose_module.cluster.service import ObservedService
from edge_expose_module.cluster.state import Observed
from edge_expose_module.status.payload_limits import first_that_fit

MOST_PODS: Final = 16


def topology(observed: Observed, owner: str) -> dict[str, Any]:
    """`services`: ours, and others that hold an external address; ours first, then by namespace and name, as many as
    a direct method's answer holds; `more` counts the rest."""
    shown = [item for item in observed.services.values() if item.owned_by(owner) or item.assigned]
    shown.sort(key=lambda item: (not item.owned_by(owner), item.key))
    services = first_that_fit(_service(item, observed, owner) for item in shown)
    return {
        "loadBalancer": observed.load_balancer.name,
        "services": services,
        "more": len(shown) - len(services),
    }


def _service(service: ObservedService, observed: Observed, owner: str) -> dict[str, Any]:
    ours = service.owned_by(owner)
    inside = service.spec.get("clusterIPs") or [service.spec.get("clusterIP") or ""]
    return {
        "service": f"{service.namespace}/{service.name}",
        "exposure": service.labels.get(LABEL_EXPOSURE) if ours else None,
        "ours": ours,
        "clusterIPs": [str(address) for address in inside if address],
        "external": [str(address) for address in service.assigned],
        "pods": list(observed.endpoints.get(service.key, ()))[:MOST_PODS],
    }
