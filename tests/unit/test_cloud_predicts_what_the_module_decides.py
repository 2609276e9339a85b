"""What the cloud says before anything is sent is what the module does: what it would block, and the Services it makes.

Of blocks static facts only: addresses, pools, sharing, families and Service names, on a device where
nothing runs yet and whose module may not read the load balancer's own pool.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_expose_cloud.findings.finding import Finding
from edge_expose_cloud.hub.api import Twin
from edge_expose_cloud.plan.device import DeviceState, surroundings
from edge_expose_cloud.plan.model import diff_services
from edge_expose_cloud.plan.render import service_text
from edge_expose_cloud.plan.service_forecast import Surroundings, predicted_services
from edge_expose_cloud.spec.checks.addresses import lint_addresses
from edge_expose_cloud.spec.model import Spec
from edge_expose_cloud.usecases.expose import plan_expose
from edge_expose_contract.identity import HOSTNAME_ANNOTATION, MODULE_ID
from edge_expose_contract.models import Exposure
from edge_expose_contract.parsing import DesiredDocument, parse_desired
from edge_expose_module.cluster.service import DECLARED_ANNOTATION
from edge_expose_module.cluster.state import Capabilities, Observed
from edge_expose_module.desired.rails.model import Guards
from edge_expose_module.load_balancers.metallb import Form, MetalLB
from edge_expose_module.pass_inputs import PassInputs
from edge_expose_module.reconcile import PassPlan, reconcile
from edge_expose_module.services.render import Target, declare
from edge_expose_module.state.memory import Memory
from support.cloud import applied_hub

Json = dict[str, Any]

SITE = {
    "externalServiceIPs": "10.0.0.10-10.0.0.13",
    "nodeIPs": "10.0.0.1-10.0.0.2",
    "reserved": {"edgehub": "10.0.0.10"},
    "pools": {"dmz": "10.0.1.1-10.0.1.2"},
}
DUAL_SITE = {
    "externalServiceIPs": ["10.0.0.10-10.0.0.12", "fd00::10-fd00::12"],
    "pools": {"six": "fd00:1::1-fd00:1::2"},
}


def exposure(**fields: Any) -> Json:
    return {"module": "web", "ports": [80], **fields}


def cloud_errors(site: Json | None, exposures: Json) -> list[Finding]:
    spec = Spec.model_validate(
        {
            "schemaVersion": "1.0",
            "name": "s",
            "target": {"device": "d1"},
            "modules": {"web": {"image": "a/web:1"}, "shop": {"image": "a/shop:1"}},
            "exposures": exposures,
            **({"network": site} if site else {}),
        }
    )
    return [item for item in lint_addresses(spec) if item.severity == "error"]


def module_decides(site: Json | None, exposures: Json) -> PassPlan:
    document = parse_desired({"schemaVersion": "1.0", "exposures": exposures, **({"site": site} if site else {})})
    assert isinstance(document, DesiredDocument)
    assert not document.invalid
    now = datetime(2026, 11, 27, tzinfo=UTC)
    return reconcile(PassInputs(document, Memory(), Observed(), Guards(), "0123456789abcdef", "ns", now))


LOCAL = {"externalTrafficPolicy": "Local"}
ROWS: list[Any] = [
    pytest.param(
        SITE,
        {f"a{n}": exposure(ports=["1-1000"], type="ClusterIP") for n in range(7)},
        {"a5", "a6"},
        id="more ports than a document publishes",
    ),
    pytest.param(
        SITE,
        {f"a{n}": exposure(ports=["1-1000"], type="ClusterIP", enabled=n > 0) for n in range(6)},
        set(),
        id="ports of a disabled exposure count for nobody",
    ),
    pytest.param(SITE, {"a": exposure(pool="typo")}, {"a"}, id="a pool that is not there"),
    pytest.param(SITE, {"a": exposure(pool="dmz")}, set(), id="a pool that is there"),
    pytest.param(
        {"externalServiceIPs": "10.0.0.10-10.0.0.13"},
        {"a": exposure(pool="any")},
        set(),
        id="a pool where the site names none: the load balancer knows",
    ),
    pytest.param(SITE, {"a": exposure(ipFamilyPolicy="PreferDualStack")}, set(), id="dual stack preferred, IPv4 there"),
    pytest.param(SITE, {"a": exposure(ipFamilyPolicy="RequireDualStack")}, {"a"}, id="dual stack needed, IPv4 there"),
    pytest.param(SITE, {"a": exposure(ipFamilies=["IPv6"])}, {"a"}, id="IPv6 needed, IPv4 there"),
    pytest.param(SITE, {"a": exposure(address="10.0.1.2")}, set(), id="a pin inside a pool that it does not name"),
    pytest.param(SITE, {"a": exposure(address="10.0.0.11", pool="dmz")}, {"a"}, id="a pin outside the pool it names"),
    pytest.param(SITE, {"a": exposure(address="10.0.0.99")}, {"a"}, id="a pin outside of everything"),
    pytest.param(SITE, {"a": exposure(address="10.0.0.10")}, {"a"}, id="a pin that is reserved"),
    pytest.param(SITE, {"a": exposure(address="10.0.0.1")}, {"a"}, id="a pin that is a node's"),
    pytest.param(
        SITE,
        {"a": exposure(share="k"), "b": exposure(share="k", ports=[81], **LOCAL)},
        {"b"},
        id="Cluster and Local share, with the same pods",
    ),
    pytest.param(
        SITE,
        {"a": exposure(share="k", **LOCAL), "b": exposure(share="k", ports=[81], **LOCAL)},
        set(),
        id="Local and Local share, with the same pods",
    ),
    pytest.param(
        SITE,
        {"a": exposure(share="k", **LOCAL), "b": exposure(share="k", ports=[81], module="shop", **LOCAL)},
        {"b"},
        id="Local and Local share, with other pods",
    ),
    pytest.param(
        SITE,
        {"a": exposure(share="k"), "b": exposure(share="k", ports=[81], endpoints=["10.9.0.1"], module=None, **LOCAL)},
        set(),
        id="Local without a selector shares like Cluster",
    ),
    pytest.param(SITE, {f"a{n}": exposure(pool="dmz") for n in range(3)}, {"a2"}, id="more than the named pool has"),
    pytest.param(SITE, {f"a{n}": exposure() for n in range(4)}, {"a3"}, id="more than the range has"),
    pytest.param(
        SITE,
        {"b": exposure(share="k", address="10.0.0.11"), "a": exposure(share="k")},
        {"a"},
        id="one port twice, of one that pins the address and one that shares it",
    ),
    pytest.param(
        DUAL_SITE,
        {"a": exposure(share="k"), "b": exposure(share="k", ports=[81], ipFamilies=["IPv6"])},
        {"b"},
        id="one share key, two IP families",
    ),
    pytest.param(
        {**SITE, "pools": {"dmz": "10.0.0.12-10.0.0.13"}},
        {"a": exposure(pool="dmz"), "b": exposure(pool="dmz"), "c": exposure(), "d": exposure()},
        {"d"},
        id="a pool inside the range: its addresses count once",
    ),
    pytest.param(
        {},
        {
            "a": exposure(share="k", address="10.0.0.11"),
            "b": exposure(share="k", ports=[81], ipFamilyPolicy="PreferDualStack"),
        },
        set(),
        id="dual stack preferred, and shared with an IPv4 pin, where the load balancer chooses",
    ),
    pytest.param(
        {**SITE, "pools": {"dmz": "10.0.0.1-10.0.0.2"}},
        {"a": exposure(pool="dmz")},
        {"a"},
        id="a pool of nothing but node IPs",
    ),
]


@pytest.mark.parametrize(("site", "exposures", "blocked"), ROWS)
def test_the_exposure_that_the_cloud_calls_wrong_is_the_one_that_the_module_blocks(
    site: Json, exposures: Json, blocked: set[str]
) -> None:
    given = {name: {key: value for key, value in item.items() if value is not None} for name, item in exposures.items()}
    assert set(module_decides(site, given).blocks) == blocked
    assert {item.path.split(".")[1] for item in cloud_errors(site, given)} == blocked


ADDRESSES = st.sampled_from(["10.0.0.11", "10.0.0.12", "10.0.1.1", "10.0.0.99", "10.0.0.10", "10.0.0.1"])
DUAL_ADDRESSES = st.sampled_from(["10.0.0.11", "fd00::10", "10.0.0.11,fd00::10", "fd00:1::1"])
FAMILIES = st.sampled_from([{}, {}, {"ipFamilyPolicy": "PreferDualStack"}, {"ipFamilyPolicy": "RequireDualStack"}])


def worlds(site: Json, addresses: st.SearchStrategy[str], pools: list[str]) -> st.SearchStrategy[tuple[Json, Json]]:
    wish = st.builds(
        lambda ports, fields, families: {**exposure(ports=ports), **fields, **families},
        st.lists(st.sampled_from([80, 81, "80/udp"]), min_size=1, max_size=2, unique_by=str),
        st.fixed_dictionaries(
            {},
            optional={
                "module": st.sampled_from(["web", "shop"]),
                "address": addresses,
                "pool": st.sampled_from(pools),
                "externalTrafficPolicy": st.just("Local"),
                "enabled": st.booleans(),
            },
        ),
        FAMILIES,
    )
    # Who shares draws from the range: that a group's address is in the pool of each is still to come in the module.
    sharing = st.builds(
        lambda item, key: {**{k: v for k, v in item.items() if k != "pool"}, "share": key}, wish, st.sampled_from("kj")
    )
    names = st.sampled_from(["a", "a-udp", "b", "c", "d", "e"])
    return st.tuples(st.just(site), st.dictionaries(names, wish | sharing, max_size=6))


@settings(max_examples=400, deadline=None)
@given(worlds(SITE, ADDRESSES, ["dmz", "typo"]) | worlds(DUAL_SITE, DUAL_ADDRESSES, ["six"]))
def test_the_cloud_finds_an_error_exactly_where_the_module_blocks_something(world: tuple[Json, Json]) -> None:
    site, exposures = world
    blocked = module_decides(site, exposures).blocks
    errors = cloud_errors(site, exposures)
    assert bool(errors) == bool(blocked), (errors, blocked)


@settings(max_examples=200, deadline=None)
@given(worlds({"pools": SITE["pools"]}, ADDRESSES, ["dmz", "typo"]) | worlds({}, DUAL_ADDRESSES, ["dmz"]))
def test_where_the_load_balancer_chooses_the_cloud_misses_nothing_that_the_module_blocks(
    world: tuple[Json, Json],
) -> None:
    """The module learns of the rest, such as one port twice on a shared address, once the first has its address."""
    site, exposures = world
    assert cloud_errors(site, exposures) or not module_decides(site, exposures).blocks


OWNER = "0123456789abcdef"
EXTERNAL: list[Any] = [
    pytest.param({}, id="nothing but ports"),
    pytest.param({"address": "10.0.0.11"}, id="one pin"),
    pytest.param({"address": "10.0.0.11,fd00::10"}, id="a pin of each family"),
    pytest.param({"address": "fd00::10"}, id="an IPv6 pin"),
    pytest.param({"share": "k"}, id="a sharing key"),
    pytest.param({"pool": "dmz"}, id="a pool"),
    pytest.param({"ports": [80, "81:8081/udp"], "address": "10.0.0.11"}, id="TCP and UDP at a pin"),
    pytest.param({"type": "ClusterIP", "ports": [{"port": 80, "appProtocol": "https"}]}, id="inside the cluster"),
    pytest.param({"module": None, "endpoints": ["10.9.0.1"], "sessionAffinity": "ClientIP"}, id="endpoints"),
    pytest.param({"module": None, "selector": ["app=x"], "allowFrom": ["10.0.0.0/8"], **LOCAL}, id="a selector"),
    pytest.param({"module": "Web_Shop", "ipFamilyPolicy": "PreferDualStack"}, id="a module name that edgeAgent bends"),
    pytest.param(
        {"labels": ["team=a"], "annotations": ["x.y/z=1"], "hostname": "web.example.com", "namespace": "n2"},
        id="labels, annotations, host name, namespace",
    ),
]


@pytest.mark.parametrize("balancer", [Form.CRD, Form.CONFIG_MAP])
@pytest.mark.parametrize("fields", EXTERNAL)
def test_the_services_shown_are_those_that_are_made(fields: Json, balancer: Form) -> None:
    given = {key: value for key, value in exposure(**fields).items() if value is not None}
    wish = Exposure.model_validate(given)
    target = Target(OWNER, "ns", lambda _: MetalLB(balancer), Capabilities("v1.36.3", 36))
    made = [service.body() for service in declare("web", wish, wish.addresses, target)]
    twin = Twin("d1", MODULE_ID, "E", reported={"cluster": {"version": "v1", "loadBalancer": str(balancer)}})
    state = DeviceState("d1", Twin("d1", None, "E"), {MODULE_ID: twin})
    shown = predicted_services({"web": wish}, surroundings(state, "ns"))
    assert [_known_to_the_cloud(body) for body in made] == [_without_blanks(body) for body in shown.values()]


def _known_to_the_cloud(body: Json) -> Json:
    """Without our own notes, what is made of the owner, and what depends on the cluster's release."""
    meta = body["metadata"]
    notes = {key: text for key, text in meta["annotations"].items() if key != DECLARED_ANNOTATION and OWNER not in text}
    labels = {key: text for key, text in meta["labels"].items() if text != OWNER}
    spec = {key: value for key, value in body["spec"].items() if key != "allocateLoadBalancerNodePorts"}
    return {**body, "spec": spec, "metadata": {**meta, "labels": labels, "annotations": notes}}


def _without_blanks(body: Json) -> Json:
    spec = {key: value for key, value in body["spec"].items() if value is not None}
    return {**body, "spec": spec, "metadata": {"annotations": {}, **body["metadata"]}}


@pytest.mark.parametrize(
    ("fields", "asked"),
    [
        ({}, "at an address that the device chooses"),
        ({"address": "10.0.0.11"}, "at 10.0.0.11"),
        ({"address": "10.0.0.11,fd00::10"}, "at 10.0.0.11,fd00::10"),
    ],
)
def test_a_plan_in_words_says_every_address_that_is_asked_for(fields: Json, asked: str) -> None:
    (body,) = predicted_services({"web": Exposure.model_validate(exposure(**fields))}, Surroundings("ns")).values()
    assert service_text(body).endswith(asked)


@pytest.mark.parametrize(
    ("fields", "held", "asked"),
    [
        pytest.param({"share": "k"}, {}, "at 10.0.0.11", id="the pin of the one it shares with"),
        pytest.param({"share": "other"}, {}, "at an address that the device chooses", id="another sharing key"),
        pytest.param({"share": "k"}, {"web": "10.0.0.12"}, "at 10.0.0.12", id="what it holds is not moved"),
        pytest.param(
            {"share": "k", "ipFamilyPolicy": "RequireDualStack"},
            {},
            "at an address that the device chooses",
            id="families",
        ),
    ],
)
def test_who_shares_with_a_pinned_exposure_is_shown_at_its_address(fields: Json, held: Json, asked: str) -> None:
    wishes = {"web": exposure(**fields), "pinned": exposure(address="10.0.0.11", share="k", ports=[81])}
    models = {name: Exposure.model_validate(wish) for name, wish in wishes.items()}
    shown = predicted_services(models, Surroundings("ns", held))
    assert service_text(shown["ns", "web"]).endswith(asked)


@pytest.mark.parametrize("field", ["share", "pool"])
def test_another_sharing_key_or_pool_is_a_change_of_the_service(field: str) -> None:
    one, other = (
        predicted_services({"web": Exposure.model_validate(exposure(**{field: text}))}, Surroundings("ns"))
        for text in ("a", "b")
    )
    assert [(change.action, change.name) for change in diff_services(one, other)] == [("update", "web")]


def test_an_exposure_that_has_expired_makes_no_service() -> None:
    wish = Exposure.model_validate(exposure(expires="2026-11-27T10:00:00Z"))
    before, after = (Surroundings("ns", now=datetime(2026, 11, 27, hour, tzinfo=UTC)) for hour in (9, 10))
    assert predicted_services({"web": wish}, before)
    assert not predicted_services({"web": wish}, after)


def test_a_plan_looks_at_the_clock() -> None:
    hub = applied_hub()
    plan = plan_expose(hub, "d1", "late", exposure(expires="2020-01-01T00:00:00Z"))
    assert [change.kind for change in plan.changes] == ["ModuleTwin"]


def test_a_host_name_that_two_ask_for_stands_on_the_same_service_for_both() -> None:
    name = "web.site1.example.com"
    exposures = {
        "b": exposure(hostname=name, ports=[80, "80/udp"]),
        "a": exposure(hostname=name, ports=[81, "81/udp"], address="10.0.0.12"),
    }
    declared = {s.name for s in module_decides(SITE, exposures).declared if HOSTNAME_ANNOTATION in s.annotations}
    wishes = {key: Exposure.model_validate(value) for key, value in exposures.items()}
    predicted = predicted_services(wishes, Surroundings("ns"))
    notes = {
        key[1] for key, body in predicted.items() if HOSTNAME_ANNOTATION in body["metadata"].get("annotations", {})
    }
    assert declared == notes == {"a"}
