"""Explain: the decisions on the way from a declared exposure to a reachable address, from the twin alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from edge_expose_cloud.findings.problems import Missing, Refused, no_module
from edge_expose_cloud.hub.api import Hub, HubError, Twin
from edge_expose_cloud.plan.device import report_of
from edge_expose_cloud.plan.observation import observe_device, targeting_deployments
from edge_expose_cloud.status.device import has_left, predicted_status
from edge_expose_cloud.status.fleet import needs_address, release_hint
from edge_expose_contract.identity import MODULE_ID
from edge_expose_contract.parsing import Refusal, parse_desired
from edge_expose_contract.reason_table import MEANINGS, REASON_TABLE
from edge_expose_contract.reported import ExposureReport, Reported

_METHOD_SECONDS = 10
Verdict = Literal["ok", "wrong", "unknown"]

# What to try for each reason that the module may report, and for one that it cannot; newer modules may give others,
# which are shown with the module's own message.
REASON_HINTS: Mapping[str, str] = {reason: row.cure for reason, row in REASON_TABLE.items()} | {
    "NotReported": "the module is offline or has not looked yet"
}


@dataclass(frozen=True, slots=True)
class Step:
    """One question, what was found, and what to try; `code` is the reason code of a wrong answer."""

    question: str
    verdict: Verdict
    answer: str
    hint: str = ""
    code: str = ""

    @property
    def text(self) -> str:
        """With the code in front, for a terminal and for programs."""
        return f"{self.code}: {self.answer}".rstrip(": ") if self.code else self.answer


@dataclass(frozen=True, slots=True)
class Explanation:
    """The steps in order; the first wrong one is the reason."""

    device_id: str
    exposure: str
    state: str
    steps: tuple[Step, ...]

    def to_json(self) -> dict[str, Any]:
        steps = [
            {"question": step.question, "verdict": step.verdict, "answer": step.text, "hint": step.hint}
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
        raise no_module(device_id)
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
        return Step(question, "wrong", f"yes, and did not accept it: {status.description}", hint, str(status.code))
    return Step(question, "ok", f"yes, version {twin.desired_version}")


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
    steps += _address(report, entry, needs_address(twin, name))
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
                entry.message or MEANINGS.get(entry.reason, ""),
                REASON_HINTS.get(entry.reason, ""),
                entry.reason,
            )
        )
    return steps


def _address(report: Reported, entry: ExposureReport, needed: bool | None) -> list[Step]:
    """Free addresses matter to an exposure that lacks one. Where `needed` is None, nothing here is wrong."""
    if needed is False:
        return [Step("Does it need an external address?", "ok", "no, it is reached inside the cluster")]
    steps = []
    has = bool(entry.address) and entry.reason != "PoolExhausted"
    pool = report.pool
    if pool is not None and pool.size:
        free = f"{pool.free} of {pool.size} free in {pool.ranges}"
        question = "Is an address free?"
        lacking: Verdict = "wrong" if needed else "unknown"
        if has and not pool.free:
            steps.append(Step(question, "ok", f"not needed, it has its address; {free}"))
        elif has or pool.free:
            steps.append(Step(question, "ok", free))
        else:
            steps.append(Step(question, lacking, free, REASON_HINTS["PoolExhausted"]))
    return [
        *steps,
        Step("Does it have its address?", "ok" if entry.address else "unknown", entry.address or "none reported"),
    ]
