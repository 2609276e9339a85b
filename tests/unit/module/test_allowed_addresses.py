"""Where nobody tells the range, the addresses that the device allows are what there is to choose from."""

from __future__ import annotations

from typing import Any

import pytest

from edge_expose_contract.addressing import AddressSet, parse_address
from edge_expose_module.allocation.address_space import Space
from edge_expose_module.desired.rails.model import Guards
from support.bench import Bench
from support.fake_cluster import FakeCluster
from support.fake_pools import FakePool

ALLOWED = Guards(addresses=AddressSet.parse("10.0.0.15-10.0.0.16"))
WEB = {"selector": ["app=ws"], "ports": [80]}


def bench(**cluster: Any) -> Bench:
    made = Bench(FakeCluster(readable_pool=False, **cluster), guards=ALLOWED)
    made.cluster.add_pod("ws", {"app": "ws"})
    return made


@pytest.mark.parametrize("pool", [None, "default"])
def test_an_address_is_chosen_among_the_allowed_ones_and_never_outside(pool: str | None) -> None:
    """The fake load balancer's pool begins at .10: that is what it gives when it may choose."""
    world = bench()
    wish = WEB if pool is None else {**WEB, "pool": pool}
    world.desire(dict.fromkeys(("a", "b", "c"), wish))
    world.run()
    assert [world.cluster.address_of(name) for name in ("a", "b", "c")] == ["10.0.0.15", "10.0.0.16", None]
    assert world.state("c") == ("Blocked", None, "PoolExhausted")
    assert "have the device allow more addresses" in world.exposure("c")["message"]


def test_the_numbers_of_a_full_pool_are_those_of_what_may_be_used() -> None:
    world = Bench(FakeCluster("10.0.0.10-10.0.0.20"), guards=ALLOWED)
    world.cluster.add_pod("ws", {"app": "ws"})
    world.desire(dict.fromkeys(("a", "b", "c"), WEB))
    world.run()
    message = world.exposure("c")["message"]
    assert message.startswith("no free address: all 2 of 10.0.0.15-10.0.0.16 that this device allows are held")
    assert "have the device allow more addresses" in message
    assert world.exposure("c")["values"] == ["10.0.0.15-10.0.0.16", "2"]


def test_addresses_that_a_pool_avoids_and_of_another_family_do_not_count_as_held() -> None:
    ranges = ["10.0.0.254-10.0.1.1", "fd00::/64"]
    world = Bench(FakeCluster({"default": FakePool.of(ranges, avoid_buggy=True)}))
    world.cluster.add_pod("ws", {"app": "ws"})
    wish = {**WEB, "ipFamilies": ["IPv4"]}
    world.desire(dict.fromkeys(("a", "b", "c"), wish))
    world.run()
    assert [world.cluster.address_of(name) for name in ("a", "b", "c")] == ["10.0.0.254", "10.0.1.1", None]
    assert world.exposure("c")["values"] == ["10.0.0.254-10.0.1.1", "2"]


def test_only_ipv4_has_addresses_that_a_pool_avoids() -> None:
    both = AddressSet.parse(["10.0.0.254-10.0.1.1", "fd00::-fd00::1ff"])
    space = Space(legal=both, buggy=both)
    assert space.why_illegal(parse_address("10.0.0.255")) is not None
    assert space.why_illegal(parse_address("fd00::ff")) is None
    assert space.avoided(both) == 2
    assert space.avoided(AddressSet.parse("10.0.0.0/22")) == 2, "only those of the pool that avoids them"
    assert Space(buggy=AddressSet.parse("10.0.0.0/22")).avoided(AddressSet.parse("10.0.0.0/22")) == 8


def test_a_pool_of_an_ipv6_network_is_reported_all_the_same() -> None:
    world = Bench(FakeCluster(["10.0.0.10-10.0.0.20", "fd00::/64"]))
    world.cluster.add_pod("ws", {"app": "ws"})
    world.desire({"a": {**WEB, "ipFamilies": ["IPv4"]}})
    report = world.run()
    assert world.state("a")[0] == "Ready"
    assert report["pool"]["size"] == report["pool"]["free"] == 2**52 - 1


def test_the_range_of_a_site_outside_of_the_allowed_ones_gives_nothing() -> None:
    world = bench()
    world.desire({"a": WEB}, site={"externalServiceIPs": "10.0.0.10-10.0.0.12"})
    world.run()
    assert world.cluster.address_of("a") is None
    assert world.state("a") == ("Blocked", None, "AddressNotAllowed")


def test_named_pools_of_a_site_do_not_open_a_way_around() -> None:
    world = bench()
    world.desire({"a": WEB, "b": {**WEB, "pool": "dmz"}}, site={"pools": {"dmz": "10.0.0.12-10.0.0.15"}})
    world.run()
    assert [world.cluster.address_of(name) for name in ("a", "b")] == ["10.0.0.15", None]
    assert world.state("b")[2] == "PoolExhausted"
