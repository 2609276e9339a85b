"""Change the ranges that a device's twin declares (`site`), with what the change would move shown first."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from edge_expose_cloud.capacity import Move, rehearse_range
from edge_expose_cloud.findings import Finding, has_errors
from edge_expose_cloud.hub import Hub, Json, merge_patch, merged
from edge_expose_cloud.linting_addresses import lint_addresses
from edge_expose_cloud.planning import current_exposures
from edge_expose_cloud.plans import Change, Danger, PatchTwin, Plan
from edge_expose_cloud.spec import ModuleSpec, Network, Spec, Target
from edge_expose_cloud.usecases.observing import observe_device, targeting_deployments
from edge_expose_cloud.usecases.owning import owned_keys
from edge_expose_cloud.usecases.problems import InputError, Refused
from edge_expose_cloud.usecases.ranging import device_ranges
from edge_expose_cloud.violating import findings_of
from edge_expose_contract.identity import MODULE_ID, SCHEMA_VERSION
from edge_expose_contract.models import Site
from edge_expose_contract.violations import from_pydantic


def plan_site(hub: Hub, device_id: str, fields: Json) -> tuple[Plan, list[Finding], list[Move]]:
    """A plan that sets the given keys of `site` (None removes one); InputError lists what is wrong with them."""
    state = observe_device(hub, device_id)
    twin = state.ours
    if twin is None:
        raise Refused(
            f"device {device_id} has no module {MODULE_ID}", "apply a spec first: its manifest brings the module"
        )
    before: Json = dict(twin.desired.get("site") or {})
    after = merged(before, fields)
    try:
        site = Site.model_validate(after)
    except ValidationError as error:
        raise InputError(findings_of(from_pydantic(error))) from None
    owners = {key.path: key.owner for key in owned_keys(state, twin, targeting_deployments(state, hub.deployments()))}
    taken = sorted(
        {f"site.{key}" for key in merge_patch(before, after)} & {path for path, who in owners.items() if who}
    )
    if taken:
        raise Refused(
            f"{', '.join(taken)} is set by the deployment {owners[taken[0]]}, which would set it again",
            "change the spec of that deployment",
        )
    exposures = current_exposures(twin)
    old = {item for item in _lint(device_id, before, exposures) if item.severity == "error"}
    findings = [item for item in _lint(device_id, after, exposures) if item not in old]
    if has_errors(findings):
        raise InputError(findings)
    network, _, held = device_ranges(hub, device_id)
    moves = rehearse_range(network, held, site.external) if site.external else []
    difference = merge_patch(before, after)
    changes: tuple[Change, ...] = ()
    step: PatchTwin | None = None
    if difference:
        desired = merged(twin.desired, {"site": difference})
        changes = (Change("update", "ModuleTwin", None, f"{device_id}/{MODULE_ID}", twin.desired, desired),)
        step = PatchTwin(device_id, MODULE_ID, {"site": difference}, twin.etag)
    dangers: tuple[Danger, ...] = ()
    if moves and difference:
        names = ", ".join(f"{move.exposure} ({move.address})" for move in moves[:5])
        dangers = (Danger("moves", len(moves), f"{len(moves)} held addresses leave the external range: {names}"),)
    return Plan(f"device {device_id}", changes, step, state.etags(), dangers), findings, moves


def _lint(device_id: str, site: Json, exposures: Any) -> list[Finding]:
    try:
        network = Network.model_validate(site) if site else None
    except ValueError:
        return []
    modules = {item.module: ModuleSpec(image="unknown") for item in exposures.values() if item.module}
    return lint_addresses(
        Spec(
            schema_version=SCHEMA_VERSION,
            name="live",
            target=Target(device=device_id),
            network=network,
            modules=modules,
            exposures=exposures,
        )
    )
