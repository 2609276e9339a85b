"""The other real load balancers, each beside both real versions of Kubernetes: one start for each pair and run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.testbed_balanced import BalancedCluster
from support.testbed_binaries import why_not
from support.testbed_load_balancers import CILIUM, OTHERS, SERVICE_CONTROLLER, needs
from support.testbed_loopback import start_real_cluster

_BASES = {
    (CILIUM, "1.36"): "127.98.36",
    (CILIUM, "1.20"): "127.98.20",
    (SERVICE_CONTROLLER, "1.36"): "127.99.36",
    (SERVICE_CONTROLLER, "1.20"): "127.99.20",
}


def _parameters() -> list[object]:
    return [
        pytest.param((name, profile), id=f"{name}-{profile}", marks=pytest.mark.testbed)
        for name in OTHERS
        for profile in ("1.36", "1.20")
    ]


@pytest.fixture(scope="session", params=_parameters())
def _balanced(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BalancedCluster]:
    name, profile = request.param
    reason = why_not(profile, needs(name))
    if reason:
        pytest.skip(reason)
    base = _BASES[name, profile]
    real = start_real_cluster(profile, tmp_path_factory.mktemp(f"{name}-{profile}"), f"{base}.10-{base}.20", name)
    yield BalancedCluster(real, name, base)
    real.stop()


@pytest.fixture
def cluster(_balanced: BalancedCluster) -> Iterator[BalancedCluster]:
    """The cluster with addresses .10 to .20 to give out, and no LoadBalancer Service."""
    _balanced.revive()
    _balanced.real.balancer.set_pool(_balanced.range(10, 20))
    yield _balanced
    _balanced.revive()
    _balanced.clear()


def _only(cluster: BalancedCluster, name: str) -> BalancedCluster:
    if cluster.load_balancer != name:
        pytest.skip(f"only on {name}")
    return cluster


@pytest.fixture
def cilium(cluster: BalancedCluster) -> BalancedCluster:
    """The cluster where it is Cilium's."""
    return _only(cluster, CILIUM)


@pytest.fixture
def service_controller(cluster: BalancedCluster) -> BalancedCluster:
    """The cluster where it is the service controller's."""
    return _only(cluster, SERVICE_CONTROLLER)
