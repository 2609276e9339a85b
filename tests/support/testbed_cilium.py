"""Cilium's LB-IPAM: the unchanged operator with everything but address management switched off.

It says what it did by a condition of the Service, never by an event. Without any pool it sleeps and says nothing.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from support.testbed_api import Api, ApiRefused
from support.testbed_binaries import PROFILES
from support.testbed_plane import http_get
from support.testbed_processes import Launcher, Program
from support.waiting import eventually

POOL: Final = "p"
CONDITION: Final = "cilium.io/IPAMRequestSatisfied"
_NAMESPACE: Final = "kube-system"
_POOLS: Final = "/apis/cilium.io/v2alpha1/ciliumloadbalancerippools"
_LEASE: Final = f"/apis/coordination.k8s.io/v1/namespaces/{_NAMESPACE}/leases/cilium-operator-resource-lock"
_ONLY_ADDRESSES: Final = (
    "--identity-allocation-mode=crd",
    "--ipam=kubernetes",
    "--enable-ipv4=true",
    "--enable-ipv6=false",
    "--gops-port=0",
    "--enable-metrics=true",
    "--nodes-gc-interval=0",
    "--identity-gc-interval=0",
    "--unmanaged-pod-watcher-interval=0",
    "--set-cilium-is-up-condition=false",
    "--remove-cilium-node-taints=false",
    "--synchronize-k8s-services=false",
    "--cluster-id=0",
    "--cluster-name=default",
)


class Cilium:
    """Its pools are objects of the cluster; it makes their definitions itself when it starts."""

    def __init__(self, api: Api, kubeconfig: Path, launcher: Launcher, ports: tuple[int, int]) -> None:
        self._api = api
        self._kubeconfig = kubeconfig
        self._launcher = launcher
        self._ports = ports
        self._log = launcher.folder / "cilium-operator.log"
        self._ranges: tuple[str, ...] = ()
        self.controller: Program | None = None

    def furnish(self, ranges: Sequence[str]) -> None:
        """Nothing to do before the operator has made its definitions: `start` makes this pool."""
        self._ranges = tuple(ranges)

    def start(self) -> None:
        # One that was killed left its lease, and its successor would wait for that to run out.
        self._api.delete(_LEASE)
        command: list[str | Path] = [
            PROFILES["1.36"].path("cilium-operator"),
            "--k8s-kubeconfig-path",
            self._kubeconfig,
        ]
        api, metrics = (f"127.0.0.1:{port}" for port in self._ports)
        command += [*_ONLY_ADDRESSES, f"--operator-api-serve-addr={api}", f"--operator-prometheus-serve-addr={metrics}"]
        start = self.log_size()
        environment = {"K8S_NODE_NAME": "node1", "CILIUM_K8S_NAMESPACE": _NAMESPACE}
        self.controller = self._launcher.start("cilium-operator", command, environment)
        if self._ranges:
            self.controller.wait_ready(lambda: self._made(pool(POOL, *self._ranges)))
            self._ranges = ()
        self.controller.wait_ready(lambda: self._awake(start))

    def stop(self) -> None:
        if self.controller is not None:
            self.controller.stop()

    def kill(self) -> None:
        if self.controller is not None:
            self.controller.kill()

    def set_pool(self, *ranges: str) -> None:
        """Leaves one pool, which every Service may draw from, and waits until it is in force."""
        for found in self._api.items(_POOLS):
            if found["metadata"]["name"] != POOL:
                self._api.delete(f"{_POOLS}/{found['metadata']['name']}")
        self.put_pool(pool(POOL, *ranges))

    def put_pool(self, body: dict[str, Any]) -> None:
        """Makes or replaces a pool and waits until the operator has counted its addresses.

        The older API server refuses some of the operator's counts, for a reason of its own. The log shows that, though
        not which state of the pool was counted, so there is a moment more.
        """
        path = f"{_POOLS}/{body['metadata']['name']}"
        start = self.log_size()
        if not self._made(body):
            raise AssertionError("the pools are not served")
        wanted = {"cidrs": None, "serviceSelector": None, "disabled": False, **body["spec"]}
        self._api.merge(path, {"spec": wanted})
        eventually(
            lambda: _is_counted(self._api.get(path)) or b"pool upsert failed" in self._said_since(start),
            what=f"the pool {body['metadata']['name']} is in force",
        )
        if not _is_counted(self._api.get(path)):
            time.sleep(0.3)

    def delete_pool(self, name: str) -> None:
        self._api.delete(f"{_POOLS}/{name}")

    def wait_released(self) -> None:
        """Until no address is in use: the operator frees those of deleted Services when it hears of them."""
        eventually(lambda: self._in_use() == 0, what="released")

    def left_a_status(self, since: int) -> bool:
        """Whether it gave up on a Service that is no longer its own, after `since` bytes of its log.

        It writes the counts of its pools before it clears that Service's status. Where the API server refuses the
        counts, as 1.20 sometimes does, it tries again, no longer knows the Service, and leaves the old status for good.
        """
        return b"handleUpsertService: svcOnDelete" in self._said_since(since)

    def _in_use(self) -> float:
        """By its metrics: the pool's own count may lag behind."""
        pools = {found["metadata"]["name"] for found in self._api.items(_POOLS)}
        page = http_get(None, self._ports[1], "/metrics").decode()
        used = dict(re.findall(r'(?m)^\w+_lbipam_ips_used_total\{pool="([^"]+)"\} (\S+)$', page))
        assert pools <= used.keys(), page[-300:]
        return sum(float(count) for name, count in used.items() if name in pools)

    def _made(self, body: dict[str, Any]) -> bool:
        try:
            self._api.create(_POOLS, body, exists_ok=True)
        except ApiRefused as refused:
            if refused.status != 404:  # the operator has not made the definition yet
                raise
            return False
        return True

    def _awake(self, start: int) -> bool:
        """Without any pool it stays asleep, which is as ready as it gets."""
        try:
            pools = self._api.items(_POOLS)
        except ApiRefused:
            return False
        return (b"LB-IPAM done initializing" if pools else b"LB-IPAM initializing") in self._said_since(start)

    def log_size(self) -> int:
        """Bytes it has written so far."""
        return self._log.stat().st_size if self._log.exists() else 0

    def _said_since(self, start: int) -> bytes:
        return self._log.read_bytes()[start:]


def pool(name: str, *ranges: str, **spec: Any) -> dict[str, Any]:
    """A pool of ranges FIRST-LAST; `spec` as the operator knows it (serviceSelector, disabled)."""
    blocks = [dict(zip(("start", "stop"), part.split("-"), strict=True)) for part in ranges]
    head = {"apiVersion": "cilium.io/v2alpha1", "kind": "CiliumLoadBalancerIPPool", "metadata": {"name": name}}
    return {**head, "spec": {"blocks": blocks, **spec}}


def _is_counted(found: dict[str, Any]) -> bool:
    """Whether the addresses of the pool as it is now were counted."""
    conditions = (found.get("status") or {}).get("conditions") or []
    total = next((one for one in conditions if one["type"] == "cilium.io/IPsTotal"), {})
    return bool(total.get("observedGeneration") == found["metadata"]["generation"])
