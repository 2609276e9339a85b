"""What belongs together has one address: the two Services of a TCP and UDP exposure, and the exposures of one key."""

from __future__ import annotations

from typing import Any

import pytest

from edge_expose_contract.services import own_sharing_key
from support.bench import OWNER, Bench
from support.fake_cluster import FakeCluster

HELD, WANTED = "10.0.0.12", "10.0.0.15"


def world() -> Bench:
    """The module sees Services of its own namespace only."""
    found = Bench(FakeCluster(denied=frozenset({("list None", "services")})))
    found.cluster.add_pod("w", {"app": "ws"})
    return found


def hold(found: Bench, address: str, key: str, port: int, protocol: str = "TCP", name: str = "holder") -> None:
    """Somebody out of sight holds an address, under a sharing key and on one port."""
    ports = [{"port": port, "protocol": protocol}]
    spec = {"type": "LoadBalancer", "loadBalancerIP": address, "ports": ports}
    found.cluster.add_service(name, spec, "elsewhere", annotations={"metallb.io/allow-shared-ip": key})
    assert found.cluster.address_of(name, "elsewhere") == address


def dns(**more: Any) -> dict[str, Any]:
    return {"selector": ["app=ws"], "ports": ["53/tcp", "53/udp"], **more}


def settle(found: Bench, seconds: float = 5.0) -> None:
    """As time goes by: a pass each half second."""
    for _ in range(int(seconds * 2)):
        found.run(1)
        found.later(seconds=0.5)


def addresses(found: Bench, *names: str) -> list[str | None]:
    return [found.cluster.address_of(name) for name in names]


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
def test_a_pair_of_which_one_half_is_refused_goes_back_to_the_address_it_had(protocol: str) -> None:
    found = world()
    found.desire({"dns": dns(address=HELD)})
    found.run()
    hold(found, WANTED, own_sharing_key(OWNER, "dns"), 53, protocol)
    found.desire({"dns": dns(address=WANTED)})
    found.run(2)
    assert set(addresses(found, "dns", "dns-udp")) == {WANTED, None}, "one half was given it, the other one nothing"
    settle(found)
    assert addresses(found, "dns", "dns-udp") == [HELD, HELD]
    assert found.state("dns")[:2] == ("Blocked", HELD)
    half = "dns" if protocol == "TCP" else "dns-udp"
    assert f"{WANTED} was not given to its Service {half}, only to the other one" in found.exposure("dns")["message"]
    assert found.exposure("dns")["message"].endswith(f"still at {HELD}")
    writes = len(found.cluster.writes)
    found.restart()
    settle(found)
    assert len(found.cluster.writes) == writes, "and stays there"
    del found.cluster.services[("elsewhere", "holder")]
    found.desire({"dns": dns(address=WANTED, probe="tcp")})
    settle(found)
    assert addresses(found, "dns", "dns-udp") == [WANTED, WANTED]


def test_a_half_on_its_way_back_is_asked_for_again_although_the_exposure_is_blocked() -> None:
    """Somebody has that port at its old address for a moment; the load balancer does not ask again by itself."""
    found = world()
    key = own_sharing_key(OWNER, "dns")
    found.desire({"dns": dns(address=HELD)})
    found.run()
    hold(found, WANTED, key, 53, "UDP")
    found.desire({"dns": dns(address=WANTED)})
    found.run(2)
    hold(found, HELD, key, 53, "UDP", name="quick")
    found.run(3)
    settle(found, 4)
    half = found.cluster.services[("edge1", "dns-udp")]
    assert (found.cluster.address_of("dns-udp"), half["spec"]["loadBalancerIP"]) == (None, HELD)
    assert "edge-expose.io/asked-again" in half["metadata"]["annotations"]
    del found.cluster.services[("elsewhere", "quick")]
    settle(found)
    assert found.cluster.address_of("dns-udp") == HELD


def test_a_torn_pair_is_told_of_as_it_is() -> None:
    found = world()
    found.desire({"dns": dns(address=HELD)})
    found.run()
    hold(found, WANTED, own_sharing_key(OWNER, "dns"), 53, "UDP")
    found.desire({"dns": dns(address=WANTED)})
    found.run(2)
    message = found.exposure("dns")["message"]
    assert message.endswith(f"; dns is at {WANTED}, dns-udp has no address"), message
    assert "still at" not in message


def test_a_new_automatic_pair_of_which_one_half_is_refused_gets_the_next_address() -> None:
    found = world()
    hold(found, "10.0.0.10", own_sharing_key(OWNER, "dns"), 53, "UDP")
    found.desire({"dns": dns()})
    settle(found)
    assert addresses(found, "dns", "dns-udp") == ["10.0.0.11", "10.0.0.11"]
    assert found.state("dns") == ("Ready", "10.0.0.11", None)


@pytest.mark.parametrize("pinned", [{}, {"address": HELD}])
def test_what_an_exposure_held_whole_is_not_given_up_for_one_half(pinned: dict[str, Any]) -> None:
    """Somebody takes the UDP port of its address while that half is gone: the TCP half serves on where it is."""
    found = world()
    found.desire({"dns": dns(address=HELD)})
    found.run()
    found.desire({"dns": dns(**pinned)})
    found.run()
    assert addresses(found, "dns", "dns-udp") == [HELD, HELD]
    del found.cluster.services[("edge1", "dns-udp")]
    hold(found, HELD, own_sharing_key(OWNER, "dns"), 53, "UDP")
    settle(found, 8)
    assert addresses(found, "dns", "dns-udp") == [HELD, None]
    assert found.state("dns")[:2] == ("Blocked", HELD)


def test_a_udp_port_that_is_added_and_refused_costs_the_tcp_half_nothing() -> None:
    found = world()
    found.desire({"dns": {**dns(address=HELD), "ports": ["53/tcp"]}})
    found.run()
    found.desire({"dns": {**dns(address=WANTED), "ports": ["53/tcp"]}})  # so that its sharing key is on it
    found.run(4)
    hold(found, WANTED, own_sharing_key(OWNER, "dns"), 53, "UDP")
    found.desire({"dns": dns(address=WANTED)})
    settle(found)
    assert addresses(found, "dns", "dns-udp") == [WANTED, None]


@pytest.mark.parametrize("half", ["dns", "dns-udp"])
def test_a_pair_of_which_the_cluster_refuses_to_change_one_half_does_not_move(half: str) -> None:
    found = world()
    found.desire({"dns": dns(address=HELD)})
    found.run()
    found.cluster.refuse("webhook-denied-silently", verb="patch", only=half, webhook="w")
    found.desire({"dns": dns(address=WANTED)})
    for _ in range(5):
        found.run(1)
        assert addresses(found, "dns", "dns-udp") == [HELD, HELD]
    assert found.state("dns")[:2] == ("Blocked", HELD)
    found.cluster.allow()
    found.run(3)
    assert addresses(found, "dns", "dns-udp") == [WANTED, WANTED]


def group(address: str | None, *names: str) -> dict[str, Any]:
    pin = {"address": address} if address else {}
    ports = {"a": [80], "b": [443], "c": [8443]}
    return {name: {"selector": ["app=ws"], "ports": ports[name], "share": "k", **pin} for name in names}


@pytest.mark.parametrize("before", [HELD, None])
@pytest.mark.parametrize("port", [80, 443])
def test_a_group_of_which_one_is_refused_goes_back_together(port: int, before: str | None) -> None:
    found = world()
    found.desire(group(before, "a", "b"))
    found.run()
    held = before or "10.0.0.10"
    assert addresses(found, "a", "b") == [held, held]
    hold(found, WANTED, "k", port)
    found.desire(group(WANTED, "a", "b"))
    found.run(2)
    assert set(addresses(found, "a", "b")) == {WANTED, None}, "the claim was given it, one of the two was not"
    settle(found)
    assert addresses(found, "a", "b") == [held, held]
    assert {found.state(name)[:2] for name in ("a", "b")} == {("Blocked", held)}
    other, refused = ("a", "b") if port == 443 else ("b", "a")
    assert found.exposure(other)["message"].startswith(f"exposure {refused}, which has the same sharing key, was ref")
    writes = len(found.cluster.writes)
    found.restart()
    settle(found)
    assert len(found.cluster.writes) == writes, "and stays there"
    found.desire(group(before, "a", "b"))
    settle(found, 2)
    assert {found.state(name) for name in ("a", "b")} == {("Ready", held, None)}


def test_a_group_stays_when_somebody_who_joins_it_is_refused() -> None:
    found = world()
    found.desire({**group(WANTED, "a", "b"), "c": {"selector": ["app=ws"], "ports": [8443], "address": HELD}})
    found.run()
    hold(found, WANTED, "k", 8443)
    found.desire(group(WANTED, "a", "b", "c"))
    for _ in range(10):
        found.run(1)
        found.later(seconds=0.5)
        assert addresses(found, "a", "b") == [WANTED, WANTED]
    assert found.cluster.address_of("c") == HELD
    assert found.state("c")[:2] == ("Blocked", HELD)
    assert {found.state(name) for name in ("a", "b")} == {("Ready", WANTED, None)}


def test_a_group_whose_claim_is_refused_has_not_moved() -> None:
    found = world()
    found.desire(group(HELD, "a", "b"))
    found.run()
    found.cluster.hidden.add(WANTED)
    found.desire(group(WANTED, "a", "b"))
    for _ in range(6):
        found.run(1)
        assert addresses(found, "a", "b") == [HELD, HELD]
    reasons = {found.state(name)[2] for name in ("a", "b")}
    assert reasons == {"AddressTaken"}
