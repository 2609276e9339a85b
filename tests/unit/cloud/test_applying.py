"""Applying a plan to one device: the backup, the lease, what moved meanwhile."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edge_expose_cloud.findings.problems import InputError, Refused
from edge_expose_cloud.hub.api import Deployment
from edge_expose_cloud.plan.model import PatchTwin
from edge_expose_cloud.usecases.apply import apply_plan
from edge_expose_cloud.usecases.plan import make_plan
from support.cloud import READY, SPEC, applied_hub, spec_of_text
from support.planning import FLEET, lines, new_hub, operator, plan


def test_set_modules_writes_a_backup_takes_a_lease_and_gives_it_back() -> None:
    hub = new_hub()
    saved: dict[str, str] = {}
    leases: list[Any] = []
    hub.before = lambda call: (
        leases.append(hub.twins["d1", None].tags.get("edgeExposeLease")) if call == "apply_content" else None
    )
    apply_plan(hub, plan(hub), operator(saved))
    assert leases[0]["by"] == "me@here"
    assert "edgeExposeLease" not in hub.twins["d1", None].tags
    (backup,) = saved.values()
    assert set(json.loads(backup)["modulesContent"]) == {"$edgeAgent", "$edgeHub"}


def test_set_modules_is_refused_while_somebody_else_holds_the_lease() -> None:
    hub = new_hub()
    hub.patch_device_tags("d1", {"edgeExposeLease": {"by": "you@there", "until": "2999-01-01T00:00:00+00:00"}}, "*")
    with pytest.raises(Refused, match="you@there"):
        apply_plan(hub, plan(hub), operator())
    assert "apply_content" not in hub.calls


def test_a_lease_that_ran_out_is_no_obstacle() -> None:
    hub = new_hub()
    hub.patch_device_tags("d1", {"edgeExposeLease": {"by": "you@there", "until": "2020-01-01T00:00:00+00:00"}}, "*")
    assert "set" in apply_plan(hub, plan(hub), operator())


@pytest.mark.parametrize("module", ["edge-expose", "$edgeAgent"])
def test_a_twin_that_moved_since_the_plan_is_not_overwritten(module: str) -> None:
    hub = applied_hub()
    made = plan(hub, SPEC.replace("a/web:1", "a/web:2"))
    hub.touch("d1", module)
    with pytest.raises(Refused, match="changed since the plan"):
        apply_plan(hub, made, operator())
    assert hub.twins["d1", "$edgeAgent"].desired["modules"]["web"]["settings"]["image"] == "a/web:1"
    assert "edgeExposeLease" not in hub.twins["d1", None].tags


def test_a_twin_that_moves_between_the_comparison_and_the_patch_is_not_overwritten() -> None:
    hub = applied_hub()
    made = plan(hub, SPEC.replace('"8080:80"', '"8081:80"'))
    hub.before = lambda call: hub.touch("d1", "edge-expose") if call == "patch_module_twin" else None
    with pytest.raises(Refused, match="changed since the plan"):
        apply_plan(hub, made, operator())
    assert hub.twins["d1", "edge-expose"].desired["exposures"]["web-out"]["ports"] == ["8080:80"]


def test_set_modules_is_refused_on_a_device_that_a_deployment_targets() -> None:
    hub = new_hub()
    before = plan(hub)
    apply_plan(hub, make_plan(hub, spec_of_text(FLEET), {}), operator())
    hub.target(next(iter(hub.configurations)), "d1")
    with pytest.raises(Refused, match="d1 is targeted by the automatic deployment north-"):
        plan(hub)
    with pytest.raises(Refused, match="d1 is targeted by the automatic deployment north-"):
        apply_plan(hub, before, operator())


def test_a_key_that_a_deployment_sets_is_not_patched() -> None:
    hub = applied_hub()
    content = {"modulesContent": {"edge-expose": {"properties.desired.exposures.web-out": {"module": "web"}}}}
    hub.configurations["north"] = Deployment("north", content, "tags.a=1", 3, {}, {}, etag="E")
    hub.target("north", "d1")
    with pytest.raises(Refused, match=r"exposures\.web-out is set by the deployment north"):
        plan(hub, SPEC.replace('"8080:80"', '"8081:80"'))
    made = plan(hub, SPEC.replace("ports: [5432]", "ports: [5433]"))
    assert isinstance(made.step, PatchTwin), "another key is nobody's"


def test_another_namespace_moves_every_service() -> None:
    hub = applied_hub()
    hub.report("d1", "edge-expose", READY)
    made = plan(hub, SPEC.replace("network: {", "network: {namespace: shop, "))
    services = [(c.action, c.namespace, c.name) for c in made.changes if c.kind == "Service"]
    assert sorted(services) == [
        ("create", "shop", "db"),
        ("create", "shop", "web-out"),
        ("delete", "d1", "db"),
        ("delete", "d1", "web-out"),
    ]


def test_what_runs_beside_a_document_that_the_module_refuses_is_known_by_its_report() -> None:
    hub = applied_hub()
    more = {**READY["exposures"], "hand": {"state": "Ready", "address": "10.0.0.12", "service": "d1/hand"}}
    hub.report("d1", "edge-expose", {**READY, "exposures": more})
    hub.patch_module_twin("d1", "edge-expose", {"schemaVersion": "2.0"}, "*")
    made = plan(hub)
    assert ("delete", "Service", "hand") in lines(made)


def test_a_manifest_of_the_other_driver_takes_no_address_that_a_service_of_ours_holds() -> None:
    hub = applied_hub()
    hub.report("d1", "edge-expose", READY)
    text = SPEC.replace("target:", "driver: manifest\ntarget:").replace(", address: 10.0.0.11", "")
    made = plan(hub, text)
    service = next(change for change in made.changes if (change.kind, change.name) == ("Service", "web"))
    assert service.after is not None
    assert service.after["spec"]["loadBalancerIP"] == "10.0.0.12"


def test_what_is_kept_of_a_module_without_a_manifest_entry_is_read_and_comes_to_rest() -> None:
    hub = new_hub()
    text = SPEC + "keep: {elsewhere: {k: 1}}\n"
    apply_plan(hub, plan(hub, text), operator())
    assert plan(hub, text).changes == ()


def test_a_value_that_breaks_a_rule_of_the_spec_once_it_is_filled_in_is_found_before_it_is_sent() -> None:
    hub = new_hub()
    text = SPEC.replace("a/web:1", "a/web:${env:TAG}")
    with pytest.raises(InputError) as caught:
        plan(hub, text, {"TAG": "1 s3cret image"})
    (found,) = caught.value.findings
    assert found.path == "modules.web.image"
    assert "${env:TAG}" in found.message
    assert "s3cret" not in found.message
