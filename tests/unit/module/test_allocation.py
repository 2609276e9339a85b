"""Allocation as a function: properties that hold for every world, and rows for the rare shapes."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_expose_contract.addressing import AddressSet
from edge_expose_module.blocks import Block
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


@given(WISHES, HELD, HELD, HELD)
def test_nobody_is_sent_to_an_address_that_another_exposure_has(
    fields: dict[str, dict[str, str]], held: dict[str, str], asking: dict[str, str], remembered: dict[str, str]
) -> None:
    """Its holder may be on the way to another one, and be refused that."""
    holders = {address: name for name, address in held.items() if name in fields}
    has = {name: address for address, name in holders.items()}
    observed = world(
        *(service(name, address) for name, address in has.items()),
        *(service(name, "", asks=address) for name, address in asking.items() if name not in has),
    )
    memory = {name: (ip_address(address),) for name, address in remembered.items()}
    wishes = [wish(name, **more) for name, more in fields.items()]
    decided = decide(wishes, observed, space(), remembered=memory)
    for name, decision in decided.items():
        holder = holders.get(texts(decision), name)
        if holder == name or decision.block is not None or ip_address(texts(decision)) not in space().legal:
            continue
        # Its holder goes elsewhere, and it changes places or has been there before.
        assert decided[holder].block is None
        assert texts(decided[holder]) == fields[holder].get("address") != texts(decision)
        assert name in has or texts(decision) in (asking.get(name), remembered.get(name))


def test_who_asks_for_what_another_exposure_has_gets_another_one() -> None:
    observed = world(service("moves", "10.0.0.1", asks="10.0.0.1"), service("new", "", asks="10.0.0.1"))
    decided = decide([wish("moves", address="10.0.0.9"), wish("new")], observed, space())
    assert (reason(decided["moves"]), texts(decided["moves"])) == ("AddressOutsideRange", "10.0.0.1")
    assert texts(decided["new"]) == "10.0.0.2"


def test_what_a_mover_leaves_is_not_given_away_where_its_target_is_what_it_had_before() -> None:
    memory = {"moves": (ip_address("10.0.0.4"),)}
    wishes = [wish("moves", address="10.0.0.4"), wish("new")]
    decided = decide(wishes, world(service("moves", "10.0.0.1")), space(), remembered=memory)
    assert (texts(decided["moves"]), texts(decided["new"])) == ("10.0.0.4", "10.0.0.2")


@pytest.mark.parametrize(
    ("holder", "gets"),
    [
        pytest.param({"address": "10.0.0.3"}, "10.0.0.1", id="who goes elsewhere is followed"),
        pytest.param({"address": "10.0.0.9"}, "10.0.0.2", id="who may not go keeps it"),
        pytest.param({}, "10.0.0.2", id="who does not want to go keeps it"),
    ],
)
def test_who_lost_its_service_gets_its_address_back_once_its_holder_is_on_the_way(
    holder: dict[str, str], gets: str
) -> None:
    memory = {"lost": (ip_address("10.0.0.1"),)}
    observed = world(service("holder", "10.0.0.1", asks="10.0.0.1"))
    decided = decide([wish("holder", **holder), wish("lost")], observed, space(), remembered=memory)
    assert texts(decided["lost"]) == gets


@pytest.mark.parametrize(
    "of_a",
    [
        pytest.param([service("a", "10.0.0.2", asks="10.0.0.2", asked="10.0.0.1")], id="swapped"),
        pytest.param([service("a", "10.0.0.4", asks="10.0.0.4", asked="10.0.0.1")], id="one behind the other"),
        pytest.param([], id="the Service deleted"),
    ],
)
def test_an_address_that_a_hand_gave_to_another_exposure_comes_back(of_a: list[ObservedService]) -> None:
    memory = {} if of_a else {"a": (ip_address("10.0.0.1"),)}
    observed = world(*of_a, service("b", "10.0.0.1", asks="10.0.0.1", asked="10.0.0.2"))
    decided = decide([wish("a"), wish("b")], observed, space(), remembered=memory)
    assert (texts(decided["a"]), texts(decided["b"])) == ("10.0.0.1", "10.0.0.2")


def test_a_member_that_lost_its_service_stays_with_its_group_while_another_leaves() -> None:
    lost = {"a": (ip_address("10.0.0.1"),)}
    leaver = service("b", "10.0.0.1", asks="10.0.0.1", share="k", ports=(81,))
    wishes = [wish("a", share="k"), wish("b", address="10.0.0.3", ports=[81])]
    decided = decide(wishes, world(leaver), space(), remembered=lost)
    assert (texts(decided["a"]), texts(decided["b"])) == ("10.0.0.1", "10.0.0.3")


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


@pytest.mark.parametrize("lost", [set(), {"a"}, {"b"}, {"a", "b"}])
def test_who_must_leave_a_pool_gets_the_same_new_address_however_far_the_load_balancer_is(lost: set[str]) -> None:
    """It takes the addresses away one by one, and a pass may come in between."""
    old = {"a": "10.0.0.9", "b": "10.0.0.8"}
    observed = world(*(service(name, "" if name in lost else ip, asks=ip) for name, ip in old.items()))
    decided = decide([wish(name) for name in old], observed, space())
    assert {name: texts(decision) for name, decision in decided.items()} == {"a": "10.0.0.1", "b": "10.0.0.2"}


def test_pins_come_before_those_that_take_what_is_left() -> None:
    decided = decide([wish("a"), wish("b", address="10.0.0.1")], world(), space())
    assert (texts(decided["a"]), texts(decided["b"])) == ("10.0.0.2", "10.0.0.1")


def test_what_is_remembered_comes_back_and_does_not_take_what_is_held() -> None:
    memory = {"a": (ip_address("10.0.0.3"),), "b": (ip_address("10.0.0.4"),)}
    decided = decide([wish("a"), wish("b")], world(service("b", "10.0.0.3")), space(), remembered=memory)
    assert (texts(decided["a"]), texts(decided["b"])) == ("10.0.0.1", "10.0.0.3")
    decided = decide([wish("a"), wish("b")], world(), space(), remembered=memory)
    assert (texts(decided["a"]), texts(decided["b"])) == ("10.0.0.3", "10.0.0.4")


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
