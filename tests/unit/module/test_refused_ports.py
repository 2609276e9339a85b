"""A port of a shared address that the load balancer refuses, although nobody in sight has it, costs no address."""

from __future__ import annotations

from typing import Any

import pytest

from edge_expose_module.cluster.api import SERVICES
from edge_expose_module.desired.rails.model import Guards
from support.bench import Bench
from support.histories import History
from support.shared_address import HELD, group, one, published, world
from support.watched_cluster import Watched


def refused(found: Bench, *ports: tuple[str, int]) -> None:
    """Somebody whom the module does not see publishes these ports at the address."""
    found.cluster.metallb.hidden_ports[HELD] = set(ports)


def run_on(found: Bench, seconds: int = 6) -> None:
    for _ in range(seconds):
        found.run(1)
        found.later(seconds=1)


@pytest.mark.parametrize(
    ("after", "left"),
    [
        pytest.param([81], [80], id="instead"),
        pytest.param([80, 81], [80], id="in addition"),
        pytest.param([81, 82], [80], id="beside a good one"),
    ],
)
def test_who_is_refused_a_port_that_nobody_in_sight_has_goes_back_and_keeps_the_address(
    after: list[int], left: list[int]
) -> None:
    found = world(a=[80], b=[90])
    refused(found, ("TCP", 81))
    found.desire(group(a=after, b=[90]))
    run_on(found)
    assert published(found, "a", "b") == [left, [90]]
    assert found.state("a") == ("Blocked", HELD, "PortTaken")
    assert found.state("b") == ("Ready", HELD, None)
    assert found.exposure("a")["values"][0] == "81/tcp"
    assert found.exposure("a")["message"] == (
        f'MetalLB: port TCP/81 is already in use on "{HELD}"; publish another port, or choose another address; no '
        f"Service that this module sees has it; it goes on in its previous form; still at {HELD}"
    )


def test_a_port_that_was_refused_is_not_asked_for_again_until_the_exposure_changes() -> None:
    found = world(a=[80], b=[90])
    refused(found, ("TCP", 81))
    found.desire(group(a=[81], b=[90]))
    run_on(found)
    del found.cluster.lost[:]
    refused(found)
    found.restart()
    run_on(found)
    assert (published(found, "a"), found.cluster.lost) == ([[80]], [])
    assert found.state("a") == ("Blocked", HELD, "PortTaken")
    found.desire(group(a=[81, 82], b=[90]))
    run_on(found)
    assert published(found, "a") == [[81, 82]]
    assert found.state("a") == ("Ready", HELD, None)


def test_a_form_that_cannot_be_read_after_a_refused_one_does_not_bring_that_back() -> None:
    found = world(a=[80], b=[90])
    refused(found, ("TCP", 81))
    found.desire(group(a=[81], b=[90]))
    run_on(found)
    del found.cluster.lost[:]
    found.desire(group(a=["none"], b=[90]))
    run_on(found)
    assert (published(found, "a"), found.cluster.lost) == ([[80]], [])
    assert found.state("a") == ("Blocked", HELD, "InvalidExposure")


def test_the_next_change_that_is_refused_goes_back_to_what_was_granted_and_not_to_what_was_refused() -> None:
    found = world(a=[80], b=[90])
    refused(found, ("TCP", 81), ("TCP", 82))
    found.desire(group(a=[81], b=[90]))
    run_on(found)
    found.desire(group(a=[82], b=[90]))
    run_on(found)
    assert published(found, "a") == [[80]]
    assert found.state("a") == ("Blocked", HELD, "PortTaken")


def test_what_another_one_took_meanwhile_is_not_taken_back() -> None:
    found = world(a=[80], b=[90])
    refused(found, ("TCP", 81))
    found.desire(group(a=[81], b=[80]))
    run_on(found, 8)
    assert published(found, "a", "b") == [[65535], [80]]
    assert found.state("a") == ("Blocked", HELD, "PortTaken")
    assert found.state("b") == ("Ready", HELD, None)


def test_where_the_form_before_is_refused_too_it_goes_on_without_all_of_these_ports() -> None:
    found = world(a=[80], b=[90])
    refused(found, ("TCP", 80), ("TCP", 81))
    found.desire(group(a=[81], b=[90]))
    run_on(found, 15)
    assert published(found, "a") == [[65535]]
    assert found.state("a") == ("Blocked", HELD, "PortTaken")
    assert found.exposure("a")["values"][0] == "80/tcp, 81/tcp"


def test_the_second_service_that_is_refused_a_port_goes_back_as_well() -> None:
    found = world(a=[80, "53/udp"], b=[90])
    refused(found, ("UDP", 54))
    found.desire(group(a=[80, "54/udp"], b=[90]))
    run_on(found)
    assert published(found, "a", "a-udp") == [[80], [53]]
    assert {found.cluster.address_of(name) for name in ("a", "a-udp")} == {HELD}
    assert found.state("a") == ("Blocked", HELD, "PortTaken")


def test_a_port_that_the_load_balancer_only_forgets_late_is_had_in_the_end() -> None:
    found = world(a=[80], b=[90])
    refused(found, ("TCP", 81))
    found.desire(group(a=[81], b=[90]))
    found.run(1)
    found.later(seconds=1)
    refused(found)
    run_on(found)
    assert published(found, "a") == [[81]]
    assert found.state("a") == ("Ready", HELD, None)


def test_a_second_service_that_would_be_left_with_nothing_waits_beside_the_first_one() -> None:
    found = world(a=[80, "53/udp"], b=[90])
    refused(found, ("UDP", 54))
    found.desire(group(a=[80, "54/udp"], b=["53/udp"]))
    run_on(found, 9)
    assert [found.cluster.address_of(name) for name in ("a", "a-udp", "b")] == [HELD, None, HELD]
    assert published(found, "a", "a-udp", "b") == [[80], [54], [53]]
    assert found.state("a") == ("Blocked", HELD, "PortTaken")
    refused(found)
    run_on(found, 20)
    assert {found.state(name) for name in "ab"} == {("Ready", HELD, None)}


def test_where_the_owner_forbids_the_form_before_it_goes_on_without_the_port() -> None:
    found = world(a=[80], b=[90])
    found.guards = Guards(ports=((81, 99),))
    found.restart()
    refused(found, ("TCP", 81))
    found.desire(group(a=[81, 82], b=[90]))
    run_on(found, 10)
    assert published(found, "a", "b") == [[82], [90]]
    assert found.state("a") == ("Blocked", HELD, "PortTaken")
    assert "it goes on without that port" in found.exposure("a")["message"]


def test_its_service_is_made_anew_without_the_port_too() -> None:
    found = world(a=[80], b=[90])
    refused(found, ("TCP", 81))
    found.desire(group(a=[80, 81], b=[80]))
    run_on(found)
    found.desire(group(a=[80, 81], b=[90]))
    run_on(found)
    del found.cluster.services[("edge1", "a")]
    run_on(found)
    assert published(found, "a") == [[80]]
    assert found.state("a") == ("Blocked", HELD, "PortTaken")


def test_a_holder_in_sight_is_named_and_waited_for() -> None:
    """It came between what was observed and what was written."""
    found = world(a=[80], b=[90])
    refused(found, ("TCP", 81))
    found.desire(group(a=[81], b=[90]))
    found.run(1)
    refused(found)
    head = {"name": "theirs", "namespace": "edge1", "annotations": {"metallb.io/allow-shared-ip": "k"}}
    spec = {"type": "LoadBalancer", "loadBalancerIP": HELD, "ports": [{"port": 81, "protocol": "TCP"}]}
    found.cluster.objects.add_service({"metadata": head, "spec": spec})
    found.cluster.metallb.settle(found.cluster.services[("edge1", "theirs")])
    run_on(found)
    assert published(found, "a") == [[80]]
    assert found.state("a") == ("Blocked", HELD, "PortTaken")
    assert "Service edge1/theirs has it" in found.exposure("a")["message"]
    found.cluster.delete(SERVICES, "edge1", "theirs", "")
    run_on(found)
    assert published(found, "a") == [[81]]
    assert found.state("a") == ("Ready", HELD, None)


def free(**ports: list[int]) -> dict[str, Any]:
    """A group whose address is chosen."""
    return {name: {"selector": ["app=ws"], "ports": numbers, "share": "k"} for name, numbers in ports.items()}


def test_an_address_that_is_refused_later_is_not_taken_for_a_port() -> None:
    found = Bench(Watched())
    found.desire(free(a=[80], b=[90]))
    found.run()
    held = found.cluster.address_of("a")
    assert held is not None
    found.cluster.metallb.hidden_ports[held] = {("TCP", 81)}
    found.desire(free(a=[80, 81], b=[90]))
    run_on(found)
    assert found.exposure("a")["address"] == held
    found.cluster.hidden.add(held)
    for name in "ab":
        del found.cluster.services[("edge1", name)]
    run_on(found, 30)
    (address,) = {found.cluster.address_of(name) for name in "ab"}
    assert address not in (None, held)


def test_the_form_before_does_not_bring_its_old_expiry_back() -> None:
    found = world(a=[80], b=[90])
    found.desire({"a": one(80, expires="2026-11-22T05:00:00Z"), "b": one(90)})
    found.run()
    refused(found, ("TCP", 81))
    found.desire({"a": one(80, 81, expires="2026-11-23T05:00:00Z"), "b": one(90)})
    run_on(found)
    found.later(hours=2)
    found.desire({"a": one("none"), "b": one(90)})
    run_on(found)
    assert published(found, "a") == [[80]]
    assert found.state("a") == ("Blocked", HELD, "InvalidExposure")


def test_a_form_that_was_given_up_long_ago_does_not_come_back() -> None:
    found = world(a=[70], b=[90])
    found.desire(group(a=[80], b=[90]))
    run_on(found)
    refused(found, ("TCP", 81))
    del found.cluster.services[("edge1", "a")]
    found.desire(group(a=[80, 81], b=[90]))
    run_on(found)
    assert published(found, "a") == [[80]]
    assert found.state("a") == ("Blocked", HELD, "PortTaken")


def test_a_port_that_another_one_wants_in_vain_is_not_given_up_for_it() -> None:
    found = world(a=[80], b=[90])
    refused(found, ("TCP", 81), ("TCP", 82))
    found.desire(group(a=[81], b=[80, 82]))
    run_on(found, 20)
    assert {found.cluster.address_of(name) for name in "ab"} == {HELD}
    assert published(found, "a", "b") == [[80], [90]]


def test_a_pair_that_shares_with_nobody_goes_back_as_well() -> None:
    found = world(b=[90])
    pair = {"selector": ["app=ws"], "address": "10.0.0.14"}
    found.desire({**group(b=[90]), "c": {**pair, "ports": ["80", "53/udp"]}})
    run_on(found, 4)
    found.cluster.metallb.hidden_ports["10.0.0.14"] = {("UDP", 54)}
    found.desire({**group(b=[90]), "c": {**pair, "ports": ["80", "54/udp"]}})
    run_on(found)
    assert published(found, "c", "c-udp") == [[80], [53]]
    assert found.state("c") == ("Blocked", "10.0.0.14", "PortTaken")


def test_a_document_that_cannot_be_read_does_not_ask_for_the_refused_port_again() -> None:
    found = world(a=[80], b=[90])
    found.guards = Guards(ports=((81, 99),))
    found.restart()
    refused(found, ("TCP", 81))
    found.desire(group(a=[81, 82], b=[90]))
    run_on(found)
    assert published(found, "a") == [[82]]
    del found.cluster.lost[:]
    found.desire({"a": one("none"), "b": one(90)})
    run_on(found)
    assert (published(found, "a"), found.cluster.lost) == ([[82]], [])


@pytest.mark.parametrize(
    ("seed", "moves"), [(76, False), (276, False), (1048, True), (1164, True), (1180, True), (1222, True)]
)
def test_histories_with_refused_ports_that_cost_an_address_once_cost_none(seed: int, moves: bool) -> None:
    """More of them: `make histories REFUSED=1`."""
    history = History(seed, moves=moves, refused_ports=True)
    history.live()
    assert history.problems == []
