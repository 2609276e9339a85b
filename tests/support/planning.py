"""Plans made and applied as an operator does, for tests of the cloud side."""

from __future__ import annotations

from edge_expose_cloud.plan.model import Plan
from edge_expose_cloud.usecases.apply import apply_plan
from edge_expose_cloud.usecases.operator import Operator
from edge_expose_cloud.usecases.plan import make_plan
from support.cloud import NOW, SPEC, spec_of_text
from support.fake_hub import FakeHub

FLEET = """
schemaVersion: "1.0"
name: north
target: {condition: "tags.site='north'", priority: 3}
modules: {web: {image: "a/web:1"}}
exposures: {shop: {module: web, ports: ["80"]}}
"""


def plan(hub: FakeHub, text: str = SPEC, environment: dict[str, str] | None = None) -> Plan:
    return make_plan(hub, spec_of_text(text), environment or {})


def operator(saved: dict[str, str] | None = None) -> Operator:
    def save(name: str, text: str) -> str:
        if saved is not None:
            saved[name] = text
        return name

    return Operator("me@here", lambda: NOW, save)


def lines(made: Plan) -> list[tuple[str, str, str]]:
    return [(change.action, change.kind, change.name) for change in made.changes]


def new_hub() -> FakeHub:
    hub = FakeHub()
    hub.add_device("d1")
    return hub


def do(hub: FakeHub, text: str) -> Plan:
    made = plan(hub, text)
    apply_plan(hub, made, operator())
    return made
