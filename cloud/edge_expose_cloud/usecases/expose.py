"""Expose and unexpose: one twin patched by hand, with every check a spec would get."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from edge_expose_cloud.findings.finding import Finding, has_errors
from edge_expose_cloud.findings.from_contract import findings_of
from edge_expose_cloud.findings.problems import InputError, Missing, Refused, no_module
from edge_expose_cloud.hub.api import Hub, Twin
from edge_expose_cloud.iotedge.edge_agent import modules_of
from edge_expose_cloud.manifest.render import exposures_json
from edge_expose_cloud.plan.device import (
    DeviceState,
    closing_impact,
    current_exposures,
    device_impact,
    offline_notes,
    report_of,
    surroundings,
    without_service,
)
from edge_expose_cloud.plan.model import Change, PatchTwin, Plan, diff_services, in_plan_order, twin_change
from edge_expose_cloud.plan.observation import exposure_owners, observe_device
from edge_expose_cloud.plan.service_forecast import predicted_services
from edge_expose_cloud.plan.unchanged_services import unchanged_service_notes
from edge_expose_cloud.spec.checks.addresses import lint_addresses
from edge_expose_cloud.spec.model import ModuleSpec, Network, Spec, Target
from edge_expose_cloud.usecases.conflicts import conflicts
from edge_expose_cloud.usecases.device_ranges import network_of, pool_decides
from edge_expose_contract.identity import MODULE_ID, SCHEMA_VERSION
from edge_expose_contract.limits import new_twin_violations
from edge_expose_contract.merging import merge_patch, merged
from edge_expose_contract.models import Exposure
from edge_expose_contract.parsing import Refusal, parse_desired, parse_exposure


def plan_expose(hub: Hub, device_id: str, name: str, fields: dict[str, Any]) -> Plan:
    """A plan that declares one exposure. InputError lists what is wrong with the wish."""
    exposure, violations = parse_exposure(name, fields, unknown_is_error=True)
    if exposure is None or violations:
        raise InputError(findings_of(violations))
    state, twin = _observe(hub, device_id, name)
    exposures = {**current_exposures(twin), name: exposure}
    # Only what this exposure takes part in counts: old mistakes of others are not this command's business.
    current = current_exposures(twin)
    before = set(lint_addresses(_as_spec(state, current)))
    found = [item for item in lint_addresses(_as_spec(state, exposures), standing=current) if item not in before]
    if pool_decides(report_of(twin)):
        # A full pool is widened on the device, which needs no new wish: it waits until there is room.
        found = [replace(item, severity="warning") if item.rule == "RangeTooSmall" else item for item in found]
    if current.get(name) != exposure:
        found += conflicts(hub, state, exposures)
    if has_errors(found):
        raise InputError(found)
    body = exposures_json({name: exposure})[name]
    old = _declared(twin).get(name)
    patch: dict[str, Any] = {"exposures": {name: merge_patch(old, body) if isinstance(old, dict) else body}}
    return _plan(state, twin, patch, exposures, name, found)


def plan_unexpose(hub: Hub, device_id: str, name: str) -> Plan:
    """A plan that takes one exposure out of the twin."""
    state, twin = _observe(hub, device_id, name)
    if name not in _declared(twin):
        known = ", ".join(sorted(_declared(twin))) or "none"
        raise Missing(f"device {device_id} has no exposure {name!r}", f"declared there: {known}")
    exposures = {key: value for key, value in current_exposures(twin).items() if key != name}
    return _plan(state, twin, {"exposures": {name: None}}, exposures, name)


def _declared(twin: Twin) -> Mapping[str, Any]:
    """The exposures as they stand in the twin, which anybody may have edited."""
    found = twin.desired.get("exposures")
    return found if isinstance(found, Mapping) else {}


def _observe(hub: Hub, device_id: str, name: str) -> tuple[DeviceState, Twin]:
    state = observe_device(hub, device_id).without_change()
    if state.ours is None:
        raise no_module(device_id)
    agent = state.twins.get("$edgeAgent")
    modules = agent.desired.get("modules") if agent is not None else None
    if isinstance(modules, Mapping) and modules and MODULE_ID not in modules:
        raise Refused(
            f"{MODULE_ID} is not in the manifest of device {device_id} any more: nobody would carry this out",
            "apply a spec with driver: module first; it takes the Services up again",
        )
    owners = exposure_owners(hub, state)
    if name in owners:
        raise Refused(
            f"exposure {name!r} is set by the deployment {owners[name]}, which would set it again",
            "change the spec of that deployment",
        )
    return state, state.ours


def _as_spec(state: DeviceState, exposures: dict[str, Exposure]) -> Spec:
    site = state.ours.desired.get("site") if state.ours is not None else None
    try:
        network = Network.model_validate(site) if isinstance(site, dict) and site else None
    except ValueError:
        network = None
    if pool_decides(report_of(state.ours)):
        # A copy that differs from the pool neither blocks an address here nor allows one.
        network = network_of(state.ours)[0] or network
    agent = state.twins.get("$edgeAgent")
    known = (
        [name for name, _, _ in modules_of({"$edgeAgent": {"properties.desired": agent.desired}})]
        if agent is not None
        else []
    )
    modules = {name: ModuleSpec(image="unknown") for name in known}
    target = Target(device=state.device_id)
    return Spec(
        schemaVersion=SCHEMA_VERSION, name="live", target=target, network=network, modules=modules, exposures=exposures
    )


def _plan(
    state: DeviceState,
    twin: Twin,
    patch: dict[str, Any],
    exposures: dict[str, Exposure],
    changed: str,
    findings: Sequence[Finding] = (),
) -> Plan:
    """`exposures` are those wanted. A Service that was never made is not removed, and made only for `changed`."""
    if "schemaVersion" not in twin.desired:
        patch["schemaVersion"] = SCHEMA_VERSION
    after = merged(twin.desired, patch)
    if broken := new_twin_violations(twin.desired, after):
        raise InputError(findings_of(broken))
    refused = parse_desired(after)
    if isinstance(refused, Refusal):
        raise Refused(
            f"{MODULE_ID} refuses the document of device {state.device_id}: {refused.description}",
            "repair it by applying a spec, or by editing the twin; until then what runs stays as it is",
        )
    around = surroundings(state)
    changes: list[Change] = []
    if merge_patch(twin.desired, after):
        changes.append(twin_change(state.device_id, MODULE_ID, twin.desired, after))
    missing = without_service(report_of(twin))
    there = {name: exposure for name, exposure in current_exposures(twin).items() if name not in missing}
    wanted = {name: exposure for name, exposure in exposures.items() if name not in missing or name == changed}
    services = predicted_services(there, around), predicted_services(wanted, around)
    changes += diff_services(*services)
    return Plan(
        f"device {state.device_id}",
        in_plan_order(changes),
        PatchTwin(state.device_id, MODULE_ID, patch, twin.etag) if changes else None,
        state.etags(),
        notes=(
            *unchanged_service_notes((current_exposures(twin), exposures), services, around.now),
            *offline_notes(twin),
        ),
        findings=tuple(findings),
        impact=(*device_impact(state, services, {}), *closing_impact(current_exposures(twin), exposures)),
    )
