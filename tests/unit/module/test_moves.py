"""A held address is given up only for one that was granted before."""

from __future__ import annotations

from typing import Any

import pytest

from edge_expose_contract.addressing import parse_address
from edge_expose_contract.models import Exposure
from edge_expose_contract.services import own_sharing_key
from edge_expose_module.cluster.state import Capabilities
from edge_expose_module.desired.rails.model import Guards
from edge_expose_module.desired.resolved import ResolvedExposure
from edge_expose_module.load_balancers.api import Ask
from edge_expose_module.load_balancers.metallb import MetalLB
from edge_expose_module.services.claim_services import claim_names
from edge_expose_module.services.moves import Move
from edge_expose_module.services.render import Target
from support.bench import Bench
from support.fake_cluster import FakeCluster
from support.fake_pools import FakePool

HELD, WANTED = "10.0.0.10", "10.0.0.15"


def web(*ports: object, **more: Any) -> dict[str, Any]:
    return {"selector": ["app=ws"], "ports": list(ports) or [80], **more}


def bench(*ports: object, **more: Any) -> Bench:
    found = Bench(FakeCluster())
    found.cluster.add_pod("w", {"app": "ws"})
    found.desire({"web": web(*ports, address=HELD, **more)})
    found.run()
    assert found.state("web") == ("Ready", HELD, None)
    return found


def traced(found: Bench, passes: int = 6) -> list[tuple[str | None, bool]]:
    """After each pass: the address of the Service, and whether its claim is there."""
    seen = []
    for _ in range(passes):
        found.run(1)
        seen.append((found.cluster.address_of("web"), ("edge1", "web-claim") in found.cluster.services))
    return seen


@pytest.mark.parametrize("ports", [(80,), ("53/tcp", "53/udp"), ("80-99",)])
def test_a_pin_moves_once_a_claim_has_the_new_address_and_the_claim_goes(ports: tuple[object, ...]) -> None:
    found = bench(*ports)
    found.desire({"web": web(*ports, address=WANTED)})
    seen = traced(found)
    assert [address for address, _ in seen] == [HELD, WANTED, WANTED, WANTED, WANTED, WANTED]
    assert [claimed for _, claimed in seen] == [True, True, False, False, False, False]
    assert found.state("web") == ("Ready", WANTED, None)
    assert all(found.cluster.address_of(name) == WANTED for _, name in found.cluster.services)


def test_a_refused_claim_has_changed_nothing() -> None:
    found = bench()
    before = dict(found.cluster.services[("edge1", "web")]["metadata"]), found.cluster.address_of("web")
    found.cluster.hidden.add(WANTED)
    found.desire({"web": web(80, 81, address=WANTED)})
    found.run(6)
    service = found.cluster.services[("edge1", "web")]
    assert (dict(service["metadata"]), found.cluster.address_of("web")) == before, "not one write"
    assert ("edge1", "web-claim") not in found.cluster.services
    assert found.state("web")[:2] == ("Blocked", HELD)
    writes = len(found.cluster.writes)
    found.later(minutes=11)
    found.restart()
    found.run(6)
    assert len(found.cluster.writes) == writes, "and it is not asked for again, nor after a restart"


def test_another_document_is_a_new_chance() -> None:
    found = bench()
    found.cluster.hidden.add(WANTED)
    found.desire({"web": web(address=WANTED)})
    found.run(6)
    found.cluster.hidden.clear()
    found.desire({"web": web(81, address=WANTED)})
    found.run(6)
    assert found.state("web") == ("Ready", WANTED, None)


@pytest.mark.parametrize("more", [{"share": "k"}, {"externalTrafficPolicy": "Local"}])
@pytest.mark.parametrize("ports", [(80,), ("53/tcp", "53/udp")])
def test_an_exposure_that_may_share_or_keeps_source_addresses_is_claimed_for_too(
    ports: tuple[object, ...], more: dict[str, Any]
) -> None:
    found = bench(*ports, **more)
    found.desire({"web": web(*ports, address=WANTED, **more)})
    seen = traced(found)
    assert [address for address, _ in seen] == [HELD, WANTED, WANTED, WANTED, WANTED, WANTED]
    assert [claimed for _, claimed in seen] == [True, True, False, False, False, False]
    found.cluster.hidden.add("10.0.0.17")
    found.desire({"web": web(*ports, address="10.0.0.17", **more)})
    assert {address for address, _ in traced(found)} == {WANTED}, "refused, and never without an address"
    assert found.state("web")[:2] == ("Blocked", WANTED)
    writes = len(found.cluster.writes)
    found.later(minutes=11)
    found.restart()
    found.run(4)
    assert len(found.cluster.writes) == writes


def test_the_exposures_of_one_sharing_key_have_one_claim_and_move_together() -> None:
    def both(address: str) -> dict[str, Any]:
        return {"web": web(address=address, share="k"), "b": web(81, 65535, address=address, share="k")}

    found = bench(share="k")
    found.desire(both(HELD))
    found.run()
    found.desire(both(WANTED))
    at = []
    for _ in range(5):
        found.run(1)
        at.append([found.cluster.address_of(name) for name in ("web", "b")])
    assert at == [[HELD, HELD], *[[WANTED, WANTED]] * 4]
    claims = {name for verb, _, name in found.cluster.writes if verb == "create" and "claim" in name}
    assert claims == {"edge1/b-claim"}, "on a port that none of them publishes"
    found.cluster.hidden.add("10.0.0.17")
    found.desire(both("10.0.0.17"))
    found.run(5)
    assert [found.cluster.address_of(name) for name in ("web", "b")] == [WANTED, WANTED]
    assert {found.state(name)[0] for name in ("web", "b")} == {"Blocked"}


def test_a_label_that_opens_a_pool_opens_it_for_the_claim_too() -> None:
    for_front = FakePool.of(
        "10.0.0.30-10.0.0.31", allocation={"serviceSelectors": [{"matchLabels": {"tier": "front"}}]}
    )
    found = Bench(FakeCluster({"p": FakePool.of("10.0.0.10-10.0.0.20"), "q": for_front}))
    found.cluster.add_pod("w", {"app": "ws"})
    found.desire({"web": web(address=HELD, labels=["tier=front"])})
    found.run()
    found.desire({"web": web(address="10.0.0.30", labels=["tier=front"])})
    assert None not in [address for address, _ in traced(found)]
    assert found.state("web") == ("Ready", "10.0.0.30", None)


def test_where_no_claim_can_be_made_the_last_address_is_asked_for_again() -> None:
    found = blocked_by_names()
    found.cluster.hidden.add(WANTED)
    found.desire({"web": web(address=WANTED)})
    found.run(1)
    assert found.cluster.address_of("web") is None, "MetalLB takes it away"
    found.run(2)
    assert found.state("web")[:2] == ("Blocked", HELD)
    writes = len(found.cluster.writes)
    found.later(minutes=11)
    found.restart()
    found.run(4)
    assert len(found.cluster.writes) == writes


def blocked_by_names() -> Bench:
    """An exposure for whose claim every name is taken by somebody else."""
    found = bench()
    for name in claim_names("web"):
        found.cluster.add_service(name, {"type": "ClusterIP", "ports": [{"port": 9}]})
    return found


def test_a_claim_left_by_a_kill_is_cleaned_up_and_a_move_goes_on() -> None:
    for later in ({"web": web(address=HELD)}, {"web": web(address=WANTED)}, {}):
        found = bench()
        found.desire({"web": web(address=WANTED)})
        found.run(1)
        assert ("edge1", "web-claim") in found.cluster.services
        found.desire(later)
        found.restart()
        found.run(6)
        assert sorted(name for _, name in found.cluster.services) == sorted(later)


def claims_of(found: Bench) -> list[str]:
    """Names of the claims that were made, in turn."""
    return [name.partition("/")[2] for verb, _, name in found.cluster.writes if verb == "create" and "claim" in name]


def test_beside_an_exposure_with_the_name_of_its_claim_an_exposure_has_a_claim_of_another_name() -> None:
    found = bench()
    beside = {"web-claim": web(82)}
    found.desire({"web": web(address=HELD), **beside})
    found.run()
    found.cluster.writes.clear()
    found.desire({"web": web(address=WANTED), **beside})
    seen = traced(found)
    first, second = list(claim_names("web"))[:2]
    assert first == "web-claim"
    assert claims_of(found) == [second]
    assert [address for address, _ in seen] == [HELD, *[WANTED] * 5], "and never without an address"
    assert sorted(name for _, name in found.cluster.services) == ["web", "web-claim"]
    assert found.state("web-claim")[:2] == ("Ready", "10.0.0.11")


def test_a_claim_of_another_name_that_a_kill_left_is_cleaned_up() -> None:
    found = bench()
    beside = {"web-claim": web(82)}
    found.desire({"web": web(address=HELD), **beside})
    found.run()
    found.desire({"web": web(address=WANTED), **beside})
    found.run(1)
    assert len(found.cluster.services) == 3
    found.desire({"web": web(address=HELD)})
    found.restart()
    found.run(3)
    assert sorted(name for _, name in found.cluster.services) == ["web"]


def test_a_claim_never_has_the_name_of_an_edge_module() -> None:
    found = bench()
    found.cluster.add_pod("m", {"net.azure-devices.edge.module": "web-claim"})
    found.desire({"web": web(address=WANTED)})
    found.run(4)
    assert claims_of(found) == list(claim_names("web"))[1:2]
    assert found.state("web") == ("Ready", WANTED, None)


def test_the_label_of_a_claim_on_a_service_that_serves_makes_it_none_and_is_taken_off() -> None:
    found = bench()
    found.cluster.services[("edge1", "web")]["metadata"]["labels"]["edge-expose.io/claim"] = "true"
    found.desire({"web": web(), "b": web(81)})
    found.run()
    assert found.state("web") == ("Ready", HELD, None)
    assert "edge-expose.io/claim" not in found.cluster.services[("edge1", "web")]["metadata"]["labels"]


def test_an_automatic_exposure_whose_first_address_is_refused_gets_the_next_one() -> None:
    found = Bench(FakeCluster())
    found.cluster.add_pod("w", {"app": "ws"})
    found.cluster.hidden |= {"10.0.0.10", "10.0.0.11"}
    found.desire({"web": web()})
    found.run(5)
    assert found.state("web") == ("Ready", "10.0.0.12", None)


def test_a_claim_whose_first_writing_failed_is_believed_when_it_is_refused() -> None:
    found = bench()
    found.cluster.hidden.add(WANTED)
    found.desire({"web": web(address=WANTED)})
    found.cluster.fail_writes = 1
    found.run(6)
    assert found.state("web")[:2] == ("Blocked", HELD)
    assert ("edge1", "web-claim") not in found.cluster.services


@pytest.mark.parametrize("is_deleted", [True, False])
def test_what_a_move_was_given_is_known_before_the_next_pass(is_deleted: bool) -> None:
    found = bench()
    found.desire({"web": web(address=WANTED)})
    found.run(2)
    assert found.cluster.address_of("web") == WANTED
    found.cluster.hidden.add("10.0.0.17")
    found.desire({"web": web(address="10.0.0.17")})
    if is_deleted:
        del found.cluster.services[("edge1", "web")]
    found.run(6)
    assert found.state("web")[:2] == ("Blocked", WANTED), "not at the address it had before that"


def test_an_exposure_beside_it_keeps_nobody_from_claiming_first() -> None:
    for wanted, expected in ((WANTED, ("Ready", WANTED)), ("10.0.0.17", ("Blocked", HELD))):
        found = bench()
        found.cluster.hidden.add("10.0.0.17")
        # One before it and one after it, in the order in which exposures are looked at, that stay where they are.
        beside = {"a": web(81, address="10.0.0.12"), "z": web(82, address="10.0.0.13", share="k")}
        found.desire({"web": web(address=HELD), **beside})
        found.run()
        found.desire({"web": web(address=wanted), **beside})
        seen = traced(found)
        assert ("create", "Service", "edge1/web-claim") in found.cluster.writes
        assert None not in [address for address, _ in seen]
        assert found.state("web")[:2] == expected
        assert [found.cluster.address_of(name) for name in beside] == ["10.0.0.12", "10.0.0.13"]


def test_exposures_that_change_places_ask_directly() -> None:
    found = bench()
    found.desire({"web": web(address=HELD), "b": web(81, address=WANTED)})
    found.run()
    found.desire({"web": web(address=WANTED), "b": web(81, address=HELD)})
    found.run(6)
    assert not [name for _, _, name in found.cluster.writes if name.endswith("-claim")]
    assert found.state("web")[:2] == ("Ready", WANTED)
    assert found.state("b")[:2] == ("Ready", HELD)


@pytest.mark.parametrize("length", [57, 58, 59])
def test_the_longest_names_leave_room_for_a_claim(length: int) -> None:
    name, other = "n" * length, "n" * (length - 1) + "m"
    assert not set(claim_names(name)) & set(claim_names(other))
    found = bench()
    found.desire({name: web(address="10.0.0.12")})
    found.run()
    found.cluster.writes.clear()
    found.desire({name: web(address=WANTED)})
    found.run(6)
    assert [len(claim) for claim in claims_of(found)] == [63]
    assert found.state(name)[:2] == ("Ready", WANTED)


def test_a_service_of_somebody_else_with_the_name_of_a_claim_is_left_alone() -> None:
    found = bench()
    found.cluster.add_service("web-claim", {"type": "ClusterIP", "ports": [{"port": 9}]})
    before = found.cluster.services[("edge1", "web-claim")]["metadata"]["resourceVersion"]
    found.desire({"web": web(address=WANTED)})
    found.run(6)
    assert found.state("web")[:2] == ("Ready", WANTED)
    assert found.cluster.services[("edge1", "web-claim")]["metadata"]["resourceVersion"] == before


@pytest.mark.parametrize(
    ("address", "families"),
    [("10.0.0.15", {}), ("fd00::15", {"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv6"]})],
)
def test_a_claim_asks_for_one_address_and_carries_nothing(address: str, families: dict[str, Any]) -> None:
    exposure = Exposure.model_validate(
        {**web("65535", "65534/udp", "80"), "pool": "p", "loadBalancerClass": "metallb.io/x"}
    )
    target = Target("o", "edge1", lambda _: MetalLB(), Capabilities.of("v1.36.3"))
    at = ("edge1", "web-claim")
    held, wanted = (parse_address(HELD),), (parse_address(address),)
    move = Move(held, wanted, granted=False, claim=at, claimant="web", port=("TCP", 65533))
    claim = move.claim_service(ResolvedExposure("web", exposure), target)
    assert (claim.namespace, claim.name, claim.exposure) == ("edge1", "web-claim", "web")
    ask = MetalLB().request(Ask(move.target, own_sharing_key("o", "web"), "p"))
    assert dict(claim.annotations).items() >= dict(ask.annotations).items()
    assert dict(claim.spec) == {
        "type": "LoadBalancer",
        "ports": [{"name": "tcp-65533", "port": 65533, "targetPort": "edge-no-port", "protocol": "TCP"}],
        "selector": None,
        "externalTrafficPolicy": "Cluster",
        "loadBalancerClass": "metallb.io/x",
        "allocateLoadBalancerNodePorts": False,
        "loadBalancerSourceRanges": None,
        "loadBalancerIP": ask.load_balancer_ip,
        **families,
    }


def test_a_twin_that_may_not_share_yet_does_not_cost_the_address() -> None:
    found = Bench(FakeCluster())
    found.desire({"web": web(80)})
    found.run()
    # Somebody writes at the same time, so the Service gets its sharing key later than the twin that is made.
    found.cluster.refuse("conflict", verb="patch", times=1)
    found.desire({"web": web("80", "53/udp")})
    found.run(1)
    assert found.cluster.address_of("web-udp") is None
    found.run(6)
    assert [found.cluster.address_of(name) for name in ("web", "web-udp")] == [HELD, HELD]
    assert ("create", "Service", "edge1/web-claim") not in found.cluster.writes, "nobody looked for another address"


def test_who_is_unpinned_after_a_refusal_goes_back_to_what_it_held_last() -> None:
    found = Bench(FakeCluster())
    found.desire({"a": web(81), "web": web()})
    found.run()
    found.desire({"web": web()})
    found.run()
    assert found.cluster.address_of("web") == "10.0.0.11"
    found.cluster.hidden.add(WANTED)
    found.desire({"web": web(address=WANTED)})
    del found.cluster.services[("edge1", "web")]
    found.run(1)
    found.desire({"web": web()})
    found.run(6)
    assert found.cluster.address_of("web") == "10.0.0.11", "not the lowest free one"


def test_two_pins_do_not_change_places_while_somebody_waits_for_the_next_free_address() -> None:
    found = Bench(FakeCluster("10.0.0.10-10.0.0.11"))
    found.cluster.add_pod("w", {"app": "ws"})
    here, there = {"a": "10.0.0.10", "c": "10.0.0.11"}, {"a": "10.0.0.11", "c": "10.0.0.10"}
    found.desire({name: web(address=address) for name, address in here.items()})
    found.run()
    found.cluster.add_service("waiter", {"type": "LoadBalancer", "ports": [{"port": 80}]}, namespace="other")
    assert found.cluster.address_of("waiter", "other") is None
    found.desire({name: web(address=address) for name, address in there.items()})
    found.run(5)
    assert {name: found.cluster.address_of(name) for name in here} == here, "nobody lost anything"
    assert {found.state(name)[::2] for name in here} == {("Blocked", "AddressTaken")}
    del found.cluster.services[("other", "waiter")]
    found.run(5)
    found.cluster.settle()  # as the touch does that follows after two seconds
    assert {name: found.cluster.address_of(name) for name in here} == there


def test_who_cannot_go_back_goes_on_asking() -> None:
    """The address held last was taken meanwhile: there is nothing left to lose by asking."""
    found = blocked_by_names()
    found.cluster.hidden.add(WANTED)
    found.desire({"web": web(address=WANTED)})
    found.run(1)
    taken = {"type": "LoadBalancer", "loadBalancerIP": HELD, "ports": [{"port": 80}]}
    found.cluster.add_service("quick", taken, namespace="other")
    found.run(4)
    assert found.state("web")[:2] == ("Blocked", None)
    found.cluster.hidden.clear()
    found.cluster.settle()
    found.run(2)
    assert found.state("web") == ("Ready", WANTED, None), "without another word from anybody"


def test_nobody_takes_the_address_of_a_refused_exposure_while_its_service_is_gone() -> None:
    found = bench()
    found.cluster.hidden.add(WANTED)
    found.desire({"web": web(address=WANTED)})
    found.run(6)
    assert found.state("web")[:2] == ("Blocked", HELD)
    del found.cluster.services[("edge1", "web")]
    found.desire({"web": web(address=WANTED), "b": web(81)})
    found.run(6)
    assert (found.cluster.address_of("web"), found.cluster.address_of("b")) == (HELD, "10.0.0.11")


@pytest.mark.parametrize(
    ("ports", "allowed", "claimed"),
    [
        pytest.param(("443",), ((443, 443), (8000, 8010)), ("TCP", 8010), id="the-last-one-allowed"),
        pytest.param(("443",), ((443, 443),), ("UDP", 443), id="the-other-protocol-of-the-only-one"),
        pytest.param(("443", "443/udp"), ((443, 443),), ("TCP", 65535), id="none-left"),
        pytest.param(("65535",), None, ("TCP", 65534), id="no-rails"),
    ],
)
def test_a_claim_publishes_what_the_guard_rails_allow(
    ports: tuple[str, ...], allowed: tuple[tuple[int, int], ...] | None, claimed: tuple[str, int]
) -> None:
    """An admission policy that enforces them holds claims to them too."""
    found = Bench(FakeCluster(), guards=Guards(ports=allowed))
    found.desire({"web": web(*ports, address=HELD)})
    found.run()
    found.desire({"web": web(*ports, address=WANTED)})
    found.run(1)
    (claim,) = (body for (_, name), body in found.cluster.services.items() if name == "web-claim")
    (entry,) = claim["spec"]["ports"]
    assert (entry["protocol"], entry["port"]) == claimed
    found.run()
    assert found.cluster.address_of("web") == WANTED


def test_a_claim_is_as_open_as_the_exposure() -> None:
    found = bench(80, allowFrom=["10.9.0.0/16"])
    found.desire({"web": web(80, address=WANTED, allowFrom=["10.9.0.0/16"])})
    found.run(1)
    assert found.cluster.services[("edge1", "web-claim")]["spec"]["loadBalancerSourceRanges"] == ["10.9.0.0/16"]
