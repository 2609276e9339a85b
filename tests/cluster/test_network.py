"""The data path for real: from clients outside, by MetalLB's speaker and kube-proxy, to processes in pods."""

from __future__ import annotations

from typing import Any

import pytest

from support.testbed_machines import LAN, OUTSIDE
from support.testbed_site import Site
from support.testbed_traffic import echo, echo_udp, http_get, resolve, spread, who_has, why_not_reached

pytestmark = [pytest.mark.testbed, pytest.mark.network]
NEAR, FAR = OUTSIDE


def web(**more: Any) -> dict[str, Any]:
    return {"selector": ["app=echo"], "ports": ["8080:80"], **more}


def answers(site: Site, ip: str, port: int = 8080, source: str = NEAR) -> dict[str, Any]:
    """The first answer at an address; a new Service takes a moment to be announced."""
    found = site.waiting(lambda: echo(site.cluster.outside, ip, port, source=source, timeout=0.5), f"{ip}:{port}")
    return dict(found)


def test_a_front_end_opened_from_outside_fetches_from_its_back_end_by_name(site: Site) -> None:
    fixed = f"{LAN}.245"
    site.deploy(
        {
            "web": {"module": "webserver", "ports": ["8080:80"], "address": fixed},
            "db": {"module": "database", "type": "ClusterIP", "ports": [5432]},
        },
        wait=True,
    )
    page = site.waiting(lambda: http_get(site.cluster.outside, fixed, 8080), "the page")
    assert "Hello from the database" in page
    pod = site.cluster.pods["webserver"]
    assert len(resolve(pod.namespace, "10.96.0.10", "db.edge1.svc.cluster.local")) == 1
    assert site.exposure("web")["address"] == fixed


def test_requests_are_spread_over_all_pods(site: Site) -> None:
    site.desire({"web": web(address=f"{LAN}.246")})
    site.until("web", "Ready", f"{LAN}.246")
    answers(site, f"{LAN}.246")
    counted = spread(site.cluster.outside, f"{LAN}.246", 8080, 90)
    assert counted["failed"] == 0
    assert {pod for pod in counted if counted[pod] > 10} == {"echo1", "echo2", "echo3"}


def test_a_pod_is_replaced_and_the_address_stays(site: Site) -> None:
    site.desire({"web": web()})
    ip = site.until("web")["address"]
    answers(site, ip)
    before = site.cluster.pods["echo1"].ip
    site.cluster.replace_pod("echo1", "echo1")
    assert site.cluster.pods["echo1"].ip != before
    site.waiting(lambda: spread(site.cluster.outside, ip, 8080, 20)["echo1"], "the new pod answers")
    assert spread(site.cluster.outside, ip, 8080, 60)["failed"] == 0
    assert site.until("web", "Ready", ip)["endpoints"] == 3


def test_session_affinity_keeps_a_client_on_one_pod(site: Site) -> None:
    site.desire({"web": web(sessionAffinity="ClientIP")})
    ip = site.until("web")["address"]
    answers(site, ip)
    assert len(spread(site.cluster.outside, ip, 8080, 40, source=NEAR)) == 1
    site.desire({"web": web()})
    site.waiting(lambda: len(spread(site.cluster.outside, ip, 8080, 30)) == 3, "spread again")


def test_a_client_that_is_not_allowed_is_really_refused(site: Site) -> None:
    site.desire({"web": web(allowFrom=[f"{NEAR}/32"])})
    ip = site.until("web")["address"]
    answers(site, ip, source=NEAR)
    # nftables drops it; iptables leaves it without a route, since it is no address of the node.
    assert why_not_reached(site.cluster.outside, ip, 8080, source=FAR) in ("silent", "unreachable")
    assert answers(site, ip, source=NEAR)["pod"]
    site.desire({"web": web()})
    answers(site, ip, source=FAR)


def test_node_ports_are_no_way_around_the_sources_allowed(site: Site) -> None:
    """A Service that everybody may use has a node port, which closes when sources are named, and opens for nobody.

    Kubernetes 1.20 allots one all the same, it does answer everybody, and the report says so.
    """
    site.desire({"web": web()})
    ip = site.until("web")["address"]
    answers(site, ip)
    node, port = site.cluster.node.ip, node_ports(site, "web")[0]
    site.waiting(lambda: echo(site.cluster.outside, node, port, source=FAR, timeout=0.5), "the node port")
    site.desire({"web": web(allowFrom=[f"{NEAR}/32"])})
    if site.cluster.profile == "1.20":
        warned = site.waiting(lambda: site.reported().get("warnings"), "a warning")
        assert "node ports of web answer everybody" in warned[0]
        assert echo(site.cluster.outside, node, port, source=FAR)["pod"]
        return
    site.waiting(lambda: not node_ports(site, "web"), "the node port is given back")
    site.waiting(lambda: why_not_reached(site.cluster.outside, node, port, source=FAR), "the node port is closed")
    assert site.until("web", "Ready", ip)
    assert answers(site, ip, source=NEAR)["pod"]
    assert why_not_reached(site.cluster.outside, node, port, source=NEAR) != ""
    site.desire({"web": web(allowFrom=[f"{NEAR}/32"], ports=["8080:80", "8081:80"])})
    answers(site, ip, 8081, source=NEAR)
    assert node_ports(site, "web") == []


def node_ports(site: Site, name: str) -> list[int]:
    body = site.cluster.api.get(f"/api/v1/namespaces/edge1/services/{name}")
    return [port["nodePort"] for port in body["spec"]["ports"] if "nodePort" in port]


def test_traffic_policy_local_keeps_the_address_of_the_client(site: Site) -> None:
    site.desire({"web": web()})
    ip = site.until("web")["address"]
    assert answers(site, ip)["client"] not in OUTSIDE
    site.desire({"web": web(externalTrafficPolicy="Local")})
    site.waiting(lambda: echo(site.cluster.outside, ip, 8080, source=FAR)["client"] == FAR, "the client's address")
    assert site.until("web", "Ready", ip)


def test_udp_reaches_the_pods(site: Site) -> None:
    site.desire({"udp": web(ports=["5353:80/udp"])})
    ip = site.until("udp")["address"]
    pod, _ = site.waiting(lambda: echo_udp(site.cluster.outside, ip, 5353), "a datagram comes back")
    assert pod.startswith("echo")


def test_tcp_and_udp_on_one_number_and_one_address(site: Site) -> None:
    site.desire({"dns": web(ports=["5300:80/tcp", "5300:80/udp"])})
    ip = site.until("dns")["address"]
    assert answers(site, ip, 5300)["pod"].startswith("echo")
    pod, _ = site.waiting(lambda: echo_udp(site.cluster.outside, ip, 5300), "a datagram comes back")
    assert pod.startswith("echo")


def test_two_exposures_share_one_address(site: Site) -> None:
    fixed = f"{LAN}.247"
    site.desire(
        {
            "one": web(ports=["8001:80"], share="front", address=fixed),
            "two": web(ports=["8002:80"], share="front", address=fixed),
        }
    )
    assert site.until("one", "Ready", fixed)
    assert site.until("two", "Ready", fixed)
    assert answers(site, fixed, 8001)
    assert answers(site, fixed, 8002)


def test_a_withdrawn_exposure_is_silent(site: Site) -> None:
    site.desire({"web": web()})
    ip = site.until("web")["address"]
    answers(site, ip)
    site.desire({})
    site.waiting(lambda: not who_has(site.cluster.outside, NEAR, ip, timeout=0.3), "nobody answers for it")


def test_traffic_goes_on_while_the_module_and_the_hub_are_away(site: Site) -> None:
    site.desire({"web": web()})
    ip = site.until("web")["address"]
    answers(site, ip)
    site.hub.kill()
    site.module.kill()
    assert spread(site.cluster.outside, ip, 8080, 30)["failed"] == 0
    site.hub.start()
    site.start_module()
    assert spread(site.cluster.outside, ip, 8080, 30)["failed"] == 0
    site.until("web", "Ready", ip)


def test_a_full_pool_is_said_and_growing_it_helps(site: Site) -> None:
    site.cluster.metallb.set_pool(f"{LAN}.241-{LAN}.242")
    site.desire({name: web() for name in ("a", "b", "c")})
    site.until("c", "Blocked", reason="PoolExhausted")
    held = {name: site.until(name)["address"] for name in ("a", "b")}
    site.cluster.metallb.set_pool(f"{LAN}.241-{LAN}.243")
    third = site.until("c")["address"]
    answers(site, third)
    assert {name: site.exposure(name)["address"] for name in ("a", "b")} == held


def test_a_pool_that_shrinks_away_and_returns_brings_the_same_address_back(site: Site) -> None:
    site.desire({"web": web(address=f"{LAN}.248")})
    site.until("web", "Ready", f"{LAN}.248")
    answers(site, f"{LAN}.248")
    site.cluster.metallb.set_pool(f"{LAN}.241-{LAN}.243")
    if site.cluster.profile == "1.20":
        # MetalLB 0.10.3 rejects the pool while somebody holds an address that it leaves out.
        site.waiting(lambda: site.reported()["pool"].get("reason") == "PoolInvalid", "it is told")
        answers(site, f"{LAN}.248")
    else:
        site.until("web", "Blocked", reason="AddressOutsideRange")
    site.cluster.metallb.set_pool(f"{LAN}.241-{LAN}.250")
    site.until("web", "Ready", f"{LAN}.248")
    answers(site, f"{LAN}.248")
