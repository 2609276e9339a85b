"""Explain: the decisions on the way from a declared exposure to a reachable address, from the twin alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from edge_expose_cloud.fleet_status import release_hint
from edge_expose_cloud.hub import Hub, HubError, Twin
from edge_expose_cloud.planning import report_of
from edge_expose_cloud.usecases.observing import observe_device, targeting_deployments
from edge_expose_cloud.usecases.problems import Missing, Refused
from edge_expose_cloud.usecases.status import has_left, predicted_status
from edge_expose_contract.identity import MODULE_ID
from edge_expose_contract.parsing import Refusal, parse_desired

_METHOD_SECONDS = 10
Verdict = Literal["ok", "wrong", "unknown"]

# What to try for each reason that the module may report; others are shown with the module's own message.
REASON_HINTS = {
    "ForeignService": "rename the exposure, or set adopt: true to take the Service over and keep its address",
    "SelectorNamespace": "a Service selects pods of its own namespace: set namespace to the module's",
    "SelectorMatchesNothing": "check the labels of the pods against selector, or the module's name",
    "NoReadyEndpoints": "check that the module runs and is ready, and that the selector's labels are on its pods",
    "PoolExhausted": "extend the range on the Compute network page, share addresses, or remove an exposure",
    "NoPool": "give the load balancer an address pool, or write network.externalServiceIPs",
    "UnknownPool": "name a pool that the load balancer has, or leave pool out",
    "PoolMismatch": "the load balancer's pool decides: correct externalServiceIPs, or extend the pool there",
    "PoolInvalid": "correct the load balancer's configuration: one bad pool invalidates all",
    "PoolAddressMismatch": "choose an address of the pool named, or leave one of them out",
    "AddressOutsideRange": "choose an address of the range, or extend the range on the Compute network page",
    "AddressRefused": "the load balancer keeps the address before: choose another one, or find out who has this one",
    "PoolNotForService": "choose an address of a pool that serves this namespace, or change serviceAllocation there",
    "ServiceTerminating": "the controller whose finalizer is named has to finish: check that it runs",
    "AddressTaken": "another Service holds it: choose another address, or give both one share key",
    "ReservedAddress": "choose another address, or drop the reservation in network.reserved",
    "NodeAddress": "it belongs to a cluster node: choose an address of the external range",
    "PortTaken": "another Service on this address publishes the port: change it, or choose another address",
    "ShareAddressMismatch": "give all exposures of a share key the same address",
    "SharingPolicyMismatch": "with externalTrafficPolicy Local all sharers need the same pods: use Cluster",
    "FamilyMismatch": "make address, ipFamilies and the cluster's families agree",
    "AdoptionWouldDrop": "say in the exposure what the Service says (the message names it), or take it off the Service",
    "AdoptNotAllowed": "rename the exposure, or have the owner of the device set ALLOW_ADOPT",
    "EndpointNotAllowed": "choose another endpoint, or have the device's owner name its network in ALLOW_ENDPOINTS",
    "AnnotationNotAllowed": "use the field of the exposure, or have the owner of the device name the key",
    "LabelNotAllowed": "leave the label out, or have the owner of the device name the key",
    "HostnameNotAllowed": "choose a name the device allows, or ask its owner",
    "ClassNotAllowed": "choose a class the device allows, or leave loadBalancerClass out",
    "OutsideRails": "the device's guard rails were tightened: what stands goes on; change the exposure to fit them",
    "GuardRailsUnknown": "mend the ConfigMap edge-expose-guard-rails on the device, or the module's right to read it",
    "TooManyPorts": "publish fewer ports, or remove another exposure: a document publishes at most 5000 in all",
    "ServiceNameClash": "name-udp is the UDP half of an exposure with both protocols: rename one of the two",
    "RemovalHeldBack": "edge-expose unexpose DEVICE --held-back, or apply a spec that still has it",
    "ModuleName": "the exposure has the name of an IoT Edge module: rename it",
    "AddressNotAllowed": "the device's own guard rail EDGE_EXPOSE_ALLOW_ADDRESSES refuses it",
    "NamespaceNotAllowed": "the device's own guard rail EDGE_EXPOSE_ALLOW_NAMESPACES refuses it",
    "PortNotAllowed": "the device's own guard rail EDGE_EXPOSE_ALLOW_PORTS refuses it",
    "SourceNotAllowed": "the device's own guard rail EDGE_EXPOSE_ALLOW_SOURCES refuses it",
    "TooManyExposures": "the device's own guard rail EDGE_EXPOSE_MAX_EXPOSURES refuses it",
    "InvalidExposure": "correct the declaration; the message names the field",
    "UnsupportedByCluster": "this Kubernetes version has no such field: leave it out",
    "UnknownLoadBalancer": "loadBalancerIP was tried; check that this load balancer reads it",
    "AllocationFailed": "the load balancer refused: its message says why",
    "WaitingForAddress": "wait; if it lasts, check that a load balancer such as MetalLB runs",
    "NotAnnounced": "the address is assigned and no node announces it: check the load balancer's speakers",
    "QuotaExceeded": "raise the quota that the message names, or remove what it counts",
    "PolicyDenied": "the message names the admission rule: change the exposure, or have its owner change the rule",
    "NamespaceTerminating": "the namespace is being deleted: wait until it is gone, then make it again",
    "ClusterIPsExhausted": "remove Services, or widen the cluster's Service range",
    "NodePortsExhausted": "remove LoadBalancer Services or ports, or widen the cluster's node-port range",
    "WebhookUnavailable": "an admission webhook of the cluster does not answer: the message names it",
    "EndpointsUnreadable": "apply the module's Role in that namespace (docs/guide/device.md)",
    "RBACDenied": "the message names verb, resource and namespace: give the module that right (docs/guide/device.md)",
    "Rejected": "Kubernetes refused the Service: the message names the field; correct it in the exposure",
    "NotCreatedYet": "wait for the module's next pass",
    "ClusterUnavailable": "the module cannot reach the cluster: check its kubeconfig or ServiceAccount",
    "NotReported": "the module is offline or has not looked yet",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One question, what was found, and what to try."""

    question: str
    verdict: Verdict
    answer: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The steps in order; the first wrong one is the reason."""

    device_id: str
    exposure: str
    state: str
    steps: tuple[Step, ...]

    def to_json(self) -> dict[str, Any]:
        steps = [
            {"question": step.question, "verdict": step.verdict, "answer": step.answer, "hint": step.hint}
            for step in self.steps
        ]
        return {"deviceId": self.device_id, "exposure": self.exposure, "state": self.state, "steps": steps}


def explain_exposure(hub: Hub, device_id: str, name: str, *, ask: bool = False) -> Explanation:
    """Reads the twins once and walks the questions; with `ask` a module that is connected is asked what it sees now."""
    state = observe_device(hub, device_id)
    twin = state.ours
    if twin is None or has_left(state.twins.get("$edgeAgent")):
        return _explain_predicted(hub, device_id, name)
    entry = report_of(twin).exposures.get(name)
    declared = twin.desired.get("exposures")
    if entry is None and not (isinstance(declared, dict) and name in declared):
        raise Refused(
            f"device {device_id} neither declares nor reports an exposure {name!r}",
            "edge-expose status shows what there is",
        )
    owners = [item.id for item in targeting_deployments(state, hub.deployments())]
    steps = [_declared(twin, name), _read(twin), _connected(twin), *_reported(twin, name)]
    if owners:
        steps.insert(1, Step("Who writes the declaration?", "ok", f"automatic deployment {', '.join(owners)}"))
    state_now = str(entry.state) if entry is not None else "Pending"
    if ask and twin.connection_state != "Disconnected":
        state_now, asked = _ask(hub, device_id, name, state_now)
        steps += asked
    return Explanation(device_id, name, state_now, tuple(steps))


def _explain_predicted(hub: Hub, device_id: str, name: str) -> Explanation:
    """A device without our module: edgeAgent makes the Services, and nobody reports on them."""
    found = predicted_status(hub, device_id).exposures
    if not found:
        raise Refused(
            f"device {device_id} has no module {MODULE_ID}", "apply a spec first: its manifest brings the module"
        )
    if name not in found:
        raise Missing(
            f"edgeAgent makes no Service {name!r} on device {device_id}", f"it makes: {', '.join(sorted(found))}"
        )
    entry = found[name]
    what = f"{entry['type']} {name} with {', '.join(entry['ports'])}"
    where = f"at {entry['address']}" if entry["address"] else "at an address that the load balancer chooses"
    steps = (
        Step("Who makes the Service?", "ok", f"edgeAgent: the manifest has no module {MODULE_ID} (driver: manifest)"),
        Step("What will it make?", "ok", f"{what} {where if entry['type'] == 'LoadBalancer' else 'in the cluster'}"),
        Step(
            "Is it there?",
            "unknown",
            "nobody says: edgeAgent does not report Services",
            f"kubectl get service {name} on the device, or apply with driver: module",
        ),
    )
    return Explanation(device_id, name, "Predicted", steps)


def _ask(hub: Hub, device_id: str, name: str, state: str) -> tuple[str, list[Step]]:
    """(the state the module gives now, a step for each check it made). A module that does not answer is no error."""
    question = "What does the module see right now?"
    try:
        answer = hub.invoke(device_id, MODULE_ID, "explain", {"exposure": name}, _METHOD_SECONDS)
    except HubError as error:
        return state, [Step(question, "unknown", f"it could not be asked: {error.message}")]
    body = answer.payload if isinstance(answer.payload, dict) else {}
    exposures = body.get("exposures")
    found = exposures.get(name) if isinstance(exposures, dict) else None
    if answer.status != 200 or not isinstance(found, dict):
        why = body.get("error") or body.get("cluster") or "nothing about this exposure"
        return state, [Step(question, "unknown", f"it answered {answer.status}: {why}")]
    steps = []
    for check in found.get("checks") or []:
        if isinstance(check, dict):
            ok = check.get("ok")
            verdict: Verdict = "unknown" if ok is None else "ok" if ok else "wrong"
            steps.append(Step(f"Asked now: {check.get('check', '')}?", verdict, str(check.get("found", ""))))
    return str(found.get("state") or state), steps


def _declared(twin: Twin, name: str) -> Step:
    question = "Is it declared, and without mistakes?"
    parsed = parse_desired(twin.desired)
    if isinstance(parsed, Refusal):
        return Step(
            question, "wrong", f"the whole document is refused: {parsed.description}", "correct the desired properties"
        )
    if name in parsed.invalid:
        first = parsed.invalid[name][0]
        return Step(question, "wrong", f"{first.path}: {first.message}", first.hint)
    if name not in parsed.exposures:
        return Step(
            question, "wrong", "no, it is still reported but no longer declared", "wait for the module to remove it"
        )
    exposure = parsed.exposures[name]
    if not exposure.enabled:
        return Step(question, "ok", "yes, with enabled: false")
    return Step(question, "ok", f"yes, {exposure.type} on {', '.join(map(str, exposure.mappings))}")


def _read(twin: Twin) -> Step:
    question = "Has the module read this version?"
    report = report_of(twin)
    if report.last_desired_version is None:
        return Step(
            question,
            "wrong",
            "the module has never reported",
            "check that it runs: its status is in $edgeAgent's reported properties",
        )
    if report.last_desired_version < twin.desired_version:
        return Step(
            question,
            "unknown",
            f"it reported version {report.last_desired_version}, the twin is at {twin.desired_version}",
            "wait; or the device is offline",
        )
    status = report.last_desired_status
    if status is not None and status.code != 200:
        hint = release_hint(twin.device_id) if status.code == 406 else "correct the desired properties"
        return Step(question, "wrong", f"yes, and answered {status.code}: {status.description}", hint)
    return Step(question, "ok", f"yes, version {twin.desired_version}, code 200")


def _connected(twin: Twin) -> Step:
    question = "Is the module connected to the hub?"
    if not twin.connection_state:
        return Step(question, "unknown", "the hub does not say")
    if twin.connection_state == "Connected":
        return Step(question, "ok", "yes")
    return Step(
        question, "unknown", f"{twin.connection_state}: what is below may be old", "check the device's connection"
    )


def _reported(twin: Twin, name: str) -> list[Step]:
    report = report_of(twin)
    entry = report.exposures.get(name)
    if entry is None:
        return [Step("What does the module say about it?", "unknown", "nothing yet", REASON_HINTS["NotReported"])]
    steps = []
    if report.cluster is not None:
        fine = report.cluster.api in ("ok", "")
        steps.append(
            Step(
                "Does the module reach the cluster?",
                "ok" if fine else "wrong",
                report.cluster.api or "ok",
                "" if fine else "check its kubeconfig or ServiceAccount",
            )
        )
    if report.pool is not None and report.pool.size:
        free = report.pool.free
        steps.append(
            Step(
                "Is an address free?",
                "ok" if free or entry.address else "wrong",
                f"{free} of {report.pool.size} free in {report.pool.ranges}",
                "" if free or entry.address else REASON_HINTS["PoolExhausted"],
            )
        )
    steps.append(
        Step("Does it have its address?", "ok" if entry.address else "unknown", entry.address or "none reported")
    )
    if entry.endpoints is not None:
        steps.append(
            Step(
                "Are there ready endpoints?",
                "ok" if entry.endpoints else "wrong",
                str(entry.endpoints),
                "" if entry.endpoints else REASON_HINTS["NoReadyEndpoints"],
            )
        )
    if entry.reason:
        steps.append(
            Step(
                "What does the module say about it?",
                "wrong",
                f"{entry.reason}: {entry.message or ''}".rstrip(": "),
                REASON_HINTS.get(entry.reason, ""),
            )
        )
    return steps
