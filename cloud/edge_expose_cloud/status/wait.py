"""Wait: until every device of a target has taken the document and its exposures are Ready, or the time is up."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from edge_expose_cloud.hub.api import Hub, HubError
from edge_expose_cloud.plan.deployment import live_deployments
from edge_expose_cloud.plan.observation import MANY_DEVICES
from edge_expose_cloud.spec.model import Spec
from edge_expose_cloud.status.fleet import DeviceStatus, agent_says, not_converged, status_of
from edge_expose_contract.identity import MODULE_ID

_SLOWEST = 5.0
_SLOWEST_LARGE = 8.0  # two queries a look: 15 of the 20 a minute
_TARGETS_SECONDS = 30.0
_SAMPLE = 100


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
    held_back: int = 0
    """Exposures whose removal the one device waited for holds back: nothing changes until somebody confirms it."""


def wait_until_ready(
    hub: Hub,
    spec: Spec,
    timeout: float,
    clock: Clock,
    looked: Callable[[WaitResult], None],
    reached: Callable[[list[str]], None] = lambda devices: None,
) -> WaitResult:
    """Polls the twins, quickly at first; a hub that is away for a while does not end the wait.

    `looked` hears of every look; while the hub is away it gets the devices as they were seen last.
    `reached` hears of the devices of a condition whenever they became more or other ones.
    """
    if spec.target.device is not None:
        return _poll(lambda: check_once(hub, spec), timeout, clock, looked)
    watch = FleetWatch(hub, spec, clock, reached)
    return _poll(watch.look, timeout, clock, looked, lambda: watch.is_large)


def wait_for_exposures(
    hub: Hub, device: str, names: Collection[str], timeout: float, clock: Clock, looked: Callable[[WaitResult], None]
) -> WaitResult:
    """As `wait_until_ready`, for some exposures of one device: what else it has does not matter."""
    only = frozenset(names)

    def look() -> WaitResult:
        twin = hub.module_twin(device, MODULE_ID)
        if twin is None:
            return WaitResult(False, f"{device}: module {MODULE_ID} does not exist yet")
        reason = not_converged(twin, only)
        return WaitResult(reason is None, f"{device}: {reason}" if reason else "", (status_of(twin),))

    return _poll(look, timeout, clock, looked)


def _poll(
    look: Callable[[], WaitResult],
    timeout: float,
    clock: Clock,
    looked: Callable[[WaitResult], None],
    is_large: Callable[[], bool] = lambda: False,
) -> WaitResult:
    deadline = clock.monotonic() + timeout
    pause = 0.5
    devices: tuple[DeviceStatus, ...] = ()
    while True:
        try:
            result = look()
        except HubError as error:
            if not error.is_transient:
                raise
            result = WaitResult(False, error.message, devices)
        looked(result)
        if result.done or result.held_back:
            return result
        devices = result.devices
        left = deadline - clock.monotonic()
        if left <= 0:
            return result
        clock.sleep(min(pause, left))
        pause = min(_SLOWEST, pause * 1.3)
        if is_large():
            pause = _SLOWEST_LARGE


def check_once(hub: Hub, spec: Spec) -> WaitResult:
    """One look at all devices of the spec's target."""
    devices = [spec.target.device] if spec.target.device is not None else _targeted(hub, spec)
    return _look_at(hub, spec, devices)


def _look_at(hub: Hub, spec: Spec, devices: list[str]) -> WaitResult:
    if not devices:
        return WaitResult(False, f"the condition {spec.target.condition!r} matches no device yet")
    statuses: list[DeviceStatus] = []
    reasons: list[str] = []
    for device in devices:
        wanted = frozenset(spec.exposures) if spec.target.device is None else frozenset()
        by_agent = spec.driver == "manifest"
        reason = _agent_reason(hub, device) if by_agent else _module_reason(hub, device, statuses, wanted)
        if reason is not None:
            reasons.append(f"{device}: {reason}")
    if reasons:
        more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
        held = _held_back(statuses[0]) if spec.target.device is not None and statuses else 0
        return WaitResult(False, reasons[0] + more, tuple(statuses), held)
    return WaitResult(True, "", tuple(statuses))


def _held_back(status: DeviceStatus) -> int:
    if status.pending_removal is None or status.code != 406 or status.reported_version != status.desired_version:
        return 0
    return int(status.pending_removal.get("count", 0))


class FleetWatch:
    """Follows the devices of a condition with few calls: IoT Hub answers 20 queries a minute.

    A small fleet is read twin by twin. Of a large one a look asks only for those that are not done; when none is left,
    all twins are read once more, since the query may lag behind.
    """

    def __init__(self, hub: Hub, spec: Spec, clock: Clock, reached: Callable[[list[str]], None]) -> None:
        self._hub = hub
        self._spec = spec
        self._clock = clock
        self._reached = reached
        self._devices: list[str] = []
        self._looked: float | None = None

    @property
    def is_large(self) -> bool:
        return len(self._devices) >= MANY_DEVICES

    def look(self) -> WaitResult:
        """One look. A refreshed list of devices counts from the next look on when devices came or went."""
        now = self._clock.monotonic()
        if self._looked is None or not self._devices or now - self._looked >= _TARGETS_SECONDS:
            devices = _targeted(self._hub, self._spec)
            self._looked = self._clock.monotonic()
            if devices != self._devices:
                self._devices = devices
                self._reached(devices)
        if not self.is_large or self._spec.driver == "manifest":
            return _look_at(self._hub, self._spec, self._devices)
        return self._look_at_many()

    def _look_at_many(self) -> WaitResult:
        devices = set(self._devices)
        total = len(devices)
        behind = [twin for twin in self._hub.unconverged(MODULE_ID, _SAMPLE) if twin.device_id in devices]
        if behind:
            # A page that is not full holds them all; otherwise a count says how many there are.
            left = len(behind) if len(behind) < _SAMPLE else min(total, self._hub.count_unconverged(MODULE_ID))
            first = behind[0]
            reason = not_converged(first) or "the query lags behind"
            return WaitResult(False, f"{total - left} of {total} devices are ready; {first.device_id}: {reason}")
        statuses = []
        reasons = dict.fromkeys(self._devices, f"module {MODULE_ID} does not exist yet")
        for twin in self._hub.each_module_twin(MODULE_ID):
            if twin.device_id not in devices:
                continue
            statuses.append(status_of(twin))
            missing = not_converged(twin)
            if missing is None:
                reasons.pop(twin.device_id, None)
            else:
                reasons[twin.device_id] = missing
        if not reasons:
            return WaitResult(True, "", tuple(statuses))
        device, why = min(reasons.items())
        return WaitResult(
            False, f"{total - len(reasons)} of {total} devices are ready; {device}: {why}", tuple(statuses)
        )


def _targeted(hub: Hub, spec: Spec) -> list[str]:
    return hub.targeted_devices(item.id for item in live_deployments(spec.name, hub.deployments()))


def _module_reason(hub: Hub, device: str, statuses: list[DeviceStatus], wanted: Collection[str]) -> str | None:
    """`wanted` are exposures that a deployment sets: where another one wins, they never come to be there."""
    twin = hub.module_twin(device, MODULE_ID)
    if twin is None:
        return f"module {MODULE_ID} does not exist yet"
    statuses.append(status_of(twin))
    declared = twin.desired.get("exposures")
    for name in sorted(wanted):
        if not isinstance(declared, dict) or name not in declared:
            return f"exposure {name} is not in its twin yet (or another deployment wins there)"
    reason = not_converged(twin)
    if reason is not None and not twin.reported:
        state = agent_says(hub.module_twin(device, "$edgeAgent"))
        if state:
            return f"{reason}; edgeAgent says {state}"
    return reason


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
