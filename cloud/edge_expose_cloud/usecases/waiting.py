"""Wait: until every device of a target has taken the document and its exposures are Ready, or the time is up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edge_expose_cloud.deployment_planning import live_deployments
from edge_expose_cloud.fleet_status import DeviceStatus, not_converged, status_of
from edge_expose_cloud.hub import Hub, HubError, Twin
from edge_expose_cloud.spec import Spec
from edge_expose_contract.identity import MODULE_ID

_SLOWEST = 5.0


@dataclass(frozen=True, slots=True)
class Clock:
    """Seconds that only grow, and a way to let them pass."""

    monotonic: Callable[[], float]
    sleep: Callable[[float], None]


@dataclass(frozen=True, slots=True)
class WaitResult:
    """`reason` says what is missing when `done` is False."""

    done: bool
    reason: str
    devices: tuple[DeviceStatus, ...] = ()


def wait_until_ready(hub: Hub, spec: Spec, timeout: float, clock: Clock, progress: Callable[[str], None]) -> WaitResult:
    """Polls the twins, quickly at first; a hub that is away for a while does not end the wait."""
    deadline = clock.monotonic() + timeout
    pause = 0.5
    said = ""
    while True:
        try:
            result = check_once(hub, spec)
        except HubError as error:
            if not error.is_transient:
                raise
            result = WaitResult(False, error.message)
        if result.done:
            return result
        if result.reason != said:
            said = result.reason
            progress(said)
        left = deadline - clock.monotonic()
        if left <= 0:
            return result
        clock.sleep(min(pause, left))
        pause = min(_SLOWEST, pause * 1.3)


def check_once(hub: Hub, spec: Spec) -> WaitResult:
    """One look at all devices of the spec's target."""
    devices = [spec.target.device] if spec.target.device is not None else _targeted(hub, spec)
    if not devices:
        return WaitResult(False, f"the condition {spec.target.condition!r} matches no device yet")
    statuses: list[DeviceStatus] = []
    reasons: list[str] = []
    for device in devices:
        reason = _agent_reason(hub, device) if spec.driver == "manifest" else _module_reason(hub, device, statuses)
        if reason is not None:
            reasons.append(f"{device}: {reason}")
    if reasons:
        more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
        return WaitResult(False, reasons[0] + more, tuple(statuses))
    return WaitResult(True, "", tuple(statuses))


def _targeted(hub: Hub, spec: Spec) -> list[str]:
    ids = {item.id for item in live_deployments(spec.name, hub.deployments())}
    return sorted(twin.device_id for twin in hub.module_twins("$edgeAgent") if ids & twin.configurations.keys())


def _module_reason(hub: Hub, device: str, statuses: list[DeviceStatus]) -> str | None:
    twin = hub.module_twin(device, MODULE_ID)
    if twin is None:
        return f"module {MODULE_ID} does not exist yet"
    statuses.append(status_of(twin))
    reason = not_converged(twin)
    if reason is not None and not twin.reported:
        state = _runtime_status(hub.module_twin(device, "$edgeAgent"))
        if state:
            return f"{reason}; edgeAgent says {state}"
    return reason


def _runtime_status(agent: Twin | None) -> str:
    if agent is None or not agent.reported:
        return "nothing yet (is the device connected?)"
    modules = agent.reported.get("modules")
    ours = modules.get(MODULE_ID) if isinstance(modules, dict) else None
    if isinstance(ours, dict):
        detail = f" ({ours['statusDescription']})" if ours.get("statusDescription") else ""
        return f"{MODULE_ID} is {ours.get('runtimeStatus', 'unknown')}{detail}"
    status = agent.reported.get("lastDesiredStatus")
    return f"{status.get('code')} {status.get('description', '')}".strip() if isinstance(status, dict) else ""


def _agent_reason(hub: Hub, device: str) -> str | None:
    """`driver: manifest`: edgeAgent's own answer is all there is; addresses are never reported."""
    agent = hub.module_twin(device, "$edgeAgent")
    if agent is None or not agent.reported:
        return "edgeAgent has not reported yet"
    version = agent.reported.get("lastDesiredVersion")
    status = agent.reported.get("lastDesiredStatus")
    code = status.get("code") if isinstance(status, dict) else None
    if version != agent.desired_version:
        return f"edgeAgent has seen version {version} of {agent.desired_version}"
    return None if code == 200 else f"edgeAgent answered {code}"
