"""Everything the device page shows, read once."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge_expose_cloud.findings.problems import Refused
from edge_expose_cloud.hub.api import Json, Twin
from edge_expose_cloud.plan.deployment import owned_exposures
from edge_expose_cloud.plan.device import current_exposures, report_of, without_service
from edge_expose_cloud.plan.observation import observe_device, targeting_deployments
from edge_expose_cloud.plan.topology import Topology, topology_of
from edge_expose_cloud.portal.live.reading_hub import ReadingHub
from edge_expose_cloud.portal.views.ip_map import IpMap, ip_map
from edge_expose_cloud.portal.views.workloads import ExposureView, ModuleView, exposures_view, modules_view
from edge_expose_cloud.status.device import device_status
from edge_expose_cloud.status.fleet import DeviceStatus, status_of
from edge_expose_cloud.status.health import NO_MODULE, Health
from edge_expose_cloud.usecases.device_ranges import network_of, pool_decides
from edge_expose_contract.identity import MODULE_ID
from edge_expose_contract.models import Exposure
from edge_expose_contract.reported import Reported


@dataclass(frozen=True, slots=True)
class DeviceView:
    """`site` is the declared one; `owners` maps an exposure to the deployment that sets it."""

    device_id: str
    has_module: bool
    connection: str
    tags: Json
    site: Json
    status: DeviceStatus | None
    report: Reported
    declared: dict[str, Exposure]
    declared_raw: Json
    exposures: list[ExposureView]
    modules: list[ModuleView]
    map: IpMap
    topology: Topology
    owners: dict[str, str] = field(default_factory=dict)
    deployments: tuple[str, ...] = ()

    @property
    def health(self) -> Health:
        return self.status.health if self.status is not None else NO_MODULE

    @property
    def online(self) -> bool:
        return self.connection == "Connected"

    @property
    def last_known(self) -> bool:
        """Nobody knows how the exposures are now: the device is away, or its module cannot read the cluster."""
        return self.connection == "Disconnected" or (self.status is not None and self.status.last_known)

    @property
    def unreadable(self) -> bool:
        return self.status is not None and self.status.health.state == "Cluster unreadable"

    @property
    def behind(self) -> bool:
        """The module has not taken the newest document yet."""
        return self.status is not None and (self.status.reported_version or 0) < self.status.desired_version

    @property
    def pool_decides(self) -> bool:
        """The device reads its load balancer's pool: the declared range is a copy."""
        return pool_decides(self.report)

    @property
    def shares(self) -> list[str]:
        return sorted({item.share for item in self.declared.values() if item.share})


def device_view(hub: ReadingHub, device_id: str) -> DeviceView:
    """A connected module is asked what is in its cluster; the page goes without when it does not answer.

    Raises Refused for a device that is not registered, HubError when the hub does not answer."""
    state = observe_device(hub, device_id)
    deployments = targeting_deployments(state, hub.deployments())
    owners = owned_exposures(deployments, [item.id for item in deployments])
    twin = state.ours
    report = report_of(twin)
    declared = current_exposures(twin)
    status: DeviceStatus | None
    if twin is not None:
        status = status_of(twin)
    else:
        try:
            status = device_status(hub, device_id)
        except Refused:
            status = None
    network, held = network_of(twin)
    topology, last = topologies(hub, twin)
    site = twin.desired.get("site") if twin is not None else None
    raw = twin.desired.get("exposures") if twin is not None else None
    return DeviceView(
        device_id=device_id,
        has_module=twin is not None,
        connection=twin.connection_state if twin is not None else state.device_twin.connection_state,
        tags={key: value for key, value in state.device_twin.tags.items() if key != "edgeExposeLease"},
        site=site if isinstance(site, dict) else {},
        status=status,
        report=report,
        declared=declared,
        declared_raw=raw if isinstance(raw, dict) else {},
        exposures=exposures_view(
            status.exposures if status is not None else {}, declared, owners, without_service(report)
        ),
        modules=modules_view(state.twins.get("$edgeAgent")),
        map=ip_map(network, declared, held, report, last.foreign()),
        topology=topology,
        owners=owners,
        deployments=tuple(sorted(item.id for item in deployments)),
    )


def topologies(hub: ReadingHub, twin: Twin | None) -> tuple[Topology, Topology]:
    """(what the module says now, what it said last): who holds addresses is worth knowing even when it is old."""
    if twin is None:
        return Topology(), Topology()
    said = hub.said(twin.device_id, MODULE_ID, "topology", ask=twin.connection_state == "Connected")
    found = topology_of(said.payload)
    return found if said.now else Topology(), found
