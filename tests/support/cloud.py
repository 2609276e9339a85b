"""A small spec, and a hub where it has been applied, for tests of the cloud side."""

from __future__ import annotations

import datetime as dt
from typing import Any

from edge_expose_cloud.cli.shared.options import HUB_FACTORY, connect_iothub
from edge_expose_cloud.spec.load import load_spec
from edge_expose_cloud.spec.model import Spec
from edge_expose_cloud.usecases.apply import apply_plan
from edge_expose_cloud.usecases.operator import Operator
from edge_expose_cloud.usecases.plan import make_plan
from support.fake_hub import FakeHub

NOW = dt.datetime(2026, 11, 25, 12, 0, tzinfo=dt.UTC)

SPEC = """\
schemaVersion: "1.0"
name: s
target: {device: d1}
network: {externalServiceIPs: 10.0.0.10-10.0.0.20, nodeIPs: 10.0.0.1-10.0.0.2, reserved: {edgehub: 10.0.0.10}}
modules:
  web: {image: "a/web:1"}
  database: {image: "a/db:1"}
exposures:
  web-out: {module: web, ports: ["8080:80"], address: 10.0.0.11}
  db: {module: database, type: ClusterIP, ports: [5432]}
"""

READY = {
    "lastDesiredVersion": 1,
    "lastDesiredStatus": {"code": 200, "description": ""},
    "summary": {"ready": 2, "pending": 0, "blocked": 0, "failed": 0, "expired": 0, "disabled": 0, "notReady": 0},
    "pool": {"ranges": "10.0.0.10-10.0.0.20", "size": 11, "used": 1, "reserved": 1, "free": 9},
    "exposures": {
        "web-out": {"state": "Ready", "address": "10.0.0.11", "service": "d1/web-out", "endpoints": 1},
        "db": {"state": "Ready", "service": "d1/db", "endpoints": 1},
    },
}

#: a new exposure as the portal's form sends it
SHOP_FORM = {
    "name": "shop",
    "target": "module",
    "module": "web",
    "out0": "8443",
    "in0": "443",
    "proto0": "TCP",
    "reach": "outside",
    "address_mode": "fixed",
    "address": "10.0.0.14",
}

#: what the module answers to a document that would take much away at once
HELD_BACK = {"code": 406, "description": 'nothing is removed until confirmRemoval is "t0ken"'}


def spec_of_text(text: str = SPEC) -> Spec:
    loaded = load_spec(text, "s.yaml")
    assert loaded.spec is not None, loaded.findings
    return loaded.spec


def applied_hub(text: str = SPEC) -> FakeHub:
    """Device d1 with the spec applied, nothing reported yet."""
    hub = FakeHub()
    hub.add_device("d1")
    apply_plan(hub, make_plan(hub, spec_of_text(text), {}), Operator("me@here", lambda: NOW))
    return hub


def use_hub(hub: Any) -> None:
    """Commands of this test talk to this hub; None for IoT Hub again."""
    HUB_FACTORY.set(connect_iothub if hub is None else lambda *options: hub)
