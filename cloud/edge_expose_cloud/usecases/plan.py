"""Plan: reads the hub, resolves secrets, and makes a plan as data. Refused for what an automatic deployment sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from edge_expose_cloud.findings.finding import Finding, has_errors
from edge_expose_cloud.findings.problems import InputError
from edge_expose_cloud.hub.api import Hub
from edge_expose_cloud.manifest.spec_checks import check_rendered
from edge_expose_cloud.plan.deployment import live_deployments, plan_deployment
from edge_expose_cloud.plan.device import DeviceState, plan_device
from edge_expose_cloud.plan.model import CreateDeployment, PatchTwin, Plan, SetModules, UpdateDeployment, with_patches
from edge_expose_cloud.plan.observation import observe_device, targeting_deployments
from edge_expose_cloud.plan.ownership import owned_keys, refuse_owned, refuse_targeted
from edge_expose_cloud.spec.inventory import Inventory
from edge_expose_cloud.spec.load import LoadedSpec
from edge_expose_cloud.spec.model import Spec
from edge_expose_cloud.usecases.conflicts import conflicts, left_behind
from edge_expose_cloud.usecases.overlaps import overlaps, summed
from edge_expose_cloud.usecases.secrets import secrets_for
from edge_expose_cloud.usecases.sites import plan_sites
from edge_expose_cloud.usecases.targets import matching, target_impact


def require_spec(loaded: LoadedSpec, *, later: bool = False) -> Spec:
    """The spec, or InputError with everything that is wrong: in it, or in the manifest it renders to. `later`: another
    tool may fill in single values of the manifest."""
    if loaded.spec is None:
        raise InputError(loaded.findings)
    problems = check_rendered(loaded.spec, later=later)
    if has_errors(problems):
        raise InputError(loaded.located(problems))
    return loaded.spec


def make_plan(
    hub: Hub,
    spec: Spec,
    environment: Mapping[str, str],
    inventory: Inventory | None = None,
    findings: Iterable[Finding] = (),
) -> Plan:
    """Reads what the hub holds and plans one device or one deployment (and the `site` of the devices it targets).
    `findings` are the warnings that stand beside the spec."""
    secrets = secrets_for(spec, environment)
    if spec.target.device is None:
        deployments = hub.deployments()
        made = plan_deployment(spec, deployments, secrets)
        if isinstance(made.step, CreateDeployment | UpdateDeployment):
            current = next(iter(live_deployments(spec.name, deployments)), None)
            devices = matching(hub)
            beside = overlaps(hub, devices, made.step.deployment, current, deployments)
            made = replace(
                made,
                impact=(*made.impact, *target_impact(devices, current, spec.target.condition or ""), *beside.impact),
                dangers=summed([*made.dangers, *beside.dangers]),
                notes=(*made.notes, *beside.notes),
            )
            findings = (*findings, *beside.findings)
        made = with_patches(made, plan_sites(hub, spec, inventory, deployments))
        return replace(made, findings=tuple(findings))
    twins = [name for name, module in spec.modules.items() if module.desired is not None]
    state = observe_device(hub, spec.target.device, [*twins, *spec.keep])
    made = plan_device(spec, state, secrets)
    _refuse_what_deployments_set(hub, state, made)
    found: list[Finding] = []
    if made.step is not None:
        by_module = spec.driver == "module"
        found = conflicts(hub, state, spec.exposures) if by_module else left_behind(state, spec.exposures)
    return replace(made, findings=(*findings, *found))


def _refuse_what_deployments_set(hub: Hub, state: DeviceState, plan: Plan) -> None:
    agent = state.twins.get("$edgeAgent")
    if plan.step is None or agent is None or not agent.configurations:
        return
    targeting = targeting_deployments(state, hub.deployments())
    if isinstance(plan.step, PatchTwin) and state.ours is not None:
        refuse_owned(plan.step.patch, owned_keys(state, state.ours, targeting))
    elif isinstance(plan.step, SetModules):
        refuse_targeted(state.device_id, targeting)
