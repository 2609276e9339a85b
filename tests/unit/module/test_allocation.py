"""Allocation as a function: properties that hold for every world, and rows for the rare shapes."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_expose_contract.addressing import AddressSet
from edge_expose_contract.models import Exposure
from edge_expose_module.allocation import Decision, Space, allocate
from edge_expose_module.observing import Observed, ObservedService
from edge_expose_module.wishes import Wish

OWNER = "0123456789abcdef"


def wish(name: str, **fields: Any) -> Wish:
    return Wish(name, Exposure.model_validate({"selector": ["app=ws"], "ports": [80], **fields}))


def service(
    name: str,
    address: str,
    *,
    ours: bool = True,
    ports: tuple[int, ...] = (80,),
    share: str = "",
    policy: str = "Cluster",
    selector: str = "ws",
) -> ObservedService:
    labels = {
        "app.kubernetes.io/managed-by": "edge-expose",
        "edge-expose.io/owner": OWNER,
        "edge-expose.io/exposure": name,
    }
    addresses = address.split(",")
    return ObservedService.of(
        {
            "metadata": {
                "name": name,
                "namespace": "n",
                "labels": labels if ours else {},
                "annotations": {"metallb.io/allow-shared-ip": share} if share else {},
            },
            "spec": {
                "type": "LoadBalancer",
                "externalTrafficPolicy": policy,
                "selector": {"app": selector},
                "ports": [{"port": port, "protocol": "TCP"} for port in ports],
            },
            "status": {"loadBalancer": {"ingress": [{"ip": text} for text in addresses]}},
        }
    )


def world(*services: ObservedService) -> Observed:
    return Observed(services={s.key: s for s in services})


def space(ranges: str | list[str] = "10.0.0.1-10.0.0.4", **more: Any) -> Space:
    pool = AddressSet.parse(ranges)
    return Space(legal=pool, automatic=(pool,), pools={"p": pool}, **more)


def decide(wishes: list[Wish], observed: Observed, where: Space, **more: Any) -> dict[str, Decision]:
    return allocate({w.name: w for w in wishes}, observed, OWNER, more.pop("remembered", {}), where, "n", **more)


def texts(decision: Decision) -> str:
    return ",".join(str(address) for address in decision.addresses)


def reason(decision: Decision) -> str:
    return decision.block.reason if decision.block is not None else ""


NAMES = st.sampled_from("abcdef")
ADDRESSES = st.integers(1, 6).map(lambda number: f"10.0.0.{number}")
WISHES = st.dictionaries(
    NAMES, st.fixed_dictionaries({}, optional={"address": ADDRESSES, "share": st.sampled_from("xy")})
)
HELD = st.dictionaries(NAMES, ADDRESSES)


@given(WISHES, HELD, HELD, st.randoms())
def test_the_answer_does_not_depend_on_order_and_no_address_is_given_twice_without_a_key(
    fields: dict[str, dict[str, str]], held: dict[str, str], remembered: dict[str, str], random: Any
) -> None:
    observed = world(*(service(name, address) for name, address in held.items()))
    memory = {name: (ip_address(address),) for name, address in remembered.items()}
    wishes = [wish(name, **more) for name, more in fields.items()]
    first = decide(wishes, observed, space(), remembered=memory)
    random.shuffle(wishes)
    assert decide(wishes, observed, space(), remembered=memory) == first
    given_to: dict[str, list[str]] = {}
    for name, decision in first.items():
        if decision.block is None:
            given_to.setdefault(texts(decision), []).append(name)
    for address, names in given_to.items():
        keys = {fields[name].get("share") for name in names}
        # All publish port 80, so even one key cannot put two on one address.
        assert len(names) == 1, (address, names, keys)


@given(HELD)
def test_what_is_held_and_legal_stays_whatever_else_is_wanted(held: dict[str, str]) -> None:
    unique = {name: address for name, address in held.items() if list(held.values()).count(address) == 1}
    observed = world(*(service(name, address) for name, address in unique.items()))
    decided = decide([wish(name) for name in "abcdef"], observed, space())
    for name, address in unique.items():
        if ip_address(address) in AddressSet.parse("10.0.0.1-10.0.0.4"):
            assert texts(decided[name]) == address


@given(WISHES, HELD)
def test_a_second_pass_over_what_the_first_decided_changes_nothing(
    fields: dict[str, dict[str, str]], held: dict[str, str]
) -> None:
    wishes = [wish(name, **more) for name, more in fields.items()]
    unique = {name: address for name, address in held.items() if list(held.values()).count(address) == 1}
    first = decide(wishes, world(*(service(n, a) for n, a in unique.items())), space())
    granted = {name: decision for name, decision in first.items() if decision.block is None}
    after = world(*(service(name, texts(decision)) for name, decision in granted.items()))
    second = decide(wishes, after, space())
    for name, decision in granted.items():
        assert second[name] == decision


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


@pytest.mark.parametrize(
    ("fields", "ranges", "expected"),
    [
        ({"ipFamilyPolicy": "RequireDualStack"}, ["10.0.0.1/32", "fc00::1/128"], "10.0.0.1,fc00::1"),
        ({"ipFamilyPolicy": "PreferDualStack"}, ["10.0.0.1/32"], "10.0.0.1"),
        ({"ipFamilyPolicy": "RequireDualStack"}, ["10.0.0.1/32"], "PoolExhausted"),
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
