"""Wishes that cannot be granted, hands that meddle, and documents that take much away: what is held stays."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from edge_expose_module.rails.model import Guards
from support.bench import Bench
from support.fake_cluster import FakeCluster


def web(*ports: Any, **more: Any) -> dict[str, Any]:
    return {"selector": ["app=ws"], "ports": list(ports) or [80], **more}


def bench_with(exposures: dict[str, Any]) -> Bench:
    bench = Bench()
    bench.cluster.add_pod("w", {"app": "ws"})
    bench.desire(exposures)
    bench.run()
    return bench


def addresses(bench: Bench) -> dict[str, str | None]:
    return {name: bench.cluster.address_of(name) for _, name in sorted(bench.cluster.services)}


# --- the brake ---


def test_a_bulk_rename_does_not_open_the_brake() -> None:
    bench = bench_with({f"r{n}": web() for n in range(4)})
    before = addresses(bench)
    bench.desire({f"s{n}": web() for n in range(4)})
    report = bench.run(6)
    assert {name: ip for name, ip in addresses(bench).items() if name.startswith("r")} == before
    assert report["lastDesiredStatus"]["code"] == 406
    bench.restart()
    assert bench.run(4)["pendingRemoval"]["count"] == 4
    assert bench.state("r0") == ("Ready", before["r0"], "RemovalHeldBack")
    bench.desire({f"s{n}": web() for n in range(4)}, confirmRemoval=report["pendingRemoval"]["token"])
    bench.run()
    assert set(addresses(bench)) == {f"s{n}" for n in range(4)}


def test_one_token_releases_one_removal() -> None:
    many = {f"r{n}": web() for n in range(6)}
    bench = bench_with(many)
    bench.desire({"r0": web()})
    token = bench.run()["pendingRemoval"]["token"]
    bench.desire({"r0": web()}, confirmRemoval=token)
    bench.run()
    assert set(addresses(bench)) == {"r0"}
    bench.desire(many, confirmRemoval=token)
    bench.run()
    assert len(addresses(bench)) == 6
    bench.desire({"r0": web()}, confirmRemoval=token)
    assert bench.run(6)["pendingRemoval"]["token"] != token
    assert len(addresses(bench)) == 6


@pytest.mark.parametrize("door", ["twin", "method"])
def test_a_confirmation_that_comes_too_late_releases_no_later_removal(door: str) -> None:
    many = {f"r{n}": web() for n in range(6)}
    bench = bench_with(many)
    bench.desire({"r0": web()})
    token = bench.run()["pendingRemoval"]["token"]
    late = {"confirmRemoval": token} if door == "twin" else {}
    bench.desire(many, **late)
    if door == "method":
        bench.controller.confirm(token)
    assert "pendingRemoval" not in bench.run()
    bench.restart()
    bench.desire({"r0": web()}, **late)
    report = bench.run()
    assert report["pendingRemoval"]["token"] != token
    assert len(addresses(bench)) == 6
    bench.restart()
    assert bench.run()["pendingRemoval"] == report["pendingRemoval"], "the new one survives a restart"
    bench.controller.confirm(report["pendingRemoval"]["token"])
    bench.run()
    assert len(addresses(bench)) == 1


# --- what `site` says later of an address that is held ---

ALL_RESERVED = {f"r{n}": f"10.0.0.{n}" for n in range(10, 21)}


@pytest.mark.parametrize("readable", [True, False])
@pytest.mark.parametrize("pin", [{}, {"address": "10.0.0.10"}])
@pytest.mark.parametrize("reserved", [ALL_RESERVED, {"printer": "10.0.0.10"}])
def test_an_address_that_is_held_stays_when_site_reserves_it(
    readable: bool, pin: dict[str, Any], reserved: dict[str, str]
) -> None:
    bench = Bench(FakeCluster(readable_pool=readable))
    bench.cluster.add_pod("w", {"app": "ws"})
    site: dict[str, Any] = {"externalServiceIPs": "10.0.0.10-10.0.0.20"}
    bench.desire({"a": web(**pin)}, site=site)
    bench.run()
    bench.desire({"a": web(**pin), "b": web()}, site={**site, "reserved": reserved})
    bench.run()
    assert bench.state("a") == ("Ready", "10.0.0.10", None)
    assert bench.state("b")[:2] == (("Blocked", None) if reserved is ALL_RESERVED else ("Ready", "10.0.0.11"))
    warned = [text for text in bench.twin.reported["warnings"] if text.startswith("exposure a holds 10.0.0.10")]
    assert len(warned) == 1
    assert f"reserves for {'r10' if reserved is ALL_RESERVED else 'printer'}" in warned[0]
    del bench.cluster.services["edge1", "a"]
    bench.restart()
    bench.run()
    assert bench.state("a") == ("Ready", "10.0.0.10", None), "not lost with its Service either"


def test_an_address_that_nobody_holds_any_more_goes_to_whom_site_reserves_it_for() -> None:
    bench = Bench(FakeCluster())
    bench.cluster.add_pod("w", {"app": "ws"})
    bench.desire({"a": web()})
    bench.run()
    bench.desire({"a": web(enabled=False)})
    bench.run()
    bench.desire({"a": web()}, site={"reserved": {"printer": "10.0.0.10"}, "externalServiceIPs": "10.0.0.10-10.0.0.20"})
    bench.run()
    assert bench.state("a") == ("Ready", "10.0.0.11", None)


def test_a_node_address_of_the_site_moves_nothing_that_the_pool_gave() -> None:
    bench = Bench(FakeCluster())
    bench.cluster.add_pod("w", {"app": "ws"})
    bench.desire({"a": web()})
    bench.run()
    bench.desire({"a": web(), "b": web()}, site={"nodeIPs": "10.0.0.10-10.0.0.11"})
    bench.run()
    assert [bench.state(name)[:2] for name in ("a", "b")] == [("Ready", "10.0.0.10"), ("Ready", "10.0.0.12")]
    assert "counts among the node IPs" in " ".join(bench.twin.reported["warnings"])


# --- wishes that cannot be granted ---


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


# --- hands that meddle ---


@pytest.mark.parametrize(
    ("metadata", "spec"),
    [
        pytest.param({"annotations": {"metallb.io/address-pool": "nope"}}, {}, id="a pool by annotation"),
        pytest.param({}, {"loadBalancerIP": "10.0.0.14"}, id="another free address"),
        pytest.param({"labels": {"net.azure-devices.edge.deviceid": "edge1"}}, {}, id="edgeAgent's label"),
    ],
)
def test_what_a_hand_wrote_is_taken_back_and_the_address_is_the_same(
    metadata: dict[str, Any], spec: dict[str, Any]
) -> None:
    bench = bench_with({"a": web(), "b": web()})
    before = addresses(bench)
    for _ in range(3):
        service = bench.cluster.services[("edge1", "b")]
        for part, values in metadata.items():
            service["metadata"].setdefault(part, {}).update(values)
        service["spec"].update(spec)
        bench.cluster.settle()
        bench.run(4)
        assert addresses(bench) == before
    service = bench.cluster.services[("edge1", "b")]
    assert "net.azure-devices.edge.deviceid" not in service["metadata"]["labels"]
    assert "metallb.io/address-pool" not in service["metadata"]["annotations"]


# --- exposures that rest ---


def test_a_disabled_exposure_finds_its_address_again_while_others_are_free() -> None:
    bench = bench_with({"a": web(), "b": web()})
    before = addresses(bench)
    bench.desire({"a": web(enabled=False), "b": web(), "c": web()})
    bench.run()
    assert addresses(bench)["c"] not in before.values()
    bench.desire({"a": web(), "b": web(), "c": web()})
    bench.run()
    assert addresses(bench)["a"] == before["a"]


def test_the_address_of_a_disabled_exposure_is_given_when_there_is_no_other() -> None:
    names = [f"e{number:02}" for number in range(11)]
    bench = bench_with({name: web() for name in names})
    assert all(addresses(bench).values()), "as many as the range has"
    bench.desire({name: web(enabled=name != "e00") for name in names} | {"late": web()})
    bench.run()
    assert bench.state("late")[0] == "Ready"


def test_an_address_that_a_disabled_exposure_pins_is_chosen_last() -> None:
    bench = bench_with({"first": web()})
    lowest = addresses(bench)["first"]
    bench.desire({"pinned": web(enabled=False, address=lowest), "new": web()})
    bench.run()
    assert addresses(bench)["new"] != lowest


# --- moves and replacements ---


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


# --- what the device's owner allows, and says ---


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


# --- others that ask, copy and relabel ---


def lb(**spec: Any) -> dict[str, Any]:
    return {"type": "LoadBalancer", "ports": [{"port": 7000, "protocol": "TCP"}], **spec}


@pytest.mark.parametrize("pinned", [False, True])
def test_who_only_asks_for_an_address_does_not_get_it_from_who_holds_it(pinned: bool) -> None:
    bench = bench_with({"a": web(), "b": web(**({"address": "10.0.0.15"} if pinned else {}))})
    before = addresses(bench)
    bench.cluster.add_service("squat", lb(loadBalancerIP=before["b"]), namespace="default")
    bench.run(6)
    assert {name: bench.cluster.address_of(name) for name in before} == before
    assert bench.state("b") == ("Ready", before["b"], None)


def test_an_address_that_another_waits_for_is_not_chosen() -> None:
    bench = bench_with({"a": web()})
    bench.cluster.add_service("other", lb(loadBalancerIP="10.0.0.10"), namespace="default")
    bench.cluster.hidden.add("10.0.0.11")
    bench.cluster.add_service("waits", lb(loadBalancerIP="10.0.0.11"), namespace="default")
    bench.desire({"a": web(), "b": web()})
    bench.run()
    assert bench.cluster.address_of("b") == "10.0.0.12"


def test_a_service_that_was_relabelled_is_labelled_again_and_nothing_moves() -> None:
    bench = bench_with({"a": web(), "b": web()})
    before = addresses(bench)
    bench.cluster.services["edge1", "a"]["metadata"]["labels"]["edge-expose.io/exposure"] = "b"
    bench.run(4)
    assert addresses(bench) == before
    assert bench.cluster.services["edge1", "a"]["metadata"]["labels"]["edge-expose.io/exposure"] == "a"


def test_a_copy_of_our_service_goes_and_takes_no_address_along() -> None:
    bench = bench_with({"web": web()})
    before = addresses(bench)
    copied = bench.cluster.services["edge1", "web"]
    spec = {"type": "LoadBalancer", "ports": [{"port": 80, "protocol": "TCP"}]}
    notes = {key: value for key, value in copied["metadata"]["annotations"].items() if "loadBalancerIPs" not in key}
    bench.cluster.add_service("a-copy", spec, labels=dict(copied["metadata"]["labels"]), annotations=notes)
    assert bench.cluster.address_of("a-copy") != before["web"]
    bench.run(4)
    assert addresses(bench) == before


def test_a_service_that_lost_a_label_of_ours_can_be_taken_over_again() -> None:
    bench = bench_with({"a": web()})
    before = addresses(bench)
    bench.cluster.services["edge1", "a"]["metadata"]["labels"]["app.kubernetes.io/managed-by"] = "Helm"
    report = bench.run()
    assert report["exposures"]["a"]["reason"] == "ForeignService"
    assert "was ours" in report["exposures"]["a"]["message"]
    bench.desire({"a": web(adopt=True)})
    bench.run()
    assert bench.state("a") == ("Ready", before["a"], None)


# --- a pool that comes and goes ---

STALE = {"externalServiceIPs": "10.0.0.100-10.0.0.110"}


def test_a_pool_that_may_not_be_read_for_a_while_costs_no_address() -> None:
    bench = bench_with({"a": web()})
    bench.desire({"a": web()}, site=STALE)
    bench.run()
    before = addresses(bench)
    bench.cluster.readable_pool = False
    bench.desire({"a": web(), "b": web()}, site=STALE)
    bench.run(4)
    assert addresses(bench) == {**before, "b": "10.0.0.11"}


@pytest.mark.parametrize("restarted", [False, True])
def test_a_pool_that_is_broken_costs_no_address_and_a_stale_site_gives_none(restarted: bool) -> None:
    bench = bench_with({"a": web()})
    bench.desire({"a": web()}, site=STALE)
    bench.run()
    before = addresses(bench)
    bench.cluster.broken_pools = ["10.0.0.200-10.0.0.x"]
    if restarted:
        bench.restart()
    bench.desire({"a": web(), "b": web()}, site=STALE)
    report = bench.run(4)
    assert report["pool"]["reason"] == "PoolInvalid"
    assert addresses(bench) == {**before, "b": "10.0.0.11"}


def test_what_the_load_balancer_says_of_a_service_counts_more_than_its_broken_configuration() -> None:
    bench = bench_with({"a": web()})
    bench.cluster.hidden = {"10.0.0.15"}
    bench.cluster.broken_pools = ["10.0.0.200-10.0.0.x"]
    bench.desire({"a": web(), "b": web(address="10.0.0.15")})
    report = bench.run(4)
    assert report["pool"]["reason"] == "PoolInvalid"
    assert bench.state("b") == ("Blocked", None, "AddressTaken")
    assert bench.exposure("b")["message"].startswith("MetalLB: ")
    bench.cluster.events.clear()
    bench.run()
    assert bench.state("b")[2] == "PoolInvalid", "of a silent one that is what is known"


def test_an_address_that_the_pool_got_back_is_given_back() -> None:
    bench = bench_with({name: web() for name in "abc"})
    before = addresses(bench)
    bench.cluster.set_pool("10.0.0.10-10.0.0.11")
    bench.run(3)
    assert bench.state("c")[0] == "Blocked"
    bench.cluster.set_pool("10.0.0.10-10.0.0.20")
    bench.run(3)
    assert addresses(bench) == before


def test_no_pool_is_told_apart_from_a_full_one() -> None:
    bench = bench_with({"a": web()})
    bench.cluster.set_pool([])
    assert bench.run(3)["exposures"]["a"]["reason"] == "NoPool"


# --- a start without the cluster ---


def test_a_start_while_the_cluster_is_away_leaves_the_last_word_in_the_twin_and_with_it_the_addresses() -> None:
    bench = bench_with({"z": web()})
    bench.desire({"z": web(), "a": web()})
    before, reported = (bench.run()["exposures"], addresses(bench))
    bench.cluster.down = True
    bench.restart(keep_disk=False)
    report = bench.run(2)
    assert report["lastDesiredStatus"]["code"] == 500
    assert report["exposures"] == before
    assert report["summary"]["ready"] == 2
    bench.restart(keep_disk=False)
    bench.cluster.lose_services()
    bench.cluster.down = False
    bench.run()
    assert addresses(bench) == reported


# --- removals and names ---


def test_times_that_had_passed_when_they_were_written_are_a_removal() -> None:
    names = [f"e{number}" for number in range(4)]
    bench = bench_with({name: web() for name in names})
    before = addresses(bench)
    bench.desire({name: web(expires="2025-11-22T18:00:00Z") for name in names})
    report = bench.run(4)
    assert report["lastDesiredStatus"]["code"] == 406
    assert addresses(bench) == before


def test_times_that_come_are_no_removal() -> None:
    names = [f"e{number}" for number in range(4)]
    bench = bench_with({name: web(expires="2026-11-22T05:00:00Z") for name in names})
    bench.time += timedelta(hours=2)
    bench.run()
    assert addresses(bench) == {}


def test_an_exposure_never_takes_the_name_of_the_module_it_leads_to() -> None:
    bench = Bench()
    bench.desire({"webserver": {"module": "webserver", "ports": [80]}})
    bench.run()
    assert bench.state("webserver")[2] == "ModuleName"
    assert addresses(bench) == {}


def test_an_exposure_beyond_the_ports_of_a_document_costs_none_that_stands() -> None:
    """`a` comes before them all by name, and grows afterwards: neither takes the room of what stands."""
    bench = bench_with({f"e{number}": web("1-900") for number in range(5)})
    held = addresses(bench)
    bench.desire({"a": web("1-501"), **{f"e{number}": web("1-900") for number in range(5)}})
    bench.run()
    assert bench.state("a") == ("Blocked", None, "TooManyPorts")
    assert "501 ports are too many beside the 4500 of the other exposures" in bench.exposure("a")["message"]
    bench.desire({"a": web("1-500"), **{f"e{number}": web("1-900") for number in range(4)}, "e4": web("1-901")})
    bench.run()
    assert bench.state("a")[0] == "Blocked"
    assert {name: address for name, address in addresses(bench).items() if name != "a"} == held
    bench.desire({"a": web("1-500"), **{f"e{number}": web("1-900") for number in range(5)}})
    bench.run()
    assert bench.state("a")[0] == "Ready"


# --- refusals of the API server ---


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
