"""What `site` says later of an address that is held, and a confirmation that comes too late."""

from __future__ import annotations

from typing import Any

import pytest

from support.bench import Bench
from support.exposed import addresses, bench_with, web
from support.fake_cluster import FakeCluster


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
