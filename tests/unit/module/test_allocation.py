"""Allocation as a function: properties that hold for every world, and rows for the rare shapes."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_expose_contract.addressing import AddressSet
from edge_expose_contract.models import Exposure
from edge_expose_module.allocation import Decision, allocate
from edge_expose_module.load_balancers.metallb import MetalLB
from edge_expose_module.observed_service import ObservedService
from edge_expose_module.observing import Observed
from edge_expose_module.space import Space
from edge_expose_module.wishes import Block, Wish

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
    return Observed(services={s.key: s for s in services}, load_balancer=MetalLB())


@dataclass(frozen=True)
class Everywhere:
    """The same space for every exposure."""

    space: Space

    def of(self, *_: object) -> Space:
        return self.space


def space(ranges: str | list[str] = "10.0.0.1-10.0.0.4", **more: Any) -> Space:
    pool = AddressSet.parse(ranges)
    return Space(legal=pool, automatic=(pool,), pools={"p": pool}, **more)


def decide(wishes: list[Wish], observed: Observed, where: Space, **more: Any) -> dict[str, Decision]:
    return allocate(
        {w.name: w for w in wishes}, observed, OWNER, more.pop("remembered", {}), Everywhere(where), "n", **more
    )


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


def said(decision: Decision) -> str:
    return f"{decision.block.reason}: {decision.block.message}" if decision.block is not None else texts(decision)


WHERE = {
    "reserved": {ip_address("10.0.0.1"): "edgehub"},
    "nodes": AddressSet.parse("10.0.0.2/32"),
    "allowed": AddressSet.parse("10.0.0.0/30"),
}
CHOOSE = "give both the same sharing key and different ports, or choose another address"
EXTEND = "remove an exposure, share an address, or extend the external service IP range on the device"


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


def test_who_moves_away_still_holds_its_address_in_this_pass() -> None:
    observed = world(service("mover", "10.0.0.1"))
    decided = decide([wish("mover", address="10.0.0.2"), wish("next", address="10.0.0.1")], observed, space())
    assert texts(decided["mover"]) == "10.0.0.2"
    assert said(decided["next"]) == f"AddressTaken: 10.0.0.1 is held by exposure mover; {CHOOSE}"
    assert texts(decide([wish("mover", address="10.0.0.2"), wish("auto")], observed, space())["auto"]) == "10.0.0.3"
    after = world(service("mover", "10.0.0.2"))
    decided = decide([wish("mover", address="10.0.0.2"), wish("next", address="10.0.0.1")], after, space())
    assert texts(decided["next"]) == "10.0.0.1"


def test_an_address_that_is_no_longer_legal_is_not_held_for_who_must_leave_it() -> None:
    observed = world(service("a", "10.0.0.9"))
    decided = decide([wish("a")], observed, space())
    assert texts(decided["a"]) == "10.0.0.1"


def test_pins_come_before_those_that_take_what_is_left() -> None:
    decided = decide([wish("a"), wish("b", address="10.0.0.1")], world(), space())
    assert (texts(decided["a"]), texts(decided["b"])) == ("10.0.0.2", "10.0.0.1")


def test_what_is_remembered_comes_back_and_does_not_take_what_is_held() -> None:
    memory = {"a": (ip_address("10.0.0.3"),), "b": (ip_address("10.0.0.4"),)}
    decided = decide([wish("a"), wish("b")], world(service("b", "10.0.0.3")), space(), remembered=memory)
    assert (texts(decided["a"]), texts(decided["b"])) == ("10.0.0.1", "10.0.0.3")
    decided = decide([wish("a"), wish("b")], world(), space(), remembered=memory)
    assert (texts(decided["a"]), texts(decided["b"])) == ("10.0.0.3", "10.0.0.4")


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


def test_both_families_that_are_held_stay() -> None:
    both = space(["10.0.0.1-10.0.0.4", "fc00::1-fc00::4"])
    decided = decide([wish("a", ipFamilyPolicy="RequireDualStack")], world(service("a", "10.0.0.3,fc00::3")), both)
    assert texts(decided["a"]) == "10.0.0.3,fc00::3"


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


def two_pools() -> Space:
    first, second = AddressSet.parse("10.0.0.1-10.0.0.2"), AddressSet.parse("10.0.1.1/32")
    legal = AddressSet.parse(["10.0.0.1-10.0.0.2", "10.0.1.1/32"])
    return Space(legal=legal, automatic=(first, second), pools={"west": first, "east": second})


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


def test_the_two_services_of_one_exposure_count_as_one_holder() -> None:
    tcp, udp = service("a", "10.0.0.3"), service("a", "10.0.0.3")
    udp.body["metadata"]["name"] = "a-udp"
    udp = ObservedService.of(udp.body)
    assert texts(decide([wish("a")], world(tcp, udp), space())["a"]) == "10.0.0.3"


def test_what_stays_without_a_wish_still_holds_its_address_and_what_goes_does_not() -> None:
    observed = world(service("old", "10.0.0.1"), service("stays", "10.0.0.2"))
    decided = decide([wish("a"), wish("b")], observed, space(), kept=frozenset({"stays"}))
    assert sorted(texts(decision) for decision in decided.values()) == ["10.0.0.1", "10.0.0.3"]
    pinned = decide([wish("a", address="10.0.0.2")], observed, space(), kept=frozenset({"stays"}))
    assert said(pinned["a"]) == f"AddressTaken: 10.0.0.2 is held by exposure stays; {CHOOSE}"


def test_what_somebody_invisible_holds_is_not_tried_again() -> None:
    rejected = {"a": {ip_address("10.0.0.1"): Block("AddressTaken", "somebody has it")}}
    decided = decide([wish("a"), wish("b")], world(), space(), rejected=rejected)
    assert (texts(decided["a"]), texts(decided["b"])) == ("10.0.0.2", "10.0.0.1")
    memory = {"a": (ip_address("10.0.0.1"),)}
    assert texts(decide([wish("a")], world(), space(), rejected=rejected, remembered=memory)["a"]) == "10.0.0.2"


def test_wishes_inside_the_cluster_get_no_decision_and_do_not_stop_the_others() -> None:
    decided = decide([wish("a", type="ClusterIP"), wish("b")], world(), space())
    assert {name: texts(decision) for name, decision in decided.items()} == {"b": "10.0.0.1"}


@pytest.mark.parametrize(
    ("labels", "address"),
    [
        ({}, "10.0.0.3"),
        ({"edge-expose.io/owner": "fedcba9876543210"}, "10.0.0.1"),
        ({"net.azure-devices.edge.deviceid": "edge1"}, "10.0.0.1"),
    ],
)
def test_only_a_service_that_nobody_owns_is_adopted_with_its_address(labels: dict[str, str], address: str) -> None:
    theirs = service("a", "10.0.0.3", ours=False)
    theirs.body["metadata"]["labels"] = labels
    observed = world(ObservedService.of(theirs.body))
    assert texts(decide([wish("a", adopt=True)], observed, space())["a"]) == address
    assert texts(decide([wish("a")], observed, space())["a"]) == "10.0.0.1"


def test_the_one_address_that_is_allowed_is_found_in_a_pool_too_large_to_walk() -> None:
    pool = AddressSet.parse("fd00::/64")
    last = AddressSet.parse("fd00::ffff:ffff:ffff:fffe-fd00::ffff:ffff:ffff:ffff")
    where = Space(legal=pool, automatic=(pool,), allowed=last, nodes=AddressSet.parse("fd00::ffff:ffff:ffff:fffe/128"))
    decided = decide([wish("a", ipFamilies=["IPv6"])], world(), where)
    assert texts(decided["a"]) == "fd00::ffff:ffff:ffff:ffff"


def test_who_joins_a_group_finds_its_address_in_the_pool_that_it_names() -> None:
    first, other = AddressSet.parse("10.0.0.1-10.0.0.4"), AddressSet.parse("10.0.1.1-10.0.1.4")
    where = Space(
        legal=AddressSet.parse(["10.0.0.1-10.0.0.4", "10.0.1.1-10.0.1.4"]), automatic=(first,), pools={"dmz": other}
    )
    decided = decide([wish("a", share="k"), wish("b", share="k", pool="dmz", ports=[81])], world(), where)
    assert texts(decided["a"]) == "10.0.0.1"
    assert reason(decided["b"]) == "PoolAddressMismatch"


# --- what a blocked exposure goes on with, and what is said of it ---


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
