"""Deployments that reach the same devices: who wins where, and what is lost by it."""

from __future__ import annotations

import pytest

from edge_expose_cloud.plan.model import Plan
from support.fake_hub import FakeHub
from support.planning import do, plan

NORTH = "tags.site='north'"
SPEC = """
schemaVersion: "1.0"
name: {name}
target: {{condition: "{condition}", priority: {priority}{layered}}}
modules: {{{modules}}}
exposures: {{{exposures}}}
"""
WEB = 'web: {image: "a/web:1"}'
SHOP = 'shop: {module: web, ports: ["80"]}'


def spec(
    name: str,
    priority: int,
    modules: str = WEB,
    exposures: str = SHOP,
    *,
    layered: bool = False,
    condition: str = NORTH,
) -> str:
    word = ", layered: true" if layered else ""
    return SPEC.format(
        name=name, priority=priority, layered=word, modules=modules, exposures=exposures, condition=condition
    )


@pytest.fixture
def hub() -> FakeHub:
    made = FakeHub(matching={NORTH: ["n1", "n2"], "*": ["n1", "n2", "byhand"]})
    for device in ("n1", "n2", "byhand"):
        made.add_device(device)
    return made


def texts(made: Plan) -> list[str]:
    return [item.text for item in made.impact]


def rules(made: Plan) -> list[str]:
    return [item.rule for item in made.findings]


def test_a_deployment_that_outranks_another_names_what_goes_and_needs_a_word(hub: FakeHub) -> None:
    do(hub, spec("south", 10, f'{WEB}, other: {{image: "a/other:1"}}'))
    made = plan(hub, spec("high", 50, 'lonely: {image: "a/lonely:1"}', 'zed: {module: lonely, ports: ["90"]}'))
    south = next(iter(hub.configurations))
    assert f"this deployment takes the place of {south} on 2 devices (n1, n2)" in texts(made)
    assert "the module web is removed from the device" in texts(made)
    assert "shop stops answering: the module web is gone" in texts(made)
    assert [(danger.kind, danger.count) for danger in made.dangers] == [("modules", 2)]


def test_a_deployment_that_is_outranked_says_that_nothing_changes(hub: FakeHub) -> None:
    do(hub, spec("base", 10))
    made = plan(hub, spec("low", 1, exposures='zed: {module: web, ports: ["90"]}'))
    assert rules(made) == ["DeploymentOutranked"]
    assert "on 2 devices (n1, n2): nothing changes there" in made.findings[0].message


def test_a_change_of_the_deployment_that_wins_tells_nothing_of_the_others_anew(hub: FakeHub) -> None:
    do(hub, spec("south", 10, f'{WEB}, other: {{image: "a/other:1"}}'))
    do(hub, spec("high", 50))
    made = plan(hub, spec("high", 50, exposures='shop: {module: web, ports: ["81"]}'))
    assert not made.dangers
    assert not any("takes the place" in text for text in texts(made))


def test_a_layer_names_what_it_overrides_and_who_overrides_it(hub: FakeHub) -> None:
    do(hub, spec("base", 10))
    wider = 'shop: {module: web, type: ClusterIP, ports: ["80"]}'
    made = plan(hub, spec("layer", 20, 'web: {image: "a/web:2"}', wider, layered=True))
    base = next(iter(hub.configurations))
    assert f"exposure shop, module web of {base} is overridden on 2 devices (n1, n2)" in texts(made)
    assert "port 80/tcp of shop stops answering for everyone" in texts(made)
    do(hub, spec("top", 30, "", 'shop: {module: web, ports: ["82"]}', layered=True))
    assert "DeploymentOutranked" in rules(
        plan(hub, spec("layer", 20, "", 'shop: {module: web, ports: ["83"]}', layered=True))
    )


def test_a_layer_without_a_base_does_nothing_and_says_so(hub: FakeHub) -> None:
    made = plan(hub, spec("layer", 20, layered=True))
    assert rules(made) == ["LayerWithoutBase"]


def test_a_condition_that_matches_nobody_is_told(hub: FakeHub) -> None:
    assert rules(plan(hub, spec("base", 10, condition="tags.site='moon'"))) == ["TargetMatchesNothing"]


def test_what_was_set_by_hand_on_a_device_that_joins_is_named(hub: FakeHub) -> None:
    do(hub, spec("base", 10))
    agent = {"modules": {"old": {"settings": {"image": "a/old:1", "createOptions": "{}"}}}, "runtime": {}}
    hub.add_module("byhand", "$edgeAgent", agent)
    hub.add_module("byhand", "$edgeHub", {"routes": {"mine": "FROM /* INTO $upstream"}})
    made = plan(hub, spec("base", 10, condition="*"))
    assert "byhand: the module old is removed from the device" in texts(made)
    assert "byhand: the route mine is removed: its messages go nowhere" in texts(made)
    assert ("modules", 1) in [(danger.kind, danger.count) for danger in made.dangers]


def test_a_module_that_new_content_leaves_out_needs_a_word(hub: FakeHub) -> None:
    do(hub, spec("base", 10, f'{WEB}, other: {{image: "a/other:1"}}'))
    made = plan(hub, spec("base", 10))
    assert [(danger.kind, danger.count) for danger in made.dangers] == [("modules", 1)]
