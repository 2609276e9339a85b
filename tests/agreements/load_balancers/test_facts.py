"""How the other real load balancers behave: what the module's code for them may rely on. No module of ours here."""

from __future__ import annotations

import pytest

from support.testbed_balanced import BalancedCluster
from support.testbed_cilium import CONDITION, pool
from support.testbed_load_balancers import CILIUM
from support.testbed_service_controller import FINALIZER
from support.waiting import eventually

KEY = "io.cilium/lb-ipam-sharing-key"
IPS = "io.cilium/lb-ipam-ips"


# -- alike ----------------------------------------------------------------------------------------------------


def test_a_requested_address_is_given_and_a_changed_request_moves_it(cluster: BalancedCluster) -> None:
    ns = cluster.namespace()
    cluster.balance(ns, "one", cluster.ip(15))
    cluster.wait_address(ns, "one", cluster.ip(15))
    cluster.ask(ns, "one", cluster.ip(16))
    cluster.wait_address(ns, "one", cluster.ip(16))
    cluster.balance(ns, "two", cluster.ip(15))
    cluster.wait_address(ns, "two", cluster.ip(15))


def test_a_taken_address_is_given_once_its_holder_is_gone(cluster: BalancedCluster) -> None:
    ns = cluster.namespace()
    cluster.balance(ns, "holder", cluster.ip(12))
    cluster.wait_address(ns, "holder", cluster.ip(12))
    cluster.balance(ns, "waiting", cluster.ip(12))
    _wait_refused(cluster, ns, "waiting")
    assert not cluster.address(ns, "waiting")
    cluster.delete(ns, "holder")
    cluster.wait_address(ns, "waiting", cluster.ip(12))


def test_who_has_an_address_keeps_it_through_a_power_cut(cluster: BalancedCluster) -> None:
    ns = cluster.namespace()
    for number in (10, 11, 12):
        cluster.balance(ns, f"n{number}", cluster.ip(number))
        cluster.wait_address(ns, f"n{number}", cluster.ip(number))
    for number in (11, 12):
        cluster.ask(ns, f"n{number}", "")  # held, and no longer asked for
    cluster.delete(ns, "n10")
    eventually(lambda: not cluster.service(ns, "n10"), what="n10 is gone")
    cluster.restart()
    cluster.balance(ns, "later")
    lowest = cluster.wait_address(ns, "later")
    assert {name: cluster.address(ns, name) for name in ("n11", "n12")} == {
        "n11": cluster.ip(11),
        "n12": cluster.ip(12),
    }
    assert lowest not in (cluster.ip(11), cluster.ip(12))


def test_requests_changed_while_it_was_away_are_honoured(cluster: BalancedCluster) -> None:
    ns = cluster.namespace()
    cluster.balance(ns, "one", cluster.ip(15))
    cluster.wait_address(ns, "one", cluster.ip(15))
    cluster.real.balancer.kill()
    cluster.ask(ns, "one", cluster.ip(16))
    cluster.real.balancer.start()
    cluster.wait_address(ns, "one", cluster.ip(16))


def test_another_type_gives_the_address_back(cluster: BalancedCluster) -> None:
    ns = cluster.namespace()
    cluster.balance(ns, "one", cluster.ip(15))
    cluster.wait_address(ns, "one", cluster.ip(15))
    before = cluster.cilium.log_size() if cluster.load_balancer == CILIUM else 0
    cluster.api.merge(f"{cluster.services(ns)}/one", {"spec": {"type": "ClusterIP", "loadBalancerIP": None}})
    cluster.balance(ns, "two", cluster.ip(15))
    cluster.wait_address(ns, "two", cluster.ip(15))

    def left() -> bool:
        return cluster.load_balancer == CILIUM and cluster.cilium.left_a_status(before)

    eventually(lambda: left() or not cluster.address(ns, "one"), what="its status is cleared, or known to stay")
    if left():
        return
    found = cluster.service(ns, "one")
    assert FINALIZER not in (found["metadata"].get("finalizers") or [])
    assert not [one for one in found["status"].get("conditions") or [] if one["type"] == CONDITION]


def _wait_refused(cluster: BalancedCluster, ns: str, name: str) -> None:
    if cluster.load_balancer == "cilium":
        cluster.condition(ns, name, "False")
    else:
        cluster.event(ns, name, "SyncLoadBalancerFailed")


# -- Cilium ---------------------------------------------------------------------------------------------------


def test_cilium_takes_the_held_address_away_with_a_refused_change(cilium: BalancedCluster) -> None:
    ns = cilium.namespace()
    cilium.balance(ns, "one", cilium.ip(15))
    cilium.wait_address(ns, "one", cilium.ip(15))
    cilium.ask(ns, "one", cilium.ip(99))
    cilium.condition(ns, "one", "False")
    assert not cilium.addresses(ns, "one")
    cilium.balance(ns, "two", cilium.ip(15))
    cilium.wait_address(ns, "two", cilium.ip(15))
    cilium.ask(ns, "one", cilium.ip(15))
    cilium.condition(ns, "one", "False", "already_allocated")


def test_cilium_writes_no_events(cilium: BalancedCluster) -> None:
    ns = cilium.namespace()
    cilium.balance(ns, "one", cilium.ip(15))
    cilium.condition(ns, "one", "True")
    cilium.ask(ns, "one", cilium.ip(99))
    cilium.condition(ns, "one", "False")
    assert cilium.events(ns, "one") == []


def test_cilium_chooses_the_first_address_of_the_smallest_gap(cilium: BalancedCluster) -> None:
    ns = cilium.namespace()
    for number in (13, 15):
        cilium.balance(ns, f"held{number}", cilium.ip(number))
        cilium.wait_address(ns, f"held{number}", cilium.ip(number))
    chosen = []
    for name in ("a", "b", "c", "d", "e"):
        cilium.balance(ns, name)
        chosen.append(cilium.wait_address(ns, name))
    assert chosen == [cilium.ip(number) for number in (14, 10, 11, 12, 16)]


def test_cilium_gives_both_when_field_and_annotation_ask(cilium: BalancedCluster) -> None:
    ns = cilium.namespace()
    cilium.balance(ns, "by-annotation", annotations={IPS: cilium.ip(17)})
    cilium.wait_address(ns, "by-annotation", cilium.ip(17))
    cilium.balance(ns, "by-both", cilium.ip(12), annotations={IPS: cilium.ip(13)})
    eventually(lambda: len(cilium.addresses(ns, "by-both")) == 2, what="two addresses")
    assert set(cilium.addresses(ns, "by-both")) == {cilium.ip(12), cilium.ip(13)}
    cilium.balance(ns, "by-list", annotations={IPS: f"{cilium.ip(18)}, {cilium.ip(19)}"})
    eventually(lambda: set(cilium.addresses(ns, "by-list")) == {cilium.ip(18), cilium.ip(19)}, what="both")


def test_cilium_gives_any_address_when_what_is_asked_for_is_none(cilium: BalancedCluster) -> None:
    ns = cilium.namespace()
    cilium.balance(ns, "one", annotations={IPS: "nonsense"})
    assert cilium.wait_address(ns, "one") == cilium.ip(10)
    assert cilium.condition(ns, "one", "True")["reason"] == "satisfied"


def test_cilium_shares_by_the_key_alone_and_not_on_one_port_number(cilium: BalancedCluster) -> None:
    ns = cilium.namespace()
    cilium.balance(ns, "one", annotations={KEY: "k"})
    first = cilium.wait_address(ns, "one")
    cilium.balance(ns, "two", port=9090, protocol="UDP", annotations={KEY: "k"})
    assert cilium.wait_address(ns, "two") == first
    # This release compares port numbers without the protocol.
    cilium.balance(ns, "three", port=8080, protocol="UDP", annotations={KEY: "k"})
    assert cilium.wait_address(ns, "three") != first
    other = cilium.namespace()
    cilium.balance(other, "four", port=7070, annotations={KEY: "k"})
    assert cilium.wait_address(other, "four") not in ("", first)


def test_cilium_moves_holders_out_of_a_pool_that_shrinks(cilium: BalancedCluster) -> None:
    ns = cilium.namespace()
    cilium.balance(ns, "asked", cilium.ip(12))
    cilium.balance(ns, "chosen")
    cilium.wait_address(ns, "asked", cilium.ip(12))
    cilium.wait_address(ns, "chosen")
    cilium.real.balancer.set_pool(cilium.range(15, 20))
    cilium.wait_address(ns, "chosen", cilium.ip(15))
    eventually(lambda: not cilium.address(ns, "asked"), what="the asked one is lost")
    cilium.real.balancer.set_pool(cilium.range(10, 20))
    cilium.wait_address(ns, "asked", cilium.ip(12))


def test_cilium_says_nothing_while_there_is_no_pool(cilium: BalancedCluster) -> None:
    ns = cilium.namespace()
    cilium.balance(ns, "held", cilium.ip(12))
    cilium.wait_address(ns, "held", cilium.ip(12))
    cilium.cilium.delete_pool("p")
    cilium.condition(ns, "held", "False", "no_pool")
    assert not cilium.address(ns, "held")
    cilium.balance(ns, "one")
    cilium.real.balancer.kill()
    cilium.real.balancer.start()
    assert not cilium.service(ns, "one")["status"].get("conditions")
    cilium.real.balancer.set_pool(cilium.range(10, 20))
    cilium.wait_address(ns, "held", cilium.ip(12))
    cilium.wait_address(ns, "one")


def test_cilium_keeps_what_is_held_in_a_disabled_pool(cilium: BalancedCluster) -> None:
    ns = cilium.namespace()
    cilium.balance(ns, "held", cilium.ip(12))
    cilium.wait_address(ns, "held", cilium.ip(12))
    cilium.cilium.put_pool(pool("p", cilium.range(10, 20), disabled=True))
    cilium.until_refused(ns)
    cilium.balance(ns, "one")
    cilium.condition(ns, "one", "False")
    assert cilium.address(ns, "held") == cilium.ip(12)


def test_cilium_marks_the_newer_of_two_overlapping_pools(cilium: BalancedCluster) -> None:
    cilium.cilium.put_pool(pool("q", cilium.range(18, 25)))

    def conflict() -> dict[str, str] | None:
        found = cilium.api.get("/apis/cilium.io/v2alpha1/ciliumloadbalancerippools/q")
        conditions = (found.get("status") or {}).get("conditions") or []
        return next((c for c in conditions if (c["type"], c["status"]) == ("cilium.io/PoolConflict", "True")), None)

    found = eventually(conflict, what="the conflict")
    assert found is not None
    assert found["reason"] == "cidr_overlap"
    assert cilium.ip(18) in found["message"]


def test_cilium_leaves_other_classes_alone(cilium: BalancedCluster) -> None:
    if cilium.profile != "1.36":
        pytest.skip("only on 1.36: the older API drops the class")
    ns = cilium.namespace()
    spec = {"type": "LoadBalancer", "loadBalancerClass": "example.com/other", "ports": [{"port": 8080}]}
    cilium.api.create(cilium.services(ns), {"metadata": {"name": "other"}, "spec": spec})
    cilium.balance(ns, "one")
    cilium.condition(ns, "one", "True")
    assert not cilium.service(ns, "other")["status"].get("conditions")
    assert not cilium.address(ns, "other")


# -- the service controller -----------------------------------------------------------------------------------


def test_the_service_controller_keeps_the_held_address_through_a_refused_change(
    service_controller: BalancedCluster,
) -> None:
    cluster = service_controller
    ns = cluster.namespace()
    cluster.balance(ns, "one", cluster.ip(15))
    cluster.wait_address(ns, "one", cluster.ip(15))
    cluster.ask(ns, "one", cluster.ip(99))
    cluster.event(ns, "one", "SyncLoadBalancerFailed", cluster.ip(99))
    assert cluster.address(ns, "one") == cluster.ip(15)
    cluster.balance(ns, "two", cluster.ip(15))
    cluster.event(ns, "two", "SyncLoadBalancerFailed", "already in use")
    assert cluster.address(ns, "one") == cluster.ip(15)
    cluster.ask(ns, "one", cluster.ip(16))
    cluster.wait_address(ns, "one", cluster.ip(16))


def test_the_service_controller_chooses_the_lowest_free_address(service_controller: BalancedCluster) -> None:
    cluster = service_controller
    ns = cluster.namespace()
    cluster.balance(ns, "held", cluster.ip(11))
    cluster.wait_address(ns, "held")
    chosen = []
    for name in ("a", "b"):
        cluster.balance(ns, name)
        chosen.append(cluster.wait_address(ns, name))
    assert chosen == [cluster.ip(10), cluster.ip(12)]


def test_a_deleted_service_holds_its_address_while_the_service_controller_is_away(
    service_controller: BalancedCluster,
) -> None:
    cluster = service_controller
    ns = cluster.namespace()
    cluster.balance(ns, "one", cluster.ip(15))
    cluster.wait_address(ns, "one", cluster.ip(15))
    assert cluster.service(ns, "one")["metadata"]["finalizers"] == [FINALIZER]
    cluster.real.balancer.kill()
    cluster.delete(ns, "one")
    left = cluster.service(ns, "one")
    assert left["metadata"]["deletionTimestamp"]
    assert cluster.address(ns, "one") == cluster.ip(15)
    cluster.balance(ns, "two", cluster.ip(15))
    cluster.real.balancer.start()
    eventually(lambda: not cluster.service(ns, "one"), what="the finalizer is taken off")
    cluster.wait_address(ns, "two", cluster.ip(15))
