"""Addresses needed, shared, reserved, free; and what another range would move."""

from __future__ import annotations

from typing import Any

import pytest

from edge_expose_cloud.spec.capacity import capacity, rehearse_range
from edge_expose_contract.addressing import AddressSet, parse_address
from edge_expose_contract.models import Exposure
from support.cloud import spec_of_text

HEAD = """
schemaVersion: "1.0"
name: s
target: {device: d1}
network: {externalServiceIPs: 10.0.0.10-10.0.0.19, reserved: {edgehub: 10.0.0.10, other: 10.9.9.9}}
modules: {web: {image: "a/web:1"}}
exposures:
"""

ROWS: list[Any] = [
    pytest.param([], 0, 0, id="nothing exposed"),
    pytest.param(
        ["a: {module: web, ports: [80]}", "b: {module: web, ports: [80]}"], 2, 0, id="two exposures need two addresses"
    ),
    pytest.param(
        ["a: {module: web, ports: [80], share: k}", "b: {module: web, ports: [81], share: k}"],
        1,
        1,
        id="a share key makes it one",
    ),
    pytest.param(
        ["a: {module: web, ports: [80], address: 10.0.0.11, share: k}", "b: {module: web, ports: [81], share: k}"],
        1,
        1,
        id="one pins what the other shares",
    ),
    pytest.param(["a: {module: web, ports: [80, 81/udp]}"], 1, 0, id="TCP and UDP share one address"),
    pytest.param(["a: {module: web, type: ClusterIP, ports: [80]}"], 0, 0, id="ClusterIP needs none"),
    pytest.param(["a: {module: web, ports: [80], enabled: false}"], 0, 0, id="a withdrawn one needs none"),
    pytest.param(["a: {module: web, ports: [80], pool: other}"], 0, 0, id="another pool is counted there"),
]


@pytest.mark.parametrize(("exposures", "needed", "shared"), ROWS)
def test_counts(exposures: list[str], needed: int, shared: int) -> None:
    text = (
        HEAD.replace("exposures:\n", "exposures: {}\n")
        if not exposures
        else HEAD + "".join(f"  {line}\n" for line in exposures)
    )
    spec = spec_of_text(text)
    report = capacity(spec.network, spec.exposures)
    assert (report.needed, report.shared) == (needed, shared)
    assert (report.size, report.reserved, report.free, report.overflow) == (10, 1, 9 - needed, None)


def test_each_pool_has_a_row_of_its_own() -> None:
    text = HEAD.replace("other: 10.9.9.9}", "other: 10.9.0.1}, pools: {dmz: 10.9.0.1-10.9.0.3}")
    wishes = {"a": {}, "b": {"pool": "dmz"}, "c": {"address": "10.9.0.2"}, "d": {"pool": "dmz"}}
    network = spec_of_text(text.replace("exposures:\n", "exposures: {}\n")).network
    exposures = {
        name: Exposure.model_validate({"module": "web", "ports": [80], **fields}) for name, fields in wishes.items()
    }
    report = capacity(network, exposures)
    assert (report.size, report.reserved, report.needed, report.free, report.overflow) == (10, 1, 1, 8, None)
    dmz = report.pools["dmz"]
    assert (dmz.size, dmz.reserved, dmz.needed, dmz.free, dmz.overflow) == (3, 1, 3, 0, "d")
    assert report.left_over == "d"
    assert report.to_json()["pools"] == {"dmz": dmz.to_json()}


def test_rehearsal_names_what_would_move_and_why() -> None:
    spec = spec_of_text(HEAD.replace("exposures:\n", "exposures: {}\n"))
    held = {"a": [parse_address("10.0.0.11")], "b": [parse_address("10.0.0.10")], "c": [parse_address("10.0.0.19")]}
    moves = rehearse_range(spec.network, held, AddressSet.parse("10.0.0.10-10.0.0.15"))
    assert [(move.exposure, move.why) for move in moves] == [
        ("b", "reserved for edgehub"),
        ("c", "outside 10.0.0.10-10.0.0.15"),
    ]
