"""What the module does where Cilium or the service controller hands out addresses: the real controller and adapter."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_expose_contract.identity import LABEL_EXPOSURE
from support import recorded
from support.testbed_balanced import BalancedCluster
from support.testbed_module import ModuleBench
from support.testbed_service_controller import FINALIZER
from support.testbed_situations import FILES

NAMES = {"cilium": "Cilium/LB-IPAM", "service-controller": "ServiceController"}


@pytest.fixture
def module(cluster: BalancedCluster, tmp_path: Path) -> Iterator[ModuleBench]:
    """The module with the shipped rights."""
    bench = _bench(cluster, tmp_path, "rbac.yaml")
    yield bench
    bench.remove_rights()


def _bench(cluster: BalancedCluster, folder: Path, rights: str) -> ModuleBench:
    namespace = cluster.namespace()
    # The shipped files have a role in it, wherever the load balancer comes from.
    cluster.api.create("/api/v1/namespaces", {"metadata": {"name": "metallb-system"}}, exists_ok=True)
    cluster.run_pod(namespace, "w1", {"app": "w"})
    return ModuleBench(cluster, namespace, folder, (rights,))  # type: ignore[arg-type]


def web(**more: Any) -> dict[str, Any]:
    return {"selector": ["app=w"], "ports": ["8080:80"], **more}


def said(cluster: BalancedCluster, situation: str, **values: str) -> str:
    """The load balancer's own words, without those that the service controller puts before its cloud's."""
    text = recorded.answers(FILES[cluster.load_balancer])[situation].message(**values)
    return text.removeprefix("Error syncing load balancer: failed to ensure load balancer: ")


def test_an_asked_address_and_a_chosen_one_become_ready_and_are_pinned(cluster, module) -> None:
    module.desire({"web": web(address=cluster.ip(15)), "auto": web()})
    module.until("web", "Ready", cluster.ip(15))
    chosen = module.until("auto", "Ready")["address"]
    module.until_true(
        lambda: module.service("auto")["spec"].get("loadBalancerIP") == chosen, "the chosen one is pinned"
    )
    assert module.service("web")["spec"]["loadBalancerIP"] == cluster.ip(15)
    assert module.twin.reported["cluster"]["loadBalancer"] == NAMES[cluster.load_balancer]
    assert module.is_quiet()
    cluster.call("DELETE", f"{cluster.services(module.namespace)}/auto")
    module.restart()
    module.until("auto", "Ready", chosen)


def test_an_address_outside_is_blocked(cluster, module) -> None:
    module.desire({"web": web(address=cluster.ip(99))})
    entry = module.until("web", "Blocked")
    if cluster.load_balancer == "cilium":
        assert entry["reason"] == "AddressOutsideRange"
        assert module.service("web") == {}  # the pool is known, so nothing was asked
    else:
        outside = said(cluster, "outside", address=cluster.ip(99), first=cluster.ip(10), last=cluster.ip(20))
        module.until_true(lambda: outside in module.exposure("web")["message"], "the cloud's own words")
        assert module.exposure("web").get("address") is None


def test_an_address_that_is_held_is_blocked_and_given_once_it_is_free(cluster, module) -> None:
    other = cluster.namespace()
    cluster.balance(other, "holder", cluster.ip(12))
    cluster.wait_address(other, "holder", cluster.ip(12))
    module.desire({"web": web(address=cluster.ip(12))})
    entry = module.until("web", "Blocked", reason="AddressTaken")
    assert f"{other}/holder" in entry["message"]
    cluster.delete(other, "holder")
    module.until("web", "Ready", cluster.ip(12))


def test_what_cilium_says_is_passed_on_where_its_pools_may_not_be_read(cilium, tmp_path: Path) -> None:
    confined = _bench(cilium, tmp_path, "rbac-one-namespace.yaml")
    confined.desire({"web": web(address=cilium.ip(99)), "auto": web()})
    entry = confined.until("web", "Blocked", reason="AddressOutsideRange")
    assert said(cilium, "in-no-pool", address=cilium.ip(99)) in entry["message"]
    chosen = confined.until("auto", "Ready")["address"]
    confined.until_true(lambda: confined.service("auto")["spec"].get("loadBalancerIP") == chosen, "it is pinned")
    assert confined.twin.reported["cluster"]["loadBalancer"] == "Cilium/LB-IPAM"
    confined.remove_rights()


def test_tcp_and_udp_of_one_exposure_share_one_address(cluster, module) -> None:
    module.desire({"dns": web(ports=["53:53/tcp", "54:53/udp"], address=cluster.ip(14))})
    if cluster.load_balancer == "cilium":
        module.until("dns", "Ready", cluster.ip(14))
        addresses = {cluster.address(module.namespace, name) for name in ("dns", "dns-udp")}
        assert addresses == {cluster.ip(14)}
        module.run()
        assert module.is_quiet()
    else:
        taken = said(cluster, "taken", address=cluster.ip(14))
        module.until_true(lambda: taken in module.exposure("dns").get("message", ""), "the cloud's own words")


def test_one_port_number_of_both_protocols_is_told_as_cilium_tells_it(cilium, module) -> None:
    module.desire({"dns": web(ports=["53:53/tcp", "53:53/udp"], address=cilium.ip(14))})
    wanted = said(cilium, "port-clash-other-protocol", address=cilium.ip(14))
    module.until_true(lambda: wanted in module.exposure("dns").get("message", ""), "Cilium's own words")
    assert module.exposure("dns")["state"] != "Ready"


def test_a_full_pool_blocks_the_last_one_until_there_is_more_room(cluster, module) -> None:
    cluster.real.balancer.set_pool(cluster.range(10, 11))
    module.desire({name: web() for name in ("a", "b", "c")})
    module.until("a", "Ready")
    module.until("b", "Ready")
    entry = module.until("c", "Blocked")
    if cluster.load_balancer == "cilium":
        assert entry["reason"] == "PoolExhausted"
    else:
        assert said(cluster, "full", first=cluster.ip(10), last=cluster.ip(11)) in entry["message"]
    held = {name: cluster.address(module.namespace, name) for name in "ab"}
    cluster.real.balancer.set_pool(cluster.range(10, 12))
    module.until("c", "Ready", cluster.ip(12))
    assert {name: cluster.address(module.namespace, name) for name in "ab"} == held


def test_a_refused_change_keeps_the_held_address(cluster, module) -> None:
    module.desire({"web": web(address=cluster.ip(15))})
    module.until("web", "Ready", cluster.ip(15))
    module.desire({"web": web(address=cluster.ip(99))})
    if cluster.load_balancer == "cilium":
        module.until("web", "Blocked", cluster.ip(15), "AddressOutsideRange")
    else:
        entry = module.until("web", "Blocked", cluster.ip(15), "AddressRefused")
        outside = said(cluster, "outside", address=cluster.ip(99), first=cluster.ip(10), last=cluster.ip(20))
        assert cluster.ip(99) in entry["message"]
        assert outside in entry["message"]
    module.run(3)
    assert cluster.address(module.namespace, "web") == cluster.ip(15)


def test_a_service_behind_its_finalizer_is_pending_and_holds_its_address(service_controller, module) -> None:
    cluster = service_controller
    module.desire({"web": web(address=cluster.ip(15))})
    module.until("web", "Ready", cluster.ip(15))
    cluster.real.balancer.kill()
    cluster.delete(module.namespace, "web")
    entry = module.until("web", "Pending", reason="ServiceTerminating")
    assert FINALIZER in entry["message"]
    module.desire({"web": web(address=cluster.ip(15)), "other": web(address=cluster.ip(15))})
    module.until("other", "Blocked", reason="AddressTaken")
    assert module.service("web")["metadata"]["labels"][LABEL_EXPOSURE] == "web"
    cluster.real.balancer.start()
    module.until("web", "Ready", cluster.ip(15))
    assert "deletionTimestamp" not in module.service("web")["metadata"]


def test_a_move_leaves_no_gap_and_a_refused_one_changes_nothing_on_cilium(cilium, tmp_path: Path) -> None:
    """The holder is in a namespace that the module may not see, so only Cilium knows that the address is taken."""
    elsewhere = cilium.namespace()
    cilium.balance(elsewhere, "holder", cilium.ip(12))
    cilium.wait_address(elsewhere, "holder", cilium.ip(12))
    confined = _bench(cilium, tmp_path, "rbac-one-namespace.yaml")
    confined.desire({"web": web(address=cilium.ip(15))})
    confined.until("web", "Ready", cilium.ip(15))
    start = confined.service("web")["metadata"]["resourceVersion"]
    confined.desire({"web": web(address=cilium.ip(12))})
    entry = confined.until("web", "Blocked", cilium.ip(15), "AddressTaken")
    assert said(cilium, "taken", address=cilium.ip(12)) in entry["message"] or "sharing key" in entry["message"]
    confined.desire({"web": web(address=cilium.ip(16))})
    confined.until("web", "Ready", cilium.ip(16))
    confined.until_true(lambda: confined.service("web-claim") == {}, "the claim is gone")
    assert cilium.address(confined.namespace, "web") == cilium.ip(16)
    assert _addresses_since(cilium, confined.namespace, "web", start) == [cilium.ip(15), cilium.ip(16)]
    confined.remove_rights()


def _addresses_since(cluster: BalancedCluster, namespace: str, name: str, version: str) -> list[str]:
    """The addresses that a Service had one after another, '' where it had none."""
    path = f"{cluster.services(namespace)}?watch=true&resourceVersion={version}&timeoutSeconds=1"
    status, data = cluster.api.raw("GET", f"{path}&fieldSelector=metadata.name={name}")
    assert status == 200
    found: list[str] = []
    for line in data.splitlines():
        ingress = json.loads(line)["object"]["status"]["loadBalancer"].get("ingress") or [{"ip": ""}]
        if found[-1:] != [ingress[0]["ip"]]:
            found.append(ingress[0]["ip"])
    return found
