"""The network form: one device for each real combination, for the whole run. Root only; nothing of it is shared."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.testbed_binaries import NETWORK, why_not
from support.testbed_machines import LAN
from support.testbed_netns import why_no_namespaces
from support.testbed_network import POOL, NetworkCluster
from support.testbed_site import Site

ECHO_PORTS = [(80, "TCP"), (80, "UDP")]


@pytest.fixture(scope="session", params=["1.36", "1.20"])
def _site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    profile = str(request.param)
    reason = why_no_namespaces() or why_not(profile, NETWORK)
    if reason:
        pytest.skip(reason)
    cluster = NetworkCluster(profile, tmp_path_factory.mktemp(f"network-{profile}"))
    try:
        cluster.start()
        site = Site(cluster, cluster.folder)
        try:
            site.grant()
            database = {"net.azure-devices.edge.module": "database"}
            webserver = {"net.azure-devices.edge.module": "webserver"}
            cluster.run_sample("database", "db", database, [(5432, "TCP")])
            cluster.run_sample("webserver", "web", webserver, [(80, "TCP")], environment={"DATABASE": "db"})
            for number in (1, 2, 3):
                cluster.run_sample(f"echo{number}", "echo", {"app": "echo"}, ECHO_PORTS)
            site.deploy({})
            site.start_module()
            yield site
        finally:
            site.stop()
    finally:
        cluster.remove()


@pytest.fixture
def site(_site: Site) -> Site:
    """The device with its usual pool and no exposures; the three echo pods and the two-tier app run."""
    _site.cluster.metallb.set_pool(POOL)
    _site.desire({})
    _site.waiting(lambda: not _site.reported().get("exposures"), "no exposures")
    _site.cluster.metallb.wait_released()
    return _site


def address(number: int) -> str:
    """An address of the LAN."""
    return f"{LAN}.{number}"
