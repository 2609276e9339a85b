"""Where nobody tells the range, the addresses that the device allows are what there is to choose from."""

from __future__ import annotations

from typing import Any

import pytest

from edge_expose_contract.addressing import AddressSet
from edge_expose_module.rails.model import Guards
from support.bench import Bench
from support.fake_cluster import FakeCluster

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
