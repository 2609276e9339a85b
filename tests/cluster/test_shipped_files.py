"""The files that people apply: kubectl takes each as it stands on both real combinations, and the pool is given out."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from support.cluster import clean_environment
from support.testbed_binaries import PROFILES
from support.testbed_loopback import RealCluster, real_cluster
from support.testbed_module import SHIPPED
from support.waiting import eventually

pytestmark = pytest.mark.testbed
POOLS = {"1.36": "metallb-pool.yaml", "1.20": "metallb-pool-0.12.yaml"}
ACCOUNT = "system:serviceaccount:edge1:edge-expose"
#: a namespace comes first; an account before what names it
FILES = [
    "rbac.yaml",
    "rbac-one-namespace.yaml",
    "rbac-extra-namespace.yaml",
    "kubeconfig-account.yaml",
    "guard-rails.yaml",
    "module.yaml",
    "portal.yaml",
    "network-policy.yaml",
]
#: Kubernetes 1.20 has no such policies
ONLY_NEW = ["admission-policy.yaml"]


@pytest.fixture(scope="module", params=["1.36", "1.20"])
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    with real_cluster(str(request.param), tmp_path_factory.mktemp("shipped"), "127.136.0.10-127.136.0.12") as real:
        yield real


def kubectl(cluster: RealCluster, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROFILES[cluster.profile].path("kubectl"), "--kubeconfig", cluster.kubeconfig, *arguments],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_file_is_taken_as_it_stands_and_twice(cluster: RealCluster) -> None:
    cluster.api.create("/api/v1/namespaces", {"metadata": {"name": "web"}})  # the workload's, there before us
    for file in [*FILES, *(ONLY_NEW if cluster.profile == "1.36" else [])]:
        first = kubectl(cluster, "apply", "-f", str(SHIPPED / file))
        assert first.returncode == 0, f"{file}: {first.stderr}"
        assert "Warning" not in first.stderr, f"{file}: {first.stderr}"
        again = kubectl(cluster, "apply", "-f", str(SHIPPED / file))
        assert again.returncode == 0, f"{file}: {again.stderr}"
        assert all(line.endswith("unchanged") for line in again.stdout.splitlines()), again.stdout
    shown = kubectl(cluster, "-n", "edge1", "auth", "can-i", "patch", "services", "--as", ACCOUNT)
    assert shown.stdout.strip() == "yes"


def test_no_file_is_forgotten() -> None:
    assert {*FILES, *ONLY_NEW, *POOLS.values()} == {path.name for path in SHIPPED.glob("*.yaml")}


def test_the_addresses_of_the_pool_file_are_given_out(cluster: RealCluster) -> None:
    applied = kubectl(cluster, "apply", "-f", str(SHIPPED / POOLS[cluster.profile]))
    assert applied.returncode == 0, applied.stderr
    cluster.api.create("/api/v1/namespaces", {"metadata": {"name": "pooled"}})
    spec = {"type": "LoadBalancer", "loadBalancerIP": "10.128.44.245", "ports": [{"port": 80}]}
    cluster.api.create("/api/v1/namespaces/pooled/services", {"metadata": {"name": "web"}, "spec": spec})
    eventually(lambda: cluster.api.address("pooled", "web") == "10.128.44.245", what="the address of the pool file")
