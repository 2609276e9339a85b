"""Allocation: what a blocked exposure goes on with, and what is said of it."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from edge_expose_contract.addressing import AddressSet
from edge_expose_module.allocation.address_space import Space
from edge_expose_module.allocation.allocate import Decision
from edge_expose_module.desired.resolved import Block
from support.allocating import decide, reason, said, service, space, texts, two_pools, wish, world


def values(decision: Decision) -> tuple[str, ...]:
    return decision.block.values if decision.block is not None else ()


NO = Block("AddressRefused", "it said no")


FAR = "10.0.9.9"


def test_a_blocked_exposure_goes_on_with_what_it_has_else_with_what_it_had() -> None:
    illegal = wish("a", address=FAR)
    held = world(service("a", "10.0.0.3"))
    assert texts(decide([illegal], held, space())["a"]) == "10.0.0.3"
    had = {"a": (ip_address("10.0.0.2"),)}
    assert texts(decide([illegal], world(), space(), last_held=had)["a"]) == "10.0.0.2"
    refused = {"a": {ip_address("10.0.0.3"): NO}, "b": {ip_address("10.0.0.2"): NO}}
    assert texts(decide([illegal], held, space(), last_held=had, rejected=refused)["a"]) == "10.0.0.2"
    assert texts(decide([illegal], held, space(), rejected=refused)["a"]) == ""


def test_a_blocked_exposure_asks_for_nothing_where_its_new_form_would_lose_what_it_has() -> None:
    two = two_pools()
    held = world(service("a", "10.0.0.1"))
    assert texts(decide([wish("a", address=FAR, pool="west")], held, two)["a"]) == "10.0.0.1"
    assert texts(decide([wish("a", address=FAR, pool="east")], held, two)["a"]) == "", "of another pool"
    shared = world(service("a", "10.0.0.1", share="k"), service("x", "10.0.0.1", ours=False, share="k", ports=(81,)))
    assert texts(decide([wish("a", address=FAR, share="k")], shared, two)["a"]) == "10.0.0.1"
    assert texts(decide([wish("a", address=FAR)], shared, two)["a"]) == "", "it may not share it without the key"


@pytest.mark.parametrize(
    ("held", "had", "asks"),
    [
        pytest.param("10.0.0.3", None, False, id="it has an address to lose"),
        pytest.param("", "10.0.0.2", False, id="it lost one that it can have again"),
        pytest.param("", FAR, True, id="it cannot go back to what it lost"),
        pytest.param("", None, True, id="it has nothing to lose"),
    ],
)
def test_a_pin_that_was_refused_is_asked_for_again_only_where_nothing_can_be_lost(
    held: str, had: str | None, asks: bool
) -> None:
    observed = world(service("a", held)) if held else world()
    refused = {"a": {ip_address("10.0.0.4"): NO}}
    last = {"a": (ip_address(had),)} if had else {}
    found = decide([wish("a", address="10.0.0.4")], observed, space(), rejected=refused, last_held=last)["a"]
    assert found == (Decision((ip_address("10.0.0.4"),)) if asks else Decision((ip_address(held or had or ""),), NO))
    other = {"b": refused["a"]}
    assert decide([wish("a", address="10.0.0.4")], observed, space(), rejected=other, last_held=last)["a"].block is None


def test_every_block_carries_what_it_is_about() -> None:
    pinned = decide(
        [wish("a", share="k", address="10.0.0.1"), wish("b", share="k", address="10.0.0.2")], world(), space()
    )
    assert (reason(pinned["b"]), values(pinned["b"])) == ("ShareAddressMismatch", ("k", "10.0.0.1", "10.0.0.2"))
    both = space(["10.0.0.1-10.0.0.4", "fc00::1-fc00::4"])
    second = {"ports": [81], "share": "k", "ipFamilyPolicy": "RequireDualStack"}
    joined = decide([wish("a", share="k", address="10.0.0.1"), wish("b", **second)], world(), both)
    assert (reason(joined["b"]), values(joined["b"])) == ("FamilyMismatch", ("10.0.0.1", "IPv4,IPv6"))
    four = decide([wish("a", ipFamilies=["IPv6"])], world(), two_pools())
    assert values(four["a"]) == ("10.0.0.1-10.0.0.2, 10.0.1.1-10.0.1.1", "IPv6")
    allowed = decide([wish("a")], world(), Space(**{**_fields(two_pools()), "allowed": AddressSet.parse(f"{FAR}/32")}))
    assert values(allowed["a"]) == ("10.0.0.1-10.0.0.2, 10.0.1.1-10.0.1.1", f"{FAR}-{FAR}")


def _fields(one: Space) -> dict[str, Any]:
    return {"legal": one.legal, "automatic": one.automatic, "pools": one.pools}


def test_a_full_pool_says_whether_the_load_balancer_refused_some_of_it() -> None:
    full = world(*(service(f"o{n}", f"10.0.0.{n}", ours=False) for n in (1, 2, 3)))
    refused = {"a": {ip_address("10.0.0.4"): NO}}
    found = said(decide([wish("a")], full, space(), rejected=refused)["a"])
    assert "all 4 of 10.0.0.1-10.0.0.4 are held, reserved or refused by the load balancer; remove an exposure" in found
    assert found.endswith("extend the external service IP range on the device, then it becomes Ready by itself")
    assert texts(decide([wish("a")], full, space(), rejected={"b": refused["a"]})["a"]) == "10.0.0.4"
