"""Cilium and the service controller behind the door: every recorded answer is understood, and pools are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from edge_expose_contract.addressing import parse_address
from edge_expose_module.cluster.api import Resource
from edge_expose_module.cluster.service import ObservedService, ServiceEvent
from edge_expose_module.load_balancers.api import Ask, Claim
from edge_expose_module.load_balancers.cilium import Cilium, detect_cilium
from edge_expose_module.load_balancers.cilium_pools import pools_from_objects
from edge_expose_module.load_balancers.detect import Detector
from edge_expose_module.load_balancers.pools import Seeker
from edge_expose_module.load_balancers.service_controller import FINALIZER, ServiceController
from support import recorded

CILIUM = recorded.answers("cilium-1.15.19")
CLOUD = recorded.answers("service-controller-0.36.3")
VALUES = {"address": "10.0.0.9", "first": "10.0.0.10", "last": "10.0.0.20"}
UNDERSTOOD = {
    "in-no-pool": "AddressOutsideRange",
    "moved-to-no-pool": "AddressOutsideRange",
    "asked-of-disabled-pool": "AddressOutsideRange",
    "no-pool-for-it": "NoPool",
    "pool-disabled": "NoPool",
    "pool-selects-others": "PoolNotForService",
    "full": "PoolExhausted",
    "taken": "AddressTaken",
    "other-key": "AddressTaken",
    "other-namespace": "AddressTaken",
    "port-clash": "AddressTaken",
    "port-clash-other-protocol": "AddressTaken",
}


def service(
    spec: Mapping[str, Any] | None = None,
    annotations: Mapping[str, str] | None = None,
    conditions: list[Mapping[str, str]] | None = None,
    **meta: Any,
) -> ObservedService:
    return ObservedService.of(
        {
            "metadata": {"namespace": "ns", "name": "web", "annotations": dict(annotations or {}), **meta},
            "spec": {"type": "LoadBalancer", **(spec or {})},
            "status": {"conditions": conditions or []},
        }
    )


def condition(situation: str) -> dict[str, str]:
    answer = CILIUM[situation]
    return {
        **{key: answer.text(key) for key in ("type", "status", "reason")},
        "message": answer.message(**VALUES),
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }


@pytest.mark.parametrize("situation", sorted(CILIUM))
def test_each_recorded_condition_of_cilium_is_understood(situation: str) -> None:
    asked = service({"loadBalancerIP": VALUES["address"]}, conditions=[condition(situation)])
    answer = Cilium().explain(asked, ())
    if CILIUM[situation].text("status") == "True":
        assert answer is None
        assert situation not in UNDERSTOOD
        return
    assert answer is not None
    assert answer.reason == UNDERSTOOD[situation]
    assert answer.message.startswith(f"Cilium: {condition(situation)['message']}; ")


@pytest.mark.parametrize("asked", ["", "10.0.0.7"])
def test_a_condition_about_an_earlier_request_is_no_answer(asked: str) -> None:
    assert Cilium().explain(service({"loadBalancerIP": asked}, conditions=[condition("in-no-pool")]), ()) is None


def test_two_refusals_of_one_address_are_told_apart_by_their_time() -> None:
    first = condition("in-no-pool")
    again = {**first, "lastTransitionTime": "2026-01-01T00:00:09Z"}
    found = [Cilium().explain(service({"loadBalancerIP": "10.0.0.9"}, conditions=[one]), ()) for one in (first, again)]
    assert found[0] is not None
    assert found[1] is not None
    assert found[0].message == found[1].message
    assert found[0].said != found[1].said


def event(situation: str, time: str = "2026-01-01T00:00:00Z") -> ServiceEvent:
    answer = CLOUD[situation]
    return ServiceEvent(
        answer.text("source"), answer.text("reason"), answer.message(**VALUES), answer.text("type"), time
    )


REFUSED = sorted(name for name, answer in CLOUD.items() if answer.text("reason") == "SyncLoadBalancerFailed")


@pytest.mark.parametrize("situation", REFUSED)
def test_each_recorded_refusal_of_the_service_controller_is_passed_on(situation: str) -> None:
    answer = ServiceController().explain(service(), [event("ensuring"), event(situation)])
    assert answer is not None
    assert answer.reason == "AllocationFailed"
    words = CLOUD[situation].message(**VALUES).partition("failed to ensure load balancer: ")[2]
    assert answer.message == f"service controller: {words}"
    asked = ServiceController().explain(service({"loadBalancerIP": "10.0.0.9"}), [event(situation)])
    assert asked is not None
    assert asked.reason == "AddressRefused"
    assert asked.message == f"10.0.0.9 was requested and is not given; service controller: {words}"


@pytest.mark.parametrize("situation", sorted(CLOUD.keys() - set(REFUSED)))
def test_what_is_no_refusal_explains_nothing(situation: str) -> None:
    assert ServiceController().explain(service(), [event(situation)]) is None


def test_a_grant_ends_a_refusal_and_a_warning_about_nodes_does_not() -> None:
    balancer = ServiceController()
    assert balancer.explain(service(), [event("taken"), event("ensured")]) is None
    assert balancer.explain(service(), [event("taken"), event("no-nodes")]) is not None
    foreign = ServiceEvent("someone-else", "SyncLoadBalancerFailed", "no", "Warning", "")
    assert balancer.explain(service(), [foreign]) is None


@pytest.mark.parametrize(
    ("is_new", "sharing", "both"),
    [
        (False, "io.cilium/lb-ipam-sharing-key", "io.cilium/lb-ipam-ips"),
        (True, "lbipam.cilium.io/sharing-key", "lbipam.cilium.io/ips"),
    ],
)
def test_a_request_uses_one_form_and_the_names_of_the_release(is_new: bool, sharing: str, both: str) -> None:
    balancer = Cilium(is_new=is_new)
    one, two = parse_address("10.0.0.9"), parse_address("fd00::9")
    alone = balancer.request(Ask((one,), "k"))
    assert (alone.load_balancer_ip, alone.annotations) == ("10.0.0.9", {sharing: "k"})
    pair = balancer.request(Ask((one, two)))
    assert (pair.load_balancer_ip, pair.annotations) == (None, {both: "10.0.0.9,fd00::9"})
    assert {*alone.annotations, *pair.annotations} <= balancer.request_keys
    asked = service({"loadBalancerIP": "10.0.0.8"}, {both: "fd00::9, 10.0.0.9", sharing: "k"})
    assert [str(address) for address in balancer.requested_of(asked)] == ["10.0.0.8", "10.0.0.9", "fd00::9"]
    assert balancer.sharing_key_of(asked) == "k"
    assert balancer.requested_of(service({"type": "ClusterIP", "loadBalancerIP": "10.0.0.8"})) == ()


def claim(port: int, protocol: str = "TCP", namespace: str = "ns", share: str = "k", backend: str = "") -> Claim:
    return Claim("ns/other", "other", frozenset({(protocol, port)}), share, backend, namespace)


@pytest.mark.parametrize(
    ("is_new", "other", "reason"),
    [
        pytest.param(False, claim(81), None, id="other ports"),
        pytest.param(False, claim(80), "PortTaken", id="same port"),
        pytest.param(False, claim(80, "UDP"), "PortTaken", id="1.15 shares no port number between protocols"),
        pytest.param(True, claim(80, "UDP"), None, id="newer ones do"),
        pytest.param(True, claim(80), "PortTaken", id="same port and protocol"),
        pytest.param(False, claim(81, share="other"), "AddressTaken", id="other key"),
        pytest.param(False, claim(81, namespace="elsewhere"), "AddressTaken", id="other namespace"),
        pytest.param(False, claim(81, backend="app=x"), "SharingPolicyMismatch", id="policy Local, other pods"),
    ],
)
def test_who_may_share_an_address_of_cilium(is_new: bool, other: Claim, reason: str | None) -> None:
    block = Cilium(is_new=is_new).why_not_shared(parse_address("10.0.0.9"), claim(80), other)
    assert (block.reason if block else None) == reason


def pool(name: str, status: Mapping[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": spec, "status": status or {}}


RANGE = {"blocks": [{"start": "10.0.0.10", "stop": "10.0.0.20"}]}
OVERLAP = {"conditions": [{"type": "cilium.io/PoolConflict", "status": "True"}]}


@pytest.mark.parametrize(
    ("spec", "keeps_edges", "addresses"),
    [
        (RANGE, True, "10.0.0.10-10.0.0.20"),
        ({"blocks": [{"start": "10.0.0.9"}]}, True, "10.0.0.9-10.0.0.9"),
        ({"blocks": [{"cidr": "10.0.0.0/29"}]}, True, "10.0.0.1-10.0.0.6"),
        ({"blocks": [{"cidr": "10.0.0.0/29"}]}, False, "10.0.0.0-10.0.0.7"),
        ({"blocks": [{"cidr": "10.0.0.0/29"}], "allowFirstLastIPs": "Yes"}, True, "10.0.0.0-10.0.0.7"),
        ({"blocks": [{"cidr": "10.0.0.0/29"}], "allowFirstLastIPs": "No"}, False, "10.0.0.1-10.0.0.6"),
        ({"cidrs": [{"cidr": "10.0.0.0/31"}]}, True, "10.0.0.0-10.0.0.1"),
        ({"blocks": [{"cidr": "nonsense"}, {"start": "10.0.0.9"}]}, True, "10.0.0.9-10.0.0.9"),
    ],
)
def test_the_addresses_of_a_pool(spec: Mapping[str, Any], keeps_edges: bool, addresses: str) -> None:
    (found,) = pools_from_objects([pool("p", **spec)], keeps_edges=keeps_edges)
    assert str(found.addresses) == addresses
    assert found.auto_assign


@pytest.mark.parametrize("item", [pool("p", disabled=True, **RANGE), pool("p", OVERLAP, **RANGE)])
def test_a_disabled_or_overlapping_pool_gives_out_nothing_new(item: Mapping[str, Any]) -> None:
    (found,) = pools_from_objects([item], keeps_edges=True)
    assert not found.auto_assign


@pytest.mark.parametrize(
    ("selector", "served"),
    [
        (None, True),
        ({}, True),
        ({"matchLabels": {"team": "a"}}, True),
        ({"matchLabels": {"team": "b"}}, False),
        ({"matchLabels": {"io.kubernetes.service.namespace": "ns"}}, True),
        ({"matchLabels": {"io.kubernetes.service.namespace": "ns", "team": "b"}}, False),
        ({"matchLabels": {"io.kubernetes.service.namespace": "elsewhere"}}, False),
        ({"matchLabels": {"io.kubernetes.service.name": "web"}}, True),
        (
            {
                "matchExpressions": [
                    {"key": "io.kubernetes.service.namespace", "operator": "In", "values": ["x", "y"]},
                ]
            },
            False,
        ),
        ({"matchExpressions": [{"key": "team", "operator": "Exists"}]}, True),
    ],
)
def test_whom_a_pool_serves(selector: Mapping[str, Any] | None, served: bool) -> None:
    (found,) = pools_from_objects([pool("p", serviceSelector=selector, **RANGE)], keeps_edges=True)
    assert found.serves(Seeker("ns", {"team": "a"})) is served


class Reads:
    """A cluster where these kinds are served and these objects may be read."""

    def __init__(self, served: Mapping[str, frozenset[str]], items: tuple[Mapping[str, Any], ...] | None = ()) -> None:
        self._served = served
        self._items = items

    def served(self, group: str) -> frozenset[str]:
        return self._served.get(group, frozenset())

    def list(self, resource: Resource, namespace: str | None, *, fields: str = "") -> Any:
        return self._items if resource.plural in self.served(resource.group) else None

    def get(self, resource: Resource, namespace: str, name: str) -> None:
        return None


KINDS = frozenset({"ciliumloadbalancerippools"})
OLD = {"/apis/cilium.io/v2alpha1": KINDS}
BOTH = {**OLD, "/apis/cilium.io/v2": KINDS}
LEFT = {"/apis/metallb.io/v1beta1": frozenset({"ipaddresspools"})}


@pytest.mark.parametrize(
    ("reads", "services", "name"),
    [
        pytest.param(Reads({}), [], "UnknownLoadBalancer", id="nothing"),
        pytest.param(Reads(OLD), [], "UnknownLoadBalancer", id="kinds with nothing behind them"),
        pytest.param(Reads(OLD, (pool("p", **RANGE),)), [], "Cilium/LB-IPAM", id="a pool"),
        pytest.param(
            Reads(OLD, None), [service(conditions=[condition("taken")])], "Cilium/LB-IPAM", id="it spoke of a Service"
        ),
        pytest.param(Reads({}), [service(conditions=[condition("taken")])], "UnknownLoadBalancer", id="long gone"),
        pytest.param(Reads({}), [service(finalizers=[FINALIZER])], "ServiceController", id="its finalizer"),
        pytest.param(Reads({}), [service(finalizers=["example.com/x"])], "UnknownLoadBalancer", id="another finalizer"),
        pytest.param(
            Reads(LEFT), [service(finalizers=[FINALIZER])], "ServiceController", id="beside what MetalLB left behind"
        ),
        pytest.param(Reads(LEFT), [], "MetalLB/CRD", id="MetalLB's kinds and nobody else"),
    ],
)
def test_which_one_is_there(reads: Reads, services: list[ObservedService], name: str) -> None:
    assert Detector().detect(reads, services).name == name


def test_the_release_is_known_by_the_version_of_its_pools() -> None:
    items = (pool("p", blocks=[{"cidr": "10.0.0.0/29"}]),)
    old, new = (detect_cilium(Reads(served, items), ()) for served in (OLD, BOTH))
    assert old is not None
    assert new is not None
    assert (old.is_new, str((old.pools or ())[0].addresses)) == (False, "10.0.0.1-10.0.0.6")
    assert (new.is_new, str((new.pools or ())[0].addresses)) == (True, "10.0.0.0-10.0.0.7")
    assert [resource.group for resource, _ in old.watched] == ["/apis/cilium.io/v2alpha1"]
    unread = detect_cilium(Reads(OLD, None), [service(conditions=[condition("taken")])])
    assert unread is not None
    assert (unread.pools, unread.watched) == (None, frozenset())


def test_the_classes_that_each_serves() -> None:
    assert Cilium().serves(None)
    assert Cilium().serves("io.cilium/l2-announcer")
    assert not Cilium().serves("example.com/other")
    assert not ServiceController().serves("example.com/other")
