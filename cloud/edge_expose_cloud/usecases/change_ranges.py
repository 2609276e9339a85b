"""Change the ranges that a device's twin declares (`site`), with what the change would move shown first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from edge_expose_cloud.findings.finding import Finding, has_errors
from edge_expose_cloud.findings.from_contract import findings_of
from edge_expose_cloud.findings.problems import InputError, no_module
from edge_expose_cloud.hub.api import Hub, Json
from edge_expose_cloud.plan.device import current_exposures, report_of
from edge_expose_cloud.plan.model import Change, Danger, Impact, PatchTwin, Plan, twin_change
from edge_expose_cloud.plan.observation import deployments_of_device, observe_device
from edge_expose_cloud.plan.ownership import owned_keys, refuse_owned
from edge_expose_cloud.spec.capacity import Move, rehearse_range
from edge_expose_cloud.spec.checks.addresses import lint_addresses
from edge_expose_cloud.spec.model import ModuleSpec, Network, Spec, Target
from edge_expose_cloud.usecases.device_ranges import network_of, pool_decides
from edge_expose_contract.addressing import Address, AddressRange, AddressSet
from edge_expose_contract.identity import MODULE_ID, SCHEMA_VERSION
from edge_expose_contract.limits import new_twin_violations
from edge_expose_contract.merging import merge_patch, merged, same_json
from edge_expose_contract.models import Site
from edge_expose_contract.violations import RuleError, from_pydantic


def plan_site(hub: Hub, device_id: str, fields: Json) -> Plan:
    """A plan that sets the given keys of `site`, each as a whole (None removes one); InputError lists what is wrong.

    Where the module reads the load balancer's pool, that pool stands for the external range in every check.
    """
    state = observe_device(hub, device_id).without_change()
    twin = state.ours
    if twin is None:
        raise no_module(device_id)
    before: Json = dict(twin.desired.get("site") or {})
    after = {key: value for key, value in {**before, **_changed(before, fields)}.items() if value is not None}
    try:
        site = Site.model_validate(after)
    except ValidationError as error:
        raise InputError(findings_of(from_pydantic(error))) from None
    difference = merge_patch(before, after)
    if difference:
        refuse_owned({"site": difference}, owned_keys(state, twin, deployments_of_device(hub, state)))
    exposures = current_exposures(twin)
    network, held = network_of(twin)
    pool = network.external if network is not None and pool_decides(report_of(twin)) else None
    old = {item for item in _lint(device_id, _counting(before, pool), exposures) if item.severity == "error"}
    findings = [item for item in _lint(device_id, _counting(after, pool), exposures) if item not in old]
    if has_errors(findings):
        raise InputError(findings)
    moves = _moves(_site(before), site, pool, held)
    desired = merged(twin.desired, {"site": difference})
    if broken := new_twin_violations(twin.desired, desired):
        raise InputError(findings_of(broken))
    changes: tuple[Change, ...] = ()
    step: PatchTwin | None = None
    if difference:
        changes = (twin_change(device_id, MODULE_ID, twin.desired, desired),)
        step = PatchTwin(device_id, MODULE_ID, {"site": difference}, twin.etag)
    dangers = _dangers(_site(before), site, pool, held, moves) if difference else ()
    notes = (_pool_note(site, pool),) if pool is not None and "externalServiceIPs" in difference else ()
    return Plan(
        f"device {device_id}",
        changes,
        step,
        state.etags(),
        dangers,
        notes,
        findings=tuple(findings),
        impact=tuple(_leaves(move) for move in moves) if changes else (),
    )


def _leaves(move: Move) -> Impact:
    return Impact("moves", move.exposure, f"{move.exposure} loses {move.address}: {move.why}", move.address)


def _changed(before: Json, fields: Json) -> Json:
    """`fields` without those that say what is there already in another form, such as `A-B` for `["A-B"]`."""
    return {key: value for key, value in fields.items() if not _same(before.get(key), value)}


def _same(left: Any, right: Any) -> bool:
    if not left or not right:
        return not left and not right
    if not isinstance(left, (str, list)) or not isinstance(right, (str, list)):
        return same_json(left, right)
    try:
        return AddressSet.parse(left) == AddressSet.parse(right)
    except RuleError:
        return False


def _site(section: Json) -> Site | None:
    """What the device has now, None when that makes no sense."""
    try:
        return Site.model_validate(section)
    except ValidationError:
        return None


def _moves(
    before: Site | None, after: Site, pool: AddressSet | None, held: Mapping[str, tuple[Address, ...]]
) -> list[Move]:
    """Held addresses that are legal now and would not be: out of what decides, a node's, or reserved."""

    def illegal(site: Site) -> list[Move]:
        ranges = site.all_addresses if pool is None else pool
        return rehearse_range(site, held, ranges or AddressSet.of(_around(held)))

    gone = {(move.exposure, move.address) for move in illegal(before)} if before is not None else set()
    return [move for move in illegal(after) if (move.exposure, move.address) not in gone]


def _around(held: Mapping[str, tuple[Address, ...]]) -> list[AddressRange]:
    """Where nobody tells the range, what is held is not outside of it."""
    return [AddressRange(address, address) for address in {one for addresses in held.values() for one in addresses}]


def _dangers(
    before: Site | None,
    after: Site,
    pool: AddressSet | None,
    held: Mapping[str, tuple[Address, ...]],
    moves: list[Move],
) -> tuple[Danger, ...]:
    names = ", ".join(f"{move.exposure} ({move.address})" for move in moves[:5])
    if moves:
        what = "held address is" if len(moves) == 1 else "held addresses are"
        return (Danger("moves", len(moves), f"{len(moves)} {what} no longer in the device's range: {names}"),)
    had = before is None or bool(before.all_addresses)
    if pool is None and had and held and not after.all_addresses:
        what = "1 held address stays" if len(held) == 1 else f"{len(held)} held addresses stay"
        return (Danger("moves", len(held), f"no external range is left: {what} only as the load balancer pleases"),)
    return ()


def _pool_note(site: Site, pool: AddressSet) -> str:
    """Why nothing moves, and what the device will say."""
    text = f"This changes only the copy: the device reads its load balancer's own pool ({pool}), and that pool decides."
    if site.external and not site.external.same_addresses(pool):
        text += " The device will report PoolMismatch until both say the same."
    return text


def _counting(site: Json, pool: AddressSet | None) -> Json:
    """`site` with the range that counts."""
    return site if not pool else {**site, "externalServiceIPs": [str(part) for part in pool.ranges]}


def _lint(device_id: str, site: Json, exposures: Any) -> list[Finding]:
    try:
        network = Network.model_validate(site) if site else None
    except ValueError:
        return []
    modules = {item.module: ModuleSpec(image="unknown") for item in exposures.values() if item.module}
    return lint_addresses(
        Spec(
            schemaVersion=SCHEMA_VERSION,
            name="live",
            target=Target(device=device_id),
            network=network,
            modules=modules,
            exposures=exposures,
        )
    )
