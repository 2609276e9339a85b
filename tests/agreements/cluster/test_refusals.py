"""A held address is not lost where the load balancer says no: the real controller on both profiles and both real
combinations, with holders that the module may not see."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge_expose_contract.identity import owner_id
from edge_expose_contract.services import own_sharing_key
from edge_expose_module.services.claim_services import claim_names
from support.eye import Eye
from support.testbed_module import ModuleBench

POOLS = "/apis/metallb.io/v1beta1/namespaces/metallb-system/ipaddresspools"
CONFIG = "/api/v1/namespaces/metallb-system/configmaps/config"


@pytest.fixture
def module(cluster, tmp_path: Path) -> Iterator[ModuleBench]:
    """Sees the pools, and only the Services of its own namespace."""
    bench = ModuleBench(cluster, cluster.namespace(), tmp_path)
    path = f"/apis/rbac.authorization.k8s.io/v1/clusterroles/edge-expose-{bench.namespace}"
    rules = cluster.call("GET", path).body["rules"]
    for rule in rules:
        rule["resources"] = [resource for resource in rule["resources"] if resource != "services"]
    assert cluster.merge(path, {"rules": rules}).status == 200
    yield bench
    bench.remove_rights()


def web(**more: Any) -> dict[str, Any]:
    return {"selector": ["app=w"], "ports": ["8080:80"], **more}


def hide(cluster: Any, address: str, name: str = "holder") -> None:
    """Somebody whom the module may not see holds the address."""
    namespace = cluster.namespace()
    cluster.balancer(namespace, name, {"loadBalancerIP": address})
    cluster.wait_address(namespace, name, address)


@pytest.mark.parametrize("ports", [["8080:80"], ["53/tcp", "53/udp"]])
@pytest.mark.parametrize("more", [{}, {"share": "front"}, {"externalTrafficPolicy": "Local"}])
def test_a_pin_moves_without_a_gap(cluster, module, ports, more) -> None:
    held, wanted = f"{cluster.base}.12", f"{cluster.base}.15"
    cluster.run_pod(module.namespace, "w1", {"app": "w"})
    module.desire({"web": web(ports=ports, address=held, **more)})
    module.until("web", "Ready", held)
    with Eye(module, "web") as eye:
        module.desire({"web": web(ports=ports, address=wanted, **more)})
        module.until("web", "Ready", wanted)
    assert [address for address in eye.addresses if address] == [held, wanted]
    assert "" not in eye.addresses, "it never was without an address"
    module.until_true(lambda: module.service("web-claim") == {}, "the claim is gone")
    if len(ports) == 2:
        assert cluster.address(module.namespace, "web-udp") == wanted
    assert module.is_quiet()


def test_exposures_of_one_sharing_key_move_together_without_a_gap(cluster, module) -> None:
    held, wanted = f"{cluster.base}.12", f"{cluster.base}.15"

    def both(address: str) -> dict[str, Any]:
        return {"web": web(address=address, share="k"), "tls": web(ports=["443"], address=address, share="k")}

    module.desire(both(held))
    for name in ("web", "tls"):
        module.until(name, "Pending", held)
    with Eye(module, "web") as one, Eye(module, "tls") as other:
        module.desire(both(wanted))
        for name in ("web", "tls"):
            module.until(name, "Pending", wanted)
    assert [one.addresses, other.addresses] == [[held, wanted]] * 2
    module.until_true(lambda: module.service("tls-claim") == {}, "the claim is gone")
    assert module.is_quiet()


def hide_under(cluster: Any, address: str, key: str, port: int, protocol: str) -> None:
    """Somebody whom the module may not see holds one port of the address, under a sharing key."""
    namespace = cluster.namespace()
    ports = [{"name": "one", "port": port, "protocol": protocol}]
    notes = {"metallb.universe.tf/allow-shared-ip": key}
    cluster.balancer(namespace, "half", {"loadBalancerIP": address, "ports": ports}, notes)
    cluster.wait_address(namespace, "half", address)


def is_refused(name: str, address: str) -> Callable[[ModuleBench], bool]:
    def check(module: ModuleBench) -> bool:
        found = module.twin.reported["exposures"][name]
        return (found["state"], found.get("address")) == ("Blocked", address) and "still at" in found["message"]

    return check


def test_a_pair_of_which_one_half_is_refused_goes_back_at_once(cluster, module) -> None:
    held, wanted = f"{cluster.base}.12", f"{cluster.base}.15"
    key = own_sharing_key(owner_id("hub.test", module.namespace), "dns")
    hide_under(cluster, wanted, key, 53, "UDP")
    module.desire({"dns": web(ports=["53/tcp", "53/udp"], address=held)})
    module.until("dns", "Pending", held)
    module.until_true(lambda: cluster.address(module.namespace, "dns-udp") == held, "both halves are there")
    with Eye(module, "dns") as eye:
        module.desire({"dns": web(ports=["53/tcp", "53/udp"], address=wanted)})
        module.until_true(lambda: wanted in eye.addresses, "one half moved")
        torn = time.monotonic()
        both = ("dns", "dns-udp")
        module.until_true(lambda: {cluster.address(module.namespace, name) for name in both} == {held}, "it went back")
        assert time.monotonic() - torn < 60  # 5.3 was seen beside two busy loops
    module.until_true(lambda: is_refused("dns", held)(module), "it is told, a moment later where it flapped")
    module.restart()
    module.until("dns", "Blocked", held)
    assert module.is_quiet()


def test_exposures_of_one_sharing_key_go_back_together_when_one_is_refused(cluster, module) -> None:
    held, wanted = f"{cluster.base}.12", f"{cluster.base}.15"

    def both(address: str) -> dict[str, Any]:
        return {"web": web(address=address, share="k"), "tls": web(ports=["443"], address=address, share="k")}

    hide_under(cluster, wanted, "k", 443, "TCP")
    module.desire(both(held))
    for name in ("web", "tls"):
        module.until(name, "Pending", held)
    module.desire(both(wanted))
    for name in ("web", "tls"):
        module.until_true(lambda name=name: is_refused(name, held)(module), f"{name} is at the address it had")
    assert [cluster.address(module.namespace, name) for name in ("web", "tls")] == [held, held]
    module.restart()
    for name in ("web", "tls"):
        module.until(name, "Blocked", held)
    assert module.is_quiet()


def test_a_claim_that_cannot_have_its_first_name_has_another(cluster, module) -> None:
    held, wanted = f"{cluster.base}.12", f"{cluster.base}.15"
    beside = {"web-claim": web(ports=["81:80"])}
    module.desire({"web": web(address=held), **beside})
    module.until("web", "Pending", held)
    with Eye(module, "web") as eye:
        module.desire({"web": web(address=wanted), **beside})
        module.until("web", "Pending", wanted)
    assert eye.addresses == [held, wanted]
    second = list(claim_names("web"))[1]
    module.until_true(lambda: module.service(second) == {}, "the claim is gone")
    assert module.is_quiet()


@pytest.mark.parametrize("more", [{}, {"share": "front"}, {"externalTrafficPolicy": "Local"}])
def test_a_pin_that_is_refused_has_touched_nothing(cluster, module, more) -> None:
    held, wanted = f"{cluster.base}.12", f"{cluster.base}.15"
    hide(cluster, wanted)
    module.desire({"web": web(address=held, **more)})
    module.until("web", "Pending", held)
    with Eye(module, "web") as eye:
        module.desire({"web": web(address=wanted, **more)})
        entry = module.until("web", "Blocked", held, "AddressTaken")
        module.until_true(lambda: module.service("web-claim") == {}, "the claim is gone")
        assert module.is_quiet()
    assert len(eye.versions) == 1, "the Service was not written once"
    assert "also in use by" in entry["message"], "the load balancer's own words"
    module.later(minutes=11)
    module.restart()
    with Eye(module, "web") as eye:
        module.until("web", "Blocked", held, "AddressTaken")
        assert module.is_quiet()
    assert len(eye.versions) == 1
    assert module.service("web-claim") == {}


def test_where_no_claim_can_be_made_the_last_address_comes_back(cluster, module) -> None:
    """Somebody has every name that a claim could have."""
    held, wanted = f"{cluster.base}.12", f"{cluster.base}.15"
    for name in claim_names("web"):
        body = {"metadata": {"name": name}, "spec": {"ports": [{"port": 9}]}}
        assert cluster.call("POST", cluster.services(module.namespace), body).status == 201
    hide(cluster, wanted)
    module.desire({"web": web(address=held)})
    module.until("web", "Pending", held)
    module.desire({"web": web(address=wanted)})
    module.until("web", "Blocked", held, "AddressTaken")
    assert cluster.address(module.namespace, "web") == held
    module.restart()
    with Eye(module, "web") as eye:
        module.until("web", "Blocked", held, "AddressTaken")
        assert module.is_quiet()
    assert eye.addresses == [held], "the refused address is not asked for again, nor after a restart"


def test_an_automatic_exposure_gets_the_next_address_when_the_first_is_refused(cluster, module) -> None:
    hide(cluster, f"{cluster.base}.10", "first")
    hide(cluster, f"{cluster.base}.11", "second")
    module.desire({"web": web()})
    module.until("web", "Pending", f"{cluster.base}.12")


BROKEN = {
    "overlap": [
        {"name": "p", "addresses": ["{base}.30-{base}.40"]},
        {"name": "q", "addresses": ["{base}.35-{base}.50"]},
    ],
    "one of them cannot be read": [{"name": "p", "addresses": ["{base}.30-{base}.40", "{base}.50"]}],
    "a name twice": [{"name": "p", "addresses": ["{base}.30/32"]}, {"name": "p", "addresses": ["{base}.31/32"]}],
    "no protocol": [{"name": "p", "addresses": ["{base}.30-{base}.40"], "protocol": None}],
    "held addresses left out": [{"name": "p", "addresses": ["{base}.30-{base}.40"]}],
}
ONLY_OLD = frozenset({"a name twice", "no protocol", "held addresses left out"})


def configure(cluster: Any, pools: list[dict[str, Any]]) -> None:
    filled = [{**pool, "addresses": [text.format(base=cluster.base) for text in pool["addresses"]]} for pool in pools]
    if cluster.profile == "1.20":
        layer2 = [{"protocol": "layer2", **pool} for pool in filled]
        text = yaml.safe_dump({"address-pools": [{k: v for k, v in p.items() if v} for p in layer2]})
        assert cluster.merge(CONFIG, {"data": {"config": text}}).status == 200
        return
    for pool in reversed(filled):  # one after the other: only the last one breaks a rule
        spec = {"addresses": pool["addresses"]}
        if cluster.merge(f"{POOLS}/{pool['name']}", {"spec": spec}).status == 404:
            body = {"apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool", "metadata": {"name": pool["name"]}}
            assert cluster.call("POST", POOLS, {**body, "spec": spec}).status == 201


@pytest.mark.parametrize("case", BROKEN)
def test_pools_that_the_load_balancer_rejects_are_not_believed(cluster, module, case) -> None:
    if case in ONLY_OLD and cluster.profile != "1.20":
        pytest.skip("only on 1.20: a ConfigMap alone can say this, or is refused for it")
    module.desire({"auto": web(), "pinned": web(ports=["82:80"], address=f"{cluster.base}.15")})
    module.until("pinned", "Pending", f"{cluster.base}.15")
    module.until("auto", "Pending", f"{cluster.base}.10")
    with Eye(module, "auto") as auto, Eye(module, "pinned") as pinned:
        configure(cluster, BROKEN[case])
        module.until_true(lambda: module.twin.reported["pool"].get("reason") == "PoolInvalid", "it is told")
        module.restart()
        module.run(4)
        assert module.is_quiet()
    assert (auto.addresses, pinned.addresses) == ([f"{cluster.base}.10"], [f"{cluster.base}.15"])
    assert module.twin.reported["pool"]["ranges"] == f"{cluster.base}.10-{cluster.base}.20"
    module.desire({"auto": web(), "pinned": web(ports=["82:80"], address=f"{cluster.base}.15"), "next": web()})
    module.until("next", "Pending", f"{cluster.base}.11")


def restricted(cluster: Any, **pools: dict[str, Any]) -> None:
    for name, spec in pools.items():
        body = {"apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool", "metadata": {"name": name}, "spec": spec}
        assert cluster.call("POST", POOLS, body).status == 201


def test_each_exposure_sees_only_the_pools_that_serve_it(cluster, module) -> None:
    if cluster.profile == "1.20":
        pytest.skip("only on 1.36: pools in a ConfigMap serve everybody")
    base, ns = cluster.base, module.namespace
    restricted(
        cluster,
        others={"addresses": [f"{base}.30/32"], "serviceAllocation": {"priority": 1, "namespaces": ["others"]}},
        last={"addresses": [f"{base}.31/32"], "serviceAllocation": {"priority": 9, "namespaces": [ns]}},
        mine={"addresses": [f"{base}.32/32"], "serviceAllocation": {"priority": 2, "namespaces": [ns]}},
        labelled={
            "addresses": [f"{base}.33/32"],
            "serviceAllocation": {"priority": 1, "serviceSelectors": [{"matchLabels": {"tier": "front"}}]},
        },
        byhand={"addresses": [f"{base}.34/32"], "autoAssign": False},
        team={
            "addresses": [f"{base}.35/32"],
            "serviceAllocation": {"priority": 3, "namespaceSelectors": [{"matchLabels": {"team": "blue"}}]},
        },
    )
    assert cluster.merge(f"/api/v1/namespaces/{ns}", {"metadata": {"labels": {"team": "blue"}}}).status == 200
    module.desire({"a": web(), "b": web(), "c": web(), "d": web()})
    for name, last in (("a", 32), ("b", 35), ("c", 31), ("d", 10)):
        module.until(name, "Pending", f"{base}.{last}")
    module.desire({"e": web(labels=["tier=front"]), "f": web(address=f"{base}.34"), "g": web(address=f"{base}.30")})
    module.until("e", "Pending", f"{base}.33")
    module.until("f", "Pending", f"{base}.34")
    entry = module.until("g", "Blocked", reason="PoolNotForService")
    assert "others" in entry["message"]
    assert module.service("g") == {}, "nothing was asked for"


def test_a_port_of_a_shared_address_that_is_refused_costs_neither_the_address_nor_the_ports_before(
    cluster, module
) -> None:
    held = f"{cluster.base}.12"

    def group(*ports: str) -> dict[str, Any]:
        return {"web": web(ports=list(ports), address=held, share="k"), "b": web(ports=["90"], address=held, share="k")}

    module.desire(group("80"))
    for name in ("web", "b"):
        module.until(name, "Pending", held)
    hide_under(cluster, held, "k", 81, "TCP")
    module.desire(group("80", "81"))
    entry = module.until("web", "Blocked", held, "PortTaken")
    assert entry["values"][0] == "81/tcp"
    assert 'port TCP/81 is already in use on "' in entry["message"], "the load balancer's own words"
    assert "it goes on in its previous form; still at" in entry["message"]
    assert (cluster.address(module.namespace, "web"), _ports(module, "web")) == (held, [80])
    assert module.is_quiet()
    module.restart()
    module.until("web", "Blocked", held, "PortTaken")
    assert module.is_quiet()
    module.desire(group("82"))
    module.until_true(lambda: _ports(module, "web") == [82], "another port")
    module.until("web", "Pending", held, "SelectorMatchesNothing")


def test_a_port_that_metallb_keeps_of_a_service_deleted_while_it_starts_costs_nothing(cluster, module) -> None:
    """Until it has taken in all Services that it finds, MetalLB 0.16 does not hear of one that is deleted."""
    if not cluster.real or cluster.profile != "1.36":
        pytest.skip("only on real 1.36: MetalLB 0.10.3 was not seen to do so, and the stand-in does not")
    held, others = f"{cluster.base}.12", cluster.namespace()
    notes = {"metallb.io/allow-shared-ip": "more"}
    for port in range(100, 120):  # so many that it takes a while
        ports = [{"name": "one", "port": port}]
        cluster.balancer(others, f"s{port}", {"loadBalancerIP": f"{cluster.base}.13", "ports": ports}, notes)

    def both() -> dict[str, Any]:
        return {name: web(ports=[port], address=held, share="k") for name, port in (("web", "80"), ("gone", "81"))}

    def delete() -> None:
        assert cluster.call("DELETE", f"{cluster.services(module.namespace)}/gone").status == 200

    def is_refused_81(round: int) -> bool:
        module.desire({"web": web(ports=["81"], address=held, share="k")})
        module.until_true(lambda: _ports(module, "web") == [81], "it asks for the port")
        # MetalLB takes one Service after the other: when this one has its address, the question before was answered.
        cluster.balancer(others, f"next-{round}")
        cluster.wait_address(others, f"next-{round}")
        return cluster.address(module.namespace, "web") != held

    try:
        for round in range(5):
            module.desire(both())
            for name in ("web", "gone"):
                module.until(name, "Pending", held, "SelectorMatchesNothing")
            cluster.restart_balancer(delete)
            if is_refused_81(round):
                break
        else:
            pytest.fail("MetalLB heard of the deletion five times out of five")
        module.until("web", "Blocked", held, "PortTaken")
        assert (cluster.address(module.namespace, "web"), _ports(module, "web")) == (held, [80])
        assert "no Service that this module sees has it" in module.exposure("web")["message"]
        assert module.is_quiet()
    finally:
        # It is a Service of this name that has the port: when another one comes and goes, it is forgotten.
        module.desire(both())
        module.until("gone", "Pending", held, "SelectorMatchesNothing")


def _ports(module: ModuleBench, name: str) -> list[int]:
    return [port["port"] for port in module.service(name)["spec"]["ports"]]
