"""An exposure with `allowFrom` has no node ports where cluster and load balancer can do without; else it is said."""

from __future__ import annotations

from typing import Any

import pytest

from support.bench import Bench
from support.fake_cluster import FakeCluster

FIELD = "allocateLoadBalancerNodePorts"


def web(**more: Any) -> dict[str, Any]:
    return {"selector": ["app=ws"], "ports": [80, 443], **more}


GUARDED = web(allowFrom=["10.1.0.0/16"])


def running(exposures: dict[str, Any], **cluster: Any) -> Bench:
    bench = Bench(FakeCluster(**cluster))
    bench.cluster.add_pod("ws", {"app": "ws"})
    bench.desire(exposures)
    bench.run()
    return bench


def open_ports(bench: Bench, name: str = "web") -> list[int]:
    return [port["nodePort"] for port in bench.cluster.services["edge1", name]["spec"]["ports"] if "nodePort" in port]


def warned(bench: Bench) -> str:
    return " ".join(bench.twin.reported.get("warnings", []))


def test_a_new_service_gets_none() -> None:
    bench = running({"web": GUARDED, "dns": {**GUARDED, "ports": ["53", "53/udp"]}})
    assert [open_ports(bench, name) for name in ("web", "dns", "dns-udp")] == [[], [], []]
    assert warned(bench) == ""


def test_a_service_that_has_some_loses_them_in_one_patch_and_is_quiet_then() -> None:
    bench = running({"web": web()})
    assert len(open_ports(bench)) == 2
    held, before = bench.cluster.address_of("web"), len(bench.cluster.writes)
    bench.desire({"web": GUARDED})
    bench.run()
    assert bench.cluster.writes[before:] == [("patch", "Service", "edge1/web")]
    assert open_ports(bench) == []
    assert bench.cluster.services["edge1", "web"]["spec"][FIELD] is False
    assert bench.state("web") == ("Ready", held, None)


def test_a_node_port_that_somebody_opens_again_is_closed() -> None:
    bench = running({"web": GUARDED})
    bench.cluster.services["edge1", "web"]["spec"]["ports"][0]["nodePort"] = 31000
    bench.run()
    assert open_ports(bench) == []


def test_a_new_port_of_the_exposure_gets_none_either() -> None:
    bench = running({"web": GUARDED})
    bench.desire({"web": {**GUARDED, "ports": [80, 8080]}})
    bench.run()
    assert open_ports(bench) == []


def test_an_exposure_for_everybody_keeps_its_node_ports() -> None:
    bench = running({"web": web()})
    before = open_ports(bench)
    bench.desire({"web": web(sessionAffinity="ClientIP", ports=[80, 443, 8080])})
    bench.run()
    assert open_ports(bench) == before
    assert FIELD not in bench.cluster.services["edge1", "web"]["spec"]


@pytest.mark.parametrize(
    ("cluster", "why"),
    [
        ({"git_version": "v1.23.0"}, "Kubernetes v1.23.0 allots them"),
        ({"git_version": "v1.20.15", "dialect": "configmap"}, "Kubernetes v1.20.15 allots them"),
        ({"dialect": "none", "denied": frozenset({("list", "events")})}, "UnknownLoadBalancer needs them"),
    ],
)
def test_where_they_cannot_be_left_out_the_report_says_so(cluster: dict[str, Any], why: str) -> None:
    bench = running({"web": GUARDED, "all": web()}, **cluster)
    assert len(open_ports(bench)) == 2
    assert FIELD not in bench.cluster.services["edge1", "web"]["spec"]
    assert (
        warned(bench) == f"node ports of web answer everybody, allowFrom or not, and {why}: close them in the firewall"
    )
    bench.desire({"all": web()})
    bench.run()
    assert warned(bench) == ""
