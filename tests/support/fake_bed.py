"""The fake cluster as a bed for the situations of the recordings, so that it is held to what the real one answers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_expose_module.cluster.api import SERVICES
from support.fake_cluster import FakeCluster
from support.fake_pools import FakePool
from support.situations.bed import Bed, PoolSpecs
from support.testbed_api import JsonObject

_OF_POOL = {"autoAssign": "auto_assign", "avoidBuggyIPs": "avoid_buggy", "serviceAllocation": "allocation"}


class FakeBed(Bed):
    """As `Bed`, without a server. Everything happens at once, so that nothing is waited for."""

    def __init__(self, profile: str) -> None:
        old = profile == "1.20"
        self.cluster = FakeCluster(git_version="v1.20.15" if old else "v1.36.3", dialect="configmap" if old else "crd")
        self.profile = profile
        self.base = "10.9.9"
        self.real = None
        self.api = _Calls(self.cluster)  # type: ignore[assignment]
        self._log = Path("/dev/null")
        self._count = 0

    def set_pools(self, pools: PoolSpecs) -> None:
        self.cluster.set_pools(
            {
                name: FakePool.of(spec["addresses"], **{_OF_POOL[k]: v for k, v in spec.items() if k in _OF_POOL})
                for name, spec in pools.items()
            }
        )

    def namespace(self, labels: Mapping[str, str] | None = None) -> str:
        self._count += 1
        name = f"t-{self._count:010}"
        self.cluster.add_namespace(name, labels)
        return name

    def event(self, namespace: str, name: str, reason: str, starts: str = "") -> JsonObject:
        (*_, last) = [
            event
            for event in self.cluster.events
            if (event["involvedObject"]["namespace"], event["involvedObject"]["name"]) == (namespace, name)
            and event["reason"] == reason
            and event["message"].startswith(starts)
        ]
        head = {"source": last["source"]["component"], "type": last["type"]}
        return {**head, "reason": last["reason"], "message": last["message"]}


class _Calls:
    """The calls of a plain API client that the situations make."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster

    def create(self, path: str, body: JsonObject) -> None:
        self._cluster.create(SERVICES, _namespace(path), body)

    def get(self, path: str) -> Mapping[str, Any]:
        found = self._cluster.get(SERVICES, _namespace(path), path.rpartition("/")[2])
        return {"status": {"loadBalancer": {}}, **found}

    def merge(self, path: str, body: JsonObject) -> None:
        self._cluster.patch(SERVICES, _namespace(path), path.rpartition("/")[2], body)


def _namespace(path: str) -> str:
    return path.split("/")[4]
