"""Which load balancer is found, where its pools may be, and which of them are believed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from edge_expose_module.cluster.api import CONFIG_MAPS, EVENTS, Resource
from edge_expose_module.cluster.service import ObservedService
from edge_expose_module.load_balancers.api import LoadBalancer
from edge_expose_module.load_balancers.detect import Detector
from edge_expose_module.load_balancers.metallb import CONFIGURATION_STATES, POOLS

Item = Mapping[str, Any]


class Cluster:
    """The reads of detection; what is `denied` is None."""

    def __init__(self, *items: tuple[Resource, Item], denied: frozenset[tuple[str, str | None]] = frozenset()) -> None:
        self.items = list(items)
        self.denied = denied
        self.kinds = frozenset({"ipaddresspools", "l2advertisements", "configurationstates"})

    def served(self, group: str) -> frozenset[str]:
        return self.kinds if group.startswith("/apis/metallb.io") else frozenset()

    def list(self, resource: Resource, namespace: str | None, *, fields: str = "") -> tuple[Item, ...] | None:
        if (resource.plural, namespace) in self.denied:
            return None
        wanted = fields.partition("metadata.name=")[2]
        return tuple(
            item
            for kind, item in self.items
            if kind is resource
            and namespace in (None, item["metadata"]["namespace"])
            and wanted in ("", item["metadata"]["name"])
        )

    def get(self, resource: Resource, namespace: str, name: str) -> Item | None:
        found = self.list(resource, namespace, fields=f"metadata.name={name}")
        return found[0] if found else None


def pool(*ranges: str, name: str = "p", namespace: str = "metallb-system") -> tuple[Resource, Item]:
    return POOLS, {"metadata": {"name": name, "namespace": namespace}, "spec": {"addresses": list(ranges)}}


def verdict(result: str, text: str = "") -> tuple[Resource, Item]:
    status = {"result": result, "errorSummary": text}
    return CONFIGURATION_STATES, {"metadata": {"name": "controller", "namespace": "metallb-system"}, "status": status}


def config(text: str, namespace: str = "metallb-system") -> tuple[Resource, Item]:
    return CONFIG_MAPS, {"metadata": {"name": "config", "namespace": namespace}, "data": {"config": text}}


def holder(address: str) -> ObservedService:
    ingress = {"loadBalancer": {"ingress": [{"ip": address}]}}
    return ObservedService.of(
        {"metadata": {"name": "h", "namespace": "n"}, "spec": {"type": "LoadBalancer"}, "status": ingress}
    )


def ranges(found: LoadBalancer) -> list[str] | None:
    return None if found.pools is None else [str(pool.addresses) for pool in found.pools]


LEGACY = "address-pools: [{name: p, protocol: layer2, addresses: [10.0.0.1-10.0.0.9]}]"


def test_metallb_is_found_in_a_namespace_of_another_name() -> None:
    found = Detector().detect(Cluster(pool("10.0.0.1-10.0.0.9", namespace="lb")), ())
    assert ranges(found) == ["10.0.0.1-10.0.0.9"]
    assert (POOLS, None) in found.watched
    assert (CONFIGURATION_STATES, "lb") in found.watched


def test_where_not_all_namespaces_may_be_read_a_setting_says_which_one_it_is() -> None:
    cluster = Cluster(pool("10.0.0.1-10.0.0.9", namespace="lb"), denied=frozenset({("ipaddresspools", None)}))
    assert ranges(Detector().detect(cluster, ())) is None, "there is none in metallb-system: unknown"
    found = Detector("lb").detect(cluster, ())
    assert ranges(found) == ["10.0.0.1-10.0.0.9"]
    assert (POOLS, "lb") in found.watched


def test_a_config_map_is_found_in_any_namespace_that_may_be_read() -> None:
    for namespace in ("metallb-system", "lb"):
        cluster = Cluster(config(LEGACY, namespace))
        cluster.kinds = frozenset()
        found = Detector().detect(cluster, ())
        assert (found.name, ranges(found)) == ("MetalLB/ConfigMap", ["10.0.0.1-10.0.0.9"])
        assert found.watched == {(CONFIG_MAPS, namespace)}


def test_of_several_config_maps_elsewhere_none_is_believed_and_the_setting_decides() -> None:
    several = Cluster(config(LEGACY, "lb-system"), config("address-pools: []", "a-tenant"))
    several.kinds = frozenset()
    assert Detector().detect(several, ()).name == "UnknownLoadBalancer"
    assert ranges(Detector("lb-system").detect(several, ())) == ["10.0.0.1-10.0.0.9"]
    beside = Cluster(config("address-pools: []", "a-tenant"), config(LEGACY))
    beside.kinds = frozenset()
    assert ranges(Detector().detect(beside, ())) == ["10.0.0.1-10.0.0.9"]


def test_metallb_whose_namespace_may_not_be_read_is_known_by_its_events() -> None:
    """As on Azure Stack Edge, where a user has one namespace: moves of an address can be made safe there too."""
    event = {"metadata": {"name": "e", "namespace": "n"}, "source": {"component": "metallb-controller"}}
    denied = frozenset({("configmaps", None), ("configmaps", "metallb-system")})
    cluster = Cluster((EVENTS, event), denied=denied)
    cluster.kinds = frozenset()
    detector = Detector()
    assert detector.detect(cluster, ()).name == "UnknownLoadBalancer", "nothing of ours was answered yet"
    found = detector.detect(cluster, (holder("10.0.0.2"),))
    assert (found.name, found.pools, found.claims_first) == ("MetalLB", None, True)
    cluster.items.clear()
    assert detector.detect(cluster, ()).name == "MetalLB", "Events are kept for an hour only"


def test_served_kinds_without_a_visible_pool_are_unknown_and_not_an_empty_pool() -> None:
    found = Detector().detect(Cluster(), ())
    assert (found.name, found.pools, found.pool_error) == ("MetalLB/CRD", None, "")


def test_pools_that_were_seen_and_are_gone_are_none() -> None:
    detector = Detector()
    detector.detect(Cluster(pool("10.0.0.1-10.0.0.9")), ())
    assert ranges(detector.detect(Cluster(), ())) == []
    hidden = Cluster(denied=frozenset({("ipaddresspools", None), ("ipaddresspools", "metallb-system")}))
    detector = Detector()
    detector.detect(Cluster(pool("10.0.0.1-10.0.0.9")), ())
    assert ranges(detector.detect(hidden, ())) == ["10.0.0.1-10.0.0.9"], "what may not be read for a while is not gone"


@pytest.mark.parametrize(
    "items",
    [
        pytest.param([pool("10.0.1.1-10.0.1.9"), pool("10.0.1.5-10.0.1.6", name="q")], id="overlap"),
        pytest.param([pool("10.0.1.1-10.0.1.9", "10.0.1.3/32")], id="overlap inside one pool"),
        pytest.param([pool("10.0.1.1")], id="an address without a length"),
        pytest.param([pool()], id="no address"),
        pytest.param([pool("10.0.1.1-10.0.1.9"), verdict("Invalid", "community x not found")], id="its own verdict"),
    ],
)
def test_what_it_would_reject_is_not_believed_and_the_sound_pools_before_stand(
    items: list[tuple[Resource, Item]],
) -> None:
    detector = Detector()
    detector.detect(Cluster(pool("10.0.0.1-10.0.0.9"), verdict("Valid")), ())
    found = detector.detect(Cluster(*items), ())
    assert ranges(found) == ["10.0.0.1-10.0.0.9"]
    assert found.pool_error
    after_a_restart = Detector(sound=detector.sound).detect(Cluster(*items), ())
    assert ranges(after_a_restart) == ["10.0.0.1-10.0.0.9"]


def test_its_own_verdict_decides_once_it_had_time_to_look() -> None:
    now = [0.0]
    detector = Detector(clock=lambda: now[0])
    cluster = Cluster(pool("10.0.0.1-10.0.0.9", "10.0.1.9-fc00::1"), pool("10.0.2.0/30", name="q"), verdict("Valid"))
    assert detector.detect(cluster, ()).pool_error, "the verdict may be that of the pools before"
    now[0] = 11.0
    assert detector.detect(cluster, ()).pool_error == ""
    assert ranges(detector.detect(cluster, ())) == ["10.0.2.0-10.0.2.3"]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("address-pools: [{name: p, addresses: [10.0.1.0/30]}]", "no protocol"),
        ("address-pools: [{name: p, protocol: ospf, addresses: [10.0.1.0/30]}]", "not a protocol"),
        ("address-pools: [{protocol: layer2, addresses: [10.0.1.0/30]}]", "no name"),
        ("address-pools: [{name: p, protocol: layer2}]", "no addresses"),
        ("address-pools: [{name: p, protocol: layer2, addresses: [10.0.1.0/30], pool: x}]", "does not know: pool"),
        ("adress-pools: []", "does not know: adress-pools"),
        (f"{LEGACY}\npeers: []\npeers: []", "written twice"),
        ("address-pools: [", "not the YAML"),
        (
            "address-pools: [{name: p, protocol: layer2, addresses: [10.0.1.0/30]}, "
            "{name: p, protocol: layer2, addresses: [10.0.2.0/30]}]",
            "twice",
        ),
        (
            "address-pools: [{name: p, protocol: layer2, addresses: [10.0.1.0/30], bgp-advertisements: [{}]}]",
            "bgp-advertisements",
        ),
    ],
)
def test_rules_of_the_config_map(text: str, rule: str) -> None:
    cluster = Cluster(config(LEGACY))
    cluster.kinds = frozenset()
    detector = Detector()
    detector.detect(cluster, ())
    cluster.items = [config(text)]
    found = detector.detect(cluster, ())
    assert rule in found.pool_error
    assert ranges(found) == ["10.0.0.1-10.0.0.9"]


def test_a_release_that_never_takes_an_address_away_rejects_pools_that_leave_a_held_one_out() -> None:
    smaller = LEGACY.replace("10.0.0.1-10.0.0.9", "10.0.0.5-10.0.0.9")
    for held, believed in (("10.0.0.2", False), ("10.0.0.7", True), ("192.168.0.1", True)):
        cluster = Cluster(config(LEGACY))
        cluster.kinds = frozenset()
        detector = Detector()
        detector.detect(cluster, ())
        cluster.items = [config(smaller)]
        found = detector.detect(cluster, (holder(held),))
        assert ranges(found) == (["10.0.0.5-10.0.0.9"] if believed else ["10.0.0.1-10.0.0.9"])
        assert ("n/h" in found.pool_error) is not believed


def test_on_a_new_disk_a_held_address_outside_the_pools_says_that_they_may_not_be_in_force() -> None:
    cluster = Cluster(config(LEGACY))
    cluster.kinds = frozenset()
    found = Detector().detect(cluster, (holder("10.0.9.2"),))
    assert ranges(found) is None, "unknown: the load balancer knows with what it goes on"
    assert "n/h" in found.pool_error
    assert ranges(Detector().detect(cluster, (holder("10.0.0.2"),))) == ["10.0.0.1-10.0.0.9"]


def test_a_new_release_takes_it_away_and_its_pools_are_believed() -> None:
    detector = Detector()
    detector.detect(Cluster(pool("10.0.0.1-10.0.0.9")), ())
    found = detector.detect(Cluster(pool("10.0.0.5-10.0.0.9")), (holder("10.0.0.2"),))
    assert (ranges(found), found.pool_error) == (["10.0.0.5-10.0.0.9"], "")
