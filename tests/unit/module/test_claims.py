"""Who claims which address: what counts as held, asked for and shared, row by row."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from edge_expose_contract.addressing import Address
from edge_expose_contract.models import Exposure
from edge_expose_contract.services import own_sharing_key
from edge_expose_module.allocation.claims import Candidate, Ledger, candidates_of, carriers_of, claim_others, merged
from edge_expose_module.cluster.service import DECLARED_ANNOTATION, ObservedService
from edge_expose_module.cluster.state import Observed
from edge_expose_module.desired.resolved import ResolvedExposure
from edge_expose_module.load_balancers.api import Claim
from edge_expose_module.load_balancers.metallb import MetalLB

OWNER = "0123456789abcdef"
FORMER = "fedcba9876543210"
ONE, TWO, SIX = ip_address("10.0.0.1"), ip_address("10.0.0.2"), ip_address("fc00::1")


def service(
    name: str,
    held: str = "",
    *,
    namespace: str = "n",
    exposure: str | None = None,
    owner: str = OWNER,
    asks: str = "",
    share: str = "",
    noted: str = "",
    type: str = "LoadBalancer",
    **more: Any,
) -> ObservedService:
    """Ours, unless it has no `exposure`."""
    labels = {
        "app.kubernetes.io/managed-by": "edge-expose",
        "edge-expose.io/owner": owner,
        "edge-expose.io/exposure": exposure or "",
    }
    if name.endswith("-claim"):
        labels["edge-expose.io/claim"] = "true"
    annotations = {"metallb.io/allow-shared-ip": share} if share else {}
    if noted:
        annotations[DECLARED_ANNOTATION] = f'{{"addresses": ["{noted}"]}}'
    spec = {"type": type, "loadBalancerIP": asks, "ports": [{"port": 80, "protocol": "TCP"}], **more.pop("spec", {})}
    metadata = {
        "name": name,
        "namespace": namespace,
        "labels": labels if exposure else {},
        "annotations": annotations,
        **more,
    }
    ingress = [{"ip": text} for text in held.split(",") if text]
    return ObservedService.of({"metadata": metadata, "spec": spec, "status": {"loadBalancer": {"ingress": ingress}}})


def world(*services: ObservedService) -> Observed:
    return Observed(services={s.key: s for s in services}, load_balancer=MetalLB())


def wish(name: str, **fields: Any) -> ResolvedExposure:
    return ResolvedExposure(name, Exposure.model_validate({"selector": ["app=ws"], "ports": [80], **fields}))


def carriers(
    observed: Observed, *wishes: ResolvedExposure, former: frozenset[str] = frozenset()
) -> dict[str, list[Any]]:
    found = carriers_of({w.name: w for w in wishes}, observed, OWNER, "n", former)
    return {name: [(c.service.namespace, c.service.name, c.is_declared) for c in found[name]] for name in found}


def candidate(observed: Observed, one: ResolvedExposure, **more: Any) -> Candidate:
    wishes = {one.name: one}
    carried = carriers_of(wishes, observed, OWNER, "n")
    found = candidates_of(wishes, carried, observed, OWNER, more.get("remembered", {}), more.get("last_held", {}), "n")
    return found[one.name]


def others(
    observed: Observed, *wishes: ResolvedExposure, kept: str = "", waiting: bool = False
) -> dict[Address, list[Claim]]:
    ledger = Ledger(MetalLB())
    carried = carriers_of({w.name: w for w in wishes}, observed, OWNER, "n")
    claim_others(ledger, carried, observed, OWNER, frozenset(kept.split()), waiting=waiting)
    return dict(ledger.claims)


def claim(exposure: str | None, *, share: str = "", port: int = 80) -> Claim:
    return Claim(f"exposure {exposure}", exposure, frozenset({("TCP", port)}), share, "")


# --- the ledger ---


def test_an_address_is_taken_by_the_first_party_that_does_not_share_it() -> None:
    ledger = Ledger(MetalLB())
    ledger.add((ONE, SIX), claim("a", share="k"))
    ledger.add((ONE,), claim("b", share="k", port=81))
    assert ledger.why_taken(ONE, claim("c", share="k", port=82)) is None
    assert ledger.why_taken(TWO, claim("c")) is None
    differs = ledger.why_taken(ONE, claim("c"))
    assert differs is not None
    assert (differs.reason, differs.values) == ("AddressTaken", ("10.0.0.1", "exposure a"))
    clash = ledger.why_taken(ONE, claim("c", share="k", port=81))
    assert clash is not None, "the second party is asked too"
    assert (clash.reason, "exposure b" in clash.message) == ("PortTaken", True)
    assert ledger.why_taken(SIX, claim("c")) is not None


def test_nobody_is_in_the_way_of_himself_and_a_party_without_an_exposure_is_in_the_way_of_all() -> None:
    ledger = Ledger(MetalLB())
    ledger.add((ONE,), claim("a"))
    assert ledger.why_taken(ONE, claim("a")) is None
    ledger.add((TWO,), claim(None))
    assert ledger.why_taken(TWO, claim(None)) is not None
    assert ledger.taken("a") == {TWO}
    assert ledger.taken("b") == {ONE, TWO}


def test_what_oneself_claims_too_is_taken_when_somebody_else_claims_it() -> None:
    ledger = Ledger(MetalLB())
    ledger.add((ONE,), claim("a", share="k"))
    ledger.add((ONE,), claim("b", share="k", port=81))
    assert ledger.taken("a") == {ONE}
    ledger.add((ONE,), claim("a"))
    assert ledger.why_taken(ONE, claim("a")) is not None, "its own claim hides nobody's behind it"
    assert Ledger(MetalLB()).groups == {}


def test_of_the_services_of_one_exposure_the_first_address_of_each_family_counts() -> None:
    assert merged([(ONE,), (TWO,), (SIX,)]) == (ONE, SIX)
    assert merged([(SIX,), (ONE,)]) == (ONE, SIX)
    assert merged([]) == ()


# --- carriers ---


def test_the_declared_service_carries_before_copies_wherever_they_stand() -> None:
    observed = world(
        service("a", "10.0.0.2", namespace="before", exposure="a"),
        service("a", "10.0.0.1", exposure="a"),
        service("a-copy", "10.0.0.3", exposure="a"),
        service("a-claim", "10.0.0.4", exposure="a"),
        service("b", exposure="b"),
        service("x", "10.0.0.5"),
    )
    assert carriers(observed, wish("a")) == {"a": [("n", "a", True), ("before", "a", False), ("n", "a-copy", False)]}
    assert carriers(observed) == {}


def test_the_name_says_what_a_service_carries_when_its_label_was_changed() -> None:
    observed = world(service("a", "10.0.0.1", exposure="b"))
    assert carriers(observed, wish("a"), wish("b")) == {"a": [("n", "a", True)], "b": []}


def test_both_halves_of_a_split_exposure_carry_it() -> None:
    observed = world(service("a", "10.0.0.1", exposure="a"), service("a-udp", "10.0.0.1", exposure="a"))
    split = wish("a", ports=["53/tcp", "53/udp"])
    assert carriers(observed, split) == {"a": [("n", "a", True), ("n", "a-udp", True)]}
    assert carriers(observed, wish("a")) == {"a": [("n", "a", True), ("n", "a-udp", False)]}


@pytest.mark.parametrize(
    ("found", "fields", "former", "carries"),
    [
        pytest.param({"exposure": "a", "owner": FORMER}, {}, True, True, id="ours under a former owner"),
        pytest.param({"exposure": "a", "owner": FORMER}, {}, False, False, id="of another module"),
        pytest.param({"exposure": "b", "owner": FORMER}, {}, True, False, id="another exposure of the former owner"),
        pytest.param({}, {"adopt": True}, False, True, id="made by hand, adopted"),
        pytest.param({}, {}, False, False, id="made by hand"),
        pytest.param({"exposure": "a", "owner": FORMER}, {"adopt": True}, False, False, id="not adopted from others"),
    ],
)
def test_what_is_not_ours_carries_only_what_may_be_taken_over(
    found: dict[str, Any], fields: dict[str, Any], former: bool, carries: bool
) -> None:
    owners = frozenset({FORMER}) if former else frozenset()
    got = carriers(world(service("a", "10.0.0.1", **found)), wish("a", **fields), former=owners)
    assert got == {"a": [("n", "a", True)] if carries else []}
    elsewhere = world(service("a", "10.0.0.1", namespace="other", **found))
    assert carriers(elsewhere, wish("a", **fields), former=owners) == {"a": []}


def test_ours_that_lost_a_label_is_taken_over_again_with_adopt() -> None:
    body = service("a", "10.0.0.1").body
    observed = world(
        ObservedService.of({**body, "metadata": {**body["metadata"], "labels": {"edge-expose.io/owner": OWNER}}})
    )
    assert carriers(observed, wish("a", adopt=True)) == {"a": [("n", "a", True)]}
    assert others(observed, wish("a", adopt=True)) == {}, "and is nobody else's then"
    assert carriers(observed, wish("a")) == {"a": []}


# --- candidates ---


def test_a_candidate_has_what_its_services_hold_ask_for_and_note() -> None:
    held = service("a", "10.0.0.1", exposure="a", asks="10.0.0.2", noted="10.0.0.3")
    granted = service("a-claim", "10.0.0.4", exposure="a")
    found = candidate(
        world(held, granted), wish("a"), remembered={"a": (TWO,), "b": (ONE,)}, last_held={"a": (ONE,), "b": (SIX,)}
    )
    assert (found.assigned, found.requested, found.asked) == ((ONE,), (TWO,), (ip_address("10.0.0.3"),))
    assert (found.claimed, found.remembered, found.last_held) == ((ip_address("10.0.0.4"),), (TWO,), (ONE,))
    assert not found.settled
    assert (found.name, found.wanted) == ("a", wish("a"))
    bare = candidate(world(), wish("a"))
    parts = (bare.assigned, bare.requested, bare.asked, bare.claimed, bare.remembered, bare.last_held)
    assert parts == ((),) * 6
    assert not bare.settled


def test_a_candidate_claims_with_its_ports_key_backend_and_namespace() -> None:
    found = candidate(world(), wish("a", ports=["80", "53/udp"], share="k", externalTrafficPolicy="Local")).claim
    assert found == Claim(
        "exposure a", "a", frozenset({("TCP", 80), ("UDP", 53)}), "k", "app=ws", namespace="n", waiting=False
    )
    plain = candidate(world(), wish("a", namespace="other")).claim
    assert (plain.share, plain.backend, plain.namespace) == ("", "", "other")
    split = candidate(world(), wish("a", ports=["53/tcp", "53/udp"])).claim
    assert split.share == own_sharing_key(OWNER, "a")


def test_what_is_not_external_is_no_candidate() -> None:
    wishes = {"a": wish("a", type="ClusterIP"), "b": wish("b")}
    assert set(candidates_of(wishes, {"a": [], "b": []}, world(), OWNER, {}, {}, "n")) == {"b"}


@pytest.mark.parametrize(
    ("services", "fields", "settled"),
    [
        pytest.param([{"held": "10.0.0.1"}], {}, True, id="holds what the load balancer chose"),
        pytest.param([{"held": "10.0.0.1", "asks": "10.0.0.1"}], {}, True, id="holds what it asks for"),
        pytest.param([{"held": "10.0.0.1", "asks": "10.0.0.2"}], {}, False, id="asks for another"),
        pytest.param([{"asks": "10.0.0.1"}], {}, False, id="holds nothing"),
        pytest.param([{"held": "10.0.0.1", "share": "k"}], {"share": "k"}, True, id="under its key"),
        pytest.param([{"held": "10.0.0.1", "share": "k"}], {}, False, id="under a key that it leaves"),
        pytest.param([{"held": "10.0.0.1"}], {"share": "k"}, False, id="without the key that it wants"),
        pytest.param([{"held": "10.0.0.1", "share": own_sharing_key(OWNER, "a")}], {}, True, id="the key of a move"),
        pytest.param(
            [{"held": "10.0.0.1"}, {"held": "10.0.0.1", "share": "k", "name": "a-copy"}],
            {},
            True,
            id="the key of a copy says nothing where the declared one is there",
        ),
        pytest.param(
            [{"held": "10.0.0.1", "share": "k", "name": "a-copy"}], {}, False, id="of copies alone their key counts"
        ),
    ],
)
def test_who_holds_what_it_asks_for_under_its_key_is_settled(
    services: list[dict[str, Any]], fields: dict[str, Any], settled: bool
) -> None:
    observed = world(*(service(**{"name": "a", "exposure": "a", **one}) for one in services))
    assert candidate(observed, wish("a", **fields)).settled is settled


# --- everybody else ---


def test_who_holds_an_address_claims_it_and_who_waits_claims_what_he_asks_for() -> None:
    observed = world(
        service(
            "x",
            "10.0.0.1",
            asks="10.0.0.1",
            share="k",
            spec={"externalTrafficPolicy": "Local", "selector": {"app": "x"}},
        ),
        service("y", asks="10.0.0.2"),
        service("z", "10.0.0.9", type="ClusterIP", asks="10.0.0.9"),
    )
    ports = frozenset({("TCP", 80)})
    assert others(observed) == {ONE: [Claim("Service n/x", None, ports, "k", "app=x", "n", False)]}
    assert others(observed, waiting=True) == {TWO: [Claim("Service n/y", None, ports, "", "", "n", True)]}


def test_ours_claims_as_one_of_the_others_only_where_it_stays_without_a_wish() -> None:
    observed = world(
        service("a", "10.0.0.1", exposure="a"),
        service("kept", "10.0.0.2", exposure="kept"),
        service("gone", "10.0.0.3", exposure="gone"),
        service("kept-claim", "10.0.0.4", exposure="kept"),
        service("leaving", "10.0.0.5", exposure="leaving", deletionTimestamp="2026-11-22T04:00:00Z"),
        service("theirs", "10.0.0.6", deletionTimestamp="2026-11-22T04:00:00Z"),
    )
    claimed = others(observed, wish("a"), kept="kept")
    found = {str(address): [one.party for one in claims] for address, claims in claimed.items()}
    assert {one.exposure for claims in claimed.values() for one in claims} == {None}, "in the way of their exposure too"
    assert found == {
        "10.0.0.2": ["exposure kept"],
        "10.0.0.5": ["exposure leaving, which is being deleted"],
        "10.0.0.6": ["Service n/theirs, which is being deleted"],
    }


def test_a_claim_that_is_being_deleted_holds_its_address_for_all_but_its_exposure() -> None:
    leaving = service("a-claim", "10.0.0.1", exposure="a", deletionTimestamp="2026-11-22T04:00:00Z")
    (found,) = others(world(leaving))[ONE]
    assert (found.party, found.exposure) == ("exposure a, which is being deleted", "a")
    assert others(world(leaving), waiting=True) == {}
    silent = service("a-claim", asks="10.0.0.1", exposure="a", deletionTimestamp="2026-11-22T04:00:00Z")
    assert others(world(silent), waiting=True) == {}, "what it asked for it will not get"
    behind = service("x", asks="10.0.0.2")
    assert set(others(world(silent, behind), waiting=True)) == {TWO}


def test_the_others_are_heard_in_order_and_one_of_ours_stops_nobody_behind_it() -> None:
    observed = world(
        service("a", "10.0.0.1", exposure="a"), service("b", "10.0.0.1", share="k"), service("c", "10.0.0.1", share="k")
    )
    assert [c.party for c in others(observed, wish("a"))[ONE]] == ["Service n/b", "Service n/c"]
