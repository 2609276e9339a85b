"""Who wrote a document: every door of ours says it, and no plan is made of it."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from edge_expose_cloud.cli import app
from edge_expose_cloud.hub.api import Deployment, Json
from edge_expose_cloud.hub.authorship import (
    content_with_change,
    content_without_change,
    patch_with_change,
    without_change,
)
from edge_expose_cloud.plan.backups import content_of, text_of
from edge_expose_cloud.plan.deployment import NOTE_LABEL
from edge_expose_cloud.plan.model import CreateDeployment, Plan, SetModules
from edge_expose_cloud.usecases.apply import apply_plan
from edge_expose_cloud.usecases.change_ranges import plan_site
from edge_expose_cloud.usecases.export import export_spec
from edge_expose_cloud.usecases.expose import plan_expose, plan_unexpose
from edge_expose_cloud.usecases.operator import Operator
from edge_expose_cloud.usecases.plan import make_plan
from edge_expose_cloud.usecases.release import plan_release
from edge_expose_cloud.usecases.rollback import history, plan_promotion, plan_restore
from edge_expose_cloud.usecases.sites import write_sites
from edge_expose_contract.limits import SECTION_BYTES, section_size
from edge_expose_contract.merging import merged
from edge_expose_contract.models import AUTHOR_BYTES, NOTE_BYTES, Change
from support.cloud import NOW, SPEC, applied_hub, spec_of_text, use_hub
from support.fake_hub import FakeHub

AT = "2026-11-25T12:00:00.000000Z"
CHANGE = {"by": "alice@desk", "at": AT, "note": "ticket 7"}
ALICE = Operator("alice@desk", lambda: NOW, note="ticket 7")
BOB = Operator("bob@desk", lambda: NOW)
FLEET = """\
schemaVersion: "1.0"
name: north
target: {condition: "tags.site='north'", priority: 10}
network: {externalServiceIPs: 10.0.0.10-10.0.0.20}
modules: {web: {image: "a/web:1"}}
exposures: {shop: {module: web, ports: ["80"]}}
"""
EXPOSURE = {"module": "web", "ports": ["81"]}


def desired(hub: FakeHub) -> Json:
    return dict(hub.twins["d1", "edge-expose"].desired)


def known() -> FakeHub:
    """A device whose document alice wrote."""
    hub = FakeHub()
    hub.add_device("d1")
    apply_plan(hub, make_plan(hub, spec_of_text(), {}), ALICE)
    return hub


def sections() -> Json:
    """The content of SPEC for one device."""
    step = make_plan(known_device(), spec_of_text(), {}).step
    assert isinstance(step, SetModules)
    return step.content.sent()


def known_device() -> FakeHub:
    hub = FakeHub()
    hub.add_device("d1")
    return hub


# -- every door writes it --


def test_the_fields_are_those_of_the_contract() -> None:
    assert ALICE.change() == CHANGE
    assert Change.model_validate(CHANGE).model_dump() == CHANGE


def test_the_time_is_utc_and_fine_enough_to_tell_two_writes_apart() -> None:
    zone = dt.timezone(dt.timedelta(hours=2))
    moment = dt.datetime(2026, 11, 25, 14, 0, 0, 7, zone)
    assert Operator("a", lambda: moment).change()["at"] == "2026-11-25T12:00:00.000007Z"


def test_a_name_or_note_that_is_too_long_is_cut_at_a_whole_character() -> None:
    found = Operator("ä" * 100, lambda: NOW, note="ö" * 300).change()
    assert (found["by"], found["note"]) == ("ä" * (AUTHOR_BYTES // 2), "ö" * (NOTE_BYTES // 2))
    Change.model_validate(found)


def test_set_modules_says_it() -> None:
    assert desired(known())["change"] == CHANGE


def every_door() -> list[tuple[str, Any]]:
    return [
        ("expose", lambda hub: plan_expose(hub, "d1", "api", EXPOSURE)),
        ("unexpose", lambda hub: plan_unexpose(hub, "d1", "web-out")),
        ("ranges", lambda hub: plan_site(hub, "d1", {"externalServiceIPs": "10.0.0.10-10.0.0.99"})),
        ("apply", lambda hub: make_plan(hub, spec_of_text(SPEC.replace("8080:80", "8081:80")), {})),
        ("apply modules", lambda hub: make_plan(hub, spec_of_text(SPEC.replace("a/web:1", "a/web:2")), {})),
    ]


@pytest.mark.parametrize(("door", "planned"), every_door(), ids=lambda value: str(value)[:14])
def test_each_change_of_one_device_says_who_and_leaves_nothing_of_the_writer_before(door: str, planned: Any) -> None:
    hub = known()
    made: Plan = planned(hub)
    assert made.changes
    apply_plan(hub, made, BOB)
    assert desired(hub)["change"] == {"by": "bob@desk", "at": AT, "note": ""}


def test_a_release_says_it() -> None:
    hub = known()
    hub.report("d1", "edge-expose", {"pendingRemoval": {"count": 2, "token": "t0ken"}})
    apply_plan(hub, plan_release(hub, "d1"), BOB)
    assert desired(hub)["change"]["by"] == "bob@desk"


def backup(hub: FakeHub) -> Json:
    found = content_of(text_of({m: t for (d, m), t in hub.twins.items() if d == "d1" and m}, hub.host))
    assert found is not None
    return found


def test_a_restored_backup_names_who_restored_it_and_a_note_alone_brings_nothing_back() -> None:
    hub = known()
    content = backup(hub)
    assert content["edge-expose"]["properties.desired"]["change"] == CHANGE
    apply_plan(hub, plan_expose(hub, "d1", "api", EXPOSURE), BOB)
    apply_plan(hub, plan_restore(hub, "d1", content), BOB)
    assert "api" not in desired(hub)["exposures"]
    assert desired(hub)["change"]["by"] == "bob@desk"
    assert plan_restore(hub, "d1", content).changes == ()


def test_a_deployment_says_it_in_a_key_of_its_own() -> None:
    hub = FakeHub()
    apply_plan(hub, make_plan(hub, spec_of_text(FLEET), {}), ALICE)
    (made,) = hub.deployments()
    section = made.modules_content["edge-expose"]
    assert section["properties.desired.change"] == CHANGE
    assert "properties.desired" not in section, "what others set stays"
    assert made.labels[NOTE_LABEL] == "ticket 7"


def test_the_site_of_a_fleet_says_it() -> None:
    hub = FakeHub()
    hub.add_device("d1")
    spec = spec_of_text(FLEET)
    apply_plan(hub, make_plan(hub, spec, {}), ALICE)
    hub.add_module("d1", "edge-expose", {})
    hub.target(hub.deployments()[0].id, "d1")
    assert write_sites(hub, spec, None, BOB) == ["d1"]
    assert desired(hub)["change"]["by"] == "bob@desk"


# -- and no plan is made of it --


def signed_by(hub: FakeHub, by: str) -> None:
    hub.patch_module_twin("d1", "edge-expose", {"change": {**CHANGE, "by": by}}, "*")


def test_who_wrote_it_is_no_change_of_a_device() -> None:
    hub = known()
    for by in ("bob", "carol"):
        signed_by(hub, by)
        made = make_plan(hub, spec_of_text(), {})
        assert (made.changes, made.step) == ((), None)
    hub.patch_module_twin("d1", "edge-expose", {"change": None}, "*")
    assert make_plan(hub, spec_of_text(), {}).changes == ()


@pytest.mark.parametrize(("door", "planned"), every_door(), ids=lambda value: str(value)[:14])
def test_no_plan_shows_it(door: str, planned: Any) -> None:
    shown = json.dumps(planned(known()).to_json())
    assert "alice" not in shown
    assert "ticket" not in shown


def test_who_wrote_it_is_no_change_of_a_fleet_and_no_part_of_an_id() -> None:
    hub = FakeHub()
    first = make_plan(hub, spec_of_text(FLEET), {})
    assert isinstance(first.step, CreateDeployment)
    apply_plan(hub, first, ALICE)
    assert [item.id for item in hub.deployments()] == [first.step.deployment.id]
    again = make_plan(hub, spec_of_text(FLEET), {})
    assert (again.changes, again.step) == ((), None)
    other = make_plan(FakeHub(), spec_of_text(FLEET), {})
    assert isinstance(other.step, CreateDeployment)
    assert other.step.deployment.id == first.step.deployment.id
    assert other.digest == first.digest


def test_a_plan_of_a_fleet_shows_only_what_changes() -> None:
    hub = FakeHub()
    apply_plan(hub, make_plan(hub, spec_of_text(FLEET), {}), ALICE)
    shown = json.dumps(make_plan(hub, spec_of_text(FLEET.replace('"80"', '"81"')), {}).to_json())
    assert "alice" not in shown


def test_a_promoted_deployment_keeps_its_document_and_says_in_its_labels_who_went_back() -> None:
    hub = FakeHub()
    apply_plan(hub, make_plan(hub, spec_of_text(FLEET), {}), ALICE)
    apply_plan(hub, make_plan(hub, spec_of_text(FLEET.replace('"80"', '"81"')), {}), ALICE)
    going_back = Operator("bob@desk", lambda: NOW + dt.timedelta(minutes=1), note="went wrong")
    apply_plan(hub, plan_promotion(hub, "north", None), going_back)
    (live,) = [item for item in history(hub, "north") if item.live]
    assert (live.by, live.note) == ("bob@desk", "went wrong")
    assert live.to_json()["note"] == "went wrong"
    (made,) = [item for item in hub.deployments() if item.id == live.id]
    assert made.modules_content["edge-expose"]["properties.desired.change"]["by"] == "alice@desk"


def test_a_note_of_before_is_not_kept_by_the_next_who_gives_none() -> None:
    hub = FakeHub()
    apply_plan(hub, make_plan(hub, spec_of_text(FLEET), {}), ALICE)
    apply_plan(hub, make_plan(hub, spec_of_text(FLEET.replace("priority: 10", "priority: 11")), {}), BOB)
    (live,) = history(hub, "north")
    assert (live.by, live.note) == ("bob@desk", "")


def test_an_exported_spec_does_not_carry_it() -> None:
    spec, _ = export_spec(known(), "d1")
    assert "alice" not in json.dumps(spec)


# -- pure --


def test_a_document_and_contents_without_it() -> None:
    assert without_change({"exposures": {}, "change": CHANGE}) == {"exposures": {}}
    whole = content_with_change(sections(), CHANGE)
    assert content_without_change(whole) == sections()
    dotted = {"edge-expose": {"properties.desired.exposures.a": {}, "properties.desired.change": CHANGE}}
    assert content_without_change(dotted) == {"edge-expose": {"properties.desired.exposures.a": {}}}


@pytest.mark.parametrize("content", [{}, {"$edgeAgent": {}}, {"edge-expose": {}}])
def test_content_without_our_document_stays_as_it_is(content: Json) -> None:
    assert content_with_change(content, CHANGE) == content
    assert content_without_change(content) == content


def full(size: int) -> Json:
    document: Json = {"exposures": {}}
    while section_size(document) < size:
        number = len(document["exposures"])
        rest = size - section_size(document)
        document["exposures"][f"e{number:04}"] = "x" * min(4000, max(0, rest - 5))
    return document


@pytest.mark.parametrize(
    ("room", "kept"),
    [
        pytest.param(200, CHANGE, id="room for all"),
        pytest.param(55, {**CHANGE, "note": ""}, id="room without the note"),
        pytest.param(10, None, id="no room"),
    ],
)
def test_a_full_document_does_with_less(room: int, kept: Json | None) -> None:
    before = full(SECTION_BYTES - room) | {"change": {"by": "old", "at": AT, "note": "n" * 5}}
    patch = patch_with_change({}, CHANGE, before)
    assert patch == {"change": kept}
    assert section_size(merged(before, patch)) <= SECTION_BYTES
    plain = without_change(before)
    whole = content_with_change({"edge-expose": {"properties.desired": plain}}, CHANGE)
    assert whole["edge-expose"]["properties.desired"].get("change") == kept


# -- the command line --


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    made = applied_hub()
    use_hub(made)
    yield made
    use_hub(None)


def run(tmp_path: Path, *arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), input=stdin, env={"XDG_STATE_HOME": str(tmp_path)})


def test_every_command_that_writes_takes_a_note(hub: FakeHub, tmp_path: Path) -> None:
    for arguments, stdin in (
        (["expose", "d1", "api", "--module", "web", "--port", "81"], None),
        (["unexpose", "d1", "api"], None),
        (["apply", "-"], SPEC.replace("8080:80", "8082:80")),
        (["rollback", "--device", "d1"], None),
    ):
        note = f"note of {arguments[0]}"
        result = run(tmp_path, *arguments, "--yes", "--note", note, stdin=stdin)
        assert result.exit_code == 0, result.stderr
        assert desired(hub)["change"]["note"] == note
        assert "@" in desired(hub)["change"]["by"]


def test_a_note_that_is_too_long_is_wrong_input(hub: FakeHub, tmp_path: Path) -> None:
    before = desired(hub)
    result = run(tmp_path, "unexpose", "d1", "web-out", "--yes", "--note", "ä" * 257)
    assert result.exit_code == 2
    assert "longer than 512 bytes" in " ".join(result.stderr.split())
    assert desired(hub) == before


def test_the_list_of_deployments_shows_the_note(hub: FakeHub, tmp_path: Path) -> None:
    assert run(tmp_path, "apply", "-", "--yes", "--note", "why-not", stdin=FLEET).exit_code == 0
    assert "why-not" in run(tmp_path, "rollback", "north", "--list").stdout


def test_a_deployment_of_before_has_no_note() -> None:
    hub = FakeHub()
    labels = {"edgeExposeSpec": "north", "edgeExposeBy": "old@desk"}
    hub.create_deployment(Deployment("north-1", {"modulesContent": {}}, "tags.a='b'", 1, labels, {}))
    assert [item.note for item in history(hub, "north")] == [""]
