"""What a spec means for each device of a fleet, one after the other: Services, addresses, who has none. Pure.

Nothing is kept of a device once its row is made, so that the size of a fleet is no matter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from edge_expose_cloud.hub.api import Json, Twin
from edge_expose_cloud.plan.device import DeviceState, current_exposures, report_of, surroundings
from edge_expose_cloud.plan.model import Impact, diff_services
from edge_expose_cloud.plan.service_forecast import Surroundings, predicted_services
from edge_expose_cloud.plan.service_impact import service_impact
from edge_expose_cloud.spec.capacity import Capacity, Demand
from edge_expose_cloud.spec.inventory import Inventory
from edge_expose_cloud.spec.last import Last
from edge_expose_cloud.spec.model import Network
from edge_expose_contract.identity import MODULE_ID
from edge_expose_contract.models import Exposure


@dataclass(frozen=True, slots=True)
class MemberPlan:
    """One device: its Services before and after, how they differ and what people notice of it, and the addresses that
    the exposures after need."""

    device_id: str
    before: int
    after: int
    created: int
    updated: int
    deleted: int
    impact: tuple[Impact, ...]
    addresses: Capacity

    def to_json(self) -> Json:
        return {
            "deviceId": self.device_id,
            "services": {
                "before": self.before,
                "after": self.after,
                "create": self.created,
                "update": self.updated,
                "delete": self.deleted,
            },
            "impact": [item.to_json() for item in self.impact],
            "addresses": self.addresses.to_json(),
        }


class FleetPlanner:
    """Plans one device after the other. What many devices have in common (the same exposures, nothing held) is worked
    out once, and only the last of it is kept."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._services: Last[_Services] = Last()
        self._demand: Last[Demand] = Last()

    def plan(
        self,
        device_id: str,
        twin: Twin | None,
        exposures: Mapping[str, Exposure],
        network: Network | None,
        *,
        whole: bool,
    ) -> MemberPlan:
        """`whole`: the spec's exposures are all there will be (set modules); else they merge by name (a deployment)."""
        current = current_exposures(twin)
        after = exposures if whole or not current else {**current, **exposures}
        twins = {MODULE_ID: twin} if twin is not None else {}
        state = DeviceState(device_id, Twin(device_id, None, ""), twins, self._now)
        around = surroundings(state, network.namespace if network is not None else None)
        if twin is None:
            services = self._services.of((after,), around.namespace, lambda: _services(current, after, around))
        else:
            held = {name: entry.address or "" for name, entry in report_of(twin).exposures.items()}
            services = _services(current, after, around, held)
        demand = self._demand.of((after,), None, lambda: Demand(after))
        return MemberPlan(device_id, *services, demand.capacity(network))


# Before, after, created, updated, deleted, and what people notice.
_Services = tuple[int, int, int, int, int, tuple[Impact, ...]]


def _services(
    current: Mapping[str, Exposure],
    after: Mapping[str, Exposure],
    around: Surroundings,
    held: Mapping[str, str] | None = None,
) -> _Services:
    """A device without a twin (`held` is None) has nobody yet who could notice."""
    old, new = predicted_services(current, around), predicted_services(after, around)
    actions = Counter(change.action for change in diff_services(old, new))
    impact = service_impact(old, new, held) if held is not None and actions else ()
    return len(old), len(new), actions["create"], actions["update"], actions["delete"], impact


def network_for(
    device_id: str, twin: Twin | None, inventory: Inventory | None, declared: Network | None
) -> Network | None:
    """The inventory's ranges, else those the twin has, else the spec's own."""
    entry = inventory.devices.get(device_id) if inventory is not None else None
    if entry is not None and entry.network is not None:
        return entry.network
    site = twin.desired.get("site") if twin is not None else None
    if isinstance(site, dict) and site:
        try:
            return Network.model_validate(site)
        except ValueError:
            return declared
    return declared


@dataclass(slots=True)
class FleetTotals:
    """Sums over all devices; `first_overflow` is the first device (by order of planning) with an exposure left over."""

    devices: int = 0
    created: int = 0
    updated: int = 0
    deleted: int = 0
    needed: int = 0
    shared: int = 0
    reserved: int = 0
    free: int = 0
    without_ranges: int = 0
    overflowing: int = 0
    first_overflow: MemberPlan | None = field(default=None)

    def add(self, member: MemberPlan) -> None:
        self.devices += 1
        self.created += member.created
        self.updated += member.updated
        self.deleted += member.deleted
        addresses = member.addresses
        self.needed += addresses.needed
        self.shared += addresses.shared
        self.reserved += addresses.reserved
        self.free += addresses.free
        self.without_ranges += not addresses.size
        if addresses.left_over is not None:
            self.overflowing += 1
            self.first_overflow = self.first_overflow or member

    def to_json(self) -> Json:
        first = self.first_overflow
        return {
            "devices": self.devices,
            "services": {"create": self.created, "update": self.updated, "delete": self.deleted},
            "addresses": {
                "needed": self.needed,
                "shared": self.shared,
                "reserved": self.reserved,
                "free": self.free,
            },
            "withoutRanges": self.without_ranges,
            "overflowing": self.overflowing,
            "firstOverflow": None
            if first is None
            else {"deviceId": first.device_id, "exposure": first.addresses.left_over},
        }
