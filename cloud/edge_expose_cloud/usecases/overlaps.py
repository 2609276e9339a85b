"""What a deployment changes on devices that something else reaches too: other deployments, and modules set by hand.

Asked of the hub for each other deployment, whose answer may lag a few seconds behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from edge_expose_cloud.findings.finding import Finding, finding
from edge_expose_cloud.findings.problems import InputError
from edge_expose_cloud.hub.api import Deployment, Hub, HubError, HubProblem
from edge_expose_cloud.manifest.checks import desired_sections
from edge_expose_cloud.manifest.encoding import decode_content, same_meaning
from edge_expose_cloud.plan.deployment import (
    RETIRED_LABEL,
    SPEC_LABEL,
    deployment_impact,
    is_base,
    modules_leaving,
    outranks,
)
from edge_expose_cloud.plan.manifest_impact import manifest_impact
from edge_expose_cloud.plan.model import Danger, Impact, counted, few
from edge_expose_cloud.plan.observation import MANY_DEVICES
from edge_expose_cloud.usecases.targets import Matching

MOST_OTHERS: Final = 20


@dataclass(frozen=True, slots=True)
class Overlaps:
    """`notes` say what is no part of the plan: devices that match later are no other plan."""

    findings: tuple[Finding, ...] = ()
    impact: tuple[Impact, ...] = ()
    dangers: tuple[Danger, ...] = ()
    notes: tuple[str, ...] = ()


def overlaps(
    hub: Hub, matching: Matching, wanted: Deployment, current: Deployment | None, deployments: Sequence[Deployment]
) -> Overlaps:
    """`current` is what `wanted` takes the place of."""
    mine = _readable(matching, wanted.target_condition)
    if not mine:
        return Overlaps((_nobody(wanted),))
    name = wanted.labels.get(SPEC_LABEL)
    others = [
        item
        for item in deployments
        if RETIRED_LABEL not in item.labels and item.labels.get(SPEC_LABEL) != name and item.modules_content
    ]
    found = Overlaps(notes=(f"{counted(len(mine), 'device')} match the condition now: {few(sorted(mine))}",))
    based: set[str] = set()
    for other in sorted(others, key=lambda item: item.id)[:MOST_OTHERS]:
        shared = mine & matching(other.target_condition)
        based |= shared if is_base(other) else set()
        found = _joined(found, _with_other(wanted, current, other, sorted(shared))) if shared else found
    if is_base(wanted):
        by_hand = mine - based - (matching(current.target_condition) if current is not None else frozenset())
        return _joined(found, _set_by_hand(hub, wanted, sorted(by_hand)))
    bare = sorted(mine - based)
    text = f"no base deployment targets {few(bare)}: a layer alone does nothing there"
    return _joined(found, Overlaps((finding("LayerWithoutBase", "target.layered", text),))) if bare else found


def _readable(matching: Matching, condition: str) -> frozenset[str]:
    """Raises InputError for a condition that the hub cannot read."""
    try:
        return matching(condition)
    except HubError as error:
        if error.problem is not HubProblem.INVALID:
            raise
        text = f"IoT Hub cannot read the condition {condition!r}"
        raise InputError([finding("TargetConditionInvalid", "target.condition", text)]) from error


def _nobody(wanted: Deployment) -> Finding:
    text = f"no IoT Edge device matches {wanted.target_condition!r} now"
    return finding("TargetMatchesNothing", "target.condition", text)


def _with_other(wanted: Deployment, current: Deployment | None, other: Deployment, shared: list[str]) -> Overlaps:
    where = f"on {counted(len(shared), 'device')} ({few(shared, most=5)})"
    if is_base(wanted) and is_base(other):
        if not outranks(wanted, other):
            text = f"the deployment {other.id} (priority {other.priority}) wins {where}: nothing changes there"
            return Overlaps((finding("DeploymentOutranked", "target.priority", text),))
        if current is not None and outranks(current, other):
            return Overlaps()  # it has won there before: what changes is told already
        impact = Impact("targets", other.id, f"this deployment takes the place of {other.id} {where}")
        lost = deployment_impact(other, wanted, whole=True)
        return Overlaps((), (impact, *lost), tuple(modules_leaving(other, wanted)))
    wins = is_base(other) or (not is_base(wanted) and outranks(wanted, other))  # a layer wins over any base
    ours, theirs = _parts(wanted), _parts(other)
    both = {key for key in ours.keys() & theirs.keys() if not same_meaning(ours[key], theirs[key])}
    if both and not wins:
        text = f"the layer {other.id} (priority {other.priority}) sets {few(sorted(both))} too, and wins {where}"
        return Overlaps((finding("DeploymentOutranked", "target.priority", text),))
    if both:
        impact = Impact("targets", other.id, f"{few(sorted(both))} of {other.id} is overridden {where}")
        return Overlaps((), (impact, *deployment_impact(other, wanted)))
    return Overlaps()


def _parts(deployment: Deployment) -> dict[str, Any]:
    """What a deployment sets, by what people call it: modules, routes, and exposures of our module."""
    found: dict[str, Any] = {}
    for module, desired in desired_sections(decode_content(deployment.modules_content)).items():
        parts = {"$edgeAgent": "modules", "$edgeHub": "routes"}.get(module, "exposures")
        noun = {"modules": "module", "routes": "route", "exposures": "exposure"}[parts]
        section = desired.get(parts)
        found |= {f"{noun} {name}": entry for name, entry in section.items()} if isinstance(section, dict) else {}
    return found


def _set_by_hand(hub: Hub, wanted: Deployment, devices: list[str]) -> Overlaps:
    """Devices that no deployment reaches yet: what was set there with set modules is replaced as a whole. Of many
    devices that is all that is said: each would have to be read."""
    if len(devices) >= MANY_DEVICES:
        many = counted(len(devices), "device")
        text = f"{many} that no other deployment reaches: what was set by hand there is replaced"
        return Overlaps((), (Impact("targets", devices[0], text),))
    after = desired_sections(wanted.modules_content)
    impact: list[Impact] = []
    gone = 0
    for device in devices:
        twins = {name: hub.module_twin(device, name) for name in ("$edgeAgent", "$edgeHub")}
        now = {name: twin.desired for name, twin in twins.items() if twin is not None and twin.desired}
        lost = [item for item in manifest_impact(now, after) if item.kind != "restarts"]
        gone += sum(item.kind == "module" for item in lost)
        impact += [replace(item, text=f"{device}: {item.text}") for item in lost]
    what = f"{counted(gone, 'module')} set by hand would be removed"
    return Overlaps((), tuple(impact), (Danger("modules", gone, what),) if gone else ())


def _joined(*parts: Overlaps) -> Overlaps:
    dangers = summed(danger for part in parts for danger in part.dangers)
    findings = tuple(item for part in parts for item in part.findings)
    impact = tuple(item for part in parts for item in part.impact)
    return Overlaps(findings, impact, dangers, tuple(note for part in parts for note in part.notes))


def summed(dangers: Iterable[Danger]) -> tuple[Danger, ...]:
    """One of a kind: `--allow KIND=N` names it once."""
    by_kind: dict[str, list[Danger]] = {}
    for danger in dangers:
        by_kind.setdefault(danger.kind, []).append(danger)
    return tuple(
        Danger(kind, sum(item.count for item in found), "; ".join(item.what for item in found))
        for kind, found in by_kind.items()
    )
