"""Plans of single exposures: expose and unexpose."""

from __future__ import annotations

from typing import Any

import pytest

from edge_expose_cloud.findings.problems import InputError, Refused
from edge_expose_cloud.usecases.apply import apply_plan
from edge_expose_cloud.usecases.expose import plan_expose, plan_unexpose
from edge_expose_contract.merging import merge_patch, merged
from support.cloud import SPEC, applied_hub
from support.planning import FLEET, do, new_hub, operator


def test_an_exposure_that_has_expired_is_told() -> None:
    made = plan_expose(
        applied_hub(), "d1", "api", {"module": "web", "ports": ["9000:80"], "expires": "2020-01-01T00:00:00Z"}
    )
    assert [(item.rule, item.severity) for item in made.findings] == [("ExposureExpired", "warning")]


def test_expose_patches_one_exposure_and_unexpose_takes_it_out() -> None:
    hub = applied_hub()
    made = plan_expose(hub, "d1", "api", {"module": "web", "ports": ["9000:80"]})
    apply_plan(hub, made, operator())
    assert hub.twins["d1", "edge-expose"].desired["exposures"]["api"] == {"module": "web", "ports": ["9000:80"]}
    assert set(hub.twins["d1", "edge-expose"].desired["exposures"]) == {"api", "db", "web-out"}
    apply_plan(hub, plan_unexpose(hub, "d1", "api"), operator())
    assert "api" not in hub.twins["d1", "edge-expose"].desired["exposures"]


@pytest.mark.parametrize(
    ("name", "fields", "rule"),
    [
        ("api", {"module": "web", "ports": ["9000:80"], "address": "10.9.9.9"}, "AddressOutsideRange"),
        ("api", {"module": "web", "ports": ["9000:80"], "address": "10.0.0.11"}, "AddressTwice"),
        ("api", {"module": "ghost", "ports": ["80"]}, "ExposureModuleUnknown"),
        ("web", {"module": "web", "ports": ["80"]}, "ExposureNamedLikeModule"),
        ("api", {"ports": ["80"]}, "OneTarget"),
        ("API", {"module": "web", "ports": ["80"]}, "InvalidName"),
    ],
)
def test_expose_refuses_what_a_spec_could_not_say(name: str, fields: dict[str, Any], rule: str) -> None:
    hub = applied_hub()
    with pytest.raises(InputError) as wrong:
        plan_expose(hub, "d1", name, fields)
    assert rule in {item.rule for item in wrong.value.findings}
    assert "patch_module_twin" not in hub.calls


def test_expose_is_refused_for_a_key_that_a_deployment_owns() -> None:
    hub = applied_hub()
    do(hub, FLEET)
    hub.target(next(iter(hub.configurations)), "d1")
    with pytest.raises(Refused, match="set by the deployment"):
        plan_expose(hub, "d1", "shop", {"module": "web", "ports": ["80"]})
    made = plan_expose(hub, "d1", "mine", {"module": "web", "ports": ["80"]})
    assert made.changes


def test_unexpose_names_what_there_is() -> None:
    with pytest.raises(Refused) as refused:
        plan_unexpose(applied_hub(), "d1", "ghost")
    assert refused.value.hint == "declared there: db, web-out"


def test_expose_without_the_module_says_what_to_do() -> None:
    with pytest.raises(Refused, match="has no module edge-expose"):
        plan_expose(new_hub(), "d1", "api", {"module": "web", "ports": ["80"]})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {}),
        ({"a": 1}, {}),
        ({}, {"a": {"b": 1}}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}),
        ({"a": [1]}, {"a": [1, 2]}),
        ({"a": 1}, {"a": True}),
        ({"a": {"b": 1}}, {"a": 5}),
        ({"a": 5}, {"a": {"b": 1}}),
    ],
)
def test_a_merge_patch_leads_from_before_to_after(before: dict[str, Any], after: dict[str, Any]) -> None:
    patch = merge_patch(before, after)
    assert merged(before, patch) == after
    assert (patch == {}) == (before == after and str(before) == str(after))


@pytest.mark.parametrize(
    ("port", "found"),
    [
        ("554:8554", []),
        ("8554", []),
        ("554", ['the module "camera" names 8554/tcp, 9000/udp, not 554/tcp']),
        ("9000", ['the module "camera" names 8554/tcp, 9000/udp, not 9000/tcp']),
        ("554:rtsp", []),
    ],
)
def test_a_target_port_that_the_module_does_not_name_is_told(port: str, found: list[str]) -> None:
    options = 'createOptions: {ExposedPorts: {"8554/tcp": {}}, HostConfig: {PortBindings: {"9000/udp": []}}}'
    hub = applied_hub(SPEC.replace("exposures:", f'  camera: {{image: "a/cam:1", {options}}}\nexposures:'))
    made = plan_expose(hub, "d1", "cam", {"module": "camera", "ports": [port]})
    assert [item.message for item in made.findings] == found
    assert all(item.severity == "warning" for item in made.findings)


def test_of_a_module_that_names_no_ports_nothing_is_known() -> None:
    assert plan_expose(applied_hub(), "d1", "api", {"module": "web", "ports": ["9"]}).findings == ()
