"""What the cloud takes for a device's ranges: the declared ones, or those that its module reports."""

from __future__ import annotations

from typing import Any

import pytest

from edge_expose_cloud.hub.api import Twin
from edge_expose_cloud.usecases.device_ranges import network_of
from edge_expose_contract.identity import MODULE_ID

SITE = {"externalServiceIPs": "10.0.0.10-10.0.0.20", "pools": {"dmz": "10.0.0.18-10.0.0.22"}}
SEEN = {"version": "v1.36.3", "loadBalancer": "MetalLB/CRD", "api": "ok"}

ROWS: list[Any] = [
    pytest.param(SITE, {}, "10.0.0.10-10.0.0.20", {"dmz"}, id="nothing reported: what is declared"),
    pytest.param(
        SITE,
        {"pool": {"ranges": "10.0.0.10-10.0.0.20, 10.0.0.18-10.0.0.22"}},
        "10.0.0.10-10.0.0.20",
        {"dmz"},
        id="reported as declared, with what two pools hold named twice",
    ),
    pytest.param(
        None,
        {"pool": {"ranges": "10.0.0.10-10.0.0.20, 10.0.0.18-10.0.0.22"}},
        "10.0.0.10-10.0.0.22",
        set(),
        id="nothing declared: what is reported, each address once",
    ),
    pytest.param(
        SITE,
        {"pool": {"ranges": "10.0.0.30-10.0.0.39, 10.0.0.35-10.0.0.36"}, "cluster": SEEN},
        "10.0.0.30-10.0.0.39",
        set(),
        id="the pool was read: it decides, and whose names its parts have is not reported",
    ),
    pytest.param(SITE, {"pool": {"ranges": "a, b"}}, "10.0.0.10-10.0.0.20", {"dmz"}, id="nonsense reported: declared"),
]


@pytest.mark.parametrize(("site", "reported", "external", "pools"), ROWS)
def test_ranges_of_a_device(site: Any, reported: dict[str, Any], external: str, pools: set[str]) -> None:
    desired = {"schemaVersion": "1.0", "exposures": {}, **({"site": site} if site else {})}
    network, _ = network_of(Twin("d1", MODULE_ID, "E", desired=desired, reported=reported))
    assert network is not None
    assert str(network.external) == external
    assert set(network.named_pools) == pools
