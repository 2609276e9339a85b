"""What the method `topology` shows: our Services with cluster IPs and pods, and who else holds external addresses."""

from __future__ import annotations

import json
from typing import Any

from edge_expose_contract.identity import LABEL_EXPOSURE, LABEL_MANAGED_BY, LABEL_OWNER, MANAGED_BY
from edge_expose_module.cluster.service import ObservedService
from edge_expose_module.cluster.state import Observed, endpoint_addresses
from edge_expose_module.status.topology import MOST_PODS, topology

OWNER = "0123456789abcdef"


def service(name: str, *, ours: bool, external: str = "", **spec: Any) -> ObservedService:
    labels = {LABEL_MANAGED_BY: MANAGED_BY, LABEL_OWNER: OWNER, LABEL_EXPOSURE: name} if ours else {}
    status = {"loadBalancer": {"ingress": [{"ip": external}]}} if external else {}
    kind = "LoadBalancer" if external else "ClusterIP"
    meta = {"namespace": "d1", "name": name, "labels": labels}
    return ObservedService.of({"metadata": meta, "spec": {"type": kind, **spec}, "status": status})


def observed(*services: ObservedService, **more: Any) -> Observed:
    return Observed(services={item.key: item for item in services}, **more)


def test_ours_come_first_with_addresses_inside_outside_and_pods() -> None:
    found = topology(
        observed(
            service("legacy", ours=False, external="10.0.0.14"),
            service("internal", ours=False, clusterIP="172.28.0.2"),
            service("web", ours=True, external="10.0.0.11", clusterIPs=["172.28.0.7", "fd00::7"]),
            endpoints={("d1", "web"): ("10.1.0.3", "10.1.0.4")},
        ),
        OWNER,
    )
    assert found["services"] == [
        {
            "service": "d1/web",
            "exposure": "web",
            "ours": True,
            "clusterIPs": ["172.28.0.7", "fd00::7"],
            "external": ["10.0.0.11"],
            "pods": ["10.1.0.3", "10.1.0.4"],
        },
        {
            "service": "d1/legacy",
            "exposure": None,
            "ours": False,
            "clusterIPs": [],
            "external": ["10.0.0.14"],
            "pods": [],
        },
    ]


def test_an_answer_stays_within_what_a_method_carries() -> None:
    many = [service(f"s{number:04d}", ours=True, clusterIP="172.28.0.7") for number in range(2000)]
    found = topology(observed(*many, endpoints={item.key: ("fd00::1:2:3:4:5",) * 20 for item in many}), OWNER)
    assert 110_000 < len(json.dumps(found)) <= 128 * 1024
    assert len(found["services"]) + found["more"] == 2000
    assert found["services"][0]["service"] == "d1/s0000"
    assert len(found["services"][0]["pods"]) == MOST_PODS


def test_endpoint_addresses_come_from_slices_and_from_endpoints() -> None:
    meta = {"namespace": "d1", "name": "web-abc", "labels": {"kubernetes.io/service-name": "web"}}
    sliced = {"metadata": meta, "endpoints": [{"addresses": ["10.1.0.4"]}, {"addresses": ["10.1.0.3"]}, {}]}
    plain = {"metadata": {"namespace": "d1", "name": "db"}, "subsets": [{"addresses": [{"ip": "10.1.0.9"}]}, {}]}
    assert endpoint_addresses([sliced, sliced, plain]) == {
        ("d1", "web"): ("10.1.0.3", "10.1.0.4"),
        ("d1", "db"): ("10.1.0.9",),
    }
