"""The rules of load balancers row by row: selectors, sharing, and what an answer is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from edge_expose_contract.addressing import AddressSet, parse_address
from edge_expose_module.cluster.service import ObservedService, ServiceEvent
from edge_expose_module.load_balancers.api import Ask, Claim, Request
from edge_expose_module.load_balancers.cilium import CONDITION, Cilium
from edge_expose_module.load_balancers.cilium_pools import pools_from_objects
from edge_expose_module.load_balancers.metallb import Form, MetalLB
from edge_expose_module.load_balancers.pools import Allocation, Pool, Seeker, matches, pools_from_json
from edge_expose_module.load_balancers.service_controller import ServiceController
from edge_expose_module.load_balancers.unknown import Unknown
from support import recorded

ADDRESS = parse_address("10.0.0.9")
Said = tuple[str, tuple[str, ...]]
METALLB = recorded.answers("metallb-0.16.1")
CILIUM = recorded.answers("cilium-1.15.19")
CLOUD = recorded.answers("service-controller-0.36.3")


def service(annotations: Mapping[str, str] | None = None, **spec: Any) -> ObservedService:
    conditions = spec.pop("conditions", [])
    metadata = {"namespace": "ns", "name": "web", "annotations": dict(annotations or {})}
    body = {"metadata": metadata, "spec": {"type": "LoadBalancer", **spec}, "status": {"conditions": conditions}}
    return ObservedService.of(body)


def claim(party: str, *ports: tuple[str, int], share: str = "k", backend: str = "", namespace: str = "ns") -> Claim:
    return Claim(party, party, frozenset(ports or {("TCP", 80)}), share, backend, namespace)


def event(
    message: str, source: str = "lb", *, type: str = "Warning", reason: str = "No", count: int = 1
) -> ServiceEvent:
    return ServiceEvent(source, reason, message, type, "2026-01-01T00:00:00Z", count)


# --- selectors of pools ---


@pytest.mark.parametrize(
    ("expression", "labels", "holds"),
    [
        ({"operator": "In", "values": ["x", "y"]}, {"k": "x"}, True),
        ({"operator": "In", "values": ["x", "y"]}, {"k": "z"}, False),
        ({"operator": "In", "values": ["x"]}, {}, False),
        ({"operator": "NotIn", "values": ["x"]}, {"k": "x"}, False),
        ({"operator": "NotIn", "values": ["x"]}, {"k": "z"}, True),
        ({"operator": "NotIn", "values": ["x"]}, {}, True),
        ({"operator": "Exists"}, {"k": ""}, True),
        ({"operator": "Exists"}, {"j": "x"}, False),
        ({"operator": "DoesNotExist"}, {"k": ""}, False),
        ({"operator": "DoesNotExist"}, {"j": "x"}, True),
        ({"operator": "Gt", "values": ["1"]}, {"k": "2"}, False),
    ],
)
def test_an_expression_of_a_selector(expression: dict[str, Any], labels: dict[str, str], holds: bool) -> None:
    selector = {"matchExpressions": [{"key": "k", **expression}]}
    assert matches(selector, labels) is holds
    assert matches({**selector, "matchLabels": {"more": "1"}}, labels) is False
    assert matches({**selector, "matchLabels": {"more": "1"}}, {**labels, "more": "1"}) is holds


def test_all_of_a_selector_holds_and_an_empty_one_always_does() -> None:
    exists = [{"key": key, "operator": "Exists"} for key in ("a", "b")]
    assert matches({"matchExpressions": exists}, {"a": "1", "b": "2"})
    assert not matches({"matchExpressions": exists}, {"a": "1"})
    assert matches({}, {})


@pytest.mark.parametrize(
    ("namespace", "labels", "serves"),
    [
        ("listed", None, True),
        ("other", {"team": "x"}, True),
        ("other", {"team": "y"}, False),
        ("other", None, None),
    ],
)
def test_a_pool_serves_listed_namespaces_and_those_with_its_labels(
    namespace: str, labels: dict[str, str] | None, serves: bool | None
) -> None:
    selectors = ({"matchLabels": {"team": "none"}}, {"matchLabels": {"team": "x"}})
    both = Allocation(namespaces=frozenset({"listed"}), namespace_selectors=selectors)
    assert both.serves(Seeker(namespace, {}, labels)) is serves
    of_services = Allocation(service_selectors=({"matchLabels": {"app": "a"}},), namespace_selectors=selectors)
    assert of_services.serves(Seeker(namespace, {"app": "b"}, labels)) is False
    only_listed = Allocation(namespaces=frozenset({"listed"}))
    assert only_listed.serves(Seeker(namespace, {}, labels)) is (namespace == "listed")


def test_a_pool_survives_its_own_json() -> None:
    selector = {"matchLabels": {"a": "b"}}
    restricted = Allocation(7, frozenset({"x", "y"}), (selector,), ({"matchExpressions": []},))
    pools = (
        Pool("a", AddressSet.parse("10.0.0.1-10.0.0.9"), auto_assign=False, avoid_buggy=True, allocation=restricted),
        Pool("b", AddressSet.parse(["10.0.1.0/24", "fd00::/64"])),
    )
    assert pools_from_json([pool.to_json() for pool in pools]) == pools
    assert pools_from_json([{"name": "a"}]) is None
    assert pools_from_json({}) is None


# --- sharing ---


@pytest.mark.parametrize(
    ("is_new", "other", "said"),
    [
        (True, claim("b", ("TCP", 81)), None),
        (True, claim("b", ("UDP", 80)), None),
        (False, claim("b", ("TCP", 81)), None),
        (True, claim("b", share="j"), ("AddressTaken", ("10.0.0.9", "b"))),
        (True, claim("b", ("TCP", 81), namespace="far"), ("AddressTaken", ("10.0.0.9", "b"))),
        (True, claim("b", ("TCP", 80), ("TCP", 443)), ("PortTaken", ("80/tcp", "10.0.0.9", "b"))),
        (False, claim("b", ("UDP", 80)), ("PortTaken", ("80", "10.0.0.9", "b"))),
        (True, claim("b", ("TCP", 81), backend="app=x"), ("SharingPolicyMismatch", ("10.0.0.9", "b"))),
    ],
)
def test_with_whom_cilium_shares_an_address(
    is_new: bool, other: Claim, said: tuple[str, tuple[str, ...]] | None
) -> None:
    block = Cilium(is_new=is_new).why_not_shared(ADDRESS, claim("a"), other)
    assert (None if block is None else (block.reason, block.values)) == said
    if block is not None:
        assert "10.0.0.9" in block.message
        assert "b" in block.message
        assert ";" in block.message, "with a way out"


def test_with_whom_a_cloud_and_an_unknown_load_balancer_share_an_address() -> None:
    for one in (ServiceController(), Unknown()):
        same = one.why_not_shared(ADDRESS, claim("a"), claim("b"))
        assert same is not None
        assert (same.reason, same.values) == ("PortTaken", ("80/tcp", "10.0.0.9", "b"))
        differs = one.why_not_shared(ADDRESS, claim("a"), claim("b", share=""))
        assert differs is not None
        assert (differs.reason, differs.values) == ("AddressTaken", ("10.0.0.9", "b"))
        assert one.why_not_shared(ADDRESS, claim("a"), claim("b", ("TCP", 81))) is None
    local = claim("b", ("TCP", 81), backend="app=x")
    assert ServiceController().why_not_shared(ADDRESS, claim("a"), local) is None
    assert Unknown().why_not_shared(ADDRESS, claim("a"), local) is not None


# --- requests ---


def test_what_each_asks_for_and_reads_back() -> None:
    ask = Ask((ADDRESS,), "k", "p")
    assert ServiceController().request(ask) == Request({}, "10.0.0.9")
    assert ServiceController().request(Ask()) == Request({}, None)
    assert Cilium().request(Ask()) == Request({}, None)
    assert Unknown().request(ask) == MetalLB().request(ask)
    unclassed, classed = Unknown(), Unknown("example.com/x")
    assert (unclassed.serves(None), unclassed.serves("example.com/x")) == (True, False)
    assert (classed.serves(None), classed.serves("example.com/x")) == (False, True)
    asked = service({"metallb.io/allow-shared-ip": "k", "metallb.io/address-pool": "p"}, loadBalancerIP="10.0.0.9")
    assert Unknown().requested_of(asked) == ServiceController().requested_of(asked) == (ADDRESS,)
    assert (Unknown().sharing_key_of(asked), Unknown().pool_named_by(asked)) == ("k", "p")
    assert (ServiceController().sharing_key_of(asked), ServiceController().pool_named_by(asked)) == ("", "")
    assert (Cilium().sharing_key_of(asked), Cilium().pool_named_by(asked)) == ("", "")
    assert (MetalLB().sharing_key_of(service()), MetalLB().pool_named_by(service())) == ("", "")
    old = service({"metallb.universe.tf/address-pool": "q"})
    assert MetalLB(Form.CONFIG_MAP).pool_named_by(old) == "q"
    inside = service(type="ClusterIP", loadBalancerIP="10.0.0.9")
    assert all(one.requested_of(inside) == () for one in (Unknown(), ServiceController(), Cilium(), MetalLB()))


# --- what is said ---


def test_cilium_speaks_by_one_condition_of_several() -> None:
    full = CILIUM["full"].message()
    refused = {
        "type": CONDITION,
        "status": "False",
        "reason": CILIUM["full"].text("reason"),
        "message": full,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    other = {"type": "Ready", "status": "False", "reason": "out_of_ips", "message": "not about addresses"}
    answer = Cilium().explain(service(conditions=[other, refused]), ())
    assert answer is not None
    assert (answer.reason, answer.said) == ("PoolExhausted", f"2026-01-01T00:00:00Z out_of_ips {full}")
    assert Cilium().explain(service(conditions=[other]), ()) is None
    strange = Cilium().explain(service(conditions=[{**refused, "reason": "what"}]), ())
    assert strange is not None
    assert (strange.reason, strange.message) == ("AllocationFailed", f"Cilium: {full}")


def test_a_load_balancer_of_an_unknown_kind_is_quoted() -> None:
    waiting = {"type": "LB", "status": "False", "reason": "Full", "message": "none left", "lastTransitionTime": "t"}
    answer = Unknown().explain(service(loadBalancerIP="10.0.0.9", conditions=[waiting]), [event("later")])
    assert answer is not None
    assert (answer.reason, answer.message, answer.said) == ("AllocationFailed", "LB: none left", "Full t")
    assert answer.values == ("ns/web", "UnknownLoadBalancer")
    silent = [{**waiting, "message": ""}, {**waiting, "status": "True"}]
    assert Unknown().explain(service(conditions=silent), ()) is None
    quoted = Unknown().explain(service(conditions=silent), [event("before"), event("no", count=3)])
    assert quoted is not None
    assert (quoted.message, quoted.said) == ("lb: no", "2026-01-01T00:00:00Z 3 no")
    assert Unknown().explain(service(), [event("no"), event("now it is there", type="Normal")]) is None
    assert Unknown().explain(service(), [event("no slices", "endpoint-slice-controller")]) is None
    known = event(
        'Failed to allocate IP for "ns/web": no available IPs', "metallb-controller", reason="AllocationFailed"
    )
    metallb = Unknown().explain(service(conditions=[waiting]), [known])
    assert metallb is not None
    assert metallb.reason == "PoolExhausted", "MetalLB is understood where its namespace may not be read"


@pytest.mark.parametrize("recording", ["metallb-0.16.1", "metallb-0.10.3"])
def test_the_port_that_metallb_names_is_a_value_of_the_reason(recording: str) -> None:
    row = recorded.answers(recording)["address-taken-same-port"]
    text = row.message(namespace="ns", name="web", protocol="UDP", port=53, address="10.0.0.9")
    said = event(text, row.text("source"), reason=row.text("reason"))
    answer = MetalLB().explain(service(loadBalancerIP="10.0.0.9"), [said])
    assert answer is not None
    assert (answer.reason, answer.values) == ("PortTaken", ("53/udp", "10.0.0.9", ""))


def test_what_a_cloud_says_is_quoted_with_what_was_asked_for() -> None:
    text = CLOUD["full"].message(first="10.0.0.1", last="10.0.0.2")
    said = event(text, CLOUD["full"].text("source"), reason=CLOUD["full"].text("reason"), count=2)
    answer = ServiceController().explain(service(loadBalancerIP="10.0.0.9"), [said])
    assert answer is not None
    words = "service controller: no free address in the range 10.0.0.1-10.0.0.2"
    assert answer.message == f"10.0.0.9 was requested and is not given; {words}"
    assert (answer.reason, answer.said) == ("AddressRefused", f"{said.time} 2 {text}")
    assert answer.values[0] == "10.0.0.9"
    plain = ServiceController().explain(service(), [said])
    assert plain is not None
    assert (plain.reason, plain.values) == ("AllocationFailed", ("ns/web", "ServiceController"))


# --- pools of Cilium ---


def cilium_pool(name: str, *, conditions: list[dict[str, str]] | None = None, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": spec, "status": {"conditions": conditions or []}}


def cilium_pools(*items: dict[str, Any], keeps_edges: bool = False) -> tuple[Pool, ...]:
    return pools_from_objects(items, keeps_edges=keeps_edges)


def test_pools_of_cilium_come_by_name() -> None:
    found = cilium_pools(cilium_pool("b", blocks=[{"cidr": "10.0.1.0/24"}]), cilium_pool("a", blocks=[]))
    assert [(pool.name, str(pool.addresses)) for pool in found] == [("a", ""), ("b", "10.0.1.0-10.0.1.255")]


@pytest.mark.parametrize(
    ("block", "given"),
    [
        ({"cidr": "10.0.0.0/30"}, "10.0.0.1-10.0.0.2"),
        ({"cidr": "10.0.0.0/31"}, "10.0.0.0-10.0.0.1"),
        ({"cidr": "10.0.0.1/32"}, "10.0.0.1-10.0.0.1"),
        ({"start": "10.0.0.0", "stop": "10.0.0.3"}, "10.0.0.0-10.0.0.3"),
        ({"start": "10.0.0.7"}, "10.0.0.7-10.0.0.7"),
        ({"stop": "10.0.0.7"}, ""),
        ({"cidr": "nonsense"}, ""),
    ],
)
def test_a_release_that_keeps_the_edges_of_a_network_keeps_those_of_no_range(block: dict[str, str], given: str) -> None:
    (pool,) = cilium_pools(cilium_pool("a", blocks=[block]), keeps_edges=True)
    assert str(pool.addresses) == given


def test_a_pool_that_is_in_conflict_or_disabled_gives_nothing_new() -> None:
    conflict = {"type": "cilium.io/PoolConflict", "status": "True"}
    for conditions, disabled, gives in (
        ([], False, True),
        ([conflict], False, False),
        ([{**conflict, "status": "False"}], False, True),
        ([{**conflict, "type": "Other"}], False, True),
        ([], True, False),
    ):
        (pool,) = cilium_pools(cilium_pool("a", conditions=conditions, disabled=disabled))
        assert pool.auto_assign is gives


def test_a_selector_of_cilium_names_namespaces_and_labels() -> None:
    inside = {"key": "io.kubernetes.service.namespace", "operator": "In", "values": ["x", "y"]}
    app = {"key": "app", "operator": "In", "values": ["a"]}
    own_name = {"key": "io.kubernetes.service.name", "operator": "In", "values": ["web"]}
    outside = {**inside, "operator": "NotIn"}
    (pool,) = cilium_pools(cilium_pool("a", serviceSelector={"matchExpressions": [inside, app, own_name, outside]}))
    assert pool.allocation == Allocation(
        namespaces=frozenset({"x", "y"}), service_selectors=({"matchLabels": {}, "matchExpressions": [app]},)
    )
    (only,) = cilium_pools(cilium_pool("a", serviceSelector={"matchExpressions": [inside]}))
    assert only.allocation == Allocation(namespaces=frozenset({"x", "y"}))
