"""A device id becomes a namespace that Kubernetes takes."""

from __future__ import annotations

import re

import pytest

from edge_expose_local.device_names import namespace_of
from edge_expose_local.simulated.reports import module_report

ODD = ["Edge_3.x@y", "Edge1", "-edge", "edge-", "_", "..", "é", "a" * 64, "A" * 128, "edge 1", "edge.1", "$edge#1"]


@pytest.mark.parametrize("device", ["edge1", "e", "7", "a-b-c", "a" * 63])
def test_an_id_that_can_be_a_namespace_is_one(device: str) -> None:
    assert namespace_of(device) == device


@pytest.mark.parametrize("device", ODD)
def test_any_other_id_becomes_a_dns_label_with_a_hash(device: str) -> None:
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", namespace_of(device))
    assert re.search(r"-[0-9a-f]{6}$", namespace_of(device))


def test_ids_that_differ_in_what_is_lost_have_different_namespaces() -> None:
    alike = ["edge1", "Edge1", "EDGE1", "edge_1", "edge.1", "edge-1", "edge@1"]
    assert len({namespace_of(device) for device in alike}) == len(alike)
    assert namespace_of("Edge_3.x@y").startswith("edge-3-x-y-")


def test_a_light_device_reports_services_of_that_namespace() -> None:
    report = module_report("Edge_3", {"exposures": {"web": {"address": "10.0.0.1"}}})
    assert report["exposures"]["web"]["service"] == f"{namespace_of('Edge_3')}/web"
