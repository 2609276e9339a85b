"""Allocation: why an address is not given, and who is in the way."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from edge_expose_contract.addressing import AddressSet
from edge_expose_module.allocation.address_space import Space
from edge_expose_module.cluster.service import ObservedService
from support.allocating import (
    CHOOSE,
    decide,
    reason,
    said,
    service,
    space,
    texts,
    wish,
    world,
)

WHERE = {
    "reserved": {ip_address("10.0.0.1"): "edgehub"},
    "nodes": AddressSet.parse("10.0.0.2/32"),
    "allowed": AddressSet.parse("10.0.0.0/30"),
}


@pytest.mark.parametrize(
    ("pinned", "says"),
    [
        ("10.0.0.1", "ReservedAddress: 10.0.0.1 is reserved for edgehub; choose another address"),
        (
            "10.0.0.2",
            "NodeAddress: 10.0.0.2 is one of the node IPs 10.0.0.2-10.0.0.2; choose an external service IP",
        ),
        (
            "10.0.0.9",
            "AddressOutsideRange: 10.0.0.9 is outside the external service IP range 10.0.0.1-10.0.0.4; pin one inside, "
            "or extend the range",
        ),
        (
            "10.0.0.4",
            "AddressNotAllowed: 10.0.0.4 is not among the addresses this device allows: 10.0.0.0-10.0.0.3",
        ),
        ("10.0.0.3", "10.0.0.3"),
    ],
)
def test_why_a_pin_is_not_granted(pinned: str, says: str) -> None:
    assert said(decide([wish("a", address=pinned)], world(), space(**WHERE))["a"]) == says


@pytest.mark.parametrize("pinned", ["10.0.0.255", "10.0.1.0"])
def test_a_pin_that_its_pool_avoids_says_so(pinned: str) -> None:
    pool = AddressSet.parse("10.0.0.254-10.0.1.1")
    decided = decide([wish("a", address=pinned)], world(), Space(legal=pool, automatic=(pool,), buggy=pool))
    assert said(decided["a"]) == (
        f"AddressOutsideRange: {pinned} ends in .0 or .255 and its pool avoids those; pin another"
    )


@pytest.mark.parametrize(
    ("fields", "other", "says"),
    [
        ({}, service("o", "10.0.0.1", ours=False), f"AddressTaken: 10.0.0.1 is held by Service n/o; {CHOOSE}"),
        (
            {"share": "k"},
            service("o", "10.0.0.1", ours=False),
            f"AddressTaken: 10.0.0.1 is held by Service n/o; {CHOOSE}",
        ),
        (
            {},
            service("o", "10.0.0.1", ours=False, share="z"),
            f"AddressTaken: 10.0.0.1 is held by Service n/o; {CHOOSE}",
        ),
        (
            {"share": "k"},
            service("o", "10.0.0.1", ours=False, share="z"),
            f"AddressTaken: 10.0.0.1 is held by Service n/o under sharing key 'z'; {CHOOSE}",
        ),
        (
            {"share": "k", "ports": [80, 81, 82]},
            service("o", "10.0.0.1", ours=False, ports=(80, 82, 83), share="k"),
            "PortTaken: port 80/tcp, 82/tcp on shared address 10.0.0.1 is held by Service n/o; publish another port",
        ),
        (
            {"share": "k", "ports": [81], "externalTrafficPolicy": "Local"},
            service("o", "10.0.0.1", ours=False, share="k"),
            "SharingPolicyMismatch: 10.0.0.1 is shared with Service n/o; externalTrafficPolicy Local shares only with "
            "the same selector",
        ),
    ],
)
def test_who_holds_it_is_named(fields: dict[str, Any], other: ObservedService, says: str) -> None:
    assert said(decide([wish("a", address="10.0.0.1", **fields)], world(other), space())["a"]) == says


def test_all_claims_on_an_address_count_not_the_first_alone() -> None:
    first = service("o", "10.0.0.1", ours=False, ports=(80,), share="k")
    second = service("z", "10.0.0.1", ours=False, ports=(81,), share="k")
    decided = decide([wish("a", share="k", ports=[81], address="10.0.0.1")], world(first, second), space())
    assert "Service n/z" in said(decided["a"])


def test_a_blocked_pin_goes_on_with_what_it_has() -> None:
    held, taken = service("a", "10.0.0.3"), service("o", "10.0.0.1", ours=False)
    decided = decide([wish("a", address="10.0.0.1")], world(held, taken), space())
    assert (reason(decided["a"]), texts(decided["a"])) == ("AddressTaken", "10.0.0.3")


def test_a_blocked_pin_goes_on_asking_for_what_it_asked_for() -> None:
    waiting = service("a", "")
    waiting.body["spec"]["loadBalancerIP"] = "10.0.0.3"  # type: ignore[index]
    decided = decide([wish("a", address="10.0.0.9")], world(waiting), space())
    assert (reason(decided["a"]), texts(decided["a"])) == ("AddressOutsideRange", "10.0.0.3")
