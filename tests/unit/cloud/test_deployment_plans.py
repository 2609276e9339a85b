"""Automatic deployments: new content is a new id, and never a gap."""

from __future__ import annotations

import pytest

from edge_expose_cloud.findings.problems import Refused
from edge_expose_cloud.plan.deployment import RETIRED_CONDITION, RETIRED_LABEL
from edge_expose_cloud.plan.model import CreateDeployment, UpdateDeployment
from edge_expose_cloud.usecases.apply import apply_plan
from support.fake_hub import FakeHub
from support.planning import FLEET, do, operator, plan


def test_a_deployment_is_created_with_metrics_and_then_stays() -> None:
    hub = FakeHub()
    made = do(hub, FLEET)
    assert isinstance(made.step, CreateDeployment)
    (found,) = hub.configurations.values()
    assert (found.target_condition, found.priority) == ("tags.site='north'", 3)
    assert set(found.metric_queries) == {"exposuresReady", "exposuresNotReady", "documentRefused"}
    assert plan(hub, FLEET).changes == ()


def test_new_content_is_a_new_id_and_the_old_one_is_retired_after_it() -> None:
    hub = FakeHub()
    do(hub, FLEET)
    hub.calls.clear()
    do(hub, FLEET.replace('"80"', '"81"'))
    assert [call for call in hub.calls if call not in ("deployments", "devices_matching")] == [
        "create_deployment",
        "update_deployment",
    ]
    conditions = [(item.target_condition, RETIRED_LABEL in item.labels) for item in hub.configurations.values()]
    assert conditions == [(RETIRED_CONDITION, True), ("tags.site='north'", False)]


def test_of_two_operators_that_apply_at_the_same_moment_one_wins_and_the_other_is_told() -> None:
    hub = FakeHub()
    do(hub, FLEET)
    first, second = plan(hub, FLEET.replace('"80"', '"81"')), plan(hub, FLEET.replace('"80"', '"82"'))
    hub.before = lambda call: meanwhile() if call == "create_deployment" else None

    def meanwhile() -> None:
        hub.before = None
        apply_plan(hub, first, operator())

    with pytest.raises(Refused, match="is live"):
        apply_plan(hub, second, operator())
    live = [item for item in hub.configurations.values() if RETIRED_LABEL not in item.labels]
    assert len(live) == 1
    assert isinstance(first.step, CreateDeployment)
    assert live[0].id == first.step.deployment.id
    assert plan(hub, FLEET.replace('"80"', '"81"')).changes == ()


def test_a_deployment_that_came_since_the_plan_is_not_replaced_unseen() -> None:
    hub = FakeHub()
    first, second = plan(hub, FLEET), plan(hub, FLEET.replace('"80"', '"82"'))
    apply_plan(hub, first, operator())
    hub.calls.clear()
    with pytest.raises(Refused, match="is live"):
        apply_plan(hub, second, operator())
    assert "create_deployment" not in hub.calls


def test_only_the_last_three_retired_ones_are_kept() -> None:
    hub = FakeHub()
    for port in range(80, 86):
        do(hub, FLEET.replace('"80"', f'"{port}"'))
    assert len(hub.configurations) == 4


def test_going_back_to_old_content_makes_a_new_id() -> None:
    hub = FakeHub()
    for port in (80, 81, 80):
        do(hub, FLEET.replace('"80"', f'"{port}"'))
    assert len({item.id for item in hub.configurations.values()}) == 3


def test_another_priority_is_an_update_in_place() -> None:
    hub = FakeHub()
    do(hub, FLEET)
    made = do(hub, FLEET.replace("priority: 3", "priority: 4"))
    assert isinstance(made.step, UpdateDeployment)
    assert [item.priority for item in hub.configurations.values()] == [4]


def test_another_condition_and_a_dropped_exposure_need_a_stronger_word() -> None:
    hub = FakeHub()
    do(hub, FLEET)
    assert [danger.kind for danger in plan(hub, FLEET.replace("north'", "south'")).dangers] == ["retarget"]
    dropped = FLEET.replace('exposures: {shop: {module: web, ports: ["80"]}}', "exposures: {}")
    assert [danger.kind for danger in plan(hub, dropped).dangers] == ["removals"]


def test_another_condition_names_the_devices_that_join_and_leave() -> None:
    north, south = "tags.site='north'", "tags.site='south'"
    hub = FakeHub(matching={north: ["n1", "both"], south: ["both", *(f"s{number}" for number in range(7))]})
    do(hub, FLEET)
    made = plan(hub, FLEET.replace("north'", "south'"))
    assert [item.text for item in made.impact if item.kind == "targets"] == [
        "7 devices (s0, s1, s2, s3, s4 and 2 more) are now targeted by this deployment",
        "1 device (n1) is no longer targeted: its modules go, unless another deployment brings them",
    ]


def test_a_port_that_every_device_loses_is_named() -> None:
    hub = FakeHub()
    do(hub, FLEET)
    made = plan(hub, FLEET.replace('ports: ["80"]', 'ports: ["81"]'))
    assert "port 80/tcp of shop stops answering for everyone" in [item.text for item in made.impact]
