"""Status, waiting and explaining, from what the module reported."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from edge_expose_cloud.findings.problems import Refused
from edge_expose_cloud.hub.api import HubError, HubProblem
from edge_expose_cloud.status.device import device_status, fleet_status
from edge_expose_cloud.status.explain import REASON_HINTS, explain_exposure
from edge_expose_cloud.status.fleet import not_converged, status_of
from edge_expose_cloud.status.wait import Clock, WaitResult, wait_for_exposures, wait_until_ready
from edge_expose_contract.reasons import REASONS
from support.cloud import READY, SPEC, applied_hub, spec_of_text
from support.fake_hub import FakeHub
from support.planning import FLEET, do

ROOT = Path(__file__).resolve().parents[3]


@dataclass
class FakeClock:
    """Time that passes only by sleeping; `events` happen when their second comes."""

    now: float = 0.0
    events: list[tuple[float, Any]] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        while self.events and self.events[0][0] <= self.now:
            self.events.pop(0)[1]()

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.now, self.sleep)


def reported(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(READY), **changes}


def exposure(**changes: Any) -> dict[str, Any]:
    report = reported()
    report["exposures"]["web-out"] |= changes
    return report


def wait(hub: FakeHub, clock: FakeClock, text: str = SPEC, timeout: float = 60) -> tuple[WaitResult, list[str]]:
    """The result, and the reasons it showed, each once in a row."""
    said: list[str] = []

    def looked(now: WaitResult) -> None:
        if now.reason and now.reason != (said[-1] if said else ""):
            said.append(now.reason)

    return wait_until_ready(hub, spec_of_text(text), timeout, clock.clock, looked), said


def test_waiting_ends_when_everything_is_ready() -> None:
    hub, clock = applied_hub(), FakeClock()
    clock.events = [
        (5, lambda: hub.report("d1", "edge-expose", exposure(state="Pending", reason="NoReadyEndpoints"))),
        (10, lambda: hub.report("d1", "edge-expose", reported())),
    ]
    result, said = wait(hub, clock)
    assert result.done
    assert 10 <= clock.now < 20
    assert said == [
        "d1: the module has not reported yet; edgeAgent says nothing yet (is the device connected?)",
        "d1: exposure web-out is Pending (NoReadyEndpoints)",
    ]


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        pytest.param({}, "has not reported yet", id="nothing reported"),
        pytest.param(reported(lastDesiredVersion=0), "has seen version 0 of 1", id="an older version"),
        pytest.param(
            reported(lastDesiredStatus={"code": 406, "description": "removal guard"}),
            "answered 406: removal guard",
            id="the document is refused",
        ),
        pytest.param(
            exposure(state="Blocked", reason="PoolExhausted", message="none left"),
            "web-out is Blocked (PoolExhausted: none left)",
            id="an exposure is blocked",
        ),
        pytest.param(exposure(state="Disabled"), "web-out is Disabled", id="disabled though it is wanted"),
        pytest.param(reported(exposures={}), "exposure db is not reported yet", id="an exposure is missing"),
        pytest.param(reported(), None, id="all Ready"),
        pytest.param(exposure(state="Expired"), None, id="expired is settled"),
    ],
)
def test_why_a_device_has_not_converged(report: dict[str, Any], reason: str | None) -> None:
    hub = applied_hub()
    hub.report("d1", "edge-expose", report)
    twin = hub.module_twin("d1", "edge-expose")
    assert twin is not None
    found = not_converged(twin)
    assert found is None if reason is None else (found is not None and reason in found)


def test_a_declaration_that_is_wrong_is_not_converged_whatever_the_others_are() -> None:
    hub = applied_hub()
    hub.patch_module_twin("d1", "edge-expose", {"exposures": {"typo": {"ports": ["x:y:z"]}}}, "*")
    wrong = {"state": "Blocked", "reason": "InvalidExposure", "message": "ports: x:y:z"}
    version = hub.twins["d1", "edge-expose"].desired_version
    hub.report(
        "d1", "edge-expose", reported(lastDesiredVersion=version, exposures={**READY["exposures"], "typo": wrong})
    )
    twin = hub.module_twin("d1", "edge-expose")
    assert twin is not None
    assert not_converged(twin) == "exposure typo is Blocked (InvalidExposure: ports: x:y:z)"
    assert not_converged(twin, frozenset({"db"})) is None


def test_waiting_gives_up_in_time_with_the_reason() -> None:
    hub, clock = applied_hub(), FakeClock()
    hub.report("d1", "edge-expose", exposure(state="Blocked", reason="PoolExhausted", message="none left"))
    result, _ = wait(hub, clock, timeout=30)
    assert not result.done
    assert result.reason == "d1: exposure web-out is Blocked (PoolExhausted: none left)"
    assert clock.now == pytest.approx(30)


def test_a_hub_that_is_away_for_a_while_does_not_end_the_wait() -> None:
    hub, clock = applied_hub(), FakeClock()
    hub.report("d1", "edge-expose", reported())

    def away(call: str) -> None:
        if clock.now < 8:
            raise HubError(HubProblem.UNREACHABLE, "the hub could not be reached")

    hub.before = away
    result, said = wait(hub, clock)
    assert result.done
    assert said == ["the hub could not be reached"]


def test_devices_stay_in_sight_while_the_hub_is_away() -> None:
    hub, clock = applied_hub(), FakeClock()
    hub.report("d1", "edge-expose", exposure(state="Pending", reason="NoReadyEndpoints"))
    clock.events = [(20, lambda: hub.report("d1", "edge-expose", reported()))]

    def away(call: str) -> None:
        if 5 < clock.now < 10:
            raise HubError(HubProblem.UNREACHABLE, "the hub could not be reached")

    hub.before = away
    seen: list[WaitResult] = []
    assert wait_until_ready(hub, spec_of_text(SPEC), 60, clock.clock, seen.append).done
    gone = [look for look in seen if look.reason == "the hub could not be reached"]
    assert gone
    assert {device.device_id for look in gone for device in look.devices} == {"d1"}
    assert seen[-1].done


def test_a_wrong_key_ends_the_wait_at_once() -> None:
    hub, clock = applied_hub(), FakeClock()

    def refuse(call: str) -> None:
        raise HubError(HubProblem.UNAUTHORIZED, "no")

    hub.before = refuse
    with pytest.raises(HubError):
        wait(hub, clock)
    assert clock.now == 0


def test_one_exposure_is_waited_for_whatever_the_others_are() -> None:
    hub, clock = applied_hub(), FakeClock()
    report = exposure(state="Blocked", reason="PoolExhausted")
    names = list(hub.twins["d1", "edge-expose"].desired["exposures"])
    other = next(name for name in names if name != "web-out")
    report["exposures"][other] = {"state": "Pending", "reason": "NoReadyEndpoints"}
    hub.report("d1", "edge-expose", report)
    ready = copy.deepcopy(report)
    ready["exposures"][other] = {"state": "Ready"}
    clock.events = [(5, lambda: hub.report("d1", "edge-expose", ready))]
    result = wait_for_exposures(hub, "d1", [other], 60, clock.clock, lambda now: None)
    assert result.done, result.reason
    assert clock.now >= 5
    assert wait_for_exposures(hub, "d1", [], 1, clock.clock, lambda now: None).done, "the document is taken"
    assert "web-out is Blocked" in wait_for_exposures(hub, "d1", ["web-out"], 1, clock.clock, lambda now: None).reason
    assert "does not exist" in wait_for_exposures(hub, "d9", ["x"], 1, clock.clock, lambda now: None).reason


def test_what_edge_agent_says_about_a_module_that_does_not_start() -> None:
    hub, clock = applied_hub(), FakeClock()
    hub.report(
        "d1",
        "$edgeAgent",
        {"modules": {"edge-expose": {"runtimeStatus": "backoff", "statusDescription": "image not found"}}},
    )
    result, _ = wait(hub, clock, timeout=1)
    assert result.reason.endswith("edgeAgent says edge-expose is backoff (image not found)")


def test_with_the_manifest_driver_edge_agents_own_answer_counts() -> None:
    text = SPEC + "driver: manifest\n"
    hub, clock = applied_hub(text), FakeClock()
    assert not wait(hub, clock, text, timeout=1)[0].done
    version = hub.twins["d1", "$edgeAgent"].desired_version
    hub.report("d1", "$edgeAgent", {"lastDesiredVersion": version, "lastDesiredStatus": {"code": 200}})
    assert wait(hub, clock, text, timeout=1)[0].done


def test_a_condition_that_matches_nobody_is_said() -> None:
    text = SPEC.replace("{device: d1}", "{condition: \"tags.x='y'\"}")
    result, _ = wait(FakeHub(), FakeClock(), text, timeout=1)
    assert "matches no device" in result.reason


def test_status_joins_what_is_declared_and_what_is_reported() -> None:
    hub = applied_hub()
    hub.report("d1", "edge-expose", reported(exposures={"web-out": READY["exposures"]["web-out"]}))  # type: ignore[index]
    status = device_status(hub, "d1").to_json()
    assert status["exposures"]["web-out"] == {
        "state": "Ready",
        "address": "10.0.0.11",
        "service": "d1/web-out",
        "endpoints": 1,
        "type": "LoadBalancer",
        "ports": ["8080:80/tcp"],
    }
    assert (status["exposures"]["db"]["state"], status["exposures"]["db"]["reason"]) == ("Pending", "NotReported")
    assert status["summary"]["ready"] == 2


def test_status_of_garbage_reports_does_not_fail() -> None:
    hub = applied_hub()
    hub.report("d1", "edge-expose", {"exposures": {"x": 5, "y": {"state": "Glowing"}, "web-out": {"state": "Ready"}}})
    twin = hub.module_twin("d1", "edge-expose")
    assert twin is not None
    assert set(status_of(twin).exposures) == {"db", "web-out"}


def test_a_device_without_our_module_shows_what_edge_agent_makes_as_predicted() -> None:
    hub = applied_hub(SPEC + "driver: manifest\n")
    found = device_status(hub, "d1").exposures
    assert {name: entry["state"] for name, entry in found.items()} == {"database": "Predicted", "web": "Predicted"}
    assert found["web"]["address"] == "10.0.0.11"


def test_status_of_a_bare_device_says_what_to_do() -> None:
    hub = FakeHub()
    hub.add_device("d1")
    with pytest.raises(Refused, match="has no module"):
        device_status(hub, "d1")


def test_the_fleet_is_every_device_with_our_module() -> None:
    hub = applied_hub()
    hub.add_device("d0")
    hub.add_module("d0", "edge-expose", {"schemaVersion": "1.0", "exposures": {}})
    assert [item.device_id for item in fleet_status(hub)] == ["d0", "d1"]


def first_wrong(hub: FakeHub, name: str = "web-out") -> tuple[str, str]:
    step = next(step for step in explain_exposure(hub, "d1", name).steps if step.verdict == "wrong")
    return step.answer, step.hint


def test_explain_gives_the_reason_and_what_to_try() -> None:
    hub = applied_hub()
    hub.report("d1", "edge-expose", exposure(state="Pending", reason="NoReadyEndpoints", message="no pod", endpoints=0))
    answer, hint = first_wrong(hub)
    assert answer == "0"
    assert "selector" in hint


FULL_POOL = {"ranges": "10.0.0.10-10.0.0.20", "size": 11, "used": 10, "reserved": 1, "free": 0}
HELD_BACK = {"state": "Ready", "service": "d1/old", "endpoints": 1, "reason": "RemovalHeldBack"}


def explained(entry: dict[str, Any], name: str = "web-out", free: int = 0) -> dict[str, tuple[str, str]]:
    hub = applied_hub()
    pool = {**FULL_POOL, "used": 10 - free, "free": free}
    hub.report("d1", "edge-expose", {"lastDesiredVersion": 1, "pool": pool, "exposures": {name: entry}})
    return {step.question: (step.verdict, step.answer) for step in explain_exposure(hub, "d1", name).steps}


@pytest.mark.parametrize(
    ("entry", "free", "verdict", "answer"),
    [
        pytest.param(
            {"state": "Ready", "address": "10.0.0.11"},
            *(0, "ok", "not needed, it has its address; 0 of 11 free in 10.0.0.10-10.0.0.20"),
            id="one that has its address",
        ),
        pytest.param(
            {"state": "Blocked", "reason": "PoolExhausted"},
            *(0, "wrong", "0 of 11 free in 10.0.0.10-10.0.0.20"),
            id="one that lacks an address",
        ),
        pytest.param(
            {"state": "Blocked", "reason": "PoolExhausted", "address": "10.0.0.11"},
            *(0, "wrong", "0 of 11 free in 10.0.0.10-10.0.0.20"),
            id="one that has an address and lacks another",
        ),
        pytest.param({"state": "Pending"}, 2, "ok", "2 of 11 free in 10.0.0.10-10.0.0.20", id="there is room"),
    ],
)
def test_explain_ticks_the_pool_where_there_is_room_or_none_is_needed(
    entry: dict[str, Any], free: int, verdict: str, answer: str
) -> None:
    assert explained(entry, free=free)["Is an address free?"] == (verdict, answer)


@pytest.mark.parametrize(("name", "entry"), [("db", {"state": "Ready", "service": "d1/db"}), ("old", HELD_BACK)])
def test_an_exposure_inside_the_cluster_needs_no_address(name: str, entry: dict[str, Any]) -> None:
    found = explained(entry, name)
    assert found["Does it need an external address?"] == ("ok", "no, it is reached inside the cluster")
    assert "Is an address free?" not in found


def test_of_an_exposure_that_is_no_longer_declared_nobody_says_that_it_lacks_an_address() -> None:
    assert explained({**HELD_BACK, "state": "Pending"}, "old")["Is an address free?"][0] == "unknown"


def test_explain_starts_with_the_declaration() -> None:
    hub = applied_hub()
    hub.patch_module_twin("d1", "edge-expose", {"exposures": {"web-out": {"ports": ["0"]}}}, "*")
    assert "between 1 and 65535" in first_wrong(hub)[0]


def test_explain_of_nothing_is_refused() -> None:
    with pytest.raises(Refused, match="neither declares nor reports"):
        explain_exposure(applied_hub(), "d1", "ghost")


def test_every_reason_that_the_module_gives_has_a_hint_and_no_other_has_one() -> None:
    source = "".join(path.read_text() for path in (ROOT / "module" / "edge_expose_module").rglob("*.py"))
    assert {reason for reason in REASONS if f'"{reason}"' not in source} == set()
    assert REASON_HINTS.keys() == REASONS | {"NotReported"}


def test_a_device_where_another_deployment_wins_is_not_done() -> None:
    hub = applied_hub()
    hub.report("d1", "edge-expose", READY)
    do(hub, FLEET)
    hub.target(next(iter(hub.configurations)), "d1")
    result, _ = wait(hub, FakeClock(), FLEET, timeout=1)
    assert not result.done
    assert "exposure shop is not in its twin yet (or another deployment wins there)" in result.reason
