"""The ranges of devices that automatic deployments target: written as `site` by twin PATCH, device by device.

A deployment never writes `site`: its content is the same for all devices. The ranges come from the inventory, or from
the spec's own network, and are written once the device has our module's identity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from edge_expose_cloud.hub.api import Deployment, Hub, HubError, HubProblem, Json, Twin
from edge_expose_cloud.hub.authorship import patch_with_change
from edge_expose_cloud.manifest.render import network_json
from edge_expose_cloud.plan.deployment import live_deployments
from edge_expose_cloud.plan.model import PatchTwin
from edge_expose_cloud.plan.observation import MANY_DEVICES
from edge_expose_cloud.spec.inventory import Inventory
from edge_expose_cloud.spec.model import Spec
from edge_expose_cloud.usecases.operator import Operator
from edge_expose_contract.identity import MODULE_ID
from edge_expose_contract.merging import merge_patch


def plan_sites(hub: Hub, spec: Spec, inventory: Inventory | None, deployments: list[Deployment]) -> list[PatchTwin]:
    """One PATCH for each targeted device whose `site` differs; devices without known ranges are left alone."""
    if spec.driver != "module" or (inventory is None and spec.network is None):
        return []
    ids = {item.id for item in live_deployments(spec.name, deployments)}
    if not ids:
        return []
    wanted = {device: site for device in hub.targeted_devices(ids) if (site := _site(spec, inventory, device))}
    patches = []
    for twin in _twins(hub, list(wanted)):
        current, site = twin.desired.get("site"), wanted[twin.device_id]
        difference = merge_patch(current, site) if isinstance(current, dict) else site
        if difference:
            patches.append(PatchTwin(twin.device_id, MODULE_ID, {"site": difference}, twin.etag))
    return patches


def _site(spec: Spec, inventory: Inventory | None, device: str) -> Json:
    entry = inventory.devices.get(device) if inventory is not None else None
    return network_json(entry.network if entry is not None and entry.network is not None else spec.network)


def _twins(hub: Hub, devices: list[str]) -> Iterator[Twin]:
    """Our module's twins of these devices, as far as they exist."""
    missing = devices
    if len(devices) >= MANY_DEVICES:
        found = {twin.device_id: twin for twin in hub.each_module_twin(MODULE_ID)}
        yield from (found[device] for device in devices if device in found)
        missing = [device for device in devices if device not in found]  # the query lags behind
    for device in missing:
        twin = hub.module_twin(device, MODULE_ID)
        if twin is not None:
            yield twin


def write_sites(
    hub: Hub,
    spec: Spec,
    inventory: Inventory | None,
    operator: Operator,
    written: Callable[[str], None] = lambda device: None,
) -> list[str]:
    """Writes what `plan_sites` finds now and gives the devices written."""
    patches = plan_sites(hub, spec, inventory, hub.deployments())
    for patch in patches:
        write_site(hub, patch, operator)
        written(patch.device_id)
    return [patch.device_id for patch in patches]


def write_site(hub: Hub, patch: PatchTwin, operator: Operator) -> None:
    """One PATCH. A twin that moved since it was read is read again: only `site` is written, and that is ours."""
    etag = patch.etag
    body = patch_with_change(patch.patch, operator.change(), {})
    for last in (False, True):
        try:
            hub.patch_module_twin(patch.device_id, patch.module_id, body, etag)
            return
        except HubError as error:
            if last or error.problem is not HubProblem.PRECONDITION:
                raise
            twin = hub.module_twin(patch.device_id, patch.module_id)
            if twin is None:
                return
            etag = twin.etag
