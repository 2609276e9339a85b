"""A plan that touches no Service says what it does: exposures that are disabled, expired, never made, or just tuned."""

from __future__ import annotations

from typing import Any

import pytest

from edge_expose_cloud.plan.service_forecast import Surroundings, predicted_services
from edge_expose_cloud.plan.unchanged_services import unchanged_service_notes
from edge_expose_cloud.usecases.expose import plan_expose, plan_unexpose
from edge_expose_cloud.usecases.plan import make_plan
from edge_expose_cloud.usecases.rollback import plan_restore
from edge_expose_contract.identity import MODULE_ID
from edge_expose_contract.parsing import parse_exposure
from support.cloud import NOW, READY, SPEC, applied_hub, spec_of_text

OFF: dict[str, Any] = {"enabled": False}
GONE: dict[str, Any] = {"expires": "2026-11-20T00:00:00Z"}

ROWS: dict[str, tuple[dict[str, Any] | None, dict[str, Any] | None, str]] = {
    "a new one that is disabled": (
        None,
        OFF,
        "web is disabled: it gets neither a Service nor an address until it is enabled",
    ),
    "a disabled one that is edited": (
        OFF,
        {**OFF, "ports": ["9090:80"]},
        "web is disabled and has no Service: the change takes effect when it is enabled",
    ),
    "a disabled one that is removed": (
        OFF,
        None,
        "web is disabled: only its declaration is removed, and no client is affected",
    ),
    "an expired one that is edited": (
        GONE,
        {**GONE, "ports": ["9090:80"]},
        "web expired at 2026-11-20T00:00:00Z and has no Service: "
        "the change takes effect when its closing time is changed",
    ),
    "an expired one that is enabled, and stays expired": (
        {**OFF, **GONE},
        GONE,
        "web expired at 2026-11-20T00:00:00Z and has no Service: "
        "the change takes effect when its closing time is changed",
    ),
    "a setting of the module's own": (
        {},
        {"probe": "tcp"},
        "the Service of web stays as it is: only settings that the module itself uses change",
    ),
    "what changes the Service is said by the Service": ({}, {"ports": ["9090:80"]}, ""),
    "what makes the Service is said by the Service": (OFF, {}, ""),
    "what takes the Service is said by the Service": ({}, OFF, ""),
    "what stays as it is": (OFF, OFF, ""),
}


def made(body: dict[str, Any] | None) -> dict[str, Any]:
    if body is None:
        return {}
    exposure, violations = parse_exposure("web", {"module": "m", "ports": ["8080:80"], **body})
    assert exposure is not None, violations
    return {"web": exposure}


@pytest.mark.parametrize(("before", "after", "says"), ROWS.values(), ids=ROWS)
def test_the_note(before: dict[str, Any] | None, after: dict[str, Any] | None, says: str) -> None:
    exposures = made(before), made(after)
    around = Surroundings("shop", {}, now=NOW)
    services = predicted_services(exposures[0], around), predicted_services(exposures[1], around)
    assert list(unchanged_service_notes(exposures, services, NOW)) == ([says] if says else [])


UNMADE = {"late": {"state": "Blocked", "reason": "PoolExhausted", "service": "d1/late"}}


def test_every_way_to_a_plan_says_it() -> None:
    hub = applied_hub()
    late = {"late": {"module": "web", "ports": ["9000:80"]}, "off": {"module": "web", "ports": [9001], **OFF}}
    backup = {MODULE_ID: {"properties.desired": {**hub.twins["d1", MODULE_ID].desired}}}
    hub.patch_module_twin("d1", MODULE_ID, {"exposures": late}, "*")
    hub.report("d1", MODULE_ID, {**READY, "exposures": {**READY["exposures"], **UNMADE}})
    unmade = plan_expose(hub, "d1", "late", {**late["late"], **OFF}).notes
    assert unmade == ("late has no Service on the device, so nothing stops answering",)
    removed = "only its declaration is removed, and no client is affected"
    assert plan_unexpose(hub, "d1", "late").notes == (f"late has no Service: {removed}",)
    assert f"off is disabled: {removed}" in plan_restore(hub, "d1", backup, only=MODULE_ID).notes
    assert f"off is disabled: {removed}" in make_plan(hub, spec_of_text(SPEC), {}).notes
