"""A change of the declared ranges says what it does: nothing where the pool decides, its cost where `site` does."""

from __future__ import annotations

import html
from typing import Any

import pytest

from edge_expose_cloud.findings.problems import InputError
from edge_expose_cloud.usecases.device_ranges import pool_decides
from edge_expose_cloud.usecases.expose import plan_expose
from edge_expose_contract.identity import MODULE_ID
from edge_expose_contract.reported import parse_reported
from support.cloud import READY, applied_hub

NODES = {"nodes": "10.0.0.1-10.0.0.2"}
EDGEHUB = {"who0": "edgehub", "reserved0": "10.0.0.10"}
POOL_READ = {**READY, "cluster": {"api": "ok", "version": "v1.36.3", "loadBalancer": "MetalLB/CRD"}}
DENIED = {
    **READY,
    "cluster": {
        "api": "ok",
        "loadBalancer": "MetalLB/CRD",
        "denied": "list ipaddresspools.metallb.io in namespace metallb-system",
    },
}


@pytest.mark.parametrize(
    ("cluster", "reason", "decides"),
    [
        pytest.param(None, None, False, id="a report that says nothing of the load balancer"),
        pytest.param({"loadBalancer": "UnknownLoadBalancer"}, None, False, id="another load balancer"),
        pytest.param({"loadBalancer": "MetalLB/CRD"}, None, True, id="address pools that may be read"),
        pytest.param({"loadBalancer": "MetalLB/ConfigMap"}, None, True, id="a ConfigMap that was read"),
        pytest.param(DENIED["cluster"], None, False, id="address pools that may not be read"),
        pytest.param({"loadBalancer": "MetalLB/CRD"}, "PoolInvalid", False, id="a pool that is broken"),
        pytest.param(None, "PoolMismatch", True, id="a mismatch, which only a pool that was read can have"),
    ],
)
def test_the_report_tells_whether_the_pool_decides(cluster: Any, reason: str | None, decides: bool) -> None:
    report = {"pool": {"ranges": "10.0.0.10-10.0.0.20", "reason": reason}, "cluster": cluster}
    assert pool_decides(parse_reported(report)) is decides


def auto(world, reported: dict[str, Any]) -> None:
    """web-out holds 10.0.0.11 without asking for it."""
    world.hub.patch_module_twin("d1", MODULE_ID, {"exposures": {"web-out": {"address": None}}}, "*")
    world.hub.report("d1", MODULE_ID, reported)


def test_where_the_pool_decides_nothing_moves_and_no_word_is_asked_for(world, ada) -> None:
    auto(world, POOL_READ)
    plan = ada.ranges(external="10.0.0.12-10.0.0.20", **NODES)
    assert "loses" not in plan.text
    assert "I mean it" not in plan.text
    assert "that pool decides" in plan.text
    assert "PoolMismatch" in plan.text
    assert ada.apply(plan).status_code == 303
    assert "it cannot read" not in ada.get("/devices/d1/network").text


def test_where_the_pool_decides_a_fixed_address_outside_the_copy_is_no_error(world, ada) -> None:
    world.hub.report("d1", MODULE_ID, POOL_READ)
    assert ada.ranges(external="10.0.0.12-10.0.0.20", **NODES).status_code == 200


def test_where_the_pool_decides_reserving_a_held_address_still_moves_it(world, ada) -> None:
    auto(world, POOL_READ)
    fields = {"external": "10.0.0.10-10.0.0.20", "who0": "camera", "reserved0": "10.0.0.11", **NODES}
    plan = ada.ranges(**fields)
    assert "web-out loses 10.0.0.11: reserved for camera" in plan.text
    assert ada.apply(plan).status_code == 409


@pytest.mark.parametrize("reported", [READY, DENIED])
def test_where_site_decides_the_loss_is_said(world, ada, reported) -> None:
    auto(world, reported)
    plan = ada.ranges(external="10.0.0.12-10.0.0.20", **NODES)
    assert "web-out loses 10.0.0.11" in plan.text
    assert "1 held address is no longer in the device&#39;s range: web-out (10.0.0.11)" in plan.text
    assert ada.apply(plan).status_code == 409
    assert "it cannot read its load balancer’s own pool" in ada.get("/devices/d1/network").text


def test_where_site_decides_an_emptied_range_needs_the_word(world, ada) -> None:
    auto(world, READY)
    fields = {"external": "", **NODES}
    plan = ada.ranges(**fields)
    assert "no external range is left: 1 held address stays" in plan.text
    assert ada.apply(plan).status_code == 409
    assert ada.apply(ada.ranges(**fields), **{"allow-moves": "1"}).status_code == 303


def test_an_emptied_copy_needs_no_word_where_the_pool_decides(world, ada) -> None:
    auto(world, POOL_READ)
    plan = ada.ranges(external="", **NODES)
    assert "I mean it" not in plan.text


def test_an_address_that_was_out_of_range_before_is_not_lost_by_another_change(world, ada) -> None:
    auto(world, {**READY, "exposures": {"web-out": {"state": "Ready", "address": "10.9.9.9"}}})
    plan = ada.ranges(external="10.0.0.10-10.0.0.30", **NODES, **EDGEHUB)
    assert "loses" not in plan.text


def test_an_exposure_may_ask_for_an_address_of_the_pool_whatever_the_copy_says() -> None:
    hub = applied_hub()
    pool = {**READY["pool"], "ranges": "10.0.0.10-10.0.0.40", "reason": "PoolMismatch"}
    wish = {"module": "web", "ports": ["9000:80"], "address": "10.0.0.30"}
    with pytest.raises(InputError):
        plan_expose(hub, "d1", "late", wish)
    hub.report("d1", MODULE_ID, {**READY, "pool": pool})
    plan = plan_expose(hub, "d1", "late", wish)
    assert plan.changes
    assert not plan.findings


@pytest.mark.parametrize("there", [["10.0.0.1-10.0.0.2"], "10.0.0.1 - 10.0.0.2"])
def test_what_only_looks_different_is_no_change(world, ada, there) -> None:
    world.hub.patch_module_twin("d1", MODULE_ID, {"site": {"nodeIPs": there}}, "*")
    before = world.desired()
    plan = ada.ranges(external="10.0.0.10-10.0.0.25", **NODES, **EDGEHUB)
    assert "externalServiceIPs" in plan.text
    assert "site.nodeIPs" not in plan.text
    ada.apply(plan)
    assert world.desired()["site"]["nodeIPs"] == before["site"]["nodeIPs"]
    same = ada.ranges(external="10.0.0.10-10.0.0.25", **NODES, **EDGEHUB)
    assert "Nothing changes" in same.text


def test_a_pool_that_is_full_is_a_warning_since_it_is_widened_on_the_device() -> None:
    hub = applied_hub()
    full = {**POOL_READ, "pool": {**READY["pool"], "ranges": "10.0.0.10-10.0.0.11", "reason": "PoolMismatch"}}
    hub.report("d1", MODULE_ID, full)
    plan = plan_expose(hub, "d1", "late", {"module": "web", "ports": ["9000:80"]})
    assert plan.changes
    assert [(item.rule, item.severity) for item in plan.findings] == [("RangeTooSmall", "warning")]


@pytest.fixture
def many_reserved(world) -> dict[str, str]:
    """Twenty reservations in a row."""
    reserved = {f"camera-{number:02}": f"10.0.0.{100 + number}" for number in range(20)}
    world.hub.patch_module_twin("d1", MODULE_ID, {"site": {"reserved": {**reserved, "edgehub": None}}}, "*")
    return reserved


def test_a_reservation_is_removed_renamed_and_added_and_the_others_stay(world, ada, many_reserved) -> None:
    typed = {"who0": "", "reserved0": "", "who19": "door", "who20": "edgehub", "reserved20": "10.0.0.10"}
    plan = ada.fill(ada.get("/devices/d1/network"), **typed)
    assert "Nothing changes" not in plan.text
    ada.apply(plan)
    left = {name: address for name, address in many_reserved.items() if name not in ("camera-00", "camera-19")}
    assert world.desired()["site"]["reserved"] == {**left, "door": "10.0.0.119", "edgehub": "10.0.0.10"}


def test_the_last_reservation_can_be_removed(world, ada) -> None:
    ada.apply(ada.fill(ada.get("/devices/d1/network"), who0="", reserved0=""))
    assert "reserved" not in world.desired()["site"]


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        pytest.param({"who1": "a.b"}, "'a.b' cannot be a twin key", id="a dot"),
        pytest.param({"who1": "a b"}, "'a b' cannot be a twin key", id="a blank"),
        pytest.param({"who1": "$x"}, "'$x' cannot be a twin key", id="a dollar sign"),
        pytest.param({"who1": "edgehub"}, "two addresses are reserved for 'edgehub'", id="a name that is taken"),
        pytest.param({"who1": ""}, "10.0.0.12 has no name", id="no name"),
    ],
)
def test_a_reservation_that_the_hub_would_refuse_or_that_hides_another_is_found_first(world, ada, typed, says) -> None:
    before = world.desired()
    answer = ada.fill(ada.get("/devices/d1/network"), **{"reserved1": "10.0.0.12", **typed})
    assert answer.status_code == 422
    assert says in html.unescape(answer.text).replace('"', "'")
    assert 'value="10.0.0.12"' in answer.text, "what was typed is still there"
    assert world.desired() == before
