"""The API server's own ranges are used up; needs a cluster whose ranges are tiny."""

from __future__ import annotations

from typing import Any

from support.situations.bed import Bed
from support.situations.kubernetes_objects import create, service
from support.situations.table import KUBERNETES, Seen, situation
from support.waiting import eventually

_TINY: dict[str, Any] = {"needs": "tiny-ranges", "embedded": False}
SERVICE_CIDR = "10.96.0.0/28"
NODE_PORTS = "31000-31002"


def _until_refused(bed: Bed, **spec: Any) -> Seen:
    """Makes Services until one is refused; there are never more than there are addresses or ports."""
    namespace = bed.namespace()
    try:
        for number in range(20):
            name = f"asker-{number}"
            seen = create(bed, namespace, service(name, **spec))
            if seen.answer["status"] >= 400:
                # MetalLB 0.16 keeps for good an address that it is writing into a Service that is deleted.
                eventually(lambda: _have_what_they_ask_for(bed, namespace), what="no address is on its way")
                return seen
    finally:
        bed.clear()
    raise AssertionError("no Service was refused")


def _have_what_they_ask_for(bed: Bed, namespace: str) -> bool:
    services = [item for item in bed.api.items(bed.service(namespace)) if item["spec"]["type"] == "LoadBalancer"]
    return all(item["status"]["loadBalancer"].get("ingress") for item in services)


@situation(KUBERNETES, "There is no cluster IP left.", **_TINY)
def cluster_ip_range_full(bed: Bed) -> Seen:
    return _until_refused(bed)


@situation(KUBERNETES, "There is no node port left for a Service of type LoadBalancer.", **_TINY)
def node_port_range_full(bed: Bed) -> Seen:
    return _until_refused(bed, type="LoadBalancer")


@situation(KUBERNETES, "There is no node port left for a ClusterIP that becomes a LoadBalancer.", **_TINY)
def node_port_range_full_on_change(bed: Bed) -> Seen:
    namespace = bed.namespace()
    try:
        bed.api.create(bed.service(namespace), service())
        for number in range(3):
            bed.api.create(bed.service(namespace), service(f"holder-{number}", type="NodePort"))
        answer = bed.merge_answer(bed.service(namespace, "asker"), {"spec": {"type": "LoadBalancer"}})
        return Seen(answer, {"namespace": namespace, "name": "asker"})
    finally:
        bed.clear()
