"""From a spec and what the hub holds now to a plan for one device. Pure; deployments by condition: next door.

The smallest sufficient step is chosen: nothing, a PATCH of our module's twin when only exposures or ranges changed, or
the whole manifest (set modules).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from edge_expose_cloud.hub.api import Json, Twin
from edge_expose_cloud.hub.authorship import content_without_change, without_change
from edge_expose_cloud.iotedge.create_options import CreateOptionsError, read_create_options
from edge_expose_cloud.iotedge.edge_agent import modules_of, predict_services
from edge_expose_cloud.manifest.checks import desired_sections
from edge_expose_cloud.manifest.encoding import Content, Secrets, decode, same_meaning
from edge_expose_cloud.manifest.redaction import hide_beside, hide_pairs, hide_twins
from edge_expose_cloud.manifest.render import render_content
from edge_expose_cloud.plan.manifest_impact import manifest_impact
from edge_expose_cloud.plan.model import (
    LEASE_TAG,
    Change,
    Danger,
    Impact,
    PatchTwin,
    Plan,
    SetModules,
    Step,
    counted,
    diff_services,
    few,
    in_plan_order,
    twin_change,
)
from edge_expose_cloud.plan.service_forecast import Surroundings, predicted_services
from edge_expose_cloud.plan.service_impact import service_impact
from edge_expose_cloud.plan.unchanged_services import unchanged_service_notes
from edge_expose_cloud.spec.model import Network, Spec
from edge_expose_contract.addressing import Address, AddressSet, parse_address
from edge_expose_contract.identity import MODULE_ID, State
from edge_expose_contract.merging import merge_patch, merged
from edge_expose_contract.models import Exposure
from edge_expose_contract.parsing import Refusal, parse_desired, parse_exposure
from edge_expose_contract.reported import Reported, parse_reported
from edge_expose_contract.violations import RuleError

CONFIRMED: Final = "confirmRemoval"


@dataclass(frozen=True, slots=True)
class DeviceState:
    """What was read of one device, and when. A module without a twin is missing from `twins`."""

    device_id: str
    device_twin: Twin
    twins: Mapping[str, Twin] = field(default_factory=dict)
    read_at: datetime | None = None

    @property
    def ours(self) -> Twin | None:
        return self.twins.get(MODULE_ID)

    def without_change(self) -> DeviceState:
        """The same, but for who wrote our module's document: a plan has nothing to do with that."""
        ours = self.ours
        if ours is None:
            return self
        plain = replace(ours, desired=without_change(ours.desired))
        return replace(self, twins={**self.twins, MODULE_ID: plain})

    def etags(self) -> dict[str, str]:
        found = {f"{self.device_id}/{module}": twin.etag for module, twin in self.twins.items()}
        return found


def plan_device(spec: Spec, state: DeviceState, secrets: Secrets) -> Plan:
    """`secrets` are needed to compare with what the hub holds; nothing that is shown is made of them."""
    state = _decoded(state.without_change())
    held = held_by_manifest(state)
    content = content_without_change(render_content(_beside_what_stays(spec, state), held))
    wanted, seen = desired_sections(secrets.fill(content)), desired_sections(content)
    if state.ours is not None and MODULE_ID in wanted and CONFIRMED in state.ours.desired:
        # A word that was given once stays where it is: it is no part of what a spec declares.
        content[MODULE_ID] = merged(
            content[MODULE_ID], {"properties.desired": {CONFIRMED: state.ours.desired[CONFIRMED]}}
        )
        for desired in (wanted[MODULE_ID], seen[MODULE_ID]):
            desired[CONFIRMED] = state.ours.desired[CONFIRMED]
    different = [
        module
        for module, desired in sorted(wanted.items())
        if module not in state.twins or not same_meaning(state.twins[module].desired, desired)
    ]
    after = hide_twins({module: seen[module] for module in different})
    before = hide_twins({name: state.twins[name].desired for name in different if name in state.twins}, wanted, after)
    changes: list[Change] = []
    patch: Json = {}
    if MODULE_ID in different:
        changes.append(twin_change(state.device_id, MODULE_ID, before.get(MODULE_ID), after[MODULE_ID]))
        patch = merge_patch(state.ours.desired, wanted[MODULE_ID]) if state.ours is not None else {}
    in_manifest = [module for module in different if module != MODULE_ID or state.ours is None]
    if in_manifest:
        first_time = not any(module in before for module in in_manifest)
        changes.append(
            Change(
                "create" if first_time else "update",
                "Manifest",
                None,
                state.device_id,
                None if first_time else {module: before.get(module) for module in in_manifest},
                {module: after[module] for module in in_manifest},
            )
        )
    services = _services(spec, wanted, state)
    changes += _service_changes(services, _services(spec, seen, state))
    step: Step | None = None
    if in_manifest:
        step = SetModules(state.device_id, Content(content, secrets))
    elif patch and state.ours is not None:
        step = PatchTwin(state.device_id, MODULE_ID, patch, state.ours.etag)
    return Plan(
        target=spec.target_text,
        changes=in_plan_order(changes),
        step=step,
        etags=state.etags(),
        dangers=tuple(_dangers(spec, state, changes, wanted)),
        notes=(*_off_notes(spec, state, services), *notes_of(state, wanted)),
        impact=(
            *device_impact(state, services, seen, by_module=spec.driver == "module"),
            *closing_impact(current_exposures(state.ours), spec.exposures),
        ),
        lease=lease if isinstance(lease := state.device_twin.tags.get(LEASE_TAG), dict) else None,
    )


def _decoded(state: DeviceState) -> DeviceState:
    """With the createOptions of the hub's manifest as objects."""
    agent = state.twins.get("$edgeAgent")
    if agent is None:
        return state
    return replace(state, twins={**state.twins, "$edgeAgent": replace(agent, desired=decode(agent.desired))})


def exposures_of(desired: Mapping[str, Any]) -> dict[str, Exposure]:
    """The valid exposures of a document of our module."""
    raw = desired.get("exposures")
    parsed = {name: parse_exposure(name, entry)[0] for name, entry in raw.items()} if isinstance(raw, Mapping) else {}
    return {name: exposure for name, exposure in parsed.items() if exposure is not None}


def current_exposures(twin: Twin | None) -> dict[str, Exposure]:
    """The valid exposures of a module twin's desired properties."""
    if twin is None:
        return {}
    parsed = parse_desired(twin.desired)
    return {} if isinstance(parsed, Refusal) else dict(parsed.exposures)


def report_of(twin: Twin | None) -> Reported:
    return parse_reported(twin.reported if twin is not None else {})


def without_service(report: Reported) -> frozenset[str]:
    """Exposures of which the module says that none of their Services is there: it counts no endpoints for those."""
    if report.shortened:
        return frozenset()  # endpoints were left out for want of room
    return frozenset(
        name
        for name, entry in report.exposures.items()
        if entry.endpoints is None and not entry.address and entry.state is not State.READY
    )


def surroundings(state: DeviceState, namespace: str | None = None) -> Surroundings:
    """Namespace (declared, else as the module reported it) and the addresses held."""
    report = report_of(state.ours)
    held = {name: entry.address for name, entry in report.exposures.items() if entry.address}
    if not namespace and state.ours is not None:
        site = state.ours.desired.get("site")
        namespace = site.get("namespace") if isinstance(site, dict) else None
    if not namespace:
        known = current_exposures(state.ours)
        default = [
            (entry.service or "").partition("/")[0]
            for name, entry in sorted(report.exposures.items())
            if entry.service and "/" in entry.service and name in known and known[name].namespace is None
        ]
        namespace = default[0] if default else ""
    # A MetalLB that is told by ConfigMap (0.12 and older) asks for one address only.
    told = report.cluster is not None and report.cluster.load_balancer == "MetalLB/ConfigMap"
    return Surroundings(namespace, held, not told, state.read_at)


def held_by_manifest(state: DeviceState) -> dict[str, Address]:
    """Module -> the loadBalancerIP its createOptions on the hub ask for (`driver: manifest` keeps these)."""
    agent = state.twins.get("$edgeAgent")
    if agent is None:
        return {}
    found: dict[str, Address] = {}
    for module, entry, _ in modules_of({"$edgeAgent": {"properties.desired": agent.desired}}):
        settings = entry.get("settings")
        try:
            options = read_create_options(settings if isinstance(settings, Mapping) else {})
            found[module] = parse_address(options["k8s-experimental"]["serviceOptions"]["loadBalancerIP"])
        except (CreateOptionsError, RuleError, KeyError, TypeError, AttributeError):
            continue
    return found


Services = Mapping[tuple[str, str], Json]


def _services(spec: Spec, sections: Mapping[str, Json], state: DeviceState) -> tuple[Services, Services]:
    """The Services there are now, and those there will be with these desired sections, by (namespace, name)."""
    if spec.driver == "manifest":
        agent = state.twins.get("$edgeAgent")
        now = {"$edgeAgent": agent.desired} if agent is not None else {}
        return _made_by_agent(now, state), _made_by_agent(sections, state)
    around = surroundings(state, spec.network.namespace if spec.network else None)
    then = surroundings(state)
    wanted = predicted_services(exposures_of(sections.get(MODULE_ID, {})), around)
    return services_now(state, then if then.namespace else around, wanted), wanted


def _service_changes(services: tuple[Services, Services], shown: tuple[Services, Services]) -> list[Change]:
    """`shown` is how the same Services may be shown."""
    changes = []
    for change in diff_services(*services):
        as_shown = hide_pairs(shown[1].get((change.namespace or "", change.name)))
        was = None if change.before is None else hide_beside(change.before, change.after, as_shown)
        changes.append(replace(change, before=was, after=as_shown))
    return changes


def device_impact(
    state: DeviceState, services: tuple[Services, Services], wanted: Mapping[str, Json], *, by_module: bool = True
) -> tuple[Impact, ...]:
    """What people notice of a change of one device. `wanted` are the desired sections that are written; `by_module`
    says that our module makes the Services, which hold what it reports."""
    reported = report_of(state.ours).exposures
    held = {name: entry.address or "" for name, entry in reported.items()} if by_module else None
    now = {module: twin.desired for module, twin in state.twins.items() if module in wanted}
    return service_impact(*services, held) + manifest_impact(now, wanted)


def closing_impact(before: Mapping[str, Exposure], after: Mapping[str, Exposure]) -> Iterator[Impact]:
    """Exposures that close at a time to come, where that time is new."""
    for name, exposure in sorted(after.items()):
        known = before[name].expires if name in before else None
        if exposure.enabled and exposure.expires is not None and exposure.expires != known:
            yield Impact("expires", name, f"{name} closes at {exposure.expires}")


def services_now(
    state: DeviceState, around: Surroundings, wanted: Mapping[tuple[str, str], Json] | None = None
) -> dict[tuple[str, str], Json]:
    """The Services that our module keeps now. Of a document that it refuses nothing is carried out: then they are those
    it reports. Only their names are known; those that are `wanted` are taken to be so already."""
    if state.ours is None or not isinstance(parse_desired(state.ours.desired), Refusal):
        return predicted_services(current_exposures(state.ours), around)
    found: dict[tuple[str, str], Json] = {}
    for entry in report_of(state.ours).exposures.values():
        namespace, slash, name = (entry.service or "").partition("/")
        if slash:
            metadata = {"name": name, "namespace": namespace}
            bare = {"apiVersion": "v1", "kind": "Service", "metadata": metadata}
            found[namespace, name] = (wanted or {}).get((namespace, name), bare)
    return found


def _beside_what_stays(spec: Spec, state: DeviceState) -> Spec:
    """With `driver: manifest`, the addresses of Services that our module made are none to choose: those stay."""
    held = {f"Service of {name}": text for name, text in (surroundings(state).held or {}).items() if "," not in text}
    if spec.driver != "manifest" or spec.network is None or not held:
        return spec
    fields = spec.network.model_dump(by_alias=True, exclude_none=True, exclude_unset=True)
    network = Network.model_validate({**fields, "reserved": {**held, **(spec.network.reserved or {})}})
    return spec.model_copy(update={"network": network})


def _made_by_agent(sections: Mapping[str, Json], state: DeviceState) -> dict[tuple[str, str], Json]:
    content = {module: {"properties.desired": desired} for module, desired in sections.items()}
    found = predict_services(content, device_id=state.device_id).services
    return {("", service.name): service.to_json() for service in found}


def _dangers(spec: Spec, state: DeviceState, changes: list[Change], wanted: Mapping[str, Json]) -> list[Danger]:
    found = service_dangers(changes, len(services_now(state, surroundings(state))))
    moved = _losing_their_address(spec, state)
    if moved:
        found.append(Danger("moves", len(moved), f"{_addresses(len(moved))} the external range: {few(moved)}"))
    if spec.target.device is not None and any(change.kind == "Manifest" for change in changes):
        found += module_dangers(state, wanted["$edgeAgent"].get("modules") or {})
    if spec.driver == "manifest" and not any(danger.kind == "removals" for danger in found):
        found += port_dangers(state, wanted.get("$edgeAgent", {}))
    return found


def port_dangers(state: DeviceState, wanted: Mapping[str, Any]) -> list[Danger]:
    """Ports that modules publish now and would not any more: whoever connects to the device there is cut off."""
    agent = state.twins.get("$edgeAgent")
    now = {"$edgeAgent": agent.desired} if agent is not None else {}
    gone = [item.text for item in manifest_impact(now, {"$edgeAgent": wanted}) if item.kind == "port"]
    text = f"{counted(len(gone), 'published port')} would go: {few(gone, '; ')}"
    return [Danger("removals", len(gone), text)] if gone else []


def service_dangers(changes: Sequence[Change], held: int) -> list[Danger]:
    """At least three Services, or most of the `held` ones, would go."""
    removed = [change.name for change in changes if change.kind == "Service" and change.action == "delete"]
    if len(removed) < 3 and not (removed and held >= 2 and 2 * len(removed) > held):
        return []
    return [Danger("removals", len(removed), f"{len(removed)} Services would be removed: {few(removed)}")]


def module_dangers(state: DeviceState, kept: Collection[str]) -> list[Danger]:
    """Modules that the device runs now, and that are not `kept`."""
    agent = state.twins.get("$edgeAgent")
    gone = sorted((agent.desired.get("modules") or {}).keys() - set(kept)) if agent is not None else []
    if not gone:
        return []
    return [
        Danger("modules", len(gone), f"{counted(len(gone), 'module')} would be removed from the device: {few(gone)}")
    ]


def _addresses(count: int) -> str:
    return "1 held address leaves" if count == 1 else f"{count} held addresses leave"


def _losing_their_address(spec: Spec, state: DeviceState) -> list[str]:
    pool = spec.network.all_addresses if spec.network else AddressSet()
    if not pool:
        return []
    lost = []
    for name, entry in sorted(report_of(state.ours).exposures.items()):
        if entry.address is None or entry.state in (State.EXPIRED, State.DISABLED) or name not in spec.exposures:
            continue
        wanted = spec.exposures[name].addresses
        for text in entry.address.split(","):
            try:
                address = parse_address(text)
            except RuleError:
                continue
            if address not in pool and not wanted:
                lost.append(f"{name} ({text})")
    return lost


def offline_notes(ours: Twin | None) -> list[str]:
    """That the device carries a change out later."""
    if ours is None or ours.connection_state != "Disconnected":
        return []
    return ["the device is not connected to the hub: it does this when it is back"]


def _off_notes(spec: Spec, state: DeviceState, services: tuple[Services, Services]) -> Iterator[str]:
    """What becomes of exposures without a Service; not for Services that edgeAgent makes."""
    if spec.driver == "module":
        both = (current_exposures(state.ours), spec.exposures)
        yield from unchanged_service_notes(both, services, state.read_at)


def notes_of(state: DeviceState, wanted: Mapping[str, Json]) -> list[str]:
    """What a person should know of a plan that gives the device these desired sections."""
    notes = offline_notes(state.ours)
    if state.device_twin.tags.get(LEASE_TAG):
        notes.append("another run of edge-expose holds a lease on this device, or died with it")
    missing = sorted(module for module in wanted if module not in state.twins)
    if missing:
        notes.append(f"new on this device: {', '.join(missing)}")
    left = sorted(report_of(state.ours).exposures)
    if left and MODULE_ID not in (wanted.get("$edgeAgent", {}).get("modules") or {MODULE_ID: {}}):
        notes.append(
            f"{MODULE_ID} leaves the device: the Services it made ({few(left)}) stay, and nobody keeps them; "
            f"withdraw them first with edge-expose unexpose {state.device_id} NAME"
        )
    return notes
