"""Rollback: deployments that are promoted again, backups that are restored, and runs that were cut short."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge_expose_cloud.adapters.files import backups_of
from edge_expose_cloud.cli import app
from edge_expose_cloud.findings.problems import Refused
from edge_expose_cloud.hub.api import Deployment, HubError, HubProblem, Json
from edge_expose_cloud.hub.authorship import without_change
from edge_expose_cloud.plan.backups import content_of, text_of
from edge_expose_cloud.plan.deployment import live_deployments, retired_deployments
from edge_expose_cloud.plan.model import LEASE_TAG, CreateDeployment, PatchTwin, SetModules, TidyDeployments
from edge_expose_cloud.usecases.apply import apply_plan
from edge_expose_cloud.usecases.operator import Operator
from edge_expose_cloud.usecases.plan import make_plan
from edge_expose_cloud.usecases.rollback import history, plan_promotion, plan_restore
from support.cloud import NOW, SPEC, applied_hub, spec_of_text, use_hub
from support.fake_hub import FakeHub

FLEET = """\
schemaVersion: "1.0"
name: north
target: {condition: "tags.site='north'", priority: 10}
modules: {web: {image: "a/web:1"}}
exposures: {shop: {module: web, ports: ["80"]}}
"""


class Times:
    """A clock that moves on a second at each look, and somebody who applies."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> dt.datetime:
        self.now += dt.timedelta(seconds=1)
        return self.now


@pytest.fixture
def operator() -> Operator:
    return Operator("me@here", Times())


def ports_of(hub: FakeHub) -> list[list[str]]:
    """The ports of `shop` in each live deployment of north, the one applied last first."""
    key = "properties.desired.exposures.shop"
    live = live_deployments("north", hub.deployments())
    return [item.modules_content["edge-expose"][key]["ports"] for item in live]


def apply_fleet(hub: FakeHub, operator: Operator, port: str, condition: str = "north") -> None:
    text = FLEET.replace('"80"', f'"{port}"').replace("'north'", f"'{condition}'")
    apply_plan(hub, make_plan(hub, spec_of_text(text), {}), operator)


def test_the_deployment_before_is_promoted_again_with_its_condition(operator: Operator) -> None:
    hub = FakeHub()
    apply_fleet(hub, operator, "80", "north")
    apply_fleet(hub, operator, "81", "south")
    made = plan_promotion(hub, "north", None)
    assert {danger.kind for danger in made.dangers} == {"retarget"}
    apply_plan(hub, made, operator)
    (live,) = live_deployments("north", hub.deployments())
    assert (ports_of(hub), live.target_condition) == ([["80"]], "tags.site='north'")
    assert [item.live for item in history(hub, "north")] == [True, False]
    assert {item.by for item in history(hub, "north")} == {"me@here"}


def test_going_back_twice_goes_back_and_forth(operator: Operator) -> None:
    hub = FakeHub()
    apply_fleet(hub, operator, "80")
    apply_fleet(hub, operator, "81")
    for expected in ("80", "81", "80"):
        apply_plan(hub, plan_promotion(hub, "north", None), operator)
        assert ports_of(hub) == [[expected]]


def test_the_last_three_are_kept_and_any_of_them_can_be_named(operator: Operator) -> None:
    hub = FakeHub()
    for port in ("80", "81", "82", "83", "84"):
        apply_fleet(hub, operator, port)
    kept = [item.id for item in history(hub, "north") if not item.live]
    assert len(kept) == 3
    apply_plan(hub, plan_promotion(hub, "north", kept[-1]), operator)
    assert ports_of(hub) == [["81"]]


def test_what_cannot_be_gone_back_to_is_said(operator: Operator) -> None:
    hub = FakeHub()
    with pytest.raises(Refused, match="no deployment of a spec named 'north'"):
        plan_promotion(hub, "north", None)
    apply_fleet(hub, operator, "80")
    with pytest.raises(Refused, match="no earlier deployment"):
        plan_promotion(hub, "north", None)


def test_exposures_that_only_the_newer_deployment_has_are_named(operator: Operator) -> None:
    hub = FakeHub()
    apply_fleet(hub, operator, "80")
    text = FLEET.replace(
        'exposures: {shop: {module: web, ports: ["80"]}}', "exposures: {cart: {module: web, ports: [1]}}"
    )
    apply_plan(hub, make_plan(hub, spec_of_text(text), {}), operator)
    assert "cart" in plan_promotion(hub, "north", None).notes[0]


class Killed(BaseException):
    """As kill -9: nothing after it runs, not even the handlers of expected errors."""


def dying(hub: FakeHub, call: str, number: int, error: BaseException) -> Callable[[str], None]:
    seen = 0

    def before(name: str) -> None:
        nonlocal seen
        if name == call:
            seen += 1
            if seen == number:
                hub.before = None
                raise error

    return before


@pytest.mark.parametrize(
    ("call", "number"),
    [("create_deployment", 1), ("update_deployment", 1), ("deployments", 2), ("delete_deployment", 1)],
)
def test_a_deployment_cut_short_is_finished_by_the_next_apply(operator: Operator, call: str, number: int) -> None:
    hub = FakeHub()
    for port in ("80", "81", "82", "83"):
        apply_fleet(hub, operator, port)
    made = make_plan(hub, spec_of_text(FLEET.replace('"80"', '"84"')), {})
    hub.before = dying(hub, call, number, Killed())
    with pytest.raises(Killed):
        apply_plan(hub, made, operator)
    assert live_deployments("north", hub.deployments()), "no moment without a deployment"
    hub.before = None
    spec = spec_of_text(FLEET.replace('"80"', '"84"'))
    again = make_plan(hub, spec, {})
    assert isinstance(again.step, CreateDeployment | TidyDeployments)
    apply_plan(hub, again, operator)
    assert ports_of(hub) == [["84"]]
    assert len(retired_deployments("north", hub.deployments())) == 3
    assert make_plan(hub, spec, {}).changes == ()


def test_a_promotion_cut_short_is_finished_by_applying_the_older_spec(operator: Operator) -> None:
    hub = FakeHub()
    apply_fleet(hub, operator, "80")
    apply_fleet(hub, operator, "81")
    made = plan_promotion(hub, "north", None)
    hub.before = dying(hub, "update_deployment", 2, Killed())
    with pytest.raises(Killed):
        apply_plan(hub, made, operator)
    assert ports_of(hub) == [["80"], ["81"]]
    apply_fleet(hub, operator, "80")
    assert ports_of(hub) == [["80"]]


@pytest.mark.parametrize(
    ("by", "alive", "taken"),
    [("me@here", False, True), ("me@here", True, False), ("you@there", False, False)],
    ids=["my own dead run: taken over", "my other run lives: refused", "somebody else: refused"],
)
def test_the_lease_of_a_run_that_was_killed(by: str, alive: bool, taken: bool) -> None:
    hub = applied_hub()
    until = (NOW + dt.timedelta(seconds=50)).isoformat()
    hub.patch_device_tags("d1", {LEASE_TAG: {"by": by, "until": until, "pid": 7}}, "*")
    made = make_plan(hub, spec_of_text(SPEC.replace("a/web:1", "a/web:2")), {})
    next_run = Operator("me@here", lambda: NOW, pid=8, is_alive=lambda pid: alive)
    if taken:
        apply_plan(hub, made, next_run)
        assert LEASE_TAG not in hub.twins["d1", None].tags
    else:
        with pytest.raises(Refused, match="is applying to d1"):
            apply_plan(hub, made, next_run)


def test_a_lease_that_outlived_its_work_is_given_back_by_the_next_apply() -> None:
    hub = applied_hub()
    lease = {"by": "me@here", "until": (NOW + dt.timedelta(seconds=50)).isoformat(), "pid": 7}
    hub.patch_device_tags("d1", {LEASE_TAG: lease}, "*")
    for alive, left in ((True, True), (False, False)):
        made = make_plan(hub, spec_of_text(SPEC), {})
        assert made.step is None
        apply_plan(hub, made, Operator("me@here", lambda: NOW, pid=8, is_alive=lambda pid, alive=alive: alive))  # type: ignore[misc]
        assert (LEASE_TAG in hub.twins["d1", None].tags) is left


def test_a_hub_that_goes_away_under_set_modules_is_the_error_that_is_told() -> None:
    hub = applied_hub()
    made = make_plan(hub, spec_of_text(SPEC.replace("a/web:1", "a/web:2")), {})

    def gone(call: str) -> None:
        if call == "apply_content":
            hub.before = lambda _: (_ for _ in ()).throw(HubError(HubProblem.UNREACHABLE, "also gone"))
            raise HubError(HubProblem.UNREACHABLE, "gone")

    hub.before = gone
    with pytest.raises(HubError, match=r"^gone$"):
        apply_plan(hub, made, Operator("me@here", lambda: NOW))


def backup_of(hub: FakeHub) -> Json:
    twins = {module: twin for (device, module), twin in hub.twins.items() if device == "d1" and module}
    content = content_of(text_of(twins, "hub"))
    assert content is not None
    return content


def changed(content: Json, old: str, new: str) -> Json:
    found: Json = json.loads(json.dumps(content).replace(old, new))
    return found


def test_a_backup_is_restored_by_a_patch_when_only_exposures_differ(operator: Operator) -> None:
    hub = applied_hub()
    content = backup_of(hub)
    before = without_change(hub.twins["d1", "edge-expose"].desired)
    apply_plan(hub, make_plan(hub, spec_of_text(SPEC.replace("8080:80", "9090:80")), {}), operator)
    made = plan_restore(hub, "d1", content)
    assert isinstance(made.step, PatchTwin)
    assert {change.kind for change in made.changes} == {"ModuleTwin", "Service"}
    apply_plan(hub, made, operator)
    assert without_change(hub.twins["d1", "edge-expose"].desired) == before
    assert plan_restore(hub, "d1", content).changes == ()


def test_a_backup_is_restored_whole_when_modules_differ(operator: Operator) -> None:
    hub = applied_hub()
    content, before = backup_of(hub), hub.twins["d1", "$edgeAgent"].desired
    apply_plan(hub, make_plan(hub, spec_of_text(SPEC.replace("a/web:1", "a/web:2")), {}), operator)
    made = plan_restore(hub, "d1", content)
    assert isinstance(made.step, SetModules)
    apply_plan(hub, made, operator)
    assert hub.twins["d1", "$edgeAgent"].desired == before


def test_a_backup_from_before_the_modules_needs_a_stronger_word(operator: Operator) -> None:
    hub = applied_hub()
    empty: Json = {"$edgeAgent": {"properties.desired": {}}}
    dangers = {danger.kind: danger for danger in plan_restore(hub, "d1", empty).dangers}
    assert dangers["modules"].count == len(hub.twins["d1", "$edgeAgent"].desired["modules"])
    assert "edge-expose" in dangers["modules"].what


def test_a_confirmed_removal_is_no_difference(operator: Operator) -> None:
    hub = applied_hub()
    hub.patch_module_twin("d1", "edge-expose", {"confirmRemoval": "t0ken"}, hub.twins["d1", "edge-expose"].etag)
    assert make_plan(hub, spec_of_text(SPEC), {}).changes == ()
    changed = make_plan(hub, spec_of_text(SPEC.replace("8080:80", "9090:80")), {})
    apply_plan(hub, changed, operator)
    assert hub.twins["d1", "edge-expose"].desired["confirmRemoval"] == "t0ken"


def test_what_a_deployment_sets_is_not_brought_back_by_hand() -> None:
    hub = applied_hub()
    content = backup_of(hub)
    fleet = SPEC.replace("{device: d1}", "{condition: \"tags.x='y'\", priority: 3}").replace("8080:80", "9090:80")
    apply_plan(hub, make_plan(hub, spec_of_text(fleet), {}), Operator("me@here", lambda: NOW))
    hub.target(next(iter(hub.configurations)), "d1")
    with pytest.raises(Refused, match="set by the deployment"):
        plan_restore(hub, "d1", changed(content, "8080:80", "7070:80"))


OURS: Json = {"schemaVersion": "1.0", "exposures": {}}


def content_with(desired: Json) -> Json:
    return {"edge-expose": {"properties.desired": desired}, "$edgeHub": {"properties.desired": {"routes": {}}}}


ONE_OR_ALL = pytest.mark.parametrize("only", [None, "edge-expose"], ids=["the whole device", "our twin only"])


@ONE_OR_ALL
@pytest.mark.parametrize(
    ("desired", "says"),
    [
        pytest.param({"schemaVersion": "9.0", "exposures": {}}, "schemaVersion", id="a version that is not known"),
        pytest.param({"schemaVersion": "1.0", "exposures": []}, "exposures", id="exposures that are a list"),
    ],
)
def test_a_backup_that_the_module_would_refuse_is_refused_here(only: str | None, desired: Json, says: str) -> None:
    with pytest.raises(Refused, match=f"does not accept that backup.*{says}"):
        plan_restore(applied_hub(), "d1", content_with(desired), only=only)


@ONE_OR_ALL
@pytest.mark.parametrize("site", [{"nodeIPs": "10.9.0.1-10.9.0.2"}, None], ids=["changed", "removed"])
def test_a_range_that_a_deployment_sets_is_not_brought_back_by_hand(only: str | None, site: Json | None) -> None:
    hub = applied_hub()
    layer = {"edge-expose": {"properties.desired.site.nodeIPs": "10.0.0.1-10.0.0.2"}}
    hub.configurations["layer"] = Deployment("layer", {"modulesContent": layer}, "*")
    hub.target("layer", "d1")
    desired = {key: value for key, value in hub.twins["d1", "edge-expose"].desired.items() if key != "site"}
    with pytest.raises(Refused, match=r"site\.nodeIPs is set by the deployment layer"):
        plan_restore(hub, "d1", content_with({**desired, "site": site} if site else desired), only=only)


def test_our_twin_alone_is_brought_back_and_the_hub_is_read_once() -> None:
    hub = applied_hub()
    hub.calls.clear()
    made = plan_restore(hub, "d1", content_with(OURS), only="edge-expose")
    assert isinstance(made.step, PatchTwin)
    assert {change.name for change in made.changes if change.kind != "Service"} == {"d1/edge-expose"}
    assert sorted(hub.calls) == ["device_twin", "module_twin", "module_twin", "module_twin"]


def test_our_twin_alone_cannot_be_brought_back_where_it_is_not() -> None:
    hub = FakeHub()
    hub.add_device("d1")
    with pytest.raises(Refused, match="has no module edge-expose"):
        plan_restore(hub, "d1", content_with(OURS), only="edge-expose")


def test_the_command_restores_the_newest_backup(tmp_path: Path) -> None:
    hub = applied_hub()
    use_hub(hub)
    try:
        spec = tmp_path / "s.yaml"
        spec.write_text(SPEC.replace("8080:80", "9090:80"))
        folder = ["--backup", str(tmp_path / "b")]
        runner = CliRunner()
        assert runner.invoke(app, ["apply", str(spec), "--yes", *folder]).exit_code == 0
        assert len(backups_of(tmp_path / "b", "d1")) == 1
        listed = runner.invoke(app, ["rollback", "--device", "d1", "--list", *folder])
        assert listed.stdout.strip().endswith(".json")
        done = runner.invoke(app, ["rollback", "--device", "d1", "--yes", *folder])
        assert done.exit_code == 0, done.output
        assert hub.twins["d1", "edge-expose"].desired["exposures"]["web-out"]["ports"] == ["8080:80"]
        nothing = runner.invoke(app, ["rollback", "--device", "d2", *folder])
        assert nothing.exit_code == 1
        assert "no backup of device d2" in nothing.stderr
        odd = tmp_path / "odd.json"
        odd.write_text("{}")
        unread = runner.invoke(app, ["rollback", "--device", "d1", "--from", str(odd), *folder])
        assert (unread.exit_code, "is no backup" in unread.stderr) == (2, True)
        assert runner.invoke(app, ["rollback"]).exit_code == 2
    finally:
        use_hub(None)
