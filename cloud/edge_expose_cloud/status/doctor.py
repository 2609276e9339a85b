"""Doctor: what must hold for exposures to work, looked at from the cloud, each with what to do when it does not."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from edge_expose_cloud.hub.api import Hub, HubError, HubProblem, MethodResult, Twin
from edge_expose_cloud.plan.device import report_of
from edge_expose_cloud.status.device import has_left, predicted_status
from edge_expose_cloud.status.fleet import agent_says, release_hint, status_of
from edge_expose_contract.identity import MODULE_ID
from edge_expose_contract.reported import Reported

Verdict = Literal["ok", "wrong", "unknown"]
_METHOD_SECONDS = 10
_NEEDS_SERVICE_CONNECT = "a policy needs ServiceConnect for this; or the role IoT Hub Data Reader"
_SKEW_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Check:
    """`hint` says what to do; "" when it is fine."""

    name: str
    verdict: Verdict
    found: str
    hint: str = ""

    def to_json(self) -> dict[str, str]:
        return {"check": self.name, "verdict": self.verdict, "found": self.found, "hint": self.hint}


def examine_hub(hub: Hub) -> Iterator[Check]:
    """The rights of this sign-in, one call each."""
    yield _try(
        "may read twins (service connect)", lambda: hub.device_twin("edge-expose-doctor"), _NEEDS_SERVICE_CONNECT
    )
    yield _try("may query (service connect)", lambda: hub.module_twins_page(MODULE_ID, None), _NEEDS_SERVICE_CONNECT)
    yield _try(
        "may list deployments (registry read)",
        lambda: hub.deployments(),
        "a policy needs RegistryRead for this, and RegistryWrite to apply; or the role IoT Hub Data Contributor",
    )


def _try(name: str, call: Callable[[], object], hint: str) -> Check:
    try:
        call()
    except HubError as error:
        verdict: Verdict = "wrong" if error.problem in (HubProblem.UNAUTHORIZED, HubProblem.FORBIDDEN) else "unknown"
        return Check(name, verdict, error.message, error.hint if verdict == "unknown" else hint)
    return Check(name, "ok", "yes")


def examine_device(hub: Hub, device_id: str, now: dt.datetime) -> Iterator[Check]:
    """From the registry to the cluster; stops where nothing further can be looked at."""
    device = hub.device_twin(device_id)
    if device is None:
        yield Check("the device is registered", "wrong", "no", "register it as an IoT Edge device, or check the id")
        return
    yield Check("the device is registered", "ok", f"yes, in {hub.host}")
    agent = hub.module_twin(device_id, "$edgeAgent")
    if agent is None:
        yield Check("it is an IoT Edge device", "wrong", "it has no $edgeAgent", "register it with IoT Edge enabled")
        return
    yield _agent(agent)
    ours = hub.module_twin(device_id, MODULE_ID)
    if ours is None or has_left(agent):
        yield _without_module(hub, device_id, ours)
        return
    yield _runs(agent)
    yield from _module(ours)
    yield from _cluster(report_of(ours))
    yield _exposures(ours)
    yield from _asked(hub, device_id, ours, now)


def _exposures(ours: Twin) -> Check:
    name = "the exposures are Ready"
    entries = status_of(ours).exposures
    waiting = {
        key: entry for key, entry in sorted(entries.items()) if entry["state"] in ("Pending", "Blocked", "Failed")
    }
    if not waiting:
        return Check(name, "ok", f"yes, or not in force ({len(entries)} declared)" if entries else "none is declared")
    verdict: Verdict = "unknown" if all(entry["state"] == "Pending" for entry in waiting.values()) else "wrong"
    told = [f"{key} {entry['state']} ({entry.get('reason', 'no reason')})" for key, entry in waiting.items()]
    more = f", and {len(told) - 5} more" if len(told) > 5 else ""
    hint = f"edge-expose explain {ours.device_id}/{next(iter(waiting))}"
    return Check(name, verdict, f"{', '.join(told[:5])}{more}", hint)


def _without_module(hub: Hub, device_id: str, ours: Twin | None) -> Check:
    name = f"the module {MODULE_ID} is deployed"
    left = sorted(report_of(ours).exposures)
    if left:
        hint = "withdraw them with edge-expose unexpose before the module goes, or apply a spec with driver: module"
        return Check(name, "wrong", f"not any more; what it made may still stand: {', '.join(left[:5])}", hint)
    made = len(predicted_status(hub, device_id).exposures)
    if made:
        return Check(name, "ok", f"no, edgeAgent makes {made} Service{'s' * (made > 1)} itself (driver: manifest)")
    return Check(name, "wrong", "no such module", "apply a spec with driver: module")


def _agent(agent: Twin) -> Check:
    name = "edgeAgent applies its manifest"
    status = agent.reported.get("lastDesiredStatus")
    if not agent.reported or not isinstance(status, dict):
        return Check(name, "wrong", "it has never reported", "check that the device is on and can reach the hub")
    if status.get("code") != 200:
        found = f"it answered {status.get('code')} {status.get('description', '')}".strip()
        return Check(name, "wrong", found, "edge-expose validate MANIFEST shows what it refuses")
    version = agent.reported.get("lastDesiredVersion")
    if version != agent.desired_version:
        return Check(
            name, "unknown", f"it has seen version {version} of {agent.desired_version}", "wait, or it is offline"
        )
    return Check(name, "ok", "yes, code 200")


def _runs(agent: Twin) -> Check:
    says = agent_says(agent)
    running = says.startswith(f"{MODULE_ID} is running")
    hint = "" if running else "look at the module's log on the device: image, environment, rights"
    return Check("the module runs", "ok" if running else "wrong", says or "edgeAgent does not say", hint)


def _module(ours: Twin) -> Iterator[Check]:
    connected = ours.connection_state == "Connected"
    yield Check(
        "the module is connected to the hub",
        "ok" if connected else "unknown" if not ours.connection_state else "wrong",
        ours.connection_state or "the hub does not say",
        "" if connected else "what it reported before may be old",
    )
    report = report_of(ours)
    if report.last_desired_version is None:
        yield Check("the module has reported", "wrong", "never", "its log on the device says why")
        return
    version = report.module.version if report.module is not None else "unknown"
    yield Check("the module has reported", "ok", f"version {version}")
    status = report.last_desired_status
    if report.last_desired_version < ours.desired_version:
        found = f"it has seen version {report.last_desired_version} of {ours.desired_version}"
        yield Check("it has taken the document", "unknown", found, "wait, or it is offline")
    elif status is not None and status.code != 200:
        yield Check(
            "it has taken the document",
            "wrong",
            f"{status.code}: {status.description}",
            release_hint(ours.device_id) if status.code == 406 else "correct the desired properties",
        )
    else:
        yield Check("it has taken the document", "ok", f"version {ours.desired_version}")


def _cluster(report: Reported) -> Iterator[Check]:
    cluster = report.cluster
    if cluster is None:
        yield Check("the module reaches the cluster", "unknown", "it has not said")
        return
    fine = cluster.api in ("", "ok")
    yield Check(
        "the module reaches the cluster",
        "ok" if fine else "wrong",
        f"{cluster.api or 'ok'}, Kubernetes {cluster.version or 'unknown'}",
        "" if fine else "check its kubeconfig or ServiceAccount; the namespace iotedge of Azure Stack Edge is reserved",
    )
    balancer = cluster.load_balancer or ""
    known = bool(balancer) and not balancer.lower().startswith(("none", "unknown"))
    yield Check(
        "a load balancer is there",
        "ok" if known else "unknown",
        balancer or "none that we know",
        "" if known else "without one, exposures of type LoadBalancer stay Pending",
    )
    pool = report.pool
    if pool is not None and pool.size:
        yield Check(
            "addresses are free",
            "ok" if pool.free else "unknown",
            f"{pool.free} of {pool.size} free in {pool.ranges}",
            "" if pool.free else "extend the external service IP range on the device before the next exposure",
        )


def _asked(hub: Hub, device_id: str, ours: Twin, now: dt.datetime) -> Iterator[Check]:
    """What only the module itself can say: it is asked when it is connected."""
    if ours.connection_state == "Disconnected":
        return
    name = "it answers direct methods"
    try:
        answer: MethodResult = hub.invoke(device_id, MODULE_ID, "supportBundle", {}, _METHOD_SECONDS)
    except HubError as error:
        hint = "methods need a policy with ServiceConnect, and a module that is connected"
        yield Check(name, "unknown", error.message, hint)
        return
    body: dict[str, Any] = answer.payload if isinstance(answer.payload, dict) else {}
    yield Check(name, "ok" if answer.status == 200 else "unknown", f"status {answer.status}")
    denied = body.get("denied") or []
    yield Check(
        "it has the rights it needs in the cluster",
        "wrong" if denied else "ok",
        ", ".join(map(str, denied)) or "nothing was denied",
        "apply deployment-manifests/kubernetes/rbac.yaml, or use a kubeconfig of a namespace admin" if denied else "",
    )
    yield from _skew(body, now)


def _skew(body: dict[str, Any], now: dt.datetime) -> Iterator[Check]:
    try:
        then = dt.datetime.fromisoformat(str(body["time"]))
    except (KeyError, ValueError):
        return
    skew = abs((now - then).total_seconds())
    fine = skew <= _SKEW_SECONDS
    hint = "" if fine else "set the device's clock (NTP): tokens and certificates depend on it"
    yield Check("its clock is right", "ok" if fine else "wrong", f"{skew:.0f} s apart from this machine's", hint)
