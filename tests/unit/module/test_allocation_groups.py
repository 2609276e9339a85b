"""Allocation: exposures and Services of others that share an address."""

from __future__ import annotations

from typing import Any

import pytest

from edge_expose_contract.addressing import AddressSet
from edge_expose_module.allocation.address_space import Space
from edge_expose_module.cluster.service import ObservedService
from support.allocating import (
    decide,
    reason,
    said,
    service,
    space,
    texts,
    wish,
    world,
)


@pytest.mark.parametrize(
    ("fields", "other", "expected"),
    [
        ({"share": "k", "address": "10.0.0.1"}, service("o", "10.0.0.1", ours=False, ports=(81,), share="k"), ""),
        (
            {"share": "k", "address": "10.0.0.1"},
            service("o", "10.0.0.1", ours=False, ports=(80,), share="k"),
            "PortTaken",
        ),
        (
            {"share": "k", "address": "10.0.0.1"},
            service("o", "10.0.0.1", ours=False, ports=(81,), share="z"),
            "AddressTaken",
        ),
        ({"address": "10.0.0.1"}, service("o", "10.0.0.1", ours=False, ports=(81,)), "AddressTaken"),
        (
            {"share": "k", "address": "10.0.0.1", "externalTrafficPolicy": "Local"},
            service("o", "10.0.0.1", ours=False, ports=(81,), share="k"),
            "SharingPolicyMismatch",
        ),
        (
            {"share": "k", "address": "10.0.0.1", "externalTrafficPolicy": "Local"},
            service("o", "10.0.0.1", ours=False, ports=(81,), share="k", policy="Local"),
            "",
        ),
        (
            {"share": "k", "address": "10.0.0.1", "externalTrafficPolicy": "Local"},
            service("o", "10.0.0.1", ours=False, ports=(81,), share="k", policy="Local", selector="other"),
            "SharingPolicyMismatch",
        ),
    ],
)
def test_sharing_with_somebody_else(fields: dict[str, Any], other: ObservedService, expected: str) -> None:
    assert reason(decide([wish("a", **fields)], world(other), space())["a"]) == expected


def test_a_sharing_group_gathers_where_a_member_is_pinned() -> None:
    members = [
        wish("a", share="k"),
        wish("b", share="k", ports=[81], address="10.0.0.3"),
        wish("c", share="k", ports=[82]),
    ]
    decided = decide(members, world(), space())
    assert {name: texts(decision) for name, decision in decided.items()} == dict.fromkeys("abc", "10.0.0.3")


def test_two_pins_of_one_group_on_different_addresses_block_the_second() -> None:
    members = [wish("a", share="k", address="10.0.0.1"), wish("b", share="k", ports=[81], address="10.0.0.2")]
    assert reason(decide(members, world(), space())["b"]) == "ShareAddressMismatch"


def test_a_member_that_is_elsewhere_joins_its_group() -> None:
    apart = world(service("a", "10.0.0.2"), service("b", "10.0.0.3", ports=(81,)))
    members = [wish("a", share="k"), wish("b", share="k", ports=[81])]
    decided = decide(members, apart, space())
    assert [texts(decided[name]) for name in "ab"] == ["10.0.0.2", "10.0.0.2"]
    alone = decide([wish("a"), wish("b", ports=[81])], apart, space())
    assert [texts(alone[name]) for name in "ab"] == ["10.0.0.2", "10.0.0.3"], "without a key nobody joins anybody"


def test_a_member_that_cannot_join_stays_where_it_is() -> None:
    apart = world(service("a", "10.0.0.2"), service("b", "10.0.0.3"))
    decided = decide([wish("a", share="k"), wish("b", share="k")], apart, space())
    assert (reason(decided["b"]), texts(decided["b"])) == ("PortTaken", "10.0.0.3")
    assert texts(decided["a"]) == "10.0.0.2"


def test_a_member_of_another_family_cannot_join() -> None:
    both = space(["10.0.0.1/32", "fc00::1/128"])
    members = [wish("a", share="k"), wish("b", share="k", ports=[81], ipFamilies=["IPv6"])]
    assert said(decide(members, world(), both)["b"]) == (
        "FamilyMismatch: sharing key 'k' is at 10.0.0.1, of another IP family; use another key"
    )


def test_a_group_gathers_where_a_member_is_pinned_not_where_another_is_held() -> None:
    apart = world(service("a", "10.0.0.2"), service("b", "10.0.0.3", ports=(81,)))
    decided = decide([wish("a", share="k"), wish("b", share="k", ports=[81], address="10.0.0.3")], apart, space())
    assert [texts(decided[name]) for name in "ab"] == ["10.0.0.3", "10.0.0.3"]


def test_two_pins_of_one_group_say_where_the_group_is() -> None:
    members = [wish("a", share="k", address="10.0.0.1"), wish("b", share="k", ports=[81], address="10.0.0.2")]
    assert said(decide(members, world(), space())["b"]) == (
        "ShareAddressMismatch: sharing key 'k' is at 10.0.0.1, not 10.0.0.2; pin that, or use another key"
    )


def test_where_both_families_are_named_both_stand_in_the_message() -> None:
    both = space(["10.0.0.1-10.0.0.2", "fc00::1-fc00::2"])
    members = [
        wish("a", share="k", address="10.0.0.1,fc00::1"),
        wish("b", share="k", ports=[81], address="10.0.0.2,fc00::2"),
    ]
    assert "is at 10.0.0.1,fc00::1, not 10.0.0.2,fc00::2;" in said(decide(members, world(), both)["b"])


def test_who_joins_a_group_finds_its_address_in_the_pool_that_it_names() -> None:
    first, other = AddressSet.parse("10.0.0.1-10.0.0.4"), AddressSet.parse("10.0.1.1-10.0.1.4")
    where = Space(
        legal=AddressSet.parse(["10.0.0.1-10.0.0.4", "10.0.1.1-10.0.1.4"]), automatic=(first,), pools={"dmz": other}
    )
    decided = decide([wish("a", share="k"), wish("b", share="k", pool="dmz", ports=[81])], world(), where)
    assert texts(decided["a"]) == "10.0.0.1"
    assert reason(decided["b"]) == "PoolAddressMismatch"
