"""doctor, support-bundle, and explain by direct method."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from edge_expose_cloud.cli import app
from edge_expose_cloud.findings.problems import Refused
from edge_expose_cloud.hub.api import HubError, HubProblem, MethodResult
from edge_expose_cloud.status.doctor import examine_device, examine_hub
from edge_expose_cloud.status.explain import explain_exposure
from edge_expose_cloud.status.support_bundle import support_bundle
from support.cloud import NOW, READY, SPEC, applied_hub, use_hub
from support.fake_hub import FakeHub

CLUSTER = {"version": "v1.36.3", "loadBalancer": "MetalLB/CRD", "api": "ok"}
BUNDLE = {"denied": [], "time": NOW.isoformat(), "log": ["a line"]}


def healthy() -> FakeHub:
    """Device d1 as it should be."""
    hub = applied_hub()
    hub.report("d1", "edge-expose", {**READY, "cluster": CLUSTER, "module": {"version": "1.0.0"}})
    hub.report(
        "d1",
        "$edgeAgent",
        {
            "lastDesiredVersion": hub.twins["d1", "$edgeAgent"].desired_version,
            "lastDesiredStatus": {"code": 200, "description": ""},
            "modules": {"edge-expose": {"runtimeStatus": "running"}},
        },
    )
    connect(hub, "Connected")
    hub.methods["d1", "edge-expose", "supportBundle"] = lambda payload: MethodResult(200, BUNDLE)
    return hub


def connect(hub: FakeHub, state: str) -> None:
    hub.twins["d1", "edge-expose"] = replace(hub.twins["d1", "edge-expose"], connection_state=state)


def wrong(hub: FakeHub) -> dict[str, str]:
    return {check.name: check.found for check in examine_device(hub, "d1", NOW) if check.verdict == "wrong"}


def test_a_healthy_device_passes_every_check() -> None:
    checks = [*examine_hub(healthy()), *examine_device(healthy(), "d1", NOW)]
    assert {check.verdict for check in checks} == {"ok"}, checks
    assert len(checks) >= 13


def report(**changes: Any) -> Callable[[FakeHub], None]:
    return lambda hub: hub.report("d1", "edge-expose", {**hub.twins["d1", "edge-expose"].reported, **changes})


def agent(**changes: Any) -> Callable[[FakeHub], None]:
    return lambda hub: hub.report("d1", "$edgeAgent", {**hub.twins["d1", "$edgeAgent"].reported, **changes})


def bundle(**changes: Any) -> Callable[[FakeHub], None]:
    def set_(hub: FakeHub) -> None:
        hub.methods["d1", "edge-expose", "supportBundle"] = lambda payload: MethodResult(200, {**BUNDLE, **changes})

    return set_


@pytest.mark.parametrize(
    ("harm", "check", "found"),
    [
        pytest.param(
            report(exposures={"db": {"state": "Blocked", "reason": "PoolExhausted"}}),
            "the exposures are Ready",
            "db Blocked (PoolExhausted)",
        ),
        pytest.param(
            agent(lastDesiredStatus={"code": 400, "description": "bad config"}),
            "edgeAgent applies its manifest",
            "400 bad config",
            id="edgeAgent refuses the manifest",
        ),
        pytest.param(
            agent(modules={"edge-expose": {"runtimeStatus": "backoff", "statusDescription": "no image"}}),
            "the module runs",
            "backoff (no image)",
            id="the module does not start",
        ),
        pytest.param(
            lambda hub: connect(hub, "Disconnected"), "the module is connected to the hub", "Disconnected", id="offline"
        ),
        pytest.param(
            lambda hub: hub.report("d1", "edge-expose", {}), "the module has reported", "never", id="never reported"
        ),
        pytest.param(
            report(lastDesiredStatus={"code": 406, "description": "too many removals"}),
            "it has taken the document",
            "406: too many removals",
            id="the removal guard holds back",
        ),
        pytest.param(
            report(cluster={**CLUSTER, "api": "forbidden"}),
            "the module reaches the cluster",
            "forbidden",
            id="no rights in the cluster",
        ),
        pytest.param(
            bundle(denied=["list services in web"]),
            "it has the rights it needs in the cluster",
            "list services in web",
            id="a right is missing",
        ),
        pytest.param(bundle(time="2026-11-25T10:00:00+00:00"), "its clock is right", "7200 s", id="the clock is off"),
        pytest.param(
            lambda hub: hub.twins.pop(("d1", "edge-expose")),
            "the module edge-expose is deployed",
            "no such module",
            id="the module is not deployed",
        ),
        pytest.param(
            lambda hub: hub.twins.pop(("d1", "$edgeAgent")),
            "it is an IoT Edge device",
            "no $edgeAgent",
            id="not an edge device",
        ),
        pytest.param(lambda hub: hub.twins.pop(("d1", None)), "the device is registered", "no", id="not registered"),
    ],
)
def test_what_is_wrong_is_found_and_said(harm: Callable[[FakeHub], Any], check: str, found: str) -> None:
    hub = healthy()
    harm(hub)
    assert found in wrong(hub).get(check, "nothing"), wrong(hub)
    hints = [item.hint for item in examine_device(hub, "d1", NOW) if item.verdict == "wrong"]
    assert all(hints)


def test_a_sign_in_without_rights_is_found_before_the_device_is_asked() -> None:
    hub = healthy()

    def refuse(call: str) -> None:
        if call == "deployments":
            raise HubError(HubProblem.UNAUTHORIZED, "401")

    hub.before = refuse
    verdicts = {check.name: check.verdict for check in examine_hub(hub)}
    assert verdicts["may list deployments (registry read)"] == "wrong"
    assert verdicts["may query (service connect)"] == "ok"


def test_a_module_that_cannot_be_asked_is_no_error() -> None:
    hub = healthy()
    hub.methods.clear()
    verdicts = {check.name: check.verdict for check in examine_device(hub, "d1", NOW)}
    assert verdicts["it answers direct methods"] == "unknown"


@pytest.fixture
def told() -> Iterator[FakeHub]:
    hub = healthy()
    use_hub(hub)
    yield hub
    use_hub(None)


def test_the_command_ends_with_1_when_something_is_wrong(told: FakeHub) -> None:
    bundle(time="not said")(told)  # the command looks at the real clock
    assert CliRunner().invoke(app, ["doctor", "d1"]).exit_code == 0
    told.twins.pop(("d1", "edge-expose"))
    result = CliRunner().invoke(app, ["doctor", "d1", "-o", "json"])
    assert result.exit_code == 1
    assert {"check", "verdict", "found", "hint"} == set(json.loads(result.stdout)["checks"][0])


def test_a_support_bundle_holds_no_secret(told: FakeHub, tmp_path: Path) -> None:
    agent_twin = told.twins["d1", "$edgeAgent"]
    desired = json.loads(json.dumps(agent_twin.desired))
    desired["runtime"]["settings"]["registryCredentials"] = {
        "a": {"address": "r", "username": "u", "password": "hunter2"}
    }
    desired["modules"]["web"]["env"] = {"TOKEN": {"value": "hunter3"}}
    desired["modules"]["web"]["settings"]["createOptions"] = '{"Env":["PW=hunter4"]}'
    told.twins["d1", "$edgeAgent"] = replace(agent_twin, desired=desired)
    path = tmp_path / "b.json"
    result = CliRunner().invoke(app, ["support-bundle", "d1", "--file", str(path)])
    assert result.exit_code == 0, result.output
    text = path.read_text()
    assert "hunter" not in text
    body = json.loads(text)
    assert body["module"]["log"] == ["a line"]
    assert set(body["twins"]) == {"$edgeAgent", "$edgeHub", "edge-expose"}
    assert path.stat().st_mode & 0o777 == 0o600
    assert body == json.loads(
        json.dumps(support_bundle(told, "d1", NOW) | {"made": body["made"], "checks": body["checks"]})
    )


CHECKS = [
    {"check": "its Service exists", "ok": True, "found": "d1/web-out"},
    {"check": "pods match the selector", "ok": False, "found": "0 pods"},
    {"check": "the address pool is sound", "ok": None, "found": "not read"},
]


def test_explain_asks_a_module_that_is_connected() -> None:
    hub = healthy()
    asked: list[Any] = []

    def answer(payload: Any) -> MethodResult:
        asked.append(payload)
        return MethodResult(200, {"exposures": {"web-out": {"state": "Pending", "checks": CHECKS}}})

    hub.methods["d1", "edge-expose", "explain"] = answer
    found = explain_exposure(hub, "d1", "web-out", ask=True)
    assert asked == [{"exposure": "web-out"}]
    assert found.state == "Pending"
    assert [step.verdict for step in found.steps[-3:]] == ["ok", "wrong", "unknown"]
    assert found.steps[-2].question == "Asked now: pods match the selector?"


@pytest.mark.parametrize(
    "answer",
    [
        lambda payload: MethodResult(200, {"exposures": {}, "cluster": "no pass was made yet"}),
        lambda payload: MethodResult(404, {"error": "there is no method"}),
        lambda payload: MethodResult(200, "text"),
        None,
    ],
    ids=["it has nothing to say", "an older module without the method", "an answer that is no object", "no answer"],
)
def test_explain_falls_back_on_the_twin(answer: Callable[[Any], MethodResult] | None) -> None:
    hub = healthy()
    if answer is not None:
        hub.methods["d1", "edge-expose", "explain"] = answer
    found = explain_exposure(hub, "d1", "web-out", ask=True)
    assert (found.state, found.steps[-1].verdict) == ("Ready", "unknown")
    assert [step.question for step in found.steps[:-1]] == [
        step.question for step in explain_exposure(hub, "d1", "web-out").steps
    ]


def test_a_module_that_is_away_is_not_asked() -> None:
    hub = healthy()
    connect(hub, "Disconnected")
    explain_exposure(hub, "d1", "web-out", ask=True)
    assert "invoke" not in hub.calls


def test_status_of_a_module_that_never_reported_says_what_edge_agent_says() -> None:
    hub = applied_hub(SPEC)
    hub.report(
        "d1", "$edgeAgent", {"modules": {"edge-expose": {"runtimeStatus": "backoff", "statusDescription": "no image"}}}
    )
    use_hub(hub)
    try:
        result = CliRunner().invoke(app, ["status", "d1"])
    finally:
        use_hub(None)
    assert result.exit_code == 0
    assert "never reported; edgeAgent says edge-expose is backoff (no image)" in result.stdout
    assert "Pending" in result.stdout


# -- driver: manifest --


def by_manifest() -> FakeHub:
    """Device d1 whose Services edgeAgent makes; our module was never there."""
    return applied_hub(SPEC.replace("target:", "driver: manifest\ntarget:"))


def test_a_device_without_our_module_is_healthy_when_edge_agent_makes_the_services() -> None:
    found = {check.name: (check.verdict, check.found) for check in examine_device(by_manifest(), "d1", NOW)}
    said = ("ok", "no, edgeAgent makes 2 Services itself (driver: manifest)")
    assert found["the module edge-expose is deployed"] == said


def test_a_service_of_edge_agent_is_explained_and_another_is_not() -> None:
    found = explain_exposure(by_manifest(), "d1", "web")
    assert found.state == "Predicted"
    assert "LoadBalancer web with 8080:80/tcp at 10.0.0.11" in [step.answer for step in found.steps]
    with pytest.raises(Refused, match="no Service 'web-out'"):
        explain_exposure(by_manifest(), "d1", "web-out")


def test_a_module_that_left_the_manifest_is_not_taken_for_running() -> None:
    hub = healthy()
    hub.patch_module_twin("d1", "$edgeAgent", {"modules": {"edge-expose": None}}, "*")
    assert "web-out" in wrong(hub)["the module edge-expose is deployed"]
    assert "the module runs" not in [check.name for check in examine_device(hub, "d1", NOW)]
