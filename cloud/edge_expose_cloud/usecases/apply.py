"""Apply: does the one step of a plan, guarded against lost updates.

1. every planned etag is compared with the hub's; where one moved the plan is made again, and must be the same; 2. a
backup is written (single device); 3. set modules, which takes no etag, is done under a short lease tag on the device
twin, and compared again each time the hub is about to be asked; PATCHes and deployments carry If-Match.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from edge_expose_cloud.findings.finding import has_errors
from edge_expose_cloud.findings.problems import InputError, Refused
from edge_expose_cloud.hub.api import Deployment, Hub, HubError, HubProblem, Json, Twin
from edge_expose_cloud.hub.authorship import content_with_change, patch_with_change
from edge_expose_cloud.manifest.checks import desired_sections
from edge_expose_cloud.plan.backups import file_name, text_of
from edge_expose_cloud.plan.deployment import (
    AT_LABEL,
    BY_LABEL,
    KEEP_RETIRED,
    NOTE_LABEL,
    SPEC_LABEL,
    live_deployments,
    retired,
    retired_deployments,
)
from edge_expose_cloud.plan.model import (
    CreateDeployment,
    PatchTwin,
    Plan,
    PromoteDeployment,
    SetModules,
    TidyDeployments,
    UpdateDeployment,
)
from edge_expose_cloud.plan.observation import observe_device, targeting_deployments
from edge_expose_cloud.plan.ownership import refuse_targeted
from edge_expose_cloud.usecases.lease import is_over, remove, take
from edge_expose_cloud.usecases.operator import Operator
from edge_expose_cloud.usecases.sites import write_site
from edge_expose_contract.merging import same_json

AGAIN: Final = "plan again; nothing was sent"
# Somebody else may write at the same moment, but not all the time.
MOST_PLANS: Final = 5


def check_conflicts(plan: Plan) -> None:
    """InputError when the plan asks for something that cannot be had, such as an address that somebody else holds."""
    if has_errors(plan.findings):
        raise InputError(list(plan.findings))


def check_dangers(plan: Plan, allowed: Mapping[str, int]) -> None:
    """Refuses a dangerous plan unless each danger is allowed by kind and count."""
    for danger in plan.dangers:
        if allowed.get(danger.kind, 0) < danger.count:
            raise Refused(danger.what, f"if that is meant, add --allow {danger.kind}={danger.count}")


def check_expected(plan: Plan, expected: str | None) -> None:
    """Refuses when the plan is not the one that was shown; where nothing is left to change, it was done before."""
    if plan.changes or plan.step is not None:
        check_digest(plan.digest, expected)


def check_digest(digest: str, expected: str | None) -> None:
    """Refuses a digest that is not the expected one, of which eight characters are enough."""
    if expected is not None and not (len(expected) >= 8 and digest.startswith(expected.lower())):
        raise Refused(
            f"the plan has changed since it was approved: its digest is now {digest}",
            "look at the new plan and apply that one",
        )


class Moved(Refused):
    """Something that was read for the plan has changed on the hub since."""


def apply_plan(hub: Hub, plan: Plan, operator: Operator, replan: Callable[[], Plan] | None = None) -> str:
    """Does the plan's step, then its patches, and says in one sentence what was done.

    Where the hub moved since, `replan` plans again: the same digest goes on, another is Refused (Moved).
    """
    for _ in range(MOST_PLANS):
        try:
            return _apply(hub, plan, operator)
        except Moved as moved:
            again = replan() if replan is not None else None
            if again is None:
                raise
            if not again.changes and again.step is None:
                return "nothing to change: somebody has done it"
            if again.digest != plan.digest:
                raise Moved(f"{moved.message}, and the plan is another one now", "look at the new plan") from None
            plan = again
    raise Refused(f"{plan.target} changes all the time", "try again when nobody else works on it; nothing was sent")


def _apply(hub: Hub, plan: Plan, operator: Operator) -> str:
    done = _do_step(hub, plan, operator)
    if plan.step is None and plan.lease is not None and is_over(plan.lease, operator):
        # A run that died between its work and giving the lease back leaves nothing else to do.
        remove(hub, plan.target.removeprefix("device "), plan.lease)
    for patch in plan.patches:
        write_site(hub, patch, operator)
    if plan.patches and plan.step is None:
        return f"site written on {len(plan.patches)} device(s)"
    return done


def _do_step(hub: Hub, plan: Plan, operator: Operator) -> str:
    match plan.step:
        case None:
            return "nothing to change"
        case PatchTwin():
            return _patch(hub, plan, plan.step, operator)
        case SetModules():
            return _set_modules(hub, plan, plan.step, operator)
        case CreateDeployment():
            return _create(hub, plan, plan.step, operator)
        case UpdateDeployment():
            _compare_deployments(hub, plan)
            hub.update_deployment(signed(plan.step.deployment, operator))
            _retire(hub, plan.step.replaces)
            return f"deployment {plan.step.deployment.id} updated"
        case PromoteDeployment():
            _compare_deployments(hub, plan)
            hub.update_deployment(signed(plan.step.deployment, operator))
            _retire(hub, plan.step.replaces)
            return f"deployment {plan.step.deployment.id} promoted again"
        case TidyDeployments():
            _compare_deployments(hub, plan)
            _retire(hub, plan.step.retire)
            for surplus in plan.step.delete:
                hub.delete_deployment(surplus.id)
            return f"deployments of {plan.step.name} tidied up after an apply that was cut short"


def _patch(hub: Hub, plan: Plan, step: PatchTwin, operator: Operator) -> str:
    twins = _compare_twins(hub, plan, step.device_id)
    _backup(hub, step.device_id, twins, operator)
    patch = patch_with_change(step.patch, operator.change(), twins[step.module_id].desired)
    try:
        hub.patch_module_twin(step.device_id, step.module_id, patch, step.etag)
    except HubError as error:
        if error.problem is HubProblem.PRECONDITION:
            raise Moved(f"changed since the plan: {step.device_id}/{step.module_id}", AGAIN) from error
        raise
    return f"twin of {step.device_id}/{step.module_id} patched"


def _set_modules(hub: Hub, plan: Plan, step: SetModules, operator: Operator) -> str:
    content = content_with_change(step.content.sent(), operator.change())
    state = observe_device(hub, step.device_id)
    agent = state.twins.get("$edgeAgent")
    # Deployments are only listed when the device knows of one: IoT Hub answers few such calls a minute.
    if agent is not None and agent.configurations:
        refuse_targeted(step.device_id, targeting_deployments(state, hub.deployments()))
    lease = take(hub, state.device_twin, operator)

    def still_as_planned() -> None:
        lease.hold()
        try:
            _compare_twins(hub, plan, step.device_id)
        except Refused:
            # A request that failed with a server error may have been done: then it may be repeated.
            if not _holds(hub, step.device_id, content):
                raise

    try:
        _backup(hub, step.device_id, _compare_twins(hub, plan, step.device_id), operator)
        hub.apply_content(step.device_id, content, still_as_planned)
    finally:
        # Without a hub it cannot be given back: it ends by itself, and what went wrong before counts more.
        with contextlib.suppress(HubError):
            lease.give_back()
    return f"modules of {step.device_id} set"


def _holds(hub: Hub, device_id: str, content: Json) -> bool:
    """Whether the device has the content already."""
    wanted = desired_sections(content)
    twins = observe_device(hub, device_id, wanted).twins
    return all(name in twins and same_json(twins[name].desired, desired) for name, desired in wanted.items())


def _compare_twins(hub: Hub, plan: Plan, device_id: str) -> dict[str, Twin]:
    """Reads every planned twin again; Refused when one moved, vanished or appeared."""
    prefix = f"{device_id}/"
    modules = {name.removeprefix(prefix) for name in plan.etags if name.startswith(prefix)}
    twins = observe_device(hub, device_id, modules).twins
    now = {f"{prefix}{module}": twin.etag for module, twin in twins.items()}
    moved = sorted(name for name in plan.etags.keys() | now.keys() if plan.etags.get(name) != now.get(name))
    if moved:
        raise Moved(f"changed since the plan: {', '.join(moved)}", AGAIN)
    return dict(twins)


def _backup(hub: Hub, device_id: str, twins: Mapping[str, Twin], operator: Operator) -> None:
    if operator.save_backup is not None and twins:
        operator.save_backup(file_name(device_id, operator.now()), text_of(twins, hub.host))


def signed(deployment: Deployment, operator: Operator) -> Deployment:
    """The deployment with who applied it, when and why in its labels: the only history there is."""
    who = {BY_LABEL: operator.name, AT_LABEL: operator.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")}
    if operator.note:
        who[NOTE_LABEL] = operator.note
    before = {key: value for key, value in deployment.labels.items() if key != NOTE_LABEL}
    return replace(deployment, labels={**before, **who})


def _with_author(step: CreateDeployment, operator: Operator) -> Deployment:
    """Content is immutable: only a deployment that is made now can say in its documents who wrote them."""
    content = content_with_change(step.content.sent(), operator.change())
    return replace(signed(step.deployment, operator), content={"modulesContent": content})


def _create(hub: Hub, plan: Plan, step: CreateDeployment, operator: Operator) -> str:
    # Listed once before and once after: IoT Hub answers few such calls a minute.
    before = _compare_deployments(hub, plan)
    name = step.deployment.labels.get(SPEC_LABEL, "")
    planned = {old.id for old in step.replaces}
    _refuse_others(name, [item for item in live_deployments(name, before) if item.id not in planned])
    created = hub.create_deployment(_with_author(step, operator))
    ours = created.id or step.deployment.id
    after = hub.deployments()
    others = [item for item in live_deployments(name, after) if item.id not in planned | {ours}]
    if any((item.created, item.id) < (created.created, ours) for item in others):
        # Somebody applied the same spec at the same moment: who came first stays, and both see the same order.
        hub.delete_deployment(ours)
        _refuse_others(name, others)
    _retire(hub, step.replaces)
    now = [retired(item) if item.id in planned else item for item in after]
    for surplus in retired_deployments(name, now)[KEEP_RETIRED:]:
        hub.delete_deployment(surplus.id)
    return f"deployment {ours} created"


def _refuse_others(name: str, others: Sequence[Deployment]) -> None:
    if others:
        who = others[0].labels.get(BY_LABEL, "somebody")
        raise Refused(
            f"{who} applied {name} since the plan: deployment {others[0].id} is live", "plan again; nothing of yours is"
        )


def _retire(hub: Hub, deployments: Iterable[Deployment]) -> None:
    for old in deployments:
        hub.update_deployment(retired(old))


def _compare_deployments(hub: Hub, plan: Plan) -> list[Deployment]:
    """What the hub lists now; Refused when a planned deployment moved."""
    found = hub.deployments()
    now = {item.id: item.etag for item in found}
    planned = {name: etag for name, etag in plan.etags.items() if "/" not in name}
    moved = sorted(name for name, etag in planned.items() if now.get(name) != etag)
    if moved:
        raise Moved(f"changed since the plan: {', '.join(moved)}", AGAIN)
    return found
