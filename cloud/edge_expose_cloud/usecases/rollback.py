"""Rollback: a retired deployment is promoted again, or a device gets the content of a backup back.

IoT Hub is the only store: retired deployments keep condition, author and time in their labels; backups are the files
that every apply to one device writes first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from edge_expose_cloud.findings.problems import Refused, no_module
from edge_expose_cloud.hub.api import Deployment, Hub, Json
from edge_expose_cloud.hub.authorship import content_without_change
from edge_expose_cloud.manifest.checks import desired_sections
from edge_expose_cloud.manifest.encoding import Content, decode, same_meaning
from edge_expose_cloud.manifest.redaction import hide_twins
from edge_expose_cloud.plan.deployment import (
    AT_LABEL,
    BY_LABEL,
    CONDITION_LABEL,
    NOTE_LABEL,
    RETIRED_LABEL,
    deployment_impact,
    live_deployments,
    owned_exposures,
    promoted,
    removal_dangers,
    retired_deployments,
    shown_deployment,
)
from edge_expose_cloud.plan.device import (
    DeviceState,
    Services,
    current_exposures,
    device_impact,
    module_dangers,
    notes_of,
    service_dangers,
    surroundings,
)
from edge_expose_cloud.plan.model import (
    Change,
    Danger,
    PatchTwin,
    Plan,
    PromoteDeployment,
    SetModules,
    Step,
    diff_services,
    in_plan_order,
    twin_change,
)
from edge_expose_cloud.plan.observation import deployments_of_device, observe_device
from edge_expose_cloud.plan.ownership import owned_keys, refuse_owned
from edge_expose_cloud.plan.service_forecast import predicted_services
from edge_expose_cloud.plan.unchanged_services import unchanged_service_notes
from edge_expose_cloud.usecases.conflicts import conflicts
from edge_expose_cloud.usecases.targets import matching, target_impact
from edge_expose_contract.identity import MODULE_ID
from edge_expose_contract.merging import merge_patch
from edge_expose_contract.models import Exposure
from edge_expose_contract.parsing import Refusal, parse_desired


@dataclass(frozen=True, slots=True)
class Past:
    """One deployment of a spec, live or kept for rollback."""

    id: str
    live: bool
    condition: str
    priority: int
    by: str
    at: str
    note: str = ""

    def to_json(self) -> Json:
        return {
            "id": self.id,
            "live": self.live,
            "targetCondition": self.condition,
            "priority": self.priority,
            "by": self.by,
            "at": self.at,
            "note": self.note,
        }


def history(hub: Hub, name: str) -> list[Past]:
    """Every deployment of the spec that the hub still has, the one applied last first."""
    deployments = hub.deployments()
    found = [*live_deployments(name, deployments), *retired_deployments(name, deployments)]
    return [_past(item) for item in found]


def _past(item: Deployment) -> Past:
    condition = item.labels.get(CONDITION_LABEL, item.target_condition)
    at = item.labels.get(AT_LABEL, item.created)
    by, note = item.labels.get(BY_LABEL, "unknown"), item.labels.get(NOTE_LABEL, "")
    return Past(item.id, RETIRED_LABEL not in item.labels, condition, item.priority, by, at, note)


def plan_promotion(hub: Hub, name: str, to: str | None) -> Plan:
    """Promotes the deployment that was live before (or `to`) again. Refused when there is none."""
    deployments = hub.deployments()
    live, kept = live_deployments(name, deployments), retired_deployments(name, deployments)
    if not live and not kept:
        raise Refused(f"the hub has no deployment of a spec named {name!r}", "check the name: it is the spec's name")
    chosen = next((item for item in kept if to in (None, item.id)), None)
    if chosen is None:
        known = ", ".join(item.id for item in kept) or "none"
        raise Refused(
            f"no earlier deployment {to or ''} of {name} is kept".replace("  ", " "), f"kept for rollback: {known}"
        )
    again = promoted(chosen)
    current = live[0] if live else None
    changes = [
        Change("update", "Deployment", None, chosen.id, {"retired": True}, shown_deployment(again, None)),
        *(Change("update", "Deployment", None, old.id, shown_deployment(old, None), {"retired": True}) for old in live),
    ]
    dangers: list[Danger] = []
    if current is not None and current.target_condition != again.target_condition:
        what = f"the target condition changes from {current.target_condition!r} to {again.target_condition!r}"
        dangers.append(Danger("retarget", 1, what))
    return Plan(
        target=f"deployment {name}",
        changes=in_plan_order(changes),
        step=PromoteDeployment(again, tuple(live)),
        etags={item.id: item.etag for item in (chosen, *live)},
        dangers=tuple(dangers),
        notes=tuple(_staying(current, again)),
        impact=(*deployment_impact(current, again), *target_impact(matching(hub), current, again.target_condition)),
    )


def _staying(current: Deployment | None, again: Deployment) -> list[str]:
    if current is None or not removal_dangers(current, again):
        return []
    gone = owned_exposures([current], [current.id]).keys() - owned_exposures([again], [again.id]).keys()
    return [
        f"{', '.join(sorted(gone))}: the newer deployment set it, and going back does not remove it from the twins; "
        "apply a spec with enabled: false to withdraw it"
    ]


def plan_restore(hub: Hub, device_id: str, content: Json, *, only: str | None = None) -> Plan:
    """Gives the twins of one device (`only` one of them) the desired properties of a backup's `modulesContent`.

    Refused for a document that our module would not accept, and for keys that a deployment sets.
    """
    content = content_without_change(content)
    sections = {module: desired for module, desired in desired_sections(content).items() if only in (None, module)}
    state = observe_device(hub, device_id, sections).without_change()
    if only is not None and only not in state.twins:
        raise no_module(device_id, only)
    different = {
        module: desired
        for module, desired in sections.items()
        if module not in state.twins or not same_meaning(decode(state.twins[module].desired), decode(desired))
    }
    step: Step | None = None
    ours = state.ours
    if MODULE_ID in different:
        _refuse_bad(different[MODULE_ID])
    if MODULE_ID in different and ours is not None:
        patch = merge_patch(ours.desired, different[MODULE_ID])
        refuse_owned(patch, owned_keys(state, ours, deployments_of_device(hub, state)))
    if set(different) == {MODULE_ID} and ours is not None:
        step = PatchTwin(device_id, MODULE_ID, merge_patch(ours.desired, different[MODULE_ID]), ours.etag)
    elif different:
        step = SetModules(device_id, Content(content))
    after = hide_twins(different)
    before = hide_twins(
        {module: state.twins[module].desired for module in different if module in state.twins}, different, after
    )
    changes = []
    if isinstance(step, SetModules):
        changes.append(Change("update", "Manifest", None, device_id, before, after))
    elif step is not None:
        changes.append(twin_change(device_id, MODULE_ID, before[MODULE_ID], after[MODULE_ID]))
    exposures = (
        current_exposures(replace(ours, desired=different[MODULE_ID])) if ours and MODULE_ID in different else None
    )
    services = _services(state, exposures)
    changes += diff_services(*services)
    dangers = service_dangers(changes, len(current_exposures(ours)))
    notes = notes_of(state, sections) if isinstance(step, SetModules) else []
    if exposures is not None:
        both = (current_exposures(ours), exposures)
        notes += unchanged_service_notes(both, services, surroundings(state).now)
    if "$edgeAgent" in different:
        dangers += module_dangers(state, different["$edgeAgent"].get("modules") or {})
    return Plan(
        f"device {device_id}",
        in_plan_order(changes),
        step,
        state.etags(),
        tuple(dangers),
        tuple(notes),
        findings=tuple(conflicts(hub, state, exposures)) if exposures is not None else (),
        impact=device_impact(state, services, different),
    )


def _refuse_bad(desired: Json) -> None:
    parsed = parse_desired(desired)
    if isinstance(parsed, Refusal):
        raise Refused(f"{MODULE_ID} does not accept that backup: {parsed.description}", "choose another one")


def _services(state: DeviceState, after: Mapping[str, Exposure] | None) -> tuple[Services, Services]:
    """Before and after; none where our module's document stays as it is."""
    if after is None:
        return {}, {}
    around = surroundings(state)
    return predicted_services(current_exposures(state.ours), around), predicted_services(after, around)
