"""Two families on the real API server and MetalLB: both addresses asked for, held, and given back after a loss."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.testbed_api import ApiRefused
from support.testbed_binaries import LOOPBACK, why_not
from support.testbed_loopback import RealCluster
from support.testbed_module import ModuleBench
from support.waiting import eventually

pytestmark = pytest.mark.testbed
POOL = "127.135.0.10-127.135.0.12"
POOL6 = "fd00:135::10-fd00:135::12"
BOTH = "127.135.0.10,fd00:135::10"


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any


class Answering:
    """The test bed's API with refusals as answers, as the module's bench wants them."""

    def __init__(self, cluster: RealCluster) -> None:
        self._api = cluster.api
        self.kubeconfig = cluster.kubeconfig

    def call(self, method: str, path: str, body: Any = None) -> Answer:
        try:
            return Answer(201 if method == "POST" else 200, self._api.call(method, path, body))
        except ApiRefused as error:
            return Answer(error.status, error.body)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    reason = why_not("1.36", LOOPBACK)
    if reason:
        pytest.skip(reason)
    real = RealCluster("1.36", tmp_path_factory.mktemp("dual"), POOL, "10.96.0.0/16,fd00:96::/112")
    try:
        real.start()
        real.metallb.set_pool(POOL, POOL6)
        yield real
    finally:
        real.kill()


def test_a_dual_stack_exposure_holds_both_addresses(cluster: RealCluster, tmp_path: Path) -> None:
    bench = ModuleBench(Answering(cluster), "dual", tmp_path)
    wish = {"selector": ["app=w"], "ports": ["8080:80"]}
    bench.desire({"both": {**wish, "ipFamilyPolicy": "RequireDualStack"}, "six": {**wish, "ipFamilies": ["IPv6"]}})
    bench.until("both", "Pending", BOTH, "SelectorMatchesNothing")
    bench.until("six", "Pending", "fd00:135::11")
    service = bench.service("both")
    assert service["metadata"]["annotations"]["metallb.io/loadBalancerIPs"] == BOTH
    assert "loadBalancerIP" not in service["spec"], "never both forms"
    assert bench.is_quiet()
    cluster.api.call("DELETE", "/api/v1/namespaces/dual/services/both")
    eventually(lambda: not bench.service("both"), what="the Service is gone")
    bench.until("both", "Pending", BOTH)
    bench.desire({"both": {**wish, "address": "127.135.0.12,fd00:135::12"}, "six": {**wish, "ipFamilies": ["IPv6"]}})
    bench.until("both", "Pending", "127.135.0.12,fd00:135::12")
    bench.until("six", "Pending", "fd00:135::11")
