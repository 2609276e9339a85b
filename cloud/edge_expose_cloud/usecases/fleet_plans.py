"""Plans for each device of a fleet, as a stream: from the hub's twins, or from the inventory alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from edge_expose_cloud.hub.api import Hub
from edge_expose_cloud.plan.fleet import FleetPlanner, MemberPlan, network_for
from edge_expose_cloud.spec.inventory import Inventory
from edge_expose_cloud.spec.model import Spec
from edge_expose_contract.identity import MODULE_ID


def plan_members(hub: Hub, spec: Spec, inventory: Inventory | None) -> tuple[int, Iterator[MemberPlan]]:
    """(how many devices the condition matches, their plans). By query: may lag a few seconds behind."""
    devices = hub.devices_matching(spec.target.condition or "")
    return len(devices), _members(hub, spec, inventory, devices)


def _members(hub: Hub, spec: Spec, inventory: Inventory | None, devices: list[str]) -> Iterator[MemberPlan]:
    left, planner = set(devices), FleetPlanner(datetime.now(UTC))
    for twin in hub.each_module_twin(MODULE_ID):
        if twin.device_id in left:
            left.discard(twin.device_id)
            network = network_for(twin.device_id, twin, inventory, spec.network)
            yield planner.plan(twin.device_id, twin, spec.exposures, network, whole=False)
    for device in sorted(left):
        network = network_for(device, None, inventory, spec.network)
        yield planner.plan(device, None, spec.exposures, network, whole=False)


def rehearse_members(
    inventory: Inventory, spec_of: Callable[[str], Spec], devices: list[str] | None = None
) -> Iterator[MemberPlan]:
    """From the inventory alone, as if every device were new. `spec_of` gives the spec as a device sees it."""
    planner = FleetPlanner(datetime.now(UTC))
    for device in devices if devices is not None else sorted(inventory.devices):
        spec = spec_of(device)
        network = network_for(device, None, inventory, spec.network)
        yield planner.plan(device, None, spec.exposures, network, whole=True)
