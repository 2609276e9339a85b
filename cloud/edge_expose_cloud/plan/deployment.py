"""Plans an automatic deployment for a target condition. Pure.

Content is immutable in IoT Hub: new content is a new id, created with the same priority (of equal priorities the newest
wins, so there is no gap), then the old one is retired: kept for rollback with a condition that matches nobody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from edge_expose_cloud.hub.api import Deployment, Json
from edge_expose_cloud.hub.authorship import content_without_change
from edge_expose_cloud.manifest.checks import desired_sections
from edge_expose_cloud.manifest.encoding import Content, Secrets, decode_content, same_meaning
from edge_expose_cloud.manifest.redaction import hide_twins
from edge_expose_cloud.manifest.render import render_content
from edge_expose_cloud.plan.device import exposures_of
from edge_expose_cloud.plan.manifest_impact import manifest_impact
from edge_expose_cloud.plan.model import (
    Change,
    CreateDeployment,
    Danger,
    Impact,
    Plan,
    Step,
    TidyDeployments,
    UpdateDeployment,
    canonical,
    counted,
    few,
    in_plan_order,
)
from edge_expose_cloud.plan.service_forecast import Surroundings, predicted_services
from edge_expose_cloud.plan.service_impact import service_impact
from edge_expose_cloud.spec.model import Spec
from edge_expose_contract.identity import MODULE_ID
from edge_expose_contract.models import Exposure

SPEC_LABEL = "edgeExposeSpec"
RETIRED_LABEL = "edgeExposeRetired"
CONDITION_LABEL = "edgeExposeCondition"
BY_LABEL = "edgeExposeBy"
AT_LABEL = "edgeExposeAt"
NOTE_LABEL = "edgeExposeNote"
_STAMPS = frozenset({BY_LABEL, AT_LABEL, NOTE_LABEL})
RETIRED_CONDITION = "deviceId='edge-expose-retired'"
KEEP_RETIRED = 3
_ROOM_FOR_NAME = 112  # of the 128 characters of an id; the label holds the whole name

_OURS = f"SELECT deviceId FROM devices.modules WHERE moduleId = '{MODULE_ID}' AND"  # noqa: S608
_NOT_READY = "properties.reported.summary.notReady"
_CODE = "properties.reported.lastDesiredStatus.code"
METRICS: Mapping[str, str] = {
    "exposuresReady": f"{_OURS} {_NOT_READY} = 0 AND {_CODE} = 200",
    "exposuresNotReady": f"{_OURS} ({_NOT_READY} > 0 OR {_CODE} != 200)",
    "documentRefused": f"{_OURS} {_CODE} != 200",
}


def plan_deployment(spec: Spec, deployments: Sequence[Deployment], secrets: Secrets) -> Plan:
    """Compares with the live deployment of the same spec name, if there is one. `secrets` are needed for that alone."""
    content = content_without_change(render_content(spec, {}))
    sent = secrets.fill(content)
    visible: Json = {"modulesContent": hide_twins(content)}
    live = live_deployments(spec.name, deployments)
    current = live[0] if live else None
    condition = spec.target.condition or ""
    wanted = Deployment(
        id=deployment_id(spec.name, content, deployments),
        content={"modulesContent": content},
        target_condition=condition,
        priority=spec.target.priority,
        labels={**spec.labels, SPEC_LABEL: spec.name},
        metric_queries=dict(METRICS),
    )
    step: Step | None = None
    changes: list[Change] = []
    dangers: list[Danger] = []
    if current is None or not _same_content(current, sent):
        changes.append(Change("create", "Deployment", None, wanted.id, None, shown_deployment(wanted, visible)))
        if current is not None:
            changes += _retiring(live[:1], shown_deployment(current, _hidden(current, sent, visible["modulesContent"])))
        changes += _retiring(live[1:])
        step = CreateDeployment(wanted, Content(content, secrets), tuple(live))
        dangers += removal_dangers(current, wanted) if spec.driver == "module" else []
        dangers += modules_leaving(current, wanted)
    elif (current.target_condition, current.priority, _plain(current)) != (condition, wanted.priority, wanted.labels):
        changed = Deployment(
            current.id,
            current.content,
            condition,
            wanted.priority,
            wanted.labels,
            wanted.metric_queries,
            etag=current.etag,
        )
        changes.append(
            Change(
                "update",
                "Deployment",
                None,
                current.id,
                shown_deployment(current, None),
                shown_deployment(changed, None),
            )
        )
        changes += _retiring(live[1:])
        step = UpdateDeployment(changed, tuple(live[1:]))
    else:
        surplus = retired_deployments(spec.name, deployments)[max(0, KEEP_RETIRED - len(live[1:])) :]
        if live[1:] or surplus:
            changes += _retiring(live[1:])
            changes += [Change("delete", "Deployment", None, old.id, {"retired": True}, None) for old in surplus]
            step = TidyDeployments(spec.name, tuple(live[1:]), tuple(surplus))
    if current is not None and current.target_condition != condition:
        dangers.append(
            Danger("retarget", 1, f"the target condition changes from {current.target_condition!r} to {condition!r}")
        )
    return Plan(
        target=spec.target_text,
        changes=in_plan_order(changes),
        step=step,
        etags={item.id: item.etag for item in (*live, *(step.delete if isinstance(step, TidyDeployments) else ()))},
        dangers=tuple(dangers),
        impact=deployment_impact(current, wanted) if changes else (),
    )


def deployment_impact(current: Deployment | None, wanted: Deployment, *, whole: bool = False) -> tuple[Impact, ...]:
    """What people notice on every device that takes `wanted` instead of `current`.

    What a deployment leaves out is not withdrawn from the twins, so that its exposures stay. `whole`: `wanted` comes
    instead of another deployment, whose layers and modules go. Which address an exposure holds that asks for none is
    another one on each device.
    """
    content = current.modules_content if current is not None else {}
    before, after = desired_sections(content), desired_sections(wanted.modules_content)
    now = exposures_of(before.get(MODULE_ID, {}))
    then = {**now, **exposures_of(after.get(MODULE_ID, {}))}
    around = Surroundings()
    services = predicted_services(now, around), predicted_services(then, around)
    written = {name for name, section in wanted.modules_content.items() if "properties.desired" in section}
    manifest = manifest_impact(before, {name: after[name] for name in written & after.keys()})
    cut_off = _without_their_module(then, before, after) if whole else ()
    return (*service_impact(*services), *manifest, *cut_off)


def _without_their_module(
    exposures: Mapping[str, Exposure], before: Mapping[str, Json], after: Mapping[str, Json]
) -> Iterator[Impact]:
    """Exposures that stay, of a module that goes: their addresses answer nobody."""
    gone = (before.get("$edgeAgent", {}).get("modules") or {}).keys() - (
        after.get("$edgeAgent", {}).get("modules") or {}
    ).keys()
    for name, exposure in sorted(exposures.items()):
        if exposure.module in gone:
            yield Impact("stops", name, f"{name} stops answering: the module {exposure.module} is gone")


def _hidden(current: Deployment, sent: Json, visible: Json) -> Json:
    """Content that the hub holds, as it may be shown beside the content wanted."""
    before = content_without_change(decode_content(current.modules_content))
    return {"modulesContent": hide_twins(before, sent, visible)}


def _same_content(current: Deployment, sent: Json) -> bool:
    """Without who wrote it: that is no change. A deployment may hold more than `modulesContent`."""
    if current.content.keys() - {"modulesContent"}:
        return False
    return same_meaning(content_without_change(decode_content(current.modules_content)), sent)


def _plain(deployment: Deployment) -> dict[str, str]:
    """Its labels without the stamps of who applied it when: those are no change."""
    return {key: value for key, value in deployment.labels.items() if key not in _STAMPS}


def _retiring(deployments: Sequence[Deployment], shown: Mapping[str, Any] | None = None) -> list[Change]:
    """`shown` is what a plan shows of the deployment beside its retirement."""
    before, after = {**(shown or {}), "retired": False}, {**(shown or {}), "retired": True}
    return [Change("update", "Deployment", None, old.id, before, after) for old in deployments]


def live_deployments(name: str, deployments: Sequence[Deployment]) -> list[Deployment]:
    """Deployments of this spec that are not retired; the one applied last comes first."""
    return _of_spec(name, [item for item in deployments if RETIRED_LABEL not in item.labels])


def retired_deployments(name: str, deployments: Sequence[Deployment]) -> list[Deployment]:
    """Kept for rollback; the one applied last comes first."""
    return _of_spec(name, [item for item in deployments if RETIRED_LABEL in item.labels])


def _of_spec(name: str, deployments: Sequence[Deployment]) -> list[Deployment]:
    mine = [item for item in deployments if item.labels.get(SPEC_LABEL) == name]
    return sorted(mine, key=lambda item: (item.labels.get(AT_LABEL, item.created), item.created, item.id), reverse=True)


def retired(deployment: Deployment) -> Deployment:
    """The same deployment, matching nobody, with what it takes to bring it back."""
    labels = {**deployment.labels, RETIRED_LABEL: "true", CONDITION_LABEL: deployment.target_condition}
    return Deployment(
        deployment.id,
        deployment.content,
        RETIRED_CONDITION,
        deployment.priority,
        labels,
        deployment.metric_queries,
        etag=deployment.etag,
    )


def promoted(deployment: Deployment) -> Deployment:
    """A retired deployment with the target condition that it had."""
    labels = {key: value for key, value in deployment.labels.items() if key not in (RETIRED_LABEL, CONDITION_LABEL)}
    return replace(deployment, target_condition=deployment.labels.get(CONDITION_LABEL, ""), labels=labels)


def deployment_id(name: str, content: Json, existing: Sequence[Deployment]) -> str:
    """`name-<10 hex of the content>`; a number is added when a retired deployment has that id already."""
    base = f"{name[:_ROOM_FOR_NAME]}-{hashlib.sha256(canonical(content).encode()).hexdigest()[:10]}"
    taken = {item.id for item in existing}
    number, candidate = 2, base
    while candidate in taken:
        candidate, number = f"{base}-{number}", number + 1
    return candidate


def owned_exposures(deployments: Sequence[Deployment], configuration_ids: Sequence[str]) -> dict[str, str]:
    """Exposure name -> id of the deployment that sets it, among those that target the device."""
    prefix = "properties.desired.exposures."
    owners: dict[str, str] = {}
    for item in sorted(deployments, key=lambda one: (one.priority, one.created)):
        section = item.modules_content.get(MODULE_ID)
        if item.id not in configuration_ids or not isinstance(section, dict):
            continue
        for key, value in section.items():
            if key.startswith(prefix):
                owners[key.removeprefix(prefix).split(".")[0]] = item.id
            elif key == "properties.desired" and isinstance(value, dict):
                owners.update(dict.fromkeys(value.get("exposures") or {}, item.id))
    return owners


def removal_dangers(current: Deployment | None, wanted: Deployment) -> list[Danger]:
    """Exposures that the new content leaves out."""
    if current is None:
        return []
    before = owned_exposures([current], [current.id])
    after = owned_exposures([wanted], [wanted.id])
    gone = sorted(before.keys() - after.keys())
    if not gone:
        return []
    return [
        Danger(
            "removals",
            len(gone),
            f"leaving {', '.join(gone[:5])} out of a deployment does not withdraw it: write enabled: false instead",
        )
    ]


def modules_leaving(current: Deployment | None, wanted: Deployment) -> list[Danger]:
    """Modules that the content brought and brings no more: every device that takes it loses them."""
    before, after = (_modules(item) for item in (current, wanted))
    gone = sorted(before - after)
    what = f"{counted(len(gone), 'module')} would be removed from every device that takes the deployment: {few(gone)}"
    return [Danger("modules", len(gone), what)] if gone else []


def _modules(deployment: Deployment | None) -> frozenset[str]:
    content = deployment.modules_content if deployment is not None else {}
    return frozenset(desired_sections(content).get("$edgeAgent", {}).get("modules") or {})


def is_base(deployment: Deployment) -> bool:
    """Not a layer: it brings the whole `$edgeAgent`, and of several that target a device one wins."""
    section = deployment.modules_content.get("$edgeAgent")
    return isinstance(section, dict) and "properties.desired" in section


def outranks(one: Deployment, other: Deployment) -> bool:
    """Of equal priorities the one that was made later wins; one that is not made yet will be the latest."""
    return (one.priority, one.created or "~") > (other.priority, other.created or "~")


def shown_deployment(deployment: Deployment, content: Json | None) -> Json:
    """What a plan shows of it; the content as handed in, with secrets hidden."""
    body: Json = {
        "targetCondition": deployment.target_condition,
        "priority": deployment.priority,
        "labels": _plain(deployment),
    }
    if content is not None:
        body["content"] = content
    return body
