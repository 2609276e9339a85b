"""What befalls a device: restarts of every part, a power cut, a rebuilt cluster, a lost node. No address moves."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from support.testbed_machines import LAN, OUTSIDE
from support.testbed_netns import run
from support.testbed_network import POOL as RANGE
from support.testbed_site import Site
from support.testbed_traffic import echo, http_get, spread, who_has
from support.waiting import eventually

pytestmark = [pytest.mark.testbed, pytest.mark.network]
FIXED = f"{LAN}.249"


def web(**more: Any) -> dict[str, Any]:
    return {"selector": ["app=echo"], "ports": ["8080:80"], **more}


def answers(site: Site, ip: str) -> None:
    site.waiting(lambda: echo(site.cluster.outside, ip, 8080, timeout=0.5), f"{ip} answers")


@pytest.fixture
def held(site: Site) -> dict[str, str]:
    """Three exposures with an address each: one fixed, two chosen, in an order that MetalLB alone would not repeat."""
    site.desire({"zeta": web()})
    site.until("zeta")
    site.desire({"zeta": web(), "alpha": web(), "fixed": web(address=FIXED)})
    found = {name: site.until(name)["address"] for name in ("zeta", "alpha", "fixed")}
    assert found == {"zeta": f"{LAN}.241", "alpha": f"{LAN}.242", "fixed": FIXED}
    for ip in found.values():
        answers(site, ip)
    return found


def all_as_before(site: Site, held: dict[str, str]) -> None:
    for name, ip in held.items():
        site.waiting(lambda name=name: site.cluster.api.address("edge1", name), f"{name} has an address")
        assert site.cluster.api.address("edge1", name) == ip
        site.until(name, "Ready", ip)
        answers(site, ip)


def test_metallb_restarted(site: Site, held: dict[str, str]) -> None:
    site.cluster.restart_metallb()
    all_as_before(site, held)


def test_the_api_server_restarted(site: Site, held: dict[str, str]) -> None:
    site.cluster.plane.restart_server()
    assert spread(site.cluster.outside, FIXED, 8080, 20)["failed"] == 0
    all_as_before(site, held)
    site.desire({"zeta": web(), "alpha": web(), "fixed": web(address=FIXED, ports=["8080:80", "8081:80"])})
    site.waiting(lambda: echo(site.cluster.outside, FIXED, 8081, timeout=0.5), "a change after the restart")


def test_the_module_killed_while_a_service_is_deleted(site: Site, held: dict[str, str]) -> None:
    site.module.kill()
    site.cluster.api.delete("/api/v1/namespaces/edge1/services/zeta")
    site.start_module()
    all_as_before(site, held)


def test_the_service_deleted_behind_its_back_while_another_wants_its_address(site: Site, held: dict[str, str]) -> None:
    site.cluster.api.delete("/api/v1/namespaces/edge1/services/alpha")
    all_as_before(site, held)


def test_everything_rebooted_and_the_fixed_address_answers_as_before(site: Site) -> None:
    # The founding question, from the cloud's command line on.
    spec = {
        "web": {"module": "webserver", "ports": ["8080:80"], "address": FIXED},
        "db": {"module": "database", "type": "ClusterIP", "ports": [5432]},
    }
    site.deploy(spec, wait=True)
    page: Callable[[], str] = lambda: http_get(site.cluster.outside, FIXED, 8080)  # noqa: E731
    assert "Hello from the database" in site.waiting(page, "the page")
    before = {name: pod.ip for name, pod in site.cluster.pods.items() if pod.sample}
    site.module.kill()
    site.hub.kill()
    site.cluster.power_cut()
    site.cluster.replace_pods()
    site.hub.start()
    site.start_module()
    assert all(site.cluster.pods[name].ip != ip for name, ip in before.items())
    assert "Hello from the database" in site.waiting(page, "the page after the reboot")
    site.until("web", "Ready", FIXED)


def test_the_module_started_before_the_nodes_address_translation(site: Site) -> None:
    # Packets of a connection that began too early are never translated, not even when they are sent again: only another
    # connection gets through. The hub client would try the first one for minutes.
    machines, node = site.cluster.machines, site.cluster.node
    site.module.kill()
    machines.stop_masquerade(node)
    try:
        site.start_module()
        assert site.module_pod is not None
        tracked = ("ip", "netns", "exec", node.namespace, "conntrack", "-L", "-s", site.module_pod.ip, "-d", OUTSIDE[0])
        site.waiting(lambda: "UNREPLIED" in run(*tracked), "the module tries to reach the hub")
    finally:
        machines.masquerade(node)
    site.desire({"web": web(address=FIXED)})
    eventually(lambda: site.exposure("web").get("state") == "Ready", 25, "the module follows its twin")


def test_the_cluster_rebuilt_from_nothing_and_every_pin_comes_back(site: Site, held: dict[str, str]) -> None:
    uid = site.cluster.api.get("/api/v1/namespaces/edge1/services/zeta")["metadata"]["uid"]
    site.cluster.wipe_and_rebuild()
    site.grant()
    all_as_before(site, held)
    assert site.cluster.api.get("/api/v1/namespaces/edge1/services/zeta")["metadata"]["uid"] != uid


def test_the_cluster_rebuilt_and_the_modules_own_disk_lost_too(site: Site, held: dict[str, str]) -> None:
    site.module.kill()
    site.forget_state()
    site.cluster.wipe_and_rebuild()
    site.grant()
    site.start_module()
    all_as_before(site, held)


def test_the_pool_moved_and_only_what_is_outside_of_it_moves(site: Site, held: dict[str, str]) -> None:
    site.cluster.metallb.set_pool(f"{LAN}.245-{LAN}.250")
    if site.cluster.profile == "1.20":
        # MetalLB 0.10.3 rejects pools that leave a held address out: nobody moves, and the report says why.
        site.waiting(lambda: site.reported()["pool"].get("reason") == "PoolInvalid", "it is told")
        all_as_before(site, {**held, "fixed": FIXED})
        site.cluster.metallb.set_pool(RANGE)
        site.waiting(lambda: "reason" not in site.reported()["pool"], "all is well again")
        return
    moved = {name: f"{LAN}.{number}" for number, name in ((245, "alpha"), (246, "zeta"))}
    for name, ip in {**moved, "fixed": FIXED}.items():
        site.until(name, "Ready", ip)
        answers(site, ip)
    site.cluster.metallb.set_pool(RANGE)
    site.waiting(lambda: site.reported()["pool"]["size"] == 10, "the pool is read")
    all_as_before(site, {**moved, "fixed": FIXED})


def test_a_lost_node_hands_its_announcing_over(site: Site, record_property: Callable[[str, object], None]) -> None:
    cluster = site.cluster
    second = cluster.add_node()
    cluster.run_sample("echo-far", "echo", {"app": "echo"}, [(80, "TCP"), (80, "UDP")], node=second)
    addresses = [f"{LAN}.{number}" for number in range(241, 249)]
    site.desire({f"e{number}": web(address=ip) for number, ip in enumerate(addresses)})
    for number, ip in enumerate(addresses):
        site.until(f"e{number}", "Ready", ip)
    mac = run("ip", "netns", "exec", second.namespace, "cat", "/sys/class/net/eth0/address").strip()
    announced = site.waiting(
        lambda: [ip for ip in addresses if who_has(cluster.outside, OUTSIDE[0], ip, timeout=0.3) == mac],
        "the second node announces something",
    )
    ip = announced[0]
    answers(site, ip)
    cluster.lose_node(second)
    lost = time.monotonic()
    cluster.give_up_node(second)
    answers(site, ip)
    record_property("seconds_until_taken_over", round(time.monotonic() - lost, 1))
    print(f"{cluster.profile}: taken over after {time.monotonic() - lost:.1f} s")
    for number, wanted in enumerate(addresses):
        site.until(f"e{number}", "Ready", wanted)
        answers(site, wanted)
