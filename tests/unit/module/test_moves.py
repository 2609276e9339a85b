"""A held address is given up only for one that was granted before."""

from __future__ import annotations

from typing import Any

import pytest

from support.bench import Bench
from support.fake_cluster import FakeCluster

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
def test_where_no_claim_can_be_made_the_last_address_is_asked_for_again(more: dict[str, Any]) -> None:
    found = bench(**more)
    found.cluster.hidden.add(WANTED)
    found.desire({"web": web(address=WANTED, **more)})
    found.run(1)
    assert found.cluster.address_of("web") is None, "MetalLB takes it away"
    found.run(2)
    assert found.state("web")[:2] == ("Blocked", HELD)
    writes = len(found.cluster.writes)
    found.later(minutes=11)
    found.restart()
    found.run(4)
    assert len(found.cluster.writes) == writes


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


def test_an_exposure_with_the_name_of_a_claim_gets_its_service_and_the_move_is_asked_for_directly() -> None:
    found = bench()
    found.desire({"web": web(address=WANTED), "web-claim": web(82)})
    found.run(6)
    assert found.state("web") == ("Ready", WANTED, None)
    assert found.state("web-claim")[0] == "Ready"
    assert (
        found.cluster.services[("edge1", "web-claim")]["metadata"]["labels"]["edge-expose.io/exposure"] == "web-claim"
    )


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
