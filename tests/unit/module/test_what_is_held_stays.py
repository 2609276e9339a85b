"""Wishes that cannot be granted, moves and replacements: what is held stays."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from edge_expose_module.cluster.api import SERVICES
from edge_expose_module.desired.rails.model import Guards
from support.bench import Bench
from support.exposed import addresses, bench_with, web
from support.fake_cluster import FakeCluster


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        pytest.param({"pool": "nope"}, "UnknownPool", id="a pool that is not there"),
        pytest.param({"pool": "nope", "address": "10.0.0.10"}, "UnknownPool", id="the same beside its own address"),
        pytest.param({"address": "10.0.0.99", "ports": [81]}, "AddressOutsideRange", id="an address outside"),
        pytest.param({"annotations": ["metallb.io/address-pool=x"]}, "InvalidExposure", id="a pool by annotation"),
        pytest.param(
            {"annotations": ["metallb.universe.tf/loadBalancerIPs=10.0.0.12"]},
            "InvalidExposure",
            id="an address by annotation",
        ),
        pytest.param({"labels": ["net.azure-devices.edge.deviceid=edge1"]}, "InvalidExposure", id="edgeAgent's label"),
        pytest.param({"labels": ["app.kubernetes.io/managed-by=me"]}, "InvalidExposure", id="whose it is"),
    ],
)
@pytest.mark.parametrize("keeps_disk", [True, False], ids=["known", "disk lost"])
def test_a_wish_that_cannot_be_granted_loses_nothing(wish: dict[str, Any], reason: str, keeps_disk: bool) -> None:
    bench = bench_with({"a": web(), "b": web()})
    before = addresses(bench)
    bench.restart(keep_disk=keeps_disk)
    bench.desire({"a": {**web(), **wish}, "b": web()})
    bench.run(5)
    assert bench.state("a") == ("Blocked", before["a"], reason)
    assert addresses(bench) == before
    bench.desire({"a": web(), "b": web()})
    bench.run()
    assert bench.state("a") == ("Ready", before["a"], None)


def test_a_port_that_a_sharing_group_has_is_refused_before_it_is_written() -> None:
    bench = bench_with({"a": web(80, share="k"), "b": web(81, share="k")})
    before = addresses(bench)
    bench.desire({"a": web(80, share="k"), "b": web(80, share="k")})
    bench.run(4)
    assert bench.state("b")[0] == "Blocked"
    assert addresses(bench) == before
    assert bench.cluster.services[("edge1", "b")]["spec"]["ports"][0]["port"] == 81, "the last good form goes on"


def test_drift_is_repaired_to_the_last_good_form_while_a_newer_one_is_blocked() -> None:
    bench = bench_with({"a": web()})
    bench.desire({"a": web(81, address="10.0.0.99")})
    bench.run()
    bench.cluster.services[("edge1", "a")]["spec"]["sessionAffinity"] = "ClientIP"
    bench.run()
    assert bench.cluster.services[("edge1", "a")]["spec"]["sessionAffinity"] == "None"
    assert bench.cluster.services[("edge1", "a")]["spec"]["ports"][0]["port"] == 80


def test_whoever_leaves_a_sharing_group_leaves_its_address_too() -> None:
    bench = bench_with({name: web(port, share="k") for port, name in enumerate("abc", 80)})
    group = bench.cluster.address_of("a")
    bench.desire({"a": web(80), "b": web(81, share="k"), "c": web(82, share="k")})
    bench.run(4)
    assert bench.cluster.address_of("b") == bench.cluster.address_of("c") == group
    assert bench.cluster.address_of("a") not in (None, group)
    # A load balancer that is slow: the leaver's Service still shows the group's address.
    bench.cluster.services[("edge1", "a")]["status"] = {"loadBalancer": {"ingress": [{"ip": group}]}}
    asked = {name: bench.cluster.services[("edge1", name)]["spec"]["loadBalancerIP"] for name in "abc"}
    bench.run(1)
    assert {name: bench.cluster.services[("edge1", name)]["spec"]["loadBalancerIP"] for name in "abc"} == asked


def test_an_exposure_named_like_the_udp_half_of_another_is_told_so_and_nothing_fights() -> None:
    bench = bench_with({"a": web("53/tcp", "53/udp"), "a-udp": web(80)})
    bench.run()
    assert bench.state("a")[0] == "Ready"
    assert bench.state("a-udp")[::2] == ("Blocked", "ServiceNameClash")
    version = bench.cluster.services[("edge1", "a-udp")]["metadata"]["resourceVersion"]
    bench.run(4)
    assert bench.cluster.services[("edge1", "a-udp")]["metadata"]["resourceVersion"] == version
    other = bench_with({"a-udp": web(80)})
    held = other.cluster.address_of("a-udp")
    other.desire({"a-udp": web(80), "a": web("53/tcp", "53/udp")})
    other.run()
    assert other.state("a-udp") == ("Ready", held, None), "who was there first keeps its name"
    assert other.state("a")[::2] == ("Blocked", "ServiceNameClash")


def test_fixed_addresses_change_places_in_one_edit() -> None:
    fixed = {"a": "10.0.0.10", "b": "10.0.0.11", "c": "10.0.0.12"}
    bench = bench_with({name: web(address=ip) for name, ip in fixed.items()})
    turned = dict(zip(fixed, ["10.0.0.11", "10.0.0.12", "10.0.0.10"], strict=True))
    bench.desire({name: web(address=ip) for name, ip in turned.items()})
    bench.run(5)
    bench.cluster.settle()  # as the touch does that follows after two seconds
    assert addresses(bench) == turned
    bench.desire({"a": web(address="10.0.0.12"), "b": web(address="10.0.0.12"), "c": web(address="10.0.0.10")})
    bench.run(5)
    assert addresses(bench) == turned, "no ring: nobody gives way"


def test_a_service_goes_only_when_the_namespace_it_is_to_move_to_is_there() -> None:
    bench = bench_with({"a": web()})
    before = addresses(bench)
    bench.desire({"a": web(namespace="edge-typo")})
    bench.run(4)
    assert addresses(bench) == before
    assert bench.state("a") == ("Failed", before["a"], "Rejected")
    bench.cluster.namespaces.add("other")
    bench.desire({"a": web(namespace="other")})
    bench.run(4)
    assert [(namespace, name) for namespace, name in bench.cluster.services] == [("other", "a")]
    assert bench.cluster.address_of("a", "other") == before["a"]


def test_a_service_goes_only_when_the_cluster_takes_the_one_that_replaces_it() -> None:
    bench = Bench(FakeCluster(families=("IPv4",), readable_pool=False))
    bench.cluster.add_pod("w", {"app": "ws"})
    bench.desire({"a": web(type="ClusterIP", ipFamilies=["IPv4"])})
    bench.run()
    uid = bench.cluster.services["edge1", "a"]["metadata"]["uid"]
    bench.desire({"a": web(type="ClusterIP", ipFamilies=["IPv6"])})
    bench.run(4)
    assert bench.cluster.services["edge1", "a"]["metadata"]["uid"] == uid
    assert bench.state("a")[2] == "Rejected"


def test_what_the_cluster_refused_is_not_the_form_that_stands_in_for_a_broken_one() -> None:
    bench = bench_with({"a": web()})
    bench.desire({"a": web(namespace="edge-typo")})
    bench.run()
    bench.desire({"a": {"ports": "nonsense"}})
    bench.run()
    bench.cluster.lose_services()
    bench.run()
    assert [(namespace, name) for namespace, name in bench.cluster.services] == [("edge1", "a")]


def test_a_service_that_the_guard_rails_forbid_by_now_is_left_alone_and_not_made_again() -> None:
    bench = bench_with({"a": web(81)})
    before = addresses(bench)
    bench.guards = Guards(ports=((80, 80),))
    bench.restart()
    bench.run()
    assert bench.state("a") == ("Blocked", before["a"], "OutsideRails")
    assert "port 81 is not among those this device allows: 80-80" in bench.exposure("a")["message"]
    bench.cluster.lose_services()
    bench.run()
    assert addresses(bench) == {}


def test_a_time_box_holds_although_a_later_edit_is_broken() -> None:
    bench = bench_with({"a": web(expires="2026-11-22T05:00:00Z")})
    bench.desire({"a": {"ports": "nonsense", "expires": "2026-11-22T05:00:00Z"}})
    bench.run()
    assert bench.state("a")[0] == "Blocked"
    bench.time += timedelta(hours=2)
    bench.run()
    assert bench.state("a")[0] == "Expired"
    assert addresses(bench) == {}


def test_a_site_with_a_field_of_a_newer_tool_is_remembered() -> None:
    bench = Bench(FakeCluster(readable_pool=False))
    bench.desire({"a": web()}, site={"externalServiceIPs": "10.0.0.15-10.0.0.16", "newer": 1})
    assert bench.run()["pool"]["size"] == 2
    bench.desire({"a": web()})
    assert bench.run()["pool"]["size"] == 2


def test_an_address_that_two_ranges_of_the_site_name_is_counted_once() -> None:
    bench = Bench(FakeCluster(readable_pool=False))
    site = {"externalServiceIPs": "10.0.0.10-10.0.0.20", "pools": {"dmz": ["10.0.0.18-10.0.0.20"]}}
    bench.desire({"a": web()}, site=site)
    pool = bench.run()["pool"]
    assert (pool["ranges"], pool["size"]) == ("10.0.0.10-10.0.0.20", 11)


def test_an_exposure_that_is_held_back_keeps_its_service_from_another_that_needs_its_name() -> None:
    bench = bench_with({name: web(80 + number) for number, name in enumerate(("a", "a-udp", "c", "d", "e"))})
    bench.desire({"a": web(80, "90/udp")})
    report = bench.run(4)
    assert report["pendingRemoval"]["count"] == 4
    labels = bench.cluster.services["edge1", "a-udp"]["metadata"]["labels"]
    assert labels["edge-expose.io/exposure"] == "a-udp"


@pytest.mark.parametrize(
    ("situation", "reason"),
    [("quota-of-services", "QuotaExceeded"), ("cluster-ip-range-full", "ClusterIPsExhausted")],
)
def test_a_service_that_must_be_made_anew_stays_where_no_new_one_would_be_made(situation: str, reason: str) -> None:
    bench = bench_with({"a": web()})
    before = bench.cluster.services[("edge1", "a")]["metadata"]["uid"], bench.cluster.address_of("a")
    bench.cluster.namespaces.add("elsewhere")
    values = {"quota": "few", "namespace": "elsewhere", "name": "a"}
    bench.cluster.refuse(situation, **values)
    bench.desire({"a": web(namespace="elsewhere")})
    bench.run(4)
    assert (bench.cluster.services[("edge1", "a")]["metadata"]["uid"], bench.cluster.address_of("a")) == before
    assert bench.state("a")[::2] == ("Blocked", reason)
    bench.cluster.allow()
    bench.run(4)
    assert ("elsewhere", "a") in bench.cluster.services, "by itself, once there is room"


def test_who_lost_its_service_while_it_asks_for_another_address_finds_its_own_again() -> None:
    """Deleted by hand, and pinned to what somebody out of sight holds: nobody else is given its place meanwhile."""
    bench = Bench()
    bench.desire({"a": web()})
    bench.run()
    assert bench.cluster.address_of("a") == "10.0.0.10"
    bench.cluster.metallb.hidden = {"10.0.0.17"}
    bench.cluster.delete(SERVICES, "edge1", "a", "")
    bench.desire({"a": web(address="10.0.0.17"), "b": web()})
    bench.run(passes=1)
    bench.later(seconds=3)
    bench.run(passes=6)
    assert bench.cluster.address_of("a") == "10.0.0.10"
    assert bench.cluster.address_of("b") == "10.0.0.11"
