"""What devices say about their exposures, from the module twin alone. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from edge_expose_cloud.hub.api import Twin
from edge_expose_cloud.plan.device import current_exposures, report_of
from edge_expose_cloud.status.health import Health, health_of, is_unreadable
from edge_expose_contract.identity import MODULE_ID, State
from edge_expose_contract.models import Exposure
from edge_expose_contract.parsing import Refusal, parse_desired

Json = dict[str, Any]
_SETTLED = frozenset({State.READY, State.DISABLED, State.EXPIRED})


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """`exposures` are as reported, with `type` and `ports` from the desired document added.

    `note` says why there is nothing to see, when there is nothing to see, or why what is seen is only `last_known`.
    """

    device_id: str
    summary: Json
    exposures: dict[str, Json]
    desired_version: int
    reported_version: int | None
    code: int | None
    description: str
    connection_state: str
    pool: Json
    pending_removal: Json | None
    health: Health
    note: str = ""
    warnings: tuple[str, ...] = ()
    last_known: bool = False

    def to_json(self) -> Json:
        return {
            "deviceId": self.device_id,
            "health": self.health.to_json(),
            "summary": self.summary,
            "exposures": self.exposures,
            "desiredVersion": self.desired_version,
            "lastDesiredVersion": self.reported_version,
            "lastDesiredStatus": None if self.code is None else {"code": self.code, "description": self.description},
            "connectionState": self.connection_state,
            "pool": self.pool,
            "pendingRemoval": self.pending_removal,
            "note": self.note,
            "lastKnown": self.last_known,
            "warnings": list(self.warnings),
        }


def ports_text(exposure: Exposure) -> list[str]:
    """`8080:80/tcp` for each port."""
    return [str(mapping) for mapping in exposure.mappings]


def status_of(twin: Twin, now: datetime | None = None) -> DeviceStatus:
    """The status of one device; an exposure the module has not spoken about yet is Pending (NotReported)."""
    report = report_of(twin)
    declared = current_exposures(twin)
    exposures: dict[str, Json] = {}
    for name in sorted(report.exposures.keys() | declared.keys() | _invalid(twin)):
        entry = report.exposures.get(name)
        if entry is not None:
            body: Json = entry.model_dump(mode="json", exclude_none=True, by_alias=True)
        elif name in declared:
            body = {"state": "Pending", "reason": "NotReported", "message": "the module has not reported it yet"}
        else:
            body = {"state": "Blocked", "reason": "InvalidExposure", "message": "the declaration is wrong; see explain"}
        if name in declared:
            body["type"] = declared[name].type
            body["ports"] = ports_text(declared[name])
        elif entry is not None and needs_address(twin, name) is False:
            body["type"] = "ClusterIP"
        exposures[name] = body
    summary = _count(exposures)
    if report.summary is not None:
        # A device may report any number; it has no more exposures than it names.
        said = report.summary.model_dump(by_alias=True)
        summary = {key: max(0, min(value, len(exposures))) for key, value in said.items()}
    status = report.last_desired_status
    note = _why_last_known(twin)
    return DeviceStatus(
        device_id=twin.device_id,
        summary=summary,
        exposures=exposures,
        desired_version=twin.desired_version,
        reported_version=report.last_desired_version,
        code=status.code if status else None,
        description=status.description if status else "",
        connection_state=twin.connection_state,
        pool=report.pool.model_dump(exclude_none=True) if report.pool is not None else {},
        pending_removal=report.pending_removal.model_dump() if report.pending_removal is not None else None,
        health=health_of(twin, now or datetime.now(UTC)),
        note=note,
        warnings=tuple(report.warnings),
        last_known=bool(note),
    )


def _why_last_known(twin: Twin) -> str:
    """Why nobody knows how the exposures are now, "" when the report is of now."""
    if not twin.reported:
        return ""
    if twin.connection_state == "Disconnected":
        return "the device is offline: this is its last known state"
    if is_unreadable(twin.reported):
        return "the module cannot read the cluster: this is the last known state"
    return ""


def needs_address(twin: Twin, name: str) -> bool | None:
    """Whether the exposure needs an external address; None where the twin does not tell.

    One that is held back from removal is reported and no longer declared. A report names no type, but what is Ready
    without an address is a Service inside the cluster.
    """
    declared = current_exposures(twin).get(name)
    if declared is not None:
        return declared.type != "ClusterIP"
    entry = report_of(twin).exposures.get(name)
    if entry is None or (entry.state is not State.READY and not entry.address):
        return None
    return bool(entry.address)


def not_converged(twin: Twin, ready_only: frozenset[str] | None = None) -> str | None:
    """Why the device has not taken the document yet, or None when all is as wanted."""
    report = report_of(twin)
    if report.last_desired_version is None:
        return "the module has not reported yet"
    status = report.last_desired_status
    if report.last_desired_version < twin.desired_version:
        return f"the module has seen version {report.last_desired_version} of {twin.desired_version}"
    if status is not None and status.code != 200:
        what = f"the module answered {status.code}: {status.description}"
        return what if report.pending_removal is None else f"{what}; if it is meant, {release_hint(twin.device_id)}"
    declared = current_exposures(twin)
    for name in sorted(declared.keys() | _invalid(twin)):
        if ready_only is not None and name not in ready_only:
            continue
        entry = report.exposures.get(name)
        if entry is None:
            return f"exposure {name} is not reported yet"
        exposure = declared.get(name)
        disabled = entry.state is State.DISABLED and exposure is not None and exposure.enabled
        if exposure is None or entry.state not in _SETTLED or disabled:
            why = ": ".join(part for part in (entry.reason, entry.message) if part)
            return f"exposure {name} is {entry.state}{f' ({why})' if why else ''}"
    return None


def release_hint(device_id: str) -> str:
    """How a removal that the module holds back is let go on."""
    return f"confirm the removal: edge-expose unexpose {device_id} --held-back"


def agent_says(agent: Twin | None) -> str:
    """What edgeAgent's twin says about our module: for devices where the module itself has not reported."""
    if agent is None or not agent.reported:
        return "nothing yet (is the device connected?)"
    modules = agent.reported.get("modules")
    ours = modules.get(MODULE_ID) if isinstance(modules, dict) else None
    if isinstance(ours, dict):
        detail = f" ({ours['statusDescription']})" if ours.get("statusDescription") else ""
        return f"{MODULE_ID} is {ours.get('runtimeStatus', 'unknown')}{detail}"
    status = agent.reported.get("lastDesiredStatus")
    return f"{status.get('code')} {status.get('description', '')}".strip() if isinstance(status, dict) else ""


def _invalid(twin: Twin) -> set[str]:
    parsed = parse_desired(twin.desired)
    return set() if isinstance(parsed, Refusal) else set(parsed.invalid)


def _count(exposures: dict[str, Json]) -> Json:
    counts = {state.lower(): 0 for state in State}
    for entry in exposures.values():
        counts[str(entry["state"]).lower()] += 1
    return {**counts, "notReady": counts["pending"] + counts["blocked"] + counts["failed"]}
