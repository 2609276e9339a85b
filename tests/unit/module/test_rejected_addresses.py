"""What counts as a rejection of an address, and until when."""

from __future__ import annotations

from typing import Any

import pytest

from edge_expose_contract.addressing import AddressSet, parse_address
from edge_expose_contract.identity import LABEL_CLAIM, LABEL_EXPOSURE
from edge_expose_contract.models import Exposure
from edge_expose_module.allocation.refused_ports import named_ports
from edge_expose_module.allocation.rejected_addresses import (
    LATE_SECONDS,
    RETRY_SECONDS,
    SILENCE_SECONDS,
    TORN_SECONDS,
    RejectionLog,
    Rejections,
    current,
)
from edge_expose_module.cluster.service import DECLARED_ANNOTATION, ObservedService, ServiceEvent
from edge_expose_module.cluster.state import Observed
from edge_expose_module.load_balancers.metallb import MetalLB
from edge_expose_module.load_balancers.pools import Pool

POOLS = (Pool("p", AddressSet.parse("10.0.0.1-10.0.0.9")),)
TAKEN = 'Failed to allocate IP for "n/a": can\'t change sharing key for "n/a", address also in use by other/x'
OUTSIDE = 'Failed to allocate IP for "n/a": ["10.0.0.5"] is not allowed in config'


def service(
    name: str,
    asked: str,
    assigned: str = "",
    *,
    ours: bool = True,
    noted: str | None = None,
    ports: tuple[int, ...] = (),
    **more: str,
) -> ObservedService:
    labels = {
        "app.kubernetes.io/managed-by": "edge-expose",
        "edge-expose.io/owner": "o",
        "edge-expose.io/exposure": name,
        **more,
    }
    note = f'{{"addresses":["{asked if noted is None else noted}"]}}'
    return ObservedService.of(
        {
            "metadata": {
                "name": name,
                "namespace": "n",
                "labels": labels if ours else {},
                "annotations": {DECLARED_ANNOTATION: note} if ours else {},
            },
            "spec": {
                "type": "LoadBalancer",
                "loadBalancerIP": asked,
                "ports": [{"port": port, "protocol": "TCP"} for port in ports],
            },
            "status": {"loadBalancer": {"ingress": [{"ip": assigned}] if assigned else []}},
        }
    )


def event(message: str, time: str = "1", reason: str = "AllocationFailed") -> ServiceEvent:
    kind = "Normal" if reason == "IPAllocated" else "Warning"
    return ServiceEvent("metallb-controller", reason, message, kind, time)


def world(*services: ObservedService, events: tuple[ServiceEvent, ...] = (), pools: Any = POOLS) -> Observed:
    return Observed(
        services={s.key: s for s in services}, events={("n", "a"): events}, load_balancer=MetalLB(pools=pools)
    )


class Watcher:
    """A log with a clock that a test moves, for one exposure `a`."""

    def __init__(self, holding: bool = False) -> None:
        self.now = 0.0
        self.known: Rejections = {}
        self.exposures = {"a": Exposure.model_validate({"module": "m", "ports": [80]})}
        self.holding = {"a": (parse_address("10.0.0.4"),)} if holding else {}
        self._log = RejectionLog(lambda: self.now)

    def sees(self, observed: Observed, drifted: tuple[tuple[str, str], ...] = ()) -> list[str]:
        self.known = self._log.learn(self.known, self.exposures, self.holding, observed, "o", drifted)
        return [str(address) for address in current(self.known, self.exposures, observed, "o").get("a", ())]


@pytest.mark.parametrize("message", [TAKEN, OUTSIDE, 'Failed to allocate IP for "n/a": a text of tomorrow'])
def test_a_refusal_of_the_address_asked_for_counts_whatever_its_text(message: str) -> None:
    assert Watcher().sees(world(service("a", "10.0.0.5"), events=(event(message),))) == ["10.0.0.5"]


@pytest.mark.parametrize(
    "observed",
    [
        pytest.param(world(service("a", "10.0.0.5")), id="nothing was said yet"),
        pytest.param(world(service("a", "10.0.0.5", "10.0.0.5"), events=(event(TAKEN),)), id="it has the address"),
        pytest.param(
            world(service("a", "10.0.0.5"), events=(event(TAKEN), event("Assigned", "2", "IPAllocated"))),
            id="an older refusal",
        ),
        pytest.param(
            world(service("a", "10.0.0.4"), events=(event(OUTSIDE),)), id="the text names an address asked for before"
        ),
        pytest.param(
            world(service("a", "10.0.0.5", noted="10.0.0.6"), events=(event(TAKEN),)), id="somebody else's request"
        ),
        pytest.param(
            world(service("a", "10.0.0.5"), service("x", "", "10.0.0.5", ours=False), events=(event(TAKEN),)),
            id="its holder is in sight",
        ),
    ],
)
def test_what_is_no_refusal_of_our_request(observed: Observed) -> None:
    assert Watcher().sees(observed) == []


def test_an_answer_to_the_request_before_is_none_to_the_next_one_even_when_it_comes_late() -> None:
    """MetalLB repeats a refusal, without the address, and the repetition may follow our next request."""
    watcher = Watcher(holding=True)
    assert watcher.sees(world(service("a", "10.0.0.5"), events=(event(TAKEN, "1"),))) == ["10.0.0.5"]
    assert "10.0.0.6" not in watcher.sees(world(service("a", "10.0.0.6"), events=(event(TAKEN, "1"),)))
    assert "10.0.0.6" not in watcher.sees(world(service("a", "10.0.0.6"), events=(event(TAKEN, "2"),)))
    watcher.now += LATE_SECONDS
    assert "10.0.0.6" in watcher.sees(world(service("a", "10.0.0.6"), events=(event(TAKEN, "2"),)))


def test_a_late_answer_does_not_cost_the_address_that_is_asked_for_again() -> None:
    watcher = Watcher(holding=True)
    watcher.sees(world(service("a", "10.0.0.4", "10.0.0.4")))
    assert watcher.sees(world(service("a", "10.0.0.5"), events=(event(TAKEN, "1"),))) == ["10.0.0.5"], "at once"
    assert watcher.sees(world(service("a", "10.0.0.4"), events=(event(TAKEN, "2"),))) == ["10.0.0.5"]
    assert watcher.sees(world(service("a", "10.0.0.4", "10.0.0.4"), events=(event(TAKEN, "2"),))) == ["10.0.0.5"]
    watcher.now += LATE_SECONDS
    assert watcher.sees(world(service("a", "10.0.0.4", "10.0.0.4"), events=(event(TAKEN, "3"),))) == ["10.0.0.5"]


def test_a_refusal_whose_cause_was_in_sight_and_has_left_is_none() -> None:
    """Two that change places: one of them is refused, and then nobody has the address."""
    watcher = Watcher(holding=True)
    watcher.sees(world(service("a", "10.0.0.4", "10.0.0.4"), service("b", "10.0.0.5", "10.0.0.5")))
    swapped = (service("a", "10.0.0.5"), service("b", "10.0.0.4", "10.0.0.4"))
    assert watcher.sees(world(*swapped, events=(event(TAKEN, "1"),))) == []
    assert watcher.sees(world(*swapped, events=(event(TAKEN, "2"),))) == ["10.0.0.5"], "asked again, and refused again"


def test_a_rejection_counts_until_document_pools_or_holder_change() -> None:
    refused = world(service("a", "10.0.0.5"), events=(event(TAKEN),))
    for change in ("document", "pools", "holder"):
        watcher = Watcher(holding=True)
        watcher.sees(refused)
        watcher.now = 10 * RETRY_SECONDS
        held = world(service("a", "10.0.0.4", "10.0.0.4"))
        assert watcher.sees(held) == ["10.0.0.5"], "time alone changes nothing for who has something to lose"
        match change:
            case "document":
                watcher.exposures = {"a": Exposure.model_validate({"module": "m", "ports": [81]})}
            case "pools":
                wider = (Pool("p", AddressSet.parse("10.0.0.1-10.0.0.19")),)
                held = world(service("a", "10.0.0.4", "10.0.0.4"), pools=wider)
            case "holder":
                held = world(service("a", "10.0.0.4", "10.0.0.4"), service("x", "", "10.0.0.5", ours=False))
        assert watcher.sees(held) == [], change


def test_who_has_nothing_to_lose_asks_again_after_a_while() -> None:
    watcher = Watcher()
    waiting = world(service("a", "10.0.0.4"))
    watcher.sees(world(service("a", "10.0.0.5"), events=(event(TAKEN),)))
    watcher.now = RETRY_SECONDS - 1
    assert watcher.sees(waiting) == ["10.0.0.5"]
    watcher.now = RETRY_SECONDS + 1
    assert watcher.sees(waiting) == []


def test_an_address_lost_after_a_request_is_a_refusal_even_in_silence() -> None:
    for holding in (True, False):
        watcher = Watcher(holding)
        lost = world(service("a", "10.0.0.5"))
        assert watcher.sees(lost) == []
        watcher.now = SILENCE_SECONDS
        assert watcher.sees(lost) == (["10.0.0.5"] if holding else [])


def test_what_is_said_of_a_service_that_somebody_else_changed_is_not_said_of_our_request() -> None:
    watcher = Watcher()
    waiting = world(service("a", "10.0.0.5"), events=(event(TAKEN, "1"),))
    assert watcher.sees(world(), (("n", "a"),)) == []
    watcher.now = 0.5  # the load balancer says it a moment later
    assert watcher.sees(waiting) == []
    watcher.now = 60.0
    assert watcher.sees(waiting) == [], "the same event is still the newest"
    assert watcher.sees(world(service("a", "10.0.0.5"), events=(event(TAKEN, "2"),))) == ["10.0.0.5"]


def test_an_address_that_is_given_after_all_is_rejected_no_more() -> None:
    watcher = Watcher(holding=True)
    watcher.sees(world(service("a", "10.0.0.5"), events=(event(TAKEN),)))
    assert watcher.sees(world(service("a", "10.0.0.5", "10.0.0.5"))) == []
    assert parse_address("10.0.0.5") not in current(watcher.known, watcher.exposures, world(), "o")


def test_silence_counts_from_when_the_service_was_first_seen_without_its_address() -> None:
    watcher = Watcher(holding=True)
    watcher.now = 100.0
    beside = service("b", "10.0.0.7", "10.0.0.7")
    silent = world(service("a", "10.0.0.5"), beside)
    assert watcher.sees(silent) == []
    watcher.now += SILENCE_SECONDS - 0.1
    assert watcher.sees(silent) == []
    watcher.now += 0.1
    assert watcher.sees(silent) == ["10.0.0.5"]
    block = watcher.known["a"][0].block
    assert block.reason == "AddressRefused"
    assert "10.0.0.5, and did not say why" in block.message


def test_silence_starts_anew_with_another_request() -> None:
    watcher = Watcher(holding=True)
    assert watcher.sees(world(service("a", "10.0.0.5"))) == []
    watcher.now += SILENCE_SECONDS
    assert watcher.sees(world(service("a", "10.0.0.6"))) == []


def test_who_holds_another_address_or_shares_is_no_known_holder() -> None:
    said = (event(TAKEN),)
    beside = service("b", "10.0.0.7", "10.0.0.7")
    assert Watcher().sees(world(service("a", "10.0.0.5"), beside, events=said)) == ["10.0.0.5"]
    holder = service("b", "10.0.0.5", "10.0.0.5")
    assert Watcher().sees(world(service("a", "10.0.0.5"), holder, events=said)) == []


IN_USE = 'Failed to allocate IP for "n/a": port TCP/{port} is already in use on "10.0.0.4"'


def publishing(name: str, assigned: str, *ports: int, **labels: str) -> ObservedService:
    return service(name, "10.0.0.4", assigned, ports=ports, **labels)


def refused(*services: ObservedService, port: int = 81) -> Observed:
    return world(*services, events=(event(IN_USE.format(port=port), str(port)),))


def of_port_81() -> Watcher:
    watcher = Watcher(holding=True)
    watcher.exposures = {"a": Exposure.model_validate({"module": "m", "ports": [81]})}
    return watcher


def test_a_port_is_refused_once_the_load_balancer_had_time_to_see_who_gave_it_up() -> None:
    watcher = of_port_81()
    assert watcher.sees(refused(publishing("a", "", 81))) == []
    watcher.now = TORN_SECONDS - 0.1
    assert watcher.sees(refused(publishing("a", "", 81))) == []
    watcher.now = TORN_SECONDS
    assert watcher.sees(refused(publishing("a", "", 81))) == ["10.0.0.4"]


def test_a_port_that_another_one_of_ours_publishes_is_waited_for() -> None:
    watcher = of_port_81()
    assert watcher.sees(refused(publishing("a", "", 81), publishing("b", "10.0.0.4", 81))) == []
    watcher.now = 10 * TORN_SECONDS
    assert watcher.sees(refused(publishing("a", "", 81), publishing("b", "10.0.0.4", 81))) == []


def test_what_was_said_of_the_form_before_is_not_said_of_the_next_one() -> None:
    watcher = of_port_81()
    watcher.sees(refused(publishing("a", "", 81)))
    watcher.now = TORN_SECONDS
    watcher.exposures = {"a": Exposure.model_validate({"module": "m", "ports": [81, 82]})}
    assert watcher.sees(refused(publishing("a", "", 81))) == []


def test_a_refused_port_counts_while_the_address_is_given_without_it() -> None:
    watcher = of_port_81()
    watcher.sees(refused(publishing("a", "", 81)))
    watcher.now = TORN_SECONDS
    watcher.sees(refused(publishing("a", "", 81)))
    assert watcher.sees(refused(publishing("a", "10.0.0.4", 80))) == ["10.0.0.4"]
    assert watcher.sees(refused(publishing("a", "10.0.0.4", 80, 81))) == []


def test_a_second_port_that_is_refused_is_added_to_the_first_one() -> None:
    watcher = of_port_81()
    for second in (0.0, TORN_SECONDS):
        watcher.now = second
        watcher.sees(refused(publishing("a", "", 81)))
    watcher.sees(refused(publishing("a", "", 80), port=80))
    ((entry,),) = watcher.known.values()
    assert named_ports(entry.block) == {("TCP", 80), ("TCP", 81)}


def test_the_port_that_a_claim_publishes_is_nobodys_wish() -> None:
    watcher = Watcher()
    claim = publishing("a-claim", "", 81, **{LABEL_CLAIM: "true", LABEL_EXPOSURE: "a"})
    said = (event(IN_USE.format(port=81)),)
    observed = Observed(services={claim.key: claim}, events={claim.key: said}, load_balancer=MetalLB(pools=POOLS))
    assert watcher.sees(observed) == ["10.0.0.4"]
    ((entry,),) = watcher.known.values()
    assert named_ports(entry.block) == frozenset()
