"""Trouble as people meet it, made on purpose: what the report then says, and that the cure of the page cures it.

The page is docs/operations/troubleshooting.md; what other tests make already is not made again here.
"""

from __future__ import annotations

from typing import Any

from support.bench import Bench
from support.exposed import addresses, bench_with, web
from support.fake_cluster import FakeCluster

FOREIGN: dict[str, Any] = {"type": "LoadBalancer", "ports": [{"port": 80, "protocol": "TCP"}]}


def test_an_address_that_somebody_took_while_our_service_was_gone_names_them_and_comes_back() -> None:
    bench = bench_with({"a": web()})
    held = addresses(bench)["a"]
    bench.cluster.lose_services()
    bench.cluster.add_service("quicker", FOREIGN, "default")
    assert bench.cluster.address_of("quicker", "default") == held
    bench.run()
    moved = bench.exposure("a")
    assert moved["state"] == "Ready"
    assert moved["address"] != held, "a chosen address is replaced"

    bench = bench_with({"a": web(address=held)})
    bench.cluster.lose_services()
    bench.cluster.add_service("quicker", {**FOREIGN, "loadBalancerIP": held}, "default")
    bench.run()
    assert bench.state("a")[::2] == ("Blocked", "AddressTaken"), "a fixed one is waited for"
    assert "default/quicker" in bench.exposure("a")["message"]
    bench.cluster.services.clear()
    bench.run()
    assert bench.state("a") == ("Ready", held, None)


def test_an_exposure_whose_pods_are_elsewhere_is_pending_until_they_come() -> None:
    bench = Bench()
    bench.desire({"a": web()})
    bench.run()
    assert bench.state("a") == ("Pending", "10.0.0.10", "SelectorMatchesNothing")
    bench.cluster.add_pod("w", {"app": "ws"}, "default")
    bench.run()
    assert bench.state("a")[2] == "SelectorMatchesNothing", "pods of another namespace do not count"
    bench.cluster.add_pod("w", {"app": "ws"})
    bench.run()
    assert bench.state("a") == ("Ready", "10.0.0.10", None)


def test_an_address_that_no_node_announces_is_ready_with_a_reason() -> None:
    bench = bench_with({"a": web()})
    assert bench.state("a") == ("Ready", "10.0.0.10", None)
    bench.cluster.advertised = False
    bench.run()
    assert bench.state("a") == ("Ready", "10.0.0.10", "NotAnnounced")
    bench.cluster.advertised = True
    bench.run()
    assert bench.state("a") == ("Ready", "10.0.0.10", None)


def test_a_document_of_an_unknown_version_is_answered_412_and_what_runs_goes_on() -> None:
    bench = bench_with({"a": web()})
    bench.twin.set_desired({"schemaVersion": "2.0", "exposures": {}})
    report = bench.run()
    assert report["lastDesiredStatus"]["code"] == 412
    assert bench.state("a") == ("Ready", "10.0.0.10", None)
    bench.desire({"a": web()})
    assert bench.run()["lastDesiredStatus"]["code"] == 200


def test_a_full_pool_blocks_who_comes_last_until_it_grows() -> None:
    bench = Bench(FakeCluster("10.0.0.10-10.0.0.11"))
    bench.cluster.add_pod("w", {"app": "ws"})
    bench.desire({"a": web(), "b": web()})
    bench.run()
    bench.desire({"a": web(), "b": web(), "c": web()})
    report = bench.run()
    assert bench.state("c") == ("Blocked", None, "PoolExhausted")
    assert report["pool"]["free"] == 0
    bench.cluster.set_pool("10.0.0.10-10.0.0.12")
    bench.run()
    assert bench.state("c") == ("Ready", "10.0.0.12", None)


def test_a_range_that_moved_away_blocks_what_is_fixed_and_moves_what_was_chosen() -> None:
    bench = bench_with({"fixed": web(address="10.0.0.15"), "chosen": web()})
    bench.cluster.set_pool("10.0.9.10-10.0.9.20")
    bench.run()
    assert bench.state("fixed")[::2] == ("Blocked", "AddressOutsideRange")
    assert bench.state("chosen")[:2] == ("Ready", "10.0.9.10")
    bench.cluster.set_pool("10.0.0.10-10.0.0.20")
    bench.run()
    assert bench.state("fixed") == ("Ready", "10.0.0.15", None)


def test_a_service_of_that_name_made_by_hand_is_left_alone_and_named() -> None:
    bench = Bench()
    bench.cluster.add_pod("w", {"app": "ws"})
    bench.cluster.add_service("a", FOREIGN)
    bench.desire({"a": web()})
    bench.run()
    assert bench.state("a")[::2] == ("Blocked", "ForeignService")
    assert [write for write in bench.cluster.writes if write[2] == "edge1/a"] == []
    bench.cluster.services.clear()
    bench.run()
    assert bench.state("a")[0] == "Ready"


def test_a_right_that_was_taken_away_is_named_and_used_as_soon_as_it_is_back() -> None:
    bench = Bench(FakeCluster(denied=frozenset({("create", "services")})))
    bench.cluster.add_pod("w", {"app": "ws"})
    bench.desire({"a": web()})
    bench.run()
    state, _, reason = bench.state("a")
    assert (state, reason) == ("Blocked", "RBACDenied")
    assert "services" in bench.exposure("a")["message"]
    bench.cluster.denied = frozenset()
    bench.run()
    assert bench.state("a") == ("Ready", "10.0.0.10", None)
