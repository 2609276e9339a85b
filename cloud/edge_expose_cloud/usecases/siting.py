"""The ranges of devices that automatic deployments target: written as `site` by twin PATCH, device by device.

A deployment never writes `site`: its content is the same for all devices. The ranges come from the inventory, or from
the spec's own network, and are written once the device has our module's identity.
"""

from __future__ import annotations

from edge_expose_cloud.deployment_planning import live_deployments
from edge_expose_cloud.hub import Deployment, Hub, merge_patch
from edge_expose_cloud.inventory import Inventory
from edge_expose_cloud.manifest import network_json
from edge_expose_cloud.plans import PatchTwin
from edge_expose_cloud.spec import Spec
from edge_expose_contract.identity import MODULE_ID


def plan_sites(hub: Hub, spec: Spec, inventory: Inventory | None, deployments: list[Deployment]) -> list[PatchTwin]:
    """One PATCH for each targeted device whose `site` differs; devices without known ranges are left alone."""
    if spec.driver != "module" or (inventory is None and spec.network is None):
        return []
    ids = {item.id for item in live_deployments(spec.name, deployments)}
    if not ids:
        return []
    targeted = sorted(twin.device_id for twin in hub.module_twins("$edgeAgent") if ids & twin.configurations.keys())
    patches = []
    for device in targeted:
        entry = inventory.devices.get(device) if inventory is not None else None
        site = network_json(entry.network if entry is not None and entry.network is not None else spec.network)
        twin = hub.module_twin(device, MODULE_ID) if site else None
        if twin is None:
            continue
        current = twin.desired.get("site")
        difference = merge_patch(current, site) if isinstance(current, dict) else site
        if difference:
            patches.append(PatchTwin(device, MODULE_ID, {"site": difference}, twin.etag))
    return patches


def write_sites(hub: Hub, spec: Spec, inventory: Inventory | None) -> list[str]:
    """Writes what `plan_sites` finds now and gives the devices written."""
    patches = plan_sites(hub, spec, inventory, hub.deployments())
    for patch in patches:
        hub.patch_module_twin(patch.device_id, patch.module_id, patch.patch, patch.etag)
    return [patch.device_id for patch in patches]
