"""Allocation: pools, families, and what the owner of the device allows."""

from __future__ import annotations

from typing import Any

import pytest

from edge_expose_contract.addressing import AddressSet
from edge_expose_module.allocation.address_space import Space
from edge_expose_module.allocation.allocate import Decision
from support.allocating import (
    EXTEND,
    decide,
    reason,
    said,
    service,
    space,
    texts,
    two_pools,
    wish,
    world,
)


@pytest.mark.parametrize(
    ("fields", "ranges", "expected"),
    [
        ({"ipFamilyPolicy": "RequireDualStack"}, ["10.0.0.1/32", "fc00::1/128"], "10.0.0.1,fc00::1"),
        ({"ipFamilyPolicy": "PreferDualStack"}, ["10.0.0.1/32"], "10.0.0.1"),
        ({"ipFamilyPolicy": "RequireDualStack"}, ["10.0.0.1/32"], "FamilyMismatch"),
        ({"ipFamilies": ["IPv6"]}, ["10.0.0.1/32", "fc00::1/128"], "fc00::1"),
        ({"address": "10.0.0.1,fc00::1"}, ["10.0.0.1/32", "fc00::1/128"], "10.0.0.1,fc00::1"),
        ({"pool": "p"}, ["10.0.0.2/32"], "10.0.0.2"),
        ({"pool": "q"}, ["10.0.0.2/32"], "UnknownPool"),
    ],
)
def test_families_and_pools(fields: dict[str, Any], ranges: list[str], expected: str) -> None:
    decision = decide([wish("a", **fields)], world(), space(ranges))["a"]
    assert (reason(decision) or texts(decision)) == expected


def test_a_dual_stack_exposure_that_has_one_family_gets_the_second_when_it_comes() -> None:
    observed = world(service("a", "10.0.0.1"))
    both = space(["10.0.0.1/32", "fc00::1/128"])
    for policy in ("RequireDualStack", "PreferDualStack"):
        assert texts(decide([wish("a", ipFamilyPolicy=policy)], observed, both)["a"]) == "10.0.0.1,fc00::1"


def test_addresses_ending_in_0_and_255_are_left_out_of_a_pool_that_avoids_them() -> None:
    pool = AddressSet.parse("10.0.0.255-10.0.1.1")
    where = Space(legal=pool, automatic=(pool,), buggy=pool)
    assert texts(decide([wish("a")], world(), where)["a"]) == "10.0.1.1"


def test_an_address_the_owner_does_not_allow_is_neither_chosen_nor_pinned() -> None:
    where = space(allowed=AddressSet.parse("10.0.0.3/32"))
    decided = decide([wish("a"), wish("b", address="10.0.0.1")], world(), where)
    assert texts(decided["a"]) == "10.0.0.3"
    assert reason(decided["b"]) == "AddressNotAllowed"


def test_both_families_that_are_held_stay() -> None:
    both = space(["10.0.0.1-10.0.0.4", "fc00::1-fc00::4"])
    decided = decide([wish("a", ipFamilyPolicy="RequireDualStack")], world(service("a", "10.0.0.3,fc00::3")), both)
    assert texts(decided["a"]) == "10.0.0.3,fc00::3"


def test_a_pool_that_is_named_is_the_only_one() -> None:
    decided = decide([wish("a", pool="east"), wish("b", pool="east")], world(), two_pools())
    assert texts(decided["a"]) == "10.0.1.1"
    assert said(decided["b"]) == (
        "PoolExhausted: no free address: all 1 of 10.0.1.1-10.0.1.1 are held or reserved; "
        f"{EXTEND}, then it becomes Ready by itself"
    )


def test_when_every_pool_is_full_all_are_named() -> None:
    held = [service(f"o{number}", address, ours=False) for number, address in enumerate(["10.0.0.1", "10.0.0.2"])]
    decided = decide([wish("a")], world(*held), two_pools())
    assert texts(decided["a"]) == "10.0.1.1", "the second pool comes when the first is full"
    decided = decide([wish("a")], world(*held, service("o", "10.0.1.1", ours=False)), two_pools())
    assert said(decided["a"]).startswith(
        "PoolExhausted: no free address: all 3 of 10.0.0.1-10.0.0.2, 10.0.1.1-10.0.1.1 are"
    )
    assert decided["a"].addresses == ()


def test_an_address_held_in_another_pool_than_the_one_named_is_left() -> None:
    decided = decide([wish("a", pool="east")], world(service("a", "10.0.0.1")), two_pools())
    assert texts(decided["a"]) == "10.0.1.1"
    decided = decide([wish("a", pool="west")], world(service("a", "10.0.0.2")), two_pools())
    assert texts(decided["a"]) == "10.0.0.2"


def test_a_pin_outside_the_pool_named_with_it_is_refused() -> None:
    decided = decide([wish("a", pool="east", address="10.0.0.1")], world(), two_pools())
    assert said(decided["a"]) == (
        "PoolAddressMismatch: 10.0.0.1 is not in pool east (10.0.1.1-10.0.1.1); leave one of them out"
    )
    assert texts(decide([wish("a", pool="east", address="10.0.1.1")], world(), two_pools())["a"]) == "10.0.1.1"


def test_a_pool_nobody_knows_names_those_there_are() -> None:
    decided = decide([wish("a", pool="north")], world(), two_pools())
    assert decided["a"].addresses == ()
    assert said(decided["a"]) == "UnknownPool: there is no address pool north; known pools: east, west"
    none = decide([wish("a", pool="north")], world(), Space(pools={}))
    assert said(none["a"]).endswith("known pools: none")


def test_where_nobody_told_the_pools_the_load_balancer_chooses_and_its_choice_stays() -> None:
    assert decide([wish("a"), wish("b", pool="x")], world(), Space()) == {"a": Decision(), "b": Decision()}
    observed = world(service("a", "10.9.9.9"), service("d", "10.9.9.8"))
    rows: list[dict[str, Any]] = [{}, {"share": "k"}, {"pool": "x"}]
    for more in rows:
        kept = decide([wish("a", **more), wish("d", ipFamilyPolicy="PreferDualStack")], observed, Space())
        assert (texts(kept["a"]), texts(kept["d"])) == ("10.9.9.9", "10.9.9.8")
    assert decide([wish("d", ipFamilyPolicy="PreferDualStack")], world(), Space())["d"] == Decision()


def test_a_second_family_comes_to_the_first_one_held() -> None:
    both = space(["10.0.0.1-10.0.0.4", "fc00::1-fc00::4"])
    observed = world(service("a", "10.0.0.3"))
    assert texts(decide([wish("a", ipFamilyPolicy="RequireDualStack")], observed, both)["a"]) == "10.0.0.3,fc00::1"
    smaller = space(["10.0.0.1-10.0.0.2", "fc00::1-fc00::4"])
    decided = decide([wish("a", ipFamilyPolicy="RequireDualStack")], observed, smaller)
    assert texts(decided["a"]) == "10.0.0.1,fc00::1", "what became illegal is not kept"


def test_the_one_address_that_is_allowed_is_found_in_a_pool_too_large_to_walk() -> None:
    pool = AddressSet.parse("fd00::/64")
    last = AddressSet.parse("fd00::ffff:ffff:ffff:fffe-fd00::ffff:ffff:ffff:ffff")
    where = Space(legal=pool, automatic=(pool,), allowed=last, nodes=AddressSet.parse("fd00::ffff:ffff:ffff:fffe/128"))
    decided = decide([wish("a", ipFamilies=["IPv6"])], world(), where)
    assert texts(decided["a"]) == "fd00::ffff:ffff:ffff:ffff"
